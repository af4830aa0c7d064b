import { closeSync, constants, createReadStream, fdatasyncSync, fstatSync, openSync, readSync } from 'node:fs'
import type { RunningHash } from '@countersign/contract/ledger/ports'
import type { RecordingHeader } from '@countersign/contract/recording'
import type { Tail } from '../ledger/rows.ts'
import { unpacked } from '../recording.ts'
import { RecordedLine } from './line.ts'
import { LOST, type Over, type RecordingFiles } from './messages.ts'
import { ENDED, RecordingTail, type TailEntry } from './tail.ts'

/** So many bytes are read at a time … */
const PORTION = 256 * 1024
/** … and of one recording before others have their turn. */
const TURN = 512 * 1024
/** A chunk is cut at the latest so long after the one before (ms), where there is anything for it. */
const CHUNK_MS = 30_000

const portion = Buffer.allocUnsafeSlow(PORTION)

export interface FollowOptions {
  files: RecordingFiles
  /** Whether somebody still writes it. */
  live: boolean
  sha256: () => RunningHash
  onLine?: (header: RecordingHeader, line: RecordedLine) => void
}

/** What came of reading on. */
export interface Portion {
  entries: TailEntry[]
  /** Whether there is more to read at once. */
  more: boolean
}

/**
 * A recording that is read along: from its plain file, portion by portion and without holding it open, or, where that
 * has been sealed, from the sealed one as a stream.
 */
export class Followed {
  readonly session: string
  live: boolean
  over: Over | undefined
  /** What the log was last told to keep of it. */
  kept: Tail | undefined
  /** A stream reads it now. */
  streaming = false
  readonly #options: FollowOptions
  #tail: RecordingTail | undefined
  /** What the log knew of it when it was begun. */
  #before: Tail | undefined
  /** When its last chunk was cut, by performance.now(). */
  #cutAt = performance.now()

  constructor(options: FollowOptions) {
    this.session = options.files.session
    this.live = options.live
    this.#options = options
  }

  /** What the log is to keep beside its entries. Undefined: nothing was read. */
  get tail(): Tail | undefined {
    const state = this.#tail?.state ?? this.#before
    if (!state || !this.over) return state
    return { ...state, chunkFrom: ENDED, ...(this.over.how === 'lost' && { offset: state.chunkFrom }) }
  }

