import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Effect } from '../gate/command.ts'
import type { AgentPrincipal } from '../identity/principal.ts'
import { readPolicyTexts } from './load.ts'
import { OVERLAY_MOST, overlayFile, readOverlay } from './overlay-text.ts'
import { loadPolicyTexts } from './policy.ts'
import { bot, load, onTable, orders } from './testing/policies.ts'

const agent = bot.id
const me = `principal == Agent::"${agent}"`
const here = 'resource in Connection::"orders"'
const bounds = { agent, connection: 'orders' }

describe('a text that is an overlay of this agent on this connection', () => {
  test.each([
    `forbid (${me}, action, ${here});`,
    `@id("x") @reason("why") forbid (${me}, action, ${here}) unless { action == Action::"sql:connect" };`,
    `forbid (${me}, action in Action::"sql", ${here}) when { context.command.kind == "delete" };`,
    `forbid (${me}, action == Action::"sql:read", resource == Table::"orders/public.customers");`,
    `forbid (${me}, action == Action::"sql:read", resource is Table in Connection::"orders");`,
    `forbid (${me}, action == Action::"data:reveal", resource) when { context.connection == Connection::"orders" };`,
    `forbid (${me}, action == Action::"data:reveal", resource == DataClass::"email")
     when { Connection::"orders" == context.connection && context.time.hour > 3 };`,
    `forbid (${me}, action == Action::"access:request", resource == Connection::"orders");`,
    `// forbid everything: permit (principal, action, resource);\nforbid (${me}, action, ${here});`,
    `forbid (${me}, action, ${here}); forbid (${me}, action, ${here}) when { context.time.hour > 3 };`,
  ])('%s', (text) => {
    expect(readOverlay(text, bounds)).toMatchObject({ ok: true })
    expect(readPolicyTexts([{ file: overlayFile('ov_1'), text }])).toMatchObject({ ok: true })
  })
})

