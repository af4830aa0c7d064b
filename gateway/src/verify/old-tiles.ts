import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { same } from '@countersign/contract/ledger/encoding'
import type { Findings } from '@countersign/contract/ledger/findings'
import { HASH_BYTES } from '@countersign/contract/ledger/merkle'
import {
  decodeEntries,
  encodeEntries,
  parseTilePath,
  TILE_WIDTH,
  type Tile,
  type TileReader,
  tilePath,
} from '@countersign/contract/ledger/tiles'

/**
 * The tiles that the newest checkpoint doesn't need: partial ones of smaller logs, which whoever has an older checkpoint
 * asks for, must be the beginning of what has become of them; and none is of entries that never were.
 * @param size entries that the checkpoint covers
 * @param kept entries that are kept, those without a checkpoint among them; undefined while they grow
 */
export async function checkOldTiles(
  folder: string,
  log: { size: number; kept: number | undefined; read: TileReader },
  found: Findings,
) {
  for await (const path of tilesIn(folder, join(folder, 'tile'))) {
    const tile = parseTilePath(path)
    if (!tile) continue
    const count = countAt(tile, log.size)
    const first = tile.index * TILE_WIDTH
    if (first + tile.width > count) {
      // Written before the checkpoint that covers it, which a crash has kept from being signed.
      if (log.kept !== undefined && first + tile.width > countAt(tile, log.kept))
        found.wrong('tile-beyond', { tile: path }, `${path} is of entries after the last one, ${log.kept - 1}`)
      continue
    }
    const width = Math.min(TILE_WIDTH, count - first)
    if (tile.width === width) continue // The verifier has seen it.
    const [old, now] = await Promise.all([
      readFile(join(folder, ...path.split('/'))),
      readNow(log.read, { ...tile, width }),
    ])
    // What has become of it is missing or damaged, and that was told.
    const beginning = now && beginningOf(tile, now)
    if (beginning && !same(old, beginning))
      found.wrong(
        'tile-old',
        { tile: path },
        `${path} was changed: it is not the beginning of what became of it, ${tilePath({ ...tile, width })}`,
      )
  }
}

/** Hashes, or entries, at the level of a tile in a log of this size. */
function countAt(tile: Tile, size: number): number {
  let count = size
  for (let level = tile.kind === 'hashes' ? tile.level : 0; level > 0; level--) count = Math.floor(count / TILE_WIDTH)
  return count
}

const readNow = async (read: TileReader, tile: Tile) =>
  (await read(tile)) ?? (await read({ ...tile, width: TILE_WIDTH }))

function beginningOf(tile: Tile, now: Uint8Array): Uint8Array | undefined {
  if (tile.kind === 'hashes')
    return now.length < tile.width * HASH_BYTES ? undefined : now.subarray(0, tile.width * HASH_BYTES)
  const { entries } = decodeEntries(now, tile.width)
  return entries.length < tile.width ? undefined : encodeEntries(entries)
}

async function* tilesIn(root: string, folder: string): AsyncGenerator<string> {
  const names = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  names.sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const entry of names) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* tilesIn(root, path)
    else yield relative(root, path).split(/[\\/]/).join('/')
  }
}
