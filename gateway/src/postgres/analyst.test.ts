import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { RunningPostgres } from '../../../demo/postgres.ts'
import { Analyst, LARGE } from './analyst.ts'
import { readCatalog } from './catalogs.ts'
import { analyse, loadParser } from './effects/effects.ts'
import { Q, RawClient, told } from './testing/raw.ts'
import { startPostgres, startWorld, type World } from './testing/world.ts'
import { Reader } from './upstream/reader.ts'
import { T } from './wire/messages.ts'

let postgres: RunningPostgres
let world: World
beforeAll(async () => {
  postgres = await startPostgres()
  world = await startWorld(postgres)
  await postgres.query('CREATE TABLE item (id int); CREATE TABLE other (id int)')
  await loadParser()
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await postgres.stop()
})

const insert = (bytes: number) => `INSERT INTO item VALUES ${'(1),'.repeat(bytes / 4)}(2)`
const circumstances = async () => {
  await using reader = await Reader.open(world.target, AbortSignal.timeout(10_000))
  const catalog = await readCatalog((sql) => reader.query(sql))
  return { connection: 'orders', catalog, searchPath: ['public'], user: 'postgres', tempSchema: null, settled: true }
}
const log = pino({ level: 'silent' })

it('another session is answered while a large INSERT is read', async () => {
  const [large, other] = [await RawClient.start(world.port), await RawClient.start(world.port)]
  const order: string[] = []
  large.send(Q(insert(900_000)))
  const inserted = large.ready().then((frames) => {
    order.push('large')
    return told(frames)
  })
  for (let i = 0; i < 3; i++) {
    other.send(Q(`SELECT ${i}`))
    await other.ready()
    order.push('other')
  }
  expect(await inserted).toEqual(['C INSERT 0 225001', 'Z I'])
  expect(order).toEqual(['other', 'other', 'other', 'large'])
  const recorded = world.sessions.all.at(-2)!.of('command').at(-1)!
  expect(recorded.effects).toEqual([
    {
      action: 'sql:write',
      resource: { type: 'Table', id: 'orders/public.item' },
      kind: 'insert',
      bounded: true,
      functions: [],
    },
  ])
  large.socket.destroy()
  other.socket.destroy()
})

it('says of any text what is said of it here, with the statements behind its names', async () => {
  using analyst = new Analyst(log)
  const where = await circumstances()
  const filler = `/*${'x'.repeat(LARGE)}*/`
  const behind: Record<string, string> = {
    'prepared a': 'PREPARE a AS EXECUTE b',
    'prepared b': `PREPARE b AS DELETE FROM item ${filler}`,
    'portal c': 'DECLARE c CURSOR FOR SELECT * FROM other',
  }
  for (const text of [
    insert(LARGE),
    `${filler} SELECT * FROM nowhere`,
    `${filler} SELEC`,
    `${filler} EXECUTE a`,
    `${filler} FETCH c`,
    `${filler} EXECUTE missing`,
    `SET search_path = x; ${filler} SELECT * FROM item`,
  ]) {
    const here = analyse(text, {
      ...where,
      prepared: (name) => behind[`prepared ${name}`],
      portal: (name) => behind[`portal ${name}`],
    })
    expect((await analyst.analyse(text, where, (name) => behind[name])).analysis).toEqual(here)
  }
  const { behind: used } = await analyst.analyse('EXECUTE a', where, (name) => behind[name])
  expect(used).toEqual({ 'prepared a': behind['prepared a'] })
})

it('a large text behind a short EXECUTE keeps nobody waiting, and has its effects', async () => {
  const client = await RawClient.start(world.port)
  client.send(Q(`PREPARE big AS SELECT count(*) FROM other WHERE id IN (${'1,'.repeat(LARGE)}2)`), Q('EXECUTE big'))
  expect(told(await client.ready(2)).filter((line) => line.startsWith('C'))).toEqual(['C PREPARE', 'C SELECT 1'])
  expect(world.gate.submitted.at(-1)).toMatchObject({
    text: 'EXECUTE big',
    effects: [{ action: 'sql:read', resource: { id: 'orders/public.other' } }],
  })
  client.socket.destroy()
})

it('refuses where its thread dies, and has another for the next', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'analyst-'))
  const entry = join(folder, 'dying.mjs')
  const real = new URL('./analyst.worker.ts', import.meta.url).href
  writeFileSync(
    entry,
    `import { existsSync, writeFileSync } from 'node:fs'
     import { parentPort } from 'node:worker_threads'
     const died = ${JSON.stringify(join(folder, 'died'))}
     if (existsSync(died)) await import(${JSON.stringify(real)})
     else parentPort.on('message', () => { writeFileSync(died, ''); process.exit(3) })`,
  )
  try {
    using analyst = new Analyst(log, pathToFileURL(entry))
    const where = await circumstances()
    const [first, second] = await Promise.all([
      analyst.analyse('SELECT 1', where, () => undefined),
      analyst.analyse('SELECT 1', where, () => undefined),
    ])
    expect(first.analysis).toMatchObject({ refused: { sqlstate: '54001' }, effects: [{ action: 'sql:unknown' }] })
    expect(second.analysis).toMatchObject({ kind: 'select' })
    expect(second.analysis.refused).toBeUndefined()
  } finally {
    await rm(folder, { recursive: true })
  }
})

it('answers a refused text as any refusal, and the connection lives on', async () => {
  const client = await RawClient.start(world.port)
  client.send(Q(`SELECT ${'('.repeat(LARGE)}`), Q('SELECT 1'))
  const frames = await client.ready(2)
  expect(
    told(frames)
      .filter((line) => !line.startsWith('N'))
      .at(-1),
  ).toBe('Z I')
  expect(frames.some((frame) => frame[0] === T.DataRow)).toBe(true)
  client.socket.destroy()
})
