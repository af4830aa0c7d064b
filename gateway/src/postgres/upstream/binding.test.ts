import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls, TLSSocket } from 'node:tls'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type RunningPostgres, startPostgres } from '../../../../demo/postgres.ts'
import { selfSignedPair } from '../../config/tls.ts'
import type { PostgresTarget } from '../target.ts'
import { take } from '../wire/take.ts'
import { connectUpstream, startupPacket } from './connect.ts'

/**
 * Somebody between gateway and server, who ends TLS with a certificate of their own and speaks TLS to the real server:
 * what channel binding (RFC 5802, tls-server-end-point) is there to find out.
 */
let between: Server
let postgres: RunningPostgres
let home: string
/** What they do to what the server says. */
let tamper: (bytes: Buffer) => Buffer
beforeAll(async () => {
  postgres = await startPostgres({ auth: 'scram-sha-256', ssl: true })
  home = mkdtempSync(join(tmpdir(), 'countersign-between-'))
  const { pair } = await selfSignedPair(home, ['127.0.0.1'])
  between = createServer((socket) => {
    socket.on('error', () => {})
    void relay(socket, pair).catch(() => socket.destroy())
  })
  between.listen(0, '127.0.0.1')
  await once(between, 'listening')
})
afterAll(async () => {
  between.close()
  await postgres.stop()
  rmSync(home, { recursive: true, force: true })
})

async function relay(socket: import('node:net').Socket, pair: { cert: string; key: string }): Promise<void> {
  await take(socket, 8) // SSLRequest
  socket.write('S')
  const ours = new TLSSocket(socket, { isServer: true, ...pair, ALPNProtocols: ['postgresql'] })
  const plain = connect(postgres.port, postgres.host)
  plain.write(startupPacket(80_877_103))
  await take(plain, 1)
  const theirs = connectTls({ socket: plain, rejectUnauthorized: false, ALPNProtocols: ['postgresql'] })
  for (const [one, other] of [
    [ours, theirs],
    [theirs, ours],
  ] as const) {
    one.on('error', () => other.destroy())
    one.on('close', () => other.destroy())
  }
  ours.pipe(theirs)
  theirs.on('data', (bytes: Buffer) => ours.write(tamper(bytes)))
}

/** What becomes of a sign-in that takes any certificate (mode require). */
async function signIn(port: number): Promise<string> {
  const target: PostgresTarget = {
    ref: { name: 'orders', kind: 'postgres', tags: [], mode: 'enforce' },
    host: postgres.host,
    port,
    database: 'postgres',
    user: postgres.user,
    password: postgres.password,
    tls: { mode: 'require' },
  }
  try {
    const { socket } = await connectUpstream(target, [], AbortSignal.timeout(20_000))
    socket.destroy()
    return 'signed in'
  } catch (error) {
    return (error as Error).message
  }
}

const withoutPlus = (bytes: Buffer) => {
  const offer = Buffer.from('SCRAM-SHA-256-PLUS\0')
  const at = bytes.indexOf(offer)
  if (at < 0) return bytes
  const less = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + offer.length)])
  less.writeUInt32BE(less.length - 1, 1)
  return less
}

it.each<[string, (bytes: Buffer) => Buffer, RegExp]>([
  ['who passes everything on', (bytes) => bytes, /SCRAM channel binding check failed/],
  ['who hides that the server can bind', withoutPlus, /SCRAM channel binding negotiation error/],
])('no sign-in through somebody in between %s, though no certificate is checked', async (_who, how, says) => {
  tamper = how
  expect(await signIn((between.address() as AddressInfo).port)).toMatch(says)
})

it('a sign-in to the server itself is bound and passes', async () => {
  expect(await signIn(postgres.port)).toBe('signed in')
})
