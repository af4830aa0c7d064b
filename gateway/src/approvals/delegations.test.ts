import type { Delegation } from '@countersign/contract/access'
import { FeedMessage } from '@countersign/contract/feed'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { bot } from '../policy/testing/policies.ts'
import { DelegationRefused, delegationBounds } from './delegations.ts'
import { approve, ben, deny, minute, open, person, requirement, type World, world } from './testing/approvals.ts'

let w: World
beforeEach(async () => {
  w = await world()
  for (const one of [ada, bea, cy]) await w.seen(one)
})
afterEach(async () => {
  await w[Symbol.asyncDispose]()
})

const ada = person('Ada', ['oncall-dba', 'hr'], { email: 'ada@example.com' })
const bea = person('Bea', ['elsewhere'])
const cy = person('Cy', ['sre'])
const hour = 60 * minute
const day = 24 * hour
const at = (ms: number) => new Date(w.clock.now().getTime() + ms).toISOString()
/** Ada is away for two hours; Bea decides. */
const away = (more: { to?: string; groups?: string[]; since?: string; until?: string } = {}) =>
  w.approvals.delegations.begin(ada, { to: bea.id, until: at(2 * hour), reason: 'a holiday', ...more })
const refusal = (work: Promise<unknown>) =>
  work.then(
    () => 'it was done',
    (error) => (error instanceof DelegationRefused ? `${error.code}: ${error.message}` : Promise.reject(error)),
  )
const list = async () => (await w.approvals.delegations.list({ limit: 10 })).items
const said = () => w.said.filter((m) => m.type === 'delegation.changed').map((m) => m.data as Delegation)
const audit = async (type: string) =>
  (await w.store.db.selectFrom('audit_outbox').select('payload').where('type', '=', type).execute()).map(
    ({ payload }) => JSON.parse(payload),
  )
const ref = ({ id, issuer, subject, name }: typeof ada) => ({ id, issuer, subject, name })

describe('handing over', () => {
  test('is kept, told and logged, and the other one decides', async () => {
    const { id } = await open(w)
    expect(w.approvals.mayDecide(bea, (await w.approvals.get(id))!)).toMatch(/none of the groups/)
    const delegation = await away()
    expect(delegation).toEqual({
      id: expect.stringMatching(/^dg_[0-9a-f]{20}$/),
      from: ref(ada),
      to: ref(bea),
      groups: ['oncall-dba'],
      since: at(0),
      until: at(2 * hour),
      reason: 'a holiday',
      state: 'active',
    })
    expect(await list()).toEqual([delegation])
    await w.until(() => said().length === 1)
    for (const message of w.said) expect(FeedMessage.parse(message)).toEqual(message)
    const { id: _, state: __, ...rest } = delegation
    expect(await audit('delegation.begun')).toEqual([{ delegation: delegation.id, ...rest }])
    expect(w.approvals.knowing(bea).standing!().duties).toMatchObject([{ groups: ['oncall-dba'], from: ref(ada) }])
    expect(w.approvals.mayDecide(bea, (await w.approvals.get(id))!)).toBe(true)
    expect(await w.approvals.decide(id, bea, approve())).toMatchObject({
      ok: true,
      approval: { state: 'approved', decisions: [{ person: 'Bea', inPlaceOf: ['Ada'] }] },
    })
    expect(await audit('approval.decided')).toMatchObject([
      { person: ref(bea), inPlaceOf: [ada.id], handedOver: [{ id: ada.id, name: 'Ada', groups: ['oncall-dba'] }] },
    ])
  })

  test('begins and ends when it was said, by itself, also over a restart', async () => {
    const { id } = await open(w, 'fail', undefined, {})
    await away({ since: at(2 * minute), until: at(5 * minute) })
    expect((await list())[0]!.state).toBe('planned')
    expect((await w.approvals.decide(id, bea, approve())).ok).toBe(false)
    w.clock.advance(2 * minute)
    await w.until(() => said().some((one) => one.state === 'active'))
    expect(w.approvals.mayDecide(bea, (await w.approvals.get(id))!)).toBe(true)
    await w.restart()
    await w.approvals.recover()
    expect(w.approvals.mayDecide(bea, (await w.approvals.get(id))!)).toBe(true)
    w.clock.advance(3 * minute)
    await w.until(() => said().some((one) => one.state === 'ended'))
    expect((await w.approvals.decide(id, bea, approve())).ok).toBe(false)
    expect((await list())[0]).toMatchObject({
      state: 'ended',
      ended: { by: 'the gateway', reason: 'its time is over' },
    })
    expect(await audit('delegation.ended')).toMatchObject([{ by: { kind: 'gateway' } }])
  })

  test.each<[what: string, begin: () => Promise<unknown>, words: RegExp]>([
    ['to oneself', () => away({ to: ada.id }), /^invalid: Nobody stands in for themselves/],
    [
      'to somebody who never signed in',
      () => away({ to: 'https://people.example.com#zoe' }),
      /^invalid: Nobody of that id/,
    ],
    [
      'to an agent',
      async () => {
        await w.store.db
          .insertInto('agents')
          .values({ ...agentRow, id: bot.id })
          .execute()
        return away({ to: bot.id })
      },
      /^invalid: That is an agent/,
    ],
    [
      'to one who has left',
      async () => {
        await w.seen(bea, { left: true })
        return away()
      },
      /^invalid: Bea has left/,
    ],
    [
      'to one who is no approver',
      async () => {
        await w.seen({ ...bea, roles: ['reviewer'] })
        return away()
      },
      /^invalid: Bea is no approver/,
    ],
    ['of a group that one isn’t in', () => away({ groups: ['oncall-dba', 'sre'] }), /^invalid: You are not in sre/],
    ['of a group that decides nothing', () => away({ groups: ['hr'] }), /^invalid: Policy asks nobody of hr/],
    [
      'of nothing, where no group of one’s own decides anything',
      () => w.approvals.delegations.begin(bea, { to: ada.id, until: at(hour), reason: 'x' }),
      /^invalid: None of your groups/,
    ],
    ['for longer than 90 days', () => away({ until: at(91 * day) }), /^invalid: .*90 days at most/],
    [
      'further ahead than 90 days',
      () => away({ since: at(91 * day), until: at(92 * day) }),
      /^invalid: .*within 90 days/,
    ],
    ['until before it begins', () => away({ since: at(2 * hour), until: at(hour) }), /^invalid: .*`until`/],
    ['until a time that is over', () => away({ since: at(-2 * hour), until: at(-hour) }), /^invalid: .*`until`/],
    [
      'for ever more often',
      async () => {
        for (let i = 0; i < delegationBounds.open; i++) await away()
        return away()
      },
      /^conflict: You have handed over 20 times/,
    ],
  ])('%s is refused', async (_, begin, words) => {
    expect(await refusal(begin())).toMatch(words)
  })

  test('for exactly 90 days, from a time that is over, begins now', async () => {
    const { since, until } = await away({ since: at(-hour), until: at(90 * day) })
    expect([since, until]).toEqual([at(0), at(90 * day)])
  })
})

