import type { CampaignTemplate } from '@countersign/contract/review'

export type Cadence = NonNullable<CampaignTemplate['cadence']>

const months: Record<Exclude<Cadence['every'], 'week'>, number> = { month: 1, quarter: 3, 'half-year': 6, year: 12 }

/**
 * The first day of a calendar that begins at `at` (ms since the epoch) or later, at 00:00 UTC. Months are counted from
 * the first day, so that of 31 January come 28 February and 31 March.
 */
export function nextDay(cadence: Cadence, at: number): number {
  const [year, month, day] = cadence.from.split('-').map(Number) as [number, number, number]
  const first = Date.UTC(year, month - 1, day)
  if (at <= first) return first
  if (cadence.every === 'week') return first + Math.ceil((at - first) / WEEK) * WEEK
  const step = months[cadence.every]
  const then = new Date(at)
  const passed = (then.getUTCFullYear() - year) * 12 + then.getUTCMonth() - (month - 1)
  for (let n = Math.max(Math.floor(passed / step), 0); ; n++) {
    const found = dayOf(year, month - 1 + n * step, day)
    if (found >= at) return found
  }
}

const WEEK = 7 * 86_400_000

/** The day of a month, or its last one where it has fewer. */
function dayOf(year: number, month: number, day: number): number {
  const last = new Date(Date.UTC(year, month + 1, 0)).getUTCDate()
  return Date.UTC(year, month, Math.min(day, last))
}
