import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readCheckpoint } from '@countersign/contract/ledger/checkpoint'
import type { LogReader } from '@countersign/contract/ledger/log-verify'
import type { PayloadRow } from '@countersign/contract/ledger/payload-verify'
import { folderLog } from '@countersign/contract/node/log-folder'
import Database from 'better-sqlite3'
import type { EntryRow } from './rows.ts'
import { stopped } from './stopped.ts'

/** The entries kept beside the log, for reading: by any thread or process, while the log is written or not. */
export interface Entries extends Disposable {
  /** How many there are; they are numbered from 0 without gaps. */
  count(): number
  entry(n: number): EntryRow | undefined
  /** Entries that name a session, by rising number. */
  entriesOf(session: string, options?: { types?: readonly string[] }): IterableIterator<EntryRow>
  /** Entries of a type, by rising number, from one on. Quick for all types but `command` and `recording.chunk`. */
  byType(type: string, options?: { from?: number }): IterableIterator<EntryRow>
  /** Payloads and salts of the first `limit` entries (all), in batches, as log-verify takes them. */
  payloads(limit?: number): AsyncIterable<readonly PayloadRow[]>
}

const columns = 'n, at, type, session, payload, salt, commitment'
const BATCH = 1000

/**
 * @param folder `data/ledger`
 * @throws LedgerStopped where entries.sqlite isn't there, or can't be read
 */
export function openEntries(folder: string): Entries {
  const file = join(folder, 'entries.sqlite')
  let database: Database.Database
  let statements: ReturnType<typeof prepare>
  try {
    database = new Database(file, { readonly: true, fileMustExist: true, timeout: 5000 })
    database.pragma('trusted_schema = OFF')
    statements = prepare(database)
  } catch (error) {
    throw stopped(`The ledger's entries (${file}) can't be read`, error)
  }
  const { one, count, ofSession, ofType, ofManyType, payloads } = statements
  // By batches, each read at once: an open statement would hold on to the write-ahead log, and so to what is erased.
  function* batches(statement: Database.Statement, key: string, from = 0): Generator<EntryRow> {
    for (let at = from; ; ) {
      const rows = statement.all(key, at) as EntryRow[]
      yield* rows
      if (rows.length < BATCH) return
      at = rows.at(-1)!.n + 1
    }
  }
  return {
    count: () => count.get() as number,
    entry: (n) => one.get(n) as EntryRow | undefined,
    *entriesOf(session, { types } = {}) {
      for (const row of batches(ofSession, session)) if (!types || types.includes(row.type)) yield row
    },
    byType: (type, { from } = {}) =>
      batches(type === 'command' || type === 'recording.chunk' ? ofManyType : ofType, type, from),
    async *payloads(limit = Number.MAX_SAFE_INTEGER) {
      for (let at = 0; ; ) {
        const rows = payloads.all(at, limit) as PayloadRow[]
        if (rows.length > 0) yield rows
        if (rows.length < BATCH) return
        at = rows.at(-1)!.entry + 1
      }
    },
    [Symbol.dispose]: () => void database.close(),
  }
}

function prepare(database: Database.Database) {
  const select = `select ${columns} from entries`
  return {
    one: database.prepare(`${select} where n = ?`),
    count: database.prepare('select coalesce(max(n) + 1, 0) from entries').pluck(),
    ofSession: database.prepare(`${select} where session = ? and n >= ? order by n limit ${BATCH}`),
    ofType: database.prepare(
      `${select} indexed by entries_by_type
       where type = ? and type not in ('command', 'recording.chunk') and n >= ? order by n limit ${BATCH}`,
    ),
    ofManyType: database.prepare(`${select} where type = ? and n >= ? order by n limit ${BATCH}`),
    payloads: database.prepare(
      `select 'entries/' || n as row, n as entry, payload, salt, type, at from entries
       where n >= ? and n < ? order by n limit ${BATCH}`,
    ),
  }
}

/**
 * A log's folder for `verifyLog`: files, entries and payloads. Recordings are kept elsewhere: add them to what this
 * answers.
 * @param options live: the gateway is running, so that entries may be ahead of the checkpoint without a fault
 * @throws LedgerStopped where entries.sqlite is there but can't be read; where it is gone, every payload is missing
 */
export function ledgerReader(folder: string, options: { live?: boolean } = {}): LogReader & Disposable {
  const entries = existsSync(join(folder, 'entries.sqlite')) ? openEntries(folder) : undefined
  const log = folderLog(folder)
  let size = 0
  return {
    ...log,
    async checkpoint() {
      const note = await log.checkpoint()
      size = note ? sizeOf(note) : 0
      return note
    },
    ...(entries && !options.live && { entries: async () => entries.count() }),
    // Rows after the checkpoint are no fault: they are told by their count.
    async *payloads() {
      if (entries) yield* entries.payloads(size)
    },
    [Symbol.dispose]: () => entries?.[Symbol.dispose](),
  }
}

function sizeOf(note: Uint8Array): number {
  try {
    return readCheckpoint(note).size
  } catch {
    return 0
  }
}
