import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { pipeline } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import { rootCertificates } from 'node:tls'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { listOf, Problem } from '@countersign/contract/api'
import { Approval, type DecisionRequest } from '@countersign/contract/approval'
import {
  Annotation,
  type Cosignature,
  FoundCommands,
  LedgerState,
  LegalHold,
  type LiftLegalHold,
  type NewAnnotation,
  type NewLegalHold,
  RetentionRun,
  RetentionState,
  type StartRetentionRun,
} from '@countersign/contract/evidence'
import { Me, SignIn } from '@countersign/contract/identity'
import { Session } from '@countersign/contract/session'
import type { z } from 'zod'
import { type CommandSearch, ConsoleError, type SessionQuery } from '../../console-api.ts'
import { type AccessApi, accessApi } from './access/gateway-access.ts'
import { type AgentsApi, agentsApi } from './access/gateway-agents.ts'
import { type PolicyApi, policyApi } from './policy/gateway-policy.ts'
import { type ReviewsApi, reviewsApi } from './reviews/gateway-reviews.ts'

/** The gateway could not be reached, or didn't answer in time; the same call may work later. */
export class Unreachable extends Error {
  override name = 'Unreachable'
  /** Whether the request may have arrived before the answer was lost. */
  readonly maybeArrived: boolean
  constructor(message: string, maybeArrived: boolean) {
    super(message)
    this.maybeArrived = maybeArrived
  }
}

/** The gateway answered with an error (RFC 9457). `message` is its sentence. */
export class Refused extends Error {
  override name = 'Refused'
  readonly status: number
  /** Seconds after which it may be asked again, where the gateway said so (RFC 9110, Retry-After). */
  readonly retryAfter: number | undefined
  /** The whole problem as it came, with members of its own (RFC 9457, section 3.2). */
  readonly problem: unknown
  constructor(status: number, message: string, retryAfter?: number, problem?: unknown) {
    super(message)
    this.status = status
    this.retryAfter = retryAfter
    this.problem = problem
  }
}

