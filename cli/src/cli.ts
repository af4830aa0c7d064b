import { CommanderError } from 'commander'
import { CliError, exits } from './errors.ts'
import { createProgram } from './program.ts'
import { shown } from './terminal/text.ts'

/** Runs the command line. Sets the exit code. */
export async function main(args: string[]): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {}) // whoever read it has gone
  try {
    await (await createProgram(args)).parseAsync(args, { from: 'user' })
  } catch (error) {
    process.exitCode = failed(error)
  }
}

/** Says what went wrong, and answers the exit status. */
function failed(error: unknown): number {
  // Commander has said it already: help and version are no errors, the rest is misuse.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exits.done : exits.misuse
  const words =
    error instanceof CliError
      ? error.message
      : `this should not have happened: ${shown(String((error as Error)?.stack ?? error))}`
  process.stderr.write(`countersign: ${shown(words)}\n`)
  return error instanceof CliError ? error.exit : exits.refused
}
