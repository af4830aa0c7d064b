import { randomBytes } from 'node:crypto'
import type { Cosignature } from '@countersign/contract/evidence'
import { cosign, withSignature } from '@countersign/contract/ledger/checkpoint'
import {
  formatSignerKey,
  formatVerifierKey,
  parseSignerKey,
  type SignerKey,
  signerKey,
} from '@countersign/contract/ledger/note'
import type { LedgerCrypto, LedgerSigning } from '@countersign/contract/ledger/ports'
import type { SecureStorage } from '../ports/secure-storage.ts'
import type { WitnessStore } from './witness-store.ts'

const keyName = 'cosignature-key'

/** This desktop's own key, and what it signs by it: checkpoints that were proven and are stored, and no others. */
export interface Cosigner {
  readonly possible: boolean
  /** The public key, once there is one. */
  vkey(): Promise<string | undefined>
  /** A cosignature for a checkpoint; the key is made when it is first needed. `at` in seconds since 1970. */
  sign(note: string, at: number): Promise<Cosignature>
}

export function createCosigner(
  crypto: LedgerCrypto & LedgerSigning,
  secrets: SecureStorage,
  store: WitnessStore,
): Cosigner {
  let loading: Promise<SignerKey | undefined> | undefined
  const load = () => {
    loading ??= secrets.get(keyName).then((kept) => (kept ? parseSignerKey(crypto, kept) : undefined))
    return loading
  }
  async function obtain(): Promise<SignerKey> {
    const kept = await load()
    if (kept) return kept
    const name = `console.countersign/${randomBytes(5).toString('hex')}`
    const key = signerKey(crypto, name, 'cosignature', randomBytes(32))
    await secrets.set(keyName, formatSignerKey(key))
    store.keep('cosignature-vkey', formatVerifierKey(key))
    loading = Promise.resolve(key)
    return key
  }
  return {
    possible: secrets.persistent,
    async vkey() {
      const key = await load()
      return key && formatVerifierKey(key)
    },
    async sign(note, at) {
      const key = await obtain()
      return { key: formatVerifierKey(key), note: withSignature(note, cosign(crypto, note, key, at)) }
    },
  }
}
