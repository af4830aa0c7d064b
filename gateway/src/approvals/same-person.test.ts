import { afterEach, beforeEach, expect, test } from 'vitest'
import { bot } from '../policy/testing/policies.ts'
import { openAccess } from './access.ts'
import {
  approve,
  ben,
  command,
  DIGEST,
  minute,
  open,
  person,
  requirement,
  type World,
  world,
} from './testing/approvals.ts'

/** Ada signs in by two issuers for people; both have her e-mail address. */
const ada = person('Ada', ['oncall-dba'], { email: 'ada@example.com' })
const there = {
  issuer: 'https://other.example.com',
  id: 'https://other.example.com#00u2',
  subject: '00u2',
  email: 'Ada@Example.com',
}
const adaThere = person('Ada L.', ['oncall-dba'], { ...there, roles: ['approver', 'reviewer'] })
const bea = person('Bea', ['elsewhere'], { email: 'bea@example.com' })
const two = [requirement('two', ['oncall-dba'], 2)]
const because = (answer: Awaited<ReturnType<World['approvals']['decide']>>) =>
  answer.ok ? answer.approval.state : answer.message

let w: World
beforeEach(async () => {
  w = await world()
  for (const one of [ada, adaThere, bea, ben]) await w.seen(one)
})
afterEach(async () => {
  await w[Symbol.asyncDispose]()
})
const away = (from: typeof ada, to: typeof ada) =>
  w.approvals.delegations.begin(from, {
    to: to.id,
    until: new Date(w.clock.now().getTime() + 60 * minute).toISOString(),
    reason: 'a holiday',
  })

test('one person is not two of a quorum by signing in twice', async () => {
  const { id } = await open(w, 'fail', two)
  expect(because(await w.approvals.decide(id, ada, approve()))).toBe('pending')
  expect(because(await w.approvals.decide(id, adaThere, approve()))).toMatch(
    /it is you, signed in as .*#ada .*decided already/,
  )
  expect(because(await w.approvals.decide(id, ben, approve()))).toBe('approved')
})

test('nor by a stand-in for the one and a vote as the other, whoever comes first', async () => {
  await away(ada, bea)
  const first = await open(w, 'fail', two)
  expect(because(await w.approvals.decide(first.id, bea, approve()))).toBe('pending')
  expect(because(await w.approvals.decide(first.id, adaThere, approve()))).toMatch(/Bea has decided in your place/)
  const digest = `sha256:${'b'.repeat(64)}`
  const second = await open(w, 'fail', two, { digest })
  expect(because(await w.approvals.decide(second.id, adaThere, approve(undefined, digest)))).toBe('pending')
  expect(because(await w.approvals.decide(second.id, bea, approve(undefined, digest)))).toMatch(/none of the groups/)
})

test('nor by two stand-ins, one for each', async () => {
  const cy = person('Cy', ['elsewhere'])
  await w.seen(cy)
  await away(ada, bea)
  await away(adaThere, cy)
  const { id } = await open(w, 'fail', two)
  expect(because(await w.approvals.decide(id, bea, approve()))).toBe('pending')
  expect(because(await w.approvals.decide(id, cy, approve()))).toMatch(/none of the groups/)
})

test('what one asked for is one’s own by the other sign-in, too, also for who stands in for it', async () => {
  await away(adaThere, bea)
  await w.store.db.transaction().execute((tx) =>
    openAccess(
      tx,
      'ap_access',
      {
        ...{ identity: bot, connection: command().connection, text: 'x', purpose: 'x', digest: DIGEST, effects: [] },
        requirements: [requirement('one', ['oncall-dba'])],
        access: { grants: ['gr_1'], requestedBy: { kind: 'person', id: ada.id, name: 'Ada' }, seconds: 60 },
      },
      w.clock.now(),
      { ...w.config, ...w.limits },
    ),
  )
  expect(because(await w.approvals.decide('ap_access', adaThere, approve()))).toMatch(/it is you.* who asked for it/)
  expect(because(await w.approvals.decide('ap_access', bea, approve()))).toMatch(/none of the groups/)
  expect(because(await w.approvals.decide('ap_access', ben, approve()))).toBe('approved')
})

test('nobody reviews what they did by their other sign-in, or hands over to themselves', async () => {
  w.config.break_glass = { groups: ['oncall-dba'], max: 60 * minute, unreviewed: 3 }
  const { id } = await open(w, 'fail', two)
  const alone = { ...approve(), reason: 'the shop is down', breakGlass: true as const }
  expect(because(await w.approvals.decide(id, ada, alone))).toBe('approved')
  const [use] = (await w.approvals.breakGlass.list({ limit: 1 })).items
  const review = { verdict: 'justified' as const, reason: 'it was me' }
  await expect(w.approvals.breakGlass.review(use!.id, adaThere, review)).rejects.toThrow(/Nobody reviews/)
  await expect(away(ada, adaThere)).rejects.toThrow(/is you, signed in elsewhere/)
})
