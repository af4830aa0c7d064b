import { closeSync, constants, createReadStream, fstatSync, openSync, readSync, statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import type { RecordingHeader } from '@countersign/contract/recording'
import { linesOf, type RecordingPlace, unpacked } from '../recording.ts'
import { RecordedLine } from '../scribe/line.ts'
import type { SearchIndex } from './search-index.ts'

/** Gives the index what it lacks of recordings that nobody reads along any more, or that were not read from their beginning. */

const PORTION = 256 * 1024
/** How long others may wait for their turn (ms). */
const TURN_MS = 10

/** A recording by its files, and when it was written last. */
export interface Found extends RecordingPlace {
  session: string
  at: number
}

/**
 * All recordings that there are, the newest day first; within a day, those that were written last.
 * @param folder the data folder
 */
export async function* recordingsIn(folder: string): AsyncGenerator<Found> {
  const root = join(folder, 'recordings')
  for (const year of await namesIn(root, /^\d{4}$/))
    for (const month of await namesIn(join(root, year), /^\d\d$/))
      for (const day of await namesIn(join(root, year, month), /^\d\d$/)) {
        const place = join(root, year, month, day)
        const sessions = new Map<string, Found>()
        for (const name of await namesIn(place, /^se_[a-z2-7]+\.ndjson(\.zst)?$/)) {
          const session = name.slice(0, name.indexOf('.'))
          const plain = join(place, `${session}.ndjson`)
          sessions.set(session, { session, plain, sealed: `${plain}.zst`, at: changedAt(join(place, name)) })
        }
        yield* [...sessions.values()].sort((a, b) => b.at - a.at)
      }
}

/**
 * Reads a recording from where the index has it, to the end of what is there, with turns for others in between.
 * @returns false where there is no recording, or none that can be read
 */
export async function readFor(
  index: SearchIndex,
  { session, plain, sealed }: Found,
  signal: AbortSignal,
): Promise<boolean> {
  for (let tries = 0; tries < 2 && !signal.aborted; tries++) {
    const fd = openIfThere(plain)
    if (fd === undefined) return readSealed(index, session, sealed, signal)
    try {
      if (await readPlain(index, session, fd, signal)) return true
    } finally {
      closeSync(fd)
    }
  }
  return false
}

/** Up to what is its end when the last line is given, so that whoever reads along can go on from there. */
async function readPlain(index: SearchIndex, session: string, fd: number, signal: AbortSignal): Promise<boolean> {
  let header: RecordingHeader | undefined
  let from = 0
  let rest = Buffer.alloc(0)
  let since = performance.now()
  const place = index.placeIn(session)
  while (!signal.aborted) {
    const { size } = fstatSync(fd)
    const at = from + rest.length
    if (at >= size) return header !== undefined
    const bytes = Buffer.alloc(Math.min(PORTION, size - at))
    const length = readSync(fd, bytes, 0, bytes.length, at)
    if (length === 0) return header !== undefined
    rest = rest.length === 0 ? bytes.subarray(0, length) : Buffer.concat([rest, bytes.subarray(0, length)])
    let start = 0
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10, start)) {
      const line = lineAt(rest.subarray(start, end), from + start)
      if (!line) return header !== undefined
      header ??= headerOf(line, session)
      if (!header) return false
      if (line.offset >= place) index.line(header, line)
      start = end + 1
    }
    rest = Buffer.from(rest.subarray(start))
    from += start
    if (performance.now() - since < TURN_MS) continue
    index.commit()
    await turn()
    since = performance.now()
  }
  return false
}

async function readSealed(index: SearchIndex, session: string, sealed: string, signal: AbortSignal): Promise<boolean> {
  const place = index.placeIn(session)
  let header: RecordingHeader | undefined
  let at = 0
  let since = performance.now()
  const ndjson = unpacked(createReadStream(sealed, { highWaterMark: PORTION }))
  try {
    for await (const bytes of linesOf(ndjson)) {
      const line = lineAt(bytes, at)
      if (!line || signal.aborted) break
      at = line.end
      header ??= headerOf(line, session)
      if (!header) return false
      if (line.offset >= place) index.line(header, line)
      if (performance.now() - since < TURN_MS) continue
      index.commit()
      await turn()
      since = performance.now()
    }
    return header !== undefined
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code.startsWith('ZSTD')) return false
    throw error
  } finally {
    ndjson.destroy()
  }
}

function lineAt(bytes: Buffer, offset: number): RecordedLine | undefined {
  try {
    const line = new RecordedLine(bytes, offset)
    // A hole left by a power cut: what follows it isn't there as a whole.
    void line.parsed
    return line
  } catch {
    return undefined
  }
}

function headerOf(line: RecordedLine, session: string): RecordingHeader | undefined {
  const { parsed } = line
  return parsed.type === 'header' && parsed.session === session ? parsed : undefined
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function changedAt(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
}

async function namesIn(folder: string, like: RegExp): Promise<string[]> {
  try {
    return (await readdir(folder))
      .filter((name) => like.test(name))
      .sort()
      .reverse()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
