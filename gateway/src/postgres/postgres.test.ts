import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import pg from 'pg'
import postgresJs from 'postgres'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { RunningPostgres } from '../../../demo/postgres.ts'
import type { Command } from '../gate/command.ts'
import { digestOf } from '../gate/digest.ts'
import { B, D, E, H, P, Q, RawClient, S, told } from './testing/raw.ts'
import { type Judgement, startPostgres, startWorld, type World } from './testing/world.ts'
import { startupPacket } from './upstream/connect.ts'
import { cstring, int16, int32, message, T } from './wire/messages.ts'

let postgres: RunningPostgres
let world: World
let approvals: { hold: 'wait' | 'fail'; in_transaction: 'wait' | 'fail' }
beforeAll(async () => {
  postgres = await startPostgres()
  world = await startWorld(postgres, { approvals: () => approvals })
  await postgres.query(
    'CREATE TABLE item (id int); CREATE TABLE other (id int); CREATE SCHEMA hidden; CREATE TABLE hidden.item (id int); CREATE TABLE first (id int); CREATE TABLE second AS SELECT 1 AS id',
  )
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await postgres.stop()
})
beforeEach(async () => {
  approvals = { hold: 'wait', in_transaction: 'fail' }
  world.gate.judge = byEffect
  world.gate.submitted = []
  world.sessions.broken = false
  await postgres.query('TRUNCATE item; INSERT INTO item SELECT generate_series(1, 5); TRUNCATE other')
})

/** DELETE is held, UPDATE denied, whatever isn't understood denied; the rest passes. */
function byEffect(command: Command): Judgement {
  const kinds = command.effects.map((effect) => `${effect.action} ${effect.command.kind}`)
  if (kinds.some((kind) => kind === 'sql:write update' || kind.startsWith('sql:unknown'))) return 'deny'
  return kinds.some((kind) => kind === 'sql:write delete') ? 'hold' : 'allow'
}

const count = async (table = 'item') => Number((await postgres.query(`SELECT count(*) AS n FROM ${table}`))[0]!.n)
const DENIED = 'E 42501 denied by policy test'
const notice = 'N 00000 held for approval'

async function session(parameters: Record<string, string> = {}): Promise<RawClient> {
  return RawClient.start(world.port, parameters)
}

