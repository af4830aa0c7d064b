import type { LedgerState } from '@countersign/contract/evidence'
import { openCheckpoint } from '@countersign/contract/ledger/checkpoint'
import { KeyChain } from '@countersign/contract/ledger/key-chain'
import { parseVerifierKey, sameKey, type VerifierKey } from '@countersign/contract/ledger/note'
import type { LedgerCrypto } from '@countersign/contract/ledger/ports'
import type { LogRow, Rotation, WitnessStore } from './witness-store.ts'

/** So many rotations are followed: more of them is not a log's life but a verifier's burden. */
const mostRotations = 64

/** The keys that may sign a log: the pinned one, and those that it was handed over to. */
export function chainOf(crypto: LedgerCrypto, log: LogRow, rotations: readonly Rotation[]): KeyChain {
  const chain = new KeyChain(crypto, [parseVerifierKey(crypto.sha256, log.pinned)])
  // The entry itself isn't shown by the gateway, but by its place it is older than the checkpoint that covers it.
  for (const { from, to, handover, size } of rotations) chain.rotate(size - 1, { from, to, reason: '' }, [handover])
  return chain
}

export const storedChain = (crypto: LedgerCrypto, store: WitnessStore, log: LogRow): KeyChain =>
  chainOf(crypto, log, store.rotations(log.id))

/**
 * The rotations from the pinned key on: those that are stored, and those that the gateway shows. Each is signed by both
 * keys; that its checkpoint is of this very log is for the caller to prove, of those whose `seenAt` is `now`.
 */
export function followRotations(
  crypto: LedgerCrypto,
  store: WitnessStore,
  log: LogRow,
  ledger: LedgerState,
  now: string,
): Rotation[] {
  const rotations = store.rotations(log.id)
  const told = ledger.keys.slice(-mostRotations - 1).flatMap((vkey) => parsed(crypto, vkey) ?? [])
  let current = parseVerifierKey(crypto.sha256, rotations.at(-1)?.to ?? log.pinned)
  let at = told.findIndex(({ key }) => sameKey(key, current))
  while (at >= 0 && at + 1 < told.length) {
    const next = told[at + 1]!
    const handover = ledger.handovers
      .slice(-mostRotations)
      .flatMap((note) => signedByBoth(crypto, note, current, next.key) ?? [])[0]
    if (!handover) break
    rotations.push({ from: told[at]!.vkey, to: next.vkey, ...handover, seenAt: now })
    current = next.key
    at += 1
  }
  return rotations
}

function signedByBoth(crypto: LedgerCrypto, note: string, from: VerifierKey, to: VerifierKey) {
  try {
    const { checkpoint, signed } = openCheckpoint(crypto, note, [from, to])
    return signed.length === 2 ? { handover: note, size: checkpoint.size } : undefined
  } catch {
    return undefined
  }
}

function parsed(crypto: LedgerCrypto, vkey: string) {
  try {
    return { vkey, key: parseVerifierKey(crypto.sha256, vkey) }
  } catch {
    return undefined
  }
}
