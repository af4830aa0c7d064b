import type { Socket } from 'node:net'
import type { Logger } from 'pino'
import { borrow } from './upstream/lent.ts'
import { Framer, type Take } from './wire/framer.ts'
import { Outlet } from './wire/outlet.ts'

/** What becomes of the messages that come by, and who is told how a connection goes. */
export interface RelayEvents {
  /** A client's message: `header` and `message` as FrameReader has them. */
  client: {
    header(type: number, length: number): Take
    message(type: number, frame: Buffer): boolean | Promise<boolean>
  }
  /** A server's message. `message` answers whether it goes on as it is, or what goes on in its place. */
  server: {
    header(type: number, length: number): Take
    message(type: number, frame: Buffer): boolean | Buffer
  }
  /** The bytes that the server has sent so far are looked at; none of them has gone on yet. */
  looked(): void
  failed(error: unknown): void
  /** The client will send no more. May be called more than once. */
  clientEnded(): void
  serverFailed(error: Error): void
  serverClosed(): void
  /**
   * Something that a client takes without noticing, while it isn't read because too much waits behind a command: that it
   * has gone is seen by writing to it alone. Undefined where nothing may be put in.
   */
  probe?(): Buffer | undefined
}

/** What a client may send ahead while a command is held, before it is no longer read (bytes). */
const AHEAD = 1 << 20
/** So often a client that isn't read is written to (ms). */
export const PROBE_MS = 15_000
/** What comes of a client at once, if it isn't COPY data (bytes). */
const FEW = 16 << 10
/** How long a client may take to read its last message. */
const LAST_WORD_MS = 2000

/**
 * The two sockets of a session: cuts what they bring into messages, writes what goes on, and reads no faster than the
 * other side takes. Nothing is written between the parts of a message.
 */
export class Relay {
  readonly #client: Socket
  readonly #server: Socket
  readonly #clientOutlet: Outlet
  readonly #serverOutlet: Outlet
  readonly #events: RelayEvents
  readonly #fromClient: Framer
  readonly #fromServer: Framer
  #toServer: Buffer[] = []
  #flushScheduled = false
  /** A chunk of the client is being looked at: what it gives leaves at its end. */
  #reading = false
  #toClient: Buffer[] = []
  /** Put between two messages once the one that is under way has gone on. */
  #inserted: Buffer[] = []
  #serverBlocked = false
  #probing: NodeJS.Timeout | undefined
  /** Whether the client is read yet. */
  #open = false
  /** Nothing of the client is looked at any more. */
  #deaf = false
  #closed = false

