/** The inside of ssh2 1.17 as far as the patches touch it; its own types stop at its surface. */

import type { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import type { Duplex, Readable, Writable } from 'node:stream'
import type { Limits } from './limits.ts'
import type { Offer } from './offer.ts'

export type State = 'open' | 'eof' | 'closing' | 'closed'

export interface End {
  id: number
  /** Bytes that may still go this way (RFC 4254, section 5.2). */
  window: number
  packetSize: number
  state: State
}

export interface ChannelInfo {
  type: string
  incoming: End
  outgoing: End
}

/** Either role of a connection. */
export interface Connection extends EventEmitter {
  _protocol: Protocol
  _sock: Socket
  _chanMgr: { get(id: number): unknown; remove(id: number): void; _count: number; _channels: Record<number, unknown> }
  authenticated?: boolean
}

export interface Channel extends Duplex {
  server: boolean
  incoming: End
  outgoing: End
  stderr: Writable | Readable
  _client: Connection
  _waitChanDrain: boolean
  eof(): void
  close(): void
  _read(size: number): void
}

export interface ChannelClass {
  new (client: Connection, info: ChannelInfo, options?: { server?: boolean; allowHalfOpen?: boolean }): Channel
}

/** What a server has for a channel before anything was asked for in it. */
export interface Session extends EventEmitter {
  _channel: Channel | undefined
  _ending: boolean
  _chanInfo: ChannelInfo
}

// biome-ignore lint/suspicious/noExplicitAny: each message has arguments of its own
export type Handler = (protocol: Protocol, ...message: any[]) => unknown

export interface ProtocolConfig {
  server?: boolean
  onWrite: (bytes: Buffer) => void
  onError: (error: Error) => void
  messageHandlers: Record<string, Handler | undefined>
}

export interface Protocol {
  readonly _server: boolean
  _offer: Offer
  _handlers: Record<string, Handler | undefined>
  _kexinit: Buffer | undefined
  _queue: Buffer[] | undefined
  _kex: { remoteExtInfoEnabled: boolean; negotiated: { kex: string; cs: Negotiated; sc: Negotiated } } | undefined
  _cipher: { encrypt(packet: Buffer): void }
  _decipher: unknown
  _buffer: Buffer | undefined
  _destruct: unknown
  _parse: (chunk: Buffer, at: number, end: number) => number
  _onPayload: (payload: Buffer) => unknown
  _onHandshakeComplete: (...negotiated: unknown[]) => void
  _packetRW: {
    write: { allocStart: number; alloc(size: number, force?: boolean): Buffer; finalize(packet: Buffer): Buffer }
  }
  parse(chunk: Buffer, at: number, end: number): void
  cleanup(): void
  rekey(): void
  session(id: number, window: number, packetSize: number): void
  disconnect(reason: number): void
  channelData(id: number, bytes: Buffer): void
  channelExtData(id: number, bytes: Buffer, type: number): void
  channelSuccess(id: number): void
  channelFailure(id: number): void
  channelClose(id: number): void
  channelWindowAdjust(id: number, amount: number): void
  channelOpenFail(id: number, reason: number, description?: string): void
  requestFailure(): void
  exitStatus(id: number, status: number): void
  exitSignal(id: number, name: string, dumped: boolean | undefined, message: string | undefined): void
  /** What the patches add: patched/protocol.ts. */
  owner?: Connection
  limits: Limits
  /** Whether bytes of channels may be written now. */
  readonly sendable: boolean
  /** Is told once they may again. */
  park(channel: { resumeWriting(): void }): void
}

interface Negotiated {
  cipher: string
  mac: string
}

export interface ProtocolClass {
  new (config: ProtocolConfig): Protocol
}
