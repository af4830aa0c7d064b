import { copyFileSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RecordingLine } from '@countersign/contract/recording'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { stepsOf } from '../../../recording-steps.ts'
import { temporaryFolder } from '../testing/console.ts'
import { longRecording } from '../testing/long-recording.ts'
import { ndjsonOf } from '../testing/small-gateway.ts'
import { findIn } from './finding.ts'
import { RecordingFile, type RecordingPlace } from './recording-file.ts'
import { Damaged } from './sealing.ts'

const key = Buffer.alloc(32, 7)
const lines = [...longRecording('se_1', 1500, 1_500_000)]
const bytes = ndjsonOf(lines)
const placeIn = (folder: string, session = 'se_1', name = 'a1'): RecordingPlace => ({
  index: join(folder, `${name}.index`),
  about: `https://gw\n${session}`,
  session,
})

async function written(place: RecordingPlace, what = bytes): Promise<void> {
  const file = await RecordingFile.create(place, key)
  await file.append(what)
  await file.save()
  await file.close()
}

async function* pieces(of: Buffer, cuts: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    yield of.subarray(at, cut)
    at = cut
  }
  yield of.subarray(at)
}

const all = (file: RecordingFile) => file.lines(Array.from({ length: file.index.lines }, (_, i) => i))

