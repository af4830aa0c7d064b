import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type Cadence, nextDay } from './cadence.ts'

const day = (text: string) => Date.parse(`${text}T00:00:00.000Z`)
const on = (ms: number) => new Date(ms).toISOString().slice(0, 10)

it.each<[Cadence['every'], string, string, string]>([
  ['week', '2026-11-02', '2026-11-02', '2026-11-02'],
  ['week', '2026-11-02', '2026-11-03', '2026-11-09'],
  ['month', '2026-01-31', '2026-02-01', '2026-02-28'],
  ['month', '2026-01-31', '2026-03-01', '2026-03-31'],
  ['month', '2027-12-31', '2028-02-01', '2028-02-29'],
  ['quarter', '2026-01-01', '2026-11-21', '2027-01-01'],
  ['half-year', '2025-08-31', '2026-02-01', '2026-02-28'],
  ['year', '2024-02-29', '2024-03-01', '2025-02-28'],
  ['year', '2024-02-29', '2027-03-01', '2028-02-29'],
  ['year', '2030-01-01', '2026-01-01', '2030-01-01'],
])('each %s from %s, as of %s: %s', (every, from, at, expected) => {
  expect(on(nextDay({ every, from }, day(at)))).toBe(expected)
})

it('never goes back, never stays, and leaves no day out', () => {
  const cadences = fc.record({
    every: fc.constantFrom<Cadence['every']>('week', 'month', 'quarter', 'half-year', 'year'),
    from: fc
      .date({ min: new Date('2000-01-01'), max: new Date('2030-12-31'), noInvalidDate: true })
      .map((one) => on(one.getTime())),
  })
  const longest = { week: 7, month: 31, quarter: 92, 'half-year': 184, year: 366 }
  fc.assert(
    fc.property(cadences, fc.integer({ min: 0, max: 40 * 365 * 24 }), (cadence, hours) => {
      const at = day('2000-01-01') + hours * 3_600_000
      const next = nextDay(cadence, at)
      expect(next).toBeGreaterThanOrEqual(at)
      expect(next % 86_400_000).toBe(0)
      const after = nextDay(cadence, next + 1)
      expect(after).toBeGreaterThan(next)
      expect(after - next).toBeLessThanOrEqual((longest[cadence.every] + 3) * 86_400_000)
      // Whatever is asked for in between, it is the same day.
      expect(nextDay(cadence, next + Math.floor((after - next) / 2))).toBe(after)
    }),
    { numRuns: 500, seed: 6 },
  )
})
