import type { Parameter } from '@countersign/contract/approval'
import type { RecordingLine } from '@countersign/contract/recording'
import { screenOf } from '../../../harmless.ts'
import type { TerminalFrame } from '../../../terminal-api.ts'

/** What must be known of the frames before one to read those from there on: bytes of characters that are not whole yet. */
export interface FrameState {
  readonly t: number
  readonly stdout: string
  readonly stderr: string
  readonly stdin: string
}

export const noFrames: FrameState = { t: 0, stdout: '', stderr: '', stdin: '' }

/**
 * Makes frames of a channel's lines, one after the other: bytes become text (UTF-8, as WHATWG's decoder has it, across
 * events of the same stream), times never fall, sizes are such that they can be drawn.
 */
export class FrameReader {
  #t: number
  readonly #terminal: boolean
  readonly #rest: { stdout: Buffer; stderr: Buffer; stdin: Buffer }

  constructor(state: FrameState, terminal: boolean) {
    this.#t = state.t
    this.#terminal = terminal
    const bytes = (text: string) => Buffer.from(text, 'base64')
    this.#rest = { stdout: bytes(state.stdout), stderr: bytes(state.stderr), stdin: bytes(state.stdin) }
  }

  get state(): FrameState {
    const { stdout, stderr, stdin } = this.#rest
    return {
      t: this.#t,
      stdout: stdout.toString('base64'),
      stderr: stderr.toString('base64'),
      stdin: stdin.toString('base64'),
    }
  }

  /** @returns undefined for a line that is none of a channel's after its first */
  read(line: RecordingLine): TerminalFrame | undefined {
    if (line.type === 'header') return undefined
    const { seq } = line
    this.#t = Math.max(this.#t, line.t)
    const t = this.#t
    switch (line.type) {
      case 'output': {
        const { stream, notice, masked } = line
        const said = this.#text(stream, line.data)
        // The gateway's words come as they are; a terminal's driver had no part in them.
        const text = notice && this.#terminal ? said.replace(/\r?\n/g, '\r\n') : said
        return { type: 'output', t, seq, stream, text, ...(notice && { notice }), ...(masked && { masked }) }
      }
      case 'input': {
        const text = line.data === undefined ? '' : this.#text('stdin', line.data)
        return { type: 'input', t, seq, text, ...(line.hidden !== undefined && { hidden: line.hidden }) }
      }
      case 'resize':
        return { type: 'resize', t, seq, ...screenOf(line.columns, line.rows) }
      case 'signal':
        return { type: 'signal', t, seq, signal: line.signal }
      case 'exit': {
        const { code, signal } = line
        return { type: 'exit', t, seq, ...(code !== undefined && { code }), ...(signal !== undefined && { signal }) }
      }
      default:
        return undefined
    }
  }

  #text(stream: 'stdout' | 'stderr' | 'stdin', data: Parameter): string {
    const rest = this.#rest[stream]
    if (data === null) return ''
    if (typeof data === 'string') {
      if (rest.length === 0) return data
      this.#rest[stream] = Buffer.alloc(0)
      return `\ufffd${data}`
    }
    const bytes = Buffer.from(data.base64, 'base64')
    const all = rest.length > 0 ? Buffer.concat([rest, bytes]) : bytes
    const whole = all.length - begun(all)
    this.#rest[stream] = Buffer.from(all.subarray(whole))
    return all.toString('utf8', 0, whole)
  }
}

/** How many bytes at the end are the beginning of a character that may still become whole (RFC 3629, section 4). */
function begun(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!
    if ((byte & 0xc0) === 0x80) continue
    const length =
      byte >= 0xf0 && byte <= 0xf4 ? 4 : byte >= 0xe0 && byte < 0xf0 ? 3 : byte >= 0xc2 && byte < 0xe0 ? 2 : 1
    if (length <= back) return 0
    // The second byte of some is not any: E0 80, ED A0, F0 80, F4 90 begin nothing.
    const second = bytes[bytes.length - back + 1]
    if (second === undefined) return back
    if (byte === 0xe0 && second < 0xa0) return 0
    if (byte === 0xed && second > 0x9f) return 0
    if (byte === 0xf0 && second < 0x90) return 0
    if (byte === 0xf4 && second > 0x8f) return 0
    return back
  }
  return 0
}
