import { createHash } from 'node:crypto'
import { connect as connectTcp, type Socket } from 'node:net'
import type { Logger } from 'pino'
import type { SshTarget } from '../target.ts'
import { Client, type ConnectConfig, LIMITS, type TransportOptions } from '../transport/ssh2.ts'
import { type ChannelRequest, type Host, type HostChannel, HostError } from './host.ts'
import { openChannel } from './opening.ts'
import { publicWords } from './said.ts'
import { signInWays } from './sign-in.ts'

/** How long a host may take, in milliseconds, and how much it may say. */
export interface HostLimits {
  /** From the first packet of TCP until it is signed in. */
  signIn: number
  /** Bytes until it is signed in: a banner without an end is none. */
  signInBytes: number
  /** Until a channel is open and what was asked for in it is answered. */
  open: number
  /** Between two questions whether it is still there; `missed` of them without an answer, and it isn't. */
  alive: number
  missed: number
  /** Between our goodbye and the end of the connection, whatever the host makes of it. */
  goodbye: number
  /** Packets that bring nothing: LIMITS of the transport. */
  idlePackets: { burst: number; perSecond: number }
}

export const hostLimits: HostLimits = {
  signIn: 20_000,
  signInBytes: 1 << 20,
  open: 20_000,
  alive: 15_000,
  missed: 4,
  goodbye: 2_000,
  idlePackets: LIMITS.idlePackets,
}

/**
 * Kinds of host keys in the order in which they are asked for. A pinned fingerprint doesn't tell its kind, so where a
 * host shows a key of one kind that isn't pinned, it is asked for the next.
 */
const kinds = {
  ed25519: ['ssh-ed25519'],
  ecdsa: ['ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521'],
  rsa: ['rsa-sha2-512', 'rsa-sha2-256'],
} as const
type Kind = keyof typeof kinds
/** By host, port and pinned keys: the kind that was right the last time. */
const rightKind = new Map<string, Kind>()
const REMEMBERED = 10_000

/**
 * Connects to the host of a connection and signs in, by key where there is one, else by password (also as the answer to
 * a keyboard-interactive question). Only a host that proves a pinned key is told anything.
 * @param signal aborted: the attempt ends; the connection, once it stands, doesn't depend on it
 * @throws HostError, whose message is for the client too
 */
export async function connectHost(
  target: SshTarget,
  signal: AbortSignal,
  log: Logger,
  limits: HostLimits = hostLimits,
): Promise<Host> {
  const ways = signInWays(target)
  const place = `${target.host}:${target.port} ${target.hostKeys.join(' ')}`
  const first = rightKind.get(place)
  const left = (Object.keys(kinds) as Kind[]).sort((a, b) => Number(b === first) - Number(a === first))
  const late = AbortSignal.timeout(limits.signIn)
  const shown: ShownKey[] = []
  for (;;) {
    const outcome = await attempt(target, left, ways, AbortSignal.any([signal, late]), log, limits)
    if ('host' in outcome) {
      const right = kindOf(outcome.key.type)
      if (right !== first) {
        if (rightKind.size >= REMEMBERED) rightKind.clear()
        rightKind.set(place, right)
      }
      return outcome.host
    }
    if ('unknown' in outcome) {
      shown.push(outcome.unknown)
      left.splice(left.indexOf(kindOf(outcome.unknown.type)), 1)
      if (left.length > 0) continue
    } else if (!(shown.length > 0 && outcome.noKeyInCommon)) {
      if (signal.aborted) throw new HostError(`the attempt was given up (${reasonOf(signal)})`)
      const { host, port } = target
      log.warn({ connection: target.ref.name, host, port, because: outcome.error.message }, 'the host can’t be used')
      throw outcome.error
    }
    const { ref, host, port, hostKeys } = target
    log.error(
      { connection: ref.name, host, port, shown, pinned: hostKeys },
      'the host key is not the pinned one: nothing was sent to this host; if the key was changed on purpose, pin the new fingerprint as host_key',
    )
    throw new HostError('its host key is not the one that is pinned, so it may be another host')
  }
}

interface ShownKey {
  type: string
  fingerprint: string
}

type Attempt = { host: Host; key: ShownKey } | { unknown: ShownKey } | { error: HostError; noKeyInCommon: boolean }

