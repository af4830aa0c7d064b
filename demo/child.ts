import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

export interface Child extends AsyncDisposable {
  process: ChildProcess
  /** The last lines of its standard error, for a message when it fails. */
  errors: string[]
  /** Resolves with the first stdout line that matches; rejects when the process ends before. */
  line(pattern: RegExp): Promise<RegExpExecArray>
  /** Resolves with the next stderr line that matches; rejects when the process ends before. */
  errorLine(pattern: RegExp): Promise<RegExpExecArray>
  /** SIGTERM, and SIGKILL after the patience (ms) given; resolves with the exit code once it is gone. */
  stop(patience?: number): Promise<number | null>
}

/**
 * Starts a Node program of this repository as a process group of its own, so that Ctrl-C in the terminal reaches only
 * whoever started it, and things end in order.
 */
export function startChild(
  args: string[],
  options: { env?: Record<string, string>; onError?: (line: string) => void } = {},
): Child {
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    env: { ...process.env, ...options.env },
  })
  const out: string[] = []
  const errors: string[] = []
  const waiting = new Set<() => void>()
  const wake = () => {
    for (const look of waiting) look()
  }
  let errorCount = 0
  createInterface({ input: child.stdout! }).on('line', (line) => {
    out.push(line)
    wake()
  })
  createInterface({ input: child.stderr! }).on('line', (line) => {
    errors.push(line)
    errorCount++
    if (errors.length > 200) errors.shift()
    options.onError?.(line)
    wake()
  })
  let gone = false
  const exit = once(child, 'exit').then(([code]) => {
    gone = true
    wake()
    return code as number | null
  })
  const killWithUs = () => child.kill('SIGKILL')
  process.once('exit', killWithUs)
  exit.then(() => process.off('exit', killWithUs))

  const stop = async (patience = 15_000) => {
    if (gone) return child.exitCode
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), patience)
    const code = await exit
    clearTimeout(timer)
    return code
  }
  /** Looks at each line that comes until one matches. */
  const lineOf = (next: () => string | undefined, pattern: RegExp) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      const look = () => {
        for (let line = next(); line !== undefined; line = next()) {
          const match = pattern.exec(line)
          if (!match) continue
          waiting.delete(look)
          return resolve(match)
        }
        if (!gone) return
        waiting.delete(look)
        reject(new Error(`${args.join(' ')} ended with ${child.exitCode ?? child.signalCode}:\n${errors.join('\n')}`))
      }
      waiting.add(look)
      look()
    })
  return {
    process: child,
    errors,
    line(pattern) {
      let seen = 0
      return lineOf(() => (seen < out.length ? out[seen++] : undefined), pattern)
    },
    errorLine(pattern) {
      let seen = errorCount
      return lineOf(() => {
        if (seen >= errorCount) return undefined
        seen = Math.max(seen, errorCount - errors.length)
        return errors[errors.length - (errorCount - seen++)]
      }, pattern)
    },
    stop,
    [Symbol.asyncDispose]: async () => void (await stop()),
  }
}
