import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { HOST, run, type Way } from '../testing/clients.ts'
import { type SshWorld, startSshWorld } from '../testing/world.ts'
import { Framer, FX, FXP, greeting, packet, packetWith } from './wire.ts'

/** A real sshd whose sftp server says what a file says, and then nothing more; without the file it is the real one. */
const folder = mkdtempSync(join(tmpdir(), 'countersign-sftp-'))
const answers = join(folder, 'answers')
let world: SshWorld
let through: Way
beforeAll(async () => {
  const script = join(folder, 'server')
  const lines = [
    '#!/bin/sh',
    `[ -e ${answers} ] || exec /usr/lib/openssh/sftp-server`,
    // INIT: before it nobody listens for what it says.
    'head -c 9 >/dev/null',
    `cat ${answers}`,
    'exec cat >/dev/null',
  ]
  writeFileSync(script, `${lines.join('\n')}\n`, { mode: 0o755 })
  world = await startSshWorld({ sshd: { lines: [`Subsystem sftp ${script}`] } })
  through = await world.through()
})
afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

afterEach(() => rmSync(answers, { force: true }))

const INIT = greeting(FXP.INIT, 3)
const VERSION = greeting(FXP.VERSION, 3)
const root = packetWith(FXP.NAME, 1, [1, '/', '/'], Buffer.alloc(4))
/** Sends bytes to the subsystem, as no client of OpenSSH would. */
const raw = (...bytes: Buffer[]) => run(through, 'ssh', ['-s', HOST, 'sftp'], { input: Buffer.concat(bytes) })

/** What came back: type, id and, of a status, its code. */
function told(stdout: Buffer): [type: number, id: number, code: number][] {
  const packets: [number, number, number][] = []
  new Framer().push(stdout, (each) =>
    packets.push([each[4]!, each.readUInt32BE(5), each.length > 12 ? each.readUInt32BE(9) : -1]),
  )
  return packets.slice(1)
}

test.each<[string, Buffer, string]>([
  ['noise of a start-up file', Buffer.from('Welcome to this host!\n'), 'the host doesn’t speak SFTP'],
  ['another version', greeting(FXP.VERSION, 2), 'it speaks version 2'],
  ['an answer before its version', root, 'it does not begin with its version'],
  ['a packet without a type', Buffer.concat([VERSION, Buffer.alloc(4)]), 'a packet without a type'],
  ['an endless packet', Buffer.concat([VERSION, Buffer.alloc(64, 255)]), 'where 263168 are the most'],
  ['an answer to nothing', Buffer.concat([VERSION, packet(FXP.HANDLE, 99, 'h')]), 'an answer that nobody asked for'],
  ['an answer too early', Buffer.concat([VERSION, packet(FXP.HANDLE, 1, 'h')]), 'an answer that nobody asked for'],
  [
    'names too early',
    Buffer.concat([VERSION, packetWith(FXP.NAME, 1, [2, '/', '/'], Buffer.alloc(4))]),
    'an answer that nobody asked for',
  ],
])('a host with %s: the channel ends, and says so', async (_, bytes, words) => {
  writeFileSync(answers, bytes)
  const ran = await run(through, 'sftp', ['-oBatchMode=no', '-b', '-', HOST], { input: 'ls\n' })
  expect(ran.code).not.toBe(0)
  expect(ran.said).toContain(words)
})

test.each<[string, Buffer[], string]>([
  ['something before INIT', [packet(FXP.STAT, 1, '/')], 'it does not begin with INIT'],
  ['an older version', [greeting(FXP.INIT, 2)], 'a version before 3'],
  ['an endless packet', [INIT, Buffer.alloc(8, 255)], 'where 262144 are the most'],
  ['half a packet', [INIT, packet(FXP.STAT, 1, '/').subarray(0, 9)], 'its last packet is not whole'],
  ['a packet with something behind its end', [INIT, packet(FXP.STAT, 1, '/', 'more')], 'bytes behind its end'],
  ['a packet without an id', [INIT, Buffer.from([0, 0, 0, 1, 17])], 'without an id'],
])('a client with %s: the channel ends, and says so', async (_, bytes, words) => {
  const ran = await raw(...bytes)
  expect(ran.code).not.toBe(0)
  expect(ran.said).toContain(words)
})

test('what isn’t served is answered so, in order, and the channel goes on', async () => {
  const ran = await raw(
    INIT,
    packet(FXP.EXTENDED, 7, 'home-directory', 'root'),
    packet(99, 8),
    packetWith(FXP.READ, 9, ['0000'], Buffer.alloc(12)),
    packet(FXP.STAT, 10, Buffer.from([0x2f, 0xff])),
    packet(FXP.EXTENDED, 11, 'expand-path@openssh.com', '~nobody'),
    packet(FXP.STAT, 12, '/'),
  )
  expect(told(ran.stdout)).toEqual([
    [FXP.STATUS, 7, FX.OP_UNSUPPORTED],
    [FXP.STATUS, 8, FX.OP_UNSUPPORTED],
    [FXP.STATUS, 9, FX.FAILURE],
    [FXP.STATUS, 10, FX.BAD_MESSAGE],
    [FXP.STATUS, 11, FX.PERMISSION_DENIED],
    [FXP.ATTRS, 12, expect.any(Number)],
  ])
  expect(ran.code).toBe(0)
  const events = await world.recorded((await world.sessions())[0]!.id)
  const denied = events.filter((event) => event.type === 'command' && event.verdict.outcome === 'deny')
  expect(denied.map((event) => event.type === 'command' && [event.text, event.verdict.reason])).toEqual([
    ['extension home-directory', 'extension home-directory is not served here'],
    ['request 99', 'request 99 is not served here'],
    ['stat /\ufffd', 'refused: its name is not valid UTF-8'],
    ["expand-path '~nobody'", 'refused: ~ alone is served'],
  ])
  expect(events.filter(({ type }) => type === 'channel' || type === 'exit')).toMatchObject([
    { type: 'channel', channel: '1', kind: 'sftp' },
    { type: 'exit', channel: '1', code: 0 },
  ])
  const notices = events.flatMap((event) => (event.type === 'output' && event.notice ? [event.data] : []))
  expect(notices.join('')).toBe(ran.said)
})

test('whatever bytes a client sends, its channel ends and the gateway serves on', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ minLength: 1, maxLength: 60 }), { maxLength: 8 }), async (bodies) => {
      const packets = bodies.map((body) => {
        const length = Buffer.alloc(4)
        length.writeUInt32BE(body.length)
        return Buffer.concat([length, body])
      })
      expect((await raw(INIT, ...packets)).signal).toBe(null)
    }),
    { numRuns: 12, seed: 5 },
  )
  expect(told((await raw(INIT, packet(FXP.STAT, 1, '/'))).stdout)).toEqual([[FXP.ATTRS, 1, expect.any(Number)]])
  expect(world.log.filter(({ level }) => level === 'error')).toEqual([])
})