describe('refused by policy', () => {
  it('when idle: one error, and the connection lives on', async () => {
    const client = await session()
    client.send(Q('UPDATE item SET id = 0'), Q('SELECT 1'))
    expect(told(await client.ready(2))).toEqual([DENIED, 'Z I', 'T', 'D', 'C SELECT 1', 'Z I'])
    const last = world.sessions.last
    expect(last.of('command').at(-2)).toMatchObject({ text: 'UPDATE item SET id = 0', verdict: { outcome: 'deny' } })
    expect(last.of('result').at(-2)).toMatchObject({ status: 'refused', sqlstate: '42501' })
  })

  it('in a transaction: aborts it as a server’s own error does', async () => {
    const client = await session()
    client.send(Q('BEGIN'), Q('INSERT INTO item VALUES (6)'), Q('UPDATE item SET id = 0'), Q('SELECT 1'), Q('COMMIT'))
    expect(told(await client.ready(5))).toEqual([
      'C BEGIN',
      'Z T',
      'C INSERT 0 1',
      'Z T',
      DENIED,
      'Z E',
      'E 25P02 current transaction is aborted, commands ignored until end of transaction block',
      'Z E',
      'C ROLLBACK',
      'Z I',
    ])
    expect(await count()).toBe(5)
  })

  it('in a failed transaction: as the server answers', async () => {
    const client = await session()
    client.send(
      Q('BEGIN'),
      Q('SELECT 1/0'),
      Q('UPDATE item SET id = 0'),
      Q('DELETE FROM item'),
      Q('ROLLBACK; UPDATE item SET id = 0'),
    )
    const said = told(await client.ready(5))
    expect(said.slice(4)).toEqual([
      'E 25P02 current transaction is aborted, commands ignored until end of transaction block',
      'Z E',
      'E 25P02 current transaction is aborted, commands ignored until end of transaction block',
      'Z E',
      DENIED,
      'Z E',
    ])
  })

  it('one statement of several: none of them runs', async () => {
    const client = await session()
    client.send(Q('INSERT INTO item VALUES (6); UPDATE item SET id = 0; SELECT 1'))
    expect(told(await client.ready())).toEqual([DENIED, 'Z I'])
    expect(await count()).toBe(5)
  })

  it('in a pipelined batch: what came before it is rolled back, what comes after is skipped', async () => {
    const client = await session()
    client.send(
      P('', 'INSERT INTO item VALUES (6)'),
      B('', ''),
      E(''),
      P('', 'UPDATE item SET id = 0'),
      B('', ''),
      E(''),
      P('', 'INSERT INTO item VALUES (7)'),
      B('', ''),
      E(''),
      Q('INSERT INTO item VALUES (8)'),
      S,
      P('', 'SELECT 1'),
      B('', ''),
      E(''),
      S,
    )
    expect(told(await client.ready(2))).toEqual([
      '1',
      '2',
      'C INSERT 0 1',
      DENIED,
      'Z I',
      '1',
      '2',
      'D',
      'C SELECT 1',
      'Z I',
    ])
    expect(await count()).toBe(5)
  })

  it('a first error of the server’s own hides a later refusal', async () => {
    const client = await session()
    client.send(P('', 'SELECT 1/0'), B('', ''), E(''), P('', 'UPDATE item SET id = 0'), S, Q('SELECT 1'))
    expect(told(await client.ready(2))).toEqual(['1', 'E 22012 division by zero', 'Z I', 'T', 'D', 'C SELECT 1', 'Z I'])
  })

  it('the FunctionCall message', async () => {
    const client = await session()
    client.send(message(T.FunctionCall, Buffer.alloc(4), int16(0), int16(0), int16(0)), Q('SELECT 1'))
    expect(told(await client.ready(2)).slice(0, 2)).toEqual([
      'E 0A000 the FunctionCall message does not pass this gateway',
      'Z I',
    ])
    expect(world.sessions.last.of('note')).toEqual([
      { type: 'note', text: 'refused: the FunctionCall message does not pass this gateway' },
    ])
  })

  it.each([
    'SET standard_conforming_strings TO off',
    "SET client_encoding TO 'SJIS'",
    "SET countersign.hold TO 'wait'",
    "SELECT set_config('standard_conforming_strings', 'off', false)",
  ])('%s, for everyone', async (text) => {
    world.gate.judge = () => 'allow'
    const client = await session()
    client.send(Q(text), P('', text), B('', ''), E(''), S)
    expect(told(await client.ready(2)).map((line) => line[0])).toEqual(['E', 'Z', 'E', 'Z'])
  })
})

describe('names of the wire and of SQL are one namespace', () => {
  it.each<[string, Buffer[], number]>([
    ['Bind reaches PREPARE', [Q('PREPARE a AS UPDATE item SET id = 0'), B('', 'a'), E(''), S], 2],
    [
      'EXECUTE reaches Parse',
      [P('a', 'SELECT 1'), S, Q('DEALLOCATE a'), Q('PREPARE a AS UPDATE item SET id = 0'), Q('EXECUTE a')],
      4,
    ],
    ['EXECUTE of what nobody saw', [Q('EXECUTE nobody')], 1],
    ['Execute of a portal that nobody saw', [E('nobody'), S], 1],
    ['FETCH of a cursor that nobody saw', [Q('FETCH nobody')], 1],
  ])('%s', async (_name, bytes, readies) => {
    passPrepare()
    const client = await session()
    client.send(...bytes)
    const said = told(await client.ready(readies))
    expect(said.at(-2)).toBe(DENIED)
    expect(Number((await postgres.query('SELECT sum(id) AS n FROM item'))[0]!.n)).toBe(15)
  })

  it('a Parse that the server refuses does not change what the name is taken for', async () => {
    passPrepare()
    const client = await session()
    // The server keeps the first meaning of `a`: pipelined, so that no answer is known yet when Execute is decided.
    client.send(Q('PREPARE a AS UPDATE item SET id = 0'), P('a', 'SELECT 1'), S, B('', 'a'), E(''), S)
    const said = told(await client.ready(3))
    expect(said).toEqual([
      'C PREPARE',
      'Z I',
      'E 42P05 prepared statement "a" already exists',
      'Z I',
      '2',
      DENIED,
      'Z I',
    ])
  })

  it('names that differ only past the 63rd byte are one', async () => {
    const long = 'n'.repeat(63)
    passPrepare()
    const client = await session()
    client.send(Q(`PREPARE ${long} AS UPDATE item SET id = 0`), B('', `${long}x`), E(''), S)
    expect(told(await client.ready(2))).toEqual(['C PREPARE', 'Z I', '2', DENIED, 'Z I'])
  })
})

