import type { RecordingEvent } from '@countersign/contract/recording'
import type { RecordedLine } from '../scribe/line.ts'
import { bounds, type Document } from './document.ts'

type Channel = Extract<RecordingEvent, { type: 'channel' }>
type Output = Extract<RecordingEvent, { type: 'output' }>

/** So many channels of a session are listened to at a time. */
const MOST = 256
const CHANNEL = /^\{"seq":\d+,"t":[\d.]+,"type":"[a-z]+","channel":"([^"\\]*)"/
/** Escape sequences (ECMA-48), with their letters: they are no words. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const ESCAPES = /\x1b(?:\[[\x20-\x3f]{0,64}[@-~]|[\]PX^_][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?|[ -/]{0,4}[0-~])/g

/** What commands of SSH put out, as far as they are found by it: its beginning. */
export class OutputOf {
  readonly #left = new Map<string, { document: Document; characters: number }>()

  /** A channel begins, in which a command runs. */
  begin({ channel }: Channel, document: Document): void {
    if (this.#left.size >= MOST) this.#left.delete(this.#left.keys().next().value!)
    this.#left.set(channel, { document, characters: bounds.cameBack })
  }

  /** @returns what the command is to be found by from now on, too; most lines aren't even parsed for it */
  take(line: RecordedLine): { document: Document; text: string } | undefined {
    if (this.#left.size === 0) return undefined
    const channel = CHANNEL.exec(line.bytes.toString('latin1', 0, 160))?.[1]
    if (channel !== undefined && !this.#left.has(channel)) return undefined
    const { channel: id, data, notice } = line.parsed as Output
    const left = this.#left.get(id)
    if (!left || notice || typeof data !== 'string') return undefined
    const text = data
      .slice(0, 2 * left.characters)
      .replace(ESCAPES, '')
      .slice(0, left.characters)
    left.characters -= text.length
    if (left.characters <= 0) this.#left.delete(id)
    // Where its other words are no longer at hand it is written as it is.
    return left.document.more && text !== '' ? { document: left.document, text } : undefined
  }
}
