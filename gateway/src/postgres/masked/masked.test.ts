import fc from 'fast-check'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { RunningPostgres } from '../../../../demo/postgres.ts'
import type { Masking } from '../../masking/masking.ts'
import { queries } from '../../masking/testing/queries.ts'
import { leaks, dataClasses as shopClasses, schema as shopSchema } from '../../masking/testing/world.ts'
import { B, D, E, P, Q, RawClient, S, told } from '../testing/raw.ts'
import { startPostgres, startWorld, type World } from '../testing/world.ts'
import { cstring, int16, message, reportFields, T, valuesOf } from '../wire/messages.ts'

const secret = 'jane.qvortrup@hidden.test'
const schema = `
  CREATE TABLE person (id int PRIMARY KEY, email text, city text, note text);
  INSERT INTO person VALUES (1, '${secret}', 'Oslo', NULL), (2, NULL, 'Bern', 'x');
  CREATE TABLE plain (id int, t text, j jsonb, n numeric, a text[], d timestamptz);
  INSERT INTO plain SELECT n, 'row ' || n, '{"a": 1}', n / 3.0, '{a,b}', '2024-05-06 07:08:09+00' FROM generate_series(1, 50) n;
  CREATE TABLE found (id int, t text, j json, b jsonb, v varchar(80), a text[], n bigint);
  INSERT INTO found VALUES (1, 'write to ${secret} or call', '{"k": "${secret}"}', '{"k": ["${secret}"]}', '${secret}', '{x,${secret}}', 4111111111111111);
  CREATE TABLE kinds (id int, b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, nu numeric, t text, vc varchar(40), c char(40),
    by bytea, u uuid, d date, ti time, ts timestamp, tz timestamptz, iv interval, ip inet, ci cidr, ma macaddr, js json, jb jsonb, x xml,
    ta text[], ia int[], r int4range, m money, bi bit(3), po point, e mood, l ltree_like);
  INSERT INTO kinds VALUES (1, true, 7, 7, 7, 1.5, 1.5, 12.34, 'abcdefgh', 'abcdefgh', 'abcdefgh', '\\x0102', '5ec4e7aa-91b7-4d1f-8a3e-c0ffeed15ea5',
    '1947-08-23', '12:34:56', '1947-08-23 12:34:56', '1947-08-23 12:34:56+00', '3 days', '10.1.2.3', '10.1.0.0/16', '08:00:2b:01:02:03',
    '{"a": 1}', '{"a": 1}', '<a>b</a>', '{p,q}', '{1,2}', '[1,5)', 12.34, B'101', '(1,2)', 'sad', 'abc');
  CREATE TABLE letters (id int, body text); INSERT INTO letters VALUES (1, repeat('x', 3000000));
`
const dataClasses: Record<string, string> = {
  'public.person.email': 'email',
  'public.person.note': 'note',
  'public.letters.body': 'letter',
}
const kinds = 'b i2 i4 i8 f4 f8 nu t vc c by u d ti ts tz iv ip ci ma js jb x ta ia r m bi po e l'.split(' ')
for (const name of kinds) dataClasses[`public.kinds.${name}`] = 'kind'

const base: Masking = { key: Buffer.alloc(32, 7), styleOf: () => 'redact', dataClasses, detect: [] }
let server: RunningPostgres
let world: World

beforeAll(async () => {
  server = await startPostgres({ auth: 'trust' })
  await server.query(`CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE DOMAIN ltree_like AS text; ${schema}`)
  await server.query('CREATE DATABASE shop')
  await server.query(shopSchema, 'shop')
  world = await startWorld(server)
})
afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
  await server?.stop()
})
beforeEach(() => {
  world.target.masking = base
  world.target.database = 'postgres'
  world.gate.revealed.clear()
})

const raw = () => RawClient.start(world.port)
async function client(): Promise<pg.Client> {
  const config = { host: '127.0.0.1', port: world.port, user: 'any', database: 'orders', password: 'good' }
  const client = new pg.Client(config)
  await client.connect()
  return client
}
const values = (frames: Buffer[]) =>
  frames
    .filter((frame) => frame[0] === T.DataRow)
    .map((frame) => valuesOf(frame).map((value) => value?.toString() ?? null))
