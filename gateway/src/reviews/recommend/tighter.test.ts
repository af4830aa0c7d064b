import { describe, expect, test } from 'vitest'
import type { ConnectionRef, Effect } from '../../gate/command.ts'
import { judge } from '../../gate/judge.ts'
import { OVERLAY_MOST, overlayFile, readOverlay } from '../../policy/overlay-text.ts'
import { loadPolicyTexts, type Policies } from '../../policy/policy.ts'
import { bot } from '../../policy/testing/policies.ts'
import { tighterProblem } from '../decisions/tighter-policy.ts'
import { faultsOf, formatted } from './cedar.ts'
import { revoking } from './revoking.ts'
import { commandOf, type Done, evidenceOf, observedOf } from './testing/observing.ts'
import { type Kept, NoTighterPolicy, tighter } from './tighter.ts'

const orders: ConnectionRef = { name: 'orders', kind: 'postgres', tags: ['production'], mode: 'enforce' }
const subject = { kind: 'access', agent: bot.id, connection: 'orders' } as const
const at = '2026-10-01T10:00:00.000Z'

const sql = (action: string, table: string, kind: string, bounded = true, schema = 'public'): Effect => {
  const quote = (name: string) => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`)
  return {
    action: `sql:${action}`,
    resource: { type: 'Table', id: `orders/${quote(schema)}.${quote(table)}`, attrs: { schema, name: table } },
    command: { kind, bounded, functions: [] },
  }
}
const allowed = (effect: Effect, connection = orders): Done => ({
  agent: bot,
  connection,
  effects: [effect],
  verdict: { outcome: 'allow', policies: ['p'] },
  at,
})
const loaded = (text: string): Policies => {
  const result = loadPolicyTexts([
    { file: 'all.cedar', text: 'permit (principal, action, resource);' },
    { file: overlayFile('ov_1'), text },
  ])
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return result.policies
}
const outcome = (policies: Policies, effect: Effect, connection = orders, agent = bot) =>
  judge(policies, commandOf({ agent, connection, effects: [effect] }), new Date(at)).outcome
function reduced(done: Done[], options: { connection?: ConnectionRef; keep?: Kept[]; room?: number } = {}) {
  const { connection = orders, keep } = options
  const whose = { agent: bot, connection }
  const seen = observedOf(done, whose, options.room === undefined ? undefined : { uses: options.room, samples: 100 })
  const made = tighter({ ...subject, connection: connection.name }, evidenceOf(seen, whose), keep)
  expect(made.policy.length).toBeLessThanOrEqual(OVERLAY_MOST.characters)
  // What is recommended may be decided on as it is.
  const row = { kind: 'access', agent: bot.id, connection: connection.name } as Parameters<
    typeof tighterProblem
  >[1]['row']
  expect(tighterProblem(made.policy, { row }, [])).toBeUndefined()
  return { ...made, policies: loaded(made.policy) }
}

test('reads as a person would have written it', () => {
  const { policy, keeps } = reduced([
    allowed(sql('read', 'customers', 'select')),
    allowed(sql('read', 'orders', 'select')),
    allowed(sql('write', 'orders', 'update')),
    allowed(sql('write', 'orders', 'insert')),
  ])
  expect(policy).toBe(`@reason("Access review: what was used from 2026-08-01 to 2026-11-01 stays")
forbid (
  principal == Agent::"https://idp.example.com#bot",
  action in Action::"sql",
  resource in Connection::"orders"
)
unless
{
  action == Action::"sql:connect" ||
  (action == Action::"sql:read" &&
   ["explain", "select"].contains(context.command.kind) &&
   resource in [Table::"orders/public.customers", Table::"orders/public.orders"]) ||
  (action == Action::"sql:write" &&
   ["insert", "update"].contains(context.command.kind) &&
   context.command.bounded &&
   resource == Table::"orders/public.orders")
};
`)
  expect(keeps).toEqual([
    'sql:connect, which every client needs',
    'sql:read (select) on public.customers, public.orders',
    'sql:write (insert, update, not of every row) on public.orders',
  ])
})

describe('where there is too much to name', () => {
  const many = Array.from({ length: 700 }, (_, i) => sql('read', `events_2026_${i}`, 'select'))
  const odd = ['Ünïcode "x"', 'a*b', '\u202eevil', 'x'.repeat(60)].map((name) =>
    sql('read', name, 'select', true, 'Wei"rd'),
  )

  test('tables are told by how they begin, and none that was used is left out', () => {
    const { policy, policies, keeps } = reduced([...many, ...odd].map((one) => allowed(one)))
    expect(policy).toContain('resource.name like "events_2*"')
    for (const effect of [...many, ...odd]) expect(outcome(policies, effect)).toBe('allow')
    expect(outcome(policies, sql('read', 'payments', 'select'))).toBe('deny')
    expect(outcome(policies, sql('read', 'events_1', 'select', true, 'audit'))).toBe('deny')
    expect(outcome(policies, sql('write', 'events_2026_1', 'insert'))).toBe('deny')
    expect(keeps.join()).toContain('public.events_2*')
  })

  test.each([
    ['by their schemas', 'read', 30],
    ['together, where even that is too much', 'read', 0],
  ])('what the pass could not tell apart counts %s', (_, action, room) => {
    const done = [...many.slice(0, 60), ...odd].map((one) => allowed(one))
    const { policies } = reduced(done, { room })
    for (const { effects } of done) expect(outcome(policies, effects[0]!)).toBe('allow')
    expect(outcome(policies, sql(action, 'x', 'delete'))).toBe('deny')
    expect(outcome(policies, sql('write', 'events_2026_1', 'insert'))).toBe('deny')
    expect(outcome(policies, sql('read', 'x', 'select', true, 'audit'))).toBe('deny')
  })

  test('pods, which have other names each day, are told by what they are', () => {
    const cluster: ConnectionRef = { ...orders, name: 'k', kind: 'kubernetes' }
    const pod = (name: string, resource = 'pods', namespace = 'shop'): Effect => ({
      action: 'k8s:get',
      resource: {
        type: 'Resource',
        id: `k//${resource}/${namespace}/${name}`,
        attrs: { group: '', resource, subresource: '', namespace, name },
      },
      command: { method: 'GET' },
    })
    const pods = Array.from({ length: 400 }, (_, i) => pod(`web-${(i * 7919).toString(16)}`))
    const { policies } = reduced(
      pods.map((one) => allowed(one, cluster)),
      { connection: cluster },
    )
    for (const one of pods) expect(outcome(policies, one, cluster)).toBe('allow')
    expect(outcome(policies, pod('web-1', 'secrets'), cluster)).toBe('deny')
    expect(outcome(policies, pod('web-1', 'pods', 'kube-system'), cluster)).toBe('deny')
    expect(outcome(policies, { ...pod('web-1'), action: 'k8s:delete' }, cluster)).toBe('deny')
  })

  test('an agent that has thousands of programs may run any: none of them is lost', () => {
    const host: ConnectionRef = { ...orders, name: 'h', kind: 'ssh' }
    const exec = (program: string, shell = false): Effect => ({
      action: 'ssh:exec',
      resource: { type: 'Connection', id: 'h' },
      command: { argv: program, program, shell },
    })
    const done = Array.from({ length: 2500 }, (_, i) => allowed(exec(`job-${i}`), host))
    const { policies } = reduced(done, { connection: host })
    for (const i of [0, 1999, 2000, 2499]) expect(outcome(policies, exec(`job-${i}`), host)).toBe('allow')
    expect(outcome(policies, exec('job-1', true), host)).toBe('deny')
  })
})

