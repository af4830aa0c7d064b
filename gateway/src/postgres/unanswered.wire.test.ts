import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningPostgres } from '../../../demo/postgres.ts'
import { B, E, P, Q, RawClient, S, told } from './testing/raw.ts'
import { startPostgres, startWorld, type World } from './testing/world.ts'
import { UNANSWERED } from './unanswered.ts'

let postgres: RunningPostgres
let world: World
beforeAll(async () => {
  postgres = await startPostgres({ auth: 'trust' })
  await postgres.query('create table copied (a text)')
  world = await startWorld(postgres)
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await postgres.stop()
})

test.each([
  { syncs: 100, overtakes: true },
  { syncs: UNANSWERED.messages, overtakes: false },
])(
  'behind $syncs Syncs without an answer a command is looked at before one: $overtakes',
  async ({ syncs, overtakes }) => {
    const [client, other] = [await RawClient.start(world.port), await RawClient.start(world.port)]
    const session = world.sessions.all.at(-2)!
    let looked: (answers: number) => void = () => {}
    const answersBefore = new Promise<number>((resolve) => {
      looked = resolve
    })
    world.gate.judge = ({ text }) => {
      if (text === 'select 2') looked(session.of('result').filter(({ tag }) => tag === 'SELECT 1').length)
      return 'allow'
    }
    other.send(Q('begin; lock table copied'))
    await other.ready()
    client.send(P('', 'select count(*) from copied'), B('', ''), E(''), ...Array(syncs).fill(S), Q('select 2'))
    if (overtakes) await answersBefore
    else for (let n = 0; n < 20; n++) other.send(Q('select 1'))
    if (!overtakes) await other.ready(20)
    other.send(Q('commit'))
    expect(await answersBefore).toBe(overtakes ? 0 : 1)
    // Everything is answered in the end, as it was asked.
    const answers = told(await client.ready(syncs + 1))
    expect(answers.filter((answer) => answer === 'Z I')).toHaveLength(syncs + 1)
    expect(answers.at(-2)).toBe('C SELECT 1')
    client.socket.destroy()
    other.socket.destroy()
  },
)

test('of what is bound without a Sync so many bytes are kept: then the server is asked to answer', async () => {
  world.gate.judge = () => 'allow'
  const client = await RawClient.start(world.port)
  const value = 'x'.repeat(1 << 20)
  const binds = UNANSWERED.bytes / value.length + 4
  client.send(P('', 'select length($1::text)'))
  for (let n = 0; n < binds; n++) client.send(B('', '', value))
  // The server would keep these few bytes to itself until the client's Sync.
  await client.until((frame) => frame[0] === 0x32)
  client.send(E(''), S)
  const rest = told(await client.ready())
  expect(rest.filter((frame) => frame === '2')).toHaveLength(binds - 1)
  expect(rest.slice(-3)).toEqual(['D', 'C SELECT 1', 'Z I'])
  client.socket.destroy()
})

test('amid COPY data, where nothing is answered, a flood of Syncs ends the session', async () => {
  const client = await RawClient.start(world.port)
  client.send(Q('copy copied from stdin'))
  await client.until((frame) => frame[0] === 0x47)
  client.send(...Array(UNANSWERED.messages * 4 + 1).fill(S))
  expect(told(await client.closed()).at(-1)).toContain('E 08P01 more messages amid COPY data')
})
