import { EventEmitter } from 'node:events'
import { isAbsolute } from 'node:path'
import { type BrowserContext, chromium, type Frame, type Page, type Route } from 'playwright-core'
import { app, Cancellable, closeFirst } from './app.ts'
import { can, happened } from './control.ts'
import { preloadScript } from './preload.ts'
import { fromChromium, schemes, session, toChromium } from './session.ts'

type Invoked = (event: { sender: WebContents; senderFrame: SenderFrame | null }, ...values: unknown[]) => unknown

interface SenderFrame {
  url: string
  parent: SenderFrame | null
}

const handlers = new Map<string, Invoked>()

export const ipcMain = {
  handle(channel: string, handler: Invoked): void {
    if (handlers.has(channel)) throw new Error(`Attempted to register a second handler for '${channel}'`)
    handlers.set(channel, handler)
  },
}

/** The browser that the test has started for us; it drives the same pages. */
let browser: Promise<BrowserContext> | undefined
function context(): Promise<BrowserContext> {
  const endpoint = process.env.ELECTRON_DOUBLE_BROWSER
  if (!endpoint) throw new Error('ELECTRON_DOUBLE_BROWSER must be the CDP address of a Chromium')
  browser ??= chromium.connectOverCDP(endpoint).then((connected) => connected.contexts()[0]!)
  return browser
}

class WebContents extends EventEmitter {
  readonly page: Promise<Page>
  windowOpen: (() => { action: string }) | undefined
  /** The address that the program itself asked for: no will-navigate for it. */
  loading: string | undefined
  #sending: Promise<unknown> = Promise.resolve()

  constructor(preload: string | undefined) {
    super()
    this.page = this.#open(preload)
    this.page.catch((error: Error) => {
      process.stderr.write(`${error.stack}\n`)
      app.exit(1)
    })
  }

  async #open(preload: string | undefined): Promise<Page> {
    const script = preload === undefined ? undefined : preloadScript(preload)
    // One that shows no console is a window of its own: in the first one's it would take its place in front.
    const shown = await context()
    const page = script ? await shown.newPage() : await (await shown.browser()!.newContext()).newPage()
    await page.route('**/*', (route) => this.#serve(page, route))
    await page.exposeBinding('electronDoubleInvoke', async ({ frame }, channel: string, values: string) => {
      try {
        const handler = handlers.get(channel)
        if (!handler) throw new Error(`No handler registered for '${channel}'`)
        const answer = await handler({ sender: this, senderFrame: senderFrame(frame) }, ...JSON.parse(values))
        return JSON.stringify({ answer })
      } catch (error) {
        return JSON.stringify({ error: String(error) })
      }
    })
    if (script) await page.addInitScript(script)
    page.on('popup', (popup) => {
      if (this.windowOpen?.().action !== 'allow') void popup.close()
    })
    if (script) await denyPermissions(page)
    app.emit('web-contents-created', {}, this)
    return page
  }

  /** A request of the page: as Electron asks webRequest, will-navigate and the scheme's handler, in this order. */
  async #serve(page: Page, route: Route): Promise<void> {
    const request = route.request()
    const url = fromChromium(request.url())
    if (request.isNavigationRequest() && request.url() !== this.loading) {
      const main = request.frame() === page.mainFrame()
      const event = Object.assign(new Cancellable(), { url, isMainFrame: main })
      this.emit(main ? 'will-navigate' : 'will-frame-navigate', event)
      if (event.defaultPrevented) return route.abort('aborted')
    }
    if (!session.defaultSession.allows(url)) return route.abort('blockedbyclient')
    const handler = schemes.get(new URL(url).protocol.slice(0, -1))
    if (!handler) return route.continue()
    const answer = await handler(new Request(url, { method: request.method(), headers: request.headers() }))
    const body = Buffer.from(await answer.arrayBuffer())
    return route.fulfill({ status: answer.status, headers: Object.fromEntries(answer.headers), body })
  }

  async printToPDF(options: {
    pageSize: string
    printBackground: boolean
    preferCSSPageSize: boolean
  }): Promise<Buffer> {
    const { pageSize: format, printBackground, preferCSSPageSize } = options
    return (await this.page).pdf({ format, printBackground, preferCSSPageSize })
  }

  setWindowOpenHandler(handler: () => { action: string }): void {
    this.windowOpen = handler
  }

  send(channel: string, ...values: unknown[]): void {
    const sent = structuredClone(values)
    this.#sending = this.#sending
      .then(() => this.page)
      .then((page) => page.evaluate(hear, { channel, values: sent }))
      .catch(() => {}) // the page is on its way elsewhere, or gone: so is the message, under Electron too
  }
}

function hear({ channel, values }: { channel: string; values: unknown[] }): void {
  const page = globalThis as unknown as { electronDoubleHear?: (channel: string, values: unknown[]) => void }
  page.electronDoubleHear?.(channel, values)
}

