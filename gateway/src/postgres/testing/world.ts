import { randomUUID } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import type { NewRecordingEvent } from '@countersign/contract/recording'
import { type Logger, pino } from 'pino'
import { type RunningPostgres, startPostgres } from '../../../../demo/postgres.ts'
import type { Command, Gate, Preview, SubmitOptions, Verdict } from '../../gate/command.ts'
import { standing } from '../../gate/entrance.ts'
import { type AgentPrincipal, type Identity, TokenError } from '../../identity/principal.ts'
import { EndReason, type LiveSession, RecordingError, type Sessions } from '../../sessions/session.ts'
import { listenPostgres, type PostgresListener, type PostgresOptions, type PostgresTarget } from '../postgres.ts'

/** What the gate of these tests answers about a command. */
export type Judgement = 'allow' | 'deny' | 'hold'

export const agent: AgentPrincipal = {
  kind: 'agent',
  id: 'https://idp.test#ci',
  issuer: 'https://idp.test',
  subject: 'ci',
  name: 'ci',
  groups: ['ci-agents'],
  expiresAt: new Date(Date.now() + 3_600_000),
}

/** Takes the token `good`; `person` is a person's; everything else is refused. */
export const identity: Identity = {
  async authenticate(token) {
    if (token === 'person') {
      const { issuer, subject, id, name, expiresAt } = agent
      return { kind: 'person', issuer, subject, id, name, groups: [], roles: [], expiresAt }
    }
    if (token.startsWith('good')) return agent
    throw new TokenError('signature', 'no such token')
  },
}

/** A gate whose every answer the test gives, and which keeps the contract of `Gate`. */
export class TestGate extends EventEmitter<{ held: [Held] }> implements Gate {
  judge: (command: Command) => Judgement = () => 'allow'
  /** The classes that agents may see. */
  revealed = new Set<string>()
  submitted: Command[] = []
  reports: { approval: string; status: string; tag?: string | undefined }[] = []

  preview(command: Command): Preview {
    return { outcome: this.judge(command), policies: ['test'], reason: 'the test says so' }
  }

  reveals(_who: unknown, dataClass: string): boolean {
    return this.revealed.has(dataClass)
  }

  async submit(command: Command, options: SubmitOptions): Promise<Verdict> {
    this.submitted.push(command)
    const verdict = await this.#verdict(command, options)
    try {
      await options.record(verdict, { durable: verdict.outcome === 'allow' && verdict.approval !== undefined })
    } catch (error) {
      return { outcome: 'denied', policies: [], digest: 'sha256:0', reason: (error as Error).message }
    }
    return verdict
  }

  report(approval: string, outcome: { status: string; tag?: string | undefined }): void {
    this.reports.push({ approval, status: outcome.status, tag: outcome.tag })
  }

  /** The next command that is held. */
  async nextHeld(): Promise<Held> {
    const [held] = await once(this, 'held')
    return held as Held
  }

  #verdict(command: Command, options: SubmitOptions): Verdict | Promise<Verdict> {
    const digest = 'sha256:0'
    const judgement = this.judge(command)
    if (judgement === 'allow') return { outcome: 'allow', policies: ['test'], digest }
    if (judgement === 'deny') return { outcome: 'denied', policies: ['test'], digest, reason: 'the test says so' }
    const approval = randomUUID()
    const expiresAt = new Date('2030-01-02T03:04:05.678Z')
    if (options.hold === 'fail') return { outcome: 'held', approval, digest, groups: ['dba'], expiresAt }
    return new Promise((resolve) => {
      options.signal.addEventListener('abort', () => {
        resolve({ outcome: 'cancelled', approval, digest, reason: (options.signal.reason as Error).message })
      })
      options.onHeld?.({ approval, groups: ['dba'], expiresAt })
      this.emit('held', {
        command,
        approval,
        signal: options.signal,
        approve: () =>
          resolve({ outcome: 'allow', policies: ['test'], digest, approval: { id: approval, by: ['Ada'] } }),
        deny: (reason) => resolve({ outcome: 'denied-by-person', approval, digest, person: 'Ada', reason }),
        expire: () => resolve({ outcome: 'expired', approval, digest }),
      })
    })
  }
}

export interface Held {
  command: Command
  approval: string
  signal: AbortSignal
  approve(): void
  deny(reason: string): void
  expire(): void
}

