import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DataFolderError } from './data-folder.ts'
import { maskingKey } from './masking-key.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-masking-key-'))
  file = join(folder, 'masking.key')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('is made once, for its owner alone, and is the same ever after', async () => {
  const first = await maskingKey(folder)
  expect(first.made).toBe(true)
  expect(first.key).toHaveLength(32)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(readFileSync(file)).toEqual(first.key)
  expect(await maskingKey(folder)).toEqual({ key: first.key, made: false })
  expect(readdirSync(folder)).toEqual(['masking.key'])
})

test('what a start that was cut short has left is not in the way', async () => {
  writeFileSync(`${file}.new`, 'half')
  chmodSync(`${file}.new`, 0o400)
  expect((await maskingKey(folder)).made).toBe(true)
  expect(readdirSync(folder)).toEqual(['masking.key'])
})

test('two folders have two keys', async () => {
  const other = join(folder, 'other')
  mkdirSync(other)
  expect((await maskingKey(folder)).key).not.toEqual((await maskingKey(other)).key)
})

test.each<[string, () => void, RegExp]>([
  ['empty', () => writeFileSync(file, ''), /it has 0 bytes, not 32: put the one of your backup there; without one/],
  ['too short', () => writeFileSync(file, Buffer.alloc(31, 1)), /31 bytes, not 32/],
  ['too long', () => writeFileSync(file, Buffer.alloc(33, 1)), /33 bytes, not 32/],
  ['all zero', () => writeFileSync(file, Buffer.alloc(32)), /it holds no key/],
  ['a folder', () => mkdirSync(file), /masking\.key can't be used, it is no file/],
])('%s is refused, and nothing is put in its place', async (_, make, words) => {
  make()
  const before = statSync(file)
  const error = await maskingKey(folder).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(DataFolderError)
  expect((error as Error).message).toMatch(words)
  expect(statSync(file).ino).toBe(before.ino)
})

test('in a folder that is not there, in words', async () => {
  await expect(maskingKey(join(folder, 'nowhere'))).rejects.toThrow(/it could not be made \(ENOENT\): let the gateway/)
})

test('one that others may read is a doubt', async () => {
  await maskingKey(folder)
  chmodSync(file, 0o640)
  expect((await maskingKey(folder)).doubt).toMatch(/chmod it to 0600/)
})
