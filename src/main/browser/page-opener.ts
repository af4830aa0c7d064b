import type { ServerResponse } from 'node:http'
import type { BrowserOpener } from '../core/ports/browser-opener.ts'

/** How long a tab waits for the address to open, and an address for a tab to open it. */
const patience = 30_000

/**
 * Opens pages in a new tab of the browser that shows the console. A tab may only be opened in the click itself, when
 * the address isn't known yet: so the client opens `/open` at once, whose answer comes when the core has the address.
 */
export interface PageOpener extends BrowserOpener, Disposable {
  /** A page asks to sign in: the next address goes to the tab it has opened. */
  expect(): void
  /** Answers `/open`. */
  tab(response: ServerResponse): void
  /** Nothing will be opened after all; the waiting tab says so. */
  giveUp(problem: string): void
}

export function pageOpener(otherwise: BrowserOpener): PageOpener {
  let expected = 0
  let tab: ServerResponse | undefined
  let address: { url: string; opened: () => void; cancel: () => void } | undefined

  const send = (response: ServerResponse, url: string) => {
    response.writeHead(303, { location: url, 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' })
    response.end()
  }
  const say = (response: ServerResponse, problem: string) => {
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' })
    response.end(`${problem}\n\nYou can close this tab.\n`)
  }

  return {
    expect: () => {
      expected = Date.now() + patience
    },
    tab(response) {
      if (address) {
        const { url, opened, cancel } = address
        cancel()
        address = undefined
        opened()
        return send(response, url)
      }
      if (tab) say(tab, 'Sign-in goes on in a newer tab.')
      tab = response
      const timer = setTimeout(() => {
        if (tab !== response) return
        tab = undefined
        say(response, 'There is nothing to open. Go back to Countersign and sign in again.')
      }, patience)
      response.once('close', () => {
        clearTimeout(timer)
        if (tab === response) tab = undefined
      })
    },
    async open(url) {
      if (tab) {
        const waiting = tab
        tab = undefined
        return send(waiting, url)
      }
      if (expected < Date.now()) return otherwise.open(url)
      expected = 0
      // The tab's request and the address come over two connections, in any order.
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const timer = setTimeout(() => {
        address = undefined
        otherwise.open(url).then(resolve, reject)
      }, 5_000)
      address = { url, opened: resolve, cancel: () => clearTimeout(timer) }
      return promise
    },
    giveUp(problem) {
      expected = 0
      if (tab) say(tab, problem)
      tab = undefined
    },
    [Symbol.dispose]() {
      address?.cancel()
      tab?.destroy()
    },
  }
}