describe('a recording on the disk', () => {
  test('reads at any place what was written in any pieces, also after it was closed in between', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(bytes.length), { maxLength: 12 }),
        fc.array(fc.nat(lines.length - 1), { minLength: 1, maxLength: 20 }),
        fc.nat(11),
        async (cuts, wanted, reopenAfter) => {
          using folder = temporaryFolder()
          const place = placeIn(folder.path)
          let file = await RecordingFile.create(place, key)
          let n = 0
          for await (const piece of pieces(bytes, cuts)) {
            await file.append(piece)
            if (n++ !== reopenAfter) continue
            // What was begun of a line is not kept: what follows comes from the byte after the last whole one.
            await file.save()
            await file.close()
            file = (await RecordingFile.open(place, key))!
            await file.append(bytes.subarray(file.bytes))
            break
          }
          expect([file.bytes, file.ended, file.lastSeq]).toEqual([bytes.length, true, lines.length - 1])
          await file.save()
          await file.close()
          file = (await RecordingFile.open(place, key))!
          const numbers = [...new Set(wanted)].sort((a, b) => a - b)
          expect(await file.lines(numbers)).toEqual(numbers.map((i) => lines[i]))
          const blocks: Buffer[] = []
          for await (const block of file.blocks()) blocks.push(block.bytes)
          expect(Buffer.concat(blocks).equals(bytes)).toBe(true)
          await file.close()
        },
      ),
      { numRuns: 15, seed: 11 },
    )
  })

  test('steps read alone are the steps of the whole', async () => {
    using folder = temporaryFolder()
    await written(placeIn(folder.path))
    const file = (await RecordingFile.open(placeIn(folder.path), key))!
    const whole = stepsOf(lines)
    expect(file.index.steps).toBe(whole.length)
    for (const [from, to] of [
      [0, 1],
      [0, 64],
      [500, 700],
      [whole.length - 3, whole.length + 10],
    ] as const)
      expect(stepsOf(await file.lines(file.index.linesOf(from, to)))).toEqual(whole.slice(from, to))
    await file.close()
  })

  test('any byte that was changed, anywhere, is noticed; so is every cut', async () => {
    using folder = temporaryFolder()
    const place = placeIn(folder.path)
    await written(place)
    const files = readdirSync(folder.path)
    expect(files).toHaveLength(2)
    const originals = new Map(files.map((name) => [name, readFileSync(join(folder.path, name))]))
    const restore = () => {
      for (const [name, original] of originals) writeFileSync(join(folder.path, name), original)
    }
    const noticed = async () => {
      let file: RecordingFile | undefined
      try {
        file = await RecordingFile.open(place, key)
        if (!file) return 'gone'
        for await (const block of file.blocks()) void block
        return 'not noticed'
      } catch (error) {
        if (error instanceof Damaged) return 'noticed'
        throw error
      } finally {
        await file?.close()
      }
    }
    expect(await noticed()).toBe('not noticed')
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...files), fc.nat(), fc.integer({ min: 1, max: 255 }), async (name, at, by) => {
        restore()
        const changed = Buffer.from(originals.get(name)!)
        changed[at % changed.length]! ^= by
        writeFileSync(join(folder.path, name), changed)
        expect(await noticed()).toBe('noticed')
      }),
      { numRuns: 150, seed: 5 },
    )
    for (const name of files)
      for (const left of [0, 1, 6, 40, 200, statSync(join(folder.path, name)).size - 1]) {
        restore()
        truncateSync(join(folder.path, name), left)
        expect(await noticed(), `${name} cut to ${left}`).toBe('noticed')
      }
  })

  test('chunks in another order, of another recording, or of an older state of the same are noticed', async () => {
    using folder = temporaryFolder()
    const place = placeIn(folder.path)
    await written(place)
    await written(placeIn(folder.path, 'se_1', 'b2'))
    const [a, b] = ['a1', 'b2'].map((name) =>
      join(folder.path, readdirSync(folder.path).find((file) => file.startsWith(name) && file.endsWith('.chunks'))!),
    ) as [string, string]
    const original = readFileSync(a)
    const reading = async () => {
      const file = (await RecordingFile.open(place, key))!
      try {
        return await all(file)
      } finally {
        await file.close()
      }
    }
    // Another recording's chunks: the same words, under another file's key.
    copyFileSync(b, a)
    await expect(reading()).rejects.toThrow(Damaged)
    // The two halves changed over.
    const half = original.length >> 1
    writeFileSync(a, Buffer.concat([original.subarray(half), original.subarray(0, half)]))
    await expect(reading()).rejects.toThrow(Damaged)
    writeFileSync(a, original)
    expect(await reading()).toEqual(lines)
    // An index of another session, key or gateway does not open.
    for (const other of [
      { place: { ...place, about: 'https://gw\nse_2' }, key },
      { place: { ...place, about: 'https://other\nse_1' }, key },
      { place, key: Buffer.alloc(32, 8) },
    ])
      await expect(RecordingFile.open(other.place, other.key)).rejects.toThrow(Damaged)
    // An index put back from before names fewer bytes: it opens as what it was, and is not called whole.
    const early = await RecordingFile.create(placeIn(folder.path, 'se_1', 'c3'), key)
    await early.append(bytes.subarray(0, 900_000))
    await early.save()
    early.forgetBegun()
    const before = readFileSync(join(folder.path, 'c3.index'))
    await early.append(bytes.subarray(early.bytes))
    await early.save()
    await early.close()
    writeFileSync(join(folder.path, 'c3.index'), before)
    const back = (await RecordingFile.open(placeIn(folder.path, 'se_1', 'c3'), key))!
    expect([back.ended, back.bytes < 900_001]).toEqual([false, true])
    await back.close()
  })

  test('nothing that it says stands on the disk', async () => {
    using folder = temporaryFolder()
    await written(placeIn(folder.path))
    for (const name of readdirSync(folder.path)) {
      const text = readFileSync(join(folder.path, name)).toString('latin1')
      for (const word of ['kettle', 'se_1', 'shop-agents', 'payments', 'orders', 'sha256:'])
        expect(text.includes(word), `${word} in ${name}`).toBe(false)
      if (process.platform !== 'win32') expect(statSync(join(folder.path, name)).mode & 0o077).toBe(0)
    }
  })

  test.each<[string, (lines: RecordingLine[]) => RecordingLine[] | Buffer, string]>([
    [
      'of another session',
      ([header, ...rest]) => [{ ...header!, session: 'se_9' } as RecordingLine, ...rest],
      'of another session',
    ],
    ['without a header', ([, ...rest]) => rest, 'is no header'],
    ['with a gap', (of) => of.filter((_, i) => i !== 5), 'has the number'],
    ['with a line twice', (of) => [...of.slice(0, 5), of[4]!, ...of.slice(5)], 'has the number'],
    [
      'that goes on after its end',
      (of) => [...of, { ...of.at(-1)!, seq: of.length } as RecordingLine],
      'follows its end',
    ],
    [
      'with something that is no line',
      (of) => Buffer.concat([ndjsonOf(of.slice(0, 5)), Buffer.from('{"seq":5,\n')]),
      'is damaged',
    ],
    [
      'with a line of another form',
      (of) => Buffer.concat([ndjsonOf(of.slice(0, 5)), Buffer.from('{"seq":5,"t":1,"type":"odd"}\n')]),
      'is not understood',
    ],
  ])('a recording %s is refused, and what came before is kept', async (_what, spoil, problem) => {
    using folder = temporaryFolder()
    const file = await RecordingFile.create(placeIn(folder.path), key)
    const spoilt = spoil([...lines])
    await expect(file.append(Buffer.isBuffer(spoilt) ? spoilt : ndjsonOf(spoilt))).rejects.toThrow(problem)
    await file.save()
    const kept = file.index.lines
    expect(await all(file)).toEqual(lines.slice(0, kept))
    await file.close()
  })

  test('finds what a line says, as reading all of it does; whatever the words', async () => {
    using folder = temporaryFolder()
    const odd: RecordingLine[] = [
      lines[0]!,
      { seq: 1, t: 1, type: 'note', text: 'a "quoted" back\\slash, tab\t, line\nend, ÜBER \u202e' },
      { seq: 2, t: 2, type: 'note', text: 'nothing of that; but seq and text are words, too' },
      { seq: 3, t: 3, type: 'end', state: 'closed', reason: 'the Client left' },
    ]
    const file = await RecordingFile.create(placeIn(folder.path), key)
    await file.append(ndjsonOf(odd))
    const found = async (words: string) => {
      const hits: number[] = []
      for await (const told of findIn(file, words, new AbortController().signal))
        hits.push(...told.hits.map((hit) => hit.line))
      return hits
    }
    expect(await found('"quoted"')).toEqual([1])
    expect(await found('back\\slash')).toEqual([1])
    expect(await found('line\nend')).toEqual([1])
    expect(await found('über')).toEqual([1])
    expect(await found('client LEFT')).toEqual([3])
    expect(await found('seq')).toEqual([2])
    expect(await found('"type"')).toEqual([])
    expect(await found('  ')).toEqual([])
    await fc.assert(
      fc.asyncProperty(fc.nat(60), fc.integer({ min: 1, max: 12 }), async (from, length) => {
        const text = (odd[1] as { text: string }).text
        const words = text.slice(from, from + length)
        if (words.trim() === '') return
        expect(await found(words)).toContain(1)
      }),
      { numRuns: 60, seed: 2 },
    )
    await file.close()
  })

  test('a search stops when it is told to', async () => {
    using folder = temporaryFolder()
    await written(placeIn(folder.path))
    const file = (await RecordingFile.open(placeIn(folder.path), key))!
    const stop = new AbortController()
    const looking = (async () => {
      for await (const { done } of findIn(file, 'kettle', stop.signal)) if (done > 0) stop.abort()
    })()
    await expect(looking).rejects.toThrow()
    await file.close()
  })
})
