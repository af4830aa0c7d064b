import {
  type Attributes,
  type Buffer,
  type Cell,
  createEmulator,
  type Emulator,
  emptyCell,
  type Inside,
  insideOf,
  type Line,
  written,
} from './emulator.ts'

/**
 * A terminal's state as text that brings a fresh terminal of the same size into that state: what is on the screen, and
 * what decides how it goes on (both buffers, wrapped lines, cursor, colours, saved cursors, scroll region, tabs, character
 * sets, modes). xterm's own addon for it leaves out much of that. What Harmless (harmless.ts) doesn't let through isn't
 * here either.
 */
export function screenOf(terminal: Emulator): string {
  const inside = insideOf(terminal)
  const { normal, alt, active } = inside.buffers
  const { cols } = terminal
  const cell = emptyCell(terminal)
  let out = ''
  if (active === normal && hasSaved(alt)) out += `\x1b[?47h${saved(alt, cols)}\x1b[0m\x1b[?47l`
  out += drawn(normal, terminal, cell)
  if (active === alt) out += `\x1b[?47h${drawn(alt, terminal, cell)}`
  return out + finished(active, inside, terminal, cell)
}

/** Everything of one buffer but its cursor; leaves attributes and character set as in a fresh terminal. */
function drawn(buffer: Buffer, { cols, rows }: Emulator, cell: Cell): string {
  const lines = Array.from({ length: rows }, (_, y) => buffer.lines.get(buffer.ybase + y)!)
  let out = ''
  // A line that goes on one which has scrolled away: it wraps at the bottom, and is moved up.
  if (lines[0]!.isWrapped) out += `\x1b[${rows};${cols}Hxx${'\n'.repeat(rows - 1)}`
  for (let y = 1; y < rows; y++) if (lines[y]!.isWrapped) out += `\x1b[${y};${cols}Hxx`
  for (let y = 0; y < rows; y++) {
    const used = lines[y]!.isWrapped || (y + 1 < rows && lines[y + 1]!.isWrapped)
    const row = rowOf(lines[y]!, cols, cell)
    if (used) out += `\x1b[${y + 1};1H\x1b[${cols}X`
    if (row !== '') out += `\x1b[${y + 1};1H${row}`
  }
  out += tabs(buffer, cols)
  if (hasSaved(buffer)) out += saved(buffer, cols)
  if (buffer.scrollTop !== 0 || buffer.scrollBottom !== rows - 1)
    out += `\x1b[${buffer.scrollTop + 1};${buffer.scrollBottom + 1}r`
  return out
}

function rowOf(line: Line, cols: number, cell: Cell): string {
  let out = ''
  let at = 0
  let fg = 0
  let bg = 0
  let ext = 0
  for (let x = 0; x < cols; x++) {
    line.loadCell(x, cell)
    const width = cell.getWidth()
    if (width === 0) continue
    const characters = cell.getChars()
    if (characters === '' && cell.bg === 0) continue
    if (cell.fg !== fg || cell.bg !== bg || extOf(cell) !== ext) {
      out += look(cell)
      fg = cell.fg
      bg = cell.bg
      ext = extOf(cell)
    }
    if (at !== x) out += `\x1b[${x + 1}G`
    if (characters === '') {
      let empty = 1
      while (x + empty < cols && isEmptyLike(line, x + empty, bg)) empty += 1
      out += `\x1b[${empty}X`
      at = x
      x += empty - 1
      continue
    }
    out += characters
    at = x + width
  }
  return fg === 0 && bg === 0 && ext === 0 ? out : `${out}\x1b[0m\x1b["q`
}

/** Whether nothing stands in a cell, on a ground like that of `bg`. */
function isEmptyLike(line: Line, x: number, bg: number): boolean {
  const content = line._data[x * 3]!
  return (content & 0x3fffff) === 0 && line._data[x * 3 + 1] === 0 && line._data[x * 3 + 2] === bg
}

const HAS_EXTENDED = 0x10000000
/** A colour, and flags, without what is left in it of another colour that stood there before. */
const colourOf = (value: number) => {
  const mode = (value >>> 24) & 3
  return value & (mode === 0 ? 0xfc000000 : mode === 3 ? 0xffffffff : 0xff0000ff)
}
const plainly = { underlineStyle: 1, underlineColor: 0 }

/** Style and colour of the underline; what stands there without the mark of it is of another cell. */
const extOf = ({ bg, extended }: Attributes) => (bg & HAS_EXTENDED ? colourOf(extended.ext) : 0)

