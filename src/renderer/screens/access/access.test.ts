import type { Grant } from '@countersign/contract/access'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { secondsOf, span } from '../../../span.ts'
import { believableGrants, believableRequests, manyGrants } from '../../testing/access.ts'
import { ada } from '../../testing/world.ts'
import { unusualAccess } from '../queue/access-words.ts'
import { standing } from '../queue/arrange.ts'
import { windowsOf } from '../queue/windows.ts'
import { ending, headline } from '../queue/words.ts'
import { arrangeGrants, type GrantFilter, isLiveAt, noFilter, settled } from './filters.ts'
import { lanesOf } from './lanes.ts'
import { actionsByKind, actionWords, mayDo, spanOf } from './words.ts'

const noon = new Date('2026-11-21T12:00:00').getTime()
const grants = believableGrants(noon)
const byId = new Map(grants.map((grant) => [grant.id, grant]))
const ids = (list: readonly Grant[]) => list.map(({ id }) => id)
const found = (filter: Partial<GrantFilter>) => {
  const { requested, active, ended } = arrangeGrants(grants, { ...noFilter, ...filter }, 'end')
  return ids([...requested, ...active, ...ended])
}

test('by end: what lapses or ends soonest first, then what is over, the latest first; or by request', () => {
  const { requested, active, ended } = arrangeGrants(grants, noFilter, 'end')
  expect(ids(requested)[0]).toBe('gr_esc')
  expect(ids(active)).toEqual(['gr_active2', 'gr_active1', 'gr_bg', 'gr_ext'])
  expect(ids(ended).slice(0, 3)).toEqual(['gr_ext0', 'gr_rev', 'gr_den'])
  const anew = arrangeGrants(grants, noFilter, 'request')
  expect(ids(anew.active)).toEqual(['gr_ext', 'gr_active2', 'gr_active1', 'gr_bg'])
})

test.each([
  [{ text: 'fin-2209 BEN' }, ['gr_active1']],
  [{ text: 'nobody else awake' }, ['gr_bg']],
  [{ state: 'break-glass' as const }, ['gr_bg']],
  [{ state: 'denied' as const }, ['gr_den']],
  [{ state: 'active' as const, connection: 'warehouse' }, ['gr_active2', 'gr_ext']],
  [{ agent: byId.get('gr_rev')!.agent, state: 'revoked' as const }, ['gr_rev']],
  [{ at: Date.parse(byId.get('gr_rev')!.activeFrom!) + 1000 }, ['gr_rev']],
  [{ text: 'no such thing' }, []],
])('narrowed by %o', (filter, expected) => {
  expect(found(filter)).toEqual(expected)
})

test('a filter that leaves nothing out is no filter', () => {
  expect(settled({ ...noFilter, at: undefined })).toBe(noFilter)
  expect(settled({ ...noFilter, at: 5 })).not.toBe(noFilter)
})

test('a revoked grant was access until it was revoked; what was never active was none', () => {
  const revoked = byId.get('gr_rev')!
  const { from, to } = spanOf(revoked)!
  expect((to - from) / 1000).toBe(1260)
  expect(isLiveAt(revoked, to - 1)).toBe(true)
  expect(isLiveAt(revoked, to)).toBe(false)
  expect(spanOf(byId.get('gr_den')!)).toBeUndefined()
  expect(spanOf(byId.get('gr_req')!)).toBeUndefined()
})

test('ten thousand grants draw no more than lanes times places, and leave nobody out', () => {
  const many = manyGrants(noon, 10_000)
  const window = { from: noon - 30 * 86_400_000, to: noon + 4 * 86_400_000 }
  const lanes = lanesOf(many, 'agent', window, { places: 240, lanes: 6 })
  expect(lanes).toHaveLength(6)
  expect(lanes.at(-1)!.others).toBe(400 - 5)
  expect(lanes.reduce((sum, lane) => sum + lane.runs.length, 0)).toBeLessThanOrEqual(6 * 120)
  for (const lane of lanes)
    for (const [i, run] of lane.runs.entries()) {
      expect(run.from).toBeLessThan(run.to)
      expect(run.from).toBeGreaterThan(lane.runs[i - 1]?.to ?? -1)
    }
})

test('in the picture somebody has access exactly where a grant of theirs is live', () => {
  const one = believableGrants(noon)[8]!
  const hour = 3_600_000
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: -5, max: 30 }), fc.integer({ min: 1, max: 9 })), { maxLength: 12 }),
      (spans) => {
        const given = spans.map(
          ([from, length], i): Grant => ({
            ...one,
            id: `gr_${i}`,
            state: 'expired',
            activeFrom: new Date(noon + from * hour).toISOString(),
            endedAt: new Date(noon + (from + length) * hour).toISOString(),
          }),
        )
        const [lane] = lanesOf(given, 'agent', { from: noon, to: noon + 24 * hour }, { places: 24 })
        for (let place = 0; place < 24; place += 1) {
          const live = spans.some(([from, length]) => from <= place && place < from + length)
          const drawn = lane?.runs.some((run) => run.from <= place && place < run.to) ?? false
          expect(drawn).toBe(live)
        }
      },
    ),
    { numRuns: 200, seed: 11 },
  )
})