  constructor(client: Socket, server: Socket, events: RelayEvents) {
    this.#client = client
    this.#server = server
    this.#clientOutlet = new Outlet(client)
    this.#serverOutlet = new Outlet(server)
    this.#events = events
    const failed = (error: unknown) => events.failed(error)
    this.#fromClient = new Framer({
      header: events.client.header,
      message: events.client.message,
      keeps: true,
      relay: (bytes) => this.#send(bytes),
      failed,
    })
    this.#fromServer = new Framer({
      header: events.server.header,
      message: (type, frame) => {
        const goesOn = events.server.message(type, frame)
        if (typeof goesOn === 'boolean') return goesOn
        this.#fromServer.flush()
        this.#toClient.push(goesOn)
        return false
      },
      relay: (bytes) => {
        this.#toClient.push(bytes)
      },
      failed,
    })
  }

  /** Whether every byte of the client has been looked at, and none is waited for. */
  get settled(): boolean {
    return this.#fromClient.settled
  }

  /** Listens to both sockets and reads the server; the client is read from `open` on. */
  attach(log: Logger): void {
    const client = this.#client
    const server = this.#server
    const events = this.#events
    const lent = borrow(client, (bytes) => {
      this.#clientData(bytes, true)
      return true
    })
    if (!lent) client.on('data', (chunk: Buffer) => this.#clientData(chunk, false))
    client.on('drain', () => server.resume())
    client.on('end', () => events.clientEnded())
    client.on('error', (error) => log.debug({ error: error.message }, 'client connection failed'))
    client.on('close', () => events.clientEnded())
    client.pause()
    if (!borrow(server, (bytes) => this.#serverData(bytes, true))) {
      server.on('data', (chunk: Buffer) => void this.#serverData(chunk, false))
    }
    server.on('drain', () => {
      this.#serverBlocked = false
      this.#readOn()
    })
    server.on('error', (error) => events.serverFailed(error))
    server.on('end', () => server.end())
    server.on('close', () => events.serverClosed())
    server.resume()
  }

  /** From now on the client is read. */
  open(): void {
    this.#open = true
    this.#readOn()
  }

  /** Sends bytes of the gateway's own to the server, behind everything of the client that was let through. */
  toServer(bytes: Buffer): void {
    this.#fromClient.flush()
    this.#send(bytes)
  }

  /** Sends bytes of the gateway's own to the client, between two messages. */
  toClient(bytes: Buffer): void {
    if (this.#fromServer.midMessage) this.#inserted.push(bytes)
    else this.#clientOutlet.write(bytes, false)
    // Where all that was sent behind a command is answered here, nothing goes to the server that would do it.
    if (this.#probing) this.#readOn()
  }

  /** Nothing of the client is looked at any more; the server is read to its end. */
  finish(): void {
    this.#deaf = true
    this.#server.resume()
  }

  /**
   * Closes both sockets.
   * @param lastWord for the client; left out where it would come in the middle of a message
   */
  close(lastWord: Buffer | undefined): void {
    this.#closed = true
    this.#stopProbing()
    this.#clientOutlet.flush()
    this.#serverOutlet.flush()
    const client = this.#client
    if (!client.destroyed) {
      const patience = setTimeout(() => client.destroy(), LAST_WORD_MS)
      patience.unref()
      client.once('close', () => clearTimeout(patience))
      client.resume() // so that its own end is seen
      if (lastWord && !this.#fromServer.midMessage) client.end(lastWord, () => client.destroySoon())
      else client.end(() => client.destroySoon())
    }
    this.#server.destroy()
  }

  #clientData(bytes: Buffer, borrowed: boolean): void {
    if (this.#closed || this.#deaf) return
    // Commands are kept for a while: one copy of all that have come together, rather than one of each.
    const lent = borrowed && bytes.length > FEW
    const chunk = borrowed && !lent ? Buffer.from(bytes) : bytes
    this.#reading = true
    try {
      this.#fromClient.push(chunk, lent)
    } catch (error) {
      if (lent) this.#toServer = this.#toServer.map((bytes) => Buffer.from(bytes)) // they go later, if at all
      this.#events.failed(error)
      return
    } finally {
      this.#reading = false
    }
    this.#flush(lent)
    if (this.#fromClient.queued <= AHEAD) return
    this.#client.pause()
    this.#probing ??= setInterval(() => this.#probe(), PROBE_MS).unref()
  }

  /** A client that has gone answers what is written to it by a reset, and what is written after that fails. */
  #probe(): void {
    if (this.#fromServer.midMessage || this.#clientOutlet.full) return
    const bytes = this.#events.probe?.()
    if (bytes) this.#clientOutlet.write(bytes, false)
  }

  #stopProbing(): void {
    clearInterval(this.#probing)
    this.#probing = undefined
  }

  /** Answers whether nothing needs the chunk's memory any more. */
  #serverData(chunk: Buffer, lent: boolean): boolean {
    if (this.#closed) return true
    try {
      this.#fromServer.push(chunk, lent)
      this.#events.looked()
    } catch (error) {
      this.#events.failed(error)
      return false
    }
    if (!this.#fromServer.midMessage && this.#inserted.length > 0) this.#toClient.push(...this.#inserted.splice(0))
    const buffers = this.#toClient
    if (buffers.length === 0) return true
    this.#toClient = []
    const outlet = this.#clientOutlet // what a client has left behind is still recorded
    if (buffers.length === 1) outlet.write(buffers[0]!, lent)
    else writeAll(outlet, buffers, lent)
    if (outlet.full) this.#server.pause()
    return true
  }

  /** Bytes leave together, once everything that came with them has been looked at. */
  #send(bytes: Buffer): void {
    this.#toServer.push(bytes)
    if (this.#flushScheduled || this.#reading) return
    this.#flushScheduled = true
    setImmediate(() => this.#flush())
  }

  #flush(lent = false): void {
    this.#flushScheduled = false
    const buffers = this.#toServer
    if (buffers.length === 0) return
    this.#toServer = []
    const outlet = this.#serverOutlet
    if (buffers.length === 1) outlet.write(buffers[0]!, lent)
    else writeAll(outlet, buffers, lent)
    if (outlet.full) {
      this.#serverBlocked = true
      this.#client.pause()
    } else this.#readOn()
  }

  #readOn(): void {
    if (this.#fromClient.queued > AHEAD) return
    this.#stopProbing()
    if (this.#open && !this.#serverBlocked) this.#client.resume()
  }
}

/** Where small pieces are put together before they leave: what is made here is written at once. */
const together = Buffer.allocUnsafeSlow(256 << 10)
/** What is as large leaves by itself. */
const LARGE = 32 << 10

/** Writes pieces in their order, in as few writes as can be: rewritten rows are many, and a write costs more than a row. */
function writeAll(outlet: Outlet, buffers: readonly Buffer[], lent: boolean): void {
  if (buffers.length <= SOME) {
    for (const bytes of buffers) outlet.write(bytes, lent)
    return
  }
  let length = 0
  const flush = () => {
    if (length > 0) outlet.write(together.subarray(0, length), true)
    length = 0
  }
  for (const bytes of buffers) {
    if (bytes.length >= LARGE) {
      flush()
      outlet.write(bytes, lent)
      continue
    }
    if (length + bytes.length > together.length) flush()
    together.set(bytes, length)
    length += bytes.length
  }
  flush()
}

/** So few pieces are put together by the outlet, if they are small. */
const SOME = 4
