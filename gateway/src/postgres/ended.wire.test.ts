import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningPostgres } from '../../../demo/postgres.ts'
import type { Command, SubmitOptions } from '../gate/command.ts'
import { Q, RawClient, told } from './testing/raw.ts'
import { startPostgres, startWorld, TestGate, type World } from './testing/world.ts'

/** Takes its time before it asks people. */
class SlowGate extends TestGate {
  readonly #asked = Promise.withResolvers<void>()
  readonly #goOn = Promise.withResolvers<void>()
  readonly asked = this.#asked.promise
  readonly goOn = this.#goOn.resolve

  override async submit(command: Command, options: SubmitOptions) {
    if (command.kind === 'delete') {
      this.#asked.resolve()
      await this.#goOn.promise
    }
    return super.submit(command, options)
  }
}

let postgres: RunningPostgres
beforeAll(async () => {
  postgres = await startPostgres({ auth: 'trust' })
  await postgres.query('create table items (id int)')
})
afterAll(() => postgres.stop())

const deletesAreHeld: TestGate['judge'] = ({ kind }) => (kind === 'delete' ? 'hold' : 'allow')

async function ended(world: World, gate: TestGate, client: RawClient) {
  const closed = once(world.sessions, 'closed')
  world.sessions.last.end('access ended: so it is')
  expect(told(await client.closed()).at(-1)).toBe('E 57P01 access ended: so it is')
  return { closed, last: world.sessions.last, gate }
}

test('a session that ends before people are asked for its command asks nobody, and is closed once that is recorded', async () => {
  const gate = new SlowGate()
  gate.judge = deletesAreHeld
  await using world = await startWorld(postgres, { gate })
  const client = await RawClient.start(world.port)
  client.send(Q('delete from items'))
  await gate.asked
  const held = gate.nextHeld()
  const { closed, last } = await ended(world, gate, client)
  expect(last.closedAs).toBeUndefined()
  gate.goOn()
  expect((await held).signal.aborted).toBe(true)
  await closed
  expect(last.of('hold').map(({ state }) => state)).toEqual(['pending', 'cancelled'])
  expect(last.of('result').at(-1)).toMatchObject({ status: 'refused', sqlstate: '57014' })
})

test('a session that ends while a command is held is closed once its end is recorded', async () => {
  const gate = new TestGate()
  gate.judge = deletesAreHeld
  await using world = await startWorld(postgres, { gate })
  const client = await RawClient.start(world.port)
  client.send(Q('delete from items'))
  await gate.nextHeld()
  let atClose: string[] = []
  world.sessions.once('closed', (live) => {
    atClose = live.of('hold').map(({ state }) => state)
  })
  const { closed } = await ended(world, gate, client)
  await closed
  expect(atClose).toEqual(['pending', 'cancelled'])
})
