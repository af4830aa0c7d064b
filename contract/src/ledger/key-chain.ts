import { type OpenedCheckpoint, openCheckpoint } from './checkpoint.ts'
import { LedgerError } from './errors.ts'
import { keyLabel, parseNote, parseVerifierKey, sameKey, type VerifierKey } from './note.ts'
import type { KeyRotated } from './payloads.ts'
import type { LedgerCrypto } from './ports.ts'

/**
 * Which keys may sign a log, from the ones that somebody pinned and the log's own word on their successors.
 *
 * A key is handed over in two steps. Entry `key.rotated` names the old and the new key; and the first checkpoint that
 * covers it, the handover, is signed by both. So the old key vouches for a tree in which the new one is named, and who
 * pinned the old one follows without asking anybody. From that entry on, the old key's signature alone counts for nothing.
 * (An extension line of the checkpoint would do too, but C2SP tlog-checkpoint advises against them, and monitors of the
 * log would not see it.)
 */
export class KeyChain {
  readonly #crypto: LedgerCrypto
  readonly #pinned: readonly VerifierKey[]
  readonly #trusted: { key: VerifierKey; retiredBy?: number }[]

  constructor(crypto: LedgerCrypto, pinned: readonly VerifierKey[]) {
    this.#crypto = crypto
    this.#pinned = pinned
    this.#trusted = pinned.map((key) => ({ key }))
  }

  get empty(): boolean {
    return this.#pinned.length === 0
  }

  /** The trusted keys that may sign for a log of this size: the retired ones no more. */
  inForce(size: number): VerifierKey[] {
    return this.#trusted.filter(({ retiredBy }) => retiredBy === undefined || size <= retiredBy).map(({ key }) => key)
  }

  /**
   * A checkpoint that a trusted key signed which was in force for a log of its size.
   * @throws LedgerError as openCheckpoint, `unknown-key` for one signed by retired keys only
   */
  open(note: Uint8Array | string): OpenedCheckpoint {
    const opened = openCheckpoint(
      this.#crypto,
      note,
      this.#trusted.map(({ key }) => key),
    )
    const keys = this.inForce(opened.checkpoint.size)
    const signed = opened.signed.filter(({ key }) => keys.includes(key))
    if (signed.length === 0) {
      const labels = opened.signed.map(({ key }) => keyLabel(key)).join(', ')
      throw new LedgerError(
        'unknown-key',
        `signed only by ${labels}, which had been replaced before the log had ${opened.checkpoint.size} entries`,
      )
    }
    return { ...opened, signed }
  }

  /**
   * Follows a rotation that stands in the log as entry `n`. `handovers` are checkpoints that the caller found to be of
   * this very log (root at that size, or consistency and inclusion); their signatures are looked at here.
   * Answers what is wrong with it in words, or undefined. A rotation between keys that nobody here trusts is ignored.
   */
  rotate(n: number, payload: KeyRotated, handovers: readonly string[]): string | undefined {
    let from: VerifierKey
    let to: VerifierKey
    try {
      from = parseVerifierKey(this.#crypto.sha256, payload.from)
      to = parseVerifierKey(this.#crypto.sha256, payload.to)
    } catch (error) {
      return `entry ${n} names a new key that is none: ${(error as Error).message}`
    }
    const old = this.#trusted.find(({ key }) => sameKey(key, from))
    if (!old) return undefined
    if (to.name !== from.name) return `entry ${n} hands the log over to a key of another log, ${keyLabel(to)}`
    const signed = handovers.some((note) => this.#isHandover(note, n, from, to))
    if (!signed && !this.#trusted.some(({ key }) => sameKey(key, to)))
      return `entry ${n} names the new key ${keyLabel(to)}, but no checkpoint over it is signed by both ${keyLabel(from)} and it`
    old.retiredBy ??= n
    if (!this.#trusted.some(({ key }) => sameKey(key, to))) this.#trusted.push({ key: to })
    return undefined
  }

  #isHandover(note: string, n: number, from: VerifierKey, to: VerifierKey): boolean {
    try {
      const { checkpoint, signed } = openCheckpoint(this.#crypto, note, [from, to])
      return checkpoint.size > n && signed.length === 2
    } catch {
      return false
    }
  }
}

/** Who signed a note, as its lines claim. */
export function claimedSigners(note: Uint8Array | string): string[] {
  try {
    return parseNote(note).signatures.map(keyLabel)
  } catch {
    return []
  }
}