/** Attributes from none on. */
function look(of: Attributes): string {
  const codes: (number | string)[] = [0]
  if (of.isBold()) codes.push(1)
  if (of.isDim()) codes.push(2)
  if (of.isItalic()) codes.push(3)
  if (of.isUnderline()) {
    const { underlineStyle, underlineColor } = of.bg & HAS_EXTENDED ? of.extended : plainly
    codes.push(underlineStyle > 1 ? `4:${underlineStyle}` : 4)
    codes.push(...colour(58, underlineColor & (3 << 24), underlineColor & 0xffffff))
  }
  if (of.isBlink()) codes.push(5)
  if (of.isInverse()) codes.push(7)
  if (of.isInvisible()) codes.push(8)
  if (of.isStrikethrough()) codes.push(9)
  if (of.isOverline()) codes.push(53)
  codes.push(...colour(30, of.getFgColorMode(), of.getFgColor()), ...colour(40, of.getBgColorMode(), of.getBgColor()))
  return `\x1b[${codes.join(';')}m${of.isProtected() ? '\x1b[1"q' : '\x1b["q'}`
}

function colour(base: number, mode: number, value: number): (number | string)[] {
  switch (mode >>> 24) {
    case 1:
      return [value >= 8 ? base + 60 + (value & 7) : base + value]
    case 2:
      return base === 58 ? [`58:5:${value & 255}`] : [base + 8, 5, value & 255]
    case 3: {
      const [r, g, b] = [(value >>> 16) & 255, (value >>> 8) & 255, value & 255]
      return base === 58 ? [`58:2::${r}:${g}:${b}`] : [base + 8, 2, r, g, b]
    }
    default:
      return []
  }
}

/** Where a saved cursor is put back, from the top of the screen. */
const savedRow = ({ savedY, ybase }: Buffer) => Math.max(0, savedY - ybase)

const hasSaved = (buffer: Buffer) =>
  buffer.savedX !== 0 ||
  savedRow(buffer) !== 0 ||
  buffer.savedCurAttrData.fg !== 0 ||
  buffer.savedCurAttrData.bg !== 0 ||
  buffer.savedCharset !== undefined

function saved(buffer: Buffer, cols: number): string {
  const { savedX, savedCurAttrData, savedCharset } = buffer
  const place = `\x1b[${savedRow(buffer) + 1};${Math.min(savedX, cols - 1) + 1}H`
  return `${place}${look(savedCurAttrData)}${charset('(', savedCharset)}\x1b7\x1b[0m\x1b["q\x1b(B`
}

function tabs(buffer: Buffer, cols: number): string {
  const set = (x: number) => buffer.tabs[x] === true
  let usual = true
  for (let x = 0; x < cols; x++) usual &&= set(x) === (x % 8 === 0)
  if (usual) return ''
  let out = '\x1b[3g'
  for (let x = 0; x < cols; x++) if (set(x)) out += `\x1b[1;${x + 1}H\x1bH`
  return out
}

/** Cursor, attributes, character sets, modes: everything that is of the terminal rather than of a buffer. */
function finished(buffer: Buffer, inside: Inside, terminal: Emulator, cell: Cell): string {
  const { coreService, optionsService, _charsetService, _inputHandler } = inside
  const { origin, reverseWraparound, wraparound, cursorBlink, cursorStyle } = coreService.decPrivateModes
  const attributes = _inputHandler._curAttrData
  const { cols } = terminal
  const { x, y } = buffer
  const place = (column: number) => `\x1b[${y + 1 - (origin ? buffer.scrollTop : 0)};${column + 1}H`
  let out = ''
  if (_charsetService._charsets.some((set) => set !== undefined))
    for (const [i, slot] of ['(', ')', '*', '+'].entries()) out += charset(slot, _charsetService._charsets[i])
  out += ['', '\x0e', '\x1bn', '\x1bo'][_charsetService.glevel] ?? ''
  if (_charsetService.charset !== _charsetService._charsets[_charsetService.glevel]) out += '\x1b8'
  out += optionsService.rawOptions.convertEol ? '\x1b[20h' : '\x1b[20l'
  if (origin) out += '\x1b[?6h'
  if (reverseWraparound) out += '\x1b[?45h'
  if (coreService.isCursorHidden) out += '\x1b[?25l'
  if (cursorStyle !== undefined)
    out += `\x1b[${{ block: 1, underline: 3, bar: 5 }[cursorStyle] + (cursorBlink ? 0 : 1)} q`
  // What follows a character may join it, or repeat it, or wait for the next line: then it is written last of all.
  const before = buffer.lines.get(buffer.ybase + y)!
  const last = x > 0 ? (before.loadCell(x - 1, cell).getWidth() === 0 && x > 1 ? x - 2 : x - 1) : -1
  const joins = _inputHandler._parser.precedingJoinState !== 0 && last >= 0
  const waits = x >= cols
  if (!joins && !waits) return `${out}${place(x)}${modes(coreService.modes.insertMode, wraparound)}${look(attributes)}`
  before.loadCell(last, cell)
  if (!joins) return `${out}${place(last)}${look(cell)}${cell.getChars()}${modesNow()}${look(attributes)}`
  // Where characters are inserted, it makes room for itself.
  const room = coreService.modes.insertMode ? `\x1b[${cell.getWidth()}P` : ''
  return `${out}${modesNow()}${place(last)}${look(attributes)}${room}${cell.getChars()}`

  function modesNow() {
    return modes(coreService.modes.insertMode, wraparound)
  }
}

