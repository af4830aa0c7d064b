import { CommanderError } from 'commander'
import { CliError, exits } from './errors.ts'
import { shown } from './terminal/text.ts'

/** Says what went wrong, and answers the exit status. */
export function failed(error: unknown): number {
  // Commander has said it already: help and version are no errors, the rest is misuse.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exits.done : exits.misuse
  const words =
    error instanceof CliError
      ? error.message
      : `this should not have happened: ${String((error as Error)?.stack ?? error)}`
  process.stderr.write(`countersign: ${shown(words)}\n`)
  return error instanceof CliError ? error.exit : exits.refused
}
