import { fromUtf8, hex } from '@countersign/contract/ledger/encoding'
import { parseLeaf } from '@countersign/contract/ledger/entry'
import type { Findings } from '@countersign/contract/ledger/findings'
import type { PayloadRow } from '@countersign/contract/ledger/payload-verify'
import type { RecordingReader } from '@countersign/contract/ledger/recordings-verify'
import { decodeEntries, TILE_WIDTH, type TileReader } from '@countersign/contract/ledger/tiles'
import { ENDED } from '../sessions/scribe/tail.ts'
import type { SpokenEntry } from './comparison.ts'
import type { Snapshot } from './reading.ts'
import { isDamage } from './reading.ts'

/** What `data/ledger/entries.sqlite` says of the log beside its entries. */
export interface LogMemory {
  /** Verifier keys as they followed one another; empty where that can't be told. */
  keys: string[]
  /** Checkpoints by which they were handed over, each with its entry. */
  handovers: { entry: number; note: string }[]
  /** The newest checkpoint that was signed, as far as the last transaction knew. */
  signed: string | undefined
  /** Entries whose erasure was begun. */
  erasing: [number, number][]
  /** Up to which row of the outbox entries were taken in. */
  outbox: number
}

interface Row {
  n: number
  at: string
  type: string
  session: string | null
  payload: Uint8Array | null
  salt: Uint8Array | null
  commitment: Uint8Array | null
}

export interface Tail {
  session: string
  offset: number
  chunk_from: number
  chunks: number
  commands: number
  commandEntries: number
  chunkEntries: number
  lastChunk: Uint8Array | null
  /** Entries that end it. */
  ends: number
}

const BATCH = 1000
export interface RowListener {
  /** Types whose payloads are wanted. */
  types: ReadonlySet<string>
  entry(entry: SpokenEntry): void
  /** An entry of a session whose payload was erased. */
  erased(session: string, type: string): void
}

/**
 * The rows beside the log as they were at one moment, each once and in order: for the contract's verifier, and on the
 * way for who compares the store with what they say. A file that is damaged ends early, and that is the finding.
 */
export class LogRows {
  readonly #snapshot: Snapshot
  readonly #found: Findings
  readonly #tile: TileReader
  readonly #listener: RowListener

  constructor(snapshot: Snapshot, tile: TileReader, found: Findings, listener: RowListener) {
    this.#snapshot = snapshot
    this.#tile = tile
    this.#found = found
    this.#listener = listener
  }

  count(): number {
    return this.#attempt(() => this.#database.prepare('select coalesce(max(n) + 1, 0) from entries').pluck().get(), 0)
  }

