import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AgentPrincipal } from '../../identity/principal.ts'
import { readPolicyTexts } from '../load.ts'
import { loadPolicyTexts } from '../policy.ts'
import { CONTRACT_EXAMPLE } from '../testing/policies.ts'
import { createPermitted, type Permitted, type PermittedQuestion, readableOf } from './permitted.ts'

const orders = { name: 'orders', kind: 'postgres', tags: ['production'] }
const subject = { id: 'https://idp#bot', issuer: 'https://idp', groups: ['ci'] }

function permittedBy(text: string): Permitted {
  const read = readPolicyTexts([{ file: 'base.cedar', text }])
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  return createPermitted(read.files.version, readableOf(read.files.policies))
}
const ask = (text: string, question: Partial<PermittedQuestion> = {}) =>
  permittedBy(text).answer({ subject, connection: orders, action: 'sql:write', resource: 'others', ...question })

describe('says for every command at once', () => {
  const base = 'permit (principal in Group::"ci", action, resource in Connection::"orders");'
  const table = (name: string) => ({ type: 'Table', id: `orders/public.${name}` })
  it.each<[what: string, text: string, question: Partial<PermittedQuestion>, verdict: string, policies: string[]]>([
    ['nothing permits', 'permit (principal in Group::"x", action, resource);', {}, 'deny', []],
    ['a permit without conditions', base, {}, 'allow', ['base.cedar#1']],
    ['another connection', base, { connection: { ...orders, name: 'web' } }, 'deny', []],
    [
      'a forbid that always holds',
      `${base} @id("f") forbid (principal, action == Action::"sql:write", resource);`,
      {},
      'deny',
      ['f'],
    ],
    [
      'a forbid by the command',
      `${base} @id("f") forbid (principal, action in Action::"sql", resource) when { context.command.kind == "delete" };`,
      {},
      'depends',
      ['base.cedar#1', 'f'],
    ],
    [
      'a forbid by the command and by what is known not to be so',
      `${base} @id("f") forbid (principal, action in Action::"sql", resource) when { context.command.kind == "delete" && principal in Group::"x" };`,
      {},
      'allow',
      ['base.cedar#1'],
    ],
    [
      'a hold of everything',
      `${base} @id("h") @hold("dba") forbid (principal, action == Action::"sql:write", resource) unless { context has approval };`,
      {},
      'hold',
      ['h'],
    ],
    [
      'a hold that only some approval ends',
      `${base} @id("h") @hold("dba") forbid (principal, action, resource) unless { context has approval && context.approval.groups.contains("sre") };`,
      {},
      'deny',
      [],
    ],
    [
      'a hold at night',
      `${base} @id("h") @hold("dba") forbid (principal, action, resource) when { context.time.hour < 6 } unless { context has approval };`,
      {},
      'depends',
      ['base.cedar#1', 'h'],
    ],
    [
      'a hold without a permit',
      '@id("h") @hold("dba") forbid (principal, action == Action::"sql:write", resource) unless { context has approval };',
      {},
      'deny',
      [],
    ],
    [
      'a permit by purpose',
      'permit (principal, action, resource) when { context has purpose && context.purpose like "*ticket*" };',
      {},
      'depends',
      ['base.cedar#1'],
    ],
    [
      'a permit by the one it acts for',
      'permit (principal, action, resource) when { principal has onBehalfOf };',
      {},
      'depends',
      ['base.cedar#1'],
    ],
    [
      'a permit by its issuer',
      'permit (principal, action, resource) when { principal.issuer == "https://idp" };',
      {},
      'allow',
      ['base.cedar#1'],
    ],
    [
      'a permit by tags',
      'permit (principal, action, resource is Table) when { resource in Connection::"orders" };',
      { resource: table('a') },
      'allow',
      ['base.cedar#1'],
    ],
    [
      'a permit under a grant, without one',
      'permit (principal, action, resource) when { context has grant };',
      {},
      'deny',
      [],
    ],
    [
      'a permit under a grant',
      'permit (principal, action, resource) when { context has grant };',
      { grant: 'gr_1' },
      'allow',
      ['base.cedar#1'],
    ],
    [
      'a table that a policy names',
      `${base} @id("f") forbid (principal, action, resource == Table::"orders/public.secrets");`,
      { resource: table('secrets') },
      'deny',
      ['f'],
    ],
    [
      'all tables but that',
      `${base} @id("f") forbid (principal, action, resource == Table::"orders/public.secrets");`,
      {},
      'allow',
      ['base.cedar#1'],
    ],
    [
      'tables by their schema, all',
      `${base} @id("f") forbid (principal, action, resource is Table) when { resource.schema == "audit" };`,
      {},
      'depends',
      ['base.cedar#1', 'f'],
    ],
    [
      'tables by their schema, one',
      `${base} @id("f") forbid (principal, action, resource is Table) when { resource.schema == "audit" };`,
      { resource: { type: 'Table', id: 'orders/audit.log' } },
      'deny',
      ['f'],
    ],
    [
      'tables by a quoted name',
      `${base} @id("f") forbid (principal, action, resource is Table) when { resource.name == "a.\\"b" };`,
      { resource: { type: 'Table', id: 'orders/public."a.""b"' } },
      'deny',
      ['f'],
    ],
    [
      'what may overflow',
      `${base} @id("f") forbid (principal, action, resource) when { context.time.hour * 2 > 100 && principal in Group::"x" };`,
      {},
      'depends',
      ['base.cedar#1'],
    ],
    [
      'a connection for which the action can’t be',
      'permit (principal, action, resource);',
      { action: 'data:reveal', resource: table('a') },
      'deny',
      [],
    ],
    [
      'revealing of a class',
      'permit (principal, action == Action::"data:reveal", resource == DataClass::"email") when { context.connection == Connection::"orders" };',
      { action: 'data:reveal', resource: { type: 'DataClass', id: 'email' } },
      'allow',
      ['base.cedar#1'],
    ],
    [
      'revealing of other classes',
      'permit (principal, action == Action::"data:reveal", resource == DataClass::"email");',
      { action: 'data:reveal' },
      'deny',
      [],
    ],
  ])('%s', (_what, text, question, verdict, policies) => {
    expect(ask(text, question)).toEqual({ verdict, policies })
  })

  it('what the contract has as its example', () => {
    const ci = { ...subject, groups: ['ci-agents'] }
    const answer = (action: string) => ask(CONTRACT_EXAMPLE, { subject: ci, action })
    expect(answer('sql:read').verdict).toBe('allow')
    expect(answer('sql:write')).toEqual({
      verdict: 'depends',
      policies: ['base.cedar#1', 'unbounded-delete'],
    })
    expect(answer('sql:ddl').verdict).toBe('deny')
  })

  it('takes subjects for alike only where no policy tells them apart', () => {
    const { classOf } = permittedBy(
      'permit (principal in Group::"ci", action, resource) when { principal.issuer == "x" || principal == Agent::"https://idp#bot" };',
    )
    expect(classOf(subject)).not.toBe(classOf({ ...subject, id: 'https://idp#other' }))
    expect(classOf({ ...subject, id: 'a' })).toBe(classOf({ ...subject, id: 'b', groups: ['ci', 'never-mentioned'] }))
    expect(classOf({ ...subject, id: 'a' })).not.toBe(classOf({ ...subject, id: 'a', issuer: 'y' }))
    expect(classOf({ ...subject, id: 'a' })).not.toBe(classOf({ ...subject, id: 'a', groups: [] }))
  })
})

