import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { RunningPostgres } from '../../../demo/postgres.ts'
import { RawClient, told } from './testing/raw.ts'
import { startPostgres, startWorld, type World } from './testing/world.ts'
import { startupPacket } from './upstream/connect.ts'
import { cstring, message, T } from './wire/messages.ts'

const SSL = startupPacket(80_877_103)
const GSS = startupPacket(80_877_104)

let postgres: RunningPostgres
let world: World
let strict: World
beforeAll(async () => {
  postgres = await startPostgres()
  const pair = await selfSigned()
  world = await startWorld(postgres, { tls: () => pair })
  strict = await startWorld(postgres, { tls: () => pair, requireTls: true })
  const targets: Record<string, Partial<World['target']>> = {
    orders: {},
    jit: { ref: { name: 'jit', kind: 'postgres', tags: [], mode: 'enforce', access: 'jit' } },
    down: { port: 1 },
    badpassword: { password: 'wrong' },
    nodatabase: { database: 'nowhere' },
  }
  for (const each of [world, strict]) {
    const { enter } = each.options.entrance
    each.options.entrance = {
      enter: (agent, ref) => (ref.access === 'jit' ? { refused: 'no live grant' } : enter(agent, ref)),
    }
    each.options.target = (name) => targets[name] && { ...each.target, ...targets[name] }
    each.gate.judge = ({ session, kind }) => (kind === 'connect' && session.purpose === 'mischief' ? 'deny' : 'allow')
  }
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await strict[Symbol.asyncDispose]()
  await postgres.stop()
})

const NONE = 'E 42501 there is no such connection, or this agent may not open it'

it.each<[string, Record<string, string>, string]>([
  ['a token that is none', { password: 'bad' }, 'E 28P01 the token was refused'],
  ['a person’s token', { password: 'person' }, 'E 28P01 the token was refused'],
  ['an unknown connection', { database: 'nope' }, NONE],
  ['no sql:connect', { options: '-c countersign.purpose=mischief' }, NONE],
  ['no live grant', { database: 'jit' }, NONE],
  [
    'a server that is down',
    { database: 'down' },
    'E 08006 the database behind this connection can’t be used: it can’t be reached (ECONNREFUSED)',
  ],
  ['a server that refuses the gateway', { database: 'badpassword' }, 'E 08006'],
  ['a database that isn’t there', { database: 'nodatabase' }, 'E 3D000 database "nowhere" does not exist'],
  ['another encoding', { client_encoding: 'SJIS' }, 'E 22023 client_encoding must be UTF8 here'],
  [
    'another encoding in options',
    { options: '-c client_encoding=latin1' },
    'E 22023 client_encoding must be UTF8 here',
  ],
  [
    'strings that don’t conform',
    { options: '--standard-conforming-strings=off' },
    'E 22023 standard_conforming_strings',
  ],
  [
    'strings that don’t conform, as a parameter',
    { Standard_Conforming_Strings: '0' },
    'E 22023 standard_conforming_strings',
  ],
  ['replication', { replication: 'database' }, 'E 0A000 replication'],
  ['another role', { options: '-c role=postgres' }, 'E 22023 the connection option role'],
  ['a switch of the server', { options: '-O' }, 'E 22023 the connection option -O'],
  ['an unknown option of ours', { options: '-c countersign.nope=1' }, 'E 22023'],
  ['a hold that is none', { options: '-c countersign.hold=perhaps' }, 'E 22023'],
  [
    'a setting that the server doesn’t know',
    { options: '-c nope=1' },
    'E 42704 unrecognized configuration parameter "nope"',
  ],
])('refuses %s', async (_name, parameters, error) => {
  const client = await RawClient.start(world.port, parameters)
  expect(told(await client.closed().then(() => client.frames)).filter((line) => line.startsWith('E'))[0]).toContain(
    error,
  )
  expect(client.ended).toBe(true)
})

it.each<[string, Record<string, string>, object]>([
  ['a token that is none', { password: 'bad' }, { reason: 'the token’s signature is wrong' }],
  [
    'a person’s token',
    { password: 'person' },
    { reason: 'a person’s token opens no session', who: { kind: 'person' } },
  ],
  ['an unknown connection', { database: 'nope' }, { reason: 'there is no such connection', who: { kind: 'agent' } }],
  [
    'no sql:connect',
    { options: '-c countersign.purpose=mischief' },
    { reason: 'policy does not let it in', connection: 'orders' },
  ],
])('tells the ledger that it refused %s, in words that are not the client’s', async (_name, parameters, said) => {
  world.refusedSignIns.length = 0
  await (await RawClient.start(world.port, parameters)).closed()
  expect(world.refusedSignIns).toMatchObject([{ via: 'postgres', address: '127.0.0.1', ...said }])
})

it('takes a token of 8,000 characters', async () => {
  const client = await RawClient.start(world.port, { password: `good${'x'.repeat(8000)}` })
  expect(told(client.frames).at(-1)).toBe('Z I')
  client.socket.destroy()
})

