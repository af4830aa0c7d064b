import type { FeedMessage } from '@countersign/contract/feed'
import type { Link } from '../../console-api.ts'
import { type Accounts, SignedOut } from './account.ts'
import { type Feed, openFeed } from './feed.ts'
import { type GatewayApi, Refused } from './gateway-api.ts'
import type { Clock } from './ports/clock.ts'

/** What the link brings in; each resolves when it is stored. */
export interface LinkTarget {
  /** The last sequence number that was applied, or `never`. */
  after(): number
  /** Who we are here, before anything is loaded. */
  greet(token: string): Promise<void>
  /** Brings the lists up to date; `anew` when what is stored may have gaps. */
  load(token: string, anew: { seq: number } | undefined): Promise<void>
  apply(
    message: Exclude<FeedMessage, { type: 'reset' }> | { type: 'unknown'; seq: number },
    token: string,
  ): Promise<void>
}

export interface GatewayLink {
  /** Tries at once instead of waiting for the next attempt. */
  wake(): void
  /** Settles when the link has ended for good: by `signal`, or signed out. */
  ended: Promise<void>
}

const firstWait = 500
const longestWait = 30_000
/** A link that lived this long (ms) before its token expired was a good one. */
const settled = 5_000
/** Failed attempts until “reconnecting” becomes “offline”. Attempts go on. */
const patience = 3

/**
 * Keeps the feed of a gateway open until `signal` aborts: connects, resumes from the last number stored, and comes back
 * after a loss, waiting longer each time and never as long as the next console (jitter), so that a restarted gateway
 * isn't met by all of them at once.
 */
export function keepLinked(options: {
  base: URL
  ca: string | undefined
  api: GatewayApi
  accounts: Accounts
  target: LinkTarget
  clock: Clock
  signal: AbortSignal
  say(link: Link): void
}): GatewayLink {
  const { accounts, target, clock, signal, say } = options
  const gateway = options.base.origin
  let wakeUp = () => {}

  const since = () => new Date(clock.now()).toISOString()

  async function run(): Promise<void> {
    say({ state: 'connecting', gateway, since: since() })
    let failures = 0
    let lost: string | undefined
    let rejected: string | undefined
    while (!signal.aborted) {
      let problem: string
      try {
        const token = await accounts.token(rejected)
        let liveSince: number | undefined
        try {
          const ended = await once(token, () => {
            failures = 0
            lost = undefined
            rejected = undefined
            liveSince = clock.now()
            say({ state: 'live', gateway, since: since() })
          })
          problem = ended.reason
          if (ended.expired && liveSince !== undefined && clock.now() - liveSince > settled) {
            rejected = token // nothing was lost: go on with the next token at once
            continue
          }
        } catch (error) {
          if (error instanceof Refused && error.status === 401 && rejected === undefined) {
            rejected = token // renewed once; a second refusal is final
            continue
          }
          throw error
        }
      } catch (error) {
        if (signal.aborted) return
        if (error instanceof SignedOut) return say({ state: 'signed-out', gateway, problem: error.message })
        if (error instanceof Refused && error.status === 401) {
          await accounts.clear()
          return say({ state: 'signed-out', gateway, problem: `The gateway refused your sign-in: ${error.message}` })
        }
        problem = error instanceof Error ? error.message : String(error)
      }
      if (signal.aborted) return
      lost ??= since()
      failures += 1
      say({ state: failures <= patience ? 'reconnecting' : 'offline', gateway, since: lost, problem })
      await wait(Math.min(longestWait, firstWait * 2 ** (failures - 1)) * (0.5 + Math.random() / 2))
    }
  }

  /** One connection, from hello to its end; answers how it ended. */
  async function once(token: string, live: () => void): Promise<Awaited<Feed['closed']>> {
    await target.greet(token)
    const over = new AbortController()
    const inbox: Parameters<typeof openFeed>[0]['onMessage'] extends (m: infer M) => void ? M[] : never = []
    let working: Promise<void> = Promise.resolve()
    let feed: Feed | undefined
    let broken: unknown
    let loadedAnew = false
    const work = (step: () => Promise<void>) => {
      working = working.then(async () => {
        if (broken || over.signal.aborted) return
        try {
          await step()
        } catch (error) {
          broken = error
          feed?.close()
        }
      })
      return working
    }
    const take = async () => {
      const message = inbox.shift()
      if (!message) return
      if (message.type !== 'reset') return target.apply(message, token)
      await target.load(token, { seq: message.seq })
      loadedAnew = true
    }
    try {
      feed = await openFeed({
        base: options.base,
        ca: options.ca,
        token,
        after: target.after(),
        signal: AbortSignal.any([signal, over.signal]),
        onMessage(message) {
          inbox.push(message)
          void work(take)
        },
      })
      // After the feed is open, so that what happens from now on is in it: lists first, then messages, no gap between.
      await work(async () => {
        if (!loadedAnew) await target.load(token, undefined)
      })
      if (broken) throw broken
      live()
      const ended = await feed.closed
      await working
      if (broken) throw broken
      return ended
    } finally {
      over.abort()
    }
  }

  function wait(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = clock.after(ms, resolve)
    wakeUp = resolve
    signal.addEventListener('abort', () => resolve(), { once: true })
    return promise.finally(() => {
      cancel()
      wakeUp = () => {}
    })
  }

  return { wake: () => wakeUp(), ended: run() }
}
