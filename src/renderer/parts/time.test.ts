import { expect, test } from 'vitest'
import { clock, countdown, dateAndClock, duration, isToday, playhead, shortWhen, spokenLeft } from './time.ts'

const at = (text: string) => new Date(text).getTime()
const now = at('2026-11-21T09:41:00')

test.each([
  [131_000, '2:11'],
  [130_001, '2:11'],
  [59_000, '0:59'],
  [3_731_000, '1:02:11'],
  [0, '0:00'],
  [-5000, '0:00'],
])('%d ms left is %s', (ms, text) => expect(countdown(ms)).toBe(text))

test.each([
  [131_000, '2 minutes left'],
  [61_000, '1 minute left'],
  [9_500, '10 seconds left'],
  [3_700_000, '1 hour 1 minute left'],
  [-1, 'time is up'],
])('%d ms is said as "%s"', (ms, text) => expect(spokenLeft(ms)).toBe(text))

test.each([
  [0.31, '0.3 ms'],
  [4.02, '4 ms'],
  [999, '999 ms'],
  [1240, '1.2 s'],
  [48_900, '48 s'],
  [75_000, '1 min 15 s'],
  [840_000, '14 min'],
  [7_500_000, '2 h 5 min'],
  [90_000_000, '1 day'],
])('%d ms lasts %s', (ms, text) => expect(duration(ms)).toBe(text))

test('instants', () => {
  expect(playhead(349_900)).toBe('5:49')
  expect(playhead(3_600_000)).toBe('1:00:00')
  expect(clock(now)).toBe('09:41')
  expect(clock(now, true)).toBe('09:41:00')
  expect(dateAndClock(at('2026-11-20T18:22:00'), now)).toBe('20 Nov 18:22')
  expect(dateAndClock(at('2025-11-20T18:22:00'), now)).toBe('20 Nov 2025 18:22')
  expect(shortWhen(at('2026-11-21T08:57:00'), now)).toBe('08:57')
  expect(shortWhen(at('2026-11-17T08:57:00'), now)).toBe('Tue')
  expect(shortWhen(at('2026-10-17T08:57:00'), now)).toBe('17 Oct')
  expect(isToday(at('2026-11-20T23:59:59'), now)).toBe(false)
  expect(isToday(at('2026-11-21T00:00:00'), now)).toBe(true)
})

test('a place in a recording is as fine as it must be', () => {
  expect([413, 23_504, 62_000].map((t) => playhead(t, true))).toEqual(['0.41 s', '23.5 s', '1:02'])
  expect(playhead(413)).toBe('0:00')
})
