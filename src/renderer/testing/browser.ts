import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, type Page } from '@playwright/test'
import { build, preview } from 'vite'
import { find, chromium as system } from '../../../scripts/system.ts'

/** As the shells serve the console with. */
const csp =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; img-src 'self'; connect-src 'self'"

/** The renderer in a browser, on a double of the core. */
export interface InBrowser extends AsyncDisposable {
  /** One page for all: a window of a full Chromium is dear, a document is not. */
  page: Page
  /** Where the console is, without a query. */
  base: string
  /** What the page complained of (a blocked script, a warning of React) since it was opened. */
  complaints: string[]
  /** Opens the console anew, in light, without motion. */
  open(query: string, hash?: string, size?: { width: number; height: number }): Promise<void>
}

/** Builds the renderer, serves it under the shells' policy, and opens a real Chromium. */
export async function inBrowser(): Promise<InBrowser> {
  await using stack = new AsyncDisposableStack()
  const out = await mkdtemp(join(tmpdir(), 'countersign-renderer-'))
  stack.defer(() => rm(out, { recursive: true, force: true }))
  const configFile = join(import.meta.dirname, 'vite.config.ts')
  await build({ configFile, logLevel: 'error', build: { outDir: out, minify: false } })
  const server = await preview({
    configFile,
    logLevel: 'error',
    build: { outDir: out },
    preview: { host: '127.0.0.1', port: 0, headers: { 'content-security-policy': csp } },
  })
  stack.defer(() => server.close())
  const executablePath = find(system)
  const browser = await chromium.launch({ args: ['--no-sandbox'], ...(executablePath && { executablePath }) })
  stack.defer(() => browser.close())
  const context = await browser.newContext({ permissions: ['clipboard-read', 'clipboard-write'] })
  const page = await context.newPage()
  page.setDefaultTimeout(10_000)
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    // A browser without a graphics card says how slow that is.
    if (/GPU stall|task queue exceeded/.test(message.text())) return
    if (/^(error|warning)$/.test(message.type()) && !/favicon/.test(message.location().url))
      complaints.push(message.text())
  })
  const base = `${server.resolvedUrls!.local[0]}testing/dev.html`
  let opened = 0
  const open: InBrowser['open'] = async (query, hash = '', size = { width: 1280, height: 800 }) => {
    await page.setViewportSize(size)
    await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' })
    complaints.length = 0
    // Another address each time: a change of the hash alone would keep the old world.
    await page.goto(`${base}?${query}&opened=${++opened}${hash}`)
    await page.getByRole('heading', { level: 1 }).waitFor()
  }
  const all = stack.move()
  return { page, base, complaints, open, [Symbol.asyncDispose]: () => all.disposeAsync() }
}