export interface GatewayApi extends AccessApi, AgentsApi, PolicyApi, ReviewsApi, Disposable {
  /** @throws Unreachable, Refused; all calls do */
  signIn(): Promise<SignIn>
  me(token: string): Promise<Me>
  approvals(token: string, query: { state?: string; limit?: number }): Promise<Approval[]>
  approval(token: string, id: string): Promise<Approval | null>
  decide(token: string, id: string, decision: DecisionRequest, signal: AbortSignal): Promise<Approval | null>
  sessions(token: string, query: SessionQuery): Promise<{ items: Session[]; next: string | null }>
  commands(token: string, query: CommandSearch): Promise<FoundCommands>
  session(token: string, id: string): Promise<Session | null>
  /**
   * A session's recording from byte `from` on, as plain NDJSON; of a live one what is there. It may be large: `signal`
   * ends it. `from` of the answer is less where the gateway begins earlier (one that knows no ranges).
   */
  recording(token: string, session: string, from: number, signal: AbortSignal): Promise<RecordingBytes>
  terminate(token: string, session: string, reason: string): Promise<void>
  /** All of a session's annotations. */
  annotations(token: string, session: string): Promise<Annotation[]>
  putAnnotation(token: string, session: string, id: string, body: NewAnnotation): Promise<Annotation>
  withdrawAnnotation(token: string, session: string, id: string, reason: string): Promise<Annotation>
  /** Tells a playback that the gateway couldn't see. */
  putPlayback(token: string, session: string, id: string, playedAt: string): Promise<void>
  ledger(token: string): Promise<LedgerState>
  /** The newest signed checkpoint, verbatim. */
  checkpoint(token: string): Promise<string>
  /** A tile by its path (C2SP tlog-tiles); null where there is none. */
  tile(token: string, path: string): Promise<Uint8Array | null>
  cosign(token: string, cosignature: Cosignature): Promise<void>
  /** A session's evidence bundle, bit by bit; it may be large. `signal` ends it. */
  bundle(token: string, session: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>
  retention(token: string): Promise<RetentionState>
  /** The newest first, those that were lifted too. */
  legalHolds(token: string, limit: number): Promise<{ items: LegalHold[] }>
  placeLegalHold(token: string, hold: NewLegalHold): Promise<LegalHold>
  liftLegalHold(token: string, id: string, lift: LiftLegalHold): Promise<LegalHold>
  runRetention(token: string, run: StartRetentionRun): Promise<RetentionRun>
}

export interface RecordingBytes {
  from: number
  /** Ends with an error where the connection breaks. */
  stream: AsyncIterable<Buffer>
}

export interface Asked {
  accept?: string
  headers?: Record<string, string>
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  token?: string
  body?: unknown
  signal?: AbortSignal
  /** Milliseconds without a byte before the gateway counts as gone. */
  patience?: number
  /** How many bytes an answer may have. */
  most?: number
}

/** Past this a list is not a list that a person works through; the rest is found by searching. */
const longestList = 10_000
const mebibyte = 1024 * 1024
/** A call that came too soon is made again so often, where it has to wait no longer than that (s). */
const mostAgain = 5
const longestWait = 10
/** Nothing of a log is larger: a signed checkpoint with its cosignatures, a tile of 256 hashes. */
const largestNote = 64_000
const largestTile = 8192

/**
 * The REST half of a gateway at `base`. `ca` (PEM) is trusted besides the system's authorities; verification itself is
 * never switched off.
 */
export function gatewayApi(base: URL, ca: string | undefined): GatewayApi {
  const secure = base.protocol === 'https:'
  const options = { keepAlive: true, maxSockets: 6, ...(secure && ca ? { ca: trusted(ca) } : {}) }
  const agent = secure ? new https.Agent(options) : new http.Agent(options)

  const ask = async (path: string, asked: Asked = {}) => (await request(base, agent, path, asked)).toString('utf8')
  const askFor = async <T>(schema: z.ZodType<T>, path: string, asked: Asked = {}): Promise<T> =>
    understood(schema, path, await ask(path, asked))
  const orNull = async <T>(answer: Promise<T>): Promise<T | null> => {
    try {
      return await answer
    } catch (error) {
      if (error instanceof Refused && error.status === 404) return null
      throw error
    }
  }
  const bodyOf = (decision: DecisionRequest) => ({ reason: '', window: 'once', ...decision })

  return {
    ...accessApi(askFor, orNull),
    ...agentsApi(askFor, orNull),
    ...reviewsApi({ askFor, orNull, ask, respond: (path, asked = {}) => respond(base, agent, path, asked) }),
    ...policyApi(askFor, orNull),
    signIn: () => askFor(SignIn, '/v1/sign-in'),
    me: (token) => askFor(Me, '/v1/me', { token }),
    async approvals(token, query) {
      const wanted = query.limit ?? longestList
      const items: Approval[] = []
      let after: string | undefined
      do {
        const path = `/v1/approvals${parameters({ state: query.state, limit: Math.min(wanted, 1000), after })}`
        const page = await askFor(listOf(Approval), path, { token, most: 64 * mebibyte })
        items.push(...page.items)
        after = page.next ?? undefined
      } while (after !== undefined && items.length < wanted)
      return items
    },
    approval: (token, id) => orNull(askFor(Approval, `/v1/approvals/${encodeURIComponent(id)}`, { token })),
    async decide(token, id, decision, signal) {
      const path = `/v1/approvals/${encodeURIComponent(id)}/decisions`
      const answer = await ask(path, { method: 'POST', token, body: bodyOf(decision), signal })
      const parsed = Approval.safeParse(safeJson(answer))
      return parsed.success ? parsed.data : null
    },
    sessions: (token, query) => askFor(listOf(Session), `/v1/sessions${parameters(query)}`, { token }),
    commands: (token, query) => askFor(FoundCommands, `/v1/commands${parameters(query)}`, { token }),
    session: (token, id) => orNull(askFor(Session, `/v1/sessions/${encodeURIComponent(id)}`, { token })),
    async recording(token, session, from, signal) {
      const path = `/v1/sessions/${encodeURIComponent(session)}/recording`
      // Ranges are of what is sent, so that only a whole one comes packed.
      const headers = from > 0 ? { range: `bytes=${from}-` } : { 'accept-encoding': 'zstd, gzip' }
      const accept = 'application/x-ndjson'
      try {
        const answer = await respond(base, agent, path, { token, signal, headers, accept, patience: 30_000 })
        return { from: answer.statusCode === 206 ? from : 0, stream: unpacked(base, answer) }
      } catch (error) {
        if (error instanceof Refused && error.status === 416) return { from, stream: nothing() }
        throw error
      }
    },
    async terminate(token, session, reason) {
      await ask(`/v1/sessions/${encodeURIComponent(session)}/terminate`, { method: 'POST', token, body: { reason } })
    },
    ledger: (token) => askFor(LedgerState, '/v1/ledger', { token, most: 4 * mebibyte }),
    checkpoint: (token) => ask('/v1/ledger/checkpoint', { token, accept: 'text/plain', most: largestNote }),
    tile: (token, path) =>
      orNull(
        request(base, agent, `/v1/ledger/${path}`, { token, accept: 'application/octet-stream', most: largestTile }),
      ),
    async cosign(token, body) {
      await ask('/v1/ledger/cosignatures', { method: 'POST', token, body })
    },
    bundle: (token, session, signal) =>
      respond(base, agent, `/v1/sessions/${encodeURIComponent(session)}/bundle`, {
        token,
        signal,
        accept: 'application/x-tar',
        patience: 60_000,
      }),
    async annotations(token, session) {
      const items: Annotation[] = []
      let after: string | undefined
      do {
        const path = `${pathOf(session)}/annotations${parameters({ limit: 1000, after })}`
        const page = await askFor(listOf(Annotation), path, { token, most: 64 * mebibyte })
        items.push(...page.items)
        after = page.next ?? undefined
      } while (after !== undefined && items.length < longestList)
      return items
    },
    putAnnotation: (token, session, id, body) =>
      askFor(Annotation, `${pathOf(session)}/annotations/${id}`, { method: 'PUT', token, body }),
    withdrawAnnotation: (token, session, id, reason) =>
      askFor(Annotation, `${pathOf(session)}/annotations/${id}/withdraw`, { method: 'POST', token, body: { reason } }),
    async putPlayback(token, session, id, playedAt) {
      await ask(`${pathOf(session)}/playbacks/${id}`, { method: 'PUT', token, body: { playedAt } })
    },
    retention: (token) => askFor(RetentionState, '/v1/retention', { token }),
    legalHolds: (token, limit) => askFor(listOf(LegalHold), `/v1/legal-holds${parameters({ limit })}`, { token }),
    placeLegalHold: (token, body) => askFor(LegalHold, '/v1/legal-holds', { method: 'POST', token, body }),
    liftLegalHold: (token, id, body) =>
      askFor(LegalHold, `/v1/legal-holds/${encodeURIComponent(id)}/lift`, { method: 'POST', token, body }),
    runRetention: (token, body) =>
      askFor(RetentionRun, '/v1/retention/runs', { method: 'POST', token, body, patience: 300_000 }),
    [Symbol.dispose]: () => agent.destroy(),
  }
}

const pathOf = (session: string) => `/v1/sessions/${encodeURIComponent(session)}`

/**
 * The address of a gateway as a person types it.
 * @throws ConsoleError where it is none, or would send tokens over a network in the clear
 */
export function gatewayAddress(typed: string): URL {
  const trimmed = typed.trim()
  const named = /^[a-z]+:\/\//i.test(trimmed) ? trimmed : `https://${trimmed}`
  if (!URL.canParse(named))
    throw new ConsoleError('bad-gateway-address', `“${typed}” is no address. It looks like https://gw.example.com`)
  const url = new URL(named)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname)))
    throw new ConsoleError(
      'bad-gateway-address',
      'A gateway is reached by https://. Plain http:// is for one on this machine only.',
    )
  if (url.username || url.password)
    throw new ConsoleError('bad-gateway-address', 'Leave name and password out of the address; you sign in by browser.')
  return new URL(url.origin)
}

