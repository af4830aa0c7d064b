import '@xterm/xterm/css/xterm.css'
import { SearchAddon } from '@xterm/addon-search'
import { Unicode11Addon } from '@xterm/addon-unicode11'
import { WebglAddon } from '@xterm/addon-webgl'
import { Terminal } from '@xterm/xterm'
import { Harmless, screenOf } from '../../../../harmless.ts'
import { terminalOptions } from '../../../../terminal.ts'
import type { TerminalFrame } from '../../../../terminal-api.ts'
import { terminalTheme } from './coloured.ts'
import type { Drawing, Shown } from './feed.ts'

const FONT = '"JetBrains Mono Variable"'
const LARGEST = 14
const SMALLEST = 7
/** Smaller letters than these are hard to read. */
export const READABLE = 9
/** Of JetBrains Mono, by its size: how wide a character, how high a line. */
const WIDE = 0.6
const HIGH = 1.32

/**
 * A terminal to look at: it shows what a recording says and answers nothing, neither to the host's questions nor to keys
 * or the mouse, but for selecting. Everything is written through the filter of harmless.ts.
 */
export class Screen implements Drawing {
  readonly #terminal: Terminal
  readonly #search = new SearchAddon()
  readonly #changed: () => void
  #filter = new Harmless()
  /** What is to be done, one after the other: writing takes its time. */
  #last: Promise<void>
  /** Restored so many times: what was to be drawn before that isn't any more. */
  #restored = 0
  #over = false
  /** It is drawn on a canvas, and not by elements. */
  #canvas = false
  #room = { width: 0, height: 0 }

  /** @param onChange something else is shown */
  constructor(host: HTMLElement, options: { terminal: boolean; onChange: () => void }) {
    this.#changed = options.onChange
    const { scrollback, withoutTerminal } = terminalOptions
    this.#terminal = new Terminal({
      ...{ scrollback, convertEol: options.terminal ? false : withoutTerminal.convertEol },
      ...{ cols: 80, rows: 24, allowProposedApi: true, disableStdin: true, cursorBlink: false, logLevel: 'off' },
      ...{ fontFamily: `${FONT}, monospace`, fontSize: LARGEST, theme: terminalTheme, linkHandler: { activate() {} } },
      // Words in the colour of their ground are words that somebody was not to see.
      ...{ minimumContrastRatio: 4.5, drawBoldTextInBrightColors: false, cursorInactiveStyle: 'block' },
      ...{ macOptionIsMeta: false, altClickMovesCursor: false, rightClickSelectsWord: false },
    })
    this.#terminal.loadAddon(new Unicode11Addon())
    this.#terminal.unicode.activeVersion = terminalOptions.unicode
    this.#terminal.loadAddon(this.#search)
    this.#last = document.fonts.load(`14px ${FONT}`).then(
      () => this.#open(host),
      () => this.#open(host),
    )
  }

  #open(host: HTMLElement): void {
    if (this.#over) return
    this.#terminal.open(host)
    // Nothing can be typed, and what has the focus would keep the player's keys.
    if (this.#terminal.textarea) this.#terminal.textarea.disabled = true
    try {
      const webgl = new WebglAddon()
      webgl.onContextLoss(() => {
        webgl.dispose()
        this.#canvas = false
        this.#fit()
      })
      this.#terminal.loadAddon(webgl)
      this.#canvas = true
    } catch {
      // Without WebGL it draws by elements: slower, and the same.
    }
    this.#fit()
  }

  restore(shown: Shown): void {
    this.#restored += 1
    const mine = this.#restored
    this.#then(async () => {
      if (mine !== this.#restored) return
      this.#resize(shown.columns, shown.rows)
      this.#filter = new Harmless()
      // A full reset first (RIS), in one piece with what follows: nothing blank is seen between.
      await this.#write(`\x1bc${this.#filter.write(shown.screen)}`)
      await this.#frames(shown.frames.slice(0, shown.shown), mine)
    })
  }

  draw(frames: readonly TerminalFrame[]): void {
    const mine = this.#restored
    this.#then(() => this.#frames(frames, mine))
  }

  async #frames(frames: readonly TerminalFrame[], mine: number): Promise<void> {
    let text = ''
    for (const frame of frames) {
      if (mine !== this.#restored) return
      if (frame.type === 'output')
        text += frame.notice ? this.#filter.notice(frame.text) : this.#filter.write(frame.text)
      else if (frame.type === 'resize') {
        await this.#write(text)
        text = ''
        this.#resize(frame.columns, frame.rows)
      }
    }
    await this.#write(text)
  }

  #write(text: string): Promise<void> {
    if (text === '' || this.#over) return Promise.resolve()
    return new Promise((resolve) => this.#terminal.write(text, resolve))
  }

  #then(step: () => Promise<void>): void {
    this.#last = this.#last.then(async () => {
      if (this.#over) return
      await step()
      this.#changed()
    })
  }

  #resize(columns: number, rows: number): void {
    const size = screenOf(columns, rows)
    if (size.columns === this.#terminal.cols && size.rows === this.#terminal.rows) return
    this.#terminal.resize(size.columns, size.rows)
    this.#fit()
  }

  /** There are so many pixels to be shown in: letters become as large as fits, and no larger than words elsewhere. */
  fit(width: number, height: number): void {
    this.#room = { width, height }
    this.#fit()
  }

  #fit(): void {
    const { width, height } = this.#room
    if (width === 0 || height === 0) return
    const { cols, rows, options } = this.#terminal
    // A canvas has whole pixels: a cell is narrower than its letter by a part of one, and higher.
    const pixel = this.#canvas ? 1 / window.devicePixelRatio : 0
    const wide = (letters: number) => (pixel > 0 ? Math.floor((letters * WIDE) / pixel) * pixel : letters * WIDE)
    const high = (letters: number) => (pixel > 0 ? Math.ceil((letters * HIGH) / pixel) * pixel : letters * HIGH)
    let letters = LARGEST
    const fits = () => cols * wide(letters) <= width && rows * high(letters) <= height
    while (letters > SMALLEST && !(fits() && letters * WIDE - wide(letters) <= pixel / 2)) letters -= 0.5
    if (letters === options.fontSize) return
    options.fontSize = letters
    this.#changed()
  }

  /** Its size, and how large its letters are, in pixels. */
  get size(): { columns: number; rows: number; letters: number } {
    const { cols, rows, options } = this.#terminal
    return { columns: cols, rows, letters: options.fontSize ?? LARGEST }
  }

  /** What stands on the screen, a line a row. */
  text(): string {
    const { active } = this.#terminal.buffer
    const lines: string[] = []
    for (let y = 0; y < this.#terminal.rows; y++)
      lines.push(active.getLine(active.baseY + y)?.translateToString(true) ?? '')
    return lines.join('\n').trimEnd()
  }

  selection(): string {
    return this.#terminal.getSelection()
  }

  /** Marks words where they stand on the screen; none, where there are none. */
  mark(words: string): void {
    if (words.trim() === '') {
      this.#search.clearDecorations()
      return
    }
    const look = { matchBackground: '#6b5410', activeMatchBackground: '#8a6c12' }
    const ruler = { matchOverviewRuler: '#6b5410', activeMatchColorOverviewRuler: '#8a6c12' }
    this.#search.findNext(words.trim(), { incremental: true, decorations: { ...look, ...ruler } })
    this.#terminal.clearSelection()
  }

  dispose(): void {
    this.#over = true
    this.#terminal.dispose()
  }
}