describe('a text that tries to be more', () => {
  test.each<[why: RegExp, text: string]>([
    [/only forbids/, `permit (${me}, action, ${here});`],
    [/only forbids/, `forbid (${me}, action, ${here}); permit (${me}, action, ${here});`],
    [/template/, 'forbid (principal == ?principal, action, resource in Connection::"orders");'],
    [/template|only/, `forbid (${me}, action, resource in ?resource);`],
    [/not about principal/, `forbid (principal, action, ${here});`],
    [/not about principal/, `forbid (principal in Group::"ci-agents", action, ${here});`],
    [/not about principal/, `forbid (principal in Agent::"${agent}", action, ${here});`],
    [/not about principal/, `forbid (principal is Agent, action, ${here}) when { ${me} };`],
    [/not about principal/, `forbid (principal == Agent::"${agent} ", action, ${here});`],
    [/not about principal/, `forbid (principal == Agent::"${agent.toUpperCase()}", action, ${here});`],
    [/of orders alone/, `forbid (${me}, action, resource);`],
    [/of orders alone/, `forbid (${me}, action, resource in Connection::"payments");`],
    [/of orders alone/, `forbid (${me}, action == Action::"sql:read", resource == Table::"payments/public.cards");`],
    [/of orders alone/, `forbid (${me}, action == Action::"sql:read", resource == Table::"orders");`],
    [/of orders alone/, `forbid (${me}, action == Action::"sql:read", resource == Table::"orders2/public.cards");`],
    [/of orders alone/, `forbid (${me}, action == Action::"sql:read", resource is Table);`],
    [/of orders alone/, `forbid (${me}, action == Action::"sql:read", resource is Table in Connection::"payments");`],
    [/of orders alone/, `forbid (${me}, action == Action::"data:reveal", resource);`],
    [/of orders alone/, `forbid (${me}, action == Action::"data:reveal", resource == DataClass::"orders/email");`],
    [
      /of orders alone/,
      `forbid (${me}, action == Action::"data:reveal", resource) when { context.connection == Connection::"x" };`,
    ],
    [
      /of orders alone/,
      `forbid (${me}, action == Action::"data:reveal", resource) when { context.connection == Connection::"orders" || true };`,
    ],
    [
      /of orders alone/,
      `forbid (${me}, action == Action::"data:reveal", resource) unless { context.connection == Connection::"orders" };`,
    ],
    [
      /of orders alone/,
      `forbid (${me}, action in [Action::"data:reveal", Action::"sql:read"], resource) when { context.connection == Connection::"orders" };`,
    ],
    [
      /of orders alone/,
      `forbid (${me}, action == Action::"data:reveal", resource)
       when { context.time.hour * 9223372036854775807 > 0 && context.connection == Connection::"orders" };`,
    ],
    [
      /of orders alone/,
      `forbid (${me}, action == Action::"data:reveal", resource)
       unless { context.time.hour * 9223372036854775807 > 0 } when { context.connection == Connection::"orders" };`,
    ],
    [/@hold/, `@hold("dba") forbid (${me}, action, ${here}) unless { context has approval };`],
    [/@quorum/, `@quorum("2") forbid (${me}, action, ${here});`],
    [/approval/, `forbid (${me}, action in Action::"sql", ${here}) unless { context has approval };`],
    [/approval/, `forbid (${me}, action in Action::"sql", ${here}) unless { context has approval.groups };`],
    [
      /approval/,
      `forbid (${me}, action in Action::"sql", ${here}) unless { (if 1 == 1 then context else context) has approval };`,
    ],
    [/approval/, `forbid (${me}, action in Action::"sql", ${here}) unless { context has "appro\\u{76}al" };`],
    [/can’t be seen/, `forbid (${me}, action, ${here}); //\u202e x\n`],
    [/can’t be seen/, `// x\rpermit (principal, action, resource);\nforbid (${me}, action, ${here});`],
    [/can’t be seen/, `// x\u2028permit (principal, action, resource);\nforbid (${me}, action, ${here});`],
    [/can’t be seen/, `forbid (${me}, action, ${here});\0`],
    [/no policy/, ''],
    [/no policy/, '// nothing'],
    [/./, `forbid (${me}, action, ${here}) // ;`],
    [/./, `forbid (${me}, action, ${here}); }`],
    [/longer/, `forbid (${me}, action, ${here});${' '.repeat(OVERLAY_MOST.characters)}`],
    [/longer/, `forbid (${me}, action, ${here});//${'"'.repeat(OVERLAY_MOST.bytes / 2)}`],
    [/at most/, `forbid (${me}, action, ${here});`.repeat(OVERLAY_MOST.policies + 1)],
  ])('%s: %s', (why, text) => {
    const read = readOverlay(text, bounds)
    expect(read).toMatchObject({ ok: false })
    if (!read.ok) expect(read.problems.join('; ')).toMatch(why)
  })

  test.each<[why: RegExp, scope: string, rule: string]>([
    [/./, `principal, action == Action::"access:request", ${here.replace('in', '==')}`, 'principal in Group::"ci"'],
    [
      /others/,
      'principal in Group::"all", action == Action::"access:request", resource == Connection::"orders"',
      'principal in Group::"ci"',
    ],
    [
      /access:request/,
      'principal in Group::"ci", action, resource == Connection::"orders"',
      'principal in Group::"ci"',
    ],
    [
      /access:request/,
      'principal in Group::"ci", action in [Action::"access:request", Action::"sql:read"], resource == Connection::"orders"',
      'principal in Group::"ci"',
    ],
    [
      /resource ==/,
      'principal in Group::"ci", action == Action::"access:request", resource in Connection::"orders"',
      'principal in Group::"ci"',
    ],
    [
      /resource ==/,
      'principal in Group::"ci", action == Action::"access:request", resource == Connection::"vault"',
      'principal in Group::"ci"',
    ],
  ])('of a rule: %s: %s', (why, scope, rule) => {
    const parsed = cedar.policyToJson(`permit (${rule}, action, resource);`)
    if (parsed.type === 'failure') throw new Error()
    const read = readOverlay(`forbid (${scope});`, { connection: 'orders', principals: [parsed.json.principal] })
    expect(read).toMatchObject({ ok: false })
    if (!read.ok) expect(read.problems.join('; ')).toMatch(why)
  })

  test('of a rule, the same scope is one', () => {
    const rule = cedar.policyToJson('permit (principal in Group::"ci", action == Action::"access:request", resource);')
    if (rule.type === 'failure') throw new Error()
    const text =
      'forbid (principal in Group::"ci", action == Action::"access:request", resource == Connection::"orders");'
    expect(readOverlay(text, { connection: 'orders', principals: [rule.json.principal] })).toMatchObject({ ok: true })
  })
})

