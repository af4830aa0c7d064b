import { Worker } from 'node:worker_threads'
import type { LedgerHead, LedgerState } from '@countersign/contract/evidence'
import { LedgerError, type LedgerErrorCode } from '@countersign/contract/ledger/errors'
import { parseTilePath } from '@countersign/contract/ledger/tiles'
import type { BaseLogger } from 'pino'
import type { Store } from '../../store/store.ts'
import { realDisk } from '../ledger/disk.ts'
import { type Ledger, LedgerStopped } from '../ledger/ledger.ts'
import { TileFolder } from '../ledger/tile-folder.ts'
import type { FromScribe, Over, Question, RecordingFiles, ScribeData, SyncTargets, ToScribe } from './messages.ts'
import { noteInLedger } from './noted.ts'
import { createOutbox } from './outbox.ts'

/** A recording that somebody writes. */
export interface LiveRecording extends RecordingFiles {
  /** Its length by now, in whole lines. */
  bytes(): number
}

/** The ledger as sessions see it: what they tell it of the recordings that it reads along. */
export interface RecordingLedger extends Pick<Ledger, 'stopped' | 'poke' | 'sync'> {
  /** A recording begins; it is read along from now on. */
  begin(recording: LiveRecording): void
  /** Nobody writes it any more. Resolves when the ledger has it to its end, or can't say so soon. */
  ended(session: string): Promise<void>
  /** Set where the ledger can't read on in a live recording: nothing more of that session can come into it. */
  lost(session: string): LedgerStopped | undefined
}

export interface ScribeLedger extends Ledger, RecordingLedger {
  /** What was mended, or found missing, when the ledger was opened; for the entry `gateway.started`. */
  readonly found: readonly string[]
  /** Entries that are on disk. */
  readonly size: number
  /** What has happened, but isn't in the ledger yet: rows of the outbox, and bytes of live recordings. */
  readonly behind: { rows: number; sessions: number }
  /**
   * Has what earlier lives of the gateway recorded, and the ledger lacks, read to its end, in the background. To be called
   * once, after the recordings were recovered.
   */
  recover(): Promise<void>
  /** Has use (ledger/use.ts) counted anew, from all entries, in the background. @throws LedgerStopped */
  recountUse(): Promise<void>
  readonly index: KeptIndex
}

/** The index of the search, which the scribe keeps beside the ledger. */
export interface KeptIndex {
  /** Resolves when it has all that was recorded before the call. @throws LedgerStopped, Error where it can't */
  caughtUp(): Promise<void>
  /** Takes sessions out; resolves when nothing of them is in its files. @throws LedgerStopped, Error where it can't */
  forget(sessions: readonly string[]): Promise<void>
  /** It was found to be damaged. */
  damaged(): void
}

export interface ScribeOptions {
  /** `data/ledger` */
  folder: string
  store: Store
  /** Where a session's recording lies. */
  filesOf: (session: string, openedAt: string) => { plain: string; sealed: string }
  /** Name of the log, for when it is made. */
  origin?: string
  /** The data folder, where the index of the search is to be kept; absent: there is none. */
  search?: string
  log: Pick<BaseLogger, 'info' | 'warn' | 'error'>
  entry?: URL
}

/** What grew is told together (ms): nothing is done for each command. */
const TELL_MS = 100
/** How long a session that ends waits for the ledger before its recording is sealed in any case. */
const ENDED_MS = 5000
/** How long until a scribe that died is started again (ms), longer each time. */
const RESTART_MS = [50, 500, 2000, 10_000]
/** So many recordings of earlier lives are read along at a time. */
const RECOVERED_AT_ONCE = 200
/** How long the scribe has to close the ledger (ms). */
const CLOSE_MS = 10_000

/**
 * Opens the ledger, with a worker (the scribe) that writes it.
 * @throws LedgerStopped where it can't be opened
 */
export async function openLedger(options: ScribeOptions): Promise<ScribeLedger> {
  const ledger = new WorkerLedger(options)
  try {
    await ledger.start()
    return ledger
  } catch (error) {
    await ledger[Symbol.asyncDispose]()
    throw error instanceof LedgerStopped ? error : new LedgerStopped((error as Error).message, { cause: error })
  }
}