const recorded = () => world.sessions.last.of('rows').flatMap(({ rows }) => rows)

test('NULL stays NULL, what has no class passes, and the recording says which columns are masked', async () => {
  await using agent = closing(await client())
  const { rows } = await agent.query('SELECT * FROM person ORDER BY id')
  expect(rows).toEqual([
    { id: 1, email: '[masked: email]', city: 'Oslo', note: null },
    { id: 2, email: null, city: 'Bern', note: '[masked: note]' },
  ])
  expect(world.sessions.last.of('rows')).toMatchObject([
    {
      columns: [
        { name: 'id' },
        { name: 'email', masked: [{ class: 'email', style: 'redact', revealed: false }] },
        { name: 'city' },
        { name: 'note', masked: [{ class: 'note', style: 'redact', revealed: false }] },
      ],
      rows: [
        ['1', '[masked: email]', 'Oslo', null],
        ['2', null, 'Bern', '[masked: note]'],
      ],
    },
  ])
})

test('who may see one class sees it and no other; what is made of both is masked; the recording has neither', async () => {
  world.gate.revealed.add('email')
  await using agent = closing(await client())
  const { rows } = await agent.query(`SELECT email, note, email || note AS both FROM person WHERE id < 3 ORDER BY id`)
  expect(rows).toEqual([
    { email: secret, note: null, both: null },
    { email: null, note: '[masked: note]', both: null },
  ])
  expect((await agent.query('SELECT upper(email) AS u FROM person WHERE id = 1')).rows).toEqual([
    { u: '[masked: derived]' },
  ])
  expect(recorded()).toEqual([['[masked: email]', null, null], [null, '[masked: note]', null], ['[masked: derived]']])
  expect(world.sessions.last.of('rows')[0]!.columns[0]).toMatchObject({
    masked: [{ class: 'email', style: 'redact', revealed: true }],
  })
})

test('a command is recorded with the classes that it may read or write, seen or not, answered or not', async () => {
  world.gate.revealed.add('email')
  await using agent = closing(await client())
  for (const sql of [
    'SELECT 1',
    'SELECT count(*) FROM person',
    `UPDATE person SET note = 'x' WHERE id = 99`,
    'SELECT id FROM letters WHERE id = 99',
  ])
    await agent.query(sql)
  const commands = world.sessions.last.of('command').slice(-4)
  expect(commands.map(({ classes }) => classes)).toEqual([undefined, ['email', 'note'], ['email', 'note'], ['letter']])
})

test('policy is asked for every command: what was revealed is masked from the moment that it is not', async () => {
  await using agent = closing(await client())
  const seen = []
  for (const revealed of [true, false, true]) {
    world.gate.revealed = new Set(revealed ? ['email', 'note'] : [])
    seen.push((await agent.query({ name: 'p', text: 'SELECT email FROM person WHERE id = 1' })).rows[0].email)
  }
  expect(seen).toEqual([secret, '[masked: email]', secret])
})

test('mode observe refuses nothing by policy, and masks all the same', async () => {
  world.target.ref = { ...world.target.ref, mode: 'observe' }
  try {
    await using agent = closing(await client())
    expect((await agent.query('SELECT email FROM person WHERE id = 1')).rows).toEqual([{ email: '[masked: email]' }])
    await expect(agent.query('CREATE TABLE away AS SELECT email FROM person')).rejects.toMatchObject({ code: '42501' })
  } finally {
    world.target.ref = { ...world.target.ref, mode: 'enforce' }
  }
})

