import { expect, test } from 'vitest'
import type { TerminalFrame } from '../../../../terminal-api.ts'
import { colouredRuns, plain } from './coloured.ts'
import { clippedTo, piecesOf } from './pieces.ts'

const said = (
  seq: number,
  text: string,
  more: Partial<Extract<TerminalFrame, { type: 'output' }>> = {},
): TerminalFrame => ({ type: 'output', t: seq, seq, stream: 'stdout', text, ...more })

test('what one stream says in a row is one piece; errors, and what the gateway says, are others', () => {
  const frames: TerminalFrame[] = [
    said(1, 'a'),
    { type: 'input', t: 1, seq: 2, text: 'x' },
    said(3, 'b\n', { masked: ['email'] }),
    said(4, 'oh\n', { stream: 'stderr' }),
    said(5, 'countersign: held\n', { stream: 'stderr', notice: true }),
    said(6, 'c'),
  ]
  expect(piecesOf(frames)).toEqual([
    { key: '1', by: 'stdout', text: 'ab\n', masked: ['email'] },
    { key: '4', by: 'stderr', text: 'oh\n', masked: [] },
    { key: '5', by: 'gateway', text: 'countersign: held\n', masked: [] },
    { key: '6', by: 'stdout', text: 'c', masked: [] },
  ])
})

test.each<[string, number, string[], [string, boolean][]]>([
  ['fewer lines', 3, ['a\nb\n'], [['a\nb\n', false]]],
  ['as many', 2, ['a\nb\n'], [['a\nb\n', false]]],
  ['as many without an end', 2, ['a\nb'], [['a\nb', false]]],
  ['more', 2, ['a\nb\nc'], [['a\nb\n', true]]],
  ['more in another piece', 2, ['a\nb\n', 'c\n'], [['a\nb\n', true]]],
  [
    'over two pieces',
    2,
    ['a\n', 'b\nc\n'],
    [
      ['a\n', false],
      ['b\n', true],
    ],
  ],
  ['nothing', 2, [], []],
])('clipped: %s', (_name, most, texts, expected) => {
  const pieces = texts.map((text, i) => ({
    key: String(i),
    by: i % 2 ? ('stderr' as const) : ('stdout' as const),
    text,
    masked: [],
  }))
  expect(clippedTo(most, pieces).map(({ text, clipped = false }) => [text, clipped])).toEqual(expected)
})

test('colours are kept, other sequences stay in the text, and what a colour was goes on', () => {
  const { runs, end } = colouredRuns('\x1b[1;31mred\x1b[0m \x1b]0;title\x07\x1b[38;5;12mblue')
  expect(runs.map(({ text, ink, bold }) => [text, ink, bold])).toEqual([
    ['red', 1, true],
    [' \x1b]0;title\x07', undefined, false],
    ['blue', 12, false],
  ])
  expect(end).toEqual({ ...plain, ink: 12 })
  expect(colouredRuns('more', end).runs).toEqual([{ text: 'more', ...plain, ink: 12 }])
  expect(colouredRuns('\x1b[8mhidden\x1b[38;2;8;8;8m no', plain).runs.map(({ text }) => text)).toEqual([
    'hidden',
    ' no',
  ])
})
