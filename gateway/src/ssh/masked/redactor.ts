import { isAscii, isUtf8 } from 'node:buffer'
import { isJwtHeader } from '../../masking/checksums.ts'
import { type DetectedKind, type Detection, detect } from '../../masking/detectors.ts'
import type { MaskedOutput } from '../record/record.ts'
import { PemScanner } from './pem.ts'

/** Output that can go on. */
export interface Redacted {
  /** For the client. Part of what was written, not a copy. */
  client: Buffer
  /** For the recording, where something was found in it: ChannelRecord.output(stream, client, masked). */
  masked?: MaskedOutput
}

export interface RedactorOptions {
  /** What is looked for: SshTarget.detect. */
  detect: readonly DetectedKind[]
  /** Whether this class may be seen now: Commands.reveals. Asked once for what is found together. */
  reveals: (dataClass: string) => boolean
  /** Milliseconds that output may wait for what follows it: PATIENCE. */
  patience: number
  /** Takes what can go on, in order: from within `write` and `end`, or later. */
  release: (redacted: Redacted) => void
}

/** Whoever types wants to see it; a program at the other end mostly writes on, and can wait a little longer. */
export const PATIENCE = { terminal: 20, stream: 100 } as const

/** What looks like the beginning of a secret waits so many times as long. */
const STRONG = 10
/** Bytes that wait at most. */
const HELD = 32 * 1024
/** What is found is shorter, but for tokens and keys of a whole file, which are looked after. */
const LONGEST = 1024
/** Bytes that are looked back at: the longest words by which a detector knows what comes behind them. */
const BEHIND = 64
/** Where output was let go in the middle of something. */
const FAR_BEHIND = 8 * 1024

/**
 * Finds sensitive data (masking/detectors.ts) in one stream of output, wherever it is cut into chunks, and puts
 * `[masked: CLASS]` in its place. What a class may be revealed of passes as it is, and is masked in the recording.
 *
 * Nothing that is found can run over certain characters (control characters, quotes, brackets): what stands before the
 * last of them goes on at once, what follows it waits for the next one; at most 32 KiB, and at most for `patience` of
 * silence (ten times that where it looks like the beginning of a secret). So what is found doesn't depend on chunks,
 * unless a host pauses for longer in the middle of it: then its rest alone is masked.
 */
export class Redactor implements Disposable {
  readonly #kinds: ReadonlySet<DetectedKind>
  readonly #options: RedactorOptions
  readonly #pem: PemScanner | undefined
  #held: Buffer = Buffer.alloc(0)
  /** What went before it, as it was. */
  #behind: Buffer = Buffer.alloc(0)
  /** A token that is longer than what may wait goes on, masked, until a character that none has. */
  #within: Found | undefined
  #key: { revealed: boolean } | undefined
  #timer: NodeJS.Timeout | undefined
  #writes = 0

  constructor(options: RedactorOptions) {
    this.#options = options
    this.#kinds = new Set(options.detect.filter((kind) => kind !== 'pem'))
    this.#pem = options.detect.includes('pem') ? new PemScanner() : undefined
  }

