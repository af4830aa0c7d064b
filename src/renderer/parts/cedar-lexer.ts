/**
 * Splits Cedar into tokens by its grammar (docs.cedarpolicy.com, "Policy grammar", 4.x), for colouring only: the gateway
 * decides by Cedar's own parser. Whatever is given comes out again: the tokens' texts joined are the text.
 */

export type CedarTokenKind =
  | 'space'
  | 'comment'
  | 'annotation'
  | 'string'
  | 'number'
  | 'effect'
  | 'keyword'
  | 'type'
  | 'name'
  | 'operator'
  | 'punctuation'
  | 'other'

export interface CedarToken {
  readonly kind: CedarTokenKind
  readonly text: string
  /** A string that its line or the text ends inside of. */
  readonly unterminated?: true
}

const EFFECTS = new Set(['permit', 'forbid'])
const KEYWORDS = new Set(
  'when unless principal action resource context true false if then else in like has is'.split(' '),
)

const SPACE = /[\s\u0085\u200e\u200f]+/y
const COMMENT = /\/\/[^\r\n]*/y
const ANNOTATION = /@[A-Za-z_][A-Za-z0-9_]*/y
const STRING = /"(?:[^"\\]|\\[\s\S])*("?)/y
const NAME = /[A-Za-z_][A-Za-z0-9_]*/y
const NUMBER = /\d+/y
const OPERATOR = /==|!=|<=|>=|&&|\|\||::|[<>!+\-*]/y
const PUNCTUATION = /[()[\]{},;.:?]/y
/** What follows a name that is part of an entity's: Agent::"x", Namespace::Type::"x". */
const PATH = /\s*::/y

/** All tokens of `text`, in order; the texts joined equal `text`. Never throws. */
export function lexCedar(text: string): CedarToken[] {
  const tokens: CedarToken[] = []
  let at = 0
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    return pattern.exec(text)
  }
  const push = (kind: CedarTokenKind, length: number, whole = true) => {
    const token = { kind, text: text.slice(at, at + length) }
    tokens.push(whole ? token : { ...token, unterminated: true })
    at += length
  }
  const take = (kind: CedarTokenKind, pattern: RegExp): boolean => {
    const found = match(pattern)
    if (found) push(kind, found[0].length)
    return found !== null
  }
  while (at < text.length) {
    if (take('space', SPACE) || take('comment', COMMENT) || take('annotation', ANNOTATION)) continue
    const string = match(STRING)
    const name = match(NAME)?.[0]
    if (string) push('string', string[0].length, string[1] === '"')
    else if (name !== undefined) push(kindOf(name, at + name.length), name.length)
    else if (!take('number', NUMBER) && !take('operator', OPERATOR) && !take('punctuation', PUNCTUATION))
      push('other', 1)
  }
  return tokens

  function kindOf(name: string, end: number): CedarTokenKind {
    PATH.lastIndex = end
    if (PATH.test(text)) return 'type'
    const last = tokens.findLast(({ kind }) => kind !== 'space' && kind !== 'comment')
    // An attribute may be called like a keyword.
    if (last?.text === '.') return 'name'
    if (EFFECTS.has(name)) return 'effect'
    return KEYWORDS.has(name) ? 'keyword' : 'name'
  }
}

/** The value of a string token: what stands between its quotes, escapes resolved. */
export function cedarString(token: string): string {
  return token
    .slice(1, token.endsWith('"') && token.length > 1 ? -1 : undefined)
    .replaceAll(/\\(?:u\{([0-9a-fA-F]{1,6})\}|x([0-9a-fA-F]{2})|([\s\S]))/g, (_, code, byte, plain) => {
      if (code !== undefined || byte !== undefined) {
        const point = Number.parseInt(code ?? byte, 16)
        return point <= 0x10ffff ? String.fromCodePoint(point) : '\ufffd'
      }
      return { n: '\n', r: '\r', t: '\t', '0': '\0' }[plain as string] ?? plain
    })
}
