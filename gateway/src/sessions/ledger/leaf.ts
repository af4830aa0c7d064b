import { hex, utf8 } from '@countersign/contract/ledger/encoding'
import { parseLeaf } from '@countersign/contract/ledger/entry'
import type { Sha256 } from '@countersign/contract/ledger/ports'
import type { EntryRow } from './rows.ts'

/**
 * The leaf of an entry, made again from its row: number, time and type stand in it, and the commitment follows from salt
 * and payload, or was kept when these were erased. So the tiles follow from the rows, byte for byte.
 * Undefined where the row has neither, or makes no leaf.
 */
export function leafOf(sha256: Sha256, row: EntryRow): Uint8Array | undefined {
  const commitment = row.payload && row.salt ? sha256(row.salt, row.payload) : row.commitment
  if (!commitment) return undefined
  const leaf = utf8(`{"at":"${row.at}","commitment":"${hex(commitment)}","n":${row.n},"type":"${row.type}","v":1}`)
  return parseLeaf(leaf) && leaf
}
