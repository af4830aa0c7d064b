import type { Approval } from '@countersign/contract/approval'
import { FeedMessage } from '@countersign/contract/feed'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { approve, ben, cy, deny, minute, open, person, requirement, type World, world } from './testing/approvals.ts'

let w: World
beforeEach(async () => {
  w = await world()
})
afterEach(async () => {
  await w[Symbol.asyncDispose]()
})

const lea = person('Lea', ['sre-leads'])
const duke = person('Duke', ['duty-managers'])
const escalation = [
  { after: '3m', groups: ['sre-leads'] },
  { after: '6m', groups: ['duty-managers', 'sre-leads'] },
]
const asking = (quorum = 1) => [{ ...requirement('deletes', ['oncall-dba'], quorum), escalation }]
const escalatedTo = async (id: string) => (await w.approvals.get(id))!.requirements.map((one) => one.escalatedTo)
const escalations = () => w.said.filter((message) => message.type === 'approval.escalated')
const audited = async () =>
  (
    await w.store.db.selectFrom('audit_outbox').select('payload').where('type', '=', 'approval.escalated').execute()
  ).map(({ payload }) => JSON.parse(payload))
const after = async (minutes: number, until: () => boolean | Promise<boolean>) => {
  w.clock.advance(minutes * minute)
  await w.until(until)
}

describe('what nobody answers', () => {
  test('is asked of the next groups, one after another, and told to all', async () => {
    const { id } = await open(w, 'fail', asking())
    expect(w.approvals.mayDecide(lea, (await w.approvals.get(id))!)).toMatch(/none of the groups/)
    expect((await w.approvals.decide(id, lea, approve())).ok).toBe(false)
    await after(3, () => escalations().length === 1)
    expect(await escalatedTo(id)).toEqual([['sre-leads']])
    expect(w.approvals.mayDecide(lea, (await w.approvals.get(id))!)).toBe(true)
    expect(w.approvals.mayDecide(duke, (await w.approvals.get(id))!)).toMatch(/none of the groups/)
    await after(3, () => escalations().length === 2)
    expect(await escalatedTo(id)).toEqual([['sre-leads', 'duty-managers']])
    for (const message of escalations()) expect(FeedMessage.parse(message)).toEqual(message)
    expect(await audited()).toEqual([
      { approval: id, session: 'se_1', groups: ['sre-leads'], escalatedTo: { deletes: ['sre-leads'] } },
      {
        approval: id,
        session: 'se_1',
        groups: ['duty-managers'],
        escalatedTo: { deletes: ['sre-leads', 'duty-managers'] },
      },
    ])
    expect(await w.approvals.decide(id, duke, approve())).toMatchObject({ ok: true, approval: { state: 'approved' } })
  })

  test('several requirements each by their own policy, those that are met left alone', async () => {
    const met = { ...requirement('met', ['sre']), escalation }
    const { id } = await open(w, 'fail', [...asking(2), met, requirement('patient', ['a'])])
    await w.approvals.decide(id, cy, approve())
    await after(3, () => escalations().length === 1)
    expect(await escalatedTo(id)).toEqual([['sre-leads'], undefined, undefined])
  })

  test('counts people of all groups that are asked by then', async () => {
    const { id } = await open(w, 'fail', asking(2))
    await after(3, () => escalations().length === 1)
    expect((await w.approvals.decide(id, lea, approve())).ok).toBe(true)
    expect((await w.approvals.get(id))!.state).toBe('pending')
    await w.approvals.decide(id, ben, approve())
    const approval = (await w.approvals.get(id))!
    expect(approval.state).toBe('approved')
    expect(approval.requirements[0]!.approvedBy).toEqual(['Lea', 'Ben'])
  })

  test('where no policy says, it is as configured for all', async () => {
    w.config.escalate = [{ after: '2m', groups: ['sre-leads'] }]
    const { id } = await open(w, 'fail', [requirement('plain', ['oncall-dba']), ...asking()])
    expect((await w.approvals.get(id))!.requirements[0]!.escalation).toEqual(w.config.escalate)
    await after(2, () => escalations().length === 1)
    expect(await escalatedTo(id)).toEqual([['sre-leads'], undefined])
  })

  test('is told by one who comes back to it after a restart, at once where it is due, each time once', async () => {
    const { id } = await open(w, 'fail', asking())
    await after(3, () => escalations().length === 1)
    await w.restart()
    await w.approvals.recover()
    w.clock.advance(minute)
    await w.restart()
    w.clock.advance(2 * minute)
    await w.approvals.recover()
    await w.until(() => escalations().length === 1)
    expect(await escalatedTo(id)).toEqual([['sre-leads', 'duty-managers']])
    expect(await audited()).toHaveLength(2)
  })
})

describe('nothing escalates', () => {
  test.each<[what: string, act: (id: string) => Promise<unknown>]>([
    ['approved', (id) => w.approvals.decide(id, ben, approve())],
    ['denied', (id) => w.approvals.decide(id, ben, deny())],
    ['cancelled', (id) => w.approvals.cancel(id, 'gone')],
  ])('once it was %s', async (_, act) => {
    const { id } = await open(w, 'fail', asking())
    await act(id)
    const before = await w.approvals.get(id)
    w.clock.advance(4 * minute)
    // Another one is due at the same time: once that has escalated, this one has not.
    const other = await open(w, 'fail', asking(), { digest: `sha256:${'b'.repeat(64)}` })
    await after(3, () => escalations().length === 1)
    expect((escalations()[0]!.data as Approval).id).toBe(other.id)
    expect(await w.approvals.get(id)).toEqual(before)
  })

  test('that expires at the same moment', async () => {
    w.config.expires = 3 * minute
    const { id } = await open(w, 'fail', asking())
    await after(3, async () => (await w.approvals.get(id))!.state === 'expired')
    expect(escalations()).toEqual([])
  })
})

test('more that is asked at release is asked from then on: others have their time again, those of before stay', async () => {
  const { id } = await open(w, 'fail', asking())
  await after(3, () => escalations().length === 1)
  await w.approvals.decide(id, lea, approve())
  w.clock.advance(minute)
  const more = { ...requirement('more', ['sre']), escalation: [{ after: '2m', groups: ['duty-managers'] }] }
  expect(await w.approvals.reopen(id, [...asking(), more])).toBe(true)
  expect(await escalatedTo(id)).toEqual([['sre-leads'], undefined])
  await after(2, () => escalations().length === 2)
  expect(await escalatedTo(id)).toEqual([['sre-leads'], ['duty-managers']])
})

test('groups of an escalation count at release only where policy would still ask them', () => {
  const before = [{ ...asking()[0]!, escalatedTo: ['sre-leads'] }]
  expect(w.approvals.asAsked(asking(), before)).toEqual(before)
  expect(w.approvals.asAsked([requirement('deletes', ['oncall-dba'])], before)).toEqual([
    requirement('deletes', ['oncall-dba']),
  ])
  expect(w.approvals.asAsked([{ ...asking()[0]!, policy: 'other' }], before)).toEqual([
    { ...asking()[0]!, policy: 'other' },
  ])
})
