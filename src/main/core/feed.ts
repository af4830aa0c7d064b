import { FeedMessage } from '@countersign/contract/feed'
import { WebSocket } from 'ws'
import { inWords, Refused, trusted, Unreachable } from './gateway-api.ts'

/** No gateway keeps this number, so the first message is a `reset` that says where the feed stands. */
export const never = Number.MAX_SAFE_INTEGER

/** The gateway's close code for a token that has expired, as HTTP's 401. */
const tokenExpired = 4401

/** Milliseconds between our pings; a gateway that misses one is gone, even if no packet said so. */
const heartbeat = 15_000

export interface Feed {
  /** Settles when the connection has ended: the reason in words, and whether it was that the token has expired. */
  closed: Promise<{ reason: string; expired: boolean }>
  close(): void
}

/**
 * Connects to `GET /v1/feed?after=SEQ`. Resolves once the gateway has accepted; `onMessage` gets every message in order.
 * A message of a type that this console doesn't know is only counted: `onMessage` gets its `seq` alone.
 * @throws Unreachable, Refused
 */
export async function openFeed(options: {
  base: URL
  ca: string | undefined
  token: string
  after: number
  signal: AbortSignal
  onMessage(message: FeedMessage | { type: 'unknown'; seq: number }): void
}): Promise<Feed> {
  const url = new URL(`/v1/feed?after=${options.after}`, options.base)
  url.protocol = options.base.protocol === 'https:' ? 'wss:' : 'ws:'
  const socket = new WebSocket(url, {
    headers: { authorization: `Bearer ${options.token}` },
    handshakeTimeout: 10_000,
    maxPayload: 32 * 1024 * 1024,
    followRedirects: false,
    ...(options.ca && url.protocol === 'wss:' ? { ca: trusted(options.ca) } : {}),
  })
  const { promise: closed, resolve: end } = Promise.withResolvers<Awaited<Feed['closed']>>()
  const { promise: opened, resolve: open, reject: fail } = Promise.withResolvers<void>()
  let alive = true
  const beat = setInterval(() => {
    if (!alive) return socket.terminate()
    alive = false
    socket.ping()
  }, heartbeat)
  beat.unref()
  const abort = () => socket.terminate()
  options.signal.addEventListener('abort', abort, { once: true })
  if (options.signal.aborted) abort()

  socket.on('open', open)
  socket.on('pong', () => {
    alive = true
  })
  socket.on('unexpected-response', (_request, response) => {
    fail(new Refused(response.statusCode ?? 0, `the gateway refused the feed with ${response.statusCode}`))
    socket.terminate()
  })
  socket.on('error', (error) => fail(new Unreachable(inWords(options.base, error), false)))
  socket.on('close', (code, said) => {
    clearInterval(beat)
    options.signal.removeEventListener('abort', abort)
    fail(new Unreachable('The gateway closed the feed.', false))
    const reason = said.length > 0 ? said.toString('utf8') : 'The connection to the gateway was lost.'
    end({ reason, expired: code === tokenExpired })
  })
  socket.on('message', (bytes, binary) => {
    alive = true
    if (binary) return socket.close(1003, 'text only')
    const message = understand(bytes.toString())
    if (message) options.onMessage(message)
    else socket.close(1007, 'not a feed message')
  })
  await opened
  return { closed, close: () => socket.close(1000) }
}

function understand(text: string): FeedMessage | { type: 'unknown'; seq: number } | undefined {
  try {
    const value = JSON.parse(text) as unknown
    const parsed = FeedMessage.safeParse(value)
    if (parsed.success) return parsed.data
    const known: readonly string[] = FeedMessage.options.map((option) => option.shape.type.value)
    const { seq, type } = value as { seq?: unknown; type?: unknown }
    if (typeof type === 'string' && !known.includes(type) && Number.isSafeInteger(seq))
      return { type: 'unknown', seq: seq as number }
  } catch {
    // not JSON
  }
  return undefined
}
