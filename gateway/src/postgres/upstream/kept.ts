import type { PostgresTarget } from '../target.ts'
import { UpstreamError } from './connect.ts'
import { Reader } from './reader.ts'

/**
 * A reader is closed after so long without use (ms): shorter than the five seconds that the server gives others to leave
 * a database which is to be dropped, renamed or copied.
 */
const IDLE_MS = 1000
/** … and after so long whatever it is used for: who signs in may have changed, and what a name resolves to. */
const OLD_MS = 60_000

interface Kept {
  reader: Reader
  /** What it has signed in by. */
  signedIn: string
  openedAt: number
  idle: NodeJS.Timeout
}

/** The reading connection to one database, kept open between readings that follow each other closely. */
export class KeptReader {
  readonly #stopped: AbortSignal
  #kept: Kept | undefined
  #joinedAt = Number.NEGATIVE_INFINITY
  readonly #stop = () => this.#drop()

  /** @param stopped closes what is kept, and keeps nothing from then on */
  constructor(stopped: AbortSignal) {
    this.#stopped = stopped
  }

  /**
   * A session has connected to the database: where its name leads elsewhere by now, to a standby that took over perhaps,
   * a reader that was opened before would read what is no longer changed.
   */
  joined(): void {
    this.#joinedAt = performance.now()
  }

  /**
   * Has something read, by the kept connection if there is one. Where that breaks it is done once more, by a new one.
   * @param look asks its queries one after another; each sees what was committed before it
   * @throws UpstreamError; whatever `look` throws
   */
  async read<T>(
    target: PostgresTarget,
    signal: AbortSignal,
    look: (query: (sql: string) => Promise<(string | null)[][]>) => Promise<T>,
  ): Promise<T> {
    const signedIn = signInOf(target)
    const kept = this.#take(signedIn)
    if (kept) {
      try {
        return await this.#look(kept.reader, signal, look, kept)
      } catch (error) {
        if (!(error instanceof UpstreamError) || signal.aborted) throw error
      }
    }
    const openedAt = performance.now()
    return this.#look(await Reader.open(target, signal), signal, look, { signedIn, openedAt })
  }

  async #look<T>(
    reader: Reader,
    signal: AbortSignal,
    look: (query: (sql: string) => Promise<(string | null)[][]>) => Promise<T>,
    { signedIn, openedAt }: Pick<Kept, 'signedIn' | 'openedAt'>,
  ): Promise<T> {
    let looked = false
    try {
      const found = await look((sql) => reader.query(sql, signal))
      looked = true
      return found
    } finally {
      if (looked && !this.#stopped.aborted) this.#keep(reader, signedIn, openedAt)
      else void reader[Symbol.asyncDispose]()
    }
  }

  /** The kept one, if it may be used. */
  #take(signedIn: string): Kept | undefined {
    const kept = this.#kept
    if (!kept) return undefined
    const young = kept.openedAt > Math.max(this.#joinedAt, performance.now() - OLD_MS)
    if (!young || kept.signedIn !== signedIn || !kept.reader.open) {
      this.#drop()
      return undefined
    }
    this.#release()
    return kept
  }

  #keep(reader: Reader, signedIn: string, openedAt: number): void {
    this.#drop() // another one, of a reading at the same time
    const idle = setTimeout(() => this.#drop(), IDLE_MS).unref()
    this.#kept = { reader, signedIn, openedAt, idle }
    this.#stopped.addEventListener('abort', this.#stop, { once: true })
  }

  #drop(): void {
    void this.#kept?.reader[Symbol.asyncDispose]()
    this.#release()
  }

  #release(): void {
    clearTimeout(this.#kept?.idle)
    this.#stopped.removeEventListener('abort', this.#stop)
    this.#kept = undefined
  }
}

/** By what the server knows who asks, and the gateway the server: another one isn't to be had by a connection of this. */
function signInOf({ host, port, database, user, password, tls }: PostgresTarget): string {
  return JSON.stringify([host, port, database, user, password ?? null, tls ?? null])
}
