import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { RunningPostgres } from '../../../demo/postgres.ts'
import { B, E, P, Q, RawClient, S, told } from './testing/raw.ts'
import { startPostgres, startWorld, type World } from './testing/world.ts'

let postgres: RunningPostgres
let world: World
let owner: RawClient
let agent: RawClient
beforeAll(async () => {
  postgres = await startPostgres()
  world = await startWorld(postgres)
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await postgres.stop()
})
beforeEach(async () => {
  await postgres.query(`DROP SCHEMA IF EXISTS shop, vault CASCADE; CREATE SCHEMA shop; CREATE SCHEMA vault;
    CREATE TABLE vault.secrets AS SELECT 1 AS id, 'the canary' AS what;
    CREATE TABLE shop.orders AS SELECT 1 AS id, 'harmless' AS what;
    CREATE VIEW shop.seen AS SELECT * FROM shop.orders; CREATE VIEW shop.further AS SELECT * FROM shop.seen;
    CREATE TABLE shop.parts (id int, what text) PARTITION BY LIST (id);
    CREATE TABLE shop.base (id int, what text);
    CREATE FUNCTION shop.f() RETURNS text LANGUAGE sql AS $$ SELECT 'harmless' $$`)
  world.gate.judge = () => 'allow'
  owner = await RawClient.start(world.port)
  agent = await RawClient.start(world.port)
  // Both have looked at the catalog as it is.
  for (const client of [owner, agent]) {
    client.send(Q('CREATE TABLE shop.looked (); DROP TABLE shop.looked'), Q('SELECT * FROM shop.further'))
    await client.ready(2)
  }
})

afterEach(async () => {
  // A transaction that is left open would keep its locks.
  for (const client of [agent, owner]) {
    client.send(Q('ROLLBACK'))
    await client.ready()
    client.socket.destroy()
  }
})

/** DDL of somebody who may, by which a harmless name leads to the vault. */
const turns: [ddl: string, leads: string][] = [
  ['CREATE OR REPLACE VIEW shop.seen AS SELECT * FROM vault.secrets', 'SELECT * FROM shop.seen'],
  ['CREATE OR REPLACE VIEW shop.seen AS SELECT * FROM vault.secrets', 'SELECT * FROM shop.further'],
  ['ALTER TABLE vault.secrets INHERIT shop.base', 'SELECT * FROM shop.base'],
  ['ALTER TABLE shop.parts ATTACH PARTITION vault.secrets DEFAULT', 'SELECT * FROM shop.parts'],
  [
    'CREATE RULE sly AS ON INSERT TO shop.base DO ALSO INSERT INTO vault.secrets VALUES (2)',
    'INSERT INTO shop.base VALUES (1)',
  ],
]

describe.each(turns)('%s, then %s', (ddl, leads) => {
  const turn = async () => {
    world.gate.judge = () => 'allow'
    owner.send(Q(ddl))
    expect(told(await owner.ready()).filter((line) => line.startsWith('E'))).toEqual([])
    world.gate.judge = ({ effects }) =>
      effects.some(({ resource }) => resource.id === 'orders/vault.secrets') ? 'deny' : 'allow'
  }
  const refused = (frames: Buffer[]) => {
    const answer = told(frames)
    expect(answer.filter((line) => line.startsWith('E')).map((line) => line.slice(0, 7))).toEqual(['E 42501'])
    expect(answer).not.toContain('D')
  }

  test('seen by another session at its next text', async () => {
    await turn()
    agent.send(Q(leads))
    refused(await agent.ready())
  })

  test('between Parse and Execute', async () => {
    agent.send(P('s', leads), S)
    await agent.ready()
    await turn()
    agent.send(B('', 's'), E(''), S)
    refused(await agent.ready())
  })

  test('within the transaction that did it', async () => {
    owner.send(Q('BEGIN'))
    await owner.ready()
    await turn()
    owner.send(Q(leads))
    refused(await owner.ready())
  })
})

test('in any order of many sessions’ texts, nobody reads by what was', async () => {
  const step = fc.oneof(
    fc.constantFrom<[number, string]>(
      [0, 'to vault'],
      [0, 'to orders'],
      [1, 'read'],
      [2, 'read'],
      [1, 'parse'],
      [2, 'run'],
    ),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 6 }), async (steps) => {
      const others = [agent, await RawClient.start(world.port)]
      let secret = false
      const show = async (to: 'vault.secrets' | 'shop.orders') => {
        world.gate.judge = () => 'allow'
        owner.send(Q(`CREATE OR REPLACE VIEW shop.seen AS SELECT * FROM ${to}`))
        await owner.ready()
        secret = to === 'vault.secrets'
      }
      await show('shop.orders')
      for (const other of others) other.send(P('kept', 'SELECT * FROM shop.further'), S)
      await Promise.all(others.map((other) => other.ready()))
      for (const [who, what] of steps) {
        if (who === 0) {
          await show(what === 'to vault' ? 'vault.secrets' : 'shop.orders')
          continue
        }
        world.gate.judge = ({ effects }) =>
          effects.some(({ resource }) => resource.id === 'orders/vault.secrets') ? 'deny' : 'allow'
        const client = others[who - 1]!
        if (what === 'read') client.send(Q('SELECT * FROM shop.further'))
        else if (what === 'run') client.send(B('', 'kept'), E(''), S)
        else client.send(P('', 'SELECT * FROM shop.further'), B('', ''), E(''), S)
        const answer = told(await client.ready())
        expect(answer.some((line) => line.startsWith('E 42501'))).toBe(secret)
        expect(answer.includes('D')).toBe(!secret)
      }
      others[1]!.socket.destroy()
    }),
    { seed: 18, numRuns: 5 },
  )
})
