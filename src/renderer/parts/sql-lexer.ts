/**
 * Splits SQL into tokens by PostgreSQL's lexical rules (src/backend/parser/scan.l, PostgreSQL 18), for colouring only:
 * the gateway decides by PostgreSQL's own parser. Whatever is given comes out again: the tokens' texts joined are the
 * text. Strings are read with standard_conforming_strings on, which the gateway enforces.
 */

export type SqlTokenKind =
  | 'space'
  | 'comment'
  | 'string'
  | 'number'
  | 'keyword'
  | 'name'
  | 'quoted-name'
  | 'parameter'
  | 'operator'
  | 'punctuation'
  | 'other'

export interface SqlToken {
  readonly kind: SqlTokenKind
  readonly text: string
  /** A string, quoted name or comment that the text ends inside of. */
  readonly unterminated?: true
}

/** Words shown as keywords: the reserved ones, and the others that give a statement its shape. */
const KEYWORDS = new Set(
  `abort all alter analyse analyze and any array as asc asymmetric authorization begin between both by call cascade case cast
  check close cluster collate column comment commit concurrently conflict constraint copy create cross current_catalog
  current_date current_role current_schema current_time current_timestamp current_user cursor database deallocate declare
  default deferrable delete desc discard distinct do drop else end escape except exclude execute exists explain extension
  false fetch filter following for foreign freeze from full function grant group grouping having ilike in index initially
  inner insert intersect into is isnull join key lateral leading left like limit listen load local localtime localtimestamp
  lock locked materialized matched merge move natural no not nothing notify notnull null nulls of offset on only or order
  outer over overlaps partition placing preceding prepare primary procedure reassign recursive references refresh reindex
  release replace reset restrict returning revoke right role rollback row rows savepoint schema select sequence session
  session_user set show similar skip some start symmetric table tablesample temp temporary then to trailing transaction
  trigger true truncate union unique unlisten unlogged update user using vacuum values variadic verbose view when where
  window with within`.split(/\s+/),
)

const SPACE = /[ \t\n\r\f\v]+/y
const LINE_COMMENT = /--[^\n\r]*/y
const NAME = /[A-Za-z_\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*/y
const NUMBER =
  /0[xX](?:_?[0-9A-Fa-f])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|(?:\d(?:_?\d)*(?:\.(?!\.)(?:\d(?:_?\d)*)?)?|\.\d(?:_?\d)*)(?:[eE][+-]?\d(?:_?\d)*)?/y
const PARAMETER = /\$\d+/y
const DOLLAR_TAG = /\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$/y
const OPERATOR = /[~!@#^&|`?+\-*/%<>=]+/y
const PUNCTUATION = /::|:=|\.\.|[,()[\].;:]/y
const PREFIX = /[eEbBxXnN](?=')|[uU]&(?=['"])/y
/** White space after which a string goes on: a newline must be in it, and comments may follow that. */
const CONTINUES = /[ \t\f\v]*[\n\r](?:[ \t\n\r\f\v]|--[^\n\r]*[\n\r])*(?=')/y

/** All tokens of `text`, in order; the texts joined equal `text`. Never throws. */
export function lexSql(text: string): SqlToken[] {
  const tokens: SqlToken[] = []
  let at = 0
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    return pattern.exec(text)?.[0]
  }
  const push = (kind: SqlTokenKind, end: number, whole = true) => {
    const token = { kind, text: text.slice(at, end) }
    tokens.push(whole ? token : { ...token, unterminated: true })
    at = end
  }
  const take = (kind: SqlTokenKind, pattern: RegExp, cut = (run: string) => run.length): boolean => {
    const found = match(pattern)
    if (found !== undefined) push(kind, at + cut(found))
    return found !== undefined
  }
  const upTo = (kind: SqlTokenKind, end: number | undefined) => push(kind, end ?? text.length, end !== undefined)
  while (at < text.length) {
    const prefix = match(PREFIX) ?? ''
    const dollar = match(DOLLAR_TAG)
    const name = match(NAME)
    if (take('space', SPACE) || take('comment', LINE_COMMENT)) continue
    if (text.startsWith('/*', at)) upTo('comment', endOfBlockComment(text, at))
    else if (text[at + prefix.length] === "'") string(/^e$/i.test(prefix), prefix.length)
    else if (text[at + prefix.length] === '"')
      upTo('quoted-name', endOfQuoted(text, at + prefix.length + 1, '"', false))
    else if (name !== undefined) push(KEYWORDS.has(name.toLowerCase()) ? 'keyword' : 'name', at + name.length)
    else if (take('parameter', PARAMETER)) continue
    else if (dollar !== undefined) {
      const end = text.indexOf(dollar, at + dollar.length)
      upTo('string', end < 0 ? undefined : end + dollar.length)
    } else if (take('number', NUMBER) || take('operator', OPERATOR, operatorLength)) continue
    else if (!take('punctuation', PUNCTUATION)) push('other', at + 1)
  }
  return tokens

  /** A string with its continuations: E'a' newline 'b\'' is one string, and its second part knows backslashes too. */
  function string(backslashes: boolean, prefix: number) {
    let end = endOfQuoted(text, at + prefix + 1, "'", backslashes)
    upTo('string', end)
    for (let gap = match(CONTINUES); end !== undefined && gap !== undefined; gap = match(CONTINUES)) {
      const stop = at + gap.length
      while (at < stop) if (!take('space', SPACE)) take('comment', LINE_COMMENT)
      end = endOfQuoted(text, at + 1, "'", backslashes)
      upTo('string', end)
    }
  }
}

function endOfQuoted(text: string, from: number, quote: string, backslashes: boolean): number | undefined {
  for (let i = from; i < text.length; i += 1) {
    if (backslashes && text[i] === '\\') i += 1
    else if (text[i] === quote) {
      if (text[i + 1] !== quote) return i + 1
      i += 1
    }
  }
  return undefined
}

function endOfBlockComment(text: string, from: number): number | undefined {
  let depth = 0
  for (let i = from; i < text.length; i += 1) {
    if (text.startsWith('/*', i)) {
      depth += 1
      i += 1
    } else if (text.startsWith('*/', i)) {
      depth -= 1
      i += 1
      if (depth === 0) return i + 1
    }
  }
  return undefined
}

/** A comment ends an operator, and a trailing + or - belongs to what follows unless the operator is an unusual one. */
function operatorLength(run: string): number {
  let length = run.length
  for (const start of ['--', '/*']) {
    const cut = run.indexOf(start)
    if (cut > 0) length = Math.min(length, cut)
  }
  if (!/[~!@#^&|`?%]/.test(run.slice(0, length))) {
    while (length > 1 && /[+-]/.test(run[length - 1]!)) length -= 1
  }
  return length
}
