import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../testing/console.ts'
import { longRecording } from '../testing/long-recording.ts'
import { ndjsonOf } from '../testing/small-gateway.ts'
import { findIn } from './finding.ts'
import { RecordingFile } from './recording-file.ts'

const lines = [...longRecording('se_1', 20, 10_000)]
const plain = ndjsonOf(lines).toString()

async function found(bytes: string, words: string): Promise<number[]> {
  using folder = temporaryFolder()
  const file = await RecordingFile.create(
    { index: join(folder.path, 'a.index'), about: 'x', session: 'se_1' },
    Buffer.alloc(32),
  )
  await file.append(Buffer.from(bytes))
  const hits: number[] = []
  for await (const part of findIn(file, words, new AbortController().signal))
    hits.push(...part.hits.map(({ line }) => line))
  await file.close()
  return hits
}

test('words are found however a gateway writes its JSON', async () => {
  const command = lines.find((line) => line.type === 'command' && line.text.length > 5)
  const words = command?.type === 'command' ? command.text.slice(0, 6) : 'none'
  const there = await found(plain, words)
  expect(there.length).toBeGreaterThan(0)
  const escapes = (text: string) =>
    [...text].map((c) => `\\u00${c.charCodeAt(0).toString(16).padStart(2, '0')}`).join('')
  expect(await found(plain.replaceAll(words, escapes(words)), words)).toEqual(there)
  const slashed = plain.replaceAll(words, 'a/b c')
  expect(await found(slashed.replaceAll('a/b c', 'a\\/b c'), 'a/b c')).toEqual(await found(slashed, 'a/b c'))
  expect((await found(slashed, 'a/b c')).length).toBeGreaterThan(0)
})
