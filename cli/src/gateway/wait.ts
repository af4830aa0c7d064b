import type { FeedMessage } from '@countersign/contract/feed'
import { refused } from '../errors.ts'
import type { Gateway } from './gateway.ts'

/** It is looked at so often, too, even if the feed tells nothing (ms). */
const anyway = 30_000

export interface Waiting<T> {
  look(): Promise<T>
  isOver(state: T): boolean
  /** Whether a message of the feed is a reason to look. */
  concerns(message: FeedMessage): boolean
  /** Milliseconds. */
  timeout?: number | undefined
}

/**
 * Waits on the feed until something is over, and answers what it was when last looked at. It looks each time that it
 * begins to listen, so that nothing is missed in between.
 * @throws CliError where the feed or the look is refused
 */
export async function waitFor<T>(gateway: Gateway, { look, isOver, concerns, timeout }: Waiting<T>): Promise<T> {
  const { feed } = await import('./feed.ts')
  const over = new AbortController()
  let due = Promise.withResolvers<void>()
  const poke = () => due.resolve()
  const listening = (async () => {
    for await (const message of feed(gateway, { signal: over.signal, opened: poke }))
      if (message.type === 'reset' || concerns(message)) poke()
  })()
  listening.catch((error) => due.reject(error))
  due.promise.catch(() => {})
  const regularly = setInterval(poke, anyway)
  const limit = timeout === undefined ? undefined : setTimeout(() => over.abort(), Math.min(timeout, 2 ** 31 - 1))
  over.signal.addEventListener('abort', poke)
  try {
    for (;;) {
      await due.promise
      due = Promise.withResolvers()
      due.promise.catch(() => {})
      const state = await look()
      if (isOver(state) || over.signal.aborted) return state
    }
  } finally {
    clearInterval(regularly)
    clearTimeout(limit)
    over.abort()
    await listening.catch(() => {})
  }
}

/** Prints what the feed tells until somebody stops it. */
export async function watch(
  gateway: Gateway,
  options: { after?: string | undefined; concerns(message: FeedMessage): boolean; say(words: string): void },
  each: (message: FeedMessage) => void,
): Promise<void> {
  const { after } = options
  if (after !== undefined && !/^\d{1,15}$/.test(after)) throw refused('--after takes the seq of a message of the feed')
  const { feed } = await import('./feed.ts')
  const over = new AbortController()
  const { signal } = over
  // Whoever read it has gone: there is nobody to watch for.
  process.stdout.once('error', () => over.abort())
  const heard = {
    ...(after === undefined ? {} : { after: Number(after) }),
    signal,
    lost: (words: string) => options.say(`${words}; trying again`),
  }
  for await (const message of feed(gateway, heard))
    if (message.type === 'reset' || options.concerns(message)) each(message)
}
