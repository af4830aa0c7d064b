import { diffieHellman, generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { HOST, run } from '../testing/clients.ts'
import { hybrid, MLKEM } from './post-quantum.ts'
import { Client } from './ssh2.ts'
import { startServer } from './testing/server.ts'

/** As ssh2's own: a key pair of X25519, and nothing else. */
class X25519 {
  _protocol: { _server: boolean }
  _keys: ReturnType<typeof generateKeyPairSync> | null = null
  constructor(server: boolean) {
    this._protocol = { _server: server }
  }
  generateKeys() {
    this._keys ??= generateKeyPairSync('x25519')
  }
  getPublicKey() {
    this.generateKeys()
    return this._keys!.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32)
  }
  convertPublicKey(sent: Buffer) {
    return sent
  }
  computeSecret(): Buffer {
    throw new Error('not asked for')
  }
}
const Exchange = hybrid(X25519 as never)
const both = () => {
  const [client, server] = [new Exchange(false), new Exchange(true)]
  return { client, server, init: client.getPublicKey() }
}

test('both ends come to the same secret of 32 bytes, another one each time', () => {
  const secrets = Array.from({ length: 3 }, () => {
    const { client, server, init } = both()
    expect(init.length).toBe(1184 + 32)
    const secret = server.computeSecret(init)
    const reply = server.getPublicKey()
    expect(reply.length).toBe(1088 + 32)
    expect(client.computeSecret(reply)).toEqual(secret)
    return (secret as Buffer).toString('hex')
  })
  expect(new Set(secrets).size).toBe(3)
  expect(secrets.every((secret) => secret.length === 64)).toBe(true)
})

test.each<[string, (sent: Buffer) => Buffer]>([
  ['less', (sent) => sent.subarray(1)],
  ['more', (sent) => Buffer.concat([sent, Buffer.alloc(1)])],
  ['nothing', () => Buffer.alloc(0)],
  ['the key of X25519 alone', (sent) => sent.subarray(-32)],
  ['a point of small order', (sent) => Buffer.concat([sent.subarray(0, -32), Buffer.alloc(32)])],
  ['a key whose numbers are not reduced', (sent) => Buffer.concat([Buffer.alloc(3, 255), sent.subarray(3)])],
])('a client that sends %s is refused', (_, changed) => {
  const { server, init } = both()
  expect(server.computeSecret(changed(init))).toBeInstanceOf(Error)
})

test('a server that answers with less is refused, and with another ciphertext has another secret', () => {
  const { client, server, init } = both()
  const secret = server.computeSecret(init)
  const reply = server.getPublicKey()
  expect(client.computeSecret(reply.subarray(1))).toBeInstanceOf(Error)
  const forged = Buffer.from(reply)
  forged[7]! ^= 1
  expect(client.computeSecret(forged)).not.toEqual(secret)
})

/** Sends what comes back, under this exchange of keys alone. */
async function echoed(kex: string | undefined): Promise<{ negotiated: string; said: string }> {
  await using server = await startServer((channel) => channel.pipe(channel))
  const client = new Client()
  const negotiated = once(client, 'handshake')
  const socket = connect(server.port, '127.0.0.1')
  client.connect({ sock: socket, username: 'x', ...(kex !== undefined && { algorithms: { kex: [kex as never] } }) })
  await once(client, 'ready')
  const channel = await new Promise<import('./ssh2.ts').ClientChannel>((resolve, reject) =>
    client.exec('echo', (error, channel) => (error ? reject(error) : resolve(channel))),
  )
  channel.end('over both')
  const said: Buffer[] = []
  for await (const chunk of channel) said.push(chunk)
  client.end()
  const [{ kex: used }] = await negotiated
  return { negotiated: used, said: Buffer.concat(said).toString() }
}

test('both roles prefer it, and data passes under its keys', async () => {
  expect(await echoed(undefined)).toEqual({ negotiated: MLKEM, said: 'over both' })
})

test('who doesn’t know it has X25519 as before', async () => {
  expect(await echoed('curve25519-sha256')).toEqual({ negotiated: 'curve25519-sha256', said: 'over both' })
  await using server = await startServer((channel) => channel.pipe(channel))
  const { stdout } = await run(server.way, 'ssh', ['-o', 'KexAlgorithms=curve25519-sha256', HOST, 'x'], { input: 'y' })
  expect(stdout.toString()).toBe('y')
})

test('X25519 as OpenSSL does it refuses the points of small order', () => {
  const { privateKey } = generateKeyPairSync('x25519')
  const { publicKey } = generateKeyPairSync('x25519')
  expect(diffieHellman({ privateKey, publicKey }).length).toBe(32)
})
