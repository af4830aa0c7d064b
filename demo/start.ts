/**
 * `npm start`: the sample world and the console on it. Everything that it starts, it ends on Ctrl-C.
 *   --browser | --electron | --no-console   which shell; without one Electron if its binary is there, else the browser
 *   --no-open                               don't open the browser, only print the address
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Endpoints } from '@countersign/contract/access'
import type { World } from './world.ts'

const root = join(import.meta.dirname, '..')
const folder = join(root, '.demo')
// The console signs itself in as Ada: $BROWSER names what stands in for the system browser.
const browserStandIn = { BROWSER: `"${process.execPath}" "${join(root, 'demo', 'sign-in.ts')}"` }
const log = (line: string) => process.stdout.write(`${line}\n`)

const { values: flags } = parseArgs({
  options: {
    browser: { type: 'boolean' },
    electron: { type: 'boolean' },
    console: { type: 'boolean', default: true },
    open: { type: 'boolean', default: true },
    help: { type: 'boolean', short: 'h' },
  },
  allowNegative: true,
})
if (flags.help) {
  log('npm start [-- --browser | --electron | --no-console] [--no-open]')
  process.exit(0)
}

const stopping = new AbortController()
const stack = new AsyncDisposableStack()
let end: Promise<void> | undefined
function stop(code: number): Promise<void> {
  if (end) {
    log('stopping at once')
    process.exit(code || 130)
  }
  log('\nstopping …')
  stopping.abort()
  end = stack.disposeAsync().then(
    () => process.exit(code),
    (error) => {
      console.error(`not everything stopped in order: ${(error as Error).message}`)
      process.exit(1)
    },
  )
  return end
}
process.on('SIGINT', () => void stop(0))
process.on('SIGTERM', () => void stop(0))
process.on('SIGHUP', () => void stop(0))
// npm starts this by a shell, which a signal ends and which passes none on: whoever ended npm meant all of this.
const shell = process.ppid
if (process.env.npm_lifecycle_event === 'start')
  setInterval(() => process.ppid !== shell && !end && void stop(0), 500).unref()

try {
  await main()
} catch (error) {
  if (!stopping.signal.aborted) {
    console.error(`The sample world did not start: ${(error as Error).message}`)
    await stop(1)
  }
}

async function main(): Promise<void> {
  // Only now: these import parts that need the pinned Node, which scripts/runtime.cjs has checked.
  const { sampleMasking, startWorld } = await import('./world.ts')
  const { runAgents } = await import('./agents.ts')
  const { runOperators } = await import('./operators.ts')
  const { makeAccess, sampleAccess } = await import('./access.ts')
  const { makeHistory } = await import('./history.ts')
  const { makeReviews } = await import('./reviews.ts')
  const { freePort } = await import('./postgres.ts')

  stack.use(await takeFolder())
  log('starting an issuer, a PostgreSQL, an SSH host and the gateway …')
  const ports = { api: await freePort(7440), postgres: await freePort(7432), ssh: await freePort(7422) }
  const world = await startWorld({
    folder: join(folder, 'world'),
    ports,
    host: true,
    ...sampleMasking,
    ...sampleAccess,
  })
  stack.use(world)
  if (stopping.signal.aborted) return
  world.gateway.process.once('exit', (code) => {
    if (stopping.signal.aborted) return
    console.error(`the gateway ended by itself (${code}):\n${world.gateway.errors.slice(-5).join('\n')}`)
    void stop(1)
  })

  await makeHistory(world)
  await makeAccess(world)
  await makeReviews(world)
  const agents = runAgents(world, stopping.signal, () => {})
  stack.defer(() => agents)
  const operators = runOperators(world, stopping.signal, () => {})
  stack.defer(() => operators)
  const token = join(folder, 'token')
  const renew = async () => writeFileSync(token, await world.agents.clientCredentials('you'), { mode: 0o600 })
  await sshFiles(world)
  await renew()
  const timer = setInterval(() => void renew().catch(() => {}), 30 * 60_000)
  stack.defer(() => clearInterval(timer))
  await somethingHeld(world.api, await world.people.personToken({ subject: 'ada' }))

  const console_ = flags.console ? await openConsole(world.api) : undefined
  log('')
  const [sql, ssh] = [world.postgres, world.ssh!]
  log(`  gateway   ${world.api} (API), ${sql.host}:${sql.port} (PostgreSQL), ${ssh.host}:${ssh.port} (SSH)`)
  if (console_) log(`  console   ${console_}`)
  log(`  psql      PGPASSWORD="$(cat .demo/token)" psql "host=127.0.0.1 port=${sql.port} dbname=orders user=you"`)
  log(`  ssh       SSH_ASKPASS=.demo/askpass SSH_ASKPASS_REQUIRE=force ssh -F .demo/ssh_config web-1 uptime`)
  log(`  people    sign in as Ada (on call) by default; Settings → Sign out to be Ben, Rae, Aud or Max`)
  log('')
  log('ready. Ctrl-C ends everything.')
}

/** What an SSH client needs to come as the agent `you`: where, who the gateway is, and the token behind the prompt. */
async function sshFiles(world: World): Promise<void> {
  const { host, port } = world.ssh!
  const answer = await fetch(`${world.api}/.well-known/countersign`)
  const { ssh_host_key: key } = Endpoints.parse(await answer.json())
  writeFileSync(join(folder, 'known_hosts'), `[${host}]:${port} ${key}\n`)
  writeFileSync(join(folder, 'askpass'), `#!/bin/sh\ncat '${join(folder, 'token')}'\n`, { mode: 0o700 })
  const lines = [
    'Host web-1',
    `  HostName ${host}`,
    `  Port ${port}`,
    '  User web-1',
    '  PubkeyAuthentication no',
    `  UserKnownHostsFile "${join(folder, 'known_hosts')}"`,
    '  StrictHostKeyChecking yes',
    '  BatchMode no',
  ]
  writeFileSync(join(folder, 'ssh_config'), `${lines.join('\n')}\n`)
}

