import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import type { RunningPostgres } from '../../../../demo/postgres.ts'
import type { PostgresTarget } from '../target.ts'
import { Q, RawClient, told } from '../testing/raw.ts'
import { startPostgres, startWorld, type World } from '../testing/world.ts'
import { UpstreamError } from './connect.ts'
import { KeptReader } from './kept.ts'
import { Reader } from './reader.ts'

let postgres: RunningPostgres
const lines: string[] = []
let logged: (() => void) | undefined
beforeAll(async () => {
  const config = { log_connections: 'on', log_statement: 'all', log_line_prefix: '%a|' }
  const log = (line: string) => {
    lines.push(line)
    logged?.()
  }
  postgres = await startPostgres({ config, log })
})
afterAll(() => postgres.stop())
beforeEach(() => postgres.query('DROP SCHEMA IF EXISTS shop CASCADE; CREATE SCHEMA shop'))

let marks = 0
/** What the server has logged since the last call. */
async function log(): Promise<string[]> {
  const mark = `mark ${++marks}`
  await postgres.query(`DO $$ BEGIN RAISE LOG '${mark}'; END $$`)
  while (!lines.some((line) => line.endsWith(`LOG:  ${mark}`)))
    await new Promise<void>((resolve) => {
      logged = resolve
    })
  return lines.splice(0)
}
const connections = (said: string[]) =>
  said.filter((line) => /connection authorized: .*application_name=countersign catalog/.test(line)).length
const readings = (said: string[]) => said.filter((line) => line.includes("SELECT 'user'")).length
const readers = async (): Promise<number[]> =>
  (await postgres.query("SELECT pid FROM pg_stat_activity WHERE application_name = 'countersign catalog'")).map(
    ({ pid }) => Number(pid),
  )
/** Until the server has none of the gateway's readers any more. */
async function none() {
  while ((await readers()).length > 0);
}

async function world(): Promise<World> {
  const made = await startWorld(postgres)
  onTestFinished(() => made[Symbol.asyncDispose]())
  return made
}
async function session({ port }: World): Promise<(sql: string) => Promise<string[]>> {
  const client = await RawClient.start(port)
  onTestFinished(() => void client.socket.destroy())
  return async (sql) => {
    client.send(Q(sql))
    return told(await client.ready())
  }
}
const target = (): PostgresTarget => ({
  ref: { name: 'orders', kind: 'postgres', tags: [], mode: 'enforce' },
  host: postgres.host,
  port: postgres.port,
  database: 'postgres',
  user: postgres.user,
  password: postgres.password,
})
const signal = AbortSignal.timeout(60_000)
const pid = (kept: KeptReader, to = target()) =>
  kept.read(to, signal, async (query) => Number((await query('SELECT pg_backend_pid()'))[0]![0]))
const kept = () => {
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  return { reader: new KeptReader(stop.signal), stop }
}

test('a migration’s statements are read by one connection, each by the catalog after the one before', async () => {
  const gateway = await world()
  const run = await session(gateway)
  await log()
  for (let n = 0; n < 20; n++) {
    await run(`CREATE TABLE shop.t${n} ()`)
    await run(`SELECT * FROM shop.t${n}`)
    const ids = gateway.gate.submitted.at(-1)!.effects.map(({ resource }) => resource.id)
    expect(ids).toEqual([`orders/shop.t${n}`])
  }
  const said = await log()
  expect(readings(said)).toBe(20)
  // On a machine that is very busy it may once have been idle for too long.
  expect(connections(said)).toBeLessThanOrEqual(5)
})

test('a reader that is broken between two statements is replaced', async () => {
  const gateway = await world()
  const run = await session(gateway)
  for (let n = 0; n < 5; n++) {
    await run(`CREATE TABLE shop.t${n} ()`)
    expect(await run(`SELECT FROM shop.t${n}`)).toContain('C SELECT 0')
    await postgres.query(
      "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'countersign catalog'",
    )
    await run(`DROP TABLE shop.t${n}`)
    await run(`CREATE VIEW shop.v${n} AS SELECT`)
    expect(await run(`SELECT FROM shop.v${n}`)).toContain('C SELECT 1')
  }
  expect(gateway.complaints).toEqual([])
})