/** One connection, which offers to take host keys of these kinds. Never rejects. */
async function attempt(
  target: SshTarget,
  accepted: readonly Kind[],
  ways: ReturnType<typeof signInWays>,
  signal: AbortSignal,
  log: Logger,
  limits: HostLimits,
): Promise<Attempt> {
  let key: ShownKey | undefined
  let stage = 'it can’t be reached'
  const lost = (because: string, noKeyInCommon = false) => ({
    error: new HostError(`${stage} (${because})`),
    noKeyInCommon,
  })
  let socket: Socket
  try {
    socket = await dial(target, signal)
  } catch (error) {
    return lost(signal.aborted ? 'it took too long' : causeOf(error as NodeJS.ErrnoException))
  }

  const client = new Client()
  const line = log.child({ connection: target.ref.name, host: target.host, port: target.port })
  return new Promise<Attempt>((resolve) => {
    let settled = false
    const settle = (outcome: Attempt) => {
      if (settled) return
      settled = true
      signal.removeEventListener('abort', tooLate)
      socket.off('data', counted)
      if (!('host' in outcome)) {
        client.destroy()
        socket.destroy()
      }
      resolve(outcome)
    }
    const tooLate = () => settle(lost('it took too long'))
    let heard = 0
    const counted = (chunk: Buffer) => {
      heard += chunk.length
      if (heard > limits.signInBytes) settle(lost('it says more than a sign-in takes'))
    }
    const alive = new Liveliness(client, socket, line, limits)

    client.on('error', (error: Error & { level?: string }) => {
      alive.failed(error)
      if (settled) return
      if (key && !target.hostKeys.includes(key.fingerprint)) return settle({ unknown: key })
      if (error.level === 'client-authentication')
        return settle(lost('it accepts neither the key nor the password of this connection'))
      settle(lost(publicWords(error.message), /no matching host key format/i.test(error.message)))
    })
    client.on('close', () => settle(lost('it closed the connection')))
    client.on('change password', () => settle(lost('it asks for a new password')))
    client.on('connect', () => {
      stage = 'it doesn’t agree on a secure connection'
    })
    client.on('handshake', () => {
      stage = 'it lets nobody in'
    })
    client.on('ready', () => settle({ host: standing(client, alive, limits), key: key! }))
    const config: ConnectConfig & TransportOptions = {
      sock: socket,
      username: target.user,
      readyTimeout: 0, // ours is the signal
      keepaliveInterval: limits.alive,
      keepaliveCountMax: limits.missed,
      hostVerifier: (blob: Buffer) => {
        key = { type: typeOf(blob), fingerprint: fingerprintOf(blob) }
        return target.hostKeys.includes(key.fingerprint)
      },
      algorithms: { serverHostKey: accepted.flatMap((kind) => kinds[kind]), compress: ['none'] },
      authHandler: ways(),
      limits: { idlePackets: limits.idlePackets },
    }
    signal.addEventListener('abort', tooLate, { once: true })
    try {
      client.connect(config)
      socket.on('data', counted)
      if (signal.aborted) tooLate()
    } catch (error) {
      settle(lost(publicWords((error as Error).message)))
    }
  })
}

const SILENT = 'it doesn’t say why'

/** Why and when a connection ends. */
class Liveliness {
  readonly closed: Promise<string>
  #because: string | undefined
  #standing = false
  #failed = false
  readonly #client: Client
  readonly #socket: Socket
  readonly #goodbye: number

  constructor(client: Client, socket: Socket, log: Logger, limits: HostLimits) {
    this.#client = client
    this.#socket = socket
    this.#goodbye = limits.goodbye
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        const because = this.#because ?? SILENT
        if (this.#failed) log.warn({ because }, 'the connection to the host has failed')
        else log.debug({ because }, 'the connection to the host has ended')
        resolve(because)
      })
    })
    // What half a connection is good for ends with it.
    socket.once('end', () => this.end(SILENT))
  }

  /** From now on its failures are the log’s to know; before, they are the attempt’s. */
  stands(): void {
    this.#standing = true
  }

  failed(error: Error): void {
    this.#failed ||= this.#standing && this.#because === undefined
    this.end(publicWords(error.message))
  }

  end(because: string): void {
    this.#because ??= because
    if (this.#socket.destroyed) return
    setTimeout(() => this.#socket.destroy(), this.#goodbye).unref()
    try {
      this.#client.end()
    } catch {
      // What has failed already says no goodbye.
      this.#socket.end()
    }
  }
}

function standing(client: Client, alive: Liveliness, limits: HostLimits): Host {
  alive.stands()
  return {
    closed: alive.closed,
    close: () => alive.end('the gateway closed the connection'),
    open: (request: ChannelRequest, signal: AbortSignal): Promise<HostChannel> =>
      openChannel(client, request, signal, limits.open),
  }
}

function dial({ host, port }: SshTarget, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host, port, noDelay: true, keepAlive: true })
    const given = () => socket.destroy(new Error('given up'))
    if (signal.aborted) given()
    signal.addEventListener('abort', given, { once: true })
    const over = () => signal.removeEventListener('abort', given)
    socket.once('connect', () => {
      over()
      socket.off('error', failed)
      resolve(socket)
    })
    const failed = (error: Error) => {
      over()
      reject(error)
    }
    socket.once('error', failed)
  })
}

/** Several addresses may have been tried. */
const causeOf = (error: NodeJS.ErrnoException | AggregateError): string =>
  error instanceof AggregateError
    ? [...new Set(error.errors.map(causeOf))].join(', ')
    : ((error as NodeJS.ErrnoException).code ?? error.message)

const reasonOf = (signal: AbortSignal) => (signal.reason as Error | undefined)?.message ?? 'cancelled'

/** As ssh-keygen -l prints it. */
const fingerprintOf = (blob: Buffer) =>
  `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`

/** RFC 4253, section 6.6: a key begins with its type. */
const typeOf = (blob: Buffer) => blob.toString('latin1', 4, 4 + Math.min(64, blob.readUInt32BE(0)))

const kindOf = (type: string): Kind =>
  type === 'ssh-ed25519' ? 'ed25519' : type.startsWith('ecdsa-') ? 'ecdsa' : 'rsa'
