import type { CommandQuery } from '@countersign/contract/evidence'
import type Database from 'better-sqlite3'
import { verdicts } from './document.ts'
import { wordsOf } from './parts.ts'
import { BEGINNING, CAME_BACK, SHORT_BEGINNING, type SoughtWord } from './words.ts'

/** A word that may go on stands for so many words of a part at most; for more of them FTS5 gathers all it has first. */
const MOST_WORDS = 64
/** Beginnings whose words are kept in mind. */
const MOST_KNOWN = 1000
/** So many tables are meant by a name without a schema. */
const MOST_TABLES = 64

/** Which commands a filter of a question leaves, as an expression of FTS5; '' is all, undefined none. */
export function filterExpression(db: Database.Database, query: Omit<CommandQuery, 'text'>): string | undefined {
  const of = (kind: string, name: string) =>
    db.prepare('select n from names where kind = ? and name = ?').pluck().get(kind, name) as number | undefined
  let who = ''
  if (query.agent !== undefined) {
    const n = of('agent', query.agent)
    if (n === undefined) return undefined
    who += `a${n}`
  }
  if (query.connection !== undefined) {
    const n = of('connection', query.connection)
    if (n === undefined) return undefined
    who += `c${n}`
  }
  const all: string[] = []
  if (query.table !== undefined) {
    const tables = tablesLike(db, query.table)
    if (tables.length === 0) return undefined
    all.push(anyOf(tables.map((n) => quoted(`=${who}t${n}`))))
  } else if (who !== '') all.push(quoted(`=${who}`))
  if (query.verdict !== undefined) all.push(quoted(`=v${verdicts.indexOf(query.verdict)}`))
  if (query.session !== undefined) {
    const n = db.prepare('select n from sessions where id = ? and gone = 0').pluck().get(query.session)
    if (n === undefined) return undefined
    all.push(quoted(`=s${n}`))
  }
  return allOf(all)
}

/** A table by schema.table, or by its name in whatever schema. */
function tablesLike(db: Database.Database, name: string): number[] {
  const exact = db.prepare(`select n from names where kind = 'table' and name = ?`).pluck().get(name)
  if (exact !== undefined) return [exact as number]
  const like = `%.${name.replace(/[\\%_]/g, '\\$&')}`
  return db
    .prepare(`select n from names where kind = 'table' and name like ? escape '\\' limit ${MOST_TABLES}`)
    .pluck()
    .all(like) as number[]
}

/** Commands of any of these sessions, by their numbers. */
export function sessionsExpression(sessions: readonly number[]): string {
  return anyOf(sessions.map((n) => quoted(`=s${n}`)))
}

/** Looks words up in one part, and remembers what it has found until `renew`. */
export class PartWords {
  readonly #next: Database.Statement
  readonly #known = new Map<string, string[] | 'many'>()

  /** @param db a connection that may have temporary tables */
  constructor(db: Database.Database, part: number) {
    const vocabulary = `vocabulary_${part}`
    db.exec(`create virtual table if not exists temp.${vocabulary} using fts5vocab(main, ${wordsOf(part)}, instance)`)
    this.#next = db.prepare(`select term from temp.${vocabulary} where term >= ? and term < ? limit 1`).pluck()
  }

  /** Something was written. */
  renew(): void {
    this.#known.clear()
  }

  /** What has all the words, as an expression of FTS5. @param where in commands alone, or in what came back, too */
  expression(sought: readonly SoughtWord[], where: 'command' | 'anywhere'): string {
    const marks = where === 'command' ? [''] : ['', CAME_BACK]
    return allOf(sought.map((one) => anyOf(marks.flatMap((mark) => this.#ways(one, mark))) || NOTHING))
  }

  #ways({ word, beginning }: SoughtWord, mark: string): string[] {
    if (!beginning) return [quoted(mark + word)]
    if (word.length <= SHORT_BEGINNING)
      return mark === '' ? [quoted(word), quoted(BEGINNING + word)] : [quoted(mark + word)]
    const words = this.#beginningWith(mark + word)
    return words === 'many' ? [`${quoted(mark + word)} *`] : words.map(quoted)
  }

  /** One look for each word: the words between are stepped over, however many commands have them. */
  #beginningWith(beginning: string): string[] | 'many' {
    const known = this.#known.get(beginning)
    if (known) return known
    const words: string[] = []
    const end = `${beginning}\u{10ffff}`
    for (let from = beginning; words.length <= MOST_WORDS; from = `${words.at(-1)}\u0001`) {
      const word = this.#next.get(from, end) as string | undefined
      if (word === undefined) break
      words.push(word)
    }
    const found = words.length > MOST_WORDS ? 'many' : words
    // The one that was looked up longest ago makes room.
    if (this.#known.size >= MOST_KNOWN) this.#known.delete(this.#known.keys().next().value!)
    this.#known.set(beginning, found)
    return found
  }
}

/** No word is empty. */
const NOTHING = quoted('=')

export function allOf(expressions: readonly string[]): string {
  return expressions.filter((one) => one !== '').join(' AND ')
}

function anyOf(expressions: readonly string[]): string {
  return expressions.length > 1 ? `(${expressions.join(' OR ')})` : (expressions[0] ?? '')
}

function quoted(word: string): string {
  return `"${word.replaceAll('"', '""')}"`
}
