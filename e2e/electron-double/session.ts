import { EventEmitter } from 'node:events'
import { app } from './app.ts'

type Handler = (request: Request) => Response | Promise<Response>
type BeforeRequest = (details: { url: string }, answer: (verdict: { cancel?: boolean }) => void) => void
type PermissionRequest = (
  contents: unknown,
  permission: string,
  answer: (granted: boolean) => void,
  details: { requestingUrl: string },
) => void
type PermissionCheck = (contents: unknown, permission: string, origin: string) => boolean

const privileged = new Set<string>()
export const schemes = new Map<string, Handler>()

export const protocol = {
  registerSchemesAsPrivileged(given: { scheme: string }[]): void {
    if (app.ready) throw new Error('protocol.registerSchemesAsPrivileged should be called before app is ready')
    for (const { scheme } of given) privileged.add(scheme)
  },
  handle(scheme: string, handler: Handler): void {
    if (!app.ready) throw new Error('protocol.handle can only be called after app is ready')
    if (!privileged.has(scheme)) throw new Error(`${scheme}: has no privileges; its pages would have no origin`)
    schemes.set(scheme, handler)
  },
}

class Session extends EventEmitter {
  beforeRequest: BeforeRequest | undefined
  permissionRequest: PermissionRequest | undefined
  permissionCheck: PermissionCheck | undefined
  setPermissionRequestHandler(handler: PermissionRequest): void {
    this.permissionRequest = handler
  }
  setPermissionCheckHandler(handler: PermissionCheck): void {
    this.permissionCheck = handler
  }
  setDevicePermissionHandler(): void {}
  readonly webRequest = {
    onBeforeRequest: (handler: BeforeRequest) => {
      this.beforeRequest = handler
    },
  }
  /** Whether both handlers grant a permission to an address, as Chromium would ask them. */
  grants(permission: string, url: string): boolean {
    let granted = false
    this.permissionRequest?.({}, permission, (answer) => (granted = answer), { requestingUrl: url })
    return granted && (this.permissionCheck?.({}, permission, url) ?? false)
  }
  /** Whether a request may be made at all. */
  allows(url: string): boolean {
    let cancelled = false
    this.beforeRequest?.({ url }, ({ cancel }) => (cancelled = cancel === true))
    return !cancelled
  }
}

export const session = { defaultSession: new Session() }

/** Chromium intercepts no scheme that it doesn't know: app://HOST is shown to it as https://HOST.app-scheme.test. */
const stand = '.app-scheme.test'

export function toChromium(url: string): string {
  const { protocol: scheme, host, pathname, search, hash } = new URL(url)
  return schemes.has(scheme.slice(0, -1))
    ? `https://${host}.${scheme.slice(0, -1)}${stand}${pathname}${search}${hash}`
    : url
}

export function fromChromium(url: string): string {
  if (!URL.canParse(url)) return url
  const { host, pathname, search, hash } = new URL(url)
  if (!host.endsWith(stand)) return url
  const named = host.slice(0, -stand.length)
  const dot = named.lastIndexOf('.')
  return `${named.slice(dot + 1)}://${named.slice(0, dot)}${pathname}${search}${hash}`
}
