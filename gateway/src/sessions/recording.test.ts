import { randomBytes } from 'node:crypto'
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { placeOf, readRecording, seal } from './recording.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'recording-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('bytes behind a sealed recording are not its own, and end nobody who reads it', async () => {
  const place = placeOf(folder, 'se_aaaa', '2026-11-21T10:00:00.000Z')
  mkdirSync(dirname(place.plain), { recursive: true })
  // More than is read at a time, and not to be compressed, so that what is behind comes by itself.
  const plain = randomBytes(900_000)
  writeFileSync(place.plain, plain)
  await seal(place)
  appendFileSync(place.sealed, readFileSync(place.sealed))
  const stream = (await readRecording(place))!
  const read: Buffer[] = []
  try {
    for await (const chunk of stream) read.push(chunk as Buffer)
  } catch {
    // Refused, or left out: either will do.
  }
  expect(Buffer.concat(read).subarray(0, plain.length).equals(plain)).toBe(true)
  for (let i = 0; i < 20; i++) await turn()
  await expect(buffer((await readRecording(place))!).catch(() => 'refused')).resolves.toBeDefined()
})