type Scribe = { is: 'none' } | { is: 'starting' | 'running'; worker: Worker }

class WorkerLedger implements ScribeLedger {
  readonly found: string[] = []
  stopped: LedgerStopped | undefined = new LedgerStopped('The ledger is being opened; try again shortly')
  readonly #options: ScribeOptions
  readonly #tiles: TileFolder
  readonly #outbox: ReturnType<typeof createOutbox>
  readonly #live = new Map<string, LiveRecording>()
  /** Live sessions whose recording the ledger lost. */
  readonly #lost = new Map<string, LedgerStopped>()
  /** Sessions whose end the ledger is to get, and who waits for it. */
  readonly #ending = new Map<string, { files: RecordingFiles; told: (() => void)[] }>()
  readonly #grown = new Set<string>()
  readonly #questions = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  readonly #listeners = new Set<(head: LedgerHead) => void>()
  #scribe: Scribe = { is: 'none' }
  #spawned = 0
  #lastQuestion = 0
  #restarts = 0
  #head: LedgerHead | undefined
  #state: LedgerState | undefined
  #size = 0
  #telling: NodeJS.Timeout | undefined
  #restarting: NodeJS.Timeout | undefined
  #recovering: Promise<void> | undefined
  #closing = false
  #marking: Promise<void> = Promise.resolve()
  readonly #unlisten: () => void

