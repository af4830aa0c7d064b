import type { Session } from '@countersign/contract/session'
import type { AnnotationView } from '../../../annotations-api.ts'
import { ConsoleError, type ConsoleEvent } from '../../../console-api.ts'
import { type ExportFormat, exportFormats } from '../../../library-api.ts'
import { type TerminalExport, terminalExports } from '../../../terminal-api.ts'
import type { Library } from '../library/library.ts'
import type { RecordingFile } from '../library/recording-file.ts'
import type { Downloads } from '../ports/downloads.ts'
import { placeOf } from '../terminal/viewing.ts'
import { writeAsciicast } from './asciicast.ts'
import { channelWriters, isPart } from './channel.ts'
import { type Paper, type Printing, paperOf, writePdf, writeReport } from './printable.ts'
import { writeTable } from './table.ts'
import { writeTranscript } from './transcript.ts'

/** A session as a format writes it. */
export interface ExportSource {
  session: Session
  file: RecordingFile
  /** What people noted on it, by time. */
  annotations: readonly AnnotationView[]
  signal: AbortSignal
  /** For formats that are for paper: how far it can be believed, who prints it. */
  paper(): Promise<Paper>
  /** How far it is, in what the format counts by. */
  progress(done: number, total: number): void
}

export type Written = AsyncIterable<Uint8Array | string>

/**
 * How each format is written; its name and extension stand in library-api.ts. A format is a generator of pieces; bundles,
 * which are no form of the recording, have a case of their own in `exportSession`.
 */
export const writers: Record<
  Exclude<ExportFormat, 'bundle'>,
  { type: string; write: (source: ExportSource) => Written }
> = {
  pdf: { type: 'application/pdf', write: writePdf },
  report: { type: 'text/html; charset=utf-8', write: writeReport },
  transcript: { type: 'text/plain; charset=utf-8', write: writeTranscript },
  asciicast: { type: 'application/x-asciicast', write: writeAsciicast },
  csv: { type: 'text/csv; charset=utf-8', write: writeTable },
  ndjson: { type: 'application/x-ndjson', write: writeLines },
}

const tellEveryMs = 150

/**
 * Writes a session to where the person wants it; the recording is fetched first where it isn't here.
 * @param fetchBundle asks the gateway for a bundle that isn't kept; undefined while there is no link
 * @returns undefined where the person wants it nowhere
 */
export async function exportSession(given: {
  session: string
  format: ExportFormat
  work: string
  library: Library
  annotations(session: string): readonly AnnotationView[]
  printing: Printing
  downloads: Downloads
  fetchBundle: (session: string, signal: AbortSignal) => Promise<AsyncIterable<Uint8Array> | undefined>
  say(event: ConsoleEvent): void
  signal: AbortSignal
}): Promise<{ where: string | undefined } | undefined> {
  const { session, format, library, signal } = given
  const { extension } = exportFormats.find(({ id }) => id === format)!
  const type = format === 'bundle' ? 'application/x-tar' : writers[format].type
  const name = `countersign-${nameable(session)}.${extension}`
  const progress = progressOf(given)

  // First what is to be written, so that nobody chooses a place for what can't be had.
  await using pieces = await source()
  return await written(given, { name, type }, pieces.of)

  async function source(): Promise<{ of: Written } & AsyncDisposable> {
    if (format === 'bundle') {
      const kept = await library.bundle(session)
      const bytes = kept ? kept.read() : await given.fetchBundle(session, signal)
      if (!bytes)
        throw new ConsoleError(
          'no-bundle',
          'The bundle of this session is not on this computer. It can be had once the gateway is reached; pinned sessions have theirs here.',
        )
      return { of: counted(bytes, kept?.bytes ?? null, progress), async [Symbol.asyncDispose]() {} }
    }
    const { held, session: about } = await library.whole(session, signal)
    const annotations = given.annotations(session)
    const paper = () => paperOf(session, given.printing, library, held.file)
    const of = writers[format].write({ session: about, file: held.file, annotations, signal, paper, progress })
    return { of, [Symbol.asyncDispose]: async () => held[Symbol.dispose]() }
  }
}

async function* counted(
  source: AsyncIterable<Uint8Array>,
  total: number | null,
  progress: (done: number, total: number | null) => void,
): AsyncGenerator<Uint8Array> {
  let done = 0
  for await (const bytes of source) {
    done += bytes.length
    progress(done, total)
    yield bytes
  }
}

/** Writes one channel of a session to where the person wants it; the recording is fetched first where it isn't here. */
export async function exportTerminal(given: {
  session: string
  channel: string
  format: TerminalExport
  work: string
  library: Library
  downloads: Downloads
  say(event: ConsoleEvent): void
  signal: AbortSignal
}): Promise<{ where: string | undefined } | undefined> {
  const { session, channel, format, library, signal } = given
  const { held } = await library.whole(session, signal)
  using _ = held
  const { file } = held
  const { type, write } = channelWriters[format]
  const place = placeOf(file, channel)
  const { extension } = terminalExports.find(({ id }) => id === format)!
  const part = await isPart(file, place, format)
  const name = `countersign-${nameable(session)}-${nameable(channel)}${part ? `-${part}` : ''}.${extension}`
  return await written(given, { name, type }, write({ file, place, channel, signal, progress: progressOf(given) }))
}

const nameable = (id: string) => id.replace(/[^A-Za-z0-9_-]/g, '')

function progressOf({ say, work }: { say(event: ConsoleEvent): void; work: string }) {
  let told = 0
  return (done: number, total: number | null) => {
    if (performance.now() - told < tellEveryMs) return
    told = performance.now()
    say({ type: 'export', work, done, total })
  }
}

async function written(
  given: { work: string; downloads: Downloads; say(event: ConsoleEvent): void; signal: AbortSignal },
  as: { name: string; type: string },
  pieces: Written,
): Promise<{ where: string | undefined } | undefined> {
  const { work, say, signal } = given
  const offer = (url: string) => say({ type: 'export', work, done: 0, total: null, url })
  const target = await given.downloads.save(as, offer, signal)
  if (!target) return undefined
  try {
    for await (const piece of gathered(pieces)) {
      signal.throwIfAborted()
      await target.write(piece)
    }
    return { where: await target.close() }
  } catch (error) {
    await target.abort()
    throw error
  }
}

/** Small pieces together, so that a line is not a write of its own. */
async function* gathered(pieces: Written): AsyncGenerator<Buffer> {
  let waiting: Buffer[] = []
  let length = 0
  for await (const piece of pieces) {
    const bytes = typeof piece === 'string' ? Buffer.from(piece) : Buffer.from(piece)
    waiting.push(bytes)
    length += bytes.length
    if (length < 128 * 1024) continue
    yield Buffer.concat(waiting)
    waiting = []
    length = 0
  }
  if (length > 0) yield Buffer.concat(waiting)
}

async function* writeLines({ file, signal, progress }: ExportSource): AsyncGenerator<Uint8Array> {
  let done = 0
  for await (const { bytes } of file.blocks()) {
    signal.throwIfAborted()
    done += bytes.length
    progress(done, file.bytes)
    yield bytes
  }
}
