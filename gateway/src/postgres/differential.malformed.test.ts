import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RunningPostgres } from '../../../demo/postgres.ts'
import { B, c, d, E, f, P, Q, RawClient, S, told } from './testing/raw.ts'
import { startPostgres, startWorld, type World } from './testing/world.ts'
import { cstring, int16, int32, message, T } from './wire/messages.ts'

let postgres: RunningPostgres
let world: World
beforeAll(async () => {
  postgres = await startPostgres({ auth: 'trust' })
  world = await startWorld(postgres)
  await postgres.query('CREATE TABLE mark (who text)')
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await postgres.stop()
})

const raw = (type: string, length: number, body = Buffer.alloc(0)) =>
  Buffer.concat([Buffer.from(type), int32(length), body])
const bindOf = (...rest: Buffer[]) => message(T.Bind, cstring(''), cstring(''), ...rest)
const selects = P('', 'SELECT $1::text')

/**
 * What no client's library sends. `lives`: the server says what is wrong and goes on; `ends`: it closes the connection.
 * Where the gateway is the stricter, since it can't be sure to read what the server would, it closes.
 */
const malformed: [name: string, bytes: Buffer[], server: 'lives' | 'ends', gateway?: 'ends'][] = [
  ['a message type that there is not', [raw('z', 4)], 'ends'],
  ['a password in the middle', [message(T.Password, cstring('good'))], 'ends'],
  ['a length that counts less than itself', [raw('Q', 3)], 'ends'],
  ['a length of two gigabytes', [raw('Q', 0x7fffffff, Buffer.from('SELECT 1'))], 'ends'],
  ['a Sync of a megabyte', [raw('S', 1 << 20, Buffer.alloc((1 << 20) - 4))], 'ends'],
  ['a Query without its end', [message(T.Query, Buffer.from("INSERT INTO mark VALUES ('open')"))], 'lives'],
  ['a Query with more behind its end', [message(T.Query, cstring('SELECT 1'), cstring("'; DROP TABLE mark"))], 'lives'],
  ['a Query that is no UTF-8', [message(T.Query, Buffer.from("SELECT '\xff'\0", 'latin1'))], 'lives'],
  ['a Query of nothing at all', [raw('Q', 4)], 'lives'],
  ['a Parse without its types', [message(T.Parse, cstring(''), cstring('SELECT 1')), S], 'lives', 'ends'],
  [
    'a Parse of more types than it has',
    [message(T.Parse, cstring(''), cstring('SELECT 1'), int16(9)), S],
    'lives',
    'ends',
  ],
  [
    'a Parse with more behind its end',
    [message(T.Parse, cstring(''), cstring('SELECT 1'), int16(0), int16(0)), S],
    'lives',
  ],
  [
    'a Parse whose name is no UTF-8',
    [message(T.Parse, Buffer.from([0xff, 0]), cstring('SELECT 1'), int16(0)), S],
    'lives',
  ],
  ['a Bind that stops after its names', [selects, bindOf(), S], 'lives', 'ends'],
  [
    'a Bind of a value longer than it is',
    [selects, bindOf(int16(0), int16(1), int32(9), Buffer.from('ab')), S],
    'lives',
    'ends',
  ],
  ['a Bind of a length below -1', [selects, bindOf(int16(0), int16(1), int32(-7), int16(0)), S], 'lives'],
  ['a Bind of 65,535 values that has none', [selects, bindOf(int16(0), int16(0xffff)), S], 'lives', 'ends'],
  [
    'a Bind of more formats than values',
    [selects, bindOf(int16(3), int16(0), int16(0), int16(0), int16(1), int32(-1), int16(0)), S],
    'lives',
  ],
  [
    'a Bind with a format that there is not',
    [selects, bindOf(int16(1), int16(7), int16(1), int32(1), Buffer.from('a'), int16(0)), S],
    'lives',
  ],
  ['a Bind with more behind its end', [selects, bindOf(int16(0), int16(1), int32(-1), int16(0), int16(0)), S], 'lives'],
  [
    'a Bind whose value is no UTF-8',
    [selects, bindOf(int16(0), int16(1), int32(1), Buffer.from([0xff]), int16(0)), S],
    'lives',
  ],
  ['a Describe of neither kind', [message(T.Describe, Buffer.from('X'), cstring('')), S], 'lives'],
  ['a Describe of nothing', [raw('D', 4), S], 'lives', 'ends'],
  ['a Close of neither kind', [message(T.Close, Buffer.from('X'), cstring('')), S], 'lives'],
  ['an Execute without a number', [P('', 'SELECT 1'), B('', ''), message(T.Execute, cstring('')), S], 'lives'],
  ['an Execute of rows below zero', [P('', 'SELECT 1'), B('', ''), E('', -5), S], 'lives'],
  ['a Sync with a body', [message(T.Sync, Buffer.from('body'))], 'lives'],
  ['a Flush with a body', [message(T.Flush, Buffer.from('body')), S], 'lives'],
  ['COPY data, its end and its failure outside of any COPY', [d('x'), c, f('y'), S], 'lives'],
  ['a Query amid COPY data', [Q('COPY mark FROM STDIN'), d('x\n'), Q('SELECT 1')], 'ends'],
  ['a Parse amid COPY data', [Q('COPY mark FROM STDIN'), d('x\n'), P('', 'SELECT 1')], 'ends'],
  ['a COPY failure that is no string', [Q('COPY mark FROM STDIN'), message(T.CopyFail, Buffer.from('x')), S], 'lives'],
  ['a FunctionCall of nothing', [message(T.FunctionCall, Buffer.alloc(0))], 'lives'],
  ['a second startup packet', [Buffer.concat([int32(8), int32(3 << 16)])], 'ends'],
  ['an SSLRequest in the middle', [Buffer.concat([int32(8), int32(80_877_103)])], 'ends'],
  ['a command behind a Terminate', [message(T.Terminate)], 'ends'],
]

describe('a malformed message never does through the gateway what it does not directly:', () => {
  it.each(malformed)('%s', async (_name, bytes, server, stricter) => {
    const outcome = async (port: number, parameters: Record<string, string>) => {
      await postgres.query('TRUNCATE mark')
      const client = await RawClient.start(port, parameters)
      client.send(...bytes, Q("INSERT INTO mark VALUES ('behind')"))
      await client.until((frame) => told([frame])[0] === 'C INSERT 0 1' || client.ended)
      // Whether it ran, not only whether it was said so: a server that is gone is asked after it has gone.
      const ended = client.ended
      client.socket.destroy()
      const rows = await postgres.query('SELECT who FROM mark')
      return [ended ? 'ends' : 'lives', ...rows.map(({ who }) => who)]
    }
    const ran = (how: string) => (how === 'lives' ? ['lives', 'behind'] : ['ends'])
    expect(await outcome(postgres.port, { database: 'postgres', user: 'postgres' })).toEqual(ran(server))
    expect(await outcome(world.port, {})).toEqual(ran(stricter ?? server))
    expect(world.complaints).toEqual([])
  })
})
