import { expect, test } from 'vitest'
import type { AgentEntry } from './agent-entry.ts'
import { createKeySignIn } from './key-sign-in.ts'

const HOUR = 3_600_000
const now = Date.parse('2026-11-22T12:00:00Z')
const identity = { id: 'i#a', issuer: 'i', subject: 'a', name: 'A', groups: ['ci'] }
const entry: AgentEntry = {
  ...{ id: 'i#a', issuer: 'i', subject: 'a', identity, keys: [], declared: true, actsFor: ['person'], chain: [] },
  lastSeenAt: new Date(now - HOUR).toISOString(),
}
const { identity: _, ...unseen } = entry

test.each<[string, AgentEntry | undefined, object | undefined]>([
  ['nobody’s', undefined, undefined],
  ['an agent’s that came lately', entry, { kind: 'agent', ...identity, key: 'k', expiresAt: new Date(now + HOUR) }],
  [
    'one’s that came too long ago',
    { ...entry, lastSeenAt: new Date(now - 2 * HOUR).toISOString() },
    { refused: 'the key’s agent has not come with a token lately' },
  ],
  [
    'one’s that never came',
    unseen,
    { refused: 'the key’s agent has never come with a token: its groups are not known' },
  ],
  [
    'one’s of an issuer that is gone',
    { ...entry, issuer: 'j' },
    { refused: 'the issuer of the key’s agent is not trusted' },
  ],
])('a key that is %s', (_, known, expected) => {
  const registry = { agentOfKey: () => known?.id, entry: () => known }
  const keys = createKeySignIn({
    registry,
    trusts: (one) => one === 'i',
    tokenWithin: () => 2 * HOUR,
    clock: () => now,
  })
  expect(keys.agentOf('k')).toEqual(expected)
  expect(keys.knows('k')).toBe(known !== undefined)
})
