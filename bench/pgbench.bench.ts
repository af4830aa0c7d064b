import { execFile } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startWorld } from '../demo/world.ts'
import { find, pgbench, pgbouncer, provide } from '../scripts/system.ts'
import { startPgbouncer, type Target } from './pgbouncer.ts'
import { median, printTable } from './table.ts'

export const title = 'pgbench select-only: direct, pgbouncer (session pooling), gateway with policy and recording on'

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
  const world = stack.use(await startWorld({ folder: join(folder, 'world'), policy: { 'bench.cedar': policy } }))
  const direct = { name: 'direct', host: '127.0.0.1', port: world.database.port, user: 'app_rw', password: 'app_rw' }
  await bench(client, direct, ['-i', '-q', '-s', '10'])

  const targets: Target[] = [direct]
  const pooler = find(pgbouncer)
  if (pooler) targets.push(await startPgbouncer(pooler, world, folder, stack))
  else console.log('pgbouncer is not here (apt-get install pgbouncer): its column is left out')
  targets.push({
    name: 'gateway',
    host: world.postgres.host,
    port: world.postgres.port,
    user: 'bench',
    password: await world.agents.agentToken({ subject: 'bench', groups: ['bench-agents'], expiresIn: 7200 }),
  })

  const rows: string[][] = []
  for (const mode of ['simple', 'prepared']) {
    for (const clients of [1, 16]) {
      const args = ['-n', '-S', '-M', mode, '-c', String(clients), '-j', '1', '-T', String(seconds)]
      for (const target of targets) await bench(client, target, args) // each is warm when it counts
      const tps = new Map<string, number[]>(targets.map((t) => [t.name, []]))
      for (let round = 0; round < rounds; round++) {
        for (const target of targets) {
          const { stdout } = await bench(client, target, args)
          tps.get(target.name)!.push(Number(/tps = ([\d.]+)/.exec(stdout)![1]))
        }
      }
      const middle = (name: string) => median(tps.get(name)!)
      const us = middle('gateway')
      rows.push([
        `${mode}, ${clients} client${clients > 1 ? 's' : ''}`,
        ...targets.map((t) => Math.round(middle(t.name)).toLocaleString('en')),
        (us / middle('direct')).toFixed(2),
        ...(pooler ? [(us / middle('pgbouncer')).toFixed(2)] : []),
        clients === 1 ? `${(1e6 / us - 1e6 / middle('direct')).toFixed(0)} µs` : '',
      ])
    }
  }
  printTable(
    ['tps', ...targets.map((t) => t.name), 'gateway/direct', ...(pooler ? ['gateway/pgbouncer'] : []), 'added latency'],
    rows,
  )
  console.log(
    `median of ${rounds} interleaved rounds of ${seconds} s, after one that doesn't count; all on one machine, so clients and server compete for its cores`,
  )
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
