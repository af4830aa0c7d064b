import { readFileSync } from 'node:fs'

/**
 * Milliseconds from now on, without those in which this thread was ready and got no core: what is said to be done within a
 * second can't be, however well it is made, where other programs have the machine.
 * @param from when it begins (milliseconds since the epoch), where that is later than now
 */
export function stopwatch(from?: number): () => number {
  const begun = performance.now()
  const ahead = from === undefined ? 0 : from - Date.now()
  const kept = waited()
  return () => performance.now() - begun - ahead - (waited() - kept)
}

/** How long this process's first thread has waited for a core (ms), as Linux tells (Documentation/scheduler/sched-stats). */
function waited(): number {
  try {
    return Number(readFileSync('/proc/self/schedstat', 'utf8').split(' ')[1]) / 1e6
  } catch {
    return 0
  }
}
