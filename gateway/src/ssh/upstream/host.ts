import type { Duplex, Readable } from 'node:stream'

/** A terminal as RFC 4254, section 6.2 asks for it. */
export interface Terminal {
  type: string
  columns: number
  rows: number
  /** Pixels. */
  width: number
  height: number
  /** Encoded terminal modes (RFC 4254, section 8), as the client sent them. */
  modes: Buffer
}

export interface ChannelRequest {
  kind: 'exec' | 'shell' | 'subsystem'
  /** The command, or the subsystem's name; empty for a shell. */
  text: string
  terminal?: Terminal
  environment: Readonly<Record<string, string>>
}

/** How a remote process ended (RFC 4254, section 6.10). Neither: the channel closed without a word. */
export interface RemoteExit {
  code?: number
  signal?: string
  coreDumped?: boolean
}

/** A channel to the host, patched where ssh2 is wrong (upstream/ and transport/ say how, and try it). */
export interface HostChannel {
  /** stdout to read, stdin to write; `end()` sends EOF. */
  readonly stdio: Duplex
  readonly stderr: Readable
  /** Resolves when the host has closed it, after both streams have ended; `exit` is then what it said. Never rejects. */
  readonly closed: Promise<RemoteExit>
  resize(columns: number, rows: number, width: number, height: number): void
  /** @param name without SIG */
  signal(name: string): void
  /** Says that nobody reads its output any more (`eow@openssh.com`, OpenSSH PROTOCOL 2.1): writing it fails from then on. */
  unread(): void
  close(): void
}

/** A signed-in connection to the host of a session. */
export interface Host {
  /** @throws HostError where the host refuses it, or doesn't answer in time */
  open(request: ChannelRequest, signal: AbortSignal): Promise<HostChannel>
  /** Resolves with why, once the connection is gone, whoever ended it. Never rejects. */
  readonly closed: Promise<string>
  /** Idempotent. */
  close(): void
}

/** A host that can't be used; the message says why, for the client too, and tells no secrets. */
export class HostError extends Error {
  override name = 'HostError'
}
