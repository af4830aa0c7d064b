import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hiddenCount, mixedWords, oneLine, visibleRuns } from './visible.ts'

test.each([
  ['SELECT 1\n\t-- fine', []],
  ['a\u202eb', ['U+202E']],
  ['\u2066x\u2069', ['U+2066', 'U+2069']],
  ['zero\u200bwidth\ufeff', ['U+200B', 'U+FEFF']],
  ['a\u00a0b\u3000c', ['U+00A0', 'U+3000']],
  ['nul\0 esc\u001b[31m del\u007f', ['U+0000', 'U+001B', 'U+007F']],
  ['line\u2028sep', ['U+2028']],
  ['tag\u{e0041}', ['U+E0041']],
  ['lone\ud800', ['U+D800']],
  ['dos\r\nend', ['CR']],
  ['Grüße, 東京, مرحبا', []],
])('%j shows %j', (text, marks) => {
  expect(visibleRuns(text).flatMap((run) => (run.mark ? [run.mark] : []))).toEqual(marks)
})

test('every character comes out as it was given', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(
        visibleRuns(text)
          .map((run) => run.given)
          .join(''),
      ).toBe(text)
    }),
    { seed: 3, numRuns: 100 },
  )
})

test('counts and look-alikes', () => {
  expect(hiddenCount('a\r\nb\u202e')).toBe(1)
  expect(mixedWords('pаyments payments платежи')).toEqual(['pаyments'])
  expect(oneLine('  SELECT\n   1 ')).toBe('SELECT 1')
})