// What policies are made of; each is valid for every sql action on a table.
const atom = fc.constantFrom(
  'context.command.kind == "delete"',
  'context.command.bounded',
  'context.command.functions.contains("now")',
  'context.time.hour < 6',
  'context.time.weekday > 5',
  '(context has purpose && context.purpose like "t*k*")',
  '(context has grant && context.grant == "gr_1")',
  'context has grant',
  'context has purpose',
  'principal in Group::"ci"',
  'principal in [Group::"x", Group::"ops"]',
  'principal == Agent::"https://idp#bot"',
  'principal.issuer == "https://idp"',
  '(principal has owner && principal.owner == "ada")',
  'principal has onBehalfOf',
  'resource == Table::"orders/public.customers"',
  'resource in Connection::"orders"',
  'resource in [Table::"orders/public.customers", Table::"web/public.customers"]',
  'resource.name like "cust*"',
  'resource.schema == "public"',
  '["public", "audit"].contains(resource.schema)',
  'action == Action::"sql:read"',
  'action in [Action::"sql"]',
  'context.time.hour + context.time.weekday > 10',
  '(if context.command.bounded then principal in Group::"ci" else context has purpose)',
  '(if principal in Group::"ci" then context.command.bounded else true)',
  'true',
  'false',
)
const condition: fc.Arbitrary<string> = fc.letrec<{ any: string }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    atom,
    fc.tuple(tie('any'), tie('any')).map(([a, b]) => `(${a} && ${b})`),
    fc.tuple(tie('any'), tie('any')).map(([a, b]) => `(${a} || ${b})`),
    tie('any').map((a) => `!(${a})`),
  ),
})).any
const scope = fc.constantFrom(
  'principal, action, resource is Table',
  'principal in Group::"ci", action in [Action::"sql:read", Action::"sql:write"], resource is Table in Connection::"orders"',
  'principal, action == Action::"sql:write", resource is Table',
  'principal == Agent::"https://idp#bot", action, resource == Table::"orders/public.customers"',
)
const actions = 'action in [Action::"sql:read", Action::"sql:write"]'
const policy = fc
  .record({
    effect: fc.constantFrom('permit', 'permit', 'forbid', 'hold', 'hold-groups', 'permit-approved'),
    scope,
    when: condition,
  })
  .map(({ effect, scope: of, when }) => {
    const scoped = of.replace(', action,', `, ${actions},`)
    if (effect === 'hold') return `@hold("dba") forbid (${scoped}) when { ${when} } unless { context has approval };`
    if (effect === 'hold-groups')
      return `@hold("sre, dba") forbid (${scoped}) when { ${when} } unless { context has approval && context.approval.groups.contains("dba") };`
    if (effect === 'permit-approved') return `permit (${scoped}) when { ${when} && context has approval };`
    return `${effect} (${scoped}) when { ${when} };`
  })
