import type { Findings } from '@countersign/contract/ledger/findings'
import Database from 'better-sqlite3'
import { type CountedEntry, MOST_RESOURCES, UseRows, usingTypes } from '../sessions/ledger/use.ts'
import type { SpokenEntry } from './comparison.ts'
import { isDamage } from './reading.ts'

/** So many entries are counted together. */
const TOGETHER = 1000

interface DayRow extends Record<'allowed' | 'held' | 'denied', number> {
  agent: string
  day: string
  connection: string
  action: string
  resource: string
  type: string
  first_at: string
  last_at: string
}

/**
 * Counts use again from the entries that still have their payload, and compares it with what is counted beside the log.
 * Of days of which entries were erased the times may be wider than those that are left.
 */
export class UseChecks implements Disposable {
  readonly types = usingTypes
  readonly #database = new Database('')
  readonly #rows: UseRows
  readonly #waiting: CountedEntry[] = []

  constructor() {
    this.#database.pragma('journal_mode = OFF')
    this.#rows = new UseRows(this.#database)
    this.#database.exec('begin')
  }

  /** In the order of the log. */
  entry({ n, at, type, payload }: SpokenEntry): void {
    const session = typeof payload.session === 'string' ? payload.session : null
    this.#waiting.push({ n, at, type, session, said: payload })
    if (this.#waiting.length >= TOGETHER) this.#count()
  }

  #count(): void {
    this.#rows.count(this.#waiting.splice(0))
  }

  /**
   * @param beside entries.sqlite, at the moment of which the entries were told
   * @param live a gateway is at work: it counts entries of before in the background
   */
  compare(beside: Database.Database, live: boolean, found: Findings): void {
    this.#count()
    try {
      const count = (sql: string) => Number(beside.prepare(sql).pluck().get() ?? 0)
      // A ledger of an older version counts nothing yet.
      if (count("select count(*) from sqlite_master where name = 'use_days'") === 0) return
      const next = count("select value from meta where name = 'use.next'")
      const all = count('select coalesce(max(n) + 1, 0) from entries')
      if (next > all) this.#wrong(found, 'meta/use.next', `says ${next}, and there are ${all} entries`)
      if (next < all) {
        if (!live)
          found.missing(
            'use-behind',
            { row: 'meta/use.next' },
            `use is counted up to entry ${next} of ${all}: start the gateway once, it counts the rest`,
          )
      }
      if (next !== all) return
      const erased = new Set(
        beside
          .prepare("select distinct substr(at, 1, 10) from entries where type = 'command' and payload is null")
          .pluck()
          .all(),
      )
      this.#days(beside, (day) => erased.has(day), found)
      this.#sessions(beside, found)
      this.#names(beside, (day) => erased.has(day), found)
      this.#connections(beside, erased.size > 0, found)
    } catch (error) {
      if (!isDamage(error)) throw error
      found.wrong(
        'entries-damaged',
        { row: 'entries.sqlite' },
        `ledger/entries.sqlite is damaged: SQLite says "${(error as Error).message}"`,
      )
    }
  }

