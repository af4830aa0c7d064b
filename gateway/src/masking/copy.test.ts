import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RunningPostgres, startPostgres } from '../../../demo/postgres.ts'
import { Q, RawClient } from '../postgres/testing/raw.ts'
import { reportFields, T } from '../postgres/wire/messages.ts'
import { type CopyFormat, CopyShapeError, copyFormat, copyRewriter, type MaskCopied } from './copy.ts'

let postgres: RunningPostgres
let client: RawClient
beforeAll(async () => {
  postgres = await startPostgres({ auth: 'trust' })
  client = await RawClient.start(postgres.port, { user: 'postgres', database: 'postgres' })
})
afterAll(async () => {
  client?.socket.destroy()
  await postgres?.stop()
})

/** The whole data of a COPY as the server writes it. */
async function copied(sql: string): Promise<Buffer> {
  client.send(Q(sql))
  const frames = await client.ready()
  const failure = frames.find((frame) => frame[0] === T.ErrorResponse)
  if (failure) throw new Error(`${reportFields(failure).M}: ${sql}`)
  return Buffer.concat(frames.filter((frame) => frame[0] === T.CopyData).map((frame) => frame.subarray(5)))
}

const literal = (value: string | null) =>
  value === null ? 'NULL::text' : `E'${value.replace(/[\\']/g, '\\$&')}'::text`

const optionText = (format: CopyFormat) =>
  Object.entries(format)
    .map(
      ([name, value]) =>
        `${name} ${typeof value === 'boolean' ? value : literal(value as string).replace('::text', '')}`,
    )
    .join(', ')

const value = fc.option(
  fc.oneof(
    fc.string({
      unit: fc.constantFrom('a', '"', "'", '\\', ',', '\t', '\n', '\r', '|', 'N', '.', 'é', '\b', 'x'),
      maxLength: 12,
    }),
    fc.constantFrom('', '\\N', '\\.', 'NULL', '"', '\n', 'a,b'),
  ),
  { freq: 6 },
)
const table = fc.integer({ min: 1, max: 4 }).chain((width) =>
  fc.record({
    rows: fc.array(fc.array(value, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 5 }),
    masked: fc.array(fc.boolean(), { minLength: width, maxLength: width }),
  }),
)
const format: fc.Arbitrary<CopyFormat> = fc.oneof(
  fc.record({
    format: fc.constant('text' as const),
    delimiter: fc.constantFrom('\t', ',', '|'),
    null: fc.constantFrom('\\N', '', 'NULL'),
    header: fc.boolean(),
  }),
  fc.record({
    format: fc.constant('csv' as const),
    delimiter: fc.constantFrom(',', ';', '\t', '|'),
    null: fc.constantFrom('', 'NULL', '\\N'),
    header: fc.boolean(),
    quote: fc.constantFrom('"', "'", 'x'),
    escape: fc.constantFrom('"', '\\', "'", 'x'),
  }),
  fc.constant({ format: 'binary' as const }),
)

const rowsOf = (rows: (string | null)[][]) =>
  `SELECT * FROM (VALUES ${rows.map((row, n) => `(${n}, ${row.map(literal).join(', ')})`).join(', ')}) v ORDER BY 1`
const without = (rows: (string | null)[][]) => {
  const names = rows[0]!.map((_, n) => `column${n + 2}`).join(', ')
  return `SELECT ${names} FROM (${rowsOf(rows)}) w ORDER BY column1`
}

/** The server's text format doesn't tell a value that reads like NULL from NULL. */
const ambiguous = (text: string | null, how: CopyFormat) =>
  how.format === 'text' && text === how.null && !text.includes('\\')

/** Cuts bytes into pieces at random places. */
function pieces(whole: Buffer, cuts: number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => cut % (whole.length + 1)), whole.length].sort((a, b) => a - b)
  return places.slice(1).map((to, n) => whole.subarray(places[n], to))
}

