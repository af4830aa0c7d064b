import fc from 'fast-check'
import { expect, test } from 'vitest'
import { cedarString, lexCedar } from './cedar-lexer.ts'

const kinds = (text: string) =>
  lexCedar(text)
    .filter(({ kind }) => kind !== 'space')
    .map(({ kind, text }) => `${kind} ${text}`)

test.each([
  ['@hold("a, b")', ['annotation @hold', 'punctuation (', 'string "a, b"', 'punctuation )']],
  ['permit // all', ['effect permit', 'comment // all']],
  ['Shop::Agent::"a\\"b"', ['type Shop', 'operator ::', 'type Agent', 'operator ::', 'string "a\\"b"']],
  ['context.when == 12', ['keyword context', 'punctuation .', 'name when', 'operator ==', 'number 12']],
  ['"// no comment"', ['string "// no comment"']],
  [
    'unless { context has approval };',
    [
      ...['keyword unless', 'punctuation {', 'keyword context', 'keyword has', 'name approval', 'punctuation }'],
      'punctuation ;',
    ],
  ],
  ['a /* b', ['name a', 'other /', 'operator *', 'name b']],
] as const)('%s', (text, wanted) => expect(kinds(text)).toEqual(wanted))

test('whatever is given comes out again', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 60 }).map((codes) => String.fromCharCode(...codes)),
        fc
          .array(fc.constantFrom('"', '\\', '//', '\n', '@', 'permit', ' ', '::', 'Agent', ';', '{'), { maxLength: 40 })
          .map((parts) => parts.join('')),
      ),
      (text) => {
        expect(
          lexCedar(text)
            .map((token) => token.text)
            .join(''),
        ).toBe(text)
      },
    ),
    { seed: 6, numRuns: 150 },
  )
})

test('strings: escapes are resolved, what has no end is said', () => {
  expect(cedarString('"a\\"\\n\\u{1F600}\\x41\\\\"')).toBe('a"\n\u{1F600}A\\')
  expect(lexCedar('"open').at(0)).toMatchObject({ kind: 'string', unterminated: true })
})
