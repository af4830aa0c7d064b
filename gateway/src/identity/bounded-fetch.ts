import { lookup as systemLookup } from 'node:dns/promises'
import { request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { isLoopback } from '../config/address.ts'
import { type Reach, reachOf } from './reach.ts'

/** A document that an issuer didn't give, in words for the log. */
export class FetchError extends Error {
  override name = 'FetchError'
  /** HTTP status where there was an answer. */
  readonly status: number | undefined
  constructor(message: string, status?: number, options?: ErrorOptions) {
    super(message, options)
    this.status = status
  }
}

export interface FetchBounds {
  /** Bytes of the body. */
  bytes: number
  /** Milliseconds for all of it, looking up the name included. */
  timeout: number
}

/** All addresses of a host name. */
export type Lookup = (host: string) => Promise<{ address: string; family: number }[]>

/** How an issuer is reached. */
export interface Route {
  /** Where addresses may lead. */
  reach: ReadonlySet<Reach>
  /** PEM of the authorities that its certificate must come from; absent: those that Node trusts. */
  ca?: string
  /** Absent: the system's. */
  lookup?: Lookup
}

/** What is sent along with a request: a form makes it a POST. */
export interface Sent {
  form?: URLSearchParams
  headers?: Record<string, string>
  /** Media type that is asked for. */
  accept?: string
}

/**
 * Gets a JSON object over HTTP, as `fetchText` does.
 * @throws FetchError
 */
export async function fetchJson(
  url: URL,
  bounds: FetchBounds,
  route: Route,
  sent: Sent = {},
): Promise<Record<string, unknown>> {
  const text = await fetchText(url, bounds, route, { accept: 'application/json', ...sent })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new FetchError(`${url} did not answer JSON`, 200)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new FetchError(`${url} did not answer a JSON object`, 200)
  return value as Record<string, unknown>
}

/**
 * Gets a text over HTTPS (or HTTP on loopback) with bounds on size and time. No redirect is followed: an issuer's
 * documents are where its configuration or metadata says, and a redirect could lead away from https or into a private
 * network. The address that is connected to is the one that was looked at, so a name server can't change its mind between.
 * @throws FetchError
 */
export async function fetchText(url: URL, bounds: FetchBounds, route: Route, sent: Sent = {}): Promise<string> {
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname)))
    throw new FetchError(`${url} is not https`)
  const signal = AbortSignal.timeout(bounds.timeout)
  try {
    return await answerOf(url, bounds, route, sent, signal)
  } catch (error) {
    if (error instanceof FetchError) throw error
    if (signal.aborted) throw new FetchError(`${url} did not answer within ${bounds.timeout} ms`)
    throw new FetchError(`${url} can't be reached: ${reason(error)}`, undefined, { cause: error })
  }
}

function answerOf(url: URL, { bytes }: FetchBounds, route: Route, sent: Sent, signal: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const literal = url.hostname.replace(/^\[|\]$/g, '')
  if (isIP(literal) !== 0) admit(url.hostname, [literal], route.reach)
  const body = sent.form?.toString()
  const request = (url.protocol === 'https:' ? tlsRequest : plainRequest)(url, {
    method: body === undefined ? 'GET' : 'POST',
    // A connection of its own: none is kept that was made when other addresses were allowed.
    agent: false,
    signal,
    lookup: lookupWithin(route),
    ...(route.ca === undefined ? {} : { ca: route.ca }),
    headers: {
      accept: sent.accept ?? '*/*',
      'accept-encoding': 'identity',
      ...(body === undefined
        ? {}
        : { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body) }),
      ...sent.headers,
    },
  })
  request.on('error', reject)
  request.on('response', (answer) => {
    const fail = (error: Error) => {
      reject(error)
      request.destroy()
    }
    const status = answer.statusCode ?? 0
    if (status !== 200)
      return fail(
        new FetchError(
          status >= 300 && status < 400
            ? `${url} redirects, which is not followed: configure the issuer by its final address`
            : `${url} answered ${status}`,
          status,
        ),
      )
    const encoding = answer.headers['content-encoding']
    if (encoding !== undefined && encoding !== 'identity')
      return fail(new FetchError(`${url} answered compressed, which was not asked for`, status))
    const chunks: Buffer[] = []
    let size = 0
    answer.on('error', reject)
    answer.on('aborted', () => reject(new Error('the answer was cut off')))
    answer.on('data', (chunk: Buffer) => {
      size += chunk.byteLength
      if (size > bytes) fail(new FetchError(`${url} answered more than ${bytes} bytes`, status))
      else chunks.push(chunk)
    })
    answer.on('end', () => {
      try {
        resolve(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)))
      } catch {
        reject(new FetchError(`${url} did not answer text in UTF-8`, status))
      }
    })
  })
  request.end(body)
  return promise
}

/** Node's own way to look a name up, which refuses addresses that lead elsewhere. */
function lookupWithin({ reach, lookup = (host) => systemLookup(host, { all: true }) }: Route): LookupFunction {
  return (host, options, callback) => {
    lookup(host).then(
      (found) => {
        try {
          admit(
            host,
            found.map(({ address }) => address),
            host.toLowerCase() === 'localhost' ? new Set([...reach].filter((one) => one === 'loopback')) : reach,
          )
        } catch (error) {
          return callback(error as Error, [])
        }
        if (options.all) callback(null, found)
        else callback(null, found[0]!.address, found[0]!.family)
      },
      (error: Error) => callback(error, []),
    )
  }
}

/** One address that leads elsewhere is enough to refuse: which of them would be used isn't ours to say. */
function admit(host: string, addresses: readonly string[], reach: ReadonlySet<Reach>): void {
  if (addresses.length === 0) throw new FetchError(`${host} has no address`)
  for (const address of addresses) {
    const to = reachOf(address)
    if (reach.has(to)) continue
    const where =
      { private: 'private', loopback: 'loopback', 'link-local': 'link-local' }[to as 'private'] ?? 'reserved'
    throw new FetchError(
      `${host} is at the ${where} address ${address}, where this issuer is not configured to be${
        to === 'private' ? ': write network: private at the issuer if it belongs there' : ''
      }`,
    )
  }
}

function reason(error: unknown): string {
  const cause = (error as { cause?: unknown }).cause
  const inner = cause instanceof Error ? cause : error
  return inner instanceof Error ? (inner as NodeJS.ErrnoException).code || inner.message : String(inner)
}
