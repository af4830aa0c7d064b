import { randomBytes } from 'node:crypto'
import { protocol } from 'electron'
import { rendererFile } from '../core/renderer-file.ts'
import { securityHeaders } from '../core/security-headers.ts'

/** Where the renderer lives: a scheme of our own, so that file: needs no privileges and nothing else shares its origin. */
export const origin = 'app://countersign'

/** Says what kind of scheme app: is. Must be called before the app is ready. */
export function registerScheme(): void {
  protocol.registerSchemesAsPrivileged([{ scheme: 'app', privileges: { standard: true, secure: true } }])
}

/** Pages that are not of the renderer, each at an address of its own that can't be guessed. */
export interface Pages {
  add(html: string): { url: string } & Disposable
}

/** Nothing but the page itself, whatever it says. */
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"

/** Serves the built renderer from `root` at app://countersign. */
export function serveScheme(root: string): Pages {
  const pages = new Map<string, string>()
  protocol.handle('app', async (request) => {
    const headers = new Headers(securityHeaders)
    const page = pages.get(request.url)
    if (page !== undefined && request.method === 'GET') {
      headers.set('content-security-policy', pagePolicy)
      headers.set('content-type', 'text/html; charset=utf-8')
      return new Response(page, { headers })
    }
    if (request.method !== 'GET' || !isOurs(request.url)) return new Response('Not found', { status: 404, headers })
    try {
      const file = await rendererFile(root, new URL(request.url).pathname)
      headers.set('content-type', file.type)
      return new Response(new Uint8Array(file.bytes), { status: file.found ? 200 : 404, headers })
    } catch (error) {
      headers.set('content-type', 'text/plain; charset=utf-8')
      return new Response((error as Error).message, { status: 503, headers })
    }
  })
  return {
    add(html) {
      const url = `${origin}/page/${randomBytes(24).toString('hex')}`
      pages.set(url, html)
      return { url, [Symbol.dispose]: () => void pages.delete(url) }
    },
  }
}

/** Whether an address is the renderer's own: compared as parsed, since app://countersign.evil begins alike. */
export function isOurs(url: string): boolean {
  if (!URL.canParse(url)) return false
  const { protocol, host, username, password } = new URL(url)
  return protocol === 'app:' && host === 'countersign' && !username && !password
}
