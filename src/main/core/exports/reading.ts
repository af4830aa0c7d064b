import type { Parameter } from '@countersign/contract/approval'
import type { RecordingLine } from '@countersign/contract/recording'
import { type Step, stepsOf } from '../../../recording-steps.ts'
import { visibleText } from '../../../visible.ts'
import type { ExportSource } from './exports.ts'

const atOnce = 200

/** A recording's steps in order, some hundred in memory at a time. */
export async function* stepsIn({ file, signal, progress }: ExportSource): AsyncGenerator<Step> {
  const { index } = file
  for (let at = 0; at < index.steps; at += atOnce) {
    signal.throwIfAborted()
    yield* stepsOf(await file.lines(index.linesOf(at, at + atOnce)))
    progress(Math.min(at + atOnce, index.steps), index.steps)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** A recording's lines in order, some hundred in memory at a time. */
export async function* linesIn({ file, signal, progress }: ExportSource): AsyncGenerator<RecordingLine> {
  const { lines } = file.index
  for (let at = 0; at < lines; at += atOnce) {
    signal.throwIfAborted()
    yield* await file.lines(Array.from({ length: Math.min(atOnce, lines - at) }, (_, i) => at + i))
    progress(Math.min(at + atOnce, lines), lines)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Text from outside, for a terminal or a page: what would move a cursor, colour a line or hide is named. */
export const plainly = visibleText

/** A value of a result or a parameter, on one line. */
export function cell(value: Parameter): string {
  if (value === null) return 'NULL'
  if (typeof value === 'object') return `base64:${value.base64}`
  return plainly(value).replaceAll('\n', '⟨U+000A⟩').replaceAll('\t', '⟨U+0009⟩')
}

const widest = 60

/** Rows as a table of text, columns padded, at most so wide each. */
export function tableOf(columns: readonly { name: string }[], rows: readonly (readonly Parameter[])[]): string[] {
  const cut = (text: string) => (text.length > widest ? `${text.slice(0, widest - 1)}…` : text)
  const cells = [columns.map(({ name }) => cut(cell(name))), ...rows.map((row) => row.map((value) => cut(cell(value))))]
  const widths = columns.map((_, i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)))
  const line = (row: readonly string[]) => ` ${row.map((text, i) => text.padEnd(widths[i]!)).join(' | ')}`.trimEnd()
  const [head, ...rest] = cells
  return [line(head!), `-${widths.map((width) => '-'.repeat(width)).join('-+-')}-`, ...rest.map(line)]
}
