import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CampaignPlan, type ObservedUse, type Recommendation } from '@countersign/contract/review'
import { Registry as Metrics } from 'prom-client'
import { createApprovals } from '../../../approvals/approvals.ts'
import { createGate } from '../../../gate/gate.ts'
import { createLane } from '../../../grants/lane.ts'
import type { PersonPrincipal } from '../../../identity/principal.ts'
import type { AgentEntry } from '../../../identity/registry/agent-entry.ts'
import { loadPolicyTexts, type Policies } from '../../../policy/policy.ts'
import type { Store } from '../../../store/store.ts'
import { openFreshStore } from '../../../store/testing/fresh.ts'
import { evidenceOf } from '../../recommend/testing/observing.ts'
import { createOverlays, type Overlays } from '../apply.ts'
import type { Proposal } from '../propose.ts'

export const agent = 'https://agents#bot'
export const other = 'https://agents#other'
const at = '2026-11-21T12:00:00.000Z'

/** Overlays over a store and a gate, without a gateway around them: agents `bot` and `other`, connections `orders` and `vault`. */
export class OverlayRoom implements AsyncDisposable {
  readonly store: Store
  readonly overlays: Overlays
  /** What was wrong, in the log. */
  readonly errors: object[] = []
  /** Sets that were put in force, the last one decides. */
  readonly sets: Policies[]
  /** Instead of what is put in force: a gate that another set decides. */
  decides: ((put: Policies) => Policies) | undefined
  readonly #folder: string

  private constructor(folder: string, store: Store, policy: string) {
    this.#folder = folder
    this.store = store
    const loaded = loadPolicyTexts([{ file: 'base.cedar', text: policy }])
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
    this.sets = [loaded.policies]
    const quiet = { info() {}, warn() {}, error: (fields: object) => void this.errors.push(fields) }
    const approvals = createApprovals({
      store,
      config: () => ({ expires: 1000, use_within: 1000, max_window: 1000 }),
      askedGroups: () => new Set(),
      limits: () => ({ held_per_agent: 1, held: 1 }),
      log: quiet,
    })
    const policies = () => this.sets.at(-1)!
    const deciding = () => this.decides?.(policies()) ?? policies()
    const entries = new Map([agent, other].map((id) => [id, entryOf(id)]))
    const registry = {
      entry: (id: string) => entries.get(id),
      // All of its agents came long ago.
      flush: async () => {},
      sponsorsOf: (id: string) => (id === agent ? ['sponsor@shop.test'] : []),
      agents: async () => ({ items: [...entries.values()], next: null }),
    }
    const connection = { kind: 'postgres', tags: [], mode: 'enforce', access: 'standing' }
    const connections = new Map(['orders', 'vault'].map((name) => [name, { name, ...connection }]))
    this.overlays = createOverlays({
      store,
      config: () => ({ connections }) as never,
      access: { registry } as never,
      gate: createGate({ policies: deciding, approvals, log: quiet }),
      enforcement: {
        change: createLane(),
        policies,
        takeIn: async (next) => void this.sets.push(next),
      },
      used: { of: () => [], days: () => [] },
      metrics: new Metrics(),
      log: quiet,
      clock: () => Date.parse(at),
    })
  }

  static async open(policy = 'permit (principal, action, resource);'): Promise<OverlayRoom> {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-overlay-room-'))
    return new OverlayRoom(folder, await openFreshStore(join(folder, 'store.db')), policy)
  }

  propose(proposal: Partial<Proposal> & Pick<Proposal, 'policy'>) {
    const all: Proposal = {
      kind: 'reduce',
      title: 'Less',
      agent,
      connection: 'orders',
      by: rae,
      reason: 'unused',
      ...proposal,
    }
    return this.store.db.transaction().execute((tx) => this.overlays.propose(tx, all))
  }

