/**
 * SSH's transport for the rooms of this protocol: ssh2's classes with what is known to be wrong in them mended. Import
 * from here and never from `ssh2` itself, so that no connection goes without. What differs from ssh2:
 *
 * - A server's channel: `eof()`, `exit(…)` and `end()` may be called in any order and at any time; they are said in
 *   that order once both streams have gone out. `close()` closes at once. A write to a closed channel is thrown away.
 *   `close` is told only once stdin has been read to its end (or `resume()`d).
 * - `pty` tells `encoded`, the terminal's modes as the client sent them; a client's `pty` takes them as `modes`.
 * - `limits` beside ssh2's own options (limits.ts); keys are renewed by themselves.
 * - Connections and channels have a listener for errors, so that a forgotten one can't end the process.
 */
import type * as ssh2 from 'ssh2'
import { CIPHERS, CLIENT_KEX, HOST_KEYS, MACS, SERVER_KEX } from './algorithms.ts'
import { patchedChannel } from './channel.ts'
import { cipherFor, decipherFor } from './ciphers.ts'
import type { ChannelClass, Connection, Protocol, ProtocolClass } from './inner.ts'
import { LIMITS, type Limits } from './limits.ts'
import { patchedManager } from './manager.ts'
import { hybrid, MLKEM } from './post-quantum.ts'
import { privateCopy, replaceExports } from './private-copy.ts'
import { type PatchedProtocol, patchedProtocol } from './protocol.ts'
import { rawRequests } from './raw-requests.ts'

export type {
  AcceptConnection,
  AuthContext,
  ClientChannel,
  ClientInfo,
  ConnectConfig,
  Connection,
  ExecInfo,
  KeyboardAuthContext,
  NoneAuthContext,
  ParsedKey,
  PasswordAuthContext,
  PseudoTtyInfo,
  PublicKeyAuthContext,
  RejectConnection,
  ServerChannel,
  ServerConfig,
  ServerConnectionListener,
  Session,
  SetEnvInfo,
  ShellOptions,
  SignalInfo,
  SubsystemInfo,
  WindowChangeInfo,
} from 'ssh2'
export { LIMITS, type Limits } from './limits.ts'

/** Beside ssh2's own. */
export interface TransportOptions {
  limits?: Partial<Limits>
}

const copy = privateCopy((part) => {
  const { doFatalError } = part<{ doFatalError(protocol: Protocol, message: string): number }>('protocol/utils.js')
  const crypto = part<Record<'createCipher' | 'createDecipher', (config: never) => object>>('protocol/crypto.js')
  const { createCipher, createDecipher } = crypto
  crypto.createCipher = (config) => cipherFor(config) ?? createCipher(config)
  crypto.createDecipher = (config) => decipherFor(config) ?? createDecipher(config)
  const { SUPPORTED_KEX } = part<{ SUPPORTED_KEX: string[] }>('protocol/constants.js')
  SUPPORTED_KEX.push(MLKEM)
  // It takes hold of the ciphers when it is read.
  part<{ hybrid: typeof hybrid }>('protocol/kex.js').hybrid = hybrid
  rawRequests(part)
  const utils = part<{ ChannelManager: Parameters<typeof patchedManager>[0] }>('utils.js')
  utils.ChannelManager = patchedManager(utils.ChannelManager)
  const channel = part<{ Channel: ChannelClass }>('Channel.js')
  channel.Channel = patchedChannel(channel.Channel)
  replaceExports(part, 'protocol/Protocol.js', (Base: ProtocolClass) =>
    patchedProtocol(Base, (protocol, message) => doFatalError(protocol, message)),
  )
})

/** How long a peer may keep a connection half open that we have ended, ms. */
const LINGER = 5_000

function own(connection: ssh2.Connection | ssh2.Client, { limits }: TransportOptions): void {
  const inner = connection as unknown as Connection
  const protocol = inner._protocol as PatchedProtocol
  protocol.limits = { ...LIMITS, ...limits }
  protocol.own(inner)
  const socket = inner._sock
  socket.setNoDelay?.(true)
  inner.on('error', () => {})
  socket.once('finish', () => {
    const linger = setTimeout(() => socket.destroy(), LINGER).unref()
    socket.once('close', () => clearTimeout(linger))
  })
}

export class Server extends copy.Server {
  readonly #options: TransportOptions

  /** @throws Error where a host key can't be read */
  constructor(options: ssh2.ServerConfig & TransportOptions, listener?: ssh2.ServerConnectionListener) {
    super(
      {
        ...options,
        algorithms: { kex: SERVER_KEX, cipher: CIPHERS, hmac: MACS, compress: ['none'], ...options.algorithms },
      },
      listener,
    )
    this.#options = options
  }

  override emit(event: string | symbol, ...told: unknown[]): boolean {
    if (event === 'connection') own(told[0] as ssh2.Connection, this.#options)
    return super.emit(event as 'connection', ...(told as Parameters<ssh2.ServerConnectionListener>))
  }
}

export class Client extends copy.Client {
  override connect(options: ssh2.ConnectConfig & TransportOptions): this {
    super.connect({
      ...options,
      algorithms: {
        kex: CLIENT_KEX,
        serverHostKey: HOST_KEYS,
        cipher: CIPHERS,
        hmac: MACS,
        compress: ['none'],
        ...options.algorithms,
      },
    })
    own(this, options)
    return this
  }
}

export const { utils } = copy
