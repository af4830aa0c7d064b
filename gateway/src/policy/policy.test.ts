import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Effect } from '../gate/command.ts'
import { type DecideRequest, loadPolicyTexts } from './policy.ts'
import { cedarRequest, type PolicyRequest } from './request.ts'
import { schema } from './schema.ts'
import { bot, CONTRACT_EXAMPLE, onTable, orders, policiesOf } from './testing/policies.ts'

const MONDAY = new Date('2026-11-23T09:30:00Z')
const request = (effect: Effect, more: Partial<DecideRequest> = {}): DecideRequest => ({
  principal: bot,
  connection: orders,
  effect,
  context: { time: MONDAY },
  ...more,
})
const everything = 'permit (principal, action, resource);'
const writes = 'principal, action == Action::"sql:write", resource'

describe('the example of the contract', async () => {
  const policies = await policiesOf(CONTRACT_EXAMPLE)
  const deletion = (bounded: boolean) => onTable('sql:write', 'customers', { kind: 'delete', bounded })

  test('permits what its first policy permits', () => {
    for (const effect of [onTable('sql:read', 'customers'), deletion(true)])
      expect(policies.decide(request(effect))).toEqual({
        outcome: 'allow',
        policies: ['base.cedar#1'],
        requirements: [],
        errors: [],
      })
  })
  test('holds a delete of every row for two of oncall-dba', () => {
    expect(policies.decide(request(deletion(false)))).toEqual({
      outcome: 'hold',
      policies: ['unbounded-delete'],
      requirements: [{ policy: 'unbounded-delete', reason: 'Deletes every row', groups: ['oncall-dba'], quorum: 2 }],
      errors: [],
    })
    expect(policies.reasonOf('unbounded-delete')).toBe('Deletes every row')
  })
  test('allows it with the approval', () => {
    const approval = { groups: ['oncall-dba'], people: ['https://idp#ada', 'https://idp#ben'] }
    expect(policies.decide(request(deletion(false), { approval }))).toMatchObject({
      outcome: 'allow',
      policies: ['base.cedar#1'],
    })
  })
  test('denies by default: other groups, other connections, other actions', () => {
    const deny = { outcome: 'deny', policies: [], requirements: [], errors: [] }
    expect(policies.decide(request(deletion(true), { principal: { ...bot, groups: [] } }))).toEqual(deny)
    expect(policies.decide(request(onTable('sql:ddl', 'customers')))).toEqual(deny)
    const billing = { ...orders, name: 'billing' }
    const elsewhere = {
      ...onTable('sql:read', 'x'),
      resource: { type: 'Table' as const, id: 'billing/public.x', attrs: { schema: 'public', name: 'x' } },
    }
    expect(policies.decide(request(elsewhere, { connection: billing }))).toEqual(deny)
  })
  test('an unbounded delete by who may not delete at all is a deny, never a hold', () => {
    expect(policies.decide(request(deletion(false), { principal: { ...bot, groups: [] } }))).toMatchObject({
      outcome: 'deny',
      policies: [],
    })
  })
  test('reveals a data class to those who may see it', () => {
    const reveal: Effect = { action: 'data:reveal', resource: { type: 'DataClass', id: 'email' }, command: {} }
    expect(policies.decide(request(reveal))).toMatchObject({ outcome: 'deny', policies: [] })
    const support = { ...bot, groups: ['support-agents'] }
    expect(policies.decide(request(reveal, { principal: support }))).toMatchObject({
      outcome: 'allow',
      policies: ['base.cedar#3'],
    })
  })
})