describe('search_path', () => {
  it('is known at every statement, pipelined or not', async () => {
    const seen: string[] = []
    world.gate.judge = (command) => {
      seen.push(
        ...command.effects.filter(({ resource }) => resource.type === 'Table').map(({ resource }) => resource.id),
      )
      return 'allow'
    }
    const client = await session()
    client.send(
      Q('SELECT 1 FROM item'),
      Q('SET search_path TO hidden'),
      Q('SELECT 1 FROM item'),
      Q('BEGIN'),
      Q('SET LOCAL search_path TO public'),
    )
    client.send(Q('SELECT 1 FROM item'), Q('ROLLBACK'), P('', 'SELECT 1 FROM item'), B('', ''), E(''), S)
    await client.ready(8)
    expect([...seen.filter((id, at) => id !== seen[at - 1])]).toEqual([
      'orders/public.item',
      'orders/hidden.item',
      'orders/public.item',
      'orders/hidden.item',
    ])
  })

  it.each([
    ["SELECT pg_catalog.set_config('search_path', 'hidden', false)"],
    ['DO $$ BEGIN SET search_path TO hidden; END $$'],
    ['BEGIN; SET search_path TO hidden; COMMIT'],
  ])('after %s', async (text) => {
    world.gate.judge = () => 'allow'
    const client = await session()
    client.send(Q(text), Q('SELECT 1 FROM item'))
    await client.ready(2)
    const table = world.gate.submitted.at(-1)!.effects.find(({ resource }) => resource.type === 'Table')
    expect(table?.resource.id).toBe('orders/hidden.item')
  })

  it('ROLLBACK TO undoes what a transaction has made of names', async () => {
    world.gate.judge = () => 'allow'
    const client = await session()
    client.send(
      Q('BEGIN'),
      Q('SAVEPOINT a'),
      Q('SET LOCAL search_path TO hidden'),
      Q('ALTER TABLE item RENAME TO gone'),
      Q('SELECT 1 FROM gone'),
    )
    client.send(Q('ROLLBACK TO a'), Q('SELECT 1 FROM item'), Q('SELECT 1 FROM hidden.item'), Q('ROLLBACK'))
    const said = told(await client.ready(9))
    expect(said.filter((line) => line.startsWith('E'))).toEqual([])
    const tables = world.gate.submitted.slice(-5).map(({ effects }) => effects[0]!.resource.id)
    expect(tables).toEqual(['orders/hidden.gone', 'orders', 'orders/public.item', 'orders/hidden.item', 'orders'])
  })

  it('a table made in the transaction is found in it', async () => {
    const client = await session()
    client.send(
      Q('BEGIN'),
      Q('CREATE TABLE fresh (id int)'),
      Q('SELECT id FROM fresh'),
      Q('ROLLBACK'),
      Q('CREATE TEMP TABLE mine (id int)'),
      Q('SELECT id FROM mine'),
    )
    const said = told(await client.ready(6))
    expect(said.filter((line) => line.startsWith('E'))).toEqual([])
  })
})