  constructor(options: ScribeOptions) {
    this.#options = options
    this.#tiles = new TileFolder(realDisk, options.folder)
    this.#outbox = createOutbox({
      db: options.store.db,
      hand: (rows, life) => this.#post({ is: 'outbox', life, rows }),
      log: options.log,
    })
    this.#unlisten = options.store.onCommit(() => this.poke())
  }

  get origin(): string {
    return this.#state?.origin ?? ''
  }
  get size(): number {
    return this.#size
  }
  get behind(): { rows: number; sessions: number } {
    return { rows: this.#outbox.waiting, sessions: this.#ending.size }
  }

  readonly index: KeptIndex = {
    caughtUp: async () => {
      const live = [...this.#live.values()].map((recording): [string, number] => [recording.session, recording.bytes()])
      const ending = [...this.#ending.keys()].map((session): [string, null] => [session, null])
      await this.#ask({ ask: 'sync', sessions: [...live, ...ending], rest: false })
      await this.#ask({ ask: 'indexed' })
    },
    forget: async (sessions) => void (await this.#ask({ ask: 'unindex', sessions })),
    damaged: () => void this.#ask({ ask: 'reindex' }).catch(() => {}),
  }

  start(): Promise<void> {
    return new Promise((resolve, reject) => this.#spawn(resolve, reject))
  }

  poke(session?: string): void {
    if (session !== undefined) this.#grown.add(session)
    this.#telling ??= setTimeout(this.#tell, TELL_MS)
  }

  begin(recording: LiveRecording): void {
    const { session, plain, sealed } = recording
    this.#live.set(session, recording)
    this.#post({ is: 'follow', recordings: [{ session, plain, sealed }], live: true })
  }

  lost(session: string): LedgerStopped | undefined {
    return this.#lost.get(session)
  }

  ended(session: string): Promise<void> {
    this.#lost.delete(session)
    const files = this.#live.get(session)
    if (!files) return Promise.resolve()
    this.#live.delete(session)
    this.#grown.delete(session)
    this.#post({ is: 'ended', session })
    const { plain, sealed } = files
    const over = this.#untilOver({ session, plain, sealed }, ENDED_MS)
    return this.stopped ? Promise.resolve() : over
  }

  async sync(session?: string): Promise<void> {
    await this.#ask({ ask: 'sync', ...(await this.#targets(session)) })
    const lost = session === undefined ? undefined : this.#lost.get(session)
    if (lost) throw lost
  }

  async signed(): Promise<LedgerHead> {
    return (await this.#ask({ ask: 'signed', ...(await this.#targets()) })) as LedgerHead
  }

  async head(): Promise<LedgerHead> {
    return this.#head!
  }

  async state(): Promise<LedgerState> {
    return this.#state!
  }

  async tile(path: string): Promise<Uint8Array | undefined> {
    const tile = parseTilePath(path)
    if (!tile) throw new LedgerError('out-of-range', `${path.slice(0, 100)} is no path of a tile`)
    return this.#tiles.read(tile)
  }

  onCheckpoint(listener: (head: LedgerHead) => void): () => void {
    const own = (head: LedgerHead) => listener(head)
    this.#listeners.add(own)
    return () => void this.#listeners.delete(own)
  }

  async erase(erasure: Parameters<Ledger['erase']>[0]): Promise<number> {
    return (await this.#ask({ ask: 'erase', erasure })) as number
  }

  async rotateKey(...[reason, by]: Parameters<Ledger['rotateKey']>): Promise<string> {
    return (await this.#ask({ ask: 'rotateKey', reason, by })) as string
  }

  async cosign(...[by, key, note]: Parameters<Ledger['cosign']>): Promise<void> {
    await this.#ask({ ask: 'cosign', by, key, note })
  }

  async recountUse(): Promise<void> {
    await this.#ask({ ask: 'recount' })
  }

  recover(): Promise<void> {
    this.#recovering ??= this.#recover().finally(() => {
      this.#recovering = undefined
    })
    return this.#recovering
  }

  /** What was said last is written, signed, and the ledger closed, if that can be. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.stopped) {
      const late = AbortSignal.timeout(CLOSE_MS)
      await Promise.race([
        this.#lastWords().catch((error) => this.#options.log.error({ error }, 'the ledger lacks what was said last')),
        new Promise((resolve) => late.addEventListener('abort', resolve)),
      ])
    }
    this.#closing = true
    this.#unlisten()
    clearTimeout(this.#telling)
    clearTimeout(this.#restarting)
    this.#listeners.clear()
    const scribe = this.#scribe
    if (scribe.is !== 'none') {
      const gone = new Promise((resolve) => scribe.worker.once('exit', resolve))
      const late = setTimeout(() => void scribe.worker.terminate(), CLOSE_MS)
      scribe.worker.postMessage({ is: 'close' } satisfies ToScribe)
      await gone
      clearTimeout(late)
    }
    this.#stop('The gateway is stopping')
    await this.#marking
    await this.#outbox.stop()
  }

  // — what is told and asked —

  /** What was said; recordings of earlier lives that are still being read are read on at the next start. */
  async #lastWords(): Promise<void> {
    await this.#outbox.handOver()
    await this.#ask({ ask: 'sync', sessions: [], rest: false })
  }

  #post(message: ToScribe): void {
    // One that only begins is told all anew once it runs: twice does no harm.
    if (this.#scribe.is !== 'none') this.#scribe.worker.postMessage(message)
  }

  readonly #tell = () => {
    this.#telling = undefined
    if (this.#scribe.is !== 'running') return // it is told all when it runs
    if (this.#grown.size > 0) {
      this.#post({ is: 'grown', sessions: [...this.#grown] })
      this.#grown.clear()
    }
    this.#outbox.handOver().catch((error) => {
      if (!this.#closing) this.#options.log.error({ error }, 'the outbox could not be read: it is read again shortly')
    })
  }

  #ask(question: Question): Promise<unknown> {
    if (this.stopped) return Promise.reject(this.stopped)
    const id = ++this.#lastQuestion
    return new Promise((resolve, reject) => {
      this.#questions.set(id, { resolve, reject })
      this.#post({ is: 'question', id, question })
    })
  }

  /** What the caller means by all, or by this session; the outbox is handed over before it is answered. */
  async #targets(session?: string): Promise<SyncTargets> {
    // Before anything is waited for: what is recorded meanwhile isn't meant.
    const live =
      session === undefined ? [...this.#live.values()] : [this.#live.get(session)].filter((one) => one !== undefined)
    const sessions: [string, number | null][] = live.map((recording) => [recording.session, recording.bytes()])
    if (this.stopped) throw this.stopped
    if (session === undefined) await this.#recovering
    else if (live.length === 0 && (await this.#follow(session))) sessions.push([session, null])
    await this.#outbox.handOver()
    return { sessions, rest: session === undefined }
  }

  /** Has a session that isn't live read to its end, where the ledger may lack it. */
  async #follow(session: string): Promise<boolean> {
    if (this.#ending.has(session)) return true
    const row = await this.#options.store.db
      .selectFrom('sessions')
      .select(['opened_at', 'state'])
      .where('id', '=', session)
      .where('in_ledger', '=', 0)
      .executeTakeFirst()
    if (!row || row.state === 'open') return false
    const files = this.#filesOf(session, row.opened_at)
    void this.#read(files)
    return files.length > 0
  }

  /** None where the store's row says no place: that must not keep the others from being read. */
  #filesOf(session: string, openedAt: string): RecordingFiles[] {
    try {
      return [{ session, ...this.#options.filesOf(session, openedAt) }]
    } catch (error) {
      this.#options.log.error({ session, error }, 'a session of before has no place for a recording: it is left out')
      return []
    }
  }

  #read(recordings: RecordingFiles[]): Promise<unknown> {
    const read = recordings.map((files) => this.#untilOver(files))
    this.#post({ is: 'follow', recordings, live: false })
    return Promise.all(read)
  }

  #untilOver(files: RecordingFiles, patience?: number): Promise<void> {
    const ending = this.#ending.get(files.session) ?? { files, told: [] }
    this.#ending.set(files.session, ending)
    return new Promise((resolve) => {
      const late = patience === undefined ? undefined : setTimeout(resolve, patience)
      ending.told.push(() => {
        clearTimeout(late)
        resolve()
      })
    })
  }

  async #recover(): Promise<void> {
    const { db } = this.#options.store
    for (let after = { at: '', id: '' }; ; ) {
      const rows = await db
        .selectFrom('sessions')
        .select(['id', 'opened_at'])
        .where('in_ledger', '=', 0)
        .where('state', '!=', 'open')
        .where((e) =>
          e.or([e('opened_at', '>', after.at), e.and([e('opened_at', '=', after.at), e('id', '>', after.id)])]),
        )
        .orderBy('opened_at')
        .orderBy('id')
        .limit(RECOVERED_AT_ONCE)
        .execute()
      const last = rows.at(-1)
      if (!last || this.#closing) return
      after = { at: last.opened_at, id: last.id }
      const fresh = rows.filter(({ id }) => !this.#live.has(id) && !this.#ending.has(id))
      await this.#read(fresh.flatMap(({ id, opened_at }) => this.#filesOf(id, opened_at)))
      await this.#marking
    }
  }

  // — the scribe's life —

  #spawn(ready?: () => void, failed?: (error: Error) => void): void {
    const { folder, origin, entry, search: data } = this.#options
    const worker = new Worker(entry ?? new URL('./scribe.worker.ts', import.meta.url), {
      workerData: { folder, origin, lives: String(++this.#spawned), data } satisfies ScribeData,
    })
    this.#scribe = { is: 'starting', worker }
    let why: Error | undefined
    let started = false
    worker.on('message', (message: FromScribe) => {
      if (message.is === 'dying') why = new Error(message.message)
      this.#hear(worker, message)
        .then(() => {
          if (message.is !== 'running') return
          started = true
          ready?.()
        })
        .catch((error) => {
          this.#options.log.error({ error }, 'the ledger could not be attended to')
          if (message.is !== 'running') return
          why = error
          void worker.terminate()
        })
    })
    worker.on('error', (error) => {
      why = error as Error
    })
    worker.on('exit', () => {
      this.#scribe = { is: 'none' }
      if (this.#closing) return
      const error = why ?? new Error('it ended')
      this.#stop(`The ledger can’t be written: ${error.message}; it is begun anew by itself`)
      if (failed && !started) {
        failed(error)
        return
      }
      this.#options.log.error({ error: error.message }, 'the ledger’s scribe died: it is started again')
      const wait = RESTART_MS[Math.min(this.#restarts++, RESTART_MS.length - 1)]!
      this.#restarting = setTimeout(() => this.#spawn(), wait)
    })
  }

  async #hear(worker: Worker, message: FromScribe): Promise<void> {
    switch (message.is) {
      case 'running': {
        this.found.push(...message.found)
        if (message.found.length > 0) this.#options.log.warn({ found: message.found }, 'the ledger was opened')
        this.#heads(message.head, message.state)
        this.found.push(...(await this.#outbox.begin(message.outbox, message.life)))
        if (this.#scribe.is === 'none' || this.#scribe.worker !== worker) return
        this.#scribe = { is: 'running', worker }
        if (this.stopped && this.#size > 0) this.#options.log.info({}, 'the ledger goes on')
        this.#size = message.state.size
        this.#restarts = 0
        this.#tellAll()
        this.stopped = undefined
        return
      }
      case 'stopped':
        this.#options.log.error(
          { reason: message.message },
          'the ledger has stopped: no command is forwarded until it goes on',
        )
        this.#stop(message.message)
        return
      case 'committed':
        this.#size = message.size
        this.#outbox.acknowledge(message.outbox)
        if (message.over.length > 0) this.#over(message.over)
        return
      case 'head':
        this.#heads(message.head, message.state)
        return
      case 'answer':
        this.#questions.get(message.id)?.resolve(message.value)
        this.#questions.delete(message.id)
        return
      case 'refused': {
        const { id, name, code, message: text } = message
        this.#questions.get(id)?.reject(errorOf(name, code, text))
        this.#questions.delete(id)
        return
      }
      case 'dying':
        return
      case 'said':
        this.#options.log[message.level](message.fields, message.text)
    }
  }

  /** A scribe that has just begun knows of nothing. */
  #tellAll(): void {
    const files = ({ session, plain, sealed }: RecordingFiles) => ({ session, plain, sealed })
    this.#post({ is: 'follow', recordings: [...this.#live.values()].map(files), live: true })
    this.#post({ is: 'follow', recordings: [...this.#ending.values()].map(({ files }) => files), live: false })
    this.#grown.clear()
    this.poke()
  }

  #stop(words: string): void {
    this.stopped = new LedgerStopped(words)
    const asked = [...this.#questions.values()]
    this.#questions.clear()
    for (const { reject } of asked) reject(this.stopped)
  }

  #heads(head: LedgerHead, state: LedgerState): void {
    const fresh = head.size !== this.#head?.size
    this.#head = head
    this.#state = state
    if (!fresh) return
    for (const listener of this.#listeners) {
      try {
        listener(head)
      } catch (error) {
        this.#options.log.error({ error }, 'a listener of checkpoints failed')
      }
    }
  }

  /** The store is told that the ledger has these whole. */
  #over(all: { session: string; over: Over }[]): void {
    const { store, log } = this.#options
    for (const { session, over } of all) {
      if (over.how !== 'lost') continue
      if (this.#live.has(session))
        this.#lost.set(
          session,
          new LedgerStopped(
            `The recording of this session can’t be read any more (${over.why}), so that nothing of it comes into the ledger: open a new session`,
          ),
        )
      log.error({ session, why: over.why }, 'a recording can’t be read to its end: the ledger says where it ends')
    }
    const ids = all.map(({ session }) => session)
    // One whose end was read before its owner had said so.
    for (const id of ids) this.#live.delete(id)
    this.#marking = this.#marking
      .then(() => noteInLedger(store, all))
      .catch((error) => log.error({ error }, 'what the ledger has could not be noted: it is at the next start'))
      .finally(() => {
        for (const id of ids) {
          const ending = this.#ending.get(id)
          this.#ending.delete(id)
          for (const told of ending?.told ?? []) told()
        }
      })
  }
}

function errorOf(name: string, code: string | undefined, message: string): Error {
  if (name === 'LedgerError') return new LedgerError(code as LedgerErrorCode, message)
  if (name === 'RangeError') return new RangeError(message)
  return new LedgerStopped(message)
}
