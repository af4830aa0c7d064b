import fc from 'fast-check'
import { cstring, int16, int32, message, T } from '../wire/messages.ts'
import { C, c, D, d, E, f, H, P, Q, S } from './raw.ts'

/** Messages that belong together, in words a person can read and replay, with their bytes. */
export interface Unit {
  says: string
  bytes: Buffer[]
  /** Whether the client waits for what comes before it goes on. */
  waits: boolean
}

/** What every conversation finds: made afresh for each. */
export const schema = `
  DROP SCHEMA IF EXISTS fuzz CASCADE; CREATE SCHEMA fuzz;
  CREATE TABLE fuzz.item (id int PRIMARY KEY, name text, price numeric(8,2) DEFAULT 1.5);
  INSERT INTO fuzz.item SELECT n, repeat(chr(64 + n), n), n * 1.25 FROM generate_series(1, 12) n;
  CREATE TABLE fuzz.line (id int GENERATED ALWAYS AS IDENTITY, body text, bytes bytea);
  CREATE FUNCTION fuzz.shout(text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RAISE NOTICE 'shout: %', $1; RETURN upper($1); END $$;
  CREATE PROCEDURE fuzz.twice() LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO fuzz.line (body) VALUES ('one'); COMMIT; INSERT INTO fuzz.line (body) VALUES ('two'); END $$`

const statements = [
  'SELECT 1',
  'SELECT',
  'SELECT * FROM item ORDER BY id',
  'SELECT id, name FROM item WHERE id > 3 ORDER BY id LIMIT 2',
  "SELECT repeat('x', 70000), generate_series(1, 3)",
  'SELECT NULL::int, true, 1.5::float8, ARRAY[1, 2], now() IS NULL',
  "SELECT 'ünïcödé', E'\\n', '\\\\'",
  'SELECT count(*) FROM item',
  "INSERT INTO line (body) VALUES ('a'), (NULL) RETURNING id, body",
  "INSERT INTO item VALUES (1, 'again')",
  "INSERT INTO item VALUES (99, 'new') ON CONFLICT DO NOTHING",
  'UPDATE item SET price = price + 1 WHERE id = 2 RETURNING *',
  'DELETE FROM item WHERE id = 5',
  'SELECT 1/0',
  'SELECT id / (id - 7) FROM item ORDER BY id',
  'SELECT nope FROM item',
  'SELEC 1',
  "SELECT 'open",
  'BEGIN',
  'START TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY',
  'COMMIT',
  'COMMIT AND CHAIN',
  'ROLLBACK',
  'END',
  'SAVEPOINT a',
  'SAVEPOINT b',
  'ROLLBACK TO a',
  'RELEASE a',
  'PREPARE one AS SELECT id FROM item WHERE id < $1 ORDER BY id',
  'PREPARE two AS INSERT INTO line (body) VALUES ($1) RETURNING body',
  'EXECUTE one(4)',
  "EXECUTE two('sql')",
  'EXECUTE x',
  'DEALLOCATE one',
  'DEALLOCATE x',
  'DEALLOCATE ALL',
  'DECLARE k CURSOR FOR SELECT id, name FROM item ORDER BY id',
  'DECLARE k SCROLL CURSOR WITH HOLD FOR SELECT id FROM item ORDER BY id DESC',
  'DECLARE p BINARY CURSOR FOR SELECT id, price FROM item ORDER BY id',
  'FETCH 2 FROM k',
  'FETCH ALL FROM k',
  'FETCH BACKWARD 1 FROM k',
  'FETCH p',
  'MOVE 3 IN k',
  'MOVE p',
  'CLOSE k',
  'CLOSE p',
  'CLOSE ALL',
  'DISCARD ALL',
  'DISCARD TEMP',
  'DISCARD PLANS',
  'LISTEN ear',
  "NOTIFY ear, 'word'",
  'UNLISTEN *',
  "SET application_name = 'other'",
  "SET TimeZone = 'Europe/Zurich'",
  'SET LOCAL DateStyle = German',
  'SET extra_float_digits = 0',
  'RESET ALL',
  'RESET search_path',
  'SET search_path = pg_catalog',
  'SET search_path = fuzz',
  'SHOW search_path',
  'SHOW application_name',
  'CREATE TABLE made (n int)',
  'CREATE TEMP TABLE made (t text)',
  'CREATE TABLE IF NOT EXISTS item (n int)',
  'DROP TABLE IF EXISTS made',
  'ALTER TABLE item ADD COLUMN extra int',
  'INSERT INTO made VALUES (7)',
  'SELECT * FROM made',
  'CREATE TABLE filled AS SELECT id FROM item WHERE id < 3',
  'TRUNCATE line',
  "SELECT fuzz.shout('hear')",
  'CALL fuzz.twice()',
  "DO $$ BEGIN RAISE NOTICE 'seen'; RAISE WARNING 'too'; END $$",
  "DO $$ BEGIN RAISE EXCEPTION 'raised' USING HINT = 'none', DETAIL = 'd', ERRCODE = 'ZZ999'; END $$",
  "DO $$ BEGIN EXECUTE 'PREPARE hidden AS SELECT 5'; END $$",
  'EXECUTE hidden',
  'EXPLAIN (COSTS off) SELECT * FROM item',
  'VALUES (1, 2), (3, 4)',
  'TABLE item',
  'SELECT name, statement, parameter_types FROM pg_prepared_statements ORDER BY 1',
  'SELECT name, is_holdable, is_scrollable FROM pg_cursors ORDER BY 1',
  "SELECT set_config('fuzz.value', 'v', false)",
  "SELECT current_setting('fuzz.value', true)",
  "SELECT nextval(pg_get_serial_sequence('fuzz.line', 'id'))",
  'LOCK TABLE item',
  'COPY item TO STDOUT',
  'COPY (SELECT id, name FROM item WHERE id < 4 ORDER BY id) TO STDOUT (FORMAT csv, HEADER)',
  'COPY item (id, price) TO STDOUT (FORMAT binary)',
  'COPY nowhere TO STDOUT',
  'VACUUM item',
  'MERGE INTO item USING (VALUES (1), (77)) v(i) ON id = i WHEN MATCHED THEN UPDATE SET name = NULL WHEN NOT MATCHED THEN INSERT (id) VALUES (i)',
  'SELECT id, (SELECT max(price) FROM item) FROM item WHERE id IN (SELECT 3) FOR UPDATE',
  '/* only a comment */',
  ';',
  '',
]

