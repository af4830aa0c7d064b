import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { approvalContext, countsFor, milliseconds, narrowest, unmet, type Vote } from './quorum.ts'
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
const by = (person: string, ...of: string[]): Vote => ({ person, name: person, groups: of, window: 'once' })
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

describe('people who stand in for others', () => {
  const people = ['1', '2', '3', '4']
  const cast = fc.uniqueArray(
    fc.record({
      person: fc.constantFrom(...people, '5', '6'),
      name: fc.constant('x'),
      groups: subset,
      window: fc.constant('once'),
      inPlaceOf: fc.uniqueArray(
        fc.record({
          id: fc.constantFrom(...people),
          groups: fc.uniqueArray(fc.constantFrom(...groups), { maxLength: 2 }),
        }),
        { selector: (one) => one.id, maxLength: 3 },
      ),
    }),
    { selector: (one) => one.person, maxLength: 6 },
  )
  const asked = fc.uniqueArray(fc.constantFrom(...groups), { minLength: 1, maxLength: 3 })

  /** Every way to put stand-ins into places, tried out. */
  const naive = (wanted: string[], votes: Vote[]): number => {
    const isAsked = (of: readonly string[]) => of.some((group) => wanted.includes(group))
    const own = votes.filter((vote) => isAsked(vote.groups))
    const voted = new Set(own.map((vote) => vote.person))
    const standIns = votes.filter((vote) => !isAsked(vote.groups))
    const best = (at: number, taken: Set<string>): number => {
      const one = standIns[at]
      if (!one) return 0
      let most = best(at + 1, taken)
      for (const { id, groups } of one.inPlaceOf ?? [])
        if (isAsked(groups) && !voted.has(id) && !taken.has(id))
          most = Math.max(most, 1 + best(at + 1, new Set([...taken, id])))
      return most
    }
    return own.length + best(0, new Set())
  }

  test('count as many as there is a way to count', () => {
    fc.assert(
      fc.property(asked, cast, (wanted, votes) => {
        const counted = countsFor({ groups: wanted }, votes)
        expect(counted.length).toBe(naive(wanted, votes))
        expect(new Set(counted.map((vote) => vote.person)).size).toBe(counted.length)
      }),
      seeded,
    )
  })
  test('and a vote more never takes one away, whoever it is by', () => {
    fc.assert(
      fc.property(asked, cast, (wanted, votes) => {
        for (let n = 1; n < votes.length; n++)
          expect(countsFor({ groups: wanted }, votes.slice(0, n + 1)).length).toBeGreaterThanOrEqual(
            countsFor({ groups: wanted }, votes.slice(0, n)).length,
          )
      }),
      seeded,
    )
  })
  const standIn = (person: string, ...of: string[]): Vote => ({
    ...by(person),
    inPlaceOf: of.map((id) => ({ id, groups: ['a'] })),
  })
  test.each<[what: string, votes: Vote[], count: number]>([
    ['one in place of another counts', [standIn('bea', 'ada')], 1],
    ['not where the other has voted, whoever came first', [standIn('bea', 'ada'), by('ada', 'a')], 1],
    ['not where the other has voted before', [by('ada', 'a'), standIn('bea', 'ada')], 1],
    ['where the other voted for something else, it does', [by('ada', 'z'), standIn('bea', 'ada')], 1],
    ['two in place of the same one are one', [standIn('bea', 'ada'), standIn('cy', 'ada')], 1],
    ['one in place of two is one', [standIn('bea', 'ada', 'ann')], 1],
    ['each finds a place where there is a way', [standIn('bea', 'ada', 'ann'), standIn('cy', 'ada')], 2],
    [
      'who is asked themselves takes nobody’s place',
      [{ ...standIn('bea', 'ada'), groups: ['a'] }, standIn('cy', 'ada')],
      2,
    ],
  ])('%s', (_, votes, count) => expect(countsFor({ groups: ['a'] }, votes)).toHaveLength(count))
})

test('groups that are asked later count once they are asked', () => {
  const asked = requirement('p', ['a'])
  expect(unmet([asked], [by('lea', 'leads')])).toHaveLength(1)
  expect(unmet([{ ...asked, escalatedTo: ['leads'] }], [by('lea', 'leads')])).toEqual([])
  expect(approvalContext([{ ...asked, escalatedTo: ['leads'] }], [by('lea', 'leads', 'z')])).toEqual({
    groups: ['leads'],
    people: ['lea'],
  })
})
test('who decides alone in an emergency meets whatever is asked, and Cedar is told all groups and only them', () => {
  const asked = [requirement('p', ['a'], 2), { ...requirement('q', ['b'], 3), escalatedTo: ['c'] }]
  const alone: Vote = { ...by('ivy', 'incident-leads'), breakGlass: true }
  expect(unmet(asked, [alone])).toEqual([])
  expect(approvalContext(asked, [alone])).toEqual({ groups: ['a', 'b', 'c'], people: ['ivy'] })
})
test('Cedar is told the groups that somebody stands in for', () => {
  const votes: Vote[] = [{ ...by('bea', 'z'), inPlaceOf: [{ id: 'ada', groups: ['a', 'y'] }] }]
  expect(approvalContext([requirement('p', ['a'])], votes)).toEqual({ groups: ['a'], people: ['bea'] })
})

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
