import type { Grant } from '@countersign/contract/access'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stopwatch } from '../access/testing/stopwatch.ts'
import { agentRef } from '../identity/principal.ts'
import { bot } from '../policy/testing/policies.ts'
import type { GrantQuery } from './grants.ts'
import { newGrantRow } from './rows.ts'
import { other, read, type World, world, write } from './testing/grants.ts'

const many = 10_000
let w: World
let held: Grant
beforeAll(async () => {
  w = await world()
  const base = Date.parse('2026-01-01T00:00:00.000Z')
  const states = ['expired', 'expired', 'expired', 'revoked', 'denied'] as const
  const rows = Array.from({ length: many }, (_, i) => {
    const agent = { ...agentRef(bot), id: `https://idp.example.com#agent-${i % 1000}`, name: `Agent ${i % 1000}` }
    const asked = { ...read(), connection: `conn-${i % 50}`, seconds: 1800, purpose: `ticket ${i}` }
    const by = { kind: 'agent' as const, id: agent.id, name: agent.name }
    // Some at the very same time: the id decides then.
    const at = new Date(base + Math.floor(i / 3) * 1000)
    const id = `gr_${String(i).padStart(16, '0')}`
    return { ...newGrantRow(id, asked, { identity: agent, tags: ['x'], by, at }), state: states[i % 5]! }
  })
  await w.approvals.store.db.transaction().execute(async (tx) => {
    for (let i = 0; i < rows.length; i += 1000)
      await tx
        .insertInto('grants')
        .values(rows.slice(i, i + 1000))
        .execute()
  })
  held = (await w.grants.request(bot, write())).grant
})
afterAll(() => w?.[Symbol.asyncDispose]())

const list = (query: Partial<GrantQuery> = {}) => w.grants.list({ scope: { see: 'all' }, limit: 100, ...query })

describe('of 10,000 grants', () => {
  test('pages go through all of them, each once, newest first', async () => {
    const seen: Grant[] = []
    let after: string | undefined
    do {
      const page = await list({ limit: 1700, after })
      seen.push(...page.items)
      after = page.next ?? undefined
    } while (after !== undefined)
    expect(new Set(seen.map(({ id }) => id)).size).toBe(many + 1)
    const order = seen.map(({ requestedAt, id }) => `${requestedAt} ${id}`)
    expect(order).toEqual([...order].sort().reverse())
  })

  test('one page can have all', async () => {
    expect((await list({ limit: 10_000 })).items).toHaveLength(10_000)
  })

  test.each<[string, Partial<GrantQuery>, number]>([
    ['a state', { state: 'denied' }, 2000],
    ['an agent', { agent: 'https://idp.example.com#agent-7' }, 10],
    ['a connection', { connection: 'conn-3' }, 200],
    ['a connection and a state', { connection: 'conn-3', state: 'revoked' }, 200],
    ['a plan', { plan: 'pl_none' }, 0],
    ['words', { text: 'TICKET 1234' }, 1],
    ['words anywhere, also within others', { text: 'agent-77 conn-27' }, 20],
    ['what looks like a pattern', { text: '%_%' }, 0],
    ['an agent’s own', { scope: { see: 'own', agent: bot.id } }, 1],
    ['an agent’s own, and another one asked for', { scope: { see: 'own', agent: bot.id }, agent: other.id }, 0],
    ['those that a group decides', { scope: { see: 'groups', groups: ['oncall-dba'], person: 'nobody' } }, 1],
    ['… and another group doesn’t', { scope: { see: 'groups', groups: ['sre'], person: 'nobody' } }, 0],
    ['… but somebody has asked for', { scope: { see: 'groups', groups: [], person: bot.id } }, 1],
  ])('it finds those of %s, at once', async (_what, query, expected) => {
    await list(query)
    const took = stopwatch()
    const found = await list(query)
    const ms = took()
    expect(found.items.length).toBe(Math.min(expected, 100))
    // A bound for a busy machine; alone it takes a few milliseconds.
    expect(ms).toBeLessThan(500)
    if (query.scope) for (const one of found.items) expect(one.id).toBe(held.id)
  })

  test.each([
    '',
    'x',
    Buffer.from('2026 gr_1').toString('base64url').slice(1),
    Buffer.from('a b c').toString('base64url'),
  ])('a cursor that no list gave out (%j) is refused', async (after) => {
    await expect(list({ after })).rejects.toThrow(/not one that a list gave out/)
  })
})

describe('of grants that are as large as they may be', () => {
  let large: World
  beforeAll(async () => {
    large = await world()
    const resources = Array.from({ length: 34 }, (_, i) => `orders/${'"'.repeat(450)}${i}`)
    for (let i = 0; i < 150; i++) {
      const { grant } = await large.grants.request(bot, read({ resources }))
      await large.grants.revoke(grant.id, bot, '')
    }
  })
  afterAll(() => large?.[Symbol.asyncDispose]())

  test('an agent reads small pages, and through all of them', async () => {
    const seen: Grant[] = []
    let after: string | undefined
    do {
      const page = await large.grants.list({ scope: { see: 'own', agent: bot.id }, limit: 10_000, after })
      expect(JSON.stringify(page.items).length).toBeLessThan(2.1 * 1024 ** 2)
      seen.push(...page.items)
      after = page.next ?? undefined
    } while (after !== undefined)
    expect(new Set(seen.map(({ id }) => id)).size).toBe(150)
  })
})
