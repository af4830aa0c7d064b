import { ScreenText, withoutLast } from './screen-text.ts'

/** What was typed, once it is known: bytes that the terminal showed, or how many it did not show. */
export type Typed = { shown: Buffer } | { hidden: number }

/** A line that is longer is decided on without waiting for its end (a full-screen program, a file that is pasted). */
const LONGEST_LINE = 4096
/** More lines than that don't wait for their echo. */
const MOST_WAITING = 64 * 1024
/** So many visible characters after a line was typed its echo is not expected any more. */
const PATIENCE = 16 * 1024
/** A text of so many characters doesn't come back by chance. */
const EVIDENT = 64
/** So many texts that were taken back unseen are waited for in a line; with more it is hidden. */
const MOST_UNSEEN = 8
/** No terminal shows it as text. */
const NEVER = ['\n\0']

/**
 * Tells typed text that a terminal echoes from what it does not: passwords. The gateway can't see whether echo is on, only
 * whether what was typed comes back; so a line is shown where its text came back as it was typed, after it was typed,
 * and hidden otherwise. It errs to the safe side: what comes back otherwise (in a full-screen program, say) is hidden as
 * well, and what is told as shown stands in the output anyway. Keys without a text of their own (arrows, tab, control
 * characters) go with their line.
 *
 * Where a person types, the echo comes before Return does, and so the line is known when Return is given to `typed`.
 * Where a program sends whole lines, it is known once the echo has come. All is told in the order in which it was typed.
 */
export class Echo {
  readonly #screen = new ScreenText()
  /** The oldest first; the last one may go on. */
  #lines: Line[] = []
  #waiting = 0
  #escape = ''

  /** Whether the terminal's output has to be given to `shown` now. */
  get waits(): boolean {
    return this.#lines.length > 0
  }

