import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startWorld, type World } from '../demo/world.ts'
import { find, pgbouncer, psql } from '../scripts/system.ts'
import { startPgbouncer, type Target } from './pgbouncer.ts'
import { cpu, INSPECTABLE, Inspected, resetPeak, rss } from './process.ts'
import { type Drained, Sink } from './sink.ts'
import { median, printTable } from './table.ts'

export const title = 'Large results and COPY: direct, pgbouncer, gateway with policy, recording and masking rules on'

const MB = 1 << 20
const megabytes = Number(process.env.BENCH_MB ?? 1024)
const rounds = Number(process.env.BENCH_ROUNDS ?? 1)
/** What is wanted: of direct throughput at least, of memory at most. */
const bounds = { unmasked: 0.6, masked: 0.3, memory: 64 * MB }

/** The measured table is this often read over for one result, so that making it doesn't take longer than measuring. */
const TIMES = 8

interface Way {
  name: string
  /** Reads a classified column, so that the gateway rewrites every row. */
  masked?: boolean
  needs?: 'psql'
  drain: (sink: Sink, target: Target) => Promise<Drained>
}

const select = (table: string) => `SELECT b.id, b.name, b.email, b.note FROM ${table} AS b, times`

const ways: Way[] = [
  { name: 'SELECT, simple', drain: (sink) => sink.simple(select('bulk')) },
  { name: 'SELECT, extended', drain: (sink) => sink.extended(select('bulk')) },
  { name: 'SELECT, 10,000 rows at a time', drain: (sink) => sink.extended(select('bulk'), 10_000) },
  { name: 'COPY TO STDOUT', drain: (sink) => sink.simple(`COPY (${select('bulk')}) TO STDOUT`) },
  { name: 'COPY TO STDOUT, psql', needs: 'psql', drain: (_, target) => copyByPsql(target) },
  { name: 'COPY FROM STDIN', drain: (sink) => sink.copyIn('COPY bulk_in FROM STDIN WHERE id < 0', lines, copies) },
  { name: 'SELECT of one int, tiny rows', drain: (sink) => sink.simple('SELECT t.n FROM tiny AS t, times') },
  { name: 'SELECT, simple, masked', masked: true, drain: (sink) => sink.simple(select('bulk_people')) },
  { name: 'SELECT, extended, masked', masked: true, drain: (sink) => sink.extended(select('bulk_people')) },
  {
    name: 'COPY TO STDOUT, masked',
    masked: true,
    drain: (sink) => sink.simple(`COPY (${select('bulk_people')}) TO STDOUT`),
  },
]

const lines = Buffer.from(
  `${'1\tMira Haddad\tmira.haddad@example.com\tcalled about the kettle, wants another\n'.repeat(800)}`,
)
const copies = Math.ceil((megabytes * MB) / lines.length)

/** Prints throughput of each way of moving a gigabyte by each target, and what memory it takes the gateway. */
export async function run(): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'countersign-bench-'))
  stack.defer(() => rmSync(folder, { recursive: true, force: true }))
  chmodSync(folder, 0o755)
  const world = stack.use(
    await startWorld({
      folder: join(folder, 'world'),
      policy: { 'bench.cedar': policy },
      connection: { data_classes: { 'public.bulk_people.email': 'email' } },
      env: { NODE_OPTIONS: INSPECTABLE },
      server: { config: { shared_buffers: '512MB', jit: 'off' } },
    }),
  )
  await world.database.query(tables(megabytes), 'orders')
  const direct = { name: 'direct', host: '127.0.0.1', port: world.database.port, user: 'app_rw', password: 'app_rw' }
  const pooler = find(pgbouncer)
  if (!pooler) console.log('pgbouncer is not here (apt-get install pgbouncer): its column is left out')
  const gateway = {
    name: 'gateway',
    host: world.postgres.host,
    port: world.postgres.port,
    user: 'bench',
    password: await world.agents.agentToken({ subject: 'bench', groups: ['bench-agents'], expiresIn: 7200 }),
  }
  const targets: Target[] = [direct, ...(pooler ? [await startPgbouncer(pooler, world, folder, stack)] : []), gateway]
  const pid = world.gateway.process.pid!
  for (const target of targets) {
    const sink = await Sink.open(target)
    await sink.simple('SELECT 1')
    sink.close()
  }
  const idle = rss(pid).now

  const rows: string[][] = []
  const slow: Way[] = []
  const wanted = process.env.BENCH_WAYS
  for (const way of ways) {
    if (wanted && !way.name.includes(wanted)) continue
    if (way.needs === 'psql' && !find(psql)) {
      console.log('psql is not here (apt-get install postgresql-client): its row is left out')
      continue
    }
    const took = new Map<string, number[]>(targets.map(({ name }) => [name, []]))
    const peaks: number[] = []
    const burnt: number[] = []
    let moved = 0
    let refused: string | undefined
    for (let round = 0; round < rounds && refused === undefined; round++) {
      for (const target of targets) {
        const sink = await Sink.open(target)
        resetPeak(pid)
        const before = cpu(pid)
        const drained = await way.drain(sink, target)
        sink.close()
        if ('error' in drained.end) {
          refused = `${target.name}: ${drained.end.error}`
          break
        }
        took.get(target.name)!.push(drained.seconds)
        if (target === direct) moved = drained.bytes
        if (target === gateway) {
          peaks.push(rss(pid).peak - idle)
          burnt.push(cpu(pid) - before)
        }
      }
    }
    if (refused !== undefined) {
      console.log(`${way.name}: not measured, ${refused}`)
      continue
    }
    const seconds = (name: string) => median(took.get(name)!)
    const ratio = seconds('direct') / seconds('gateway')
    const peak = Math.max(...peaks)
    const least = way.masked ? bounds.masked : bounds.unmasked
    if (ratio < least || process.env.BENCH_PROFILE) slow.push(way)
    rows.push([
      way.name,
      (moved / MB).toFixed(0),
      ...targets.map(({ name }) => (moved / MB / seconds(name)).toFixed(0)),
      `${ratio.toFixed(2)}${ratio < least ? ` < ${least}` : ''}`,
      median(burnt).toFixed(1),
      `${(peak / MB).toFixed(0)}${peak > bounds.memory ? ' > 64' : ''}`,
    ])
  }
  const speeds = targets.map(({ name }) => `${name} MB/s`)
  printTable(['', 'MB', ...speeds, 'gateway/direct', 'gateway’s CPU s', 'peak over idle MB'], rows)
  console.log(
    `median of ${rounds} interleaved rounds; MB/s are of what direct sends; at idle the gateway has ${(idle / MB).toFixed(0)} MB; bounds: ${bounds.unmasked} × direct, ${bounds.masked} masked, 64 MB`,
  )
  if (slow.length > 0) await profile(world, gateway, slow)
  if (!wanted) await oddities(direct, gateway, pid)
}