  #days(beside: Database.Database, isErased: (day: string) => boolean, found: Findings): void {
    const sql = 'select * from use_days order by agent, day, connection, action, resource, type'
    const groups = (database: Database.Database) =>
      Map.groupBy(database.prepare(sql).all() as DayRow[], ({ agent, day, connection }) =>
        JSON.stringify([agent, day, connection]),
      )
    const [is, should] = [groups(beside), groups(this.#database)]
    for (const key of new Set([...is.keys(), ...should.keys()])) {
      const [rows, counted] = [is.get(key) ?? [], should.get(key) ?? []]
      const day = (rows[0] ?? counted[0])!.day
      // Which resources have a line of their own depends on those that came first, and may be erased.
      const full = isErased(day) && Math.max(rows.length, counted.length) >= MOST_RESOURCES
      const name = full
        ? ({ action }: DayRow) => action
        : ({ action, resource, type }: DayRow) => `${action} ${type} ${resource}`
      const [a, b] = [summed(rows, name), summed(counted, name)]
      for (const what of new Set([...a.keys(), ...b.keys()])) {
        const [row, one] = [a.get(what), b.get(what)]
        const place = `use_days/${key} ${what}`
        if (!one) this.#wrong(found, place, 'was added: no command did so')
        else if (!row) this.#wrong(found, place, `is not there: ${one.allowed + one.held + one.denied} commands did so`)
        else if (row.allowed !== one.allowed || row.held !== one.held || row.denied !== one.denied)
          this.#wrong(
            found,
            place,
            `says ${row.allowed} allowed, ${row.held} held, ${row.denied} denied; entries say ${one.allowed}, ${one.held}, ${one.denied}`,
          )
        else if (
          isErased(day)
            ? row.first_at > one.first_at || row.last_at < one.last_at
            : row.first_at !== one.first_at || row.last_at !== one.last_at
        )
          this.#wrong(
            found,
            place,
            `is from ${row.first_at} to ${row.last_at}; entries say ${one.first_at} to ${one.last_at}`,
          )
      }
    }
  }

  /** Whose the commands of a session are: until retention takes the entries of what has ended. */
  #sessions(beside: Database.Database, found: Findings): void {
    type Row = { session: string; agent: string; connection: string }
    const of = (database: Database.Database) =>
      new Map(
        (database.prepare('select session, agent, connection from use_sessions').all() as Row[]).map((row) => [
          row.session,
          row,
        ]),
      )
    const gone = (session: string) =>
      beside.prepare('select 1 from entries where session = ? and payload is null limit 1').get(session) !== undefined
    const [is, should] = [of(beside), of(this.#database)]
    for (const session of new Set([...is.keys(), ...should.keys()])) {
      const [row, one] = [is.get(session), should.get(session)]
      const place = `use_sessions/${session}`
      if (row && one) {
        if (row.agent !== one.agent || row.connection !== one.connection)
          this.#wrong(
            found,
            place,
            `says ${row.agent} on ${row.connection}; entries say ${one.agent} on ${one.connection}`,
          )
      } else if (!gone(session)) this.#wrong(found, place, row ? 'was added: no such session was' : 'is not there')
    }
  }

  /** How many resources of a day are told apart: what later ones are counted as depends on it. */
  #names(beside: Database.Database, isErased: (day: string) => boolean, found: Findings): void {
    type Row = { agent: string; day: string; connection: string; names: number }
    const of = (database: Database.Database) =>
      new Map(
        (database.prepare('select agent, day, connection, names from use_names').all() as Row[]).map((row) => [
          JSON.stringify([row.agent, row.day, row.connection]),
          row,
        ]),
      )
    const [is, should] = [of(beside), of(this.#database)]
    for (const key of new Set([...is.keys(), ...should.keys()])) {
      const [row, one] = [is.get(key), should.get(key)]
      if (isErased((row ?? one)!.day)) continue
      if (row?.names !== one?.names)
        this.#wrong(
          found,
          `use_names/${key}`,
          `says ${row?.names ?? 'nothing'}; entries say ${one?.names ?? 'nothing'}`,
        )
    }
  }

  /**
   * Sessions of which entries were erased are counted all the same.
   * @param earlier commands were erased: what is left may have been used earlier than what it was used last
   */
  #connections(beside: Database.Database, earlier: boolean, found: Findings): void {
    const sql = 'select agent, connection, sessions, last_at from use_connections'
    type Row = { agent: string; connection: string; sessions: number; last_at: string }
    const of = (database: Database.Database) =>
      new Map((database.prepare(sql).all() as Row[]).map((row) => [JSON.stringify([row.agent, row.connection]), row]))
    const gone = beside.prepare("select 1 from entries where type = 'session.opened' and payload is null").get()
    const [is, should] = [of(beside), of(this.#database)]
    for (const key of new Set([...is.keys(), ...should.keys()])) {
      const [row, one] = [is.get(key), should.get(key)]
      const place = `use_connections/${key}`
      if (!row) this.#wrong(found, place, `is not there: ${one!.sessions} sessions were`)
      else if (!one) {
        if (!gone) this.#wrong(found, place, 'was added: no session was')
      } else if (
        (gone ? row.sessions < one.sessions : row.sessions !== one.sessions) ||
        (gone || earlier ? row.last_at < one.last_at : row.last_at !== one.last_at)
      )
        this.#wrong(
          found,
          place,
          `says ${row.sessions} sessions until ${row.last_at}; entries say ${one.sessions} until ${one.last_at}`,
        )
    }
  }

  #wrong(found: Findings, row: string, what: string): void {
    found.wrong('use', { row }, `row ${row} was changed: it ${what}`)
  }

  [Symbol.dispose](): void {
    this.#database.close()
  }
}

function summed(rows: readonly DayRow[], name: (row: DayRow) => string): Map<string, DayRow> {
  const found = new Map<string, DayRow>()
  for (const row of rows) {
    const key = name(row)
    const before = found.get(key)
    if (!before) found.set(key, { ...row })
    else {
      before.allowed += row.allowed
      before.held += row.held
      before.denied += row.denied
      if (row.first_at < before.first_at) before.first_at = row.first_at
      if (row.last_at > before.last_at) before.last_at = row.last_at
    }
  }
  return found
}
