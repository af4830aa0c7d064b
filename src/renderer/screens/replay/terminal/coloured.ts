/**
 * Output of a command that had no terminal, as text in colours: the sixteen colours, bold and underline are kept, what
 * else a sequence for colours says is left out, and every other sequence stays in the text, to be made visible there.
 */

export interface Colour {
  /** 0 to 15, as terminals number them. */
  readonly ink: number | undefined
  readonly ground: number | undefined
  readonly bold: boolean
  readonly underline: boolean
}

export interface ColouredRun extends Colour {
  readonly text: string
}

export const plain: Colour = { ink: undefined, ground: undefined, bold: false, underline: false }

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what a sequence begins with
const graphics = /\x1b\[([0-9;]{0,64})m/g

/** `text` in runs, beginning in `colour`; the colour in which it ends goes on in what follows. */
export function colouredRuns(text: string, colour: Colour = plain): { runs: ColouredRun[]; end: Colour } {
  const runs: ColouredRun[] = []
  let now = colour
  let at = 0
  const add = (piece: string) => {
    if (piece !== '') runs.push({ text: piece, ...now })
  }
  for (const found of text.matchAll(graphics)) {
    add(text.slice(at, found.index))
    now = after(now, found[1]!)
    at = found.index + found[0].length
  }
  add(text.slice(at))
  return { runs, end: now }
}

function after(colour: Colour, parameters: string): Colour {
  const numbers = parameters.split(';').map(Number)
  let now = colour
  for (let i = 0; i < numbers.length; i++) {
    const n = numbers[i]!
    if (n === 0) now = plain
    else if (n === 1) now = { ...now, bold: true }
    else if (n === 22) now = { ...now, bold: false }
    else if (n === 4) now = { ...now, underline: true }
    else if (n === 24) now = { ...now, underline: false }
    else if (n === 39) now = { ...now, ink: undefined }
    else if (n === 49) now = { ...now, ground: undefined }
    else if (n >= 30 && n <= 37) now = { ...now, ink: n - 30 }
    else if (n >= 90 && n <= 97) now = { ...now, ink: n - 82 }
    else if (n >= 40 && n <= 47) now = { ...now, ground: n - 40 }
    else if (n >= 100 && n <= 107) now = { ...now, ground: n - 92 }
    else if (n === 38 || n === 48) {
      const short = numbers[i + 1] === 5 ? numbers[i + 2] : undefined
      const which = n === 38 ? 'ink' : 'ground'
      if (short !== undefined && short < 16) now = { ...now, [which]: short }
      i += numbers[i + 1] === 5 ? 2 : numbers[i + 1] === 2 ? 4 : 0
    }
  }
  return now
}

/** Inks of the sixteen colours on the terminal’s ground, all of which can be read there. */
export const inks = [
  ...['#8b8b94', '#ff8078', '#69cf9c', '#e9b95a', '#8aa5ff', '#c99bf0', '#6fc7d6', '#ececee'],
  ...['#a3a3ab', '#ff9f99', '#8fe0b6', '#f2d08a', '#a9bdff', '#dcbcf7', '#97dbe6', '#ffffff'],
] as const
/** Grounds, dark enough for any of the inks. */
export const grounds = [
  ...['#2e2e34', '#411c1d', '#17352a', '#3a2d12', '#222b4a', '#35204a', '#123740', '#3a3a42'],
  ...['#3a3a42', '#541f20', '#1b4534', '#4a3914', '#2a376a', '#452960', '#164854', '#4a4a52'],
] as const

/** A terminal's colours: the same in light and dark, as programs choose theirs for a dark one. */
export const terminalTheme = {
  background: '#0e0e10',
  foreground: '#ececee',
  cursor: '#ececee',
  cursorAccent: '#0e0e10',
  selectionBackground: '#34437a',
  black: '#2e2e34',
  ...{ red: inks[1], green: inks[2], yellow: inks[3], blue: inks[4], magenta: inks[5], cyan: inks[6], white: inks[7] },
  ...{ brightBlack: inks[0], brightRed: inks[9], brightGreen: inks[10], brightYellow: inks[11] },
  ...{ brightBlue: inks[12], brightMagenta: inks[13], brightCyan: inks[14], brightWhite: inks[15] },
}
