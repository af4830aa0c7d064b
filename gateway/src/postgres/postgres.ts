import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import type { Logger } from 'pino'
import type { Gate } from '../gate/command.ts'
import type { Entrance } from '../gate/entrance.ts'
import { Openings } from '../gate/openings.ts'
import type { Identity } from '../identity/principal.ts'
import type { SignIns } from '../identity/sign-ins.ts'
import type { Sessions } from '../sessions/session.ts'
import { admit } from './admission.ts'
import { Analyst } from './analyst.ts'
import { Catalogs } from './catalogs.ts'
import { loadParser } from './effects/effects.ts'
import { draining, RECONFIGURED, reconfigured, violation } from './refusal.ts'
import type { Session } from './session.ts'
import { readOpening } from './startup.ts'
import type { PostgresTarget } from './target.ts'
import { acceptLending } from './upstream/lent.ts'
import { ProtocolViolation } from './wire/framer.ts'
import { report } from './wire/messages.ts'

export type { PostgresTarget }

export interface PostgresOptions {
  listen: { host: string; port: number }
  /** Asked anew for each handshake, so that a reload takes effect. PEM. */
  tls: () => { cert: string; key: string }
  /** False only on loopback without `tls:`. */
  requireTls: boolean
  /** The connection of that name, as it is configured now. */
  target: (name: string) => PostgresTarget | undefined
  identity: Identity
  /** Who may come in, beside policy. */
  entrance: Entrance
  /** Told who was refused; who is let in has a session, which says so. */
  signIns: Pick<SignIns, 'refused'>
  sessions: Sessions
  gate: Gate
  approvals: () => { hold: 'wait' | 'fail'; in_transaction: 'wait' | 'fail' }
  /** Bytes. */
  limits: () => { max_statement: number; max_message: number }
  log: Logger
}

export interface PostgresListener extends AsyncDisposable {
  address: { host: string; port: number }
  /** No new sessions; idle ones end, running commands get so many milliseconds, then everything is closed with 57P01. */
  drain(ms: number): Promise<void>
  /**
   * Ends, with 57P01, the sessions of connections that are configured otherwise by now, also those that are just being
   * opened: they would keep to the classes, tags, mode and server that they began with.
   */
  endChanged(connections: Iterable<string>): void
}

/** How long a client may take from its first byte to being signed in, like the server's authentication_timeout. */
const LOGIN_MS = 60_000

/**
 * Listens for PostgreSQL clients (contract.md sections 3 to 5). Every command of theirs goes through `gate`.
 * @throws Error where the address can't be had
 */
export async function listenPostgres(options: PostgresOptions): Promise<PostgresListener> {
  await loadParser()
  const stop = new AbortController()
  const { log } = options
  const catalogs = new Catalogs(log, stop.signal)
  const analyst = new Analyst(log)
  const sessions = new Map<string, Session>()
  const openings = new Openings()
  /** When connections were last changed, in changes since the start. */
  const changed = new Map<string, number>()
  let changes = 0

  const server = createServer({
    allowHalfOpen: true,
    pauseOnConnect: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 60_000,
  })
  server.on('connection', (accepted) => {
    const plain = acceptLending(accepted)
    plain.on('error', () => {}) // whoever waits on it sees it close
    const why = openings.add(plain)
    if (why !== undefined) {
      log.warn({ address: plain.remoteAddress, openings: openings.size, why }, 'a connection was closed')
      plain.destroy()
      return
    }
    const late = setTimeout(() => plain.destroy(), LOGIN_MS)
    const admitted = () => {
      clearTimeout(late)
      openings.delete(plain)
    }
    open(plain, admitted)
      .catch((error) => {
        log.error({ err: error }, 'a connection failed while it was opened')
        plain.destroy()
      })
      .finally(admitted)
  })

  const open = async (plain: Socket, admitted: () => void) => {
    const address = plain.remoteAddress ?? ''
    let opening: Awaited<ReturnType<typeof readOpening>>
    try {
      opening = await readOpening(plain, options.tls)
    } catch (error) {
      if (!(error instanceof ProtocolViolation)) throw error
      log.info({ address, why: error.message }, 'connection closed: not the PostgreSQL protocol')
      plain.end(report({ severity: 'FATAL', ...violation(error.message) }), () => plain.destroy())
      return
    }
    switch (opening.is) {
      case 'nothing':
        log.debug({ address, why: opening.why }, 'connection closed')
        plain.destroy()
        return
      case 'cancel':
        await sessions.get(opening.key.toString('hex'))?.cancel()
        plain.end(() => plain.destroy())
        return
      case 'session': {
        const since = changes
        const session = await admit(opening, {
          ...options,
          catalogs,
          analyst,
          address,
          admitted,
          draining: stop.signal,
        })
        if (!session) return
        const key = session.key.toString('hex')
        sessions.set(key, session)
        void session.closed.then(() => sessions.delete(key))
        if (stop.signal.aborted) session.drain()
        await session.start(
          (changed.get(session.connection) ?? 0) > since ? reconfigured(session.connection) : undefined,
        )
      }
    }
  }

  server.listen(options.listen.port, options.listen.host)
  await once(server, 'listening')
  server.on('error', (error) => log.error({ error: error.message }, 'the PostgreSQL listener failed'))
  const { address: host, port } = server.address() as AddressInfo

  const drain = async (ms: number) => {
    stop.abort()
    server.close()
    openings.destroy()
    const live = [...sessions.values()]
    for (const session of live) session.drain()
    const late = setTimeout(() => {
      for (const session of live) session.end(draining, 'the gateway stopped', 'closed')
    }, ms)
    await Promise.all([...sessions.values()].map(({ closed }) => closed))
    clearTimeout(late)
    analyst[Symbol.dispose]()
  }
  const endChanged = (connections: Iterable<string>) => {
    changes++
    for (const name of connections) changed.set(name, changes)
    for (const session of sessions.values())
      if (changed.get(session.connection) === changes) session.end(reconfigured(session.connection), RECONFIGURED)
  }
  return { address: { host, port }, drain, endChanged, [Symbol.asyncDispose]: () => drain(0) }
}
