import type { TerminalFrame, TerminalMarker } from '../../../terminal-api.ts'

/** Less than this is no pause. Milliseconds. */
const idleMs = 1000
const mostIdle = 5000
const mostMarkers = 5000
const longestLabel = 80
/** What is masked, or said by the gateway, within this is one marker. */
const together = 1000

/** What is worth going to in a channel, and when nothing was said in it. */
export class Sights {
  readonly #terminal: boolean
  #t: number
  #idle: [number, number][] = []
  #markers: TerminalMarker[] = []
  #typed = ''
  #last: { kind: string; label: string; t: number } | undefined

  constructor(from: number, terminal: boolean) {
    this.#t = from
    this.#terminal = terminal
  }

  /** At most 5,000, the longest ones, by time. */
  get idle(): [number, number][] {
    this.#thinIdle(mostIdle)
    return this.#idle
  }

  get markers(): TerminalMarker[] {
    this.#thinMarkers(mostMarkers)
    return this.#markers
  }

  see(frame: TerminalFrame, at: number): void {
    if (frame.t - this.#t >= idleMs) {
      this.#idle.push([this.#t, frame.t])
      if (this.#idle.length > 2 * mostIdle) this.#thinIdle(mostIdle)
    }
    this.#t = frame.t
    const mark = (kind: TerminalMarker['kind'], label: string) => {
      const last = this.#last
      if (last?.kind === kind && last.label === label && frame.t - last.t < together) return
      this.#last = { kind, label, t: frame.t }
      this.#markers.push({ t: frame.t, at, seq: frame.seq, kind, label })
      if (this.#markers.length > 2 * mostMarkers) this.#thinMarkers(mostMarkers)
    }
    switch (frame.type) {
      case 'output':
        if (frame.masked) mark('mask', `masked: ${frame.masked.join(', ')}`)
        if (frame.notice) mark('notice', shortened(frame.text))
        return
      case 'input':
        if (this.#terminal) this.#type(frame, mark)
        return
      case 'resize':
        mark('resize', `${frame.columns} × ${frame.rows}`)
        return
      case 'signal':
        mark('signal', shortened(`SIG${frame.signal}`))
        return
      case 'exit': {
        const { code, signal } = frame
        const how =
          signal !== undefined ? shortened(`ended by SIG${signal}`) : code === undefined ? 'ended' : `exit ${code}`
        mark(signal !== undefined || (code ?? 0) !== 0 ? 'error' : 'exit', how)
      }
    }
  }

  /** Puts together what was typed up to an Enter, as far as that can be told from keys alone. */
  #type(
    { text, hidden = 0 }: Extract<TerminalFrame, { type: 'input' }>,
    mark: (kind: TerminalMarker['kind'], label: string) => void,
  ): void {
    if (hidden > 0) mark('hidden', 'typed without an echo')
    for (const key of text) {
      if (key === '\r' || key === '\n') {
        mark('line', this.#typed.trim() === '' ? 'Enter' : shortened(this.#typed))
        this.#typed = ''
        // Two lines alike, one after the other, are two.
        this.#last = undefined
      } else if (key === '\x7f' || key === '\b') this.#typed = this.#typed.slice(0, -1)
      else if (key === '\x15' || key === '\x03') this.#typed = ''
      else if (this.#typed.length < 4 * longestLabel) this.#typed += key
    }
  }

  #thinIdle(most: number): void {
    if (this.#idle.length <= most) return
    const lasted = this.#idle.map(([from, to]) => to - from).sort((a, b) => b - a)
    const least = lasted[most - 1]!
    this.#idle = this.#idle.filter(([from, to]) => to - from >= least).slice(0, most)
  }

  /** Of the kinds that come often every second one goes, until there are few enough. */
  #thinMarkers(most: number): void {
    while (this.#markers.length > most) {
      let often = 0
      const kept = this.#markers.filter(({ kind }) => {
        if (kind !== 'line' && kind !== 'notice' && kind !== 'resize') return true
        often += 1
        return often % 2 === 1
      })
      this.#markers = kept.length < this.#markers.length ? kept : kept.slice(0, most)
    }
  }
}

/** As one line, without what no person typed to be read. */
function shortened(text: string): string {
  const line = text
    // biome-ignore lint/suspicious/noControlCharactersInRegex: keys that move, and the like
    .replace(/\x1b(\[[0-?]*[ -/]*[@-~]|O?.)?/g, '')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what is left of them
    .replace(/[\x00-\x1f\x7f-\x9f]+/g, ' ')
    .trim()
  return line.length > longestLabel ? `${line.slice(0, longestLabel)}…` : line
}
