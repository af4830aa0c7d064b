import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readPolicyTexts } from './load.ts'
import { overlayFile } from './overlay-text.ts'
import { checkShape, type ShapeCheck, shapeOf } from './shape-check.ts'

const direct = (text: string) => {
  const read = readPolicyTexts([{ file: overlayFile('new'), text }])
  return read.ok ? { problems: [], warnings: read.files.warnings } : { problems: read.problems, warnings: [] }
}
/** Without the mend: of several names that are alike the validator proposes any. */
const said = ({ problems, warnings }: ShapeCheck) =>
  [problems, warnings].map((all) => all.map(({ line, message }) => [line, message]))
const forbid = (agent: string, when = '') =>
  `forbid (principal == Agent::"${agent}", action == Action::"sql:read", resource in Connection::"orders")${when};`

describe('a shape', () => {
  it('is the same of policies that differ in ids alone', () => {
    expect(shapeOf(forbid('a'))).toBe(shapeOf(forbid('https://b.test#c')))
  })
  it.each<[what: string, one: string, other: string]>([
    ['an action', forbid('a'), forbid('a').replace('sql:read', 'sql:write')],
    ['a string', forbid('a', ' when { context.purpose == "x" }'), forbid('a', ' when { context.purpose == "y" }')],
    [
      'code between strings that look like entities',
      forbid('a', ' when { context.purpose == "Agent::" && context.purpose == "b" }'),
      forbid('a', ' when { context.purpose == "Agent::" && context.nothing == "b" }'),
    ],
    [
      'code behind a comment',
      forbid('a', ' // Agent::"\n when { context.purpose == "b" }'),
      forbid('a', ' // Agent::"\n when { context.nothing == "b" }'),
    ],
    ['a type', forbid('a'), forbid('a').replace('Connection::', 'Table::')],
    ['an annotation', `@hold("a") ${forbid('a')}`, `@hold("b") ${forbid('a')}`],
    ['an id that may be none', forbid('a'), forbid('a\\q')],
  ])('tells %s apart', (_what, one, other) => {
    expect(shapeOf(one)).not.toBe(shapeOf(other))
  })
})

it('is checked as the text is', () => {
  const piece = fc.constantFrom(
    ...['"', '"x"', 'Agent::', 'Agent::"a"', 'Agent::"b\\"c"', 'Action::"sql:read"', 'Action::"nothing"', 'Group::"g"'],
    ...[
      'context.purpose',
      'context.nothing',
      '==',
      '&&',
      'when {',
      '}',
      ';',
      '//',
      '\n',
      ' ',
      'like',
      'principal',
      'in',
    ],
  )
  const text = fc.oneof(
    fc.array(piece, { maxLength: 12 }).map((parts) => forbid('a', ` when { ${parts.join(' ')} }`)),
    fc
      .tuple(fc.constantFrom('a', 'b', 'c#d', 'e\\"f', '\\u{61}'), piece)
      .map(([id, one]) => forbid(id, ` when { ${one} == ${one} }`)),
  )
  fc.assert(
    fc.property(text, (policy) => {
      expect(said(checkShape(policy))).toEqual(said(direct(policy)))
    }),
    { seed: 6, numRuns: 120 },
  )
})
