import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Ran, run } from '../testing/clients.ts'
import { type SshWorld, startSshWorld } from '../testing/world.ts'

let world: SshWorld
beforeAll(async () => {
  world = await startSshWorld()
})
afterAll(() => world?.[Symbol.asyncDispose]())

/** What can be compared, readable where it isn't the same. */
const told = ({ code, signal, stdout, said }: Ran) => ({ code, signal, stdout: stdout.toString('latin1'), said })

describe('what ssh says is what it says directly', () => {
  test.each([
    ['a line', ['echo hello']],
    ['both streams', ['echo out; echo err >&2']],
    ['no exit status of nought', ['exit 7']],
    ['255', ['exit 255']],
    ['a signal', ['kill -TERM $$']],
    ['nothing at all', ['true']],
  ])('%s', async (_, args) => {
    const direct = await run(world.sshd.direct, 'ssh', ['host', ...args])
    const through = await run(await world.through(), 'ssh', ['host', ...args])
    expect(told(through)).toEqual(told(direct))
  })
})
