import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RunningPostgres, startPostgres } from '../../../demo/postgres.ts'
import { E, RawClient, S } from '../postgres/testing/raw.ts'
import { cstring, describePortal, int16, int32, message, reportFields, T, valuesOf } from '../postgres/wire/messages.ts'
import { type MaskingStyle, maskValue } from './style.ts'
import { describedColumns } from './testing/world.ts'

const key = Buffer.alloc(32, 1)

let postgres: RunningPostgres
let client: RawClient
beforeAll(async () => {
  postgres = await startPostgres({ auth: 'trust' })
  await postgres.query(
    "CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN tel AS text",
  )
  client = await RawClient.start(postgres.port, { user: 'postgres', database: 'postgres' })
})
afterAll(async () => {
  client?.socket.destroy()
  await postgres?.stop()
})

const literals: [type: string, literal: string, result?: 'null'][] = [
  ['text', 'secret-value'],
  ['varchar(20)', 'secret-value'],
  ['char(20)', 'secret-value'],
  ['name', 'secret-value'],
  ['tel', 'secret-value'],
  ['json', '{"a": "secret-value"}'],
  ['jsonb', '{"a": "secret-value"}'],
  ['bytea', '\\x736563726574'],
  ['uuid', '3e2f5a8e-0000-4000-8000-00000000abcd'],
  ['int2', '12345'],
  ['int4', '-1234567890'],
  ['int8', '1234567890123456789'],
  ['numeric', '-12345.6780'],
  ['numeric', '1e30'],
  ['float4', '1.25'],
  ['float8', '-0.1'],
  ['date', '1987-06-05'],
  ['time', '12:34:56.789'],
  ['timestamp', '1987-06-05 12:34:56.789'],
  ['timestamptz', '1987-06-05 12:34:56+02'],
  ['interval', '3 days 04:05:06'],
  ['inet', '10.1.2.3'],
  ['inet', '2001:db8::1'],
  ['cidr', '10.1.2.0/24'],
  ['macaddr', '08:00:2b:01:02:03'],
  ['text[]', '{secret,value}'],
  ['int4[]', '{1,2,3}'],
  ['uuid[]', '{3e2f5a8e-0000-4000-8000-00000000abcd}'],
  ['jsonb[]', '{"1"}'],
  ['int4range', '[1,9)'],
  ['tstzrange', '[2020-01-01,2021-01-01)'],
  ['bool', 'true', 'null'],
  ['mood', 'sad', 'null'],
  ['pair', '(1,secret)', 'null'],
  ['mood[]', '{sad}', 'null'],
  ['money', '12.34', 'null'],
  ['bit(4)', '1010', 'null'],
  ['point', '(1,2)', 'null'],
  ['tsvector', 'secret', 'null'],
  ['timetz', '12:34:56+01', 'null'],
]

/** Asks for one value in a format; with a parameter in that format where there is one. */
async function ask(sql: string, format: 0 | 1, parameter?: { typeOid: number; value: Buffer }) {
  const types = parameter ? [int16(1), int32(parameter.typeOid)] : [int16(0)]
  const values = parameter ? [int16(1), int32(parameter.value.length), parameter.value] : [int16(0)]
  client.send(
    message(T.Parse, cstring(''), cstring(sql), ...types),
    message(T.Bind, cstring(''), cstring(''), int16(1), int16(format), ...values, int16(1), int16(format)),
    describePortal(''),
    E(''),
    S,
  )
  const frames = await client.ready()
  const failure = frames.find((frame) => frame[0] === T.ErrorResponse)
  if (failure) throw new Error(`${reportFields(failure).M}: ${sql}`)
  const { typeOid } = describedColumns(frames.find((frame) => frame[0] === T.RowDescription)!)[0]!
  return { typeOid, value: valuesOf(frames.find((frame) => frame[0] === T.DataRow)!)[0]! }
}

const styles: MaskingStyle[] = ['redact', 'partial', 'hash', 'null']

