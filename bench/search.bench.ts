import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RecordingHeader } from '@countersign/contract/recording'
import Database from 'better-sqlite3'
import type { RecordedLine } from '../gateway/src/sessions/scribe/line.ts'
import { searchFile } from '../gateway/src/sessions/search/database.ts'
import { type CommandSearch, createSearch, type Search } from '../gateway/src/sessions/search/search.ts'
import { SearchIndex } from '../gateway/src/sessions/search/search-index.ts'
import {
  agents,
  connections,
  DAYS,
  date,
  END,
  email,
  pgbench,
  pick,
  recordings,
  seeded,
  tables,
} from './search-corpus.ts'
import { printTable } from './table.ts'

const commands = Number(process.env.BENCH_COMMANDS ?? 1_000_000)
const sessions = Math.max(20, commands / 250)
export const title = `Finding commands among ${commands.toLocaleString('en')} distinct ones`

const TIMES = Number(process.env.BENCH_TIMES ?? 40)
const log = { info() {}, warn() {}, error() {} }

/**
 * Prints what indexing costs, and how long questions take, each kind with words and filters drawn anew each time. Beside
 * it: the same question to a table of the texts, by LIKE.
 */
export async function run(): Promise<void> {
  const folder = mkdtempSync(join(process.env.BENCH_FOLDER ?? tmpdir(), 'countersign-bench-'))
  try {
    build(folder)
    using search = createSearch(folder)
    ask(search, folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function build(folder: string): void {
  const file = searchFile(folder)
  using index = new SearchIndex({ file, log })
  let ms = 0
  let longest = 0
  let given = 0
  for (const group of recordings(commands, sessions)) {
    parse(group.flat())
    let since = cpu()
    const step = () => {
      const took = cpu() - since
      ms += took
      longest = Math.max(longest, took)
      since = cpu()
    }
    const headers = group.map((lines) => lines[0]!.parsed as RecordingHeader)
    const most = Math.max(...group.map((lines) => lines.length))
    for (let from = 0; from < most; from += 50) {
      for (const [i, lines] of group.entries())
        for (const line of lines.slice(from, from + 50)) index.line(headers[i]!, line)
      index.commit()
      step()
    }
    given += group.reduce((sum, lines) => sum + lines.filter(({ type }) => type === 'command').length, 0)
  }
  index.flush()
  const bytes = statSync(file).size
  const loop = pgbench(30_000)
  parse(loop)
  const header = loop[0]!.parsed as RecordingHeader
  const began = cpu()
  for (let from = 0; from < loop.length; from += 4000) {
    for (const line of loop.slice(from, from + 4000)) index.line(header, line)
    index.commit()
  }
  const repeat = (cpu() - began) / 210_000
  printTable(
    ['', 'commands', 'µs each', 'a second', 'longest ms', 'MB', 'bytes each'],
    [
      [
        'new texts',
        given.toLocaleString('en'),
        ((ms / given) * 1000).toFixed(1),
        Math.round(given / (ms / 1000)).toLocaleString('en'),
        longest.toFixed(0),
        (bytes / 1e6).toFixed(0),
        (bytes / given).toFixed(0),
      ],
      [
        'repeats (pgbench)',
        '210,000',
        (repeat * 1000).toFixed(2),
        Math.round(1000 / repeat).toLocaleString('en'),
        '',
        '',
        '',
      ],
    ],
  )
}

/** Processor time of this process (ms): others at work on the machine don't count. */
function cpu(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** The ledger, for which recordings are read, has parsed commands already. */
function parse(lines: RecordedLine[]): void {
  for (const line of lines) if (line.type === 'command' || line.type === 'header') void line.parsed
}

interface Kind {
  name: string
  query(random: () => number): Omit<CommandSearch, 'limit'>
}

const kinds: Kind[] = [
  { name: 'no words, no filter', query: () => ({}) },
  { name: 'very common word', query: () => ({ text: 'select' }) },
  {
    name: 'two common words',
    query: (r) => ({ text: pick(['select status', 'insert amount', 'update status', 'from email'], r) }),
  },
  {
    name: 'common words, never together',
    query: (r) => ({ text: pick(['insert join', 'delete limit', 'values update', 'order values'], r) }),
  },
  { name: 'rare word (an address)', query: (r) => ({ text: email(r) }) },
  { name: 'word that isn’t there', query: (r) => ({ text: `nothing${Math.floor(r() * 1e6)}` }) },
  { name: 'common and rare word', query: (r) => ({ text: `select ${email(r)}` }) },
  { name: 'beginning, 1–2 letters', query: (r) => ({ text: pick(['s', 'u', 'cu', '2', '20', 'a'], r) }) },
  {
    name: 'beginning, 3–6 letters',
    query: (r) => ({ text: pick(['sel', 'cust', 'custom', 'create', 'inser', '1234', 'email'], r) }),
  },
  { name: 'beginning of a date', query: (r) => ({ text: date(r).slice(0, 5 + Math.floor(r() * 6)) }) },
  { name: 'beginning of an address', query: (r) => ({ text: email(r).slice(0, 4 + Math.floor(r() * 12)) }) },
  { name: 'word and beginning', query: (r) => ({ text: `delete ${pick(['ship', 'paym', 'invo', '2026-1'], r)}` }) },
  { name: 'table name, qualified', query: (r) => ({ text: pick(tables, r) }) },
  { name: 'agent', query: (r) => ({ agent: agentId(r) }) },
  { name: 'agent and table', query: (r) => ({ agent: agentId(r), table: pick(tables, r) }) },
  {
    name: 'connection, table, denied',
    query: (r) => ({ connection: pick(connections, r), table: pick(tables, r), verdict: 'deny' }),
  },
  {
    name: 'held, one word',
    query: (r) => ({ verdict: 'hold', text: pick(['delete', 'select', 'customers', 'refunds'], r) }),
  },
  { name: 'agent and word it never used', query: (r) => ({ agent: agentId(r), text: 'analytics.suppliers delete' }) },
  { name: 'a week, common word', query: (r) => ({ text: 'select', ...week(r) }) },
  { name: 'a week, agent and table', query: (r) => ({ agent: agentId(r), table: pick(tables, r), ...week(r) }) },
  {
    name: 'all filters, two words',
    query: (r) => ({
      agent: agentId(r),
      connection: pick(connections, r),
      verdict: 'allow',
      table: pick(tables, r),
      text: 'select email',
      ...week(r),
    }),
  },
]

const agentId = (random: () => number) => `https://idp.example.com#${pick(agents, random)}`
function week(random: () => number) {
  const from = END - random() * DAYS * 86_400_000
  return { from: new Date(from).toISOString(), to: new Date(from + 7 * 86_400_000).toISOString() }
}

function ask(search: Search, folder: string): void {
  const scan = scanned(folder)
  const rows: string[][] = []
  const all: number[] = []
  for (const { name, query } of kinds) {
    const random = seeded(7)
    const took: number[] = []
    const deep: number[] = []
    for (let i = 0; i < TIMES; i++) {
      const asked = { limit: 100, ...query(random) }
      const since = performance.now()
      const { next } = search.commands(asked)
      took.push(performance.now() - since)
      if (next === null) continue
      // A page from the midst of what there is.
      const after = Math.floor((Number.parseInt(next, 36) * (1 + random())) / 2).toString(36)
      const since2 = performance.now()
      search.commands({ ...asked, after: middle(search, after, random) })
      deep.push(performance.now() - since2)
    }
    all.push(...took, ...deep)
    const random2 = seeded(7)
    const like = scan({ limit: 100, ...query(random2) })
    rows.push([name, ...three(took), ...(deep.length > 0 ? three(deep) : ['', '', '']), like])
  }
  rows.push(['all', ...three(all), '', '', '', ''])
  printTable(['', 'p50 ms', 'p95', 'max', 'deep p50', 'p95', 'max', 'by LIKE'], rows)
  const many: number[] = []
  for (const text of [
    'select',
    'customers',
    'delete refunds',
    'ada.lovelace7@example.com',
    'nothing',
    'insert join',
    'cust',
  ]) {
    const since = performance.now()
    search.sessionsWith(text)
    many.push(performance.now() - since)
  }
  console.log(`sessions with words: ${many.map((ms) => ms.toFixed(1)).join(', ')} ms`)
}

/** A place somewhere in time, as a page’s end. */
function middle(_: Search, __: string, random: () => number): string {
  const ticks = Math.floor((END - random() * DAYS * 86_400_000 - Date.UTC(2020, 0, 1)) * 62.5)
  return ticks.toString(36)
}

function three(took: number[]): string[] {
  const sorted = [...took].sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!.toFixed(1)
  return [at(0.5), at(0.95), sorted.at(-1)!.toFixed(1)]
}

/** The same by looking at every text: words by LIKE, filters by what stands beside it. */
function scanned(folder: string): (query: CommandSearch) => string {
  const db = new Database(searchFile(folder), { readonly: true })
  return (query) => {
    const conditions: string[] = []
    const values: unknown[] = []
    for (const word of (query.text ?? '').split(' ').filter(Boolean)) {
      conditions.push('t.text like ?')
      values.push(`%${word}%`)
    }
    if (query.agent) conditions.push('a.name = ?') && values.push(query.agent)
    if (query.connection) conditions.push('p.name = ?') && values.push(query.connection)
    if (query.table) conditions.push('t.tables like ?') && values.push(`%"${query.table}"%`)
    if (query.verdict) conditions.push('c.verdict = ?') && values.push(['allow', 'deny', 'hold'].indexOf(query.verdict))
    const since = performance.now()
    db.prepare(
      `select t.text from commands c join texts t using (id) join sessions s on s.n = c.session join names a on a.n = s.agent
       join names p on p.n = s.connection ${conditions.length > 0 ? `where ${conditions.join(' and ')}` : ''} order by c.id desc limit 101`,
    ).all(...values)
    return `${(performance.now() - since).toFixed(0)} ms`
  }
}
