import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { PersonPrincipal } from '../identity/principal.ts'
import { bot } from '../policy/testing/policies.ts'
import { approve, deny, minute, open, person, type World, world } from './testing/approvals.ts'

const groups = ['a', 'b', 'c']
const people = [
  person('P0', ['a']),
  person('P1', ['a', 'b']),
  person('P2', ['b', 'c']),
  person('P3', ['c']),
  person('P4', ['elsewhere']),
  person('Bot', groups),
  person('Lead', ['leads']),
  person('Owner', ['a', 'c']),
]
/** The agent is the fifth one's own, and that of the seventh; the last groups may break the glass. */
const [BOT, OWNER] = [5, 7]
const stages = [
  { after: '2m', groups: ['leads'] },
  { after: '4m', groups: ['elsewhere'] },
]
const who = fc.nat(people.length - 1)
const requirement = fc.record({
  policy: fc.constantFrom('p', 'q', 'r'),
  groups: fc.uniqueArray(fc.constantFrom(...groups), { minLength: 1 }),
  quorum: fc.constantFrom(1, 2, 2, 3),
  escalates: fc.boolean(),
})
const handOver = fc.record({
  do: fc.constant('hand over' as const),
  who: fc.constantFrom(0, 0, 1, 1, 2, 3, 7),
  to: fc.constantFrom(4, 4, 6, 6, 3, 2, 5, 7, 1),
})
const step = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('approve' as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('deny' as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('alone' as const), who }) },
  { weight: 2, arbitrary: handOver },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('take back' as const), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('use', 'cancel', 'expire', 'restart') }) },
)

interface Ballot {
  verdict: 'approve' | 'deny'
  alone: boolean
  /** Who they stood in for, with what, when they voted. */
  places: Map<number, string[]>
}
interface Asks {
  groups: string[]
  quorum: number
  escalates: boolean
  to: string[]
}

/** Every way to put people into places, tried out. */
function met({ groups, to, quorum }: Asks, ballots: Map<number, Ballot>): boolean {
  const asked = (of: readonly string[]) => of.some((group) => groups.includes(group) || to.includes(group))
  const approvers = [...ballots].filter(([, { verdict }]) => verdict === 'approve')
  const own = new Set(approvers.filter(([n]) => asked(people[n]!.groups)).map(([n]) => n))
  const standIns = approvers.filter(([n]) => !own.has(n)).map(([, { places }]) => places)
  const most = (at: number, taken: Set<number>): number => {
    const places = standIns[at]
    if (!places) return 0
    let best = most(at + 1, taken)
    for (const [from, of] of places)
      if (asked(of) && !own.has(from) && !taken.has(from))
        best = Math.max(best, 1 + most(at + 1, new Set([...taken, from])))
    return best
  }
  return own.size + most(0, new Set()) >= quorum
}

