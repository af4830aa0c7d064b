import type { Checkpoint } from './checkpoint.ts'
import { base64, same } from './encoding.ts'
import type { Findings } from './findings.ts'
import { CompactTree, HASH_BYTES } from './merkle.ts'
import type { Sha256 } from './ports.ts'
import { hashAt, TILE_WIDTH, type TileReader, tilePath } from './tiles.ts'

/** One tree, and of each level of tiles above the leaves the hashes that no stored tile was compared with yet. */
interface Side {
  tree: CompactTree
  rows: Uint8Array[][]
}

/**
 * The tiles of a log against its entries and its checkpoint. While leaf hashes as stored and leaf hashes of the entries
 * agree there is one tree; from the first place where they don't there are two, so that in the end the checkpoint can
 * tell which of the two was changed.
 */
export class TileChecks {
  readonly #sha256: Sha256
  readonly #read: TileReader
  readonly #size: number
  readonly #found: Findings
  readonly #entries: Side
  #tiles: Side | undefined
  /** Tiles above the leaves that were full at some time, up to now. */
  readonly #compared: number[] = []
  readonly #diverged: number[] = []
  #divergences = 0
  given = false

  constructor(sha256: Sha256, read: TileReader, size: number, found: Findings) {
    this.#sha256 = sha256
    this.#read = read
    this.#size = size
    this.#found = found
    this.#entries = { tree: new CompactTree(sha256), rows: [] }
  }

  /** How many entries there were up to now. */
  get reached(): number {
    return this.#entries.tree.size
  }

  /** Whether this is the root up to now, by the entries or by their hashes as stored: only one of the two was changed. */
  hasRoot(root: Uint8Array): boolean {
    return same(this.#entries.tree.root(), root) || (this.#tiles !== undefined && same(this.#tiles.tree.root(), root))
  }

  /** The leaf hashes as stored; undefined where they aren't. */
  async leaves(index: number, width: number): Promise<Uint8Array | undefined> {
    return this.#tile(0, index, width)
  }

  /** Entry and stored hash differ at `index`, which is appended next. */
  diverge(index: number): void {
    this.#divergences++
    if (this.#diverged.length < 20) this.#diverged.push(index)
    this.#tiles ??= {
      tree: new CompactTree(this.#sha256, this.#entries.tree.state),
      rows: this.#entries.rows.map((row) => [...row]),
    }
  }

  append(ofEntry: Uint8Array, stored: Uint8Array): void {
    if (this.given) return
    push(this.#entries, ofEntry)
    if (this.#tiles) push(this.#tiles, stored)
  }

  /** No more tree: something in the middle is lost altogether. */
  give(): void {
    this.given = true
  }

  /** Compares the tiles above the leaves that have become full. */
  async upwards(): Promise<void> {
    for (let level = 1; level < this.#entries.rows.length; level++)
      while (this.#entries.rows[level]!.length >= TILE_WIDTH) await this.#compare(level, TILE_WIDTH)
  }

  async finish({ root }: Checkpoint): Promise<void> {
    if (this.given) {
      const text =
        'entries are lost together with their hashes, so that what is left can not be held against the checkpoint'
      this.#found.wrong('root-unknown', {}, text)
      return
    }
    for (let level = 1; level < this.#entries.rows.length; level++) {
      const width = this.#entries.rows[level]!.length
      if (width > 0) await this.#compare(level, width)
    }
    const entriesAgree = same(this.#entries.tree.root(), root)
    const tilesAgree = this.#tiles ? same(this.#tiles.tree.root(), root) : entriesAgree
    for (const index of this.#diverged) this.#divergence(index, entriesAgree, tilesAgree)
    for (let more = this.#divergences - this.#diverged.length; more > 0; more--) this.#found.integrity++
    if (this.#divergences === 0 && !entriesAgree)
      this.#found.wrong(
        'root',
        {},
        `the ${this.#size} entries have the root ${base64(this.#entries.tree.root())}, the checkpoint says ${base64(root)}: entries were dropped, added, changed or moved, or the checkpoint is of another log`,
      )
  }

  #divergence(index: number, entriesAgree: boolean, tilesAgree: boolean) {
    const place = {
      index: Math.floor(index / TILE_WIDTH),
      width: Math.min(TILE_WIDTH, this.#size - index + (index % TILE_WIDTH)),
    }
    const entries = tilePath({ kind: 'entries', ...place })
    const hashes = tilePath({ kind: 'hashes', level: 0, ...place })
    const offset = (index % TILE_WIDTH) * HASH_BYTES
    if (tilesAgree && !entriesAgree)
      this.#found.wrong(
        'entry-hash',
        { tile: entries, entry: index },
        `entry ${index} in ${entries} was changed: it is not the one that the checkpoint covers`,
      )
    else if (entriesAgree)
      this.#found.wrong(
        'tile-hash',
        { tile: hashes, entry: index, offset },
        `${hashes} was changed at byte ${offset}: entry ${index}, which the checkpoint covers, has another hash`,
      )
    else
      this.#found.wrong(
        'entry-hash',
        { tile: entries, entry: index, offset },
        `entry ${index} in ${entries} and its hash at byte ${offset} of ${hashes} don't agree, and more is wrong: the checkpoint covers neither`,
      )
  }

  async #compare(level: number, width: number): Promise<void> {
    const index = this.#compared[level] ?? 0
    this.#compared[level] = index + 1
    const ours = this.#entries.rows[level]!.splice(0, width)
    const theirs = this.#tiles?.rows[level]?.splice(0, width)
    const bytes = await this.#tile(level, index, width)
    if (!bytes) return
    for (let i = 0; i < width; i++) {
      const stored = hashAt(bytes, i)
      if (same(stored, ours[i]!) || (theirs && same(stored, theirs[i]!))) continue
      const tile = tilePath({ kind: 'hashes', level, index, width })
      const entry = (index * TILE_WIDTH + i) * TILE_WIDTH ** level
      this.#found.wrong(
        'tile-hash',
        { tile, entry, offset: i * HASH_BYTES },
        `${tile} was changed at byte ${i * HASH_BYTES}: it is not the hash of the entries from ${entry} on`,
      )
      return
    }
  }

  /** A tile of hashes of the right length, its full one in its stead where the log has grown since; reports what it is not. */
  async #tile(level: number, index: number, width: number): Promise<Uint8Array | undefined> {
    const tile = { kind: 'hashes', level, index, width } as const
    const path = tilePath(tile)
    const entry = index * TILE_WIDTH * TILE_WIDTH ** level
    let bytes = await this.#read(tile)
    if (!bytes && width < TILE_WIDTH)
      bytes = (await this.#read({ ...tile, width: TILE_WIDTH }))?.subarray(0, width * HASH_BYTES)
    if (!bytes) {
      this.#found.missing('tile-missing', { tile: path, entry }, `${path} is not there`)
      return undefined
    }
    if (bytes.length === width * HASH_BYTES) return bytes
    const offset = Math.min(bytes.length, width * HASH_BYTES)
    const where = { tile: path, entry, offset }
    if (bytes.length < width * HASH_BYTES)
      this.#found.missing('tile-cut', where, `${path} ends at byte ${bytes.length}, in the middle`)
    else this.#found.wrong('tile-longer', where, `${path} goes on after its last hash, from byte ${offset}`)
    return undefined
  }
}

function push({ tree, rows }: Side, hash: Uint8Array) {
  tree.append(hash, (level, _index, completed) => {
    if (level % 8 !== 0 || level === 0) return
    for (let at = rows.length; at <= level / 8; at++) rows[at] = []
    rows[level / 8]!.push(completed)
  })
}
