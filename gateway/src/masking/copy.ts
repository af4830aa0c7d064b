/** How a COPY … TO STDOUT is written: its options, with the server's defaults filled in (copyFormat()). */
export type CopyFormat =
  | { format: 'text'; delimiter: string; null: string; header: boolean }
  | { format: 'csv'; delimiter: string; null: string; header: boolean; quote: string; escape: string }
  | { format: 'binary' }

/**
 * Masks one value of a column, in its type's text or binary format; null for NULL. Where the value was longer than is
 * kept, it gets none of it.
 */
export type MaskCopied = (value: Buffer | undefined) => Buffer | null

export interface CopyMask {
  format: CopyFormat
  /** One for each column of the output; undefined where it passes as it is. */
  columns: readonly (MaskCopied | undefined)[]
  /** Bytes of a value that are kept to be masked; 1 MiB where absent. */
  longest?: number
}

/** The data isn't what the statement's options promise. Nothing more of it may be passed on. */
export class CopyShapeError extends Error {
  override name = 'CopyShapeError'
  readonly code = 'copy-shape'
  constructor(what: string) {
    super(
      `the server's COPY data can't be masked (${what}): select the rows instead, or ask for the option to be supported`,
    )
  }
}

/** Rewrites the data of a COPY TO STDOUT, however it is cut into pieces. */
export interface CopyRewriter {
  /**
   * @returns what may go on by now; it may be empty, and is never anything of a value that is masked
   * @throws CopyShapeError; the rewriter is not to be used after it
   */
  push(piece: Buffer): Buffer
  /** At CopyDone: what is left. @throws CopyShapeError where the data ended in the middle of a row */
  end(): Buffer
}

/**
 * @param options of COPY as the statement has them: names in lower case, values as text, `true` where none was given
 * @returns undefined where what would be written can't be read with certainty: then refuse the statement
 */
export function copyFormat(options: ReadonlyMap<string, string>): CopyFormat | undefined {
  const kind = (options.get('format') ?? 'text').toLowerCase()
  if (kind === 'binary') return { format: 'binary' }
  if (kind !== 'text' && kind !== 'csv') return undefined
  const header = /^(true|on|1|match|)$/i.test(options.get('header') ?? 'false')
  const quote = options.get('quote') ?? '"'
  const format: CopyFormat =
    kind === 'text'
      ? { format: 'text', delimiter: options.get('delimiter') ?? '\t', null: options.get('null') ?? '\\N', header }
      : {
          format: 'csv',
          delimiter: options.get('delimiter') ?? ',',
          null: options.get('null') ?? '',
          header,
          quote,
          escape: options.get('escape') ?? quote,
        }
  // The server takes single bytes only; and another encoding than UTF-8 would put them into the middle of characters.
  const single = [format.delimiter, ...(format.format === 'csv' ? [format.quote, format.escape] : [])]
  if (options.has('encoding') && !/^'?utf-?8'?$/i.test(options.get('encoding')!)) return undefined
  const plain = (text: string) => text.length === 1 && text < '\x80' && text !== '\n' && text !== '\r'
  if (!single.every(plain)) return undefined
  // A marker that reads like syntax would move the borders between columns: `NULL 'x\'` takes in the next one.
  const ambiguous = format.null.includes('\n') || format.null.includes('\r') || format.null.includes(format.delimiter)
  const syntax =
    format.format === 'csv' ? format.null.includes(format.quote) : /\\/.test(format.null) && format.null !== '\\N'
  return ambiguous || syntax ? undefined : format
}

export function copyRewriter(mask: CopyMask): CopyRewriter {
  return mask.format.format === 'binary' ? new BinaryRewriter(mask) : new TextRewriter(mask, mask.format)
}

const NEWLINE = 10
const BACKSLASH = 92
const nothing = Buffer.alloc(0)

/** What is kept of a field that is masked, up to a bound. */
class Kept {
  readonly #longest: number
  #pieces: Buffer[] = []
  #length = 0

  constructor(longest: number) {
    this.#longest = longest
  }

  add(piece: Buffer): void {
    this.#length += piece.length
    if (this.#length > this.#longest) this.#pieces = []
    // A copy: what it is a part of may be large, or used again.
    else if (piece.length > 0) this.#pieces.push(Buffer.from(piece))
  }

  /** All of it, or undefined where it was too long; empty from then on. */
  take(): Buffer | undefined {
    const all = this.#length > this.#longest ? undefined : Buffer.concat(this.#pieces)
    this.#pieces = []
    this.#length = 0
    return all
  }
}

/** Text and CSV: https://www.postgresql.org/docs/18/sql-copy.html, "File Formats". */
class TextRewriter implements CopyRewriter {
  readonly #columns: CopyMask['columns']
  readonly #format: Exclude<CopyFormat, { format: 'binary' }>
  readonly #delimiter: number
  readonly #quote: number
  readonly #escape: number
  readonly #null: Buffer
  readonly #longest: number
  readonly #kept: Kept
  /** The value that was written last: many masks are always the same. */
  #known: { value: Buffer; written: Buffer } | undefined
  #header: boolean
  #column = 0
  /** CSV: between quotes. */
  #quoted = false
  /** The byte before makes this one an ordinary one. */
  #escaped = false
  #begun = false

