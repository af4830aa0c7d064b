import type { ItemEvidence } from '@countersign/contract/review'
import { describe, expect, it } from 'vitest'
import type { ItemFacts } from './facts.ts'
import { tighterProblem } from './tighter-policy.ts'

const row = (of: Partial<ItemFacts['row']>) => ({ row: of as ItemFacts['row'] })
const rule = row({ kind: 'rule', agent: '', name: 'ask', connection: 'vault' })
const through = (policy: string, effect: 'permit' | 'forbid' = 'permit'): ItemEvidence['through'] => [
  { policy: 'ask', file: 'a.cedar', effect, text: policy },
]
const asks = through(
  'permit (principal in Group::"ci", action == Action::"access:request", resource == Connection::"vault");',
)
const forbid = (
  principal: string,
  action = 'action == Action::"access:request"',
  resource = 'resource == Connection::"vault"',
) => `forbid (${principal}, ${action}, ${resource}) when { context.seconds > 3600 };`

describe('what a rule is reduced to', () => {
  it.each<[what: string, policy: string, evidence: ItemEvidence['through'], says: RegExp | undefined]>([
    ['whom the rule is about', forbid('principal in Group::"ci"'), asks, undefined],
    ['everybody', forbid('principal'), asks, /about others than the rule is/],
    ['another group', forbid('principal in Group::"sre"'), asks, /about others than the rule is/],
    ['one agent', forbid('principal == Agent::"x#y"'), asks, /about others than the rule is/],
    ['all commands', forbid('principal in Group::"ci"', 'action'), asks, /not about action/],
    ['a command', forbid('principal in Group::"ci"', 'action == Action::"sql:read"'), asks, /not about action/],
    [
      'another connection',
      forbid('principal in Group::"ci"', undefined, 'resource == Connection::"orders"'),
      asks,
      /not about resource/,
    ],
    ['all connections', forbid('principal in Group::"ci"', undefined, 'resource'), asks, /not about resource/],
    ['a rule that evidence doesn’t have', forbid('principal in Group::"ci"'), [], /about others than the rule is/],
    [
      'a rule that can’t be read',
      forbid('principal in Group::"ci"'),
      through('permit ('),
      /about others than the rule is/,
    ],
    [
      'a rule that holds',
      forbid('principal in Group::"ci"'),
      through(
        '@hold("sre") forbid (principal in Group::"ci", action == Action::"access:request", resource) unless { context has approval };',
        'forbid',
      ),
      undefined,
    ],
  ])('%s', (_what, policy, evidence, says) => {
    const problem = tighterProblem(policy, rule, evidence)
    if (says === undefined) expect(problem).toBeUndefined()
    else expect(problem).toMatch(says)
  })
})

describe('what is revealed', () => {
  const access = row({ kind: 'access', agent: 'i#bot', name: 'bot', connection: 'orders' })
  const reveal = (when: string) =>
    `forbid (principal == Agent::"i#bot", action == Action::"data:reveal", resource == DataClass::"email")${when};`
  it.each<[what: string, policy: string, says: RegExp | undefined]>([
    ['on its connection', reveal(' when { context.connection == Connection::"orders" }'), undefined],
    ['wherever it is', reveal(''), /resources of orders alone/],
    ['on another', reveal(' when { context.connection == Connection::"vault" }'), /resources of orders alone/],
    ['on either', reveal(' when { context.connection == Connection::"orders" || true }'), /resources of orders alone/],
    [
      'on any but its own',
      reveal(' unless { context.connection == Connection::"orders" }'),
      /resources of orders alone/,
    ],
  ])('%s', (_what, policy, says) => {
    const problem = tighterProblem(policy, access, [])
    if (says === undefined) expect(problem).toBeUndefined()
    else expect(problem).toMatch(says)
  })
})

it('is bounded', () => {
  const access = row({ kind: 'access', agent: 'i#bot', name: 'bot', connection: 'orders' })
  expect(tighterProblem(`// ${'x'.repeat(70_000)}`, access, [])).toMatch(/longer than 64000/)
})