  write(chunk: Buffer): void {
    this.#writes++
    const waited = this.#held.length
    const bytes = waited > 0 ? Buffer.concat([this.#held, chunk]) : chunk
    const used = this.#advance(bytes, false)
    // A copy: chunks are larger than what waits of them.
    this.#held = used === bytes.length ? Buffer.alloc(0) : Buffer.from(bytes.subarray(used))
    if (used > 0 || waited === 0) this.#wait()
  }

  /** Lets go of all that waits: nothing follows it. */
  end(): void {
    this[Symbol.dispose]()
    this.#flush()
    // Empty lines behind a key that has no end.
    this.#key = undefined
    this.#flush()
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #wait(): void {
    this[Symbol.dispose]()
    if (this.#held.length === 0) return
    const { patience } = this.#options
    const over = () => {
      const writes = this.#writes
      // Where the process itself was late, the rest may have come already: it is read before this goes on.
      setImmediate(() => {
        if (this.#timer === undefined) return
        if (writes === this.#writes) this.#flush()
        else this.#wait()
      })
    }
    this.#timer = setTimeout(over, this.#looksLikeSecret() ? patience * STRONG : patience)
  }

  #flush(): void {
    this.#timer = undefined
    const bytes = this.#held
    const used = this.#advance(bytes, true)
    this.#held = bytes.subarray(used)
  }

  #looksLikeSecret(): boolean {
    return begun.test(this.#held.toString('latin1', Math.max(0, this.#held.length - LONGEST)))
  }

  /** @returns how many bytes are dealt with; the others wait, unless `all` may go */
  #advance(bytes: Buffer, all: boolean): number {
    let at = 0
    while (at < bytes.length) {
      const rest = bytes.subarray(at)
      const used = this.#key
        ? this.#inKey(rest, all)
        : this.#within
          ? this.#inToken(rest, all)
          : this.#inText(rest, all)
      if (used === 0) break
      at += used
    }
    return at
  }

  /** Text until the last character that ends everything, or a private key's beginning. */
  #inText(bytes: Buffer, all: boolean): number {
    const end = all ? bytes.length : lastBreak(bytes) + 1
    if (end === 0) return bytes.length < HELD ? 0 : this.#cut(bytes.subarray(0, HELD))
    const key = this.#pem?.begins(bytes, end)
    if (key === undefined) {
      this.#pass(bytes.subarray(0, end), this.#find(bytes.subarray(0, end)))
      return end
    }
    if (key.start > 0) this.#pass(bytes.subarray(0, key.start), this.#find(bytes.subarray(0, key.start)))
    this.#key = { revealed: this.#options.reveals('pem') }
    this.#replace(bytes.subarray(key.start, key.end), 'pem', this.#key.revealed, true)
    return key.end
  }

  /** As much as waits at most has no end: all but what may still become something goes on. */
  #cut(bytes: Buffer): number {
    const found = this.#find(bytes)
    let cut = HELD - LONGEST
    const token = tokenAround(bytes, cut)
    if (this.#kinds.has('jwt') && bytes.toString('latin1', token, token + 3) === 'eyJ') {
      if (token > 0) cut = token
      else if (longToken(bytes))
        found.splice(0, Infinity, { kind: 'jwt', start: 0, end: HELD, revealed: this.#options.reveals('jwt') })
    }
    const over = found.find(({ start, end }) => start < cut && cut < end)
    if (over) {
      cut = over.start > 0 ? over.start : over.end
      if (cut === HELD) this.#within = over
    }
    while (cut > 1 && cut < HELD && isContinuation(bytes[cut]!)) cut--
    this.#pass(
      bytes.subarray(0, cut),
      found.filter(({ end }) => end <= cut),
    )
    return cut
  }

  #inToken(bytes: Buffer, all: boolean): number {
    let end = 0
    while (end < bytes.length && inToken(bytes[end]!)) end++
    const { kind, revealed } = this.#within!
    if (end > 0) this.#replace(bytes.subarray(0, end), kind, revealed, false)
    if (end < bytes.length) this.#within = undefined
    return end === 0 ? this.#inText(bytes, all) : end
  }

  #inKey(bytes: Buffer, all: boolean): number {
    const { used, over } = this.#pem!.goesOn(bytes, all)
    if (used > 0) this.#replace(bytes.subarray(0, used), 'pem', this.#key!.revealed, false)
    if (!over) return used
    this.#key = undefined
    return used === 0 ? this.#inText(bytes, all) : used
  }