/** Takes `.demo/` for this start and empties it: two at once would pull it from under each other. */
async function takeFolder(): Promise<AsyncDisposable> {
  const { takeDataFolder } = await import('../gateway/src/config/data-folder.ts')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const taken = await takeDataFolder(folder).catch(() => {
    throw new Error('another npm start runs in this folder: end it first (Ctrl-C where it runs)')
  })
  for (const old of ['world', 'console', 'token', 'askpass', 'ssh_config', 'known_hosts'])
    rmSync(join(folder, old), { recursive: true, force: true })
  return taken
}

/** Waits until the queue has something for whoever opens the console. */
async function somethingHeld(api: string, token: string): Promise<void> {
  const { default: WebSocket } = await import('ws')
  const headers = { authorization: `Bearer ${token}` }
  const feed = new WebSocket(`${api.replace('http', 'ws')}/v1/feed`, { headers })
  try {
    await new Promise<void>((resolve, reject) => {
      feed.on('message', (text) => {
        if ((JSON.parse(String(text)) as { type: string }).type === 'approval.opened') resolve()
      })
      feed.on('error', reject)
      feed.on('open', async () => {
        try {
          const answer = await fetch(`${api}/v1/approvals?state=pending`, { headers })
          const { items } = (await answer.json()) as { items: unknown[] }
          if (items.length > 0) resolve()
        } catch (error) {
          reject(error)
        }
      })
    })
  } finally {
    feed.terminate()
  }
}

/** Opens the console in the shell that was asked for, or the best one here. Answers what to tell the person. */
async function openConsole(api: string): Promise<string> {
  if (!existsSync(join(root, 'out', 'renderer', 'index.html')) || outdated()) await build()
  if (flags.electron || (!flags.browser && (await electronIsHere()))) return openElectron(api)
  return openBrowser(api)
}

