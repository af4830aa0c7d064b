import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ConsoleError } from '../../console-api.ts'

export interface Callback extends AsyncDisposable {
  /** http://127.0.0.1:PORT/callback */
  redirectUri: string
  /** The address the browser was sent back to, with `code` or `error` in it. */
  received: Promise<URL>
}

/**
 * Listens on 127.0.0.1, any free port, for the one redirect that ends a sign-in (RFC 8252, section 7.3). Only a request
 * that carries our `state` counts: another page on this machine can neither end nor answer the sign-in.
 */
export async function receiveCallback(options: {
  state: string
  patience: number
  signal: AbortSignal
}): Promise<Callback> {
  const { promise: received, resolve, reject } = Promise.withResolvers<URL>()
  received.catch(() => {}) // whoever awaits it hears of it; nobody may, when opening the browser failed
  let used = false
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', redirectUri)
    const answer = (status: number, title: string, words: string) => {
      response.writeHead(status, {
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
        'cache-control': 'no-store',
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
        connection: 'close',
      })
      response.end(page(title, words))
    }
    if (request.method !== 'GET' || url.pathname !== '/callback' || url.searchParams.get('state') !== options.state)
      return answer(404, 'Not here', 'This page only receives the end of a sign-in.')
    if (used) return answer(410, 'Already used', 'This sign-in is over. Start again in Countersign.')
    used = true
    if (url.searchParams.has('code'))
      answer(200, 'You are signed in', 'Go back to Countersign. You can close this tab.')
    else answer(200, 'Sign-in refused', 'Countersign says what happened. You can close this tab.')
    response.once('close', () => resolve(url))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const redirectUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`

  const timer = setTimeout(
    () => reject(new ConsoleError('sign-in-timeout', 'Nobody signed in within 10 minutes. Try again.')),
    options.patience,
  )
  const cancelled = () => reject(new ConsoleError('sign-in-cancelled', 'The sign-in was cancelled.'))
  if (options.signal.aborted) cancelled()
  options.signal.addEventListener('abort', cancelled, { once: true })

  return {
    redirectUri,
    received,
    async [Symbol.asyncDispose]() {
      clearTimeout(timer)
      options.signal.removeEventListener('abort', cancelled)
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

function page(title: string, words: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<title>${title} · Countersign</title>
<style>
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; font: 15px/1.6 system-ui, sans-serif;
         background: #f7f7f5; color: #1d1d1b }
  main { padding: 32px 40px; border: 1px solid #e4e3de; border-radius: 10px; background: #fff; max-width: 24rem }
  h1 { font-size: 18px; margin: 0 0 8px } p { margin: 0; color: #6d6c66 }
  @media (prefers-color-scheme: dark) {
    body { background: #131316; color: #ececee } main { background: #1a1a1e; border-color: #2e2e34 } p { color: #a3a3ab }
  }
</style>
<main><h1>${title}</h1><p>${words}</p></main></html>
`
}