/** Whether a URL's host is this machine: 127.0.0.0/8, ::1 or localhost (RFC 6761 keeps it there). */
export function isLoopback(hostname: string): boolean {
  return /^127(\.\d{1,3}){3}$/.test(hostname) || hostname === '[::1]' || hostname === 'localhost'
}

/** A gateway's certificate can be its own authority, so that a self-signed one is trusted exactly by being named. */
export function trusted(ca: string): string[] {
  return [...rootCertificates, ca]
}

/** The whole answer of a call. @throws Unreachable, Refused, ConsoleError where it is larger than it may be */
async function request(base: URL, agent: http.Agent, path: string, asked: Asked): Promise<Buffer> {
  return read(base, await respond(base, agent, path, asked), asked.most ?? 32 * mebibyte)
}

/**
 * The answer of a call, to be read. One that only reads and comes too soon after others (429) is made again when the
 * gateway says so, a few times. @throws Unreachable, Refused
 */
async function respond(base: URL, agent: http.Agent, path: string, asked: Asked): Promise<IncomingMessage> {
  for (let again = 0; ; again++) {
    try {
      return await respondOnce(base, agent, path, asked)
    } catch (error) {
      const reads = (asked.method ?? 'GET') === 'GET'
      const seconds = reads && error instanceof Refused && error.status === 429 ? error.retryAfter : undefined
      if (seconds === undefined || seconds > longestWait || again >= mostAgain) throw error
      try {
        // Those that were refused together don't all come back together.
        await setTimeout(seconds * 1000 * (1 + Math.random() / 4), undefined, {
          ref: false,
          ...(asked.signal && { signal: asked.signal }),
        })
      } catch (aborted) {
        throw new Unreachable(inWords(base, aborted as Error), false)
      }
    }
  }
}

