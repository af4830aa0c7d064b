import type { Findings, Place } from '@countersign/contract/ledger/findings'
import { type Around, type Comparison, type ErasedPart, erasedParts, goneOf, type SpokenEntry } from './comparison.ts'
import { comparisons } from './comparisons.ts'
import { HeldDeletions } from './held.ts'
import { isDamage, type Snapshot } from './reading.ts'
import { type Columns, erasedOf, fromJson, type Meeting, recordedOf, type SaidRows, type Value } from './said.ts'

/** What takes in entries on the way, and compares the store with them in the end. */
export class StoreChecks {
  readonly #store: Snapshot
  readonly #found: Findings
  readonly #said: SaidRows
  readonly #live: boolean
  readonly #maxWindow: number
  readonly #now: Date
  readonly #held = new HeldDeletions()
  #later = false
  #began = ''
  /** Rows that are older than the log: nothing vouches for them. */
  older = 0
  readonly types: ReadonlySet<string> = new Set(['gateway.started', ...comparisons.flatMap(({ types }) => types)])

  /**
   * @param live the gateway is running: what it does meanwhile is no fault
   * @param maxWindow milliseconds
   */
  constructor(
    store: Snapshot,
    said: SaidRows,
    found: Findings,
    options: { live: boolean; maxWindow: number; now: Date },
  ) {
    this.#store = store
    this.#said = said
    this.#found = found
    this.#live = options.live
    this.#maxWindow = options.maxWindow
    this.#now = options.now
  }

  /** What comes from now on may be younger than the store that is looked at. */
  later(): void {
    this.#later = true
  }

  entry(entry: SpokenEntry): void {
    if (entry.type === 'deletion.run') this.#deletion(entry.payload)
    this.#held.entry(entry)
    // The first entry may be of a session of before: its recording was read into the log afterwards.
    if (entry.type === 'gateway.started') this.#began ||= entry.at
    for (const one of comparisons) {
      if (!(one.types as readonly string[]).includes(entry.type)) continue
      const row = one.says(entry, (key) => this.#said.get(one.table, key))
      if (!row) continue
      if (this.#later) this.#said.sayLater(one.table, row.key)
      else this.#said.say(one.table, row.key, row.columns, entry.n >= 0 ? entry.n : undefined)
    }
  }

  #deletion(payload: Record<string, unknown>) {
    const named: Record<ErasedPart, unknown> = {
      recording: payload.recordings,
      approvals: payload.approvals,
      annotations: payload.annotations,
    }
    for (const part of erasedParts)
      if (Array.isArray(named[part]))
        for (const session of named[part]) this.#said.say(goneOf(part), String(session), {})
  }

  erased(session: string, type: string): void {
    for (const one of comparisons)
      if ((one.types as readonly string[]).includes(type)) this.#said.say(erasedOf(one.table), session, {})
  }

  /**
   * What waits in the outbox: entries to be. Those that were taken in before are in the log, if what says so is true.
   * @param taken up to which row they were taken in
   * @param isLogged whether the log has an entry of that time, type and payload
   */
  outbox(taken: number, isLogged: (at: string, type: string, payload: string) => boolean): void {
    let waiting = 0
    let first: { id: number; at: string; type: string } | undefined
    for (const row of this.#rows('select id, at, type, payload from audit_outbox order by id')) {
      const { id, at, type, payload } = row as { id: number; at: string; type: string; payload: string }
      const place = `audit_outbox/${id}`
      const value = fromJson(payload)
      if (id <= taken) {
        if (!isLogged(at, type, String(value)))
          this.#found.missing(
            'outbox-lost',
            { row: place },
            `row ${place} (${type} of ${at}) counts as taken into the log, but no entry says what it does`,
          )
        continue
      }
      waiting++
      first ??= { id, at, type }
      try {
        this.entry({ n: -1, at, type, payload: JSON.parse(payload) as Record<string, unknown> })
      } catch {
        this.#found.wrong('outbox-form', { row: place }, `row ${place} was changed: it holds no payload of ${type}`)
      }
    }
    const [last] = this.#ask("select seq from sqlite_sequence where name = 'audit_outbox'", [])
    const given = Number(last?.seq ?? 0)
    // What was taken in may not have been deleted yet, but nothing was taken in that never was, nor deleted before.
    if (!this.#live && (taken > given || (taken < given && !first)))
      this.#found.wrong(
        'meta',
        { row: 'meta/outbox' },
        `row meta/outbox was changed, or the store put back: the log took in what waited up to row ${taken} of audit_outbox, which has given out ${given}`,
      )
    // Of a running gateway they come in within a second.
    if (!first || (this.#live && Date.parse(first.at) > this.#now.getTime() - PATIENCE)) return
    this.#found.missing(
      'outbox-waiting',
      { row: `audit_outbox/${first.id}` },
      `${waiting} ${waiting === 1 ? 'entry waits' : 'entries wait'} in the store and ${waiting === 1 ? 'is' : 'are'} not in the log, the first (${first.type}) since ${first.at}: ${
        this.#live ? 'the gateway does not take them in; its log says why' : 'start the gateway once, it takes them in'
      }`,
    )
  }

  compare(): void {
    for (const one of comparisons) this.#compare(one)
    this.#held.check({ said: this.#said, ask: (sql, ...values) => this.#ask(sql, values) }, this.#found)
    for (const { table, key } of this.#foreignKeys())
      this.#found.wrong(
        'row-alone',
        { row: `${table}/${key}` },
        `row ${table}/${key} belongs to another row that is not there`,
      )
  }

  #compare(one: Comparison) {
    const { table } = one
    for (const raw of this.#rows(one.sql)) {
      const { key, columns } = one.row(raw)
      if (!this.#said.row(table, key, columns))
        this.#found.wrong('row-twice', { row: `${table}/${key}` }, `there are two rows ${table}/${key}`)
    }
    const around: Around = {
      said: this.#said,
      ask: (sql, ...values) => this.#ask(sql, values),
      maxWindow: this.#maxWindow,
      live: this.#live,
      now: this.#now.toISOString(),
      ahead: (at) =>
        this.#live
          ? Date.parse(at) > this.#now.getTime() - PATIENCE
            ? ''
            : 'and the gateway does not take it in: its log says why'
          : 'start the gateway once, it takes it in',
    }
    for (const meeting of this.#said.meetings(table)) this.#meet(one, meeting, around)
  }

  #meet(one: Comparison, { key, said, row, later }: Meeting, around: Around) {
    const { table, what } = one
    const place = `${table}/${key}`
    const where = { row: place, ...(said?.n !== undefined && { entry: said.n }) }
    const by = said?.n !== undefined ? `entry ${said.n}` : 'what waits in audit_outbox'
    if (!row) {
      if (said && !later && !one.forgotten?.(said, around))
        this.#found.missing('row-missing', where, `row ${place} is not there: ${by} tells of this ${what}`)
      return
    }
    const session = one.session?.({ key, columns: row })
    const erased = session !== undefined && this.#said.get(erasedOf(table), session) !== undefined
    if (later) return
    if (!said) {
      const young = one.young?.({ key, columns: row }, around)
      const madeAt = one.madeAt?.({ key, columns: row }, around)
      if (madeAt !== undefined && madeAt < this.#began) this.older++
      else if (young) this.#found.missing('row-behind', where, `row ${place} ${young}`)
      else if (!one.quiet && !erased && young === undefined)
        this.#found.wrong('row-unlogged', where, `row ${place} was added: no entry tells of such a ${what}`)
    } else {
      this.#columns(place, where, row, said.columns, by, (column) => one.mayDiffer?.(row, column, said) ?? false)
    }
    const recorded = this.#said.get(recordedOf(table), key)
    if (recorded && session !== undefined) {
      const { emptied } = one
      const gone = emptied && this.#said.get(goneOf(emptied.part), session) !== undefined
      const mayBeEmpty = (column: string) => gone === true && emptied.columns[column] === row[column]
      this.#columns(place, { row: place, recording: session }, row, recorded.columns, 'the recording', mayBeEmpty)
    }
    const also = said || one.quiet ? one.also?.({ key, columns: row }, said, around) : undefined
    if (also) {
      if (typeof also === 'string') this.#found.wrong('row-changed', where, `row ${place} was changed: it ${also}`)
      else this.#found.missing('row-behind', where, `row ${place} ${also.lacks}`)
    }
  }

  #columns(
    place: string,
    where: Place,
    row: Columns,
    said: Columns,
    by: string,
    mayDiffer: (column: string) => boolean = () => false,
  ) {
    for (const [column, value] of Object.entries(said)) {
      const is = row[column]
      if (is === undefined || is === value || mayDiffer(column)) continue
      this.#found.wrong(
        'row-changed',
        where,
        `row ${place} was changed: its ${column} is ${short(is)}, ${by} says ${short(value)}`,
      )
    }
  }