describe('a view that another session replaces while a transaction with changes of its own is open', () => {
  const plain = 'CREATE OR REPLACE VIEW lure AS SELECT id, city AS x FROM person'
  const either = ['[masked: email]', '08P01']
  beforeEach(() => server.query('DROP VIEW IF EXISTS lure'))

  test.each<[string, string[], string[]]>([
    ['read committed', [], ['[masked: email]']],
    ['read committed', ['SELECT x FROM pg_temp.mine'], ['[masked: email]']],
    ['repeatable read', [], either],
    ['repeatable read', ['SELECT x FROM pg_temp.mine'], either],
  ])('%s, after %j', async (isolation, before, expected) => {
    const agent = await raw()
    await using other = closing(await client())
    const texts = [
      plain,
      `BEGIN ISOLATION LEVEL ${isolation}`,
      'SELECT 1',
      'CREATE TEMP TABLE mine (x text)',
      ...before,
    ]
    agent.send(...texts.map(Q))
    await agent.ready(texts.length)
    await other.query('CREATE OR REPLACE VIEW lure AS SELECT id, email AS x FROM person')
    agent.send(Q('SELECT x FROM lure WHERE id = 1'))
    const answer = await agent.ready()
    agent.socket.destroy()
    const failure = answer.find((frame) => frame[0] === T.ErrorResponse)
    // A transaction that can't see what it would read is ended, one that can is masked by it.
    expect(expected).toContain(failure ? reportFields(failure).C : values(answer)[0]![0])
  })

  test('its own changes before it began are no matter', async () => {
    await using agent = closing(await client())
    await agent.query(plain)
    await agent.query('BEGIN ISOLATION LEVEL SERIALIZABLE')
    for (const text of ['SELECT 1', 'CREATE TEMP TABLE mine (x text)']) await agent.query(text)
    expect((await agent.query('SELECT x FROM lure WHERE id = 1')).rows).toEqual([{ x: 'Oslo' }])
    await agent.query('ROLLBACK')
  })
})

test('a seed made of a masked value is refused: random() would tell it', async () => {
  await using agent = closing(await client())
  const seeds = 'SELECT setseed(length(email) / 1000.0) FROM person'
  await expect(agent.query(seeds)).rejects.toMatchObject({ code: '42501' })
  await agent.query('SELECT setseed(0.5)')
})

test('what touches nothing classified is the same byte for byte as without the gateway', async () => {
  const direct = await RawClient.start(server.port, { user: 'postgres', database: 'postgres' })
  const masked = await raw()
  const binary = message(T.Bind, cstring(''), cstring(''), int16(0), int16(0), int16(1), int16(1))
  const said: string[][] = []
  for (const one of [direct, masked]) {
    const frames: Buffer[] = []
    for (const sent of [
      [Q('SELECT * FROM plain; SELECT j FROM plain; SELECT nothing')],
      [P('', 'SELECT * FROM plain'), binary, D('P', ''), E(''), S],
      [P('', 'SELECT * FROM plain'), D('S', ''), B('', ''), E('', 7), E('', 100), S],
      [Q("SELECT 'x'::int"), Q('COPY plain TO STDOUT'), Q('COPY (SELECT 1) TO STDOUT (FORMAT binary)')],
      [Q("SET application_name = 'here'"), Q('SELECT city, id FROM person')],
    ]) {
      one.send(...sent)
      frames.push(...(await one.ready(sent.filter((each) => each[0] === T.Query || each[0] === T.Sync).length)))
    }
    said.push(frames.map((frame) => frame.toString('latin1')))
    one.socket.destroy()
  }
  expect(said[1]).toEqual(said[0])
})