/** Where the gateway's time goes in what was too slow. */
async function profile(world: World, gateway: Target, slow: Way[]): Promise<void> {
  const inspected = await Inspected.open(world.gateway)
  for (const way of slow) {
    const sink = await Sink.open(gateway)
    const spent = await inspected.profile(() => way.drain(sink, gateway))
    sink.close()
    console.log(`\n${way.name}: the gateway’s time, by function`)
    for (const { function: name, share } of spent) console.log(`  ${(share * 100).toFixed(1).padStart(5)} %  ${name}`)
  }
  inspected.close()
}

/** What is hard on memory rather than fast. */
async function oddities(direct: Target, gateway: Target, pid: number): Promise<void> {
  const rows: string[][] = []
  const note = async (name: string, what: () => Promise<string>) => {
    const from = rss(pid).now
    resetPeak(pid)
    const said = await what()
    rows.push([name, said, ((rss(pid).peak - from) / MB).toFixed(0)])
  }
  const told = ({ end, bytes, seconds }: Drained) =>
    'error' in end ? `refused: ${end.error}` : `${(bytes / MB).toFixed(0)} MB in ${seconds.toFixed(1)} s`
  const query = async (target: Target, text: string) => {
    const sink = await Sink.open(target)
    try {
      return told(await sink.simple(text))
    } catch (error) {
      return (error as Error).message
    } finally {
      sink.close()
    }
  }
  await note('one row of 100 MB', () => query(gateway, `SELECT repeat('x', ${100 * MB})`))
  await note('one row of 512 MB', () => query(gateway, `SELECT repeat('x', ${512 * MB})`))
  await note('one row of 512 MB, direct', () => query(direct, `SELECT repeat('x', ${512 * MB})`))
  await note('COPY row of 100 MB', () => query(gateway, `COPY (SELECT repeat('x', ${100 * MB})) TO STDOUT`))
  await note('a classified row of 100 MB', () =>
    query(gateway, `SELECT b.email, repeat('x', ${100 * MB}) FROM bulk_people AS b LIMIT 1`),
  )
  await note('a client that reads 1 MB/s, for 5 s', async () => {
    const sink = await Sink.open(gateway)
    const read = sink.throttle(MB)
    sink.simple(select('bulk')).catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, 5000))
    sink.close()
    return `${(read() / MB).toFixed(0)} MB read`
  })
  printTable(['', 'came of it', 'peak over before, MB'], rows)
}

function copyByPsql(target: Target): Promise<Drained> {
  const from = performance.now()
  const child = spawn(
    find(psql)!,
    ['-X', '-q', '-h', target.host, '-p', String(target.port), '-U', target.user, '-d', 'orders'].concat([
      '-c',
      `COPY (${select('bulk')}) TO STDOUT`,
    ]),
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PGPASSWORD: target.password, PGSSLMODE: 'disable', PGGSSENCMODE: 'disable' },
    },
  )
  let bytes = 0
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk
  })
  return once(child, 'close').then(([code]) => ({
    bytes,
    seconds: (performance.now() - from) / 1000,
    suspensions: 0,
    end: code === 0 ? { tag: 'COPY' } : { error: said },
  }))
}

/** Tables of which `TIMES` times over is as much as was asked for, about 180 bytes a row. */
const tables = (megabytes: number) => `
CREATE TABLE times AS SELECT n AS nth FROM generate_series(1, ${TIMES}) AS n;
CREATE UNLOGGED TABLE bulk AS SELECT n AS id, 'Mira Haddad ' || n AS name, 'mira.haddad' || n || '@example.com' AS email,
  'called on Tuesday about the pour-over kettle, wants another one and a scale that is less loud than ' || n AS note
  FROM generate_series(1, ${Math.round((megabytes * MB) / TIMES / 185)}) AS n;
CREATE UNLOGGED TABLE bulk_people AS SELECT * FROM bulk;
CREATE UNLOGGED TABLE bulk_in (LIKE bulk);
CREATE UNLOGGED TABLE tiny AS SELECT n FROM generate_series(1, ${Math.round((megabytes / 1024) * 1_250_000)}) AS n;
GRANT SELECT ON times, bulk, bulk_people, tiny TO app_rw;
GRANT INSERT, SELECT ON bulk_in TO app_rw;
ANALYZE;
`

const policy = `
permit (principal in Group::"bench-agents", action in [Action::"sql:connect", Action::"sql:read", Action::"sql:write"],
        resource in Connection::"orders");
@id("ddl-held") @hold("oncall-dba") @reason("as in real life, some holds are there to be evaluated")
forbid (principal, action == Action::"sql:ddl", resource in Connection::"orders") unless { context has approval };
`
