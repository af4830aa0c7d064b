import { dirname, join } from 'node:path'
import { same } from '@countersign/contract/ledger/encoding'
import type { TileBytes } from '@countersign/contract/ledger/growth'
import { HASH_BYTES } from '@countersign/contract/ledger/merkle'
import { decodeEntries, encodeEntries, TILE_WIDTH, type Tile, tilePath } from '@countersign/contract/ledger/tiles'
import type { Disk } from './disk.ts'
import { LedgerStopped } from './ledger.ts'

/** The log's tiles as files, written once and never changed, but for what a crash has torn. */
export class TileFolder {
  readonly #disk: Disk
  readonly #folder: string
  readonly #made = new Set<string>()
  /** Folders with names that are not on disk yet. */
  readonly #unsynced = new Set<string>()

  constructor(disk: Disk, folder: string) {
    this.#disk = disk
    this.#folder = folder
  }

  /** Of a partial tile that is gone: the beginning of its full one. Undefined where there is neither. */
  read(tile: Tile): Uint8Array | undefined {
    const bytes = this.#disk.read(this.#file(tile))
    if (bytes || tile.width === TILE_WIDTH) return bytes
    const full = this.#disk.read(this.#file({ ...tile, width: TILE_WIDTH }))
    if (!full) return undefined
    if (tile.kind === 'hashes') return full.subarray(0, tile.width * HASH_BYTES)
    const { entries } = decodeEntries(full, tile.width)
    return entries.length === tile.width ? encodeEntries(entries) : undefined
  }

  /**
   * Has them on disk; their names once `sync` is through. A tile that is there already is left over from a crash, and is
   * the same, or the torn beginning of the same.
   * @throws LedgerStopped where it is another one
   */
  write(tiles: readonly TileBytes[]): void {
    for (const { tile, bytes } of tiles) {
      const file = this.#file(tile)
      this.#makeFolder(dirname(file))
      this.#unsynced.add(dirname(file))
      try {
        this.#disk.create(file, bytes)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
        this.#overwrite(file, tile, bytes)
      }
    }
  }

  /** Has the names of all that was written on disk. */
  sync(): void {
    for (const folder of this.#unsynced) {
      this.#disk.syncFolder(folder)
      this.#unsynced.delete(folder)
    }
  }

  #overwrite(file: string, tile: Tile, bytes: Uint8Array) {
    const there = this.#disk.read(file)
    if (there && !isTorn(there, bytes))
      throw new LedgerStopped(
        `The ledger can't go on: ${tilePath(tile)} holds other entries than entries.sqlite does. entries.sqlite, or the whole of data/ledger but this, was put back from an older copy: put back the newest one`,
      )
    // Written anew even where it is the same: nobody knows whether it had come to the disk.
    this.replace({ tile, bytes }, file)
  }

  /** Puts a tile in the place of a damaged one; its name is on disk once `sync` is through. */
  replace({ tile, bytes }: TileBytes, file = this.#file(tile)): void {
    const folder = dirname(file)
    this.#makeFolder(folder)
    this.#unsynced.add(folder)
    const fresh = join(folder, '.new')
    this.#disk.remove(fresh)
    this.#disk.create(fresh, bytes)
    this.#disk.rename(fresh, file)
  }

  /** Removes the partial tiles of a full one. */
  removePartial(full: Tile): void {
    this.#disk.remove(`${this.#file(full)}.p`)
  }

  /** The full tiles that a log of this size has and that aren't there. Partial ones that a crash has left beside their full one go. */
  missing(size: number): Tile[] {
    const missing: Tile[] = []
    const look = (row: { kind: 'entries' } | { kind: 'hashes'; level: number }, count: number) => {
      for (let first = 0; first < count; first += 1000) {
        const folder = dirname(this.#file({ ...row, index: first, width: TILE_WIDTH }))
        const names = new Set(this.#disk.list(folder))
        for (let index = first; index < Math.min(count, first + 1000); index++) {
          const tile: Tile = { ...row, index, width: TILE_WIDTH }
          const name = String(index % 1000).padStart(3, '0')
          if (!names.has(name)) missing.push(tile)
          else if (names.has(`${name}.p`)) this.removePartial(tile)
        }
      }
    }
    look({ kind: 'entries' }, Math.floor(size / TILE_WIDTH))
    let count = Math.floor(size / TILE_WIDTH)
    for (let level = 0; count > 0; level++, count = Math.floor(count / TILE_WIDTH))
      look({ kind: 'hashes', level }, count)
    return missing
  }

  /** A tile of entries that a log of this size has not yet. */
  beyond(size: number): Tile | undefined {
    const index = Math.floor(size / TILE_WIDTH)
    const full = this.#file({ kind: 'entries', index, width: TILE_WIDTH })
    if (this.#disk.read(full)) return { kind: 'entries', index, width: TILE_WIDTH }
    const width = Math.max(0, ...this.#disk.list(`${full}.p`).map(Number).filter(Number.isInteger))
    return width > size % TILE_WIDTH ? { kind: 'entries', index, width } : undefined
  }

  #file(tile: Tile): string {
    return join(this.#folder, ...tilePath(tile).split('/'))
  }

  #makeFolder(folder: string): void {
    if (this.#made.has(folder) || folder === this.#folder) return
    const above = dirname(folder)
    this.#makeFolder(above)
    if (this.#disk.makeFolder(folder)) this.#unsynced.add(above)
    this.#made.add(folder)
  }
}

/** A write that a crash has cut off leaves a beginning, or zeroes where the rest should be. */
const isTorn = (there: Uint8Array, whole: Uint8Array): boolean =>
  same(there, whole) || (there.length <= whole.length && there.every((byte, at) => byte === whole[at] || byte === 0))
