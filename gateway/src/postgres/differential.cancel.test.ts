import { once } from 'node:events'
import { connect } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { RunningPostgres } from '../../../demo/postgres.ts'
import { B, E, P, Q, RawClient, S, told } from './testing/raw.ts'
import { startPostgres, startWorld, type World } from './testing/world.ts'
import { startupPacket } from './upstream/connect.ts'

let postgres: RunningPostgres
let world: World
beforeAll(async () => {
  postgres = await startPostgres({ auth: 'trust' })
  world = await startWorld(postgres)
  await postgres.query('CREATE TABLE mark (n int)')
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await postgres.stop()
})

async function cancel(key: Buffer): Promise<void> {
  const socket = connect({ port: world.port, host: '127.0.0.1' })
  socket.on('error', () => {})
  socket.resume()
  socket.write(startupPacket(80_877_102, key))
  await once(socket, 'close')
}

const CANCELLED = 'E 57014 canceling statement due to user request'
const extended = (sql: string) => Buffer.concat([P('', sql), B('', ''), E(''), S])

it('a cancel stops what it was meant for or nothing: never a statement sent after it was answered', async () => {
  const client = await RawClient.start(world.port)
  let cancelled = 0
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(0, 0.001, 0.003, 0.01, 0.03),
      fc.integer({ min: 0, max: 12 }),
      fc.integer({ min: 1, max: 3 }),
      fc.boolean(),
      async (seconds, turns, cancels, simple) => {
        const send = simple ? Q : extended
        client.send(send(`SELECT pg_sleep(${seconds})`))
        // Not time but turns of the loop: the cancel comes before, while and after the statement runs.
        for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
        await Promise.all(Array.from({ length: cancels }, () => cancel(client.key)))
        client.send(send('INSERT INTO mark VALUES (1)'), send('SELECT pg_sleep(0.002)'))
        const said = told(await client.ready(3))
        const at = said.indexOf('Z I') + 1
        expect(world.sessions.last.closedAs, told(client.frames.slice(-6)).join()).toBeUndefined()
        if (said.slice(0, at).includes(CANCELLED)) cancelled++
        expect(said.slice(at).filter((line) => line.startsWith('E'))).toEqual([])
        expect(said.slice(at)).toContain('C INSERT 0 1')
      },
    ),
    { seed: 11, numRuns: 120, interruptAfterTimeLimit: 15_000, markInterruptAsFailure: false },
  )
  expect(cancelled).toBeGreaterThan(0)
  client.socket.destroy()
})

it('a cancel while a command is held ends the hold, reaches no server, and the next command runs', async () => {
  world.gate.judge = ({ text }) => (text.startsWith('DELETE') ? 'hold' : 'allow')
  const client = await RawClient.start(world.port)
  for (let round = 0; round < 10; round++) {
    const held = world.gate.nextHeld()
    client.send(Q('DELETE FROM mark'), Q('SELECT pg_sleep(0.001)'))
    await held
    await cancel(client.key)
    const said = told(await client.ready(2))
    expect(said.filter((line) => line.startsWith('E'))).toEqual([CANCELLED])
    expect(said.at(-2)).toBe('C SELECT 1')
  }
  client.socket.destroy()
})
