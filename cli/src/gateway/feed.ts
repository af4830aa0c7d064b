import { setTimeout as pause } from 'node:timers/promises'
import { FeedMessage } from '@countersign/contract/feed'
import WebSocket from 'ws'
import { CliError, exits, notSignedIn, refused } from '../errors.ts'
import { shown } from '../terminal/text.ts'
import type { Gateway } from './gateway.ts'
import { trusted, unreachable } from './request.ts'

/** A gateway pings every 30 s; one that hasn't for so long is gone (ms). */
const silence = 75_000
const firstPause = 500
const longestPause = 15_000

export interface Listening {
  /** Goes on behind that message; from now on where nothing is said. */
  after?: number | undefined
  signal: AbortSignal
  /** Called whenever it listens (again): what happened before is to be looked up. */
  opened?(): void
  /** What keeps it from listening, in words; it goes on trying. */
  lost?(words: string): void
}

/**
 * What happens, as it happens (`GET /v1/feed`), until `signal` aborts. A connection that is lost is made again, and goes on
 * behind the last message.
 * @throws CliError where the gateway refuses to tell
 */
export async function* feed(gateway: Gateway, listening: Listening): AsyncGenerator<FeedMessage> {
  const { signal } = listening
  let { after } = listening
  let wait = firstPause
  while (!signal.aborted) {
    try {
      for await (const message of connection(gateway, after, listening)) {
        after = message.seq
        wait = firstPause
        yield message
      }
    } catch (error) {
      if (signal.aborted) return
      if (!(error instanceof Lost)) throw error
      listening.lost?.(error.message)
    }
    await pause(wait, undefined, { signal }).catch(() => {})
    wait = Math.min(wait * 2, longestPause)
  }
}

/** A connection that ended, and may be made again. */
class Lost extends Error {
  override name = 'Lost'
}

async function* connection(
  gateway: Gateway,
  after: number | undefined,
  { signal, opened }: Listening,
): AsyncGenerator<FeedMessage> {
  const { base, ca } = gateway
  const address = new URL('/v1/feed', base)
  address.protocol = base.protocol === 'https:' ? 'wss:' : 'ws:'
  if (after !== undefined) address.searchParams.set('after', String(after))
  const token = await gateway.caller.token()
  const socket = new WebSocket(address, {
    headers: { authorization: `Bearer ${token}` },
    handshakeTimeout: 15_000,
    maxPayload: 64 << 20,
    followRedirects: false,
    ...(ca === undefined ? {} : { ca: trusted(ca) }),
  })
  const messages: FeedMessage[] = []
  let end: Error | undefined
  let wake = () => {}
  const finish = (error: Error) => {
    end ??= error
    wake()
  }
  let quiet = setTimeout(() => {}, 0)
  const alive = () => {
    clearTimeout(quiet)
    quiet = setTimeout(() => socket.terminate(), silence)
  }
  const stop = () => socket.terminate()
  signal.addEventListener('abort', stop, { once: true })
  socket.on('open', () => {
    alive()
    opened?.()
  })
  socket.on('ping', alive)
  socket.on('message', (text) => {
    alive()
    const parsed = FeedMessage.safeParse(safeJson(String(text)))
    // What a newer gateway says besides is none of ours.
    if (parsed.success) messages.push(safeJson(String(text)) as FeedMessage)
    wake()
  })
  socket.on('unexpected-response', (_request, response) => {
    response.resume()
    finish(refusal(response.statusCode ?? 0, gateway))
    socket.terminate()
  })
  socket.on('error', (error) => finish(new Lost(unreachable(base, error).message)))
  socket.on('close', (code, reason) => finish(closed(code, shown(String(reason)), gateway)))
  try {
    for (;;) {
      const message = messages.shift()
      if (message) yield message
      else if (end) throw end
      else
        await new Promise<void>((resolve) => {
          wake = resolve
        })
    }
  } finally {
    clearTimeout(quiet)
    signal.removeEventListener('abort', stop)
    socket.terminate()
  }
}

function refusal(status: number, { caller }: Gateway): Error {
  if (status === 401)
    return notSignedIn(
      caller.kind === 'person'
        ? 'the gateway takes your sign-in no longer: countersign login'
        : 'the gateway does not take the agent’s token: get a new one',
    )
  if (status === 403) return refused('the feed is for agents, and for people who have a role')
  if (status === 429 || status >= 500) return new Lost(`the gateway answered ${status}`)
  return refused(`the gateway answered ${status} where its feed should be`)
}

function closed(code: number, reason: string, { caller }: Gateway): Error {
  // 4403: the agent was disabled. 4401: the token has ended, and there may be a next one.
  if (code === 4403)
    return new CliError(exits.refused, `the gateway ended the feed: ${reason || 'this agent is disabled'}`)
  if (code === 4401) caller.renew()
  return new Lost(reason || 'the connection to the gateway was lost')
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
