import { once } from 'node:events'
import { connect } from 'node:net'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { HOST, run } from '../testing/clients.ts'
import { lookAhead } from './offer.ts'
import { startServer } from './testing/server.ts'

const echo = () =>
  startServer((channel) => {
    channel.pipe(channel, { end: false })
    channel.once('end', () => {
      channel.exit(0)
      channel.end()
    })
  })

test.each([
  ['its own order', [], 'aes128-gcm@openssh.com'],
  ['an order with another GCM', ['-c', 'aes256-ctr,aes256-gcm@openssh.com'], 'aes256-gcm@openssh.com'],
  ['no GCM', ['-c', 'aes192-ctr'], 'aes192-ctr'],
])('an OpenSSH client with %s', async (_, args, cipher) => {
  await using server = await echo()
  const { said, stdout } = await run(server.way, 'ssh', ['-vv', '-o', 'LogLevel=DEBUG2', ...args, HOST, 'cat'], {
    input: 'hello',
  })
  expect(stdout.toString()).toBe('hello')
  for (const way of ['server->client', 'client->server']) expect(said).toContain(`kex: ${way} cipher: ${cipher} `)
})

const list = (text: string) => {
  const bytes = Buffer.from(text)
  const size = Buffer.alloc(4)
  size.writeUInt32BE(bytes.length)
  return Buffer.concat([size, bytes])
}
const kexinit = (cs: string, sc: string) =>
  Buffer.concat([
    Buffer.from([20]),
    Buffer.alloc(16),
    ...['kex', 'key', cs, sc, 'mac', 'mac', 'none', 'none', '', ''].map(list),
    Buffer.alloc(5),
  ])
const packet = (payload: Buffer) => {
  const padding = 8 - ((payload.length + 5) % 8) + 8
  const whole = Buffer.alloc(5 + payload.length + padding)
  whole.writeUInt32BE(1 + payload.length + padding)
  whole[4] = padding
  payload.copy(whole, 5)
  return whole
}
const ident = Buffer.from('SSH-2.0-OpenSSH_9.2\r\n')

test('its ciphers are known once its first packet is whole, however it is cut', () => {
  const text = Buffer.concat([ident, packet(kexinit('a,b', 'c'))])
  for (let at = ident.length; at < text.length; at++) expect(lookAhead(text.subarray(0, at), ident.length)).toBe('wait')
  expect(lookAhead(text, ident.length)).toEqual({ cs: ['a', 'b'], sc: ['c'] })
})

test.each([
  ['another client', Buffer.concat([Buffer.from('SSH-2.0-paramiko_3\r\n')]), 20],
  ['a packet longer than any', Buffer.concat([ident, Buffer.from([0, 1, 0, 0, 4, 20])]), ident.length],
  ['one that is all padding', Buffer.concat([ident, Buffer.from([0, 0, 0, 5, 9, 20, 0, 0, 0])]), ident.length],
  ['another message', Buffer.concat([ident, packet(Buffer.from([2, 0, 0, 0, 0]))]), ident.length],
  ['lists that end in the middle', Buffer.concat([ident, packet(kexinit('a', 'b').subarray(0, 30))]), ident.length],
])('of %s nothing is known', (_, text, from) => expect(lookAhead(text, from)).toBe('any'))

test('any bytes behind an identification are waited for, or nothing is known of them', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const found = lookAhead(Buffer.concat([ident, bytes]), ident.length)
      if (typeof found === 'object') expect(Object.keys(found)).toEqual(['cs', 'sc'])
      else expect(['wait', 'any']).toContain(found)
    }),
    { seed: 7, numRuns: 2000 },
  )
})

test('one that calls itself OpenSSH and sends nothing more is heard out no longer than any other', async () => {
  await using server = await echo()
  const socket = connect(server.port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write('SSH-2.0-OpenSSH_9.2\r\n')
  socket.write(Buffer.from([0, 0, 0x80, 0, 4]))
  for (let n = 0; n < 10; n++) socket.write(Buffer.alloc(7_000))
  socket.resume()
  await once(socket, 'close')
  expect(server.errors).not.toEqual([])
})
