import fc from 'fast-check'
import { expect, test } from 'vitest'
import { lexShell } from './shell-lexer.ts'

const short = { program: 'p', word: 'w', string: 's', operator: 'o', expansion: 'e', comment: 'c', space: '' }
const told = (text: string) =>
  lexShell(text)
    .filter(({ kind }) => kind !== 'space')
    .map(({ kind, text: piece }) => `${short[kind]} ${piece}`)

test.each<[string, string[]]>([
  ['systemctl restart shop', ['p systemctl', 'w restart', 'w shop']],
  ["grep -c 'a b' x", ['p grep', 'w -c', "s 'a b'", 'w x']],
  ['a && b | c; d', ['p a', 'o &&', 'p b', 'o |', 'p c', 'o ;', 'p d']],
  ['A=1 id', ['w A=1', 'p id']],
  ['echo $HOME "$x y" z', ['p echo', 'e $HOME', 's "', 'e $x', 's  y"', 'w z']],
  [
    '[ "$f" = a ] || rm "$f"; id',
    ['e [', 's "', 'e $f', 's "', 'w =', 'w a', 'e ]', 'o ||', 'p rm', 's "', 'e $f', 's "', 'o ;', 'p id'],
  ],
  ['echo "a\\"b" c', ['p echo', 's "', 's a\\"b"', 'w c']],
  ['echo "" "a\\\\" b', ['p echo', 's "', 's "', 's "', 's a\\\\"', 'w b']],
  ['rm -rf /srv/*', ['p rm', 'w -rf', 'w /srv/', 'e *']],
  ['ls > /tmp/x 2>&1', ['p ls', 'o >', 'w /tmp/x', 'o 2>&', 'w 1']],
  ['id # why', ['p id', 'c # why']],
  ['echo a#b', ['p echo', 'w a#b']],
  ["echo 'open", ['p echo', "s 'open"]],
  ['echo \\', ['p echo', 'w \\']],
  ['a\nb', ['p a', 'o \n', 'p b']],
  ['echo $(id) \x24{x}', ['p echo', 'e $(', 'p id', 'o )', 'e \x24{x}']],
])('%s', (text, expected) => expect(told(text)).toEqual(expected))

test('whatever is given comes out again', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      "'",
      '"',
      '\\',
      '$',
      '`',
      '#',
      '\n',
      ' ',
      '{',
      '}',
      '${',
      '$(',
      '>>',
      '&&',
      '*',
      '~',
      'é',
      '\u202e',
      '0',
    ),
    fc.string(),
  )
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const text = pieces.join('')
      expect(
        lexShell(text)
          .map((token) => token.text)
          .join(''),
      ).toBe(text)
    }),
    { numRuns: 1000, seed: 22 },
  )
})

test('a long line takes no longer than its length', () => {
  for (const piece of ["'", '"', '$(', '${', '`', '\\', '#', '"$'])
    expect(lexShell(piece.repeat(40_000)).length).toBeGreaterThan(0)
})
