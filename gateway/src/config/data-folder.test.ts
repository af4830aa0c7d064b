import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { takeDataFolder } from './data-folder.ts'

let parent: string
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'countersign-data-folder-'))
})
afterEach(() => rmSync(parent, { recursive: true, force: true }))

const mode = (path: string) => statSync(path).mode & 0o777

test('it is made with everything above it, for nobody else', async () => {
  const path = join(parent, 'a', 'b')
  await using taken = await takeDataFolder(path)
  expect(taken.doubt).toBeUndefined()
  expect(mode(path)).toBe(0o700)
})

test('one that is empty is closed to others, one with something in it is left as it is', async () => {
  const [empty, full] = [join(parent, 'empty'), join(parent, 'full')]
  for (const path of [empty, full]) {
    mkdirSync(path)
    chmodSync(path, 0o755)
  }
  writeFileSync(join(full, 'somebody-elses'), '')
  await using first = await takeDataFolder(empty)
  await using second = await takeDataFolder(full)
  expect([first.doubt, mode(empty)]).toEqual([undefined, 0o700])
  expect([second.doubt, mode(full)]).toEqual([`others may enter the data folder ${full}: chmod it to 0700`, 0o755])
})

test('it is one gateway at a time, and free again afterwards', async () => {
  const first = await takeDataFolder(parent)
  await expect(takeDataFolder(parent)).rejects.toMatchObject({ name: 'DataFolderError', code: 'taken' })
  await first[Symbol.asyncDispose]()
  await using _again = await takeDataFolder(parent)
})

test('the lock of a process that is killed is gone', async () => {
  const module = join(import.meta.dirname, 'data-folder.ts')
  const code = `const { takeDataFolder } = await import(process.argv[1])
    globalThis.taken = await takeDataFolder(process.argv[2])
    process.stdout.write('taken')
    setInterval(() => {}, 1e6)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code, module, parent], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  await expect(takeDataFolder(parent)).rejects.toMatchObject({ code: 'taken' })
  child.kill('SIGKILL')
  await once(child, 'exit')
  await using _again = await takeDataFolder(parent)
})

test('a file in its place', async () => {
  const file = join(parent, 'file')
  writeFileSync(file, '')
  await expect(takeDataFolder(file)).rejects.toMatchObject({ name: 'DataFolderError', code: 'unusable' })
})
