import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { stripTypeScriptTypes } from 'node:module'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type WebSocket, WebSocketServer } from 'ws'
import type { CallName, Capabilities, ConsoleError, ConsoleEvent } from '../../console-api.ts'
import { type Core, type CoreOptions, createCore } from '../core/core.ts'
import type { BrowserOpener } from '../core/ports/browser-opener.ts'
import { securityHeaders } from '../core/security-headers.ts'
import { createGuard, type Guard } from './guard.ts'
import { keyFile } from './key-file.ts'
import { pageDownloads } from './page-downloads.ts'
import { pageOpener } from './page-opener.ts'
import { serveRenderer } from './renderer-files.ts'
import { systemBrowser } from './system-browser.ts'
import { FromPage, type FromShell, longestFrame, mostCalls, mostUnsent } from './wire.ts'

export interface BrowserShellOptions {
  /** Where the console keeps its store and its key file. */
  folder: string
  gateway?: string
  ca?: string
  host?: '127.0.0.1'
  /** Any free one where absent. */
  port?: number
  /** The built renderer; `out/renderer` of this project where absent. */
  renderer?: string
  /** Opens the sign-in page where no page of the console is there to do it; the system's browser where absent. */
  opener?: BrowserOpener
  core?: Partial<Pick<CoreOptions, 'clock' | 'log' | 'secrets'>>
}

export interface BrowserShell extends AsyncDisposable {
  /** The address to open, with this launch's token in it. */
  url: string
  core: Core
  stop(): Promise<void>
}

const capabilities: Capabilities = {
  shell: 'browser',
  notifications: 'web',
  tray: false,
  badge: false,
  deepLinks: false,
  pdf: false,
  secureStorage: false,
}

const project = fileURLToPath(new URL('../../..', import.meta.url))

/**
 * The console in a browser tab: the core in this process, the renderer served on loopback, a WebSocket between them.
 * Only a page that was opened with this launch's token gets either.
 */
