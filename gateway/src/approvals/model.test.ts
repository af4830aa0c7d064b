import fc from 'fast-check'
import { expect, test } from 'vitest'
import { approve, deny, minute, open, person, world } from './testing/approvals.ts'

const groups = ['a', 'b', 'c']
const people = [
  person('P0', ['a']),
  person('P1', ['a', 'b']),
  person('P2', ['b', 'c']),
  person('P3', ['c']),
  person('P4', ['elsewhere']),
  person('Bot', groups),
]
const requirement = fc.record({
  policy: fc.constantFrom('p', 'q', 'r'),
  groups: fc.uniqueArray(fc.constantFrom(...groups), { minLength: 1 }),
  quorum: fc.integer({ min: 1, max: 3 }),
})
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('approve' as const), who: fc.nat(people.length - 1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('deny' as const), who: fc.nat(people.length - 1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('use', 'cancel', 'expire'), who: fc.constant(0) }) },
)

test('whatever people do in whatever order, it is what a naive count says', async () => {
  await using w = await world()
  const property = fc.asyncProperty(
    fc.array(requirement, { minLength: 1, maxLength: 3 }),
    fc.array(step, { maxLength: 12 }),
    async (requirements, steps) => {
      const { id } = await open(w, 'wait', requirements)
      let state = 'pending'
      const votes = new Map<number, string>()
      for (const { do: act, who } of steps) {
        const once = people[who]!
        const mayAtAll = once.name !== 'Bot' && requirements.some((r) => r.groups.some((g) => once.groups.includes(g)))
        if (act === 'approve' || act === 'deny') {
          const before = votes.get(who)
          const accepted = mayAtAll && (before === undefined ? state === 'pending' : before === act)
          const decided = await w.approvals.decide(id, once, act === 'approve' ? approve() : deny())
          expect(decided.ok).toBe(accepted)
          if (accepted && before === undefined) {
            votes.set(who, act)
            const approvers = [...votes].filter(([, v]) => v === 'approve').map(([n]) => people[n]!)
            const met = requirements.every(
              (r) => approvers.filter((p) => p.groups.some((g) => r.groups.includes(g))).length >= r.quorum,
            )
            if (act === 'deny') state = 'denied'
            else if (met) state = 'approved'
          }
        } else if (act === 'use') {
          expect(await w.approvals.use(id, new AbortController().signal)).toBe(state === 'approved')
          if (state === 'approved') state = 'used'
        } else {
          if (act === 'cancel') await w.approvals.cancel(id, 'gone')
          else {
            w.clock.advance(10 * minute)
            await w.until(async () => !['pending', 'approved'].includes((await w.approvals.get(id))!.state))
          }
          if (state === 'pending' || state === 'approved') state = act === 'cancel' ? 'cancelled' : 'expired'
        }
        expect((await w.approvals.get(id))!.state).toBe(state)
      }
    },
  )
  await fc.assert(property, { seed: 20261121, numRuns: 60 })
})
