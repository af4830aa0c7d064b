import { useSyncExternalStore } from 'react'

/** One beat a second for everything that shows time passing; it stops when nobody listens. */
const listeners = new Set<() => void>()
let beat: ReturnType<typeof setInterval> | undefined
let now = Date.now()

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  now = Date.now()
  beat ??= setInterval(() => {
    now = Date.now()
    for (const each of listeners) each()
  }, 1000)
  return () => {
    listeners.delete(listener)
    if (listeners.size === 0) {
      clearInterval(beat)
      beat = undefined
    }
  }
}

/** Milliseconds since 1970, anew each second. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now)
}

/** The local day, as the millisecond it began: changes at midnight only. */
export function useToday(): number {
  return useSyncExternalStore(subscribe, () => new Date(now).setHours(0, 0, 0, 0))
}
