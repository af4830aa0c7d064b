import type { ItemEvidence, Recommendation } from '@countersign/contract/review'
import type { BaseLogger } from 'pino'
import type { ConfiguredConnection } from '../../access/connections.ts'
import type { Registry } from '../../identity/registry/registry.ts'
import { createPermittedSets } from '../../policy/permitted/reading.ts'
import type { Policies } from '../../policy/policy.ts'
import type { Store } from '../../store/store.ts'
import { createRecommending } from '../recommend/recommending.ts'
import { revoking } from '../recommend/revoking.ts'
import type { Subject } from '../recommend/subject.ts'
import { tighter } from '../recommend/tighter.ts'
import { accessEvidence } from './access-item.ts'
import { type ObserveAsked, observe } from './observe.ts'
import type { Observed } from './observed.ts'
import { privilegedOf } from './privileged.ts'
import { ruleEvidence } from './rule-item.ts'
import { sessionsOfRules } from './rules-used.ts'

export type { Subject } from '../recommend/subject.ts'
export type { ObserveAsked, ObserveProgress } from './observe.ts'
export type { Observed } from './observed.ts'

export interface EvidenceOptions {
  store: Pick<Store, 'db'>
  /** The data folder. */
  folder: string
  registry: Pick<Registry, 'agent' | 'agents' | 'entry' | 'flush'>
  policies: () => Policies
  /** As they are configured now. */
  connections: () => readonly ConfiguredConnection[]
  log: Pick<BaseLogger, 'warn'>
  /** Milliseconds since the epoch. */
  clock?: () => number
}

/** What an item shows beside what is recommended. */
export interface Found {
  evidence: ItemEvidence
  recommendation: Recommendation
  privileged: boolean
  privilegedBecause: string[]
}

/** Which item a document is of. */
export interface OfItem {
  campaign: string
  item: string
  /** When the snapshot is of; now where it isn't said. */
  at?: string
}

/** What items of reviews show, and what they recommend (docs/reviews.md, "What an item shows", "Recommendations"). */
export interface Evidence extends AsyncDisposable {
  /**
   * One pass over the commands of a window, for all the items of a campaign together; in a thread of its own, in memory
   * that doesn't grow with the commands.
   * @throws ObserveFailed; the signal's reason
   */
  observe(asked: ObserveAsked): Promise<Observed>
  /**
   * The three questions' answers, by the registry, by policy as it is in force now, and by what was observed.
   * @throws PoliciesUnreadable; NoSuchSubject where the connection, agent or rule isn't there
   */
  of(subject: Subject, observed: Observed, item?: OfItem): Promise<Found>
  /** The tighter policy for an item, with something kept beside. @throws NoTighterPolicy, NoPolicyForRule */
  tighter: typeof tighter
  /** The policy that takes it all. @throws NoPolicyForRule */
  revoking: typeof revoking
}

export function createEvidence(options: EvidenceOptions): Evidence {
  const { store, folder, registry } = options
  const clock = options.clock ?? Date.now
  const sets = createPermittedSets()
  const recommending = createRecommending()
  const permittedBy = ({ version, texts }: Policies) => sets.of(version, async () => texts)
  return {
    async observe(asked) {
      // Who came, and by which grant, until now is to be counted.
      await registry.flush()
      const parts = { store, permitted: await permittedBy(options.policies()), connections: options.connections() }
      return observe(asked, { folder, rules: await sessionsOfRules(parts, asked) })
    },
    async of(subject, observed, item) {
      const policies = options.policies()
      const permitted = await permittedBy(policies)
      const parts = { store, registry, policies, permitted, connections: options.connections() }
      const { campaign, item: id, at } = item ?? { campaign: '', item: '' }
      const head = { campaign, item: id, at: at ?? new Date(clock()).toISOString() }
      const { evidence, facts } =
        subject.kind === 'access'
          ? await accessEvidence(parts, subject, observed, head)
          : await ruleEvidence(parts, subject, observed, head)
      const privilegedBecause = privilegedOf(subject, evidence)
      const recommendation = await recommending.recommend({ subject, evidence, privilegedBecause, facts })
      return { evidence, recommendation, privileged: privilegedBecause.length > 0, privilegedBecause }
    },
    tighter,
    revoking,
    async [Symbol.asyncDispose]() {
      await recommending[Symbol.asyncDispose]()
      await sets[Symbol.asyncDispose]()
    },
  }
}