test.each([
  ['partitions by date', ['events_2026_09', 'events_2026_10', 'events_2026_11'], 'events_2026_12', 'events_of_others'],
  [
    'partitions as PostgreSQL’s manual names them',
    ['m_y2026m01', 'm_y2026m02', 'm_y2026m03'],
    'm_y2027m01',
    'm_secret',
  ],
  ['two that have numbers', ['t_1', 't_2'], 't_1', 't_3'],
  ['names that go on after the number', ['t_1_a', 't_2_b', 't_3_c'], 't_1_a', 't_4_d'],
])('%s: what comes next of them, and nothing beside', (_, names, stays, goes) => {
  const { policies } = reduced(names.map((name) => allowed(sql('read', name, 'select'))))
  expect([outcome(policies, sql('read', stays, 'select')), outcome(policies, sql('read', goes, 'select'))]).toEqual([
    'allow',
    'deny',
  ])
})

test('what is called as an approval is, says nothing of approvals', () => {
  const tables = ['a_2024', 'a_2025', 'a_2026'].map((name) => sql('read', name, 'select', true, 'approval'))
  const { policy, policies } = reduced(tables.map((one) => allowed(one)))
  expect(policy).toContain('resource.schema == "approval"')
  expect(outcome(policies, sql('read', 'a_2027', 'select', true, 'approval'))).toBe('allow')
})