async function openBrowser(api: string): Promise<string> {
  const { startChild } = await import('./child.ts')
  const shell = startChild(
    [
      join(root, 'src', 'main', 'browser', 'main.ts'),
      '--gateway',
      api,
      '--folder',
      join(folder, 'console'),
      '--sign-in',
      '--no-open',
    ],
    { env: browserStandIn, onError: complain },
  )
  stack.use(shell)
  const url = (await shell.line(/^console ready (\S+)/))[1]!
  if (flags.open) openInSystemBrowser(url)
  return url
}

async function openElectron(api: string): Promise<string> {
  const { startChild } = await import('./child.ts')
  const cli = join(root, 'node_modules', 'electron', 'cli.js')
  const shell = startChild([cli, root, `--gateway=${api}`, `--user-data-dir=${join(folder, 'console')}`, '--sign-in'], {
    env: browserStandIn,
    onError: complain,
  })
  stack.use(shell)
  // Closing the window ends the shell; the world goes on until Ctrl-C.
  return 'in its own window'
}

/** Shows what a shell complains of; that all is well shows in the console itself. */
function complain(line: string): void {
  if (!line.includes('"level":"info"')) process.stderr.write(`${line}\n`)
}

/** Whether Electron's binary is here, or can be fetched now. Without a screen there is nothing to show it on. */
async function electronIsHere(): Promise<boolean> {
  if (process.platform === 'linux' && !process.env.DISPLAY && !process.env.WAYLAND_DISPLAY) return false
  const electron = join(root, 'node_modules', 'electron')
  if (existsSync(join(electron, 'path.txt'))) return true
  if (!existsSync(join(electron, 'install.js'))) return false
  log('fetching Electron (once; 40 s at most, else the browser is used) …')
  const child = spawn(process.execPath, [join(electron, 'install.js')], { stdio: 'ignore', detached: true })
  const limit = setTimeout(() => child.kill('SIGKILL'), 40_000)
  const halt = () => child.kill('SIGKILL')
  stopping.signal.addEventListener('abort', halt)
  const code = await new Promise((resolve) => child.once('exit', resolve).once('error', () => resolve(1)))
  clearTimeout(limit)
  stopping.signal.removeEventListener('abort', halt)
  return code === 0 && existsSync(join(electron, 'path.txt'))
}

async function build(): Promise<void> {
  log('building the console …')
  const child = spawn('npm', ['run', '--silent', 'build', '--', '--logLevel', 'error'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  })
  const code = await new Promise((resolve) => child.once('exit', resolve).once('error', () => resolve(1)))
  if (code !== 0) throw new Error('the console could not be built: see above')
  writeFileSync(stamp(), sourcesStamp())
}

function stamp(): string {
  return join(root, 'out', 'stamp')
}

function outdated(): boolean {
  return !existsSync(stamp()) || readFileSync(stamp(), 'utf8') !== sourcesStamp()
}

/** Changes whenever a source of the console does. */
function sourcesStamp(): string {
  const { globSync, statSync } = process.getBuiltinModule('node:fs')
  const files = globSync(['src/**/*.{ts,tsx,css,html}', 'contract/src/**/*.ts', 'package-lock.json', '*.config.ts'], {
    cwd: root,
  })
  return files
    .sort()
    .map((file) => `${file} ${statSync(join(root, file)).mtimeMs}`)
    .join('\n')
}

function openInSystemBrowser(url: string): void {
  const [command, ...args] =
    process.platform === 'darwin'
      ? ['open', url]
      : process.platform === 'win32'
        ? ['cmd', '/c', 'start', '', url.replaceAll('&', '^&')]
        : ['xdg-open', url]
  spawn(command!, args, { stdio: 'ignore', detached: true })
    .on('error', () => {})
    .unref()
}
