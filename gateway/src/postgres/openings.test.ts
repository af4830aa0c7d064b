import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningPostgres } from '../../../demo/postgres.ts'
import { neighbourhood } from '../config/address.ts'
import { MOST_OPENINGS } from '../gate/openings.ts'
import { Q, RawClient, told } from './testing/raw.ts'
import { startPostgres, startWorld, type World } from './testing/world.ts'

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::1', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['2001::3:4:5:6:7', '2001:0:0:3::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['', ''],
])('%s is of %s', (address, place) => {
  expect(neighbourhood(address)).toBe(place)
})

let postgres: RunningPostgres
let world: World
beforeAll(async () => {
  postgres = await startPostgres({ auth: 'trust' })
  world = await startWorld(postgres)
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await postgres.stop()
})

/** Asks for encryption and goes no further; resolves with the answer, or once it is closed. */
async function knock(localAddress: string): Promise<{ socket: Socket; answer: string }> {
  const socket = connect({ host: '127.0.0.1', port: world.port, localAddress })
  socket.on('error', () => {})
  // A GSSENCRequest, which is answered with N.
  socket.write(Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30]))
  const answer = await Promise.race([
    once(socket, 'data').then(([data]) => String(data)),
    once(socket, 'close').then(() => 'closed'),
  ])
  return { socket, answer }
}

// Linux, which these tests need anyway, takes every address of 127.0.0.0/8 as its own.
test('one address has a part of the room, all together have the whole', async () => {
  const { all, address } = MOST_OPENINGS
  const open: Socket[] = []
  const fill = async (from: string, count: number) => {
    for (let left = count; left > 0; left -= 50) {
      const some = await Promise.all(Array.from({ length: Math.min(left, 50) }, () => knock(from)))
      expect(new Set(some.map(({ answer }) => answer))).toEqual(new Set(['N']))
      open.push(...some.map(({ socket }) => socket))
    }
  }
  await fill('127.0.0.1', address)
  expect((await knock('127.0.0.1')).answer).toBe('closed')
  expect(world.complaints.at(-1)).toContain('too many connections of its address have not signed in')
  expect(world.complaints.at(-1)).toContain('"address":"127.0.0.1"')
  let last = 1
  while (open.length < all) await fill(`127.0.0.${++last}`, Math.min(address, all - open.length))
  expect((await knock('127.0.0.99')).answer).toBe('closed')
  expect(world.complaints.at(-1)).toContain('too many connections have not signed in')

  // Who goes makes room, and who has signed in takes none.
  for (const socket of open.slice(0, 2)) {
    socket.destroy()
    await once(socket, 'close')
  }
  const admitted = async () => {
    for (;;) {
      const client = await RawClient.start(world.port)
      if (!client.ended) return client
    }
  }
  for (let n = 0; n < 5; n++) {
    const client = await admitted()
    client.send(Q('select 1'))
    expect(told(await client.ready()).at(-1)).toBe('Z I')
    client.socket.destroy()
  }
  for (const socket of open) socket.destroy()
})
