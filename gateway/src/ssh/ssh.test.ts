import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HOST, run } from './testing/clients.ts'
import { type SshWorld, startSshWorld } from './testing/world.ts'

let world: SshWorld
beforeAll(async () => {
  world = await startSshWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

describe('signing in', () => {
  test('a gateway token as password runs a command', async () => {
    const way = await world.through()
    const ran = await run(way, 'ssh', [HOST, 'echo hello; echo there >&2; exit 3'])
    expect(ran).toMatchObject({ code: 3, stdout: Buffer.from('hello\n') })
  })
})