describe('what a name stands for when it runs', () => {
  it('is not what a Parse says that the server has yet to refuse', async () => {
    const client = await session()
    client.send(P('p', 'UPDATE item SET id = 0'), S)
    world.gate.judge = () => 'allow' // announced while policy allowed it
    client.send(P('q', 'UPDATE item SET id = 0'), S)
    await client.ready(2)
    world.gate.judge = byEffect
    client.send(P('q', 'SELECT 1'), S, Q('EXECUTE q'))
    expect(told(await client.ready(2)).slice(2)).toEqual([DENIED, 'Z I'])
  })

  it.each([
    ['Execute', [E('c'), S]],
    ['FETCH', [Q('FETCH ALL FROM c')]],
  ])('is what it stood for at Bind: %s', async (_how, messages) => {
    const client = await session()
    client.send(P('s', 'SELECT id FROM item'), S, Q('BEGIN'), Q('SET LOCAL search_path = hidden'))
    client.send(B('c', 's'), S, Q('SET LOCAL search_path = public'), ...messages)
    const said = told(await client.ready(6))
    expect(said).toContain(DENIED)
    expect(said).not.toContain('D')
    client.send(Q('ROLLBACK'))
    await client.ready()
  })

  it('stays the same where nothing of it has changed', async () => {
    const client = await session()
    client.send(P('s', 'SELECT id FROM public.item'), S, Q('BEGIN'), B('c', 's'), S)
    client.send(Q('SET LOCAL search_path = hidden'), E('c', 2), S, Q('SELECT 1'), E('c'), S)
    expect(told(await client.ready(7)).filter((line) => line === 'D')).toHaveLength(6)
    client.send(Q('ROLLBACK'))
    await client.ready()
  })

  it('is decided and recorded anew where the server skipped it', async () => {
    const client = await session()
    client.send(Q('BEGIN'), P('', 'INSERT INTO item VALUES (7) RETURNING id'), B('c', ''), S, Q('SAVEPOINT a'))
    await client.ready(3)
    client.send(P('', 'SELECT 1 / (id - id) FROM item'), B('', ''), E(''), E('c'), S, Q('ROLLBACK TO a'), E('c'), S)
    const said = told(await client.ready(3))
    expect(said.slice(-3)).toEqual(['D', 'C INSERT 0 1', 'Z T'])
    client.send(Q('ROLLBACK'))
    await client.ready()
    const runs = world.sessions.last.of('command').filter(({ text }) => text.startsWith('INSERT'))
    const results = world.sessions.last.of('result')
    expect(runs.map(({ command }) => results.find((result) => result.command === command)?.status)).toEqual([
      'failed',
      'completed',
    ])
  })

  it('runs nothing while it is planned before it is decided', async () => {
    world.gate.judge = () => 'allow'
    const owner = await session()
    const made = `CREATE TABLE ran (a int);
      CREATE FUNCTION acts() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ran VALUES (1); RETURN 1; END $$;
      CREATE FUNCTION sly() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN acts(); END $$;`
    owner.send(Q(made), Q('SELECT 1')) // by way of the gateway, whose catalog then knows it
    await owner.ready(2)
    world.gate.judge = (command) => (command.effects.some(({ action }) => action === 'sql:call') ? 'hold' : 'allow')
    const client = await session()
    const held = world.gate.nextHeld()
    client.send(P('', 'SELECT sly()'), B('', ''), S)
    const { deny } = await held
    deny('no')
    expect(told(await client.ready()).at(-2)).toBe('E 42501 denied by Ada: no')
    expect(await count('ran')).toBe(0)

    const again = world.gate.nextHeld()
    client.send(P('', 'SELECT sly()'), B('', ''), E(''), S)
    ;(await again).approve()
    expect(told(await client.ready()).slice(-3)).toEqual(['D', 'C SELECT 1', 'Z I'])
    expect(await count('ran')).toBe(1)
    expect(world.gate.submitted.filter(({ text }) => text === 'SELECT sly()')).toHaveLength(2)
  })

  it('ends the session where code made the server read otherwise, before it reads on', async () => {
    const client = await session()
    client.send(
      P('', "DO $$ BEGIN EXECUTE 'SET standard_conform' || 'ing_strings = off'; END $$"),
      ...[B('', ''), E('')],
      P('', "SELECT 'a\\' || ' , (SELECT count(*) FROM hidden.item) --'"),
      ...[B('', ''), E(''), S],
    )
    const said = told(await client.closed())
    expect(said.at(-1)).toMatch(/^E 08P01 a setting by which the server reads other commands/)
    expect(said).not.toContain('D')
  })

  it('finds temporary tables whatever quotes the server puts', async () => {
    world.gate.judge = () => 'allow'
    const client = await session()
    client.send(Q('SET quote_all_identifiers = on'), Q('CREATE TEMP TABLE item (id int)'), Q('SELECT id FROM item'))
    expect(told(await client.ready(3)).filter((line) => line.startsWith('E'))).toEqual([])
    expect(world.gate.submitted.at(-1)!.effects[0]!.resource.id).toBe('orders/pg_temp.item')
  })

  it('finds schemas by names as the server cuts them', async () => {
    const long = 'é'.repeat(31)
    world.gate.judge = () => 'allow'
    const client = await session()
    client.send(Q(`CREATE SCHEMA "${long}"; CREATE TABLE "${long}".item (id int)`))
    await client.ready()
    client.send(Q(`SELECT set_config('search_path', '"${long}é", public', false)`), Q('SELECT id FROM item'))
    await client.ready(2)
    expect(world.gate.submitted.at(-1)!.effects[0]!.resource.id).toBe(`orders/"${long}".item`)
  })
})

