import { statSync } from 'node:fs'
import type { CommandQuery, FoundCommand, FoundCommands } from '@countersign/contract/evidence'
import type Database from 'better-sqlite3'
import { isDamage, openForReading, searchFile } from './database.ts'
import { tickOf, verdicts } from './document.ts'
import { allOf, filterExpression, PartWords, sessionsExpression } from './match.ts'
import { type Part, wordsOf } from './parts.ts'
import { type SoughtWord, soughtWords } from './words.ts'

export interface CommandSearch extends CommandQuery {
  limit: number
  /** `next` of the page before. */
  after?: string
  /** Only commands of these sessions. */
  sessions?: readonly string[]
}

/** Which sessions have a command with some words; or that they are too many to name. */
export type SessionsWith = { are: 'these'; sessions: string[] } | { are: 'many' }

/** `after` that no page gave out. */
export class BadCommandCursor extends Error {
  override name = 'BadCommandCursor'
}

/** The index is damaged, with a sentence for who searches. */
export class SearchDamaged extends Error {
  override name = 'SearchDamaged'
}

export interface Search extends Disposable {
  /**
   * Commands that fit, by the first of each, the newest first. A page may be short, or empty, with more to come.
   * @throws BadCommandCursor, SearchDamaged
   */
  commands(query: CommandSearch): FoundCommands
  /** Sessions with a command that has these words (not what came back). @throws SearchDamaged */
  sessionsWith(text: string): SessionsWith
  /** Those of these sessions that have a command with these words. @throws SearchDamaged */
  among(sessions: readonly string[], text: string): string[]
}

/** One search works so long at most, and gives then what it has found (ms). */
const LONGEST_MS = 250
/** So many sessions are looked for by their words; more are sorted out afterwards. */
const MOST_SESSIONS = 500
/** So many commands are looked at to name the sessions that have them. */
const NAMED_FROM = 4000
const ALL = Number.MAX_SAFE_INTEGER

/**
 * Searches the index of a data folder (its worker writes it, see SearchIndex). It opens by itself as soon as there is
 * one, and again where it was made anew.
 * @param options damaged: told when the file is found to be damaged
 */
export function createSearch(folder: string, options: { damaged?: () => void } = {}): Search {
  const file = searchFile(folder)
  let opened: { reader: Reader; inode: number } | undefined

  const close = () => {
    opened?.reader.db.close()
    opened = undefined
  }
  const reader = (): Reader | undefined => {
    const inode = statSync(file, { throwIfNoEntry: false })?.ino
    if (opened && opened.inode !== inode) close()
    if (!opened && inode !== undefined) {
      const db = openForReading(file)
      if (db) opened = { reader: new Reader(db), inode }
    }
    return opened?.reader
  }
  const asked = <T>(nothing: T, ask: (reader: Reader) => T): T => {
    const now = reader()
    if (!now) return nothing
    try {
      return now.whole(() => ask(now))
    } catch (error) {
      if (!isDamage(error)) throw error
      close()
      options.damaged?.()
      throw new SearchDamaged(
        'The search index is damaged; it is being made anew from the recordings. Try again later.',
        {
          cause: error,
        },
      )
    }
  }

  return {
    commands(query) {
      const after = query.after === undefined ? undefined : readCursor(query.after)
      return asked<FoundCommands>({ items: [], next: null }, (now) => now.commands(query, after))
    },
    sessionsWith: (text) => asked<SessionsWith>({ are: 'these', sessions: [] }, (now) => now.sessionsWith(text)),
    among(sessions, text) {
      const sought = soughtWords(text)
      if (sought.length === 0) return []
      return asked<string[]>([], (now) => sessions.filter((session) => now.has(session, sought)))
    },
    [Symbol.dispose]: close,
  }
}

/** Numbers of commands, both ends in it. */
interface Range {
  low: number
  high: number
}

interface Row {
  id: number
  /** Its session's number. */
  n: number
  verdict: number
  kind: string
  seq: number
  t: number
  count: number
  last: number
}

/** A session, as far as its commands tell of it. */
interface Sender {
  session: string
  started: number
  agent: string
  agentName: string
  connection: string
}

class Reader {
  readonly db: Database.Database
  readonly #words = new Map<number, { words: PartWords; match: Database.Statement }>()
  #version: unknown
  readonly #row: Database.Statement
  readonly #session: Database.Statement
  readonly #text: Database.Statement
  readonly #all: Database.Statement
  readonly #transaction: (work: () => unknown) => unknown

