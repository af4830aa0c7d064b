import fc from 'fast-check'
import { expect, test } from 'vitest'
import { placesOf, unnumbered } from './places.ts'

test('what is numbered at its end is taken off, as the regular expression would', () => {
  const letters = fc.string({ unit: fc.constantFrom(...'-_./:0179afgAF表'), maxLength: 24 })
  fc.assert(
    fc.property(letters, (text) => {
      expect(unnumbered(text)).toBe(text.replace(/[-_./]?[0-9a-f]*\d[-_.:0-9a-f]*$/i, ''))
    }),
    { seed: 7, numRuns: 2000 },
  )
})

test('paths that an agent has made long and numbered are put together at once', () => {
  const paths = Array.from({ length: 1000 }, (_, n) => `api/${String(n).padStart(4, '0')}${'1'.repeat(1900)}z`)
  // As a regular expression each of them took seconds.
  const told = placesOf('api', 'Path', paths, 50)
  expect(told.length).toBeLessThanOrEqual(50)
})
