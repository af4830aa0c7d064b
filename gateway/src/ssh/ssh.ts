import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import type { Logger } from 'pino'
import type { Gate } from '../gate/command.ts'
import type { Entrance } from '../gate/entrance.ts'
import { Openings } from '../gate/openings.ts'
import type { Identity } from '../identity/principal.ts'
import type { SignIns } from '../identity/sign-ins.ts'
import type { Sessions } from '../sessions/session.ts'
import { serveChannels } from './channels/channels.ts'
import { refuseForwards } from './door/forwards.ts'
import { Pace } from './door/pace.ts'
import { type Keys, signIn } from './door/sign-in.ts'
import { Visit } from './door/visit.ts'
import type { SshTarget } from './target.ts'
import { type Connection, Server } from './transport/ssh2.ts'
import type { Words } from './words.ts'

export { gatewayHostKey, HOST_KEY_FILE, type HostKey, keptHostKey } from './door/host-key.ts'
export type { SshTarget }

export interface SshOptions {
  listen: { host: string; port: number }
  /** The gateway's own, as OpenSSH's private text. */
  hostKey: string
  /** The connection of that name, as it is configured now. */
  target: (name: string) => SshTarget | undefined
  identity: Identity
  keys: Keys
  /** Who may come in, beside policy. */
  entrance: Entrance
  /** Told who was refused; who is let in has a session, which says so. */
  signIns: Pick<SignIns, 'refused'>
  sessions: Sessions
  gate: Gate
  approvals: () => { hold: 'wait' | 'fail' }
  log: Logger
  /** Other bounds than those that are good for everybody. */
  bounds?: Partial<SshBounds>
}

/** Milliseconds. */
export interface SshBounds {
  /** From a client's first byte until it is signed in, as sshd's LoginGraceTime. */
  loginMs: number
  /** How late a wrong answer is said to be wrong. */
  wrongAfterMs: number
  /** How long a signed-in client may ask for nothing. */
  idleMs: number
}

const sshBounds: SshBounds = { loginMs: 60_000, wrongAfterMs: 500, idleMs: 600_000 }

export interface SshListener extends AsyncDisposable {
  address: { host: string; port: number }
  /** No new sessions and commands; running ones get so many milliseconds, then everything is ended, told why. */
  drain(ms: number): Promise<void>
  /**
   * Another configuration is in force. Ends, told why, the sessions of these connections, which are configured otherwise by
   * now, and lets go of signed-in clients that have begun nothing: they may be none any more.
   */
  reconfigured(changed: Iterable<string>): void
}

type ClientInfo = Parameters<NonNullable<ConstructorParameters<typeof Server>[1]>>[1]

/** How long a client whose session was ended may take to hang up itself (ms). */
const GOODBYE_MS = 500
/** How long a connection that was ended may take to go (ms). */
const GOING_MS = 2000
/** Connections of one agent that have signed in and asked for nothing yet. */
const MOST_WAITING = 200
/** Channels of one connection at once. */
const CHANNELS = 100
/** Bytes of standard input that a card shows. */
const SHOWN_INPUT = 64 * 1024

/**
 * OpenSSH's clients say that nobody reads a command's output any more (`ssh host yes | head -1`) to those alone whose
 * version begins like theirs (compat.c, `SSH_NEW_OPENSSH`); to others such a command runs for ever.
 */
const IDENT = 'OpenSSH_compatible_Countersign'

const draining: Words = { message: 'the gateway is stopping', hint: 'Connect again shortly.' }
const otherwise = (connection: string): Words => ({
  message: `access ended: connection ${connection} was configured otherwise`,
  hint: 'Connect again.',
})
const anew: Words = { message: 'the gateway was configured anew', hint: 'Connect again.' }

/**
 * Listens for SSH clients (contract.md sections 3 to 5; RFC 4251 to 4254). Every command of theirs goes through `gate`.
 * @throws Error where the address can't be had, or the host key isn't one
 */
