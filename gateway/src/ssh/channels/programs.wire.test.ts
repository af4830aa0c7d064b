import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Program, run, start, type Way } from '../testing/clients.ts'
import { type SshWorld, startSshWorld } from '../testing/world.ts'

let world: SshWorld
let through: Way
let folder: string
beforeAll(async () => {
  world = await startSshWorld()
  through = await world.through()
  folder = mkdtempSync(join(tmpdir(), 'countersign-programs-'))
  const from = join(folder, 'from')
  mkdirSync(join(from, 'sub folder/deep'), { recursive: true })
  writeFileSync(join(from, 'large'), randomBytes(3_000_000))
  writeFileSync(join(from, 'empty'), '')
  writeFileSync(join(from, 'sub folder/an é file'), 'text\n')
  writeFileSync(join(from, 'sub folder/deep/script'), '#!/bin/sh\n', { mode: 0o755 })
  for (const name of ['large', 'empty']) utimesSync(join(from, name), 1e9, 1.1e9)
  symlinkSync('large', join(from, 'link'))
})
afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

/** Names, kinds, modes, times (s, as old scp has them) and contents below a folder. */
function tree(path: string): string[] {
  return (readdirSync(path, { recursive: true }) as string[]).sort().map((name) => {
    const stat = statSync(join(path, name))
    const sum = stat.isFile()
      ? createHash('sha256')
          .update(readFileSync(join(path, name)))
          .digest('hex')
      : ''
    return `${name} ${stat.mode.toString(8)} ${stat.isFile() ? Math.floor(stat.mtimeMs / 1000) : ''} ${sum}`
  })
}

/** Runs a program to its end both ways, each to a place of its own. @returns its exit status */
async function each(program: Program, args: (place: string) => string[], cwd?: string): Promise<number | null> {
  const codes: (number | null)[] = []
  for (const [name, way] of [
    ['direct', world.sshd.direct],
    ['through', through],
  ] as const) {
    const ran = await run(way, program, args(join(folder, name)), cwd === undefined ? {} : { cwd })
    codes.push(ran.code)
  }
  expect(codes[1]).toBe(codes[0])
  return codes[1]!
}

describe('what runs over ssh does what it does directly', () => {
  test('scp -O, up and down', async () => {
    const from = join(folder, 'from')
    expect(await each('scp', (to) => ['-Oqrp', from, `host:${to}-scp`])).toBe(0)
    expect(await each('scp', (to) => ['-Oqrp', `host:${from}`, `${to}-scp-back`])).toBe(0)
    for (const place of ['direct-scp', 'through-scp', 'direct-scp-back', 'through-scp-back'])
      expect(tree(join(folder, place)), place).toEqual(tree(from))
    expect(await each('scp', (to) => ['-Oq', 'host:/nowhere/at/all', to])).toBe(1)
  })

  test('rsync, up, again, and down with deletions', async () => {
    const from = join(folder, 'from')
    expect(await each('rsync', (to) => ['-a', `${from}/`, `host:${to}-rsync/`])).toBe(0)
    for (const name of ['direct', 'through']) {
      writeFileSync(join(folder, `${name}-rsync/large`), 'changed')
      writeFileSync(join(folder, `${name}-rsync/one more`), '')
    }
    expect(await each('rsync', (to) => ['-ac', '--delete', `${from}/`, `host:${to}-rsync/`])).toBe(0)
    expect(await each('rsync', (to) => ['-az', `host:${from}/`, `${to}-rsync-back/`])).toBe(0)
    for (const place of ['direct-rsync', 'through-rsync', 'direct-rsync-back', 'through-rsync-back'])
      expect(tree(join(folder, place)), place).toEqual(tree(from))
  })

  test('git clone and push', async () => {
    for (const name of ['direct', 'through'])
      execFileSync('git', ['init', '-q', '--bare', '-b', 'main', join(folder, `${name}-git`)])
    expect(await each('git', (to) => ['clone', '-q', `host:${to}-git`, `${to}-clone`])).toBe(0)
    for (const [name, way] of [
      ['direct', world.sshd.direct],
      ['through', through],
    ] as const) {
      const cwd = join(folder, `${name}-clone`)
      writeFileSync(join(cwd, 'file'), readFileSync(join(folder, 'from/large')))
      execFileSync('git', ['add', 'file'], { cwd })
      execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b.c', 'commit', '-qm', 'one'], { cwd })
      expect((await run(way, 'git', ['push', '-q', 'origin', 'HEAD:main'], { cwd })).code).toBe(0)
    }
    expect(await each('git', (to) => ['clone', '-q', `host:${to}-git`, `${to}-clone2`])).toBe(0)
    for (const name of ['direct', 'through'])
      expect(readFileSync(join(folder, `${name}-clone2/file`)).equals(readFileSync(join(folder, 'from/large')))).toBe(
        true,
      )
  })

  test('ControlMaster: many at once over one connection are one session', async () => {
    const before = (await world.sessions()).length
    const control = ['-o', `ControlPath=${join(folder, 'master')}`]
    await run(through, 'ssh', [...control, '-o', 'ControlMaster=yes', '-o', 'ControlPersist=yes', 'host', 'true'])
    const numbers = [...Array(12).keys()]
    const all = await Promise.all(
      numbers.map((n) => run(through, 'ssh', [...control, 'host', `head -c ${n}00000 /dev/zero; exit ${n}`])),
    )
    expect(all.map(({ code, stdout }) => [code, stdout.length])).toEqual(numbers.map((n) => [n, n * 100_000]))
    await run(through, 'ssh', [...control, '-O', 'exit', 'host'])
    expect((await world.sessions()).length).toBe(before + 1)
  })
})

const GIB = 1024 ** 3
const REKEY = ['-o', 'RekeyLimit=300M']

test('a gibibyte down, with new keys in between', async () => {
  const child = start(through, 'ssh', [...REKEY, 'host', `head -c ${GIB} /dev/zero | tee >(sha256sum >&2)`])
  const hash = createHash('sha256')
  let [bytes, said] = [0, '']
  child.stdout!.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    hash.update(chunk)
  })
  child.stderr!.on('data', (chunk) => {
    said += chunk
  })
  expect(await once(child, 'close')).toEqual([0, null])
  expect(bytes).toBe(GIB)
  expect(said).toBe(`${hash.digest('hex')}  -\n`)
}, 600_000)

test('a gibibyte up, with new keys in between', async () => {
  const block = randomBytes(1024 * 1024)
  const hash = createHash('sha256')
  const blocks = Readable.from(
    (function* () {
      for (let n = 0; n < 1024; n++) {
        block.writeUInt32BE(n)
        hash.update(block)
        yield Buffer.from(block)
      }
    })(),
  )
  const { code, stdout } = await run(through, 'ssh', [...REKEY, 'host', 'sha256sum; exit 6'], { input: blocks })
  expect({ code, stdout: stdout.toString() }).toEqual({ code: 6, stdout: `${hash.digest('hex')}  -\n` })
}, 600_000)

test('a hundred sessions at once, each with its own', async () => {
  const numbers = [...Array(100).keys()]
  const all = await Promise.all(
    numbers.map((n) => run(through, 'ssh', ['host', `cat; echo out ${n}; exit ${n}`], { input: `in ${n}\n` })),
  )
  expect(all.map(({ code, stdout, said }) => ({ code, stdout: stdout.toString(), said }))).toEqual(
    numbers.map((n) => ({ code: n, stdout: `in ${n}\nout ${n}\n`, said: '' })),
  )
}, 120_000)
