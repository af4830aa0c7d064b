import type { Parameter } from './approval.ts'
import { fromBase64 } from './ledger/encoding.ts'
import type { RecordingEvent, RecordingHeader, RecordingLine } from './recording.ts'

/** https://docs.asciinema.org/manual/asciicast/v3/: the media type that it suggests. */
export const asciicastType = 'application/x-asciicast'

type Of<T extends RecordingEvent['type']> = Extract<RecordingEvent, { type: T }>
type Code = 'o' | 'i' | 'r' | 'm' | 'x'

/** Terminals are made of it: what claims to be larger is not believed. */
const LARGEST = { columns: 1000, rows: 500 }
/** What is without a terminal is shown in one of this size. */
const USUAL = { columns: 80, rows: 24 }
/** Commands that were let pass or wait, and have no channel so far. */
const MOST_AWAITED = 256

/**
 * Makes asciicast v3 of one channel of a recording: give it the recording's lines in order, and put what it answers into a
 * file, one after the other. Codes: `o` what the client received, stdout and stderr alike; `i` what it sent; `r` sizes; `m`
 * what is worth going to (a hold and its decision, masked output, unseen input, signals, a session that was ended); `x` the
 * exit status, 128 + its number for a signal. What is no UTF-8 becomes U+FFFD; a character that was cut between two
 * events is whole in the later one. Output of a command without a terminal gets the carriage returns that a terminal's
 * driver would have added. Escape sequences stay as they were sent: it is for players, not for `cat`.
 */
export class Asciicast {
  #channel: string | undefined
  #header: RecordingHeader | undefined
  #state: 'before' | 'during' | 'over' = 'before'
  #opening: Of<'channel'> | undefined
  /** The last event's time, in microseconds since the recording began. */
  #micros = 0
  /** The channel's. */
  #began = 0
  readonly #version: 2 | 3
  #masked = new Set<string>()
  /** Without a terminal: whether the last character that was shown is a carriage return. */
  #returned = false
  readonly #text = { stdout: new Text(), stderr: new Text(), stdin: new Text() }
  readonly #awaited = new Map<string, { text: string; holds: Of<'hold'>[] }>()

  /**
   * @param channel id of a channel in the recording; absent: the first in which a command or a shell runs
   * @param version 2 for asciinema before 3.0: times since the beginning, the exit status as a marker
   */
  constructor(channel?: string, version: 2 | 3 = 3) {
    this.#channel = channel
    this.#version = version
  }

  /** The event that begins the channel, once it was given. */
  get opening(): Readonly<Of<'channel'>> | undefined {
    return this.#opening
  }

  /** The channel has ended: nothing more will come of it. */
  get over(): boolean {
    return this.#state === 'over'
  }

