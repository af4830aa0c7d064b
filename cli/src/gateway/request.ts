import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { buffer } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { getCACertificates } from 'node:tls'
import { CliError, exits, misuse } from '../errors.ts'

export interface Asked {
  method?: 'GET' | 'POST' | 'PATCH' | 'PUT'
  token?: string | undefined
  /** Sent as JSON. */
  body?: unknown
  /** Sent form-encoded. */
  form?: URLSearchParams
  /** Milliseconds without a byte; 15,000 where nothing is said. */
  patience?: number
}

export interface Answered {
  status: number
  /** Its JSON, or undefined where it is none. */
  body: unknown
  headers: http.IncomingHttpHeaders
}

const mebibyte = 1 << 20
const largest = 64 * mebibyte
const longestWait = 10
const mostAgain = 3

/** Sends calls to one gateway and reads what it answers, whatever the status. */
export interface Sender {
  readonly base: URL
  /** PEM that is trusted besides, as it was given. */
  readonly ca: string | undefined
  send(path: string, asked?: Asked): Promise<Answered>
}

/**
 * @param ca the PEM of a certificate to trust besides those that this machine trusts
 */
export function createSender(base: URL, ca: string | undefined): Sender {
  const secure = base.protocol === 'https:'
  const agent = secure
    ? new https.Agent({ keepAlive: true, ...(ca === undefined ? {} : { ca: trusted(ca) }) })
    : new http.Agent({ keepAlive: true })
  return {
    base,
    ca,
    async send(path, asked = {}) {
      for (let again = 0; ; again++) {
        const answer = await sendOnce(base, agent, path, asked)
        const wait = (asked.method ?? 'GET') === 'GET' && answer.status === 429 ? retryAfter(answer) : undefined
        if (wait === undefined || wait > longestWait || again >= mostAgain) return answer
        // Those that were refused together don't all come back together.
        await pause(wait * 1000 * (1 + Math.random() / 4))
      }
    },
  }
}

/** A gateway's certificate can be its own authority, so that a self-signed one is trusted exactly by being named. */
export function trusted(ca: string): string[] {
  return [...getCACertificates('default'), ca]
}

/** Whether a URL's host is this machine: 127.0.0.0/8, ::1 or localhost (RFC 6761 keeps it there). */
export function isLoopback(hostname: string): boolean {
  return /^127(\.\d{1,3}){3}$/.test(hostname) || hostname === '[::1]' || hostname === 'localhost'
}

/**
 * The address of a gateway as a person gives it.
 * @throws CliError where it is none, or would send tokens over a network in the clear
 */
export function gatewayAddress(given: string): URL {
  const named = /^[a-z]+:\/\//i.test(given.trim()) ? given.trim() : `https://${given.trim()}`
  if (!URL.canParse(named)) throw misuse(`${JSON.stringify(given)} is no address; it looks like https://gw.example.com`)
  const url = new URL(named)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname)))
    throw misuse('a gateway is reached by https://; plain http:// is for one on this machine only')
  if (url.username || url.password)
    throw misuse('leave name and password out of the address; countersign login asks you to sign in')
  return new URL(url.origin)
}

function sendOnce(base: URL, agent: http.Agent, path: string, asked: Asked): Promise<Answered> {
  const body = asked.form?.toString() ?? (asked.body === undefined ? undefined : JSON.stringify(asked.body))
  return new Promise((resolve, reject) => {
    const send = base.protocol === 'https:' ? https.request : http.request
    const outgoing = send(new URL(path, base), {
      agent,
      method: asked.method ?? 'GET',
      timeout: asked.patience ?? 15_000,
      headers: {
        accept: 'application/json',
        'user-agent': 'countersign',
        ...(asked.token === undefined ? {} : { authorization: `Bearer ${asked.token}` }),
        ...(body === undefined
          ? {}
          : {
              'content-type': asked.form ? 'application/x-www-form-urlencoded' : 'application/json',
              'content-length': Buffer.byteLength(body),
            }),
      },
    })
    outgoing.once('timeout', () => outgoing.destroy(new Error('it did not answer in time')))
    outgoing.once('error', (error) => reject(unreachable(base, error)))
    outgoing.once('response', (incoming) => {
      read(base, incoming).then(
        (text) => resolve({ status: incoming.statusCode ?? 0, body: safeJson(text), headers: incoming.headers }),
        reject,
      )
    })
    outgoing.end(body)
  })
}

async function read(base: URL, incoming: IncomingMessage): Promise<string> {
  let size = 0
  incoming.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > largest) incoming.destroy(new Error(`its answer is larger than ${largest / mebibyte} MiB`))
  })
  try {
    return (await buffer(incoming)).toString('utf8')
  } catch (error) {
    throw unreachable(base, error as Error)
  }
}

/** Seconds of a Retry-After; its other form, a date, is used by no gateway of ours. */
function retryAfter({ headers }: Answered): number | undefined {
  const header = headers['retry-after']
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) : undefined
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What went wrong on the network, and what somebody can do about it. */
export function unreachable(base: URL, error: Error): CliError {
  return new CliError(exits.refused, networkWords(base, error), { cause: error })
}

function networkWords(base: URL, error: Error): string {
  // Node's fetch hides what happened in `cause`; where several addresses were tried, in `errors`.
  const cause = (error as AggregateError).errors?.[0] ?? (error.cause instanceof Error ? error.cause : error)
  const code = (cause as NodeJS.ErrnoException).code ?? ''
  if (code === 'ECONNREFUSED') return `nothing answers at ${base.host}: check the address (--gateway) and that it runs`
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return `the name ${base.hostname} can't be found from here: check the address and the network`
  if (/SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER|DEPTH_ZERO/.test(code))
    return `the certificate of ${base.host} is not trusted on this machine: if you know it, give its file by --ca FILE`
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `the certificate of ${base.host} is for another name: use the name that it is for, or tell its operator`
  if (code === 'CERT_HAS_EXPIRED') return `the certificate of ${base.host} has expired: tell its operator`
  if (code === 'EPROTO' || code === 'ERR_SSL_WRONG_VERSION_NUMBER')
    return `${base.host} does not speak TLS there: check the address and its port`
  if (code === 'ECONNRESET' || code === 'EPIPE') return `${base.host} closed the connection: try again`
  return `${base.host} can't be used: ${cause.message}`
}
