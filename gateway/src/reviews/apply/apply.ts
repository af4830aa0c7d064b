import type { Overlay, OverlayExport, OverlayPage, OverlayState } from '@countersign/contract/review'
import type { BaseLogger } from 'pino'
import type { Registry as Metrics } from 'prom-client'
import type { Access } from '../../access/access.ts'
import type { LoadedConfig } from '../../config/config.ts'
import type { Gate } from '../../gate/command.ts'
import type { PersonPrincipal } from '../../identity/principal.ts'
import type { Enforcement } from '../../in-force.ts'
import { overlayOf } from '../../policy/overlay-text.ts'
import { createPermittedSets } from '../../policy/permitted/reading.ts'
import type { Policies } from '../../policy/policy.ts'
import type { Used } from '../../sessions/ledger/used.ts'
import type { Store } from '../../store/store.ts'
import { createChanging } from './changing.ts'
import { exportOf, isRedundant } from './export.ts'
import { overlayMetrics } from './metrics.ts'
import { overlayPage } from './page.ts'
import { overlayProblems, type Proposal, type Proposed, propose } from './propose.ts'
import { OverlayRefused } from './refused.ts'
import { overlayLine, type Tx } from './rows.ts'

/** What somebody says who changes an overlay. */
export interface Answer {
  reason: string
  /** Of the text that they were shown. */
  digest?: string | undefined
  /** When somebody asked for the roll-back that is said yes to, as it was shown. */
  confirms?: string | undefined
}

export interface OverlayQuery {
  state?: OverlayState | undefined
  agent?: string | undefined
  connection?: string | undefined
  campaign?: string | undefined
  limit: number
  /** `next` of the page before. */
  after?: string | undefined
}

/** Forbids beside the policy folder, by decisions of reviews: proposed, applied, verified, taken back (docs/reviews.md). */
export interface Overlays extends AsyncDisposable {
  /** Those in force, as files of the set: behind the folder's. */
  texts(): { file: string; text: string }[]
  /** Why what was decided can't be an overlay, in sentences; empty where it can. */
  problems(proposal: Pick<Proposal, 'agent' | 'connection' | 'policy'>, rule?: string): string[]
  /** In the transaction of the decision. Nothing of it is enforced yet. */
  propose(tx: Tx, proposal: Proposal, at?: Date): Promise<Proposed>
  /**
   * Puts one in force, and asks the gate whether it does what it says: the answer is verified, or failed.
   * @throws OverlayRefused, GatewayStopping
   */
  apply(id: string, person: PersonPrincipal, answer: Answer): Promise<Overlay>
  /** @throws OverlayRefused */
  reject(id: string, person: PersonPrincipal, answer: Answer): Promise<Overlay>
  /** Asks for it, and, said by another person, does it. @throws OverlayRefused, GatewayStopping */
  rollBack(id: string, person: PersonPrincipal, answer: Answer): Promise<Overlay>
  /** Takes one out of the store that the folder has. @throws OverlayRefused, GatewayStopping */
  retire(id: string, person: PersonPrincipal, answer: Answer): Promise<Overlay>
  /** With what its agent may without it and with it. @throws LedgerStopped */
  get(id: string): Promise<OverlayPage | undefined>
  /** Those in force as an edit of the policy folder. */
  exported(): Promise<OverlayExport>
  /** The newest first. @throws OverlayRefused */
  list(query: OverlayQuery): Promise<{ items: Overlay[]; next: string | null }>
  /** Those that were put in force, and not looked at any more since the gateway was killed, are looked at. */
  resume(): Promise<void>
}

export interface OverlaysOptions {
  store: Store
  config: () => LoadedConfig
  access: Pick<Access, 'registry'>
  gate: Pick<Gate, 'preview'>
  enforcement: Enforcement
  used: Pick<Used, 'of' | 'days'>
  metrics: Metrics
  log: Pick<BaseLogger, 'info' | 'warn' | 'error'>
  clock: () => number
}

/** Overlays of a store, and what puts them in force. */
export function createOverlays(options: OverlaysOptions): Overlays {
  const { store, enforcement, log } = options
  const { db } = store
  const policies = () => enforcement.policies()
  const metrics = overlayMetrics(options.metrics, () => filesIn(policies()).length)
  const sets = createPermittedSets()
  const changing = createChanging({ ...options, changes: metrics.changes, redundant: isRedundant })

  return {
    ...changing,
    texts: () => filesIn(policies()),
    problems: (proposal, rule) => overlayProblems(proposal, rule, policies()),
    async propose(tx, proposal, at = new Date(options.clock())) {
      const proposed = await propose(tx, proposal, { policies, at, log })
      metrics.changes.inc({ result: proposed === 'not-supported' ? proposed : 'proposed' })
      return proposed
    },
    async get(id) {
      const row = await db.selectFrom('overlays').selectAll().where('id', '=', id).executeTakeFirst()
      if (!row) return undefined
      const connection = options.config().connections.get(row.connection)
      const { registry } = options.access
      const now = new Date(options.clock())
      return overlayPage(row, { store, sets, policies: policies(), connection, registry, used: options.used, now })
    },
    async exported() {
      const rows = await db.selectFrom('overlays').selectAll().where('in_force', '=', 1).orderBy('number').execute()
      return exportOf(rows, policies())
    },
    async list({ state, agent, connection, campaign, limit, after }) {
      let select = db.selectFrom('overlays').selectAll()
      if (state !== undefined) select = select.where('state', '=', state)
      if (agent !== undefined) select = select.where('agent', '=', agent)
      if (connection !== undefined) select = select.where('connection', '=', connection)
      if (campaign !== undefined) select = select.where('campaign', '=', campaign)
      if (after !== undefined) select = select.where('number', '<', placeOf(after))
      const rows = await select
        .orderBy('number', 'desc')
        .limit(limit + 1)
        .execute()
      const items = rows.slice(0, limit).map(overlayLine)
      return { items, next: rows.length > limit ? String(items.at(-1)!.number) : null }
    },
    [Symbol.asyncDispose]: () => sets[Symbol.asyncDispose](),
  }
}

/** Files of a set that are in no folder. */
export function filesIn({ texts }: Pick<Policies, 'texts'>): { file: string; text: string }[] {
  return texts.filter(({ file }) => overlayOf(file) !== undefined).map(({ file, text }) => ({ file, text }))
}

function placeOf(after: string): number {
  if (/^\d{1,9}$/.test(after)) return Number(after)
  throw new OverlayRefused('bad-cursor', '`after` is not one that a list gave out: use the `next` of the page before.')
}
