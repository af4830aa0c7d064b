import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Grant } from '@countersign/contract/access'
import { type ConfiguredConnection, putConfigured } from '../../access/connections.ts'
import { type Approvals, createApprovals } from '../../approvals/approvals.ts'
import type { Command, Effect, Verdict } from '../../gate/command.ts'
import { type Backing, standing } from '../../gate/entrance.ts'
import { createGate } from '../../gate/gate.ts'
import { holdState, recordedEffects, verdictRecord } from '../../gate/verdicts.ts'
import { LiveGrants } from '../../grants/live.ts'
import type { AgentPrincipal } from '../../identity/principal.ts'
import type { Policies } from '../../policy/policy.ts'
import { placeOf } from '../../sessions/recording.ts'
import { openLedger, type ScribeLedger } from '../../sessions/scribe/scribe.ts'
import type { LiveSession } from '../../sessions/session.ts'
import { createSessions, type SessionsRoom } from '../../sessions/sessions.ts'
import type { Store } from '../../store/store.ts'
import { openFreshStore } from '../../store/testing/fresh.ts'

const HOUR = 3_600_000

/** A gate, recordings and a ledger on a folder, by a clock that is set: a past that is made. */
export class Past implements AsyncDisposable {
  readonly folder: string
  readonly store: Store
  readonly sessions: SessionsRoom
  readonly #ledger: ScribeLedger
  readonly #approvals: Approvals
  readonly #live = new LiveGrants()
  readonly #open = new Map<LiveSession, { purpose?: string; bound?: string }>()
  readonly #clock: { now: number }
  #connections: ConfiguredConnection[] = []
  #made = 0

  private constructor(parts: {
    folder: string
    store: Store
    sessions: SessionsRoom
    ledger: ScribeLedger
    approvals: Approvals
    clock: { now: number }
  }) {
    this.folder = parts.folder
    this.store = parts.store
    this.sessions = parts.sessions
    this.#ledger = parts.ledger
    this.#approvals = parts.approvals
    this.#clock = parts.clock
  }

  /** @param now when it begins, ISO 8601 */
  static async begin(now: string): Promise<Past> {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-past-'))
    const clock = { now: Date.parse(now) }
    const log = { info() {}, warn() {}, error() {} }
    const store = await openFreshStore(join(folder, 'countersign.sqlite'))
    const ledger = await openLedger({
      folder: join(folder, 'ledger'),
      store,
      filesOf: (session, openedAt) => placeOf(folder, session, openedAt),
      origin: 'past.test/ledger',
      log,
    })
    const limits = () => ({
      ...{ sessions_per_agent: 1000, recorded_rows: 10, recorded_bytes: 1000 },
      ...{ held_per_agent: 1_000_000, held: 1_000_000 },
    })
    const sessions = createSessions({ store, folder, limits, log, ledger, graceMs: 50, clock: () => clock.now })
    const approvals = createApprovals({
      store,
      config: () => ({ expires: HOUR, use_within: HOUR, max_window: HOUR }),
      limits,
      sponsorsOf: () => [],
      askedGroups: () => new Set(),
      // Nothing of it is to happen by itself.
      clock: { now: () => new Date(clock.now), wake: () => () => {} },
      log: log as never,
    })
    return new Past({ folder, store, sessions, ledger, approvals, clock })
  }

  get now(): number {
    return this.#clock.now
  }
  pass(ms: number): void {
    this.#clock.now += ms
  }

  /** Connections are these from now on. */
  async configure(connections: ConfiguredConnection[]): Promise<void> {
    this.#connections = connections
    await putConfigured(this.store.db, connections, new Date(this.now))
  }

