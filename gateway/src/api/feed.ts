import type { FeedMessage } from '@countersign/contract/feed'
import type WebSocket from 'ws'
import type { Gone } from '../access/watchers.ts'
import type { Feed, StoredMessage } from '../store/feed.ts'

/** Bounds of one listener. */
export interface FeedBounds {
  /** Bytes given to the socket that haven't left yet; beyond it nothing more is read for this listener. */
  inFlight: number
  /** Messages kept for a listener that is behind; beyond it they are read from the store again. */
  queue: number
  /** How long a listener may keep more than `inFlight` waiting (ms). */
  stall: number
  /** Between pings (ms); a listener that hasn't answered the last one is gone. */
  heartbeat: number
  /** Messages that a client may send us in a heartbeat's time, to no effect. */
  chatter: number
}

export const feedBounds: FeedBounds = {
  inFlight: 1024 * 1024,
  queue: 1000,
  stall: 30_000,
  heartbeat: 30_000,
  chatter: 100,
}

/** Close codes: RFC 6455, section 7.4, and our own (as HTTP's 401 and 403). */
const closes = {
  goingAway: 1001,
  tooChatty: 1008,
  broken: 1011,
  tooSlow: 1013,
  tokenEnded: 4401,
  barred: 4403,
} as const

export interface Listener {
  socket: WebSocket
  feed: Feed
  /** The last message it has; undefined: from now on. */
  after: number | undefined
  /** What of a message this caller sees: itself or a version of its own, or undefined. */
  view: (message: StoredMessage) => StoredMessage | undefined | Promise<StoredMessage | undefined>
  expiresAt: Date
  /** Tells when the caller must go, perhaps at once; the answer ends that. */
  watch: (gone: (why: Gone) => void) => () => void
  clock: () => number
  bounds: FeedBounds
  log: { error(fields: object, text: string): void }
}

const longestTimeout = 2_147_483_647

/**
 * Serves the feed to one WebSocket until either side closes it: what comes after `after` out of the store, then what is
 * said. The join has no gap and no double: it subscribes first, then reads until nothing is left, and drops by number
 * what it has had. Whoever is too slow is closed with 1013, and may resume where they were.
 */
export function serveFeed(listener: Listener): void {
  const { socket, feed, view, bounds } = listener
  let last = 0
  let queue: StoredMessage[] = []
  /** There is more in the store than in the queue. */
  let behind = true
  let overflowed = false
  let waiting = 0
  let wakeSender = () => {}
  let wakeReader = () => {}
  let closed = false

  const unsubscribe = feed.subscribe((message) => {
    if (overflowed) return
    if (queue.length >= bounds.queue) {
      overflowed = true
      queue = []
    } else queue.push(message)
    wakeReader()
  })

  const close = (code: number, reason: string) => {
    if (closed) return
    finish()
    socket.close(code, withinFrame(reason))
    cutAfter(socket, 5000)
  }
  const finish = () => {
    closed = true
    unsubscribe()
    queue = []
    clearInterval(heartbeat)
    clearTimeout(expiry)
    unwatch()
    wakeSender()
    wakeReader()
  }

  const send = async (message: FeedMessage) => {
    const text = JSON.stringify(message)
    const bytes = Buffer.byteLength(text)
    waiting += bytes
    socket.send(text, () => {
      waiting -= bytes
      if (waiting <= bounds.inFlight) wakeSender()
    })
    if (waiting <= bounds.inFlight) return
    const stall = setTimeout(
      () => close(closes.tooSlow, 'too slow: connect again with ?after= the last seq you have'),
      bounds.stall,
    )
    while (waiting > bounds.inFlight && !closed) {
      await new Promise<void>((resolve) => {
        wakeSender = resolve
      })
    }
    clearTimeout(stall)
  }
  const deliver = async (message: StoredMessage) => {
    const seen = await view(message)
    last = message.seq
    if (seen && !closed) await send(seen)
  }

  const run = async () => {
    const { after } = listener
    if (after === undefined) last = await feed.newest()
    else {
      last = after
      const page = await feed.since(after, 1)
      if (page.reset && !closed) {
        last = page.seq
        await send({ seq: page.seq, at: new Date(listener.clock()).toISOString(), type: 'reset', data: {} })
      }
    }
    while (!closed) {
      if (behind) {
        const page = await feed.since(last, 500)
        // The store has dropped what this one still had to get; the contract's `reset` is a first message only.
        if (page.reset) return close(closes.tooSlow, 'too far behind: connect again with ?after= the last seq you have')
        if (page.messages.length === 0) behind = false
        for (const message of page.messages) {
          if (closed) return
          await deliver(message)
        }
      } else if (overflowed) {
        overflowed = false
        behind = true
      } else {
        const message = queue.shift()
        if (!message)
          await new Promise<void>((resolve) => {
            wakeReader = resolve
          })
        else if (message.seq > last) await deliver(message)
      }
    }
  }

  let alive = true
  let heard = 0
  const heartbeat = setInterval(() => {
    if (!alive) {
      finish()
      socket.terminate()
      return
    }
    alive = false
    heard = 0
    socket.ping()
  }, bounds.heartbeat).unref()
  let expiry: NodeJS.Timeout | undefined
  let unwatch = () => {}
  const expire = () => {
    const left = listener.expiresAt.getTime() - listener.clock()
    if (left <= 0) close(closes.tokenEnded, 'the token has expired: get a new one')
    else expiry = setTimeout(expire, Math.min(left, longestTimeout)).unref()
  }
  socket.on('pong', () => {
    alive = true
  })
  socket.on('message', () => {
    if (++heard > bounds.chatter) close(closes.tooChatty, 'the feed takes no messages')
  })
  socket.on('error', () => {})
  socket.on('close', finish)
  expire()
  unwatch = listener.watch(({ because, words }) =>
    close(because === 'token' ? closes.tokenEnded : closes.barred, words),
  )
  if (closed) unwatch()

  run().catch((error) => {
    if (closed) return
    listener.log.error({ error }, 'the feed broke for a listener')
    close(closes.broken, 'something went wrong in the gateway')
  })
}

/** Tells a listener that the gateway stops. */
export function sayGoodbye(socket: WebSocket): void {
  socket.close(closes.goingAway, 'the gateway is stopping')
  cutAfter(socket, 1000)
}

/** A close frame holds 123 bytes of reason (RFC 6455, section 5.5). */
function withinFrame(reason: string): string {
  const bytes = Buffer.from(reason)
  if (bytes.length <= 123) return reason
  let end = 120
  while ((bytes[end]! & 0xc0) === 0x80) end--
  return `${bytes.toString('utf8', 0, end)}…`
}

/** A peer that doesn't read never gets as far as our close frame. */
function cutAfter(socket: WebSocket, ms: number): void {
  const cut = setTimeout(() => socket.terminate(), ms)
  socket.once('close', () => clearTimeout(cut))
}
