import type { Context } from '../context.ts'
import type { Terminal } from '../terminal/terminal.ts'

/** Prints a result: as it came from the API where JSON is asked for, else as lines. */
export function print<T>(
  { json, terminal }: Pick<Context, 'json' | 'terminal'>,
  result: T,
  lines: (result: T, terminal: Terminal) => string[],
): void {
  if (json) terminal.json(result)
  else for (const line of lines(result, terminal)) terminal.out(line)
}
