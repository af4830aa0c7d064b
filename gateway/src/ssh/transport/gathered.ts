import type { Readable } from 'node:stream'

/** Pieces below this are gathered. */
const SMALL = 2_048
const MOST = 16_384

/**
 * Bytes on their way into a stream. The small ones that come in one turn of the event loop go in together: a peer may
 * send a packet for each byte, and each piece has a price far beyond its bytes for as long as it waits to be read.
 */
export class Gathered {
  readonly #to: Readable
  #bytes: Buffer | undefined
  #length = 0
  #scheduled = false

  constructor(to: Readable) {
    this.#to = to
  }

  /** @returns whether there is room for more */
  take(bytes: Buffer): boolean {
    const { length } = bytes
    if (length >= SMALL) {
      this.flush()
      return this.#to.push(bytes)
    }
    if (this.#length + length > MOST) this.flush()
    this.#bytes ??= Buffer.allocUnsafe(this.#to.readableLength > 0 ? MOST : SMALL * 2)
    if (this.#length + length > this.#bytes.length) this.#grow()
    this.#bytes.set(bytes, this.#length)
    this.#length += length
    if (!this.#scheduled) {
      this.#scheduled = true
      process.nextTick(() => {
        this.#scheduled = false
        // While its reader is behind, the piece goes on growing: it goes in when there is enough of it, or is asked for.
        if (this.#to.readableLength < MOST) this.flush()
      })
    }
    return this.#to.readableLength + this.#length < this.#to.readableHighWaterMark
  }

  flush(): void {
    const bytes = this.#bytes?.subarray(0, this.#length)
    if (!bytes) return
    this.#bytes = undefined
    this.#length = 0
    this.#to.push(bytes)
  }

  #grow(): void {
    const grown = Buffer.allocUnsafe(MOST)
    grown.set(this.#bytes!.subarray(0, this.#length))
    this.#bytes = grown
  }
}
