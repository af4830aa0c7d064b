import { Plan } from '@countersign/contract/access'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ada, ben, minute, person } from '../approvals/testing/approvals.ts'
import { bot, orders, policiesOf } from '../policy/testing/policies.ts'
import { stateOfPlan } from './rows.ts'
import { other, POLICY, read, type World, world } from './testing/grants.ts'

let w: World
beforeEach(async () => {
  w = await world()
})
afterEach(async () => {
  await w[Symbol.asyncDispose]()
})

const step = (title: string, more: object = {}) => ({
  title,
  connection: 'orders',
  actions: ['sql:read'],
  duration: '30m',
  ...more,
})
const plan = (...steps: ReturnType<typeof step>[]) => ({ title: 'Close the month', purpose: 'the books', steps })
const closing = () =>
  plan(
    step('look'),
    step('mend', { actions: ['sql:write'], agent: other.id, resources: ['orders/public.totals'] }),
    step('tell', { connection: 'web-1', actions: ['ssh:exec'], duration: '10m' }),
  )

describe('a plan', () => {
  test('all steps of which policy permits is given at once, each step with a grant of its own', async () => {
    const { plan: made, again } = await w.grants.requestPlan(bot, plan(step('one'), step('two', { agent: other.id })))
    expect(again).toBe(false)
    expect(Plan.parse(made)).toMatchObject({
      id: expect.stringMatching(/^pl_/),
      state: 'active',
      title: 'Close the month',
      purpose: 'the books',
      requestedBy: { kind: 'agent', id: bot.id },
      grants: [
        {
          agent: bot.id,
          state: 'active',
          plan: made.id,
          step: { number: 1, of: 2, title: 'one' },
          purpose: 'the books',
        },
        { agent: other.id, state: 'active', step: { number: 2, of: 2, title: 'two' }, requestedBy: { id: bot.id } },
      ],
    })
    expect(w.grants.live(other, 'orders')).toHaveLength(1)
    expect(await w.grants.plan(made.id)).toEqual(made)
  })

  test('any step of which is held waits as one, shows all of them, and is given as one', async () => {
    const { plan: made } = await w.grants.requestPlan(bot, closing())
    expect(made.state).toBe('requested')
    expect(made.grants.map(({ state }) => state)).toEqual(['requested', 'requested', 'requested'])
    const approval = (await w.approvals.approvals.get(made.approval!))!
    expect(approval).toMatchObject({
      connection: 'orders, web-1',
      agent: bot.id,
      access: {
        plan: made.id,
        title: 'Close the month',
        seconds: 1800,
        grants: made.grants.map(({ id }) => id),
        agents: [{ id: other.id }],
      },
      requirements: [{ policy: 'writing' }],
    })
    expect(approval.command.text).toBe(
      `Plan “Close the month”, 3 steps
step 1 of 3, “look”: access to orders for “Deploy bot” (${bot.id})
  may: sql:read
  on: everything in orders
  for: 30m
step 2 of 3, “mend”: access to orders for “Other bot” (${other.id})
  may: sql:write
  on: orders/public.totals
  for: 30m
step 3 of 3, “tell”: access to web-1 for “Deploy bot” (${bot.id})
  may: ssh:exec
  on: everything in web-1
  for: 10m
what for: “the books”
asked for by agent “Deploy bot” (${bot.id})`,
    )
    expect(await w.grants.requestPlan(bot, closing())).toEqual({ plan: made, again: true })
    await w.decide(made, 'approve', ada, '15m')
    await w.untilState(made.grants[2]!.id, 'active')
    const given = (await w.grants.plan(made.id))!
    expect(given.state).toBe('active')
    expect(given.grants.map(({ seconds }) => seconds)).toEqual([900, 900, 600])
  })

  test('of an agent’s owner is not theirs to approve, whichever step it is in', async () => {
    const owned = { ...bot, owner: 'Ada' }
    const { plan: made } = await w.grants.requestPlan(
      owned,
      plan(step('mend', { actions: ['sql:write'], agent: other.id })),
    )
    await expect(w.decide(made)).rejects.toThrow(/nobody decides their own/)
    await w.decide(made, 'approve', ben)
    await w.untilState(made.grants[0]!.id, 'active')
  })

  test('asks for what all its steps ask for, together', async () => {
    const { plan: made } = await w.grants.requestPlan(
      bot,
      plan(step('mend', { actions: ['sql:write'] }), step('long', { duration: '2h' })),
    )
    await w.decide(made, 'approve', ada)
    await w.decide(made, 'approve', ben)
    expect((await w.grants.plan(made.id))?.state).toBe('requested')
    await w.decide(made, 'approve', person('Cy', ['sre']))
    await w.untilState(made.grants[1]!.id, 'active')
    expect((await w.grants.plan(made.id))?.grants.map(({ policies }) => policies)).toEqual([['writing'], ['long']])
  })

  test('one step of which is denied is denied whole, and names the step', async () => {
    const refused = await w.grants
      .requestPlan(bot, plan(step('look'), step('rule', { actions: ['sql:admin'] })))
      .catch((error) => error)
    expect(refused).toMatchObject({
      fault: 'denied',
      message: expect.stringMatching(/step 2 \(rule\): denied by policy no-admin/),
    })
    const denied = (await w.grants.plan(refused.plan))!
    expect(denied.state).toBe('denied')
    expect(denied.grants.map(({ endedBecause }) => endedBecause)).toEqual(
      Array(2).fill('step 2 (rule): denied by policy no-admin (Nobody)'),
    )
  })

  test.each([
    ['on a connection that nothing permits', { connection: 'vault' }],
    ['on one that there isn’t', { connection: 'nope' }],
    ['for an agent that nobody knows', { agent: 'https://idp.example.com#nobody' }],
  ])('with a step %s says no more than which', async (_what, more) => {
    const refused = await w.grants.requestPlan(bot, plan(step('look'), step('x', more))).catch((error) => error)
    expect(refused).toMatchObject({
      fault: 'not-permitted',
      message: expect.stringMatching(/^step 2 \(x\): Nothing permits/),
    })
    expect(refused.plan).toBeUndefined()
  })

  test('with a step that is wrong says which', async () => {
    const wrong = w.grants.requestPlan(bot, plan(step('look'), step('x', { actions: ['sql:fly'] })))
    await expect(wrong).rejects.toThrow(/^step 2 \(x\): There is no action/)
    const kind = w.grants.requestPlan(bot, plan(step('look'), step('x', { actions: ['ssh:exec'] })))
    await expect(kind).rejects.toMatchObject({ fault: 'invalid' })
  })

  test('counts against each agent’s bound', async () => {
    w.config.per_agent = 2
    await expect(w.grants.requestPlan(bot, plan(step('a'), step('b'), step('c')))).rejects.toMatchObject({
      fault: 'full',
    })
    await w.grants.requestPlan(bot, plan(step('a'), step('b'), step('c', { agent: other.id })))
  })

  test('for another agent takes nothing away from what that one may ask for itself', async () => {
    w.config.per_agent = 2
    const theirs = { agent: other.id }
    await w.grants.requestPlan(bot, plan(step('a', theirs), step('b', theirs)))
    await expect(w.grants.requestPlan(bot, plan(step('c', theirs)))).rejects.toMatchObject({ fault: 'full' })
    const third = { ...bot, id: 'https://idp.example.com#third', subject: 'third' }
    await expect(w.grants.requestPlan(third, plan(step('c', theirs)))).rejects.toMatchObject({ fault: 'full' })
    await w.grants.request(other, read())
    await w.grants.request(ada, read({ agent: other.id }))
    await expect(w.grants.request(other, read())).rejects.toMatchObject({ fault: 'full' })
  })

  test('for an agent that is disabled doesn’t tell another one that, nor why', async () => {
    w.disabled.set(other.id, { reason: 'incident 42' })
    const asked = w.grants.requestPlan(bot, plan(step('x', { agent: other.id })))
    const unknown = w.grants.requestPlan(bot, plan(step('x', { agent: 'https://idp.example.com#nobody' })))
    const [one, two] = await Promise.all([asked, unknown].map((made) => made.catch((error) => error)))
    expect({ ...one, message: one.message }).toEqual({ ...two, message: two.message })
  })

  test.each([
    ['title', plan(step('x')), { title: 'a\ud800' }],
    ['step', plan(step('x\ud800')), {}],
    ['onBehalfOf', plan(step('x', { agent: other.id, onBehalfOf: 'a\u202eb' })), {}],
  ])('with what is no text as its %s is refused before anything of it is kept', async (_what, made, more) => {
    await expect(w.grants.requestPlan(bot, { ...made, ...more })).rejects.toMatchObject({ fault: 'invalid' })
    expect(await w.entries()).toEqual([])
  })

  test('goes on without a step that is revoked, before and after it is given', async () => {
    const { plan: made } = await w.grants.requestPlan(bot, closing())
    await w.grants.revoke(made.grants[2]!.id, bot, 'not needed')
    expect((await w.approvals.approvals.get(made.approval!))?.state).toBe('pending')
    await w.decide(made)
    await w.untilState(made.grants[1]!.id, 'active')
    await w.grants.revoke(made.grants[0]!.id, ada, 'odd')
    const left = (await w.grants.plan(made.id))!
    expect([left.state, left.grants.map(({ state }) => state)]).toEqual(['active', ['revoked', 'active', 'revoked']])
    w.approvals.clock.advance(30 * minute)
    await w.untilState(made.grants[1]!.id, 'expired')
    expect((await w.grants.plan(made.id))?.state).toBe('ended')
  })

  test('all steps of which are withdrawn is not asked for any more', async () => {
    const { plan: made } = await w.grants.requestPlan(bot, closing())
    for (const { id } of made.grants) await w.grants.revoke(id, bot, '')
    expect((await w.approvals.approvals.get(made.approval!))?.state).toBe('cancelled')
  })

  test('is denied whole where one step would be denied after it was approved', async () => {
    const { plan: made } = await w.grants.requestPlan(bot, closing())
    w.connections.delete('web-1')
    await w.decide(made)
    await w.untilState(made.grants[0]!.id, 'denied')
    const denied = (await w.grants.plan(made.id))!
    expect(denied.grants.map(({ endedBecause }) => endedBecause)).toEqual(
      Array(3).fill('refused after it was approved: step 3 (tell): there is no connection web-1 any more'),
    )
  })

  test('asks again, as a whole, where policy asks for more by then', async () => {
    const { plan: made } = await w.grants.requestPlan(bot, closing())
    w.policies =
      await policiesOf(`${POLICY} @id("shell") @hold("sre") forbid (principal, action == Action::"access:request", resource)
      when { context.actions.contains("ssh:exec") } unless { context has approval };`)
    await w.decide(made)
    await w.approvals.until(async () => (await w.approvals.approvals.get(made.approval!))?.requirements.length === 2)
    await w.decide(made, 'approve', person('Cy', ['sre']))
    await w.untilState(made.grants[2]!.id, 'active')
  })

  test('names whom the agents act for', async () => {
    const acting = { ...bot, onBehalfOf: 'zoe' }
    const { plan: made } = await w.grants.requestPlan(acting, plan(step('a'), step('b', { agent: other.id })))
    expect(made.grants.map(({ identity }) => identity.onBehalfOf)).toEqual(['zoe', 'zoe'])
    expect(w.grants.live({ id: other.id, onBehalfOf: 'zoe' }, orders.name)).toHaveLength(1)
  })
})

test.each<[('requested' | 'active' | 'expired' | 'revoked' | 'denied')[], string]>([
  [['requested', 'revoked'], 'requested'],
  [['active', 'denied'], 'active'],
  [['denied', 'denied'], 'denied'],
  [['expired', 'revoked'], 'ended'],
  [['denied', 'revoked'], 'ended'],
])('a plan with grants %j is %s', (states, state) => {
  expect(stateOfPlan(states.map((one) => ({ state: one })))).toBe(state)
})