describe('a masked value is one of its type', () => {
  for (const style of ['redact', 'partial', 'hash', 'null'] as const) {
    test(`${style}, in text and in binary`, async () => {
      world.target.masking = { ...base, styleOf: () => style }
      await using agent = closing(await client())
      const text = await agent.query('SELECT * FROM kinds')
      const inBinary = await agent.query({ text: 'SELECT * FROM kinds', values: [], binary: true } as pg.QueryConfig)
      expect(text.rows[0].id).toBe(1)
      for (const { rows } of [text, inBinary]) {
        expect(rows[0].t).not.toBe('abcdefgh')
        expect(String(rows[0].u)).not.toContain('5ec4e7aa')
      }
      // The server takes the masked values for the types that they are of: it has the last word on what is valid.
      const raws = await agent.query({
        text: 'SELECT * FROM kinds',
        rowMode: 'array',
        types: asTheyAre,
      } as pg.QueryConfig)
      const fields = raws.fields.slice(1)
      const masked = (raws.rows[0] as unknown as (string | null)[]).slice(1)
      const types = await server.query(
        `SELECT attname, format_type(atttypid, NULL) AS type FROM pg_attribute WHERE attrelid = 'kinds'::regclass AND attnum > 1 ORDER BY attnum`,
      )
      for (const [at, value] of masked.entries()) {
        if (value === null) continue
        const type = String(types[at]!.type)
        const [read] = await server.query(
          `SELECT '${value.replaceAll("'", "''")}'::${type === 'character' ? 'text' : type} IS NOT NULL AS valid`,
        )
        expect([fields[at]!.name, read]).toEqual([fields[at]!.name, { valid: true }])
      }
      // The same in binary: COPY of the server's own reads it.
      const reader = await RawClient.start(server.port, { user: 'postgres', database: 'postgres' })
      const gateway = await raw()
      gateway.send(Q('COPY kinds TO STDOUT (FORMAT binary)'))
      const data = (await gateway.ready()).filter((frame) => frame[0] === T.CopyData)
      reader.send(Q('BEGIN; CREATE TEMP TABLE back (LIKE kinds) ON COMMIT DROP; COPY back FROM STDIN (FORMAT binary)'))
      await reader.until((frame) => frame[0] === T.CopyInResponse || frame[0] === T.ReadyForQuery)
      reader.send(...data, message(T.CopyDone))
      expect(told(await reader.ready()).at(-2)).toBe('C COPY 1')
      for (const one of [reader, gateway]) one.socket.destroy()
    })
  }
})

const asTheyAre = { getTypeParser: () => (value: unknown) => value }

describe('what detectors find', () => {
  beforeEach(() => {
    world.target.masking = { ...base, detect: ['email', 'card'] }
  })

  test('is masked in texts without a class, and JSON stays JSON', async () => {
    await using agent = closing(await client())
    const expected = {
      id: 1,
      t: 'write to [masked: email] or call',
      j: { k: '[masked: email]' },
      b: { k: ['[masked: email]'] },
      v: '[masked: email]',
      a: [],
      n: '4111111111111111', // a number is no text
    }
    expect((await agent.query('SELECT * FROM found')).rows).toEqual([expected])
    const { rows } = await agent.query({
      text: 'SELECT t, b, v FROM found',
      values: [],
      binary: true,
    } as pg.QueryConfig)
    expect(rows).toEqual([{ t: expected.t, b: expected.b, v: expected.v }])
    expect(JSON.stringify(world.sessions.last.events)).not.toContain(secret)
    expect(world.sessions.last.of('rows')[0]!.columns[1]).toMatchObject({
      masked: [{ class: 'email', revealed: false, detected: true }],
    })
  })

  test('passes where its kind may be seen; the recording has it masked', async () => {
    world.gate.revealed.add('email')
    await using agent = closing(await client())
    expect((await agent.query('SELECT v FROM found')).rows).toEqual([{ v: secret }])
    expect(recorded()).toEqual([['[masked: email]']])
  })

  test('is masked in COPY', async () => {
    const agent = await raw()
    for (const sql of [
      'COPY found (id, t) TO STDOUT',
      'COPY found TO STDOUT (FORMAT csv)',
      'COPY (SELECT t, n FROM found) TO STDOUT',
      'COPY (SELECT v FROM found) TO STDOUT (FORMAT binary)',
    ]) {
      agent.send(Q(sql))
      const frames = await agent.ready()
      expect(told(frames)).toContain('C COPY 1')
      const data = Buffer.concat(frames).toString('latin1')
      expect(data).toContain('[masked: email]')
      expect(data).not.toContain(secret)
    }
    expect(JSON.stringify(world.sessions.last.events)).not.toContain(secret)
    agent.socket.destroy()
  })
})

