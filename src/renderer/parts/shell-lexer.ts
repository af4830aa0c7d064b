/**
 * Splits a command line into tokens by the lexical rules of a POSIX shell (XCU 2.2 to 2.3), for colouring only: the
 * gateway decides by its own reading. Whatever is given comes out again: the tokens' texts joined are the text.
 */

/** `operator`: what makes a shell do more than run a program; `expansion`: what it puts something else in the place of. */
export type ShellTokenKind = 'space' | 'program' | 'word' | 'string' | 'operator' | 'expansion' | 'comment'

export interface ShellToken {
  readonly kind: ShellTokenKind
  readonly text: string
}

const expansion = /\$\{[^}]*\}?|\$\(\(?|\$[A-Za-z_][A-Za-z0-9_]*|\$[0-9@*#?$!-]|\$|`/y
const patterns: readonly (readonly [ShellTokenKind, RegExp])[] = [
  ['space', /[ \t\r]+/y],
  ['operator', /\n|&&|\|\||;;&?|<<-?|>>|>\||<>|[0-9]*[<>]&?|[;&|(){}!]/y],
  ['string', /'[^']*(?:'|$)/y],
  ['string', /"/y],
  ['expansion', expansion],
  ['expansion', /[*?[\]~]/y],
  ['comment', /#[^\n]*/y],
  ['word', /(?:\\[\s\S]?|[^\s'"\\$`;&|(){}<>*?[\]~!])+/y],
]
/** Within double quotes, where only some things mean more than themselves. */
const quotedPatterns: readonly (readonly [ShellTokenKind, RegExp])[] = [
  ['string', /(?:\\[\s\S]?|[^"\\$`])*"?/y],
  ['expansion', expansion],
]

/** Tokens of a command line. Never throws. */
export function lexShell(text: string): ShellToken[] {
  const tokens: ShellToken[] = []
  let at = 0
  let quoted = false
  /** Whether a command begins here: what comes next is its program. */
  let begins = true
  /** Whether what came before ends a word: only there `#` begins a comment. */
  let apart = true
  while (at < text.length) {
    const { kind, piece } = next(quoted ? quotedPatterns : patterns, text, at, apart)
    at += piece.length
    if (quoted ? kind === 'string' && piece.endsWith('"') && !/(?:^|[^\\])(?:\\\\)*\\"$/.test(piece) : piece === '"')
      quoted = !quoted
    const program = begins && (kind === 'word' || kind === 'string')
    // `A=1 id`: the program comes after.
    const assigns = program && kind === 'word' && /^[A-Za-z_][A-Za-z0-9_]*=/.test(piece)
    tokens.push({ kind: program && kind === 'word' && !assigns ? 'program' : kind, text: piece })
    if (kind === 'operator') begins = !/[<>]/.test(piece)
    else if (kind === 'expansion' && (piece.startsWith('$(') || piece === '`')) begins = true
    else if (kind !== 'space' && !assigns) begins = false
    apart = kind === 'space' || kind === 'operator'
  }
  return tokens
}

function next(
  among: typeof patterns,
  text: string,
  at: number,
  apart: boolean,
): { kind: ShellTokenKind; piece: string } {
  for (const [kind, pattern] of among) {
    if (kind === 'comment' && !apart) continue
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (found && found[0] !== '') return { kind, piece: found[0] }
  }
  return { kind: 'word', piece: text[at]! }
}
