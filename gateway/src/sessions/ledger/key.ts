import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { fromUtf8, utf8 } from '@countersign/contract/ledger/encoding'
import {
  formatSignerKey,
  formatVerifierKey,
  parseSignerKey,
  type SignerKey,
  signerKey,
} from '@countersign/contract/ledger/note'
import type { LedgerCrypto, LedgerSigning } from '@countersign/contract/ledger/ports'
import { type Disk, replaceFile } from './disk.ts'
import { LedgerStopped } from './ledger.ts'

/** A key that signs the log, or did: the first one, and each that followed. */
export interface KeyLink {
  vkey: string
  /** The entry key.rotated that brought it; the first key has none. */
  entry?: number
  /** The checkpoint that both it and the one before have signed; absent while it is being handed over. */
  handover?: string
}

/** A new Ed25519 key. @param origin the log's name, and so the key's */
export const newKey = (crypto: LedgerCrypto & LedgerSigning, origin: string): SignerKey =>
  signerKey(crypto, origin, 'ed25519', randomBytes(32))

/**
 * The signer key in a file, undefined where there is none.
 * @throws LedgerStopped where it is no key
 */
export function readKey(crypto: LedgerCrypto & LedgerSigning, disk: Disk, file: string): SignerKey | undefined {
  const bytes = disk.read(file)
  if (!bytes) return undefined
  try {
    const key = parseSignerKey(crypto, (fromUtf8(bytes) ?? '').trimEnd())
    if (key.type !== 'ed25519') throw new Error('it is a witness’s')
    return key
  } catch (error) {
    throw new LedgerStopped(
      `The ledger can't be signed: ${file} holds no key of a log (${(error as Error).message}); put back the copy that was made of it`,
      { cause: error },
    )
  }
}

/** Mode 0600, on disk when it returns. */
export const writeKey = (disk: Disk, file: string, key: SignerKey): void =>
  replaceFile(disk, file, utf8(`${formatSignerKey(key)}\n`))

/** Makes `vkey` what people may read, if it isn't. */
export function writeVerifierKey(disk: Disk, folder: string, key: SignerKey): void {
  const file = join(folder, 'vkey')
  const text = `${formatVerifierKey(key)}\n`
  const there = disk.read(file)
  if (!there || fromUtf8(there) !== text) replaceFile(disk, file, utf8(text))
}
