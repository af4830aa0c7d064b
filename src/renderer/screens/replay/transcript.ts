import type { Parameter } from '@countersign/contract/approval'
import type { RecordingEvent, RecordingHeader, RecordingLine } from '@countersign/contract/recording'

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

export interface Transcript {
  readonly header: RecordingHeader | undefined
  readonly steps: readonly Step[]
  /** The last moment that the recording knows of. */
  readonly length: number
  readonly markers: readonly Marker[]
}

/** Something on the timeline worth going to. */
export interface Marker {
  readonly t: number
  readonly kind: 'hold' | 'released' | 'denied' | 'error'
  readonly label: string
  readonly step: number
}

/** Gathers a recording's lines into steps, in the order in which commands began. */
export function transcriptOf(lines: readonly RecordingLine[]): Transcript {
  let header: RecordingHeader | undefined
  const steps: Step[] = []
  const at = new Map<string, number>()
  const markers: Marker[] = []
  let length = 0
  const change = (command: string, more: (step: CommandStep, index: number) => CommandStep) => {
    const index = at.get(command)
    const step = index === undefined ? undefined : steps[index]
    if (index !== undefined && step?.kind === 'command') steps[index] = more(step, index)
  }
  for (const line of lines) {
    if (line.type === 'header') {
      header = line
      continue
    }
    length = Math.max(length, line.t)
    const key = String(line.seq)
    switch (line.type) {
      case 'command': {
        // A held command is told after its hold: it belongs where the agent asked for it.
        const early = steps[at.get(line.command) ?? -1]
        const index = at.get(line.command) ?? steps.length
        if (line.verdict.outcome === 'deny' && !line.verdict.observed)
          markers.push({ t: line.t, kind: 'denied', label: deniedBy(line), step: index })
        at.set(line.command, index)
        steps[index] =
          early?.kind === 'held'
            ? { kind: 'command', key: early.key, t: early.t, event: line, hold: early.hold }
            : { kind: 'command', key, t: line.t, event: line }
        break
      }
      case 'hold': {
        const index = at.get(line.command) ?? steps.length
        at.set(line.command, index)
        markers.push({ t: line.t, ...holdMarker(line), step: index })
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
        change(line.command, (step, index) => {
          if (line.status === 'failed')
            markers.push({ t: line.t, kind: 'error', label: `failed ${line.sqlstate ?? ''}`.trim(), step: index })
          return { ...step, result: line }
        })
        break
      case 'note':
        steps.push({ kind: 'note', key, t: line.t, text: line.text })
        break
      case 'end':
        steps.push({ kind: 'end', key, t: line.t, event: line })
    }
  }
  return { header, steps, length, markers: markers.filter((marker) => marker.label !== '') }
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

/** Whether a step is the session's beginning rather than something that its agent said. */
export function isConnect(step: Step): boolean {
  return step.kind === 'command' && step.event.kind === 'connect'
}

function holdMarker(line: Event<'hold'>): { kind: Marker['kind']; label: string } {
  const by = line.by?.length ? ` by ${line.by.join(' and ')}` : ''
  if (line.state === 'pending') return { kind: 'hold', label: 'held' }
  if (line.state === 'approved') return { kind: 'released', label: `approved${by}` }
  if (line.state === 'used') return { kind: 'released', label: '' }
  return { kind: 'denied', label: `${line.state}${by}` }
}

/** The index of the step that is going on at `t`; -1 before the first. */
export function stepAt(steps: readonly Step[], t: number): number {
  let low = 0
  let high = steps.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (steps[middle]!.t <= t) low = middle + 1
    else high = middle
  }
  return low - 1
}

/** How much happened in each of `count` equal parts of the recording, 0 to 1. */
export function activity(steps: readonly Step[], length: number, count: number): number[] {
  const bars = new Array<number>(count).fill(0)
  for (const step of steps) {
    if (step.kind !== 'command' && step.kind !== 'held') continue
    bars[Math.min(count - 1, Math.floor((step.t / Math.max(1, length)) * count))]! += 1
  }
  const most = Math.max(1, ...bars)
  return bars.map((n) => (n === 0 ? 0 : Math.sqrt(n / most)))
}

/** The transcript as plain text, for copying. */
export function transcriptText(transcript: Transcript): string {
  return transcript.steps
    .map((step) => {
      const time = (step.t / 1000).toFixed(3).padStart(10)
      if (step.kind === 'note') return `${time}  -- ${step.text}`
      if (step.kind === 'end') return `${time}  -- ${step.event.state}: ${step.event.reason}`
      if (step.kind === 'held') return `${time}  -- ${step.hold.approval}: ${step.hold.last.state}, not forwarded`
      const { verdict, text } = step.event
      const result = step.result
        ? `${step.result.status} ${step.result.tag ?? ''} ${step.result.sqlstate ?? ''} ${step.result.message ?? ''}`
            .replace(/ +/g, ' ')
            .trim()
        : 'no result'
      return `${time}  ${text}\n            -- ${verdict.outcome}${verdict.policies.length ? ` (${verdict.policies.join(', ')})` : ''} · ${result}`
    })
    .join('\n')
}
