import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { concat, utf8 } from './encoding.ts'
import { LedgerError } from './errors.ts'
import { isMemberName, readBody, readTar, type TarLimits, tarHeader, writeTar } from './tar.ts'
import { collect } from './testing/world.ts'

interface Member {
  name: string
  bytes: Uint8Array
}
const write = (members: Member[]) =>
  collect(writeTar(members.map((member) => ({ ...member, length: member.bytes.length }))))
async function read(source: Uint8Array | AsyncIterable<Uint8Array>, limits?: TarLimits): Promise<Member[]> {
  const members: Member[] = []
  for await (const member of readTar(source, limits))
    members.push({ name: member.name, bytes: await readBody(member, 1 << 20) })
  return members
}
async function* inPieces(bytes: Uint8Array, sizes: number[]) {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = 1 + (sizes[i % sizes.length] ?? 0)
    yield bytes.subarray(at, at + size)
    at += size
  }
}
const refused = async (bytes: Uint8Array, limits?: TarLimits) => {
  const error = await read(bytes, limits).then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(error).toBeInstanceOf(LedgerError)
  return (error as LedgerError).message
}
/** A header with its checksum made good again, so that the change itself is what must be noticed. */
const header = (change: (header: Uint8Array) => void) => {
  const block = tarHeader('a', 0)
  change(block)
  block.set(utf8('        '), 148)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.set(utf8(`${sum.toString(8).padStart(6, '0')}\0 `), 148)
  return concat(block, new Uint8Array(1024))
}
const put = (at: number, text: string) => (block: Uint8Array) => block.set(utf8(text), at)

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tar-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const name = fc
  .array(fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,8}$/), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join('/'))
  .filter(isMemberName)
const members = fc.uniqueArray(fc.record({ name, bytes: fc.uint8Array({ maxLength: 1300 }) }), {
  selector: ({ name }) => name,
  maxLength: 6,
})

