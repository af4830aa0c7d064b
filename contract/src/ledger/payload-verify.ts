import { type Leaf, opens, payloadValue } from './entry.ts'
import type { Findings } from './findings.ts'
import { DeletionRun, KeyRotated, neverErased, RecordingChunk, SessionEnded } from './payloads.ts'
import type { LedgerCrypto } from './ports.ts'
import { Ranges } from './ranges.ts'
import type { RecordingChecks } from './recordings-verify.ts'

/** What a store keeps beside the log. Erased: payload and salt null, or the row gone. */
export interface PayloadRow {
  /** How the store names it, for a person who goes and looks. */
  row: string
  entry: number
  payload: Uint8Array | null
  salt: Uint8Array | null
  /** Where the store has them as columns of their own, they are compared with the leaf's. */
  type?: string
  at?: string
}

/** Payloads against their commitments, in one pass beside the entries. */
export class PayloadChecks {
  readonly #crypto: LedgerCrypto
  readonly #recordings: RecordingChecks | undefined
  readonly #found: Findings
  readonly #batches: AsyncIterator<readonly PayloadRow[]> | undefined
  #batch: readonly PayloadRow[] = []
  #at = 0
  #ended: boolean
  /** Entries without a payload; true where the row says erased, false where there is none. */
  readonly #gone = new Ranges<boolean>()
  /** What deletion entries name, with the entry that does. */
  readonly #deleted = new Ranges<number>()
  readonly erasedRecordings = new Set<string>()
  readonly rotations: { entry: number; payload: KeyRotated }[] = []

  constructor(
    crypto: LedgerCrypto,
    rows: AsyncIterable<readonly PayloadRow[]> | undefined,
    recordings: RecordingChecks | undefined,
    found: Findings,
  ) {
    this.#crypto = crypto
    this.#recordings = recordings
    this.#found = found
    this.#batches = rows?.[Symbol.asyncIterator]()
    this.#ended = this.#batches === undefined
  }

  /** The entry at `index`, its leaf where it is one that can be believed. A promise only where there is something to wait for. */
  entry(index: number, leaf: Leaf | undefined): Promise<void> | undefined {
    const row = this.#batch[this.#at]
    if (row?.entry === index) {
      this.#at++
      return this.#row(row, leaf)
    }
    if (row && row.entry > index) return this.#absent(index, leaf)
    if (!row && this.#ended) return this.#batches ? this.#absent(index, leaf) : undefined
    return this.#slow(index, leaf)
  }

  async #slow(index: number, leaf: Leaf | undefined): Promise<void> {
    for (;;) {
      const row = await this.#next()
      if (!row) return this.#absent(index, leaf)
      if (row.entry > index) return this.#absent(index, leaf)
      this.#at++
      if (row.entry === index) return this.#row(row, leaf)
      this.#outOfOrder(row)
    }
  }

  async #next(): Promise<PayloadRow | undefined> {
    while (this.#at >= this.#batch.length) {
      if (this.#ended) return undefined
      const next = await this.#batches!.next()
      this.#ended = next.done === true
      this.#batch = next.done ? [] : next.value
      this.#at = 0
    }
    return this.#batch[this.#at]
  }

