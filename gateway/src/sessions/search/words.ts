/**
 * What counts as a word, for what is indexed and for what is asked.
 *
 * Letters and digits that stand together are a word (`customers`, `17`). Words joined by one of `. _ - @ : /` are a
 * chain (`public.customers`, `ada@example.com`, a UUID): each of its words is found, and each part of it that begins at
 * a word (`example.com`). In scripts without spaces every character begins a word. Case and accents don't count, nor
 * does how an identifier is quoted: `"public"."customers"` is `public.customers`.
 */

/** So much of a chain is told apart, counted from a word's beginning: UTF-16 units. */
const LONGEST = 64
/** The same from a character of a script without spaces on; a longer chain is looked for in such pieces. */
const LONGEST_DENSE = 6
/** A beginning has so many characters at least … */
export const SHORTEST_BEGINNING = 2
/** … and up to so many it is a word of the index itself, for commands; longer ones are few enough to be looked up. */
export const SHORT_BEGINNING = 3

/** What came back. A word of the index that has it in front stands in a result, not in the command. */
export const CAME_BACK = '~'
/** A short beginning of a word. */
export const BEGINNING = '^'

const SEPARATOR = 0
const LETTER = 1
const DENSE = 2
const JOINER = 3

const letter = /[\p{L}\p{N}\p{M}]/u
const dense =
  /[\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Hangul}\p{scx=Bopomofo}\p{scx=Thai}\p{scx=Lao}\p{scx=Khmer}\p{scx=Myanmar}]/u
const UNKNOWN = 255
/** Class of each UTF-16 unit, filled as they are met; surrogates are looked at in pairs. */
const classes = new Uint8Array(0x10000).fill(UNKNOWN)
for (let code = 0; code < 0x80; code++) classes[code] = /[a-z0-9]/i.test(String.fromCharCode(code)) ? LETTER : SEPARATOR
for (const joiner of '._-@:/') classes[joiner.charCodeAt(0)] = JOINER

function classOf(character: string): number {
  if (!letter.test(character)) return SEPARATOR
  return dense.test(character) ? DENSE : LETTER
}