const takesParameters = [
  'SELECT $1::int + 1',
  'SELECT id, name FROM item WHERE id < $1 ORDER BY id',
  'SELECT $1::text, $2::int, $3::numeric',
  'INSERT INTO line (body) VALUES ($1) RETURNING id, body, bytes',
  'UPDATE item SET name = $2 WHERE id = $1',
  'SELECT 10 / $1::int',
  'SELECT $1',
]

const names = ['', '', 'x', 'y', 'one', 'k', 'two', 'a'.repeat(70)]
const portals = ['', '', 'p', 'q', 'k']
const copies = [
  'COPY line (body) FROM STDIN',
  'COPY item (id, name) FROM STDIN (FORMAT csv)',
  'COPY item (id) FROM STDIN (FORMAT binary)',
  'COPY nowhere FROM STDIN',
  'COPY line (body) FROM STDIN (ON_ERROR ignore, LOG_VERBOSITY verbose)',
  'COPY line (body) FROM STDIN; SELECT 2; COPY line (body) FROM STDIN',
]
const BINARY = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1')
const copied = [
  'one\n',
  'two\nthree\n',
  '101,"quoted"\n',
  '102\tx\n',
  'half a li',
  '1,clash\n',
  `${'long '.repeat(5000)}\n`,
  '\\.\n',
  '',
]

const sql = fc.constantFrom(...statements)
const name = fc.constantFrom(...names)
const portal = fc.constantFrom(...portals)
const quote = (text: string) => JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text)

interface Said {
  says: string
  bytes: Buffer
}
const said = (says: string, bytes: Buffer): Said => ({ says, bytes })

const query = fc.oneof(
  { arbitrary: sql, weight: 6 },
  { arbitrary: fc.array(sql, { minLength: 2, maxLength: 4 }).map((all) => all.join('; ')), weight: 2 },
)

const value = fc.oneof(
  fc.constantFrom('3', '0', '41', 'word', 'ü', '', '9'.repeat(30)).map((text) => Buffer.from(text)),
  fc.constant(null),
  fc.constantFrom(int32(5), int32(0), Buffer.from('ff', 'hex')),
)

const bind = fc
  .record({
    portal,
    name,
    values: fc.array(value, { maxLength: 3 }),
    formats: fc.constantFrom([], [], [1], [0, 1], [0, 0, 0]),
    results: fc.constantFrom([], [], [], [1], [0, 1], [7]),
  })
  .map(({ portal, name, values, formats, results }) =>
    said(
      `Bind ${quote(portal)} ${quote(name)} ${JSON.stringify(values.map((v) => v?.toString('latin1') ?? null))} ${JSON.stringify(formats)} ${JSON.stringify(results)}`,
      message(
        T.Bind,
        cstring(portal),
        cstring(name),
        int16(formats.length),
        ...formats.map(int16),
        int16(values.length),
        ...values.flatMap((v) => (v ? [int32(v.length), v] : [int32(-1)])),
        int16(results.length),
        ...results.map(int16),
      ),
    ),
  )

const parse = fc
  .record({
    name,
    text: fc.oneof(sql, fc.constantFrom(...takesParameters)),
    types: fc.constantFrom([], [], [], [23], [25, 23], [0]),
  })
  .map(({ name, text, types }) =>
    said(
      `Parse ${quote(name)} ${quote(text)} ${JSON.stringify(types)}`,
      message(T.Parse, cstring(name), cstring(text), int16(types.length), ...types.map(int32)),
    ),
  )

const describe = fc
  .tuple(fc.constantFrom('S' as const, 'P' as const), fc.oneof(name, portal))
  .map(([what, name]) => said(`Describe ${what} ${quote(name)}`, D(what, name)))