export async function startBrowserShell(options: BrowserShellOptions): Promise<BrowserShell> {
  const host = options.host ?? '127.0.0.1'
  const renderer = options.renderer ?? join(project, 'out/renderer')
  const pages = new Map<WebSocket, { focused: boolean }>()
  const broadcast = (event: ConsoleEvent) => {
    for (const page of pages.keys()) send(page, { event })
  }
  const opener = pageOpener(options.opener ?? systemBrowser())
  const downloads = pageDownloads()
  const core = await createCore({
    ...options.core,
    folder: options.folder,
    ...(options.gateway ? { gateway: options.gateway } : {}),
    ...(options.ca ? { ca: options.ca } : {}),
    capabilities,
    secrets: options.core?.secrets ?? keyFile(join(options.folder, 'keys.json')),
    opener,
    downloads,
    notifier: {
      show: ({ tag, title, body, target }) => broadcast({ type: 'notify', notification: { tag, title, body, target } }),
      withdraw: (tag) => broadcast({ type: 'withdraw', tag }),
    },
    badge: { set() {} }, // the page counts what waits in its own title
  })
  core.on(broadcast)

  const client = stripped(await readFile(new URL('./client.ts', import.meta.url), 'utf8'))
  const files = serveRenderer(renderer)
  let guard: Guard
  const server = createServer((request, response) => {
    handle(request, response).catch((error: Error) => {
      if (!response.headersSent) refuse(response, 500, `The console could not answer: ${error.message}`)
      else response.destroy()
    })
  })
  server.requestTimeout = 60_000

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value)
    if (!guard.rightHost(request)) return refuse(response, 421, 'This console answers by its own address only.')
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return refuse(response, 405, 'Only pages are served here.')
    const url = new URL(request.url ?? '/', `http://${request.headers.host}`)
    if (url.searchParams.has('token')) {
      if (!guard.rightToken(url.searchParams.get('token')))
        return refuse(response, 403, 'This address is of an earlier start. Use the one that the console printed last.')
      response.writeHead(303, { location: url.pathname, 'set-cookie': guard.cookie, 'cache-control': 'no-store' })
      response.end()
      return
    }
    if (!guard.rightCookie(request))
      return refuse(response, 403, 'Open the console by the address that it printed when it was started.')
    if (url.pathname === '/open') return opener.tab(response)
    if (url.pathname.startsWith('/download/')) {
      if (request.method === 'GET' && downloads.serve(url.pathname, response)) return
      return refuse(response, 404, 'This file was fetched already, or is no longer offered. Export it again.')
    }
    if (url.pathname === '/countersign-client.js') {
      response.writeHead(200, { 'content-type': 'text/javascript; charset=utf-8', 'cache-control': 'no-store' })
      response.end(client)
      return
    }
    await files(url.pathname, response)
  }

  const sockets = new WebSocketServer({ noServer: true, maxPayload: longestFrame })
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy())
    const welcome =
      guard.rightHost(request) && guard.rightOrigin(request) && guard.rightCookie(request) && request.url === '/console'
    if (!welcome) {
      socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
      return
    }
    sockets.handleUpgrade(request, socket, head, converse)
  })

  function converse(page: WebSocket): void {
    pages.set(page, { focused: false })
    let underway = 0
    page.on('error', () => page.terminate())
    page.on('close', () => {
      pages.delete(page)
      tellFocus()
    })
    page.on('message', (bytes, binary) => {
      const asked = binary ? undefined : FromPage.safeParse(parsed(bytes.toString()))
      if (!asked?.success) return page.close(1008, 'not a call')
      const { id, call, input } = asked.data
      if (underway >= mostCalls)
        return send(page, { id, error: { code: 'busy', message: 'Too many calls at once. Try again in a moment.' } })
      underway += 1
      answer(page, call as CallName, input)
        .then(
          (output) => send(page, { id, output }),
          (error: ConsoleError) => send(page, { id, error: { code: error.code, message: error.message } }),
        )
        .finally(() => {
          underway -= 1
        })
    })
  }

  async function answer(page: WebSocket, call: CallName, input: unknown): Promise<unknown> {
    if (call === 'signIn') {
      opener.expect()
      try {
        return await core.call('signIn', input as never)
      } catch (error) {
        opener.giveUp((error as Error).message)
        throw error
      }
    }
    if (call !== 'windowFocus') return core.call(call, input as never)
    // Several tabs, one person: they look while any tab has the focus.
    const focused = (input as { focused?: unknown } | undefined)?.focused === true
    if (pages.has(page)) pages.set(page, { focused })
    return core.call('windowFocus', { focused: focused || anyFocused() })
  }

  const anyFocused = () => [...pages.values()].some((page) => page.focused)
  const tellFocus = () => void core.call('windowFocus', { focused: anyFocused() }).catch(() => {})

  server.listen(options.port ?? 0, host)
  try {
    await once(server, 'listening')
  } catch (error) {
    await core[Symbol.asyncDispose]()
    throw error
  }
  const { port } = server.address() as AddressInfo
  guard = createGuard(host, port)

  let stopping: Promise<void> | undefined
  async function stop(): Promise<void> {
    opener[Symbol.dispose]()
    downloads[Symbol.dispose]()
    await core[Symbol.asyncDispose]()
    for (const page of pages.keys()) page.terminate()
    sockets.close()
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }
  const stopOnce = () => {
    stopping ??= stop()
    return stopping
  }
  return { url: `http://${host}:${port}/?token=${guard.token}`, core, stop: stopOnce, [Symbol.asyncDispose]: stopOnce }
}

function send(page: WebSocket, message: FromShell): void {
  if (page.readyState !== page.OPEN) return
  if (page.bufferedAmount > mostUnsent) page.terminate()
  else page.send(JSON.stringify(message))
}

/** Node says with every use that stripping is experimental; a person who starts the console needn't know. */
function stripped(source: string): string {
  const { emitWarning } = process
  process.emitWarning = () => {}
  try {
    return stripTypeScriptTypes(source)
  } finally {
    process.emitWarning = emitWarning
  }
}

function refuse(response: ServerResponse, status: number, sentence: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' })
  response.end(`${sentence}\n`)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
