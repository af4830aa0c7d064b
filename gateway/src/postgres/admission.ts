import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import type { Entry } from '../gate/entrance.ts'
import type { AgentPrincipal } from '../identity/principal.ts'
import { TokenError } from '../identity/principal.ts'
import { refusedBecause } from '../identity/sign-ins.ts'
import { LedgerStopped } from '../sessions/ledger/ledger.ts'
import { EndReason, type LiveSession, RecordingError, SessionRefused } from '../sessions/session.ts'
import type { Analyst } from './analyst.ts'
import type { Catalogs } from './catalogs.ts'
import { Commands, connectMeaning } from './commands.ts'
import { type StartupParameters, sortParameters } from './parameters.ts'
import type { PostgresOptions } from './postgres.ts'
import * as refusal from './refusal.ts'
import { Session } from './session.ts'
import { askToken, type Opening } from './startup.ts'
import type { PostgresTarget } from './target.ts'
import { connectUpstream, type Upstream, UpstreamError } from './upstream/connect.ts'
import { ProtocolViolation } from './wire/framer.ts'
import { int32, message, report, T } from './wire/messages.ts'

export interface AdmissionOptions extends PostgresOptions {
  catalogs: Catalogs
  analyst: Analyst
  address: string
  /** Told once the agent is known: from then on its session's own bounds hold. */
  admitted: () => void
  draining: AbortSignal
}

const UPSTREAM_MS = 15_000
const AUTHENTICATION_OK = message(T.Authentication, int32(0))

/** Says no with a FATAL; the words are all that the client learns. */
class Refused extends Error {
  readonly words: refusal.Words
  readonly why: string
  constructor(words: refusal.Words, why: string) {
    super(words.message)
    this.words = words
    this.why = why
  }
}

/**
 * From a startup packet to a signed-in session with its server connection: who is it, what for, may it, is the server
 * there. Answers nothing where the client was refused or has gone.
 */
export async function admit(
  opening: Extract<Opening, { is: 'session' }>,
  options: AdmissionOptions,
): Promise<Session | undefined> {
  const { socket } = opening
  const log = options.log.child({ address: options.address })
  try {
    const parameters = checked(opening, options)
    const agent = await authenticate(socket, options)
    if (!agent) return undefined
    options.admitted()
    const purpose = parameters.purpose ?? agent.token?.purpose
    const { target, entry } = permitted(agent, purpose, parameters, options)
    const live = await open({ agent, target, entry, purpose }, parameters, options)
    try {
      const words = log.child({ session: live.id, connection: target.ref.name, agent: agent.id })
      socket.write(AUTHENTICATION_OK)
      await submitConnect(socket, live, options, { purpose, hold: parameters.hold }, words)
      const upstream = await connect(target, parameters, live)
      words.info({ purpose, application: parameters.application }, 'session opened')
      return new Session({
        client: socket,
        upstream,
        target,
        live,
        gate: options.gate,
        catalogs: options.catalogs,
        analyst: options.analyst,
        approvals: options.approvals,
        limits: options.limits,
        purpose,
        hold: parameters.hold,
        key: Buffer.concat([int32(upstream.key?.pid ?? 0), randomBytes(4)]),
        log: words,
      })
    } catch (thrown) {
      // Whatever went wrong where it has to end anyway: that it had to is what the client is told.
      const error = live.ended.aborted && socket.writable ? endedWhileOpening(live) : thrown
      await live.close('closed', error instanceof Refused ? error.why : 'it failed while it was opened').catch(() => {})
      throw error
    }
  } catch (error) {
    const refused = asRefused(error)
    if (!refused) log.error({ err: error }, 'a connection failed while it was opened')
    else log.info({ sqlstate: refused.words.code, why: refused.why }, 'connection refused')
    const last = error instanceof UpstreamError && error.report
    const words = refused?.words ?? refusal.internal
    socket.end(last || report({ severity: 'FATAL', ...words }), () => socket.destroySoon())
    return undefined
  }
}

function checked(opening: Extract<Opening, { is: 'session' }>, options: AdmissionOptions): StartupParameters {
  if (options.requireTls && !opening.encrypted) throw new Refused(refusal.tlsRequired, 'no TLS')
  if (options.draining.aborted) throw new Refused(refusal.shuttingDown, 'the gateway is stopping')
  const parameters = sortParameters(opening.parameters)
  if ('code' in parameters) throw new Refused(parameters, parameters.message)
  return parameters
}

async function authenticate(socket: Socket, options: AdmissionOptions): Promise<AgentPrincipal | undefined> {
  const token = await askToken(socket)
  if (token === undefined) {
    socket.destroy()
    return undefined
  }
  const { signIns, address } = options
  try {
    const principal = await options.identity.authenticate(token)
    if (principal.kind === 'agent') return principal
    const reason = 'a person’s token opens no session'
    signIns.refused({ via: 'postgres', address, who: principal, reason })
    throw new Refused(refusal.badToken, reason)
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    signIns.refused({ via: 'postgres', address, reason: refusedBecause(error.fault) })
    throw new Refused(refusal.badToken, `${error.fault}: ${error.message}`)
  }
}

function endedWhileOpening({ ended: { reason } }: LiveSession): Refused {
  const message = reason instanceof EndReason ? reason.message : 'the session was ended'
  return new Refused(refusal.ended(message), message)
}

