import { createHash } from 'node:crypto'
import { createReadStream, mkdirSync, readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { RecordingEvent } from '@countersign/contract/recording'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { HOST, type Ran, run, type Way } from '../testing/clients.ts'
import { type SshWorld, startSshWorld } from '../testing/world.ts'

let world: SshWorld
let through: Way
let home: string
beforeAll(async () => {
  world = await startSshWorld()
  through = await world.through()
  home = world.sshd.folder
})
afterAll(() => world?.[Symbol.asyncDispose]())

/** More than any window or buffer on the way, several times; the longest transfers are those of channels/programs. */
const LARGE = 64
const MiB = 1024 * 1024
const batch = (way: Way, ...lines: string[]): Promise<Ran> =>
  run(way, 'sftp', ['-oBatchMode=no', '-b', '-', HOST], { input: lines.map((line) => `${line}\n`).join('') })

async function sumOf(file: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file, { highWaterMark: MiB }), hash)
  return hash.digest('hex')
}

/** A file whose every MiB is another. */
async function large(file: string, mebibytes: number): Promise<string> {
  await using handle = await open(file, 'w')
  const block = Buffer.alloc(MiB)
  for (let n = 0; n < MiB; n += 4) block.writeUInt32LE((n * 2654435761) >>> 0, n)
  for (let n = 0; n < mebibytes; n++) {
    block.writeUInt32LE(n, 0)
    await handle.write(block)
  }
  return file
}

async function recorded(): Promise<RecordingEvent[]> {
  const [session] = await world.sessions()
  return world.recorded(session!.id)
}

/** What passed of files in the last session. */
const transfers = async () =>
  (await recorded()).flatMap((event) => (event.type === 'result' && event.transferred ? [event.transferred] : []))

test('64 MiB each way: the same bytes, and their sum in the recording', { timeout: 60_000 }, async () => {
  const local = await large(join(world.folder, 'large'), LARGE)
  const sum = await sumOf(local)
  const [there, back] = [join(home, 'large'), join(world.folder, 'large-back')]
  expect(await batch(through, `put ${local} ${there}`, `get ${there} ${back}`)).toMatchObject({ code: 0, said: '' })
  expect(await sumOf(there)).toBe(sum)
  expect(await sumOf(back)).toBe(sum)
  expect(await transfers()).toEqual([
    { read: 0, written: LARGE * MiB, sha256: sum },
    { read: LARGE * MiB, written: 0, sha256: sum },
  ])
  for (const file of [local, there, back]) truncateSync(file, 0)
})

test('a transfer that was cut short is resumed; the sum of a part is not said to be the file’s', async () => {
  const local = await large(join(world.folder, 'resumed'), 8)
  const sum = await sumOf(local)
  const [there, back] = [join(home, 'resumed'), join(world.folder, 'resumed-back')]
  expect(await batch(through, `put ${local} ${there}`, `get ${there} ${back}`)).toMatchObject({ code: 0 })
  for (const file of [there, back]) truncateSync(file, 3 * MiB + 5)
  expect(await batch(through, `reput ${local} ${there}`, `reget ${there} ${back}`)).toMatchObject({ code: 0 })
  for (const file of [there, back]) expect(await sumOf(file)).toBe(sum)
  const rest = 5 * MiB - 5
  expect(await transfers()).toEqual([
    { read: 0, written: rest },
    { read: rest, written: 0 },
  ])
})

test('scp, which is sftp: files and trees both ways', async () => {
  const local = join(world.folder, 'tree')
  mkdirSync(join(local, 'below'), { recursive: true })
  for (const name of ['one', 'below/two']) writeFileSync(join(local, name), name.repeat(20_000))
  const back = join(world.folder, 'tree-back')
  for (const args of [
    ['-q', join(local, 'one'), `${HOST}:one`],
    ['-qrp', local, `${HOST}:${home}/tree`],
    ['-qrp', `${HOST}:tree`, back],
    ['-3q', `${HOST}:one`, `${HOST}:again`],
  ])
    expect(await run(through, 'scp', args)).toMatchObject({ code: 0, said: '' })
  for (const name of ['one', 'below/two']) expect(await sumOf(join(back, name))).toBe(await sumOf(join(local, name)))
  expect(await sumOf(join(home, 'again'))).toBe(await sumOf(join(local, 'one')))
})

test('a directory of 5,000 names is listed as it is directly', async () => {
  const folder = join(home, 'many')
  mkdirSync(folder)
  for (let n = 0; n < 5_000; n++) writeFileSync(join(folder, `name-${n}`), '')
  const [direct, ours] = [await batch(world.sshd.direct, `ls -1 ${folder}`), await batch(through, `ls -1 ${folder}`)]
  expect(ours.code).toBe(0)
  expect(ours.stdout.equals(direct.stdout)).toBe(true)
  expect(readdirSync(folder).length).toBe(5_000)
  const listed = (await recorded()).find((event) => event.type === 'result' && event.tag === '5002 names')
  expect(listed).toBeDefined()
})

test('a file of holes, and one that grows while it is read, are what they are directly', async () => {
  const [sparse, back] = [join(home, 'sparse'), join(world.folder, 'sparse-back')]
  writeFileSync(sparse, '')
  truncateSync(sparse, 20 * MiB)
  expect(await batch(through, `get ${sparse} ${back}`, `get /proc/self/limits ${back}.limits`)).toMatchObject({
    code: 0,
  })
  expect(statSync(back).size).toBe(20 * MiB)
  expect(statSync(`${back}.limits`).size).toBeGreaterThan(500)
  const [, limits] = await transfers()
  expect(limits!.sha256).toBe(await sumOf(`${back}.limits`))
})
