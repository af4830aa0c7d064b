import type { LedgerHead } from '@countersign/contract/evidence'
import { withSignature } from '@countersign/contract/ledger/checkpoint'
import { LedgerError } from '@countersign/contract/ledger/errors'
import { formatSignature, keyLabel, openNote, parseNote, parseVerifierKey } from '@countersign/contract/ledger/note'
import type { LedgerCrypto } from '@countersign/contract/ledger/ports'

/** At one checkpoint a second, a witness has some minutes for its cosignature. */
const KEPT = 256
/** A note has at most 100 signatures. */
const MOST_WITNESSES = 50

/** The checkpoints signed lately, newest last, each with the cosignatures that came for it. */
export class RecentHeads {
  readonly #crypto: LedgerCrypto
  readonly #bySize = new Map<number, LedgerHead>()
  #newest: LedgerHead | undefined

  constructor(crypto: LedgerCrypto) {
    this.#crypto = crypto
  }

  get newest(): LedgerHead | undefined {
    return this.#newest
  }

  /** Size of the oldest that is kept. */
  get oldest(): number {
    return this.#bySize.keys().next().value ?? 0
  }

  add(head: LedgerHead): void {
    this.#bySize.delete(head.size)
    this.#bySize.set(head.size, head)
    this.#newest = head
    if (this.#bySize.size > KEPT) this.#bySize.delete(this.#bySize.keys().next().value!)
  }

  /**
   * The checkpoint with a witness's line attached; to be passed to `cosigned` once it is kept.
   * @param vkey the witness's key, of type cosignature
   * @param note the checkpoint with its line, others are left aside
   * @throws LedgerError where the signature is wrong, or it is none of the checkpoints signed lately
   */
  withCosignature(vkey: string, note: string): LedgerHead {
    const key = parseVerifierKey(this.#crypto.sha256, vkey)
    if (key.type !== 'cosignature')
      throw new LedgerError('malformed-key', `${keyLabel(key)} is no key of a witness: it must be of type cosignature`)
    // Lines are told apart by name and four bytes of the key, which somebody with patience finds a second key for.
    if (key.name === this.#newest?.origin)
      throw new LedgerError(
        'malformed-key',
        `${keyLabel(key)} is named like the log itself: a witness needs its own name`,
      )
    const { text, verified } = openNote(this.#crypto, note, [key])
    const head = [...this.#bySize.values()].find((one) => parseNote(one.note).text === text)
    if (!head)
      throw new LedgerError(
        'out-of-range',
        'this log has signed no such checkpoint lately: fetch the newest one, check that it has grown from yours, and cosign that',
      )
    if (parseNote(head.note).signatures.length > MOST_WITNESSES)
      throw new LedgerError('out-of-range', `a checkpoint takes ${MOST_WITNESSES} cosignatures, and this one has them`)
    return { ...head, note: withSignature(head.note, formatSignature(verified[0]!.signature)) }
  }

  cosigned(head: LedgerHead): void {
    this.#bySize.set(head.size, head)
    if (this.#newest?.size === head.size) this.#newest = head
  }
}
