import type { GrantState } from '@countersign/contract/access'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ada, ben, minute, person } from '../approvals/testing/approvals.ts'
import { bot, policiesOf } from '../policy/testing/policies.ts'
import { GrantRefused } from './grants.ts'
import { other, POLICY, read, type World, world, write } from './testing/grants.ts'

const from: Record<string, readonly GrantState[]> = {
  none: ['requested', 'active', 'denied'],
  requested: ['active', 'denied', 'revoked'],
  active: ['expired', 'revoked'],
}
const stateOf: Record<string, GrantState> = {
  'grant.requested': 'requested',
  'grant.activated': 'active',
  'grant.denied': 'denied',
  'grant.expired': 'expired',
  'grant.revoked': 'revoked',
}
const people = [ada, ben, person('Mallory', ['elsewhere'])]
const policies = [
  POLICY,
  `${POLICY} @id("stop") forbid (principal, action == Action::"access:request", resource)
  when { context.actions.contains("sql:write") };`,
  POLICY.replace('context.actions.contains("sql:write")', 'context.actions.contains("nothing")'),
]

const who = fc.constantFrom(bot, other)
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('ask' as const),
      who,
      write: fc.boolean(),
      minutes: fc.integer({ min: 1, max: 90 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('ask for' as const), who, by: fc.nat(1) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('decide' as const),
      which: fc.nat(9),
      by: fc.nat(2),
      no: fc.boolean(),
      window: fc.constantFrom('once', '3m', '5h'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('revoke' as const), which: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('extend' as const), which: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('plan' as const), who }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), minutes: fc.integer({ min: 1, max: 40 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('policy' as const), which: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

const refusedOrNot = (error: unknown) => {
  if (!(error instanceof GrantRefused)) throw error
}

async function take(w: World, one: Step): Promise<void> {
  const { grants } = w
  const rows = await w.approvals.store.db.selectFrom('grants').select(['id', 'approval']).orderBy('id').execute()
  const pick = (n: number) => rows[n % Math.max(1, rows.length)]
  switch (one.do) {
    case 'ask':
      await grants.request(one.who, (one.write ? write : read)({ duration: `${one.minutes}m` })).catch(refusedOrNot)
      return
    case 'ask for':
      await grants.request(people[one.by]!, write({ agent: one.who.id })).catch(refusedOrNot)
      return
    case 'plan': {
      const steps = [bot, other].map(({ id }) => ({ ...write(), title: id, agent: id }))
      const plan = { title: 'plan', purpose: 'two', steps: steps.map(({ purpose: _, ...each }) => each) }
      await grants.requestPlan(one.who, plan).catch(refusedOrNot)
      return
    }
    case 'decide': {
      const approval = pick(one.which)?.approval
      const held = approval && (await w.approvals.approvals.get(approval))
      if (!held) return
      const request = {
        verdict: one.no ? ('deny' as const) : ('approve' as const),
        reason: '',
        digest: held.command.digest,
      }
      await w.approvals.approvals.decide(held.id, people[one.by]!, { ...request, window: one.window as 'once' })
      return
    }
    case 'revoke':
      if (rows.length > 0) await grants.revoke(pick(one.which)!.id, ben, '').catch(refusedOrNot)
      return
    case 'extend':
      if (rows.length > 0)
        await grants.extend(pick(one.which)!.id, ben, { duration: '20m', purpose: 'more' }).catch(refusedOrNot)
      return
    case 'wait':
      w.approvals.clock.advance(one.minutes * minute)
      return
    case 'policy':
      w.policies = await policiesOf(policies[one.which]!)
      await grants.recheck()
      return
    case 'restart':
      await w.restart()
  }
}

/** Waits until what follows from what was done has happened. */
async function settled(w: World): Promise<void> {
  const { db } = w.approvals.store
  await w.approvals.until(async () => {
    const now = w.approvals.clock.now().toISOString()
    const late = db.selectFrom('grants').select('id').where('state', '=', 'active').where('expires_at', '<=', now)
    const between = db
      .selectFrom('grants')
      .innerJoin('approvals', 'approvals.id', 'grants.approval')
      .select('grants.id')
      .where('grants.state', '=', 'requested')
      .where((e) => e.or([e('approvals.state', '!=', 'pending'), e('approvals.expires_at', '<=', now)]))
    return !(await late.executeTakeFirst()) && !(await between.executeTakeFirst())
  })
  // Whatever was begun before this has ended after it.
  await w.grants.revoke('gr_none', ben, '').catch(refusedOrNot)
}

async function check(w: World): Promise<void> {
  const now = w.approvals.clock.now().getTime()
  const rows = await w.approvals.store.db.selectFrom('grants').selectAll().execute()
  const live = [bot, other].flatMap((agent) => w.grants.live(agent, 'orders'))
  expect(live.map(({ id }) => id).sort()).toEqual(
    rows
      .filter(({ state }) => state === 'active')
      .map(({ id }) => id)
      .sort(),
  )
  for (const { endsAt } of live) expect(endsAt).toBeGreaterThan(now)
  const past = new Map<string, GrantState[]>()
  for (const { type, payload } of await w.entries())
    if (type in stateOf) past.set(String(payload.grant), [...(past.get(String(payload.grant)) ?? []), stateOf[type]!])
  expect([...past.keys()].sort()).toEqual(rows.map(({ id }) => id).sort())
  for (const row of rows) {
    const states = past.get(row.id)!
    expect(states.at(-1)).toBe(row.state)
    states.forEach((state, i) => {
      expect(from[i === 0 ? 'none' : states[i - 1]!]).toContain(state)
    })
    const [grant] = [(await w.grants.get(row.id))!]
    if (row.active_from === null || !grant.policies.includes('writing')) continue
    // Whoever asked for it, and whoever it is for, did not give it.
    expect(grant.approvedBy.some(({ personId }) => personId !== grant.requestedBy.id && personId !== grant.agent)).toBe(
      true,
    )
    expect(grant.approvedBy.map(({ personId }) => personId)).not.toContain(grant.requestedBy.id)
    expect((await w.approvals.approvals.get(grant.approval!))?.state).toBe('used')
  }
}

test('whatever is done in whatever order, states go their ways, nothing outlives its end, and everything is said once', async () => {
  const property = fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 14 }), async (steps) => {
    await using w = await world()
    for (const one of steps) {
      await take(w, one)
      await settled(w)
      await check(w)
    }
    expect(w.approvals.errors).toEqual([])
  })
  await fc.assert(property, { seed: 20261121, numRuns: 25 })
})
