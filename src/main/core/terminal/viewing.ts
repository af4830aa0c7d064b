import type { RecordingLine } from '@countersign/contract/recording'
import { ConsoleError } from '../../../console-api.ts'
import type { TerminalFrame } from '../../../terminal-api.ts'
import type { RecordingFile } from '../library/recording-file.ts'
import { FrameReader, type FrameState } from './frames.ts'
import { type Keyframe, keyframeAt, keyframeBefore, Look, type Looked } from './look.ts'

/** Reads a kept recording. @throws ConsoleError not-kept, damaged-copy */
export type Reading = <T>(session: string, read: (file: RecordingFile) => Promise<T>) => Promise<T>

/** Lines that are read at once, and about how many characters make a batch. */
const linesAtOnce = 64
const batchCharacters = 256 * 1024
/** What is shorter than this is looked through again rather than kept. */
const worthKeeping = { characters: 512 * 1024, frames: 4000 }
const places = 64

interface Waiting {
  t: number
  at: number
  resolve(): void
  reject(error: Error): void
}

/**
 * A channel that somebody looks at: its frames from any place on, and what looking through them came to. Looking goes on in
 * the background as long as there is more; what it came to is kept beside the recording where that is worth it.
 */
export class Viewing {
  readonly session: string
  readonly channel: string
  readonly edition: string
  readonly #place: number
  readonly #terminal: boolean
  readonly #reading: Reading
  readonly #told: (viewing: Viewing) => void
  #look: Look | undefined
  #kept: Looked | undefined
  #reader: FrameReader
  /** What is known of the frames before some that were asked for: whoever reads on asks for the next ones. */
  readonly #states = new Map<number, FrameState>()
  #running: Promise<void> | undefined
  #waiting: Waiting[] = []
  #problem: Error | undefined
  /** How many frames there were when one looked last. */
  count = 0
  ended = false

  private constructor(
    of: { session: string; channel: string; edition: string; place: number; terminal: boolean },
    reading: Reading,
    told: (viewing: Viewing) => void,
    found: Look | Looked,
  ) {
    this.session = of.session
    this.channel = of.channel
    this.edition = of.edition
    this.#place = of.place
    this.#terminal = of.terminal
    this.#reading = reading
    this.#told = told
    if (found instanceof Look) this.#look = found
    else this.#kept = found
    this.#reader = new FrameReader(found.keyframes[0]!.state, of.terminal)
  }

  /** @throws ConsoleError no-such-channel */
  static async of(
    session: string,
    channel: string,
    file: RecordingFile,
    reading: Reading,
    told: (viewing: Viewing) => void,
  ): Promise<Viewing> {
    const place = placeOf(file, channel)
    const { from, line, terminal } = file.index.channels[place]!
    const of = { session, channel, edition: file.edition, place, terminal }
    const kept = await keptLook(file, place)
    if (kept) {
      const viewing = new Viewing(of, reading, told, kept)
      viewing.#counted(file)
      return viewing
    }
    const [event] = await file.lines([line])
    const size = event?.type === 'channel' ? event.terminal : undefined
    const look = await Look.begin(from, size && terminal ? size : undefined, file.placeOf(line))
    const viewing = new Viewing(of, reading, told, look)
    viewing.#counted(file)
    return viewing
  }