it.each(literals)('a masked %s (%s) is one that the server takes and writes alike', async (type, literal, result) => {
  const hashes = new Set<string>()
  for (const format of [0, 1] as const) {
    const { typeOid, value } = await ask(`SELECT '${literal}'::${type}`, format)
    for (const style of styles) {
      for (const dataClass of ['email', 'derived']) {
        const masked = maskValue(value, style, { typeOid, format, dataClass }, key)
        if (style === 'null' || result === 'null') {
          expect(masked).toBeNull()
          continue
        }
        expect(masked!.equals(value)).toBe(false)
        const back = await ask(`SELECT $1`, format, { typeOid, value: masked! })
        expect(back.value.toString('latin1')).toBe(masked!.toString('latin1'))
        if (style !== 'hash' || dataClass === 'derived' || /interval|\]|range|::|jsonb|json/.test(type + literal))
          continue
        const text = await ask(`SELECT $1::text`, format, { typeOid, value: masked! })
        hashes.add(text.value.toString().trimEnd())
      }
    }
  }
  // The same value is the same hash, whatever format it came in.
  expect(hashes.size).toBeLessThanOrEqual(1)
})

describe('partial', () => {
  it.each([
    ['email', 'jane@example.com', 'j***@e***.com'],
    ['email', 'jane@mail.example.co.uk', 'j***@m***.uk'],
    ['email', 'j@e.com', '[masked: email]'],
    ['email', 'not an email', '[masked: email]'],
    ['email', 'élan@ünder.org', 'é***@ü***.org'],
    ['phone', '+1 (415) 555-2671', '***71'],
    ['phone', '12345', '[masked: phone]'],
    ['card', '4111 1111 1111 1111', '***1111'],
    ['card', '1234', '[masked: card]'],
    ['ssn', '123-45-6789', '***6789'],
    ['ssn', '6789', '[masked: ssn]'],
    ['iban', 'DE89 3704 0044 0532 0130 00', 'DE***3000'],
    ['iban', 'DE89', '[masked: iban]'],
    ['name', 'Jane van Doe', 'J. v. D.'],
    ['name', 'J Doe', '[masked: name]'],
    ['note', 'secret', 's***'],
    ['note', 'abc', '[masked: note]'],
    ['note', '\u{1f600}bcde', '\u{1f600}***'],
    ['derived', 'secret', '[masked: derived]'],
    ['constructor', 'secret', 's***'],
  ])('%s %s', (dataClass, text, expected) => {
    const masked = maskValue(Buffer.from(text), 'partial', { typeOid: 25, format: 0, dataClass }, key)
    expect(masked?.toString()).toBe(expected)
  })
})

it('a hash depends on the class and the key, and on nothing else of a text', () => {
  const of = (text: string, dataClass = 'email', typeOid = 25, secret = key) =>
    maskValue(Buffer.from(text), 'hash', { typeOid, format: 0, dataClass }, secret)?.toString()
  expect(of('a@b.co')).toMatch(/^email_[0-9a-f]{16}$/)
  expect(of('a@b.co', 'email', 1043)).toBe(of('a@b.co'))
  expect(of('a@b.co   ', 'email', 1042)).toBe(of('a@b.co', 'email', 1042))
  expect(of('a@b.cp')).not.toBe(of('a@b.co'))
  expect(of('a@b.co', 'name')?.slice(-16)).not.toBe(of('a@b.co')?.slice(-16))
  expect(of('a@b.co', 'email', 25, Buffer.alloc(32, 2))).not.toBe(of('a@b.co'))
})

it('whatever the bytes, nothing is thrown and nothing is kept', () => {
  const types = fc.constantFrom(
    25,
    1042,
    114,
    3802,
    142,
    17,
    2950,
    21,
    23,
    20,
    1700,
    700,
    701,
    1082,
    1083,
    1114,
    1184,
    1186,
    869,
    650,
    829,
    1009,
    3904,
    16,
    99999,
  )
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 60 }),
      types,
      fc.constantFrom(...styles),
      fc.constantFrom(0 as const, 1 as const),
      (bytes, typeOid, style, format) => {
        const value = Buffer.from(bytes)
        const masked = maskValue(value, style, { typeOid, format, dataClass: 'x' }, key)
        if (masked && value.length > 4 && style !== 'partial')
          expect(masked.includes(value)).toBe(value.every((byte) => byte === 0))
      },
    ),
    { seed: 20261121, numRuns: 2000 },
  )
})