test('temporary tables, which are the session’s own, by whatever name', () => {
  const temp = (action: string, name: string, kind: string) => sql(action, name, kind, true, 'pg_temp')
  const { policies } = reduced([allowed(temp('ddl', 'a1', 'create')), allowed(temp('write', 'a1', 'insert'))])
  expect(outcome(policies, temp('ddl', 'b2', 'create'))).toBe('allow')
  expect(outcome(policies, temp('write', 'b2', 'insert'))).toBe('allow')
  expect(outcome(policies, temp('read', 'b2', 'select'))).toBe('deny')
  expect(outcome(policies, sql('ddl', 'a1', 'create'))).toBe('deny')
})

describe('what is kept although it was not used', () => {
  const used = [allowed(sql('read', 'customers', 'select'))]
  test.each([
    [
      'one table',
      [{ action: 'sql:write', resource: 'orders/public.orders' }],
      sql('write', 'orders', 'delete', false),
      sql('write', 'other', 'insert'),
    ],
    [
      'by one verb',
      [{ action: 'sql:write', resource: 'orders/public.orders', kind: 'insert' }],
      sql('write', 'orders', 'insert'),
      sql('write', 'orders', 'delete'),
    ],
  ])('%s', (_, keep, stays, goes) => {
    const { policies } = reduced(used, { keep })
    expect([outcome(policies, stays), outcome(policies, goes)]).toEqual(['allow', 'deny'])
  })
  test.each([
    ['an action of another protocol', { action: 'ssh:exec', resource: 'orders' }],
    ['a table of another connection', { action: 'sql:read', resource: 'files/public.x' }],
  ])('is not %s', (_, keep) => {
    expect(() => reduced(used, { keep: [keep] })).toThrow(NoTighterPolicy)
  })
})

test.each(['https://idp.example.com#bot', 'i#"; permit (principal, action, resource); //', 'i#\u202e\n表 \\'])(
  'a revoke of %j leaves nothing, is formatted and valid, and concerns nobody else',
  (agent) => {
    const policy = revoking({ kind: 'access', agent, connection: 'orders' })
    expect(formatted(policy).trim()).toBe(policy.trim())
    expect(faultsOf(policy)).toEqual([])
    expect(readOverlay(policy, { agent, connection: 'orders' })).toMatchObject({ ok: true })
    const policies = loaded(policy)
    const effects: Effect[] = [
      sql('read', 'customers', 'select'),
      {
        action: 'sql:connect',
        resource: { type: 'Connection', id: 'orders' },
        command: { kind: 'connect', bounded: true, functions: [] },
      },
      {
        action: 'access:request',
        resource: { type: 'Connection', id: 'orders' },
        command: { actions: ['sql'], seconds: '60' },
      },
      { action: 'data:reveal', resource: { type: 'DataClass', id: 'email' }, command: {} },
    ]
    for (const effect of effects) {
      const asked = { agent: { ...bot, id: agent }, connection: orders, effects: [effect] }
      const session = { id: 's', purpose: 'why' }
      expect(judge(policies, commandOf(asked, session), new Date(at)).outcome).toBe('deny')
      expect(
        judge(
          policies,
          commandOf({ ...asked, agent: bot.id === agent ? { ...bot, id: 'i#o' } : bot }, session),
          new Date(at),
        ).outcome,
      ).toBe('allow')
    }
  },
)

