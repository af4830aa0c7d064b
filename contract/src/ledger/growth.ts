import { concat, same } from './encoding.ts'
import { LedgerError } from './errors.ts'
import { CompactTree, HASH_BYTES, leafHash, restoreTree } from './merkle.ts'
import type { Sha256 } from './ports.ts'
import {
  decodeEntries,
  encodeEntries,
  hashAt,
  hashReader,
  MAX_ENTRY_BYTES,
  TILE_WIDTH,
  type Tile,
  type TileReader,
} from './tiles.ts'

export interface TileBytes {
  tile: Tile
  bytes: Uint8Array
}

/** What is right of the last full tile, per level: all that a writer has to keep in memory. */
interface Edge {
  entries: Uint8Array[]
  hashes: Uint8Array[][]
}

/**
 * A log that grows: takes entries, gives the tiles that changed. It writes nothing: whoever owns the log writes what
 * `changed` gives, makes it durable, and only then signs a checkpoint of `size` and `root()`.
 */
export class GrowingLog {
  readonly #sha256: Sha256
  readonly #tree: CompactTree
  readonly #edge: Edge
  #full: TileBytes[] = []
  #drained: number

  constructor(
    sha256: Sha256,
    from: { tree: CompactTree; edge: Edge } = { tree: new CompactTree(sha256), edge: { entries: [], hashes: [] } },
  ) {
    this.#sha256 = sha256
    this.#tree = from.tree
    this.#edge = from.edge
    this.#drained = from.tree.size
  }

  get size(): number {
    return this.#tree.size
  }

  root(): Uint8Array {
    return this.#tree.root()
  }

  /** Appends an entry and answers its index. @throws LedgerError where it is longer than 65,535 bytes */
  append(entry: Uint8Array): number {
    if (entry.length > MAX_ENTRY_BYTES)
      throw new LedgerError(
        'malformed-entry',
        `an entry has at most ${MAX_ENTRY_BYTES} bytes, this one ${entry.length}`,
      )
    const index = this.#tree.size
    this.#edge.entries.push(entry)
    if (this.#edge.entries.length === TILE_WIDTH) {
      const tile: Tile = { kind: 'entries', index: Math.floor(index / TILE_WIDTH), width: TILE_WIDTH }
      this.#full.push({ tile, bytes: encodeEntries(this.#edge.entries) })
      this.#edge.entries = []
    }
    this.#tree.append(leafHash(this.#sha256, entry), (level, at, hash) => {
      if (level % 8 === 0) this.#hash(level / 8, at, hash)
    })
    return index
  }

  #hash(level: number, index: number, hash: Uint8Array) {
    this.#edge.hashes[level] ??= []
    const row = this.#edge.hashes[level]
    row.push(hash)
    if (row.length < TILE_WIDTH) return
    const tile: Tile = { kind: 'hashes', level, index: Math.floor(index / TILE_WIDTH), width: TILE_WIDTH }
    this.#full.push({ tile, bytes: concat(...row) })
    this.#edge.hashes[level] = []
  }

  /** The full tiles that nobody was given yet: for a writer who has time before the next checkpoint. `changed` leaves them out then. */
  full(): TileBytes[] {
    const full = this.#full
    this.#full = []
    return full
  }

  /** The tiles that are new since the last call: full ones once, partial ones as they are now (C2SP tlog-tiles: write those of every size that gets a checkpoint). */
  changed(): TileBytes[] {
    if (this.#drained === this.size) return []
    const changed = this.#full
    this.#full = []
    const before = this.#drained
    this.#drained = this.size
    const { entries, hashes } = this.#edge
    if (entries.length > 0) {
      const tile: Tile = { kind: 'entries', index: Math.floor(this.size / TILE_WIDTH), width: entries.length }
      changed.push({ tile, bytes: encodeEntries(entries) })
    }
    hashes.forEach((row, level) => {
      const span = TILE_WIDTH ** level
      if (row.length === 0 || Math.floor(before / span) === Math.floor(this.size / span)) return
      const tile: Tile = { kind: 'hashes', level, index: Math.floor(this.size / span / TILE_WIDTH), width: row.length }
      changed.push({ tile, bytes: concat(...row) })
    })
    return changed
  }
}

/**
 * A stored log of `size` entries, to go on with. It reads the right edge only; whether all of the log is whole is
 * log-verify's to say.
 * @throws LedgerError where a tile of the edge is missing or malformed, or its entries aren't its hashes' entries
 */
export async function restoreLog(sha256: Sha256, size: number, readTile: TileReader): Promise<GrowingLog> {
  const tree = await restoreTree(sha256, size, hashReader(sha256, size, readTile))
  const edge: Edge = { entries: [], hashes: [] }
  for (let level = 0, count = size; count > 0; level++, count = Math.floor(count / TILE_WIDTH)) {
    const width = count % TILE_WIDTH
    const row: Uint8Array[] = []
    edge.hashes[level] = row
    if (width === 0) continue
    const tile: Tile = { kind: 'hashes', level, index: Math.floor(count / TILE_WIDTH), width }
    const bytes = await readTile(tile)
    if (bytes?.length !== width * HASH_BYTES)
      throw new LedgerError('malformed-tile', 'the right edge of the log is damaged')
    for (let i = 0; i < width; i++) row.push(hashAt(bytes, i))
  }
  const width = size % TILE_WIDTH
  if (width > 0) {
    const bytes = await readTile({ kind: 'entries', index: Math.floor(size / TILE_WIDTH), width })
    const { entries, whole } = bytes ? decodeEntries(bytes, width) : { entries: [], whole: false }
    const known = edge.hashes[0]!
    if (!whole || entries.some((entry, i) => !same(leafHash(sha256, entry), known[i]!)))
      throw new LedgerError('malformed-tile', 'the last entries of the log are not those of its last tile')
    edge.entries = entries
  }
  return new GrowingLog(sha256, { tree, edge })
}