  constructor(db: Database.Database) {
    this.db = db
    this.#row = db.prepare('select id, session as n, verdict, kind, seq, t, count, last from commands where id = ?')
    this.#session = db.prepare(`
      select s.id as session, s.started, s.agent_name as agentName, a.name as agent, c.name as connection
      from sessions s join names a on a.n = s.agent join names c on c.n = s.connection where s.n = ? and s.gone = 0`)
    this.#text = db.prepare('select text, tables from texts where id = ?')
    this.#all = db.prepare('select id from commands where id <= ? and id >= ? order by id desc limit ?').pluck()
    this.#transaction = db.transaction((work: () => unknown) => work())
  }

  /** Everything asked within is of one moment. */
  whole<T>(work: () => T): T {
    return this.#transaction(() => {
      const version = this.db.pragma('data_version', { simple: true })
      if (version !== this.#version) for (const { words } of this.#words.values()) words.renew()
      this.#version = version
      return work()
    }) as T
  }

  commands(query: CommandSearch, after: number | undefined): FoundCommands {
    const behind = this.#meta('behind')
    const nothing: FoundCommands = { items: [], next: null, ...(behind > 0 && { behind }) }
    const sought = query.text === undefined || query.text.trim() === '' ? undefined : soughtWords(query.text)
    if (sought?.length === 0) return nothing
    const filter = filterExpression(this.db, query)
    if (filter === undefined) return nothing
    const only = query.sessions && this.#numbersOf(query.sessions)
    if (only?.length === 0) return nothing

    const from = query.from === undefined ? undefined : Date.parse(query.from)
    const to = query.to === undefined ? undefined : Date.parse(query.to)
    const few = only && only.length <= MOST_SESSIONS
    const among = only && !few ? new Set(only) : undefined
    const senders = new Map<number, Sender | undefined>()
    const senderOf = (n: number) => {
      if (!senders.has(n)) senders.set(n, this.#session.get(n) as Sender | undefined)
      return senders.get(n)
    }
    const fits = (row: Row) => {
      if (among && !among.has(row.n)) return false
      const sender = senderOf(row.n)
      return (
        sender !== undefined &&
        (from === undefined || row.last >= from) &&
        (to === undefined || Math.floor(sender.started + row.t) <= to)
      )
    }
    const collecting: Collecting = {
      sought,
      filter: allOf([filter, few ? sessionsExpression(only) : '']),
      fits,
      wanted: query.limit + 1,
      rows: [],
      until: performance.now() + LONGEST_MS,
      stoppedAt: undefined,
    }
    const high = Math.min(
      to === undefined ? ALL : tickOf(to + 1) + this.#meta('drift'),
      after === undefined ? ALL : after - 1,
    )
    const low = from === undefined ? 0 : tickOf(from)
    this.#collect(collecting, { low, high })
    if (from !== undefined) this.#collectRepeated(collecting, from, { low: 0, high: Math.min(low - 1, high) })

    const { rows, stoppedAt } = collecting
    const page = rows.slice(0, query.limit)
    const next = rows.length > page.length ? page.at(-1)!.id : stoppedAt
    const inCommand = sought && this.#inCommand(sought, page)
    return {
      ...nothing,
      items: page.map((row) => {
        const { text, tables } = this.#text.get(row.id) as { text: string; tables: string }
        return foundCommand(row, senderOf(row.n)!, { text, tables }, inCommand?.has(row.id) ?? true)
      }),
      next: next === undefined ? null : cursorOf(next),
    }
  }

  /** Which of the rows have the words without what came back. */
  #inCommand(sought: readonly SoughtWord[], rows: readonly Row[]): Set<number> {
    const has = new Set<number>()
    const newest = rows[0]
    if (!newest) return has
    for (const { part, range } of this.#partsIn({ low: rows.at(-1)!.id, high: newest.id })) {
      const expression = this.#of(part).words.expression(sought, 'command')
      for (const id of this.#match(part, expression, range, ALL)) has.add(id)
    }
    return has
  }

  sessionsWith(text: string): SessionsWith {
    const sought = soughtWords(text)
    if (sought.length === 0) return { are: 'these', sessions: [] }
    const sessions = new Set<string>()
    const of = this.db
      .prepare(
        `select id from sessions where gone = 0 and n in
          (select session from commands where id in (select value from json_each(?)))`,
      )
      .pluck()
    let looked = 0
    for (const { part, range } of this.#partsIn({ low: 0, high: ALL })) {
      const expression = this.#of(part).words.expression(sought, 'command')
      const ids = this.#match(part, expression, range, NAMED_FROM - looked + 1)
      looked += ids.length
      if (looked > NAMED_FROM) return { are: 'many' }
      for (const session of of.all(JSON.stringify(ids)) as string[]) sessions.add(session)
    }
    return { are: 'these', sessions: [...sessions] }
  }

  has(session: string, sought: readonly SoughtWord[]): boolean {
    const known = this.db.prepare('select n, started, last from sessions where id = ? and gone = 0').get(session) as
      | { n: number; started: number; last: number }
      | undefined
    if (!known) return false
    const whole = { low: tickOf(known.started), high: tickOf(known.last + 1) + this.#meta('drift') }
    for (const { part, range } of this.#partsIn(whole)) {
      const expression = allOf([this.#of(part).words.expression(sought, 'command'), sessionsExpression([known.n])])
      if (this.#match(part, expression, range, 1).length > 0) return true
    }
    return false
  }

  /** Commands that were first sent before `from`, and again after it: of sessions that went on then. */
  #collectRepeated(collecting: Collecting, from: number, range: Range): void {
    if (range.high < 0 || collecting.rows.length >= collecting.wanted || collecting.stoppedAt !== undefined) return
    const alive = this.db
      .prepare('select n from sessions where last >= ? and started < ? and gone = 0 limit ?')
      .pluck()
      .all(from, from, MOST_SESSIONS + 1) as number[]
    if (alive.length === 0) return
    const among = alive.length <= MOST_SESSIONS ? sessionsExpression(alive) : ''
    const narrowed = { ...collecting, filter: allOf([collecting.filter, among]) }
    this.#collect(narrowed, range)
    collecting.stoppedAt = narrowed.stoppedAt
  }

  #collect(collecting: Collecting, whole: Range): void {
    const { sought, filter, fits, wanted, rows } = collecting
    for (const { part, range } of this.#partsIn(whole)) {
      const words = sought ? this.#of(part).words.expression(sought, 'anywhere') : ''
      const expression = allOf([filter, words])
      let { high } = range
      for (;;) {
        const batch = Math.max(wanted - rows.length, 100)
        const ids =
          expression === ''
            ? (this.#all.all(high, range.low, batch) as number[])
            : this.#match(part, expression, { low: range.low, high }, batch)
        for (const id of ids) {
          const row = this.#row.get(id) as Row | undefined
          if (row && fits(row)) rows.push(row)
          if (rows.length === wanted) return
        }
        if (ids.length < batch) break
        high = ids.at(-1)! - 1
        if (performance.now() < collecting.until) continue
        collecting.stoppedAt = high + 1
        return
      }
      if (performance.now() < collecting.until) continue
      if (range.low > whole.low) collecting.stoppedAt = range.low
      return
    }
  }

  #match(part: Part, expression: string, { low, high }: Range, limit: number): number[] {
    // As whole numbers: FTS5 takes a float for no bound at all.
    return this.#of(part).match.all(expression, BigInt(high), BigInt(low), limit) as number[]
  }

  #of(part: Part) {
    let of = this.#words.get(part.n)
    if (!of) {
      const table = wordsOf(part.n)
      const match = this.db
        .prepare(
          `select rowid from ${table} where ${table} match ? and rowid <= ? and rowid >= ? order by rowid desc limit ?`,
        )
        .pluck()
      of = { words: new PartWords(this.db, part.n), match }
      this.#words.set(part.n, of)
    }
    return of
  }

  /** Parts that have numbers of a range, newest first, each with what of the range is in it. */
  #partsIn({ low, high }: Range): { part: Part; range: Range }[] {
    const parts = this.db.prepare('select n, low, commands from parts order by low desc').all() as Part[]
    const inRange: { part: Part; range: Range }[] = []
    let end = ALL
    for (const part of parts) {
      const range = { low: Math.max(low, part.low), high: Math.min(high, end) }
      if (range.low <= range.high) inRange.push({ part, range })
      end = part.low - 1
    }
    return inRange
  }

  #numbersOf(sessions: readonly string[]): number[] {
    return this.db
      .prepare('select n from sessions where gone = 0 and id in (select value from json_each(?))')
      .pluck()
      .all(JSON.stringify(sessions)) as number[]
  }

  #meta(name: string): number {
    return (this.db.prepare('select value from meta where name = ?').pluck().get(name) as number | undefined) ?? 0
  }
}

interface Collecting {
  sought: readonly SoughtWord[] | undefined
  filter: string
  fits: (row: Row) => boolean
  wanted: number
  rows: Row[]
  /** By performance.now(). */
  until: number
  /** The last number that was looked at, where time was up. */
  stoppedAt: number | undefined
}

function foundCommand(
  { seq, t, count, kind, verdict }: Row,
  { started, ...sender }: Sender,
  { text, tables }: { text: string; tables: string },
  inCommand: boolean,
): FoundCommand {
  return {
    ...{ ...sender, seq, t, count, kind, text },
    at: new Date(started + t).toISOString(),
    verdict: verdicts[verdict]!,
    tables: JSON.parse(tables) as string[],
    found: inCommand ? 'command' : 'result',
  }
}

const cursorOf = (id: number) => id.toString(36)

function readCursor(cursor: string): number {
  const id = /^[0-9a-z]{1,11}$/.test(cursor) ? Number.parseInt(cursor, 36) : Number.NaN
  if (!Number.isSafeInteger(id))
    throw new BadCommandCursor('`after` is not one that a list gave out: use the `next` of the page before.')
  return id
}
