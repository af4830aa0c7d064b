import { writeSync } from 'node:fs'
import type { Socket } from 'node:net'

/**
 * Where bytes leave by a socket. They are handed to the system by its descriptor, as long as the system takes them; what
 * it doesn't take goes the socket's own way, which waits. Of what a relayed message costs, a stream's book-keeping would
 * be the largest part (docs/decisions).
 *
 * Little leaves at the end of the event loop's turn, together with what all other sessions have to say: whoever waits for
 * it runs at once, on this core, so that between two sessions' messages the caches would be somebody else's.
 */
export class Outlet {
  readonly #socket: Socket
  /** -1 where only the socket itself may write: TLS, or a system without descriptors. */
  readonly #descriptor: number
  /** What leaves at the end of this turn, and its length. */
  #pieces: Buffer[] = []
  #waiting = 0

  constructor(socket: Socket) {
    this.#socket = socket
    this.#descriptor = 'encrypted' in socket ? -1 : descriptorOf(socket)
  }

  /** Whether the other side takes too little: nothing more should be written before the socket's `drain`. */
  get full(): boolean {
    return this.#socket.writableLength >= this.#socket.writableHighWaterMark
  }

  /**
   * Writes, unless the socket is closed. An error is the socket's: it is destroyed with it.
   * @param lent whether the bytes' memory is used for other things once this returns
   */
  write(bytes: Buffer, lent: boolean): void {
    if (this.#waiting + bytes.length > LITTLE) {
      this.flush()
      this.#write(bytes, lent)
      return
    }
    if (this.#pieces.length === 0) leaveLater(this)
    this.#pieces.push(lent ? Buffer.from(bytes) : bytes)
    this.#waiting += bytes.length
  }

  /** Writes what waits for the end of the turn: to be called before anything else writes to the socket, or ends it. */
  flush(): void {
    const pieces = this.#pieces
    if (pieces.length === 0) return
    const whole = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces, this.#waiting)
    this.#pieces = []
    this.#waiting = 0
    this.#write(whole, false)
  }

  #write(bytes: Buffer, lent: boolean): void {
    const socket = this.#socket
    if (!socket.writable) return
    let written = 0
    // Behind what already waits in the socket, only the socket may write.
    if (this.#descriptor >= 0 && socket.writableLength === 0) {
      try {
        written = writeSync(this.#descriptor, bytes, 0, bytes.length)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') {
          socket.destroy(error as Error)
          return
        }
      }
      if (written === bytes.length) return
    }
    const rest = written === 0 ? bytes : bytes.subarray(written)
    if (!lent) socket.write(rest)
    else if (rest.length < WORTH_KEEPING) socket.write(Buffer.from(rest))
    else this.#copied(rest)
  }

  /** Writes a copy, in memory that is used again. Left to the garbage collector, it would be hundreds of megabytes. */
  #copied(bytes: Buffer): void {
    const buffer = (bytes.length <= LARGE && spare.pop()) || Buffer.allocUnsafeSlow(Math.max(bytes.length, LARGE))
    bytes.copy(buffer)
    this.#socket.write(buffer.subarray(0, bytes.length), (error) => {
      if (!error && buffer.length === LARGE && spare.length < SPARE) spare.push(buffer)
    })
  }
}

/** What waits for the end of the turn at most, for one socket. */
const LITTLE = 16 << 10
let leaving: Outlet[] = []

function leaveLater(outlet: Outlet): void {
  if (leaving.length === 0) setImmediate(leave)
  leaving.push(outlet)
}

function leave(): void {
  const outlets = leaving
  leaving = []
  for (const outlet of outlets) outlet.flush()
}

const WORTH_KEEPING = 16 << 10
const LARGE = 256 << 10
/** So many buffers are kept for whoever needs one next. */
const SPARE = 8
const spare: Buffer[] = []

function descriptorOf(socket: Socket): number {
  const handle = (socket as unknown as { _handle: { fd?: unknown } | null })._handle
  return typeof handle?.fd === 'number' ? handle.fd : -1
}
