import { same } from '@countersign/contract/ledger/encoding'
import {
  compactLevels,
  consistencyProof,
  HASH_BYTES,
  type HashReader,
  restoreTree,
  rootsOfConsistency,
  type TreeHead,
} from '@countersign/contract/ledger/merkle'
import type { Sha256 } from '@countersign/contract/ledger/ports'
import { TILE_WIDTH, type TileReader, tilePath } from '@countersign/contract/ledger/tiles'

/**
 * Whether the log of checkpoint `to` begins with that of checkpoint `from`. `forked` is certain: the hashes lead to the
 * root of `to`, so they are those of its log, and it had another root at the size of `from`. `wrong-tiles` says nothing
 * of the log, only that the hashes that were read are not of it.
 */
export type Ancestry = { is: 'ancestor' } | { is: 'forked'; path: Uint8Array[] } | { is: 'wrong-tiles' }

/** `from` is no larger than `to`; `read` gives hashes of the log of `to`, from whoever, and is not believed. */
export async function ancestry(sha256: Sha256, from: TreeHead, to: TreeHead, read: HashReader): Promise<Ancestry> {
  if (from.size === to.size) return same(from.root, to.root) ? { is: 'ancestor' } : { is: 'forked', path: [] }
  if (from.size === 0) return same(from.root, sha256()) ? { is: 'ancestor' } : { is: 'forked', path: [] }
  const proof = await consistencyProof(sha256, from.size, to.size, read)
  const levels = compactLevels(from.size)
  // Where the older tree is one complete subtree, the proof leaves its root out. We read it, to learn what it was.
  const path = levels.length === 1 ? [await read(levels[0]!, 0), ...proof] : proof
  const roots = rootsOfConsistency(sha256, from.size, to.size, path)
  if (!roots || !same(roots.newer, to.root)) return { is: 'wrong-tiles' }
  return same(roots.older, from.root) ? { is: 'ancestor' } : { is: 'forked', path }
}

/** Whether the tiles that are shown lead to this root, along the log's right edge. */
export async function leadsTo(sha256: Sha256, head: TreeHead, read: HashReader): Promise<boolean> {
  return same((await restoreTree(sha256, head.size, read)).root(), head.root)
}

/** More tiles are not asked for in one look: 4 MiB. A proof between two checkpoints takes a dozen. */
export const mostTiles = 512

/** A look would take more tiles than {@link mostTiles}. */
export class TooManyTiles extends Error {
  override name = 'TooManyTiles'
}

/**
 * Tiles by `fetch`, which answers null where there is none. A partial tile may have gone when its full one was written
 * (C2SP tlog-tiles, "Partial tiles"): then the full one is cut.
 */
export function tilesBy(fetch: (path: string) => Promise<Uint8Array | null>): TileReader {
  let asked = 0
  const one = (path: string) => {
    asked += 1
    if (asked > mostTiles) throw new TooManyTiles(`more than ${mostTiles} tiles`)
    return fetch(path)
  }
  return async (tile) => {
    const bytes = await one(tilePath(tile))
    if (bytes || tile.width === TILE_WIDTH || tile.kind !== 'hashes') return bytes ?? undefined
    const full = await one(tilePath({ ...tile, width: TILE_WIDTH }))
    return full?.length === TILE_WIDTH * HASH_BYTES ? full.subarray(0, tile.width * HASH_BYTES) : undefined
  }
}
