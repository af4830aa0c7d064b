import { once } from 'node:events'
import type { PostgresTarget } from '../target.ts'
import { int32 } from '../wire/messages.ts'
import { dial, startupPacket } from './connect.ts'

const CANCEL_REQUEST = 80_877_102

/**
 * Asks the server to cancel what a session of its is running. Resolves once the server has closed that connection, that
 * is, once the signal is out, and at the latest after the signal's time; a cancel is never more than a try.
 */
export async function cancelUpstream(
  target: PostgresTarget,
  key: { pid: number; secret: Buffer },
  signal: AbortSignal,
): Promise<void> {
  const socket = await dial(target, signal)
  try {
    const closed = once(socket, 'close', { signal })
    socket.resume()
    socket.end(startupPacket(CANCEL_REQUEST, Buffer.concat([int32(key.pid), key.secret])))
    await closed
  } finally {
    socket.destroy()
  }
}
