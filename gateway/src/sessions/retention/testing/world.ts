import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LogReport, verifyLog } from '@countersign/contract/ledger/log-verify'
import { parseVerifierKey } from '@countersign/contract/ledger/note'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import type { NewRecordingEvent } from '@countersign/contract/recording'
import { createApprovals } from '../../../approvals/approvals.ts'
import type { Keeping, LoadedRetention } from '../../../config/retention.ts'
import type { AgentPrincipal } from '../../../identity/principal.ts'
import type { Store } from '../../../store/store.ts'
import { openFreshStore } from '../../../store/testing/fresh.ts'
import { ledgerReader, openEntries } from '../../ledger/entries.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import { LedgerLog } from '../../ledger/log.ts'
import { placeOf, readRecording } from '../../recording.ts'
import { RecordingTail } from '../../scribe/tail.ts'
import type { LiveSession } from '../../session.ts'
import { createSessions, type SessionsRoom } from '../../sessions.ts'
import { createRetention, type Retention, type RetentionOptions } from '../retention.ts'

export const day = 86_400_000
export const silent = { info() {}, warn() {}, error() {} }
export const forever = Number.POSITIVE_INFINITY
export const person = { id: 'https://people#aud', issuer: 'https://people', subject: 'aud', name: 'Aud' }

/** Rules for tests: recordings 90 days, all else for ever, unless said otherwise. */
export function rules(all: Partial<Keeping> = {}, own: Record<string, Partial<Keeping>> = {}): LoadedRetention {
  const base = {
    recordings: 90 * day,
    approvals: undefined,
    annotations: forever,
    entries: forever,
    classes: new Map(),
  }
  const general = { ...base, ...all }
  return {
    all: general,
    connections: new Map(Object.entries(own).map(([name, keeping]) => [name, { ...general, ...keeping }])),
  }
}

export function agent(subject: string): AgentPrincipal {
  return {
    kind: 'agent',
    id: `https://agents#${subject}`,
    issuer: 'https://agents',
    subject,
    name: subject,
    groups: ['ci'],
    expiresAt: new Date('2100-01-01'),
  }
}

/** A test's killing of the gateway. */
export class Killed extends Error {}

/** Takes into the log what ended sessions recorded, and what the outbox has. */
export async function taken(log: LedgerLog, { db }: Store, folder: string): Promise<void> {
  const rows = await db
    .selectFrom('sessions')
    .select(['id', 'opened_at'])
    .where('in_ledger', '=', 0)
    .where('state', '!=', 'open')
    .execute()
  for (const { id, opened_at } of rows) {
    const stream = await readRecording(placeOf(folder, id, opened_at))
    const chunks: Buffer[] = []
    for await (const chunk of stream!) chunks.push(chunk as Buffer)
    const tail = new RecordingTail(id, { sha256: nodeCrypto.sha256Running })
    for (const entry of tail.push(Buffer.concat(chunks))) log.add({ ...entry, session: id })
    log.commit()
    await db.updateTable('sessions').set({ in_ledger: 1 }).where('id', '=', id).execute()
  }
  for (const { id, at, type, payload } of await db.selectFrom('audit_outbox').selectAll().orderBy('id').execute()) {
    const told = JSON.parse(payload) as { session?: string }
    log.add({ at, type, payload: told, session: told.session })
    log.commit()
    await db.deleteFrom('audit_outbox').where('id', '=', id).execute()
  }
  log.sign()
}

/**
 * The rooms that retention works on, real ones, on one data folder; the ledger is the real log, written in this thread.
 * `reopened` does what a restart does.
 */
export class World implements AsyncDisposable {
  readonly folder: string
  now = Date.parse('2026-11-21T10:00:00Z')
  rules: LoadedRetention = rules()
  forgotten: string[] = []
  /** Ends everything at the step of this number. */
  killAt: number | undefined
  steps: string[] = []
  store!: Store
  sessions!: SessionsRoom
  log!: LedgerLog
  retention!: Retention
  #live: LiveSession | undefined

  private constructor(folder: string) {
    this.folder = folder
  }

  static async open(): Promise<World> {
    const world = new World(mkdtempSync(join(tmpdir(), 'retention-')))
    await world.#open()
    return world
  }