  /** A grant becomes live, for so long. */
  async grant(agent: AgentPrincipal, connection: string, what: Pick<Grant, 'actions' | 'resources'>, ms: number) {
    const id = `gr_${++this.#made}`
    const at = new Date(this.now).toISOString()
    const expiresAt = new Date(this.now + ms).toISOString()
    const { kind: _, expiresAt: __, token: ___, ...identity } = agent
    await this.store.db
      .insertInto('grants')
      .values({
        ...{ id, state: 'active', connection, connection_tags: '[]', agent: agent.id, purpose: 'test' },
        ...{ on_behalf_of: agent.onBehalfOf ?? '', identity: JSON.stringify(identity), duration: '1h', seconds: 3600 },
        ...{ actions: JSON.stringify(what.actions), requested_at: at, requested_by: '{}', policies: '[]' },
        ...{
          resources: what.resources ? JSON.stringify(what.resources) : null,
          active_from: at,
          expires_at: expiresAt,
        },
      })
      .execute()
    this.#live.add({ id, agent: agent.id, identity, connection, ...what, expiresAt } as never)
    return id
  }

  async revoke(id: string): Promise<void> {
    this.#live.remove(id)
    await this.store.db
      .updateTable('grants')
      .set({ state: 'revoked', ended_at: new Date(this.now).toISOString() })
      .where('id', '=', id)
      .execute()
  }

  /** @param agent with `token.grant` where its token is bound to a grant */
  async session(agent: AgentPrincipal, connection: string, purpose?: string): Promise<LiveSession> {
    const configured = this.#connections.find(({ name }) => name === connection)!
    const bound = agent.token?.grant
    const backing = () => this.#backing(agent, configured, bound)
    const session = await this.sessions.open({
      connection: configured,
      protocol: 'postgres',
      agent,
      ...(purpose !== undefined && { purpose }),
      client: { address: '127.0.0.1' },
      entrance: {
        entry: {
          get backing() {
            return backing()
          },
          opened() {},
          left() {},
        },
        connect: { action: 'sql:connect', resource: { type: 'Connection', id: connection }, command: {} },
      },
    })
    this.#open.set(session, { ...(purpose !== undefined && { purpose }), ...(bound !== undefined && { bound }) })
    return session
  }

  #backing(agent: AgentPrincipal, { name, access }: ConfiguredConnection, bound: string | undefined): Backing {
    const live = this.#live.of({ agent: agent.id, onBehalfOf: agent.onBehalfOf, connection: name })
    const grants = bound === undefined ? live : live.filter(({ id }) => id === bound)
    const needed = access === 'jit' || bound !== undefined
    return needed || grants.length > 0 ? { needed, grants } : standing
  }

  /** The command of a session at this moment, for any gate. */
  command(session: LiveSession, effects: Effect[]): Command {
    const { purpose, bound } = this.#open.get(session)!
    const { agent, connection } = session
    const configured = this.#connections.find(({ name }) => name === connection.name)!
    return {
      protocol: 'postgres',
      connection,
      agent,
      session: {
        id: session.id,
        ...(purpose !== undefined && { purpose }),
        backing: this.#backing(agent, configured, bound),
      },
      text: `statement ${++this.#made}`,
      parameters: [],
      kind: String(effects[0]?.command.kind ?? 'unknown'),
      effects,
      meaning: {},
    }
  }

  gate(policies: Policies) {
    return createGate({ policies: () => policies, approvals: this.#approvals, clock: () => new Date(this.now) })
  }

  /** Passes the gate, and is recorded as the protocols record it. */
  async run(policies: Policies, session: LiveSession, command: Command): Promise<Verdict> {
    const id = `c${++this.#made}`
    const { recorder } = session
    return this.gate(policies).submit(command, {
      hold: 'fail',
      signal: new AbortController().signal,
      record: (verdict) => {
        const hold = holdState(verdict)
        recorder.append(
          {
            type: 'command',
            command: id,
            text: command.text,
            parameters: [],
            kind: command.kind,
            effects: recordedEffects(command),
            digest: verdict.digest,
            verdict: verdictRecord(verdict),
          },
          ...(hold ? [{ type: 'hold' as const, command: id, ...hold }] : []),
        )
      },
    })
  }

  /** Ends all sessions: what was done is in the ledger. */
  async over(): Promise<void> {
    for (const session of this.#open.keys()) await session.close('closed', 'over')
    this.#open.clear()
    await this.#ledger.signed()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sessions[Symbol.asyncDispose]()
    await this.#approvals[Symbol.asyncDispose]()
    await this.#ledger[Symbol.asyncDispose]()
    await this.store[Symbol.asyncDispose]()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
