import type { BacktestChange } from '@countersign/contract/policies'
import type { RecordingEvent } from '@countersign/contract/recording'
import { linesOf, placeOf, readRecording } from '../sessions/recording.ts'
import type { Change, Sample } from './changes.ts'

/** Of a text so many characters are kept. */
const LONGEST = 500
/** Of a recording so many bytes are looked at, and of all of them together. */
const BYTES = { each: 64 * 1024 * 1024, all: 1024 * 1024 * 1024 }

/** Shown where the recording doesn't tell it. */
export const ERASED = '(its recording was erased)'
const UNREAD = '(too far into its recording to be shown: open the session)'

/**
 * Changes with the texts of their samples, which only recordings have. Each recording is read once, up to the last
 * command that is asked for.
 * @param data the data folder
 */
export async function withTexts(
  data: string,
  changes: readonly Change[],
  signal?: AbortSignal,
): Promise<BacktestChange[]> {
  const wanted = Map.groupBy(
    changes.flatMap(({ samples }) => samples),
    ({ session }) => session,
  )
  const texts = new Map<string, string>()
  let left = BYTES.all
  for (const [session, samples] of wanted) {
    signal?.throwIfAborted()
    if (left <= 0) break
    left -= await readTexts(data, samples, (command, text) => texts.set(`${session} ${command}`, text))
  }
  return changes.map((change) => ({
    ...change,
    samples: change.samples.map(({ openedAt: _, ...sample }) => ({
      ...sample,
      text: texts.get(`${sample.session} ${sample.command}`) ?? UNREAD,
    })),
  }))
}

/** @returns how many bytes were read */
async function readTexts(
  data: string,
  samples: readonly Sample[],
  found: (command: string, text: string) => void,
): Promise<number> {
  const [{ session, openedAt }] = samples as [Sample]
  const missing = new Set(samples.map(({ command }) => command))
  let read = 0
  try {
    const stream = await readRecording(placeOf(data, session, openedAt))
    if (!stream) {
      for (const command of missing) found(command, ERASED)
      return 0
    }
    try {
      for await (const line of linesOf(stream)) {
        read += line.length + 1
        const beginning = line.toString('latin1', 0, 96)
        if (beginning.includes('"type":"command"')) {
          const { command, text } = JSON.parse(line.toString()) as RecordingEvent & { type: 'command' }
          if (missing.delete(command)) found(command, text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text)
        }
        if (missing.size === 0 || read > BYTES.each) break
      }
    } finally {
      stream.destroy()
    }
  } catch {
    // A recording that is damaged, or goes at this moment: the sample says where it is, not what it said.
  }
  return read
}
