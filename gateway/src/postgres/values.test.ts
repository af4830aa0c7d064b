import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { RunningPostgres } from '../../../demo/postgres.ts'
import { E, P, RawClient, S } from './testing/raw.ts'
import { startPostgres } from './testing/world.ts'
import { shown } from './values.ts'
import { columnsOf, cstring, describePortal, int16, message, T, valuesOf } from './wire/messages.ts'

let postgres: RunningPostgres
beforeAll(async () => {
  postgres = await startPostgres({ auth: 'trust' })
})
afterAll(() => postgres.stop())

const literals = [
  'true',
  'false',
  "'\\x00ff'::bytea",
  '-9223372036854775808',
  '(-32768)::int2',
  '-5::int4',
  '4294967295::oid',
  "'é'::text",
  '\'a\'::"char"',
  "'n'::name",
  "'x'::varchar",
  "'[1, null]'::json",
  '\'{"a": 1}\'::jsonb',
  '1.5::float4',
  '0.1::float4',
  '-1.2345679::float4',
  '-0.1::float8',
  "'2000-01-01'::date",
  "'0001-01-01'::date",
  "'9999-12-31'::date",
  "'23:59:59.000001'::time",
  "'1999-12-31 23:59:59.5'::timestamp",
  "'2024-02-29 12:00:00+02'::timestamptz",
  "'3e2f5a8e-0000-4000-8000-00000000abcd'::uuid",
  '0::numeric',
  '-12345.6780::numeric',
  '0.00001234::numeric',
  '100000000::numeric',
  "'NaN'::numeric",
  "'-Infinity'::numeric",
  '12345678901234567890.5::numeric',
  'NULL::text',
]

it('shows binary values as the server writes them', async () => {
  const client = await RawClient.start(postgres.port, { user: 'postgres', database: 'postgres', TimeZone: 'UTC' })
  const read = async (format: number) => {
    const bind = message(T.Bind, cstring(''), cstring(''), int16(0), int16(0), int16(1), int16(format))
    client.send(P('', `SELECT ${literals.join(', ')}`), bind, describePortal(''), E(''), S)
    const frames = await client.ready()
    const columns = columnsOf(frames.find((frame) => frame[0] === T.RowDescription)!)
    const values = valuesOf(frames.find((frame) => frame[0] === T.DataRow)!)
    return values.map((value, at) => shown(value, columns[at]!.type, columns[at]!.format))
  }
  expect(await read(1)).toEqual(await read(0))
  client.socket.destroy()
})

it('whatever the bytes, something is shown', () => {
  const types = fc.constantFrom(
    0,
    16,
    17,
    18,
    20,
    21,
    23,
    25,
    26,
    700,
    701,
    1082,
    1083,
    1114,
    1184,
    1700,
    2950,
    3802,
    600,
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), types, fc.integer({ min: 0, max: 1 }), (bytes, type, format) => {
      const text = shown(Buffer.from(bytes), type, format)
      if (typeof text !== 'string') expect(text).toEqual({ base64: Buffer.from(bytes).toString('base64') })
    }),
    { numRuns: 1000, seed: 7 },
  )
})

it('never shows two float4 values as one', () => {
  const bytes = fc.uint32Array({ minLength: 2, maxLength: 2 })
  fc.assert(
    fc.property(bytes, (pair) => {
      const texts = [...pair].map((bits) => {
        const value = Buffer.alloc(4)
        value.writeUInt32BE(bits)
        return { value: value.readFloatBE(), text: shown(value, 700, 1) }
      })
      const [a, b] = texts
      return Object.is(a!.value, b!.value) || a!.text !== b!.text || (a!.value === 0 && b!.value === 0)
    }),
    { numRuns: 2000, seed: 11 },
  )
})
