import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LogReport } from '@countersign/contract/ledger/log-verify'
import type { NewRecordingEvent } from '@countersign/contract/recording'
import type { Store } from '../../../store/store.ts'
import { openFreshStore } from '../../../store/testing/fresh.ts'
import { verify } from '../../../verify/testing/world.ts'
import { placeOf } from '../../recording.ts'
import type { LiveSession } from '../../session.ts'
import { createSessions, type SessionsRoom } from '../../sessions.ts'
import { openLedger, type ScribeLedger } from '../scribe.ts'

/** A store, a ledger and sessions on a folder, without a gateway around them. */
export class Room implements AsyncDisposable {
  readonly folder: string
  readonly store: Store
  readonly ledger: ScribeLedger
  readonly sessions: SessionsRoom
  readonly complaints: string[]

  private constructor(parts: Pick<Room, 'folder' | 'store' | 'ledger' | 'sessions' | 'complaints'>) {
    this.folder = parts.folder
    this.store = parts.store
    this.ledger = parts.ledger
    this.sessions = parts.sessions
    this.complaints = parts.complaints
  }

  /** @param folder of a room before this one; absent: a new one */
  static async open(folder = mkdtempSync(join(tmpdir(), 'countersign-room-')), entry?: URL): Promise<Room> {
    const complaints: string[] = []
    const log = { info() {}, warn() {}, error: (...said: unknown[]) => void complaints.push(String(said[1])) }
    const store = await openFreshStore(join(folder, 'countersign.sqlite'))
    const ledger = await openLedger({
      folder: join(folder, 'ledger'),
      store,
      filesOf: (session, openedAt) => placeOf(folder, session, openedAt),
      origin: 'room.test/ledger',
      log,
      ...(entry && { entry }),
    })
    const limits = () => ({ sessions_per_agent: 1000, recorded_rows: 10, recorded_bytes: 1000 })
    const sessions = createSessions({ store, folder, limits, log, ledger, graceMs: 50 })
    await sessions.recover()
    void ledger.recover()
    return new Room({ folder, store, ledger, sessions, complaints })
  }

  session(): Promise<LiveSession> {
    return this.sessions.open({
      connection: { name: 'orders', kind: 'postgres', tags: [], mode: 'enforce' },
      protocol: 'postgres',
      agent: {
        kind: 'agent',
        id: 'https://idp#ci',
        issuer: 'https://idp',
        subject: 'ci',
        name: 'ci',
        groups: [],
        expiresAt: new Date(Date.now() + 3_600_000),
      },
      client: { address: '127.0.0.1' },
    })
  }

  /** Ends it in order; the folder stays. */
  async close(): Promise<void> {
    await this.sessions[Symbol.asyncDispose]()
    await this.ledger[Symbol.asyncDispose]()
    await this.store[Symbol.asyncDispose]()
  }

  /** Signs what there is, and verifies all of it. */
  async verify(): Promise<LogReport> {
    await this.ledger.signed()
    return verify(this.folder)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export const command = (id: string, outcome: 'allow' | 'hold' = 'allow', text = 'select 1'): NewRecordingEvent => ({
  type: 'command',
  command: id,
  text,
  parameters: [],
  kind: 'select',
  effects: [],
  digest: 'sha256:00',
  verdict: { outcome, policies: [] },
})
