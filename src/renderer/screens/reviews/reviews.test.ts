import { expect, test } from 'vitest'
import type { PendingReview } from '../../../reviews-api.ts'
import { hashOf, parseRoute } from '../../app/route.ts'
import { believableItems } from '../../testing/reviews.ts'
import { slipIn } from './decide-dialog.tsx'
import { arrangeItems, nextUndecided, noFilter, settled } from './filters.ts'
import { emptyPlan, planOf, slipInPlan, tidied } from './plan-form.tsx'
import { byVerb } from './questions.ts'
import { dueWords, scopeWords } from './words.ts'

const now = Date.parse('2026-11-21T12:00:00Z')
const me = { id: 'i#ada', issuer: 'i', subject: 'ada', name: 'Ada' }
const items = believableItems(now, me)
const pending = (item: string, state: PendingReview['state'] = 'waiting'): PendingReview => ({
  ...{ id: `de_${item}`, kind: 'decision', campaign: 'ca_q4', item, verdict: 'certify', text: '' },
  ...{ at: new Date(now).toISOString(), state, choices: [] },
})
const none = new Map<string, PendingReview>()
const names = (list: readonly { name: string }[]) => list.map(({ name }) => name)

test('what waits for me on top, what I decided here counts as decided, what was refused comes first of all', () => {
  const waiting = new Map([
    ['it_q4_2', pending('it_q4_2')],
    ['it_q4_3', pending('it_q4_3', 'conflict')],
  ])
  const arranged = arrangeItems(items, noFilter, waiting, me.id)
  expect(names(arranged.conflicts)).toEqual(['support-copilot'])
  expect(names(arranged.mine)).toEqual(['old-importer', 'deploy-bot', 'nightly-7f3\u202e', 'jit-payments'])
  expect(names(arranged.others)).toEqual(['billing-cleanup'])
  expect(names(arranged.decidedByMe)).toEqual(['report-builder', 'patch-runner', 'etl-nightly'])
  expect(names(arranged.decided)).toEqual(['archive-bot'])
  expect(nextUndecided(items, waiting, 1)?.name).toBe('deploy-bot')
  expect(nextUndecided(items, waiting, 9)?.name).toBe('old-importer')
  expect(nextUndecided(items.slice(0, 1), none, 1)).toBeUndefined()
})

test.each([
  [{ which: 'mine' }, 6],
  [{ which: 'undecided' }, 7],
  [{ which: 'reduce' }, 2],
  [{ recommended: 'certify' }, 4],
  [{ more: 'privileged' }, 1],
  [{ more: 'failed' }, 1],
  [{ text: 'kim WAREHOUSE' }, 1],
  [{ text: 'nobody of this name' }, 0],
] as const)('narrowed by %j', (part, count) => {
  const all = Object.values(arrangeItems(items, settled({ ...noFilter, ...part }), none, me.id)).flat()
  expect(all).toHaveLength(count)
})

test('a permission to write is one of each verb; uses of one verb are one number', () => {
  const times = { firstAt: '2026-11-01T00:00:00.000Z', lastAt: '2026-11-02T00:00:00.000Z' }
  const use = (kind: string, allowed: number, lastAt = times.lastAt) => ({
    ...{ connection: 'orders', action: 'sql:write', resource: 'orders/a', type: 'Table', kind, unbounded: 0 },
    ...{ allowed, held: 0, denied: 1, firstAt: times.firstAt, lastAt },
  })
  const may = (action: string) => ({
    ...{ connection: 'orders', action, resource: 'orders/a', verdict: 'allow' as const, policies: ['p'] },
  })
  const { permitted, used } = byVerb(
    [may('sql:write'), may('sql:read'), may('ssh:exec')],
    [use('delete', 2), use('truncate', 1), use('delete', 3, '2026-11-09T00:00:00.000Z')],
  )
  expect(permitted.map(({ action }) => action)).toEqual(['insert', 'update', 'delete', 'truncate', 'read', 'ssh:exec'])
  expect(used.map(({ action, allowed, denied, lastAt }) => [action, allowed, denied, lastAt.slice(0, 10)])).toEqual([
    ['delete', 5, 2, '2026-11-09'],
    ['truncate', 1, 1, '2026-11-02'],
  ])
})

test.each([
  ['', 'A reduce carries the tighter policy: write one.'],
  ['// forbid', 'A reduce carries the tighter policy: write one.'],
  ['permit (principal, action, resource);', 'It may only forbid: a review never permits more.'],
  ['forbid (principal, action, resource);\n@id("x") permit (principal, action, resource);', /only forbid/],
  ['when { true }', 'It begins with forbid (…).'],
  ['@id("permit")\nforbid (principal == Agent::"permit", action, resource); // permit', undefined],
])('a tighter policy, before anybody is asked: %j', (policy, slip) => {
  const said = slipIn(policy)
  if (slip instanceof RegExp) expect(said).toMatch(slip)
  else expect(said).toBe(slip)
})

test('a plan is sent without what is empty, and only once it is one', () => {
  const draft = {
    ...{ ...emptyPlan, title: ' Q4 ', scope: { tags: ['production', ''], connections: [], rules: false } },
    controls: ['soc2:CC6.3 ', ''],
    stages: [{ title: 'One', reviewers: [{ kind: 'group' as const, group: ' ' }, { kind: 'role' as const }] }],
  }
  expect(planOf(tidied(draft))).toMatchObject({
    ...{ title: 'Q4', scope: { tags: ['production'] }, controls: ['soc2:CC6.3'] },
    stages: [{ title: 'One', reviewers: [{ kind: 'role' }] }],
  })
  expect(slipInPlan(draft)).toBeDefined()
  expect(slipInPlan(tidied(draft))).toBeUndefined()
  expect(slipInPlan({ ...emptyPlan, title: 'x', controls: ['CC6'] })).toContain('soc2:CC6.3')
  expect(slipInPlan({ ...emptyPlan, title: 'x', stages: [{ title: 'One', reviewers: [] }] })).toContain('Say who')
})

test('scope and due date in words', () => {
  expect(scopeWords({})).toBe('All access of all agents')
  expect(scopeWords({ access: 'jit', rules: true, connections: ['orders'] })).toBe(
    'Access given just in time, on orders, and the rules that give access just in time',
  )
  const day = 86_400_000
  const due = (ms: number) => dueWords(new Date(now + ms).toISOString(), now)
  expect([due(-3 * day), due(-1), due(1), due(3 * day + 1), due(20 * day)]).toEqual([
    ...['was due 3 days ago', 'was due today', 'due within a day', 'due in 3 days', 'due 11 Dec'],
  ])
})

test.each([
  { screen: 'reviews' },
  { screen: 'reviews', id: 'ca_1' },
  { screen: 'reviews', id: 'ca_1', item: 'it/1?x#y' },
  { screen: 'reviews', part: 'templates' },
  { screen: 'reviews', part: 'templates', id: 'production' },
  { screen: 'replay', id: 'se_1', at: '2026-11-21T12:00:00.000Z' },
] as const)('a route and its hash: %j', (route) => {
  expect(parseRoute(hashOf(route))).toEqual(route)
})
