import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningPostgres } from '../../../demo/postgres.ts'
import { Q, RawClient } from './testing/raw.ts'
import { startPostgres, startWorld, type World } from './testing/world.ts'

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

/** By a meaning's object the gate remembers digests and verdicts: it goes when nobody refers to the meaning any more. */
test.each([
  { what: 'texts', text: (n: number) => `select 'a' as c${n}, now()` },
  { what: 'shapes of texts', text: (n: number) => `select 1 as c${n}` },
  { what: 'texts that are too long, none', text: (n: number) => `select ${n} -- ${'x'.repeat(8192)}`, most: 0 },
])('a session remembers the meanings of so many $what', async ({ text, most = 128 }) => {
  const client = await RawClient.start(world.port)
  const meaningOf = async (n: number) => {
    client.send(Q(text(n)))
    await client.ready()
    return world.gate.submitted.at(-1)!.meaning
  }
  const first = await meaningOf(0)
  for (let n = 1; n < most; n++) await meaningOf(n)
  expect((await meaningOf(0)) === first).toBe(most > 0)
  for (let n = most; n <= 2 * most + 1; n++) await meaningOf(n)
  expect(await meaningOf(0)).not.toBe(first)
  client.socket.destroy()
})