it('is what the server would have written for masked rows, however it is cut', async () => {
  const mask: MaskCopied = (seen) =>
    seen === undefined ? null : seen.length % 3 === 0 ? null : Buffer.from(`<${seen}\t"x>`)
  const masked = (text: string | null) => (text === null ? null : (mask(Buffer.from(text))?.toString() ?? null))
  await fc.assert(
    fc.asyncProperty(
      table,
      format,
      fc.array(fc.nat(2000), { maxLength: 40 }),
      async ({ rows, masked: which }, how, cuts) => {
        const given = await copied(`COPY (${without(rows)}) TO STDOUT (${optionText(how)})`)
        const wanted = rows.map((row) =>
          row.map((text, n) => (which[n] && !ambiguous(text, how) ? masked(text) : text)),
        )
        // A masked value is always in quotes.
        const names = which.flatMap((yes, n) => (yes ? [`column${n + 2}`] : []))
        const quotes = how.format === 'csv' && names.length > 0 ? `, force_quote (${names.join(', ')})` : ''
        const expected = await copied(`COPY (${without(wanted)}) TO STDOUT (${optionText(how)}${quotes})`)
        const rewriter = copyRewriter({ format: how, columns: which.map((yes) => (yes ? mask : undefined)) })
        const out: Buffer[] = pieces(given, cuts).map((piece) => rewriter.push(Buffer.from(piece)))
        out.push(rewriter.end())
        expect(Buffer.concat(out).toString('latin1')).toBe(expected.toString('latin1'))
      },
    ),
    { seed: 20261121, numRuns: 250 },
  )
})

describe('what is odd', () => {
  const text: CopyFormat = { format: 'text', delimiter: '\t', null: '\\N', header: false }
  it.each([
    ['a\tb\tc\n', 'more columns'],
    ['a\n', 'too few'],
  ])('is refused: %j', (bytes, why) => {
    const rewriter = copyRewriter({ format: text, columns: [undefined, () => null] })
    expect(() => rewriter.push(Buffer.from(bytes))).toThrow(why)
  })
  it('is refused where it ends within a row', () => {
    const rewriter = copyRewriter({ format: text, columns: [undefined, () => null] })
    rewriter.push(Buffer.from('a\tb'))
    expect(() => rewriter.end()).toThrow(CopyShapeError)
  })
  it.each(['PGCOPX\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'PGCOPY\n\xff\r\n\0\0\x01\0\0\0\0\0\0'])('%j', (bytes) => {
    const rewriter = copyRewriter({ format: { format: 'binary' }, columns: [() => null] })
    expect(() => rewriter.push(Buffer.from(bytes, 'latin1'))).toThrow(CopyShapeError)
  })
  it('a value that is too long is masked unseen, and kept nowhere', () => {
    const seen: (number | undefined)[] = []
    const mask: MaskCopied = (value) => {
      seen.push(value?.length)
      return Buffer.from('m')
    }
    const rewriter = copyRewriter({ format: text, columns: [mask], longest: 10 })
    const out = ['12345', '67890', '1\nab', '\n'].map((piece) => rewriter.push(Buffer.from(piece)).toString())
    expect(out.join('')).toBe('m\nm\n')
    expect(seen).toEqual([undefined, 2])
  })
})

it.each<[Record<string, string>, CopyFormat | undefined]>([
  [{}, { format: 'text', delimiter: '\t', null: '\\N', header: false }],
  [
    { format: 'csv', header: 'true' },
    { format: 'csv', delimiter: ',', null: '', header: true, quote: '"', escape: '"' },
  ],
  [
    { format: 'csv', quote: "'" },
    { format: 'csv', delimiter: ',', null: '', header: false, quote: "'", escape: "'" },
  ],
  [{ format: 'BINARY' }, { format: 'binary' }],
  [{ format: 'json' }, undefined],
  [{ format: 'csv', encoding: 'sjis' }, undefined],
  [{ encoding: 'UTF8' }, { format: 'text', delimiter: '\t', null: '\\N', header: false }],
  [{ delimiter: 'é' }, undefined],
  [{ null: 'x\\' }, undefined],
  [{ null: 'a\tb' }, undefined],
  [{ format: 'csv', quote: '\n' }, undefined],
  [{ format: 'csv', escape: '\r' }, undefined],
  [{ format: 'csv', null: 'a"b' }, undefined],
])('options %j', (options, expected) => {
  expect(copyFormat(new Map(Object.entries(options)))).toEqual(expected)
})
