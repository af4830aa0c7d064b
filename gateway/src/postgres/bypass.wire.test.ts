import { connect, createServer, type Server } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningPostgres } from '../../../demo/postgres.ts'
import type { Command, Effect } from '../gate/command.ts'
import { bypasses } from './effects/bypass.corpus.ts'
import { schema } from './effects/testing/world.ts'
import { B, D, E, P, Q, RawClient, S, told } from './testing/raw.ts'
import { startPostgres, startWorld, type World } from './testing/world.ts'
import { cstring, int16, int32, message, T } from './wire/messages.ts'

/** Everything that went to the server since the last look, on whatever connection. */
let sent: Buffer[] = []
let relay: Server
let postgres: RunningPostgres
let world: World
let client: RawClient
let before: string

beforeAll(async () => {
  postgres = await startPostgres()
  await postgres.query(schema)
  await postgres.query(`INSERT INTO customers VALUES (1, 'a', 'b'); INSERT INTO orders VALUES (1, 1, 5);
    INSERT INTO notes VALUES (1, 1, 'note'); INSERT INTO vault.secrets VALUES (1, 'the canary');
    INSERT INTO codes VALUES ('a'); INSERT INTO coded VALUES (1, 'a'); INSERT INTO events VALUES (1, 'x')`)
  relay = createServer((socket) => {
    const server = connect(postgres.port, postgres.host)
    socket.on('data', (chunk) => sent.push(chunk)).on('error', () => server.destroy())
    server.on('error', () => socket.destroy())
    socket.pipe(server).pipe(socket)
  })
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve))
  const { port } = relay.address() as { port: number }
  world = await startWorld({ ...postgres, host: '127.0.0.1', port })
  client = await RawClient.start(world.port)
  before = await state()
})
afterAll(async () => {
  client.socket.destroy()
  await world[Symbol.asyncDispose]()
  relay.close()
  await postgres.stop()
})

/** Everything that a command could have changed: what exists, every row, every sequence, roles and settings. */
async function state(): Promise<string> {
  const rows = await postgres.query(`SELECT md5(string_agg(what, E'\\n' ORDER BY what)) AS state FROM (
    SELECT 'class ' || oid || relname || relnamespace || relowner || relfilenode || coalesce(relacl::text, '') FROM pg_class
    UNION ALL SELECT 'proc ' || oid || proname || prosrc FROM pg_proc UNION ALL SELECT 'type ' || oid || typname FROM pg_type
    UNION ALL SELECT 'rewrite ' || oid || ev_action::text FROM pg_rewrite WHERE oid >= 16384
    UNION ALL SELECT 'trigger ' || oid || tgname FROM pg_trigger UNION ALL SELECT 'policy ' || polname FROM pg_policy
    UNION ALL SELECT 'role ' || rolname || rolsuper FROM pg_roles UNION ALL SELECT 'set ' || setconfig::text FROM pg_db_role_setting
    UNION ALL SELECT 'publication ' || pubname FROM pg_publication UNION ALL SELECT 'extension ' || extname FROM pg_extension
    UNION ALL SELECT 'prepared ' || gid FROM pg_prepared_xacts UNION ALL SELECT 'large ' || oid FROM pg_largeobject_metadata
    UNION ALL SELECT 'file ' || coalesce(setting, '') FROM pg_file_settings WHERE name <> 'port'
    UNION ALL SELECT 'customers ' || c FROM customers c UNION ALL SELECT 'orders ' || o FROM orders o
    UNION ALL SELECT 'notes ' || n FROM notes n UNION ALL SELECT 'secrets ' || s FROM vault.secrets s
    UNION ALL SELECT 'codes ' || c FROM codes c UNION ALL SELECT 'coded ' || c FROM coded c
    UNION ALL SELECT 'events ' || e FROM events e UNION ALL SELECT 'counter ' || last_value || is_called FROM counter
  ) everything (what)`)
  return String(rows[0]!.state)
}

/** As in effects/testing/world.ts. */
const short = ({ action, resource, command }: Effect) => {
  const on = resource.type === 'Connection' ? '.' : resource.id.replace('orders/', '')
  return `${action.replace('sql:', '')} ${on} ${command.kind}${command.bounded ? '' : '!'}`
}

