/**
 * A terminal's output made harmless to show: what draws passes, everything else is left out. A recording holds what the
 * host sent, and whoever wrote that may have thought of the person who looks at it later: titles, links, clipboards,
 * colours that hide words, questions that a terminal answers, counts that keep it busy for hours.
 *
 * The states are those of the parser of DEC's terminals (https://vt100.net/emu/dec_ansi_parser), as xterm.js has them.
 * No sequence goes on before it is whole, and what goes on is written anew: a terminal that reads sequences otherwise
 * still sees only what stands here.
 */

type State = 'ground' | 'escape' | 'intermediate' | 'csi' | 'ignore' | 'osc' | 'string'

/** Longer parameters than these are no sequence that draws. */
const longest = 256
/** A count beyond any screen means the whole screen: terminals would count on. */
const most = 1000
/** Characters without a width that one cell may hold: letters and emoji have fewer, and a cell must not grow on and on. */
const mostMarks = 8
/**
 * What sequences that touch much of a screen cost, in characters: some bytes of them keep a terminal busy for long. One
 * piece of output gets so much of it, and what goes beyond isn't drawn.
 */
const mostWork = 128 * 1024
const perLine = 32
const perScreen = 512
const perReset = 1024

/** Left out between sequences: controls that draw nothing, and what turns the direction of text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what it looks for
const special = /[\x00-\x07\x10-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g
/** What joins the cell before it, with a width of its own nowhere. */
const withoutWidth = /[\p{M}\p{Cf}\p{Default_Ignorable_Code_Point}\u1160-\u11ff]+/gu
/** C0 controls that draw: BS, HT, LF, VT, FF, CR, SO, SI. */
const draws = (code: number) => code >= 0x08 && code <= 0x0f