describe('a deny is a hold if', () => {
  const hold = (id: string, groups: string, clause = 'unless { context has approval }') =>
    `@id("${id}") @hold("${groups}") forbid (${writes}) ${clause};`
  const table: [name: string, policies: string, outcome: string, decided: string[]][] = [
    ['one deciding policy carries @hold', everything + hold('h', 'a'), 'hold', ['h']],
    ['every deciding policy carries @hold', everything + hold('h', 'a') + hold('i', 'b'), 'hold', ['h', 'i']],
    ['— not if one of them does not', `${everything}${hold('h', 'a')}@id("f") forbid (${writes});`, 'deny', ['f']],
    ['— not if none decided: a default deny', hold('h', 'a').replace('sql:write', 'sql:ddl'), 'deny', []],
    ['— not if nothing would permit it after approval', hold('h', 'a'), 'deny', []],
    [
      'the clause asks for a group that @hold names',
      everything + hold('h', 'a', 'unless { context has approval && context.approval.groups.contains("a") }'),
      'hold',
      ['h'],
    ],
    [
      '— not if it asks for a group that @hold does not name',
      everything + hold('h', 'a', 'unless { context has approval && context.approval.groups.contains("b") }'),
      'deny',
      ['h'],
    ],
    [
      'another holding policy names that group',
      everything +
        hold('h', 'a', 'unless { context has approval && context.approval.groups.contains("b") }') +
        hold('i', 'b'),
      'hold',
      ['h', 'i'],
    ],
    [
      '— not if approval turns another forbid on',
      `${everything}${hold('h', 'a')}@id("f") forbid (${writes}) when { context has approval };`,
      'deny',
      ['f'],
    ],
    [
      'the permit itself asks for approval',
      `permit (${writes}) when { context has approval };${hold('h', 'a')}`,
      'hold',
      ['h'],
    ],
    ['— not if only the permit asks for approval', `permit (${writes}) when { context has approval };`, 'deny', []],
  ]
  test.each(table)('%s', async (_, text, outcome, decided) => {
    const policies = await policiesOf(text)
    const decision = policies.decide(request(onTable('sql:write', 't')))
    expect(decision).toMatchObject({ outcome, policies: decided, errors: [] })
    expect(decision.requirements.map((r) => r.policy)).toEqual(outcome === 'hold' ? decided : [])
  })

  test('with an approval of too few groups it holds for the rest', async () => {
    const clause = 'unless { context has approval && context.approval.groups.contains("b") }'
    const policies = await policiesOf(everything + hold('h', 'b', clause))
    const effect = onTable('sql:write', 't')
    const approved = (groups: string[]) =>
      policies.decide(request(effect, { approval: { groups, people: ['p'] } })).outcome
    expect(approved(['a'])).toBe('hold')
    expect(approved(['a', 'b'])).toBe('allow')
  })
})

describe('an evaluation error is a deny', () => {
  test('in a forbid that Cedar would skip', async () => {
    // Overflow passes the validator, and Cedar would then skip the forbid and allow.
    const overflow = `@id("f") forbid (${writes}) when { context.time.hour + 9223372036854775807 > 0 };`
    const policies = await policiesOf(everything + overflow)
    expect(policies.decide(request(onTable('sql:write', 't')))).toMatchObject({
      outcome: 'deny',
      policies: ['f'],
      errors: [expect.stringMatching(/^f: .*overflow/)],
    })
  })
  test('in a permit next to another that permits', async () => {
    const policies = await policiesOf(
      `${everything}permit (${writes}) when { context.time.hour + 9223372036854775807 > 0 };`,
    )
    expect(policies.decide(request(onTable('sql:write', 't')))).toMatchObject({
      outcome: 'deny',
      policies: ['base.cedar#2'],
    })
  })
  test('next to a forbid that applies', async () => {
    const overflow = `@id("e") permit (${writes}) when { context.time.hour + 9223372036854775807 > 0 };`
    const policies = await policiesOf(`${everything}${overflow}@id("d") forbid (${writes});`)
    expect(policies.decide(request(onTable('sql:write', 't')))).toMatchObject({ outcome: 'deny', policies: ['d', 'e'] })
  })
  test('in the trial of a hold', async () => {
    const policies = await policiesOf(
      `${everything}@id("h") @hold("a") forbid (${writes}) unless { context has approval };
       @id("e") forbid (${writes}) when { context has approval && context.time.hour + 9223372036854775807 > 0 };`,
    )
    expect(policies.decide(request(onTable('sql:write', 't')))).toMatchObject({
      outcome: 'deny',
      policies: ['e'],
      requirements: [],
    })
  })
  const unfit: [name: string, effect: Effect, more?: Partial<DecideRequest>][] = [
    ['an action that the schema lacks', onTable('sql:frobnicate', 't')],
    ['a context that lacks something', { ...onTable('sql:write', 't'), command: { kind: 'delete' } }],
    ['a context with too much', onTable('sql:write', 't', { extra: true })],
    [
      'a resource that lacks an attribute',
      { ...onTable('sql:write', 't'), resource: { type: 'Table', id: 'orders/t' } },
    ],
    ['a resource of a type the action does not take', { ...onTable('sql:connect', 't') }],
    [
      'a resource of another connection',
      {
        ...onTable('sql:write', 't'),
        resource: { type: 'Table', id: 'billing/public.t', attrs: { schema: 'public', name: 't' } },
      },
    ],
    ['another connection', { ...onTable('sql:connect', 't'), resource: { type: 'Connection', id: 'billing' } }],
    ['a time that is none', onTable('sql:write', 't'), { context: { time: new Date(Number.NaN) } }],
  ]
  test.each(unfit)('for %s', async (_, effect, more) => {
    const policies = await policiesOf(everything)
    expect(policies.decide(request(effect, more))).toMatchObject({
      outcome: 'deny',
      errors: [expect.stringMatching(/./)],
    })
  })
})

