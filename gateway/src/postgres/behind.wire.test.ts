import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import type { RunningPostgres } from '../../../demo/postgres.ts'
import { PROBE_MS } from './relay.ts'
import { Q, RawClient, told } from './testing/raw.ts'
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
afterEach(() => {
  vi.useRealTimers()
})

/** More than a gateway and the system together take ahead. */
const much = () => Array.from({ length: 400 }, (_, n) => Q(`select ${n} -- ${'x'.repeat(100_000)}`))
const turn = () => new Promise((resolve) => setImmediate(resolve))

test.each(['at once', 'after it has been written to, alive'])(
  'who has sent more behind a held command than is read, and goes, is seen to have gone (%s)',
  async (when) => {
    world.gate.judge = ({ text }) => (text.startsWith('delete') ? 'hold' : 'allow')
    const client = await RawClient.start(world.port)
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const nextHeld = world.gate.nextHeld()
    client.send(Q('delete from all_of_it'), ...much())
    const held = await nextHeld
    // It is no longer read: what it has sent doesn't get smaller, and the next probe is set.
    while (vi.getTimerCount() === 0) await turn()
    expect(client.socket.writableLength).toBeGreaterThan(0)
    if (when !== 'at once') {
      const before = client.frames.length
      vi.advanceTimersByTime(3 * PROBE_MS)
      while (client.frames.length < before + 3) await once(client.socket, 'data')
      expect(told(client.frames.slice(-3))).toEqual(['S', 'S', 'S'])
      expect(held.signal.aborted).toBe(false)
    }
    client.socket.destroy()
    await once(client.socket, 'close')
    while (!held.signal.aborted) {
      vi.advanceTimersByTime(PROBE_MS)
      await turn()
    }
    expect((held.signal.reason as Error).message).toBe('the client has gone')
  },
)

test('is read on once all that it has sent is answered, whether or not anything of it reaches the server', async () => {
  world.gate.judge = ({ text, kind }) => (kind === 'connect' ? 'allow' : text.startsWith('delete') ? 'hold' : 'deny')
  const session = await RawClient.start(world.port)
  const nextHeld = world.gate.nextHeld()
  const sent = much()
  session.send(Q('delete from all_of_it'), ...sent)
  ;(await nextHeld).deny('no')
  const frames = told(await session.ready(1 + sent.length))
  expect(frames.filter((frame) => frame.startsWith('E 42501'))).toHaveLength(1 + sent.length)
  session.send(Q('select 1'))
  expect(told(await session.ready())).toEqual([expect.stringContaining('E 42501'), 'Z I'])
  session.socket.destroy()
})
