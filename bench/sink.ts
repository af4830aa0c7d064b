import { Socket } from 'node:net'
import pg from 'pg'
import type { Target } from './pgbouncer.ts'
import { int32, message } from './wire.ts'

/** What came of a command. */
export interface Drained {
  /** Bytes that the server sent. */
  bytes: number
  seconds: number
  /** How often the server asked to be asked for more. */
  suspensions: number
  /** CommandComplete's tag, or the SQLSTATE and words of an error. */
  end: { tag: string } | { error: string }
}

const BUFFER = 256 * 1024
/** The end of an answer is recognised by it: ReadyForQuery, or PortalSuspended. */
const TAIL = 128

/**
 * A client that throws away what it is sent, as cheaply as can be: it reads into one buffer and looks only at the last
 * bytes, which is enough where one answer is waited for at a time and the rows hold nothing that looks like its end.
 */
export class Sink {
  readonly #client: pg.Client
  readonly #socket: Socket
  #signedIn = false
  #first = Buffer.alloc(0)
  #tail = Buffer.alloc(0)
  #bytes = 0
  #suspensions = 0
  /** Ends an extended query that is read in parts. */
  #sync: Buffer | undefined
  #rate: number | undefined
  #onSuspended: (() => void) | undefined
  #done: { resolve: () => void; reject: (error: Error) => void } | undefined

  private constructor(target: Target) {
    const socket = new Socket({
      // Not in Node's types for `new Socket`, only for `connect`.
      ...({ onread: { buffer: Buffer.allocUnsafe(BUFFER), callback: this.#read.bind(this) } } as object),
    })
    this.#socket = socket
    const { host, port, user, password } = target
    this.#client = new pg.Client({ host, port, user, password, database: 'orders', stream: () => socket })
    this.#client.on('error', (error) => this.#done?.reject(error))
    socket.on('close', () => this.#done?.reject(new Error('the connection was closed')))
  }

  /** Connects and signs in. */
  static async open(target: Target): Promise<Sink> {
    const sink = new Sink(target)
    await sink.#client.connect()
    sink.#socket.setNoDelay()
    sink.#signedIn = true
    return sink
  }

  close(): void {
    this.#done = undefined
    this.#socket.destroy()
  }

  get socket(): Socket {
    return this.#socket
  }

  /** A Query, to its ReadyForQuery. */
  simple(text: string): Promise<Drained> {
    return this.#run(message('Q', `${text}\0`))
  }

  /** Parse, Bind, Execute, with Describe as drivers do; `rows` at a time where that isn't 0. */
  extended(text: string, rows = 0): Promise<Drained> {
    const execute = Buffer.concat([message('E', Buffer.concat([Buffer.from('\0'), int32(rows)]))])
    const flush = message('H', '')
    const sync = message('S', '')
    const begin = [
      message('P', `\0${text}\0\0\0`),
      message('B', '\0\0\0\0\0\0\0\0'),
      message('D', 'P\0'),
      execute,
      rows === 0 ? sync : flush,
    ]
    this.#onSuspended = () => this.#socket.write(Buffer.concat([execute, flush]))
    return this.#run(Buffer.concat(begin), rows === 0 ? undefined : sync)
  }

  /** COPY … FROM STDIN, so many times the same chunk of lines. */
  async copyIn(text: string, lines: Buffer, times: number): Promise<Drained> {
    const from = performance.now()
    const data = message('d', lines)
    this.#begin()
    this.#socket.write(message('Q', `${text}\0`))
    const drained = new Promise<void>((resolve, reject) => {
      this.#done = { resolve, reject }
    })
    drained.catch(() => {})
    for (let n = 0; n < times && this.#done; n++) {
      if (!this.#socket.write(data)) {
        await Promise.race([new Promise((resolve) => this.#socket.once('drain', resolve)), drained])
      }
    }
    this.#socket.write(message('c', ''))
    await drained
    return { ...this.#drained(from), bytes: data.length * times }
  }

  /** From now on reads no more than so many bytes a second. Answers how to ask for how much was read. */
  throttle(rate: number): () => number {
    this.#rate = rate
    return () => this.#bytes
  }

  async #run(bytes: Buffer, sync?: Buffer): Promise<Drained> {
    const from = performance.now()
    this.#begin()
    this.#sync = sync
    this.#socket.write(bytes)
    await new Promise<void>((resolve, reject) => {
      this.#done = { resolve, reject }
    })
    return this.#drained(from)
  }

  #begin(): void {
    this.#bytes = 0
    this.#suspensions = 0
    this.#first = Buffer.alloc(0)
    this.#tail = Buffer.alloc(0)
  }

  #drained(from: number): Drained {
    const seconds = (performance.now() - from) / 1000
    const error = /\0C([0-9A-Z]{5})\0M([^\0]*)\0/.exec(this.#first.toString('latin1') + this.#tail.toString('latin1'))
    const tag = /C\0\0\0[^\0]([A-Z][A-Z0-9 ]*)\0/.exec(this.#tail.toString('latin1'))
    const end = tag ? { tag: tag[1]! } : { error: error ? `${error[1]} ${error[2]}` : 'no end was recognised' }
    return { bytes: this.#bytes, seconds, suspensions: this.#suspensions, end }
  }

  #read(n: number, buffer: Uint8Array): boolean {
    const chunk = Buffer.from(buffer.buffer, buffer.byteOffset, n)
    if (!this.#signedIn) {
      this.#socket.emit('data', Buffer.from(chunk))
      return true
    }
    this.#bytes += n
    if (this.#first.length < 2048) this.#first = Buffer.concat([this.#first, chunk.subarray(0, 2048)])
    this.#tail = n >= TAIL ? Buffer.from(chunk.subarray(n - TAIL)) : Buffer.concat([this.#tail, chunk]).subarray(-TAIL)
    const tail = this.#tail
    const at = tail.length
    if (at >= 6 && tail[at - 6] === 0x5a && tail.readUInt32BE(at - 5) === 5) {
      const done = this.#done
      this.#done = undefined
      done?.resolve()
    } else if (this.#sync && at >= 5 && tail.readUInt32BE(at - 4) === 4 && tail[at - 5] === 0x73) {
      this.#suspensions++
      this.#onSuspended?.()
    } else if (
      this.#sync &&
      (/C\0\0\0.[A-Z][A-Z0-9 ]*\0$/s.test(tail.toString('latin1')) || this.#first.includes('SERROR\0'))
    ) {
      this.#socket.write(this.#sync)
      this.#sync = undefined
    }
    if (this.#rate === undefined) return true
    setTimeout(() => this.#socket.resume(), (n / this.#rate) * 1000)
    return false
  }
}