  #find(bytes: Buffer): Found[] {
    if (this.#kinds.size === 0) return []
    const before = this.#behind.length
    const whole = before > 0 ? Buffer.concat([this.#behind, bytes]) : bytes
    const utf8 = !isAscii(whole) && isUtf8(whole)
    const text = utf8 ? whole.toString() : whole.toString('latin1')
    // What is found stands in its order, so nothing is counted twice.
    let characters = 0
    let counted = 0
    const at = (n: number) => {
      counted += utf8 ? Buffer.byteLength(text.slice(characters, n)) : n - characters
      characters = n
      return counted
    }
    const revealed = new Map<DetectedKind, boolean>()
    const found: Found[] = []
    for (const { kind, start, end } of detect(text, { kinds: this.#kinds, length: text.length })) {
      const first = at(start) - before
      const last = at(end) - before
      if (last <= 0) continue
      if (!revealed.has(kind)) revealed.set(kind, this.#options.reveals(kind))
      found.push({ kind, start: Math.max(0, first), end: last, revealed: revealed.get(kind)! })
    }
    return found
  }

  #pass(bytes: Buffer, found: readonly Found[]): void {
    this.#lookBehind(bytes)
    if (found.length === 0) {
      this.#options.release({ client: bytes })
      return
    }
    const client = replaced(
      bytes,
      found.filter(({ revealed }) => !revealed),
    )
    const classes = [...new Set(found.map(({ kind }) => kind))]
    this.#options.release({ client, masked: { recorded: replaced(bytes, found), classes } })
  }

  /** All of the bytes belong to something that was found; `first`: its beginning. */
  #replace(bytes: Buffer, kind: DetectedKind, revealed: boolean, first: boolean): void {
    this.#lookBehind(bytes)
    const recorded = first ? Buffer.from(mark(kind)) : Buffer.alloc(0)
    const client = revealed ? bytes : recorded
    if (client.length > 0) this.#options.release({ client, masked: { recorded, classes: [kind] } })
  }

  #lookBehind(bytes: Buffer): void {
    const far = FAR_BEHIND + BEHIND
    const all = bytes.length >= far ? bytes : Buffer.concat([this.#behind, bytes])
    const open = Math.min(all.length - 1 - lastBreak(all), FAR_BEHIND)
    let start = Math.max(0, all.length - open - BEHIND)
    while (start < all.length && isContinuation(all[start]!)) start++
    this.#behind = Buffer.from(all.subarray(start))
  }
}

interface Found extends Detection {
  revealed: boolean
}

const mark = (kind: DetectedKind) => `[masked: ${kind}]`

function replaced(bytes: Buffer, found: readonly Found[]): Buffer {
  if (found.length === 0) return bytes
  const parts: Buffer[] = []
  let from = 0
  for (const { kind, start, end } of found) {
    parts.push(bytes.subarray(from, start), Buffer.from(mark(kind)))
    from = end
  }
  parts.push(bytes.subarray(from))
  return Buffer.concat(parts)
}

/**
 * Characters that stand in nothing that is found, nor decide whether something beside them is: control characters,
 * quotes, brackets. Those in front of them (the name of a key) may be looked back at.
 */
const breaks = new Uint8Array(256).fill(1, 0, 0x20)
for (const character of '"\'<>{}[]|;\x7f') breaks[character.charCodeAt(0)] = 1

function lastBreak(bytes: Buffer): number {
  let at = bytes.length - 1
  while (at >= 0 && !breaks[bytes[at]!]) at--
  return at
}

const isContinuation = (byte: number) => (byte & 0xc0) === 0x80

const inToken = (byte: number) =>
  (byte >= 0x30 && byte <= 0x39) ||
  (byte >= 0x41 && byte <= 0x5a) ||
  (byte >= 0x61 && byte <= 0x7a) ||
  byte === 0x2d ||
  byte === 0x2e ||
  byte === 0x5f

/** Where the run of a token's characters begins that goes through `at`. */
function tokenAround(bytes: Buffer, at: number): number {
  let start = at
  while (start > 0 && inToken(bytes[start - 1]!)) start--
  return start
}

/** Whether these bytes, all of a token, have the header of one. */
function longToken(bytes: Buffer): boolean {
  const dot = bytes.indexOf('.')
  return dot > 0 && bytes.every(inToken) && isJwtHeader(bytes.toString('latin1', 0, dot))
}

/** The beginning of something, at the end of a text: half a card's number, a token's first part, the prefix of a key. */
const begun =
  /(?:\d[ -]?){8}$|eyJ[\w-]{8,}[\w.-]*$|(?:AKIA|ASIA)[A-Z2-7]*$|(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|[sr]k_live_|whsec_|AIza|ya29\.|GOCSPX-|npm_|sk-(?:ant|proj|svcacct)-|dop_v1_|hvs\.)[\w+/.-]*$|-----BEGIN [A-Z0-9 -]*$/
