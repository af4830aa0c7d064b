import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { schema } from '../policy/schema.ts'
import type { Effect } from './command.ts'
import { covering, covers, includes } from './covering.ts'

const effect = (action: string, id: string, type: Effect['resource']['type'] = 'Table'): Effect => ({
  action,
  resource: { type, id },
  command: {},
})

const rows: [string, { actions: string[]; resources?: string[] }, Effect, boolean][] = [
  ['the action itself', { actions: ['sql:read'] }, effect('sql:read', 'orders/public.a'), true],
  ['another action', { actions: ['sql:read'] }, effect('sql:write', 'orders/public.a'), false],
  ['a group of actions', { actions: ['sql'] }, effect('sql:ddl', 'orders/public.a'), true],
  ['a group is no prefix of a name', { actions: ['sq'] }, effect('sql:read', 'orders/public.a'), false],
  ['sftp is in ssh', { actions: ['ssh'] }, effect('sftp:write', 'web/etc', 'Path'), true],
  ['k8s:read', { actions: ['k8s:read'] }, effect('k8s:list', 'prod//pods///', 'Resource'), true],
  ['k8s:read writes nothing', { actions: ['k8s:read'] }, effect('k8s:delete', 'prod//pods///', 'Resource'), false],
  ['connect comes with it', { actions: ['sql:read'] }, effect('sql:connect', 'orders', 'Connection'), true],
  [
    '… whatever the resources',
    { actions: ['sql:read'], resources: ['orders/public.a'] },
    effect('sql:connect', 'orders', 'Connection'),
    true,
  ],
  ['… of its protocol only', { actions: ['mcp:call'] }, effect('sql:connect', 'orders', 'Connection'), false],
  ['the resource', { actions: ['sql'], resources: ['orders/public.a'] }, effect('sql:read', 'orders/public.a'), true],
  [
    'another resource',
    { actions: ['sql'], resources: ['orders/public.a'] },
    effect('sql:read', 'orders/public.ab'),
    false,
  ],
  [
    'all that begin so',
    { actions: ['sql'], resources: ['orders/public.*'] },
    effect('sql:read', 'orders/public.ab'),
    true,
  ],
  [
    '… and no others',
    { actions: ['sql'], resources: ['orders/public.*'] },
    effect('sql:read', 'orders/publicity.a'),
    false,
  ],
  [
    'the connection is all in it',
    { actions: ['sql'], resources: ['orders'] },
    effect('sql:read', 'orders/public.a'),
    true,
  ],
  [
    '… not in one with a longer name',
    { actions: ['sql'], resources: ['orders'] },
    effect('sql:read', 'orders-2/public.a'),
    false,
  ],
  ['a class takes its own action', { actions: ['sql'] }, effect('data:reveal', 'email', 'DataClass'), false],
  [
    '… and its name',
    { actions: ['sql', 'data:reveal'], resources: ['orders', 'email'] },
    effect('data:reveal', 'email', 'DataClass'),
    true,
  ],
  [
    '… which the connection isn’t',
    { actions: ['data:reveal'], resources: ['orders'] },
    effect('data:reveal', 'email', 'DataClass'),
    false,
  ],
  ['data:reveal of all', { actions: ['data:reveal'] }, effect('data:reveal', 'email', 'DataClass'), true],
]

test.each(rows)('%s', (_, grant, asked, expected) => {
  expect(covers(grant, asked)).toBe(expected)
})

describe('covering', () => {
  const backing = {
    needed: true,
    grants: [
      { id: 'a', actions: ['sql:read'], endsAt: 100 },
      { id: 'b', actions: ['sql'], endsAt: 200 },
    ],
  }
  test.each([
    [0, 'sql:read', 'b'],
    [150, 'sql:read', 'b'],
    [199, 'sql:write', 'b'],
    [200, 'sql:read', undefined],
  ])('at %d, %s: %s', (now, action, expected) => {
    expect(covering(backing, effect(action, 'orders/public.a'), now)?.id).toBe(expected)
  })
})

test('every group of actions in the schema is known here', () => {
  const declared = schema.matchAll(/^action ((?:"[^"]+"(?:, )?)+) in \[([^\]]+)\]/gm)
  let seen = 0
  for (const [, names = '', groups = ''] of declared)
    for (const [, name = ''] of names.matchAll(/"([^"]+)"/g))
      for (const [, group = ''] of groups.matchAll(/"([^"]+)"/g)) {
        seen++
        expect.soft(includes(group, name), `${name} in ${group}`).toBe(true)
      }
  expect(seen).toBeGreaterThan(20)
  expect(readFileSync(new URL('../policy/policy.cedarschema', import.meta.url), 'utf8')).toBe(schema)
})