  #outOfOrder(row: PayloadRow) {
    this.#found.wrong(
      'row-order',
      { row: row.row, entry: row.entry },
      `row ${row.row} names entry ${row.entry}, which has a row already, or never was`,
    )
  }

  #absent(index: number, leaf: Leaf | undefined): undefined {
    this.#lack(index, leaf, false)
  }

  #lack(index: number, leaf: Leaf | undefined, marked: boolean) {
    this.#gone.add(index, index, marked)
    if (leaf && neverErased.has(leaf.type))
      this.#found.missing(
        'never-erased',
        { entry: index },
        `the payload of entry ${index} is not there, and no retention may erase one of type ${leaf.type}`,
      )
  }

  #row(row: PayloadRow, leaf: Leaf | undefined): Promise<void> | undefined {
    if (!leaf) return undefined
    const where = { row: row.row, entry: row.entry }
    if ((row.type !== undefined && row.type !== leaf.type) || (row.at !== undefined && row.at !== leaf.at))
      this.#found.wrong(
        'row-leaf',
        where,
        `row ${row.row} says ${row.type ?? ''} ${row.at ?? ''}, entry ${row.entry} says ${leaf.type} ${leaf.at}`,
      )
    if (!row.payload || !row.salt) {
      this.#lack(row.entry, leaf, true)
      return undefined
    }
    if (!opens(this.#crypto.sha256, leaf, row.salt, row.payload)) {
      this.#found.wrong(
        'commitment',
        where,
        `row ${row.row} was changed: entry ${row.entry} (${leaf.type}) commits to another payload`,
      )
      return undefined
    }
    return needed.has(leaf.type) ? this.#understand(row.entry, leaf.type, row.payload) : undefined
  }

  async #understand(n: number, type: string, bytes: Uint8Array): Promise<void> {
    const value = payloadValue(bytes)
    const take = <T>(schema: { safeParse(value: unknown): { success: boolean; data?: T } }): T | undefined => {
      const { success, data } = schema.safeParse(value)
      if (!success)
        this.#found.missing(
          'payload-form',
          { entry: n },
          `entry ${n} (${type}) says something that this version can't read`,
        )
      return success ? data : undefined
    }
    switch (type) {
      case 'deletion.run': {
        const run = take(DeletionRun)
        for (const [first, last] of run?.entries ?? []) if (last < n) this.#deleted.add(first, last, n)
        for (const session of run?.recordings ?? []) this.erasedRecordings.add(session)
        return
      }
      case 'key.rotated': {
        const payload = take(KeyRotated)
        if (payload) this.rotations.push({ entry: n, payload })
        return
      }
      case 'recording.chunk': {
        const chunk = this.#recordings && take(RecordingChunk)
        if (chunk) await this.#recordings!.chunk(n, chunk)
        return
      }
      case 'session.opened': {
        const session = (value as { session?: unknown })?.session
        if (typeof session === 'string') this.#recordings?.opened(session)
        return
      }
      default: {
        const end = this.#recordings && take(SessionEnded)
        if (end) await this.#recordings!.end(n, end)
      }
    }
  }

  /** After entry `reached`, the last that could be read of `size`: rows that are left over, and payloads that are gone without a word. */
  async finish(reached: number, size: number): Promise<{ erased: number }> {
    for (let row = await this.#next(); row; row = await this.#next()) {
      this.#at++
      if (row.entry < reached) this.#outOfOrder(row)
      else if (row.entry >= size) {
        this.#found.wrong(
          'row-beyond',
          { row: row.row, entry: row.entry },
          `row ${row.row} is of entry ${row.entry}, but the log ends before entry ${size}`,
        )
      }
    }
    this.#deleted.sort()
    let gone = 0
    let unexplained = 0
    for (const { first, last, value: marked } of this.#gone.list) {
      gone += last - first + 1
      for (const [from, to] of this.#deleted.outside(first, last)) {
        unexplained += to - from + 1
        const which = from === to ? `entry ${from}` : `entries ${from} to ${to}`
        const text = marked
          ? `the payload of ${which} was erased, and no deletion entry says so`
          : `the payload of ${which} is not there, and no deletion entry says so`
        this.#found.missing(marked ? 'erased-unexplained' : 'payload-missing', { entry: from }, text)
      }
    }
    return { erased: gone - unexplained }
  }

  /** The deletion entry that names an entry; to be asked after `finish`. */
  erasedBy(entry: number): number | undefined {
    return this.#deleted.valueOf(entry)
  }
}

const needed = new Set([
  'deletion.run',
  'key.rotated',
  'recording.chunk',
  'session.opened',
  'session.closed',
  'session.interrupted',
])
