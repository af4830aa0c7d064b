import type { Words } from '../words.ts'
import { status } from './wire.ts'

/** Refusals that are told on stderr, each in a line; the answers say so in any case. */
const MOST_TOLD = 200
const silent: Words = { message: 'the rest of what is refused in this channel is told in its answers alone' }

/** What the client is answered. */
export class Replies {
  readonly #send: (answer: Buffer) => void
  readonly #tell: (words: Words) => void
  readonly #told = new Set<string>()

  /** @param send to the client, at once; `tell` on the channel's stderr */
  constructor(send: (answer: Buffer) => void, tell: (words: Words) => void) {
    this.#send = send
    this.#tell = tell
  }

  send(answer: Buffer): undefined {
    this.#send(answer)
  }

  status(id: number, code: number, message: string): undefined {
    this.#send(status(id, code, message))
  }

  /**
   * Refuses what the client asks for, and says so: clients show a status's code at most, and not its message. Said once
   * in the same words: scp asks three times whether a target is a folder.
   * @param text what was asked for
   */
  refuse(id: number, code: number, text: string, words: Words): undefined {
    this.#send(status(id, code, words.message))
    const message = `${printable(text)}: ${words.message}`
    if (this.#told.size > MOST_TOLD || this.#told.has(message)) return
    this.#tell(this.#told.size === MOST_TOLD ? silent : { ...words, message })
    this.#told.add(message)
  }

  notice(text: string, message: string): undefined {
    this.#tell({ message: `${printable(text)}: ${message}` })
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNPRINTABLE = /[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g

/** Names are made by anybody: what moves a terminal's cursor is shown as it is written, and not done. */
const printable = (text: string): string =>
  text.replace(UNPRINTABLE, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