describe('held', () => {
  it('says so at once, and runs once approved', async () => {
    const client = await session()
    const held = world.gate.nextHeld()
    client.send(Q('DELETE FROM item WHERE id = 1'))
    const { approve, approval, command } = await held
    expect(told(await client.until((frame) => frame[0] === T.NoticeResponse))).toEqual([
      expect.stringMatching(/^N 00000 held for approval [0-9a-f-]+ \(dba, expires 2030-01-02T03:04:05Z\)$/),
    ])
    expect(command).toMatchObject({ text: 'DELETE FROM item WHERE id = 1', kind: 'delete', protocol: 'postgres' })
    expect(await count()).toBe(5)
    approve()
    expect(told(await client.ready())).toEqual(['C DELETE 1', 'Z I'])
    expect(await count()).toBe(4)
    expect(world.gate.reports).toContainEqual({ approval, status: 'completed', tag: 'DELETE 1' })
    expect(world.sessions.last.of('hold').map(({ state }) => state)).toEqual(['pending', 'approved', 'used'])
  })

  it.each<[string, (held: Awaited<ReturnType<World['gate']['nextHeld']>>) => void, string]>([
    ['denied by a person', (held) => held.deny('not today'), 'E 42501 denied by Ada: not today'],
    ['expired', (held) => held.expire(), 'E 57014'],
  ])('%s', async (_name, decide, error) => {
    const client = await session()
    for (const bytes of [[Q('DELETE FROM item')], [P('', 'DELETE FROM item'), B('', ''), E(''), S]]) {
      const held = world.gate.nextHeld()
      client.send(...bytes)
      decide(await held)
      const said = told(await client.ready())
      expect(said.find((line) => line.startsWith('E'))).toContain(error)
      expect(said.at(-1)).toBe('Z I')
    }
    expect(await count()).toBe(5)
  })

  it.each<[string, (held: Awaited<ReturnType<World['gate']['nextHeld']>>) => void, string]>([
    ['denied by a person', (held) => held.deny('not today'), 'E 42501 denied by Ada: not today'],
    [
      'denied by policy by now',
      (held) => {
        world.gate.judge = () => 'deny'
        held.deny('not today')
      },
      'E 42501 there is no such connection, or this agent may not open it',
    ],
    ['expired', (held) => held.expire(), 'E 57014'],
  ])('opening the connection itself: %s', async (_name, decide, error) => {
    world.gate.judge = (command) => (command.kind === 'connect' ? 'hold' : 'allow')
    const held = world.gate.nextHeld()
    const opening = session()
    decide(await held)
    const said = told((await opening).frames)
    expect(said).toContainEqual(expect.stringMatching(/^N 00000 held for approval/))
    expect(said.at(-1)).toContain(error)
  })

  it('in a pipeline: answers to what came before are not held back, what comes after waits', async () => {
    const client = await session()
    const held = world.gate.nextHeld()
    client.send(
      P('', 'SELECT 1'),
      B('', ''),
      E(''),
      P('', 'DELETE FROM item'),
      B('', ''),
      E(''),
      P('', 'SELECT 2'),
      B('', ''),
      E(''),
      S,
    )
    const before = told(await client.until((frame) => frame[0] === T.CommandComplete))
    expect(before.filter((line) => !line.startsWith(notice)).slice(0, 4)).toEqual(['1', '2', 'D', 'C SELECT 1'])
    ;(await held).approve()
    const said = told(await client.ready()).filter((line) => !line.startsWith(notice))
    expect(said).toEqual(['1', '2', 'C DELETE 5', '1', '2', 'D', 'C SELECT 1', 'Z I'])
  })

  it('the client goes: it never runs', async () => {
    const client = await session()
    const held = world.gate.nextHeld()
    client.send(Q('DELETE FROM item'))
    const { signal, approve } = await held
    const closed = once(world.sessions, 'closed')
    client.socket.destroy()
    await closed
    expect(signal.aborted).toBe(true)
    approve()
    expect(await count()).toBe(5)
    expect(world.sessions.last.of('hold').at(-1)).toMatchObject({ state: 'cancelled' })
  })

  it('the client cancels: 57014', async () => {
    const client = await session()
    const held = world.gate.nextHeld()
    client.send(Q('DELETE FROM item'))
    await held
    await cancel(client.key)
    expect(told(await client.ready()).slice(1)).toEqual(['E 57014 canceling statement due to user request', 'Z I'])
    expect(await count()).toBe(5)
  })

  it('the session is ended from outside: FATAL 57P01, nothing runs', async () => {
    const client = await session()
    const held = world.gate.nextHeld()
    client.send(Q('DELETE FROM item'))
    await held
    world.sessions.last.end('terminated by Ada')
    expect(told(await client.closed()).at(-1)).toBe('E 57P01 terminated by Ada')
    expect(await count()).toBe(5)
    expect(world.sessions.last.closedAs).toEqual({ state: 'terminated', reason: 'terminated by Ada' })
  })

  it('hold=fail answers ZA001 with the approval in the hint', async () => {
    const client = await session({ options: '-c countersign.hold=fail -c countersign.purpose=nightly\\ job' })
    client.send(Q('DELETE FROM item'))
    expect(told(await client.ready())[0]).toMatch(/^E ZA001 held for approval [0-9a-f-]+ \(dba/)
    expect(world.sessions.last.request.purpose).toBe('nightly job')
    expect(world.gate.submitted.at(-1)!.session.purpose).toBe('nightly job')
  })

  it('in a transaction that has written it fails, in one that has not it waits', async () => {
    const client = await session()
    client.send(Q('BEGIN'), Q('INSERT INTO item VALUES (6)'), Q('DELETE FROM item'), Q('ROLLBACK'))
    expect(told(await client.ready(4))[4]).toMatch(/^E ZA001/)
    const held = world.gate.nextHeld()
    client.send(Q('BEGIN'), Q('SELECT 1'), Q('DELETE FROM item'), Q('COMMIT'))
    ;(await held).approve()
    expect(told(await client.ready(4))).toContain('C DELETE 5')
    client.send(P('', 'INSERT INTO item VALUES (6)'), B('', ''), E(''), P('', 'DELETE FROM item'), B('', ''), E(''), S)
    expect(told(await client.ready()).at(-2)).toMatch(/^E ZA001/)
    approvals.in_transaction = 'wait'
    const again = world.gate.nextHeld()
    client.send(P('', 'INSERT INTO item VALUES (6)'), B('', ''), E(''), P('', 'DELETE FROM item'), B('', ''), E(''), S)
    ;(await again).approve()
    expect(told(await client.ready())).toContain('C DELETE 1')
  })

  it('a table renamed while it was held: what was approved does not run on another', async () => {
    const client = await session()
    const held = world.gate.nextHeld()
    client.send(Q('DELETE FROM first'))
    const { approve } = await held
    await postgres.query('ALTER TABLE first RENAME TO kept; ALTER TABLE second RENAME TO first')
    approve()
    expect(told(await client.ready()).at(-2)).toContain('E 42501 what the command means has changed since it was held')
    expect(await count('first')).toBe(1)
  })

  it('a suspended portal goes on under the same approval', async () => {
    const client = await session()
    const held = world.gate.nextHeld()
    client.send(P('', 'DELETE FROM item RETURNING id'), B('p', ''), E('p', 2), H)
    ;(await held).approve()
    await client.until((frame) => frame[0] === T.PortalSuspended)
    const submitted = world.gate.submitted.length
    client.send(E('p', 2), E('p', 2), S)
    expect(told(await client.ready())).toEqual(['D', 'D', 's', 'D', 'C DELETE 1', 'Z I'])
    expect(world.gate.submitted.length).toBe(submitted)
    expect(world.sessions.last.of('result').at(-1)).toMatchObject({ rows: 5, status: 'completed' })
  })
})

describe('what an approval is for', () => {
  const typed = (...types: number[]) =>
    message(T.Parse, cstring(''), cstring('SELECT $1'), int16(types.length), ...types.map(int32))
  const digests = async (...parses: Buffer[]) => {
    const client = await session()
    const found: string[] = []
    for (const parse of parses) {
      client.send(parse, D('S', ''), B('', '', '5'), E(''), S)
      await client.ready()
      found.push(digestOf(world.gate.submitted.at(-1)!))
    }
    return found
  }

  it('has the types in it that a client declares for parameters', async () => {
    const [bare, none, int4, text, again] = await digests(typed(), typed(0), typed(23), typed(25), typed(23))
    expect(none).toBe(bare)
    expect(again).toBe(int4)
    expect(new Set([bare, int4, text]).size).toBe(3)
  })
})

describe('a suspended portal', () => {
  it('gives no more once policy forbids it', async () => {
    const client = await session()
    client.send(Q('BEGIN'), P('', 'SELECT id FROM item'), B('p', ''), E('p', 1), S)
    await client.ready(2)
    world.gate.judge = ({ kind }) => (kind === 'select' ? 'deny' : 'allow')
    try {
      client.send(E('p', 1), S)
      expect(told(await client.ready())).toEqual([expect.stringMatching(/^E 42501 /), 'Z E'])
    } finally {
      world.gate.judge = () => 'allow'
    }
    client.send(Q('ROLLBACK'))
    expect(told(await client.ready()).at(-1)).toBe('Z I')
    expect(world.sessions.last.of('result').map(({ status }) => status)).toContain('refused')
  })
})

describe('cancel', () => {
  it('stops what runs at the server, and nothing after it', async () => {
    const client = await session()
    const running = postgres.query("SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'")
    await running
    client.send(Q('SELECT pg_sleep(60)'))
    for (;;) {
      const rows = await postgres.query(
        "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'",
      )
      if (rows.length > 0) break
    }
    client.send(Q('SELECT 1'))
    await cancel(client.key)
    expect(told(await client.ready(2)).filter((line) => line !== 'T')).toEqual([
      'E 57014 canceling statement due to user request',
      'Z I',
      'D',
      'C SELECT 1',
      'Z I',
    ])
  })

  it('takes no other key', async () => {
    const client = await session()
    const held = world.gate.nextHeld()
    client.send(Q('DELETE FROM item'))
    const { approve } = await held
    const wrong = Buffer.from(client.key)
    wrong[7]! ^= 1
    await cancel(wrong)
    approve()
    expect(told(await client.ready())).toContain('C DELETE 5')
  })
})

describe('recording', () => {
  it('refuses what it can’t record, and ends the session', async () => {
    const client = await session()
    world.sessions.broken = true
    client.send(Q('INSERT INTO item VALUES (6)'))
    expect(told(await client.closed()).at(-1)).toMatch(/^E 58030/)
    expect(await count()).toBe(5)
  })

  it('keeps parameters, rows and tags, also where the client asks for no description', async () => {
    const client = await session()
    client.send(P('', "SELECT $1::int AS n, 'x' AS t"), B('', '', '7'), E(''), S)
    expect(told(await client.ready())).toEqual(['1', '2', 'D', 'C SELECT 1', 'Z I'])
    const last = world.sessions.last
    expect(last.of('command').at(-1)).toMatchObject({ parameters: ['7'] })
    expect(last.of('rows').at(-1)).toMatchObject({
      columns: [
        { name: 'n', type: 23 },
        { name: 't', type: 25 },
      ],
      rows: [['7', 'x']],
    })
  })

  it('keeps rows up to the bound, and counts the rest', async () => {
    world.sessions.resultBound = { rows: 3, bytes: 1 << 20 }
    const client = await session()
    client.send(Q('SELECT generate_series(1, 1000)'))
    expect((await client.ready()).length).toBe(1003)
    const rows = world.sessions.last.of('rows')
    expect(rows.flatMap((event) => event.rows)).toEqual([['1'], ['2'], ['3']])
    expect(rows.at(-1)!.truncated).toBe(true)
    expect(world.sessions.last.of('result').at(-1)).toMatchObject({ rows: 1000 })
    world.sessions.resultBound = { rows: 1000, bytes: 1 << 20 }
  })
})

describe('clients', () => {
  it('node-postgres', async () => {
    const client = new pg.Client({
      host: '127.0.0.1',
      port: world.port,
      user: 'any',
      password: 'good',
      database: 'orders',
    })
    await client.connect()
    expect((await client.query('SELECT $1::text AS x', ['hey'])).rows).toEqual([{ x: 'hey' }])
    await expect(client.query('UPDATE item SET id = $1', [1])).rejects.toMatchObject({ code: '42501' })
    expect((await client.query({ name: 'n', text: 'SELECT count(*)::int AS n FROM item' })).rows).toEqual([{ n: 5 }])
    await client.end()
  })

  it('postgres.js', async () => {
    const sql = postgresJs({
      host: '127.0.0.1',
      port: world.port,
      user: 'any',
      password: 'good',
      database: 'orders',
      max: 1,
    })
    expect([...(await sql`SELECT id FROM item WHERE id < ${3} ORDER BY id`)]).toEqual([{ id: 1 }, { id: 2 }])
    await expect(sql`UPDATE item SET id = ${1}`).rejects.toMatchObject({ code: '42501' })
    await sql.begin(async (t) => {
      await t`INSERT INTO item VALUES (9)`
    })
    expect(await count()).toBe(6)
    await sql.end()
  })
})

it('a client that speaks nonsense is told 08P01 and let go', async () => {
  const client = await session()
  client.send(Buffer.from([0x51, 0x00, 0x00]), Buffer.from([0x00, 0x01]))
  expect(told(await client.closed()).at(-1)).toMatch(/^E 08P01/)
  const other = await session()
  other.send(Buffer.from([0x53, 0x06, 0x00, 0x00, 0x00]))
  expect(told(await other.closed()).at(-1)).toMatch(/^E 08P01 a message of 100663297 bytes/)
})

it('drain: idle sessions end at once, what runs may finish', async () => {
  await using own = await startWorld(postgres)
  const idle = await RawClient.start(own.port)
  const busy = await RawClient.start(own.port)
  busy.send(Q('SELECT pg_sleep(0.3)'))
  while (own.sessions.all.flatMap((live) => live.of('command')).length < 3) await new Promise(setImmediate)
  const drained = own.listener.drain(10_000)
  expect(told(await idle.closed()).at(-1)).toMatch(/^E 57P01/)
  const said = told(await busy.closed())
  expect(said.slice(-3)).toEqual([
    'C SELECT 1',
    'Z I',
    'E 57P01 terminating connection because the gateway is stopping',
  ])
  await drained
  const closed = { state: 'closed', reason: 'the gateway stopped' }
  expect(own.sessions.all.map((live) => live.closedAs)).toEqual([closed, closed])
})

it('drain: what still runs when the time is up is cut off', async () => {
  await using own = await startWorld(postgres)
  const busy = await RawClient.start(own.port)
  busy.send(Q('SELECT pg_sleep(60)'))
  while (own.sessions.all.flatMap((live) => live.of('command')).length < 2) await new Promise(setImmediate)
  await own.listener.drain(1)
  expect(told(await busy.closed()).at(-1)).toBe('E 57P01 terminating connection because the gateway is stopping')
  expect(own.sessions.last.closedAs).toEqual({ state: 'closed', reason: 'the gateway stopped' })
})

/** Lets PREPARE itself pass, once, so that only what is run decides. */
function passPrepare(): void {
  let passed = false
  world.gate.judge = (command) => {
    if (passed || !command.text.startsWith('PREPARE')) return byEffect(command)
    passed = true
    return 'allow'
  }
}

async function cancel(key: Buffer): Promise<void> {
  const socket = connectTcp({ port: world.port, host: '127.0.0.1' })
  socket.resume()
  socket.write(startupPacket(80_877_102, key))
  await once(socket, 'close')
}
