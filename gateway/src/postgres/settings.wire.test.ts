import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { RunningPostgres } from '../../../demo/postgres.ts'
import { digestOf } from '../gate/digest.ts'
import { B, E, P, Q, RawClient, S } from './testing/raw.ts'
import { startPostgres, startWorld, type World } from './testing/world.ts'

let postgres: RunningPostgres
let world: World
beforeAll(async () => {
  postgres = await startPostgres()
  await postgres.query('CREATE TABLE item (id int)')
  world = await startWorld(postgres)
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await postgres.stop()
})
beforeEach(() => {
  world.gate.submitted = []
})

const text = "DELETE FROM item WHERE id = current_setting('app.tenant')::int"

/** The digest of the same command after these texts, each sent by itself, in a session of its own. */
async function digestAfter(...texts: string[]): Promise<string> {
  const client = await RawClient.start(world.port)
  for (const before of texts) {
    client.send(Q(before))
    await client.ready()
  }
  client.send(Q(text))
  await client.ready()
  client.socket.destroy()
  const command = world.gate.submitted.findLast((submitted) => submitted.text === text)!
  return digestOf(command)
}

test('an approval is for the settings by which the text means what it means', async () => {
  const plain = await digestAfter()
  expect(await digestAfter()).toBe(plain)
  const seen = new Set([plain])
  for (const set of [
    "SET app.tenant = '1'",
    "SET app.tenant = '2'",
    "SELECT set_config('app.tenant', '3', false)",
    "SET DateStyle = 'SQL, DMY'",
    "SET TIME ZONE 'Asia/Tokyo'",
    'SET transform_null_equals = on',
    'SET session_replication_role = replica',
    'SET row_security = off',
    "BEGIN; SET LOCAL IntervalStyle = 'iso_8601'",
  ]) {
    const digest = await digestAfter(set)
    expect(seen.has(digest), set).toBe(false)
    expect(await digestAfter(set)).toBe(digest)
    seen.add(digest)
  }
})

test('and for no others', async () => {
  const plain = await digestAfter()
  expect(await digestAfter("SET application_name = 'x'", 'SET statement_timeout = 1000')).toBe(plain)
  expect(await digestAfter("SET TIME ZONE 'Asia/Tokyo'", 'RESET timezone')).toBe(plain)
  expect(await digestAfter("BEGIN; SET LOCAL DateStyle = 'German'", 'COMMIT')).toBe(plain)
  expect(await digestAfter('BEGIN', "SET DateStyle = 'German'", 'ROLLBACK')).toBe(plain)
  expect(await digestAfter("SET DateStyle = 'German'", 'DISCARD ALL')).toBe(plain)
})

test('whichever way it was set, before or behind a pipeline', async () => {
  const client = await RawClient.start(world.port)
  const sets = "SET app.tenant = '1'"
  client.send(P('', sets), B('', ''), E(''), P('', text), B('', ''), E(''), S)
  await client.ready()
  expect(world.gate.submitted.at(-1)!.meaning).toMatchObject({ settings: { 'app.tenant': '1' } })
  client.send(Q(`PREPARE s AS ${text}`), P('w', "SET app.tenant = '2'"), S)
  await client.ready(2)
  client.send(Q('EXECUTE w'), Q('EXECUTE s'))
  await client.ready(2)
  expect(world.gate.submitted.at(-1)!.meaning).toMatchObject({ settings: { 'app.tenant': '2' } })
  client.socket.destroy()
})

test('more settings than are asked for: then for this session only', async () => {
  const many = Array.from({ length: 300 }, (_, index) => `SET many.s${index} = '1'`).join('; ')
  const digest = await digestAfter(many)
  expect(await digestAfter(many)).not.toBe(digest)
})