  constructor({ columns, longest = 1 << 20 }: CopyMask, format: Exclude<CopyFormat, { format: 'binary' }>) {
    this.#columns = columns
    this.#format = format
    this.#delimiter = format.delimiter.charCodeAt(0)
    this.#quote = format.format === 'csv' ? format.quote.charCodeAt(0) : -1
    this.#escape = format.format === 'csv' ? format.escape.charCodeAt(0) : BACKSLASH
    this.#null = Buffer.from(format.null)
    this.#longest = longest
    this.#kept = new Kept(longest)
    this.#header = format.header
  }

  push(piece: Buffer): Buffer {
    const out: Buffer[] = []
    let goesOn = 0 // from here on nothing is in `out` yet
    let from = 0
    for (let at = this.#fieldEnd(piece, 0); at >= 0; at = this.#fieldEnd(piece, from)) {
      const mask = this.#mask
      if (mask) {
        if (from > goesOn) out.push(piece.subarray(goesOn, from))
        out.push(this.#masked(mask, piece.subarray(from, at)))
        goesOn = at
      }
      from = at + 1
      this.#next(piece[at]!)
    }
    if (from < piece.length) {
      this.#begun = true
      if (this.#mask) {
        this.#kept.add(piece.subarray(from))
        if (from > goesOn) out.push(piece.subarray(goesOn, from))
        goesOn = piece.length
      }
    }
    if (goesOn < piece.length) out.push(goesOn === 0 ? piece : piece.subarray(goesOn))
    return out.length === 1 ? out[0]! : Buffer.concat(out)
  }

  end(): Buffer {
    if (this.#begun || this.#column > 0 || this.#quoted) throw new CopyShapeError('it ends within a row')
    return nothing
  }

  get #mask(): MaskCopied | undefined {
    return this.#header ? undefined : this.#columns[this.#column]
  }

  /** Where the field ends that goes on at `from`; -1 where that isn't in this piece. Follows quotes and escapes. */
  #fieldEnd(piece: Buffer, from: number): number {
    const { length } = piece
    if (this.#format.format === 'csv') {
      for (let at = from; at < length; at++) if (this.#ends(piece[at]!)) return at
      return -1
    }
    const delimiter = this.#delimiter
    let escaped = this.#escaped
    for (let at = from; at < length; at++) {
      const byte = piece[at]!
      if (escaped) escaped = false
      else if (byte === BACKSLASH) escaped = true
      else if (byte === delimiter || byte === NEWLINE) {
        this.#escaped = false
        return at
      }
    }
    this.#escaped = escaped
    return -1
  }

  /** CSV: whether a byte ends a field. */
  #ends(byte: number): boolean {
    if (this.#escaped) {
      this.#escaped = false
      // An escape stands only before a quote or an escape; where it is the quote itself, the quotes ended here.
      if (byte === this.#quote || byte === this.#escape) return false
      if (this.#escape === this.#quote) this.#quoted = false
    }
    if (this.#quoted) {
      if (byte === this.#escape) this.#escaped = true
      else if (byte === this.#quote) this.#quoted = false
      return false
    }
    if (byte === this.#quote) {
      this.#quoted = true
      return false
    }
    return byte === this.#delimiter || byte === NEWLINE
  }

  /** What stands for a field of which this is the last, or only, part. */
  #masked(mask: MaskCopied, part: Buffer): Buffer {
    let raw: Buffer | undefined = part
    if (this.#begun || part.length > this.#longest) {
      this.#kept.add(part)
      raw = this.#kept.take()
    }
    if (raw?.equals(this.#null)) return raw
    const masked = mask(raw && this.#plain(raw))
    return masked === null ? this.#null : this.#written(masked)
  }

  #next(byte: number): void {
    this.#begun = false
    if (byte !== NEWLINE) {
      if (++this.#column >= this.#columns.length) throw new CopyShapeError('a row has more columns than were announced')
      return
    }
    // A table without columns has empty rows.
    if (this.#column + 1 !== Math.max(1, this.#columns.length)) throw new CopyShapeError('a row has too few columns')
    this.#column = 0
    this.#header = false
  }

  #plain(raw: Buffer): Buffer {
    if (raw.indexOf(this.#escape) < 0 && (this.#quote < 0 || raw.indexOf(this.#quote) < 0)) return raw
    const out = Buffer.alloc(raw.length)
    let length = 0
    let quoted = false
    for (let at = 0; at < raw.length; at++) {
      let byte = raw[at]!
      const next = raw[at + 1]
      if (this.#format.format === 'csv') {
        const escapes = next === this.#quote || next === this.#escape
        if (quoted && byte === this.#escape && escapes) byte = raw[++at]!
        else if (byte === this.#quote) {
          quoted = !quoted
          continue
        }
      } else if (byte === BACKSLASH && next !== undefined) {
        byte = unescapes.get(next) ?? next
        at++
      }
      out[length++] = byte
    }
    return out.subarray(0, length)
  }

  #written(value: Buffer): Buffer {
    if (value === this.#known?.value) return this.#known.written
    const written = this.#spelt(value)
    this.#known = { value, written }
    return written
  }

  #spelt(value: Buffer): Buffer {
    const out: number[] = []
    if (this.#format.format === 'csv') {
      // Always in quotes, so that it can't be taken for NULL.
      out.push(this.#quote)
      for (const byte of value) {
        if (byte === this.#quote || byte === this.#escape) out.push(this.#escape)
        out.push(byte)
      }
      out.push(this.#quote)
      return Buffer.from(out)
    }
    for (const byte of value) {
      const escaped = escapes.get(byte)
      if (escaped !== undefined) out.push(BACKSLASH, escaped)
      else if (byte === BACKSLASH || byte === this.#delimiter) out.push(BACKSLASH, byte)
      else out.push(byte)
    }
    return Buffer.from(out)
  }
}

/** Control characters that COPY writes as a letter: \b \t \n \v \f \r. */
const escapes = new Map([...'btnvfr'].map((letter, n) => [8 + n, letter.charCodeAt(0)]))
const unescapes = new Map([...escapes].map(([byte, letter]) => [letter, byte]))

const signature = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1')

/** Binary: signature, flags, extension; then rows of length-prefixed fields; -1 at the end. All of it big-endian. */
class BinaryRewriter implements CopyRewriter {
  readonly #columns: CopyMask['columns']
  readonly #kept: Kept
  /** What is being read, and the bytes of it that are there. */
  #state: 'header' | 'extension' | 'count' | 'length' | 'value' | 'over' = 'header'
  #pending: Buffer = nothing
  #column = 0
  /** Bytes of the value, or extension, still to come. */
  #left = 0

  constructor({ columns, longest = 1 << 20 }: CopyMask) {
    this.#columns = columns
    this.#kept = new Kept(longest)
  }

  push(piece: Buffer): Buffer {
    const out: Buffer[] = []
    let rest = this.#pending.length === 0 ? piece : Buffer.concat([this.#pending, piece])
    this.#pending = nothing
    while (rest.length > 0) {
      if (this.#state === 'value' || this.#state === 'extension') {
        const part = rest.subarray(0, this.#left)
        rest = rest.subarray(part.length)
        this.#left -= part.length
        if (this.#state === 'value' && this.#columns[this.#column]) this.#kept.add(part)
        else out.push(part)
        if (this.#left === 0) this.#through(out)
        continue
      }
      const size = { header: 19, count: 2, length: 4, over: 0 }[this.#state]
      if (size === 0) throw new CopyShapeError('there is something after its end')
      if (rest.length < size) {
        this.#pending = Buffer.from(rest)
        break
      }
      this.#fixed(out, rest.subarray(0, size))
      rest = rest.subarray(size)
    }
    return Buffer.concat(out)
  }

  end(): Buffer {
    if (this.#state !== 'over' || this.#pending.length > 0) throw new CopyShapeError('it ends early')
    return nothing
  }

  #fixed(out: Buffer[], bytes: Buffer): void {
    switch (this.#state) {
      case 'header':
        if (!bytes.subarray(0, 11).equals(signature)) throw new CopyShapeError('it has another signature')
        if (bytes.readUInt32BE(11) !== 0) throw new CopyShapeError('it has flags')
        out.push(bytes)
        this.#left = bytes.readUInt32BE(15)
        this.#state = this.#left > 0 ? 'extension' : 'count'
        return
      case 'count': {
        const count = bytes.readInt16BE(0)
        out.push(bytes)
        if (count === -1) this.#state = 'over'
        else if (count !== this.#columns.length) throw new CopyShapeError('a row has another number of columns')
        else if (count > 0) this.#state = 'length'
        this.#column = 0
        return
      }
      case 'length': {
        const length = bytes.readInt32BE(0)
        if (length < -1) throw new CopyShapeError('a length below zero')
        if (length === -1 || !this.#columns[this.#column]) out.push(bytes)
        if (length === -1) {
          this.#advance()
          return
        }
        this.#left = length
        this.#state = 'value'
        if (length === 0) this.#through(out)
      }
    }
  }

  /** The value, or the extension, is whole. */
  #through(out: Buffer[]): void {
    if (this.#state === 'extension') {
      this.#state = 'count'
      return
    }
    const mask = this.#columns[this.#column]
    if (mask) {
      const masked = mask(this.#kept.take())
      const length = Buffer.alloc(4)
      length.writeInt32BE(masked === null ? -1 : masked.length)
      out.push(length, masked ?? nothing)
    }
    this.#advance()
  }

  #advance(): void {
    this.#column++
    this.#state = this.#column < this.#columns.length ? 'length' : 'count'
  }
}
