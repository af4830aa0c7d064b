import type { Parameter } from '@countersign/contract/approval'
import type { RecordingEvent, RecordingLine } from '@countersign/contract/recording'

/**
 * A recording's lines gathered into steps: what the Replay screen shows and what exports write. Pure; the core numbers
 * steps by the same rules (`main/core/library/line-index.ts`), so that any run of steps can be read on its own.
 */

type Event<T extends RecordingEvent['type']> = Extract<RecordingEvent, { type: T }>

/** A command with everything that the recording says about it. Times are milliseconds since the session began. */
export interface CommandStep {
  readonly kind: 'command'
  readonly key: string
  readonly t: number
  readonly event: Event<'command'>
  readonly hold?: { readonly approval: string; readonly from: number; readonly last: Event<'hold'> }
  readonly rows?: {
    readonly t: number
    readonly columns: Event<'rows'>['columns']
    readonly rows: readonly (readonly Parameter[])[]
    readonly truncated: boolean
  }
  readonly result?: Event<'result'>
  readonly channel?: ChannelOfStep
}

/** The channel of SSH in which a command ran. Its terminal, and all of its output, is asked for by itself (terminal-api.ts). */
export interface ChannelOfStep {
  readonly event: Event<'channel'>
  /** The beginning of what it said: some KiB. */
  readonly head: readonly Event<'output'>[]
  /** Absent while it goes on. */
  readonly exit?: Event<'exit'>
}

/** A command that was held and isn't forwarded yet: the recording has its words only once the gate has let it go. */
export interface HeldStep {
  readonly kind: 'held'
  readonly key: string
  readonly t: number
  readonly hold: NonNullable<CommandStep['hold']>
}

export type Step =
  | CommandStep
  | HeldStep
  | { readonly kind: 'note'; readonly key: string; readonly t: number; readonly text: string }
  | { readonly kind: 'end'; readonly key: string; readonly t: number; readonly event: Event<'end'> }

/** Kinds of what is worth going to on a timeline. */
export const markerKinds = ['hold', 'released', 'denied', 'error', 'mask'] as const
export type MarkerKind = (typeof markerKinds)[number]

/** Gathers lines into steps, in the order in which they began. Lines that belong to no step are left out. */
export function stepsOf(lines: Iterable<RecordingLine>): Step[] {
  const steps: Step[] = []
  const at = new Map<string, number>()
  const channels = new Map<string, string>()
  const change = (command: string, more: (step: CommandStep) => CommandStep) => {
    const index = at.get(command)
    const step = index === undefined ? undefined : steps[index]
    if (index !== undefined && step?.kind === 'command') steps[index] = more(step)
  }
  for (const line of lines) {
    if (line.type === 'header') continue
    const key = String(line.seq)
    switch (line.type) {
      case 'command': {
        // A held command is told after its hold: it belongs where the agent asked for it.
        const index = at.get(line.command) ?? steps.length
        const early = steps[index]
        at.set(line.command, index)
        if (early?.kind === 'command') steps[index] = { ...early, event: line }
        else if (early?.kind === 'held')
          steps[index] = { kind: 'command', key: early.key, t: early.t, event: line, hold: early.hold }
        else steps[index] = { kind: 'command', key, t: line.t, event: line }
        break
      }
      case 'hold': {
        const index = at.get(line.command) ?? steps.length
        at.set(line.command, index)
        const step = steps[index]
        if (step?.kind === 'command' || step?.kind === 'held') steps[index] = { ...step, hold: holdAfter(step, line) }
        else steps[index] = { kind: 'held', key, t: line.t, hold: holdAfter(undefined, line) }
        break
      }
      case 'rows':
        change(line.command, (step) => ({
          ...step,
          rows: {
            t: line.t,
            columns: line.columns,
            rows: step.rows ? [...step.rows.rows, ...line.rows] : line.rows,
            truncated: line.truncated === true || step.rows?.truncated === true,
          },
        }))
        break
      case 'result':
        change(line.command, (step) => ({ ...step, result: line }))
        break
      case 'channel':
        if (!at.has(line.command)) break
        channels.set(line.channel, line.command)
        change(line.command, (step) => ({ ...step, channel: { event: line, head: [] } }))
        break
      case 'output':
      case 'exit':
        change(channels.get(line.channel) ?? '', (step) => {
          const { channel } = step
          if (channel?.event.channel !== line.channel) return step
          if (line.type === 'exit') return { ...step, channel: { ...channel, exit: line } }
          return { ...step, channel: { ...channel, head: [...channel.head, line] } }
        })
        break
      case 'note':
        steps.push({ kind: 'note', key, t: line.t, text: line.text })
        break
      case 'end':
        steps.push({ kind: 'end', key, t: line.t, event: line })
    }
  }
  return steps
}

function holdAfter(step: CommandStep | HeldStep | undefined, line: Event<'hold'>): HeldStep['hold'] {
  const { approval, state } = line
  const before = step?.hold
  const last = state === 'used' && before ? { ...before.last, state } : line
  return { approval, from: before?.from ?? line.t, last }
}

/** `denied by POLICY`, or plainly that no policy permits it. */
export function deniedBy({ verdict }: Event<'command'>): string {
  return verdict.policies.length > 0 ? `denied by ${verdict.policies.join(', ')}` : 'denied: no policy permits it'
}

/** How a channel ended, and what the recording lacks of it: `exit 0 · 3 bytes in, 40 out, 0 on stderr`. */
export function exitOf({ code, signal, bytes, truncated }: Event<'exit'>): string {
  const how =
    signal !== undefined ? `ended by SIG${signal}` : code === undefined ? 'ended without a status' : `exit ${code}`
  const passed = `${bytes.stdin} bytes in, ${bytes.stdout} out, ${bytes.stderr} on stderr`
  return `${how} · ${passed}${truncated ? ` · not kept whole: ${truncated.join(', ')}` : ''}`
}

/** Whether a step is the session's beginning rather than something that its agent said. */
export function isConnect(step: Step): boolean {
  return step.kind === 'command' && step.event.kind === 'connect'
}

/** What a line is on the timeline; undefined where it is nothing to go to. */
export function markerOf(line: RecordingLine): { kind: MarkerKind; label: string } | undefined {
  switch (line.type) {
    case 'command':
      return line.verdict.outcome === 'deny' && !line.verdict.observed
        ? { kind: 'denied', label: deniedBy(line) }
        : undefined
    case 'hold': {
      const by = line.by?.length ? ` by ${line.by.join(' and ')}` : ''
      if (line.state === 'pending') return { kind: 'hold', label: 'held' }
      if (line.state === 'approved') return { kind: 'released', label: `approved${by}` }
      return line.state === 'used' ? undefined : { kind: 'denied', label: `${line.state}${by}` }
    }
    case 'rows': {
      const marks = line.columns.flatMap((column) => column.masked ?? [])
      if (marks.length === 0) return undefined
      const classes = [...new Set(marks.map((mark) => mark.class))].join(', ')
      return { kind: 'mask', label: `${marks.some((mark) => mark.revealed) ? 'revealed' : 'masked'}: ${classes}` }
    }
    case 'result':
      return line.status === 'failed'
        ? { kind: 'error', label: `failed ${line.sqlstate ?? line.tag ?? ''}`.trim() }
        : undefined
    case 'output':
      return line.masked?.length ? { kind: 'mask', label: `masked: ${line.masked.join(', ')}` } : undefined
    default:
      return undefined
  }
}
