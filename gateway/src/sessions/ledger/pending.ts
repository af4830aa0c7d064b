import { randomBytes } from 'node:crypto'
import { SALT_BYTES, sealEntry } from '@countersign/contract/ledger/entry'
import type { Sha256 } from '@countersign/contract/ledger/ports'
import type { Meta, Tail } from './rows.ts'
import { usingTypes } from './use.ts'

export interface NewLedgerEntry {
  /** ISO 8601, UTC, milliseconds. */
  at: string
  type: string
  /** As its schema has it; nobody looks again. */
  payload: unknown
  /** The session with whose evidence it is found. */
  session?: string | undefined
}

interface Sealed {
  n: number
  at: string
  type: string
  session: string | null
  payload: Uint8Array
  salt: Uint8Array
  leaf: Uint8Array
  /** The payload before it was sealed, where use is counted by it. */
  said?: unknown
}

/** What the next commit is made of. */
export class Pending {
  readonly #sha256: Sha256
  readonly entries: Sealed[] = []
  readonly tails = new Map<string, Tail | undefined>()
  readonly meta = new Map<string, Meta | undefined>()
  /** Drawn many at a time. */
  #salts: Uint8Array = new Uint8Array(0)
  #saltAt = 0

  constructor(sha256: Sha256) {
    this.#sha256 = sha256
  }

  get empty(): boolean {
    return this.entries.length + this.tails.size + this.meta.size === 0
  }

  /** @throws TypeError, LedgerError where it makes no entry */
  add(n: number, { at, type, payload, session }: NewLedgerEntry): void {
    const sealed = sealEntry(this.#sha256, { n, at, type, payload, salt: this.#salt() })
    this.entries.push({
      n,
      at,
      type,
      session: session ?? null,
      payload: sealed.payload,
      salt: sealed.salt,
      leaf: sealed.leaf,
      ...(usingTypes.has(type) && { said: payload }),
    })
  }

  #salt(): Uint8Array {
    if (this.#saltAt === this.#salts.length) {
      this.#salts = randomBytes(SALT_BYTES * 512)
      this.#saltAt = 0
    }
    const salt = this.#salts.subarray(this.#saltAt, this.#saltAt + SALT_BYTES)
    this.#saltAt += SALT_BYTES
    return salt
  }

  clear(): void {
    this.entries.length = 0
    this.tails.clear()
    this.meta.clear()
  }
}
