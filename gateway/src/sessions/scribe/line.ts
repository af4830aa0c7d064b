import type { RecordingHeader, RecordingLine } from '@countersign/contract/recording'

/** What stands at the beginning of every line as recorders write it. */
const BEGINNING = /^\{(?:"seq":(\d+),"t":[\d.e+-]+,)?"type":"([a-z]+)"/

/** A whole line of a recording. What it is can be told without reading it; it is parsed when first asked for, once. */
export class RecordedLine {
  /** Without its newline. Only for as long as the call that gave the line: the memory is used again. */
  readonly bytes: Buffer
  /** Where it begins in the recording. */
  readonly offset: number
  readonly type: RecordingLine['type']
  /** 0 for the header. */
  readonly seq: number
  #parsed: RecordingLine | undefined

  /** @throws where it can't be a line of a recording */
  constructor(bytes: Buffer, offset: number) {
    this.bytes = bytes
    this.offset = offset
    const found = BEGINNING.exec(bytes.toString('latin1', 0, 96))
    if (found) {
      this.type = found[2] as RecordingLine['type']
      this.seq = Number(found[1] ?? 0)
    } else {
      const line = this.parsed
      this.type = line.type
      this.seq = line.type === 'header' ? 0 : line.seq
    }
  }

  /** Where the next line begins. */
  get end(): number {
    return this.offset + this.bytes.length + 1
  }

  /** @throws SyntaxError */
  get parsed(): RecordingLine {
    this.#parsed ??= wellFormed(JSON.parse(this.bytes.toString()) as RecordingLine, this.bytes)
    return this.#parsed
  }
}

/**
 * Who reads recordings along, beside the ledger (the search). It is given each whole line of each recording once, in
 * order, whenever the ledger has read it anyway; with a place of its own, so that one that is behind, or failed, is
 * given what it lacks later, and holds nothing up. Synchronous, in the scribe's thread.
 */
export interface RecordingReader {
  /** Where it goes on in a recording: the `end` of the last line that it has kept; 0 for one that it hasn't met. */
  placeIn(session: string): number
  /** The next line of a recording, the header among them; the header is told beside every line, too. */
  line(header: RecordingHeader, line: RecordedLine): void
  /** All that was given since the last commit is to be kept, with its places. What throws is given again later. */
  commit(): void
}

/** JSON may spell lone surrogates, which have no UTF-8 and no canonical form: they become U+FFFD. */
export function wellFormed<T>(value: T, json: Buffer | string): T {
  return json.includes('\\ud') || json.includes('\\uD') ? (mended(value) as T) : value
}

function mended(value: unknown): unknown {
  if (typeof value === 'string') return value.toWellFormed()
  if (Array.isArray(value)) return value.map(mended)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key.toWellFormed(), mended(member)]))
}