describe('what policy sees', () => {
  const says = async (condition: string, more: Partial<DecideRequest> = {}) =>
    (await policiesOf(`permit (${writes}) when { ${condition} };`)).decide(request(onTable('sql:write', 't'), more))
      .outcome
  const owned = { ...bot, owner: 'ada', onBehalfOf: 'zoe' }
  const seen: [condition: string, more?: Partial<DecideRequest>][] = [
    ['principal == Agent::"https://idp.example.com#bot" && principal in Group::"ci-agents"'],
    ['principal.issuer == "https://idp.example.com" && !(principal has owner)'],
    [
      'principal has owner && principal.owner == "ada" && principal has onBehalfOf && principal.onBehalfOf == "zoe"',
      { principal: owned },
    ],
    ['resource in Connection::"orders"'],
    ['resource is Table && resource.schema == "public" && resource.name == "t"'],
    ['!(context has purpose) && !(context has grant) && !(context has approval)'],
    ['context has purpose && context.purpose == "fix"', { context: { time: MONDAY, purpose: 'fix' } }],
    ['context.time.weekday == 1 && context.time.hour == 9'],
    ['context.time.weekday == 7 && context.time.hour == 23', { context: { time: new Date('2026-11-22T23:59:59Z') } }],
  ]
  test.each(seen)('%s', async (condition, more) => expect(await says(condition, more)).toBe('allow'))

  test('tags of the connection', async () => {
    const connect: Effect = {
      action: 'sql:connect',
      resource: { type: 'Connection', id: 'orders' },
      command: { kind: 'connect', bounded: true, functions: [] },
    }
    const policies = await policiesOf(
      'permit (principal, action == Action::"sql:connect", resource) when { resource.tags.contains("production") };',
    )
    expect(policies.decide(request(connect)).outcome).toBe('allow')
    expect(policies.decide(request(connect, { connection: { ...orders, tags: [] } })).outcome).toBe('deny')
  })
})

test('what is remembered is remembered for the same question only', async () => {
  const policies = await policiesOf(
    `permit (${writes}) when { context.time.hour == 9 && principal in Group::"ci-agents" && context.command.bounded && !(context has purpose) };`,
  )
  const effect = onTable('sql:write', 't')
  const outcome = (more: Partial<DecideRequest> = {}, of = effect) => policies.decide(request(of, more)).outcome
  for (let round = 0; round < 2; round++) {
    expect(outcome()).toBe('allow')
    expect(outcome({ context: { time: new Date('2026-11-23T10:00:00Z') } })).toBe('deny')
    expect(outcome({ context: { time: MONDAY, purpose: '' } })).toBe('deny')
    expect(outcome({ principal: { ...bot, groups: ['others'] } })).toBe('deny')
    expect(outcome({}, onTable('sql:write', 't', { bounded: false }))).toBe('deny')
  }
  expect(policies.decide(request(effect))).toBe(policies.decide(request(effect)))
})

test('a set that is in use stays whole when another was loaded since', async () => {
  const ask = request(onTable('sql:write', 't'))
  const before = await policiesOf(everything)
  const after = await policiesOf(`forbid (${writes});`)
  expect(after.decide(ask).outcome).toBe('deny')
  expect(before.decide(ask).outcome).toBe('allow')
})

describe('a policy that says who is asked later', () => {
  const deletion = onTable('sql:write', 'customers', { kind: 'delete', bounded: false })
  const asks = (groups: string) => `${everything}
@id("h") @hold("oncall") @critical @escalate("3m: leads, 180s: managers, 1h: board")
forbid (${writes}) unless { context has approval && context.approval.groups.contains("${groups}") };`

  test('says so in its requirement', async () => {
    const policies = await policiesOf(asks('oncall'))
    expect(policies.decide(request(deletion)).requirements).toEqual([
      {
        policy: 'h',
        groups: ['oncall'],
        quorum: 1,
        critical: true,
        escalation: [
          { after: '3m', groups: ['leads', 'managers'] },
          { after: '1h', groups: ['board'] },
        ],
      },
    ])
  })
  test.each([
    ['oncall', 'hold'],
    ['leads', 'hold'],
    ['board', 'hold'],
    ['others', 'deny'],
  ])('is tried with all of them: one that insists on %s is a %s', async (group, outcome) => {
    const policies = await policiesOf(asks(group))
    expect(policies.decide(request(deletion)).outcome).toBe(outcome)
  })
})

