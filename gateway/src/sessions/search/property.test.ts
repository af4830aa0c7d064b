import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CommandQuery, FoundCommand } from '@countersign/contract/evidence'
import type { NewRecordingEvent } from '@countersign/contract/recording'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { searchFile } from './database.ts'
import { createSearch, type Search } from './search.ts'
import { SearchIndex } from './search-index.ts'
import { commandOf, give, headerOf, linesOf, type Recorded } from './testing/recordings.ts'
import { scan } from './testing/scan.ts'

const log = { info() {}, warn() {}, error() {} }
const agents = ['ci', 'tidier', 'reporter']
const connections = ['orders', 'billing']
const tables = ['public.customers', 'public.orders', 'billing.invoices']
const words =
  'select delete from customers public.customers public.cust cust cu c ada@example.com ada example.com 2026-11-21 2026-11 17 171 a.b a.b.c o.id id where'.split(
    ' ',
  )
const pick = <T>(all: readonly T[]) => fc.constantFrom(...all)
const question = fc.array(pick(words), { minLength: 1, maxLength: 2 }).map((all) => all.join(' '))
/** Few, so that they come again and again. */
const text = pick([
  'select id from customers',
  'select o.id from public.customers where id = 17',
  'delete from orders where id = 171',
  "select * from customers where mail = 'ada@example.com'",
  'select a.b.c from cust',
  'where 2026-11-21',
])
const verdict = pick(['allow', 'allow', 'deny', 'hold'] as const)

/** One command with what comes of it; `held` ones stand twice. */
const step = fc
  .record({
    ...{ text, verdict, gap: fc.integer({ min: 0, max: 600_000_000 }), tables: fc.subarray([...tables]) },
    parameters: fc.array(pick(words), { maxLength: 1 }),
    rows: fc.array(fc.array(fc.option(pick(words)), { maxLength: 2 }), { maxLength: 2 }),
    ends: fc.constantFrom('well', 'badly', 'late', 'never'),
  })
  .map((one) => one)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

const recording = fc.record({
  agent: pick(agents),
  connection: pick(connections),
  start: fc.integer({ min: 0, max: 1_200_000 }),
  steps: fc.array(step, { minLength: 3, maxLength: 20, size: 'max' }),
  ended: fc.boolean(),
})
/** Mostly few filters, so that something is left. */
const seldom = <T>(value: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value })
const query = fc
  .record({
    text: fc.oneof({ weight: 1, arbitrary: fc.constant(undefined) }, { weight: 2, arbitrary: question }),
    session: seldom(pick(['se_a', 'se_b', 'se_zz'])),
    agent: seldom(pick([...agents.map((name) => `https://idp#${name}`), 'https://idp#nobody'])),
    connection: seldom(pick([...connections, 'none'])),
    verdict: seldom(pick(['allow', 'deny', 'hold'] as const)),
    table: seldom(pick([...tables, 'public.none'])),
    from: seldom(fc.integer({ min: 0, max: 3_600_000 })),
    to: seldom(fc.integer({ min: 0, max: 3_600_000 })),
    limit: fc.integer({ min: 2, max: 9 }),
    scope: seldom(fc.subarray(['se_a', 'se_b', 'se_c', 'se_d', 'se_e'])),
  })
  .map((all) => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as unknown as Asked)
interface Asked extends Omit<CommandQuery, 'from' | 'to'> {
  from?: number
  to?: number
  limit: number
  scope?: string[]
}
const day = Date.parse('2026-11-20T00:00:00.000Z')

function recordedOf(session: string, made: typeof recording extends fc.Arbitrary<infer R> ? R : never): Recorded {
  const header = headerOf(session, {
    agentName: made.agent,
    connection: made.connection,
    startedAt: new Date(day + made.start).toISOString(),
  })
  const events: Recorded['events'] = []
  const late: NewRecordingEvent[] = []
  let micros = 0
  for (const [i, one] of made.steps.entries()) {
    micros += one.gap
    const t = micros / 1000
    for (const event of eventsOf(`c${i}`, one))
      if (event.type !== 'command' && one.ends === 'late') late.push(event)
      else events.push({ t, event })
  }
  const t = micros / 1000
  for (const event of late) events.push({ t, event })
  if (made.ended) events.push({ t, event: { type: 'end', state: 'closed', reason: 'done' } })
  return { header, events }
}

function eventsOf(command: string, { text, verdict, tables, parameters, rows, ends }: Step): NewRecordingEvent[] {
  const told = commandOf(command, text, { tables, parameters, verdict: { outcome: verdict, policies: [] } })
  if (ends === 'never') return [told]
  const again = verdict === 'hold' ? [{ ...told, verdict: { outcome: 'allow' as const, policies: [] } }] : []
  if (ends === 'badly')
    return [
      told,
      ...again,
      { type: 'result', command, status: 'failed', sqlstate: '42P01', message: `no ${text}`, ms: 1 },
    ]
  const columns = [{ name: 'a', type: 25 }]
  return [
    told,
    ...again,
    { type: 'rows', command, columns, rows },
    { type: 'result', command, status: 'completed', ms: 1 },
  ]
}

