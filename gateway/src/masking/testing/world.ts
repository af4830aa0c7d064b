import { parseSync } from 'libpg-query'
import pg from 'pg'
import { type RunningPostgres, startPostgres } from '../../../../demo/postgres.ts'
import { type Catalog, loadCatalog } from '../../postgres/effects/catalog.ts'
import { analyse, loadParser } from '../../postgres/effects/effects.ts'
import { P, RawClient, S } from '../../postgres/testing/raw.ts'
import {
  Cursor,
  cstring,
  describePortal,
  execute,
  int16,
  message,
  reportFields,
  T,
  valuesOf,
} from '../../postgres/wire/messages.ts'
import { type Classification, classify } from '../classes.ts'
import { loadColumns } from '../columns.ts'
import { writeFlow } from '../flow.ts'
import { planResult, type ResultColumn, type ResultPlan, type Touch, touchOf } from '../plan.ts'
import { type MaskingStyle, maskValue } from '../style.ts'

/** Values that no result may show. Whatever is derived from them in an obvious way is told by leaks(). */
export const markers = ['zqxjkvw@hushhush.test', 'KWYJIBOFLUM', '918273645', '736451928']

/** A small shop. The markers stand in classified columns only. */
export const schema = `
  CREATE SCHEMA vault; CREATE SEQUENCE counter;
  CREATE TABLE customers (id int PRIMARY KEY, name text, email text, pin int, city text,
    handle text GENERATED ALWAYS AS (split_part(email, '@', 1)) STORED,
    town text GENERATED ALWAYS AS (upper(city)) STORED);
  INSERT INTO customers VALUES (1, 'KWYJIBOFLUM', 'zqxjkvw@hushhush.test', 918273645, 'Oslo'),
    (2, 'KWYJIBOFLUM', 'zqxjkvw@hushhush.test', 918273645, 'Bern');
  CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, total int, note text);
  INSERT INTO orders VALUES (10, 1, 100, 'fragile'), (11, 2, 250, 'gift');
  CREATE TABLE vault.cards (id int, number text, label text) PARTITION BY RANGE (id);
  CREATE TABLE vault.cards_1 PARTITION OF vault.cards FOR VALUES FROM (0) TO (10);
  CREATE TABLE vault.cards_rest PARTITION OF vault.cards DEFAULT;
  INSERT INTO vault.cards VALUES (1, '736451928', 'blue'), (20, '736451928', 'red');
  CREATE TABLE base (id int, label text);
  CREATE TABLE derived (secret text) INHERITS (base);
  INSERT INTO derived VALUES (5, 'green', 'KWYJIBOFLUM');
  CREATE VIEW people AS SELECT id, email AS contact, city, lower(name) AS who, length(city) AS letters FROM customers;
  CREATE VIEW over_people AS SELECT p.id, p.contact AS c2, p.city AS c3, o.total FROM people p JOIN orders o ON o.customer = p.id;
  CREATE VIEW plain AS SELECT id, total, total * 2 AS twice FROM orders;
  CREATE VIEW both_ways AS SELECT id, email AS v FROM customers UNION ALL SELECT id, note FROM orders;
  CREATE VIEW "odd {(\\ name" AS SELECT email AS "a :resorigtbl 1 } (", city AS "b) {c" FROM customers WHERE city <> '{(:targetList';
  CREATE MATERIALIZED VIEW kept AS SELECT id, email AS m, city FROM customers;
  CREATE FUNCTION anyone() RETURNS text LANGUAGE sql AS 'SELECT email FROM customers LIMIT 1';
  CREATE VIEW asks AS SELECT id, anyone() AS a, note FROM orders;
  CREATE VIEW only_asks AS SELECT anyone() AS a;
  ANALYZE;`

export const dataClasses = {
  'public.customers.email': 'email',
  'public.customers.name': 'name',
  'public.customers.pin': 'pin',
  'vault.cards.number': 'card',
  'public.derived.secret': 'name',
}

export interface MaskingWorld extends AsyncDisposable {
  server: RunningPostgres
  catalog: Catalog
  classification: Classification
  /** Runs text as an agent would, and applies what the plan says. */
  run(sql: string, options?: RunOptions): Promise<Answer>
  /** Reads the catalogs again. */
  look(): Promise<void>
}

export interface RunOptions {
  reveal?: (dataClass: string) => boolean
  style?: MaskingStyle
  format?: 0 | 1
}

