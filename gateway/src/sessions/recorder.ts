import { closeSync, constants, fdatasync, ftruncateSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { NewRecordingEvent, RecordingHeader } from '@countersign/contract/recording'
import { Counting, type RecordingCounts } from './counts.ts'
import { lineOf } from './line.ts'
import { type Recorder, RecordingError } from './session.ts'

export interface RecorderOptions {
  file: string
  header: Omit<RecordingHeader, 'type' | 'format'>
  /** Milliseconds since the epoch. */
  clock: () => number
  /** Told after every append, for whoever keeps counts elsewhere. Must be quick and must not throw. */
  onAppend?: () => void
  /** Told once, when the recorder is broken for good. */
  onBroken?: (error: RecordingError) => void
}

/** An event's place in a live recording: where to start reading for what comes after `seq`. */
export interface Mark {
  seq: number
  offset: number
}

const marksEvery = 256
/** Where they have become so many, every other one goes, and from then on half as many are made. */
export const MOST_MARKS = 1024
/** Lines are encoded here: each is written before anything else is. A packet of a file that passes fits. */
const scratch = Buffer.allocUnsafeSlow(256 << 10)
/** What a power cut may cost of commands that nobody had to approve. */
const groupSyncMs = 500

/**
 * Writes one recording: NDJSON, first the header (contract/recording). `append` is one synchronous write(2) on an
 * O_APPEND descriptor, so the line has left this process when it returns: a killed gateway has recorded what it
 * forwarded. A line that could be written only in part is cut off again. After the first error nothing more is
 * accepted: what failed to reach the disk once can't be told from what did (a failed fsync marks pages clean).
 */
export class FileRecorder implements Recorder {
  readonly file: string
  readonly resultBound: { rows: number; bytes: number }
  readonly outputBound: number
  readonly #options: RecorderOptions
  readonly #fd: number
  readonly #startedAt: number
  readonly #counting = new Counting()
  #marks: Mark[] = []
  #marksEvery = marksEvery
  #seq = 0
  #micros = 0
  #bytes = 0
  #synced = 0
  /** Its end is written: nothing may come after it. */
  #final = false
  #state: { is: 'writing' } | { is: 'broken'; error: RecordingError } | { is: 'closed' } = { is: 'writing' }
  #syncing: Promise<void> | undefined
  #nextSync: Promise<void> | undefined
  #groupSync: NodeJS.Timeout | undefined

  /**
   * Makes the file (it must not exist yet; mode 0600, folders 0700), writes the header, and has both the file and its
   * folder's entry on disk.
   * @throws RecordingError
   */
  static async open(options: RecorderOptions): Promise<FileRecorder> {
    let recorder: FileRecorder
    try {
      await makeFolder(dirname(options.file))
      const { O_APPEND, O_CREAT, O_EXCL, O_WRONLY, O_NOFOLLOW } = constants
      const fd = openSync(options.file, O_APPEND | O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, 0o600)
      recorder = new FileRecorder(options, fd)
    } catch (error) {
      throw failure('The recording of this session can’t be made', error)
    }
    try {
      recorder.#write(`${JSON.stringify({ type: 'header', format: 'countersign-recording/1', ...options.header })}\n`)
      await recorder.sync()
      await syncFolder(dirname(options.file)).catch((error) => {
        throw failure('The folder of recordings can’t be synced', error)
      })
      return recorder
    } catch (error) {
      await recorder.close().catch(() => {})
      unlinkSync(options.file)
      throw error
    }
  }

  private constructor(options: RecorderOptions, fd: number) {
    this.#options = options
    this.#fd = fd
    this.file = options.file
    this.resultBound = options.header.resultBound
    this.outputBound = options.header.outputBound ?? 0
    this.#startedAt = Date.parse(options.header.startedAt)
  }

  get counts(): RecordingCounts {
    return this.#counting.counts
  }
  /** When the last event was written, as the recording tells it: ISO 8601, UTC, whole milliseconds. */
  get lastAt(): string {
    return new Date(this.#startedAt + this.#micros / 1000).toISOString()
  }
  /** Data classes that what was recorded touched. */
  get classes(): string[] {
    return [...this.#counting.classes].sort()
  }
  /** Length of the recording in bytes; whole lines only. */
  get bytes(): number {
    return this.#bytes
  }
  /** Sequence number of the last event; 0 where there is none. */
  get seq(): number {
    return this.#seq
  }
  get broken(): RecordingError | undefined {
    return this.#state.is === 'broken' ? this.#state.error : undefined
  }

  /** Several events leave in one write. @throws RecordingError when they could not be written, and always after that */
  append(...events: NewRecordingEvent[]): void {
    this.#usable()
    if (this.#final) throw new RecordingError(OVER)
    // Never backwards: a reader sorts and seeks by it.
    this.#micros = Math.max(this.#micros, Math.round((this.#options.clock() - this.#startedAt) * 1000))
    let seq = this.#seq
    let lines = ''
    for (const event of events) {
      seq++
      if (seq % this.#marksEvery === 0) this.#mark({ seq: seq - 1, offset: this.#bytes + Buffer.byteLength(lines) })
      lines += lineOf(event, seq, this.#micros)
    }
    this.#write(lines)
    this.#seq = seq
    for (const event of events) this.#count(event)
    this.#final = events.at(-1)?.type === 'end'
    this.#groupSync ??= setTimeout(() => this.sync().catch(() => {}), groupSyncMs).unref()
    this.#options.onAppend?.()
  }

  /**
   * Resolves when everything appended before the call is on disk (fdatasync). Callers that come while one runs share
   * the next.
   * @throws RecordingError
   */
  sync(): Promise<void> {
    try {
      this.#usable()
    } catch (error) {
      return Promise.reject(error)
    }
    if (this.#synced === this.#bytes) return Promise.resolve()
    if (!this.#syncing) {
      this.#syncing = this.#syncNow().finally(() => {
        this.#syncing = undefined
      })
      return this.#syncing
    }
    this.#nextSync ??= this.#syncing
      .catch(() => {})
      .then(() => {
        this.#nextSync = undefined
        return this.sync()
      })
    return this.#nextSync
  }

  #mark(mark: Mark): void {
    this.#marks.push(mark)
    if (this.#marks.length < MOST_MARKS) return
    this.#marksEvery *= 2
    this.#marks = this.#marks.filter(({ seq }) => (seq + 1) % this.#marksEvery === 0)
  }

  /** How many places are kept to start reading at. */
  get marks(): number {
    return this.#marks.length
  }

  /** Where to start reading for events after `seq`. */
  markBefore(seq: number): Mark {
    for (let i = this.#marks.length - 1; i >= 0; i--) if (this.#marks[i]!.seq <= seq) return this.#marks[i]!
    return { seq: 0, offset: 0 }
  }

  /** Syncs and closes the file. A broken recorder is closed too; its error is thrown. */
  async close(): Promise<void> {
    if (this.#state.is === 'closed') return
    try {
      await this.sync()
    } finally {
      clearTimeout(this.#groupSync)
      const wasBroken = this.#state.is === 'broken'
      this.#state = { is: 'closed' }
      try {
        closeSync(this.#fd)
      } catch (error) {
        if (!wasBroken) this.#break('closing the recording failed', error)
      }
    }
  }

  #usable(): void {
    if (this.#state.is === 'broken') throw this.#state.error
    if (this.#state.is === 'closed') throw new RecordingError(OVER)
  }

  #write(lines: string): void {
    // No UTF-16 unit takes more than three bytes.
    const fits = lines.length * 3 <= scratch.length
    const bytes = fits ? scratch : Buffer.from(lines)
    const length = fits ? scratch.write(lines) : bytes.length
    let done = 0
    try {
      while (done < length) {
        const wrote = writeSync(this.#fd, bytes, done, length - done)
        if (wrote === 0) throw new Error('nothing could be written')
        done += wrote
      }
    } catch (error) {
      if (done > 0) {
        try {
          ftruncateSync(this.#fd, this.#bytes)
        } catch {
          // The torn line stays; whoever seals the recording cuts it off.
        }
      }
      throw this.#break('The recording can’t be written', error)
    }
    this.#bytes += length
  }

  async #syncNow(): Promise<void> {
    clearTimeout(this.#groupSync)
    this.#groupSync = undefined
    const upTo = this.#bytes
    try {
      await new Promise<void>((resolve, reject) => fdatasync(this.#fd, (error) => (error ? reject(error) : resolve())))
    } catch (error) {
      throw this.#break('The recording can’t be brought to disk', error)
    }
    this.#synced = upTo
  }

  #break(what: string, error: unknown): RecordingError {
    if (this.#state.is === 'broken') return this.#state.error
    const broken = failure(what, error)
    if (this.#state.is === 'writing') {
      this.#state = { is: 'broken', error: broken }
      clearTimeout(this.#groupSync)
      this.#options.onBroken?.(broken)
    }
    return broken
  }

  #count(event: NewRecordingEvent): void {
    this.#counting.add(event)
  }
}

/** Makes a folder, those above it too, and has every new entry on disk. */
async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let made = folder; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made))
}

/** Makes a folder's entries durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const OVER = 'The recording is closed: its session has ended.'

function failure(what: string, error: unknown): RecordingError {
  const code = (error as NodeJS.ErrnoException).code
  const why =
    code === 'ENOSPC' || code === 'EDQUOT'
      ? 'the disk of the data folder is full; make room on it'
      : error instanceof Error
        ? error.message
        : String(error)
  return new RecordingError(`${what}: ${why}.`, { cause: error })
}
