import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { Effect } from '../gate/command.ts'
import { bot, CONTRACT_EXAMPLE, onTable, orders, policiesOf } from './testing/policies.ts'

const docs = readFileSync(new URL('../../../docs/policy.md', import.meta.url), 'utf8')
const examples = [...docs.matchAll(/```cedar\n(.*?)```/gs)].map(([, text]) => text!)

test('every policy in docs/policy.md loads', async () => {
  expect(examples.length).toBeGreaterThan(2)
  for (const example of examples) await policiesOf(example)
})

test('the policy for the server’s own tables forbids them under a permit for all, and nothing else', async () => {
  const policies = await policiesOf(CONTRACT_EXAMPLE + examples.find((text) => text.includes('nothing-of-the-server'))!)
  const decide = (effect: Effect) =>
    policies.decide({ principal: bot, connection: orders, effect, context: { time: new Date('2026-01-05T10:00:00Z') } })
  const onServers = (schema: string, name: string): Effect => ({
    ...onTable('sql:read', name, { kind: 'select', bounded: true, functions: [] }),
    resource: { type: 'Table', id: `orders/${schema}.${name}`, attrs: { schema, name } },
  })
  expect(decide(onServers('pg_catalog', 'pg_stats'))).toMatchObject({
    outcome: 'deny',
    policies: ['nothing-of-the-server-itself'],
    errors: [],
  })
  expect(decide(onServers('information_schema', 'user_mapping_options')).outcome).toBe('deny')
  expect(decide(onTable('sql:read', 'customers')).outcome).toBe('allow')
})