export interface Answer {
  touch: Touch
  columns: ResultColumn[]
  plan: ResultPlan | undefined
  /** What the server sent. */
  raw: (Buffer | null)[][]
  /** What the agent would get. */
  rows: (Buffer | null)[][]
  error?: string
}

const key = Buffer.alloc(32, 7)

export async function startWorld(): Promise<MaskingWorld> {
  await loadParser()
  const server = await startPostgres({ auth: 'trust' })
  await server.query(schema)
  const own = new pg.Client({ host: server.host, port: server.port, user: server.user, database: 'postgres' })
  await own.connect()
  const query = async (text: string) => {
    const types = { getTypeParser: () => (value: unknown) => value }
    return (await own.query<(string | null)[]>({ text, rowMode: 'array', types })).rows
  }
  const raw = await RawClient.start(server.port, { user: 'postgres', database: 'postgres' })
  const world: MaskingWorld = {
    server,
    catalog: await loadCatalog(query),
    classification: classify(dataClasses, await loadColumns(query)),
    async look() {
      world.catalog = await loadCatalog(query)
      world.classification = classify(dataClasses, await loadColumns(query), world.classification)
    },
    async run(sql, { reveal = () => false, style = 'redact', format = 0 } = {}) {
      const { effects } = analyse(sql, {
        connection: 'shop',
        catalog: world.catalog,
        searchPath: ['$user', 'public'],
        user: 'postgres',
        tempSchema: null,
        prepared: () => undefined,
        portal: () => undefined,
      })
      const { classification } = world
      const oids = (wanted: RegExp) => effects.flatMap((e) => (wanted.test(e.action) && e.object ? [e.object] : []))
      const flow = writeFlow(parseSync(sql), { classification, written: oids(/write|ddl/), touched: oids(/./) })
      const touch = touchOf(effects, classification, { reveal, flow })
      const bound = message(T.Bind, cstring(''), cstring(''), int16(0), int16(0), int16(1), int16(format))
      raw.send(P('', sql), bound, describePortal(''), execute(''), S)
      const frames = await raw.ready()
      const failure = frames.find((frame) => frame[0] === T.ErrorResponse)
      const description = frames.find((frame) => frame[0] === T.RowDescription)
      const columns = description ? describedColumns(description) : []
      const rows = frames.filter((frame) => frame[0] === T.DataRow).map(valuesOf)
      const plan = description && planResult(columns, touch, (dataClass) => (dataClass === 'pin' ? 'hash' : style))
      const masked = rows.map((row) =>
        row.map((value, at) => {
          const treatment = plan!.columns[at]!
          if (value === null || treatment.does !== 'mask') return value
          return maskValue(value, treatment.style, { ...columns[at]!, dataClass: treatment.dataClass }, key)
        }),
      )
      return { touch, columns, plan, raw: rows, rows: masked, ...(failure ? { error: reportFields(failure).M! } : {}) }
    },
    async [Symbol.asyncDispose]() {
      raw.socket.destroy()
      await own.end()
      await server.stop()
    },
  }
  return world
}

export function describedColumns(rowDescription: Buffer): ResultColumn[] {
  const cursor = new Cursor(rowDescription)
  const columns: ResultColumn[] = []
  for (let n = cursor.int16(); n > 0; n--) {
    const name = cursor.cstring()
    const tableOid = cursor.int32() >>> 0
    const attnum = cursor.int16()
    const typeOid = cursor.int32() >>> 0
    cursor.bytes(6)
    columns.push({ name, tableOid, attnum, typeOid, format: cursor.int16() as 0 | 1 })
  }
  return columns
}

const grams = new Set(
  markers.flatMap((marker) => {
    const plain = marker.toLowerCase()
    const forms = [plain, [...plain].reverse().join(''), Buffer.from(plain).toString('hex')]
    return forms.flatMap((form) => Array.from({ length: form.length - 4 }, (_, at) => form.slice(at, at + 5)))
  }),
)
const pins = [918273645, 736451928].map((pin) => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(pin)
  return bytes
})

/** Whether a value shows five characters of a marker, in any case, backwards or in hex, or a pin in binary. */
export function leaks(value: Buffer | null): boolean {
  if (value === null) return false
  if (pins.some((pin) => value.includes(pin))) return true
  const text = value.toString('latin1').toLowerCase()
  for (let at = 0; at + 5 <= text.length; at++) if (grams.has(text.slice(at, at + 5))) return true
  return false
}
