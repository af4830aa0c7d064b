/** Numbers of entries as ranges, first and last included, rising, apart from each other. */
export type Ranges = [first: number, last: number][]

/** The numbers of entries, given by rising number, that fit. */
export function rangesOf<T extends { n: number }>(entries: Iterable<T>, fits: (entry: T) => boolean): Ranges {
  const ranges: Ranges = []
  for (const entry of entries) {
    if (!fits(entry)) continue
    const last = ranges.at(-1)
    if (last && last[1] === entry.n - 1) last[1] = entry.n
    else ranges.push([entry.n, entry.n])
  }
  return ranges
}

/** Ranges that don't overlap, as few as they can be. */
export function merged(many: Iterable<Ranges>): Ranges {
  const all = [...many].flat().sort(([a], [b]) => a - b)
  const ranges: Ranges = []
  for (const [first, end] of all) {
    const last = ranges.at(-1)
    if (last && first <= last[1] + 1) last[1] = Math.max(last[1], end)
    else ranges.push([first, end])
  }
  return ranges
}

export function lengthOf(ranges: Ranges): number {
  return ranges.reduce((n, [first, last]) => n + last - first + 1, 0)
}
