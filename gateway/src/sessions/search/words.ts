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

/** Where a word of a chain begins and ends in it. */
interface Atom {
  from: number
  to: number
  kind: typeof LETTER | typeof DENSE
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: what isn't ASCII
const beyondAscii = /[^\x00-\x7f]/
/** Chains of a folded text, where that is ASCII. */
const asciiChains = /[a-z0-9]+(?:[._@:/-][a-z0-9]+)*/g

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

function chainsOf(plain: string): string[] {
  if (!beyondAscii.test(plain)) return plain.match(asciiChains) ?? []
  const chains: string[] = []
  eachChain(plain, (chain) => void chains.push(plain.slice(chain[0]!.from, chain.at(-1)!.to)))
  return chains
}

/** Calls `take` with the words of each chain. */
function eachChain(text: string, take: (chain: Atom[]) => void): void {
  let chain: Atom[] = []
  let at = 0
  while (at < text.length) {
    const code = text.charCodeAt(at)
    let kind = classes[code]!
    let width = 1
    if (kind === UNKNOWN) {
      if (isHigh(code) && at + 1 < text.length) {
        kind = classOf(text.slice(at, at + 2))
        width = 2
      } else kind = classes[code] = classOf(text[at]!)
    }
    if (kind === SEPARATOR || kind === JOINER) {
      // A joiner that no word follows ends the chain; that is seen when a word comes.
      if (kind === SEPARATOR && chain.length > 0) {
        take(chain)
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
        take(chain)
        chain = []
      }
    }
    let to = at + width
    if (kind === LETTER) while (to < text.length && classes[text.charCodeAt(to)] === LETTER) to++
    chain.push({ from: at, to, kind: kind as Atom['kind'] })
    at = to
  }
  if (chain.length > 0) take(chain)
}

function atomsOf(chain: string): Atom[] {
  let atoms: Atom[] = []
  eachChain(chain, (found) => {
    atoms = found
  })
  return atoms
}

/** From a word's beginning on, as much as is told apart; never half a surrogate pair. */
function piece(chain: string, atom: Atom, end: number): string {
  let to = Math.min(end, atom.from + (atom.kind === DENSE ? LONGEST_DENSE : LONGEST))
  if (to < end && isHigh(chain.charCodeAt(to - 1))) to++
  return chain.slice(atom.from, to)
}

function isHigh(code: number): boolean {
  return code >= 0xd800 && code < 0xdc00
}

/**
 * Adds the words of the index for a text to `words`.
 * @param mark in front of each, CAME_BACK or nothing; what is there without a mark isn't added with one
 */
export function addWords(words: Set<string>, text: string, mark: '' | typeof CAME_BACK = ''): void {
  for (const chain of chainsOf(folded(text))) {
    let of = known.get(chain)
    if (of === undefined) {
      of = wordsOf(chain)
      // What has digits is mostly met once.
      if (chain.length <= 40 && !/\d/.test(chain)) {
        if (known.size >= MOST_KNOWN) known.clear()
        known.set(chain, of)
      }
    }
    if (mark === '') {
      for (const word of of.words) words.add(word)
      for (const beginning of of.beginnings) words.add(beginning)
    } else {
      of.marked ??= of.words.map((word) => mark + word)
      for (let i = 0; i < of.words.length; i++) if (!words.has(of.words[i]!)) words.add(of.marked[i]!)
    }
  }
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

function wordsOf(chain: string): ChainWords {
  const words: string[] = []
  const beginnings: string[] = []
  const atoms = atomsOf(chain)
  for (const atom of atoms) {
    const whole = piece(chain, atom, chain.length)
    const word = atom.to < chain.length ? piece(chain, atom, atom.to) : whole
    words.push(word)
    if (whole !== word) words.push(whole)
    for (let n = SHORTEST_BEGINNING; n <= SHORT_BEGINNING && n < whole.length; n++)
      if (!isHigh(whole.charCodeAt(n - 1)) && n !== word.length) beginnings.push(BEGINNING + whole.slice(0, n))
  }
  return { words, beginnings }
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
  const chains = chainsOf(folded(question))
  for (const [i, chain] of chains.entries()) {
    const atoms = atomsOf(chain)
    const mayGoOn = atoms.length > 1 || i === chains.length - 1
    for (const atom of atoms) {
      const word = piece(chain, atom, chain.length)
      const reachesEnd = atom.from + word.length === chain.length
      const beginning = reachesEnd && mayGoOn && word.length >= SHORTEST_BEGINNING
      sought.set(`${word}${beginning ? '*' : ''}`, { word, beginning })
      if (reachesEnd) break
    }
  }
  return [...sought.values()].slice(0, MOST_SOUGHT)
}