it('asks for TLS where it is required', async () => {
  const client = await RawClient.start(strict.port)
  expect(told(await client.closed().then(() => client.frames))).toEqual([
    'E 28000 this gateway takes TLS connections only',
  ])
})

it('speaks TLS after an SSLRequest, a GSSENCRequest before it, and directly with ALPN', async () => {
  const plain = await open(strict)
  plain.write(GSS)
  expect((await once(plain, 'data'))[0].toString()).toBe('N')
  plain.write(SSL)
  expect((await once(plain, 'data'))[0].toString()).toBe('S')
  expect(await asksForPassword(await secure(plain))).toBe(true)
  expect(await asksForPassword(await secure(await open(strict), ['postgresql']))).toBe(true)
})

it.each<[string, Buffer[]]>([
  ['SSLRequest with bytes behind it in plaintext', [Buffer.concat([SSL, Buffer.from('mischief')])]],
  ['two GSSENCRequests', [GSS, GSS]],
  ['a startup packet longer than any', [Buffer.from([0x7f, 0, 0, 0, 0, 3, 0, 0])]],
  ['protocol 2', [startupPacket(2 << 16, Buffer.alloc(1))]],
  ['a startup packet without its end', [startupPacket(3 << 16, Buffer.from('user\0any\0'))]],
  ['HTTP', [Buffer.from('GET / HTTP/1.1\r\n\r\n')]],
])('closes on %s', async (_name, parts) => {
  const socket = await open(world)
  for (const part of parts) socket.write(part)
  socket.resume()
  await once(socket, 'close')
})

it('closes where its own certificate can’t be had', async () => {
  await using broken = await startWorld(postgres)
  const socket = await open(broken)
  socket.write(SSL)
  socket.resume()
  await once(socket, 'close')
  expect(broken.complaints).toHaveLength(1)
})

it('closes direct TLS without ALPN', async () => {
  const socket = connectTls({ socket: await open(world), rejectUnauthorized: false })
  socket.on('error', () => {})
  socket.resume()
  await once(socket, 'close')
})

it.each(['user=postgres', 'database=postgres', 'Database=postgres', 'options=-crole=postgres', 'replication=true'])(
  'takes no %s out of PGOPTIONS, which would lead elsewhere',
  async (setting) => {
    for (const options of [`-c ${setting}`, `--${setting}`, `-c${setting}`]) {
      const socket = await open(world)
      const client = new RawClient(socket)
      const parameters = ['user', 'any', 'database', 'orders', 'options', options].map(cstring)
      client.send(startupPacket(3 << 16, Buffer.concat([...parameters, Buffer.from([0])])))
      expect(told(await client.closed())[0]).toMatch(/^E 22023 the connection option \w+ is not taken here$/)
    }
  },
)

it('negotiates protocol 3.2 and greased options down to 3.0', async () => {
  const socket = await open(world)
  const client = new RawClient(socket)
  const parameters = ['user', 'any', 'database', 'orders', '_pq_.test_grease', '1'].map(cstring)
  client.send(startupPacket((3 << 16) | 2, Buffer.concat([...parameters, Buffer.from([0])])))
  const [negotiate] = await client.until((frame) => frame[0] === T.Authentication)
  expect(negotiate!.toString('latin1')).toBe('v\0\0\0\x1d\0\x03\0\0\0\0\0\x01_pq_.test_grease\0')
  client.send(message(T.Password, cstring('good')))
  expect(told(await client.ready()).at(-1)).toBe('Z I')
  socket.destroy()
})

it('psql signs in by TLS, and says what it is told', async () => {
  const psql = spawn('psql', ['-XAtc', 'SELECT 6 * 7'], {
    env: {
      ...process.env,
      LANG: 'C',
      PGHOST: '127.0.0.1',
      PGPORT: String(strict.port),
      PGDATABASE: 'orders',
      PGUSER: 'any',
      PGPASSWORD: 'good',
      PGSSLMODE: 'require',
    },
  })
  let out = ''
  psql.stdout.on('data', (chunk) => {
    out += chunk
  })
  const [code] = await once(psql, 'close')
  expect([code, out]).toEqual([0, '42\n'])
})

async function open(to: World): Promise<Socket> {
  const socket = connect({ port: to.port, host: '127.0.0.1', noDelay: true })
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

async function secure(socket: Socket, alpn?: string[]): Promise<TLSSocket> {
  const encrypted = connectTls({ socket, rejectUnauthorized: false, ...(alpn ? { ALPNProtocols: alpn } : {}) })
  await once(encrypted, 'secureConnect')
  return encrypted
}

async function asksForPassword(socket: TLSSocket): Promise<boolean> {
  const client = new RawClient(socket)
  client.send(
    startupPacket(3 << 16, Buffer.concat([...['user', 'any', 'database', 'orders'].map(cstring), Buffer.from([0])])),
  )
  const [frame] = await client.until((each) => each[0] === T.Authentication || each[0] === T.ErrorResponse)
  socket.destroy()
  return frame?.[0] === T.Authentication
}

async function selfSigned(): Promise<{ cert: string; key: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=localhost',
    signingAlgorithm: algorithm,
    keys,
  })
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  return { cert: cert.toString('pem'), key: `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n` }
}
