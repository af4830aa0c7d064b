import type { RecordingLine } from '@countersign/contract/recording'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FrameReader, noFrames } from './frames.ts'
import { PlainText, WordSearch } from './text.ts'

const E = '\x1b'
const plain = (...pieces: string[]) => {
  const text = new PlainText()
  return pieces.map((piece) => text.write(piece)).join('') + text.end()
}

test.each<[string, string[], string]>([
  ['colours go', [`${E}[1;31mred${E}[0m and not`], 'red and not'],
  ['a sequence that is cut', [`a${E}[3`, `1mb`], 'ab'],
  ['a line’s end', ['a\r\nb\r', '\nc'], 'a\nb\nc'],
  ['a line that is written over begins anew', ['10 %\r20 %\r', '30 %\n'], '10 %\n20 %\n30 %\n'],
  ['a return at the very end', ['a\r'], 'a\n'],
  ['the cursor goes elsewhere', [`a${E}[5;1Hb${E}[3Cc${E}[2Dd`], 'a\nb cd'],
  ['titles, links and bells go', [`${E}]0;title\x07a${E}]8;;http://x${E}\\b${E}]8;;${E}\\\x07`], 'ab'],
  ['what hides the direction goes', ['a\u202eb'], 'ab'],
])('output as text: %s', (_name, pieces, expected) => {
  expect(plain(...pieces)).toBe(expected)
})

test('text is the same however its pieces are cut', () => {
  const piece = fc.oneof(
    fc.string({ unit: fc.constantFrom(...'ab \r\n\t\b'), maxLength: 10 }),
    fc.constantFrom(`${E}[31m`, `${E}[2;2H`, `${E}]0;x\x07`, `${E}[K`, `${E}(0`, `${E}M`),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), fc.array(fc.nat(12), { maxLength: 20 }), (pieces, cuts) => {
      const text = pieces.join('')
      const cut: string[] = []
      let at = 0
      for (const size of cuts) {
        cut.push(text.slice(at, at + size))
        at += size
      }
      expect(plain(...cut, text.slice(at))).toBe(plain(text))
    }),
    { seed: 5, numRuns: 500 },
  )
})

test('words are found wherever a text is cut, once each, with what stands around them', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', 'b', 'A', 'İ'), maxLength: 80 }),
      fc.string({ unit: fc.constantFrom('a', 'B'), minLength: 1, maxLength: 3 }),
      fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 80 }),
      (text, words, cuts) => {
        const search = new WordSearch<number>(words, 4)
        const found = []
        let at = 0
        for (const size of [...cuts, text.length]) {
          // A piece is named by where it ends.
          const piece = text.slice(at, at + size)
          at += piece.length
          found.push(...search.write(piece, at))
        }
        found.push(...search.end())
        const low = text.replace(/[AB]/g, (letter) => letter.toLowerCase())
        const places: number[] = []
        // As long as the pieces don't fall together with it, two that overlap are one.
        for (let i = low.indexOf(words.toLowerCase()); i >= 0; i = low.indexOf(words.toLowerCase(), i + words.length))
          places.push(i)
        if (new Set(words.toLowerCase()).size > 1 || words.length === 1)
          expect(found.map(({ before, found, after }) => [before, found, after])).toEqual(
            places.map((i) => [
              text.slice(Math.max(0, i - 4), i),
              text.slice(i, i + words.length),
              text.slice(i + words.length, i + words.length + 4),
            ]),
          )
        for (const { piece, found: one } of found)
          expect(text.slice(0, piece).toLowerCase()).toContain(one.toLowerCase())
      },
    ),
    { seed: 6, numRuns: 800 },
  )
})

test('bytes of any kind, cut anywhere, are the text that they are as a whole; also when taken up in between', () => {
  const bytes = fc
    .array(
      fc.oneof(
        fc.constantFrom('é', '漢', '😀', 'a').map((text) => Buffer.from(text)),
        fc.uint8Array({ maxLength: 4 }).map((some) => Buffer.from(some)),
      ),
      { maxLength: 20 },
    )
    .map((pieces) => Buffer.concat(pieces))
  fc.assert(
    fc.property(bytes, fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 20 }), (all, cuts) => {
      let reader = new FrameReader(noFrames, true)
      let text = ''
      let at = 0
      for (const size of [...cuts, all.length]) {
        const some = all.subarray(at, at + size)
        at += some.length
        const data = { base64: some.toString('base64') }
        const line: RecordingLine = { type: 'output', seq: 1, t: 0, channel: '1', stream: 'stdout', data }
        const frame = reader.read(line)
        text += frame?.type === 'output' ? frame.text : ''
        reader = new FrameReader(reader.state, true)
      }
      const rest = Buffer.from(reader.state.stdout, 'base64')
      expect(text + rest.toString()).toBe(all.toString())
    }),
    { seed: 8, numRuns: 800 },
  )
})
