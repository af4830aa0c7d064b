import { closeSync, openSync } from 'node:fs'
import Database from 'better-sqlite3'
import { type CountedEntry, forgetUse, UseRows, usingTypes } from './use.ts'

/** An entry as it is kept beside the log: all that its leaf is made of. */
export interface EntryRow {
  n: number
  at: string
  type: string
  session: string | null
  /** Canonical JSON. Null once it is erased; so is the salt. */
  payload: Uint8Array | null
  salt: Uint8Array | null
  /** SHA-256(salt || payload), kept only where these are erased: with it the leaf can be made again. */
  commitment: Uint8Array | null
}

/** How far a session's recording was read into the log. */
export interface Tail {
  /** Bytes of the recording that were read. */
  offset: number
  /** Of the last event that was read. */
  seq: number
  /** Where the chunk begins that is not yet an entry. */
  chunkFrom: number
  /** Chunks that are entries. */
  chunks: number
  /** Commands that are entries. */
  commands: number
}

export type Meta = string | number

export interface Batch {
  /** `said`: what the payload is made of, where use is counted by it. */
  entries: readonly (Omit<EntryRow, 'commitment'> & { said?: unknown })[]
  /** Undefined: it is dropped. */
  tails: ReadonlyMap<string, Tail | undefined>
  meta: ReadonlyMap<string, Meta | undefined>
}

/** For SQLite to make the commitment of what it erases. */
type Commit = (salt: Uint8Array, payload: Uint8Array) => Uint8Array

/** Milliseconds that a commit waits for others. Nobody else writes: only a reader who recovers the log locks it, and briefly. */
const TIMEOUT = 5000

const columns = 'n, at, type, session, payload, salt, commitment'

/** In `meta`: the first entry by which use is not counted yet. */
const USE = 'use.next'
const using = [...usingTypes].map((type) => `'${type}'`).join(', ')

/** The tables beside the log (docs/formats.md, "Ledger"): one writer, who has each batch on disk when `write` returns. */
export class EntryRows {
  readonly #database: Database.Database
  readonly #insert: Database.Statement<unknown[]>
  readonly #putTail: Database.Statement<unknown[]>
  readonly #dropTail: Database.Statement<unknown[]>
  readonly #putMeta: Database.Statement<unknown[]>
  readonly #dropMeta: Database.Statement<unknown[]>
  readonly #begin: Database.Statement<unknown[]>
  readonly #commit: Database.Statement<unknown[]>
  readonly #use: UseRows
  /** The first entry by which use is not counted yet. */
  #useNext: number

