import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { constants } from 'node:os'
import { CliError, exits } from '../errors.ts'
import { secretVariables } from '../subject/sources.ts'
import { shown } from '../terminal/text.ts'

/** How a client ended: by an exit status, or by a signal. */
export type Ended = { code: number } | { signal: NodeJS.Signals }

/**
 * Runs a client with our standard input, output and error as they are. Signals that reach us alone are passed on; those
 * that a terminal sends to all of its foreground are not sent twice.
 * @param changes of our environment for it; undefined takes a variable away
 * @throws CliError 127 where there is no such program, 126 where it can't be run
 */
export async function runClient(
  command: string[],
  changes: Record<string, string | undefined>,
  env: NodeJS.ProcessEnv,
): Promise<Ended> {
  const [program, ...args] = command
  const hers: NodeJS.ProcessEnv = { ...env }
  for (const name of secretVariables) delete hers[name]
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) delete hers[name]
    else hers[name] = value
  }
  // Caught before the client is there: from now on a signal is hers to judge, and ours only to clean up after.
  const caught: NodeJS.Signals[] = []
  let pass = (signal: NodeJS.Signals) => void caught.push(signal)
  const listeners = (['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGCONT'] as const).map(
    (signal) => {
      const listener = () => pass(signal)
      process.on(signal, listener)
      return () => process.off(signal, listener)
    },
  )
  try {
    return await new Promise<Ended>((resolve, reject) => {
      const child = spawn(program!, args, { stdio: 'inherit', env: hers })
      const byTerminal = sharesTerminal(env)
      pass = (signal) => {
        if (byTerminal && (signal === 'SIGINT' || signal === 'SIGQUIT' || signal === 'SIGCONT')) return
        child.kill(signal)
      }
      child.once('spawn', () => {
        for (const signal of caught) pass(signal)
      })
      child.once('error', (error) => reject(notStarted(program!, error)))
      child.once('exit', (code, signal) => resolve(signal === null ? { code: code ?? exits.refused } : { signal }))
    })
  } finally {
    for (const stop of listeners) stop()
  }
}

/** Ends as the client did. */
export function endAs(ended: Ended): number {
  if ('code' in ended) return ended.code
  // A shell tells the two apart: it stops a script at Ctrl-C only where the signal ended the command.
  process.kill(process.pid, ended.signal)
  return 128 + (constants.signals[ended.signal] ?? 0)
}

/** Whether a Ctrl-C in the terminal reaches the client by itself. */
function sharesTerminal(env: NodeJS.ProcessEnv): boolean {
  // Under an old Node we are in a group of our own, and are sent what the terminal sends.
  if (env.COUNTERSIGN_STARTED_BY_OLD_NODE || process.platform === 'win32') return false
  try {
    closeSync(openSync('/dev/tty', 'r'))
    return true
  } catch {
    return false
  }
}

function notStarted(program: string, error: NodeJS.ErrnoException): CliError {
  if (error.code === 'ENOENT')
    return new CliError(exits.noSuchClient, `there is no program ${shown(program)}: install it, or give its path`)
  return new CliError(exits.notRun, `${shown(program)} can't be run: ${error.message}`)
}
