/** Kinds of tokens, as PostgreSQL's scanner tells them apart. */
export type TokenKind = 'word' | 'quoted' | 'operator' | 'int4' | 'int8' | 'numeric' | 'string'

export interface Token {
  kind: TokenKind
  start: number
  end: number
}

/** A longer text is read for itself. */
const LONGEST = 8192

/** What stands in a shape for a literal: characters that no text with a shape can hold. */
const placeholders = { int4: '\u0001', int8: '\u0002', numeric: '\u0003', string: '\u0004' } as const

/**
 * The shape of a text: itself with a placeholder for each literal, by which texts that differ in literals only are known
 * to be alike. PostgreSQL's grammar decides by kinds of tokens, so texts of one shape have one parse tree, but for the
 * values in it; whether what is made of the tree depends on those is for constants.ts to tell.
 *
 * Only texts of which every token is surely the one that the server's scanner sees (scan.l of every supported version,
 * standard_conforming_strings on) have a shape: printable ASCII, names, plain decimal numbers, `'…'` without a backslash,
 * the operators below; no comment, dollar, prefix (E'', U&"" …), parameter, continued string, or second statement.
 * @returns undefined for every other text, and where there is no literal in it
 */
export function shapeOf(text: string): string | undefined {
  return read(text, undefined)
}

/** The tokens of a text that has a shape; undefined where it has none. */
export function tokensOf(text: string): Token[] | undefined {
  const tokens: Token[] = []
  return read(text, tokens) === undefined ? undefined : tokens
}

const SPACE = 1
const WORD = 2
const DIGIT = 3
const OPERATOR = 4
const PUNCTUATION = 5
const DOT = 6
const COLON = 7
const QUOTE = 8
const DOUBLE_QUOTE = 9

const classes = new Uint8Array(128)
for (const [characters, kind] of [
  [' \t\n\r', SPACE],
  ['abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_', WORD],
  ['0123456789', DIGIT],
  ['=<>!+-*/%|#@&~^', OPERATOR],
  ['(),[];', PUNCTUATION],
  ['.', DOT],
  [':', COLON],
  ["'", QUOTE],
  ['"', DOUBLE_QUOTE],
] as const) {
  for (const character of characters) classes[character.charCodeAt(0)] = kind
}

/**
 * Runs of operator characters that are one token. Not among them are those of which the scanner may cut off a sign at the
 * end, and those with the beginning of a comment in them.
 */
const operators = new Set(
  '= < > <= >= <> != + - * / % ^ || -> ->> #> #>> @> <@ && & | # ~ ~* !~ !~* ~~ ~~* !~~ !~~* << >> @@'.split(' '),
)

