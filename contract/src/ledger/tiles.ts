import { LedgerError } from './errors.ts'
import { HASH_BYTES, type HashReader, nodeHash } from './merkle.ts'
import type { Sha256 } from './ports.ts'

/**
 * C2SP tlog-tiles: the tree as tiles of up to 256 hashes, the entries as bundles of up to 256 entries, each under a path
 * of its own. A tile of level L holds hashes of tree level 8·L.
 */

export const TILE_WIDTH = 256
/** A bundle's length prefix is a uint16. */
export const MAX_ENTRY_BYTES = 65_535

/** `width` is 256 for a full tile, 1 to 255 for a partial one. */
export type Tile =
  | { kind: 'hashes'; level: number; index: number; width: number }
  | { kind: 'entries'; index: number; width: number }

/** Reads one tile. Undefined where there is none; rejects where reading fails. */
export type TileReader = (tile: Tile) => Promise<Uint8Array | undefined>

/** `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`, `<N>` in groups of three digits, all but the last after an `x`. */
export function tilePath(tile: Tile): string {
  if (!isTile(tile)) throw new LedgerError('out-of-range', `there is no tile ${JSON.stringify(tile)}`)
  const groups = [String(tile.index % 1000).padStart(3, '0')]
  for (let rest = Math.floor(tile.index / 1000); rest > 0; rest = Math.floor(rest / 1000))
    groups.unshift(`x${String(rest % 1000).padStart(3, '0')}`)
  const partial = tile.width < TILE_WIDTH ? `.p/${tile.width}` : ''
  return `tile/${tile.kind === 'entries' ? 'entries' : tile.level}/${groups.join('/')}${partial}`
}

/** The tile at a path; undefined for every other text, so also for another spelling of a tile's path. */
export function parseTilePath(path: string): Tile | undefined {
  const match = /^tile\/(entries|\d{1,2})\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/(\d{1,3}))?$/.exec(path)
  if (!match) return undefined
  const index = Number(match[2]!.replace(/[x/]/g, ''))
  const width = match[3] === undefined ? TILE_WIDTH : Number(match[3])
  const tile: Tile =
    match[1] === 'entries'
      ? { kind: 'entries', index, width }
      : { kind: 'hashes', level: Number(match[1]), index, width }
  return isTile(tile) && tilePath(tile) === path ? tile : undefined
}

function isTile(tile: Tile): boolean {
  const level = tile.kind === 'entries' ? 0 : tile.level
  return (
    Number.isSafeInteger(tile.index) &&
    tile.index >= 0 &&
    Number.isInteger(tile.width) &&
    tile.width >= 1 &&
    tile.width <= TILE_WIDTH &&
    Number.isInteger(level) &&
    level >= 0 &&
    level <= 63
  )
}

/** All tiles of a log of this size, bundles of entries first, then hashes level by level, each from left to right. */
export function* tilesOf(size: number): Generator<Tile> {
  yield* changedTiles(0, size)
}

/**
 * The tiles that a log of `to` entries has and one of `from` entries had not: what a writer writes after it has grown.
 * A partial tile is a tile of its own; the ones of the smaller size may be deleted once their full tile is there.
 */
export function* changedTiles(from: number, to: number): Generator<Tile> {
  for (const { index, width } of row(from, to)) yield { kind: 'entries', index, width }
  let [before, after] = [from, to]
  for (let level = 0; after > 0; level++) {
    for (const { index, width } of row(before, after)) yield { kind: 'hashes', level, index, width }
    before = Math.floor(before / TILE_WIDTH)
    after = Math.floor(after / TILE_WIDTH)
  }
}

function* row(from: number, to: number): Generator<{ index: number; width: number }> {
  if (from === to) return
  const full = Math.floor(to / TILE_WIDTH)
  for (let index = Math.floor(from / TILE_WIDTH); index < full; index++) yield { index, width: TILE_WIDTH }
  if (to % TILE_WIDTH > 0) yield { index: full, width: to % TILE_WIDTH }
}

/** The tile of hashes, of a log of this size, in which the hash of a complete subtree is or from which it follows. */
export function tileOfHash(level: number, index: number, size: number): Tile {
  const tileLevel = Math.floor(level / 8)
  const first = index * 2 ** (level - 8 * tileLevel)
  const tileIndex = Math.floor(first / TILE_WIDTH)
  const hashes = Math.floor(size / TILE_WIDTH ** tileLevel)
  const width = Math.min(TILE_WIDTH, hashes - tileIndex * TILE_WIDTH)
  const tile: Tile = { kind: 'hashes', level: tileLevel, index: tileIndex, width }
  if ((index + 1) * 2 ** level > size || !isTile(tile))
    throw new LedgerError('out-of-range', `a log of ${size} entries has no complete subtree ${index} of level ${level}`)
  return tile
}

/**
 * Hashes of a log of this size, read from its tiles; each tile is read once. Nothing is verified here: a proof made of
 * wrong tiles does not verify.
 */
export function hashReader(sha256: Sha256, size: number, readTile: TileReader): HashReader {
  const tiles = new Map<string, Promise<Uint8Array>>()
  const read = (tile: Tile) => {
    const path = tilePath(tile)
    let found = tiles.get(path)
    if (!found) {
      found = readTile(tile).then((bytes) => {
        if (bytes?.length === tile.width * HASH_BYTES) return bytes
        throw new LedgerError(
          'malformed-tile',
          `${path} ${bytes ? `has ${bytes.length} bytes, not ${tile.width * HASH_BYTES}` : 'is missing'}`,
        )
      })
      tiles.set(path, found)
    }
    return found
  }
  return async (level, index) => {
    const tile = tileOfHash(level, index, size)
    const bytes = await read(tile)
    const height = level % 8
    const begin = index * 2 ** height - tile.index * TILE_WIDTH
    let row = Array.from({ length: 2 ** height }, (_, i) => hashAt(bytes, begin + i))
    while (row.length > 1)
      row = Array.from({ length: row.length / 2 }, (_, i) => nodeHash(sha256, row[2 * i]!, row[2 * i + 1]!))
    return row[0]!
  }
}

/** The hash at a place of a tile of hashes. */
export const hashAt = (tile: Uint8Array, place: number): Uint8Array =>
  tile.subarray(place * HASH_BYTES, (place + 1) * HASH_BYTES)

/** A bundle of entries: each with its length before it, big-endian uint16. */
export function encodeEntries(entries: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(entries.reduce((length, entry) => length + 2 + entry.length, 0))
  let at = 0
  for (const entry of entries) {
    if (entry.length > MAX_ENTRY_BYTES)
      throw new LedgerError(
        'malformed-entry',
        `an entry has at most ${MAX_ENTRY_BYTES} bytes, this one ${entry.length}`,
      )
    bytes[at] = entry.length >> 8
    bytes[at + 1] = entry.length & 0xff
    bytes.set(entry, at + 2)
    at += 2 + entry.length
  }
  return bytes
}

/** What a bundle of `width` entries holds. `entries` ends early where the bundle does, and `whole` is false then, or where bytes are left over. */
export function decodeEntries(bytes: Uint8Array, width: number): { entries: Uint8Array[]; whole: boolean } {
  const entries: Uint8Array[] = []
  let at = 0
  while (entries.length < width && at + 2 <= bytes.length) {
    const end = at + 2 + (bytes[at]! << 8) + bytes[at + 1]!
    if (end > bytes.length) break
    entries.push(bytes.subarray(at + 2, end))
    at = end
  }
  return { entries, whole: entries.length === width && at === bytes.length }
}
