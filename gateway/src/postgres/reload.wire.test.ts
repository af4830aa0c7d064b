import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningPostgres } from '../../../demo/postgres.ts'
import { P, Q, RawClient, S, told } from './testing/raw.ts'
import { startPostgres, startWorld, type World } from './testing/world.ts'

let server: RunningPostgres
let world: World

beforeAll(async () => {
  server = await startPostgres({ auth: 'trust' })
  world = await startWorld(server)
})
afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
  await server?.stop()
})

const words = 'terminating connection because "orders" was changed in the gateway’s configuration'

test.each<[what: string, send: Buffer[], answers: number]>([
  ['idle', [], 0],
  ['in a transaction', [Q('BEGIN'), Q('SELECT 1')], 2],
  ['amid a batch', [Q('SELECT 1'), P('', 'SELECT 1')], 1],
  ['behind a command that runs', [Q('SELECT 1'), Q('SELECT pg_sleep(60)'), P('', 'SELECT 1'), S], 1],
])('a session of a connection that is configured otherwise by now ends: %s', async (_, send, answers) => {
  const client = await RawClient.start(world.port)
  const other = world.sessions.last
  if (send.length > 0) client.send(...send)
  if (answers > 0) await client.ready(answers)
  world.listener.endChanged(['another'])
  const closed = once(world.sessions, 'closed')
  world.listener.endChanged(['orders'])
  expect(told(await client.closed()).at(-1)).toBe(`E 57P01 ${words}`)
  await closed
  expect(other.closedAs).toEqual({ state: 'terminated', reason: 'its connection was changed in the configuration' })
})

test('so does one that is just being opened, before it can run anything', async () => {
  world.gate.judge = ({ kind }) => (kind === 'connect' ? 'hold' : 'allow')
  try {
    const held = world.gate.nextHeld()
    const opening = RawClient.start(world.port)
    const { approve } = await held
    world.listener.endChanged(['orders'])
    approve()
    const client = await opening
    await client.closed()
    expect(told(client.frames).at(-1)).toBe(`E 57P01 ${words}`)
    expect(told(client.frames)).not.toContain('Z I')
  } finally {
    world.gate.judge = () => 'allow'
  }
})
