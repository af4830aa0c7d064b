import { type Step, stepsOf } from '../../../recording-steps.ts'
import { wordsOf } from '../../app/api.ts'
import { core } from '../../app/store.ts'

/** Steps are asked for in pages of so many, and so many pages are kept. */
export const pageSteps = 64
const keptPages = 64

type Page =
  | { state: 'loading'; old: readonly Step[] | undefined; done: Promise<void> }
  | { state: 'here'; steps: readonly Step[] }
  | { state: 'failed'; problem: string; at: number }

/** After this long a page that could not be had is asked for again when it comes into sight. */
const retryMs = 3000

/**
 * The words of a recording's steps, as far as somebody looks at them: pages are asked of the core when they come into
 * sight, the ones not seen for longest are dropped.
 */
export class StepWindows {
  readonly #session: string
  readonly #pages = new Map<number, Page>()
  readonly #listeners = new Set<() => void>()
  #count = 0
  #version = 0

  constructor(session: string) {
    this.#session = session
  }

  /** The recording has `count` steps now; those from `changed` on are others than before. */
  grow(count: number, changed: number): void {
    if (count === this.#count && changed >= count) return
    this.#count = count
    // Of a copy: a page that is loaded is put at the map's end, and would be come to again and again.
    for (const [page, known] of [...this.#pages]) {
      if ((page + 1) * pageSteps <= changed) continue
      const old = known.state === 'here' ? known.steps : known.state === 'loading' ? known.old : undefined
      this.#load(page, old)
    }
    this.#tell()
  }

  get(step: number): Step | undefined {
    const page = this.#pages.get(Math.floor(step / pageSteps))
    const steps = page?.state === 'here' ? page.steps : page?.state === 'loading' ? page.old : undefined
    return steps?.[step % pageSteps]
  }

  /** Why the words of a step can't be had. */
  problem(step: number): string | undefined {
    const page = this.#pages.get(Math.floor(step / pageSteps))
    return page?.state === 'failed' ? page.problem : undefined
  }

  /** These come into sight, or soon will. */
  want(from: number, to: number): void {
    const first = Math.max(0, Math.floor(from / pageSteps))
    const last = Math.min(Math.floor(to / pageSteps), Math.ceil(this.#count / pageSteps) - 1)
    for (let page = first; page <= last; page++) {
      const known = this.#pages.get(page)
      if (known && !(known.state === 'failed' && performance.now() - known.at > retryMs)) {
        this.#pages.delete(page)
        this.#pages.set(page, known)
      } else this.#load(page, undefined)
    }
    for (const [page, { state }] of this.#pages) {
      if (this.#pages.size <= keptPages) break
      if (state !== 'loading' && (page < first || page > last)) this.#pages.delete(page)
    }
  }

  /** A step, once its words are here; undefined where they can't be had. */
  async load(step: number): Promise<Step | undefined> {
    this.want(step, step)
    const page = this.#pages.get(Math.floor(step / pageSteps))
    if (page?.state === 'loading') await page.done
    return this.get(step)
  }

  #load(page: number, old: readonly Step[] | undefined): void {
    const from = page * pageSteps
    const done = this.#fetch(from, Math.min(from + pageSteps, this.#count)).then(
      (steps) => this.#settle(page, mine, { state: 'here', steps }),
      (error) => this.#settle(page, mine, { state: 'failed', problem: wordsOf(error), at: performance.now() }),
    )
    const mine: Page = { state: 'loading', old, done }
    this.#pages.delete(page)
    this.#pages.set(page, mine)
  }

  #settle(page: number, mine: Page, next: Page): void {
    if (this.#pages.get(page) !== mine) return
    this.#pages.set(page, next)
    this.#tell()
  }

  async #fetch(from: number, to: number): Promise<Step[]> {
    const steps: Step[] = []
    for (let at = from; at < to; ) {
      const window = await core().call('recordingWindow', { session: this.#session, from: at, to })
      steps.push(...stepsOf(window.lines))
      if (window.to <= at) break
      at = window.to
    }
    return steps
  }

  #tell(): void {
    this.#version += 1
    for (const listener of this.#listeners) listener()
  }
  readonly subscribe = (listener: () => void) => {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
  readonly version = () => this.#version
}
