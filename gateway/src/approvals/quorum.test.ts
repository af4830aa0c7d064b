import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { approvalContext, milliseconds, narrowest, unmet, type Vote } from './quorum.ts'
import { requirement } from './testing/approvals.ts'

const groups = ['a', 'b', 'c', 'd']
const subset = fc.uniqueArray(fc.constantFrom(...groups), { maxLength: 3 })
const requirements = fc.array(
  fc.record({
    policy: fc.string(),
    groups: fc.uniqueArray(fc.constantFrom(...groups), { minLength: 1, maxLength: 3 }),
    quorum: fc.integer({ min: 1, max: 4 }),
  }),
  { maxLength: 4 },
)
const vote = fc.record({
  person: fc.constantFrom('1', '2', '3', '4', '5'),
  name: fc.constantFrom('Ada', 'Ben'),
  groups: subset,
  window: fc.constant('once'),
})
const votes = fc.array(vote, { maxLength: 8 })
const seeded = { seed: 20261121, numRuns: 2000 }

describe('a requirement is met by distinct people of its groups', () => {
  test('as a naive count says', () => {
    fc.assert(
      fc.property(requirements, votes, (asked, cast) => {
        const naive = asked.filter((one) => {
          const people = new Set<string>()
          for (const group of one.groups)
            for (const each of cast) if (each.groups.some((g) => g === group)) people.add(each.person)
          return people.size < one.quorum
        })
        expect(unmet(asked, cast)).toEqual(naive)
      }),
      seeded,
    )
  })
  test('another vote never takes one away, a vote again never adds one', () => {
    fc.assert(
      fc.property(requirements, votes, vote, (asked, cast, one) => {
        expect(unmet(asked, [...cast, one]).length).toBeLessThanOrEqual(unmet(asked, cast).length)
        expect(unmet(asked, [...cast, one, one])).toEqual(unmet(asked, [...cast, one]))
      }),
      seeded,
    )
  })
  test('no requirement is met by nobody, nor by those of other groups', () => {
    fc.assert(
      fc.property(requirements, votes, (asked, cast) => {
        expect(unmet(asked, [])).toEqual(asked)
        expect(
          unmet(
            asked,
            cast.map((each) => ({ ...each, groups: ['elsewhere'] })),
          ),
        ).toEqual(asked)
      }),
      seeded,
    )
  })
})

const by = (person: string, ...of: string[]): Vote => ({ person, name: person, groups: of, window: 'once' })

test('one person in two groups counts once for a requirement, and in several requirements', () => {
  expect(unmet([requirement('p', ['a', 'b'], 2)], [by('ada', 'a', 'b')])).toHaveLength(1)
  expect(unmet([requirement('p', ['a']), requirement('q', ['b'])], [by('ada', 'a', 'b')])).toEqual([])
})
test('two people of one name are two', () => {
  const votes = [
    { ...by('1', 'a'), name: 'Ada' },
    { ...by('2', 'a'), name: 'Ada' },
  ]
  expect(unmet([requirement('p', ['a'], 2)], votes)).toEqual([])
})
test('Cedar is told the groups that were asked, and people by id', () => {
  expect(approvalContext([requirement('p', ['a', 'b'])], [by('2', 'a', 'z'), by('1', 'a'), by('1', 'c')])).toEqual({
    groups: ['a'],
    people: ['1', '2'],
  })
})

test.each([
  [[], { repeats: false }],
  [['once'], { repeats: false }],
  [['8h', 'once', 'session'], { repeats: false }],
  [['session'], { repeats: true, session: true, ms: 1000_000 }],
  [['30s', '1m'], { repeats: true, session: false, ms: 30_000 }],
  [['session', '1m'], { repeats: true, session: true, ms: 60_000 }],
  [['9d'], { repeats: true, session: false, ms: 1000_000 }],
  [['nonsense'], { repeats: true, session: false, ms: 0 }],
])('the narrowest of %j', (windows, expected) => expect(narrowest(windows, 1000_000)).toEqual(expected))

test.each([
  ['1s', 1000],
  ['30m', 1_800_000],
  ['8h', 28_800_000],
  ['2d', 172_800_000],
  ['0m', 0],
  ['once', 0],
])('%s is %i ms', (duration, ms) => expect(milliseconds(duration)).toBe(ms))
