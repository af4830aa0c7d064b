import xterm from '@xterm/headless'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Harmless, screenOf } from './harmless.ts'

const E = '\x1b'
const harmless = (text: string) => new Harmless().write(text)

test.each<[string, string, string]>([
  ['text, and what moves in a line', 'a\tb\bc\r\nd\x0e\x0f', 'a\tb\bc\r\nd\x0e\x0f'],
  ['a bell, NUL and DEL are left out', 'a\x07\x00\x7fb', 'ab'],
  ['colours pass', `${E}[1;31mred${E}[0m${E}[m`, `${E}[1;31mred${E}[0m${E}[m`],
  ['concealed words are shown', `${E}[8msecret${E}[28m`, `secret${E}[28m`],
  ['concealed among others, with zeros before it', `${E}[1;08;5;4m`, `${E}[1;4m`],
  ['the 8 and 5 of a colour are its own', `${E}[38;5;8;48;2;8;5;6m`, `${E}[38;5;8;48;2;8;5;6m`],
  ['a colour that isn’t whole hides nothing', `${E}[38;8m`, ''],
  ['a colour that a terminal takes to end early, and what follows to conceal', `${E}[38;2;0:1;8;8mx`, 'x'],
  ['marks without end on one letter', `a${'\u0301'.repeat(5000)}b\u0301`, `a${'\u0301'.repeat(8)}b\u0301`],
  ['colours with colons', `${E}[38:2::1:2:8m`, `${E}[38:2::1:2:8m`],
  ['a title', `a${E}]0;rm -rf\x07b`, 'ab'],
  ['a title ended by ST', `a${E}]2;x${E}\\b`, 'ab'],
  ['a clipboard', `${E}]52;c;ZWNobw==\x07`, ''],
  ['a link keeps its words', `${E}]8;;http://evil${E}\\here${E}]8;;${E}\\`, 'here'],
  ['colours of the palette', `${E}]4;0;#fff\x07${E}]11;#000${E}\\`, ''],
  ['a device control string', `${E}P$q"p${E}\\x`, 'x'],
  ['an application command, a privacy message', `${E}_Gi=1;AAAA${E}\\${E}^x${E}\\y`, 'y'],
  ['a string that never ends', `${E}Pq${'A'.repeat(1000)}`, ''],
  ['questions that terminals answer', `${E}[c${E}[>c${E}[6n${E}[?6n${E}[18t${E}[?1$p${E}Z`, ''],
  ['the window', `${E}[8;1;1t${E}[3;0;0t`, ''],
  ['the mouse, focus, pasting, synchronised output', `${E}[?1000;1002;1006h${E}[?1004h${E}[?2004h${E}[?2026h`, ''],
  ['of several modes those that draw', `${E}[?1049;1000;25h`, `${E}[?1049;25h`],
  [
    'cursor, screen and scroll region',
    `${E}[2;5H${E}[2J${E}[1;20r${E}7${E}8${E}[?25l`,
    `${E}[2;5H${E}[2J${E}[1;20r${E}7${E}8${E}[?25l`,
  ],
  ['a count beyond any screen', `${E}[2147483647L${E}[999999999b`, `${E}[200L${E}[1000b`],
  ['line drawing', `${E}(0qqq${E}(B`, `${E}(0qqq${E}(B`],
  ['one-character forms', '\x9b31mx\x9d0;t\x9cy\x84', `${E}[31mxy${E}D`],
  ['a line feed within a sequence comes before it', `${E}[3\n1m`, `\n${E}[31m`],
  ['a sequence that is given up', `${E}[31\x18m${E}[3${E}[1mx`, `m${E}[1mx`],
  ['parameters without end', `${E}[${'1;'.repeat(500)}mx`, 'x'],
  ['a prefix in the middle', `${E}[1?25hx`, 'x'],
  ['characters that turn the direction', 'a\u202eb\u2066c\u200fd', 'abcd'],
  ['letters after a sequence that was begun', `${E}[é`, 'é'],
])('%s', (_name, given, expected) => {
  expect(harmless(given)).toBe(expected)
})

test('what isn’t whole waits for the rest', () => {
  const filter = new Harmless()
  expect(filter.write(`a${E}`)).toBe('a')
  expect(filter.begun).toBe(E)
  expect(filter.write('[3')).toBe('')
  expect(filter.write('1mb')).toBe(`${E}[31mb`)
  expect(filter.begun).toBe('')
})

test('marks are as many however they are cut', () => {
  const filter = new Harmless()
  const all = Array.from({ length: 500 }, (_, i) => filter.write(i === 0 ? 'a' : '\u0301')).join('')
  expect(all).toBe(`a${'\u0301'.repeat(8)}`)
})

