import type { EntryType } from '@countersign/contract/ledger/payloads'
import type { RunningHash } from '@countersign/contract/ledger/ports'
import type { RecordingEvent, RecordingHeader } from '@countersign/contract/recording'
import type { Tail } from '../ledger/rows.ts'
import { RecordedLine } from './line.ts'

/** `chunkFrom` of a recording whose end is in the log: nothing of it is read again, whatever the store thinks of it. */
export const ENDED = -1

export interface TailEntry {
  /** ISO 8601, UTC, milliseconds. */
  at: string
  type: EntryType
  payload: Record<string, unknown>
}

/** A chunk is cut at the first end of a line at which it has so many bytes. */
export const CHUNK_BYTES = 1024 * 1024
/** And never has more. */
export const LONGEST_CHUNK = 16 * 1024 * 1024

const NEWLINE = 10
const NOTHING: Tail = { offset: 0, seq: 0, chunkFrom: 0, chunks: 0, commands: 0 }

export interface TailOptions {
  sha256: () => RunningHash
  /** Where it was left, with the recording's header; absent: it begins. Bytes are to be given from `reads` on. */
  from?: { state: Tail; header: RecordingHeader }
  /** Told of each whole line as it is taken; not of those that were taken before. */
  onLine?: (header: RecordingHeader, line: RecordedLine) => void
}

/**
 * Turns the bytes of one recording into ledger entries: `session.opened` from the header, a `command` for each command
 * event, `recording.chunk`, and `session.closed` or `.interrupted` from the end event. Pure: whatever pieces the bytes
 * come in, the entries are the same, but for chunks that `cut` ends early. A line that isn't whole waits.
 *
 * A command that was held is followed at once by the `hold` event that names its approval: it waits for that line.
 */
export class RecordingTail {
  readonly session: string
  readonly #options: TailOptions
  readonly #state: Tail
  #header: RecordingHeader | undefined
  #ended = false
  #damaged: string | undefined
  /** Bytes still to come that were taken before: they are read again for the hash of the chunk that they are part of. */
  #again: number
  /** What follows the last line that was taken. */
  #rest: Buffer[] = []
  #restLength = 0
  /** The chunk that grows, and its full pieces where a line makes it longer than one may be. */
  #hash: RunningHash
  #hashed = 0
  #pieces: { length: number; sha256: string }[] = []

  constructor(session: string, options: TailOptions) {
    this.session = session
    this.#options = options
    this.#hash = options.sha256()
    this.#header = options.from?.header
    this.#state = { ...(options.from?.state ?? NOTHING) }
    this.#again = this.uncovered
  }

