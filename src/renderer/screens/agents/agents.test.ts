import type { AgentUse, Permission } from '@countersign/contract/access'
import { expect, test } from 'vitest'
import { hashOf, parseRoute } from '../../app/route.ts'
import { believableAgents, manyAgents } from '../../testing/agents.ts'
import { arrangeAgents, noFilter, settled } from './filters.ts'
import { freezeActions } from './freeze-actions.ts'
import { stripOf } from './heat-strip.tsx'
import { cellText, cellWords, matricesOf, tally } from './matrix.ts'
import { orphanWords, subjectOf } from './words.ts'

const now = Date.parse('2026-11-21T12:00:00Z')

test('orphans on top with why in words, then by name; disabled ones last, whoever answers for them', () => {
  const arranged = arrangeAgents(believableAgents(now), noFilter)
  expect(arranged.orphans.map((agent) => [agent.name, orphanWords(agent)])).toEqual([
    ['nightly-7f3', 'no sponsor was named'],
    ['old-importer', 'Kim Vale has left'],
    ['support-copilot', 'lea@shop.example has never signed in'],
  ])
  expect(arranged.answered.map(({ name }) => name)).toEqual(['billing-cleanup', 'planner', 'report-builder'])
  expect(arranged.disabled.map(({ name }) => name)).toEqual(['deploy-bot'])
})

test.each([
  [{ text: 'ben FINANCE' }, ['report-builder']],
  [{ text: 'SHA256:47deq' }, ['billing-cleanup']],
  [{ state: 'orphans' }, ['nightly-7f3', 'old-importer', 'support-copilot']],
  [{ state: 'never' }, ['planner']],
  [{ state: 'disabled' }, ['deploy-bot']],
  [{ connection: 'warehouse' }, ['old-importer', 'report-builder']],
  [{ issuer: 'https://elsewhere' }, []],
] as const)('narrowed by %j', (part, names) => {
  const { orphans, answered, disabled } = arrangeAgents(believableAgents(now), { ...noFilter, ...part })
  expect([...orphans, ...answered, ...disabled].map(({ name }) => name).sort()).toEqual([...names])
  expect(settled({ ...noFilter, ...part })).not.toBe(noFilter)
})

test('a thousand agents are arranged whole', () => {
  const { orphans, answered, disabled } = arrangeAgents(manyAgents(now, 1000), noFilter)
  expect(orphans.length + answered.length + disabled.length).toBe(1000)
})

const may = (action: string, resource: string, verdict: Permission['verdict'], more: Partial<Permission> = {}) => ({
  ...{ connection: 'orders', action, resource, verdict, policies: ['p'] },
  ...more,
})
const did = (action: string, resource: string, allowed: number, held = 0, denied = 0): AgentUse => ({
  ...{ connection: 'orders', action, resource, allowed, held, denied },
  ...{ firstAt: '2026-11-01T00:00:00.000Z', lastAt: '2026-11-20T00:00:00.000Z' },
})

test('permitted against used: each look has words of its own, and the rest of a connection is told once', () => {
  const [matrix, ...others] = matricesOf({
    permitted: [
      may('sql:read', 'orders/a', 'allow'),
      may('sql:read', 'orders/b', 'allow'),
      may('sql:read', 'orders', 'depends'),
      may('sql:write', 'orders/a', 'hold'),
      may('sql:write', 'orders/b', 'deny'),
      may('sql:write', 'orders', 'deny'),
      may('sql:connect', 'orders', 'allow'),
      may('sql:ddl', 'orders', 'deny'),
      may('sql:call', 'orders/b', 'deny'),
      // A grant's line beside that of policy: what permits more counts.
      may('sql:write', 'orders/c', 'deny'),
      may('sql:write', 'orders/c', 'allow', { grant: 'gr_1' }),
    ],
    used: [
      did('sql:read', 'orders/a', 6902, 0, 2),
      did('sql:write', 'orders/b', 0, 0, 4),
      did('sql:write', 'orders/a', 0, 3),
      did('sql:call', 'orders/b', 12),
    ],
  })
  expect(others).toEqual([])
  expect(matrix!.actions).toEqual(['sql:call', 'sql:connect', 'sql:read', 'sql:write'])
  expect(matrix!.never).toEqual(['sql:ddl'])
  expect(matrix!.rows.map(({ resource, cells }) => [resource, ...cells.map(cellText)])).toEqual([
    ['orders/a', '', '', '6,902', 'held 3'],
    ['orders/b', '12', '', 'unused', 'denied 4'],
    ['orders/c', '', '', '', 'unused'],
    ['orders', '–', 'unused', 'depends', '–'],
  ])
  const looks = matrix!.rows.flatMap(({ cells }) => cells.map(({ look }) => look))
  expect(new Set(looks)).toEqual(new Set(['rest', 'used', 'held', 'past', 'unused', 'denied', 'none', 'maybe']))
  const cell = matrix!.rows[2]!.cells[3]!
  expect(cellWords(cell, () => 'then')).toBe('permitted by policy p, through a live grant; never used.')
  expect(cellWords(matrix!.rows[0]!.cells[2]!, () => 'then')).toBe(
    'permitted by policy p; allowed 6,902 times, denied 2 times, last then.',
  )
  expect(tally([matrix!])).toEqual({ permitted: 6, used: 1, unused: 3, denied: 6 })
})

test('the heat strip has every day until today, and says it in words', () => {
  const { cells, words } = stripOf(
    [
      { day: '2026-11-19', allowed: 100, held: 0, denied: 0 },
      { day: '2026-11-21', allowed: 1, held: 1, denied: 1 },
    ],
    '2026-11-18T00:00:00.000Z',
    now,
  )
  expect(cells.map(({ day, level, denied }) => [day.slice(8), level, denied])).toEqual([
    ['18', 0, false],
    ['19', 4, false],
    ['20', 0, false],
    ['21', 1, true],
  ])
  expect(words).toBe('103 uses on 2 of 4 days, denials on 1')
})

test('an agent’s id is one step of a route, and no part of the screen', () => {
  for (const route of [
    { screen: 'agents', id: 'https://idp.example/a?b#c d/connections' },
    { screen: 'agents', part: 'connections', id: 'orders' },
    { screen: 'agents', part: 'break-glass' },
    { screen: 'agents', part: 'past' },
    { screen: 'agents' },
  ] as const)
    expect(parseRoute(hashOf(route))).toEqual(route)
  expect(subjectOf('https://idp.example#c')).toBe('c')
})

test('the palette freezes what isn’t, and unfreezes what is; nobody else is offered it', () => {
  const place = (name: string) => ({
    ...{ name, kind: 'postgres', tags: [], access: 'jit' as const, mode: 'enforce' as const },
    ...{ openSessions: 0, liveGrants: 0 },
  })
  const freeze = {
    id: 'f',
    connection: 'b',
    by: { id: 'i#m', issuer: 'i', subject: 'm', name: 'M' },
    reason: 'x',
    at: '',
  }
  const places = [place('a'), { ...place('b'), freeze }]
  expect(freezeActions(places, true).map(({ name }) => name)).toEqual([
    'Freeze a…',
    'Unfreeze b…',
    'Freeze everything…',
  ])
  expect(freezeActions(places, false)).toEqual([])
})