test('the beginning and the end of a transaction wait for no reading', async () => {
  const run = await session(await world())
  await log()
  for (const sql of ['BEGIN', 'CREATE TABLE shop.t ()', 'COMMIT', 'begin;', 'ROLLBACK WORK', 'START TRANSACTION'])
    await run(sql)
  expect(readings(await log())).toBe(0)
  await run('SELECT FROM shop.t')
  expect(readings(await log())).toBe(1)
  await run('END')
  await run('SELECT FROM shop.t')
  expect(readings(await log())).toBe(0)
})

test('a reading after several sessions’ statements is shared by them', async () => {
  const gateway = await world()
  const sessions = await Promise.all([1, 2, 3].map(() => session(gateway)))
  for (const [n, run] of sessions.entries()) await run(`CREATE TABLE shop.t${n} ()`)
  await log()
  for (const [n, run] of sessions.entries()) expect(await run(`SELECT FROM shop.t${n}`)).toContain('C SELECT 0')
  expect(readings(await log())).toBe(1)
})

test('a database can be dropped once its last session has ended', async () => {
  await postgres.query('CREATE DATABASE gone')
  const gateway = await world()
  gateway.target.database = 'gone'
  const client = await RawClient.start(gateway.port)
  client.send(Q('CREATE TABLE t ()'), Q('SELECT FROM t'))
  await client.ready(2)
  client.socket.destroy()
  await postgres.query('DROP DATABASE gone') // the server waits five seconds for others to leave
})

test('it is kept for as long as it is used, closed soon afterwards, and at once where the gateway stops', async () => {
  await none()
  const { reader, stop } = kept()
  const first = await pid(reader)
  expect(await pid(reader)).toBe(first)
  expect(await readers()).toEqual([first])
  await none()
  await pid(reader)
  stop.abort()
  await none()
  await pid(reader)
  await none()
})

test.each<[string, (reader: KeptReader) => PostgresTarget]>([
  [
    'a session has connected since',
    (reader) => {
      reader.joined()
      return target()
    },
  ],
  ['it signs in otherwise', () => ({ ...target(), tls: { mode: 'disable' } })],
  ['it goes elsewhere', () => ({ ...target(), database: 'template1' })],
])('another one is opened where %s', async (_, change) => {
  const { reader } = kept()
  const first = await pid(reader)
  const changed = change(reader)
  const second = await pid(reader, changed)
  expect(second).not.toBe(first)
  expect(await pid(reader, changed)).toBe(second)
})

test('a password that is wrong by now is not replaced by a connection that is open', async () => {
  const { reader } = kept()
  await pid(reader)
  await expect(pid(reader, { ...target(), password: 'another' })).rejects.toThrow(UpstreamError)
})

test('what fails otherwise than by the connection is not done twice', async () => {
  const { reader } = kept()
  const first = await pid(reader)
  let looks = 0
  const look = async () => {
    looks++
    throw new Error('no catalog')
  }
  await expect(reader.read(target(), signal, look)).rejects.toThrow('no catalog')
  expect(looks).toBe(1)
  expect(await pid(reader)).not.toBe(first)
})

test('a query that is given up ends its connection', async () => {
  const { reader } = kept()
  await pid(reader)
  const given = new AbortController()
  const looking = reader.read(target(), given.signal, (query) => {
    setImmediate(() => given.abort())
    return query('SELECT pg_sleep(600)')
  })
  await expect(looking).rejects.toThrow(UpstreamError)
})

test('rows come whole however the socket cuts them', async () => {
  await using reader = await Reader.open(target(), signal)
  const rows = await reader.query("SELECT n, repeat('é', (n * 7919) % 70000) FROM generate_series(1, 200) n")
  expect(rows.map(([n, text]) => [Number(n), text!.length])).toEqual(
    Array.from({ length: 200 }, (_, n) => [n + 1, ((n + 1) * 7919) % 70_000]),
  )
  await expect(reader.query('SELECT 1/0')).rejects.toThrow('division by zero')
  expect(await reader.query('SELECT NULL, 1')).toEqual([[null, '1']])
})
