import { afterEach, beforeEach, expect, test } from 'vitest'
import { minute, person } from '../approvals/testing/approvals.ts'
import { bot, policiesOf } from '../policy/testing/policies.ts'
import { POLICY, read, type World, world } from './testing/grants.ts'

let w: World
beforeEach(async () => {
  w = await world()
})
afterEach(async () => {
  await w[Symbol.asyncDispose]()
})

const ivy = person('Ivy', ['incident-leads'])
const lea = person('Lea', ['leads'])
const bea = person('Bea', ['elsewhere'])
const ada = person('Ada', ['oncall-dba'])
const asked = async (more: object = {}) =>
  (await w.grants.request(bot, read({ actions: ['sql:write'], ...more }))).grant
const decide = async (id: string, by: typeof ivy, more: object = {}) => {
  const { digest } = (await w.approvals.approvals.get(id))!.command
  return w.approvals.approvals.decide(id, by, { verdict: 'approve', reason: 'the shop is down', digest, ...more })
}

test.each<[asked: string, window: string, seconds: number]>([
  ['30m', 'once', 600],
  ['5m', 'once', 300],
  ['30m', '2m', 120],
])('access for %s that one person gives alone, for %s, lasts %i seconds', async (duration, window, seconds) => {
  w.approvals.config.break_glass = { groups: ['incident-leads'], max: 10 * minute, unreviewed: 3 }
  const grant = await asked({ duration })
  expect(await decide(grant.approval!, ivy, { window, breakGlass: true })).toMatchObject({ ok: true })
  await w.untilState(grant.id, 'active')
  const given = (await w.grants.get(grant.id))!
  expect(given).toMatchObject({ seconds, breakGlass: true, approvedBy: [{ person: 'Ivy' }] })
  expect(Date.parse(given.expiresAt!) - Date.parse(given.activeFrom!)).toBe(seconds * 1000)
})

test('nobody gives access alone to what they have asked for themselves', async () => {
  w.approvals.config.break_glass = { groups: ['incident-leads'], max: 10 * minute, unreviewed: 3 }
  const { grant } = await w.grants.request(ivy, { ...read({ actions: ['sql:write'] }), agent: bot.id })
  expect(await decide(grant.approval!, ivy, { breakGlass: true })).toMatchObject({ ok: false, problem: 'forbidden' })
})

test('access is given by those who are asked later, and by who stands in for one who is away', async () => {
  w.policies = await policiesOf(POLICY.replace('@hold("oncall-dba")', '@hold("oncall-dba") @escalate("3m: leads")'))
  const first = await asked()
  expect((await decide(first.approval!, lea)).ok).toBe(false)
  w.approvals.clock.advance(3 * minute)
  await w.approvals.until(() => w.approvals.said.some(({ type }) => type === 'approval.escalated'))
  expect(await decide(first.approval!, lea)).toMatchObject({ ok: true })
  await w.untilState(first.id, 'active')

  await w.approvals.seen(bea)
  const until = new Date(w.approvals.clock.now().getTime() + 60 * minute).toISOString()
  await w.approvals.approvals.delegations.begin(ada, { to: bea.id, until, reason: 'a holiday' })
  const second = await asked({ purpose: 'another' })
  expect(await decide(second.approval!, bea)).toMatchObject({ ok: true })
  await w.untilState(second.id, 'active')
  // Policy is asked again, and counts the same people.
  await w.grants.recheck()
  expect((await w.grants.get(first.id))!.state).toBe('active')
})

test('where nothing is configured for all, requests escalate as is configured for commands', async () => {
  w.approvals.config.escalate = [{ after: '2m', groups: ['leads'] }]
  const grant = await asked()
  await w.approvals.until(() => w.approvals.clock.alarms.length > 0)
  w.approvals.clock.advance(2 * minute)
  await w.approvals.until(() => w.approvals.said.some(({ type }) => type === 'approval.escalated'))
  expect(await decide(grant.approval!, lea)).toMatchObject({ ok: true })
  await w.untilState(grant.id, 'active')
})
