import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { lexSql } from './sql-lexer.ts'

const shape = (text: string) =>
  lexSql(text)
    .filter((token) => token.kind !== 'space')
    .map((token) => `${token.kind}${token.unterminated ? '!' : ''} ${token.text}`)

describe('SQL is split as PostgreSQL splits it', () => {
  test.each<[string, string[]]>([
    ['SELECT 1', ['keyword SELECT', 'number 1']],
    ["'it''s'", ["string 'it''s'"]],
    ["'a\\' OR 1", ["string 'a\\'", 'keyword OR', 'number 1']],
    ["E'a\\' OR 1'", ["string E'a\\' OR 1'"]],
    ["E'a'\n'b\\'c'", ["string E'a'", "string 'b\\'c'"]],
    ["E'a'\n--x\n 'b\\'c'", ["string E'a'", 'comment --x', "string 'b\\'c'"]],
    ["E'a' 'b\\'c'", ["string E'a'", "string 'b\\'", 'name c', "string! '"]],
    ['U&\'\\0041\' U&"d\\0061"', ["string U&'\\0041'", 'quoted-name U&"d\\0061"']],
    ["B'01' x'ff' N'n'", ["string B'01'", "string x'ff'", "string N'n'"]],
    ['$$ it\'s $1 "x" $$', ['string $$ it\'s $1 "x" $$']],
    ['$a$ $$ $b$ $a$;', ['string $a$ $$ $b$ $a$', 'punctuation ;']],
    ['a$b$c', ['name a$b$c']],
    ['$1 = $23', ['parameter $1', 'operator =', 'parameter $23']],
    ['x$1', ['name x$1']],
    ['"DELETE" "a""b"', ['quoted-name "DELETE"', 'quoted-name "a""b"']],
    ['/* a /* b */ c */ 1', ['comment /* a /* b */ c */', 'number 1']],
    ['1 -- to the end\n2', ['number 1', 'comment -- to the end', 'number 2']],
    ['a --\r2', ['name a', 'comment --', 'number 2']],
    ['1+--x', ['number 1', 'operator +', 'comment --x']],
    ['a*/*c*/b', ['name a', 'operator *', 'comment /*c*/', 'name b']],
    ['a=-1', ['name a', 'operator =', 'operator -', 'number 1']],
    ['a @-1', ['name a', 'operator @-', 'number 1']],
    ["a->>'b'", ['name a', 'operator ->>', "string 'b'"]],
    ['a::text := 1', ['name a', 'punctuation ::', 'name text', 'punctuation :=', 'number 1']],
    ['1_000 0xFF_00 0b1 0o7 1.5e-3 .5 1.', '1_000|0xFF_00|0b1|0o7|1.5e-3|.5|1.'.split('|').map((n) => `number ${n}`)],
    ['1..10', ['number 1', 'punctuation ..', 'number 10']],
    ['naïve ﬀ', ['name naïve', 'name ﬀ']],
    ["'open", ["string! 'open"]],
    ['"open', ['quoted-name! "open']],
    ['$t$ open $', ['string! $t$ open $']],
    ['/* /* */', ['comment! /* /* */']],
    ['$', ['other $']],
  ])('%s', (text, expected) => {
    expect(shape(text)).toEqual(expected)
  })

  test('nothing is lost or added, whatever the text', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        "'",
        "''",
        "E'",
        '\\',
        '$$',
        '$a$',
        '"',
        '--',
        '/*',
        '*/',
        '\n',
        '\r',
        ' ',
        '$1',
        '.',
        '..',
        'U&',
      ),
      fc.constantFrom('SELECT', 'x', '1', '_', '::', '=', '+', '-', '@', ';', '\u202e', '\0', '😀', '\ud800'),
      fc.string({ unit: 'binary', maxLength: 8 }),
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const text = pieces.join('')
        const tokens = lexSql(text)
        expect(tokens.map((token) => token.text).join('')).toBe(text)
        expect(tokens.every((token) => token.text.length > 0)).toBe(true)
      }),
      { seed: 7, numRuns: 150 },
    )
  })
})