  get state(): Tail {
    return { ...this.#state }
  }
  /** Undefined until it was read. */
  get header(): RecordingHeader | undefined {
    return this.#header
  }
  /** The next byte to be given. */
  get reads(): number {
    return this.#state.offset - this.#again + this.#restLength
  }
  /** Whether the end event was taken: nothing more comes. */
  get ended(): boolean {
    return this.#ended
  }
  /** Where a line is that no recorder writes: nothing after it is taken. */
  get damaged(): string | undefined {
    return this.#damaged
  }
  /** Bytes that were taken, but are in no chunk yet. */
  get uncovered(): number {
    return this.#state.offset - this.#state.chunkFrom
  }

  /** The next bytes; the memory belongs to the caller again when it returns. */
  push(bytes: Buffer): TailEntry[] {
    let fresh = bytes
    if (this.#again > 0) {
      const known = bytes.subarray(0, this.#again)
      this.#absorb(known)
      this.#again -= known.length
      fresh = bytes.subarray(known.length)
    }
    if (fresh.length === 0 || this.#ended || this.#damaged) return []
    if (this.#restLength > 0 && !fresh.includes(NEWLINE)) {
      this.#rest.push(Buffer.from(fresh))
      this.#restLength += fresh.length
      return []
    }
    return this.#take(this.#restLength > 0 ? Buffer.concat([...this.#rest, fresh]) : fresh, false)
  }

  /** Forgets what follows the last line that was taken: the next bytes to be given begin there. */
  rewind(): void {
    this.#rest = []
    this.#restLength = 0
  }
  /** Whether what was given last ends within a line. */
  get partial(): boolean {
    return this.#restLength > 0
  }

  /** Nothing follows at once that belongs to what comes before byte `length`: a command that waits there waits no more. */
  settle(length: number): TailEntry[] {
    if (this.#restLength === 0 || this.#ended || this.#damaged) return []
    const rest = Buffer.concat(this.#rest)
    const newline = rest.indexOf(NEWLINE)
    return newline !== -1 && this.#state.offset + newline + 1 <= length ? this.#take(rest, true) : []
  }

  /** Ends the chunk that grows with the last line that was taken. */
  cut(at: Date): TailEntry[] {
    return this.#again > 0 ? [] : this.#chunks(at.toISOString())
  }

  /** @param settled a held command at the end need not wait for the line after it */
  #take(bytes: Buffer, settled: boolean): TailEntry[] {
    const entries: TailEntry[] = []
    let from = 0
    while (!this.#ended && !this.#damaged) {
      const newline = bytes.indexOf(NEWLINE, from)
      if (newline === -1) break
      try {
        const line = new RecordedLine(bytes.subarray(from, newline), this.#state.offset)
        let approval: string | undefined
        if (line.type === 'command' && commandOf(line).verdict.outcome === 'hold') {
          const next = bytes.indexOf(NEWLINE, newline + 1)
          if (next === -1 && !settled) break
          if (next !== -1) approval = approvalIn(bytes.subarray(newline + 1, next), line)
        }
        const made = this.#entry(line, approval)
        // All that can be wrong with a line is found by now.
        this.#options.onLine?.(this.#header!, line)
        this.#absorb(bytes.subarray(from, newline + 1))
        this.#state.offset = line.end
        this.#state.seq = Math.max(this.#state.seq, line.seq)
        if (made?.type === 'command') this.#state.commands++
        if (made && !this.#ended) entries.push(made)
        if (this.#ended || this.uncovered >= CHUNK_BYTES) entries.push(...this.#chunks(this.#at(line)))
        if (made && this.#ended) entries.push({ ...made, payload: { ...made.payload, ...this.#sums } })
        from = newline + 1
      } catch (error) {
        this.#damaged = `byte ${this.#state.offset}: ${(error as Error).message}`
      }
    }
    const rest = this.#ended || this.#damaged ? 0 : bytes.length - from
    this.#rest = rest > 0 ? [Buffer.from(bytes.subarray(from))] : []
    this.#restLength = rest
    return entries
  }

  /** The entry that a line makes, if any. @throws where the line can't be one of this recording */
  #entry(line: RecordedLine, approval: string | undefined): TailEntry | undefined {
    if (!this.#header) return this.#opened(line)
    if (line.type === 'command') {
      // Read again, because a power cut took the end of what was read before.
      if (line.seq <= this.#state.seq) return undefined
      const { command, kind, digest, effects, classes, verdict } = commandOf(line)
      const payload = { session: this.session, command, kind, digest, effects, classes, verdict }
      return {
        at: this.#at(line),
        type: 'command',
        payload: approval === undefined ? payload : { ...payload, approval },
      }
    }
    if (line.type === 'end') {
      const { state, reason } = line.parsed as Extract<RecordingEvent, { type: 'end' }>
      const at = this.#at(line)
      this.#ended = true
      const type = state === 'interrupted' ? 'session.interrupted' : 'session.closed'
      return { at, type, payload: { session: this.session, state, reason } }
    }
    return undefined
  }

  #opened(line: RecordedLine): TailEntry {
    if (line.type !== 'header') throw new Error('it does not begin with a header')
    const header = line.parsed as RecordingHeader
    if (header.session !== this.session) throw new Error(`it is the recording of ${header.session}`)
    const { session, connection, protocol, mode, agent, purpose, grants, grant, client, policy, startedAt } = header
    const at = new Date(startedAt).toISOString()
    this.#header = header
    return {
      at,
      type: 'session.opened',
      payload: { session, connection, protocol, mode, agent, purpose, grants, grant, client, policy },
    }
  }

  /** When the line was written. @throws RangeError */
  #at(line: RecordedLine): string {
    const t = line.type === 'header' ? 0 : (line.parsed as RecordingEvent).t
    return new Date(Date.parse(this.#header!.startedAt) + t).toISOString()
  }

  get #sums() {
    const { offset, chunks, commands } = this.#state
    return { recording: { bytes: offset, chunks }, commands }
  }

  #absorb(bytes: Buffer): void {
    for (let from = 0; from < bytes.length; ) {
      const part = bytes.subarray(from, from + LONGEST_CHUNK - this.#hashed)
      this.#hash.update(part)
      this.#hashed += part.length
      from += part.length
      if (this.#hashed === LONGEST_CHUNK) this.#piece()
    }
  }

  #piece(): void {
    this.#pieces.push({ length: this.#hashed, sha256: Buffer.from(this.#hash.digest()).toString('hex') })
    this.#hash = this.#options.sha256()
    this.#hashed = 0
  }

  #chunks(at: string): TailEntry[] {
    if (this.#hashed > 0) this.#piece()
    const entries = this.#pieces.map(({ length, sha256 }): TailEntry => {
      const { chunks: index, chunkFrom: offset } = this.#state
      this.#state.chunks++
      this.#state.chunkFrom += length
      return { at, type: 'recording.chunk', payload: { session: this.session, index, offset, length, sha256 } }
    })
    this.#pieces = []
    return entries
  }
}

type Command = Extract<RecordingEvent, { type: 'command' }>

const commandOf = (line: RecordedLine) => line.parsed as Command

/** The approval that the line after a held command names. */
function approvalIn(next: Buffer, line: RecordedLine): string | undefined {
  try {
    const after = new RecordedLine(next, line.end)
    if (after.type !== 'hold') return undefined
    const { command, approval } = after.parsed as Extract<RecordingEvent, { type: 'hold' }>
    return command === commandOf(line).command ? approval : undefined
  } catch {
    return undefined // it is told of when it is its turn
  }
}
