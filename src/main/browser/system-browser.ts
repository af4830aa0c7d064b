import { spawn } from 'node:child_process'
import type { BrowserOpener } from '../core/ports/browser-opener.ts'

/**
 * The system's browser: the command in $BROWSER where there is one (`%s` is the address, else it comes last; as
 * xdg-open and Python read it; words with spaces in quotes), else what the platform opens pages with.
 */
export function systemBrowser(env: NodeJS.ProcessEnv = process.env): BrowserOpener {
  return {
    open(url) {
      if (!/^https?:$/.test(new URL(url).protocol)) return Promise.reject(new Error('only web pages are opened'))
      const [command, ...parameters] = commandFor(url, env)
      return new Promise((resolve, reject) => {
        const child = spawn(command!, parameters, { stdio: 'ignore', detached: true, shell: false })
        child.once('spawn', () => {
          child.unref()
          resolve()
        })
        child.once('error', () =>
          reject(new Error(`No browser could be opened here. Open this address yourself: ${url}`)),
        )
      })
    },
  }
}

function commandFor(url: string, env: NodeJS.ProcessEnv): string[] {
  const wanted = env.BROWSER?.trim()
  if (wanted) {
    const words = [...wanted.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? '')
    return words.includes('%s') ? words.map((word) => (word === '%s' ? url : word)) : [...words, url]
  }
  if (process.platform === 'darwin') return ['open', url]
  // Not `start`, which is cmd's own and reads & and % in addresses as its own syntax.
  if (process.platform === 'win32') return ['rundll32', 'url.dll,FileProtocolHandler', url]
  return ['xdg-open', url]
}