test.each([
  [900, '15 min'],
  [5400, '1 h 30 min'],
  [172_800, '2 days'],
  [90_000, '1 day 1 h'],
  [45, '45 s'],
])('%d seconds are %s', (seconds, words) => expect(span(seconds)).toBe(words))

test.each([
  ['90m', 5400],
  ['2d', 172_800],
  ['0m', undefined],
  ['1w', undefined],
  ['', undefined],
])('%s as people write it is %s seconds', (text, seconds) => expect(secondsOf(text)).toBe(seconds))

test('who may extend and revoke, as far as roles tell', () => {
  const active = byId.get('gr_active1')!
  const as = (...roles: ('approver' | 'reviewer' | 'auditor' | 'admin')[]) => ({ ...ada, roles }) as typeof ada
  expect(mayDo(active, as('approver'))).toEqual({ extend: true, revoke: true })
  expect(mayDo(active, as('auditor'))).toEqual({ extend: true, revoke: false })
  expect(mayDo(byId.get('gr_ext')!, as('reviewer'))).toEqual({ extend: true, revoke: true }) // its owner
  expect(mayDo(active, as('admin')).revoke).toBe(true)
  expect(mayDo(active, as())).toEqual({ extend: false, revoke: false })
  expect(mayDo(active, null)).toEqual({ extend: false, revoke: false })
  expect(mayDo(byId.get('gr_req')!, as('approver')).revoke).toBe(false)
  expect(mayDo(byId.get('gr_req')!, as('admin'))).toEqual({ extend: false, revoke: true })
  expect(mayDo(byId.get('gr_rev')!, as('admin'))).toEqual({ extend: false, revoke: false })
})

test('every action has plain words, and every group contains what it is said to', () => {
  for (const offered of Object.values(actionsByKind))
    for (const { name, says, contains } of offered) {
      expect(actionWords(name).says).toBe(says)
      for (const inner of contains ?? []) expect(offered.map((each) => each.name)).toContain(inner)
    }
  expect(actionWords('sql:connect').says).toBe('opens the connection')
  expect(actionWords('new:action')).toEqual({ name: 'new:action', says: '' })
})

const requests = new Map(believableRequests(noon).map((approval) => [approval.id, approval]))

test('a request is decided as asked or shorter, never for a session', () => {
  const values = (id: string) => windowsOf(requests.get(id)!).map(({ value }) => value)
  expect(values('ap_req')).toEqual(['once', '30m', '1h'])
  expect(values('ap_plan')).toEqual(['once', '5m', '15m'])
  const short = requests.get('ap_req')!
  expect(windowsOf({ ...short, access: { ...short.access!, seconds: 60 } }).map(({ value }) => value)).toEqual(['once'])
})

test('what is unusual about a request, and that it is not all that others see', () => {
  const texts = (
    id: string,
    seesAll: boolean,
    before = { given: 0, denied: 0, longest: 0, actions: [] as string[] },
  ) => {
    const approval = requests.get(id)!
    const items = approval.access!.grants.map((each) => {
      const grant = byId.get(each)!
      const extended = grant.extends ? byId.get(grant.extends) : undefined
      return { grant, before, ...(extended && { extended }) }
    })
    return unusualAccess(approval, { items, missing: 0, seesAll }).map(({ text }) => text)
  }
  expect(texts('ap_req', true)).toContain('first access of support-copilot to orders')
  expect(texts('ap_req', false)).toContain('first access of support-copilot to orders that you can see')
  const before = { given: 3, denied: 1, longest: 900, actions: ['sql:read'] }
  expect(texts('ap_req', true, before)).toEqual([
    'longer than any before, 15 min',
    'never had sql:write, data:reveal there',
    '1 such request denied before',
  ])
  expect(texts('ap_esc', true, before)[0]).toMatch(/^prolongs access until /)
  expect(texts('ap_plan', true)).toContain('step 4: names no resources: all of payments')
  const tricky = { ...requests.get('ap_req')!, purpose: 'pаyments\u202e' }
  expect(unusualAccess(tricky, undefined).map(({ text }) => text)).toEqual([
    '1 hidden character, marked here',
    'look-alike letters in pаyments',
  ])
})

test('how a request is called in a line, and how it ended', () => {
  expect(headline(requests.get('ap_req')!)).toBe('access to orders for 2 h')
  expect(headline(requests.get('ap_plan')!)).toBe('plan: Close the books of October · 4 steps')
  expect(ending(requests.get('ap_acc1')!, ada).text).toBe(
    'approved by Ben Osei in place of Mina Okafor · access was given',
  )
  const used = requests.get('ap_acc1')!
  const alone = { ...used, decisions: [{ ...used.decisions[0]!, breakGlass: true }] }
  expect(ending(alone, ada).text).toBe('approved by Ben Osei alone (break-glass) · access was given')
})

test('who is asked by escalation may decide', () => {
  const { mayDecide: _, ...escalated } = requests.get('ap_esc')!
  expect(standing(escalated, ada)).toEqual({ may: true })
  const [need] = escalated.requirements
  const { escalatedTo: __, ...before } = need!
  expect(standing({ ...escalated, requirements: [before] }, ada)).toMatchObject({ may: false })
})