test('an error of a statement that touches nothing classified keeps its words; one that does keeps its SQLSTATE', async () => {
  await using agent = closing(await client())
  const failure = (sql: string) => agent.query(sql).catch((error) => error)
  expect(await failure("SELECT 'abc'::int")).toMatchObject({
    code: '22P02',
    message: 'invalid input syntax for type integer: "abc"',
  })
  expect(await failure('SELECT email::int FROM person')).toMatchObject({
    code: '22P02',
    message: 'a value is not valid for the type that it was to become (text withheld)',
  })
  expect(world.sessions.last.of('result').at(-1)).toMatchObject({ status: 'failed', sqlstate: '22P02' })
  expect(await failure('SELECT emial FROM person')).toMatchObject({ code: '42703', position: '8' })
})

test('a notification comes without its payload, a setting that could carry a value is not told', async () => {
  const agent = await raw()
  agent.send(Q('LISTEN news'), Q("NOTIFY news, 'read all about it'"))
  const frames = [...(await agent.ready(2))]
  const notification = frames.find((frame) => frame[0] === T.NotificationResponse)!
  expect(notification.subarray(9).toString()).toBe('news\0\0')
  agent.send(Q("BEGIN; SELECT email FROM person; SET application_name = 'x'; SET DateStyle = 'ISO, DMY'; COMMIT"))
  const names = (await agent.ready()).filter((frame) => frame[0] === T.ParameterStatus).map((frame) => frame.toString())
  expect(names.join()).toContain('DateStyle')
  expect(names.join()).not.toContain('application_name')
  agent.socket.destroy()
})

test('a portal that is suspended stays masked, whatever it is described by', async () => {
  const agent = await raw()
  agent.send(Q('BEGIN'), P('s', 'SELECT email FROM person ORDER BY id DESC'), D('S', 's'), B('p', 's'), E('p', 1), S)
  agent.send(E('p', 1), S)
  const frames = await agent.ready(3)
  expect(values(frames)).toEqual([[null], ['[masked: email]']])
  expect(frames.filter((frame) => frame[0] === T.RowDescription)).toHaveLength(1) // the client's own
  agent.socket.destroy()
})

test.each<[what: string, before: Buffer[], more: Buffer[]]>([
  ['a portal', [P('', 'SELECT email, city FROM person ORDER BY id'), B('p', '')], [E('p', 1)]],
  ['a portal, described', [P('', 'SELECT email, city FROM person ORDER BY id'), B('p', ''), D('P', 'p')], [E('p', 1)]],
  ['a cursor', [Q('DECLARE p CURSOR FOR SELECT email, city FROM person ORDER BY id')], [E('p', 1)]],
  [
    'a prepared statement',
    [Q('PREPARE q AS SELECT email, city FROM person ORDER BY id'), P('', 'EXECUTE q'), B('p', '')],
    [E('p', 1)],
  ],
])('the next rows of %s are masked as policy says by then', async (_, before, more) => {
  const agent = await raw()
  world.gate.revealed = new Set(['email', 'note'])
  const again = [Q("INSERT INTO person VALUES (0, 'zero', 'Rome')"), Q('BEGIN')]
  agent.send(...again, ...before, ...more, S)
  const opening = [...again, ...before, S].filter((one) => one[0] === T.Query || one[0] === T.Sync).length
  expect(values(await agent.ready(opening))).toEqual([['zero', 'Rome']])
  world.gate.revealed.clear()
  agent.send(...more, S)
  expect(values(await agent.ready())).toEqual([['[masked: email]', 'Oslo']])
  agent.send(Q('ROLLBACK'), Q('DELETE FROM person WHERE id = 0'))
  await agent.ready(2)
  agent.socket.destroy()
})

test('a row longer than limits.max_message ends the session where it is to be masked, and passes where it is not', async () => {
  const bound = 1 << 20
  await using small = await startWorld(server, { limits: () => ({ max_statement: 1 << 20, max_message: bound }) })
  small.target.masking = base
  const agent = await RawClient.start(small.port)
  agent.send(Q("SELECT repeat('y', 3000000) AS y"))
  expect(told(await agent.ready())).toContain('C SELECT 1')
  agent.send(Q('SELECT body FROM letters'))
  const frames = await agent.closed()
  expect(reportFields(frames.at(-1)!)).toMatchObject({ C: '08P01' })
  expect(frames.some((frame) => frame[0] === T.DataRow)).toBe(false)
})

