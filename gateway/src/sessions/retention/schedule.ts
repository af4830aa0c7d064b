/** How often is looked for what is due … */
const EVERY = 3_600_000
/** … first so long after the start, when whoever reconnects has done so, and again so long after a failure, or if there is more. */
const SOON = 60_000

export interface Schedule extends AsyncDisposable {
  start(): void
  /** When it looks next, in milliseconds since the epoch; undefined where it doesn't. */
  readonly next: number | undefined
  /** Looks again in a minute, if it was started. */
  soon(): void
}

/** Calls `look` every hour, never twice at a time. `look` must not throw. */
export function createSchedule(look: () => Promise<void>, clock: () => number): Schedule {
  let timer: NodeJS.Timeout | undefined
  let next: number | undefined
  let running: Promise<void> | undefined
  let started = false

  const within = (ms: number) => {
    if (!started) return
    clearTimeout(timer)
    next = clock() + ms
    timer = setTimeout(go, ms).unref()
  }
  const go = () => {
    within(EVERY)
    running ??= look().finally(() => {
      running = undefined
    })
  }

  return {
    start() {
      started = true
      within(SOON)
    },
    get next() {
      return next
    },
    soon: () => within(SOON),
    async [Symbol.asyncDispose]() {
      started = false
      next = undefined
      clearTimeout(timer)
      await running
    },
  }
}
