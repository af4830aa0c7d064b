/** Spans of time that people choose, such as how long access lasts. Seconds. */

/** 900 → 15 min, 5400 → 1 h 30 min, 172800 → 2 days. */
export function span(seconds: number): string {
  const [d, h, m, s] = [
    Math.floor(seconds / 86_400),
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60,
    seconds % 60,
  ]
  const parts = [
    d > 0 ? `${d} day${d === 1 ? '' : 's'}` : '',
    h > 0 ? `${h} h` : '',
    m > 0 ? `${m} min` : '',
    s > 0 && d + h === 0 ? `${s} s` : '',
  ]
  return parts.filter(Boolean).join(' ') || '0 s'
}

/** A duration as people write it, in seconds; undefined where it is none. */
export function secondsOf(duration: string): number | undefined {
  const found = /^([1-9]\d{0,6})(s|m|h|d)$/.exec(duration)
  return found ? Number(found[1]) * { s: 1, m: 60, h: 3600, d: 86_400 }[found[2] as 's' | 'm' | 'h' | 'd'] : undefined
}
