import type { RecordingHeader, RecordingLine } from '@countersign/contract/recording'
import { isConnect, type MarkerKind, markerOf, type Step, stepsOf } from '../../../recording-steps.ts'

/** So many commands are printed where nothing makes them remarkable; those that are, are printed up to `remarkable`. */
export const printed = { plain: 1500, remarkable: 5000, rows: 5, columns: 8, said: 600 } as const

/** What a report needs of a recording, however long it is. */
export interface Gathered {
  readonly header: RecordingHeader | undefined
  /** Those that are printed, in order; `number` counts all steps of the recording, from 1. */
  readonly steps: readonly { readonly number: number; readonly step: Step }[]
  /** Steps that are not printed. */
  readonly left: number
  readonly markers: readonly { readonly t: number; readonly kind: MarkerKind; readonly label: string }[]
  /** Moments of all commands, milliseconds, rising. */
  readonly moments: readonly number[]
  readonly length: number
  readonly tally: { commands: number; denied: number; held: number; failed: number; masked: number; revealed: number }
}

/**
 * Reads a recording once and keeps what is to be printed: the first ones, and whatever was denied, held, masked, failed
 * or has a note at its moment. Memory is bounded by what is printed and two numbers a command.
 * @param noted moments (milliseconds) that annotations are about
 */
export async function gathered(
  lines: AsyncIterable<RecordingLine>,
  noted: readonly { from: number; to?: number | undefined }[],
): Promise<Gathered> {
  let header: RecordingHeader | undefined
  const open = new Map<string, RecordingLine[]>()
  const order = new Map<string, number>()
  const kept: { number: number; step: Step }[] = []
  const markers: { t: number; kind: MarkerKind; label: string }[] = []
  const moments: number[] = []
  const channels = new Map<string, { command: string; said: number; masks: boolean; line: Of<'channel'> }>()
  const tally = { commands: 0, denied: 0, held: 0, failed: 0, masked: 0, revealed: 0 }
  let [count, length, plain, remarkable, left] = [0, 0, 0, 0, 0]

  const finish = (number: number, lines: readonly RecordingLine[]) => {
    const step = stepsOf(lines)[0]
    if (!step) return
    if (step.kind === 'command') {
      const { verdict } = step.event
      if (!isConnect(step)) tally.commands++
      if (verdict.outcome === 'deny' && !verdict.observed) tally.denied++
      if (step.result?.status === 'failed') tally.failed++
    }
    const marked = lines.flatMap((line) => markerOf(line) ?? [])
    const special =
      marked.length > 0 ||
      step.kind === 'end' ||
      step.kind === 'note' ||
      noted.some(({ from, to }) => step.t <= (to ?? from) && endOf(step) >= from)
    if (special ? remarkable < printed.remarkable : plain < printed.plain) kept.push({ number, step })
    else left++
    if (special) remarkable++
    else plain++
  }

  for await (const line of lines) {
    if (line.type === 'header') {
      header = line
      continue
    }
    length = Math.max(length, line.t)
    if (line.type === 'channel') channels.set(line.channel, { command: line.command, said: 0, masks: false, line })
    const channel = 'channel' in line ? channels.get(line.channel) : undefined
    const marker = line.type === 'output' && channel?.masks ? undefined : markerOf(line)
    if (marker && channel) channel.masks = true
    // The picture shows at most so many places; what is printed says each.
    if (marker && markers.length < 100_000) markers.push({ t: line.t, ...marker })
    if (line.type === 'note' || line.type === 'end') {
      finish(++count, [line])
      continue
    }
    if (channel && line.type !== 'channel') {
      const own = open.get(channel.command)
      if (line.type === 'output') {
        if (marker) tally.masked++
        // What terminals show is no text; of the rest the beginning is printed.
        if (own && !channel.line.terminal && !line.notice && channel.said < printed.said) {
          own.push(beginning(line, printed.said - channel.said))
          channel.said += typeof line.data === 'string' ? line.data.length : printed.said
        } else if (own && marker) own.push(beginning(line, 0))
      }
      if (line.type !== 'exit') continue
      own?.push(line)
      channels.delete(line.channel)
      continue
    }
    if (!('command' in line)) continue
    let own = open.get(line.command)
    // That an approval was used may be told after the result: its command says so already.
    if (!own && line.type === 'hold' && line.state === 'used') continue
    if (!own) {
      own = []
      open.set(line.command, own)
      order.set(line.command, ++count)
    }
    if (line.type === 'command') moments.push(line.t)
    if (line.type === 'hold' && line.state === 'pending') tally.held++
    const before = line.type === 'rows' ? own.findIndex(({ type }) => type === 'rows') : -1
    if (before >= 0) own[before] = { ...own[before], truncated: true } as RecordingLine
    else own.push(briefly(line))
    if (line.type === 'rows' && before < 0)
      for (const mark of line.columns.flatMap((c) => c.masked ?? [])) tally[mark.revealed ? 'revealed' : 'masked']++
    if (line.type === 'result') {
      finish(order.get(line.command)!, own)
      open.delete(line.command)
      order.delete(line.command)
    }
  }
  for (const [command, own] of open) finish(order.get(command)!, own)
  kept.sort((a, b) => a.number - b.number)
  return { header, steps: kept, left, markers, moments, length, tally }
}

const endOf = (step: Step): number =>
  step.kind === 'command' ? Math.max(step.t, (step.result?.ms ?? 0) + step.t) : step.t

type Of<T extends RecordingLine['type']> = Extract<RecordingLine, { type: T }>

/** What is printed of an output: so many characters of text. */
function beginning(line: Of<'output'>, most: number): Of<'output'> {
  return { ...line, data: typeof line.data === 'string' ? line.data.slice(0, most) : '' }
}

/** Rows that aren't printed are let go at once. */
function briefly(line: RecordingLine): RecordingLine {
  if (line.type !== 'rows' || (line.rows.length <= printed.rows && line.columns.length <= printed.columns)) return line
  return {
    ...line,
    columns: line.columns.slice(0, printed.columns),
    rows: line.rows.slice(0, printed.rows).map((row) => row.slice(0, printed.columns)),
    truncated: true,
  }
}
