/** Time, so that tests needn't wait for it. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Runs `then` after `ms` milliseconds; answers what cancels it. */
  after(ms: number, then: () => void): () => void
}

/** Node fires timers past 2^31-1 ms at once. */
const longest = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, then) {
    const timer = setTimeout(then, Math.min(Math.max(ms, 0), longest))
    timer.unref()
    return () => clearTimeout(timer)
  },
}
