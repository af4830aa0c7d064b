const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** A window that can't be one; the message says how it is written. */
export class BadWindow extends Error {
  override name = 'BadWindow'
}

/**
 * The times between which commands are replayed.
 * @param since a duration before `until` such as 30d, or an instant (ISO 8601)
 * @param until an instant; absent: now
 * @returns ISO 8601, UTC, milliseconds
 * @throws BadWindow
 */
export function windowOf(since: string, until: string | undefined, now: number): { from: string; to: string } {
  const to = until === undefined ? now : instant(until, 'until')
  const duration = /^(\d{1,9})(ms|s|m|h|d)$/.exec(since)
  const from = duration ? to - Number(duration[1]) * units[duration[2]!]! : instant(since, 'since')
  if (!(from < to)) throw new BadWindow('since is not before until: there is nothing between them')
  // Before the first day of Unix there was no gateway; times before the year 0 are written otherwise.
  return { from: new Date(Math.max(from, 0)).toISOString(), to: new Date(to).toISOString() }
}

function instant(text: string, name: string): number {
  const at = /^\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:\d\d))?$/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(at))
    throw new BadWindow(
      `${name} is ${JSON.stringify(text)}: write a duration such as 30d, or a time such as 2026-11-01T00:00:00Z`,
    )
  return at
}
