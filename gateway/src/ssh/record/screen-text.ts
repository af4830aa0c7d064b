/** So much of what was shown is looked at. */
const WINDOW = 8192

const BACKSPACE = 0x08
const NEWLINE = 0x0a
const RETURN = 0x0d
const ESCAPE = 0x1b

/**
 * What a terminal has shown lately, as plain bytes in latin1: escape sequences are left out, backspaces take away, CR
 * and LF are `\n`. Not a terminal: cursor movements are not followed. Its work is linear, its memory bounded.
 */
export class ScreenText {
  #text = ''
  /** Within an escape sequence: after ESC, in a CSI, or in a string that ends with BEL or ST. */
  #in: 'text' | 'escape' | 'csi' | 'string' | 'string-escape' | 'charset' = 'text'

  /** The latest of it. */
  get text(): string {
    return this.#text
  }

  /** Forgets what comes before this place in `text`. */
  drop(upTo: number): void {
    this.#text = this.#text.slice(upTo)
  }

  /** @returns how many visible characters came */
  add(bytes: Buffer): number {
    // Only the last of a flood can matter.
    const skipped = Math.max(0, bytes.length - 4 * WINDOW)
    let came = skipped
    for (const byte of bytes.subarray(skipped)) {
      if (this.#in !== 'text') this.#sequence(byte)
      else if (byte === ESCAPE) this.#in = 'escape'
      else if (byte === BACKSPACE) this.#text = withoutLast(this.#text)
      else if (byte === NEWLINE || byte === RETURN) this.#text += '\n'
      else if (byte >= 0x20 && byte !== 0x7f) {
        this.#text += String.fromCharCode(byte)
        came++
      }
    }
    if (this.#text.length > WINDOW) this.#text = this.#text.slice(-WINDOW)
    return came
  }

  /** ECMA-48, sections 5.3 to 5.6: as much of it as is needed to find a sequence's end. */
  #sequence(byte: number): void {
    switch (this.#in) {
      case 'escape':
        if (byte === 0x5b) this.#in = 'csi'
        else if (byte === 0x5d || byte === 0x50 || byte === 0x58 || byte === 0x5e || byte === 0x5f) this.#in = 'string'
        else if (byte >= 0x20 && byte <= 0x2f) this.#in = 'charset'
        else if (byte !== ESCAPE) this.#in = 'text'
        return
      case 'csi':
      case 'charset':
        if (byte === ESCAPE) this.#in = 'escape'
        else if (byte >= (this.#in === 'csi' ? 0x40 : 0x30)) this.#in = 'text'
        return
      case 'string':
        if (byte === 0x07) this.#in = 'text'
        else if (byte === ESCAPE) this.#in = 'string-escape'
        return
      default:
        this.#in = byte === 0x5c ? 'text' : 'string'
    }
  }
}

/** Without its last character, which may be several bytes of UTF-8; a line's end stays. */
export function withoutLast(text: string): string {
  let end = text.length
  while (end > 0 && (text.charCodeAt(end - 1) & 0xc0) === 0x80) end--
  return end > 0 && text[end - 1] !== '\n' ? text.slice(0, end - 1) : text
}
