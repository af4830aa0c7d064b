import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../testing/console.ts'
import { takeConsoleFolder } from './console-folder.ts'

test('it is one console at a time, and free again afterwards', () => {
  using folder = temporaryFolder()
  const path = join(folder.path, 'a', 'b')
  const first = takeConsoleFolder(path)
  expect(() => takeConsoleFolder(path)).toThrow(expect.objectContaining({ code: 'folder-taken' }))
  using _other = takeConsoleFolder(join(folder.path, 'c'))
  first[Symbol.dispose]()
  first[Symbol.dispose]()
  using _again = takeConsoleFolder(path)
  if (process.platform !== 'win32') {
    expect(statSync(path).mode & 0o777).toBe(0o700)
    expect(statSync(join(path, 'console.lock')).mode & 0o777).toBe(0o600)
  }
})

test('what is no folder, or no lock, is told in a sentence', () => {
  using folder = temporaryFolder()
  const file = join(folder.path, 'file')
  writeFileSync(file, '')
  expect(() => takeConsoleFolder(file)).toThrow(expect.objectContaining({ code: 'folder-unusable' }))
  writeFileSync(join(folder.path, 'console.lock'), 'somebody wrote this here, and it is no lock of ours')
  chmodSync(join(folder.path, 'console.lock'), 0o600)
  expect(() => takeConsoleFolder(folder.path)).toThrow(expect.objectContaining({ code: 'folder-unusable' }))
})

test('a second browser shell on the folder is refused, until the first is gone, however it ended', async () => {
  using folder = temporaryFolder()
  const first = startShell(folder.path)
  await first.ready
  const second = startShell(folder.path)
  const [[code], said] = await Promise.all([once(second.process, 'exit'), text(second.process.stderr)])
  expect(code).toBe(1)
  expect(said).toContain(`Another console runs on the folder ${folder.path}. Go on in that one, or quit it`)
  first.process.kill('SIGKILL')
  await once(first.process, 'exit')
  const third = startShell(folder.path)
  await third.ready
  third.process.kill('SIGTERM')
  expect(await once(third.process, 'exit')).toEqual([0, null])
  using _free = takeConsoleFolder(folder.path)
}, 60_000)

/** The shell as a person starts it; `ready` rejects when it ends before that. */
function startShell(folder: string) {
  const main = join(import.meta.dirname, '../../browser/main.ts')
  const started = spawn(process.execPath, [main, '--no-open', '--folder', folder], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ready = new Promise<void>((resolve, reject) => {
    let out = ''
    started.stdout.on('data', (some: Buffer) => {
      out += some
      if (out.includes('console ready')) resolve()
    })
    started.once('exit', (code) => reject(new Error(`the shell ended with ${code}`)))
  })
  ready.catch(() => {})
  return { process: started, ready }
}
