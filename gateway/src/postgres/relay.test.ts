import { once } from 'node:events'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { RunningPostgres } from '../../../demo/postgres.ts'
import { B, C, c, D, d, E, f, H, P, Q, RawClient, S, told } from './testing/raw.ts'
import { startPostgres, startWorld, type World } from './testing/world.ts'
import { T } from './wire/messages.ts'

let postgres: RunningPostgres
let world: World
beforeAll(async () => {
  postgres = await startPostgres({ auth: 'trust' })
  world = await startWorld(postgres)
  await postgres.query('CREATE TABLE item (id int PRIMARY KEY, name text); CREATE TABLE line (id serial, body text)')
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await postgres.stop()
})
beforeEach(async () => {
  world.gate.judge = () => 'allow'
  await postgres.query(
    'TRUNCATE item; INSERT INTO item SELECT n, repeat(chr(65 + n), n) FROM generate_series(1, 20) n; TRUNCATE line',
  )
})

/** Scripts of what a client sends, each step with how many ReadyForQuery it waits for. */
const scripts: Record<string, [Buffer[], number][]> = {
  'simple queries': [
    [[Q('SELECT 1')], 1],
    [[Q('SELECT * FROM item ORDER BY id; SELECT 2; SELECT')], 1],
    [[Q('')], 1],
    [[Q(';')], 1],
    [[Q('SELECT 1; SELECT 1/0; SELECT 3')], 1],
    [[Q("INSERT INTO line (body) VALUES ('a'), ('b') RETURNING body")], 1],
    [[Q('no such statement')], 1],
    [[Q("DO $$ BEGIN RAISE NOTICE 'seen'; END $$")], 1],
  ],
  transactions: [
    [[Q('BEGIN'), Q('SELECT 1'), Q('SELECT 1/0'), Q('SELECT 2'), Q('ROLLBACK'), Q('SELECT 3')], 6],
    [[Q('BEGIN; INSERT INTO line (body) VALUES (1); SAVEPOINT a')], 1],
    [[Q('SELECT nope'), Q('ROLLBACK TO a'), Q('SELECT count(*) FROM line'), Q('COMMIT')], 4],
  ],
  'extended protocol': [
    [[P('', 'SELECT $1::int + 1'), B('', '', '41'), D('P', ''), E(''), S], 1],
    [[P('s', 'SELECT * FROM item WHERE id < $1 ORDER BY id'), D('S', 's'), S], 1],
    [[B('', 's', '5'), E(''), B('', 's', null), E(''), S], 1],
    [[B('p', 's', '12'), D('P', 'p'), E('p', 4), E('p', 4), E('p', 4), E('p', 4), C('P', 'p'), S], 1],
    [[C('S', 's'), B('', 's', '1'), E(''), S], 1],
    [[P('', ''), B('', ''), E(''), S], 1],
  ],
  pipelines: [
    [[P('a', 'SELECT 1'), S, B('', 'a'), E(''), S, P('b', 'SELECT 1/0'), B('', 'b'), E(''), B('', 'a'), E(''), S], 3],
    [[P('a', 'SELECT 2'), B('', 'a'), E(''), Q('SELECT 3'), S, S], 2],
    [[P('', 'INSERT INTO line (body) VALUES (1)'), B('', ''), E(''), P('', 'nonsense'), B('', ''), E(''), S], 1],
    [[Q('SELECT count(*) FROM line')], 1],
    [[P('', 'SELECT 1'), B('', ''), E(''), Q('SELECT 7')], 1],
    // What the gateway asks in between must not make the client's batch a pipeline.
    [[S, Q('ALTER TABLE line ALTER body DROP DEFAULT')], 2],
    [[C('S', ''), Q('SELECT 1')], 1],
    [[Q('ALTER TABLE line ALTER body DROP DEFAULT')], 1],
    [[P('', 'VACUUM line'), H, B('', ''), E(''), S], 1],
  ],
  'names of both worlds': [
    [
      [Q('PREPARE w AS SELECT 7'), B('', 'w'), D('P', ''), E(''), S, Q('EXECUTE w'), Q('DEALLOCATE w'), Q('EXECUTE w')],
      5,
    ],
    [[P('x', 'SELECT 8'), S, Q('EXECUTE x'), Q('DEALLOCATE ALL'), Q('EXECUTE x')], 4],
    // A statement that runs itself, and many that each run the next.
    [[P('two', 'EXECUTE two'), B('', 'two'), E(''), S, Q('DEALLOCATE two')], 2],
    [[...chain(24), S, Q('EXECUTE n0'), Q('DEALLOCATE ALL')], 3],
    [
      [
        Q('BEGIN'),
        Q('DECLARE k CURSOR FOR SELECT id FROM item ORDER BY id'),
        D('P', 'k'),
        E('k', 2),
        S,
        Q('FETCH 2 FROM k'),
        Q('COMMIT'),
      ],
      5,
    ],
    // The error is that of Execute, not of a Describe that the client didn't send.
    [[Q('DECLARE gone CURSOR FOR SELECT 1; SELECT 1'), E('gone'), S, Q('SELECT 2')], 3],
  ],
  copy: [
    [[Q('COPY line (body) FROM STDIN'), d('one\ntwo\n'), d('three\n'), c], 1],
    [[Q('COPY line TO STDOUT')], 1],
    [[Q('COPY line (body) FROM STDIN'), d('one\n'), f('enough')], 1],
    [[Q('COPY item FROM STDIN'), d('x\ty\n'), d('more\n'), c, Q('SELECT 5')], 2],
    [[Q('COPY nowhere FROM STDIN'), d('x\n'), c, Q('SELECT 6')], 2],
    [[P('', 'COPY line (body) FROM STDIN'), B('', ''), E(''), S, d('four\n'), S, c, S], 1],
    [[P('', 'COPY line (body) FROM STDIN'), B('', ''), E(''), d('five\n'), f('no'), S], 1],
    [[P('', 'COPY item FROM STDIN'), B('', ''), E(''), d('bad\n'), d('bad\n'), c, S, Q('SELECT 8')], 2],
    [[Q('SELECT count(*) FROM line; COPY line TO STDOUT; SELECT 1')], 1],
    // A Sync amid the data is ignored while the server takes data, and answered once that has failed.
    [[Q('COPY item FROM STDIN'), d('x\ty\n'), S, d('more\n'), c, S, Q('SELECT 5')], 4],
    [[P('', 'COPY item FROM STDIN'), B('', ''), E(''), d('bad\n'), S, d('bad\n'), c, S, Q('SELECT 8')], 3],
    [[Q('COPY line (body) FROM STDIN'), d('six\n'), S, c, S, Q('SELECT 9')], 3],
    [[P('', 'COPY line (body) FROM STDIN'), B('', ''), E(''), S, d('seven\n'), S, f('no'), S], 1],
    [[Q('PREPARE w AS SELECT 10'), B('', 'w'), E(''), S, Q('EXECUTE w')], 3],
    [[Q('COPY line (body) FROM STDIN; COPY line (body) FROM STDIN'), d('8\n'), S, c, d('9\n'), S, f('no'), S], 2],
    [[Q('ALTER TABLE line ALTER body DROP DEFAULT'), P('', 'SELECT 11'), B('', ''), E(''), S], 2],
    [[Q('COPY line (body) FROM STDIN'), d('10\n'), S, f('no'), c, S, B('', 'w'), E(''), S, Q('EXECUTE w')], 4],
  ],
  'flush and listening': [
    [[P('', 'SELECT 1'), H, B('', ''), H, D('P', ''), E(''), H, S], 1],
    [[Q('LISTEN ear'), Q("NOTIFY ear, 'hello'"), Q("SET application_name TO 'other'"), Q('SHOW application_name')], 4],
    [[Q('SET search_path TO pg_catalog'), Q('SELECT count(*) > 0 FROM pg_class'), Q('RESET search_path')], 3],
  ],
}