/** Where the words of one chain begin and end in a text that was folded. */
interface Atom {
  from: number
  to: number
  kind: typeof LETTER | typeof DENSE
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: what isn't ASCII
const beyondAscii = /[^\x00-\x7f]/

/** Without case, accents and the ways of writing one character; quotes around a dot go. */
function folded(text: string): string {
  let plain = text.toLowerCase()
  if (beyondAscii.test(plain))
    plain = plain
      .toWellFormed()
      .normalize('NFKD')
      .replace(/[\u0300-\u036f]/g, '')
      .replaceAll('ς', 'σ')
      .normalize('NFC')
      .toLowerCase()
  return plain.includes('"') ? plain.replace(/"?\."?/g, '.') : plain
}

/** Calls `take` with the atoms of each chain. */
function eachChain(text: string, take: (chain: Atom[], last: number) => void): void {
  let chain: Atom[] = []
  let at = 0
  /** End of the last atom, where another may follow it by a joiner or at once. */
  while (at < text.length) {
    const code = text.charCodeAt(at)
    let kind = classes[code]!
    let width = 1
    if (kind === UNKNOWN) {
      if (code >= 0xd800 && code < 0xdc00 && at + 1 < text.length) {
        kind = classOf(text.slice(at, at + 2))
        width = 2
      } else kind = classes[code] = classOf(text[at]!)
    }
    if (kind === SEPARATOR || kind === JOINER) {
      // A joiner that something other than a word follows ends the chain; that is seen when the word comes.
      if (kind === SEPARATOR && chain.length > 0) {
        take(chain, chain[chain.length - 1]!.to)
        chain = []
      }
      at += width
      continue
    }
    const before = chain[chain.length - 1]
    if (before) {
      const gap = at - before.to
      if (gap === 0 && kind === LETTER && before.kind === LETTER) {
        before.to = at + width
        at += width
        continue
      }
      if (gap > 1) {
        take(chain, before.to)
        chain = []
      }
    }
    let to = at + width
    if (kind === LETTER) while (to < text.length && classes[text.charCodeAt(to)] === LETTER) to++
    chain.push({ from: at, to, kind: kind as Atom['kind'] })
    at = to
  }
  if (chain.length > 0) take(chain, chain[chain.length - 1]!.to)
}

/** From a word's beginning on, as much as is told apart; never half a surrogate pair. */
function piece(text: string, atom: Atom, end: number): string {
  let to = Math.min(end, atom.from + (atom.kind === DENSE ? LONGEST_DENSE : LONGEST))
  if (to < end && isHigh(text.charCodeAt(to - 1))) to++
  return text.slice(atom.from, to)
}

const isHigh = (code: number) => code >= 0xd800 && code < 0xdc00

/**
 * Adds the words of the index for a text to `words`.
 * @param mark in front of each, CAME_BACK or nothing; what is there without a mark isn't added with one
 */
export function addWords(words: Set<string>, text: string, mark: '' | typeof CAME_BACK = ''): void {
  const plain = folded(text)
  eachChain(plain, (chain, end) => {
    const whole = plain.slice(chain[0]!.from, end)
    let added = known.get(whole)
    if (added === undefined) {
      added = wordsOf(plain, chain, end)
      // What has digits is mostly met once.
      if (whole.length <= 40 && !/\d/.test(whole)) {
        if (known.size >= MOST_KNOWN) known.clear()
        known.set(whole, added)
      }
    }
    if (mark === '') {
      for (const word of added.words) words.add(word)
      for (const beginning of added.beginnings) words.add(beginning)
      return
    }
    added.marked ??= added.words.map((word) => mark + word)
    for (let i = 0; i < added.words.length; i++) if (!words.has(added.words[i]!)) words.add(added.marked[i]!)
  })
}

interface ChainWords {
  words: string[]
  beginnings: string[]
  /** The words with the mark of what came back. */
  marked?: string[]
}

/** Chains that were met before: most of what is sent is made of few. */
const known = new Map<string, ChainWords>()
const MOST_KNOWN = 20_000

function wordsOf(plain: string, chain: readonly Atom[], end: number): ChainWords {
  const words = new Set<string>()
  const beginnings = new Set<string>()
  for (const atom of chain) {
    const whole = piece(plain, atom, end)
    const word = atom.to < end ? piece(plain, atom, atom.to) : whole
    words.add(word).add(whole)
    for (let n = SHORTEST_BEGINNING; n <= SHORT_BEGINNING && n < whole.length; n++)
      if (!isHigh(whole.charCodeAt(n - 1)) && n !== word.length) beginnings.add(BEGINNING + whole.slice(0, n))
  }
  return { words: [...words], beginnings: [...beginnings] }
}

/** A word to look for; `beginning` where longer ones that begin so are meant, too. It has two characters then, or more. */
export interface SoughtWord {
  word: string
  beginning: boolean
}

/** So many words of a question count. */
const MOST_SOUGHT = 64

/**
 * What has to be there for a text to answer a question: all of these. Chains, and the last word, may go on.
 * @returns nothing where there is nothing to look for
 */
export function soughtWords(question: string): SoughtWord[] {
  const sought = new Map<string, SoughtWord>()
  const plain = folded(question)
  const chains: { chain: Atom[]; end: number }[] = []
  eachChain(plain, (chain, end) => void chains.push({ chain, end }))
  for (const [i, { chain, end }] of chains.entries()) {
    const mayGoOn = chain.length > 1 || i === chains.length - 1
    for (const atom of chain) {
      const word = piece(plain, atom, end)
      const reachesEnd = atom.from + word.length === end
      const beginning = reachesEnd && mayGoOn && word.length >= SHORTEST_BEGINNING
      sought.set(`${word}${beginning ? '*' : ''}`, { word, beginning })
      if (reachesEnd) break
    }
  }
  return [...sought.values()].slice(0, MOST_SOUGHT)
}