describe('tar', () => {
  it('is read back, in whatever pieces it comes', async () => {
    await fc.assert(
      fc.asyncProperty(members, fc.array(fc.nat({ max: 700 }), { minLength: 1 }), async (members, sizes) => {
        const bytes = await write(members)
        expect(bytes.length % 512).toBe(0)
        expect(await read(inPieces(bytes, sizes))).toEqual(members)
      }),
      { numRuns: 60, seed: 11 },
    )
  })

  it('is what GNU tar reads and lists, and the same bytes for the same members', async () => {
    const all = [
      { name: 'manifest.json', bytes: utf8('{}') },
      { name: 'entries/1.leaf', bytes: utf8('x'.repeat(512)) },
      { name: `recordings/${'s'.repeat(80)}`, bytes: new Uint8Array(0) },
    ]
    const bytes = await write(all)
    expect(await write(all)).toEqual(bytes)
    writeFileSync(join(folder, 'b.tar'), bytes)
    const list = spawnSync('tar', ['--numeric-owner', '-tvf', join(folder, 'b.tar')], {
      env: { ...process.env, TZ: 'UTC', LC_ALL: 'C' },
    })
    expect(list.stderr.toString()).toBe('')
    expect(list.stdout.toString().split('\n')[1]).toMatch(/^-rw-r--r-- 0\/0 +512 1970-01-01 00:00 entries\/1\.leaf$/)
    expect(spawnSync('tar', ['-xf', join(folder, 'b.tar'), '-C', folder]).status).toBe(0)
    for (const { name, bytes } of all) expect(new Uint8Array(readFileSync(join(folder, name)))).toEqual(bytes)
  })

  it.each([
    '',
    '/a',
    'a/',
    'a//b',
    '../a',
    'a/../b',
    './a',
    'a/.',
    '.a',
    'a/.b',
    'a\\b',
    'C:a',
    'a b',
    'é',
    'a\n',
    'con',
    'aux.txt',
    'a/NUL',
    'a.',
    'x'.repeat(100),
  ])('has no member named "%s"', async (name) => {
    expect(isMemberName(name)).toBe(false)
    await expect(write([{ name, bytes: new Uint8Array(0) }])).rejects.toThrow(/no name for a member/)
    if (utf8(name).length < 100)
      expect(await refused(header((block) => block.fill(0, 0, 100).set(utf8(name))))).toMatch(/no name for a member/)
  })

  it.each<[string, (block: Uint8Array) => void, RegExp]>([
    ['a hard link', put(156, '1'), /no regular file \(type "1"\)/],
    ['a symbolic link', put(156, '2'), /type "2"/],
    ['a device', put(156, '3'), /type "3"/],
    ['a folder', put(156, '5'), /type "5"/],
    ['a sparse file of GNU', put(156, 'S'), /type "S"/],
    ['a long name of GNU', put(156, 'L'), /type "L"/],
    ['a pax record', put(156, 'x'), /type "x"/],
    ['a global pax record', put(156, 'g'), /type "g"/],
    ['the old type of a file', put(156, '\0'), /no regular file/],
    ['a link name', put(157, 'b'), /header of a is not as/],
    ['a prefix', put(345, 'etc'), /header of a is not as/],
    ['a setuid bit', put(100, '0004755\0'), /header of a is not as/],
    ['an owner', put(108, '0001750\0'), /header of a is not as/],
    ["an owner's name", put(265, 'root'), /header of a is not as/],
    ['a time', put(136, '00000000001\0'), /header of a is not as/],
    ['the magic of GNU', put(257, 'ustar  \0'), /header of a is not as/],
    ['a length in base 256', (block) => block.fill(0x80, 124, 125), /length of a is no number/],
    ['a length with spaces', put(124, '          0 '), /length of a is no number/],
    ['a name hidden behind a zero', put(2, 'b'), /header of a is not as/],
    ['bytes in the padding', (block) => block.fill(1, 511, 512), /header of a is not as/],
  ])('with %s is refused', async (_what, change, message) => expect(await refused(header(change))).toMatch(message))

  it('is refused with a wrong checksum, names twice, bytes hidden or left over, an end too soon, and past its limits', async () => {
    const a = { name: 'a', bytes: utf8('hello') }
    const bytes = await write([a, { name: 'b', bytes: utf8('x') }])
    const changed = (at: number, byte: number) => {
      const copy = new Uint8Array(bytes)
      copy[at] = byte
      return copy
    }
    expect(await refused(changed(150, 0x30))).toMatch(/at byte 15\d, the header of a/)
    expect(await refused(changed(600, 1))).toMatch(/hidden after the end of a/)
    expect(await refused(concat(bytes.subarray(0, 1024), bytes))).toMatch(/second member a/)
    await expect(write([a, { ...a, name: 'A' }])).rejects.toThrow(/two members/)
    expect(await refused(concat(bytes, Uint8Array.of(0)))).toMatch(/something follows the end/)
    expect(await refused(concat(bytes.subarray(0, -512), utf8('x'.repeat(512))))).toMatch(/not ended by two blocks/)
    for (const end of [0, 5, 512, 514, 1000, 1024, bytes.length - 1, bytes.length - 512, bytes.length - 1024])
      expect(await refused(bytes.subarray(0, end))).toMatch(/ends|ended/)
    expect(await refused(bytes, { members: 1, bytes: 100 })).toMatch(/more than 1 members/)
    expect(await refused(bytes, { members: 9, bytes: 4 })).toMatch(/a has 5 bytes, more than 4/)
    expect(await refused(concat(tarHeader('a', 8 ** 11 - 1), new Uint8Array(1024)))).toMatch(/more than/)
    await expect(collect(writeTar([{ name: 'a', length: 3, bytes: utf8('four') }]))).rejects.toThrow(/it has more/)
    await expect(collect(writeTar([{ name: 'a', length: 5, bytes: utf8('four') }]))).rejects.toThrow(/it has 4/)
  })

  it('fuzzed, is what was written or refused', async () => {
    const all = [
      { name: 'a/b', bytes: utf8('hello') },
      { name: 'c', bytes: new Uint8Array(700) },
    ]
    const bytes = await write(all)
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: bytes.length - 1 }),
        fc.nat({ max: 255 }),
        fc.option(fc.nat({ max: bytes.length })),
        async (at, byte, cut) => {
          const changed = new Uint8Array(bytes)
          changed[at] = byte
          const given = changed.subarray(0, cut ?? bytes.length)
          try {
            const found = await read(given)
            // Whatever is taken is spelled as we would spell it: only what is inside of the members may differ.
            expect(await write(found)).toEqual(given)
          } catch (error) {
            expect(error).toBeInstanceOf(LedgerError)
          }
        },
      ),
      { numRuns: 800, seed: 12 },
    )
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (soup) => {
        await expect(read(soup)).rejects.toBeInstanceOf(LedgerError)
      }),
      { numRuns: 300, seed: 13 },
    )
  })
})
