import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { HOST, run } from '../testing/clients.ts'
import { CIPHERS, MACS } from './algorithms.ts'
import { cipherFor, decipherFor } from './ciphers.ts'
import type { Connection } from './inner.ts'
import { closed, startServer, unpatchedClient } from './testing/server.ts'

const sha = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const content = randomBytes(1_500_007)

const echo = () =>
  startServer((channel) => {
    channel.pipe(channel, { end: false })
    channel.once('end', () => {
      channel.exit(0)
      channel.end()
    })
  })

const pairs = CIPHERS.flatMap((cipher): [string, string][] =>
  cipher.includes('gcm') ? [[cipher, '']] : MACS.map((mac) => [cipher, mac]),
)
test.each(pairs)('OpenSSH and %s %s understand each other', async (cipher, mac) => {
  await using server = await echo()
  const args = ['-c', cipher, ...(mac ? ['-m', mac] : []), HOST, 'cat']
  const ran = await run(server.way, 'ssh', args, { input: content })
  expect([ran.said, sha(ran.stdout)]).toEqual(['', sha(content)])
})

test.each([
  ['aes128-gcm@openssh.com', 'Gcm'],
  ['aes256-ctr', 'Etm'],
])('%s is our own, both ways, in use', async (cipher, ours) => {
  await using server = await startServer((channel) => {
    const { _protocol } = server.connections[0] as unknown as Connection
    const { _cipher, _decipher } = _protocol as unknown as Record<'_cipher' | '_decipher', object>
    channel.stdout.end(`${_cipher.constructor.name} ${_decipher.constructor.name}`)
    channel.exit(0)
    channel.end()
  })
  const ran = await run(server.way, 'ssh', ['-c', cipher, HOST, 'which'])
  expect(ran.stdout.toString()).toBe(`${ours}Cipher ${ours}Decipher`)
})

test.each([
  ['chacha20', ['-c', 'chacha20-poly1305@openssh.com'], 'no matching C->S cipher'],
  ['SHA-1', ['-c', 'aes256-ctr', '-m', 'hmac-sha1'], 'no matching C->S MAC'],
  ['a large prime', ['-o', 'KexAlgorithms=diffie-hellman-group14-sha256'], 'no matching key exchange algorithm'],
])('%s is not to be had', async (_, args, why) => {
  await using server = await echo()
  expect(await run(server.way, 'ssh', [...args, HOST, 'cat'])).toMatchObject({ code: 255 })
  expect(server.errors).toContain(`Handshake failed: ${why}`)
})

test('what is said of signatures, and of the order of packets, is what OpenSSH wants to hear', async () => {
  await using server = await echo()
  const { said } = await run(server.way, 'ssh', ['-vvv', '-o', 'LogLevel=DEBUG3', HOST, 'cat'])
  expect(said).toMatch(/server-sig-algs=<[^>]*\brsa-sha2-512,rsa-sha2-256>/)
  expect(said).toContain('will use strict KEX ordering')
})

test('a packet that was changed on its way ends the connection', async () => {
  await using server = await echo()
  const client = await unpatchedClient(server.port)
  const socket = client._sock
  const write = socket.write.bind(socket) as (bytes: Uint8Array) => boolean
  socket.write = ((bytes: Uint8Array) => {
    const changed = Buffer.from(bytes)
    if (changed.length >= 16) changed[changed.length - 1]! ^= 1
    return write(changed)
  }) as typeof socket.write
  client.exec('cat', () => {})
  await closed(client)
  expect(server.errors).not.toEqual([])
})

describe('a packet for packet', () => {
  const gcm = { sslName: 'aes-128-gcm', blockLen: 16 }
  const ctr = { sslName: 'aes-256-ctr', blockLen: 16 }
  const mac = { sslName: 'sha256', actualLen: 32, isETM: true }
  const [key, iv, macKey] = [randomBytes(32), randomBytes(16), randomBytes(32)]

  /** What comes out of a stream of packets that is cut at some places. */
  function through(kind: 'gcm' | 'ctr', payloads: Buffer[], piece: number, change?: number): Buffer[] {
    const written: Buffer[] = []
    const agreed =
      kind === 'gcm'
        ? { info: gcm, key: key.subarray(0, 16), iv: iv.subarray(0, 12) }
        : { info: ctr, key, iv, macs: { macInfo: mac, macKey } }
    const cipher = cipherFor({
      outbound: {
        ...{ seqno: 2 ** 32 - 2, cipherInfo: agreed.info, cipherKey: agreed.key, cipherIV: agreed.iv, ...agreed.macs },
        onWrite: (bytes) => written.push(Buffer.from(bytes)),
      },
    }) as { allocPacket(size: number): Buffer; encrypt(packet: Buffer): void }
    for (const payload of payloads) {
      const packet = cipher.allocPacket(payload.length)
      packet.set(payload, 5)
      cipher.encrypt(packet)
    }
    const wire = Buffer.concat(written)
    if (change !== undefined) wire[change % wire.length]! ^= 0x40
    const read: Buffer[] = []
    const decipher = decipherFor({
      inbound: {
        seqno: 2 ** 32 - 2,
        ...{ decipherInfo: agreed.info, decipherKey: agreed.key, decipherIV: agreed.iv, ...agreed.macs },
        onPayload: (payload) => void read.push(Buffer.from(payload)),
      },
    }) as { decrypt(chunk: Buffer, at: number, end: number): number | undefined }
    for (let at = 0; at < wire.length; at += piece) {
      const chunk = Buffer.from(wire.subarray(at, at + piece))
      decipher.decrypt(chunk, 0, chunk.length)
    }
    return read
  }
  const payloads = [1, 0, 7, 8, 9, 1000, 1007, 1024, 32_768, 3, 34_000].map((size) => randomBytes(size))

  test.each(['gcm', 'ctr'] as const)('%s: wherever the bytes are cut, what was sent comes out', (kind) => {
    for (const piece of [1, 2, 3, 4, 5, 19, 20, 21, 36, 1000, 40_000, 1_000_000])
      expect(through(kind, payloads, piece)).toEqual(payloads)
  })

  test.each(['gcm', 'ctr'] as const)('%s: of what was changed nothing comes out', (kind) => {
    for (let change = 0; change < 300; change++) {
      let read: Buffer[] = []
      try {
        read = through(kind, [payloads[5]!], 64, change * 3)
      } catch {}
      expect(read).toEqual([])
    }
  })
})
