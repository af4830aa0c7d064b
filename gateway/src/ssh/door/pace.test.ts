import { expect, test } from 'vitest'
import { PACE, Pace } from './pace.ts'

test('a place begins as many at once as it may, and then waits its turn; others don’t', () => {
  let now = 0
  const pace = new Pace(() => now)
  for (let n = 0; n < PACE.atOnce; n++) expect(pace.turn('10.0.0.1')).toBe(0)
  const each = 1000 / PACE.perSecond
  expect([pace.turn('10.0.0.1'), pace.turn('::ffff:10.0.0.1')]).toEqual([each, 2 * each])
  expect(pace.turn('10.0.0.2')).toBe(0)
  now += 2 * each
  expect(pace.turn('10.0.0.1')).toBe(each)
  now += 60_000
  for (let n = 0; n < PACE.atOnce; n++) expect(pace.turn('10.0.0.1')).toBe(0)
})

test('however many places there are, little is remembered of them', () => {
  const pace = new Pace(() => 0)
  for (let n = 0; n < 50_000; n++)
    expect(pace.turn(`2001:db8:${(n >> 8).toString(16)}:${(n & 255).toString(16)}::1`)).toBe(0)
})