describe('what was handed over', () => {
  test('is not handed on', async () => {
    await away()
    const onwards = w.approvals.delegations.begin(bea, {
      to: cy.id,
      until: at(hour),
      reason: 'x',
      groups: ['oncall-dba'],
    })
    expect(await refusal(onwards)).toMatch(/^invalid: You are not in oncall-dba/)
    // Nor by the way round: what Cy has of his own is his, what he has of Bea is nothing.
    const { id } = await open(w)
    expect((await w.approvals.decide(id, cy, approve())).ok).toBe(false)
  })

  test('counts once: not beside the one who is away, and one in place of two is one', async () => {
    const { id } = await open(w, 'fail', [requirement('two', ['oncall-dba'], 2)])
    await away()
    expect((await w.approvals.decide(id, bea, approve())).ok).toBe(true)
    expect((await w.approvals.decide(id, ada, approve())).ok).toBe(true)
    expect((await w.approvals.get(id))!).toMatchObject({ state: 'pending', requirements: [{ approvedBy: ['Ada'] }] })
    await w.approvals.decide(id, ben, approve())
    expect((await w.approvals.get(id))!).toMatchObject({
      state: 'approved',
      requirements: [{ approvedBy: ['Ada', 'Ben'] }],
    })
  })

  test('one’s own group goes before it', async () => {
    const { id } = await open(w, 'fail', [requirement('p', ['oncall-dba', 'sre'])])
    await away({ to: cy.id })
    const decided = await w.approvals.decide(id, cy, approve())
    expect(decided).toMatchObject({ ok: true, approval: { decisions: [{ person: 'Cy' }] } })
    expect(decided.ok && decided.approval.decisions[0]!.inPlaceOf).toBeUndefined()
  })

  test('never lets anybody decide what is of either of the two', async () => {
    await away()
    for (const owner of ['ada', 'ada@example.com', 'bea']) {
      const { id } = await open(w, 'fail', undefined, {
        digest: `sha256:${owner.length.toString().padStart(64, '0')}`,
        command: { agent: { ...bot, owner } },
      })
      const no = await w.approvals.decide(
        id,
        bea,
        approve('once', `sha256:${owner.length.toString().padStart(64, '0')}`),
      )
      expect(no).toMatchObject({ ok: false, problem: 'forbidden' })
    }
    w.sponsors.set(bot.id, [ada.id])
    const { id } = await open(w)
    expect(await w.approvals.decide(id, bea, approve())).toMatchObject({
      ok: false,
      message: expect.stringMatching(/you stand in for Ada, whose own request it is/),
    })
  })

  test('denies as well', async () => {
    const { id } = await open(w)
    await away()
    expect(await w.approvals.decide(id, bea, deny())).toMatchObject({
      ok: true,
      approval: { state: 'denied', decisions: [{ inPlaceOf: ['Ada'] }] },
    })
  })

  test('is not lost for what was decided when it ends', async () => {
    const { id } = await open(w, 'fail', [requirement('two', ['oncall-dba'], 2)])
    const delegation = await away()
    await w.approvals.decide(id, bea, approve())
    await w.approvals.delegations.end(delegation.id, ada, 'back')
    await w.approvals.decide(id, ben, approve())
    expect((await w.approvals.get(id))!.state).toBe('approved')
  })

  test('does not let break the glass', async () => {
    w.config.break_glass = { groups: ['oncall-dba'], max: hour, unreviewed: 3 }
    const { id } = await open(w, 'fail', [requirement('two', ['oncall-dba'], 2)])
    await away()
    const alone = { ...approve(), breakGlass: true, reason: 'the shop is down' }
    expect(await w.approvals.decide(id, bea, alone)).toMatchObject({ ok: false, problem: 'forbidden' })
    expect(w.approvals.mayBreakGlass(bea, (await w.approvals.get(id))!)).toBe(false)
  })
})