export async function listenSsh(options: SshOptions): Promise<SshListener> {
  const { log } = options
  const bounds = { ...sshBounds, ...options.bounds }
  const openings = new Openings()
  const pace = new Pace()
  const visits = new Set<Visit>()
  /** Sockets whose client has not said what it is. */
  const silent = new Map<string, Socket>()
  let stopping = false

  const ssh = new Server({ hostKeys: [options.hostKey], ident: IDENT })
  const listener = createServer({ pauseOnConnect: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 })
  listener.on('connection', (socket) => {
    socket.on('error', () => {}) // whoever waits on it sees it close
    const why = openings.add(socket)
    if (why !== undefined) {
      log.warn({ address: socket.remoteAddress, openings: openings.size, why }, 'a connection was closed')
      socket.destroy()
      return
    }
    const place = placeOf(socket.remoteAddress, socket.remotePort)
    silent.set(place, socket)
    const late = setTimeout(() => socket.destroy(), bounds.loginMs)
    socket.once('close', () => {
      silent.delete(place)
      openings.delete(socket)
      clearTimeout(late)
    })
    lateness.set(socket, late)
    const turn = pace.turn(socket.remoteAddress ?? '')
    if (turn === 0) ssh.injectSocket(socket)
    else
      setTimeout(() => {
        if (!socket.destroyed) ssh.injectSocket(socket)
      }, turn).unref()
  })
  const lateness = new WeakMap<Socket, NodeJS.Timeout>()

  ssh.on('connection', (client: Connection, info: ClientInfo) => {
    const place = placeOf(info.ip, info.port)
    const socket = silent.get(place)
    client.on('error', (error: Error) => log.info({ address: info.ip, why: error.message }, 'an SSH connection broke'))
    if (!socket) return void client.end()
    silent.delete(place)
    open(client, socket, info).catch((error) => {
      log.error({ err: error }, 'a connection failed while it was opened')
      socket.destroy()
    })
  })

  const open = async (client: Connection, socket: Socket, info: ClientInfo) => {
    const address = info.ip
    const words = log.child({ address })
    const { identity, keys, signIns } = options
    const signedIn = await signIn(client, {
      identity,
      keys,
      signIns,
      address,
      log: words,
      wrongAfter: bounds.wrongAfterMs,
    })
    if (!signedIn) return
    clearTimeout(lateness.get(socket))
    openings.delete(socket)
    const hangUp = () => {
      if (socket.destroyed) return Promise.resolve()
      // A client that is told of the end of its only channel goes by itself, and with that channel's exit status, which
      // OpenSSH's forgets where it reads of a disconnect at the same time.
      const goodbye = setTimeout(() => client.end(), GOODBYE_MS)
      const gone = setTimeout(() => socket.destroy(), GOODBYE_MS + GOING_MS)
      return new Promise<void>((resolve) => {
        socket.once('close', () => {
          clearTimeout(goodbye)
          clearTimeout(gone)
          resolve()
        })
      })
    }
    const waiting = [...visits].filter(({ agent, isIdle }) => agent.id === signedIn.agent.id && isIdle)
    if (waiting.length >= MOST_WAITING) {
      words.warn({ agent: signedIn.agent.id }, 'a connection was closed: its agent has too many that ask for nothing')
      void hangUp()
      return
    }
    const visit = new Visit(signedIn, hangUp, {
      ...options,
      idleMs: bounds.idleMs,
      address,
      application: info.header.versions.software.slice(0, 100).replace(/[^\x20-\x7e]/g, '?'),
      log: words.child({
        connection: signedIn.user.slice(0, 100),
        agent: signedIn.agent.id,
        ...(signedIn.agent.key !== undefined && { key: signedIn.agent.key }),
      }),
    })
    visits.add(visit)
    void visit.closed.then(() => visits.delete(visit))
    refuseForwards(client, visit)
    visit.serves(serveChannels(client, visit, { atOnce: CHANNELS, shownInput: SHOWN_INPUT, log: words }))
    client.once('close', () => void visit.end({ message: 'the client has gone' }))
    if (socket.destroyed) void visit.end({ message: 'the client has gone' })
    if (stopping) void visit.end(draining)
  }

  listener.listen(options.listen.port, options.listen.host)
  await once(listener, 'listening')
  listener.on('error', (error) => log.error({ error: error.message }, 'the SSH listener failed'))
  const { address: host, port } = listener.address() as AddressInfo

  const drain = async (ms: number) => {
    stopping = true
    listener.close()
    openings.destroy()
    const live = [...visits]
    const late = setTimeout(() => {
      for (const visit of live) void visit.end(draining, 'the gateway stopped')
    }, ms)
    await Promise.all(live.map((visit) => visit.drain(draining)))
    clearTimeout(late)
  }
  const reconfigured = (connections: Iterable<string>) => {
    const changed = new Set(connections)
    for (const visit of visits) {
      if (changed.has(visit.wanted)) void visit.end(otherwise(visit.wanted))
      else if (visit.isIdle) void visit.end(anew)
    }
  }
  return { address: { host, port }, drain, reconfigured, [Symbol.asyncDispose]: () => drain(0) }
}

const placeOf = (address: string | undefined, port: number | undefined) => `${address}|${port}`
