import { expect, test } from 'vitest'
import { ConsoleError, type Snapshot } from '../../console-api.ts'
import { arrange, missing, sectionOf, standing, waitingForMe } from '../screens/queue/arrange.ts'
import { ending } from '../screens/queue/words.ts'
import { fixture } from '../testing/fixture.ts'
import { ada, believableApprovals } from '../testing/world.ts'
import { hashOf, parseRoute } from './route.ts'
import { apply, coreIsGone, receive, useConsole } from './store.ts'

const noon = new Date('2026-11-21T12:00:00').getTime()
const approvals = believableApprovals(noon)
const byId = new Map(approvals.map((approval) => [approval.id, approval]))
const ids = (list: readonly { id: string }[]) => list.map((each) => each.id)

test('the queue: mine by deadline, then others’, then what was decided today, the latest first', () => {
  const arranged = arrange(approvals.toReversed(), ada, noon)
  expect(ids(arranged.mine)).toEqual(['ap_7h2k', 'ap_3m9q', 'ap_5bid', 'ap_long'])
  expect(ids(arranged.others)).toEqual(['ap_own1', 'ap_quor'])
  expect(ids(arranged.decided)).toEqual(['ap_d001', 'ap_d002', 'ap_d003', 'ap_d004', 'ap_d005'])
  expect(ids(arrange(approvals, ada, noon + 86_400_000).decided)).toEqual([])
  expect(ids(arrange(approvals, ada, noon, 'ben GOLD').mine)).toEqual([])
  expect(ids(arrange(approvals, ada, noon, 'noor delete').mine)).toEqual(['ap_7h2k'])
})

test('a card that is being read keeps its place when it is decided under the reader’s eyes', () => {
  const read = approvals.map((each) => (each.id === 'ap_7h2k' ? { ...each, state: 'denied' as const } : each))
  expect(ids(arrange(read, ada, noon).mine)).not.toContain('ap_7h2k')
  expect(ids(arrange(read, ada, noon, '', { id: 'ap_7h2k', section: 'mine' }).mine)[0]).toBe('ap_7h2k')
})

test('who may decide, and why not', () => {
  const held = byId.get('ap_7h2k')!
  const { mayDecide: _, ...unsaid } = held
  expect(standing(held, ada)).toEqual({ may: true })
  expect(standing(unsaid, ada)).toEqual({ may: true })
  expect(standing(unsaid, { ...ada, groups: ['sales'] } as typeof ada)).toMatchObject({ may: false })
  expect(standing(unsaid, { ...ada, roles: ['auditor'] } as typeof ada)).toMatchObject({ may: false })
  expect(standing(byId.get('ap_own1')!, ada)).toMatchObject({ may: false, because: expect.stringContaining('own') })
  expect(sectionOf(byId.get('ap_quor')!, ada)).toBe('others')
  expect(missing(byId.get('ap_quor')!)).toEqual(['1 more of oncall-dba'])
  expect(waitingForMe(byId, ada)).toBe(4)
})

test.each([
  ['ap_d001', 'approved by you · ran, 1 row · 3.4 ms'],
  ['ap_d002', 'denied by Ben Osei: “use the job”'],
  ['ap_d003', 'expired, nobody decided'],
  ['ap_d004', 'cancelled · the client went away'],
  ['ap_d005', 'approved by Ben Osei · failed with 23505: duplicate key value violates unique constraint "ledger_pkey"'],
])('%s ended: %s', (id, text) => expect(ending(byId.get(id)!, ada).text).toBe(text))

test('events change the world; what is settled never comes back', async () => {
  const snapshot: Snapshot = await fixture().call('snapshot', {})
  expect(apply(undefined, { type: 'approvals', approvals: [] })).toBeUndefined()
  const world = apply(undefined, { type: 'snapshot', snapshot })!
  const held = snapshot.approvals[0]!
  const denied = apply(world, { type: 'approvals', approvals: [{ ...held, state: 'denied' }] })!
  const late = apply(denied, { type: 'approvals', approvals: [held] })!
  expect(late.approvals.get(held.id)?.state).toBe('denied')
  const sent = apply(late, { type: 'decision', decision: { approval: held.id, verdict: 'deny', state: 'sent' } })!
  expect(sent.decisions.get(held.id)?.state).toBe('sent')
  expect(apply(sent, { type: 'snapshot', snapshot })!.approvals.get(held.id)?.state).toBe('pending')
})

test.each([
  ['#/queue/ap_1', { screen: 'queue', id: 'ap_1' }],
  ['/queue/ap_7h2k', { screen: 'queue', id: 'ap_7h2k' }],
  ['', { screen: 'queue' }],
  ['#/sessions', { screen: 'sessions' }],
  ['#/replay/se_1?t=1200', { screen: 'replay', id: 'se_1', t: 1200 }],
  ['#/replay/se_1?t=-4', { screen: 'replay', id: 'se_1' }],
  ['#/settings', { screen: 'settings' }],
  ['#/nowhere', { screen: 'queue' }],
  ['#/queue/%E0%A4%A', { screen: 'queue', id: '%E0%A4%A' }],
])('%s is a route', (text, route) => {
  expect(parseRoute(text)).toEqual(route)
  expect(parseRoute(hashOf(parseRoute(text)))).toEqual(route)
})

test('a page whose core has gone away doesn’t say that it is live; other failures change nothing', async () => {
  receive({ type: 'snapshot', snapshot: (await fixture().call('snapshot', {})) as Snapshot })
  const link = () => useConsole.getState().world?.link
  coreIsGone(new ConsoleError('forbidden', 'not yours'))
  expect(link()).toMatchObject({ state: 'live' })
  coreIsGone(new ConsoleError('shell-gone', 'Start it again.'))
  expect(link()).toMatchObject({
    state: 'reconnecting',
    gateway: 'https://gw.prod.example',
    problem: 'Start it again.',
  })
})
