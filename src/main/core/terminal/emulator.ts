import * as unicode11 from '@xterm/addon-unicode11'
import headless from '@xterm/headless'
import { terminalOptions } from '../../../terminal.ts'

// Node gives what it exports as the default, a bundler by its names.
const { Unicode11Addon } = ('default' in unicode11 ? unicode11.default : unicode11) as typeof unicode11

/** A terminal without a screen, made as the one that a person looks at (terminal.ts). */
export type Emulator = InstanceType<typeof headless.Terminal>

export function createEmulator(columns: number, rows: number): Emulator {
  const { scrollback, unicode } = terminalOptions
  const terminal = new headless.Terminal({ cols: columns, rows, scrollback, allowProposedApi: true, logLevel: 'off' })
  terminal.loadAddon(new Unicode11Addon())
  terminal.unicode.activeVersion = unicode
  return terminal
}

/** What is written counts once this resolves. */
export function written(terminal: Emulator, text: string): Promise<void> {
  return new Promise((resolve) => terminal.write(text, resolve))
}

/** What xterm.js holds beneath its API, as of version 6.0; `screen.ts` reads it, and its tests say where that is another. */
export interface Inside {
  buffers: { normal: Buffer; alt: Buffer; active: Buffer }
  coreService: {
    isCursorHidden: boolean
    modes: { insertMode: boolean }
    decPrivateModes: {
      cursorBlink: boolean | undefined
      cursorStyle: 'block' | 'underline' | 'bar' | undefined
      origin: boolean
      reverseWraparound: boolean
      wraparound: boolean
    }
  }
  optionsService: { rawOptions: { convertEol: boolean } }
  _charsetService: { charset: object | undefined; glevel: number; _charsets: (object | undefined)[] }
  _inputHandler: { _curAttrData: Attributes; _parser: { precedingJoinState: number } }
}

export interface Buffer {
  x: number
  /** Where the screen begins: xterm's other screen has lines before it where it was larger once. */
  ybase: number
  y: number
  scrollTop: number
  scrollBottom: number
  tabs: Record<number, boolean>
  savedX: number
  savedY: number
  savedCurAttrData: Attributes
  savedCharset: object | undefined
  lines: { get(y: number): Line | undefined; length: number }
}

export interface Line {
  isWrapped: boolean
  /** Three numbers a cell: content, foreground, background. */
  _data: Uint32Array
  _combined: Record<number, string>
  _extendedAttrs: Record<number, { ext: number } | undefined>
  loadCell(x: number, cell: Cell): Cell
}

export interface Attributes {
  fg: number
  bg: number
  extended: { ext: number; underlineStyle: number; underlineColor: number }
  isBold(): number
  isDim(): number
  isItalic(): number
  isUnderline(): number
  isBlink(): number
  isInverse(): number
  isInvisible(): number
  isStrikethrough(): number
  isOverline(): number
  isProtected(): number
  getFgColor(): number
  getBgColor(): number
  getFgColorMode(): number
  getBgColorMode(): number
}

export interface Cell extends Attributes {
  getChars(): string
  getWidth(): number
}

export function insideOf(terminal: Emulator): Inside {
  return (terminal as unknown as { _core: Inside })._core
}

export function emptyCell(terminal: Emulator): Cell {
  return terminal.buffer.active.getNullCell() as unknown as Cell
}