interface WindowOptions {
  show?: boolean
  webPreferences?: {
    preload?: string
    contextIsolation?: boolean
    sandbox?: boolean
    nodeIntegration?: boolean
    nodeIntegrationInWorker?: boolean
    nodeIntegrationInSubFrames?: boolean
    webSecurity?: boolean
    webviewTag?: boolean
    javascript?: boolean
    allowRunningInsecureContent?: boolean
  }
}

export class BrowserWindow extends EventEmitter {
  readonly webContents: WebContents
  #destroyed = false
  #visible: boolean

  constructor(options: WindowOptions = {}) {
    super()
    if (!app.ready) throw new Error('Cannot create BrowserWindow before app is ready')
    mustBeHard(options.webPreferences ?? {})
    this.#visible = options.show !== false
    this.webContents = new WebContents(options.webPreferences?.preload)
    closeFirst.push(() => this.#close())
    // A window without a preload shows no console: nobody clicks in it.
    if (options.webPreferences?.preload === undefined) return
    can('close-window', () => this.#close())
    can('focus-window', () => this.emit('focus', {}))
    can('blur-window', () => this.emit('blur', {}))
  }

  async loadURL(url: string): Promise<void> {
    const page = await this.webContents.page
    this.webContents.loading = toChromium(url)
    await page.goto(this.webContents.loading, { waitUntil: 'domcontentloaded' })
    this.webContents.loading = undefined
    happened({ what: 'window', url: page.url() })
    this.emit('ready-to-show', {})
  }
  show(): void {
    this.#visible = true
    happened({ what: 'window-shown' })
  }
  hide(): void {
    this.#visible = false
    happened({ what: 'window-hidden' })
  }
  focus(): void {
    this.emit('focus', {})
  }
  isFocused(): boolean {
    return false
  }
  isVisible(): boolean {
    return this.#visible
  }
  isDestroyed(): boolean {
    return this.#destroyed
  }
  destroy(): void {
    if (this.#destroyed) return
    this.#destroyed = true
    void this.webContents.page.then((page) => page.context().close())
    this.emit('closed', {})
  }
  isMinimized(): boolean {
    return false
  }
  isMaximized(): boolean {
    return false
  }
  restore(): void {}
  maximize(): void {}
  flashFrame(): void {}
  getNormalBounds() {
    return { x: 0, y: 0, width: 1280, height: 800 }
  }

  /** As a click on its cross: the program may prevent it. */
  async #close(): Promise<boolean> {
    if (this.#destroyed) return true
    const event = new Cancellable()
    this.emit('close', event)
    if (event.defaultPrevented) return false
    this.#destroyed = true
    await (await this.webContents.page).close()
    this.emit('closed', {})
    return true
  }
}

function mustBeHard(given: NonNullable<WindowOptions['webPreferences']>): void {
  const wrong: string[] = []
  if (given.contextIsolation === false) wrong.push('contextIsolation is off')
  if (given.sandbox === false) wrong.push('sandbox is off')
  if (given.nodeIntegration) wrong.push('nodeIntegration is on')
  if (given.nodeIntegrationInWorker) wrong.push('nodeIntegrationInWorker is on')
  if (given.nodeIntegrationInSubFrames) wrong.push('nodeIntegrationInSubFrames is on')
  if (given.webSecurity === false) wrong.push('webSecurity is off')
  if (given.webviewTag) wrong.push('webviewTag is on')
  if (given.allowRunningInsecureContent) wrong.push('allowRunningInsecureContent is on')
  if (given.preload !== undefined && !isAbsolute(given.preload)) wrong.push('preload is no absolute path')
  if (wrong.length > 0) throw new Error(`This window is not safe: ${wrong.join(', ')}`)
}

function senderFrame(frame: Frame): SenderFrame {
  const parent = frame.parentFrame()
  return { url: fromChromium(frame.url()), parent: parent && senderFrame(parent) }
}

/** Electron's names of permissions → Chromium's. */
const permissions = {
  notifications: 'notifications',
  geolocation: 'geolocation',
  media: 'audioCapture',
  'clipboard-read': 'clipboardReadWrite',
  'clipboard-sanitized-write': 'clipboardSanitizedWrite',
} as const

/** Asks the program's handlers once, and holds Chromium to their answers. */
async function denyPermissions(page: Page): Promise<void> {
  const devtools = await page.context().newCDPSession(page)
  for (const scheme of schemes.keys()) {
    const url = `${scheme}://countersign/`
    for (const [name, type] of Object.entries(permissions))
      await devtools
        .send('Browser.grantPermissions', { origin: new URL(toChromium(url)).origin, permissions: [] })
        .then(
          () =>
            devtools.send('Browser.setPermission', {
              permission: { name: chromiumName[type] ?? type },
              setting: session.defaultSession.grants(name, url) ? 'granted' : 'denied',
              origin: new URL(toChromium(url)).origin,
            }),
          () => {},
        )
  }
}

const chromiumName: Record<string, string> = {
  audioCapture: 'microphone',
  clipboardReadWrite: 'clipboard-read',
  clipboardSanitizedWrite: 'clipboard-write',
}
