import { FoundCommands } from '@countersign/contract/evidence'
import type { NewRecordingEvent } from '@countersign/contract/recording'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LiveSession } from '../sessions/session.ts'
import { type Caller, startWorld, type World } from './testing/world.ts'

let world: World
let held: LiveSession
let other: LiveSession
beforeAll(async () => {
  world = await startWorld()
  held = await world.session('agent')
  other = await world.session('other-agent')
  await world.hold(held, ['oncall-dba'])
  await world.hold(other, ['sre'])
  for (const [session, table] of [
    [held, 'public.customers'],
    [other, 'public.orders'],
  ] as const) {
    session.recorder.append(command('c1', `select * from ${table}`, table))
    session.recorder.append({
      ...{ type: 'rows', command: 'c1', columns: [{ name: 'mail', type: 25 }] },
      rows: [[`${session.agent.subject}@example.com`]],
    })
    session.recorder.append({ type: 'result', command: 'c1', status: 'completed', rows: 1, ms: 1 })
    session.recorder.append(command('c2', `delete from ${table}`, table, 'deny'))
  }
})
afterAll(() => world[Symbol.asyncDispose]())

function command(id: string, text: string, table: string, outcome: 'allow' | 'deny' = 'allow'): NewRecordingEvent {
  const kind = text.split(' ')[0]!
  const resource = { type: 'Table', id: `orders/${table}` }
  return {
    ...{ type: 'command', command: id, text, parameters: [], kind, digest: 'sha256:00' },
    effects: [{ action: outcome === 'deny' ? 'sql:write' : 'sql:read', resource, kind, bounded: true }],
    verdict: { outcome, policies: ['p'] },
  }
}

const ask = async (query: Record<string, string>, as: Caller) => {
  const response = await world.call(`/v1/commands?${new URLSearchParams(query)}`, as)
  return { status: response.status, body: await response.json() }
}
const textsFor = async (query: Record<string, string>, as: Caller = 'rae') => {
  const { status, body } = await ask(query, as)
  expect(status).toBe(200)
  return FoundCommands.parse(body)
    .items.map(({ text }) => text)
    .toSorted()
}

describe('GET /v1/commands', () => {
  it('tells all of a command that was recorded just now', async () => {
    const { body } = await ask({ text: 'customers', verdict: 'allow' }, 'aud')
    expect(FoundCommands.parse(body)).toEqual({
      items: [
        {
          ...{ session: held.id, seq: 1, t: expect.any(Number), at: expect.stringMatching(/Z$/), count: 1 },
          ...{ connection: 'orders', agent: held.agent.id, agentName: 'agent', kind: 'select', verdict: 'allow' },
          ...{ tables: ['public.customers'], text: 'select * from public.customers', found: 'command' },
        },
      ],
      next: null,
    })
  })

  it.each<[Record<string, string>, string[]]>([
    [{ text: 'delete' }, ['delete from public.customers', 'delete from public.orders']],
    [{ text: 'other-agent@example.com' }, ['select * from public.orders']],
    [{ table: 'public.orders' }, ['delete from public.orders', 'select * from public.orders']],
    [{ table: 'customers', verdict: 'deny' }, ['delete from public.customers']],
    [{ connection: 'nowhere' }, []],
    [{ text: '\'; drop table x; --"' }, []],
    [{ text: '***' }, []],
    [{ from: '2100-01-01T00:00:00Z' }, []],
    [{ to: '2020-01-01T00:00:00Z' }, []],
  ])('by %j', async (query, expected) => {
    expect(await textsFor(query)).toEqual(expected)
  })

  it('by agent and session', async () => {
    expect(await textsFor({ agent: held.agent.id, text: 'select' })).toEqual(['select * from public.customers'])
    expect(await textsFor({ session: other.id, text: 'select' })).toEqual(['select * from public.orders'])
  })

  it('shows approvers the sessions in which something was held for them, and no others', async () => {
    const customers = ['delete from public.customers', 'select * from public.customers']
    expect(await textsFor({}, 'ada')).toEqual(customers)
    expect(await textsFor({ text: 'public.orders' }, 'ada')).toEqual([])
    expect(await textsFor({ text: 'public.orders' }, 'sam')).toHaveLength(2)
    expect(await textsFor({}, 'both')).toHaveLength(4)
  })

  it('goes on where a page ended', async () => {
    const seen: string[] = []
    let after: string | undefined
    do {
      const { body } = await ask({ limit: '1', ...(after !== undefined && { after }) }, 'max')
      const page = FoundCommands.parse(body)
      seen.push(...page.items.map(({ session, seq }) => `${session} ${seq}`))
      after = page.next ?? undefined
    } while (after !== undefined)
    expect(new Set(seen).size).toBe(4)
    expect(seen).toHaveLength(4)
  })

  it.each<[Record<string, string>, Caller, number]>([
    [{ after: '!' }, 'rae', 400],
    [{ after: 'ffffffffffff' }, 'rae', 400],
    [{ verdict: 'perhaps' }, 'rae', 400],
    [{ from: 'yesterday' }, 'rae', 400],
    [{ limit: '0' }, 'rae', 400],
    [{ text: 'x'.repeat(1001) }, 'rae', 400],
    [{}, 'agent', 403],
    [{}, 'nobody', 403],
  ])('refuses %j of %s: %i', async (query, as, status) => {
    expect((await ask(query, as)).status).toBe(status)
  })
})