  /** An item of a campaign, decided by these; its evidence has what was used. */
  async item(
    options: {
      used?: [action: string, table: string, kind: string][]
      recommendation?: Partial<Recommendation>
      kind?: 'access' | 'rule'
      name?: string
      deciders?: (PersonPrincipal | undefined)[]
      inPlaceOf?: PersonPrincipal
      madeBy?: PersonPrincipal
      startedBy?: PersonPrincipal
      /** Whose the campaign is: who saved the template that began it. */
      owner?: PersonPrincipal
    } = {},
  ): Promise<string> {
    const { db } = this.store
    const n = Number(
      (
        await db
          .selectFrom('campaign_items')
          .select((e) => e.fn.countAll().as('n'))
          .executeTakeFirstOrThrow()
      ).n,
    )
    const [campaign, item] = [`ca_${n}`, `it_${n}`]
    const plan = JSON.stringify(CampaignPlan.parse({ title: 'Q4' }))
    const json = (person: PersonPrincipal | undefined) => (person ? JSON.stringify(refOf(person)) : null)
    await db
      .insertInto('campaigns')
      .values({
        ...{ id: campaign, state: 'active', title: 'Q4', plan, trigger: '{"kind":"person"}', created_at: at },
        ...{ created_by: json(options.madeBy), started_by: json(options.startedBy) },
        owner: options.owner?.id ?? null,
      })
      .execute()
    const used = (options.used ?? []).map(
      ([action, table, kind]): ObservedUse => ({
        ...{ connection: 'orders', action, resource: `orders/public.${table}`, type: 'Table', kind },
        ...{ allowed: 1, held: 0, denied: 0, firstAt: at, lastAt: at, unbounded: 0 },
      }),
    )
    const connection = { name: 'orders', kind: 'postgres', tags: [], mode: 'enforce' } as const
    const bot = { id: agent, issuer: 'https://agents', subject: 'bot', name: 'bot', groups: [] }
    const evidence = evidenceOf(undefined, { agent: bot, connection } as never, { used })
    const recommendation = {
      verdict: 'reduce',
      summary: '',
      reasons: [],
      keeps: [],
      drops: [],
      ...options.recommendation,
    }
    await db
      .insertInto('campaign_items')
      .values({
        ...{ id: item, campaign, number: 1, kind: options.kind ?? 'access', agent, name: options.name ?? 'bot' },
        connection: 'orders',
        summary: JSON.stringify({ groups: [], connectionTags: [], actsFor: [] }),
        ...{ evidence: JSON.stringify(evidence), evidence_sha256: '0'.repeat(64) },
        ...{ recommendation: JSON.stringify(recommendation), reviewers: '[]', verdict: 'reduce' },
      })
      .execute()
    for (const [stage, person] of (options.deciders ?? []).entries())
      await db
        .insertInto('item_decisions')
        .values({
          ...{ id: `de_${n}_${stage}`, campaign, item, stage, verdict: 'reduce', reason: '', at, followed: 1 },
          ...{ how: person ? 'reviewer' : 'expired-default', person: person?.id ?? '', by: json(person) },
          in_place_of: json(options.inPlaceOf),
        })
        .execute()
    return item
  }

  itemRow(id: string) {
    return this.store.db.selectFrom('campaign_items').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
  }

  /** Types of what was said, in the ledger or on the feed, the oldest first. */
  async said(where: 'audit_outbox' | 'feed'): Promise<string[]> {
    return (await this.store.db.selectFrom(where).select('type').execute()).map(({ type }) => type)
  }

  async [Symbol.asyncDispose]() {
    await this.overlays[Symbol.asyncDispose]()
    await this.store[Symbol.asyncDispose]()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function entryOf(id: string): AgentEntry & { id: string } {
  const [issuer = '', subject = ''] = id.split('#')
  const identity = { id, issuer, subject, name: subject, groups: ['ci'] }
  return { id, issuer, subject, identity, keys: [], declared: false, actsFor: id === agent ? ['boss'] : [], chain: [] }
}

export function person(name: string, email?: string, issuer = 'https://people'): PersonPrincipal {
  return {
    ...{ kind: 'person', id: `${issuer}#${name}`, issuer, subject: name, name, groups: [], roles: ['admin'] },
    ...(email !== undefined && { email }),
    expiresAt: new Date('2030-01-01'),
  }
}
const refOf = ({ id, issuer, subject, name }: PersonPrincipal) => ({ id, issuer, subject, name })
export const rae = person('rae')
