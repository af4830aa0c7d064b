import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Downloads } from '../core/ports/downloads.ts'

/** How long an address waits to be fetched by the page that was offered it. */
const patience = 30_000

/**
 * Files as downloads of the browser that shows the console: the page is offered an address of this launch, good for one
 * fetch, and the browser decides where it goes.
 */
export interface PageDownloads extends Downloads, Disposable {
  /** Answers `/download/TOKEN`; false where there is no such offer. */
  serve(path: string, response: ServerResponse): boolean
}

/** Until a browser that is slow has taken what it was sent, has gone, or is no longer waited for. */
async function drained(to: ServerResponse, signal: AbortSignal): Promise<void> {
  const over = new AbortController()
  const until = { signal: AbortSignal.any([over.signal, signal]) }
  try {
    await Promise.race([once(to, 'drain', until), once(to, 'close', until)])
  } finally {
    over.abort() // else each wait would leave listeners behind
  }
}

export function pageDownloads(): PageDownloads {
  const offered = new Map<string, (response: ServerResponse) => void>()

  return {
    async save({ name, type }, offer, signal) {
      const token = randomBytes(24).toString('base64url')
      const { promise: fetched, resolve, reject } = Promise.withResolvers<ServerResponse | undefined>()
      const timer = setTimeout(() => resolve(undefined), patience)
      const cancelled = () => reject(signal.reason)
      signal.addEventListener('abort', cancelled, { once: true })
      offered.set(token, resolve)
      offer(`/download/${token}`)
      let response: ServerResponse | undefined
      try {
        signal.throwIfAborted()
        response = await fetched
      } finally {
        clearTimeout(timer)
        signal.removeEventListener('abort', cancelled)
        offered.delete(token)
      }
      if (!response) throw new Error('The browser did not fetch the file. Try again in the tab that is in front.')
      const to = response
      // The name is of letters, digits, hyphens and dots: nothing in it ends the header.
      to.writeHead(200, {
        'content-type': type,
        'content-disposition': `attachment; filename="${name.replace(/[^A-Za-z0-9._-]/g, '_')}"`,
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
      })
      const gone = () => new Error('The download was stopped in the browser.')
      return {
        async write(bytes) {
          if (to.destroyed) throw gone()
          if (to.write(bytes)) return
          await drained(to, signal)
          if (to.destroyed) throw gone()
        },
        async close() {
          if (to.destroyed) throw gone()
          to.end()
          await Promise.race([once(to, 'finish'), once(to, 'close')])
          return undefined
        },
        // A broken connection, so that the browser doesn't take what it has for the whole.
        abort: async () => void to.destroy(),
      }
    },
    serve(path, response) {
      const resolve = offered.get(path.slice('/download/'.length))
      if (!resolve) return false
      offered.delete(path.slice('/download/'.length))
      resolve(response)
      return true
    },
    [Symbol.dispose]() {
      offered.clear()
    },
  }
}
