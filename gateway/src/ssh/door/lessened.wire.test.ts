import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { HOST, run, start } from '../testing/clients.ts'
import { policy, type SshWorld, startSshWorld } from '../testing/world.ts'

let world: SshWorld
beforeAll(async () => {
  world = await startSshWorld({ policy, connection: { access: 'jit' } })
})
afterAll(() => world[Symbol.asyncDispose]())

const granted = async (token: string, actions: string[]) => {
  const answer = await fetch(`${world.api}/v1/grants`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ connection: 'web-1', actions, duration: '10m', purpose: 'to try it' }),
  })
  if (!answer.ok) throw new Error(await answer.text())
  return ((await answer.json()) as { id: string }).id
}
const revoke = (token: string, grant: string) =>
  fetch(`${world.api}/v1/grants/${grant}/revoke`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ reason: 'no longer needed' }),
  })

test('a grant that goes ends what runs by it alone, and the last one everything', async () => {
  const token = await world.token('granted')
  const without = await world.through({ subject: 'granted', password: token })
  expect(await run(without, 'ssh', [HOST, 'true'])).toMatchObject({ code: 126 })

  const shells = await granted(token, ['ssh:shell'])
  const commands = await granted(token, ['ssh:exec'])
  const way = await world.through({ subject: 'granted', password: token })
  const running = start(way, 'ssh', [HOST, 'echo up; exec sleep 60'])
  let said = ''
  running.stderr!.on('data', (chunk) => {
    said += chunk
  })
  await once(running.stdout!, 'data')
  await revoke(token, commands)
  expect(await once(running, 'close')).toEqual([126, null])
  expect(said).toMatch(/access ended: grant \S+ .*no longer needed/)

  const uncovered = await run(way, 'ssh', [HOST, 'echo anyway'])
  expect(uncovered).toMatchObject({ code: 126, stdout: Buffer.from('') })
  expect(uncovered.said).toContain('countersign grants request')
  await revoke(token, shells)
  const nothing = await run(way, 'ssh', [HOST, 'true'])
  expect(nothing.said).toContain('there is no such connection')
})

test('what waits for people by a grant that goes is given up', async () => {
  const token = await world.token('waiting')
  await granted(token, ['ssh:shell'])
  const commands = await granted(token, ['ssh:exec'])
  const way = await world.through({ subject: 'waiting', password: token })
  const held = run(way, 'ssh', [HOST, 'echo held'])
  await world.held()
  await revoke(token, commands)
  const ran = await held
  expect(ran).toMatchObject({ code: 126, stdout: Buffer.from('') })
  expect(ran.said).toMatch(/not run: access ended: grant \S+ /)
})
