import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LedgerLog } from './log.ts'
import { MOST_RESOURCES } from './use.ts'
import { openUsed } from './used.ts'

let folder: string
let log: LedgerLog
const open = async () => (await LedgerLog.open({ folder, origin: 'gw.test/ledger', crypto: nodeCrypto })).log
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'use-'))
  log = await open()
})
afterEach(() => {
  log.close()
  rmSync(folder, { recursive: true, force: true })
})

interface Commanded {
  session: string
  at: string
  outcome: 'allow' | 'hold' | 'deny'
  effects: { action: string; type: string; id: string }[]
}
const agentOf = (session: string) => `https://idp#${session.slice(0, 1)}`
const connectionOf = (session: string) => (session.charCodeAt(1) % 2 === 0 ? 'orders' : 'files')
const opened = (session: string, at: string) =>
  log.add({
    at,
    type: 'session.opened',
    session,
    payload: { session, connection: connectionOf(session), agent: { id: agentOf(session) } },
  })
const closed = (session: string, at: string) =>
  log.add({ at, type: 'session.closed', session, payload: { session, state: 'closed' } })
const command = ({ session, at, outcome, effects }: Commanded) =>
  log.add({
    at,
    type: 'command',
    session,
    payload: {
      session,
      effects: effects.map(({ action, type, id }) => ({ action, resource: { type, id } })),
      verdict: { outcome, policies: [] },
    },
  })
const table = (id: string, action = 'sql:read') => ({ action, type: 'Table', id: `orders/public.${id}` })
const rows = <T>(sql: string): T[] => {
  const database = new Database(join(folder, 'entries.sqlite'), { readonly: true })
  try {
    return database.prepare(sql).all() as T[]
  } finally {
    database.close()
  }
}
const days = () =>
  rows<Record<string, unknown>>(
    'select agent, day, connection, action, resource, type, allowed, held, denied, first_at, last_at from use_days order by 1, 2, 3, 4, 5, 6',
  )
const T = (day: number, minute = 0) => new Date(Date.UTC(2026, 10, day, 12, minute)).toISOString()

