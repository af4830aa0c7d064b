import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { RunningPostgres } from '../../../demo/postgres.ts'
import { startPostgres, startWorld, type World } from './testing/world.ts'

let postgres: RunningPostgres
let world: World
beforeAll(async () => {
  postgres = await startPostgres()
  world = await startWorld(postgres)
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await postgres.stop()
})
beforeEach(() => {
  world.gate.judge = () => 'allow'
})

async function connect(options: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = new pg.Client({
    host: '127.0.0.1',
    port: world.port,
    user: 'any',
    password: 'good',
    database: 'orders',
    ...options,
  })
  client.on('error', () => {})
  await client.connect()
  return client
}

describe('node-postgres', () => {
  it('queries, simple and extended', async () => {
    const client = await connect()
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
    expect((await client.query('SELECT $1::text AS x', ['hey'])).rows).toEqual([{ x: 'hey' }])
    await client.end()
  })
})