  async #open(): Promise<void> {
    this.store = await openFreshStore(join(this.folder, 'countersign.sqlite'))
    this.sessions = createSessions({
      store: this.store,
      folder: this.folder,
      limits: () => ({ sessions_per_agent: 1000, recorded_rows: 10, recorded_bytes: 100_000 }),
      clock: () => this.now,
      log: silent,
      graceMs: 100,
    })
    this.log = (
      await LedgerLog.open({ folder: join(this.folder, 'ledger'), origin: 'gw.test/ledger', crypto: nodeCrypto })
    ).log
    this.retention = this.retentionWith({})
  }

  retentionWith(options: Partial<RetentionOptions>): Retention {
    return createRetention({
      store: this.store,
      folder: this.folder,
      rules: () => this.rules,
      ledger: this.ledger,
      live: (id) => this.#live?.id === id,
      search: { forget: async (sessions) => void this.forgotten.push(...sessions) },
      connections: () => ['orders', 'billing'],
      log: silent,
      clock: () => this.now,
      step: (name) => this.#step(name),
      ...options,
    })
  }

  #step(name: string): void {
    this.steps.push(name)
    if (this.killAt !== undefined && this.steps.length > this.killAt) throw new Killed(name)
  }

  /** As after a kill: whatever was in memory is gone. */
  async reopened(): Promise<void> {
    await this.#close()
    this.killAt = undefined
    await this.#open()
  }

  get ledger(): Pick<Ledger, 'erase' | 'sync'> {
    return {
      sync: () => taken(this.log, this.store, this.folder),
      erase: async (erasure) => {
        this.#step('erase')
        return this.log.erase(erasure, new Date(this.now))
      },
    }
  }

  /** A session that ended so many days ago, with these events in its recording. */
  async ended(
    daysAgo: number,
    { connection = 'orders', subject = 'ci', events = [] as NewRecordingEvent[], hold = '' } = {},
  ): Promise<string> {
    const { now } = this
    this.now = now - daysAgo * day
    try {
      const session = await this.sessions.open({
        connection: { name: connection, kind: 'postgres', tags: [], mode: 'enforce' },
        protocol: 'postgres',
        agent: agent(subject),
        client: { address: '127.0.0.1' },
      })
      for (const event of events) session.recorder.append(event)
      if (hold) await this.#held(session, hold)
      await session.close('closed', 'done')
      return session.id
    } finally {
      this.now = now
    }
  }

  /** A session that goes on. */
  async open(): Promise<LiveSession> {
    this.#live = await this.sessions.open({
      connection: { name: 'orders', kind: 'postgres', tags: [], mode: 'enforce' },
      protocol: 'postgres',
      agent: agent('ci'),
      client: { address: '127.0.0.1' },
    })
    return this.#live
  }

  /** A command that was held, and denied. */
  async #held(session: LiveSession, text: string): Promise<void> {
    await using approvals = createApprovals({
      store: this.store,
      config: () => ({ expires: 600_000, use_within: 600_000, max_window: 8 * 3_600_000 }),
      limits: () => ({ held_per_agent: 1000, held: 10_000 }),
      clock: { now: () => new Date(this.now), wake: () => () => {} },
    })
    const approval = await approvals.open({
      command: {
        protocol: 'postgres',
        connection: session.connection,
        agent: session.agent,
        session: { id: session.id },
        text,
        parameters: [text],
        kind: 'delete',
        effects: [
          {
            action: 'sql:write',
            resource: { type: 'Table', id: 'orders/public.t' },
            command: { kind: 'delete', bounded: false },
          },
        ],
        meaning: {},
      },
      digest: `sha256:${text.length}`,
      requirements: [{ policy: 'p', reason: 'r', groups: ['dba'], quorum: 1 }],
      hold: 'wait',
    })
    await approvals.cancel(approval.id, 'the client has gone')
  }

  command(text: string, classes?: string[]): NewRecordingEvent {
    return {
      type: 'command',
      command: `c${text.length}-${text.slice(0, 8)}`,
      text,
      parameters: [text],
      kind: 'select',
      effects: [],
      digest: `sha256:${text.length}`,
      ...(classes && { classes }),
      verdict: { outcome: 'allow', policies: ['p'] },
    }
  }

  /** What a verifier of the whole log says. */
  async verified(): Promise<LogReport> {
    using reader = ledgerReader(join(this.folder, 'ledger'))
    const rows = await this.store.db.selectFrom('sessions').select(['id', 'opened_at']).execute()
    const places = new Map(rows.map(({ id, opened_at }) => [id, placeOf(this.folder, id, opened_at)]))
    const bytes = async (id: string) => {
      const stream = places.has(id) ? await readRecording(places.get(id)!) : undefined
      if (!stream) return undefined
      const chunks: Buffer[] = []
      for await (const chunk of stream) chunks.push(chunk as Buffer)
      return Buffer.concat(chunks)
    }
    const there = [...places.keys()].filter((id) => this.filesOf(id).length > 0)
    return await verifyLog(
      nodeCrypto,
      {
        ...reader,
        tile: reader.tile,
        recordings: {
          length: async (id) => (await bytes(id))?.length,
          read: async (id, offset, length) => (await bytes(id))?.subarray(offset, offset + length) ?? new Uint8Array(0),
          async *list() {
            yield* there
          },
        },
      },
      { keys: [parseVerifierKey(nodeCrypto.sha256, this.log.keys[0]!)] },
    )
  }

  /** Files of a recording. */
  filesOf(session: string): string[] {
    return this.files().filter((file) => file.includes(session))
  }

  files(folder = this.folder): string[] {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((name) => join(folder, name))
      .filter((file) => statSync(file).isFile())
  }

  /** Files of the data folder in which these bytes stand, in the clear. */
  whereabouts(text: string): string[] {
    return this.files()
      .filter((file) => readFileSync(file).includes(text))
      .map((file) => file.slice(this.folder.length + 1))
  }

  payloads(session: string): { type: string; payload: string | null }[] {
    using entries = openEntries(join(this.folder, 'ledger'))
    return [...entries.entriesOf(session)].map(({ type, payload }) => ({
      type,
      payload: payload && Buffer.from(payload).toString(),
    }))
  }

  async #close(): Promise<void> {
    await this.retention[Symbol.asyncDispose]()
    await this.sessions[Symbol.asyncDispose]()
    this.log.close()
    await this.store[Symbol.asyncDispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