test.each([
  ...[`${E}[1000S`, `${E}[999T`, `${E}[9999L`, `${E}[1000M`, `a${E}[1000b`, `${E}c`, `${E}[2J`, `${E}#8`],
  ...[`${E}[?1049h${E}[?1049l`, `${E}[1000'}`],
])('what keeps a terminal busy is bounded in one piece, and told: %j', (sequence) => {
  const filter = new Harmless()
  const out = filter.write(sequence.repeat(20_000))
  expect(filter.work).toBeGreaterThan(100_000)
  expect(filter.work).toBeLessThanOrEqual(128 * 1024)
  expect(out.length).toBeLessThan(sequence.length * 20_000)
  // The next piece may again.
  expect(filter.write(sequence)).not.toBe('')
})

test.each([
  ...['', E, `${E}[`, `${E}[1;3`, `${E}[?`, `${E}(`, `${E}]0;title`, `${E}Pq`, `${E}_x`, `\x9d0;`],
  `${E}[${'1;'.repeat(200)}`,
])('where a sequence goes on, another filter can take it up: %j', (begun) => {
  for (const rest of ['8mx', 'Bx', '\x07x', `${E}\\x`, 'é']) {
    const whole = new Harmless()
    const first = whole.write(begun)
    const other = new Harmless()
    expect(other.write(whole.begun)).toBe('')
    expect(first + other.write(rest)).toBe(new Harmless().write(begun + rest))
  }
})

test.each([`${E}]0;`, `${E}P`, `${E}[31;`, `${E}(0`, '\x0e', E])(
  'what the gateway says is drawn as it is, whatever the host began: %j',
  async (begun) => {
    const filter = new Harmless()
    const terminal = new xterm.Terminal({ cols: 40, rows: 3, allowProposedApi: true })
    const text = filter.write(`${E})0${begun}`) + filter.notice('denied')
    await new Promise<void>((resolve) => terminal.write(text, resolve))
    expect(terminal.buffer.active.getLine(0)!.translateToString(true)).toBe('denied')
    terminal.dispose()
  },
)

/** Pieces of which hostile output is made: any of them may stand beside any other. */
const piece = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: 'grapheme', maxLength: 8 }) },
  fc.string({ unit: fc.constantFrom(...'\x1b[]P\\;:?8m<h1500405\x07\x18\x9b\x9c\x9d\x90tcnJH'), maxLength: 24 }),
  fc.constantFrom(
    `${E}[8m`,
    `${E}]0;x`,
    `${E}]52;c;QQ==`,
    `${E}[6n`,
    `${E}[c`,
    `${E}P+q`,
    `${E}[?1003h`,
    `${E}[21t`,
    '\x07',
  ),
)
const output = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''))

test('however it is cut into pieces, the same is left; and what is left is left as it is', () => {
  fc.assert(
    fc.property(output, fc.array(fc.nat(60), { maxLength: 12 }), (text, cuts) => {
      const filter = new Harmless()
      let cut = ''
      let at = 0
      for (const size of cuts) {
        cut += filter.write(text.slice(at, at + size))
        at += size
      }
      cut += filter.write(text.slice(at))
      const whole = harmless(text)
      expect(cut).toBe(whole)
      expect(harmless(whole)).toBe(whole)
    }),
    { numRuns: 2000, seed: 7 },
  )
})

test('a terminal that is given what is left answers nothing, has no title, hides no words', async () => {
  const terminal = new xterm.Terminal({ allowProposedApi: true, cols: 40, rows: 8, scrollback: 20 })
  const said: string[] = []
  for (const [name, on] of [
    ['data', terminal.onData],
    ['binary', terminal.onBinary],
    ['title', terminal.onTitleChange],
  ] as const)
    on((what) => said.push(`${name} ${what}`))
  terminal.onBell(() => said.push('bell'))
  const write = (text: string) => new Promise<void>((resolve) => terminal.write(text, resolve))
  const samples = fc.sample(output, { numRuns: 400, seed: 11 })
  for (const text of samples) {
    await write(harmless(text))
    const { mouseTrackingMode, bracketedPasteMode, sendFocusMode, synchronizedOutputMode } = terminal.modes
    expect({ mouseTrackingMode, bracketedPasteMode, sendFocusMode, synchronizedOutputMode }).toEqual({
      mouseTrackingMode: 'none',
      bracketedPasteMode: false,
      sendFocusMode: false,
      synchronizedOutputMode: false,
    })
    const { active } = terminal.buffer
    let hidden = 0
    for (let y = 0; y < active.length; y++)
      for (let x = 0; x < terminal.cols; x++) hidden += active.getLine(y)?.getCell(x)?.isInvisible() ?? 0
    expect(hidden).toBe(0)
  }
  expect(said).toEqual([])
  terminal.dispose()
})

test('a screen is never larger than can be drawn, nor nothing', () => {
  expect(screenOf(0, 0)).toEqual({ columns: 80, rows: 24 })
  expect(screenOf(4_294_967_295, 4_294_967_295)).toEqual({ columns: 500, rows: 200 })
  expect(screenOf(132, 43)).toEqual({ columns: 132, rows: 43 })
})