describe('it ends', () => {
  test.each<[who: string, by: typeof ada, ends: boolean]>([
    ['by who is back', ada, true],
    ['by who stood in', bea, true],
    ['by an admin', person('Max', [], { roles: ['admin'] }), true],
    ['not by anybody else', cy, false],
  ])('%s', async (_, by, ends) => {
    const { id } = await open(w)
    const delegation = await away()
    const end = w.approvals.delegations.end(delegation.id, by, 'enough')
    if (!ends) return expect(await refusal(end)).toMatch(/^forbidden/)
    expect(await end).toMatchObject({ state: 'ended', ended: { by: by.name, reason: 'enough', at: at(0) } })
    expect((await w.approvals.decide(id, bea, approve())).ok).toBe(false)
    expect(await audit('delegation.ended')).toEqual([
      { delegation: delegation.id, by: { kind: 'person', ...ref(by) }, reason: 'enough' },
    ])
    expect(await refusal(w.approvals.delegations.end(delegation.id, by, 'again'))).toMatch(/^conflict/)
  })

  test('is nothing to end where there is none', async () => {
    expect(await refusal(w.approvals.delegations.end('dg_0', ada, ''))).toMatch(/^not-found/)
  })

  test.each<[what: string, happens: () => Promise<void>, reason: string]>([
    ['when the one who is away leaves', () => w.seen(ada, { left: true }), 'Ada has left'],
    ['when the one who stands in leaves', () => w.seen(bea, { left: true }), 'Bea has left'],
    [
      'when the one who is away is in none of the groups any more',
      () => w.seen({ ...ada, groups: ['hr'] }),
      'Ada is in none of the groups any more',
    ],
  ])('%s, at once', async (_, happens, reason) => {
    const { id } = await open(w)
    await away()
    await happens()
    // Whatever memory says by now: deciding asks the store.
    expect((await w.approvals.decide(id, bea, approve())).ok).toBe(false)
    await w.until(async () => (await list())[0]!.state === 'ended')
    expect((await list())[0]!.ended).toMatchObject({ by: 'the gateway', reason })
    await w.until(() => w.approvals.delegations.dutiesOf(bea.id).length === 0)
  })

  test('for a group that is lost, and goes on for those that are not', async () => {
    const two = { ...ada, groups: ['oncall-dba', 'sre'] }
    await w.seen(two)
    await w.approvals.delegations.begin(two, { to: bea.id, until: at(hour), reason: 'x' })
    expect(w.approvals.delegations.dutiesOf(bea.id)[0]!.groups).toEqual(['oncall-dba', 'sre'])
    await w.seen({ ...two, groups: ['sre'] })
    await w.until(() => w.approvals.delegations.dutiesOf(bea.id)[0]!.groups.length === 1)
    const { id } = await open(w)
    expect((await w.approvals.decide(id, bea, approve())).ok).toBe(false)
  })

  test('not by what was seen before it was made', async () => {
    await w.seen({ ...ada, groups: ['hr'] })
    w.clock.advance(1)
    await away()
    expect((await list())[0]!.state).toBe('active')
    expect(w.approvals.delegations.dutiesOf(bea.id)).toHaveLength(1)
  })

  test('while the gateway was off: it is found at the start', async () => {
    await away()
    await w.seen(ada, { left: true })
    await w.restart()
    await w.approvals.recover()
    expect((await list())[0]!.ended).toMatchObject({ reason: 'Ada has left' })
  })
})

test('all are listed, page by page, the latest first', async () => {
  const made: string[] = []
  for (let i = 0; i < 5; i++) made.unshift((await away({ since: at(i * minute) })).id)
  const first = await w.approvals.delegations.list({ limit: 3 })
  const second = await w.approvals.delegations.list({ limit: 3, after: first.next! })
  expect([...first.items, ...second.items].map(({ id }) => id)).toEqual(made)
  expect(second.next).toBeNull()
})

const agentRow = {
  issuer: bot.issuer,
  subject: bot.subject,
  identity: null,
  name: null,
  owner: null,
  sponsor: null,
  purpose: null,
  environment: null,
  first_seen_at: null,
  last_seen_at: null,
  disabled_at: null,
  disabled_by: null,
  disabled_because: null,
}
