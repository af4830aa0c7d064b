import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Effect } from '../gate/command.ts'
import { classified } from './classes.ts'
import { type DecideRequest, loadPolicyTexts, type Policies } from './policy.ts'
import { bot } from './testing/policies.ts'

const fragments = [
  'permit (principal, action, resource);',
  'permit (principal in Group::"a", action in Action::"sql", resource in Connection::"one");',
  'permit (principal == Agent::"i#x", action, resource);',
  'forbid (principal, action, resource) when { [Agent::"i#y", Agent::"i#z"].contains(principal) };',
  'forbid (principal, action, resource) when { principal has owner && principal.owner == "o" };',
  'forbid (principal, action, resource) when { principal has "on\\u{42}ehalfOf" };',
  'forbid (principal, action, resource) when { principal.issuer == "j" };',
  'forbid (principal, action in Action::"sql", resource == Table::"one/public.t1");',
  'forbid (principal, action in Action::"sql", resource is Table) when { [Table::"one/public.t2"].contains(resource) };',
  'forbid (principal, action in Action::"sql", resource is Table) when { resource.name like "t*3" };',
  'forbid (principal, action in Action::"sql", resource is Routine) when { resource["schema"] == "pg_temp" };',
  'forbid (principal, action in Action::"sql", resource) when { context.command.kind == "delete" && !context.command.bounded };',
  'forbid (principal, action in Action::"sql", resource) when { context.command.functions.contains("f") };',
  'forbid (principal, action, resource) when { context has purpose && context.purpose like "*p*" };',
  'forbid (principal, action, resource) when { context has grant };',
  'forbid (principal, action, resource) when { context.time.hour > 12 };',
  'forbid (principal, action, resource) when { context.time.weekday == 1 };',
  'forbid (principal, action in Action::"sql", resource is Connection) when { resource.tags.contains("prod") };',
  'forbid (principal, action in Action::"sql", resource is Connection) when { resource.kind != "postgres" };',
  '@hold("a") forbid (principal, action == Action::"sql:write", resource) unless { context has approval };',
  '@hold("b") @quorum("2") forbid (principal, action, resource in Connection::"one") unless { context has approval && context.approval.groups.contains("b") };',
  'permit (principal, action == Action::"ssh:exec", resource) when { context.command.program == "ls" };',
]

const some = <T>(...values: T[]) => fc.constantFrom(...values)
const request = fc
  .record({
    id: some('i#x', 'i#y', 'i#z', 'i#w', 'i#v'),
    issuer: some('i', 'j'),
    owner: some(undefined, 'o', 'p'),
    onBehalfOf: some(undefined, 'h'),
    groups: fc.subarray(['a', 'b', 'c']),
    connection: some('one', 'two'),
    kind: some('postgres', 'ssh'),
    tags: fc.subarray(['prod', 'x']),
    can: some<[string, 'Table' | 'Routine' | 'Connection']>(
      ['sql:read', 'Table'],
      ['sql:write', 'Table'],
      ['sql:write', 'Table'],
      ['sql:none', 'Table'],
      ['sql:call', 'Routine'],
      ['sql:read', 'Routine'],
      ['sql:connect', 'Connection'],
      ['sql:write', 'Connection'],
      ['ssh:exec', 'Connection'],
    ),
    elsewhere: fc.integer({ min: 0, max: 9 }),
    name: some('t1', 't2', 't33', 'other'),
    schema: some('public', 'pg_temp'),
    attrs: some('all', 'all', 'all', 'all', 'all', 'none', 'one'),
    command: fc.record(
      {
        kind: some('select', 'delete'),
        bounded: fc.boolean(),
        functions: fc.subarray(['f', 'g']),
        program: some('ls'),
      },
      { requiredKeys: ['kind', 'bounded'] },
    ),
    purpose: some(undefined, 'p', 'q'),
    grant: some(undefined, 'gr_1'),
    hour: some(3, 13, 20),
    day: some(5, 6),
    approval: some(undefined, { groups: ['a'], people: ['i#p'] }),
  })
  .map((of): DecideRequest => {
    const { id, issuer, owner, onBehalfOf, groups, connection, kind, tags, purpose, grant, schema, name } = of
    const [action, type] = of.can
    const place = of.elsewhere > 0 ? connection : 'two'
    const attrs = of.attrs === 'all' ? { schema, name } : of.attrs === 'one' ? { name } : undefined
    return {
      principal: { ...bot, id, issuer, groups, ...(owner && { owner }), ...(onBehalfOf && { onBehalfOf }) },
      connection: { name: connection, kind, tags, mode: 'enforce' },
      effect: {
        action,
        resource:
          type === 'Connection'
            ? { type: 'Connection', id: place }
            : { type, id: `${place}/public.${name}`, ...(attrs && { attrs }) },
        command:
          action === 'ssh:exec' ? { argv: 'ls', program: 'ls', shell: false } : withoutProgram(of.command as Told),
      },
      context: {
        ...(purpose !== undefined && { purpose }),
        ...(grant !== undefined && { grant }),
        time: new Date(Date.UTC(2026, 0, of.day, of.hour)),
      },
      ...(of.approval && { approval: of.approval }),
    }
  })

type Told = { kind: string; bounded: boolean; functions?: string[]; program?: string }
/** Now and then there is something that the schema doesn't know. */
function withoutProgram({ program, ...command }: Told): Effect['command'] {
  return command.kind === 'select' && program !== undefined && command.bounded ? { ...command, program } : command
}

test('what policies can’t tell apart is answered as each of it would be', () => {
  let [asked, decided] = [0, 0]
  const seen = new Set<string>()
  const cases = fc.tuple(
    fc.subarray(fragments, { maxLength: 4 }).map((more) => [...new Set([fragments[0]!, ...more])]),
    fc.array(request, { minLength: 60, maxLength: 60 }),
  )
  for (const [chosen, requests] of fc.sample(cases, { numRuns: 60, seed: 20261121 })) {
    const loaded = loadPolicyTexts([{ file: 'a.cedar', text: chosen.join('\n') }])
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
    const { policies } = loaded
    const counting: Policies = {
      ...policies,
      decide(one) {
        decided++
        return policies.decide(one)
      },
    }
    const classes = classified(counting)
    for (const one of requests) {
      asked++
      const { outcome, policies: by, requirements, errors } = policies.decide(one)
      const said = classes.decide(one)
      seen.add(outcome)
      const answer = { ...said, errors: said.errors.length, chosen, one }
      expect(answer).toEqual({ outcome, policies: by, requirements, errors: errors.length, chosen, one })
    }
  }
  expect([...seen].sort()).toEqual(['allow', 'deny', 'hold'])
  // Else it would be of no use.
  expect(decided).toBeLessThan(asked * 0.9)
}, 60_000)

test('requests for access are asked of policy each time', () => {
  const loaded = loadPolicyTexts([{ file: 'a.cedar', text: 'permit (principal, action, resource);' }])
  if (!loaded.ok) throw new Error('no policies')
  let decided = 0
  const classes = classified({
    ...loaded.policies,
    decide(one) {
      decided++
      return loaded.policies.decide(one)
    },
  })
  const [one] = fc.sample(request, { numRuns: 1, seed: 1 })
  const effect = { action: 'data:reveal', resource: { type: 'DataClass' as const, id: 'email' }, command: {} }
  for (let n = 0; n < 3; n++) classes.decide({ ...one!, effect })
  expect(decided).toBe(3)
})