/** Final characters of CSI sequences that draw, after their prefix and intermediates. */
const drawing = new Set([
  ...Array.from('@ABCDEFGHIJKLMPSTXZ`abdefgrsu'),
  ...['?J', '?K', ' @', ' A', '!p', ' q', '"q', "'}", "'~"],
])
/** Modes that change what is drawn: insert and newline; origin, wraparound, cursor, reverse wraparound, screens. */
const modes = new Set(['4', '20'])
const privateModes = new Set(['6', '7', '25', '45', '47', '1047', '1048', '1049'])
/** Save and restore, lines, tabs, reset, character sets. */
const escapes = new Set([...Array.from('78DEHMcno|}~'), '#8', '%@', '%G'])
const characterSet = /^[()*+\-./][0-9A-Z`<=>"%&]$/

const beginnings = { escape: '\x1b', intermediate: '\x1b', csi: '\x1b[', osc: '\x1b]', string: '\x1bP' }

/** Filters one stream of output; it may come in pieces of any size, each of which may ask for so much work. */
export class Harmless {
  #state: State = 'ground'
  #sequence = ''
  #marks = 0
  #work = 0

  /** What of `text`, which follows what was given before, may be written to a terminal. */
  write(text: string): string {
    this.#work = 0
    return this.#thinned(this.#filtered(text))
  }

  /** What the gateway says, which nothing that the host began swallows, or has drawn in other letters. */
  notice(text: string): string {
    this.#go('ground')
    return this.write(`\x1b(B\x0f\x1b[m${text}`)
  }

  /** What the last piece costs a terminal beyond its length, in characters. */
  get work(): number {
    return this.#work
  }

  /** Given to a new filter, what brings it to where this one is; no terminal gets anything of it. */
  get begun(): string {
    return { ...beginnings, ground: '', ignore: `\x1b[${'0'.repeat(longest + 1)}` }[this.#state] + this.#sequence
  }

  #thinned(out: string): string {
    if (out === '') return out
    if (!/[^\0-\u02ff]/.test(out)) {
      this.#marks = 0
      return out
    }
    const before = this.#marks
    this.#marks = 0
    return out.replace(withoutWidth, (run: string, at: number) => {
      const marks = [...run].slice(0, mostMarks - (at === 0 ? before : 0))
      if (at + run.length === out.length) this.#marks = marks.length + (at === 0 ? before : 0)
      return marks.join('')
    })
  }

  /** Whether so much more may be asked of a terminal. */
  #affords(work: number): boolean {
    if (this.#work + work > mostWork) return false
    this.#work += work
    return true
  }

  #filtered(text: string): string {
    let out = ''
    let at = 0
    while (at < text.length) {
      if (this.#state === 'ground') {
        special.lastIndex = at
        const found = special.exec(text)
        if (!found) return at === 0 && out === '' ? text : out + text.slice(at)
        out += text.slice(at, found.index)
        at = found.index
      } else if (this.#state === 'osc' || this.#state === 'string') {
        // The rest of a long string is passed over at once.
        const end = endOfString(text, at, this.#state === 'osc')
        if (end < 0) return out
        at = end
      }
      out += this.#take(text.charCodeAt(at), text[at]!)
      at += 1
    }
    return out
  }

  #take(code: number, character: string): string {
    if (code === 0x1b) return this.#go('escape')
    if (code >= 0x80 && code <= 0x9f) return this.#control(code)
    if (code === 0x18 || code === 0x1a) return this.#go('ground')
    switch (this.#state) {
      case 'ground':
        return ''
      case 'osc':
        return code === 0x07 ? this.#go('ground') : ''
      case 'string':
        return ''
    }
    // Controls within a sequence are done before it.
    if (code < 0x20) return draws(code) ? character : ''
    if (code === 0x7f) return ''
    if (code > 0x7f) {
      this.#go('ground')
      return this.#filtered(character)
    }
    switch (this.#state) {
      case 'escape':
        return this.#escape(code, character)
      case 'intermediate':
        if (code >= 0x30) return this.#end(this.#sequence + character)
        return this.#collect(character)
      case 'csi':
        return this.#csi(code, character)
      case 'ignore':
        return code >= 0x40 ? this.#go('ground') : ''
    }
  }

  #go(state: State): '' {
    this.#state = state
    this.#sequence = ''
    return ''
  }

  /** The one-character forms of escapes (C1). */
  #control(code: number): string {
    this.#go('ground')
    switch (code) {
      case 0x84:
        return '\x1bD'
      case 0x85:
        return '\x1bE'
      case 0x88:
        return '\x1bH'
      case 0x9b:
        return this.#go('csi')
      case 0x9d:
        return this.#go('osc')
      case 0x90:
      case 0x98:
      case 0x9e:
      case 0x9f:
        return this.#go('string')
      default:
        return ''
    }
  }

  #escape(code: number, character: string): string {
    if (code < 0x30) {
      this.#go('intermediate')
      return this.#collect(character)
    }
    if (character === '[') return this.#go('csi')
    if (character === ']') return this.#go('osc')
    if ('PX^_'.includes(character)) return this.#go('string')
    return this.#end(character)
  }

  #end(sequence: string): string {
    this.#go('ground')
    if (!escapes.has(sequence) && !characterSet.test(sequence)) return ''
    const work = sequence === 'c' ? perReset : sequence === '#8' ? perScreen : 0
    return this.#affords(work) ? `\x1b${sequence}` : ''
  }

  #csi(code: number, character: string): string {
    if (code >= 0x40) {
      const sequence = this.#sequence
      this.#go('ground')
      const { text, work } = harmlessCsi(sequence, character)
      return this.#affords(work) ? text : ''
    }
    return this.#collect(character)
  }

  #collect(character: string): '' {
    this.#sequence += character
    if (this.#sequence.length > longest) this.#go('ignore')
    return ''
  }
}

const nothing = { text: '', work: 0 }

/** A whole CSI sequence as it may be written, and what it costs; empty where it may not. */
function harmlessCsi(sequence: string, final: string): { text: string; work: number } {
  // What doesn't have this form no terminal draws.
  const parts = /^([<=>?]?)([0-9;:]*)([ -/]*)$/.exec(sequence)
  if (!parts) return nothing
  const [, prefix = '', parameters = '', intermediates = ''] = parts
  if (final === 'm') return prefix === '' && intermediates === '' ? { text: graphics(parameters), work: 0 } : nothing
  if (final === 'h' || final === 'l') {
    const allowed = intermediates !== '' ? undefined : prefix === '' ? modes : prefix === '?' ? privateModes : undefined
    const kept = allowed ? parameters.split(';').filter((mode) => allowed.has(mode)) : []
    if (kept.length === 0) return nothing
    return {
      text: `\x1b[${prefix}${kept.join(';')}${final}`,
      work: kept.filter((mode) => +mode > 40).length * perScreen,
    }
  }
  if (!drawing.has(prefix + intermediates + final)) return nothing
  const lines = prefix === '' && intermediates === '' && 'LMST'.includes(final)
  const largest = lines ? LARGEST.rows : most
  const counts = parameters.replace(/\d+/g, (digits) => String(Math.min(largest, Number(digits))))
  const count = Math.max(1, Number.parseInt(counts, 10) || 1)
  const work = lines
    ? perLine * count
    : final === 'b'
      ? count / 8
      : final === 'J' || intermediates !== ''
        ? perScreen
        : 0
  return { text: `\x1b[${prefix}${counts}${intermediates}${final}`, work }
}

/** Select graphic rendition: colours and weights, but nothing that hides words or blinks. */
function graphics(parameters: string): string {
  const given = parameters.split(';')
  const kept: string[] = []
  for (let i = 0; i < given.length; i++) {
    const each = given[i]!
    if (each === '38' || each === '48' || each === '58') {
      // An extended colour: its numbers mean no renditions.
      const takes = given[i + 1] === '5' ? 2 : given[i + 1] === '2' ? 4 : 0
      const colour = given.slice(i, i + takes + 1)
      // Where one of its numbers has parts of its own, terminals take the colour to end there, and what follows to hide.
      if (takes > 0 && !colour.some((one) => one.includes(':'))) kept.push(...colour)
      i += takes
    } else if (!/^0*[568](:|$)/.test(each)) kept.push(each)
  }
  return kept.length > 0 ? `\x1b[${kept.join(';')}m` : ''
}

/** Where a string of OSC, DCS, SOS, PM or APC ends at `at` or later; -1 where it goes on. */
function endOfString(text: string, at: number, bell: boolean): number {
  for (let i = at; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x1b || code === 0x18 || code === 0x1a || (code === 0x07 && bell)) return i
    if (code >= 0x80 && code <= 0x9f) return i
  }
  return -1
}

const LARGEST = { columns: 500, rows: 200 }

/** A screen that a recording may ask for: none is so large that drawing it takes all there is. */
export function screenOf(columns: number, rows: number): { columns: number; rows: number } {
  const within = (n: number, usual: number, largest: number) => (n < 1 ? usual : Math.min(largest, Math.floor(n)))
  return { columns: within(columns, 80, LARGEST.columns), rows: within(rows, 24, LARGEST.rows) }
}