  /** Whether its first `bytes` bytes were taken; null: all of it, to its end. */
  reaches(bytes: number | null): boolean {
    return this.over !== undefined || (bytes !== null && this.#tail !== undefined && this.#tail.state.offset >= bytes)
  }

  /** The log was opened anew: what it doesn't have is read again. */
  restart(): void {
    this.#tail = undefined
    this.#before = undefined
    this.kept = undefined
    this.over = undefined
    this.streaming = false
  }

  /**
   * Reads on in the plain file.
   * @param known what the log has of it, asked where reading begins
   * @param settled up to this byte nothing is missing that belongs to a held command
   * @returns `sealed` where there is no plain file
   * @throws what the file system says
   */
  read(known: Known, settled: number): Portion | 'sealed' {
    if (this.#isOverBy(known)) return NOTHING
    const fd = openIfThere(this.#options.files.plain)
    if (fd === undefined) return 'sealed'
    try {
      const { size } = fstatSync(fd)
      if (!this.#tail && !this.#begin(() => headerIn(fd, size)))
        return { entries: this.lost(noHeader, known), more: false }
      if (this.#tail!.state.offset > size && !this.live) this.#again()
      const tail = this.#tail!
      // A line that was written in part only was cut off again: what followed the last whole line counts for nothing.
      tail.rewind()
      const entries: TailEntry[] = []
      const more = () => tail.reads < size && !tail.ended && tail.damaged === undefined
      const from = tail.state.offset
      // A line that is longer than a turn is read all the same.
      for (let budget = TURN; more() && (budget > 0 || tail.state.offset === from); ) {
        const length = readSync(fd, portion, 0, Math.min(PORTION, size - tail.reads), tail.reads)
        if (length === 0) break
        entries.push(...tail.push(portion.subarray(0, length)))
        budget -= length
      }
      if (settled > 0) entries.push(...tail.settle(settled))
      if (!more()) entries.push(...this.#conclude())
      // What the log says of a recording's bytes must be true after a power cut.
      if (this.#chunked(entries)) fdatasyncSync(fd)
      return { entries, more: more() }
    } finally {
      closeSync(fd)
    }
  }

  /** Cuts a chunk where the last one was cut long enough ago. @param now performance.now() */
  cut(now: number, at: Date): TailEntry[] {
    if (!this.#tail || this.over || this.streaming || now - this.#cutAt < CHUNK_MS) return []
    const fd = openIfThere(this.#options.files.plain)
    if (fd === undefined) return []
    try {
      const entries = this.#tail.cut(at)
      if (this.#chunked(entries)) fdatasyncSync(fd)
      this.#cutAt = now
      return entries
    } finally {
      closeSync(fd)
    }
  }

  /**
   * Reads the sealed file to its end; each answer is to be put into the log before the next is asked for.
   * @throws what the file system says
   */
  async *readSealed(known: Known): AsyncGenerator<TailEntry[]> {
    if (this.#isOverBy(known)) return
    const { sealed } = this.#options.files
    try {
      if (!this.#tail) {
        const header = this.#before && (await headerOfSealed(sealed))
        if (!this.#begin(() => header)) return void (yield this.lost(noHeader, known))
      }
      for (let again = false; ; again = true) {
        const tail = this.#tail!
        tail.rewind()
        let at = 0
        for await (const bytes of unpacked(createReadStream(sealed, { highWaterMark: PORTION }))) {
          const fresh = bytes.subarray(Math.min(bytes.length, Math.max(0, tail.reads - at)))
          at += bytes.length
          if (fresh.length > 0) yield tail.push(fresh)
          if (this.#tail !== tail) return // it was begun anew
          if (tail.ended || tail.damaged !== undefined) break
        }
        if (again || tail.state.offset <= at) break
        this.#again()
      }
      yield this.#conclude()
    } catch (error) {
      const { code = '', message } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') yield this.#lostNow('it is no longer there', known)
      else if (/^(EMFILE|ENFILE|ENOMEM|EAGAIN)$/.test(code)) throw error
      else yield this.#lostNow(`it can't be read (${message})`, known)
    }
  }

  /**
   * Nothing more can be read. Where the log knows of the session, it says where that ends for it; the end is missing in
   * the recording, and `verify` will say so.
   */
  lost(why: string, known: Known): TailEntry[] {
    if (this.#isOverBy(known)) return []
    this.over = { how: 'lost', why }
    const state = this.#tail?.state ?? this.#before
    if (!state || state.offset === 0) return []
    const { chunkFrom: bytes, chunks, commands } = state
    const reason = LOST + why
    const at = new Date().toISOString()
    this.over = { how: 'lost', why, end: { at, reason, bytes } }
    const payload = { session: this.session, state: 'interrupted', reason, recording: { bytes, chunks }, commands }
    return [{ at, type: 'session.interrupted', payload }]
  }

  /** What was read of it until now is vouched for all the same. */
  #lostNow(why: string, known: Known): TailEntry[] {
    return [...(this.#tail?.cut(new Date()) ?? []), ...this.lost(why, known)]
  }

  /** Where the log has its end already, it is over. */
  #isOverBy(known: Known): boolean {
    if (!this.over && !this.#tail && !this.#before) {
      this.#before = known()
      if (this.#before?.chunkFrom === ENDED) this.over = { how: 'ended', before: true }
    }
    return this.over !== undefined
  }

  /** False where reading can't go on, since what was its beginning isn't there. */
  #begin(header: () => RecordingHeader | undefined): boolean {
    const { sha256, onLine } = this.#options
    const told = header()
    if (this.#before && !told) return false
    const from = this.#before && { state: this.#before, header: told! }
    this.#tail = new RecordingTail(this.session, { sha256, ...(from && { from }), ...(onLine && { onLine }) })
    return true
  }

  /** A power cut took the end of what was read: it is read again from the last chunk on, which is sure to be there. */
  #again(): void {
    const { sha256, onLine } = this.#options
    const { state, header } = this.#tail!
    this.#tail = new RecordingTail(this.session, {
      sha256,
      from: { state: { ...state, offset: state.chunkFrom }, header: header! },
      ...(onLine && { onLine }),
    })
  }

  /** At the end of what there is. */
  #conclude(): TailEntry[] {
    const tail = this.#tail!
    if (tail.ended) this.over = { how: 'ended' }
    if (tail.ended || (this.live && tail.damaged === undefined)) return []
    const why = tail.damaged === undefined ? 'it has no end' : `it is damaged at ${tail.damaged}`
    return this.#lostNow(why, () => undefined)
  }

  #chunked(entries: TailEntry[]): boolean {
    if (!entries.some(({ type }) => type === 'recording.chunk')) return false
    this.#cutAt = performance.now()
    return true
  }
}

/** What the log has of a recording. */
type Known = () => Tail | undefined

const NOTHING: Portion = { entries: [], more: false }
const noHeader = 'its beginning is damaged'

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function headerIn(fd: number, size: number): RecordingHeader | undefined {
  const parts: Buffer[] = []
  for (let at = 0; at < size; ) {
    const length = readSync(fd, portion, 0, PORTION, at)
    if (length === 0) break
    parts.push(Buffer.from(portion.subarray(0, length)))
    if (parts.at(-1)!.includes(10)) break
    at += length
  }
  return headerOf(Buffer.concat(parts))
}

function headerOf(bytes: Buffer): RecordingHeader | undefined {
  const newline = bytes.indexOf(10)
  if (newline === -1) return undefined
  try {
    const { parsed } = new RecordedLine(bytes.subarray(0, newline), 0)
    return parsed.type === 'header' ? parsed : undefined
  } catch {
    return undefined
  }
}

async function headerOfSealed(path: string): Promise<RecordingHeader | undefined> {
  const parts: Buffer[] = []
  for await (const bytes of unpacked(createReadStream(path, { highWaterMark: PORTION }))) {
    parts.push(Buffer.from(bytes))
    if (bytes.includes(10)) break
  }
  return headerOf(Buffer.concat(parts))
}