/** Everything is allowed but what the row says that it must be charged with. */
function forbid(must: string[] | 'refused' | 'unreadable'): void {
  const forbidden = must === 'refused' ? [] : must === 'unreadable' ? ['unknown . unknown'] : must
  world.gate.judge = ({ effects }: Command) =>
    effects.some((effect) => forbidden.includes(short(effect))) ? 'deny' : 'allow'
}

const ways: [name: string, send: (sql: string) => Buffer[]][] = [
  ['simple', (sql) => [Q(sql)]],
  ['extended', (sql) => [P('', sql), B('', ''), E(''), S]],
  ['named, and asked for twice', (sql) => [P('n', sql), B('p', 'n'), E('p', 1), E('p'), S]],
]

describe.each(ways)('%s protocol', (_name, send) => {
  test.each(bypasses)('$sql', async ({ sql, must }) => {
    forbid(must)
    sent = []
    const recorded = world.sessions.last.events.length
    client.send(...send(sql))
    const answer = told(await client.ready())
    // One error, no row, no command done: nothing of the text ran, not even the statements before the forbidden one.
    expect(answer.map((line) => line.slice(0, 7))).toEqual(['E 42501', 'Z I'])
    expect(Buffer.concat(sent).includes(sql)).toBe(false)
    const [command, ...others] = world.sessions.last.events.slice(recorded).filter(({ type }) => type === 'command')
    expect(command).toMatchObject({ text: sql, verdict: { outcome: 'deny' } })
    expect(others).toEqual([])
  })

  test('and nothing has happened', async () => {
    expect(await state()).toBe(before)
    forbid([])
    sent = []
    client.send(...send("SELECT 'still here'"))
    expect(told(await client.ready())).toContain('D')
    expect(Buffer.concat(sent).includes("SELECT 'still here'")).toBe(true)
  })
})

// The server keeps to what a statement's names meant when it last read it, whatever was made since that is found first.
describe('a statement prepared before its names meant something else', () => {
  const secret = 'SELECT secret FROM secrets'
  const [parsed, prepared, named] = [[P('s', secret), S], [Q(`PREPARE s AS ${secret}`)], [P('e', 'EXECUTE s'), S]]
  const [run, executed] = [[B('', 's'), E(''), S], [Q('EXECUTE s')]]
  const make = [Q('CREATE TEMP TABLE secrets (id int, secret text)')]
  const drop = [Q('DROP TABLE pg_temp.secrets')]
  test.each<[string, Buffer[][]]>([
    ['by the wire', [parsed, make, run]],
    ['by SQL', [prepared, make, executed]],
    ['by the wire, executed by SQL', [parsed, make, executed]],
    ['made, dropped, and made again', [parsed, make, drop, make, run]],
    ['read anew to be bound', [make, parsed, drop, run, make, run]],
    ['read anew to be described', [make, parsed, drop, [D('S', 's'), S], make, run]],
    [
      'read anew to be described behind EXECUTE',
      [make, prepared, named, drop, [B('', 'e'), D('P', ''), S], make, executed],
    ],
  ])('%s', async (_name, steps) => {
    world.gate.judge = ({ kind, effects }: Command) =>
      kind !== 'prepare' && effects.some((effect) => short(effect) === 'read vault.secrets select') ? 'hold' : 'allow'
    const hold = world.options.approvals
    world.options.approvals = () => ({ hold: 'fail', in_transaction: 'fail' })
    try {
      const agent = await RawClient.start(world.port)
      agent.send(Q('SET search_path = public, vault'), Q('CREATE TEMP TABLE warm (x int)'))
      await agent.ready(2)
      let last: string[] = []
      for (const step of steps) {
        agent.send(...step)
        last = told(await agent.ready())
      }
      expect(last.at(-2)).toMatch(/^E ZA001 held/)
      expect(agent.frames.some((frame) => frame.includes('the canary'))).toBe(false)
      agent.socket.destroy()
    } finally {
      world.options.approvals = hold
    }
  })
})

