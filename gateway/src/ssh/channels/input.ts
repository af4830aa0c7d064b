import type { Readable } from 'node:stream'

/** When standard input counts as whole, and when waiting for its end isn't worth it. */
export interface WholeWithin {
  bytes: number
  /** Milliseconds without a byte. */
  quiet: number
  /** Milliseconds in all. */
  most: number
}

/** Where input goes: false asks to wait for `resume`. */
export type Sink = (chunk: Buffer) => boolean

/**
 * What a client sends into its channel: kept, up to a bound, until it is known where it goes. Beyond the bound nothing
 * is read, and SSH's own window stops the client.
 */
export class Input {
  readonly #stream: Readable
  #kept: Buffer[] = []
  #bytes = 0
  #ended = false
  #sink: Sink | undefined
  #end: (() => void) | undefined
  #changed: (() => void) | undefined

  /** @param seen is given each chunk as it comes, before it goes anywhere */
  constructor(stream: Readable, bound: number, seen?: (chunk: Buffer) => void) {
    this.#stream = stream
    stream.on('data', (chunk: Buffer) => {
      seen?.(chunk)
      if (this.#sink) {
        if (!this.#sink(chunk)) stream.pause()
        return
      }
      this.#kept.push(chunk)
      this.#bytes += chunk.length
      if (this.#bytes >= bound) stream.pause()
      this.#changed?.()
    })
    stream.once('end', () => {
      this.#ended = true
      this.#end?.()
      this.#changed?.()
    })
  }

  /**
   * Waits until the client has said that nothing more comes. Meanwhile nothing goes anywhere.
   * @returns all of it; undefined where it is more than may be, or its end doesn't come in time
   */
  async whole(within: WholeWithin, signal: AbortSignal): Promise<Buffer | undefined> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const late = setTimeout(resolve, within.most)
    let quiet = setTimeout(resolve, within.quiet)
    signal.addEventListener('abort', () => resolve(), { once: true })
    const look = () => {
      clearTimeout(quiet)
      if (this.#ended || this.#bytes > within.bytes) return resolve()
      quiet = setTimeout(resolve, within.quiet)
    }
    this.#changed = look
    look()
    await promise
    this.#changed = undefined
    clearTimeout(late)
    clearTimeout(quiet)
    return this.#ended && this.#bytes <= within.bytes ? Buffer.concat(this.#kept) : undefined
  }

  /** From now on input goes to `sink`, first what was kept; `end` is called once after the last of it. */
  flow(sink: Sink, end: () => void): void {
    let room = true
    for (const chunk of this.#kept) room = sink(chunk) && room
    this.#kept = []
    this.#sink = sink
    if (this.#ended) end()
    else this.#end = end
    if (room) this.#stream.resume()
    else this.#stream.pause()
  }

  /** The sink takes more. */
  resume(): void {
    this.#stream.resume()
  }

  /** Whatever comes is thrown away: the channel ends. */
  discard(): void {
    this.#kept = []
    this.#sink = () => true
    this.#end = undefined
    this.#stream.resume()
  }
}