  /** @returns whole lines of the asciicast, or nothing */
  line(line: RecordingLine): string {
    if (line.type === 'header') {
      this.#header = line
      return ''
    }
    if (this.#state === 'before') return this.#before(line)
    if (this.#state === 'over') return ''
    switch (line.type) {
      case 'output':
        return line.channel === this.#channel ? this.#output(line) : ''
      case 'input':
        return line.channel === this.#channel ? this.#input(line) : ''
      case 'resize':
        return line.channel === this.#channel && line.columns > 0 && line.rows > 0
          ? this.#event(line.t, 'r', `${within(line.columns, 'columns')}x${within(line.rows, 'rows')}`)
          : ''
      case 'signal':
        return line.channel === this.#channel ? this.#event(line.t, 'm', `signal ${line.signal}`) : ''
      case 'exit':
        return line.channel === this.#channel ? this.#exit(line) : ''
      case 'end': {
        this.#state = 'over'
        const rest = this.#rest(line.t)
        return `${rest}${this.#event(line.t, 'm', `session ${line.state}: ${line.reason}`)}`
      }
      default:
        return ''
    }
  }

  #before(line: RecordingEvent): string {
    if (line.type === 'command') {
      // A command that was held is told twice.
      if (this.#awaited.has(line.command)) return ''
      if (this.#awaited.size >= MOST_AWAITED) this.#awaited.delete(this.#awaited.keys().next().value!)
      this.#awaited.set(line.command, { text: line.text, holds: [] })
    } else if (line.type === 'hold') this.#awaited.get(line.command)?.holds.push(line)
    else if (line.type === 'result') this.#awaited.delete(line.command)
    else if (line.type === 'channel' && this.#is(line)) return this.#begin(line)
    return ''
  }

  #is({ channel, kind }: Of<'channel'>): boolean {
    return this.#channel === undefined ? kind !== 'sftp' : channel === this.#channel
  }

  #begin(line: Of<'channel'>): string {
    this.#state = 'during'
    this.#channel = line.channel
    this.#opening = line
    this.#micros = Math.round(line.t * 1000)
    this.#began = this.#micros
    const command = this.#awaited.get(line.command)
    this.#awaited.clear()
    const { terminal, environment, kind } = line
    const size = terminal && terminal.columns > 0 && terminal.rows > 0 ? terminal : USUAL
    const [cols, rows] = [within(size.columns, 'columns'), within(size.rows, 'rows')]
    const type = terminal && terminal.type !== '' ? named(terminal.type) : undefined
    const recording = this.#header
    const variables = Object.entries(environment ?? {}).map(([name, value]) => [named(name), named(value)])
    if (this.#version === 2 && type !== undefined) variables.push(['TERM', type])
    const header = {
      ...(this.#version === 2
        ? { version: 2, width: cols, height: rows }
        : { version: 3, term: { cols, rows, ...(type !== undefined && { type }) } }),
      ...(recording && { timestamp: Math.floor((Date.parse(recording.startedAt) + line.t) / 1000) }),
      ...(kind === 'exec' && command && { command: named(command.text) }),
      ...(recording && { title: named(`${recording.agent.name} on ${recording.connection}, ${recording.session}`) }),
      ...(variables.length > 0 && { env: Object.fromEntries(variables) }),
    }
    const holds = (command?.holds ?? []).map((hold) => this.#event(line.t, 'm', heldText(hold)))
    return `${JSON.stringify(header)}\n${holds.join('')}`
  }

  #output(line: Of<'output'>): string {
    let marks = ''
    for (const name of line.masked ?? []) {
      if (this.#masked.has(name)) continue
      this.#masked.add(name)
      marks += this.#event(line.t, 'm', `masked: ${name}`)
    }
    const text = this.#shown(this.#text[line.stream].add(line.data), line.notice)
    return text === '' ? marks : `${marks}${this.#event(line.t, 'o', text)}`
  }

  #input({ t, data, hidden }: Of<'input'>): string {
    if (hidden !== undefined) return this.#event(t, 'm', `${hidden} ${hidden === 1 ? 'byte' : 'bytes'} typed unseen`)
    const text = data === undefined ? '' : this.#text.stdin.add(data)
    return text === '' ? '' : this.#event(t, 'i', text)
  }

  #exit({ t, code, signal, truncated }: Of<'exit'>): string {
    this.#state = 'over'
    let all = this.#rest(t)
    if (truncated) all += this.#event(t, 'm', `not kept whole: ${truncated.join(', ')}`)
    if (code !== undefined) return all + this.#event(t, 'x', String(code))
    if (signal === undefined) return all
    return `${all}${this.#event(t, 'm', `ended by signal ${signal}`)}${this.#event(t, 'x', String(128 + (signals.get(signal) ?? 0)))}`
  }

  /** What was cut and never went on. */
  #rest(t: number): string {
    const output = this.#shown(this.#text.stdout.end() + this.#text.stderr.end())
    const input = this.#text.stdin.end()
    return (output === '' ? '' : this.#event(t, 'o', output)) + (input === '' ? '' : this.#event(t, 'i', input))
  }

  #shown(text: string, notice = false): string {
    if (text === '' || (this.#opening!.terminal && !notice)) return text
    const begins = this.#returned && text.startsWith('\n') ? '\n' : ''
    this.#returned = text.endsWith('\r')
    return begins + text.slice(begins.length).replace(/\r?\n/g, '\r\n')
  }

  #event(t: number, code: Code, text: string): string {
    // By whole numbers, so that what is lost by rounding doesn't add up.
    const now = Math.max(this.#micros, Math.round(t * 1000))
    const passed = now - this.#micros
    this.#micros = now
    const at = this.#version === 2 ? now - this.#began : passed
    const [as, said] = this.#version === 2 && code === 'x' ? ['m', `exit ${text}`] : [code, text]
    return `${JSON.stringify([at / 1e6, as, as === 'm' ? named(said) : said])}\n`
  }
}

/** POSIX has numbers for these; a host may name any other, `constructor` too. */
const signals: ReadonlyMap<string, number> = new Map(
  Object.entries({
    ...{ HUP: 1, INT: 2, QUIT: 3, ILL: 4, ABRT: 6, FPE: 8, KILL: 9, SEGV: 11, PIPE: 13, ALRM: 14, TERM: 15 },
    ...{ USR1: 10, USR2: 12 },
  }),
)

const within = (size: number, way: keyof typeof LARGEST) => Math.min(Math.max(size, 1), LARGEST[way])

function heldText({ state, approval, by, reason }: Of<'hold'>): string {
  if (state === 'pending') return `held for approval ${approval}`
  const who = by && by.length > 0 ? ` by ${by.join(' and ')}` : ''
  return `${state}${who}${reason ? `: ${reason}` : ''}`
}

/** Players show it outside the terminal, and some in a real one: nothing in it acts or hides. */
function named(text: string): string {
  return text.replace(unseen, (one) => (one === '\n' ? '\u2424' : `\\u{${one.codePointAt(0)!.toString(16)}}`))
}
const unseen = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029\u115f\u1160\u3164\uffa0]/gu

/** Joins the text of a stream of events: a character may begin in one and end in the next. */
class Text {
  #decoder: TextDecoder | undefined
  /** Whether the decoder may have the beginning of a character. */
  #begun = false

  add(data: Parameter): string {
    if (data === null) return ''
    if (typeof data === 'string') return this.end() + data
    const bytes = fromBase64(data.base64)
    if (!bytes || bytes.length === 0) return ''
    this.#decoder ??= new TextDecoder('utf-8', { ignoreBOM: true })
    this.#begun = true
    return this.#decoder.decode(bytes, { stream: true })
  }

  end(): string {
    if (!this.#begun) return ''
    this.#begun = false
    return this.#decoder!.decode()
  }
}
