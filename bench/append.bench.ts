import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { verifyLog } from '@countersign/contract/ledger/log-verify'
import { parseVerifierKey } from '@countersign/contract/ledger/note'
import type { PayloadInput } from '@countersign/contract/ledger/payloads'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import Database from 'better-sqlite3'
import { type Disk, realDisk } from '../gateway/src/sessions/ledger/disk.ts'
import { ledgerReader } from '../gateway/src/sessions/ledger/entries.ts'
import { LedgerLog } from '../gateway/src/sessions/ledger/log.ts'
import { printTable } from './table.ts'

const entries = Number(process.env.BENCH_ENTRIES ?? 1_000_000)
export const title = `Appending ${entries.toLocaleString('en')} commands to the ledger, and verifying it`

/** As the gateway does it: what has come is on disk after 200 ms at most, and signed once a second. */
const COMMIT_MS = 200
const SIGN_MS = 1000
/** Entries in an approximate 200 ms, for both to commit as often. */
const BATCH = 4000

/**
 * Prints how fast commands come into the ledger, and how long a verifier takes for all of them. Beside it: the same
 * payloads as rows of a SQLite table alone, committed as often; what is more is what evidence costs.
 */
export async function run(): Promise<void> {
  const folder = mkdtempSync(join(process.env.BENCH_FOLDER ?? tmpdir(), 'countersign-bench-'))
  try {
    const rows: string[][] = []
    rows.push(making())
    rows.push(plain(folder, Math.min(entries, 200_000)))
    const { row, vkey } = await ledger(join(folder, 'ledger'))
    rows.push(row)
    printTable(
      ['', 'entries/s', 'CPU µs/entry', 'of a core', 'fsyncs', 'bytes/entry', 'of which tiles', 'longest stall ms'],
      rows,
    )
    await verified(join(folder, 'ledger'), vkey)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What it takes to make the commands up, in each of the others too. */
function making(): string[] {
  const begin = clock()
  let length = 0
  const count = Math.min(entries, 200_000)
  for (let n = 0; n < count; n++) length += now().length + command(n).session.length
  const { seconds, cpu } = begin()
  if (length === 0) throw new Error('nothing was made')
  return ['making them up alone', ...figures(count, seconds, cpu), '', '', '', '']
}

function plain(folder: string, count: number): string[] {
  const file = join(folder, 'plain.sqlite')
  const database = new Database(file)
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL')
  database.exec('create table entries (n integer primary key, at text, type text, session text, payload text)')
  const insert = database.prepare('insert into entries values (?, ?, ?, ?, ?)')
  const begin = clock()
  let commits = 0
  database.exec('begin')
  for (let n = 0; n < count; n++) {
    const { session, payload } = command(n)
    insert.run(n, now(), 'command', session, JSON.stringify(payload))
    if (n % BATCH === BATCH - 1) {
      database.exec('commit; begin')
      commits++
    }
  }
  database.exec('commit')
  const { seconds, cpu } = begin()
  database.close()
  const bytes = statSync(file).size / count
  return [
    `SQLite alone (${count.toLocaleString('en')})`,
    ...figures(count, seconds, cpu),
    String(commits + 1),
    bytes.toFixed(0),
    '',
    '',
  ]
}

async function ledger(folder: string): Promise<{ row: string[]; vkey: string }> {
  const counted = counting()
  const { log } = await LedgerLog.open({ folder, crypto: nodeCrypto, disk: counted.disk })
  const begin = clock()
  let commits = 0
  let longest = 0
  let [committed, signed] = [performance.now(), performance.now()]
  const commit = () => {
    const from = performance.now()
    log.commit()
    commits++
    if (from - signed >= SIGN_MS) {
      log.sign()
      signed = performance.now()
    }
    committed = performance.now()
    longest = Math.max(longest, committed - from)
  }
  for (let n = 0; n < entries; n++) {
    const { session, payload } = command(n)
    log.add({ at: now(), type: 'command', payload, session })
    if (n % 64 === 0 && performance.now() - committed >= COMMIT_MS) {
      for (let one = 0; one < SESSIONS; one++)
        log.setTail(sessionOf(one), { offset: n * 900, seq: n, chunkFrom: 0, chunks: 0, commands: n })
      commit()
    }
  }
  log.commit()
  log.sign()
  const { seconds, cpu } = begin()
  const [vkey] = log.keys
  log.close()
  const tiles = counted.bytes() / entries
  const all = statSync(join(folder, 'entries.sqlite')).size / entries + tiles
  return {
    vkey: vkey!,
    row: [
      'ledger',
      ...figures(entries, seconds, cpu),
      String(commits + 1 + counted.syncs()),
      all.toFixed(0),
      tiles.toFixed(0),
      longest.toFixed(0),
    ],
  }
}

async function verified(folder: string, vkey: string): Promise<void> {
  const begin = clock()
  using reader = ledgerReader(folder)
  const keys = [parseVerifierKey(nodeCrypto.sha256, vkey)]
  const report = await verifyLog(nodeCrypto, reader, { keys })
  const { seconds } = begin()
  if (report.outcome !== 'whole' || report.entries !== entries || existsSync(join(folder, 'key.next')))
    throw new Error(`the ledger is ${report.outcome}: ${JSON.stringify(report.findings)}`)
  console.log(
    `verified in ${seconds.toFixed(1)} s (${Math.round(entries / seconds).toLocaleString('en')} entries/s), peak memory ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB; bound: a million in 60 s. Append's bound: 20,000/s`,
  )
  console.log('of a core: what the machine gave it, the rest is waiting for the disk, or for others who compute')
  console.log('fsyncs: commits and files of the log; those by which SQLite empties its write-ahead log come on top')
}

const figures = (count: number, seconds: number, cpu: number) => [
  Math.round(count / seconds).toLocaleString('en'),
  ((cpu / count) * 1e6).toFixed(1),
  `${Math.round((100 * cpu) / seconds)} %`,
]

function clock(): () => { seconds: number; cpu: number } {
  const at = performance.now()
  const before = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(before)
    return { seconds: (performance.now() - at) / 1000, cpu: (user + system) / 1e6 }
  }
}

const now = () => new Date().toISOString()

function counting(): { disk: Disk; syncs(): number; bytes(): number } {
  let [syncs, bytes] = [0, 0]
  const disk: Disk = {
    ...realDisk,
    create(file, content) {
      realDisk.create(file, content)
      syncs++
      // Partial tiles go again.
      if (/tile\/[^.]+$/.test(file)) bytes += content.length
    },
    syncFolder(folder) {
      realDisk.syncFolder(folder)
      syncs++
    },
  }
  return { disk, syncs: () => syncs, bytes: () => bytes }
}

const SESSIONS = 40
const sessionOf = (n: number) => `se_${String(n % SESSIONS).padStart(2, '0')}k3v5q7x2m4n6p8r9t2w4y6`

/** What the gateway says of a command: three kinds of them, as an application sends them. */
function command(n: number): { session: string; payload: PayloadInput<'command'> } {
  const { kind, effects, policies } = shapes[n % shapes.length]!
  const session = sessionOf(n)
  return {
    session,
    payload: {
      session,
      command: `c${n}`,
      kind,
      effects: effects.map((effect) => ({ ...effect, resource: { ...effect.resource } })),
      digest: `sha256:${n.toString(16).padStart(64, 'a7f1')}`,
      verdict: { outcome: 'allow', policies: [...policies] },
    },
  }
}

const table = (name: string) => ({ type: 'Table', id: `orders/public.${name}` })
const shapes = [
  {
    kind: 'select',
    effects: [{ action: 'sql:read', resource: table('customers'), kind: 'select', bounded: true }],
    policies: ['agents-read'],
  },
  {
    kind: 'select',
    effects: [
      { action: 'sql:read', resource: table('orders'), kind: 'select', bounded: true },
      { action: 'sql:read', resource: table('payments'), kind: 'select', bounded: true },
    ],
    policies: ['agents-read', 'base.cedar#2'],
  },
  {
    kind: 'update',
    effects: [
      { action: 'sql:read', resource: table('orders'), kind: 'update', bounded: true },
      { action: 'sql:write', resource: table('orders'), kind: 'update', bounded: true },
    ],
    policies: ['agents-write'],
  },
]
