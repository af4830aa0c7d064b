import type { BaseLogger } from 'pino'
import type { Registry as Metrics } from 'prom-client'
import type { Access } from '../access/access.ts'
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
import { neighboursOf } from './decisions/neighbours.ts'
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
}

/** Campaigns, what is decided in them, and what comes of it: the rooms of reviews, each by its name (docs/reviews.md). */
export interface Reviews extends AsyncDisposable {
  campaigns: Campaigns
  overlays: Overlays
  packs: Packs
  decisions: Decisions
  // Each room adds itself here: decisions, overlays, packs.
}

/** Opens the rooms of reviews and ties them together. */
export async function openReviews(options: ReviewsOptions): Promise<Reviews> {
  const { store } = options
  const clock = options.clock ?? Date.now
  await using stack = new AsyncDisposableStack()

  // Evidence.
  const overlays = createOverlays({ ...options, clock })
  const campaigns = createCampaigns({ store, starting: () => undefined, clock })
  const { registry } = options.access
  const neighbours = neighboursOf({ overlays, registry })
  const decisions = createDecisions({ store, registry, neighbours, clock })
  const packs = createPacks({ store, folder: options.folder, ledger: options.ledger, clock })

  const parts = stack.move()
  return { campaigns, overlays, packs, decisions, [Symbol.asyncDispose]: () => parts.disposeAsync() }
}
