import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { styleText } from 'node:util'
import { CliError } from '../errors.ts'
import { jsonText, shown } from './text.ts'

/** Where results, words and questions go. A result's lines are made safe by whoever makes them (`shown`, `block`). */
export interface Terminal {
  /** A line of the result, on standard output. */
  out(line: string): void
  /** A value of the result as one line of JSON. */
  json(value: unknown): void
  /** Words to whoever looks, on standard error. */
  say(words: string): void
  /** Whether somebody is there to be asked. */
  readonly interactive: boolean
  /** Asks a question whose answer is no unless it is y or yes. */
  confirm(question: string): Promise<boolean>
  bold(text: string): string
  dim(text: string): string
}

/** The process's own: results to standard output, words to standard error, styles where a screen shows them. */
export function processTerminal(): Terminal {
  const style = (format: 'bold' | 'dim', text: string) => styleText(format, text, { stream: process.stdout })
  return {
    out: (line) => void process.stdout.write(`${line}\n`),
    json: (value) => void process.stdout.write(`${jsonText(value)}\n`),
    say: (words) => void process.stderr.write(`countersign: ${shown(words)}\n`),
    // The question goes to standard error: where nobody sees that, nobody can answer.
    interactive: Boolean(process.stdin.isTTY && process.stderr.isTTY),
    confirm,
    bold: (text) => style('bold', text),
    dim: (text) => style('dim', text),
  }
}

/** What was typed before a question was there answers nothing (ms that are listened for it). */
const typedAhead = 50

async function confirm(question: string): Promise<boolean> {
  process.stdin.resume()
  await pause(typedAhead)
  process.stdin.pause()
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await new Promise<string | undefined>((resolve, reject) => {
      lines.once('close', () => resolve(undefined))
      lines.once('SIGINT', () => reject(new CliError(130, 'stopped: nothing was decided')))
      lines.question(`${question} [y/N] `, resolve)
    })
    return /^y(es)?$/i.test(answer?.trim() ?? '')
  } finally {
    lines.close()
  }
}
