import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Anomaly } from '@countersign/contract/review'
import { describe, expect, test } from 'vitest'
import type { Effect } from '../../gate/command.ts'
import { bot, onTable, orders } from '../../policy/testing/policies.ts'
import { type Done, observedOf, recordedOf, window } from '../recommend/testing/observing.ts'
import { ObserveFailed, observe } from './observe.ts'
import { ruleKey, seedIn } from './observed.ts'
import { Observing } from './observing.ts'

const from = Date.parse(window.from)
const DAY = 86_400_000
const read = onTable('sql:read', 'customers', { kind: 'select' })
const at = (day: number, hour = 10, minute = 0) =>
  new Date(from + day * DAY + hour * 3_600_000 + minute * 60_000).toISOString()
const done = (when: string, effect: Effect | Effect[] = read, more: Partial<Done> = {}): Done => ({
  agent: bot,
  connection: orders,
  effects: [effect].flat(),
  verdict: { outcome: 'allow', policies: ['p'] },
  at: when,
  ...more,
})
const denied: Partial<Done> = { verdict: { outcome: 'deny', policies: [], reason: 'no policy permits it' } }
const whose = { agent: bot, connection: orders }
/** So many commands a day at ten, day after day. */
const daily = (days: number, each = 1) =>
  Array.from({ length: days * each }, (_, i) => done(at(Math.floor(i / each), 10, i % each)))
const observing = (more: Partial<ConstructorParameters<typeof Observing>[0]> = {}) =>
  new Observing({ ...window, since: window.from, rulesOf: () => [], ...more })

describe('uses', () => {
  test('are counted once a command, by verb, with what ran, what was held and what was refused', () => {
    const wide = onTable('sql:write', 'customers', { kind: 'delete', bounded: false })
    const narrow = onTable('sql:write', 'customers', { kind: 'delete', bounded: true, functions: ['now'] })
    const seen = observedOf(
      [
        done(at(1), [read, read, wide, narrow]),
        done(at(2), narrow, { verdict: { outcome: 'hold', policies: ['h'] } }),
        done(at(3), wide, { verdict: { outcome: 'hold', policies: [], reason: 'no' } }),
        done(at(4), wide, denied),
        done(at(5), read, { verdict: { outcome: 'allow', policies: [], observed: true, reason: 'deny: no' } }),
      ],
      whose,
    )!
    expect(seen).toMatchObject({
      commands: 5,
      allowed: 2,
      held: 2,
      denied: 1,
      observed: 1,
      firstAt: at(1),
      lastAt: at(5),
    })
    expect(seen.used).toEqual([
      {
        ...{
          connection: 'orders',
          action: 'sql:write',
          type: 'Table',
          resource: 'orders/public.customers',
          kind: 'delete',
        },
        ...{
          allowed: 1,
          held: 2,
          approved: 1,
          denied: 1,
          unbounded: 1,
          firstAt: at(1),
          lastAt: at(4),
          functions: ['now'],
        },
      },
      {
        ...{
          connection: 'orders',
          action: 'sql:read',
          type: 'Table',
          resource: 'orders/public.customers',
          kind: 'select',
        },
        ...{ allowed: 2, held: 0, denied: 0, unbounded: 0, firstAt: at(1), lastAt: at(5) },
      },
    ])
    expect(seen.days[1]).toEqual({ day: at(2).slice(0, 10), allowed: 0, held: 1, denied: 0 })
    expect(seen.refused.map(({ why }) => why)).toEqual([
      'let run, since it is only observed: deny: no',
      'denied: no policy permits it',
    ])
    expect(seen.heldCommands.map(({ why }) => why).sort()).toEqual([
      'held, and let run by people',
      'held, and not run: no',
    ])
  })

  test('in numbers cost bounded memory, and are told to be folded', () => {
    const many = Array.from({ length: 5000 }, (_, i) => done(at(1), onTable('sql:read', `t${i}`, { kind: 'select' })))
    const seen = observedOf(many, whose)!
    expect(seen.used).toHaveLength(2001)
    expect(seen.used[0]).toMatchObject({ type: 'Table*', resource: 'orders/public.', allowed: 3000 })
    expect(seen.folded).toBe(3000)
    const few = observedOf(many, whose, { uses: 10, samples: 0 })!
    expect(few.used).toHaveLength(11)
  })

  test('that were refused are shown by what they have in common', () => {
    const seen = observedOf(
      Array.from({ length: 300 }, (_, i) => done(at(1, 10, i), onTable('sql:read', `t${i % 30}`), denied)),
      whose,
    )!
    expect(seen.refused).toHaveLength(20)
    expect(seen.refused[0]!.why).toMatch(/^denied: no policy permits it; 10 like it$/)
  })
})

