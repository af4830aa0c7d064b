import type { BaseLogger } from 'pino'
import type { Registry as Metrics } from 'prom-client'
import type { Access } from '../access/access.ts'
import type { ConfiguredConnection } from '../access/connections.ts'
import type { Clock } from '../approvals/clock.ts'
import type { LoadedConfig } from '../config/config.ts'
import type { Gate } from '../gate/command.ts'
import type { Enforcement } from '../in-force.ts'
import type { Policies } from '../policy/policy.ts'
import type { Ledger } from '../sessions/ledger/ledger.ts'
import type { Used } from '../sessions/ledger/used.ts'
import type { Store } from '../store/store.ts'
import { createOverlays, type Overlays } from './apply/apply.ts'
import { type Campaigns, createCampaigns } from './campaigns/campaigns.ts'
import { createDecisions, type Decisions } from './decisions/decisions.ts'
import { campaignFacts, itemFacts } from './decisions/facts.ts'
import { neighboursOf } from './decisions/neighbours.ts'
import { createEvidence, type Evidence } from './evidence/evidence.ts'
import { createPacks, type Packs } from './pack/pack.ts'

export interface ReviewsOptions {
  store: Store
  /** The data folder. */
  folder: string
  config: () => LoadedConfig
  policies: () => Policies
  access: Access
  gate: Gate
  ledger: Ledger
  used: Pick<Used, 'connections' | 'of' | 'days'>
  enforcement: Enforcement
  metrics: Metrics
  log: Pick<BaseLogger, 'info' | 'warn' | 'error'>
  /** Milliseconds since the epoch. */
  clock?: () => number
  /** Calls once at a time or soon after; a test brings its own. */
  wake?: Clock['wake']
}

/** Campaigns, what is decided in them, and what comes of it: the rooms of reviews, each by its name (docs/reviews.md). */
export interface Reviews extends AsyncDisposable {
  campaigns: Campaigns
  overlays: Overlays
  packs: Packs
  decisions: Decisions
  evidence: Evidence
  // Each room adds itself here.
}

/** Opens the rooms of reviews and ties them together. */
export async function openReviews(options: ReviewsOptions): Promise<Reviews> {
  const { store } = options
  const clock = options.clock ?? Date.now
  await using stack = new AsyncDisposableStack()

  const { registry } = options.access
  const connections = () => connectionsOf(options.config())
  const evidence = stack.use(createEvidence({ ...options, registry, connections }))
  const overlays = stack.use(createOverlays({ ...options, clock }))
  const neighbours = neighboursOf({ overlays, registry })
  const decisions = createDecisions({ store, registry, neighbours, clock })
  const campaigns = stack.use(
    createCampaigns({
      ...{ ...options, registry, connections, evidence, clock },
      classes: () => classesOf(options.config()),
      async askAnew(tx, campaign, item, stage) {
        const of = (await campaignFacts(tx, campaign))!
        return neighbours.reviewersAt(tx, of, (await itemFacts(tx, campaign, [item])).get(item)!, stage)
      },
      enforcing: { propose: overlays.propose, revoking: neighbours.revoking },
    }),
  )
  const packs = createPacks({ store, folder: options.folder, ledger: options.ledger, clock })

  const parts = stack.move()
  return { campaigns, overlays, packs, decisions, evidence, [Symbol.asyncDispose]: () => parts.disposeAsync() }
}

const connectionsOf = ({ connections }: LoadedConfig): ConfiguredConnection[] =>
  [...connections.values()]
    .map(({ name, kind, tags, access, mode }) => ({ name, kind, tags, access, mode }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))

/** Data classes that connections have: those of their columns, and those that are looked for. */
const classesOf = ({ connections }: LoadedConfig): string[] =>
  [...new Set([...connections.values()].flatMap((one) => Object.values(one.data_classes ?? {})))].sort()
