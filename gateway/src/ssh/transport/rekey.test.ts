import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { HOST, run } from '../testing/clients.ts'
import { startSshd } from '../testing/sshd.ts'
import type { Connection } from './inner.ts'
import { LIMITS } from './ssh2.ts'
import { Client, closed, exec, startServer, unpatchedClient } from './testing/server.ts'

const sha = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const content = randomBytes(24 * 1024 * 1024 + 13)
const often = { rekey: { ...LIMITS.rekey, bytes: 1024 * 1024 } }

/** How often the keys of a connection were changed. */
function changes(connection: unknown): () => number {
  let count = 0
  ;(connection as Connection).on('handshake', () => count++)
  return () => count
}

test.each([
  ['by us', often, []],
  ['by the client', {}, ['RekeyLimit 1M']],
  ['by both', often, ['RekeyLimit 1M']],
] as const)('keys changed %s while much goes both ways', async (_, limits, lines) => {
  let changed = () => 0
  await using server = await startServer(
    (channel) => {
      changed = changes(server.connections[0])
      channel.pipe(channel, { end: false })
      channel.once('end', () => {
        channel.stderr.write('done')
        channel.exit(5)
        channel.end()
      })
    },
    { limits, lines: [...lines] },
  )
  const ran = await run(server.way, 'ssh', [HOST, 'cat'], { input: content })
  expect([ran.code, ran.said, sha(ran.stdout)]).toEqual([5, 'done', sha(content)])
  expect(changed()).toBeGreaterThan(10)
  expect(server.errors).toEqual([])
})

test.each([
  ['by us', often, []],
  ['by the host', {}, ['RekeyLimit 1M']],
  ['by both', often, ['RekeyLimit 1M']],
] as const)('keys changed %s, of a client of a real host', async (_, limits, lines) => {
  await using sshd = await startSshd({ lines })
  const client = new Client()
  const { host, port, user, privateKey } = sshd
  client.connect({ host, port, username: user, privateKey, limits })
  await once(client, 'ready')
  const changed = changes(client)
  const channel = await exec(client, 'cat; exit 6')
  channel.end(content)
  const pieces: Buffer[] = []
  channel.on('data', (piece: Buffer) => pieces.push(piece))
  channel.stderr.resume()
  expect(await once(channel, 'close')).toEqual([6])
  expect(sha(Buffer.concat(pieces))).toBe(sha(content))
  expect(changed()).toBeGreaterThan(10)
  client.end()
})

test('keys are changed after an hour, whatever was sent', async () => {
  let now = 0
  const limits = { clock: () => now }
  await using server = await startServer((channel) => channel.end(), { limits })
  const client = await unpatchedClient(server.port)
  const changed = changes(client)
  ;(await exec(client, 'one')).resume()
  expect(changed()).toBe(0)
  now = 3_600_001
  ;(await exec(client, 'another')).resume()
  if (changed() === 0) await once(client, 'handshake')
  expect(changed()).toBe(1)
  client.end()
})

test('of a peer that doesn’t change its keys, the connection ends', async () => {
  await using server = await startServer((channel) => channel.resume())
  const client = await unpatchedClient(server.port)
  const connection = server.connections[0]!
  const gone = closed(connection)
  ;(connection as unknown as Connection)._protocol.limits.rekey = { bytes: 0, ms: 0, timeout: 20 }
  client._protocol._handlers = {}
  ;(client._protocol as unknown as { parse: () => void }).parse = () => {} // it doesn't listen any more
  client.exec('anything', () => {})
  await gone
  expect(server.errors).toContain('the peer did not change its keys in time')
})