const someContext = fc.record({
  kind: fc.constantFrom('delete', 'select', 'insert'),
  bounded: fc.boolean(),
  functions: fc.subarray(['now', 'random']),
  purpose: fc.option(fc.constantFrom('ticket', 'x', 'task k'), { nil: undefined }),
  hour: fc.integer({ min: 0, max: 23 }),
  day: fc.integer({ min: 1, max: 28 }),
  onBehalfOf: fc.option(fc.constant('ada'), { nil: undefined }),
})

it('is never contradicted by a decision about a command', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(policy, { minLength: 1, maxLength: 6 }),
      fc.subarray(['ci', 'ops', 'other']),
      fc.option(fc.constantFrom('ada', 'ben'), { nil: undefined }),
      fc.option(fc.constantFrom('gr_1', 'gr_2'), { nil: undefined }),
      fc.constantFrom('customers', 'orders', 'log'),
      fc.array(someContext, { minLength: 3, maxLength: 8 }),
      async (texts, groups, owner, grant, name, contexts) => {
        const text = texts.join('\n')
        // Some of what comes up can never apply: that would keep a set from coming into force, not from being asked about.
        const loaded = loadPolicyTexts([{ file: 'base.cedar', text }])
        if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
        const { policies } = loaded
        const permitted = permittedBy(text)
        const who = { id: 'https://idp#bot', issuer: 'https://idp', groups, ...(owner !== undefined && { owner }) }
        for (const action of ['sql:read', 'sql:write']) {
          const id = `orders/public.${name}`
          const isNamed = permitted.named.some((one) => one.id === id)
          const questions = { subject: who, connection: orders, action, ...(grant !== undefined && { grant }) }
          const one = permitted.answer({ ...questions, resource: { type: 'Table', id } })
          const others = permitted.answer({ ...questions, resource: 'others' })
          for (const { kind, bounded, functions, purpose, hour, day, onBehalfOf } of contexts) {
            const principal: AgentPrincipal = {
              ...{ kind: 'agent', ...who, subject: 'bot', name: 'bot', expiresAt: new Date(0) },
              ...(onBehalfOf !== undefined && { onBehalfOf }),
            }
            const decision = policies.decide({
              principal,
              connection: { ...orders, mode: 'enforce' },
              effect: {
                action,
                resource: { type: 'Table', id, attrs: { schema: 'public', name } },
                command: { kind, bounded, functions },
              },
              context: {
                time: new Date(Date.UTC(2026, 1, day, hour)),
                ...(purpose !== undefined && { purpose }),
                ...(grant !== undefined && { grant }),
              },
            })
            const words = `${text}\n${action} ${id} ${JSON.stringify({ groups, owner, grant })} ${JSON.stringify(one)}`
            expect(['depends', decision.outcome], words).toContain(one.verdict)
            if (one.verdict !== 'depends')
              expect(decision.policies, words).toEqual(expect.arrayContaining(one.policies))
            // Whether it is a table or the connection itself the line for the others doesn't say.
            if (!isNamed && others.verdict !== 'deny')
              expect(['depends', decision.outcome], words).toContain(others.verdict)
          }
        }
      },
    ),
    { numRuns: 150, seed: 20261121 },
  )
}, 120_000)
