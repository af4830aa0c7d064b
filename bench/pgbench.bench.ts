import { execFile } from 'node:child_process'
import { chmodSync, globSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startWorld } from '../demo/world.ts'
import { find, pgbench, pgbouncer, provide } from '../scripts/system.ts'
import { startPgbouncer, type Target } from './pgbouncer.ts'
import { INSPECTABLE } from './process.ts'
import { profileOf } from './profile.ts'
import { median, printTable } from './table.ts'

export const title =
  'pgbench select-only: direct, pgbouncer (session pooling), gateway with policy, recording and masking on'

const rounds = Number(process.env.BENCH_ROUNDS ?? 3)
const seconds = Number(process.env.BENCH_SECONDS ?? 4)
const exec = promisify(execFile)

/** Runs pgbench against each target in turn, several rounds, and prints medians and ratios. */
export async function run(): Promise<void> {
  provide([pgbench])
  const client = find(pgbench)!
  await using stack = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'countersign-bench-'))
  stack.defer(() => rmSync(folder, { recursive: true, force: true }))
  chmodSync(folder, 0o755)
  const world = stack.use(
    await startWorld({
      folder: join(folder, 'world'),
      policy: { 'bench.cedar': policy },
      connection,
      env: { NODE_OPTIONS: INSPECTABLE },
    }),
  )
  const direct = { name: 'direct', host: '127.0.0.1', port: world.database.port, user: 'app_rw', password: 'app_rw' }
  await bench(client, direct, ['-i', '-q', '-s', '10'])

  const targets: Hop[] = [direct]
  const pooler = find(pgbouncer)
  if (pooler) targets.push(await startPgbouncer(pooler, world, folder, stack))
  else console.log('pgbouncer is not here (apt-get install pgbouncer): its column is left out')
  targets.push({
    name: 'gateway',
    host: world.postgres.host,
    port: world.postgres.port,
    user: 'bench',
    password: await world.agents.agentToken({ subject: 'bench', groups: ['bench-agents'], expiresIn: 7200 }),
    pid: world.gateway.process.pid!,
  })

  const tables = { throughput: [] as string[][], latency: [] as string[][], processor: [] as string[][] }
  const missed: string[] = []
  for (const mode of ['simple', 'prepared']) {
    for (const clients of [1, 16]) {
      const args = ['-n', '-S', '-M', mode, '-c', String(clients), '-j', '1', '-T', String(seconds)]
      for (const target of targets) await bench(client, target, args) // each is warm when it counts
      const runs = new Map<string, Measured[]>(targets.map((t) => [t.name, []]))
      for (let round = 0; round < rounds; round++) {
        for (const target of targets) runs.get(target.name)!.push(await measure(client, target, args, folder))
      }
      const middle = (name: string, what: keyof Measured) => median(runs.get(name)!.map((run) => run[what]))
      const what = `${mode}, ${clients} client${clients > 1 ? 's' : ''}`
      const tps = (name: string) => middle(name, 'tps')
      const ratio = pooler ? tps('gateway') / tps('pgbouncer') : Number.NaN
      if (clients === 16 && ratio < wanted.throughput)
        missed.push(`${what}: ${ratio.toFixed(2)} × pgbouncer’s throughput, ${wanted.throughput} is wanted`)
      tables.throughput.push([
        what,
        ...targets.map(({ name }) => Math.round(tps(name)).toLocaleString('en')),
        (tps('gateway') / tps('direct')).toFixed(2),
        ...(pooler ? [ratio.toFixed(2)] : []),
      ])
      tables.processor.push([what, ...hops(targets).map(({ name }) => middle(name, 'processor').toFixed(0))])
      if (clients > 1) continue
      const added = (name: string) => middle(name, 'latency') - middle('direct', 'latency')
      const times = pooler ? added('gateway') / added('pgbouncer') : Number.NaN
      if (times > wanted.latency)
        missed.push(`${what}: ${times.toFixed(1)} × the latency that pgbouncer adds, ${wanted.latency} is wanted`)
      tables.latency.push([
        what,
        middle('direct', 'latency').toFixed(0),
        ...hops(targets).map(({ name }) => `+ ${added(name).toFixed(0)}`),
        ...(pooler ? [times.toFixed(1)] : []),
      ])
    }
  }
  const names = targets.map((t) => t.name)
  const compared = pooler ? ['gateway/pgbouncer'] : []
  printTable(['tps', ...names, 'gateway/direct', ...compared], tables.throughput)
  console.log()
  printTable(['median latency, µs', ...names, ...compared], tables.latency)
  console.log()
  printTable(['processor, µs a transaction', ...hops(targets).map((t) => t.name)], tables.processor)
  console.log(
    `median of ${rounds} interleaved rounds of ${seconds} s, after one that doesn't count; all on one machine, so clients and server compete for its cores`,
  )
  if (missed.length === 0) return
  console.log(`\nnot reached:\n${missed.map((line) => `  ${line}`).join('\n')}`)
  const args = ['-n', '-S', '-M', 'prepared', '-c', '16', '-j', '1', '-T', String(seconds)]
  const gateway = targets.at(-1)!
  const lines = await profileOf(world.gateway, () => bench(client, gateway, args))
  console.log(`where the gateway’s time goes (prepared, 16 clients):\n${lines.map((line) => `  ${line}`).join('\n')}`)
  console.log('what was tried: docs/decisions/0008-what-a-command-costs.md')
}