/** Statements n0 to nN, each of which runs the next. */
function chain(length: number): Buffer[] {
  return Array.from({ length }, (_, n) => P(`n${n}`, n < length - 1 ? `EXECUTE n${n + 1}` : 'SELECT 12'))
}

describe('with everything allowed, a client receives byte for byte what a direct connection gives', () => {
  it.each(Object.entries(scripts))('%s', async (_name, steps) => {
    const run = async (port: number, database: string, user: string) => {
      await postgres.query('TRUNCATE line RESTART IDENTITY')
      const client = await RawClient.start(port, { database, user })
      for (const [bytes, readies] of steps) {
        client.send(...bytes)
        await client.ready(readies)
      }
      client.socket.destroy()
      return client.frames
    }
    const direct = await run(postgres.port, 'postgres', 'postgres')
    const relayed = await run(world.port, 'orders', 'any')
    // Process ids differ, in BackendKeyData and in notifications.
    const comparable = (frames: Buffer[]) =>
      frames
        .filter((frame) => frame[0] !== T.BackendKeyData && frame[0] !== T.Authentication)
        .map((frame) => (frame[0] === T.NotificationResponse ? frame.subarray(9) : frame).toString('latin1'))
    expect(comparable(relayed)).toEqual(comparable(direct))
    expect(world.complaints).toEqual([])
  })
})

