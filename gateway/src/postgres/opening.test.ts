import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { RunningPostgres } from '../../../demo/postgres.ts'
import { selfSignedPair } from '../config/tls.ts'
import { Q, RawClient, told } from './testing/raw.ts'
import { startPostgres, startWorld, type World } from './testing/world.ts'
import { startupPacket } from './upstream/connect.ts'
import { cstring } from './wire/messages.ts'
import { take } from './wire/take.ts'

let postgres: RunningPostgres
let world: World
let home: string
beforeAll(async () => {
  postgres = await startPostgres({ auth: 'password', ssl: true })
  home = mkdtempSync(join(tmpdir(), 'countersign-opening-'))
  const { pair } = await selfSignedPair(home, ['127.0.0.1'])
  world = await startWorld(postgres, { tls: () => pair })
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await postgres.stop()
  rmSync(home, { recursive: true, force: true })
})

const packets = {
  ssl: startupPacket(80_877_103),
  gss: startupPacket(80_877_104),
  start: start(3 << 16),
  'start 3.2': start((3 << 16) | 2),
  'start 3.9999': start((3 << 16) | 9999),
  'start greased': start(3 << 16, ['_pq_.one', '1', '_pq_.two', '']),
  'start 3.2 greased': start((3 << 16) | 2, ['_pq_.test_protocol_negotiation', '']),
  'start 4.0': start(4 << 16),
} as const
type Step = keyof typeof packets | 'tls' | 'tls without alpn' | 'tls as http'

function start(code: number, more: string[] = []): Buffer {
  const parameters = ['user', 'postgres', 'database', 'orders', ...more]
  return startupPacket(code, Buffer.concat([...parameters.map(cstring), Buffer.from([0])]))
}

/**
 * What is answered to each step: a byte to a request for encryption, the types of messages to a startup packet.
 * `server` is what PostgreSQL 18 answers, where that is another.
 */
const openings: [steps: Step[], gateway: string[], server?: string[]][] = [
  [['start'], ['R']],
  [
    ['gss', 'start'],
    ['N', 'R'],
  ],
  [
    ['gss', 'ssl', 'tls', 'start'],
    ['N', 'S', 'tls', 'R'],
  ],
  [
    ['ssl', 'tls', 'start'],
    ['S', 'tls', 'R'],
  ],
  [
    ['ssl', 'tls without alpn', 'start'],
    ['S', 'tls', 'R'],
  ],
  [
    ['ssl', 'tls as http', 'start'],
    ['S', 'closed'],
  ],
  [
    ['ssl', 'tls', 'gss'],
    ['S', 'tls', 'closed'],
  ],
  [
    ['ssl', 'tls', 'ssl'],
    ['S', 'tls', 'closed'],
  ],
  [
    ['ssl', 'start'],
    ['S', 'closed'],
  ],
  [
    ['tls', 'start'],
    ['tls', 'R'],
  ],
  // Within TLS nothing is left to ask for.
  [
    ['tls', 'ssl'],
    ['tls', 'closed'],
    ['tls', 'N'],
  ],
  [
    ['tls', 'gss'],
    ['tls', 'closed'],
    ['tls', 'N'],
  ],
  [['tls without alpn', 'start'], ['closed']],
  [['tls as http', 'start'], ['closed']],
  [
    ['gss', 'gss'],
    ['N', 'closed'],
  ],
  [['start 4.0'], ['closed']],
  // The gateway speaks 3.0, whatever is asked for; a server of version 18 speaks 3.2 as well.
  [['start 3.2'], ['vR'], ['R']],
  [['start 3.9999'], ['vR']],
  [['start greased'], ['vR']],
  [['start 3.2 greased'], ['vR']],
  [
    ['ssl', 'tls', 'start 3.2 greased'],
    ['S', 'tls', 'vR'],
  ],
]

describe('an opening is answered as the server answers it', () => {
  it.each(openings)('%j', async (steps, gateway, server = gateway) => {
    expect(await answers(postgres.port, steps)).toEqual(server)
    expect(await answers(world.port, steps)).toEqual(gateway)
  })
})

