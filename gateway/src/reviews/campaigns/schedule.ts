import type { BaseLogger } from 'pino'
import type { Clock } from '../../approvals/clock.ts'

/** Does what is due, and sleeps until something is again. */
export interface Schedule extends AsyncDisposable {
  /** From now on. */
  start(): void
  /** Something may be due earlier than it was. */
  changed(): void
  /** Does what is due now; resolves when that is done. */
  tick(): Promise<void>
}

/** At the latest so often (ms): clocks of computers jump. */
const AT_LATEST = 3_600_000
const AGAIN = 60_000

export function createSchedule(options: {
  /** Does what is due at this time, and answers when it wants to be asked again, if it knows. */
  due: (now: number) => Promise<number | undefined>
  clock: () => number
  wake: Clock['wake']
  log: Pick<BaseLogger, 'error'>
}): Schedule {
  const { clock, wake, log } = options
  let running: Promise<void> | undefined
  let again = false
  let started = false
  let closed = false
  let cancel = () => {}

  const tick = (): Promise<void> => {
    again = true
    running ??= (async () => {
      while (again && !closed) {
        again = false
        await once()
      }
    })().finally(() => {
      running = undefined
    })
    return running
  }
  const once = async () => {
    const now = clock()
    let next: number | undefined
    try {
      next = await options.due(now)
    } catch (error) {
      log.error({ error }, 'what is due of reviews could not be done: it is tried again in a minute')
      next = now + AGAIN
    }
    cancel()
    if (started && !closed)
      cancel = wake(new Date(Math.min(next ?? now + AT_LATEST, now + AT_LATEST)), () => void tick())
  }
  return {
    start() {
      started = true
      void tick()
    },
    changed() {
      if (started && !closed) void tick()
    },
    tick,
    async [Symbol.asyncDispose]() {
      closed = true
      cancel()
      await running
    },
  }
}
