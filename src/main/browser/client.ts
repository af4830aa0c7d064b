import type { ConsoleApi, ConsoleEvent } from '../../console-api.ts'
import type { FromShell } from './wire.ts'

/**
 * The page's half of the browser shell: makes `window.countersign` out of a WebSocket. Served as a plain script with
 * its types stripped, before the renderer's own; so it imports types only.
 */

interface Page {
  countersign?: ConsoleApi
  open(url: string, name: string, features: string): unknown
  location: { host: string; protocol: string }
  addEventListener(type: string, listener: () => void): void
  document: { visibilityState: string; title: string }
  navigator: { onLine: boolean }
}

interface Waiting {
  resolve(output: unknown): void
  reject(error: Error): void
}

;(() => {
  const page = globalThis as unknown as Page
  const listeners = new Set<(event: ConsoleEvent) => void>()
  const waiting = new Map<number, Waiting>()
  let socket: WebSocket | undefined
  let opening: Promise<WebSocket> | undefined
  let failures = 0
  let ids = 0

  class ConsoleError extends Error {
    override name = 'ConsoleError'
    readonly code: string
    constructor(code: string, message: string) {
      super(message)
      this.code = code
    }
  }

  const gone = () =>
    new ConsoleError(
      'shell-gone',
      'The console on this machine does not answer. Start it again; this page comes back by itself.',
    )

  function connect(): Promise<WebSocket> {
    if (socket?.readyState === WebSocket.OPEN) return Promise.resolve(socket)
    opening ??= new Promise<WebSocket>((resolve, reject) => {
      const next = new WebSocket(`ws://${page.location.host}/console`)
      next.onopen = () => {
        socket = next
        const again = failures > 0
        failures = 0
        resolve(next)
        // What happened in between was missed: take the whole anew.
        if (again)
          void call('snapshot', {}).then(
            (snapshot) => tell({ type: 'snapshot', snapshot }),
            () => {},
          )
      }
      next.onmessage = (message) => receive(JSON.parse(String(message.data)) as FromShell)
      next.onclose = () => {
        opening = undefined
        socket = undefined
        failures += 1
        reject(gone())
        for (const { reject } of waiting.values()) reject(gone())
        waiting.clear()
        setTimeout(() => void connect().catch(() => {}), Math.min(10_000, 250 * 2 ** failures))
      }
    })
    return opening
  }

  function receive(message: FromShell): void {
    if ('event' in message) {
      tell(message.event)
      return
    }
    const asked = waiting.get(message.id)
    waiting.delete(message.id)
    if ('error' in message) asked?.reject(new ConsoleError(message.error.code, message.error.message))
    else asked?.resolve(message.output)
  }

  function tell(event: ConsoleEvent): void {
    for (const listener of [...listeners]) listener(event)
  }

  const call: ConsoleApi['call'] = async (name, input) => {
    // In the click itself, or the browser would block the tab; the shell sends it on to the sign-in page.
    if (name === 'signIn') page.open('/open', '_blank', 'noopener,noreferrer')
    const open = await connect()
    const id = ++ids
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve: resolve as Waiting['resolve'], reject })
      open.send(JSON.stringify({ id, call: name, input }))
    })
  }

  const api: ConsoleApi = {
    call,
    on(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
  Object.defineProperty(page, 'countersign', { value: Object.freeze(api), enumerable: true })
  page.addEventListener('online', () => void call('windowFocus', { focused: true }).catch(() => {}))
  void connect().catch(() => {})
})()
