import { expect, test } from 'vitest'
import { lineOf } from './claim.ts'

test.each([
  ['a name', 'a name'],
  [' around ', 'around'],
  ['a'.repeat(300), 'a'.repeat(200)],
  // Cut between its halves a character would be no text that the ledger can have.
  [`${'a'.repeat(199)}😀`, 'a'.repeat(199)],
  [`${'a'.repeat(198)}😀😀`, `${'a'.repeat(198)}😀`],
  ['half \ud83d', undefined],
  ['two\nlines', undefined],
  ['\u200b', undefined],
])('%j as a name for people is %j', (claim, name) => {
  expect(lineOf(claim)).toBe(name)
  expect((lineOf(claim) ?? '').isWellFormed()).toBe(true)
})
