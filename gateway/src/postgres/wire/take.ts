import type { Duplex } from 'node:stream'
import { ProtocolViolation } from './framer.ts'

/**
 * Takes exactly so many bytes off a socket that nobody else reads; what comes behind them stays in it.
 * @returns undefined where the stream ends first
 */
export async function take(socket: Duplex, bytes: number): Promise<Buffer | undefined> {
  if (bytes === 0) return Buffer.alloc(0) // nothing to wait for: an empty startup packet would hang until the time-out
  const parts: Buffer[] = []
  let have = 0
  for (;;) {
    // Everything is read and the surplus given back: while a stream holds less than is asked of it, it would wake its
    // listeners over and over, without ever letting the socket bring more.
    const chunk: Buffer | null = socket.read()
    if (chunk) {
      parts.push(chunk)
      have += chunk.length
      if (have < bytes) continue
      const all = parts.length === 1 ? chunk : Buffer.concat(parts, have)
      if (have > bytes) socket.unshift(all.subarray(bytes))
      return all.subarray(0, bytes)
    }
    if (socket.destroyed || socket.readableEnded) return undefined
    await new Promise<void>((resolve) => {
      const wake = () => {
        for (const event of events) socket.off(event, wake)
        resolve()
      }
      const events = ['readable', 'end', 'close', 'error']
      for (const event of events) socket.on(event, wake)
    })
  }
}

/**
 * Takes one message (type byte, length, body).
 * @returns undefined where the stream ends first
 * @throws ProtocolViolation where it is longer than `bound` bytes
 */
export async function takeMessage(socket: Duplex, bound: number): Promise<Buffer | undefined> {
  const header = await take(socket, 5)
  if (!header) return undefined
  const length = header.readUInt32BE(1)
  if (length < 4 || length > bound) throw new ProtocolViolation('a message claims an impossible length')
  if (length === 4) return header
  const body = await take(socket, length - 4)
  return body && Buffer.concat([header, body])
}
