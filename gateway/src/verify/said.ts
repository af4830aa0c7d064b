import type { Outcome } from '@countersign/contract/approval'
import { canonical } from '@countersign/contract/canonical'
import Database from 'better-sqlite3'

/** A value of a column, in a form that says whether two are the same. */
export type Value = string | number | null
export type Columns = Record<string, Value>

/** What entries, or recordings, say that a row of the store is. */
export interface Said {
  /** The entry that said it last; undefined where it is none yet (it waits in the outbox), or a recording. */
  n: number | undefined
  columns: Columns
}

export interface Meeting {
  table: string
  key: string
  said: Said | undefined
  row: Columns | undefined
  /** Something about it came in after the store was looked at: it can't be held against the row. */
  later: boolean
}

/** Where it is kept what recordings say of a table's rows, and not entries. */
export const recordedOf = (table: string) => `recorded ${table}`
/** Where it is kept of which sessions entries are erased that told of a table's rows. */
export const erasedOf = (table: string) => `erased ${table}`

/** JSON as one value, whatever the order of its members. */
export function asValue(json: unknown): string {
  try {
    return canonical(json)
  } catch {
    return JSON.stringify(json)
  }
}

/** What became of a command, as far as recording and approval say the same of it. */
export const outcomeOf = ({ status, sqlstate, tag, rows }: Omit<Outcome, 'status'> & { status?: string }): string =>
  asValue({ status, sqlstate, tag, rows })

/** As asValue, of a column that holds JSON; what is none stays as it is, and is like nothing that an entry says. */
export function fromJson(text: unknown): Value {
  if (text === null || text === undefined) return null
  try {
    return asValue(JSON.parse(String(text)))
  } catch {
    return `not JSON: ${String(text).slice(0, 100)}`
  }
}

/**
 * What is to be compared, on disk rather than in memory: a store may hold millions of rows. The database is SQLite's
 * own temporary one, which nobody else sees and which goes with the process.
 */
export class SaidRows implements Disposable {
  readonly #database = new Database('')
  readonly #get: Database.Statement<unknown[]>
  readonly #put: Database.Statement<unknown[]>
  readonly #putRow: Database.Statement<unknown[]>
  readonly #later: Database.Statement<unknown[]>

  constructor() {
    const database = this.#database
    database.pragma('journal_mode = OFF')
    database.pragma('synchronous = OFF')
    database.exec(`
      create table said (tab text, key text, n integer, columns text, primary key (tab, key)) without rowid;
      create table rows (tab text, key text, columns text, primary key (tab, key)) without rowid;
      create table later (tab text, key text, primary key (tab, key)) without rowid;
      begin`)
    this.#get = database.prepare('select n, columns from said where tab = ? and key = ?')
    this.#put = database.prepare('insert or replace into said values (?, ?, ?, ?)')
    this.#putRow = database.prepare('insert or ignore into rows values (?, ?, ?)')
    this.#later = database.prepare('insert or ignore into later values (?, ?)')
  }

  get(table: string, key: string): Said | undefined {
    const found = this.#get.get(table, key) as { n: number | null; columns: string } | undefined
    return found && { n: found.n ?? undefined, columns: JSON.parse(found.columns) as Columns }
  }

  /** Adds to what was said of a row before; later words replace earlier ones. */
  say(table: string, key: string, columns: Columns, n?: number): void {
    const before = this.get(table, key)
    this.#put.run(table, key, n ?? before?.n ?? null, JSON.stringify({ ...before?.columns, ...columns }))
  }

  sayLater(table: string, key: string): void {
    this.#later.run(table, key)
  }

  /** False where a row of that key came before. */
  row(table: string, key: string, columns: Columns): boolean {
    return this.#putRow.run(table, key, JSON.stringify(columns)).changes === 1
  }

  /** What was said and what there is, by key. */
  *meetings(table: string): Generator<Meeting> {
    const statement = this.#database.prepare(`
      select keys.key, said.n, said.columns as said, rows.columns as row, later.key is not null as later
      from (select key from said where tab = :table union select key from rows where tab = :table) as keys
      left join said on said.tab = :table and said.key = keys.key
      left join rows on rows.tab = :table and rows.key = keys.key
      left join later on later.tab = :table and later.key = keys.key
      order by keys.key`)
    for (const found of statement.iterate({ table }) as Iterable<Found>) {
      const { key, n, said, row, later } = found
      yield {
        table,
        key,
        said: said === null ? undefined : { n: n ?? undefined, columns: JSON.parse(said) as Columns },
        row: row === null ? undefined : (JSON.parse(row) as Columns),
        later: later === 1,
      }
    }
  }

  [Symbol.dispose](): void {
    this.#database.close()
  }
}

interface Found {
  key: string
  n: number | null
  said: string | null
  row: string | null
  later: 0 | 1
}
