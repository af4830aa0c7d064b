import type { Parameter } from '@countersign/contract/approval'
import type { RecordingLine } from '@countersign/contract/recording'
import {
  countUpTo,
  type IndexColumns,
  Packer,
  packColumns,
  packFlags,
  type StepFlags,
  Unpacker,
  unpackColumns,
  unpackFlags,
} from '../../../recording-index.ts'
import { markerKinds, markerOf } from '../../../recording-steps.ts'

/** A column that grows. */
class Growing<A extends Uint32Array | Int32Array | Float64Array | Uint8Array> {
  #array: A
  length: number
  constructor(array: A) {
    this.#array = array
    this.length = array.length
  }
  push(value: number): void {
    if (this.length === this.#array.length) {
      const more = new (this.#array.constructor as new (n: number) => A)(Math.max(64, this.length * 2))
      more.set(this.#array as never)
      this.#array = more
    }
    this.#array[this.length++] = value
  }
  at(i: number): number {
    return this.#array[i]!
  }
  set(i: number, value: number): void {
    this.#array[i] = value
  }
  from(start: number): A {
    return this.#array.subarray(start, this.length) as A
  }
}

interface Columns {
  seq: Growing<Uint32Array>
  t: Growing<Float64Array>
  flags: Growing<Uint8Array>
  markerStep: Growing<Uint32Array>
  markerT: Growing<Float64Array>
  markerKind: Growing<Uint8Array>
  markerLabel: Growing<Uint32Array>
  holdStep: Growing<Uint32Array>
  holdFrom: Growing<Float64Array>
  holdTo: Growing<Float64Array>
  moments: Growing<Float64Array>
}

/** What a reader has of the index already, so that only the rest is told. */
export interface Have {
  seq: number
  markers: number
  moments: number
}

/** The index as it is told: columns from some step, hold, marker and moment on. */
export interface IndexSlice {
  from: { step: number; hold: number; marker: number; moment: number }
  columns: Uint8Array
  /** All labels that markers point to. */
  labels: string[]
}

/** A channel of SSH: where it stands, and what a list of channels says. Times are milliseconds since the session began. */
export interface ChannelPlace {
  readonly id: string
  readonly kind: 'exec' | 'shell' | 'sftp'
  readonly terminal: boolean
  /** Of its command; -1 where that is not known. */
  readonly step: number
  /** Of its first line, and of its last one; -1 while that is not there. */
  readonly line: number
  exit: number
  readonly from: number
  /** -1 while it is not there. */
  to: number
  /** How many lines it has after the first. */
  frames: number
  /** Bytes of output that windows of steps show. */
  head: number
  code?: number | undefined
  signal?: string | undefined
}

/** So much of a channel's output stands with its step; the rest is asked for by itself. */
const headBytes = 16 * 1024

/**
 * A line of a channel isn't its step's own: a shell's would be all of it. It is `-(2 + 2 × place of the channel)`, one
 * less where windows of steps show it all the same.
 */
const frameOf = (channel: number, inWindow: boolean) => -(2 + 2 * channel + (inWindow ? 1 : 0))
const channelOf = (code: number) => (-code - 2) >> 1
const isInWindow = (code: number) => ((-code - 2) & 1) === 1

/** The names of commands that may still be spoken of; of those with a result the latest, for a release after a hold. */
const openCommands = 65_536
const settledCommands = 1024
/** Lists of a channel's lines that are kept in memory. */
const framesKept = 16
const momentMs = 100

/**
 * Numbers a recording's steps line by line (as `stepsOf` gathers them), and notes what a timeline shows. Memory: some
 * 30 bytes a step and 8 a line. Line numbers are `seq`; the header is line 0.
 */
export class LineIndex {
  /** As it was saved, until something of it is needed that isn't told as it is: opening is what a person waits for. */
  #saved: { columns: Uint8Array; lines: Uint8Array } | undefined
  #unpacked: Columns | undefined
  /** Of each line its step, -1 for none; of a channel's lines as `frameOf` says. */
  #stepOfLine: Growing<Int32Array> | undefined
  readonly #labels: string[]
  readonly #labelAt: Map<string, number>
  readonly #open: Map<string, number>
  readonly #settled: Map<string, number>
  readonly #holdOf = new Map<number, number>()
  readonly #channels: ChannelPlace[]
  /** Where those are that have not ended. */
  readonly #openChannels: Map<string, number>
  #framesOf: { channel: number; upTo: number; lines: Growing<Uint32Array> }[] = []
  /** Lines sorted by step, made when it is first asked for after a change. */
  #byStep: { starts: Uint32Array; lines: Uint32Array } | undefined
  length = 0

  /** @param saved what `save` gave; it must not be changed any more */
  constructor(saved?: { columns: Uint8Array; lines: Uint8Array; rest: SavedNames }) {
    const { columns, lines, rest } = saved ?? nothing()
    this.#saved = { columns, lines }
    this.#labels = rest.labels
    this.#labelAt = new Map(rest.labels.map((label, i) => [label, i]))
    this.#open = new Map(rest.open)
    this.#settled = new Map(rest.settled)
    this.length = rest.length
    this.#channels = (rest.channels ?? []).map((channel) => ({ ...channel }))
    this.#openChannels = new Map(this.#channels.flatMap(({ id, exit }, i) => (exit < 0 ? [[id, i]] : [])))
  }

  get #columns(): Columns {
    if (this.#unpacked) return this.#unpacked
    const c = unpackColumns(this.#saved!.columns)
    this.#unpacked = {
      seq: new Growing(c.steps.seq),
      t: new Growing(c.steps.t),
      flags: new Growing(c.steps.flags),
      markerStep: new Growing(c.markers.step),
      markerT: new Growing(c.markers.t),
      markerKind: new Growing(c.markers.kind),
      markerLabel: new Growing(c.markers.label),
      holdStep: new Growing(c.holds.step),
      holdFrom: new Growing(c.holds.from),
      holdTo: new Growing(c.holds.to),
      moments: new Growing(c.moments),
    }
    for (const [i, step] of c.holds.step.entries()) this.#holdOf.set(step, i)
    return this.#unpacked
  }

  get #lineStep(): Growing<Int32Array> {
    if (this.#stepOfLine) return this.#stepOfLine
    const from = new Unpacker(this.#saved!.lines)
    const steps = new Int32Array(from.uint())
    let now = 0
    for (let i = 0; i < steps.length; i++) {
      now += from.int()
      steps[i] = now
    }
    this.#stepOfLine = new Growing(steps)
    return this.#stepOfLine
  }

  get steps(): number {
    return this.#unpacked ? this.#unpacked.seq.length : new Unpacker(this.#saved!.columns).uint()
  }

  /** The next line's number. */
  get lines(): number {
    return this.#stepOfLine ? this.#stepOfLine.length : new Unpacker(this.#saved!.lines).uint()
  }

  /** The step of a line; -1 where it has none. */
  stepOf(line: number): number {
    const code = this.#lineStep.at(line)
    return code < -1 ? this.#channels[channelOf(code)]!.step : code
  }

  /** The step in whose window a line stands; -1 where it stands in none. */
  #windowOf(code: number): number {
    if (code >= -1) return code
    return isInWindow(code) ? this.#channels[channelOf(code)]!.step : -1
  }

  /** In the order in which they began. */
  get channels(): readonly Readonly<ChannelPlace>[] {
    return this.#channels
  }

  /** Numbers of a channel's lines after its first, rising: its frames. Whoever keeps it has what was there then. */
  framesOf(channel: number): Uint32Array {
    let known = this.#framesOf.find((one) => one.channel === channel)
    if (!known) {
      const { line } = this.#channels[channel]!
      known = { channel, upTo: line + 1, lines: new Growing(new Uint32Array(0)) }
      this.#framesOf = [known, ...this.#framesOf.slice(0, framesKept - 1)]
    }
    const codes = this.#lineStep.from(0)
    const one = frameOf(channel, false)
    const other = frameOf(channel, true)
    for (; known.upTo < codes.length; known.upTo++) {
      const code = codes[known.upTo]
      if (code === one || code === other) known.lines.push(known.upTo)
    }
    return known.lines.from(0)
  }

  add(line: RecordingLine): void {
    this.#byStep = undefined
    if (this.#saved) {
      void this.#columns
      void this.#lineStep
      this.#saved = undefined
    }
    if (line.type === 'header') {
      this.#lineStep.push(-1)
      return
    }
    // A clock that went back must not make a column fall that is searched by halves.
    this.length = Math.max(this.length, line.t)
    const frame = this.#frame(line)
    const step = frame === undefined ? this.#place(line) : this.#channels[channelOf(frame)]!.step
    this.#lineStep.push(frame ?? step)
    const { moments } = this.#columns
    if (moments.length === 0 || this.length - moments.at(moments.length - 1) >= momentMs) moments.push(this.length)
    if (step < 0) return
    const masks = line.type === 'rows' || line.type === 'output'
    const marker = masks && this.#flags(step).masked ? undefined : markerOf(line)
    if (marker) this.#mark(step, marker.kind, marker.label)
    if (masks && marker) this.#change(step, { masked: true })
  }

  /** What stands for a line of a channel; undefined where it is none. */
  #frame(line: Exclude<RecordingLine, { type: 'header' }>): number | undefined {
    switch (line.type) {
      case 'output':
      case 'input':
      case 'resize':
      case 'signal':
      case 'exit':
        break
      default:
        return undefined
    }
    const at = this.#openChannels.get(line.channel)
    if (at === undefined) return undefined
    const channel = this.#channels[at]!
    channel.frames += 1
    if (line.type === 'exit') {
      channel.exit = line.seq
      channel.to = this.length
      if (line.code !== undefined) channel.code = line.code
      if (line.signal !== undefined) channel.signal = line.signal
      this.#openChannels.delete(line.channel)
      return frameOf(at, true)
    }
    if (line.type !== 'output') return frameOf(at, false)
    // What is shown of a terminal is its screen; but that something of it is masked is its step's to say.
    const masks = line.masked !== undefined && channel.step >= 0 && !this.#flags(channel.step).masked
    const shown = !channel.terminal && channel.head < headBytes
    if (shown) channel.head += sizeOf(line.data)
    return frameOf(at, shown || masks)
  }

  #place(line: Exclude<RecordingLine, { type: 'header' }>): number {
    switch (line.type) {
      case 'note':
      case 'end':
        return this.#begin(line.seq, { kind: line.type })
      case 'command': {
        const { outcome: verdict, observed = false } = line.verdict
        const known = this.#known(line.command)
        const step = known ?? this.#begin(line.seq, { kind: 'command' })
        this.#change(step, { kind: 'command', verdict, observed })
        this.#settled.delete(line.command)
        this.#open.set(line.command, step)
        if (this.#open.size > openCommands) this.#open.delete(first(this.#open))
        return step
      }
      case 'hold': {
        const known = this.#known(line.command)
        const step = known ?? this.#begin(line.seq, { kind: 'held', verdict: 'hold' })
        if (known === undefined) this.#open.set(line.command, step)
        const { holdStep, holdFrom, holdTo } = this.#columns
        let hold = this.#holdOf.get(step)
        if (hold === undefined) {
          hold = holdStep.length
          this.#holdOf.set(step, hold)
          holdStep.push(step)
          holdFrom.push(this.length)
          holdTo.push(-1)
        }
        if (line.state !== 'pending' && line.state !== 'used') holdTo.set(hold, this.length)
        return step
      }
      case 'rows':
      case 'result': {
        const step = this.#known(line.command) ?? -1
        if (step < 0 || this.#flags(step).kind !== 'command') return -1
        if (line.type === 'result') {
          this.#change(step, { status: line.status })
          this.#open.delete(line.command)
          this.#settled.set(line.command, step)
          if (this.#settled.size > settledCommands) this.#settled.delete(first(this.#settled))
        }
        return step
      }
      case 'channel': {
        const step = this.#known(line.command) ?? -1
        this.#openChannels.set(line.channel, this.#channels.length)
        const { channel: id, kind, terminal } = line
        const place = { id, kind, terminal: terminal !== undefined, step, line: line.seq, from: this.length }
        this.#channels.push({ ...place, exit: -1, to: -1, frames: 0, head: 0 })
        return step
      }
      default:
        return -1
    }
  }

  #known(command: string): number | undefined {
    return this.#open.get(command) ?? this.#settled.get(command)
  }

  #begin(seq: number, given: Partial<StepFlags>): number {
    const { seq: seqs, t, flags } = this.#columns
    seqs.push(seq)
    t.push(this.length)
    flags.push(packFlags({ kind: 'note', verdict: 'none', status: 'none', observed: false, masked: false, ...given }))
    return seqs.length - 1
  }

  #flags(step: number): StepFlags {
    return unpackFlags(this.#columns.flags.at(step))
  }

  #change(step: number, change: Partial<StepFlags>): void {
    this.#columns.flags.set(step, packFlags({ ...this.#flags(step), ...change }))
  }