  get looked(): Looked {
    return (this.#look ?? this.#kept)!
  }

  /** How much was looked through, 0 to 1. */
  get part(): number {
    return this.count === 0 ? 1 : Math.min(1, this.looked.count / this.count)
  }

  get idle(): boolean {
    return this.#running === undefined && this.#waiting.length === 0
  }

  #counted(file: RecordingFile): void {
    const { frames, exit } = file.index.channels[this.#place]!
    this.count = frames
    this.ended = exit >= 0 || file.ended
  }

  /** Looks at what is here and was not looked at yet; in the background. */
  go(): void {
    if (!this.#look || this.#running) return
    this.#running = this.#through().then(
      () => {
        this.#running = undefined
        // There is no more of it here: what was waited for doesn't come by waiting.
        for (const { resolve } of this.#waiting.splice(0)) resolve()
      },
      (error: Error) => {
        this.#running = undefined
        this.#problem = error
        for (const { reject } of this.#waiting.splice(0)) reject(error)
      },
    )
  }

  async #through(): Promise<void> {
    for (;;) {
      const look = this.#look
      if (!look) return
      const batch = await this.#batch(look.count)
      for (const { line, block } of batch) {
        const frame = this.#reader.read(line)
        if (frame) await look.take(frame, () => this.#reader.state, block)
        if (this.#look !== look) return
      }
      this.#settle()
      if (batch.length === 0) break
      if (this.part < 1) this.#told(this)
      await new Promise((resolve) => setImmediate(resolve))
    }
    if (this.ended) await this.#keep()
    this.#told(this)
  }

  async #keep(): Promise<void> {
    const look = this.#look
    if (!look) return
    const { keyframes, count, t, characters, largest, idle, markers } = look
    this.#kept = { keyframes, count, t, characters, largest, idle, markers }
    this.#look = undefined
    look[Symbol.dispose]()
    if (characters < worthKeeping.characters && count < worthKeeping.frames) return
    const bytes = Buffer.from(JSON.stringify({ version, ...this.#kept }))
    await this.#reading(this.session, (file) => this.#same(file).keepBeside(nameOf(this.channel), bytes)).catch(
      () => {},
    )
  }

  #same(file: RecordingFile): RecordingFile {
    if (file.edition !== this.edition)
      throw new ConsoleError('other-edition', 'This recording was fetched anew. Open it again.')
    this.#counted(file)
    return file
  }

  #batch(from: number): Promise<{ line: RecordingLine; block: number }[]> {
    return this.#reading(this.session, async (file) => {
      const numbers = this.#same(file).index.framesOf(this.#place)
      const batch: { line: RecordingLine; block: number }[] = []
      let characters = 0
      for (let at = from; at < numbers.length && characters < batchCharacters; at += linesAtOnce) {
        const some = numbers.subarray(at, at + linesAtOnce)
        for (const [i, line] of (await file.lines(some)).entries()) {
          batch.push({ line, block: file.placeOf(some[i]!) })
          characters += line.type === 'output' ? sizeOfData(line.data) : 0
        }
      }
      return batch
    })
  }

  #settle(): void {
    const { count, t } = this.looked
    this.#waiting = this.#waiting.filter((one) => {
      if (count < this.count && (t < one.t || count < one.at)) return true
      one.resolve()
      return false
    })
  }

  /** Resolves once everything up to `t`, and up to frame number `at`, was looked through. */
  async #until(t: number, at: number, signal: AbortSignal): Promise<void> {
    this.#problem = undefined
    this.go()
    const { looked } = this
    if (looked.count >= this.count || (looked.t >= t && looked.count >= at)) return
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiting = { t, at, resolve, reject }
    const stop = () => reject(new ConsoleError('cancelled', 'It was cancelled.'))
    signal.addEventListener('abort', stop, { once: true })
    this.#waiting.push(waiting)
    try {
      await promise
    } finally {
      signal.removeEventListener('abort', stop)
      this.#waiting = this.#waiting.filter((one) => one !== waiting)
    }
    if (this.#problem) throw this.#problem
  }

  /**
   * The keyframe to begin with, and the frames after it: up to `t` (or those before number `upTo`), and some more.
   * @param more about how many characters
   */
  async at(
    t: number,
    upTo: number | undefined,
    more: number,
    signal: AbortSignal,
  ): Promise<{ keyframe: Keyframe; frames: TerminalFrame[]; shown: number }> {
    await this.#until(upTo === undefined ? t : 0, upTo ?? 0, signal)
    const { keyframes } = this.looked
    const keyframe = this.#there(
      keyframes[upTo === undefined ? keyframeAt(keyframes, t) : keyframeBefore(keyframes, upTo)],
    )
    const reader = new FrameReader(keyframe.state, this.#terminal)
    const frames: TerminalFrame[] = []
    let shown = 0
    let after = 0
    for await (const frame of this.#frames(keyframe.at, reader)) {
      signal.throwIfAborted()
      const isShown = upTo === undefined ? frame.t <= t : keyframe.at + frames.length < upTo
      if (isShown) shown += 1
      else after += 200 + sizeOfFrame(frame)
      frames.push(frame)
      if (!isShown && after >= more) break
    }
    this.#keepState(keyframe.at + frames.length, reader.state)
    return { keyframe, frames, shown }
  }

  /** Frames from number `from` on. @param most about how many characters */
  async from(from: number, most: number): Promise<TerminalFrame[]> {
    this.go()
    const { keyframes } = this.looked
    const keyframe = this.#there(keyframes[keyframeBefore(keyframes, from)])
    const known = this.#states.get(from)
    const [start, state] = known ? [from, known] : [keyframe.at, keyframe.state]
    const reader = new FrameReader(state, this.#terminal)
    const frames: TerminalFrame[] = []
    let characters = 0
    let at = start
    for await (const frame of this.#frames(start, reader)) {
      at += 1
      if (at <= from) continue
      frames.push(frame)
      characters += 200 + sizeOfFrame(frame)
      if (characters < most) continue
      break
    }
    if (at >= from) this.#keepState(from + frames.length, reader.state)
    return frames
  }

  #keepState(next: number, state: FrameState): void {
    this.#states.delete(next)
    this.#states.set(next, state)
    if (this.#states.size > places) this.#states.delete(this.#states.keys().next().value!)
  }

  async *#frames(from: number, reader: FrameReader): AsyncGenerator<TerminalFrame> {
    for (let at = from; ; ) {
      const lines = await this.#reading(this.session, (file) => {
        const numbers = this.#same(file).index.framesOf(this.#place)
        return file.lines(numbers.subarray(at, at + linesAtOnce))
      })
      if (lines.length === 0) return
      for (const line of lines) {
        const frame = reader.read(line)
        if (frame) yield frame
      }
      at += lines.length
    }
  }

  #there(keyframe: Keyframe | undefined): Keyframe {
    if (keyframe) return keyframe
    throw new ConsoleError('cancelled', 'It was cancelled.')
  }

  stop(): void {
    const look = this.#look
    this.#look = undefined
    this.#kept ??= {
      keyframes: [],
      count: 0,
      t: 0,
      characters: 0,
      largest: { columns: 0, rows: 0 },
      idle: [],
      markers: [],
    }
    look?.[Symbol.dispose]()
    for (const { reject } of this.#waiting.splice(0)) reject(new ConsoleError('cancelled', 'It was cancelled.'))
  }
}

const version = 2
const nameOf = (channel: string) => `look ${channel}`

async function keptLook(file: RecordingFile, place: number): Promise<Looked | undefined> {
  const channel = file.index.channels[place]!
  if (channel.exit < 0 && !file.ended) return undefined
  const bytes = await file.besides(nameOf(channel.id))
  if (!bytes) return undefined
  const { version: of, ...looked } = JSON.parse(bytes.toString()) as Looked & { version: number }
  return of === version && looked.count === channel.frames ? looked : undefined
}

/** The last channel of that id. @throws ConsoleError no-such-channel */
export function placeOf(file: RecordingFile, channel: string): number {
  const place = file.index.channels.findLastIndex(({ id }) => id === channel)
  if (place < 0)
    throw new ConsoleError('no-such-channel', `This recording has no channel ${channel}, as far as it is here.`)
  return place
}

const sizeOfData = (data: string | null | { base64: string }) =>
  typeof data === 'string' ? data.length : data === null ? 0 : data.base64.length
const sizeOfFrame = (frame: TerminalFrame) => ('text' in frame ? frame.text.length : 0)
