import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { BundleVerdict } from '../../../witness-api.ts'
import { paperOf } from '../exports/printable.ts'
import { temporaryFolder } from '../testing/console.ts'
import { longRecording } from '../testing/long-recording.ts'
import { ndjsonOf } from '../testing/small-gateway.ts'
import { RecordingFile } from './recording-file.ts'
import { compareRecording } from './same-recording.ts'

const bytes = ndjsonOf([...longRecording('se_1', 400, 600_000)])
const bundled = (of: Buffer) => ({
  session: 'se_1',
  bytes: of.length,
  sha256: createHash('sha256').update(of).digest('hex'),
})
const doctored = Buffer.from(bytes.toString().replace('"completed"', '"cancelled"'))

async function keptAs(of: Buffer, folder: string) {
  const file = await RecordingFile.create(
    { index: join(folder, 'a.index'), about: 'x', session: 'se_1' },
    Buffer.alloc(32),
  )
  await file.append(of)
  return file
}

test('a copy is the one in the bundle, more or less of it, or another', async () => {
  using folder = temporaryFolder()
  const file = await keptAs(bytes, folder.path)
  expect(await compareRecording(file, bundled(bytes))).toBe('same')
  const lineEnd = bytes.indexOf(10, 300_000) + 1
  expect(await compareRecording(file, bundled(bytes.subarray(0, lineEnd)))).toBe('more')
  expect(await compareRecording(file, bundled(Buffer.concat([bytes, bytes])))).toBe('less')
  expect(doctored.length).toBe(bytes.length)
  expect(await compareRecording(file, bundled(doctored))).toBe('other')
})

test('a report says that the evidence is whole only of the recording that the evidence is about', async () => {
  using folder = temporaryFolder()
  const file = await keptAs(bytes, folder.path)
  const printed = async (recordings: ReturnType<typeof bundled>[] | undefined, outcome = 'whole') => {
    const verdict = {
      outcome,
      why: 'Every byte is.',
      at: '2026-11-21T10:00:00Z',
      findings: [],
      about: { origin: 'o', recordings },
    }
    const printing = {
      person: () => 'Aud',
      verdict: () => verdict as unknown as BundleVerdict,
      keys: () => [],
      now: () => new Date(0),
    }
    const { evidence } = await paperOf('se_1', printing, { bundle: async () => undefined }, file)
    return evidence
  }
  expect((await printed([bundled(bytes)])).outcome).toBe('whole')
  expect((await printed([bundled(bytes)], 'incomplete')).outcome).toBe('incomplete')
  expect(await printed([bundled(doctored)])).toMatchObject({
    outcome: 'broken',
    why: expect.stringContaining('not the recording that its bundle has'),
  })
  expect((await printed([bundled(Buffer.concat([bytes, bytes]))])).outcome).toBe('cant-tell')
  expect((await printed([bundled(bytes.subarray(0, bytes.indexOf(10) + 1))])).outcome).toBe('incomplete')
  expect((await printed([])).outcome).toBe('cant-tell')
  expect((await printed(undefined)).outcome).toBe('cant-tell')
  expect((await printed([bundled(doctored)], 'broken')).why).toBe('Every byte is.')
})