describe('in a set', () => {
  const text = `@id("base.cedar#1") forbid (${me}, action, ${here});\nforbid (${me}, action, ${here});`
  const files = { 'base.cedar': 'permit (principal, action, resource);' }
  const base = { file: 'base.cedar', text: files['base.cedar'] }

  test('what it calls itself is not its name, and takes nobody else’s', () => {
    const loaded = loadPolicyTexts([base, { file: overlayFile('ov_1'), text }])
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
    expect(loaded.policies.list.map(({ id }) => id)).toEqual(['base.cedar#1', 'overlay/ov_1#1', 'overlay/ov_1#2'])
  })

  test('no file and no policy of a folder is taken for one', async () => {
    const name = await load({ ...files, 'overlay:ov_1.cedar': 'permit (principal, action, resource);' })
    expect(name).toMatchObject({
      ok: false,
      problems: [{ file: 'overlay:ov_1.cedar', message: /begin with overlay:/ }],
    })
    const id = await load({ 'x.cedar': '@id("overlay/ov_1#1") permit (principal, action, resource);' })
    expect(id).toMatchObject({ ok: false, problems: [{ file: 'x.cedar', message: /begin with overlay\// }] })
    expect(await load({ 'overlays.cedar': '@id("overlay") permit (principal, action, resource);' })).toMatchObject({
      ok: true,
    })
  })

  test('a permit in its place is refused, whoever put it there', () => {
    const loaded = loadPolicyTexts([base, { file: overlayFile('ov_1'), text: 'permit (principal, action, resource);' }])
    expect(loaded).toMatchObject({ ok: false, problems: [{ file: 'overlay:ov_1.cedar', message: /only forbids/ }] })
  })
})

test('whatever text is taken for an overlay: others, and other connections, are answered as without it', () => {
  const other: AgentPrincipal = { ...bot, id: `${bot.issuer}#other`, subject: 'other' }
  const payments = { ...orders, name: 'payments' }
  const base = { file: 'base.cedar', text: 'permit (principal, action, resource);' }
  const before = loadPolicyTexts([base])
  if (!before.ok) throw new Error()
  const away = (effect: Effect): Effect => ({
    ...effect,
    resource: { ...effect.resource, id: effect.resource.id.replace('orders', 'payments') },
  })
  const connect: Effect = { ...onTable('sql:connect', 'x'), resource: { type: 'Connection', id: 'orders' } }
  const effects = [
    onTable('sql:read', 'customers'),
    onTable('sql:write', 'orders', { kind: 'delete', bounded: false }),
    connect,
  ]
  const reveal: Effect = { action: 'data:reveal', resource: { type: 'DataClass', id: 'email' }, command: {} }

  const principal = fc.constantFrom(
    me,
    me,
    me,
    me,
    'principal',
    'principal in Group::"ci-agents"',
    `principal == Agent::"${other.id}"`,
    'principal is Agent',
  )
  const action = fc.constantFrom(
    'action',
    'action in Action::"sql"',
    'action == Action::"sql:read"',
    'action == Action::"data:reveal"',
    'action in [Action::"sql:read", Action::"sql:write"]',
  )
  const resource = fc.constantFrom(
    'resource',
    here,
    'resource in Connection::"payments"',
    'resource == Connection::"orders"',
    'resource == Table::"orders/public.customers"',
    'resource == Table::"payments/public.customers"',
    'resource is Table',
    'resource is Table in Connection::"orders"',
    'resource == DataClass::"email"',
  )
  const condition = fc.constantFrom(
    '',
    'when { context.connection == Connection::"orders" }',
    'when { context.connection == Connection::"orders" || context.time.hour >= 0 }',
    'unless { context.connection == Connection::"orders" }',
    'when { context.time.hour >= 0 && context.connection == Connection::"orders" }',
    'when { principal == principal }',
    'unless { context has grant }',
    '// x\n',
    '/* x */',
  )
  const effect = fc.constantFrom(...Array<string>(9).fill('forbid'), 'permit')
  const annotation = fc.constantFrom(
    '',
    '@id("base.cedar#1")',
    '@reason("; permit (principal, action, resource);")',
    '@hold("dba")',
    '// ; permit (principal, action, resource);\n',
  )
  const one = fc
    .tuple(annotation, effect, principal, action, resource, condition)
    .map(([at, does, who, what, which, if_]) => `${at} ${does} (${who}, ${what}, ${which}) ${if_};`)
  let taken = 0
  fc.assert(
    fc.property(fc.array(one, { minLength: 1, maxLength: 3 }), fc.constantFrom('\n', ' ', '\n//'), (policies, glue) => {
      const text = policies.join(glue)
      if (!readOverlay(text, bounds).ok) return
      const loaded = loadPolicyTexts([base, { file: overlayFile('ov_1'), text }])
      if (!loaded.ok) return
      taken++
      const context = { time: new Date('2026-11-21T12:00:00Z') }
      for (const on of [...effects, reveal]) {
        expect(loaded.policies.decide({ principal: other, connection: orders, effect: on, context }).outcome).toBe(
          'allow',
        )
        expect(
          loaded.policies.decide({ principal: bot, connection: payments, effect: away(on), context }).outcome,
        ).toBe('allow')
      }
    }),
    { numRuns: 1000, seed: 6 },
  )
  expect(taken).toBeGreaterThan(40)
}, 60_000)
