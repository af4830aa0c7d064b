import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import type { Channel, Connection, End } from './inner.ts'
import { LIMITS, type ServerChannel } from './ssh2.ts'
import { closed, exec, send, startServer, Unpatched, unpatchedClient } from './testing/server.ts'

const IGNORE = 2
const OPEN = 90
const DATA = 94
const CLOSE = 97
const GLOBAL_REQUEST = 80

const inside = (connection: unknown) => connection as unknown as Connection
const outgoing = (channel: unknown) => (channel as { outgoing: End }).outgoing

/** A server whose commands run until they are ended, and one channel of a client that does what it likes. */
async function running(limits = {}) {
  const started = Promise.withResolvers<ServerChannel>()
  const server = await startServer((channel) => started.resolve(channel), { limits })
  const client = await unpatchedClient(server.port)
  const theirs = await exec(client, 'anything')
  const channel = await started.promise
  const ended = closed(client)
  return {
    server,
    client,
    theirs,
    channel,
    ended,
    async [Symbol.asyncDispose]() {
      client.destroy()
      await server[Symbol.asyncDispose]()
    },
  }
}

test('data beyond the window ends the connection, and is not passed on with a hole', async () => {
  await using world = await running()
  outgoing(world.theirs).window = 2 ** 30
  for (let sent = 0; sent < 8; sent++) world.theirs.write(Buffer.alloc(1024 * 1024))
  await world.ended
  expect(world.server.errors).toContain('data came beyond the window of a channel')
})

test('data after EOF ends the connection', async () => {
  await using world = await running()
  const { client, theirs } = world
  theirs.end()
  await once(theirs, 'finish')
  send(client._protocol, DATA, BigInt(outgoing(theirs).id), 'more')
  await world.ended
  expect(world.server.errors).toContain('data came after the end of a channel')
})

test('a window of more than 4 GiB ends the connection', async () => {
  await using world = await running()
  world.client._protocol.channelWindowAdjust(outgoing(world.theirs).id, 2 ** 32 - 1)
  await world.ended
  expect(world.server.errors).toContain('a window grew beyond 4 GiB')
})

test.each([0n, 1n, 1023n])('a channel for packets of %i bytes is not opened', async (size) => {
  await using world = await running()
  const { client } = world
  const refused = Promise.withResolvers<number>()
  client._protocol._handlers.CHANNEL_OPEN_FAILURE = (_, id: number) => refused.resolve(id)
  send(client._protocol, OPEN, 'session', 77n, 2_097_152n, size)
  expect(await refused.promise).toBe(77)
  expect(world.server.errors).toEqual([])
})

test('a channel without its sizes ends the connection', async () => {
  await using world = await running()
  send(world.client._protocol, OPEN, 'session', 77n)
  await world.ended
  expect(world.server.errors).toContain('a channel was asked for without its sizes')
})

test('so many channels at once and no more; those that were closed before anything was asked for don’t count', async () => {
  await using world = await running({ channels: 10 })
  const { client, server } = world
  const answers: string[] = []
  const { _handlers: handlers } = client._protocol
  let all = Promise.withResolvers<void>()
  let expected = 30
  const answered = (answer: string) => {
    answers.push(answer)
    if (answers.length === expected) all.resolve()
  }
  const opened: number[] = []
  handlers.CHANNEL_OPEN_CONFIRMATION = (_, { sender }: { sender: number }) => {
    opened.push(sender)
    answered('opened')
  }
  handlers.CHANNEL_OPEN_FAILURE = (_, _id, reason: number) => answered(`refused ${reason}`)
  for (let id = 0; id < expected; id++) client._protocol.session(1000 + id, 2_097_152, 32_768)
  await all.promise
  expect(answers.filter((answer) => answer === 'opened')).toHaveLength(9) // beside the one that is there
  expect(answers.filter((answer) => answer === 'refused 4')).toHaveLength(21) // RESOURCE_SHORTAGE
  let closed = 0
  const allClosed = Promise.withResolvers<void>()
  handlers.CHANNEL_CLOSE = () => ++closed === 9 && allClosed.resolve()
  for (const id of opened) send(client._protocol, CLOSE, BigInt(id))
  await allClosed.promise
  expect(inside(server.connections[0])._chanMgr._count).toBe(1)
  answers.length = 0
  expected = 9
  all = Promise.withResolvers()
  for (let id = 0; id < expected; id++) client._protocol.session(2000 + id, 2_097_152, 32_768)
  await all.promise
  expect(new Set(answers)).toEqual(new Set(['opened']))
})

