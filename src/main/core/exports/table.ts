import type { AnnotationView } from '../../../annotations-api.ts'
import type { ExportSource } from './exports.ts'
import { stepsIn } from './reading.ts'
import { standingOf } from './transcript.ts'

const head = [
  'seq',
  'at',
  'seconds',
  'command',
  'parameters',
  'kind',
  'effects',
  'verdict',
  'policies',
  'verdict_reason',
  'observed',
  'approval',
  'approval_state',
  'decided_by',
  'decision_reason',
  'held_seconds',
  'status',
  'tag',
  'rows',
  'masked',
  'sqlstate',
  'message',
  'milliseconds',
  'notes',
]

/**
 * A row a command (RFC 4180, UTF-8 with a byte order mark, without which Excel takes it for something else). A held
 * command that was never forwarded has a row too, without its text. A note stands with the command that was the last one
 * when it is about; with the first one where there was none yet.
 */
export async function* writeTable(source: ExportSource): AsyncGenerator<string> {
  const began = Date.parse(source.file.header?.startedAt ?? source.session.openedAt)
  yield `\ufeff${head.join(',')}\r\n`
  const notes = [...source.annotations]
  let row: (string | number | undefined)[] | undefined
  const written = (until: number) => {
    const rest = notes.findIndex(({ from }) => from >= until)
    const of = notes.splice(0, rest < 0 ? notes.length : rest)
    return `${[...row!, of.map(noteOf).join('\n')].map(csvCell).join(',')}\r\n`
  }
  for await (const step of stepsIn(source)) {
    if (step.kind !== 'command' && step.kind !== 'held') continue
    if (row) yield written(step.t)
    const event = step.kind === 'command' ? step.event : undefined
    const { result, rows } = step.kind === 'command' ? step : {}
    const last = step.hold?.last
    row = [
      event?.seq ?? Number(step.key),
      new Date(began + step.t).toISOString(),
      step.t / 1000,
      event?.text,
      event && event.parameters.length > 0 ? JSON.stringify(event.parameters) : '',
      event?.kind,
      event?.effects.map(({ action, resource }) => `${action} ${resource.id}`).join('; '),
      event?.verdict.outcome ?? 'hold',
      event?.verdict.policies.join('; '),
      event?.verdict.reason,
      event?.verdict.observed ? 'yes' : '',
      step.hold?.approval,
      last && (last.state === 'used' ? 'approved' : last.state),
      last?.by?.join('; '),
      last?.reason,
      last && last.state !== 'pending' ? (last.t - step.hold!.from) / 1000 : '',
      result?.status,
      result?.tag,
      result?.rows,
      rows?.columns.flatMap(({ name, masked }) => (masked ?? []).map((mark) => `${name}: ${mark.class}`)).join('; '),
      result?.sqlstate,
      result?.message,
      result?.ms,
    ]
  }
  if (row) yield written(Number.POSITIVE_INFINITY)
}

function noteOf(note: AnnotationView): string {
  const tags = note.tags.length > 0 ? ` [${note.tags.join(', ')}]` : ''
  return `${note.by.name}, ${note.madeAt}${tags}: ${note.text} (${standingOf(note)})`
}

/**
 * A cell of CSV. What a spreadsheet would take for a formula (= + - @, also in their full widths, or behind a tab, a line
 * end or spaces) gets an apostrophe in front: commands and messages are an agent's words, and must not run on an auditor's
 * machine. So does what stands behind a semicolon, a tab or a line end: a spreadsheet whose list separator is the
 * semicolon (as in most of Europe) begins a cell there, quoted or not. The exact text is in the recording (NDJSON).
 */
export function csvCell(value: string | number | undefined): string {
  if (value === undefined) return ''
  if (typeof value === 'number') return String(value)
  const inner = value.replace(/([;\t\r\n]["\s\u00a0]*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])/g, "$1'")
  const safe = /^[\s\u00a0]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/.test(value) ? `'${inner}` : inner
  return /[",\r\n]|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