  /** Opens or makes the file (mode 0600). @throws SqliteError */
  constructor(file: string, commit: Commit) {
    closeSync(openSync(file, 'a', 0o600))
    const database = new Database(file, { timeout: TIMEOUT })
    this.#database = database
    try {
      // Before the file is made: entries of half a kilobyte fill pages of this size better than those of 4096 bytes.
      database.pragma('page_size = 8192')
      database.pragma('journal_mode = WAL')
      database.pragma('synchronous = FULL')
      // What is erased is overwritten with zeroes, and statements keep no copies of pages in files of their own.
      database.pragma('secure_delete = ON')
      database.pragma('temp_store = MEMORY')
      database.pragma('trusted_schema = OFF')
      database.pragma('wal_autocheckpoint = 2000')
      // What a long reader has made of it is given back.
      database.pragma('journal_size_limit = 67108864')
      database.exec(schema)
      database.function('commitment_of', { deterministic: true }, (salt, payload) =>
        commit(salt as Uint8Array, payload as Uint8Array),
      )
      this.#insert = database.prepare(
        'insert into entries (n, at, type, session, payload, salt) values (?, ?, ?, ?, ?, ?)',
      )
      this.#putTail = database.prepare('insert or replace into tails values (?, ?, ?, ?, ?, ?)')
      this.#dropTail = database.prepare('delete from tails where session = ?')
      this.#putMeta = database.prepare('insert or replace into meta values (?, ?)')
      this.#dropMeta = database.prepare('delete from meta where name = ?')
      this.#begin = database.prepare('begin immediate')
      this.#commit = database.prepare('commit')
      this.#use = new UseRows(database)
      this.#useNext = Number(this.meta(USE) ?? 0)
      if (this.meta(USE) === undefined) this.recountUse()
    } catch (error) {
      database.close()
      throw error
    }
  }

  /** Entries are numbered from 0 without gaps. */
  count(): number {
    return this.#database.prepare('select coalesce(max(n) + 1, 0) from entries').pluck().get() as number
  }

  /** In one transaction, on disk when it returns. @throws SqliteError; nothing of it counts then */
  write(batch: Batch): void {
    const { entries } = batch
    let next = this.#useNext
    this.#transaction(() => {
      for (const { n, at, type, session, payload, salt } of entries)
        this.#insert.run(n, at, type, session, payload, salt)
      // One that is behind goes on where it is, by `countUse`.
      if (entries[0]?.n === next) {
        this.#use.count(entries as readonly CountedEntry[])
        next += entries.length
        this.#putMeta.run(USE, next)
      }
      for (const [session, tail] of batch.tails)
        if (tail) this.#putTail.run(session, tail.offset, tail.seq, tail.chunkFrom, tail.chunks, tail.commands)
        else this.#dropTail.run(session)
      for (const [name, value] of batch.meta)
        if (value === undefined) this.#dropMeta.run(name)
        else this.#putMeta.run(name, value)
    })
    this.#useNext = next
  }

  /**
   * Counts the use that entries of before tell of, at most so many of them, where there are any.
   * @returns whether there are more
   * @throws SqliteError
   */
  countUse(most: number): boolean {
    const from = this.#useNext
    const to = Math.min(from + most, this.count())
    if (from >= to) return false
    this.#transaction(() => {
      this.#use.count(this.#usedIn(from, to - 1))
      this.#putMeta.run(USE, to)
    })
    this.#useNext = to
    return to < this.count()
  }

  /** Has all use counted anew, from the entries that still have their payload. @throws SqliteError */
  recountUse(): void {
    this.#transaction(() => {
      this.#database.exec(forgetUse)
      this.#putMeta.run(USE, 0)
    })
    this.#useNext = 0
  }

  /** Entries from `first` to `last`, both included, that say something of use and still have their payload. */
  #usedIn(first: number, last: number): CountedEntry[] {
    const rows = this.#database
      .prepare(
        `select n, at, type, session, payload from entries
         where n between ? and ? and payload is not null and type in (${using}) order by n`,
      )
      .all(first, last) as Omit<EntryRow, 'salt' | 'commitment'>[]
    return rows.map(({ payload, ...entry }) => ({ ...entry, said: saidIn(payload!) }))
  }

  #transaction(work: () => void): void {
    this.#begin.run()
    try {
      work()
      this.#commit.run()
    } catch (error) {
      // SQLite has rolled back by itself after SQLITE_FULL and its like.
      if (this.#database.inTransaction) this.#database.exec('rollback')
      throw error
    }
  }

  tail(session: string): Tail | undefined {
    return this.#database.prepare(`select ${tailColumns} from tails where session = ?`).get(session) as Tail | undefined
  }

  tails(): { session: string; tail: Tail }[] {
    const rows = this.#database.prepare(`select session, ${tailColumns} from tails`).all()
    return (rows as ({ session: string } & Tail)[]).map(({ session, ...tail }) => ({ session, tail }))
  }

  meta(name: string): Meta | undefined {
    return this.#database.prepare('select value from meta where name = ?').pluck().get(name) as Meta | undefined
  }

  /** The newest entry of a type that a session has. */
  newest(session: string, type: string): { at: string; payload: Uint8Array | null } | undefined {
    return this.#database
      .prepare('select at, payload from entries where session = ? and type = ? order by n desc limit 1')
      .get(session, type) as { at: string; payload: Uint8Array | null } | undefined
  }

  /** Entries from `from` up to, not including, `to`, in batches. */
  *entries(from: number, to: number): Generator<EntryRow[]> {
    const statement = this.#database.prepare(
      `select ${columns} from entries where n >= ? and n < ? order by n limit 1000`,
    )
    for (let at = from; at < to; ) {
      const rows = statement.all(at, to) as EntryRow[]
      if (rows.length === 0) return
      yield rows
      at = rows.at(-1)!.n + 1
    }
  }

  /**
   * Erases payload and salt of the entries from `first` to `last`, both included, but for those of some types.
   * Answers how many had one.
   */
  erase(first: number, last: number, but: readonly string[]): number {
    const types = but.map(() => '?').join(', ')
    const statement = this.#database.prepare(
      `update entries set commitment = commitment_of(salt, payload), payload = null, salt = null
       where n between ? and ? and payload is not null and type not in (${types})`,
    )
    let changes = 0
    this.#transaction(() => {
      this.#use.takeOff(this.#usedIn(first, Math.min(last, this.#useNext - 1)))
      changes = statement.run(first, last, ...but).changes
    })
    return changes
  }

  /** Puts all into entries.sqlite and empties the write-ahead log. False, at once, where a reader still needs what was before. */
  emptyLog(): boolean {
    this.#database.pragma('busy_timeout = 0')
    try {
      const [result] = this.#database.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[]
      return result!.busy === 0
    } finally {
      this.#database.pragma(`busy_timeout = ${TIMEOUT}`)
    }
  }

  close(): void {
    this.#database.close()
  }
}

/** A payload that was damaged on disk says nothing; `verify` finds it. */
function saidIn(payload: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(payload).toString())
  } catch {
    return undefined
  }
}

const tailColumns = 'offset, seq, chunk_from as chunkFrom, chunks, commands'

const schema = `
  create table if not exists entries (
    n integer primary key, at text not null, type text not null, session text,
    payload blob, salt blob, commitment blob);
  create index if not exists entries_by_session on entries (session, n) where session is not null;
  create index if not exists entries_by_type on entries (type, n) where type not in ('command', 'recording.chunk');
  create table if not exists tails (
    session text primary key, offset integer not null, seq integer not null,
    chunk_from integer not null, chunks integer not null, commands integer not null) without rowid;
  create table if not exists meta (name text primary key, value any) strict, without rowid;
`