async function answers(port: number, steps: Step[]): Promise<string[]> {
  let socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true })
  const plain = socket
  socket.on('error', () => {})
  const said: string[] = []
  for (const step of steps) {
    if (step.startsWith('tls')) {
      const alpn = step === 'tls' ? ['postgresql'] : step === 'tls as http' ? ['http/1.1'] : undefined
      const secure = connectTls({ socket, rejectUnauthorized: false, ...(alpn ? { ALPNProtocols: alpn } : {}) })
      const failed = new Promise<'closed'>((resolve) => {
        secure.on('error', () => resolve('closed'))
        secure.once('close', () => resolve('closed'))
      })
      const how = await Promise.race([once(secure, 'secureConnect').then(() => 'tls'), failed])
      // With TLS 1.3 a refusal may come after the handshake is done at this end.
      const also = step === 'tls' || how === 'closed' || said.includes('S') ? how : await failed
      said.push(also)
      if (also === 'closed') break
      socket = secure
      continue
    }
    socket.write(packets[step as keyof typeof packets])
    const answer = step.startsWith('start') ? await letters(socket) : ((await take(socket, 1))?.toString() ?? 'closed')
    // Words of an error in place of an answer: what counts is that it's over.
    said.push(answer.startsWith('E') || answer === '' ? 'closed' : answer)
    if (said.at(-1) === 'closed') break
  }
  plain.destroy()
  return said
}

/** Types of messages up to the one that asks for a password; E where it is refused; nothing where it is closed. */
async function letters(socket: Socket): Promise<string> {
  let said = ''
  for (;;) {
    const head = await take(socket, 5)
    if (!head) return said
    said += String.fromCharCode(head[0]!)
    if (head[0] === 0x52 || head[0] === 0x45) return said
    await take(socket, head.readUInt32BE(1) - 4)
  }
}

it('takes a token of 60,000 characters, and none beyond 64 KiB', async () => {
  const client = await RawClient.start(world.port, { password: `good${'x'.repeat(60_000)}` })
  expect(told(client.frames).at(-1)).toBe('Z I')
  client.socket.destroy()
  const refused = await RawClient.start(world.port, { password: `good${'x'.repeat(70_000)}` })
  expect(told(await refused.closed()).filter((line) => line.startsWith('Z'))).toEqual([])
})

it('whoever dribbles their opening is closed after a minute, however lively', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    const slow = [packets.start, packets.ssl, Buffer.from([0x16, 3, 1])].map((bytes) => ({
      bytes,
      socket: connect({ port: world.port, host: '127.0.0.1', noDelay: true }),
    }))
    await Promise.all(slow.map(({ socket }) => once(socket, 'connect')))
    const closed = slow.map(({ socket }) => once(socket.on('error', () => {}).resume(), 'close'))
    for (let at = 0; at < 6; at++) {
      for (const { bytes, socket } of slow) if (bytes.length > at) socket.write(bytes.subarray(at, at + 1))
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
      await vi.advanceTimersByTimeAsync(10_000)
    }
    await vi.advanceTimersByTimeAsync(1_000)
    await Promise.all(closed)
  } finally {
    vi.useRealTimers()
  }
})

it('takes a cancel in plaintext and within TLS', async () => {
  const client = await RawClient.start(world.port)
  for (const encrypted of [false, true]) {
    client.send(Q(`SELECT pg_sleep(60) -- ${encrypted}`))
    const runs = `SELECT 1 FROM pg_stat_activity WHERE query LIKE '%-- ${encrypted}' AND state = 'active' AND pid <> pg_backend_pid()`
    while ((await postgres.query(runs)).length === 0) await new Promise(setImmediate)
    let socket: Socket = connect({ port: world.port, host: '127.0.0.1' })
    if (encrypted) {
      socket.write(packets.ssl)
      await take(socket, 1)
      socket = connectTls({ socket, rejectUnauthorized: false })
      await once(socket, 'secureConnect')
    }
    socket.on('error', () => {}).resume()
    socket.write(startupPacket(80_877_102, client.key))
    await once(socket, 'close')
    expect(told(await client.ready()).slice(-2)).toEqual(['E 57014 canceling statement due to user request', 'Z I'])
  }
  client.socket.destroy()
})
