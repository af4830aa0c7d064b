import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { checkPolicies } from './drafts/check.ts'
import { readTests } from './tests.ts'

const policies = `
permit (principal in Group::"ci", action in [Action::"sql:connect", Action::"sql:read", Action::"sql:write"], resource in Connection::"orders");
@id("no-files") @reason("It opens files")
forbid (principal, action in Action::"sql", resource) when { context.command.functions.contains("pg_read_file") };
@id("all-rows") @hold("dba") @quorum("2") forbid (principal, action == Action::"sql:write", resource) when { !context.command.bounded } unless { context has approval };
@id("by-day") forbid (principal, action == Action::"sql:read", resource == Table::"orders/public.\\"Odd one\\"") when { context.time.hour > 17 || context.time.weekday > 5 };
permit (principal, action == Action::"http:read", resource in Connection::"web") when { resource is Path && resource.path like "/open/*" };
permit (principal, action == Action::"mcp:call", resource == Tool::"tools/search");
permit (principal, action == Action::"k8s:get", resource in Connection::"cluster") when { resource is Resource && resource.namespace == "web" && resource.subresource == "log" };
permit (principal, action == Action::"ssh:exec", resource == Connection::"host") when { context.command.program == "uptime" };
`
const said = (tests: string) => {
  const check = checkPolicies([
    { file: 'a.cedar', text: policies },
    { file: 'a.test.yaml', text: `agents: { ci: { groups: [ci] } }\nconnections: { orders: {} }\n${tests}` },
  ])
  return {
    problems: check.problems.map(({ line, message }) => `${line}: ${message}`),
    ok: check.ok,
    tests: check.tests,
  }
}
const one = (rest: string) => `tests:\n  - { name: one, agent: ci, ${rest} }\n`

test.each<[string, string, string]>([
  ['a table', 'does: sql:read orders/public.customers', 'allow'],
  ['what is quoted', 'does: \'sql:read orders/public."Odd one"\', time: 2026-01-05T17:59:00Z', 'allow'],
  ['by the hour', 'does: \'sql:read orders/public."Odd one"\', time: 2026-01-05T18:00:00Z', 'deny'],
  ['by the day', 'does: \'sql:read orders/public."Odd one"\', time: 2026-01-04T10:00:00Z', 'deny'],
  ['opening', 'does: sql:connect', 'allow'],
  ['several, of which one is denied', 'does: [sql:connect, sql:ddl orders/public.customers]', 'deny'],
  ['every row', 'does: "sql:write orders/public.customers delete, every row"', 'hold'],
  ['approved by two', 'does: "sql:write orders/public.a delete, every row", approval: { groups: [dba] }', 'allow'],
  ['functions', 'does: { action: sql:read, resource: orders/public.customers, functions: [pg_read_file] }', 'deny'],
  ['an agent written out', 'agent: { groups: [] }, does: sql:connect', 'deny'],
  [
    'a path',
    'connection: web, does: { action: http:read, resource: web//open/page, command: { method: GET } }',
    'allow',
  ],
  [
    'another path',
    'connection: web, does: { action: http:read, resource: web//closed, command: { method: GET } }',
    'deny',
  ],
  ['a command that isn’t told', 'connection: tools, does: mcp:call tools/search', 'deny'],
])('%s: %s is %s', (_, rest, expected) => {
  const { problems, tests } = said(one(`${rest}, expect: ${expected}`).replace('agent: ci, agent:', 'agent:'))
  expect(problems).toEqual([])
  expect(tests).toMatchObject([{ ok: true, got: expect.stringMatching(new RegExp(`^${expected}`)) }])
})

test('what other protocols tell of a command is given with it', () => {
  const { tests, problems } = said(`tests:
  - { name: tool, agent: ci, connection: tools, does: { action: mcp:call, resource: tools/search, command: { arguments: "{}" } }, expect: allow }
  - { name: log, agent: ci, connection: cluster, does: { action: k8s:get, resource: cluster//pods/log/web/one, command: { method: GET } }, expect: allow }
  - { name: exec, agent: ci, connection: host, does: { action: ssh:exec, resource: host, command: { argv: uptime, program: uptime, shell: false } }, expect: allow }
  - { name: a line, agent: ci, connection: host, does: "ssh:exec 'uptime' ", expect: allow }
  - { name: another line, agent: ci, connection: host, does: { action: ssh:exec, run: id; uptime }, expect: deny }
`)
  expect(problems).toEqual([])
  expect(tests.map(({ ok, got }) => [ok, got])).toEqual([
    [true, 'allow'],
    [true, 'allow'],
    [true, 'allow'],
    [true, 'allow'],
    [true, expect.stringMatching(/^deny/)],
  ])
})

