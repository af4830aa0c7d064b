import type { TerminalFrame, TerminalFrames } from '../../../../terminal-api.ts'

/** What a terminal shows at some time, and the frames that follow: the answer of `terminalAt`. */
export interface Shown extends TerminalFrames {
  columns: number
  rows: number
  screen: string
  shown: number
}

/** Where frames come from: the core. */
export interface Source {
  at(t: number): Promise<Shown>
  frames(from: number): Promise<TerminalFrames>
}

/** Where they are shown. `restore` begins anew; both do things in the order in which they are asked. */
export interface Drawing {
  restore(shown: Shown): void
  draw(frames: readonly TerminalFrame[]): void
}

/** A frame further ahead than this is sought; nearer ones are played up to. Milliseconds. */
const farMs = 2000
/** What follows is fetched when less than this is left. */
const aheadMs = 5000

/**
 * Keeps a drawing at the player's time: plays frames as their times come, fetches what follows before it is needed, and
 * seeks where time jumps. One question at a time; of many jumps only the last counts.
 */
export class Feed {
  readonly #source: Source
  readonly #drawing: Drawing
  readonly #failed: (problem: unknown) => void
  readonly #arrived: () => void
  #buffer: TerminalFrame[] = []
  /** Frames of the buffer that are drawn. */
  #drawn = 0
  /** Time of the last frame that is drawn; -1 where nothing is known. */
  #at = -1
  /** Whatever was said up to this time is drawn, or in the buffer. */
  #settled = -1
  #next = 0
  #count = 0
  #wanted = 0
  /** The time that is being sought, and how many times were. */
  #sought = 0
  #seeks = 0
  /** There is more than the answer that is awaited can know of. */
  #grown = false
  #asking: 'no' | 'seek' | 'more' = 'no'
  #known = false
  #over = false
  /** Nothing is asked again until somebody moves. */
  #stuck = false

  constructor(options: {
    source: Source
    drawing: Drawing
    onFailed: (problem: unknown) => void
    /** What was asked for is drawn. */
    onArrived?: () => void
  }) {
    this.#source = options.source
    this.#drawing = options.drawing
    this.#failed = options.onFailed
    this.#arrived = options.onArrived ?? (() => {})
  }

  /** The player is at `t` now; Infinity for whatever is newest. */
  goTo(t: number): void {
    if (this.#over) return
    if (t !== this.#wanted) this.#stuck = false
    this.#wanted = t
    this.#go()
  }

  /** More may be there than was told. */
  grew(): void {
    this.#stuck = false
    this.#grown = this.#asking !== 'no'
    this.#count = Math.max(this.#count, this.#next + 1)
    this.#go()
  }

  stop(): void {
    this.#over = true
  }

  /** Whether more is yet to come of what was asked for. */
  get behind(): boolean {
    return this.#asking === 'seek' || !this.#known
  }

  #go(): void {
    if (this.#over || this.#stuck) return
    const t = this.#wanted
    if (this.#asking === 'seek') {
      // Somebody drags: what was asked for before is of no use. While it only plays, it is.
      if (t < this.#sought || t - this.#sought > farMs) void this.#seek(t)
      return
    }
    if (!this.#known || t < this.#at) return void this.#seek(t)
    const from = this.#drawn
    while (this.#drawn < this.#buffer.length && this.#buffer[this.#drawn]!.t <= t) this.#drawn += 1
    if (this.#drawn > from) {
      const frames = this.#buffer.slice(from, this.#drawn)
      this.#at = frames.at(-1)!.t
      this.#drawing.draw(frames)
      this.#arrived()
    }
    if (this.#next >= this.#count) return
    const last = this.#buffer.at(-1)?.t ?? this.#at
    const far = t - Math.max(last, this.#settled) > farMs
    if (Number.isFinite(t) && far && this.#asking === 'no') return void this.#seek(t)
    if (last - t < aheadMs && this.#asking === 'no') void this.#more()
  }

  async #seek(t: number): Promise<void> {
    this.#asking = 'seek'
    this.#sought = t
    this.#seeks += 1
    const shown = await this.#ask(() => this.#source.at(Number.isFinite(t) ? t : Number.MAX_SAFE_INTEGER))
    if (!shown) return
    this.#known = true
    this.#drawing.restore(shown)
    const { frames, shown: drawn, next, count } = shown
    this.#buffer = frames.slice(drawn)
    this.#drawn = 0
    // A screen may be older than the time that was asked for: nothing was said in between.
    this.#at = frames[drawn - 1]?.t ?? (drawn === 0 && shown.at === 0 ? 0 : Number.isFinite(t) ? t : 0)
    this.#settled = Number.isFinite(t) ? t : 0
    this.#next = next
    this.#count = this.#grown ? Math.max(count, next + 1) : count
    this.#grown = false
    this.#arrived()
    this.#go()
  }

  async #more(): Promise<void> {
    this.#asking = 'more'
    const told = await this.#ask(() => this.#source.frames(this.#next))
    if (!told) return
    this.#buffer = [...this.#buffer.slice(this.#drawn), ...told.frames]
    this.#drawn = 0
    this.#next = told.next
    // An answer without frames is the end of what is here, whatever was hoped for.
    this.#count = told.frames.length === 0 && !this.#grown ? this.#next : told.count
    if (this.#grown) this.#count = Math.max(this.#count, this.#next + 1)
    this.#grown = false
    this.#go()
  }

  /** The answer, unless something else was asked for meanwhile, or it failed. */
  async #ask<T>(question: () => Promise<T>): Promise<T | undefined> {
    const seeks = this.#seeks
    const late = () => this.#over || seeks !== this.#seeks
    try {
      const answer = await question()
      if (late()) return undefined
      this.#asking = 'no'
      return answer
    } catch (error) {
      if (late()) return undefined
      this.#asking = 'no'
      this.#stuck = true
      this.#failed(error)
      return undefined
    }
  }
}
