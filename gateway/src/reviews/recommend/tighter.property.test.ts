import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import type { Command, ConnectionRef, Effect } from '../../gate/command.ts'
import type { Backing } from '../../gate/entrance.ts'
import { judge, reveals } from '../../gate/judge.ts'
import type { AgentPrincipal } from '../../identity/principal.ts'
import { overlayFile, readOverlay } from '../../policy/overlay-text.ts'
import { loadPolicyTexts, type Policies } from '../../policy/policy.ts'
import { ran } from '../evidence/observed.ts'
import { commandOf, type Done, evidenceOf, observedOf } from './testing/observing.ts'
import { tighter } from './tighter.ts'

vi.setConfig({ testTimeout: 120_000 })

/**
 * Whatever the policies, the agent and what it did: under the policies with the generated one beside them nothing is denied
 * that ran, what did not run is, and nobody else is concerned. Through the gate's own judgement and Cedar.
 */

const hostile = [
  'Order "x"',
  "Robert'); --",
  'a*b',
  'zwei\nzeilen',
  '表',
  'back\\slash',
  '//comment',
  'a;b',
  '\u202eevil',
]
const quoteIdent = (name: string) => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`)
const agentIds = [
  'https://idp.example.com#bot',
  'https://idp.example.com#"; permit (principal, action, resource); //',
  'i#ü\n\u200b',
]

interface Protocol {
  kind: string
  effect: fc.Arbitrary<Effect>
  group: string
  actions: string[]
}

const on = 'world'
const identifier = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('customers', 'orders', 'events_1', 'events_2') },
  { weight: 1, arbitrary: fc.constantFrom(...hostile) },
)
const table = fc.record({ schema: fc.constantFrom('public', 'Audit'), name: identifier }).map(({ schema, name }) => ({
  type: 'Table' as const,
  id: `${on}/${quoteIdent(schema)}.${quoteIdent(name)}`,
  attrs: { schema, name },
}))
const connection = fc.constant({ type: 'Connection' as const, id: on })
const routine = table.map((one) => ({ ...one, type: 'Routine' as const }))
const kind = fc.constantFrom('select', 'insert', 'update', 'delete', 'truncate', 'copy', 'explain')
const sqlCommand = (bounded: fc.Arbitrary<boolean>) =>
  fc.record({ kind, bounded, functions: fc.constantFrom<string[][]>([], ['now'], ['public.f']) })
const sql: Protocol = {
  kind: 'postgres',
  group: 'sql',
  actions: ['sql:connect', 'sql:read', 'sql:write', 'sql:call', 'sql:ddl', 'sql:admin', 'sql:unknown'],
  effect: fc.oneof(
    fc.record({ action: fc.constant('sql:read'), resource: table, command: sqlCommand(fc.constant(true)) }),
    fc.record({ action: fc.constant('sql:write'), resource: table, command: sqlCommand(fc.boolean()) }),
    fc.record({
      action: fc.constant('sql:call'),
      resource: fc.oneof(routine, table, connection),
      command: sqlCommand(fc.constant(true)),
    }),
    fc.record({
      action: fc.constantFrom('sql:ddl', 'sql:admin', 'sql:unknown', 'sql:connect'),
      resource: connection,
      command: sqlCommand(fc.constant(true)),
    }),
  ),
}
const path = fc
  .constantFrom('/v1/a', '/v1/b', '/v2/"x"', '/v1/a/b')
  .map((path) => ({ type: 'Path' as const, id: `${on}/${path}`, attrs: { path } }))
const ssh: Protocol = {
  kind: 'ssh',
  group: 'ssh',
  actions: ['ssh:connect', 'ssh:exec', 'ssh:shell', 'ssh:forward', 'sftp:read', 'sftp:write'],
  effect: fc.oneof(
    fc.record({
      action: fc.constantFrom('ssh:connect', 'ssh:exec', 'ssh:shell', 'ssh:forward'),
      resource: connection,
      command: fc
        .record({
          line: fc.constantFrom(['ls -l', 'ls'], ['ls -l /tmp', 'ls'], ["rm 'a b'", 'rm'], ['"', '"']),
          shell: fc.boolean(),
        })
        .map(({ line: [argv, program], shell }) => ({ argv: argv!, program: program!, shell })),
    }),
    fc.record({
      action: fc.constantFrom('sftp:read', 'sftp:write'),
      resource: path,
      command: fc.constant({ argv: '', program: 'sftp', shell: false }),
    }),
  ),
}
const http: Protocol = {
  kind: 'http',
  group: 'http',
  actions: ['http:read', 'http:write'],
  effect: fc.record({
    action: fc.constantFrom('http:read', 'http:write'),
    resource: path,
    command: fc.record({ method: fc.constantFrom('GET', 'HEAD', 'POST', 'DELETE') }),
  }),
}
const object = fc
  .record({
    group: fc.constantFrom('', 'apps'),
    resource: fc.constantFrom('pods', 'deployments'),
    subresource: fc.constantFrom('', 'exec'),
    namespace: fc.constantFrom('', 'shop'),
    name: fc.constantFrom('', 'web-1', 'web-2'),
  })
  .map((attrs) => ({
    type: 'Resource' as const,
    id: [
      on,
      attrs.group,
      attrs.resource,
      ...(attrs.subresource ? [attrs.subresource] : []),
      attrs.namespace,
      attrs.name,
    ].join('/'),
    attrs,
  }))
const k8s: Protocol = {
  kind: 'kubernetes',
  group: 'k8s',
  actions: ['k8s:connect', 'k8s:get', 'k8s:list', 'k8s:delete', 'k8s:exec'],
  effect: fc.oneof(
    fc.record({ action: fc.constant('k8s:connect'), resource: connection, command: fc.constant({ method: 'GET' }) }),
    fc.record({
      action: fc.constantFrom('k8s:get', 'k8s:list', 'k8s:delete', 'k8s:exec'),
      resource: fc.oneof(object, path),
      command: fc.record({ method: fc.constantFrom('GET', 'DELETE') }),
    }),
  ),
}
const tool = fc
  .constantFrom('search', 'drop', '*')
  .map((name) => ({ type: 'Tool' as const, id: `${on}/${name}`, attrs: { name } }))
const mcp: Protocol = {
  kind: 'mcp',
  group: 'mcp',
  actions: ['mcp:connect', 'mcp:list', 'mcp:call', 'mcp:read'],
  effect: fc.oneof(
    fc.record({
      action: fc.constantFrom('mcp:connect', 'mcp:list'),
      resource: connection,
      command: fc.constant({ arguments: '' }),
    }),
    fc.record({ action: fc.constant('mcp:call'), resource: tool, command: fc.constant({ arguments: '{}' }) }),
    fc.record({ action: fc.constant('mcp:read'), resource: path, command: fc.constant({ arguments: '' }) }),
  ),
}
const needs = new Set(['sql:connect', 'ssh:connect', 'k8s:connect', 'mcp:connect', 'mcp:list'])

const actionsOf = ({ actions, group }: Protocol) =>
  fc.oneof(
    fc.constant(`action in Action::"${group}"`),
    fc
      .subarray(actions, { minLength: 1 })
      .map((some) => `action in [${some.map((one) => `Action::"${one}"`).join(', ')}]`),
  )
const policiesOf = (protocol: Protocol) =>
  fc
    .record({
      permits: fc.array(fc.tuple(fc.constantFrom('principal', 'principal in Group::"g"'), actionsOf(protocol)), {
        minLength: 1,
        maxLength: 3,
      }),
      holds: fc.array(actionsOf(protocol), { maxLength: 1 }),
      forbids: fc.array(fc.constantFrom(...protocol.actions), { maxLength: 1 }),
      classes: fc.subarray(['email', 'ssn']),
    })
    .map(({ permits, holds, forbids, classes }) =>
      [
        ...permits.map(([who, action]) => `permit (${who}, ${action}, resource);`),
        ...holds.map(
          (action, i) =>
            `@id("h${i}") @hold("dba") forbid (principal, ${action}, resource) unless { context has approval };`,
        ),
        ...forbids.map((action) => `forbid (principal in Group::"h", action == Action::"${action}", resource);`),
        ...classes.map(
          (one) => `permit (principal, action == Action::"data:reveal", resource == DataClass::"${one}");`,
        ),
      ].join('\n'),
    )

const history = (protocol: Protocol) =>
  fc.record({
    policies: policiesOf(protocol),
    agent: fc.constantFrom(...agentIds),
    groups: fc.subarray(['g', 'h']),
    access: fc.constantFrom('standing' as const, 'jit' as const),
    mode: fc.constantFrom('enforce' as const, 'enforce' as const, 'observe' as const),
    grants: fc.array(fc.subarray(protocol.actions, { minLength: 1 }), { minLength: 1, maxLength: 2 }),
    /** An effect of each is drawn from a few, so that some are done again and some never. */
    effects: fc.array(protocol.effect, { minLength: 3, maxLength: 10 }),
    commands: fc.array(
      fc.record({
        effects: fc.array(fc.nat(), { minLength: 1, maxLength: 3 }),
        approved: fc.boolean(),
        classes: fc.subarray(['email', 'ssn', 'card']),
      }),
      { minLength: 1, maxLength: 12 },
    ),
  })

const loaded = (texts: { file: string; text: string }[]): Policies => {
  const result = loadPolicyTexts(texts)
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return result.policies
}
const time = new Date('2026-10-01T10:00:00Z')

type History = ReturnType<typeof history> extends fc.Arbitrary<infer T> ? T : never

/** What an agent did by these policies, as the gate judged it. */
function played(world: History, protocol: Protocol) {
  const agent: AgentPrincipal = {
    kind: 'agent',
    id: world.agent,
    issuer: 'i',
    subject: 's',
    name: 'Bot',
    groups: world.groups,
    expiresAt: new Date('2030-01-01'),
  }
  const where: ConnectionRef = { name: on, kind: protocol.kind, tags: [], mode: world.mode, access: world.access }
  const policies = loaded([{ file: 'base.cedar', text: world.policies }])
  const grants = world.grants.map((actions, i) => ({
    id: `gr_${i}`,
    actions: [...actions, 'data:reveal'],
    endsAt: Number.POSITIVE_INFINITY,
  }))
  const backing: Backing = world.access === 'jit' ? { needed: true, grants } : { needed: false, grants: [] }
  const session: Command['session'] = { id: 's', backing }
  const approval = { groups: ['dba'], people: ['ada'] }
  const outcomes = (set: Policies, command: Command) => [
    judge(set, command, time).outcome,
    judge(set, command, time, approval).outcome,
  ]

  const done = world.commands.map(({ effects, approved, classes }): Done => {
    const some = effects.map((i) => world.effects[i % world.effects.length]!)
    const command = commandOf({ agent, connection: where, effects: some }, session)
    const judged = judge(policies, command, time)
    const held = approved && judge(policies, command, time, approval).outcome === 'allow'
    const verdict: Done['verdict'] =
      world.mode === 'observe'
        ? {
            outcome: 'allow',
            policies: judged.policies,
            ...(judged.outcome !== 'allow' && { observed: true, reason: judged.outcome }),
          }
        : judged.outcome === 'hold'
          ? { outcome: 'hold', policies: held ? judged.policies : [] }
          : { outcome: judged.outcome, policies: judged.policies }
    return { agent, connection: where, effects: some, verdict, at: time.toISOString(), classes }
  })
  return { agent, where, policies, session, outcomes, done }
}

test.each([sql, ssh, http, k8s, mcp])(
  '$kind: nothing that ran is denied by the generated policy, and what never ran is',
  (protocol) => {
    let replayed = 0
    let denied = 0
    fc.assert(
      fc.property(history(protocol), (world) => {
        const { agent, where, policies, session, outcomes, done } = played(world, protocol)
        const whose = { agent, connection: where }
        const seen = observedOf(done, whose)!
        const may = { connection: on, action: 'data:reveal', resource: on, verdict: 'depends' as const, policies: [] }
        const revealed = seen.classes.map(({ class: resource, commands: allowed }) => ({
          ...{
            connection: on,
            action: 'data:reveal',
            resource,
            type: 'DataClass',
            kind: 'reveal',
            allowed,
            held: 0,
            denied: 0,
          },
          ...{ unbounded: 0, firstAt: seen.firstAt, lastAt: seen.lastAt },
        }))
        const evidence = evidenceOf(seen, whose, { permitted: [may], used: [...seen.used, ...revealed] })
        const { policy } = tighter({ kind: 'access', agent: agent.id, connection: on }, evidence)
        expect(readOverlay(policy, { agent: agent.id, connection: on })).toMatchObject({ ok: true })
        const overlay = { file: overlayFile('ov_1'), text: policy }
        const set = loaded([{ file: 'base.cedar', text: world.policies }, overlay])

        for (const one of done) {
          if (!ran(one.verdict)) continue
          const command = commandOf(one, session)
          // As before, whatever that was: where it is only observed, policy may have said no.
          expect(outcomes(set, command)).toEqual(outcomes(policies, command))
          replayed++
          for (const name of one.classes!) {
            const asked = { agent: { ...agent }, connection: where, session }
            expect(reveals(set, asked, name, time.getTime())).toBe(reveals(policies, asked, name, time.getTime()))
          }
        }

        const alone = loaded([{ file: 'all.cedar', text: 'permit (principal, action, resource);' }, overlay])
        const unheld = { id: 's' }
        const isRun = (effect: Effect) =>
          done.some(({ effects, verdict }) => ran(verdict) && effects.some((one) => within(effect, one)))
        for (const effect of world.effects.flatMap((one) => [one, ...variants(one)])) {
          const outcome = judge(alone, commandOf({ ...whose, effects: [effect] }, unheld), time).outcome
          const isKept = needs.has(effect.action) || isRun(effect)
          // Whether a program stays with its words depends on how often they came: either is right for other words.
          const sameWords = ({ action, command }: Effect) =>
            action === 'ssh:exec' && command.argv === effect.command.argv
          if (effect.action === 'ssh:exec' && isKept && !done.some(({ effects }) => effects.some(sameWords))) continue
          expect([effect, outcome]).toEqual([effect, isKept ? 'allow' : 'deny'])
          if (!isKept) denied++
          const other = commandOf({ agent: { ...agent, id: 'i#other' }, connection: where, effects: [effect] }, unheld)
          expect(judge(alone, other, time).outcome).toBe('allow')
          expect(
            judge(
              alone,
              commandOf({ ...whose, effects: [elsewhere(effect)], connection: { ...where, name: 'other' } }, unheld),
              time,
            ).outcome,
          ).toBe('allow')
        }
        const touched = new Set(done.flatMap(({ verdict, classes }) => (ran(verdict) ? classes! : [])))
        for (const name of ['email', 'ssn', 'card', 'never'])
          expect(
            reveals(alone, { agent: { ...agent }, connection: where, session: unheld }, name, time.getTime()),
          ).toBe(touched.has(name))
      }),
      { seed: 6, numRuns: protocol === sql ? 30 : 12 },
    )
    expect([replayed > 20, denied > 20]).toEqual([true, true])
  },
)

test('where the pass could tell few things apart, what ran stays, too', () => {
  let folded = 0
  fc.assert(
    fc.property(
      fc.constantFrom(sql, ssh, k8s).chain((protocol) => fc.tuple(fc.constant(protocol), history(protocol), fc.nat(4))),
      ([protocol, world, uses]) => {
        const { agent, where, policies, session, outcomes, done } = played(world, protocol)
        const whose = { agent, connection: where }
        const seen = observedOf(done, whose, { uses, samples: 2 })!
        if (seen.folded > 0) folded++
        const { policy } = tighter({ kind: 'access', agent: agent.id, connection: on }, evidenceOf(seen, whose))
        const set = loaded([
          { file: 'base.cedar', text: world.policies },
          { file: overlayFile('ov_1'), text: policy },
        ])
        for (const one of done)
          if (ran(one.verdict))
            expect(outcomes(set, commandOf(one, session))).toEqual(outcomes(policies, commandOf(one, session)))
      },
    ),
    { seed: 7, numRuns: 20 },
  )
  expect(folded).toBeGreaterThan(5)
})

/** Whether what ran is as much as this: the same, or, of what changes nothing, what goes along with it. */
function within(effect: Effect, run: Effect): boolean {
  if (
    effect.action !== run.action ||
    effect.resource.type !== run.resource.type ||
    effect.resource.id !== run.resource.id
  )
    return false
  const [one, other] = [effect.command, run.command]
  switch (effect.action) {
    case 'sql:read':
      return one.kind === 'explain' || one.kind === other.kind
    case 'sql:write':
      return one.kind === other.kind && (one.bounded === true || other.bounded === false)
    case 'ssh:exec':
      return one.program === other.program && (one.shell === false || other.shell === true)
    case 'http:read':
      return one.method === other.method || (one.method === 'HEAD' && other.method === 'GET')
    case 'http:write':
      return one.method === other.method
    default:
      return effect.action.startsWith('sql:') ? one.kind === other.kind : true
  }
}

/** The same on something else, by another verb, and beyond its bounds. */
function variants(effect: Effect): Effect[] {
  const { resource, command } = effect
  const other = resource.type === 'Connection' ? [] : [{ ...effect, resource: another(resource) }]
  const verb =
    'kind' in command
      ? [{ ...effect, command: { ...command, kind: 'merge' } }]
      : 'program' in command
        ? [{ ...effect, command: { ...command, argv: 'never', program: 'never' } }]
        : []
  const wide = effect.action === 'sql:write' ? [{ ...effect, command: { ...command, bounded: false } }] : []
  return [...other, ...verb, ...wide]
}

function another(resource: Effect['resource']): Effect['resource'] {
  const name = 'never'
  if (resource.type === 'Path') return { ...resource, id: `${on}//never`, attrs: { path: '/never' } }
  if (resource.type === 'Tool') return { ...resource, id: `${on}/${name}`, attrs: { name } }
  if (resource.type === 'Resource')
    return {
      ...resource,
      id: `${on}//pods/x/never`,
      attrs: { group: '', resource: 'pods', subresource: '', namespace: 'x', name },
    }
  return { ...resource, id: `${on}/public.never`, attrs: { schema: 'public', name } }
}

const elsewhere = (effect: Effect): Effect => ({
  ...effect,
  resource: { ...effect.resource, id: `other${effect.resource.id.slice(on.length)}` },
})
