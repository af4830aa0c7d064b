import { Harmless } from '../../../harmless.ts'

/**
 * What a stream of output says as text: without colours and movements, a line feed where the cursor goes to another line,
 * a space where it goes on in the same one. Not what a screen shows at some time, but everything that was once on it.
 */
export class PlainText {
  readonly #filter = new Harmless()
  #return = false

  /** What follows; in pieces of any size. */
  write(text: string): string {
    let out = this.#filter.write(text)
    if (out.includes('\x1b')) out = out.replace(sequence, told)
    out = out.replace(unseen, '')
    if (this.#return) out = `\r${out}`
    this.#return = out.endsWith('\r')
    if (this.#return) out = out.replace(/\r+$/, '')
    return out.includes('\r') ? out.replace(/\r+\n?/g, '\n') : out
  }

  /** What was held back because more might have followed. */
  end(): string {
    const rest = this.#return ? '\n' : ''
    this.#return = false
    return rest
  }
}

/** What Harmless lets through. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences begin with one
const sequence = /\x1b(?:\[([?!]?[0-9;:]*[ -/]*)([@-~])|[ -/]*[0-~])/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: all but tab, line feed and carriage return
const unseen = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g

function told(_: string, parameters: string | undefined, final: string | undefined): string {
  if (final === undefined) return ''
  if ('CG`a'.includes(final) && !parameters?.includes('?')) return ' '
  return 'ABEFHdef'.includes(final) ? '\n' : ''
}

/** Where words stand in a text that comes in pieces. */
export interface Found<P> {
  /** What `write` was told of the piece in which they end. */
  readonly piece: P
  readonly before: string
  readonly found: string
  after: string
}

/** Looks for words in a text that comes in pieces, across their borders. Upper and lower case are alike. */
export class WordSearch<P> {
  readonly #words: string
  readonly #context: number
  #carry = ''
  /** Found, but what follows isn't all there yet. */
  #open: Found<P>[] = []

  /** @param context how many characters around what was found are told */
  constructor(words: string, context = 40) {
    this.#words = lower(words)
    this.#context = context
  }

  /** @returns what was found and is told whole now */
  write(text: string, piece: P): Found<P>[] {
    if (text === '') return []
    const context = this.#context
    for (const found of this.#open) found.after += text.slice(0, context - found.after.length)
    const all = this.#carry + text
    const low = lower(all)
    const size = this.#words.length
    for (
      let at = low.indexOf(this.#words, Math.max(0, this.#carry.length - size + 1));
      at !== -1;
      at = low.indexOf(this.#words, at + size)
    ) {
      const end = at + size
      const before = all.slice(Math.max(0, at - context), at)
      this.#open.push({ piece, before, found: all.slice(at, end), after: all.slice(end, end + context) })
    }
    this.#carry = all.slice(Math.max(0, all.length - size - context))
    return this.#take((found) => found.after.length >= context)
  }

  /** What is left of what was found: nothing follows it. */
  end(): Found<P>[] {
    return this.#take(() => true)
  }

  #take(whole: (found: Found<P>) => boolean): Found<P>[] {
    if (this.#open.length === 0) return []
    const taken: Found<P>[] = []
    while (this.#open[0] && whole(this.#open[0])) taken.push(this.#open.shift()!)
    return taken
  }
}

/** In lower case, character by character: a text whose length changes by that has other places. */
function lower(text: string): string {
  const low = text.toLowerCase()
  if (low.length === text.length) return low
  return Array.from(text, (character) => {
    const one = character.toLowerCase()
    return one.length === character.length ? one : character
  }).join('')
}
