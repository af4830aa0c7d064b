import { Worker } from 'node:worker_threads'
import type { Logger } from 'pino'
import type { Circumstances } from './bearings.ts'
import { sourceOf } from './catalogs.ts'
import { unknownEffect } from './commands.ts'
import type { Catalog } from './effects/catalog.ts'
import type { Analysis } from './effects/effects.ts'

/** A text of more characters is read by another thread, so that nobody else waits for it. */
export const LARGE = 32 << 10
/** After this a text is given up (ms). */
const PATIENCE_MS = 30_000
/** Names behind names: so often it is asked again. */
const ROUNDS = 8

export interface Question {
  text: string
  circumstances: Omit<Circumstances, 'catalog'>
  /** `rows` where this thread hasn't been given them. */
  catalog: { id: number; rows?: (string | null)[][] }
  /** What stands behind `prepared NAME` and `portal NAME`, as far as was asked. */
  names: Record<string, string | null>
}

export type Reply = { analysis: Analysis; asked: string[] } | { lacks: 'catalog' } | { lacks: 'names'; names: string[] }

export interface Found {
  analysis: Analysis
  /** What stood behind the names that the text uses. */
  behind: Record<string, string | null>
}

/**
 * Reads large texts in a thread of its own, one after another. Where that fails, takes too long or comes to its bound of
 * memory, the text is refused; the next one has a new thread.
 */
export class Analyst implements Disposable {
  readonly #log: Logger
  readonly #entry: URL
  readonly #catalogs = new WeakMap<Catalog, number>()
  #lastCatalog = 0
  #worker: Worker | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(log: Logger, entry = new URL('./analyst.worker.ts', import.meta.url)) {
    this.#log = log
    this.#entry = entry
  }

  /**
   * @param behind text behind `prepared NAME` or `portal NAME`
   * @returns never rejects: what couldn't be read is refused
   */
  analyse(text: string, circumstances: Circumstances, behind: (name: string) => string | undefined): Promise<Found> {
    const found = this.#last
      .then(() => this.#analyse(text, circumstances, behind))
      .catch((error) => {
        this.#log.error(
          { error: (error as Error).message, length: text.length },
          'a large statement could not be analysed',
        )
        this[Symbol.dispose]()
        return { analysis: unread(circumstances.connection), behind: {} }
      })
    this.#last = found
    return found
  }

  [Symbol.dispose](): void {
    void this.#worker?.terminate()
    this.#worker = undefined
  }

  async #analyse(text: string, whole: Circumstances, behind: (name: string) => string | undefined): Promise<Found> {
    const { catalog, ...circumstances } = whole
    const id = this.#idOf(catalog)
    const names: Record<string, string | null> = {}
    let rows: (string | null)[][] | undefined
    for (let round = 0; round < ROUNDS; round++) {
      const reply = await this.#ask({ text, circumstances, catalog: { id, ...(rows ? { rows } : {}) }, names })
      if ('analysis' in reply) {
        return { analysis: reply.analysis, behind: Object.fromEntries(reply.asked.map((name) => [name, names[name]!])) }
      }
      if (reply.lacks === 'catalog') rows = sourceOf(catalog)
      else for (const name of reply.names) names[name] = behind(name) ?? null
    }
    throw new Error(`the names that it uses lead to others, ${ROUNDS} deep`)
  }

  #ask(question: Question): Promise<Reply> {
    const worker = this.#running()
    return new Promise<Reply>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`it took longer than ${PATIENCE_MS} ms`)), PATIENCE_MS)
      const died = (error?: unknown) =>
        over(() => reject(error instanceof Error ? error : new Error('its thread has ended')))
      const replied = (reply: Reply) => over(() => resolve(reply))
      const over = (then: () => void) => {
        clearTimeout(late)
        worker.off('message', replied).off('error', died).off('exit', died)
        then()
      }
      worker.on('message', replied).on('error', died).on('exit', died)
      worker.postMessage(question)
    })
  }

  #running(): Worker {
    if (this.#worker) return this.#worker
    const worker = new Worker(this.#entry, { resourceLimits: { maxOldGenerationSizeMb: 512 } })
    worker.unref()
    const gone = () => {
      if (this.#worker === worker) this.#worker = undefined
    }
    worker.on('exit', gone).on('error', gone)
    this.#worker = worker
    return worker
  }

  #idOf(catalog: Catalog): number {
    let id = this.#catalogs.get(catalog)
    if (id === undefined) {
      id = ++this.#lastCatalog
      this.#catalogs.set(catalog, id)
    }
    return id
  }
}

/** What stands for a text that couldn't be read: refused whatever policy says. */
const unread = (connection: string): Analysis => ({
  kind: 'unknown',
  effects: [unknownEffect(connection)],
  statements: [],
  refused: {
    sqlstate: '54001',
    message: 'the gateway could not read this statement, which is very large: it was not run',
    hint: 'Send it in smaller pieces, or its values as parameters or by COPY.',
  },
})