const modes = (insert: boolean, wraparound: boolean) => `${insert ? '\x1b[4h' : ''}${wraparound ? '' : '\x1b[?7l'}`

/** The final characters by which xterm's character sets are chosen; the sets themselves say nothing of their names. */
let names: Map<object, string> | undefined

function charset(slot: string, set: object | undefined): string {
  return `\x1b${slot}${(set && names?.get(set)) || 'B'}`
}

/** To be awaited once before `screenOf`: learns the names of character sets. */
export async function learnCharsets(): Promise<void> {
  if (names) return
  const found = new Map<object, string>()
  const terminal = createEmulator(2, 1)
  for (const name of '0A4C5RQKYE6ZH7=') {
    await written(terminal, `\x1b(${name}`)
    const set = insideOf(terminal)._charsetService.charset
    if (set && !found.has(set)) found.set(set, name)
  }
  terminal.dispose()
  names = found
}

/** What is another in two terminals of what decides how they look, and how they go on; undefined where nothing is. */
export function difference(one: Emulator, other: Emulator): string | undefined {
  if (one.cols !== other.cols || one.rows !== other.rows) return 'size'
  const a = insideOf(one)
  const b = insideOf(other)
  const inAlt = a.buffers.active === a.buffers.alt
  if (inAlt !== (b.buffers.active === b.buffers.alt)) return 'which buffer'
  const normal = differenceOf(a.buffers.normal, b.buffers.normal, one)
  if (normal) return `normal buffer: ${normal}`
  const alternate = inAlt
    ? differenceOf(a.buffers.alt, b.buffers.alt, one)
    : savedDifference(a.buffers.alt, b.buffers.alt, one.cols)
  if (alternate) return `alternate buffer: ${alternate}`
  const { active } = a.buffers
  if (active.x !== b.buffers.active.x || active.y !== b.buffers.active.y) return 'cursor'
  return stateOf(a) === stateOf(b) ? undefined : `state: ${stateOf(a)} ≠ ${stateOf(b)}`
}

function stateOf({ coreService, optionsService, _charsetService, _inputHandler }: Inside): string {
  const { _curAttrData, _parser } = _inputHandler
  const { origin, reverseWraparound, wraparound, cursorBlink, cursorStyle } = coreService.decPrivateModes
  return JSON.stringify({
    attributes: [colourOf(_curAttrData.fg), colourOf(_curAttrData.bg), extOf(_curAttrData)],
    joins: _parser.precedingJoinState,
    hidden: coreService.isCursorHidden,
    insert: coreService.modes.insertMode,
    modes: [origin, reverseWraparound, wraparound, cursorStyle && [cursorStyle, cursorBlink === true]],
    lines: optionsService.rawOptions.convertEol,
    sets: [
      _charsetService.glevel,
      ...[0, 1, 2, 3].map((i) => charset('', _charsetService._charsets[i])),
      charset('', _charsetService.charset),
    ],
  })
}

function savedDifference(a: Buffer, b: Buffer, cols: number): string | undefined {
  const said = ({ savedX, savedY, ybase, savedCurAttrData: { fg, bg }, savedCharset }: Buffer) =>
    JSON.stringify([
      Math.min(savedX, cols - 1),
      Math.max(0, savedY - ybase),
      colourOf(fg),
      colourOf(bg),
      charset('', savedCharset),
    ])
  return said(a) === said(b) ? undefined : `saved cursor: ${said(a)} ≠ ${said(b)}`
}

function differenceOf(a: Buffer, b: Buffer, { cols, rows }: Emulator): string | undefined {
  if (a.scrollTop !== b.scrollTop || a.scrollBottom !== b.scrollBottom) return 'scroll region'
  for (let x = 0; x < cols; x++) if ((a.tabs[x] === true) !== (b.tabs[x] === true)) return `tab at ${x}`
  for (let y = 0; y < rows; y++) {
    const one = a.lines.get(a.ybase + y)!
    const other = b.lines.get(b.ybase + y)!
    if (one.isWrapped !== other.isWrapped) return `line ${y}: wrapped`
    for (let x = 0; x < cols; x++) {
      const i = 3 * x
      const content = one._data[i]!
      const bg = one._data[i + 2]!
      const at = `line ${y}, column ${x}`
      if (content !== other._data[i]) return `${at}: ${content} ≠ ${other._data[i]}`
      if (
        colourOf(one._data[i + 1]!) !== colourOf(other._data[i + 1]!) ||
        colourOf(bg) !== colourOf(other._data[i + 2]!)
      )
        return `${at}: colours`
      // A content of several characters, attributes that stand beside.
      if (content & 0x200000 && one._combined[x] !== other._combined[x]) return `${at}: characters`
      if (bg & HAS_EXTENDED && colourOf(one._extendedAttrs[x]!.ext) !== colourOf(other._extendedAttrs[x]!.ext))
        return `${at}: underline`
    }
  }
  return savedDifference(a, b, cols)
}
