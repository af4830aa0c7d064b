/** Time as approvals see it; a test brings its own. */
export interface Clock {
  now(): Date
  /** Calls once at `at` or soon after; the answer calls it off. */
  wake(at: Date, call: () => void): () => void
}

/** setTimeout overflows past this many milliseconds and then fires at once. */
const LONGEST = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => new Date(),
  wake(at, call) {
    const timer = setTimeout(call, Math.min(Math.max(at.getTime() - Date.now(), 0), LONGEST))
    timer.unref()
    return () => clearTimeout(timer)
  },
}
