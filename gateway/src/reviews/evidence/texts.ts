import { linesOf, placeOf, readRecording } from '../../sessions/recording.ts'
import { cut, type Sample } from './samples.ts'

/** So much of a command is shown. */
const SHOWN = 2000
/** So much of one recording is read, and of all together, for the texts of samples (bytes of NDJSON). */
const MOST_OF_ONE = 64 * 1024 * 1024
const MOST_OF_ALL = 4 * 1024 * 1024 * 1024

/**
 * Reads the texts of samples from their recordings, each recording once. Where one isn't there, was erased or can't be
 * read, the text stays empty.
 * @param folder the data folder
 * @returns how many texts were not found
 */
export async function readTexts(
  folder: string,
  wanted: readonly Sample[],
  onProgress?: (done: number, of: number) => void,
): Promise<number> {
  let left = MOST_OF_ALL
  let missing = 0
  let done = 0
  const sessions = Map.groupBy(wanted, ({ session }) => session)
  for (const [session, samples] of sessions) {
    const [{ openedAt } = {}] = samples
    if (left > 0 && openedAt) left -= await readInto(folder, session, openedAt, samples).catch(() => 0)
    for (const sample of samples) {
      if (sample.text === '') missing++
      delete sample.openedAt
    }
    onProgress?.(++done, sessions.size)
  }
  return missing
}

async function readInto(folder: string, session: string, openedAt: string, samples: Sample[]) {
  const sought = Map.groupBy(samples, ({ command }) => command)
  const stream = await readRecording(placeOf(folder, session, openedAt))
  let bytes = 0
  if (!stream) return bytes
  try {
    for await (const line of linesOf(stream)) {
      bytes += line.length
      if (bytes > MOST_OF_ONE) break
      // Most lines are rows: a command's says so at its beginning.
      if (!line.toString('latin1', 0, 96).includes('"type":"command"')) continue
      const event = JSON.parse(line.toString()) as { command: string; text: string }
      for (const sample of sought.get(event.command) ?? []) sample.text = cut(event.text, SHOWN)
      sought.delete(event.command)
      if (sought.size === 0) break
    }
  } finally {
    stream.destroy()
  }
  return bytes
}
