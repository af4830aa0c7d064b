import { spawn } from 'node:child_process'
import { hash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { PayloadInput } from '@countersign/contract/ledger/payloads'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import { BacktestResult, type PolicyText } from '@countersign/contract/policies'
import { putConfigured } from '../gateway/src/access/connections.ts'
import { LedgerLog } from '../gateway/src/sessions/ledger/log.ts'
import { openStore } from '../gateway/src/store/store.ts'
import { cpu, rss } from './process.ts'
import { printTable } from './table.ts'

const commands = Number(process.env.BENCH_COMMANDS ?? 1_000_000)
export const title = `A backtest of ${commands.toLocaleString('en')} recorded commands`

/** Thirty days of work. */
const BEGIN = Date.UTC(2026, 9, 20)
const WINDOW = { from: new Date(BEGIN).toISOString(), to: new Date(BEGIN + 30 * 86_400_000).toISOString() }
const AGENTS = 200
const CONNECTIONS = ['orders', 'payments', 'stock']
const TABLES = 400
/** Commands of a session. */
const EACH = 250

/**
 * Prints how long a replay takes of commands as agents send them (some thousands of shapes again and again), of the same
 * under policies that look at purpose and hour, and of commands of which no two have the same effects; with the
 * most memory that the process took (Linux).
 */
export async function run(): Promise<void> {
  const rows: string[][] = []
  for (const unlike of [false, true]) {
    const data = mkdtempSync(join(process.env.BENCH_FOLDER ?? tmpdir(), 'countersign-bench-'))
    try {
      await made(data, unlike)
      const megabytes = statSync(join(data, 'ledger', 'entries.sqlite')).size / 1e6
      if (unlike) rows.push(await measured('no two alike', data, megabytes, policies(true)))
      else {
        rows.push(await measured('as agents work', data, megabytes, policies(false)))
        rows.push(await measured('by hour and purpose', data, megabytes, policies(true)))
      }
    } finally {
      rmSync(data, { recursive: true, force: true })
    }
  }
  printTable(['', 'commands', 'ledger MB', 'seconds', 'commands/s', 'CPU s', 'peak MB', 'changes'], rows)
}

/** `policy backtest` as people run it: a process of its own, whose memory is what a replay takes. */
async function measured(name: string, data: string, megabytes: number, draft: PolicyText[]): Promise<string[]> {
  const folder = join(data, 'draft')
  mkdirSync(folder, { recursive: true })
  for (const one of draft) writeFileSync(join(folder, one.file), one.text)
  writeFileSync(join(data, 'gateway.yaml'), 'data: .\n')
  const bin = join(import.meta.dirname, '..', 'gateway', 'bin', 'countersign-gateway.js')
  const asked = ['policy', 'backtest', '--config', join(data, 'gateway.yaml'), '--policy', folder, '--json']
  const began = performance.now()
  const child = spawn(process.execPath, [bin, ...asked, '--since', WINDOW.from, '--until', WINDOW.to], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let last = { peak: 0, cpu: 0 }
  const looking = setInterval(() => {
    try {
      const { peak } = rss(child.pid!)
      // One that has just ended has no memory any more.
      if (peak > 0) last = { peak, cpu: cpu(child.pid!) }
    } catch {
      // It has ended.
    }
  }, 50)
  const json = await text(child.stdout)
  clearInterval(looking)
  const seconds = (performance.now() - began) / 1000
  const result = BacktestResult.parse(JSON.parse(json))
  if (result.commands !== commands) throw new Error(`${result.commands} commands were replayed`)
  const changed = result.newlyAllowed + result.newlyDenied + result.newlyHeld
  return [
    ...[name, commands.toLocaleString('en'), megabytes.toFixed(0), seconds.toFixed(1)],
    ...[Math.round(commands / seconds).toLocaleString('en'), last.cpu.toFixed(1), (last.peak / 1e6).toFixed(0)],
    changed.toLocaleString('en'),
  ]
}

/** What a company has: a permit for each team and connection, exceptions, and some holds. */
function policies(hours: boolean): PolicyText[] {
  const teams = Array.from({ length: 20 }, (_, n) =>
    CONNECTIONS.map(
      (connection) =>
        `permit (principal in Group::"team-${n}", action in [Action::"sql:connect", Action::"sql:read", Action::"sql:write"], resource in Connection::"${connection}");`,
    ).join('\n'),
  )
  const tables = Array.from(
    { length: 20 },
    (_, n) =>
      `@id("closed-${n}") forbid (principal in Group::"team-${n}", action == Action::"sql:read", resource == Table::"orders/public.table_${n * 7}");`,
  )
  const rest = `
    @id("all-rows") @hold("dba") forbid (principal, action == Action::"sql:write", resource) when { !context.command.bounded } unless { context has approval };
    @id("no-sleep") forbid (principal, action in Action::"sql", resource) when { context.command.functions.contains("pg_sleep") };`
  const byHour = `
    @id("by-night") forbid (principal, action == Action::"sql:write", resource) when { context.time.hour < 6 && !(context has purpose && context.purpose like "*ticket*") };`
  return [{ file: 'draft.cedar', text: [...teams, ...tables, rest, hours ? byHour : ''].join('\n') }]
}

/** A data folder with as many commands, written as the gateway writes them. */
async function made(data: string, unlike: boolean): Promise<void> {
  await using store = await openStore(join(data, 'countersign.sqlite'))
  const configured = CONNECTIONS.map((name) => ({
    ...{ name, kind: 'postgres', tags: ['production'], access: 'standing' as const, mode: 'enforce' as const },
  }))
  await putConfigured(store.db, configured, new Date(BEGIN - 1000))
  const { log } = await LedgerLog.open({ folder: join(data, 'ledger'), crypto: nodeCrypto })
  let n = 0
  const add = (type: string, payload: object, at: number, session: string) => {
    log.add({ at: new Date(at).toISOString(), type, payload, session })
    if (++n % 5000 === 0) log.commit()
  }
  const step = (30 * 86_400_000) / (commands + 1)
  const random = numbers()
  for (let done = 0, number = 0; done < commands; number++) {
    const session = `se_${number.toString(2).replaceAll('0', 'a').replaceAll('1', 'b')}`
    const connection = CONNECTIONS[random(CONNECTIONS.length)]!
    const who = random(AGENTS)
    const openedAt = BEGIN + done * step
    const opened: PayloadInput<'session.opened'> = {
      ...{ session, connection, protocol: 'postgres', mode: 'enforce', agent: agent(who), client: { address: '::1' } },
      ...(number % 3 === 0 && { purpose: `ticket ${random(5000)}` }),
    }
    add('session.opened', opened, openedAt, session)
    for (let i = 0; i < EACH && done < commands; i++, done++)
      add('command', command(session, connection, done, random, unlike), BEGIN + done * step, session)
    const ended = { session, state: 'closed', reason: 'gone', recording: { bytes: 0, chunks: 0 }, commands: EACH }
    add('session.closed', ended, BEGIN + done * step, session)
  }
  log.commit()
  log.close()
}

function command(
  session: string,
  connection: string,
  n: number,
  random: (below: number) => number,
  unlike: boolean,
): PayloadInput<'command'> {
  const write = random(5) === 0
  // Some tables are used much more than others.
  const table = () => (unlike ? `of_${n}` : `table_${Math.floor(random(TABLES) ** 2 / TABLES)}`)
  const one = (action: string, kind: string) => ({
    ...{ action, kind, bounded: !write || random(50) > 0, functions: random(10) === 0 ? ['lower', 'now'] : [] },
    resource: { type: 'Table', id: `${connection}/public.${table()}` },
  })
  const effects = write ? [one('sql:read', 'update'), one('sql:write', 'update')] : [one('sql:read', 'select')]
  return {
    ...{ session, command: `c${n}`, kind: write ? 'update' : 'select', effects },
    digest: `sha256:${hash('sha256', String(n))}`,
    verdict: { outcome: 'allow', policies: ['team'] },
  }
}

function agent(n: number) {
  const issuer = 'https://agents.example.com'
  return {
    id: `${issuer}#agent-${n}`,
    issuer,
    subject: `agent-${n}`,
    name: `Agent ${n}`,
    groups: [`team-${n % 22}`, 'all'],
  }
}

/** Numbers that are the same each time (xorshift32). */
function numbers(): (below: number) => number {
  let state = 0x9e3779b9
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}
