import { connect, type Socket } from 'node:net'
import { startupPacket } from '../upstream/connect.ts'
import { Framer, WHOLE } from '../wire/framer.ts'
import { Cursor, cstring, int16, int32, message, reportFields, T } from '../wire/messages.ts'

/** A client that sends what it is told, byte for byte, and keeps what it gets, message by message. */
export class RawClient {
  readonly socket: Socket
  readonly frames: Buffer[] = []
  #wake: () => void = () => {}
  ended = false

  constructor(socket: Socket) {
    this.socket = socket
    const framer = new Framer({
      header: () => WHOLE,
      message: (_type, frame) => {
        this.frames.push(Buffer.from(frame))
        return false
      },
      relay: () => {},
      failed: () => {},
    })
    socket.on('data', (chunk) => {
      framer.push(chunk)
      this.#wake()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.ended = true
      this.#wake()
    })
  }

  /** Connects and starts a session; answers after the first ReadyForQuery, or at an error. */
  static async start(
    port: number,
    { database = 'orders', user = 'any', password = 'good', ...rest }: Record<string, string> = {},
  ): Promise<RawClient> {
    const client = new RawClient(connect({ port, host: '127.0.0.1', noDelay: true }))
    const parameters = Object.entries({ user, database, ...rest }).flatMap(([name, value]) => [
      cstring(name),
      cstring(value),
    ])
    client.send(startupPacket(3 << 16, Buffer.concat([...parameters, Buffer.from([0])])))
    await client.until((frame) => frame[0] === T.Authentication || frame[0] === T.ErrorResponse)
    if (client.frames.at(-1)![0] === T.Authentication && client.frames.at(-1)!.readInt32BE(5) === 3) {
      client.send(message(T.Password, cstring(password)))
    }
    await client.until((frame) => frame[0] === T.ReadyForQuery || frame[0] === T.ErrorResponse)
    return client
  }

  send(...bytes: Buffer[]): void {
    this.socket.write(Buffer.concat(bytes))
  }

  #seen = 0
  /** Everything from what was last waited for up to the first message that `last` picks, or the connection's end. */
  async until(last: (frame: Buffer) => boolean): Promise<Buffer[]> {
    const from = this.#seen
    for (;;) {
      for (; this.#seen < this.frames.length; this.#seen++) {
        if (last(this.frames[this.#seen]!)) return this.frames.slice(from, ++this.#seen)
      }
      if (this.ended) return this.frames.slice(from)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** Everything up to the n-th ReadyForQuery. */
  async ready(n = 1): Promise<Buffer[]> {
    let left = n
    return this.until((frame) => frame[0] === T.ReadyForQuery && --left === 0)
  }

  async closed(): Promise<Buffer[]> {
    return this.until(() => false)
  }

  get key(): Buffer {
    return this.frames.find((frame) => frame[0] === T.BackendKeyData)!.subarray(5)
  }
}

/** Messages in short: `E 42501 text`, `C SELECT 1`, `Z I`, `D`. */
export function told(frames: Buffer[]): string[] {
  return frames.map((frame) => {
    const letter = String.fromCharCode(frame[0]!)
    if (frame[0] === T.ErrorResponse || frame[0] === T.NoticeResponse) {
      const { C, M } = reportFields(frame)
      return `${letter} ${C} ${M}`
    }
    if (frame[0] === T.CommandComplete) return `C ${new Cursor(frame).cstring()}`
    if (frame[0] === T.ReadyForQuery) return `Z ${String.fromCharCode(frame[5]!)}`
    return letter
  })
}

export const Q = (text: string) => message(T.Query, cstring(text))
export const P = (name: string, text: string) => message(T.Parse, cstring(name), cstring(text), int16(0))
export const B = (portal: string, statement: string, ...values: (string | null)[]) =>
  message(
    T.Bind,
    cstring(portal),
    cstring(statement),
    int16(0),
    int16(values.length),
    ...values.map((value) =>
      value === null ? int32(-1) : Buffer.concat([int32(Buffer.byteLength(value)), Buffer.from(value)]),
    ),
    int16(0),
  )
export const D = (what: 'S' | 'P', name: string) => message(T.Describe, Buffer.from(what), cstring(name))
export const E = (portal: string, rows = 0) => message(T.Execute, cstring(portal), int32(rows))
export const C = (what: 'S' | 'P', name: string) => message(T.Close, Buffer.from(what), cstring(name))
export const S = message(T.Sync)
export const H = message(T.Flush)
export const d = (text: string) => message(T.CopyData, Buffer.from(text))
export const c = message(T.CopyDone)
export const f = (why: string) => message(T.CopyFail, cstring(why))