const close = fc
  .tuple(fc.constantFrom('S' as const, 'P' as const), fc.oneof(name, portal))
  .map(([what, name]) => said(`Close ${what} ${quote(name)}`, C(what, name)))
const execute = fc
  .tuple(portal, fc.constantFrom(0, 0, 0, 1, 2, 5))
  .map(([name, rows]) => said(`Execute ${quote(name)} ${rows}`, E(name, rows)))
const sync = fc.constant(said('Sync', S))
const flush = fc.constant(said('Flush', H))

/** What a client's library does: Parse, Bind, Describe, Execute that fit each other. */
const whole = fc
  .record({ name, portal, text: fc.oneof(sql, sql, fc.constantFrom(...takesParameters)), rows: fc.constantFrom(0, 2) })
  .map(({ name, portal, text, rows }) => {
    const count = Math.max(0, ...[...text.matchAll(/\$(\d)/g)].map(([, n]) => Number(n)))
    const values = Array.from({ length: /^PREPARE|^DO/.test(text) ? 0 : count }, (_, at) => `${at + 3}`)
    const bound = message(
      T.Bind,
      cstring(portal),
      cstring(name),
      int16(0),
      int16(values.length),
      ...values.flatMap((v) => [int32(v.length), Buffer.from(v)]),
      int16(0),
    )
    return [
      said(`Parse ${quote(name)} ${quote(text)}`, P(name, text)),
      said(`Bind ${quote(portal)} ${quote(name)} ${JSON.stringify(values)}`, bound),
      said(`Execute ${quote(portal)} ${rows}`, E(portal, rows)),
    ]
  })

const copyData = fc.array(
  fc.oneof(
    {
      arbitrary: fc.constantFrom(...copied).map((text) => said(`CopyData ${quote(text.slice(0, 40))}`, d(text))),
      weight: 8,
    },
    {
      arbitrary: fc.constant(
        said(
          'CopyData (binary)',
          message(T.CopyData, Buffer.concat([BINARY, int16(1), int32(4), int32(200), int16(0xffff)])),
        ),
      ),
      weight: 2,
    },
    { arbitrary: fc.constantFrom(said('Sync', S), said('Flush', H)), weight: 1 },
  ),
  { maxLength: 4 },
)
const copyEnd = fc.oneof(
  { arbitrary: fc.constant(said('CopyDone', c)), weight: 3 },
  { arbitrary: fc.constant(said('CopyFail "enough"', f('enough'))), weight: 1 },
)

/** COPY FROM STDIN with its data and its end, since what else comes within ends the connection. */
const copyIn = fc
  .record({ text: fc.constantFrom(...copies), data: copyData, end: copyEnd, more: copyData, extended: fc.boolean() })
  .map(({ text, data, end, more, extended }) => {
    const several = text.includes(';')
    const start =
      extended && !several
        ? [said(`Parse "" ${quote(text)}`, P('', text)), said('Bind', bindNothing), said('Execute', E(''))]
        : [said(`Query ${quote(text)}`, Q(text))]
    return [...start, ...data, end, ...(several ? [...more, said('CopyDone', c)] : []), said('Sync', S)]
  })
const bindNothing = message(T.Bind, cstring(''), cstring(''), int16(0), int16(0), int16(0))

const one = (arbitrary: fc.Arbitrary<Said>) => arbitrary.map((each) => [each])

const spoken = fc.oneof(
  { arbitrary: one(query.map((text) => said(`Query ${quote(text)}`, Q(text)))), weight: 10 },
  { arbitrary: whole, weight: 8 },
  { arbitrary: one(parse), weight: 4 },
  { arbitrary: one(bind), weight: 4 },
  { arbitrary: one(execute), weight: 5 },
  { arbitrary: one(describe), weight: 3 },
  { arbitrary: one(close), weight: 2 },
  { arbitrary: one(sync), weight: 6 },
  { arbitrary: one(flush), weight: 2 },
  { arbitrary: copyIn, weight: 3 },
)

/** A client's whole conversation after the sign-in. */
export const conversation: fc.Arbitrary<Unit[]> = fc
  .array(
    fc.tuple(spoken, fc.integer({ min: 0, max: 3 })).map(([parts, waits]) => ({
      says: parts.map(({ says }) => says).join(' · '),
      bytes: parts.map(({ bytes }) => bytes),
      waits: waits === 0,
    })),
    { minLength: 1, maxLength: 24, size: 'max' },
  )
  .map(finished)

/**
 * With a Sync between an Execute and a Query: without one PostgreSQL 18 leaves the Query's transaction open and answers a
 * later command with XX000 `StartTransactionCommand: unexpected state STARTED`, which may then meet the gateway's own.
 */
function finished(units: Unit[]): Unit[] {
  let executed = false
  return units.map((unit) => {
    const bytes: Buffer[] = []
    for (const message of unit.bytes) {
      if (message[0] === T.Query && executed) bytes.push(S)
      if (message[0] === T.Query || message[0] === T.Sync) executed = false
      if (message[0] === T.Execute) executed = true
      bytes.push(message)
    }
    return { ...unit, bytes, says: bytes.length > unit.bytes.length ? `Sync · ${unit.says}` : unit.says }
  })
}
