/** A line of a key has a run so long, but for its last ones. */
const body = /[A-Za-z0-9+/=]{40,}/
const tail = /[A-Za-z0-9+/]+={0,2}[ \t]*$|^[ \t]*=[A-Za-z0-9+/]{4}[ \t]*$/
const pure = /^[ \t]*[A-Za-z0-9+/]+={0,2}[ \t]*$/
const header = /^[ \t]*(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset|MessageID) ?:/
const begins = /-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----/

/** Bytes of one key; an RSA key of 16,384 bits has 12 KiB. */
const KEY = 64 * 1024
/** Bytes of one line; a key in one line of JSON is looked at in parts. */
const LINE = 8 * 1024
const MARGIN = '-----END '.length + 80
const NEWLINE = 10
const RETURN = 13

/**
 * Private keys in PEM (RFC 7468, and what OpenSSH and PGP made of it) in a stream: from BEGIN to END, or, where a key was
 * cut, as far as lines are those of a key.
 */
export class PemScanner {
  #bytes = 0
  #lines = 0
  #tails = 0
  /** What was let go before was a part of this line. */
  #amid = false

  /** Where a key begins, and where its first line does, among the first `end` bytes. */
  begins(bytes: Buffer, end: number): { start: number; end: number } | undefined {
    if (bytes.subarray(0, end).indexOf('PRIVATE KEY') < 0) return undefined
    const match = begins.exec(bytes.toString('latin1', 0, end))
    if (!match) return undefined
    this.#bytes = this.#lines = this.#tails = 0
    this.#amid = false
    return { start: match.index, end: match.index + match[0].length }
  }

  /**
   * How many of the bytes belong to the key, and whether it is over behind them; not over and none: more is needed.
   * @param all nothing more may be waited for
   */
  goesOn(bytes: Buffer, all: boolean): { used: number; over: boolean } {
    let from = 0
    while (from < bytes.length && (bytes[from] === NEWLINE || bytes[from] === RETURN)) from++
    if (from > 0) this.#amid = false
    let to = from
    while (to < bytes.length && to - from < LINE && !ends(bytes[to]!)) to++
    const line = bytes.toString('latin1', from, to)

    const close = line.indexOf('-----END ')
    if (close >= 0) {
      const last = line.indexOf('-----', close + 9)
      if (last < 0 && to === bytes.length && !all && line.length - close < MARGIN) return { used: 0, over: false }
      return { used: from + (last < 0 || last - close > 80 ? close + 9 : last + 5), over: true }
    }
    if (this.#bytes + to > KEY) return { used: 0, over: true }
    if (to === bytes.length && !all) return { used: 0, over: false }
    // A line that is longer is looked at in parts, and its end may be the beginning of END.
    if (to - from === LINE) return this.#used(body.test(line), to - MARGIN, true)
    if (to === bytes.length) {
      if (line === '') return { used: 0, over: false }
      return this.#used(this.#amid || body.test(line) || pure.test(line), to, true)
    }
    const stopped = bytes[to] !== NEWLINE && bytes[to] !== RETURN
    const belongs = line === '' ? !stopped : this.#belongs(line)
    const { used } = this.#used(belongs, to, false)
    return { used, over: stopped || !belongs }
  }

  #belongs(line: string): boolean {
    if (this.#lines === 0 && header.test(line)) return true
    if (body.test(line)) {
      this.#lines++
      return true
    }
    return (this.#amid || (this.#lines > 0 && this.#tails++ < 2)) && tail.test(line)
  }

  #used(belongs: boolean, bytes: number, amid: boolean): { used: number; over: boolean } {
    if (!belongs) return { used: 0, over: true }
    this.#amid = amid
    if (amid) this.#lines++
    this.#bytes += bytes
    return { used: bytes, over: false }
  }
}

/** A line's end, or what a key in a string of JSON or in markup ends before. */
const ends = (byte: number) =>
  byte === NEWLINE ||
  byte === RETURN ||
  byte === 0x22 ||
  byte === 0x27 ||
  byte === 0x3c ||
  byte === 0x3e ||
  byte === 0x7b ||
  byte === 0x7d
