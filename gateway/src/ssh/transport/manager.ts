import type { PatchedChannel } from './channel.ts'
import type { Connection, Session } from './inner.ts'

interface Manager {
  _client: Connection
  _count: number
  _channels: Record<number, unknown>
  add(channel?: unknown): number
  cleanup(error: Error): void
}

type ManagerClass = new (client: Connection) => Manager

/** ssh2's table of a connection's channels: no more than allowed at once, and none left waiting when it goes. */
export const patchedManager = (Base: ManagerClass): ManagerClass =>
  class PatchedManager extends Base {
    /** @returns the channel's number; -1, where there may be no more, which refuses it */
    override add(channel?: unknown): number {
      return this._count >= this._client._protocol.limits.channels ? -1 : super.add(channel)
    }

    override cleanup(error: Error): void {
      const channels = Object.values(this._channels)
      for (const channel of channels) patched(channel)?.flushReceived()
      super.cleanup(error)
      for (const channel of channels) patched(channel)?.abandon()
    }
  }

function patched(found: unknown): PatchedChannel | undefined {
  if (typeof found !== 'object' || found === null) return undefined
  const channel = '_chanInfo' in found ? (found as Session)._channel : found
  return channel && 'abandon' in channel ? (channel as PatchedChannel) : undefined
}
