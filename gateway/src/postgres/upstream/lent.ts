import { connect, type OnReadOpts, Socket, type SocketConstructorOpts, type TcpNetConnectOpts } from 'node:net'

/**
 * Is shown what a socket has brought, in a buffer that is used again: what is kept of it beyond the call must be copied.
 * Answers false where something written elsewhere still needs these bytes; then the socket reads into another buffer.
 */
export type Borrower = (bytes: Buffer) => boolean

/** What an idle connection reads into, and what one does that brings more than fits (bytes). */
const SMALL = 4 << 10
const LARGE = 256 << 10
/** So many large buffers are kept for whoever needs one next. */
const SPARE = 8
const spare: Buffer[] = []

const borrowers = new WeakMap<Socket, (borrower: Borrower) => void>()

/**
 * A TCP connection that can be read without a new buffer for every chunk. Node's own way, 64 KiB for each, costs twice
 * the time for a large result, and leaves the buffers for the garbage collector, a hundred megabytes at a time. Until
 * `borrow` is called it is read like any other stream.
 */
export function connectLending(options: TcpNetConnectOpts): Socket {
  return lending((onread) => connect({ ...options, onread }))
}

/**
 * The same for a connection that a server has accepted and nobody reads yet (`pauseOnConnect`). Node lets nobody say so
 * for these before they are made; so another socket is made of their handle, as cluster and tls do it.
 * @returns the socket to go on with: the one that was given where its handle can't be had
 */
export function acceptLending(accepted: Socket): Socket {
  const owner = accepted as unknown as { _handle: object | null }
  const handle = owner._handle
  if (!handle || process.platform === 'win32') return accepted
  owner._handle = null
  accepted.destroy()
  return lending((onread) => new Socket({ handle, allowHalfOpen: true, onread } as SocketConstructorOpts))
}

function lending(make: (onread: OnReadOpts) => Socket): Socket {
  let borrower: Borrower | undefined
  let buffer: Buffer = Buffer.allocUnsafeSlow(SMALL)
  let next: Buffer = buffer
  const onread: OnReadOpts = {
    buffer: () => {
      buffer = next
      return buffer
    },
    callback: (length) => {
      const bytes = buffer.subarray(0, length)
      if (!borrower) return socket.push(copied(bytes))
      const size = length === buffer.length ? LARGE : length <= SMALL ? SMALL : buffer.length
      const free = borrower(bytes)
      if (free && size === buffer.length) return true
      if (free && buffer.length === LARGE && spare.length < SPARE) spare.push(buffer)
      next = (size === LARGE && spare.pop()) || Buffer.allocUnsafeSlow(size)
      return true
    },
  }
  const socket = make(onread)
  borrowers.set(socket, (to) => {
    borrower = to
    const before: Buffer | null = socket.read()
    if (before) to(before)
  })
  return socket
}

/**
 * From now on what the socket brings is shown to `borrower`, in place of `data` events.
 * @returns false where the socket was not made by one of these: then it is to be read as any stream is
 */
export function borrow(socket: Socket, borrower: Borrower): boolean {
  const begin = borrowers.get(socket)
  begin?.(borrower)
  return begin !== undefined
}

function copied(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}
