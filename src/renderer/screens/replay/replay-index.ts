import type { RecordingSummary } from '../../../library-api.ts'
import { countUpTo, fromBase64, type IndexColumns, unpackColumns, unpackFlags } from '../../../recording-index.ts'
import { markerKinds } from '../../../recording-steps.ts'

type Kind = (typeof markerKinds)[number]

/** Something on the timeline worth going to. */
export interface Marker {
  readonly t: number
  readonly kind: Kind
  readonly label: string
  readonly step: number
}

/** A recording's steps without their words: enough for the timeline, for seeking, and to say how many there are. */
export class ReplayIndex {
  readonly columns: IndexColumns
  readonly labels: readonly string[]
  /** Whether steps follow one another within a second somewhere, so that whole seconds don't tell them apart. */
  readonly crowded: boolean

  private constructor(columns: IndexColumns, labels: readonly string[], crowded: boolean) {
    this.columns = columns
    this.labels = labels
    this.crowded = crowded
  }

  /** The index that a summary tells; of one that tells what is new, `before` is what it adds to. */
  static of(summary: RecordingSummary, before?: ReplayIndex): ReplayIndex {
    const { from, columns, labels } = summary.index
    const told = unpackColumns(fromBase64(columns))
    const whole =
      before && (from.step > 0 || from.marker > 0 || from.moment > 0) ? joined(before.columns, told, from) : told
    const { t } = whole.steps
    let crowded = before?.crowded ?? false
    for (let i = Math.max(1, from.step); i < t.length && !crowded; i++) crowded = t[i]! - t[i - 1]! < 1000
    return new ReplayIndex(whole, labels, crowded)
  }

  get count(): number {
    return this.columns.steps.t.length
  }
  /** Times at which something happened, rising; within 100 ms of one there may be more. */
  get moments(): Float64Array {
    return this.columns.moments
  }
  timeOf(step: number): number {
    return this.columns.steps.t[step] ?? 0
  }
  /** Names a step as long as the recording lives: the number of its first line. */
  keyOf(step: number): string {
    return String(this.columns.steps.seq[step])
  }
  flagsOf(step: number) {
    return unpackFlags(this.columns.steps.flags[step]!)
  }
  /** The step that is going on at `t`; -1 before the first. */
  stepAt(t: number): number {
    return countUpTo(this.columns.steps.t, t) - 1
  }
  get markers(): number {
    return this.columns.markers.t.length
  }
  marker(i: number): Marker {
    const { t, kind, label, step } = this.columns.markers
    return { t: t[i]!, kind: markerKinds[kind[i]!]!, label: this.labels[label[i]!] ?? '', step: step[i]! }
  }
  markerAfter(t: number): Marker | undefined {
    const i = countUpTo(this.columns.markers.t, t)
    return i < this.markers ? this.marker(i) : undefined
  }
  markerBefore(t: number): Marker | undefined {
    // The last one that is not at `t` itself.
    let i = countUpTo(this.columns.markers.t, t) - 1
    while (i >= 0 && this.columns.markers.t[i]! >= t) i -= 1
    return i >= 0 ? this.marker(i) : undefined
  }
}

function joined(before: IndexColumns, told: IndexColumns, from: RecordingSummary['index']['from']): IndexColumns {
  const put = <A extends Uint8Array | Uint32Array | Float64Array>(old: A, more: A, at: number): A => {
    const whole = new (old.constructor as new (n: number) => A)(at + more.length)
    whole.set(old.subarray(0, at) as never)
    whole.set(more as never, at)
    return whole
  }
  const { steps, markers, holds, moments } = before
  return {
    steps: {
      seq: put(steps.seq, told.steps.seq, from.step),
      t: put(steps.t, told.steps.t, from.step),
      flags: put(steps.flags, told.steps.flags, from.step),
    },
    markers: {
      step: put(markers.step, told.markers.step, from.marker),
      t: put(markers.t, told.markers.t, from.marker),
      kind: put(markers.kind, told.markers.kind, from.marker),
      label: put(markers.label, told.markers.label, from.marker),
    },
    holds: {
      step: put(holds.step, told.holds.step, from.hold),
      from: put(holds.from, told.holds.from, from.hold),
      to: put(holds.to, told.holds.to, from.hold),
    },
    moments: put(moments, told.moments, from.moment),
  }
}

/** How much happened in each of `count` equal parts of the recording, 0 to 1: commands, or whatever was said. */
export function activity(
  index: ReplayIndex,
  length: number,
  count: number,
  busy: 'steps' | 'moments' = 'steps',
): number[] {
  const bars = new Array<number>(count).fill(0)
  const add = (t: number) => {
    bars[Math.min(count - 1, Math.floor((t / Math.max(1, length)) * count))]! += 1
  }
  const { t, flags } = index.columns.steps
  // Commands, those that were never forwarded too; notes and ends aren't the agent's doing.
  if (busy === 'steps') for (let i = 0; i < t.length; i++) (flags[i]! & 3) > 1 || add(t[i]!)
  else for (const moment of index.moments) add(moment)
  const most = bars.reduce((a, b) => Math.max(a, b), 1)
  return bars.map((n) => (n === 0 ? 0 : Math.sqrt(n / most)))
}