test('a test that fails says what was expected, and what came by which policies', () => {
  const { ok, tests } = said(
    one('does: "sql:write orders/public.a delete, every row", expect: allow') +
      '  - { name: two, agent: ci, does: "sql:write orders/public.a delete, every row", expect: hold, policies: [other], groups: [sre], reason: nothing }\n',
  )
  expect(ok).toBe(false)
  expect(tests).toMatchObject([
    {
      ok: false,
      line: 4,
      name: 'one',
      expected: 'allow',
      got: 'hold: held by policy all-rows',
      policies: ['all-rows'],
    },
    { ok: false, line: 5, expected: 'hold, by other, asking sre, because of “nothing”' },
  ])
})

test.each<[string, string, string]>([
  ['a key that means nothing', one('doess: x, does: sql:connect, expect: allow'), '4: doess means nothing in tests.0'],
  ['an outcome that is none', one('does: sql:connect, expect: permit'), '4: tests.0.expect: '],
  [
    'an agent that isn’t there',
    one('does: sql:connect, expect: allow').replace('agent: ci', 'agent: cj'),
    '4: there is no agent cj under agents',
  ],
  [
    'an agent by a name of objects',
    one('does: sql:connect, expect: allow').replace('agent: ci', 'agent: constructor'),
    '4: there is no agent constructor under agents',
  ],
  [
    'an action that isn’t there',
    one('does: sql:raed orders/public.a, expect: allow'),
    '4: there is no action sql:raed',
  ],
  [
    'a resource of another connection',
    one('does: sql:read other/public.a, expect: allow'),
    '4: sql:read can’t be done to other/public.a',
  ],
  [
    'a table that is not quoted',
    one('does: sql:read orders/public.Customers, expect: allow'),
    '4: the attributes of orders/public.Customers can’t be told by its id',
  ],
  ['no test', 'tests: []', '3: tests: '],
  ['no YAML', 'tests: [', '3: not YAML'],
  [
    'a bomb',
    `x: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c]\ntests: [*d,*d,*d]`,
    'aliases in this file repeat',
  ],
])('%s is a problem at its line', (_, tests, expected) => {
  const { problems, ok, tests: ran } = said(tests)
  expect(ok).toBe(false)
  expect(ran).toEqual([])
  expect(problems.join('\n')).toContain(expected)
})

test('the tests of the sample world pass', () => {
  const folder = new URL('../../../demo/policy/', import.meta.url)
  const files = readdirSync(folder).map((file) => ({ file, text: readFileSync(new URL(file, folder), 'utf8') }))
  const { ok, tests, problems } = checkPolicies(files)
  expect(problems).toEqual([])
  expect(tests.filter(({ ok }) => !ok)).toEqual([])
  expect(ok && tests.length >= 10).toBe(true)
})

test('no text makes the reader of tests throw', () => {
  for (const text of [
    '',
    '\0',
    '- 1',
    '{}',
    'tests: 1',
    'tests: [1]',
    'tests: [{name: x, does: [[]], expect: allow}]',
    '%YAML 9',
    '? [a]\n: b',
  ])
    expect(readTests('x.test.yaml', text).problems.length).toBeGreaterThan(0)
})

test('the example of docs/policy.md can be read', () => {
  const docs = readFileSync(new URL('../../../docs/policy.md', import.meta.url), 'utf8')
  const [, example] = /```yaml\n(agents:.*?)```/s.exec(docs)!
  const { tests, problems } = readTests('docs.test.yaml', example!)
  expect(problems).toEqual([])
  expect(tests.map(({ name, expect }) => [name, expect])).toHaveLength(3)
})
