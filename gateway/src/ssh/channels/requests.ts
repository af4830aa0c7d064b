import type { Connection, Session, WindowChangeInfo } from '../transport/ssh2.ts'
import type { Channel } from './channel.ts'

type Request = (protocol: Protocol, channel: number, type: string, wantReply: boolean, body: unknown) => void

/** What of ssh2's server-side connection is used beside its API. */
interface Internals {
  _protocol: Protocol
  _chanMgr: { get(channel: number): unknown }
}

interface Protocol {
  _handlers: { CHANNEL_REQUEST: Request }
  channelSuccess(channel: number): void
  channelFailure(channel: number): void
}

/**
 * Takes the requests that come while something runs in a channel past ssh2, which drops all of them once the client has
 * sent EOF, answers none that wants an answer, and knows no `eow@openssh.com` (OpenSSH PROTOCOL, 2.1).
 */
export function serveRequests(client: Connection, channelOf: (session: Session) => Channel | undefined): void {
  const { _protocol: protocol, _chanMgr: numbered } = client as unknown as Internals
  const handlers = protocol._handlers
  const before = handlers.CHANNEL_REQUEST
  handlers.CHANNEL_REQUEST = (p, number, type, wantReply, body) => {
    const session = numbered.get(number)
    const channel = typeof session === 'object' && session !== null ? channelOf(session as Session) : undefined
    if (!channel?.started) return before(p, number, type, wantReply, body)
    const served = serve(channel, type, body)
    const { id } = (session as { _chanInfo: { outgoing: { id: number } } })._chanInfo.outgoing
    if (!wantReply || channel.closed) return
    if (served) p.channelSuccess(id)
    else p.channelFailure(id)
  }
}

function serve(channel: Channel, type: string, body: unknown): boolean {
  switch (type) {
    case 'window-change': {
      const { cols, rows, width, height } = body as WindowChangeInfo
      return channel.resize(cols, rows, width, height)
    }
    case 'signal':
      return channel.signal(body as string)
    case 'eow@openssh.com':
      channel.unread()
      return true
    default:
      return false
  }
}