describe('a rule', () => {
  const rule = { kind: 'rule', policy: 'ask', connection: 'orders' } as const
  const text = `@id("ask") @reason("x") permit (principal in Group::"ci-agents", action == Action::"access:request", resource) when { context.seconds <= 3600 };`
  const evidence = evidenceOf(
    undefined,
    { agent: bot, connection: { ...orders, access: 'jit' } },
    {
      through: [{ policy: 'ask', file: 'a.cedar', effect: 'permit', text }],
      askers: [
        { agent: bot.id, name: 'Bot', verdict: 'hold', grants: 2 },
        { agent: 'i#other', name: 'Other', verdict: 'hold', grants: 0 },
      ],
      grants: [{ grant: 'gr_1', state: 'expired', actions: ['sql:read'], at, purpose: 'p', approvedBy: [] }],
    },
  )
  const request = (actions: string[], agent = bot): Parameters<typeof commandOf>[0] => ({
    agent,
    connection: orders,
    effects: [
      { action: 'access:request', resource: { type: 'Connection', id: 'orders' }, command: { actions, seconds: '60' } },
    ],
  })
  const asked = (policy: string, what: Parameters<typeof commandOf>[0]) =>
    judge(loaded(policy), commandOf(what, { id: 's', purpose: 'why' }), new Date(at)).outcome
  const other = { ...bot, id: 'i#other' }
  const stranger = { ...bot, id: 'i#stranger', groups: [] }

  test('is narrowed to those whom it gave something, and to what', () => {
    const { policy } = tighter(rule, evidence)
    expect(
      readOverlay(policy, {
        connection: 'orders',
        principals: [{ op: 'in', entity: { type: 'Group', id: 'ci-agents' } }],
      }),
    ).toMatchObject({ ok: true })
    expect(asked(policy, request(['sql:read']))).toBe('allow')
    expect(asked(policy, request(['sql:write']))).toBe('deny')
    expect(asked(policy, request(['sql:read'], other))).toBe('deny')
    expect(asked(policy, request(['sql:read'], stranger))).toBe('allow')
  })
  test('is taken back for those whom it is about', () => {
    const policy = revoking(rule, evidence)
    expect(faultsOf(policy)).toEqual([])
    expect(asked(policy, request(['sql:read']))).toBe('deny')
    expect(asked(policy, request(['sql:read'], stranger))).toBe('allow')
  })
  test('that nobody knows can’t be', () => {
    expect(() => revoking(rule)).toThrow(/in its evidence/)
    expect(() => revoking({ ...rule, policy: 'gone' }, evidence)).toThrow(/not known/)
  })
})

test('an agent that uses more families of tables than can be told is reduced all the same, to how they begin', () => {
  const letters = 'abcdefghijklmnopqrst'
  const names = [...letters].flatMap((a) => [...letters].map((b) => `fam${a}${b}_stays_or_does_it`))
  const done = names.flatMap((name) =>
    [1, 2, 3].map((n) => allowed(sql('read', `${name}_${n}`, 'select', true, `of_${name.slice(0, 4)}`))),
  )
  const { policies } = reduced(done)
  for (const { effects } of done) expect(outcome(policies, effects[0]!)).toBe('allow')
  expect(outcome(policies, sql('write', 'customers', 'delete', false))).toBe('deny')
  expect(outcome(policies, sql('ddl', 'customers', 'drop'))).toBe('deny')
})