describe('bytes that aren’t text', () => {
  const canary = Buffer.from('; DELETE FROM vault.secrets; --')
  test.each([
    ['half a character', [0xc3, 0x27]],
    ['a slash in two bytes', [0xc0, 0xaf]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['beyond Unicode', [0xf4, 0x90, 0x80, 0x80]],
    ['SJIS with a backslash in it', [0x27, 0x95, 0x5c, 0x27]],
    ['a lone continuation', [0xbf, 0x27]],
  ])('%s', async (_name, bytes) => {
    forbid([])
    const text = Buffer.concat([Buffer.from('SELECT '), Buffer.from(bytes), canary])
    for (const messages of [
      [message(T.Query, text, Buffer.from([0]))],
      [message(T.Parse, cstring(''), text, Buffer.from([0]), int16(0)), B('', ''), E(''), S],
    ]) {
      sent = []
      client.send(...messages)
      const answer = told(await client.ready())
      expect(answer[0]).toMatch(/^E /)
      expect(answer).not.toContain('D')
      expect(Buffer.concat(sent).includes(canary)).toBe(false)
    }
    expect(await state()).toBe(before)
  })

  test('a text that goes on behind its end', async () => {
    forbid([])
    sent = []
    client.send(message(T.Query, Buffer.from('SELECT 1\0; DELETE FROM vault.secrets\0')))
    expect(told(await client.ready())).toEqual([expect.stringMatching(/^E 22021/), 'Z I'])
    expect(Buffer.concat(sent).includes('DELETE FROM vault.secrets')).toBe(false)
    expect(await state()).toBe(before)
  })
})

describe('in the midst of what is allowed', () => {
  const canary = 'DELETE FROM vault.secrets'
  const refused = (answer: string[]) => answer.filter((line) => line.startsWith('E')).map((line) => line.slice(0, 7))

  test('a batch is undone and skipped to its Sync', async () => {
    forbid(['write vault.secrets delete!'])
    sent = []
    const insert = 'INSERT INTO notes VALUES (7)'
    client.send(P('', insert), B('', ''), E(''), P('', canary), B('', ''), E(''), P('', insert), B('', ''), E(''), S)
    const answer = told(await client.ready())
    expect(refused(answer)).toEqual(['E 42501'])
    expect(answer.filter((line) => line.startsWith('C '))).toEqual(['C INSERT 0 1'])
    expect(Buffer.concat(sent).includes(canary)).toBe(false)
    expect(await state()).toBe(before)
  })

  test('a name stands for what was prepared under it, by whichever way', async () => {
    for (const messages of [
      [Q('SAVEPOINT a; FETCH c')],
      [Q('FETCH ALL IN c')],
      [E('c'), S],
      [Q('EXECUTE s')],
      [Q('EXECUTE w')],
      [Q('EXPLAIN ANALYZE EXECUTE s')],
      [Q('CREATE TABLE made AS EXECUTE w')],
      [B('', 's'), E(''), S],
      [B('', 'w'), E(''), S],
    ]) {
      const fresh = await RawClient.start(world.port)
      world.gate.judge = () => 'allow'
      fresh.send(Q(`PREPARE s AS ${canary}`), P('w', canary), S, Q('BEGIN'))
      fresh.send(Q('DECLARE c CURSOR FOR TABLE vault.secrets'))
      await fresh.ready(4)
      world.gate.judge = ({ effects }) =>
        effects.some(({ resource }) => resource.id === 'orders/vault.secrets') ? 'deny' : 'allow'
      fresh.send(...messages)
      const answer = told(await fresh.ready())
      expect(refused(answer)).toEqual(['E 42501'])
      expect(answer).not.toContain('D')
      fresh.send(Q('ROLLBACK'))
      await fresh.ready()
      fresh.socket.destroy()
    }
    expect(await state()).toBe(before)
  })

  test('a function call is no way in', async () => {
    forbid([])
    sent = []
    const [found] = await postgres.query("SELECT 'pg_sleep(float8)'::regprocedure::oid::int AS oid")
    const call = message(T.FunctionCall, int32(Number(found!.oid)), int16(0), int16(0), int16(0))
    client.send(call, S)
    const answer = told(await client.ready())
    expect(refused(answer)).not.toEqual([])
    expect(Buffer.concat(sent).includes(call)).toBe(false)
  })
})