describe('what is unlike the agent’s own past', () => {
  const kinds = (history: Done[], since = window.from) => {
    const all = observing({ since })
    for (const recorded of recordedOf(history)) all.add(recorded)
    return [...all.result().access.values()][0]!.anomalies
  }
  const other = onTable('sql:read', 'payments', { kind: 'select' })
  const truncate = onTable('sql:write', 'customers', { kind: 'truncate', bounded: false })
  const burst = Array.from({ length: 300 }, (_, i) => done(at(30, 10, i % 60)))
  test.each<[string, Done[], Partial<Anomaly>[]]>([
    ['nothing of it', daily(40, 10), []],
    ['its first command late', [done(at(85))], [{ kind: 'first-time', at: at(85) }]],
    [
      'another table after a month',
      [...daily(30), done(at(31), other)],
      [{ kind: 'new-table', text: 'sql:read (select) on orders/public.payments for the first time', at: at(31) }],
    ],
    ['another table on the first day', [...daily(1, 30), done(at(0, 11), other)], []],
    ['another table, refused', [...daily(30), done(at(31), other, denied)], []],
    [
      'by night',
      [...daily(30, 10), done(at(31, 3))],
      [{ kind: 'new-hour', text: expect.stringContaining('03 o’clock') }],
    ],
    ['an hour later than ever', [...daily(30, 10), done(at(31, 11))], []],
    ['by night, of few commands', [...daily(10), done(at(11, 3))], []],
    [
      'every row',
      [done(at(1), truncate)],
      [{ kind: 'unbounded', text: 'truncate of every row of orders/public.customers' }],
    ],
    ['every row, refused', [done(at(1), truncate, denied)], []],
    [
      'very many at once',
      [...daily(30), ...burst],
      [{ kind: 'burst', text: expect.stringContaining('300 commands within an hour') }],
    ],
    ['many at once, as ever', daily(30, 59), []],
    [
      'mostly refused',
      [...daily(10), ...daily(10).map((one) => ({ ...one, ...denied }))],
      [{ kind: 'refused-often', text: '10 of its 20 commands were denied' }],
    ],
    ['refused now and then', [...daily(80), ...daily(9).map((one) => ({ ...one, ...denied }))], []],
  ])('%s', (_, history, expected) => {
    expect(kinds(history)).toEqual(expected.map((one) => expect.objectContaining(one)))
    expect(kinds(history)).toEqual(kinds(history))
  })
  test('is not its first command where nothing is recorded of before', () => {
    expect(kinds([done(at(85))], at(80))).toEqual([])
  })
  test('is told five times of a kind, with how many more there are', () => {
    const found = kinds(Array.from({ length: 9 }, (_, i) => done(at(i), truncate)))
    expect(found).toHaveLength(6)
    expect(found.at(-1)!.text).toBe('and 4 more of this kind before')
  })
})

test('commands of a rule are drawn by a seed that everybody can make, in whatever order they come', () => {
  const all = [...recordedOf(daily(60))]
  const drawn = (commands: typeof all) => {
    const one = observing({ rulesOf: () => ['ask'] })
    for (const recorded of commands) one.add(recorded)
    return one.result().rules.get(ruleKey('ask', 'orders'))!
  }
  const seed = createHash('sha256')
    .update(JSON.stringify([window.from, window.to, 'ask', 'orders']))
    .digest('hex')
    .slice(0, 16)
  const rank = ({ session, command }: { session: string; command: string }) =>
    createHash('sha256').update(`${seed}\u0000${session}\u0000${command}`).digest('hex')
  const found = drawn(all)
  expect(found).toMatchObject({ of: 60, seed })
  expect(seedIn(window, 'ask', 'orders')).toBe(seed)
  const lowest = all
    .map(({ session, command }) => ({ session: session.id, command }))
    .sort((a, b) => (rank(a) < rank(b) ? -1 : 1))
  expect(new Set(found.commands.map(({ command }) => command))).toEqual(
    new Set(lowest.slice(0, 20).map(({ command }) => command)),
  )
  expect(drawn(all.toReversed())).toEqual(found)
})

test.each([
  ['nothing is recorded', { since: undefined }, 0, /Nothing is recorded yet/],
  ['it is recorded for a week', { since: at(80) }, 0, /recorded since 2026-10-20/],
  ['some of it was erased', {}, 3, /3 commands of the window can’t be read/],
])('where %s, coverage says so', (_, more, unreadable, note) => {
  const one = observing(more)
  one.unreadable(unreadable)
  const { coverage } = one.result()
  expect(coverage).toMatchObject({ commands: 0, unreadable })
  expect(coverage.notes.join()).toMatch(note)
})

describe('the thread', () => {
  test('that can’t read the ledger says so', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-observe-'))
    await expect(observe(window, { folder, rules: [] })).rejects.toThrow(ObserveFailed)
    rmSync(folder, { recursive: true })
  })
  test('is ended by its signal, before it began or after', async () => {
    const stop = new AbortController()
    const going = observe({ ...window, signal: stop.signal }, { folder: '/nowhere', rules: [] })
    stop.abort(new Error('the gateway is stopping'))
    await expect(going).rejects.toThrow('the gateway is stopping')
    await expect(observe({ ...window, signal: stop.signal }, { folder: '/nowhere', rules: [] })).rejects.toThrow(
      'stopping',
    )
  })
})