it('sends a result larger than anything it may keep, to a client that reads slowly', async () => {
  const client = await RawClient.start(world.port)
  client.send(Q("SELECT repeat('x', 30000000) FROM generate_series(1, 3)"))
  client.socket.pause()
  await new Promise((resolve) => setImmediate(resolve))
  client.socket.resume()
  const frames = await client.ready()
  expect(told(frames)).toEqual(['T', 'D', 'D', 'D', 'C SELECT 3', 'Z I'])
  expect(frames[1]!.length).toBe(30_000_000 + 11)
  const recorded = world.sessions.last
  expect(recorded.of('rows').at(-1)).toMatchObject({ rows: [], truncated: true })
  expect(recorded.of('result').at(-1)).toMatchObject({ rows: 3, tag: 'SELECT 3', status: 'completed' })
  client.socket.destroy()
})

it('a client that does not read stops the server rather than filling the gateway; when it goes, all ends', async () => {
  const client = await RawClient.start(world.port)
  client.socket.pause()
  const text = "COPY (SELECT repeat('y', 1000) FROM generate_series(1, 400000)) TO STDOUT"
  client.send(Q(text))
  const waits = async () => {
    const rows = await postgres.query("SELECT wait_event FROM pg_stat_activity WHERE query LIKE 'COPY (SELECT repeat%'")
    return rows[0]?.wait_event
  }
  // Only a full socket makes the server wait so: 400 MB would not have fitted into it.
  while ((await waits()) !== 'ClientWrite') await new Promise(setImmediate)
  const closed = once(world.sessions, 'closed')
  client.socket.destroy()
  await closed
  expect(world.sessions.last.of('result').at(-1)).toMatchObject({ rows: 400_000, status: 'completed' })
})

it('a client that sends more than the server takes is not read any further, and all of it arrives', async () => {
  const client = await RawClient.start(world.port)
  const piece = d(`${'z'.repeat(65_000)}\n`)
  client.send(Q('COPY line (body) FROM STDIN'))
  for (let n = 0; n < 500; n++) if (!client.socket.write(piece)) await once(client.socket, 'drain')
  client.send(c)
  expect(told(await client.ready())).toEqual(['G', 'C COPY 500', 'Z I'])
  client.socket.destroy()
})

it('a client that has said all and closes its side still gets its answers', async () => {
  const client = await RawClient.start(world.port)
  client.socket.end(Buffer.concat([Q('SELECT pg_sleep(0.1)'), Q('INSERT INTO line (body) VALUES (1)')]))
  expect(told(await client.closed())).toEqual(['T', 'D', 'C SELECT 1', 'Z I', 'C INSERT 0 1', 'Z I'])
})
