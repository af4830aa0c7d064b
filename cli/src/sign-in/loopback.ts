import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { refused } from '../errors.ts'

/** How long a person has to sign in before nobody listens any more (ms). */
const patience = 10 * 60_000

export interface Callback extends AsyncDisposable {
  /** http://127.0.0.1:PORT/callback */
  redirectUri: string
  /** The address the browser was sent back to, with `code` or `error` in it. @throws CliError when nobody came */
  received: Promise<URL>
}

/**
 * Listens on 127.0.0.1, any free port, for the one redirect that ends a sign-in (RFC 8252, section 7.3). Only a request
 * that carries our `state` counts: another page on this machine can neither end nor answer the sign-in.
 */
export async function receiveCallback(state: string): Promise<Callback> {
  const { promise: received, resolve, reject } = Promise.withResolvers<URL>()
  received.catch(() => {}) // whoever awaits it hears of it
  let used = false
  const server = createServer((request, response) => {
    const answer = (status: number, words: string) => {
      response.writeHead(status, {
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
        'cache-control': 'no-store',
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
        connection: 'close',
      })
      response.end(page(words))
    }
    const path = request.url ?? '/'
    const url = path.startsWith('/') && URL.canParse(path, redirectUri) ? new URL(path, redirectUri) : undefined
    if (request.method !== 'GET' || url?.pathname !== '/callback' || url.searchParams.get('state') !== state)
      return answer(404, 'This page only receives the end of a sign-in.')
    if (used) return answer(410, 'This sign-in is over. Start again by countersign login.')
    used = true
    answer(
      200,
      url.searchParams.has('code')
        ? 'You are signed in. Go back to the terminal; you can close this tab.'
        : 'The sign-in was refused: the terminal says why. You can close this tab.',
    )
    response.once('close', () => resolve(url))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const redirectUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`
  const timer = setTimeout(() => reject(refused('nobody signed in within 10 minutes: try again')), patience)

  return {
    redirectUri,
    received,
    async [Symbol.asyncDispose]() {
      clearTimeout(timer)
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

function page(words: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<title>Countersign</title><body style="font: 16px/1.6 system-ui, sans-serif; margin: 20vh auto; max-width: 26rem; padding: 0 1rem">
<p>${words}</p></body></html>
`
}
