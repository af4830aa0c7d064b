import type { PatchedChannel } from './channel.ts'
import type { Connection, Handler, Protocol, Session } from './inner.ts'
import { PACKET } from './limits.ts'
import type { Fatal } from './protocol.ts'

const STDERR = 1
const MOST_WINDOW = 2 ** 32 - 1
const ADMINISTRATIVELY_PROHIBITED = 1

type Handlers = Record<string, Handler | undefined>

/**
 * ssh2's answers to messages, of a client or a server, with what it leaves unchecked checked first: data beyond the
 * window, windows beyond their largest, packets of no size, requests that would never be answered.
 */
export function guarded(handlers: Handlers, fatal: Fatal): Handlers {
  const call = (name: string, protocol: Protocol, ...message: unknown[]) => handlers[name]?.(protocol, ...message)
  return {
    ...handlers,

    CHANNEL_OPEN: (protocol, info: { window?: number; packetSize?: number; sender: number }) => {
      if (info.window === undefined || info.packetSize === undefined)
        return fatal(protocol, 'a channel was asked for without its sizes')
      if (info.packetSize < PACKET.least)
        return protocol.channelOpenFail(info.sender, ADMINISTRATIVELY_PROHIBITED, 'packets of less than 1 KiB')
      return call('CHANNEL_OPEN', protocol, info)
    },

    CHANNEL_OPEN_CONFIRMATION: (protocol, info: { packetSize: number }) => {
      if (info.packetSize < PACKET.least) return fatal(protocol, 'a channel takes no packets of any use')
      return call('CHANNEL_OPEN_CONFIRMATION', protocol, info)
    },

    CHANNEL_DATA: (protocol, id: number, bytes: Buffer) => {
      if (isSftp(protocol, id)) return call('CHANNEL_DATA', protocol, id, bytes)
      const channel = channelOf(protocol, id)
      if (!channel) return undefined
      const wrong = overrun(channel, bytes)
      if (wrong) return fatal(protocol, wrong)
      channel.incoming.window -= bytes.length
      if (!channel.receive(bytes)) channel._waitChanDrain = true
      else adjust(channel)
      return undefined
    },

    CHANNEL_EXTENDED_DATA: (protocol, id: number, bytes: Buffer, type: number) => {
      const channel = channelOf(protocol, id)
      if (!channel) return undefined
      const wrong = overrun(channel, bytes)
      if (wrong) return fatal(protocol, wrong)
      channel.incoming.window -= bytes.length
      // A client has no stderr to send, and nobody knows another type: it is thrown away, and its window given back.
      if (channel.server || type !== STDERR) adjust(channel)
      else if (!channel.receiveError(bytes)) channel._waitChanDrain = true
      else adjust(channel)
      return undefined
    },

    CHANNEL_WINDOW_ADJUST: (protocol, id: number, amount: number) => {
      if (isSftp(protocol, id)) return call('CHANNEL_WINDOW_ADJUST', protocol, id, amount)
      const outgoing = outgoingOf(protocol, id)
      if (!outgoing) return undefined
      if (outgoing.window + amount > MOST_WINDOW) return fatal(protocol, 'a window grew beyond 4 GiB')
      outgoing.window += amount
      channelOf(protocol, id)?.resumeWriting()
      return undefined
    },

    CHANNEL_REQUEST: (protocol, id: number, type: string, wantReply: boolean, data: unknown) => {
      const session = sessionOf(protocol, id)
      if (!session || !wantReply || (!session._channel && !session._ending))
        return call('CHANNEL_REQUEST', protocol, id, type, wantReply, data)
      // ssh2 1.17 leaves whoever asks something of a running channel without an answer.
      const running = session._channel !== undefined && (type === 'window-change' || type === 'signal')
      if (running) call('CHANNEL_REQUEST', protocol, id, type, false, data)
      if (running) protocol.channelSuccess(session._chanInfo.outgoing.id)
      else protocol.channelFailure(session._chanInfo.outgoing.id)
      return undefined
    },

    CHANNEL_EOF: (protocol, id: number) => {
      channelOf(protocol, id)?.flushReceived()
      return call('CHANNEL_EOF', protocol, id)
    },

    CHANNEL_CLOSE: (protocol, id: number) => {
      const session = sessionOf(protocol, id)
      const channel = channelOf(protocol, id)
      channel?.flushReceived()
      const answer = call('CHANNEL_CLOSE', protocol, id)
      if (channel) channel.abandon()
      else if (session) {
        // Nothing was asked for in it: ssh2 1.17 keeps it, and doesn't close its own end.
        protocol.channelClose(session._chanInfo.outgoing.id)
        protocol.owner?._chanMgr.remove(id)
      }
      return answer
    },

    GLOBAL_REQUEST: (protocol, name: string, wantReply: boolean, data: unknown) => {
      // A host's other keys are of no interest, since keys are pinned; ssh2 1.17 would ask for proof of each, unbounded.
      if (!protocol._server) return wantReply ? protocol.requestFailure() : undefined
      return call('GLOBAL_REQUEST', protocol, name, wantReply, data)
    },
  }
}

function channelOf(protocol: Protocol, id: number): PatchedChannel | undefined {
  const found = endOf(protocol, id)
  return typeof found === 'object' && found !== null && 'receive' in found ? (found as PatchedChannel) : undefined
}

/** ssh2's own SFTP in the place of a channel, which the gateway has none of: it is left to ssh2. */
function isSftp(protocol: Protocol, id: number): boolean {
  const found = endOf(protocol, id)
  return typeof found === 'object' && found !== null && !('receive' in found) && !('_chanInfo' in found)
}

/** What is told of a channel's data. */
function endOf(protocol: Protocol, id: number): unknown {
  const found: unknown = protocol.owner?._chanMgr.get(id)
  if (typeof found !== 'object' || found === null || !('_chanInfo' in found)) return found
  return (found as Session)._channel ?? found
}

function sessionOf(protocol: Protocol, id: number): Session | undefined {
  const found = protocol.owner?._chanMgr.get(id)
  return typeof found === 'object' && found !== null && '_chanInfo' in found ? (found as Session) : undefined
}

/** What may be sent, of a channel or of what is to become one. */
function outgoingOf(protocol: Protocol, id: number) {
  return (sessionOf(protocol, id)?._chanInfo ?? channelOf(protocol, id))?.outgoing
}

function overrun({ incoming }: PatchedChannel, bytes: Buffer): string | undefined {
  if (incoming.state !== 'open') return 'data came after the end of a channel'
  return bytes.length > incoming.window ? 'data came beyond the window of a channel' : undefined
}

/** As ssh2 gives its window back: whole, once half of it is used. */
function adjust(channel: PatchedChannel): void {
  const { incoming, outgoing } = channel
  if (incoming.window > WINDOW / 2 || outgoing.state === 'closed') return
  const amount = WINDOW - incoming.window
  incoming.window += amount
  ;(channel._client as Connection)._protocol.channelWindowAdjust(outgoing.id, amount)
}

const WINDOW = 2 * 1024 * 1024