function respondOnce(base: URL, agent: http.Agent, path: string, asked: Asked): Promise<IncomingMessage> {
  const body = asked.body === undefined ? undefined : JSON.stringify(asked.body)
  return new Promise((resolve, reject) => {
    let sent = false
    const send = base.protocol === 'https:' ? https.request : http.request
    const outgoing = send(new URL(path, base), {
      agent,
      method: asked.method ?? 'GET',
      timeout: asked.patience ?? 10_000,
      ...(asked.signal ? { signal: asked.signal } : {}),
      headers: {
        accept: asked.accept ?? 'application/json, application/x-ndjson',
        ...asked.headers,
        ...(asked.token ? { authorization: `Bearer ${asked.token}` } : {}),
        ...(body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
      },
    })
    outgoing.once('finish', () => {
      sent = true
    })
    outgoing.once('timeout', () => outgoing.destroy(new Error('it did not answer in time')))
    outgoing.once('error', (error) => reject(new Unreachable(inWords(base, error), sent)))
    outgoing.once('response', (incoming) => {
      const status = incoming.statusCode ?? 0
      if (status >= 200 && status < 300) return resolve(incoming)
      read(base, incoming, mebibyte).then((answer) => {
        const wait = secondsIn(incoming.headers['retry-after'])
        const text = answer.toString('utf8')
        reject(new Refused(status, problemOf(status, text), wait, safeJson(text)))
      }, reject)
    })
    outgoing.end(body)
  })
}

/** An answer without its packing. What goes wrong on the way is told as Unreachable. */
async function* unpacked(base: URL, incoming: IncomingMessage): AsyncGenerator<Buffer> {
  const packing = incoming.headers['content-encoding']
  const unpacker = packing === 'zstd' ? createZstdDecompress() : packing === 'gzip' ? createGunzip() : undefined
  const stream = unpacker ?? incoming
  if (unpacker) pipeline(incoming, unpacker, () => {})
  try {
    yield* stream as AsyncIterable<Buffer>
  } catch (error) {
    throw new Unreachable(inWords(base, error as Error), true)
  } finally {
    incoming.destroy()
  }
}

async function* nothing(): AsyncGenerator<Buffer> {}

async function read(base: URL, incoming: IncomingMessage, most: number): Promise<Buffer> {
  let size = 0
  incoming.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > most)
      incoming.destroy(
        new ConsoleError(
          'too-large',
          `The answer is larger than ${most < mebibyte ? `${most} bytes` : `${most / mebibyte} MiB`}.`,
        ),
      )
  })
  try {
    return await buffer(incoming)
  } catch (error) {
    throw error instanceof ConsoleError ? error : new Unreachable(inWords(base, error as Error), true)
  }
}

function understood<T>(schema: z.ZodType<T>, path: string, answer: string): T {
  const parsed = schema.safeParse(safeJson(answer))
  if (parsed.success) return parsed.data
  const where = parsed.error.issues[0]
  throw new ConsoleError(
    'unexpected-answer',
    `The gateway's answer to ${path.split('?')[0]} is not what this console understands (${where?.path.join('.')}: ${where?.message}). One of the two needs an update.`,
  )
}

function problemOf(status: number, answer: string): string {
  const problem = Problem.safeParse(safeJson(answer))
  if (problem.success) return problem.data.detail ?? problem.data.title
  return `the gateway answered ${status} ${http.STATUS_CODES[status] ?? ''}`.trim()
}

/** Seconds of a Retry-After; its other form, a date, is used by no gateway of ours. */
function secondsIn(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) : undefined
}

function safeJson(answer: string): unknown {
  try {
    return JSON.parse(answer)
  } catch {
    return undefined
  }
}

function parameters(given: Record<string, string | number | undefined>): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(given))
    if (value !== undefined && value !== '') query.set(name, String(value))
  const written = query.toString()
  return written && `?${written}`
}

/** What went wrong on the network, and what a person can do about it. */
export function inWords(base: URL, error: Error): string {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  if (code === 'ECONNREFUSED') return `Nothing answers at ${base.host}.`
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `The name ${base.hostname} can't be found from here.`
  if (/SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER|DEPTH_ZERO/.test(code))
    return `The certificate of ${base.host} is not trusted on this machine. If you know it, start the console with --ca FILE, where FILE is its certificate.`
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `The certificate of ${base.host} is for another name.`
  if (code === 'CERT_HAS_EXPIRED') return `The certificate of ${base.host} has expired.`
  if (error.name === 'AbortError' || error.name === 'TimeoutError') return `${base.host} did not answer in time.`
  return `${base.host} can't be reached: ${error.message}.`
}