test('what Cedar has parsed of sets that nobody has any more is not kept, and who decides by a set decides by that one', async () => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const many = Array.from({ length: 100 }, (_, n) => `forbid (principal == Agent::"a${n}", action, resource);`).join(
    '\n',
  )
  const made = (n: number) => {
    const text = `${many}\npermit (principal == Agent::"x${n}", action, resource);`
    const loaded = loadPolicyTexts([{ file: 'base.cedar', text }])
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
    return loaded.policies
  }
  // Only the function is held on to.
  const kept = [1, 2, 3].map((n) => made(n).decide)
  const rounds = async (from: number) => {
    for (let n = from; n < from + 10; n++) made(n)
    gc()
    await new Promise((resolve) => setImmediate(resolve))
    return process.memoryUsage().external
  }
  await rounds(100)
  const before = await rounds(200)
  for (const from of [300, 400]) await rounds(from)
  // Thirty more of them, some 200 kB each.
  expect((await rounds(500)) - before).toBeLessThan(4 * 1024 * 1024)
  for (const [at, decide] of kept.entries()) {
    const ask = (agent: string) =>
      decide({
        ...{ principal: { ...bot, id: agent }, connection: orders, effect: onTable('sql:read', 'orders') },
        context: { time: new Date('2026-11-21T12:00:00Z') },
      }).outcome
    expect([ask(`x${at + 1}`), ask(`x${at + 2}`)]).toEqual(['allow', 'deny'])
  }
})

describe('policies of single agents', () => {
  const agents = [bot.id, 'https://agents#other', 'https://agents#none']
  const scopes = ['principal', 'principal in Group::"ci-agents"', ...agents.map((id) => `principal == Agent::"${id}"`)]
  const ends = [
    '',
    'when { context.command.bounded }',
    // Errs where nothing narrows the row.
    'when { context.command.bounded || 9223372036854775807 + context.time.hour > 0 }',
    'unless { context has approval }',
  ]
  const policy = fc.record({
    effect: fc.constantFrom('permit', 'forbid'),
    scope: fc.constantFrom(...scopes),
    end: fc.constantFrom(...ends),
    hold: fc.boolean(),
  })

  test('are asked about with those of everybody: each agent is answered as by Cedar of the whole set', () => {
    fc.assert(
      fc.property(fc.array(policy, { minLength: 1, maxLength: 8 }), fc.boolean(), (set, bounded) => {
        const text = set.map(({ effect, scope, end, hold }, at) => {
          const holds = hold && effect === 'forbid' && end.includes('approval') ? '@hold("sre") ' : ''
          return `@id("p${at}") ${holds}${effect} (${scope}, action in Action::"sql", resource in Connection::"orders") ${end};`
        })
        const loaded = loadPolicyTexts([{ file: 'a.cedar', text: text.join('\n') }])
        if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
        const whole = Object.fromEntries(text.map((one, at) => [`p${at}`, one]))
        for (const id of agents) {
          const asked = request(onTable('sql:write', 't', { kind: 'update', bounded }), { principal: { ...bot, id } })
          const decision = loaded.policies.decide(asked)
          const answer = cedar.isAuthorized({
            ...(cedarRequest(asked) as PolicyRequest),
            schema,
            validateRequest: true,
            policies: { staticPolicies: whole },
          })
          if (answer.type === 'failure') throw new Error(JSON.stringify(answer.errors))
          const { decision: says, diagnostics } = answer.response
          expect(decision.errors.length).toBe(diagnostics.errors.length)
          if (diagnostics.errors.length > 0) expect(decision.outcome).toBe('deny')
          else expect(decision.outcome === 'allow').toBe(says === 'allow')
          // Of an error the one that errs is named; of the rest those that Cedar names, but who would not be asked.
          if (decision.outcome !== 'deny') expect(decision.policies).toEqual([...diagnostics.reason].sort())
          else if (decision.errors.length === 0)
            for (const id of decision.policies) expect(diagnostics.reason).toContain(id)
        }
      }),
      { numRuns: 60, seed: 11 },
    )
  })
})