/** Whether the agent may come in: every refusal has the same words. Who is let in has the way in, which is to be left. */
function permitted(
  agent: AgentPrincipal,
  purpose: string | undefined,
  parameters: StartupParameters,
  options: AdmissionOptions,
): { target: PostgresTarget; entry: Entry } {
  const target = options.target(parameters.connection)
  const noted = (reason: string, connection?: string) => {
    const { signIns, address } = options
    signIns.refused({ via: 'postgres', address, who: agent, ...(connection !== undefined && { connection }), reason })
  }
  if (!target) noted('there is no such connection')
  if (!target)
    throw new Refused(refusal.noConnection, `there is no connection ${JSON.stringify(parameters.connection)}`)
  const entry = options.entrance.enter(agent, target.ref)
  if ('refused' in entry) {
    noted(entry.refused, target.ref.name)
    throw new Refused(refusal.noConnection, `${agent.id} may not open ${target.ref.name}: ${entry.refused}`)
  }
  const { effects } = connectMeaning(target.ref.name).analysis
  const preview = options.gate.preview({
    protocol: 'postgres',
    connection: target.ref,
    agent,
    session: { id: '', ...(purpose === undefined ? {} : { purpose }), backing: entry.backing },
    text: CONNECT,
    parameters: [],
    kind: 'connect',
    effects,
    meaning: {},
  })
  if (preview.outcome === 'deny' && target.ref.mode === 'enforce') {
    entry.left()
    noted('policy does not let it in', target.ref.name)
    throw new Refused(refusal.noConnection, `${agent.id} may not open ${target.ref.name}: ${preview.reason}`)
  }
  return { target, entry }
}

async function open(
  admitted: { agent: AgentPrincipal; target: PostgresTarget; entry: Entry; purpose: string | undefined },
  { application }: StartupParameters,
  options: AdmissionOptions,
): Promise<LiveSession> {
  const { agent, target, entry, purpose } = admitted
  return options.sessions.open({
    connection: target.ref,
    protocol: 'postgres',
    agent,
    ...(purpose === undefined ? {} : { purpose }),
    entrance: { entry, connect: connectMeaning(target.ref.name).analysis.effects[0]! },
    client: { address: options.address, ...(application === undefined ? {} : { application }) },
  })
}

const CONNECT = 'connect'

/** Opening the connection is a command too: decided, held where policy says so, and recorded. */
async function submitConnect(
  socket: Socket,
  live: LiveSession,
  options: AdmissionOptions,
  asked: { purpose: string | undefined; hold: 'wait' | 'fail' | undefined },
  log: AdmissionOptions['log'],
): Promise<void> {
  const controller = new AbortController()
  const gone = () => controller.abort(new Error('the client has gone'))
  const over = () => controller.abort(live.ended.reason)
  socket.once('close', gone)
  live.ended.addEventListener('abort', over, { once: true })
  if (live.ended.aborted) over()
  const stopping = () => controller.abort(new Error('the gateway is stopping'))
  options.draining.addEventListener('abort', stopping, { once: true })
  const meaning = connectMeaning(live.connection.name)
  try {
    const commands = new Commands(live, options.gate, asked.purpose, log)
    const answer = await commands.submit({
      text: CONNECT,
      parameters: [],
      meaning,
      hold: asked.hold ?? options.approvals().hold,
      signal: controller.signal,
      onHeld: (notice) => {
        socket.once('end', gone)
        socket.resume() // nothing more is due from the client before ReadyForQuery but its end
        socket.write(report(refusal.heldNotice(notice)))
      },
      meaningNow: async () => meaning,
    })
    // What policy denies is as if it weren't there; what people deny was shown to be, and they have a reason.
    if (!('run' in answer))
      throw new Refused(
        answer.refused.code === '42501' && commands.denies(CONNECT, meaning) ? refusal.noConnection : answer.refused,
        answer.refused.message,
      )
    answer.run.end()
    commands.journal.flush()
  } finally {
    socket.off('close', gone)
    socket.off('end', gone)
    socket.pause()
    live.ended.removeEventListener('abort', over)
    options.draining.removeEventListener('abort', stopping)
  }
}

async function connect(target: PostgresTarget, parameters: StartupParameters, live: LiveSession): Promise<Upstream> {
  const settings = new Map<string, string>()
  // What the parser takes for granted is made the session's default, to which RESET ALL goes back too.
  settings.set('client_encoding', 'UTF8')
  settings.set('standard_conforming_strings', 'on')
  for (const [name, value] of parameters.settings) {
    const fixed = name.toLowerCase()
    settings.set(fixed === 'client_encoding' || fixed === 'standard_conforming_strings' ? fixed : name, value)
  }
  const signal = AbortSignal.any([live.ended, AbortSignal.timeout(UPSTREAM_MS)])
  const upstream = await connectUpstream(target, settings, signal)
  const encoding = upstream.parameters.get('client_encoding') ?? 'UTF8'
  const strings = upstream.parameters.get('standard_conforming_strings') ?? 'on'
  if (strings === 'on' && (encoding === 'UTF8' || encoding === 'SQL_ASCII')) return upstream
  upstream.socket.destroy()
  throw new Refused(
    refusal.upstreamDown('it insists on settings that can’t be followed here'),
    `${encoding}, ${strings}`,
  )
}

function asRefused(error: unknown): Refused | undefined {
  if (error instanceof Refused) return error
  if (error instanceof UpstreamError)
    return new Refused(refusal.upstreamDown(error.message), `${error.code}: ${error.message}`)
  if (error instanceof SessionRefused) return new Refused(refusal.tooMany(error.message), error.message)
  if (error instanceof LedgerStopped) return new Refused(refusal.unlogged(error.message), error.message)
  if (error instanceof RecordingError) return new Refused(refusal.unrecordable, error.message)
  if (error instanceof ProtocolViolation) return new Refused(refusal.violation(error.message), error.message)
  return undefined
}
