import type { RecordingEvent, RecordingLine } from '@countersign/contract/recording'
import { FrameReader, noFrames } from '../terminal/frames.ts'
import { PlainText, WordSearch } from '../terminal/text.ts'
import type { RecordingFile } from './recording-file.ts'
import { textOf } from './recording-file.ts'

/** A line in which words were found. */
export interface Hit {
  line: number
  /** -1 where the line belongs to no step. */
  step: number
}

/**
 * Looks for `words` in everything that a recording says: commands, parameters, policies, reasons, people, results,
 * rows, and what channels of SSH show as text (across events, without escape sequences). Upper and lower case are alike. Chunks are opened one after the other; most lines are ruled out by their bytes,
 * only what may have the words is parsed. Yields after each chunk, so that the caller can tell what was found, and stop.
 * @throws Damaged
 */
export async function* findIn(
  file: RecordingFile,
  words: string,
  signal: AbortSignal,
  heard: (line: RecordingLine) => Iterable<unknown> = wordsOf,
): AsyncGenerator<{ hits: Hit[]; done: number }> {
  const wanted = words.trim().toLowerCase()
  if (wanted === '') return
  const channels = heard === wordsOf && file.index.channels.length > 0 ? new ChannelWords(wanted) : undefined
  // What a channel says may be cut anywhere, and coloured in between: every line is parsed.
  const needle = channels ? '' : surely(wanted)
  let done = 0
  for await (const block of file.blocks()) {
    signal.throwIfAborted()
    const hits: Hit[] = []
    for (const number of candidates(block, needle)) {
      const line = JSON.parse(textOf(block, number)) as RecordingLine
      if (channels?.says(line)) hits.push({ line: number, step: file.index.stepOf(number) })
      for (const text of heard(line)) {
        if (typeof text !== 'string' || !text.toLowerCase().includes(wanted)) continue
        hits.push({ line: number, step: file.index.stepOf(number) })
        break
      }
    }
    done += block.bytes.length
    yield { hits, done }
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/**
 * The longest part of the words that stands in JSON as it is: without quotes, backslashes, control characters, or
 * anything that lower case may lengthen or shorten. May be empty, then every line is parsed.
 */
function surely(wanted: string): string {
  return wanted.split(/[^ -~]|["\\]/).reduce((longest, part) => (part.length > longest.length ? part : longest), '')
}

function* candidates(block: { first: number; bytes: Buffer; starts: number[] }, needle: string): Generator<number> {
  const { first, bytes, starts } = block
  const count = starts.length - 1
  if (needle === '') {
    for (let i = 0; i < count; i++) yield first + i
    return
  }
  // One byte a character, so that places are bytes. Of A–Z only is the needle's case, K and ſ outside ASCII aside.
  const text = bytes.toString('latin1').toLowerCase()
  // No gateway of ours writes letters as escapes, but one that wants them not to be found may: then every line is parsed.
  if (/\\(u00[2-7]|\/)/.test(text)) {
    for (let i = 0; i < count; i++) yield first + i
    return
  }
  let i = 0
  for (let at = text.indexOf(needle); at !== -1; at = text.indexOf(needle, starts[i])) {
    while (i < count && starts[i + 1]! <= at) i++
    yield first + i
    i++
    if (i >= count) return
  }
}

/** Everything that a line says to a person. */
export function* wordsOf(line: RecordingLine): Generator<unknown> {
  switch (line.type) {
    case 'header':
      return
    case 'command':
      yield line.text
      yield* line.parameters
      yield* line.verdict.policies
      yield line.verdict.reason
      return
    case 'hold':
      yield line.approval
      yield* line.by ?? []
      yield line.reason
      return
    case 'rows':
      for (const column of line.columns) yield column.name
      for (const row of line.rows) yield* row
      return
    case 'result':
      yield line.tag
      yield line.sqlstate
      yield line.message
      return
    case 'note':
      yield line.text
      return
    case 'end':
      yield line.state
      yield line.reason
      return
    case 'signal':
      yield line.signal
  }
}

/** Looks for words in what the channels of a recording say, each stream by itself. */
class ChannelWords {
  readonly #words: string
  readonly #streams = new Map<string, { text: PlainText; search: WordSearch<true> }>()
  readonly #readers = new Map<string, FrameReader>()

  constructor(words: string) {
    this.#words = words
  }

  /** Whether the words end in this line. */
  says(line: RecordingLine): boolean {
    if (line.type === 'channel') this.#readers.set(line.channel, new FrameReader(noFrames, line.terminal !== undefined))
    if (line.type !== 'output' && line.type !== 'input' && line.type !== 'exit') return false
    const frame = this.#readers.get(line.channel)?.read(line)
    if (frame?.type === 'exit') {
      this.#readers.delete(line.channel)
      for (const stream of ['stdout', 'stderr', 'stdin']) this.#streams.delete(`${stream} ${line.channel}`)
    }
    if (frame?.type !== 'output' && frame?.type !== 'input') return false
    const key = `${frame.type === 'output' ? frame.stream : 'stdin'} ${line.channel}`
    let stream = this.#streams.get(key)
    if (!stream) {
      stream = { text: new PlainText(), search: new WordSearch<true>(this.#words, 0) }
      this.#streams.set(key, stream)
    }
    return stream.search.write(stream.text.write(frame.text), true).length > 0
  }
}

/** A command's own words. */
export function* commandWords(line: RecordingLine | RecordingEvent): Generator<unknown> {
  if (line.type === 'command') {
    yield line.text
    yield* line.parameters
  }
}