test('the table in which long values lie is masked, also by a view of it', async () => {
  const [row] = await server.query("SELECT reltoastrelid::regclass::text FROM pg_class WHERE relname = 'letters'")
  const toast = Object.values(row!)[0] as string
  expect(toast).toMatch(/^pg_toast\.pg_toast_\d+$/)
  const agent = await raw()
  agent.send(Q(`SELECT chunk_data FROM ${toast} LIMIT 1`))
  expect(values(await agent.ready())).toEqual([['\\x']])
  agent.send(Q('BEGIN'), Q(`CREATE VIEW pieces AS SELECT chunk_data AS id FROM ${toast}`))
  agent.send(Q('SELECT id FROM pieces LIMIT 1'), Q('ROLLBACK'))
  expect(values(await agent.ready(4))).toEqual([['\\x']])
  agent.socket.destroy()
})

test('a large value is masked whole, in rows and in COPY', async () => {
  const agent = await raw()
  agent.send(Q('SELECT id, body FROM letters'), Q('COPY letters TO STDOUT'))
  const frames = await agent.ready(2)
  expect(values(frames)).toEqual([['1', '[masked: letter]']])
  const copied = frames.filter((frame) => frame[0] === T.CopyData).map((frame) => frame.subarray(5).toString())
  expect(copied.join('')).toMatch(/^1\t(\[masked: letter\]|\\N)\n$/)
  agent.socket.destroy()
})

test('a held command is masked by what policy says when it is released', async () => {
  world.gate.revealed = new Set(['email', 'note'])
  world.gate.judge = (command) => (command.text.includes('person') ? 'hold' : 'allow')
  try {
    const agent = await raw()
    agent.send(Q('SELECT email FROM person WHERE id = 1'))
    const held = await world.gate.nextHeld()
    world.gate.revealed.clear()
    held.approve()
    expect(values(await agent.ready())).toEqual([['[masked: email]']])
    agent.socket.destroy()
  } finally {
    world.gate.judge = () => 'allow'
  }
})

test('generated queries: nothing classified passes, what is innocent does', async () => {
  world.target.database = 'shop'
  world.target.masking = { ...base, dataClasses: shopClasses }
  const direct = await RawClient.start(server.port, { user: 'postgres', database: 'shop' })
  const agent = await raw()
  await fc.assert(
    fc.asyncProperty(queries, fc.constantFrom(0, 1), fc.boolean(), async ({ sql, innocent }, format, described) => {
      const bind = message(T.Bind, cstring(''), cstring(''), int16(0), int16(0), int16(1), int16(format))
      const batch = [P('', sql), bind, ...(described ? [D('P', '')] : []), E(''), S]
      agent.send(Q('BEGIN'), ...batch, Q('ROLLBACK'))
      direct.send(Q('BEGIN'), ...batch, Q('ROLLBACK'))
      const [masked, open] = [await agent.ready(3), await direct.ready(3)]
      for (const frame of masked) if (frame[0] !== T.DataRow) expect(leaks(frame)).toBe(false)
      // It may be refused, where it can't be told what it writes.
      if (masked.some((frame) => frame[0] === T.ErrorResponse && reportFields(frame).C === '42501')) return
      const rowsOf = (frames: Buffer[]) => frames.filter((frame) => frame[0] === T.DataRow).map(valuesOf)
      const [seen, there] = [rowsOf(masked), rowsOf(open)]
      expect(seen.length).toBe(there.length)
      seen.forEach((row, n) => {
        expect(row.some(leaks)).toBe(false)
        row.forEach((value, at) => {
          if (innocent[at]) expect(value).toEqual(there[n]![at])
        })
      })
    }),
    { numRuns: 150, seed: 20261121 },
  )
  for (const one of [direct, agent]) one.socket.destroy()
})

function closing(client: pg.Client): pg.Client & AsyncDisposable {
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
}
