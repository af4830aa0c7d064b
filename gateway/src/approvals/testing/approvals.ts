import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Approval } from '@countersign/contract/approval'
import type { Command } from '../../gate/command.ts'
import type { PersonPrincipal } from '../../identity/principal.ts'
import type { Requirement } from '../../policy/policy.ts'
import { bot, onTable, orders } from '../../policy/testing/policies.ts'
import { appendFeed, type StoredMessage } from '../../store/feed.ts'
import type { Store } from '../../store/store.ts'
import { openFreshStore } from '../../store/testing/fresh.ts'
import { type ApprovalLimits, type Approvals, type ApprovalsConfig, createApprovals } from '../approvals.ts'
import type { Clock } from '../clock.ts'

/** A clock that stands still until it is told to go on. */
export class ManualClock implements Clock {
  #now = new Date('2026-11-21T12:00:00.000Z')
  readonly #alarms = new Set<{ at: Date; call: () => void }>()
  now = () => new Date(this.#now)
  wake(at: Date, call: () => void) {
    const alarm = { at, call }
    this.#alarms.add(alarm)
    return () => void this.#alarms.delete(alarm)
  }
  /** Milliseconds; calls what is due, each once. */
  advance(ms: number) {
    this.#now = new Date(this.#now.getTime() + ms)
    for (const alarm of [...this.#alarms])
      if (alarm.at <= this.#now) {
        this.#alarms.delete(alarm)
        alarm.call()
      }
  }
  get alarms() {
    return [...this.#alarms].map((alarm) => alarm.at.toISOString())
  }
}

export const minute = 60_000

export interface World extends AsyncDisposable {
  store: Store
  approvals: Approvals
  clock: ManualClock
  config: ApprovalsConfig
  limits: ApprovalLimits
  /** What the registry says: who answers for an agent. */
  sponsors: Map<string, string[]>
  /** Messages of the feed so far, and those to come. */
  said: StoredMessage[]
  errors: unknown[]
  /** Resolves once `test` holds; asked again after each message of the feed. */
  until(test: () => boolean | Promise<boolean>): Promise<void>
  /** Ends this process's part without telling anybody, and starts another on the same store. */
  restart(): Promise<void>
  /** A person is seen by the registry, or seen anew: with other groups, or as one who has left. */
  seen(person: PersonPrincipal, changes?: { left?: boolean }): Promise<void>
}

/** Approvals on a store of their own, by a clock that stands still. */
export async function world(): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-approvals-'))
  const file = join(folder, 'store.sqlite')
  const clock = new ManualClock()
  const config: ApprovalsConfig = { expires: 10 * minute, use_within: 10 * minute, max_window: 480 * minute }
  const limits: ApprovalLimits = { held_per_agent: 100, held: 5000 }
  const sponsors = new Map<string, string[]>()
  const errors: unknown[] = []
  const log = { error: (entry: unknown) => void errors.push(entry) } as never
  const start = async () => {
    const store = await openFreshStore(file, { log })
    const said: StoredMessage[] = []
    store.feed.subscribe((message) => said.push(message))
    return {
      store,
      said,
      approvals: createApprovals({
        store,
        config: () => config,
        limits: () => limits,
        sponsorsOf: (agent) => sponsors.get(agent) ?? [],
        askedGroups: () => new Set(['oncall-dba', 'sre', 'a', 'b', 'c']),
        clock,
        log,
      }),
    }
  }
  const running: World = {
    ...(await start()),
    clock,
    config,
    limits,
    sponsors,
    errors,
    async seen(who, { left = false } = {}) {
      const at = clock.now().toISOString()
      const { id, issuer, subject, name, groups, roles } = who
      const row = {
        ...{ id, issuer, subject, name },
        email: who.email ?? null,
        groups: JSON.stringify(groups),
        roles: JSON.stringify(roles),
        first_seen_at: at,
        last_seen_at: at,
        left_at: left ? at : null,
        left_by: left ? JSON.stringify({ id, issuer, subject, name }) : null,
        left_because: left ? 'gone' : null,
      }
      await running.store.db.transaction().execute(async (tx) => {
        await tx
          .insertInto('people')
          .values(row)
          .onConflict((c) => c.column('id').doUpdateSet(row))
          .execute()
        const record = { ...{ id, issuer, subject, name, groups, roles }, firstSeenAt: at, lastSeenAt: at }
        await appendFeed(tx, 'person.changed', record, clock.now())
      })
    },
    async until(test) {
      const { feed } = running.store
      for (;;) {
        let wake = () => {}
        const next = new Promise<void>((resolve) => {
          wake = resolve
        })
        const stop = feed.subscribe(wake)
        try {
          if (await test()) return
          await next
        } finally {
          stop()
        }
      }
    },
    async restart() {
      await running.approvals[Symbol.asyncDispose]()
      await running.store[Symbol.asyncDispose]()
      Object.assign(running, await start())
    },
    async [Symbol.asyncDispose]() {
      await running.approvals[Symbol.asyncDispose]()
      await running.store[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
  return running
}

export const DIGEST = `sha256:${'a'.repeat(64)}`

export function person(name: string, groups: string[], more: Partial<PersonPrincipal> = {}): PersonPrincipal {
  return {
    kind: 'person',
    id: `https://people.example.com#${name.toLowerCase()}`,
    issuer: 'https://people.example.com',
    subject: name.toLowerCase(),
    name,
    groups,
    roles: ['approver'],
    expiresAt: new Date('2030-01-01T00:00:00Z'),
    ...more,
  }
}

export const ada = person('Ada', ['oncall-dba'])
export const ben = person('Ben', ['oncall-dba', 'sre'])
export const cy = person('Cy', ['sre'])

export function command(more: Partial<Command> = {}): Command {
  return {
    protocol: 'postgres',
    connection: orders,
    agent: bot,
    session: { id: 'se_1' },
    text: 'DELETE FROM customers',
    parameters: [],
    kind: 'delete',
    effects: [onTable('sql:write', 'customers', { kind: 'delete', bounded: false })],
    meaning: { search_path: ['public'], role: 'app_rw' },
    ...more,
  }
}

export const requirement = (policy: string, groups: string[], quorum = 1): Requirement => ({ policy, groups, quorum })

export function open(
  { approvals }: World,
  hold: 'wait' | 'fail' = 'wait',
  requirements: Requirement[] = [requirement('unbounded-delete', ['oncall-dba'])],
  more: { digest?: string; command?: Partial<Command> } = {},
): Promise<Approval> {
  return approvals.open({ command: command(more.command), digest: more.digest ?? DIGEST, requirements, hold })
}

export const approve = (window?: string, digest = DIGEST) => ({
  verdict: 'approve' as const,
  reason: 'looks right',
  digest,
  ...(window === undefined ? {} : { window: window as 'once' }),
})
export const deny = (digest = DIGEST) => ({ verdict: 'deny' as const, reason: 'too much', digest })
