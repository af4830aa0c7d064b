import { type ChildProcess, fork } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type BrowserContext, chromium, type Page } from 'playwright-core'
import { find, chromium as system } from '../../scripts/system.ts'
import type { Happened } from './control.ts'

export interface RunningDouble extends AsyncDisposable {
  /** The window's page, driven as a person would. */
  page: Page
  folder: string
  /** Everything that happened so far, oldest first. */
  events: Happened[]
  /** The first event (past or to come) that is of this kind and fits. */
  seen<W extends Happened['what']>(
    what: W,
    fits?: (event: Extract<Happened, { what: W }>) => boolean,
  ): Promise<Extract<Happened, { what: W }>>
  /** Makes something happen outside of the window: see `can(…)` in the double's files. */
  do(deed: string, given?: unknown): Promise<unknown>
  /** The exit code, once it has quit. */
  exited: Promise<number | null>
  /** What it has written to stderr so far. */
  log(): string
}

const project = fileURLToPath(new URL('../..', import.meta.url))

/** Where Chromium is on this machine: $CHROMIUM, Playwright's own, or the system's. */
export function chromiumPath(): string {
  const found = process.env.CHROMIUM ?? find(system) ?? chromium.executablePath()
  if (!existsSync(found)) throw new Error('There is no Chromium here. Run: npx playwright install chromium')
  return found
}

/** Starts the built desktop shell (main/main.js) on the double of Electron. */
export async function launchDouble(options: {
  /** Where the build is; out/ where absent. */
  out?: string
  folder?: string
  arguments?: string[]
  env?: Record<string, string>
}): Promise<RunningDouble> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'countersign-desktop-'))
  const profile = mkdtempSync(join(tmpdir(), 'countersign-chromium-'))
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: chromiumPath(),
    headless: true,
    viewport: { width: 1280, height: 800 },
    args: ['--remote-debugging-port=0', ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
  })
  const [port] = readFileSync(join(profile, 'DevToolsActivePort'), 'utf8').split('\n')
  const child = fork(
    join(options.out ?? join(project, 'out'), 'main/main.js'),
    [`--countersign-folder=${folder}`, ...(options.arguments ?? [])],
    {
      execArgv: ['--expose-gc', '--import', new URL('./register.ts', import.meta.url).href],
      env: { ...process.env, ...options.env, ELECTRON_DOUBLE_BROWSER: `http://127.0.0.1:${port}` },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    },
  )
  const heard = listen(child)
  const exited = once(child, 'exit').then(([code]) => code as number | null)

  async function end(): Promise<void> {
    if (child.exitCode === null && child.signalCode === null) {
      await heard.do('quit').catch(() => {})
      const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
      await exited
      clearTimeout(timer)
    }
    await browser.close()
    rmSync(profile, { recursive: true, force: true })
    if (options.folder === undefined) rmSync(folder, { recursive: true, force: true })
  }

  const early = exited.then((code) => {
    throw new Error(`the desktop shell ended with ${code} before it had a window\n${heard.log()}`)
  })
  early.catch(() => {})
  try {
    const { url } = await Promise.race([heard.seen('window'), early])
    const page = await pageAt(browser, url)
    return { ...heard, page, folder, exited, [Symbol.asyncDispose]: end }
  } catch (error) {
    await end()
    throw error
  }
}

function listen(child: ChildProcess): Pick<RunningDouble, 'events' | 'seen' | 'do' | 'log'> {
  const events: Happened[] = []
  const bell = new EventEmitter().setMaxListeners(0)
  const waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>()
  let ids = 0
  let log = ''
  child.stderr?.on('data', (chunk) => {
    log += chunk
  })
  child.stdout?.resume()
  child.on('message', (message: { event: Happened } | { id: number; result?: unknown; error?: string }) => {
    if ('event' in message) {
      events.push(message.event)
      bell.emit('event')
      return
    }
    const asked = waiting.get(message.id)
    waiting.delete(message.id)
    if (message.error) asked?.reject(new Error(message.error))
    else asked?.resolve(message.result)
  })
  child.once('exit', () => {
    for (const { reject } of waiting.values()) reject(new Error('the desktop shell has ended'))
  })
  return {
    events,
    log: () => log,
    async seen(what, fits = () => true) {
      for (;;) {
        const found = events.find((event) => event.what === what && fits(event as never))
        if (found) return found as never
        await once(bell, 'event')
      }
    },
    do(deed, given) {
      const id = ++ids
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject })
        child.send({ id, deed, given }, (error) => error && reject(error))
      })
    },
  }
}

/**
 * The page at that address, once there is one: a page is told of before it has come to its address, and the console goes on
 * to another place of its own at once.
 */
function pageAt(browser: BrowserContext, url: string): Promise<Page> {
  const document = (url: string) => url.split('#')[0]
  return new Promise((resolve) => {
    const watch = (page: Page) => {
      const look = () => document(page.url()) === document(url) && resolve(page)
      page.on('framenavigated', look)
      look()
    }
    browser.on('page', watch)
    for (const page of browser.pages()) watch(page)
  })
}
