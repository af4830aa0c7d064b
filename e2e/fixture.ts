import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, test as base, expect, type Page } from '@playwright/test'
import pg from 'pg'
import { startChild } from '../demo/child.ts'
import { startWorld, type World, type WorldOptions } from '../demo/world.ts'
import { find, psql as psqlProgram } from '../scripts/system.ts'

const root = join(import.meta.dirname, '..')

export interface Console {
  page: Page
  close(): Promise<void>
}

export interface Fixtures {
  /** A console in the browser shell, signed in as that person of the sample world, in a page of its own. */
  openConsole(person: string, options?: ConsoleOptions): Promise<Console>
  /** A node-postgres client of an agent, connected through the gateway. */
  agent(subject: string, options?: AgentOptions): Promise<pg.Client>
  /** The real psql, fed with lines. */
  psql(subject: string, options?: AgentOptions): Promise<Psql>
}

export interface ConsoleOptions {
  gateway?: string
  colorScheme?: 'light' | 'dark'
  /** Where the console keeps its things, so that it can be opened there again; else a folder that goes with it. */
  folder?: string
}

export interface AgentOptions {
  groups?: string[]
  claims?: Record<string, unknown>
  purpose?: string
  hold?: 'wait' | 'fail'
  /** `orders` where nothing is said. */
  connection?: string
}

export const test = base.extend<Fixtures, { world: World; worldOptions: Partial<WorldOptions> }>({
  worldOptions: [{}, { option: true, scope: 'worker' }],
  world: [
    async ({ worldOptions }, use) => {
      const folder = mkdtempSync(join(tmpdir(), 'countersign-e2e-'))
      const world = await startWorld({ folder: join(folder, 'world'), ...worldOptions })
      await use(world)
      await world.stop()
      rmSync(folder, { recursive: true, force: true })
    },
    { scope: 'worker', timeout: 90_000 },
  ],
  openConsole: async ({ world, browser }, use) => {
    const open: Console[] = []
    await use(async (person, options = {}) => {
      const opened = await openConsole(browser, world, person, options)
      open.push(opened)
      return opened
    })
    for (const one of open) await one.close()
  },
  agent: async ({ world }, use) => {
    const clients: pg.Client[] = []
    await use(async (subject, options = {}) => {
      const client = new pg.Client({
        host: world.postgres.host,
        port: world.postgres.port,
        database: options.connection ?? 'orders',
        user: subject,
        password: await token(world, subject, options),
        application_name: subject,
        options: pgOptions(options),
      })
      client.on('error', () => {}) // a cut connection shows in the query that waits
      await client.connect()
      clients.push(client)
      return client
    })
    for (const client of clients) await client.end().catch(() => {})
  },
  psql: async ({ world }, use) => {
    const running: Psql[] = []
    await use(async (subject, options = {}) => {
      const started = new Psql(world, await token(world, subject, options), options)
      running.push(started)
      return started
    })
    for (const one of running) one.process.kill('SIGKILL')
  },
})
export { expect }

/** Answers the notice that says the command is held: the approval's id. */
export function heldNotice(client: pg.Client): Promise<string> {
  return new Promise((resolve) => {
    client.on('notice', (notice) => {
      const id = /^held for approval (\S+)/.exec(notice.message ?? '')?.[1]
      if (id) resolve(id)
    })
  })
}

/**
 * Presses Approve or Deny on the card that is open. A card that has only just appeared takes no decision (the press may
 * have been meant for another one) and says so: then it is pressed again, as a person would.
 */
export async function press(page: Page, verdict: 'Approve' | 'Deny'): Promise<void> {
  await expect(async () => {
    await page.getByRole('button', { name: new RegExp(`^${verdict}`) }).click({ timeout: 2_000 })
    await expect(page.getByText('This card has only just appeared')).toBeHidden({ timeout: 200 })
  }).toPass()
}

/** A real psql whose output can be waited for. */
export class Psql {
  readonly process: ChildProcess
  output = ''
  readonly #waiting = new Set<() => void>()

  constructor(world: World, password: string, options: AgentOptions) {
    const program = find(psqlProgram)
    if (!program) throw new Error('psql is not here: npm test installs it, or apt-get install postgresql-client')
    const where = `host=${world.postgres.host} port=${world.postgres.port} dbname=${options.connection ?? 'orders'} user=you`
    this.process = spawn(program, ['-X', '-At', '-v', 'VERBOSITY=verbose', where], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, PGPASSWORD: password, PGOPTIONS: pgOptions(options) },
    })
    for (const stream of [this.process.stdout!, this.process.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output += text
        for (const look of this.#waiting) look()
      })
    }
  }

  send(line: string): void {
    this.process.stdin!.write(`${line}\n`)
  }

  /** Resolves with the whole output once it matches. */
  prints(pattern: RegExp): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`psql did not print ${pattern} but:\n${this.output}`)), 20_000)
      const look = () => {
        if (!pattern.test(this.output)) return
        clearTimeout(timer)
        this.#waiting.delete(look)
        resolve(this.output)
      }
      this.#waiting.add(look)
      look()
    })
  }
}

/** A TCP way to the gateway that can be cut and mended, as a network is. */
export async function startWire(
  to: string,
): Promise<{ url: string; cut(): void; mend(): void; stop(): Promise<void> }> {
  const target = new URL(to)
  const sockets = new Set<Socket>()
  let whole = true
  const server = createServer((socket) => {
    if (!whole) return void socket.destroy()
    const upstream = connect(Number(target.port), target.hostname)
    for (const [a, b] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      sockets.add(a)
      a.pipe(b)
      a.on('error', () => b.destroy())
      a.on('close', () => {
        sockets.delete(a)
        b.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    whole = false
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    cut,
    mend: () => {
      whole = true
    },
    stop: () => {
      cut()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

async function openConsole(browser: Browser, world: World, person: string, options: ConsoleOptions): Promise<Console> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'countersign-console-'))
  const shell = startChild(
    [
      join(root, 'src/main/browser/main.ts'),
      ...['--gateway', options.gateway ?? world.api, '--folder', folder, '--sign-in', '--no-open'],
    ],
    { env: { BROWSER: `"${process.execPath}" "${join(root, 'demo/sign-in.ts')}" --as ${person}` } },
  )
  const url = (await shell.line(/^console ready (\S+)/))[1]!
  const context = await browser.newContext({
    permissions: ['notifications'],
    colorScheme: options.colorScheme ?? 'light',
    viewport: { width: 1280, height: 800 },
  })
  const page = await context.newPage()
  await page.goto(url)
  return {
    page,
    async close() {
      await context.close()
      await shell.stop()
      if (!options.folder) rmSync(folder, { recursive: true, force: true })
    },
  }
}

function token(world: World, subject: string, options: AgentOptions): Promise<string> {
  return world.agents.agentToken({
    subject,
    ...(options.groups && { groups: options.groups }),
    ...(options.claims && { claims: options.claims }),
  })
}

function pgOptions(options: AgentOptions): string {
  const settings = []
  if (options.purpose) settings.push(`-c countersign.purpose=${options.purpose.replaceAll(' ', '\\ ')}`)
  if (options.hold) settings.push(`-c countersign.hold=${options.hold}`)
  return settings.join(' ')
}