  *#rows(sql: string): Generator<Record<string, unknown>> {
    let rows: Iterable<unknown>
    try {
      rows = this.#store.database.prepare(sql).iterate()
    } catch (error) {
      // A store of an older version has no such table.
      if (/no such (table|column)/.test((error as Error).message)) return
      return this.#damaged(error)
    }
    const iterator = rows[Symbol.iterator]()
    try {
      for (;;) {
        let next: IteratorResult<unknown>
        try {
          next = iterator.next()
        } catch (error) {
          return this.#damaged(error)
        }
        if (next.done) return
        yield next.value as Record<string, unknown>
      }
    } finally {
      iterator.return?.()
    }
  }

  #ask(sql: string, values: unknown[]): Record<string, unknown>[] {
    try {
      return this.#store.database.prepare(sql).all(...values) as Record<string, unknown>[]
    } catch (error) {
      this.#damaged(error)
      return []
    }
  }

  #foreignKeys(): { table: string; key: string }[] {
    const found = this.#ask('pragma foreign_key_check', []) as { table: string; rowid: number | null }[]
    return found.map(({ table, rowid }) => ({ table, key: String(rowid) }))
  }

  #damaged(error: unknown) {
    if (!isDamage(error)) throw error
    this.#found.wrong(
      'store-damaged',
      { row: 'countersign.sqlite' },
      `countersign.sqlite is damaged: SQLite says "${error.message}"`,
    )
  }
}

/** So long a running gateway may take to have in the log what was committed (milliseconds). */
const PATIENCE = 30_000

const short = (value: Value): string => {
  const text = value === null ? 'empty' : JSON.stringify(value)
  return text.length > 120 ? `${text.slice(0, 120)}…` : text
}
