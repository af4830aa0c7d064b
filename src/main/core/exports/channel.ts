import { Asciicast, asciicastType } from '@countersign/contract/asciicast'
import type { RecordingLine } from '@countersign/contract/recording'
import type { TerminalExport } from '../../../terminal-api.ts'
import type { RecordingFile } from '../library/recording-file.ts'
import { FrameReader } from '../terminal/frames.ts'
import { PlainText } from '../terminal/text.ts'

/** One channel of a recording, to be written. */
export interface ChannelSource {
  file: RecordingFile
  channel: string
  /** Its place among the recording's channels. */
  place: number
  signal: AbortSignal
  progress(done: number, total: number): void
}

/** How each form of a channel is written; names and extensions stand in terminal-api.ts. */
export const channelWriters: Record<
  TerminalExport,
  { type: string; write: (source: ChannelSource) => AsyncGenerator<string | Uint8Array> }
> = {
  cast: { type: asciicastType, write: writeCast },
  text: { type: 'text/plain; charset=utf-8', write: writeText },
  output: { type: 'application/octet-stream', write: (source) => writeBytes(source, 'stdout') },
  errors: { type: 'application/octet-stream', write: (source) => writeBytes(source, 'stderr') },
}

/** A word for a file's name where what is written is not all that the client received; undefined where it is. */
export async function isPart(file: RecordingFile, place: number, format: TerminalExport): Promise<string | undefined> {
  const { exit } = file.index.channels[place]!
  if (exit < 0) return 'unfinished'
  const [line] = await file.lines([exit])
  const truncated = line?.type === 'exit' ? (line.truncated ?? []) : []
  const part = format === 'errors' ? ['stderr'] : format === 'output' ? ['stdout'] : ['stdout', 'stderr']
  return truncated.some((stream) => part.includes(stream)) ? 'cut' : undefined
}

/** The channel as asciicast v3. */
export async function* writeCast(source: ChannelSource): AsyncGenerator<string> {
  const { file, place } = source
  const { step, line, exit } = file.index.channels[place]!
  const cast = new Asciicast(source.channel)
  const before = step < 0 ? [] : [...file.index.linesOf(step, step + 1)].filter((number) => number < line)
  for (const one of await file.lines([0, ...before, line])) yield cast.line(one)
  for await (const one of framesIn(source)) yield cast.line(one)
  if (exit < 0 && file.ended) for (const one of await file.lines([file.lastSeq])) yield cast.line(one)
}

/** What was shown, as text: nothing in it moves or colours. Streams stand in the order in which they came. */
export async function* writeText(source: ChannelSource): AsyncGenerator<string> {
  const { from, terminal } = source.file.index.channels[source.place]!
  const reader = new FrameReader({ t: from, stdout: '', stderr: '', stdin: '' }, terminal)
  const streams = { stdout: new PlainText(), stderr: new PlainText() }
  for await (const line of framesIn(source)) {
    const frame = reader.read(line)
    if (frame?.type === 'output') yield streams[frame.stream].write(frame.text)
  }
  yield streams.stdout.end() + streams.stderr.end()
}

async function* writeBytes(source: ChannelSource, stream: 'stdout' | 'stderr'): AsyncGenerator<Uint8Array> {
  for await (const line of framesIn(source)) {
    // What the gateway said is none of the host's output.
    if (line.type !== 'output' || line.stream !== stream || line.notice || line.data === null) continue
    yield typeof line.data === 'string' ? Buffer.from(line.data) : Buffer.from(line.data.base64, 'base64')
  }
}

const linesAtOnce = 256

/** A channel's lines after its first. */
export async function* framesIn({
  file,
  place,
  signal,
  progress,
}: Pick<ChannelSource, 'file' | 'place' | 'signal'> &
  Partial<Pick<ChannelSource, 'progress'>>): AsyncGenerator<RecordingLine> {
  const numbers = file.index.framesOf(place)
  for (let at = 0; at < numbers.length; at += linesAtOnce) {
    signal.throwIfAborted()
    progress?.(at, numbers.length)
    yield* await file.lines(numbers.subarray(at, at + linesAtOnce))
    await new Promise((resolve) => setImmediate(resolve))
  }
}