describe('use', () => {
  it('is counted by day, by each pair of action and resource of a command once', async () => {
    opened('aa', T(1))
    command({
      session: 'aa',
      at: T(1, 1),
      outcome: 'allow',
      effects: [table('x'), table('x'), table('y', 'sql:write')],
    })
    command({ session: 'aa', at: T(1, 5), outcome: 'deny', effects: [table('x')] })
    command({ session: 'aa', at: T(2, 1), outcome: 'hold', effects: [table('x')] })
    log.commit()
    expect(days()).toMatchObject([
      {
        day: '2026-11-01',
        action: 'sql:read',
        resource: 'orders/public.x',
        allowed: 1,
        held: 0,
        denied: 1,
        first_at: T(1, 1),
        last_at: T(1, 5),
      },
      { day: '2026-11-01', action: 'sql:write', resource: 'orders/public.y', allowed: 1, held: 0, denied: 0 },
      { day: '2026-11-02', action: 'sql:read', resource: 'orders/public.x', allowed: 0, held: 1, denied: 0 },
    ])
    using used = openUsed(folder)
    expect(used.of(agentOf('aa'), '2026-11-02', 10)).toMatchObject([
      { resource: 'orders/public.x', held: 1, denied: 0, allowed: 0 },
    ])
    expect(used.of(agentOf('aa'), '2026-11-01', 1)).toMatchObject([
      { resource: 'orders/public.x', allowed: 1, held: 1, denied: 1, firstAt: T(1, 1), lastAt: T(2, 1) },
    ])
    expect(used.connections([agentOf('aa')])).toEqual(
      new Map([[agentOf('aa'), [{ connection: 'files', sessions: 1, lastUsedAt: T(2, 1) }]]]),
    )
    expect(used.connections(['nobody'])).toEqual(new Map())
  })

  it('of a command that was not committed is not counted, and is once it comes again', async () => {
    opened('aa', T(1))
    log.commit()
    command({ session: 'aa', at: T(1, 1), outcome: 'allow', effects: [table('x')] })
    log.close()
    log = await open()
    expect(days()).toEqual([])
    command({ session: 'aa', at: T(1, 1), outcome: 'allow', effects: [table('x')] })
    log.commit()
    expect(days()).toMatchObject([{ allowed: 1 }])
  })

  it('of many resources is told apart up to a bound; the rest counts as the connection', () => {
    opened('ab', T(1))
    for (let n = 0; n < MOST_RESOURCES + 100; n++) {
      command({ session: 'ab', at: T(1, 1), outcome: 'allow', effects: [table(`t${n}`)] })
      if (n % 70 === 0) log.commit()
    }
    // One that has a line of its own keeps it.
    command({ session: 'ab', at: T(1, 2), outcome: 'allow', effects: [table('t0'), table('t599')] })
    log.commit()
    expect(days()).toHaveLength(MOST_RESOURCES + 1)
    expect(days().filter(({ type }) => type === 'Connection')).toMatchObject([{ resource: 'orders', allowed: 101 }])
    expect(days().filter(({ resource }) => resource === 'orders/public.t0')).toMatchObject([{ allowed: 2 }])
  })

  it('goes with the entries that retention erases, down to the last name', async () => {
    opened('ab', T(1))
    for (let n = 0; n < MOST_RESOURCES + 50; n++)
      command({ session: 'ab', at: T(1, 1), outcome: 'allow', effects: [table(`t${n}`)] })
    closed('ab', T(1, 2))
    const end = log.add({ at: T(1, 2), type: 'gateway.stopped', payload: { reason: 'x' } })
    opened('ad', T(1, 3))
    command({ session: 'ad', at: T(1, 4), outcome: 'deny', effects: [table('t0'), table(`t${MOST_RESOURCES + 1}`)] })
    log.commit()
    log.erase({ run: 'rt', rule: 'x', by: { kind: 'gateway' }, entries: [[0, end - 1]], recordings: [] })
    expect(days()).toMatchObject([
      // It was counted as the connection while there was no room, and is taken off from there, not from another.
      { type: 'Connection', denied: 1, allowed: 0 },
      { resource: 'orders/public.t0', denied: 1, allowed: 0 },
    ])
    expect(rows('select * from use_names')).toHaveLength(1)
    expect(rows('select session from use_sessions')).toEqual([{ session: 'ad' }])
    log.erase({ run: 'rt2', rule: 'x', by: { kind: 'gateway' }, entries: [[end + 1, log.size - 2]], recordings: [] })
    expect(days()).toEqual([])
    expect(rows('select * from use_names')).toEqual([])
  })

  it('of a log of before is counted bit by bit, and can be counted anew', async () => {
    opened('aa', T(1))
    for (let n = 0; n < 2500; n++)
      command({ session: 'aa', at: T(1, n % 60), outcome: 'allow', effects: [table(`t${n % 7}`)] })
    log.commit()
    const before = days()
    log.close()
    const database = new Database(join(folder, 'entries.sqlite'))
    for (const name of ['days', 'names', 'sessions', 'connections']) database.exec(`drop table use_${name}`)
    database.exec("delete from meta where name = 'use.next'")
    database.close()
    log = await open()
    expect(days()).toEqual([])
    // What comes meanwhile waits for its turn.
    command({ session: 'aa', at: T(2), outcome: 'allow', effects: [table('t0')] })
    log.commit()
    expect(days()).toEqual([])
    expect([log.countUse(), log.countUse(), log.countUse()]).toEqual([true, true, false])
    expect(days()).toEqual([...before, expect.objectContaining({ day: '2026-11-02', allowed: 1 })])
    const whole = days()
    log.recountUse()
    while (log.countUse());
    expect(days()).toEqual(whole)
  })

  it.each([
    ['no effects', { session: 'aa', verdict: { outcome: 'allow' } }],
    ['effects that are none', { session: 'aa', effects: [null, 1, {}], verdict: { outcome: 'allow' } }],
    ['no verdict', { session: 'aa', effects: [{ action: 'a', resource: { type: 'T', id: 'x' } }] }],
    ['a verdict that nobody knows', { session: 'aa', effects: [{ action: 'a' }], verdict: { outcome: 'perhaps' } }],
    ['names without an end', { session: 'aa', effects: [{ action: 'x'.repeat(9999) }], verdict: { outcome: 'allow' } }],
  ])('of an entry with %s holds nobody up', (_what, payload) => {
    opened('aa', T(1))
    log.add({ at: T(1), type: 'command', session: 'aa', payload })
    log.add({ at: T(1), type: 'command', session: 'nobody opened it', payload })
    log.commit()
    expect(log.size).toBe(3)
  })
})

