import type { Visitor } from '../session.ts'
import type { Connection } from '../transport/ssh2.ts'

interface Opened {
  type: string
  sender: number
  data?: { destIP?: string; destPort?: number; socketPath?: string }
}

/** What of ssh2's server-side connection is used beside its API, which lets nobody say why a channel isn't opened. */
interface Internals {
  _protocol: {
    _handlers: { CHANNEL_OPEN: (protocol: unknown, opened: Opened) => unknown }
    channelOpenFail(sender: number, reason: number, description: string): void
  }
}

/** SSH_OPEN_ADMINISTRATIVELY_PROHIBITED (RFC 4254, section 5.1). */
const PROHIBITED = 1

/**
 * Refuses what carries others' connections (RFC 4254, section 7; OpenSSH's PROTOCOL, section 2): channels that aren't
 * sessions, and listening at our end. A client that asks for it goes on with the rest.
 */
export function refuseForwards(client: Connection, visitor: Visitor): void {
  const { _protocol: protocol } = client as unknown as Internals
  const open = protocol._handlers.CHANNEL_OPEN
  protocol._handlers.CHANNEL_OPEN = (p, opened) => {
    if (opened.type === 'session') return open(p, opened)
    protocol.channelOpenFail(opened.sender, PROHIBITED, 'the gateway forwards no connections')
    visitor.forbidden(textOf(opened))
  }
  client.on('request', (_accept, reject, name, info) => {
    reject?.()
    const { bindAddr, bindPort, socketPath } = info as { bindAddr?: string; bindPort?: number; socketPath?: string }
    const where = socketPath ?? `${bindAddr}:${bindPort}`
    if (!name.startsWith('cancel-')) visitor.forbidden(`listen ${where}`)
  })
}

function textOf({ type, data }: Opened): string {
  if (type === 'direct-tcpip') return `forward ${data?.destIP}:${data?.destPort}`
  if (type === 'direct-streamlocal@openssh.com') return `forward ${data?.socketPath}`
  return `channel ${type}`
}
