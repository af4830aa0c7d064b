import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { block, jsonText, moment, secondsOf, shown, timeOf } from './text.ts'

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const acts = /[\0-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}]/u
const nasty = fc.string({ unit: 'binary', maxLength: 40 })

describe('text from outside', () => {
  it.each([
    ['\u001b]0;title\u0007', '\\u{1b}]0;title\\u{7}'],
    ['a\u202eb', 'a\\u{202e}b'],
    ['a\nb', 'a\\u{a}b'],
    ['\u200bx\ufeff', '\\u{200b}x\\u{feff}'],
    ['\u{e0041}', '\\u{e0041}'],
    ['\ud800', '\\u{d800}'],
    ['Zoë 😀 東京', 'Zoë 😀 東京'],
  ])('%j is shown as %s', (given, text) => expect(shown(given)).toBe(text))

  it('acts nowhere, whatever it is', () => {
    fc.assert(
      fc.property(nasty, (text) => {
        expect(shown(text)).not.toMatch(acts)
        expect(jsonText({ text })).not.toMatch(acts)
        expect(JSON.parse(jsonText({ text }))).toEqual({ text })
        for (const line of block(text)) expect(line).toMatch(/^ {4}\| /)
      }),
      { seed: 11, numRuns: 500 },
    )
  })

  it('keeps every line of a command behind its gutter, and tabs', () => {
    expect(block('select 1;\r\n\tdrop table x\n')).toEqual(['    | select 1;', '    | \tdrop table x', '    | '])
  })
})

describe('times', () => {
  const now = Date.parse('2026-11-21T12:00:00Z')
  it.each([
    ['30s', 30],
    ['30m', 1800],
    ['8h', 28_800],
    ['2d', 172_800],
    ['0m', undefined],
    ['1w', undefined],
    ['', undefined],
    ['12345678s', undefined],
  ])('%s lasts %s seconds', (given, seconds) => expect(secondsOf(given)).toBe(seconds))

  it.each([
    ['2d', 'ahead', '2026-11-23T12:00:00.000Z'],
    ['2h', 'ago', '2026-11-21T10:00:00.000Z'],
    ['2h ago', 'ago', '2026-11-21T10:00:00.000Z'],
    ['2026-12-01T09:00:00Z', 'ahead', '2026-12-01T09:00:00.000Z'],
    ['2026-12-01T09:00+02:00', 'ahead', '2026-12-01T07:00:00.000Z'],
    ['2026-12-01', 'ahead', new Date('2026-12-01T00:00').toISOString()],
    ['2026-12-01 09:30', 'ahead', new Date('2026-12-01T09:30').toISOString()],
    ['tomorrow', 'ahead', undefined],
    ['2026-13-01', 'ahead', undefined],
    ['12', 'ahead', undefined],
  ] as const)('%s %s is %s', (given, direction, time) => expect(timeOf(given, direction, now)).toBe(time))

  it('says how far a moment is', () => {
    expect(moment('2026-11-21T12:08:30Z', now)).toMatch(/\(in 8 min\)$/)
    expect(moment('2026-11-18T11:00:00Z', now)).toMatch(/\(3 d 1 h ago\)$/)
  })
})
