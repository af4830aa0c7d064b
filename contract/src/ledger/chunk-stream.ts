import { concat, hex } from './encoding.ts'
import type { RecordingChunk } from './payloads.ts'
import type { LedgerCrypto } from './ports.ts'

/**
 * A recording that comes bit by bit, held against its chunks. Give it all bytes, then ask `problem` for the first place
 * at which it is not what was logged.
 */
export class ChunkStream {
  readonly #crypto: LedgerCrypto
  readonly #session: string
  readonly #chunks: readonly { entry: number; chunk: RecordingChunk }[]
  #at = 0
  #offset = 0
  #held: Uint8Array[] = []
  #heldBytes = 0
  #problem: { about: 'integrity' | 'completeness'; offset: number; entry?: number; text: string } | undefined

  constructor(crypto: LedgerCrypto, session: string, chunks: readonly { entry: number; chunk: RecordingChunk }[]) {
    this.#crypto = crypto
    this.#session = session
    this.#chunks = chunks
  }

  push(bytes: Uint8Array): void {
    let rest = bytes
    while (rest.length > 0 && !this.#problem) {
      const next = this.#chunks[this.#at]
      if (!next) {
        this.#unlogged(this.#offset)
        return
      }
      const { entry, chunk } = next
      if (chunk.index !== this.#at || chunk.offset !== this.#offset) {
        this.#unlogged(this.#offset)
        return
      }
      const part = rest.subarray(0, chunk.length - this.#heldBytes)
      rest = rest.subarray(part.length)
      // Copied, since a reader may use its buffer again (and not by slice(): a Buffer's is a view).
      this.#held.push(new Uint8Array(part))
      this.#heldBytes += part.length
      if (this.#heldBytes < chunk.length) return
      const whole = this.#held.length === 1 ? this.#held[0]! : concat(...this.#held)
      if (hex(this.#crypto.sha256(whole)) !== chunk.sha256) {
        const last = chunk.offset + chunk.length - 1
        const text = `recording ${this.#session} was changed between byte ${chunk.offset} and byte ${last}: its chunk ${chunk.index} is not the one of entry ${entry}`
        this.#problem = { about: 'integrity', offset: chunk.offset, entry, text }
      }
      this.#held = []
      this.#heldBytes = 0
      this.#at++
      this.#offset += chunk.length
    }
  }

  get problem() {
    const next = this.#chunks[this.#at]
    if (!this.#problem && next) {
      const offset = this.#offset + this.#heldBytes
      const text = `recording ${this.#session} ends at byte ${offset}; the log has ${this.#chunks.length - this.#at} more of its chunks (entry ${next.entry} on)`
      this.#problem = { about: 'completeness', offset, entry: next.entry, text }
    }
    return this.#problem
  }

  #unlogged(offset: number) {
    const text = `recording ${this.#session} from byte ${offset} on is in no entry of this bundle`
    this.#problem = { about: 'completeness', offset, text }
  }
}
