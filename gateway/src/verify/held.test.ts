import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { day, person, World } from '../sessions/retention/testing/world.ts'
import { verify } from './testing/world.ts'

vi.setConfig({ testTimeout: 60_000 })

let world: World
beforeEach(async () => {
  world = await World.open()
})
afterEach(() => world[Symbol.asyncDispose]())

const hold = (asked: { sessions?: string[]; connections?: string[]; agents?: string[] }) =>
  world.retention.hold(person, { reason: 'a case', sessions: [], connections: [], agents: [], ...asked })
const run = () => world.retention.run({ dry: false, by: { kind: 'gateway' } })
const codes = async () => {
  await world.ledger.sync()
  return (await verify(world.folder)).findings.map(({ code, where }) => [code, where.recording])
}

it.each([
  ['session', (id: string) => ({ sessions: [id] })],
  ['connection', () => ({ connections: ['orders'] })],
  ['agent', () => ({ agents: ['https://idp#ci'] })],
])('a store that hid a legal hold on a %s for as long as a run took is found by the log alone', async (_, asked) => {
  const id = await world.ended(91, { events: [world.command('select 1')] })
  const { agent } = await world.store.db.selectFrom('sessions').select('agent').executeTakeFirstOrThrow()
  const what: { sessions?: string[]; connections?: string[]; agents?: string[] } = asked(id)
  await hold({ ...what, ...(what.agents && { agents: [agent] }) })
  await world.ledger.sync()
  const hidden = (lifted_at: string | null) =>
    world.store.db
      .updateTable('legal_holds' as never)
      .set({ lifted_at } as never)
      .execute()
  await hidden(new Date(world.now).toISOString())
  expect((await run()).recordings).toBe(1)
  await hidden(null)
  expect(await codes()).toContainEqual(['erased-held', id])
})

it('what was lifted before, or placed after, held nothing', async () => {
  await world.ended(91)
  const { id } = await hold({ connections: ['orders'] })
  expect((await run()).recordings).toBe(0)
  world.now += day
  await world.retention.lift(id, person, 'over')
  expect((await run()).recordings).toBe(1)
  world.now += day
  await hold({ connections: ['orders'] })
  expect((await codes()).filter(([code]) => code === 'erased-held')).toEqual([])
})