/** Of pgbouncer's throughput at 16 clients at least so much, of what it adds to the latency of one at most so much. */
const wanted = { throughput: 0.8, latency: 2 }

/** Rules of masking, one of them for the very table that is read. */
const connection = {
  data_classes: { 'public.customers.email': 'email', 'public.pgbench_accounts.filler': 'note' },
}

type Hop = Target & { pid?: number }
const hops = (targets: Hop[]) => targets.filter((target) => target.pid !== undefined)

interface Measured {
  tps: number
  /** Median over the transactions, µs; of a run with one client only, since writing them down has a price. */
  latency: number
  /** Processor time of the hop in between, µs a transaction; NaN where the system doesn't tell. */
  processor: number
}

async function measure(binary: string, target: Hop, args: string[], folder: string): Promise<Measured> {
  const single = args[args.indexOf('-c') + 1] === '1'
  const log = join(folder, 'transactions')
  const before = target.pid === undefined ? Number.NaN : processorTime(target.pid)
  const { stdout } = await bench(binary, target, single ? [...args, '-l', `--log-prefix=${log}`] : args)
  const spent = target.pid === undefined ? Number.NaN : processorTime(target.pid) - before
  const latencies: number[] = []
  for (const name of readdirSync(folder).filter((name) => name.startsWith('transactions'))) {
    for (const line of readFileSync(join(folder, name), 'utf8').split('\n')) {
      const latency = Number(line.split(' ')[2]) // client, transaction, µs, …
      if (latency > 0) latencies.push(latency)
    }
    rmSync(join(folder, name))
  }
  return {
    tps: Number(/tps = ([\d.]+)/.exec(stdout)![1]),
    latency: latencies.length > 0 ? median(latencies) : Number.NaN,
    processor: spent / Number(/actually processed: (\d+)/.exec(stdout)![1]),
  }
}

/** Processor time of all threads of a process so far, µs (/proc/PID/task/TID/schedstat: nanoseconds on a processor). */
function processorTime(pid: number): number {
  const threads = globSync(`/proc/${pid}/task/*/schedstat`)
  if (threads.length === 0) return Number.NaN
  return threads.reduce((sum, file) => sum + Number(readFileSync(file, 'utf8').split(' ')[0]) / 1000, 0)
}

const policy = `
permit (principal in Group::"bench-agents", action in [Action::"sql:connect", Action::"sql:read"], resource in Connection::"orders");
@id("writes-held") @hold("oncall-dba") @reason("as in real life, some holds are there to be evaluated")
forbid (principal, action == Action::"sql:write", resource in Connection::"orders") unless { context has approval };
`

function bench(binary: string, target: Target, args: string[]) {
  return exec(binary, [...args, '-h', target.host, '-p', String(target.port), '-U', target.user, 'orders'], {
    env: { ...process.env, PGPASSWORD: target.password, PGSSLMODE: 'disable', PGGSSENCMODE: 'disable' },
    maxBuffer: 1 << 24,
  })
}
