import { describe, expect, test } from 'vitest'
import { duesOf, rulesOf } from './rules.ts'
import { day, forever, rules } from './testing/world.ts'

const closedAt = Date.parse('2026-01-01T00:00:00Z')
const days = (at: number) => (at === forever ? forever : (at - closedAt) / day)
const ssn = (n: number) => new Map([['ssn', n * day]])

describe('of the rules that fit, the shortest counts', () => {
  test.each<
    [
      what: string,
      all: Parameters<typeof rules>[0],
      classes: string[],
      dues: [recording: number, approvals: number, annotations: number, entries: number],
      rule: string,
      byClass: boolean,
    ]
  >([
    ['the default', {}, ['ssn'], [90, 90, forever, forever], 'recordings 90d', false],
    ['a class that was touched', { classes: ssn(7) }, ['email', 'ssn'], [7, 7, forever, forever], 'class ssn 7d', true],
    ['a class that was not', { classes: ssn(7) }, ['email'], [90, 90, forever, forever], 'recordings 90d', false],
    [
      'a class that is kept longer',
      { classes: ssn(400) },
      ['ssn'],
      [90, 90, forever, forever],
      'recordings 90d',
      false,
    ],
    [
      'of two classes',
      { classes: new Map([...ssn(7), ['card', 3 * day]]) },
      ['card', 'ssn'],
      [3, 3, forever, forever],
      'class card 3d',
      true,
    ],
    ['approvals for longer', { approvals: 400 * day }, [], [90, 400, forever, forever], 'recordings 90d', false],
    ['approvals for less', { approvals: 10 * day }, [], [90, 10, forever, forever], 'recordings 90d', false],
    [
      'approvals, and a class',
      { approvals: 400 * day, classes: ssn(7) },
      ['ssn'],
      [7, 7, forever, forever],
      'class ssn 7d',
      true,
    ],
    [
      'a class that only approvals outlive',
      { approvals: 400 * day, classes: ssn(100) },
      ['ssn'],
      [90, 100, forever, forever],
      'recordings 90d',
      false,
    ],
    ['entries for less than recordings', { entries: 30 * day }, [], [30, 30, forever, 30], 'entries 30d', false],
    [
      'nothing ever',
      { recordings: forever },
      ['ssn'],
      [forever, forever, forever, forever],
      'recordings forever',
      false,
    ],
    ['annotations', { annotations: 5 * day }, [], [90, 90, 5, forever], 'recordings 90d', false],
  ])('%s', (_, all, classes, dues, rule, byClass) => {
    const found = duesOf({ connection: 'orders', closedAt, classes }, rules(all))
    expect([found.recording, found.approvals, found.annotations, found.entries].map(({ at }) => days(at))).toEqual(dues)
    expect(found.recording.rule).toBe(rule)
    expect(found.byClass).toBe(byClass)
  })

  test('what is said of a connection replaces what is said of all', () => {
    const both = rules({ recordings: 30 * day }, { orders: { recordings: 365 * day } })
    const of = (connection: string) => days(duesOf({ connection, closedAt, classes: [] }, both).recording.at)
    expect([of('orders'), of('billing')]).toEqual([365, 30])
  })
})

test('people are shown the rules, of connections only what is another', () => {
  const shown = rulesOf(rules({ classes: ssn(7) }, { orders: { recordings: 365 * day }, billing: {} }))
  expect(shown).toEqual([
    { what: 'recordings', keeps: 90 * day },
    { what: 'annotations', keeps: null },
    { what: 'entries', keeps: null },
    { what: 'class', class: 'ssn', keeps: 7 * day },
    { connection: 'orders', what: 'recordings', keeps: 365 * day },
  ])
})
