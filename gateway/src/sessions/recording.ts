import { createReadStream } from 'node:fs'
import { open, rename, rm, stat, truncate, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib'
import type { EndEvent, RecordingEvent, RecordingHeader, RecordingLine } from '@countersign/contract/recording'
import type { z } from 'zod'
import { Counting, type RecordingCounts } from './counts.ts'
import type { Mark } from './recorder.ts'
import { syncFolder } from './recorder.ts'

/**
 * Where a session's recording lies: plain NDJSON while it is written, zstd once sealed. As long as the plain file is
 * there it is the truth; it goes away only after the sealed one is whole and on disk under its own name.
 */
export interface RecordingPlace {
  plain: string
  sealed: string
}

/** @param folder the data folder  @param openedAt ISO 8601, UTC: recordings lie by the day on which they began */
export function placeOf(folder: string, session: string, openedAt: string): RecordingPlace {
  if (!/^se_[a-z2-7]+$/.test(session)) throw new Error(`${session} is no session id`)
  const [year, month, day] = openedAt.slice(0, 10).split('-') as [string, string, string]
  const plain = join(folder, 'recordings', year, month, day, `${session}.ndjson`)
  return { plain, sealed: `${plain}.zst` }
}

/** What sealing found in a recording. */
export interface Sealed {
  header: RecordingHeader | undefined
  counts: RecordingCounts
  /** Data classes that commands and results touched. */
  classes: string[]
  /** Of the whole recording, uncompressed. */
  bytes: number
  end: z.infer<typeof EndEvent> | undefined
}

/**
 * Compresses a closed plain recording into its sealed form: temporary file, fsync, rename, fsync of the folder, and only
 * then the plain one is removed. Killed anywhere in between, it is done again from the plain file.
 * @throws Error of the file system; the plain file is then still there
 */
export async function seal(place: RecordingPlace): Promise<{ bytes: number }> {
  const temporary = `${place.sealed}.tmp`
  const to = await open(temporary, 'w', 0o600)
  // Only now: that it isn't there is to be heard by somebody.
  const from = createReadStream(place.plain)
  try {
    const compress = createZstdCompress({
      params: { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_checksumFlag]: 1 },
    })
    await pipeline(from, compress, async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) await writeWhole(to, chunk)
    })
    await to.sync()
  } catch (error) {
    from.destroy()
    await to.close()
    await rm(temporary, { force: true })
    throw error
  }
  await to.close()
  await rename(temporary, place.sealed)
  await syncFolder(dirname(place.sealed))
  await unlink(place.plain)
  await syncFolder(dirname(place.plain))
  return { bytes: from.bytesRead }
}

async function writeWhole(to: Awaited<ReturnType<typeof open>>, chunk: Buffer): Promise<void> {
  for (let done = 0; done < chunk.length; ) done += (await to.write(chunk, done)).bytesWritten
}

/**
 * Brings a plain recording that nobody writes any more to a good end: cuts off what follows the last whole line, and
 * appends an `end` event unless there is one, after a note where something was cut.
 * @param end what the `end` event says where none is there
 * @returns what the recording holds; `header` is undefined where not even that is whole (the file is then left as it is)
 */
export async function mend(
  plain: string,
  end: { state: 'closed' | 'terminated' | 'interrupted'; reason: string },
): Promise<Sealed> {
  const counting = new Counting()
  const { counts } = counting
  let header: RecordingHeader | undefined
  let ended: z.infer<typeof EndEvent> | undefined
  let seq = 0
  let t = 0
  let whole = 0
  for await (const line of linesOf(createReadStream(plain))) {
    let event: RecordingLine
    try {
      event = JSON.parse(line.toString()) as RecordingLine
    } catch {
      break // a hole left by a power cut: what follows it was never on disk as a whole
    }
    whole += line.length + 1
    if (event.type === 'header') {
      header = event
      continue
    }
    seq = event.seq
    t = event.t
    counting.add(event)
    if (event.type === 'end') ended = event
  }
  const classes = [...counting.classes].sort()
  if (!header) return { header, counts, classes, bytes: whole, end: undefined }

  const { size } = await stat(plain)
  const torn = size - whole
  if (torn > 0) {
    await keepCut(plain, whole, size)
    await truncate(plain, whole)
  }
  const closing: RecordingEvent[] = []
  if (torn > 0) {
    const text = `${torn} bytes of a line that was not written whole were cut off here: the gateway was stopped while it wrote them.`
    closing.push({ seq: ++seq, t, type: 'note', text })
  }
  if (!ended) {
    ended = { seq: ++seq, t, type: 'end', ...end }
    closing.push(ended)
  }
  if (closing.length > 0) {
    const handle = await open(plain, 'a')
    try {
      const bytes = Buffer.from(closing.map((event) => `${JSON.stringify(event)}\n`).join(''))
      await writeWhole(handle, bytes)
      await handle.sync()
      whole += bytes.length
    } finally {
      await handle.close()
    }
  }
  return { header, counts, classes, bytes: whole, end: ended }
}

