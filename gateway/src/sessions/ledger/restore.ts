import { same } from '@countersign/contract/ledger/encoding'
import { LedgerError } from '@countersign/contract/ledger/errors'
import { GrowingLog, restoreLog, type TileBytes } from '@countersign/contract/ledger/growth'
import { leafHash, type TreeHead } from '@countersign/contract/ledger/merkle'
import type { Sha256 } from '@countersign/contract/ledger/ports'
import { decodeEntries, hashReader, TILE_WIDTH, tilePath } from '@countersign/contract/ledger/tiles'
import { leafOf } from './leaf.ts'
import { LedgerStopped } from './ledger.ts'
import type { EntryRow, EntryRows } from './rows.ts'
import type { TileFolder } from './tile-folder.ts'

/**
 * The log as it is to go on: as long as the rows are, since what is committed there counts. The tiles are believed up to
 * the checkpoint where they lead to its root; where they don't, or some are gone, they are made again from the rows, if
 * these lead there.
 * @param head the newest checkpoint that this log has signed, undefined where it has signed none
 * @param found is told, for people, what was mended
 * @throws LedgerStopped where rows, tiles and checkpoint can't all be of one log
 */
export async function restore(
  sha256: Sha256,
  from: { rows: EntryRows; tiles: TileFolder; head: TreeHead | undefined },
  found: (what: string) => void,
): Promise<GrowingLog> {
  const { rows, tiles, head } = from
  const size = head?.size ?? 0
  const kept = rows.count()
  if (kept < size)
    throw new LedgerStopped(
      `The ledger can't go on: its checkpoint covers ${size} entries, entries.sqlite has ${kept}. It was put back from an older copy, or lost its end: put back the newest copy of entries.sqlite and entries.sqlite-wal. If there is none, move data/ledger away (it stays as verifiable as it is) and a new ledger begins`,
    )
  const beyond = tiles.beyond(kept)
  if (beyond)
    throw new LedgerStopped(
      `The ledger can't go on: ${tilePath(beyond)} holds entries after the ${kept} that entries.sqlite has. entries.sqlite was put back from an older copy: put back the newest copy of it and of entries.sqlite-wal`,
    )
  const log =
    (head && head.size > 0 ? await fromTiles(sha256, rows, tiles, head) : new GrowingLog(sha256)) ??
    fromRows(sha256, rows, tiles, head!, found)
  for (const row of numbered(rows, size, kept)) {
    const leaf = leafOf(sha256, row)
    if (!leaf) throw damaged(`entry ${row.n} in entries.sqlite makes no leaf`)
    log.append(leaf)
  }
  if (kept > size)
    found(
      `${kept - size} entries (${size} to ${kept - 1}) were on disk but not yet covered by a signed checkpoint: they are now`,
    )
  return log
}

/** Undefined where the tiles don't lead to the root, or some aren't there. */
async function fromTiles(
  sha256: Sha256,
  rows: EntryRows,
  tiles: TileFolder,
  { size, root }: TreeHead,
): Promise<GrowingLog | undefined> {
  if (tiles.missing(size).length > 0) return undefined
  const read = async (tile: Parameters<TileFolder['read']>[0]) => tiles.read(tile)
  try {
    const log = await restoreLog(sha256, size, read)
    if (!same(log.root(), root)) return undefined
    const [row] = rows.entries(size - 1, size).next().value ?? []
    const leaf = row && leafOf(sha256, row)
    // Rows of another log, or of a time before it went another way: the last one of the checkpoint tells.
    if (leaf && !same(leafHash(sha256, leaf), await hashReader(sha256, size, read)(0, size - 1)))
      throw damaged(
        `entry ${size - 1} in entries.sqlite is not the one that the checkpoint covers: entries.sqlite was changed, or is one of another ledger`,
      )
    return log
  } catch (error) {
    if (error instanceof LedgerError) return undefined
    throw error
  }
}

function fromRows(
  sha256: Sha256,
  rows: EntryRows,
  tiles: TileFolder,
  head: TreeHead,
  found: (what: string) => void,
): GrowingLog {
  const again = (each: (tile: TileBytes) => void) => {
    const log = new GrowingLog(sha256)
    // Of the partial ones only those of the end count; changed() tells of each when it last grew.
    const partial = new Map<string, TileBytes>()
    const take = () => {
      for (const one of log.changed()) {
        const row = one.tile.kind === 'entries' ? 'entries' : String(one.tile.level)
        if (one.tile.width < TILE_WIDTH) partial.set(row, one)
        else {
          partial.delete(row)
          each(one)
        }
      }
    }
    for (const leaf of leavesOf(sha256, rows, tiles, head.size)) {
      log.append(leaf)
      if (log.size % TILE_WIDTH === 0) take()
    }
    take()
    for (const one of partial.values()) each(one)
    return log
  }
  if (!same(again(() => {}).root(), head.root))
    throw damaged('neither the tiles nor entries.sqlite have the entries that its checkpoint covers')
  let mended = 0
  let first = ''
  const log = again((one) => {
    const there = tiles.read(one.tile)
    if (there && same(there, one.bytes)) return
    tiles.replace(one)
    mended++
    first ||= tilePath(one.tile)
  })
  tiles.sync()
  found(
    `${mended} tile${mended === 1 ? ' was' : 's were'} damaged or missing, first ${first}: made again from the entries, which agree with the checkpoint`,
  )
  return log
}

/** As in the rows; of a row that has lost both payload and commitment, as in its tile. The root tells whether it is right. */
function* leavesOf(sha256: Sha256, rows: EntryRows, tiles: TileFolder, size: number): Generator<Uint8Array> {
  for (const row of numbered(rows, 0, size)) {
    const leaf = leafOf(sha256, row) ?? leafInTile(tiles, row.n, size)
    if (!leaf) throw damaged(`entry ${row.n} is neither in entries.sqlite nor in the tiles`)
    yield leaf
  }
}

function leafInTile(tiles: TileFolder, n: number, size: number): Uint8Array | undefined {
  const index = Math.floor(n / TILE_WIDTH)
  const width = Math.min(TILE_WIDTH, size - index * TILE_WIDTH)
  const bytes = tiles.read({ kind: 'entries', index, width })
  return bytes && decodeEntries(bytes, width).entries[n % TILE_WIDTH]
}

function* numbered(rows: EntryRows, from: number, to: number): Generator<EntryRow> {
  let next = from
  for (const batch of rows.entries(from, to))
    for (const row of batch) {
      if (row.n !== next) throw damaged(`entry ${next} is not in entries.sqlite`)
      next++
      yield row
    }
  if (next !== to) throw damaged(`entry ${next} is not in entries.sqlite`)
}

const damaged = (what: string) =>
  new LedgerStopped(
    `The ledger can't go on: ${what}. Copy data/ledger away as it is, let \`countersign-gateway verify\` say what is wrong, and put back the newest copy of what is damaged. If there is none, move data/ledger away (it stays as verifiable as it is) and a new ledger begins`,
  )
