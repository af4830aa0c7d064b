import { readFileSync } from 'node:fs'
import { beforeAll, expect, test } from 'vitest'
import type { Vote } from '../approvals/quorum.ts'
import type { Policies } from '../policy/policy.ts'
import { bot, orders, policiesOf } from '../policy/testing/policies.ts'
import { decideAccess } from './deciding.ts'

/** The policies that docs/policy.md gives for asking for access. */
const docs = readFileSync(new URL('../../../docs/policy.md', import.meta.url), 'utf8')
const example = [...docs.matchAll(/```cedar\n(.*?)```/gs)]
  .map(([, text]) => text!)
  .find((text) => text.includes('ask-for-orders'))!

let policies: Policies
beforeAll(async () => {
  policies = await policiesOf(example)
})
const agent = { ...bot, groups: ['shop-agents'] }
const time = new Date('2026-11-21T12:00:00Z')
const vote = (name: string, groups: string[]): Vote => ({
  person: `https://people#${name}`,
  name,
  groups,
  window: 'once',
})

test.each<[string, object, string, string[]]>([
  ['reading for an hour', {}, 'allow', ['ask-for-orders']],
  ['with connecting named', { actions: ['sql:connect', 'sql:read'] }, 'allow', ['ask-for-orders']],
  ['for longer', { seconds: 3601 }, 'hold', ['short-and-reading-only']],
  ['writing', { actions: ['sql:read', 'sql:write'] }, 'hold', ['short-and-reading-only']],
  ['without a ticket', { purpose: 'I want to' }, 'deny', ['a-ticket-is-named']],
  ['DDL', { actions: ['sql:ddl'] }, 'deny', ['nobody-asks-for-ddl']],
  ['DDL by its group', { actions: ['sql'] }, 'deny', ['nobody-asks-for-ddl']],
  ['as another agent', { identity: bot }, 'deny', []],
  ['another connection', { connection: { ...orders, name: 'vault' } }, 'deny', []],
])('by the policies of docs/policy.md, asking for %s', (_what, more, outcome, ids) => {
  const question = {
    identity: agent,
    connection: orders,
    actions: ['sql:read'],
    seconds: 3600,
    purpose: 'ticket 4711',
    ...more,
  }
  const decision = decideAccess(policies, question, time)
  expect([decision.outcome, decision.policies]).toEqual([outcome, ids])
  if (decision.outcome === 'deny') expect(decision.named).toBe(ids.length > 0)
})

test('with the votes of those who are asked it is allowed, with those of others it isn’t', () => {
  const question = { identity: agent, connection: orders, actions: ['sql:write'], seconds: 60, purpose: 'ticket 1' }
  const asked = (now: readonly { policy: string; groups: string[]; quorum: number }[]) => [...now]
  const given = (votes: Vote[]) => decideAccess(policies, question, time, { votes, asked })
  expect(given([vote('Cy', ['sre'])]).outcome).toBe('hold')
  expect(given([vote('Ada', ['oncall-dba'])])).toMatchObject({ outcome: 'allow', policies: ['short-and-reading-only'] })
})

test('what can’t be decided is denied', async () => {
  const broken = await policiesOf(
    'permit (principal, action == Action::"access:request", resource) when { context.seconds * 4611686018427387904 > 0 };',
  )
  const question = { identity: agent, connection: orders, actions: ['sql:read'], seconds: 9_000_000, purpose: 'x' }
  expect(decideAccess(broken, question, time)).toMatchObject({
    outcome: 'deny',
    named: true,
    reason: expect.stringMatching(/could not be decided/),
  })
})