/** Keeps recordings in memory. */
export class TestSessions extends EventEmitter<{ closed: [TestLive] }> implements Sessions {
  all: TestLive[] = []
  /** While true nothing can be recorded. */
  broken = false
  resultBound = { rows: 1000, bytes: 1 << 20 }

  async open(request: Parameters<Sessions['open']>[0]): Promise<LiveSession> {
    const live = new TestLive(this, request)
    this.all.push(live)
    return live
  }

  get last(): TestLive {
    return this.all.at(-1)!
  }

  async get(): Promise<undefined> {
    return undefined
  }

  async terminate(): Promise<boolean> {
    return false
  }
}

export class TestLive implements LiveSession {
  readonly id = randomUUID()
  readonly events: NewRecordingEvent[] = []
  readonly #end = new AbortController()
  readonly #sessions: TestSessions
  readonly request: Parameters<Sessions['open']>[0]
  closedAs: { state: string; reason: string } | undefined

  constructor(sessions: TestSessions, request: Parameters<Sessions['open']>[0]) {
    this.#sessions = sessions
    this.request = request
  }

  get connection() {
    return this.request.connection
  }

  get agent() {
    return this.request.agent
  }

  get backing() {
    return this.request.entrance?.entry.backing
  }

  get ended(): AbortSignal {
    return this.#end.signal
  }

  get recorder() {
    const { events } = this
    const sessions = this.#sessions
    return {
      append(...added: NewRecordingEvent[]) {
        if (sessions.broken) throw new RecordingError('the disk is full')
        events.push(...structuredClone(added))
      },
      async sync() {
        if (sessions.broken) throw new RecordingError('the disk is full')
      },
      get resultBound() {
        return sessions.resultBound
      },
      outputBound: 0,
    }
  }

  onLessened(): void {}

  end(message: string): void {
    this.#end.abort(new EndReason('terminated', message))
  }

  async close(state: string, reason: string): Promise<void> {
    this.closedAs = { state, reason }
    this.#sessions.emit('closed', this)
  }

  of<K extends NewRecordingEvent['type']>(type: K): Extract<NewRecordingEvent, { type: K }>[] {
    return this.events.filter((event) => event.type === type) as Extract<NewRecordingEvent, { type: K }>[]
  }
}

export interface World extends AsyncDisposable {
  gate: TestGate
  sessions: TestSessions
  listener: PostgresListener
  port: number
  target: PostgresTarget
  options: PostgresOptions
  /** Who was refused, as the ledger is told. */
  refusedSignIns: object[]
  /** Lines of the log at warning and above. */
  complaints: string[]
}

/** A gateway's PostgreSQL listener in front of a server, with a gate that the test answers for. */
export async function startWorld(postgres: RunningPostgres, change: Partial<PostgresOptions> = {}): Promise<World> {
  const gate = new TestGate()
  const sessions = new TestSessions()
  const complaints: string[] = []
  const refusedSignIns: object[] = []
  const target: PostgresTarget = {
    ref: { name: 'orders', kind: 'postgres', tags: [], mode: 'enforce' },
    host: postgres.host,
    port: postgres.port,
    database: 'postgres',
    user: postgres.user,
    password: postgres.password,
  }
  const log: Logger = pino({ level: process.env.LOG ?? 'warn' }, { write: (line: string) => complaints.push(line) })
  const options: PostgresOptions = {
    listen: { host: '127.0.0.1', port: 0 },
    tls: () => {
      throw new Error('this test speaks no TLS')
    },
    requireTls: false,
    target: (name) => (name === 'orders' ? target : undefined),
    identity,
    entrance: { enter: () => ({ backing: standing, opened() {}, left() {} }) },
    signIns: { refused: (refused) => void refusedSignIns.push(refused) },
    sessions,
    gate,
    approvals: () => ({ hold: 'wait', in_transaction: 'fail' }),
    limits: () => ({ max_statement: 1 << 20, max_message: 64 << 20 }),
    log,
    ...change,
  }
  const listener = await listenPostgres(options)
  return {
    gate,
    sessions,
    listener,
    port: listener.address.port,
    target,
    options,
    refusedSignIns,
    complaints,
    [Symbol.asyncDispose]: () => listener.drain(0),
  }
}

export { startPostgres }