async function play(
  w: World,
  requirements: { policy: string; groups: string[]; quorum: number; escalates: boolean }[],
  steps: (typeof step extends fc.Arbitrary<infer T> ? T : never)[],
): Promise<void> {
  // What one play leaves behind is nothing to the next.
  await w.store.db.deleteFrom('delegations').execute()
  await w.store.db.deleteFrom('break_glass').execute()
  await w.restart()
  await w.approvals.recover()
  const digest = `sha256:${String(++plays).padStart(64, '0')}`
  const { id } = await open(
    w,
    'fail',
    requirements.map(({ escalates, ...one }) => ({ ...one, ...(escalates ? { escalation: stages } : {}) })),
    { digest },
  )
  const asks: Asks[] = requirements.map((one) => ({ ...one, to: [] }))
  const ballots = new Map<number, Ballot>()
  const handed = new Map<string, { from: number; to: number; groups: string[] }>()
  let state = 'pending'
  let waited = 0
  let approvedAt = 0
  let used = 0
  const ended = () => !['pending', 'approved'].includes(state)
  const own = (n: number) => n === BOT || n === OWNER
  const asked = (of: readonly string[]) =>
    asks.some((one) => of.some((g) => one.groups.includes(g) || one.to.includes(g)))
  const dutiesOf = (n: number) => [...handed.values()].filter(({ to, from }) => to === n && !own(from))

  for (const one of steps) {
    if (one.do === 'hand over') {
      const { who: from, to } = one
      const mine = people[from]!.groups.filter((group) => groups.includes(group))
      const until = new Date(w.clock.now().getTime() + 60 * minute).toISOString()
      const begun = w.approvals.delegations
        .begin(people[from]!, { to: people[to]!.id, until, reason: 'away' })
        .then(({ id }) => void handed.set(id, { from, to, groups: mine }))
      const may = from !== to && mine.length > 0
      await begun.then(
        () => expect(may).toBe(true),
        () => expect(may).toBe(false),
      )
    } else if (one.do === 'take back') {
      for (const [delegation, { from }] of [...handed])
        if (from === one.who) {
          await w.approvals.delegations.end(delegation, people[from]!, 'back')
          handed.delete(delegation)
        }
    } else if (one.do === 'approve' || one.do === 'deny' || one.do === 'alone') {
      const n = one.who
      const voter = people[n]!
      const verdict = one.do === 'deny' ? 'deny' : 'approve'
      const before = ballots.get(n)
      const mayAtAll =
        one.do === 'alone'
          ? voter.groups.includes('leads')
          : !own(n) && (asked(voter.groups) || dutiesOf(n).some((duty) => asked(duty.groups)))
      const upgrade = one.do === 'alone' && before?.verdict === 'approve' && !before.alone
      const accepted =
        mayAtAll &&
        (before && !upgrade ? before.verdict === verdict : state === 'pending' && (one.do !== 'alone' || used < 1))
      const request =
        one.do === 'deny' ? deny(digest) : { ...approve('once', digest), ...(one.do === 'alone' ? alone : {}) }
      expect((await w.approvals.decide(id, voter, request)).ok).toBe(accepted)
      if (accepted && (!before || upgrade)) {
        if (one.do === 'alone') used++
        ballots.set(n, { verdict, alone: one.do === 'alone', places: placesOf(voter, dutiesOf(n), asks) })
        if (verdict === 'deny') state = 'denied'
        else if (one.do === 'alone' || asks.every((requirement) => met(requirement, ballots))) {
          state = 'approved'
          approvedAt = waited
        }
      }
    } else if (one.do === 'wait') {
      waited += 2
      w.clock.advance(2 * minute)
      if (state === 'pending' && waited < 10)
        for (const requirement of asks)
          if (requirement.escalates && !met(requirement, ballots))
            requirement.to = stages.slice(0, waited / 2).flatMap((stage) => stage.groups)
      if (waited - approvedAt >= 10 && !ended()) state = 'expired'
      // It does by itself what is due by now; this waits for it.
      await w.approvals.recover()
    } else if (one.do === 'use') {
      expect(await w.approvals.use(id, new AbortController().signal)).toBe(state === 'approved')
      if (state === 'approved') state = 'used'
    } else if (one.do === 'restart') {
      await w.restart()
      await w.approvals.recover()
    } else {
      if (one.do === 'cancel') await w.approvals.cancel(id, 'gone')
      else {
        w.clock.advance(10 * minute)
        await w.approvals.recover()
        // An hour's delegation outlasts it.
      }
      if (!ended()) state = one.do === 'cancel' ? 'cancelled' : 'expired'
      if (one.do === 'expire') waited += 10
    }
    const approval = (await w.approvals.get(id))!
    expect(approval.state).toBe(state)
    expect(approval.requirements.map((requirement) => [...(requirement.escalatedTo ?? [])].sort())).toEqual(
      asks.map((requirement) => [...requirement.to].sort()),
    )
  }
}

/** Whose place somebody takes: where they aren't asked themselves, of those who are. */
function placesOf(voter: PersonPrincipal, duties: { from: number; groups: string[] }[], asks: Asks[]) {
  const places = new Map<number, string[]>()
  const wanted = asks.filter((one) => !voter.groups.some((g) => one.groups.includes(g) || one.to.includes(g)))
  const all = wanted.flatMap((one) => [
    ...one.groups,
    ...one.to,
    ...(one.escalates ? stages.flatMap((s) => s.groups) : []),
  ])
  for (const { from, groups: of } of duties) {
    const fitting = of.filter((group) => all.includes(group))
    if (fitting.length > 0) places.set(from, [...new Set([...(places.get(from) ?? []), ...fitting])])
  }
  return places
}

const alone = { reason: 'it is an emergency', breakGlass: true }
let plays = 0

test('whatever people do in whatever order, it is what a naive count says', async () => {
  await using w = await world()
  w.config.break_glass = { groups: ['leads'], max: minute, unreviewed: 1 }
  w.sponsors.set(bot.id, [people[OWNER]!.id])
  for (const one of people) await w.seen(one)
  const property = fc.asyncProperty(
    fc.uniqueArray(requirement, { minLength: 1, maxLength: 2, selector: ({ policy }) => policy }),
    fc.array(handOver, { minLength: 1, maxLength: 4, size: 'max' }),
    // Not as small as fast-check would have them: it takes several people to make it interesting.
    fc.array(step, { minLength: 6, maxLength: 16, size: 'max' }),
    (requirements, first, then) => play(w, requirements, [...first, ...then] as never),
  )
  await fc.assert(property, { seed: 20261121, numRuns: 50 })
})