  memory(): LogMemory {
    const meta = (name: string) =>
      this.#attempt<unknown>(
        () => this.#database.prepare('select value from meta where name = ?').pluck().get(name),
        undefined,
      )
    const links = listOf(meta('log.keys'))
    const keys = links.flatMap(({ vkey }) => (typeof vkey === 'string' ? [vkey] : []))
    const handovers = links.flatMap(({ entry, handover }) =>
      typeof handover === 'string' ? [{ entry: Number(entry), note: handover }] : [],
    )
    const erasing = listOf(meta('log.erasing')).flatMap(({ entries }) => entries as [number, number][])
    const signed = meta('log.signed')
    return {
      keys,
      handovers,
      erasing,
      signed: typeof signed === 'string' ? signed : undefined,
      outbox: Number(meta('outbox') ?? 0),
    }
  }

  /** Whether one of the entries from `from` on is of this type. */
  has(type: string, from: number): boolean {
    return this.#attempt(
      () =>
        this.#database.prepare('select 1 from entries where type = ? and n >= ? limit 1').get(type, from) !== undefined,
      false,
    )
  }

  /** How far recordings were read into the log, as it remembers, and as its entries say. */
  tails(): Tail[] {
    const sql = `select session, offset, chunk_from, chunks, commands,
      (select count(*) from entries where entries.session = tails.session and type = 'command') as commandEntries,
      (select count(*) from entries where entries.session = tails.session and type = 'recording.chunk') as chunkEntries,
      (select count(*) from entries where entries.session = tails.session and type in ('session.closed', 'session.interrupted')) as ends,
      (select payload from entries where entries.session = tails.session and type = 'recording.chunk' order by n desc limit 1) as lastChunk
      from tails order by session`
    return this.#attempt(() => this.#database.prepare(sql).all() as Tail[], [])
  }

  /** The first `size` entries, as the contract's verifier takes them. */
  async *payloads(size: number): AsyncGenerator<readonly PayloadRow[]> {
    for (const rows of this.#batches(0, size)) {
      for (const row of rows) {
        this.#look(row)
        if (row.commitment && !row.payload) await this.#erasedRow(row)
      }
      yield rows.map(({ n, at, type, payload, salt }) => ({ row: rowName(n), entry: n, payload, salt, at, type }))
    }
  }

  /** Tells the listener of the entries from `from` on, which no checkpoint covers yet. */
  rest(from: number): void {
    for (const rows of this.#batches(from, Number.MAX_SAFE_INTEGER)) for (const row of rows) this.#look(row)
  }

  *#batches(from: number, to: number): Generator<Row[]> {
    // Not by one statement that stays open: what is damaged would be found in the middle of somebody else's loop.
    for (let at = from; ; ) {
      const rows: Row[] = this.#attempt<Row[]>(
        () =>
          this.#database
            .prepare(
              `select n, at, type, session, payload, salt, commitment from entries where n >= ? and n < ? order by n limit ${BATCH}`,
            )
            .all(at, to) as Row[],
        [],
      )
      // Where the order of the file is broken the same rows could come for ever.
      const good = rows.filter(({ n }) => n >= at && n < to)
      if (good.length > 0) yield good
      if (rows.length < BATCH || good.length < rows.length) return
      at = rows.at(-1)!.n + 1
    }
  }

  #look(row: Row) {
    const { n, at, type, session } = row
    if (!row.payload) {
      if (typeof session === 'string') this.#listener.erased(session, type)
      return
    }
    if (!bytes(row.payload) || !bytes(row.salt)) {
      this.#found.wrong(
        'row-form',
        { row: rowName(n), entry: n },
        `row ${rowName(n)} holds no payload and salt of an entry`,
      )
      // For the verifier it is a payload that is not there.
      row.payload = null
      row.salt = null
      return
    }
    if (row.commitment !== null)
      this.#found.wrong(
        'row-form',
        { row: rowName(n), entry: n },
        `row ${rowName(n)} keeps a commitment as if it were erased, but it is not`,
      )
    const said = spokenOf(row.payload)
    if (sessionIn(said) !== session)
      this.#found.wrong(
        'row-session',
        { row: rowName(n), entry: n },
        `row ${rowName(n)} is filed under ${session === null ? 'no session' : `session ${session}`}, its entry is of ${sessionIn(said) ?? 'none'}`,
      )
    if (typeof said === 'object' && said !== null && this.#listener.types.has(type))
      this.#listener.entry({ n, at, type, payload: said as Record<string, unknown> })
  }

  #leaves: { index: number; entries: Uint8Array[] } | undefined

  /** What is kept of an erased entry must be what its leaf says, or the log could not be made again from the rows. */
  async #erasedRow({ n, commitment, payload, salt }: Row): Promise<void> {
    if (payload || salt) return
    const index = Math.floor(n / TILE_WIDTH)
    if (this.#leaves?.index !== index) {
      const full = await this.#tile({ kind: 'entries', index, width: TILE_WIDTH })
      this.#leaves = { index, entries: full ? decodeEntries(full, TILE_WIDTH).entries : [] }
    }
    const bytesOf = this.#leaves.entries[n % TILE_WIDTH]
    const leaf = bytesOf && parseLeaf(bytesOf)
    if (leaf && leaf.commitment !== hex(commitment!))
      this.#found.wrong(
        'row-commitment',
        { row: rowName(n), entry: n },
        `row ${rowName(n)} was changed: it keeps another commitment than entry ${n}, whose payload is erased`,
      )
  }

  get #database() {
    return this.#snapshot.database
  }

  #attempt<T>(work: () => unknown, otherwise: T): T {
    try {
      return work() as T
    } catch (error) {
      if (!isDamage(error)) throw error
      this.#found.wrong(
        'entries-damaged',
        { row: 'entries.sqlite' },
        `ledger/entries.sqlite is damaged: SQLite says "${error.message}"`,
      )
      return otherwise
    }
  }
}

export const rowName = (n: number) => `entries/${n}`

const bytes = (value: unknown) => value instanceof Uint8Array

/** What is wrong with what the log remembers of a recording that is being read; undefined where nothing is. */
export async function tailProblem(tail: Tail, recording: RecordingReader): Promise<string | undefined> {
  const { session, offset, chunk_from, chunks, commands, chunkEntries, commandEntries, lastChunk } = tail
  if (commands !== commandEntries) return `has ${commands} commands, the log ${commandEntries}`
  if (chunks !== chunkEntries) return `has ${chunks} chunks, the log ${chunkEntries}`
  const last = lastChunk && (spokenOf(lastChunk) as { offset?: number; length?: number } | null)
  const end = last ? Number(last.offset) + Number(last.length) : chunkEntries === 0 ? 0 : undefined
  if (chunk_from === ENDED) {
    if (tail.ends === 0) return 'says that the log has its end, and it has none'
    return end === undefined || end === offset ? undefined : `was read up to byte ${offset}, and ended at ${end}`
  }
  if (end !== undefined && chunk_from !== end) return `says that chunks end at byte ${chunk_from}, they do at ${end}`
  if (!(offset >= chunk_from)) return `was read up to byte ${offset}, before the end of its chunks`
  const byte = offset > chunk_from ? await recording.read(session, offset - 1, 1) : undefined
  // A recording that is cut is told of elsewhere.
  if (byte?.length === 1 && byte[0] !== 10) return `was read up to byte ${offset}, where no line ends`
  return undefined
}

/** Whether it is canonical is not asked here: what isn't the payload that was logged is found by its commitment. */
function spokenOf(payload: Uint8Array): unknown {
  try {
    return JSON.parse(fromUtf8(payload) ?? 'null')
  } catch {
    return null
  }
}

function listOf(json: unknown): Record<string, unknown>[] {
  try {
    const list: unknown = JSON.parse(String(json ?? '[]'))
    return Array.isArray(list) ? list : []
  } catch {
    return []
  }
}

function sessionIn(payload: unknown): string | null {
  const session = (payload as { session?: unknown } | null)?.session
  return typeof session === 'string' ? session : null
}