/** More than one torn line is more than a killed gateway leaves behind: it is set aside, for whoever looks into it. */
async function keepCut(plain: string, from: number, size: number): Promise<void> {
  const stream = createReadStream(plain, { start: from })
  let whole = false
  for await (const chunk of stream as AsyncIterable<Buffer>) whole ||= chunk.includes(10)
  if (!whole) return
  const cut = await open(`${plain}.cut`, 'w', 0o600)
  try {
    for await (const chunk of createReadStream(plain, { start: from, end: size - 1 }) as AsyncIterable<Buffer>)
      await writeWhole(cut, chunk)
    await cut.sync()
  } finally {
    await cut.close()
  }
}

/**
 * A recording as NDJSON, from whichever form is there; bounded memory. Of a live one what is there now.
 * @param live length and starting place, where it is being written
 * @returns undefined where there is no recording
 */
export async function readRecording(
  place: RecordingPlace,
  live?: { bytes: number; from?: Mark },
): Promise<Readable | undefined> {
  const handle = await openIfThere(place.plain)
  if (handle) {
    const size = live?.bytes ?? (await handle.stat()).size
    const start = live?.from?.offset ?? 0
    if (size <= start) {
      await handle.close()
      return Readable.from([])
    }
    return handle.createReadStream({ start, end: size - 1, highWaterMark: 256 * 1024 })
  }
  const sealed = await openIfThere(place.sealed)
  if (!sealed) return undefined
  return unpacked(sealed.createReadStream({ highWaterMark: 256 * 1024 }))
}

/** The NDJSON of a sealed recording's file. Destroyed, it lets go of the file; what ails the file it fails with itself. */
export function unpacked(file: Readable): Readable {
  const decompress = createZstdDecompress()
  file.on('error', (error) => decompress.destroy(error))
  // What somebody put behind the sealed frame is refused after its last byte was given out: whoever read it has gone.
  decompress.on('error', () => {})
  decompress.on('close', () => file.destroy())
  return file.pipe(decompress)
}

/** The sealed form as it lies on disk (one zstd frame), for a reader that takes zstd; undefined where it isn't sealed. */
export async function readSealed(place: RecordingPlace): Promise<{ stream: Readable; bytes: number } | undefined> {
  const handle = await openIfThere(place.sealed)
  if (!handle) return undefined
  return { bytes: (await handle.stat()).size, stream: handle.createReadStream({ highWaterMark: 256 * 1024 }) }
}

/**
 * Events after a sequence number, in order, from a recording's stream.
 * @param bound how many events and how many bytes of NDJSON at most; one event is always answered
 */
export async function eventsAfter(
  stream: Readable,
  after: number,
  bound: { events: number; bytes: number },
): Promise<{ events: RecordingEvent[]; more: boolean }> {
  const events: RecordingEvent[] = []
  let bytes = 0
  try {
    for await (const line of linesOf(stream)) {
      // `seq` comes first in every event's line, so that those before the page aren't parsed.
      const seq = Number(/^\{"seq":(\d+),/.exec(line.toString('latin1', 0, 32))?.[1] ?? 0)
      if (seq <= after) continue
      bytes += line.length
      if (events.length > 0 && (events.length >= bound.events || bytes > bound.bytes)) return { events, more: true }
      events.push(JSON.parse(line.toString()) as RecordingEvent)
    }
    return { events, more: false }
  } finally {
    stream.destroy()
  }
}

/** Splits a byte stream at newlines. What follows the last newline is no line. */
export async function* linesOf(stream: Readable): AsyncGenerator<Buffer> {
  let parts: Buffer[] = []
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    let from = 0
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, from)) {
      const end = chunk.subarray(from, at)
      yield parts.length === 0 ? end : Buffer.concat([...parts, end])
      parts = []
      from = at + 1
    }
    if (from < chunk.length) parts.push(Buffer.from(chunk.subarray(from)))
  }
}

async function openIfThere(path: string) {
  try {
    return await open(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** First line of a plain recording, where it is whole. */
export async function headerOf(plain: string): Promise<RecordingHeader | undefined> {
  for await (const line of linesOf(createReadStream(plain))) {
    try {
      const parsed = JSON.parse(line.toString()) as RecordingLine
      return parsed.type === 'header' ? parsed : undefined
    } catch {
      return undefined
    }
  }
  return undefined
}