function everyPage(search: Search, asked: Parameters<Search['commands']>[0]): FoundCommand[] {
  const all: FoundCommand[] = []
  let after: string | undefined
  for (let pages = 0; pages < 500; pages++) {
    const { items, next } = search.commands({ ...asked, ...(after !== undefined && { after }) })
    all.push(...items)
    if (next === null) return all
    after = next
  }
  throw new Error('there is no end to the pages')
}

/** By what tells one from another: equal times have no order. */
const sorted = (all: FoundCommand[]) =>
  all.toSorted((a, b) => Date.parse(b.at) - Date.parse(a.at) || (a.session + a.seq < b.session + b.seq ? -1 : 1))

it('finds what looking at everything finds, however the index came to be', () => {
  const seen = { all: 0, again: 0, byResult: 0 }
  fc.assert(
    fc.property(
      fc.array(recording, { minLength: 1, maxLength: 5, size: 'max' }),
      fc.array(query, { minLength: 5, maxLength: 12, size: 'max' }),
      fc.infiniteStream(fc.nat(99)),
      fc.constantFrom(2, 5, 65_536),
      (made, queries, dice, part) => {
        const folder = mkdtempSync(join(tmpdir(), 'search-'))
        const open = () => new SearchIndex({ file: searchFile(folder), log, part })
        let index = open()
        using search = createSearch(folder)
        try {
          const all = made.map((one, i) => recordedOf(`se_${'abcde'[i]}`, one))
          const waiting = all.map((recorded) => ({ recorded, lines: linesOf(recorded), at: 0 }))
          const roll = () => dice.next().value as number
          // A few lines of one recording after a few of another, with commits, restarts and readers in between.
          while (waiting.some(({ lines, at }) => at < lines.length)) {
            const one = waiting[roll() % waiting.length]!
            const to = Math.min(one.lines.length, one.at + 1 + (roll() % 6))
            for (const line of one.lines.slice(one.at, to)) index.line(one.recorded.header, line)
            one.at = to
            const what = roll()
            if (what < 30) index.flush()
            else if (what < 36) {
              index[Symbol.dispose]()
              index = open()
              for (const each of waiting) {
                const place = index.placeIn(each.recorded.header.session)
                each.at = place === 0 ? 0 : Math.min(each.at, each.lines.filter(({ offset }) => offset < place).length)
              }
            } else if (what < 45) search.commands({ limit: 3, text: 'select' })
          }
          index.flush()
          const gone = new Set(all.filter(() => roll() < 15).map(({ header }) => header.session))
          if (gone.size > 0) index.forget([...gone])
          if (roll() < 50) while (!index.tidy(1));
          const left = all.filter(({ header }) => !gone.has(header.session))
          for (const { limit, scope, from, to, ...rest } of queries) {
            const asked: CommandQuery = {
              ...rest,
              ...(from !== undefined && { from: new Date(day + from).toISOString() }),
              ...(to !== undefined && { to: new Date(day + to).toISOString() }),
            }
            const visible = scope ? left.filter(({ header }) => scope.includes(header.session)) : left
            const found = everyPage(search, { ...asked, limit, ...(scope && { sessions: scope }) })
            expect(sorted(found)).toEqual(sorted(scan(visible, asked)))
            seen.all += found.length
            seen.again += found.filter(
              ({ count, at }) => count > 1 && from !== undefined && Date.parse(at) < day + from,
            ).length
            seen.byResult += found.filter(({ found: where }) => where === 'result').length
            const times = found.map(({ at }) => Date.parse(at))
            expect(times).toEqual(times.toSorted((a, b) => b - a))
          }
          for (const { text } of queries) {
            if (text === undefined) continue
            const expected = new Set(
              scan(left, { text })
                .filter(({ found }) => found === 'command')
                .map(({ session }) => session),
            )
            const having = search.sessionsWith(text)
            expect(new Set(having.are === 'these' ? having.sessions : [])).toEqual(expected)
          }
        } finally {
          index[Symbol.dispose]()
          rmSync(folder, { recursive: true, force: true })
        }
      },
    ),
    { seed: 41, numRuns: Number(process.env.RUNS ?? 12) },
  )
  // It looked at something.
  expect(seen.all).toBeGreaterThan(250)
  expect(seen.again).toBeGreaterThan(5)
  expect(seen.byResult).toBeGreaterThan(8)
}, 120_000)

it('gives each line once, whoever gives it twice', () => {
  const folder = mkdtempSync(join(tmpdir(), 'search-'))
  using index = new SearchIndex({ file: searchFile(folder), log })
  using search = createSearch(folder)
  try {
    const recorded: Recorded = {
      header: headerOf('se_a'),
      events: [1, 2, 3].map((t) => ({ t, event: commandOf(`c${t}`, 'select 1') })),
    }
    const lines = linesOf(recorded)
    for (const line of [...lines, ...lines.slice(1), lines[3]!]) index.line(recorded.header, line)
    give(index, recorded)
    index.flush()
    expect(search.commands({ limit: 5 }).items).toMatchObject([{ count: 3 }])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