it('is what a count of all entries that are left says, whatever was erased, and wherever it was ended', async () => {
  const sessions = ['aa', 'ab', 'ba', 'bb', 'bc']
  const effect = fc.record({
    action: fc.constantFrom('sql:read', 'sql:write'),
    type: fc.constantFrom('Table', 'Routine', 'Connection'),
    id: fc.constantFrom('orders/public.a', 'orders/public.b', 'orders'),
  })
  const step = fc.oneof(
    {
      weight: 10,
      arbitrary: fc.record({
        do: fc.constant('command' as const),
        session: fc.constantFrom(...sessions),
        minute: fc.integer({ min: 0, max: 3000 }),
        outcome: fc.constantFrom('allow' as const, 'hold' as const, 'deny' as const),
        effects: fc.array(effect, { maxLength: 3 }),
      }),
    },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('commit' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('end' as const) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('erase' as const),
        from: fc.integer({ min: 0, max: 40 }),
        length: fc.integer({ min: 0, max: 30 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('recount' as const) }) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      log.close()
      rmSync(folder, { recursive: true, force: true })
      folder = mkdtempSync(join(tmpdir(), 'use-'))
      log = await open()
      for (const session of sessions) opened(session, T(1))
      log.commit()
      for (const one of steps) {
        if (one.do === 'command') command({ ...one, at: new Date(Date.UTC(2026, 10, 1, 0, one.minute)).toISOString() })
        else if (one.do === 'commit') log.commit()
        else if (one.do === 'end') {
          log.close()
          log = await open()
        } else if (one.do === 'recount') {
          log.recountUse()
          log.countUse()
        } else {
          log.commit()
          // Never what says whose a session is.
          const first = Math.min(one.from + sessions.length, log.size - 1)
          const last = Math.min(first + one.length, log.size - 1)
          if (first >= sessions.length)
            log.erase({ run: 'rt', rule: 'x', by: { kind: 'gateway' }, entries: [[first, last]], recordings: [] })
        }
      }
      log.commit()
      while (log.countUse());
      const counted = days()
      const left = rows<{ at: string; session: string; payload: Uint8Array }>(
        "select at, session, payload from entries where type = 'command' and payload is not null order by n",
      )
      const expected = new Map<string, { allow: number; hold: number; deny: number }>()
      for (const { at, session, payload } of left) {
        const { effects, verdict } = JSON.parse(Buffer.from(payload).toString()) as {
          effects: { action: string; resource: { type: string; id: string } }[]
          verdict: { outcome: 'allow' | 'hold' | 'deny' }
        }
        for (const key of new Set(
          effects.map(({ action, resource }) =>
            JSON.stringify([
              agentOf(session),
              at.slice(0, 10),
              connectionOf(session),
              action,
              resource.id,
              resource.type,
            ]),
          ),
        )) {
          const sums = expected.get(key) ?? { allow: 0, hold: 0, deny: 0 }
          sums[verdict.outcome]++
          expected.set(key, sums)
        }
      }
      const is = new Map(
        counted.map((row) => [
          JSON.stringify([row.agent, row.day, row.connection, row.action, row.resource, row.type]),
          { allow: row.allowed, hold: row.held, deny: row.denied },
        ]),
      )
      expect([...is].sort()).toEqual([...expected].sort())
    }),
    { numRuns: 60, seed: 20261121 },
  )
}, 120_000)