describe('of a host', () => {
  const web: ConnectionRef = { name: 'web-1', kind: 'ssh', tags: [], mode: 'enforce' }
  const exec = (argv: string, shell = false): Effect => ({
    action: 'ssh:exec',
    resource: { type: 'Connection', id: 'web-1' },
    command: { argv, program: argv.split(' ')[0]!, shell },
  })
  const file = (action: 'read' | 'write', path: string): Effect => ({
    action: `sftp:${action}`,
    resource: { type: 'Path', id: `web-1/${path}`, attrs: { path } },
    command: { argv: 'get', program: 'get', shell: false },
  })
  const done = (...effects: Effect[]) => effects.map((effect) => allowed(effect, web))
  const often = (argv: string) => done(exec(argv), exec(argv), exec(argv))

  test('a program that was run with the same words again and again stays with these; one whose words vary with any', () => {
    const { policy, policies, keeps } = reduced(
      [
        ...often('systemctl status shop'),
        ...often('df -h'),
        ...done(...Array.from({ length: 9 }, (_, at) => exec(`git show ${at}`))),
        ...done(exec('ls | wc -l', true), exec('ls | wc -l', true), exec('ls | wc -l', true)),
      ],
      { connection: web },
    )
    expect(policy).toContain('["df -h", "systemctl status shop"].contains(context.command.argv)')
    expect(keeps).toContain('ssh:exec (df -h, systemctl status shop) on web-1')
    for (const [effect, is] of [
      [exec('systemctl status shop'), 'allow'],
      [exec('systemctl stop shop'), 'deny'],
      [exec('df -h', true), 'deny'],
      [exec('git show 77'), 'allow'],
      [exec('git show 77', true), 'deny'],
      [exec('ls | wc -c', true), 'allow'],
      [exec('rm -rf /'), 'deny'],
      [{ ...exec(''), action: 'ssh:shell' }, 'deny'],
      [{ ...exec(''), action: 'ssh:connect' }, 'allow'],
    ] as const)
      expect([effect.action, effect.command.argv, outcome(policies, effect, web)]).toEqual([
        ...[effect.action, effect.command.argv, is],
      ])
  })

  test('files that differ by a day or a number are told by how they begin and end; others by name', () => {
    const days = ['2026-11-19', '2026-11-20', '2026-11-21']
    const { policies } = reduced(
      done(
        ...days.map((day) => file('read', `/backups/orders-${day}.sql.gz`)),
        ...days.map((_, at) => file('read', `/var/log/app.log.${at + 1}`)),
        ...days.map((_, at) => file('read', `/home/${at + 1}`)),
        file('write', '/srv/releases/v1.txt'),
      ),
      { connection: web },
    )
    for (const [effect, is] of [
      [file('read', '/backups/orders-2026-11-22.sql.gz'), 'allow'],
      [file('read', '/backups/orders-2026-11-22.sql.gz.key'), 'deny'],
      [file('read', '/backups/customers-2026-11-22.sql.gz'), 'deny'],
      [file('write', '/backups/orders-2026-11-22.sql.gz'), 'deny'],
      [file('read', '/var/log/app.log.2'), 'allow'],
      [file('read', '/home/1'), 'allow'],
      [file('read', '/home/4'), 'deny'],
      [file('write', '/srv/releases/v1.txt'), 'allow'],
      [file('write', '/srv/releases/v2.txt'), 'deny'],
    ] as const)
      expect([effect.action, effect.resource.id, outcome(policies, effect, web)]).toEqual([
        ...[effect.action, effect.resource.id, is],
      ])
  })
})
