import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/** Who may speak to the browser shell: the page that this launch has let in, and nobody else on this machine. */
export interface Guard {
  /** For the address that is printed: whoever has it gets in. */
  readonly token: string
  /** The Set-Cookie that stands for the token from then on. */
  readonly cookie: string
  /** Whether the request is for us by name, so that no other site's name can be pointed here (DNS rebinding). */
  rightHost(request: IncomingMessage): boolean
  /** Whether a browser sent it from our own page: the Origin of a WebSocket, or of anything but a plain GET. */
  rightOrigin(request: IncomingMessage): boolean
  rightToken(given: string | null): boolean
  rightCookie(request: IncomingMessage): boolean
}

/**
 * The guard of a shell on `host:port`. Cookies know no ports, so the cookie's name carries ours: another console on
 * this machine keeps its own.
 */
export function createGuard(host: string, port: number): Guard {
  const token = randomBytes(32).toString('base64url')
  const session = randomBytes(32).toString('base64url')
  const name = `countersign-${port}`
  const hosts = new Set([`${host}:${port}`, `localhost:${port}`])
  return {
    token,
    cookie: `${name}=${session}; Path=/; HttpOnly; SameSite=Strict`,
    rightHost: (request) => hosts.has(request.headers.host ?? ''),
    rightOrigin: (request) => request.headers.origin === `http://${request.headers.host}`,
    rightToken: (given) => given !== null && same(given, token),
    rightCookie: (request) =>
      (request.headers.cookie ?? '').split(/;\s*/).some((pair) => {
        const [key, ...value] = pair.split('=')
        return key === name && same(value.join('='), session)
      }),
  }
}

/** Compares in a time that doesn't tell how much of it was right. */
function same(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}
