/** Places in a recording as a person writes and reads them. */

/** 242001 → 4:02.001, 3731000 → 1:02:11: exact, so that what is read back is what was written. */
export function momentText(ms: number): string {
  const whole = Math.max(0, Math.round(ms))
  const [h, m, s, rest] = [
    Math.floor(whole / 3_600_000),
    Math.floor(whole / 60_000) % 60,
    Math.floor(whole / 1000) % 60,
    whole % 1000,
  ]
  const two = (n: number) => String(n).padStart(2, '0')
  const head = h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
  return rest === 0 ? head : `${head}.${String(rest).padStart(3, '0').replace(/0+$/, '')}`
}

/** 4:02.5 → 242500, 1:02:11 → 3731000, 42 → 42000; undefined where it is no place in time. */
export function readMoment(text: string): number | undefined {
  const found = /^(?:(?:(\d{1,5}):)?(\d{1,6}):)?(\d{1,8})(?:[.,](\d{1,3}))?\s*s?$/.exec(text.trim())
  if (!found) return undefined
  const [, h = '0', m = '0', s = '0', rest = ''] = found
  if (found[2] !== undefined && Number(s) > 59) return undefined
  if (found[1] !== undefined && Number(m) > 59) return undefined
  return ((Number(h) * 60 + Number(m)) * 60 + Number(s)) * 1000 + Number(rest.padEnd(3, '0') || 0)
}