test('a flood of packets that bring nothing ends the connection', async () => {
  await using world = await running({ idlePackets: { burst: 500, perSecond: 0 } })
  for (let n = 0; n < 600; n++) send(world.client._protocol, IGNORE, '')
  await world.ended
  expect(world.server.errors).toContain('too many packets that bring nothing')
})

test('a flood before sign-in ends the connection', async () => {
  await using server = await startServer(() => {}, { limits: { packetsBeforeSignIn: 50 } })
  const client = new Unpatched()
  client.on('error', () => {})
  client.on('handshake', () => {
    const { _protocol: protocol } = client as unknown as Connection
    for (let n = 0; n < 60; n++) send(protocol, IGNORE, '')
  })
  client.connect({ host: '127.0.0.1', port: server.port, username: 'anybody', authHandler: () => false as never })
  await closed(client)
  expect(server.errors).toContain('too many packets before sign-in')
})

test('a line without an end is no identification', async () => {
  await using server = await startServer(() => {})
  const socket = connect(server.port, '127.0.0.1')
  socket.on('error', () => {})
  for (let n = 0; n < 10; n++) socket.write(`SSH-2.0-${'x'.repeat(1024)}`)
  socket.resume()
  await once(socket, 'close')
  expect(server.connections).toEqual([])
})

test('of a peer that gives a window of 4 GiB and doesn’t read, no more waits than fits', async () => {
  await using world = await running()
  const { client, theirs, channel, server } = world
  client._protocol.channelWindowAdjust(outgoing(theirs).id, 2 ** 31)
  client._sock.pause()
  const connection = inside(server.connections[0])
  while (outgoing(channel).window < 2 ** 31) await new Promise(setImmediate)
  for (let n = 0; n < 16; n++) {
    channel.write(Buffer.alloc(1024 * 1024))
    await new Promise(setImmediate)
  }
  expect(connection._sock.writableLength).toBeLessThan(3 * 1024 * 1024)
  // It is all there once it is read, and nothing else was held up for good.
  let read = 0
  theirs.on('data', (chunk: Buffer) => {
    read += chunk.length
  })
  channel.end()
  client._sock.resume()
  await once(theirs, 'close')
  expect(read).toBe(16 * 1024 * 1024)
})

test('of a peer that asks and asks and doesn’t read the answers, the connection ends', async () => {
  await using world = await running({ backlog: 64 * 1024 })
  const { client, server } = world
  const gone = closed(server.connections[0]!)
  inside(server.connections[0])._sock.cork() // as if nothing went out any more
  client._sock.cork()
  for (let n = 0; n < 4_000; n++) send(client._protocol, GLOBAL_REQUEST, 'anything', 1)
  client._sock.uncork()
  await gone
  expect(server.errors).toContain('the peer does not read what it is sent')
})

test('bytes that come one a packet wait together, in few pieces', async () => {
  await using world = await running()
  const { client, theirs, channel } = world
  const bytes = 21_000
  client._sock.cork()
  for (let n = 0; n < bytes; n++) send(client._protocol, DATA, BigInt(outgoing(theirs).id), Buffer.from([n & 0xff]))
  theirs.end()
  process.nextTick(() => client._sock.uncork())
  while ((channel as unknown as Channel).incoming.state === 'open') await new Promise(setImmediate)
  const pieces: Buffer[] = []
  channel.on('data', (piece: Buffer) => pieces.push(piece))
  await once(channel, 'end')
  expect(Buffer.concat(pieces).equals(Buffer.from(Array.from({ length: bytes }, (_, n) => n & 0xff)))).toBe(true)
  expect(pieces.length).toBeLessThan(100)
  expect(LIMITS.idlePackets.burst).toBeLessThan(bytes) // bytes are no flood
})
