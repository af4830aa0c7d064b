import type { Handler } from './inner.ts'
import type { Part } from './private-copy.ts'

const CHANNEL_REQUEST = 98

/**
 * Has `pty-req` (RFC 4254, section 6.2) tell the terminal's modes as they were sent. ssh2 1.17 reads them from their
 * second byte on, so that the first value's zeros end them, and breaks the connection off over the others.
 */
export function rawRequests(part: Part): void {
  const handlers = part<Handler[]>('protocol/handlers.js')
  const before = handlers[CHANNEL_REQUEST]!
  handlers[CHANNEL_REQUEST] = (protocol, payload: Buffer) => {
    const fields = new Fields(payload, 1)
    const id = fields.number()
    if (fields.string()?.toString('latin1') !== 'pty-req') return before(protocol, payload)
    const wantReply = fields.byte() !== 0
    const term = fields.string()?.toString()
    const [cols, rows, width, height] = [fields.number(), fields.number(), fields.number(), fields.number()]
    const modes = fields.string()
    if (modes === undefined) return before(protocol, payload)
    const encoded = Buffer.from(modes)
    return protocol._handlers.CHANNEL_REQUEST?.(protocol, id, 'pty-req', wantReply, {
      ...{ term, cols, rows, width, height, encoded },
      modes: {},
    })
  }
}

/** The fields of a message (RFC 4251, section 5), undefined once one doesn't fit. */
class Fields {
  readonly #payload: Buffer
  #at: number

  constructor(payload: Buffer, at: number) {
    this.#payload = payload
    this.#at = at
  }

  byte(): number | undefined {
    return this.#payload[this.#at++]
  }

  number(): number | undefined {
    if (this.#at + 4 > this.#payload.length) return this.#end()
    this.#at += 4
    return this.#payload.readUInt32BE(this.#at - 4)
  }

  string(): Buffer | undefined {
    const length = this.number()
    if (length === undefined || this.#at + length > this.#payload.length) return this.#end()
    this.#at += length
    return this.#payload.subarray(this.#at - length, this.#at)
  }

  #end(): undefined {
    this.#at = Number.POSITIVE_INFINITY
    return undefined
  }
}
