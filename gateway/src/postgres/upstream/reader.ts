import type { Readable } from 'node:stream'
import type { PostgresTarget } from '../target.ts'
import { ProtocolViolation } from '../wire/framer.ts'
import { query, reportFields, T, TERMINATE, valuesOf } from '../wire/messages.ts'
import { connectUpstream, UpstreamError } from './connect.ts'

const BOUND = 64 << 20

/** The gateway's own reading connection to a database: simple queries, one at a time, values as text. */
export class Reader implements AsyncDisposable {
  readonly #upstream: Awaited<ReturnType<typeof connectUpstream>>
  readonly #messages = new Messages()

  private constructor(upstream: Awaited<ReturnType<typeof connectUpstream>>) {
    this.#upstream = upstream
  }

  /** @throws UpstreamError */
  static async open(target: PostgresTarget, signal: AbortSignal): Promise<Reader> {
    const parameters: [string, string][] = [
      ['application_name', 'countersign catalog'],
      ['client_encoding', 'UTF8'],
      ['default_transaction_read_only', 'on'],
      // An agent's own schemas must not put other operators under the gateway's query.
      ['search_path', 'pg_catalog'],
      // A query that runs for milliseconds isn't worth being compiled, whatever it is estimated to cost.
      ['jit', 'off'],
    ]
    return new Reader(await connectUpstream(target, parameters, signal))
  }

  /** Whether nothing is known by which it would not answer. */
  get open(): boolean {
    const { socket } = this.#upstream
    return !socket.destroyed && !socket.readableEnded && socket.writable
  }

  /**
   * @param signal ends the connection while it is waited for
   * @returns the rows of the last result
   * @throws UpstreamError where the server refuses or goes
   */
  async query(sql: string, signal?: AbortSignal): Promise<(string | null)[][]> {
    const { socket } = this.#upstream
    const abort = () => socket.destroy()
    signal?.addEventListener('abort', abort, { once: true })
    if (signal?.aborted) abort()
    try {
      socket.write(query(sql))
      return await this.#answer()
    } catch (error) {
      if (error instanceof UpstreamError && error.code === 'refused') throw error
      socket.destroy() // where it stands in its answers is not known any more
      if (!(error instanceof ProtocolViolation || error instanceof RangeError)) throw error
      throw new UpstreamError('protocol', 'it does not speak the PostgreSQL protocol')
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  async #answer(): Promise<(string | null)[][]> {
    const { socket } = this.#upstream
    let rows: (string | null)[][] = []
    let failure: string | undefined
    let over = false
    for (;;) {
      const chunk: Buffer | null = socket.read()
      if (!chunk) {
        if (socket.destroyed || socket.readableEnded) throw new UpstreamError('unreachable', 'it closed the connection')
        await readable(socket)
        continue
      }
      // Whole chunks are cut: a catalog is ten thousands of small messages.
      for (const frame of this.#messages.of(chunk)) {
        if (over) break // said unasked: if it is that the connection ends, the next query finds it ended
        if (frame[0] === T.RowDescription) rows = []
        else if (frame[0] === T.DataRow) rows.push(valuesOf(frame).map((value) => value?.toString() ?? null))
        else if (frame[0] === T.ErrorResponse) failure = reportFields(frame).M ?? ''
        else if (frame[0] === T.ReadyForQuery) over = true
      }
      if (over && failure !== undefined) throw new UpstreamError('refused', failure)
      if (over) return rows
    }
  }

  /** Closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#upstream.socket.end(TERMINATE)
    this.#upstream.socket.destroySoon()
  }
}

/** Cuts what a socket brings into messages, whose rest is yet to come or not. */
class Messages {
  #parts: Buffer[] = []
  #have = 0
  /** So many bytes are there once the first message is. */
  #need = 5

  /** The messages that are whole with this chunk. @throws ProtocolViolation */
  of(chunk: Buffer): Buffer[] {
    this.#parts.push(chunk)
    this.#have += chunk.length
    if (this.#have < this.#need) return []
    const all = this.#parts.length === 1 ? chunk : Buffer.concat(this.#parts, this.#have)
    const whole: Buffer[] = []
    let at = 0
    this.#need = 5
    while (all.length - at >= 5) {
      const length = all.readUInt32BE(at + 1)
      if (length < 4 || length > BOUND) throw new ProtocolViolation('a message claims an impossible length')
      this.#need = length + 1
      if (all.length - at < this.#need) break
      whole.push(all.subarray(at, at + this.#need))
      at += this.#need
      this.#need = 5
    }
    this.#parts = at < all.length ? [all.subarray(at)] : []
    this.#have = all.length - at
    return whole
  }
}

function readable(socket: Readable): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      for (const event of events) socket.off(event, wake)
      resolve()
    }
    const events = ['readable', 'end', 'close', 'error']
    for (const event of events) socket.on(event, wake)
  })
}