/** @param tokens is given every token, where asked for; worth something only where there is a shape */
function read(text: string, tokens: Token[] | undefined): string | undefined {
  const { length } = text
  if (length > LONGEST) return undefined
  let shape = ''
  // Up to here the text is in the shape.
  let copied = 0
  let before: TokenKind | undefined
  for (let at = 0; at < length; ) {
    const kind = classAt(text, at)
    const start = at
    let token: TokenKind
    switch (kind) {
      case SPACE:
        at++
        continue
      case WORD: {
        at = afterWord(text, at + 1)
        const next = classAt(text, at)
        // E'…', B'…', N'…' and the like, U&"…", and characters that aren't looked at here, such as $.
        if (at < length && (next === QUOTE || next === DOUBLE_QUOTE || next === 0)) return undefined
        token = 'word'
        break
      }
      case DIGIT: {
        at = afterDigits(text, at)
        // 007 and 0x1F are read in more than one way.
        if (text.charCodeAt(start) === 0x30 && at > start + 1) return undefined
        token = integerKind(text, start, at)
        if (classAt(text, at) === DOT) {
          if (classAt(text, at + 1) !== DIGIT) return undefined
          at = afterDigits(text, at + 1)
          token = 'numeric'
        }
        if (touchesLiteral(text, at)) return undefined
        break
      }
      case QUOTE: {
        at = afterString(text, at + 1)
        // Two in a row may be one, continued on another line.
        if (at < 0 || before === 'string' || touchesLiteral(text, at)) return undefined
        token = 'string'
        break
      }
      case DOUBLE_QUOTE: {
        at = afterQuoted(text, at + 1)
        if (at < 0 || touchesLiteral(text, at, DOT)) return undefined
        token = 'quoted'
        break
      }
      case OPERATOR: {
        while (classAt(text, at) === OPERATOR) at++
        const run = text.slice(start, at)
        if (!operators.has(run)) return undefined
        const next = classAt(text, at)
        // u&'…'
        if ((next === QUOTE || next === DOUBLE_QUOTE) && run.endsWith('&')) return undefined
        token = 'operator'
        break
      }
      case COLON: {
        at += 2
        if (classAt(text, start + 1) !== COLON || classAt(text, at) === COLON || text.charCodeAt(at) === 0x3d)
          return undefined
        token = 'operator'
        break
      }
      case DOT: {
        at++
        const next = classAt(text, at)
        if (next !== WORD && next !== DOUBLE_QUOTE && text.charCodeAt(at) !== 0x2a) return undefined
        token = 'operator'
        break
      }
      case PUNCTUATION: {
        at++
        // One statement: after a semicolon there is only space.
        if (text.charCodeAt(start) === 0x3b && !blank(text, at)) return undefined
        token = 'operator'
        break
      }
      default:
        return undefined
    }
    if (token !== 'word' && token !== 'quoted' && token !== 'operator') {
      shape += text.slice(copied, start) + placeholders[token]
      copied = at
    }
    tokens?.push({ kind: token, start, end: at })
    before = token
  }
  return copied === 0 ? undefined : shape + text.slice(copied)
}

/** The class of a character; 0 for one that isn't looked at here, and past the end. */
function classAt(text: string, at: number): number {
  const code = text.charCodeAt(at)
  // Past the end the code is NaN.
  return code < 128 ? classes[code]! : 0
}

function afterWord(text: string, from: number): number {
  let at = from
  for (;;) {
    const kind = classAt(text, at)
    if (kind !== WORD && kind !== DIGIT) return at
    at++
  }
}

function afterDigits(text: string, from: number): number {
  let at = from
  while (classAt(text, at) === DIGIT) at++
  return at
}

/** Past the closing quote; -1 where there is none, or anything in it that isn't printable ASCII, or a backslash. */
function afterString(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x27) {
      if (text.charCodeAt(at + 1) !== 0x27) return at + 1
      at++
    } else if (code < 0x20 || code > 0x7e || code === 0x5c) return -1
  }
  return -1
}

/** Past the closing quote of a name; -1 where it is empty, has a quote in it, or is too long for the server. */
function afterQuoted(text: string, from: number): number {
  for (let at = from; at < text.length && at - from <= 63; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x22) return at > from && text.charCodeAt(at + 1) !== 0x22 ? at + 1 : -1
    if (code < 0x20 || code > 0x7e) return -1
  }
  return -1
}

/** Whether what ends here is followed at once by what might belong to it. */
function touchesLiteral(text: string, at: number, allowed = SPACE): boolean {
  if (at >= text.length) return false
  const kind = classAt(text, at)
  return kind !== allowed && kind !== SPACE && kind !== OPERATOR && kind !== PUNCTUATION && kind !== COLON
}

const largest = { int4: '2147483647', int8: '9223372036854775807' }

/** As the scanner tells integers from what the parser will see as bigint or numeric; a sign is never part of it. */
function integerKind(text: string, start: number, end: number): 'int4' | 'int8' | 'numeric' {
  const fits = (type: 'int4' | 'int8') => {
    const { length } = largest[type]
    return end - start < length || (end - start === length && text.slice(start, end) <= largest[type])
  }
  return fits('int4') ? 'int4' : fits('int8') ? 'int8' : 'numeric'
}

function blank(text: string, from: number): boolean {
  for (let at = from; at < text.length; at++) if (classAt(text, at) !== SPACE) return false
  return true
}
