import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import pg from 'pg'
import { freePort, type RunningPostgres, unprivileged } from '../../demo/postgres.ts'

/** Where Debian and Ubuntu put the programs of the newest PostgreSQL server that is installed. */
export function distributionBinaries(): string {
  const home = '/usr/lib/postgresql'
  const versions = existsSync(home)
    ? readdirSync(home).filter((name) => existsSync(join(home, name, 'bin/initdb')))
    : []
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0]
  if (!newest) throw new Error('PostgreSQL’s server is not installed: sudo apt-get install -y postgresql')
  return join(home, newest, 'bin')
}

/**
 * Starts the distribution's PostgreSQL server, which is as old as its pg_dump: that dumps no newer server's databases.
 * Bound to loopback, in a temporary folder that is removed at stop.
 */
export async function startDistributionPostgres(settings: Record<string, string> = {}): Promise<RunningPostgres> {
  const binaries = distributionBinaries()
  const account = unprivileged()
  const home = mkdtempSync(join(tmpdir(), 'countersign-distribution-'))
  const own = (file: string) => account && chownSync(file, account.uid, account.gid)
  own(home)
  const [user, password] = ['postgres', 'countersign']
  const passwordFile = join(home, 'password')
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 })
  own(passwordFile)
  const data = join(home, 'data')
  const args = [`--pgdata=${data}`, `--username=${user}`, `--pwfile=${passwordFile}`, '--auth=scram-sha-256']
  const made = spawnSync(
    join(binaries, 'initdb'),
    [...args, '--encoding=UTF8', '--locale=C', '--no-sync', '--no-instructions'],
    { ...account, encoding: 'utf8', cwd: home },
  )
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr || made.error}`)
  const port = await freePort()
  const flags = Object.entries({
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
    timezone: 'UTC',
    fsync: 'off',
    ...settings,
  }).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const child = spawn(join(binaries, 'postgres'), ['-D', data, ...flags], {
    ...account,
    cwd: data,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const lines: string[] = []
  const ready = await new Promise<boolean>((resolve) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (lines.length < 100) lines.push(line)
      if (line.includes('database system is ready to accept connections')) resolve(true)
    })
    child.once('exit', () => resolve(false))
  })
  if (!ready) throw new Error(`PostgreSQL did not start:\n${lines.join('\n')}`)
  const orphan = () => child.kill('SIGINT')
  process.once('exit', orphan)
  let stopping: Promise<void> | undefined
  const stop = () => {
    stopping ??= (async () => {
      process.off('exit', orphan)
      if (child.exitCode === null) {
        child.kill('SIGINT') // fast shutdown: clients are disconnected
        await once(child, 'exit')
      }
      rmSync(home, { recursive: true, force: true })
    })()
    return stopping
  }
  return {
    host: '127.0.0.1',
    port,
    user,
    password,
    certificate: undefined,
    async query(sql, database = 'postgres') {
      const client = new pg.Client({ host: '127.0.0.1', port, user, password, database })
      await client.connect()
      try {
        const result = (await client.query(sql)) as unknown as { rows: Record<string, unknown>[] } | { rows: [] }[]
        return Array.isArray(result) ? (result.at(-1)?.rows ?? []) : result.rows
      } finally {
        await client.end()
      }
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
