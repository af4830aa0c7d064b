import type { NewRecordingEvent } from '@countersign/contract/recording'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningPostgres } from '../../../../demo/postgres.ts'
import { leakDetector } from '../testing/leaks.ts'
import { B, D, E, P, Q, RawClient, S } from '../testing/raw.ts'
import { startPostgres, startWorld, type World } from '../testing/world.ts'
import { cstring, int16, message, T } from '../wire/messages.ts'
import { dataClasses, type Evasion, evasions, type Step, secrets, shop } from './evasion.corpus.ts'

let server: RunningPostgres
let world: World
const leak = leakDetector(secrets)

beforeAll(async () => {
  server = await startPostgres({ auth: 'trust' })
  await server.query(shop)
  world = await startWorld(server)
  world.target.masking = { key: Buffer.alloc(32, 7), styleOf: () => 'redact', dataClasses, detect: [] }
})
afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
  await server?.stop()
})

type Way = (text: string) => Buffer[]

/** The ways in which a text is sent. */
const ways: Readonly<Record<string, Way>> = {
  'by Query': (text) => [Q(text)],
  'by the extended protocol': (text) => [P('', text), B('', ''), D('P', ''), E(''), S],
  'undescribed, in binary': (text) => [
    P('', text),
    message(T.Bind, cstring(''), cstring(''), int16(0), int16(0), int16(1), int16(1)),
    E(''),
    S,
  ],
}

const byQuery = [ways['by Query']!]

interface Told {
  client: Buffer
  recording: Buffer
}

/** Tries a row in each of the ways; in one session where it leaves nothing behind. */
async function tried({ steps }: Evasion, by: readonly Way[] = Object.values(ways)): Promise<Told> {
  const all = stepsOf(steps)
  const told: Told[] = []
  if (all.every((step) => typeof step !== 'string')) told.push(await session([all]))
  else if (all.length === 1 && /^(select|table|values|with|copy|explain|update|do)\b/i.test(String(all[0])))
    told.push(await session(by.map((way) => sent(all, way))))
  else for (const way of by) told.push(await session([sent(all, way)]))
  return {
    client: Buffer.concat(told.map(({ client }) => client)),
    recording: Buffer.concat(told.map(({ recording }) => recording)),
  }
}

const sent = (steps: readonly Step[], way: Way) => steps.map((step) => (typeof step === 'string' ? way(step) : step))

async function session(runs: (readonly (readonly Buffer[])[])[]): Promise<Told> {
  const client = await RawClient.start(world.port)
  const { events } = world.sessions.last
  for (const messages of runs.flat()) {
    client.send(...messages)
    await client.ready(messages.filter((one) => one[0] === T.Query || one[0] === T.Sync).length)
  }
  client.socket.destroy()
  // What the gateway says of itself is random, and may look like anything.
  const told = client.frames.filter((frame) => frame[0] !== T.BackendKeyData)
  return { client: Buffer.concat(told), recording: Buffer.from(JSON.stringify(events.map(plain))) }
}

const stepsOf = (steps: Evasion['steps']): readonly Step[] =>
  typeof steps === 'string' ? [steps] : steps.every(Buffer.isBuffer) ? [steps as Buffer[]] : (steps as Step[])

function plain(event: NewRecordingEvent): unknown {
  const { command: _, digest: _1, ms: _2, ...rest } = event as unknown as Record<string, unknown>
  return rest
}

const titled = evasions.map((evasion): [string, Evasion] => {
  const words = stepsOf(evasion.steps).map((step) =>
    typeof step === 'string' ? step : step.map((one) => one.toString('latin1')).join(' '),
  )
  return [
    words
      .join(' ; ')
      .replace(/[^\x20-\x7e]+/g, ' ')
      .slice(0, 150),
    evasion,
  ]
})

describe('an agent that may see nothing is told nothing, nor is its recording', () => {
  test.each(titled)('%s', async (_, evasion) => {
    world.gate.revealed.clear()
    const { client, recording } = await tried(evasion)
    expect([leak(client), leak(recording)]).toEqual([undefined, undefined])
    expect(world.complaints).toEqual([])
  })
})

// Else the rows above could pass for want of anything to tell.
describe('an agent that may see everything is told, its recording not', () => {
  test.each(titled)('%s', async (_, evasion) => {
    world.gate.revealed = new Set(Object.values(dataClasses))
    // Long rows, most of which make tables, once: it is about whether there is something to tell.
    const by = stepsOf(evasion.steps).length > 1 ? byQuery : [...byQuery, ways['undescribed, in binary']!]
    const { client, recording } = await tried(evasion, by)
    if (evasion.tells !== false) expect(leak(client)).toBeDefined()
    if (!evasion.copies) expect(leak(recording)).toBeUndefined()
  })
})
