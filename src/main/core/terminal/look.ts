import { Harmless, screenOf as sizeOf } from '../../../harmless.ts'
import { terminalOptions } from '../../../terminal.ts'
import type { TerminalFrame, TerminalMarker } from '../../../terminal-api.ts'
import { createEmulator, type Emulator, written } from './emulator.ts'
import { type FrameState, noFrames } from './frames.ts'
import { difference, learnCharsets, screenOf } from './screen.ts'
import { Sights } from './sights.ts'

/** From where on a channel can be read, and what its terminal shows there. */
export interface Keyframe {
  /** Number of the first frame after it. */
  readonly at: number
  /** Of the last frame before it. */
  readonly t: number
  readonly state: FrameState
  readonly columns: number
  readonly rows: number
  /** Empty at the beginning, and without a terminal. */
  readonly screen: string
  /** False where a terminal that it is written to differs in something: there was no better one for a long way. */
  readonly exact: boolean
}

/** What lies between two keyframes at most, so that a seek is short: characters to write, frames to read. */
const charactersBetween = 96 * 1024
const framesBetween = 1000
/** A large screen has its keyframes wider apart: all together they are no more than a fraction of what was said. */
const screensBetween = 8
/** A keyframe that isn't exact is tried again after so much, and taken after so much more. */
const tryAgainAfter = 16 * 1024
const giveInAfter = 4 * 1024 * 1024
const flushAt = 64 * 1024
/** What another size costs, in characters. */
const perResize = 4 * 1024

/** What looking through a channel came to, as far as one has looked. */
export interface Looked {
  readonly keyframes: readonly Keyframe[]
  /** Frames that were looked through. */
  readonly count: number
  readonly t: number
  readonly characters: number
  readonly largest: { columns: number; rows: number }
  readonly idle: readonly [number, number][]
  readonly markers: readonly TerminalMarker[]
}

/**
 * Looks through a channel's frames, from the first to the last: makes the keyframes that seeking needs, and notes what is
 * worth going to. With a terminal everything is written to one, without a screen.
 */
export class Look implements Looked, Disposable {
  readonly keyframes: Keyframe[]
  readonly sights: Sights
  count = 0
  t: number
  characters = 0
  largest: { columns: number; rows: number }
  readonly #filter = new Harmless()
  #terminal: { shown: Emulator; spare: Emulator } | undefined
  #pending = ''
  /** What that costs beyond its length. */
  #busy = 0
  /** Since the last keyframe. */
  #said = 0
  #frames = 0
  #block: number
  #tried = 0

  /** @param from milliseconds; `block` any number that grows with the place in the recording */
  private constructor(from: number, size: { columns: number; rows: number } | undefined, block: number) {
    const { columns, rows } = size ? sizeOf(size.columns, size.rows) : terminalOptions.withoutTerminal
    this.t = from
    this.#block = block
    this.largest = size ? { columns, rows } : { columns: 0, rows: 0 }
    this.sights = new Sights(from, size !== undefined)
    this.keyframes = [{ at: 0, t: from, state: { ...noFrames, t: from }, columns, rows, screen: '', exact: true }]
    if (size) this.#terminal = { shown: createEmulator(columns, rows), spare: createEmulator(columns, rows) }
  }

  static async begin(from: number, size: { columns: number; rows: number } | undefined, block: number): Promise<Look> {
    await learnCharsets()
    return new Look(from, size, block)
  }

  get idle() {
    return this.sights.idle
  }
  get markers() {
    return this.sights.markers
  }

  /**
   * The next frame; `state` is what one who reads from the next one on must know.
   * @param block where in the recording it stands
   */
  async take(frame: TerminalFrame, state: () => FrameState, block: number): Promise<void> {
    this.sights.see(frame, this.count)
    this.count += 1
    this.t = frame.t
    this.#frames += 1
    if (frame.type === 'output') {
      this.characters += frame.text.length
      this.#said += frame.text.length
      if (this.#terminal) {
        this.#pending += frame.notice ? this.#filter.notice(frame.text) : this.#filter.write(frame.text)
        this.#said += this.#filter.work
        this.#busy += this.#filter.work
      }
    } else if (frame.type === 'resize' && this.#terminal) {
      await this.#flush()
      this.#terminal.shown.resize(frame.columns, frame.rows)
      this.#said += perResize
      const { columns, rows } = this.largest
      this.largest = { columns: Math.max(columns, frame.columns), rows: Math.max(rows, frame.rows) }
    }
    if (this.#pending.length + this.#busy >= flushAt) await this.#flush()
    if (this.#isDue(block)) await this.#keyframe(state(), block)
  }

  #isDue(block: number): boolean {
    if (this.#frames === 0) return false
    if (this.#tried > 0 && this.#said < this.#tried + tryAgainAfter && this.#frames < 8 * framesBetween) return false
    const apart = Math.max(charactersBetween, screensBetween * this.keyframes.at(-1)!.screen.length)
    return this.#said >= apart || this.#frames >= framesBetween || (block - this.#block >= 6 && this.#said > 0)
  }

  async #keyframe(state: FrameState, block: number): Promise<void> {
    const { at, t } = { at: this.count, t: this.t }
    if (!this.#terminal) {
      this.keyframes.push({ ...terminalOptions.withoutTerminal, at, t, state, screen: '', exact: true })
      return this.#anew(block)
    }
    await this.#flush()
    const { shown, spare } = this.#terminal
    const screen = screenOf(shown)
    spare.reset()
    spare.resize(shown.cols, shown.rows)
    await written(spare, screen)
    const exact = difference(shown, spare) === undefined
    if (!exact && this.#said < giveInAfter && this.#frames < 8 * framesBetween) {
      this.#tried = Math.max(1, this.#said)
      return
    }
    // Where a sequence goes on, its beginning comes with the screen: some have no end.
    const { cols: columns, rows } = shown
    this.keyframes.push({ at, t, state, columns, rows, screen: screen + this.#filter.begun, exact })
    this.#anew(block)
  }

  #anew(block: number): void {
    this.#said = 0
    this.#frames = 0
    this.#tried = 0
    this.#block = block
  }

  async #flush(): Promise<void> {
    if (this.#pending === '' || !this.#terminal) return
    const text = this.#pending
    this.#pending = ''
    this.#busy = 0
    await written(this.#terminal.shown, text)
  }

  /** Nothing more is taken; what was found stays. */
  [Symbol.dispose](): void {
    this.#terminal?.shown.dispose()
    this.#terminal?.spare.dispose()
    this.#terminal = undefined
  }
}

/** The last keyframe at which no frame after `t` has been; its place. */
export function keyframeAt(keyframes: readonly Keyframe[], t: number): number {
  return lastOf(keyframes, (keyframe) => keyframe.at === 0 || keyframe.t <= t)
}

/** The last keyframe before frame number `at`; its place. */
export function keyframeBefore(keyframes: readonly Keyframe[], at: number): number {
  return lastOf(keyframes, (keyframe) => keyframe.at <= at)
}

function lastOf(keyframes: readonly Keyframe[], fits: (keyframe: Keyframe) => boolean): number {
  let low = 0
  let high = keyframes.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (fits(keyframes[middle]!)) low = middle + 1
    else high = middle
  }
  return Math.max(0, low - 1)
}
