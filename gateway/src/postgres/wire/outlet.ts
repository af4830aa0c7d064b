import { writeSync } from 'node:fs'
import type { Socket } from 'node:net'

/**
 * Where bytes leave by a socket. They are handed to the system at once, by its descriptor, as long as the system takes
 * them; what it doesn't take goes the socket's own way, which waits. Of what a relayed message costs, a stream's book-keeping
 * would be the largest part (docs/decisions).
 */
export class Outlet {
  readonly #socket: Socket
  /** -1 where only the socket itself may write: TLS, or a system without descriptors. */
  readonly #descriptor: number

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

const WORTH_KEEPING = 16 << 10
const LARGE = 256 << 10
/** So many buffers are kept for whoever needs one next. */
const SPARE = 8
const spare: Buffer[] = []

function descriptorOf(socket: Socket): number {
  const handle = (socket as unknown as { _handle: { fd?: unknown } | null })._handle
  return typeof handle?.fd === 'number' ? handle.fd : -1
}