  #mark(step: number, kind: (typeof markerKinds)[number], label: string): void {
    let at = this.#labelAt.get(label)
    if (at === undefined) {
      at = this.#labels.push(label) - 1
      this.#labelAt.set(label, at)
    }
    const { markerStep, markerT, markerKind, markerLabel } = this.#columns
    markerStep.push(step)
    markerT.push(this.length)
    markerKind.push(markerKinds.indexOf(kind))
    markerLabel.push(at)
  }

  /** Numbers of the lines of steps `from` up to and without `to`, rising. */
  linesOf(from: number, to: number): Uint32Array {
    this.#byStep ??= this.#sorted()
    const { starts, lines } = this.#byStep
    const last = Math.min(to, this.steps)
    if (from >= last) return new Uint32Array()
    return lines.slice(starts[from]!, starts[last]!).sort()
  }

  #sorted() {
    const starts = new Uint32Array(this.steps + 1)
    const all = this.#lineStep.from(0)
    for (const code of all) {
      const step = this.#windowOf(code)
      if (step >= 0) starts[step + 1]!++
    }
    for (let i = 1; i < starts.length; i++) starts[i]! += starts[i - 1]!
    const next = starts.slice(0, -1)
    const lines = new Uint32Array(starts.at(-1) ?? 0)
    for (const [line, code] of all.entries()) {
      const step = this.#windowOf(code)
      if (step >= 0) lines[next[step]!++] = line
    }
    return { starts, lines }
  }

  /** The step that is going on at `t` milliseconds; -1 before the first. */
  stepAt(t: number): number {
    return countUpTo(this.#columns.t.from(0), t) - 1
  }

  timeOf(step: number): number {
    return this.#columns.t.at(step)
  }

  /** What a reader who has this much lacks; everything where it has nothing. */
  slice(have: Have = { seq: 0, markers: 0, moments: 0 }): IndexSlice {
    if (have.seq === 0 && this.#saved)
      return { from: { step: 0, hold: 0, marker: 0, moment: 0 }, columns: this.#saved.columns, labels: this.#labels }
    let step = this.steps
    let hold = this.#columns.holdStep.length
    if (have.seq === 0) step = hold = 0
    else
      for (let line = have.seq + 1; line < this.lines; line++) {
        const touched = this.#windowOf(this.#lineStep.at(line))
        if (touched < 0) continue
        step = Math.min(step, touched)
        hold = Math.min(hold, this.#holdOf.get(touched) ?? hold)
      }
    const from = {
      step,
      hold,
      marker: Math.min(have.markers, this.#columns.markerStep.length),
      moment: Math.min(have.moments, this.#columns.moments.length),
    }
    return { from, columns: packColumns(this.#from(from)), labels: this.#labels }
  }

  #from({ step, hold, marker, moment }: IndexSlice['from']): IndexColumns {
    const c = this.#columns
    return {
      steps: { seq: c.seq.from(step), t: c.t.from(step), flags: c.flags.from(step) },
      markers: {
        step: c.markerStep.from(marker),
        t: c.markerT.from(marker),
        kind: c.markerKind.from(marker),
        label: c.markerLabel.from(marker),
      },
      holds: { step: c.holdStep.from(hold), from: c.holdFrom.from(hold), to: c.holdTo.from(hold) },
      moments: c.moments.from(moment),
    }
  }

  /** For the disk; the constructor takes it back. */
  save(): { columns: Uint8Array; lines: Uint8Array; rest: SavedNames } {
    const rest = {
      labels: this.#labels,
      open: [...this.#open],
      settled: [...this.#settled],
      length: this.length,
      channels: this.#channels,
    }
    if (this.#saved) return { ...this.#saved, rest }
    const packer = new Packer()
    packer.uint(this.#lineStep.length)
    let before = 0
    for (const step of this.#lineStep.from(0)) {
      packer.int(step - before)
      before = step
    }
    return {
      columns: packColumns(this.#from({ step: 0, hold: 0, marker: 0, moment: 0 })),
      lines: packer.finish(),
      rest,
    }
  }
}

export interface SavedNames {
  labels: string[]
  open: [string, number][]
  settled: [string, number][]
  length: number
  /** Absent in what was saved before there were any. */
  channels?: ChannelPlace[] | undefined
}

function nothing() {
  return {
    columns: new Uint8Array(4),
    lines: new Uint8Array(1),
    rest: { labels: [], open: [], settled: [], length: 0 } as SavedNames,
  }
}

function sizeOf(data: Parameter): number {
  return typeof data === 'string' ? data.length : data === null ? 0 : data.base64.length
}

const first = (map: Map<string, number>) => map.keys().next().value!
