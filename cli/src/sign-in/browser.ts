import { spawn } from 'node:child_process'

/**
 * Opens a page in the system's browser: the command in $BROWSER where there is one (`%s` is the address, else it comes
 * last; as xdg-open reads it), else what the platform opens pages with. Answers whether one could be started.
 */
export function openBrowser(url: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  if (!/^https?:$/.test(new URL(url).protocol)) return Promise.resolve(false)
  const [command, ...parameters] = commandFor(url, env)
  return new Promise((resolve) => {
    const child = spawn(command!, parameters, { stdio: 'ignore', detached: true, shell: false })
    child.once('spawn', () => {
      child.unref()
      resolve(true)
    })
    child.once('error', () => resolve(false))
  })
}

/** Whether somebody in front of this machine could see a browser. */
export function hasDisplay(env: NodeJS.ProcessEnv): boolean {
  if (env.BROWSER) return true
  if (env.SSH_CONNECTION || env.SSH_TTY) return false
  return process.platform === 'darwin' || process.platform === 'win32' || Boolean(env.DISPLAY || env.WAYLAND_DISPLAY)
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
