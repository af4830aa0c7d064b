import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { Harmless } from '../../../harmless.ts'
import { createEmulator, written } from './emulator.ts'
import { difference, learnCharsets, screenOf } from './screen.ts'

const E = '\x1b'
beforeAll(learnCharsets)

/** What is another in a terminal that got `text`, and in one that was brought there by its screen; before and after `more`. */
async function compared(text: string, more = '', cols = 20, rows = 6) {
  using straight = made(cols, rows)
  using restored = made(cols, rows)
  await written(straight.terminal, text)
  await written(restored.terminal, screenOf(straight.terminal))
  const at = difference(straight.terminal, restored.terminal)
  await written(straight.terminal, more)
  await written(restored.terminal, more)
  return { at, later: difference(straight.terminal, restored.terminal) }
}

function made(cols: number, rows: number) {
  const terminal = createEmulator(cols, rows)
  return { terminal, [Symbol.dispose]: () => terminal.dispose() }
}

const more = `z${E}[B\r\nmore ${E}8text\t|\u0301q${E}[3b${'w'.repeat(30)}`

test.each<[string, string]>([
  ['nothing', ''],
  ['words', 'hello\r\nworld'],
  ['a full row, the cursor waiting behind it', 'a'.repeat(20)],
  ['a full row, and a colour after it', `${'a'.repeat(20)}${E}[31m`],
  ['a wide character at the end of a row', `${'a'.repeat(18)}漢`],
  ['a wide character that did not fit', `${'a'.repeat(19)}漢`],
  ['lines that wrap', 'b'.repeat(55)],
  ['lines that wrap and have scrolled away', `${'c'.repeat(150)}`],
  ['wrapped lines, partly erased', `${'d'.repeat(45)}${E}[1;15H${E}[K${E}[2;3H${E}[1K`],
  [
    'colours of every kind',
    `${E}[31ma${E}[92mb${E}[38;5;3mc${E}[38;5;200md${E}[38;2;1;2;3me${E}[48;2;9;8;7mf${E}[103mg`,
  ],
  ['weights', `${E}[1ma${E}[2mb${E}[3mc${E}[4md${E}[7me${E}[9mf${E}[53mg${E}[22;24mh`],
  ['underlines', `${E}[4:3ma${E}[58:2::1:2:3mb${E}[58:5:7mc${E}[59md${E}[24me${E}[0mf`],
  ['ground without words', `${E}[44m${E}[2J${E}[3;4H${E}[45m${E}[5X${E}[0mx`],
  ['a colour that scrolled in', `${E}[41m${'\r\n'.repeat(9)}x`],
  ['a scroll region', `${E}[2;4r${E}[3;1Hinside`],
  ['origin mode within it', `${E}[2;4r${E}[?6h${E}[2;3Hinside`],
  ['tabs of one’s own', `${E}[3g${E}[1;4H${E}H${E}[1;9H${E}H\rx\ty`],
  ['a saved cursor', `abc${E}[3;5H${E}[31m${E}7${E}[0m${E}[1;1Hx`],
  ['a saved cursor with line drawing', `${E}(0${E}7${E}(Bx`],
  ['line drawing', `${E}(0lqqk${E}(Bplain${E}(0q`],
  ['G1, shifted out', `${E})0\x0eqqq`],
  ['a character set that was restored', `${E}(0${E}7${E}(B${E}8`],
  ['insert mode', `abc\r${E}[4hx`],
  ['no wrapping', `${E}[?7l${'a'.repeat(25)}`],
  ['reverse wrapping', `${'a'.repeat(21)}${E}[?45h\b\b`],
  ['a hidden cursor', `${E}[?25l`],
  ['a cursor of another form', `${E}[4 q`],
  ['line feeds that begin lines', `${E}[20ha\nb`],
  ['the other screen', `first${E}[?1049h${E}[2;2Hsecond${E}[33m`],
  ['the other screen, left again', `first${E}[?1049hsecond${E}[?1049l`],
  ['the other screen with a region, on one with another', `${E}[2;3r${E}[2;1Hab${E}[?47h${E}[1;4r${E}[3;3Hcd`],
  ['a saved cursor of a screen that was left', `${E}[?47h${E}[4;4H${E}7${E}[?47lx`],
  ['combined characters', 'e\u0301a\u0308\u0304'],
  ['one that waits for a combining mark', 'e'],
  ['protected characters', `${E}[1"qsafe${E}["qnot${E}[?K`],
  ['an alignment test', `${E}#8`],
  ['half of a wide character', `漢字${E}[1;2Hx`],
])('a terminal is brought by its screen to where it was: %s', async (_name, text) => {
  expect(await compared(text, more)).toEqual({ at: undefined, later: undefined })
})

const piece = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: fc.constantFrom(...'abcdefgh ~q\u0301漢😀é'), maxLength: 30 }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom('\r\n', '\r', '\n', '\b', '\t', `${E}M`, `${E}D`, `${E}7`, `${E}8`, `${E}c`),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom(...'ABCDGHJKLMPSTXd@r`bfg'), fc.array(fc.nat(22), { maxLength: 2 }))
      .map(([final, counts]) => `${E}[${counts.join(';')}${final}`),
  },
  {
    weight: 2,
    arbitrary: fc
      .array(fc.constantFrom(0, 1, 4, 7, 31, 44, 92, 103, '38;5;9', '48;2;1;2;3', '4:3'), { maxLength: 3 })
      .map((codes) => `${E}[${codes.join(';')}m`),
  },
  fc
    .tuple(fc.constantFrom('?6', '?7', '?25', '?45', '?47', '?1047', '?1049', '4', '20'), fc.constantFrom('h', 'l'))
    .map(([mode, on]) => `${E}[${mode}${on}`),
  fc.constantFrom(`${E}(0`, `${E}(B`, `${E})0`, '\x0e', '\x0f', `${E}H`, `${E}[3g`, `${E}[1"q`, `${E}["q`),
)
const output = fc.array(piece, { minLength: 1, maxLength: 40 }).map((pieces) => pieces.join(''))

test('where no difference is seen, both go on alike; and hardly ever is there one', async () => {
  let exact = 0
  let all = 0
  const seen = new Map<string, number>()
  await fc.assert(
    fc.asyncProperty(output, output, fc.constantFrom([20, 6], [7, 3], [40, 12]), async (text, then, [cols, rows]) => {
      const filter = new Harmless()
      const { at, later } = await compared(filter.write(text), filter.write(then), cols, rows)
      all += 1
      if (at === undefined) {
        exact += 1
        expect(later).toBeUndefined()
      } else seen.set(at.replace(/\d+/g, 'n'), (seen.get(at.replace(/\d+/g, 'n')) ?? 0) + 1)
    }),
    { numRuns: process.env.SHOW ? 1500 : 250, seed: 3 },
  )
  if (process.env.SHOW) console.log(exact / all, seen)
  expect(exact / all).toBeGreaterThan(0.9)
})
