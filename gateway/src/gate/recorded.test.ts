import { Effect as EffectRecord } from '@countersign/contract/approval'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bot, CONTRACT_EXAMPLE, onTable, orders, policiesOf } from '../policy/testing/policies.ts'
import type { Effect } from './command.ts'
import { judge, saidByPolicy } from './judge.ts'
import { effectOf, effectRecord } from './recorded.ts'

const name = fc.oneof(fc.constantFrom('customers', 'Odd "one', 'a.b', 'ä', '', 'select'), fc.string({ maxLength: 8 }))
const quoted = (text: string) => (/^[a-z_][a-z0-9_$]*$/.test(text) ? text : `"${text.replaceAll('"', '""')}"`)
const attrs = fc.record({ schema: name, name })
const effects: fc.Arbitrary<Effect> = fc.oneof(
  fc
    .record({ attrs, functions: fc.array(name, { maxLength: 3 }), bounded: fc.boolean(), derived: fc.boolean() })
    .map(({ attrs, functions, bounded, derived }) => ({
      action: 'sql:write',
      resource: {
        type: 'Table' as const,
        id: `orders/${quoted(attrs.schema)}.${derived ? quoted(attrs.name) : 'another'}`,
        attrs,
      },
      command: { kind: 'delete', bounded, functions },
    })),
  fc.record({ argv: name, shell: fc.boolean() }).map(({ argv, shell }) => ({
    action: 'ssh:exec',
    resource: { type: 'Connection' as const, id: 'host' },
    command: { argv, program: 'sh', shell },
  })),
  name.map((path) => ({
    action: 'http:read',
    resource: { type: 'Path' as const, id: `web/${path}`, attrs: { path } },
    command: { method: 'GET' },
  })),
)

test('an effect comes out of its record as it was decided, whatever is in it', () => {
  fc.assert(
    fc.property(effects, (effect) => {
      const record = EffectRecord.parse(JSON.parse(JSON.stringify(effectRecord(effect, 'whole'))))
      expect(effectOf(record)).toEqual({ effect, complete: true })
    }),
    { numRuns: 500, seed: 20261121 },
  )
})

test('a record of before is decided without what it lacks, and says so', () => {
  const record = {
    action: 'sql:read',
    resource: { type: 'Table', id: 'orders/public.t' },
    kind: 'select',
    bounded: true,
  }
  expect(effectOf(record)).toEqual({
    complete: false,
    effect: {
      action: 'sql:read',
      resource: { type: 'Table', id: 'orders/public.t', attrs: { schema: 'public', name: 't' } },
      command: { kind: 'select', bounded: true, functions: [] },
    },
  })
  for (const broken of [{}, { action: 'x' }, { action: 'x', resource: { type: 1, id: 'a' } }])
    expect(effectOf(broken as never)).toBeUndefined()
})

describe('a recorded denial', () => {
  test('is policy’s where the judge gave it', async () => {
    const policies = await policiesOf(
      `${CONTRACT_EXAMPLE} @id("none") forbid (principal, action == Action::"sql:ddl", resource);`,
    )
    const command = (effects: Effect[], needed = false) => ({
      ...{
        protocol: 'postgres' as const,
        connection: orders,
        agent: bot,
        text: '',
        parameters: [],
        kind: '',
        meaning: {},
      },
      ...{ effects, session: { id: 'se_1', backing: { needed, grants: [] } } },
    })
    const denied = [
      command([]),
      command([onTable('sql:read', 'customers')], true),
      command([onTable('sql:admin', 'customers')]),
      command([onTable('sql:ddl', 'customers')]),
      command([{ ...onTable('sql:read', 'customers'), resource: { type: 'Table', id: 'other/public.t' } }]),
      command([{ ...onTable('sql:read', 'customers'), command: { kind: 1 as never } }]),
    ].map((one) => judge(policies, one, new Date('2026-01-05T10:00:00Z')))
    for (const one of denied) {
      if (one.outcome !== 'deny') throw new Error(one.outcome)
      expect(saidByPolicy(one)).toBe(true)
    }
  })

  test.each([
    'the command was not run, since it was not recorded: disk full',
    'the client went before anybody was asked (gone)',
    'This agent has 20 commands that are held, as many as it may',
    'Too long',
    '',
  ])('is not where something else did: %s', (reason) => {
    expect(saidByPolicy({ policies: [], reason })).toBe(false)
  })
})