  typed(bytes: Buffer): Typed[] {
    if (bytes.length > MOST_WAITING) return [...this.end(), { hidden: bytes.length }]
    for (const byte of bytes) this.#key(byte)
    const all = this.#decided(true)
    if (this.#waiting > MOST_WAITING) all.push(...this.end())
    return all
  }

  shown(output: Buffer): Typed[] {
    if (!this.waits) return []
    const came = this.#screen.add(output)
    for (const line of this.#lines) {
      line.came += came
      if (line.unseen.length > 0) line.unseen = line.unseen.filter((texts) => !this.#isAtCursor(texts))
    }
    return came > 0 || output.includes(13) || output.includes(10) ? this.#decided(false) : []
  }

  /** Decides on all that waits: nothing more is shown. */
  end(): Typed[] {
    const all = this.#lines.map((line) => this.#verdict(line, this.#echoes(line, true)))
    this.#lines = []
    return together(all)
  }

  #key(byte: number): void {
    let line = this.#lines.at(-1)
    if (!line || line.ended) {
      if (!line) this.#screen.drop(this.#screen.text.length)
      line = { bytes: [], texts: [''], unseen: [], bare: true, ended: false, came: 0 }
      this.#lines.push(line)
    }
    line.bytes.push(byte)
    this.#waiting++
    if (this.#escape !== '' || byte === 0x1b) this.#inEscape(line, byte)
    else if (byte === 0x0d || byte === 0x0a || byte === 0x03 || byte === 0x04 || byte === 0x1a) line.ended = true
    else if (byte === 0x7f || byte === 0x08) this.#takeBack(line, withoutLast)
    else if (byte === 0x17) this.#takeBack(line, (text) => text.replace(/\S*\s*$/, ''))
    else if (byte === 0x15) {
      this.#takeBack(line, () => '')
      line.texts = ['']
    } else if (byte < 0x20) line.texts.push('')
    else {
      line.texts[line.texts.length - 1] += String.fromCharCode(byte)
      line.bare = false
    }
    if (line.bytes.length >= LONGEST_LINE) line.ended = true
  }

  /** What is taken back is kept with its line only where the terminal had shown it, too: a password may be begun anew. */
  #takeBack(line: Line, shorter: (text: string) => string): void {
    const { texts, unseen } = line
    const whole = texts.join('')
    // What one key after the other takes back stands in the first of it.
    const known = unseen.some((before) => before.join('').startsWith(whole))
    if (whole !== '' && !known && !this.#isAtCursor(texts))
      unseen.push(unseen.length < MOST_UNSEEN ? [...texts] : NEVER)
    texts.push(shorter(texts.pop() ?? ''))
  }

  #isAtCursor(texts: readonly string[]): boolean {
    const dense = withoutSpace(this.#screen.text)
    return endOf(texts, dense, [dense.length]) !== -1
  }

  /** A key that sends a sequence: ESC [ … final, ESC O x, ESC x. */
  #inEscape(line: Line, byte: number): void {
    if (this.#escape === '') line.texts.push('')
    this.#escape += String.fromCharCode(byte)
    const [, second] = this.#escape
    const over =
      second === undefined
        ? false
        : second === '['
          ? this.#escape.length > 2 && byte >= 0x40
          : second === 'O'
            ? this.#escape.length > 2
            : byte !== 0x1b
    if (over || this.#escape.length > 32) this.#escape = ''
  }

  #decided(atCursor: boolean): Typed[] {
    const all: Typed[] = []
    for (let line = this.#lines[0]; line; line = this.#lines[0]) {
      // Before its end nothing is known of a line.
      if (!line.bare && !line.ended && line.came <= PATIENCE) break
      const shown = this.#echoes(line, atCursor)
      // Keys without text don't wait: nothing of them would come back.
      if (line.bare ? this.#escape !== '' && line === this.#lines.at(-1) : !shown && line.came <= PATIENCE) break
      this.#lines.shift()
      all.push(this.#verdict(line, shown))
    }
    return together(all)
  }

  #verdict(line: Line, shown: boolean): Typed {
    this.#waiting -= line.bytes.length
    return shown ? { shown: Buffer.from(line.bytes) } : { hidden: line.bytes.length }
  }

  /**
   * Whether the line's text has come back: its parts in order, the last one at the end of a line (so that no number of a
   * listing passes for a PIN), or where the cursor is. What has is forgotten, so that it echoes no other line.
   * @param atCursor Return was typed just now, or nothing more comes
   */
  #echoes(line: Line, atCursor: boolean): boolean {
    if (line.bare) return true
    if (line.unseen.length > 0) return false
    const { text } = this.#screen
    const at = endOf(line.texts, withoutSpace(text), endsOf(text, atCursor))
    if (at === -1) return false
    // Of what was typed and taken back nothing can be told.
    if (at === 0) return false
    this.#screen.drop(behind(text, at))
    return true
  }
}

interface Line {
  bytes: number[]
  /** Its text, as far as it was edited; apart where a key without text came between. latin1. */
  texts: string[]
  /** Texts that were taken back, and have not been shown so far. */
  unseen: (readonly string[])[]
  /** Nothing of it has a text of its own. */
  bare: boolean
  ended: boolean
  /** Visible characters that came since it was begun. */
  came: number
}

/**
 * Where the texts end that stand in `dense` one after the other, the last one, unless it is evident, at one of these ends;
 * -1 where they don't.
 */
function endOf(texts: readonly string[], dense: string, ends: number[]): number {
  let at = 0
  for (const [index, text] of texts.entries()) {
    const part = withoutSpace(text)
    if (part === '') continue
    const mustEnd = index === texts.length - 1 && part.length < EVIDENT
    const from = mustEnd ? endingIn(dense, part, at, ends) : dense.indexOf(part, at)
    if (from === -1) return -1
    at = from + part.length
  }
  return at
}

/** Line editors break lines in their own way. */
const withoutSpace = (text: string) => text.replace(/[ \n]+/g, '')

/** Where the part begins at or behind `at` that has one of these ends; -1 where there is none. */
function endingIn(text: string, part: string, at: number, ends: number[]): number {
  for (const end of ends) if (end - part.length >= at && text.endsWith(part, end)) return end - part.length
  return -1
}

/** How many characters that are no space come before each end of a line, and before each `^` of a `^C`. */
function endsOf(text: string, atCursor: boolean): number[] {
  const lines = text.split(/\n|(?=\^)/)
  const ends: number[] = []
  let length = 0
  for (const [index, line] of lines.entries()) {
    length += withoutSpace(line).length
    if (index < lines.length - 1 || atCursor) ends.push(length)
  }
  return ends
}

/** The place behind so many characters that are no space. */
function behind(text: string, dense: number): number {
  let at = 0
  for (let left = dense; left > 0; at++) if (text[at] !== ' ' && text[at] !== '\n') left--
  return at
}

function together(all: Typed[]): Typed[] {
  const merged: Typed[] = []
  for (const typed of all) {
    const last = merged.at(-1)
    if (last && 'hidden' in last && 'hidden' in typed) last.hidden += typed.hidden
    else merged.push(typed)
  }
  return merged
}
