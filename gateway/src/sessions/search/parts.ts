import type Database from 'better-sqlite3'

/**
 * The words of commands lie in parts, an FTS5 table each, one after another in time. So a search begins with the newest
 * and ends when its page is full; a word's beginning costs what one part has of it; and what is deleted touches few.
 */

/** A part takes so many commands before another is begun. */
export const PART = 65_536

export interface Part {
  n: number
  /** The first number that belongs to it; the part after it says where it ends. The oldest has 0. */
  low: number
  commands: number
}

/** FTS5's table of a part. */
export const wordsOf = (part: number) => `words_${part}`

/** The parts of the index, for who writes it. All calls belong into a transaction. */
export class Parts {
  readonly #db: Database.Database
  readonly #size: number
  /** Oldest first. */
  #parts: Part[] = []
  /** Numbers of the oldest and newest command. */
  #oldest = Number.POSITIVE_INFINITY
  #newest = 0
  /** Whether a part was begun, so that the one before it is whole. */
  #began = false
  readonly #statements = new Map<number, { add: Database.Statement; take: Database.Statement }>()

  constructor(db: Database.Database, size: number) {
    this.#db = db
    this.#size = size
    this.reload()
  }

  /** Reads what is stored, as after a transaction that failed. */
  reload(): void {
    this.#parts = this.#db.prepare('select n, low, commands from parts order by low').all() as Part[]
    const ends = this.#db.prepare('select min(id) as oldest, max(id) as newest from commands').get() as {
      oldest: number | null
      newest: number | null
    }
    this.#oldest = ends.oldest ?? Number.POSITIVE_INFINITY
    this.#newest = ends.newest ?? 0
    this.#statements.clear()
  }

  get newest(): number {
    return this.#newest
  }

  /** Adds the words of a command that isn't there. Cheapest in rising order of numbers. */
  add(id: number, words: string): void {
    const part = this.#partFor(id)
    this.#statementsOf(part).add.run(id, words)
    part.commands++
    if (id > this.#newest) this.#newest = id
    if (id < this.#oldest) this.#oldest = id
  }

  /** Puts others in place of a command's words. */
  replace(id: number, words: string): void {
    const { add, take } = this.#statementsOf(this.partOf(id))
    take.run(id)
    add.run(id, words)
  }

  /** Takes a command's words out; what they were goes when the part is tidied. */
  take(id: number): void {
    const part = this.partOf(id)
    this.#statementsOf(part).take.run(id)
    part.commands--
    this.#db.prepare('update parts set untidy = 1 where n = ?').run(part.n)
  }

  /** Stores how many commands parts have, and drops those that have none. @returns whether there is something to tidy */
  store(): boolean {
    const began = this.#began
    this.#began = false
    const update = this.#db.prepare('update parts set low = ?, commands = ? where n = ?')
    const kept = this.#parts.filter((part) => part.commands > 0)
    for (const part of this.#parts) {
      if (part.commands > 0) continue
      this.#statements.delete(part.n)
      this.#db.exec(`drop table ${wordsOf(part.n)}`)
      this.#db.prepare('delete from parts where n = ?').run(part.n)
    }
    this.#parts = kept
    for (const [i, part] of kept.entries()) {
      if (i === 0) part.low = 0
      update.run(part.low, part.commands, part.n)
    }
    return began
  }

  /** A part that waits to be tidied. */
  untidy(): Part | undefined {
    const row = this.#db.prepare('select n from parts where untidy = 1 order by low desc limit 1').get() as
      | { n: number }
      | undefined
    return row && this.#parts.find(({ n }) => n === row.n)
  }

  /**
   * Merges some of a part's segments, without what was deleted from them.
   * @param begin whether this is the first step
   * @returns whether it is done
   */
  tidy(part: Part, begin: boolean): boolean {
    const pages = 64
    const table = wordsOf(part.n)
    const changes = () => this.#db.prepare('select total_changes()').pluck().get() as number
    const before = changes()
    this.#db.prepare(`insert into ${table}(${table}, rank) values ('merge', ?)`).run(begin ? -pages : pages)
    // "If the change is less than 2, then the 'merge' command was a no-op" (sqlite.org/fts5.html).
    const done = !begin && changes() - before < 2
    if (done) this.#db.prepare('update parts set untidy = 0 where n = ?').run(part.n)
    return done
  }

  partOf(id: number): Part {
    let from = 0
    let to = this.#parts.length - 1
    while (from < to) {
      const middle = (from + to + 1) >> 1
      if (this.#parts[middle]!.low <= id) from = middle
      else to = middle - 1
    }
    const part = this.#parts[from]
    if (!part) throw new Error('the search index has no part')
    return part
  }

  #partFor(id: number): Part {
    const oldest = this.#parts[0]
    const newest = this.#parts.at(-1)
    if (!oldest || !newest) return this.#begin(0, 'newest')
    if (newest.commands >= this.#size && id > this.#newest) {
      this.#db.prepare('update parts set untidy = 1 where n = ?').run(newest.n)
      return this.#begin(id, 'newest')
    }
    if (oldest.commands >= this.#size && id < this.#oldest) {
      oldest.low = this.#oldest
      this.#db.prepare('update parts set low = ?, untidy = 1 where n = ?').run(oldest.low, oldest.n)
      return this.#begin(0, 'oldest')
    }
    return this.partOf(id)
  }

  #begin(low: number, end: 'newest' | 'oldest'): Part {
    const { lastInsertRowid } = this.#db.prepare('insert into parts (low) values (?)').run(low)
    this.#began = true
    const part: Part = { n: Number(lastInsertRowid), low, commands: 0 }
    const table = wordsOf(part.n)
    // Only which command has which word: no positions, no text. Words are told apart before they come here.
    this.#db.exec(
      `create virtual table ${table} using fts5(words, content='', contentless_delete=1, detail=none,
        tokenize="ascii tokenchars '._-@:/~^='")`,
    )
    // Gathered in memory for one commit, in bytes; and merged less often, since a part that is whole is merged anyway.
    this.#db.exec(`insert into ${table}(${table}, rank) values ('hashsize', ${16 << 20}), ('automerge', 16)`)
    if (end === 'newest') this.#parts.push(part)
    else this.#parts.unshift(part)
    return part
  }

  #statementsOf(part: Part) {
    let statements = this.#statements.get(part.n)
    if (!statements) {
      const table = wordsOf(part.n)
      statements = {
        add: this.#db.prepare(`insert into ${table}(rowid, words) values (?, ?)`),
        take: this.#db.prepare(`delete from ${table} where rowid = ?`),
      }
      this.#statements.set(part.n, statements)
    }
    return statements
  }
}
