import { hex } from './encoding.ts'
import type { Findings, Place } from './findings.ts'
import type { RecordingChunk, SessionEnded } from './payloads.ts'
import type { LedgerCrypto } from './ports.ts'

/** Recordings as NDJSON bytes, uncompressed, however they are kept. */
export interface RecordingReader {
  /** How many bytes there are; undefined where there is no such recording. */
  length(session: string): Promise<number | undefined>
  /** Up to `length` bytes from `offset`, fewer where the recording ends. Per session it is asked from front to back. */
  read(session: string, offset: number, length: number): Promise<Uint8Array>
  /** All sessions that have a recording. */
  list?(): AsyncIterable<string>
}

interface Progress {
  chunks: number
  bytes: number
  /** The recording was shorter than its chunks, or not there: said once. */
  lost: boolean
}

/** Recordings against their chunks in the log, in one pass over the entries. Keeps a few words per session. */
export class RecordingChecks {
  readonly #crypto: LedgerCrypto
  readonly #recordings: RecordingReader
  readonly #found: Findings
  readonly #open = new Map<string, Progress>()
  readonly #ended = new Set<string>()
  /** What is missing, until all deletion entries are known. */
  readonly #lost = new Map<string, { code: string; where: Place; text: string }>()
  bytes = 0

  constructor(crypto: LedgerCrypto, recordings: RecordingReader, found: Findings) {
    this.#crypto = crypto
    this.#recordings = recordings
    this.#found = found
  }

  opened(session: string): void {
    if (!this.#open.has(session) && !this.#ended.has(session))
      this.#open.set(session, { chunks: 0, bytes: 0, lost: false })
  }

  async chunk(entry: number, chunk: RecordingChunk): Promise<void> {
    const { session, index, offset, length } = chunk
    this.opened(session)
    const progress = this.#open.get(session)
    const where = { entry, recording: session, offset }
    if (!progress) {
      this.#found.wrong(
        'chunk-order',
        where,
        `entry ${entry} is a chunk of recording ${session}, which had ended before`,
      )
      return
    }
    if (index !== progress.chunks || offset !== progress.bytes) {
      const text = `entry ${entry} is chunk ${index} of recording ${session} from byte ${offset}; chunk ${progress.chunks} from byte ${progress.bytes} was to come`
      // A chunk whose entry is erased leaves a gap: that is for the deletion entries to explain.
      this.#lose(session, 'chunk-missing', { ...where, offset: progress.bytes }, text)
    }
    progress.chunks = index + 1
    progress.bytes = offset + length
    const bytes = await this.#recordings.read(session, offset, length)
    this.bytes += bytes.length
    if (bytes.length < length) {
      if (!progress.lost) {
        const at = offset + bytes.length
        const text =
          at === 0
            ? `recording ${session} is not there`
            : `recording ${session} ends at byte ${at}, in its chunk ${index} (entry ${entry})`
        this.#lose(session, 'recording-cut', { ...where, offset: at }, text)
      }
      progress.lost = true
    } else if (hex(this.#crypto.sha256(bytes)) !== chunk.sha256)
      this.#found.wrong(
        'chunk-hash',
        where,
        `recording ${session} was changed between byte ${offset} and byte ${offset + length - 1}: its chunk ${index} is not the one of entry ${entry}`,
      )
  }

  async end(entry: number, { session, recording }: SessionEnded): Promise<void> {
    const progress = this.#open.get(session) ?? { chunks: 0, bytes: 0, lost: false }
    this.#open.delete(session)
    if (this.#ended.has(session))
      this.#found.wrong(
        'session-ended-twice',
        { entry, recording: session },
        `entry ${entry} ends session ${session} a second time`,
      )
    this.#ended.add(session)
    if (progress.chunks !== recording.chunks || progress.bytes !== recording.bytes)
      this.#lose(
        session,
        'chunk-missing',
        { entry, recording: session, offset: progress.bytes },
        `recording ${session} had ${recording.chunks} chunks and ${recording.bytes} bytes when it ended (entry ${entry}), the log has ${progress.chunks} chunks and ${progress.bytes} bytes of it`,
      )
    const length = await this.#recordings.length(session)
    if (length !== undefined && length > recording.bytes)
      this.#found.wrong(
        'recording-longer',
        { entry, recording: session, offset: recording.bytes },
        `recording ${session} goes on from byte ${recording.bytes}, where it had ended (entry ${entry})`,
      )
  }

  /** After the last entry. Answers how many recordings are erased. */
  async finish(erased: ReadonlySet<string>, stillOpen: ReadonlySet<string>): Promise<number> {
    for (const [session, progress] of this.#open) {
      if (stillOpen.has(session) || erased.has(session)) continue
      const length = (await this.#recordings.length(session)) ?? 0
      const more =
        length > progress.bytes
          ? `; its recording has ${length - progress.bytes} bytes from byte ${progress.bytes} that no entry covers`
          : ''
      this.#lose(
        session,
        'session-without-end',
        { recording: session, offset: progress.bytes },
        `session ${session} has no end in the log${more}`,
      )
    }
    let gone = 0
    for (const [session, lost] of this.#lost) {
      if (erased.has(session)) gone++
      else this.#found.missing(lost.code, lost.where, lost.text)
    }
    for await (const session of this.#recordings.list?.() ?? [])
      if (!this.#ended.has(session) && !this.#open.has(session) && !stillOpen.has(session))
        this.#found.wrong(
          'recording-unknown',
          { recording: session },
          `recording ${session} is of a session that the log does not know`,
        )
    return gone
  }

  #lose(session: string, code: string, where: Place, text: string) {
    if (!this.#lost.has(session)) this.#lost.set(session, { code, where, text })
  }
}
