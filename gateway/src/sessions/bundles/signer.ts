import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fromUtf8 } from '@countersign/contract/ledger/encoding'
import { parseSignerKey, type SignerKey } from '@countersign/contract/ledger/note'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import { NoBundle } from './bundles.ts'

/**
 * The key that signs the log now: it signs bundles too.
 * @param folder `data/ledger`
 * @throws NoBundle where it isn't there, may not be read, or is no key
 */
export async function signerOf(folder: string): Promise<SignerKey> {
  const file = join(folder, 'key')
  try {
    return parseSignerKey(nodeCrypto, (fromUtf8(await readFile(file)) ?? '').trimEnd())
  } catch (error) {
    throw new NoBundle(
      'damaged',
      `A bundle is signed by the ledger's key, and ${file} can't be used (${(error as Error).message}): run this as the gateway's user, or put the copy of the key back.`,
    )
  }
}
