import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadCatalog } from './catalog.ts'
import { parseQualifiedName, quoteIdent } from './quote.ts'
import { short, startWorld, type World } from './testing/world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world?.[Symbol.asyncDispose]())

/** Exactly these effects, no more: what an everyday statement is charged with. */
const everyday: [sql: string, effects: string[]][] = [
  ['SELECT 1', ['connect . select']],
  ['SELECT now(), random(), gen_random_uuid(), current_user, version()', ['connect . select']],
  ["SELECT count(*), sum(total), string_agg(total::text, ',' ORDER BY id) FROM orders", ['read public.orders select']],
  ['SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY total) FROM orders', ['read public.orders select']],
  [
    "SELECT extract(year FROM now()), trim(' a '), substring('abc' FROM 2), now() AT TIME ZONE 'UTC'",
    ['connect . select'],
  ],
  ['SELECT coalesce(max(id), 0) FROM "vault"."Odd ""Name"', ['read vault."Odd ""Name" select']],
  ['SELECT relname FROM pg_class JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace', ['connect . select']],
  ['SELECT * FROM information_schema.columns', ['connect . select']],
  ['SELECT * FROM pg_stat_activity', ['read pg_catalog.pg_stat_activity select']],
  ['SELECT * FROM pg_stats', ['read pg_catalog.pg_stats select']],
  ["SELECT pg_size_pretty(pg_total_relation_size('orders'))", ['connect . select']],
  [
    "SELECT set_config(name, 'view, foreign-table', false) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'",
    ['connect . select'],
  ],
  ['SELECT * FROM generate_series(1, 3)', ['connect . select']],
  ['SELECT customers.name FROM customers', ['read public.customers select']],
  ['TABLE vault.secrets', ['read vault.secrets select']],
  ['SELECT * FROM orders FOR UPDATE', ['read public.orders select', 'write public.orders lock']],
  [
    'SELECT * FROM orders o, customers c FOR SHARE OF c',
    ['read public.customers select', 'read public.orders select', 'write public.customers lock'],
  ],
  ['INSERT INTO orders VALUES (1, 2, 3)', ['write public.orders insert']],
  ['INSERT INTO orders VALUES (1) RETURNING 1', ['write public.orders insert']],
  ['INSERT INTO orders VALUES (1) RETURNING id', ['read public.orders insert', 'write public.orders insert']],
  ['INSERT INTO orders SELECT * FROM orders', ['read public.orders select', 'write public.orders insert']],
  ['INSERT INTO orders VALUES (1) ON CONFLICT DO NOTHING', ['write public.orders insert']],
  [
    'INSERT INTO orders VALUES (1) ON CONFLICT (id) DO UPDATE SET total = excluded.total',
    ['read public.orders insert', 'write public.orders insert', 'write public.orders update'],
  ],
  ['UPDATE orders SET total = 1', ['write public.orders update!']],
  ['UPDATE orders SET total = total + 1', ['read public.orders update', 'write public.orders update!']],
  ['UPDATE orders SET total = 1 WHERE id = $1', ['read public.orders update', 'write public.orders update']],
  ['UPDATE orders SET total = 1 WHERE CURRENT OF c', ['write public.orders update']],
  [
    'UPDATE orders SET total = 1 FROM notes n WHERE n.id = orders.id',
    ['read public.notes update', 'read public.orders update', 'write public.orders update'],
  ],
  ['DELETE FROM orders', ['write public.orders delete!']],
  ['DELETE FROM orders WHERE id IN (1, 2)', ['read public.orders delete', 'write public.orders delete']],
  [
    'DELETE FROM orders WHERE id IN (SELECT id FROM notes)',
    ['read public.notes select', 'read public.orders delete', 'write public.orders delete'],
  ],
  [
    'DELETE FROM orders WHERE EXISTS (SELECT 1 FROM notes WHERE notes.id = orders.id)',
    ['read public.notes select', 'read public.orders delete', 'write public.orders delete'],
  ],
  // The server asks for SELECT on the columns that every table has, too.
  ["DELETE FROM orders WHERE ctid = '(0,1)'", ['read public.orders delete', 'write public.orders delete']],
  ['DELETE FROM orders WHERE tableoid = 1', ['read public.orders delete', 'write public.orders delete!']],
  ['UPDATE orders SET total = 1 WHERE xmin IS NULL', ['read public.orders update', 'write public.orders update!']],
  // A key that is not the one referred to.
  ["UPDATE codes SET note = 'b' WHERE code = 'a'", ['read public.codes update', 'write public.codes update']],
  ['DELETE FROM ONLY base', ['write public.base delete!']],
  ['TRUNCATE orders', ['write public.orders truncate!']],
  ['COPY orders TO STDOUT', ['read public.orders copy']],
  ['COPY orders FROM STDIN', ['write public.orders copy']],
  ['EXPLAIN DELETE FROM orders', ['connect . explain', 'read public.orders explain']],
  ['EXPLAIN (ANALYZE 0) DELETE FROM orders', ['connect . explain', 'read public.orders explain']],
  ['LOCK orders', ['write public.orders lock']],
  ['LOCK orders IN ACCESS SHARE MODE', ['read public.orders lock']],
  ["SELECT nextval('counter')", ['call public.counter select']],
  ['SELECT setval(\'public."counter"\'::regclass, 1)', ['call public.counter select']],
  ["SELECT currval('counter')", ['read public.counter select']],
  ['CALL purge(1, NULL)', ['call public.purge call']],
  ['DO $$ BEGIN END $$', ['call . do']],
  ['SELECT total(1)', ['call public.total select']],
  ['BEGIN', ['connect . transaction']],
  ['SHOW ALL', ['connect . show']],
  ["SET client_encoding = 'UTF8'", ['connect . set']],
  ['SET standard_conforming_strings TO on', ['connect . set']],
  ["SET NAMES 'SQL_ASCII'", ['connect . set']],
  ['DISCARD ALL', ['connect . discard']],
  ['LISTEN a', ['connect . listen']],
  ['NOTIFY a', ['write . notify']],
  ['SET ROLE postgres', ['admin . set']],
  ['CREATE TABLE n (a int REFERENCES orders)', ['ddl public.n create', 'ddl public.orders create']],
  ['CREATE TEMP TABLE n (a int)', ['ddl pg_temp.n create']],
  ['CREATE TABLE n AS SELECT * FROM orders', ['ddl public.n create', 'read public.orders select']],
  ['CREATE INDEX ON orders (total)', ['ddl public.orders create']],
  ['CREATE TYPE n AS ENUM ()', ['ddl . create']],
  ['CREATE EXTENSION hstore', ['ddl . create']],
  ['ALTER TABLE orders ADD a int', ['ddl public.orders alter']],
  ['ALTER TABLE IF EXISTS nothing ADD a int', ['ddl . alter']],
  ['DROP TABLE orders, notes', ['ddl public.notes drop', 'ddl public.orders drop']],
  ['DROP INDEX by_name', ['ddl public.customers drop']],
  ['DROP TABLE IF EXISTS nothing', ['ddl . drop']],
  ['DROP SCHEMA other CASCADE', ['ddl . drop', 'ddl other.customers drop']],
  [
    'DROP TABLE vault.secrets CASCADE',
    [
      ...['ddl public.around drop', 'ddl public.invoked drop', 'ddl public.outer_view drop', 'ddl public.ruled drop'],
      ...['ddl public.secret_view drop', 'ddl public.swapped drop', 'ddl vault.secrets drop'],
    ],
  ],
  ["COMMENT ON COLUMN orders.id IS 'x'", ['ddl public.orders comment']],
  ['VACUUM orders', ['ddl public.orders vacuum']],
  ['ANALYZE', ['ddl . vacuum']],
  ['REINDEX INDEX by_name', ['ddl public.customers reindex']],
  [
    'REFRESH MATERIALIZED VIEW summary',
    ['read public.orders refresh', 'read public.summary refresh', 'write public.summary refresh'],
  ],
  ['GRANT SELECT ON orders TO postgres', ['admin . grant', 'admin public.orders grant']],
  ['CREATE ROLE n', ['admin . create']],
  ['ALTER SYSTEM SET work_mem = 1', ['admin . alter', 'connect . set']],
  ['CHECKPOINT', ['admin . checkpoint']],
  ["LOAD 'x'", ['admin . load']],
  ['', ['connect . empty']],
  [' ; -- nothing', ['connect . empty']],
]

test.each(everyday)('%s', (sql, effects) => {
  const analysis = world.analyse(sql)
  expect(analysis.refused).toBeUndefined()
  expect(short(analysis)).toEqual(effects.sort())
})

test.each(['REINDEX SCHEMA CONCURRENTLY pg_catalog', 'CREATE PUBLICATION p FOR TABLES IN SCHEMA pg_catalog'])(
  '%s is no update of pg_settings',
  (sql) => {
    expect(world.analyse(sql).refused).toBeUndefined()
  },
)

describe('what is not understood is sql:unknown', () => {
  test.each([
    ['SELEC 1', { parseError: expect.stringContaining('syntax error') }],
    ['SELECT 1\0', { parseError: expect.stringContaining('characters') }],
    ["SELECT '\ud800'", { parseError: expect.stringContaining('characters') }],
    ['SELECT * FROM public.custmers', { unresolved: ['relation public.custmers'] }],
    ['SELECT nothing(1)', { unresolved: ['function nothing with 1 arguments'] }],
    ['EXECUTE p', { unresolved: ['prepared statement p'] }],
  ])('%j', (sql, more) => {
    const analysis = world.analyse(sql)
    expect(analysis).toMatchObject(more)
    expect(analysis.effects.map((effect) => effect.action)).toContain('sql:unknown')
  })

  test('an expression of 20,000 terms, again and again, and the parser lives on', () => {
    for (const term of ['+1', ' OR true', '||(1']) {
      const deep = `SELECT 1${term.repeat(20_000)}`
      for (let round = 0; round < 3; round++) {
        const { effects, parseError } = world.analyse(`${deep} -- ${round}`)
        // Read whole or not at all.
        if (parseError !== undefined) expect(effects[0]!.action).toBe('sql:unknown')
        else expect(short({ kind: '', statements: [], effects })).toEqual(['connect . select'])
      }
    }
    expect(short(world.analyse('TABLE vault.secrets'))).toEqual(['read vault.secrets select'])
  })
})

describe('names', () => {
  test('ids are written as quote_ident() writes them, key words too', async () => {
    const words = (await world.query('SELECT word FROM pg_get_keywords()')).map(([word]) => word!)
    const names = [...words, 'a', 'A', '_a1', '1a', 'a b', 'a"b', 'é', 'a$', '', 'a.b', "a'b", 'a-b']
    const quoted = await world.query(
      'SELECT quote_ident(n) FROM unnest($1::text[]) WITH ORDINALITY u(n, i) ORDER BY i',
      [names],
    )
    expect(names.map(quoteIdent)).toEqual(quoted.map(([name]) => name))
  })

  test('a constant names a sequence as the server reads it', async () => {
    for (const text of ['counter', 'PUBLIC.Counter', ' public . "counter" ', '"a""b".c']) {
      const [[parts]] = (await world.query('SELECT json_agg(p) FROM unnest(parse_ident($1)) p', [text])) as [[string]]
      expect(parseQualifiedName(text)).toEqual(JSON.parse(parts))
    }
  })

  test('an object carries its OID', async () => {
    const [[oid]] = (await world.query("SELECT 'orders'::regclass::oid")) as [[string]]
    expect(world.analyse('TABLE orders').effects[0]).toEqual({
      action: 'sql:read',
      resource: { type: 'Table', id: 'shop/public.orders', attrs: { schema: 'public', name: 'orders' } },
      command: { kind: 'select', bounded: true, functions: [] },
      object: oid,
    })
  })

  test.each([
    [['other', 'public'], 'postgres', ['read other.customers select']],
    [['nowhere', 'public'], 'postgres', ['read public.customers select']],
    [['$user', 'other'], 'public', ['read other.customers select', 'read public.customers select']],
    [['other', 'public'], 'somebody', ['read other.customers select', 'read public.customers select']],
    [null, 'postgres', ['read other.customers select', 'read public.customers select']],
  ])('search_path %j as %s', (searchPath, user, effects) => {
    expect(short(world.analyse('TABLE customers', { searchPath, user }))).toEqual(effects)
  })
})

describe('a role that may not look into every schema', () => {
  test('passes over those without USAGE, as the server does', async () => {
    await world.query('CREATE ROLE plain')
    await world.query('SET ROLE plain')
    const catalog = await loadCatalog(world.query).finally(() => world.query('RESET ROLE'))
    const here = { catalog, user: 'plain', searchPath: ['closed', 'public'] }
    expect(short(world.analyse('TABLE orders', here))).toEqual(['read public.orders select'])
    expect(short(world.analyse('TABLE orders', { ...here, user: 'other' }))).toEqual([
      'read closed.orders select',
      'read public.orders select',
    ])
  })

  test('its own temporary tables come first, other sessions’ never', async () => {
    await world.query('CREATE TEMP TABLE orders (id int)')
    const [[tempSchema]] = (await world.query('SELECT pg_my_temp_schema()::regnamespace')) as [[string]]
    const catalog = await loadCatalog(world.query).finally(() => world.query('DROP TABLE pg_temp.orders'))
    expect(short(world.analyse('TABLE orders', { catalog, tempSchema }))).toEqual(['read pg_temp.orders select'])
    expect(short(world.analyse('TABLE orders', { catalog, tempSchema: null }))).toEqual(['read public.orders select'])
    expect(short(world.analyse('TABLE pg_temp.orders', { catalog, tempSchema }))).toEqual([
      'read pg_temp.orders select',
    ])
  })
})

describe('the session', () => {
  test.each([
    ['BEGIN', { transaction: 'begin' }],
    ['START TRANSACTION READ ONLY', { transaction: 'begin' }],
    ['ROLLBACK TO a', { transaction: 'rollback-to' }],
    ["PREPARE TRANSACTION 'a'", { transaction: 'prepare' }],
    ['SET LOCAL search_path = a', { setsSearchPath: true }],
    ['RESET ALL', { setsSearchPath: true, resetsAll: true }],
    ['RESET ROLE', { setsRole: true }],
    ['CREATE TABLE n (a int)', { changesCatalog: true }],
    ['PREPARE a (int) AS SELECT $1', { prepares: { name: 'a', text: 'PREPARE a (int) AS SELECT $1' } }],
    ['EXECUTE a(1)', { executes: 'a' }],
    ['DEALLOCATE a', { deallocates: 'a' }],
    ['DEALLOCATE ALL', { deallocates: '', deallocatesAll: true }],
    ['DECLARE c CURSOR FOR SELECT 1', { declares: { cursor: 'c', text: 'DECLARE c CURSOR FOR SELECT 1' } }],
    ['MOVE c', { fetches: 'c' }],
    ['CLOSE ALL', { closes: '', closesAll: true }],
    ['DISCARD PLANS', { discards: 'plans' }],
    ['COPY orders TO STDOUT', { copy: 'out' }],
    ['COPY orders FROM STDIN', { copy: 'in' }],
  ])('%s', (sql, session) => {
    expect(world.analyse(sql).statements[0]!.session).toEqual(session)
  })

  test('what the wire prepared and EXECUTE runs changes the session too', () => {
    const behind = (text: string, then: string) => world.analyse(`EXECUTE p; ${then}`, { prepared: () => text })
    expect(short(behind('SET search_path = other', 'TABLE customers'))).toContain('read other.customers select')
    expect(short(behind('ALTER TABLE orders RENAME TO n', 'TABLE orders'))).toContain('unknown . select')
    const change = (text: string) => behind(text, 'SELECT 1').statements[0]!.session
    expect(change('SET search_path = other')).toMatchObject({ setsSearchPath: true, executes: 'p' })
    expect(change('SET ROLE other')).toMatchObject({ setsRole: true })
    expect(change('CREATE TEMP TABLE n (a int)')).toMatchObject({ changesCatalog: true })
    expect(change('ROLLBACK')).toMatchObject({ transaction: 'rollback' })
    expect(change('DEALLOCATE q')).toMatchObject({ deallocates: 'q' })
    expect(change('PREPARE q AS SELECT 1')).toMatchObject({ prepares: { name: 'q' } })
    expect(change('PREPARE p AS SELECT 1')).not.toHaveProperty('prepares')
  })

  test('EXECUTE and FETCH have the effects of what is behind them now', () => {
    const behind = new Map([
      ['p', 'PREPARE p AS TABLE orders'],
      ['', 'DELETE FROM orders'],
    ])
    const prepared = (name: string) => behind.get(name)
    expect(short(world.analyse('EXECUTE p', { prepared }))).toEqual(['read public.orders select'])
    behind.set('p', 'TABLE notes')
    expect(short(world.analyse('EXECUTE p', { prepared }))).toEqual(['read public.notes select'])
    expect(short(world.analyse('FETCH c', { portal: () => 'DECLARE c CURSOR FOR TABLE orders' }))).toEqual([
      'read public.orders select',
    ])
    expect(short(world.analyse('EXPLAIN ANALYZE EXECUTE p', { prepared: () => 'EXECUTE p' }))).toContain(
      'unknown . execute',
    )
  })

  test('statements of one text are cut out of it whatever its bytes', () => {
    const { kind, statements } = world.analyse("SELECT 'é€'; ; DELETE FROM orders -- ü\n")
    expect(kind).toBe('several')
    expect(statements.map(({ text }) => text)).toEqual(["SELECT 'é€'", 'DELETE FROM orders -- ü'])
  })
})

test('however tables are nested, each one is among the effects', () => {
  const table = fc.constantFrom('orders', 'notes', 'vault.secrets', 'other.customers', 'events_1', 'derived')
  const { query } = fc.letrec<{ query: { sql: string; tables: string[] } }>((tie) => ({
    query: fc.oneof(
      { maxDepth: 5, withCrossShrink: true },
      table.map((name) => ({ sql: `SELECT 1 FROM ${name}`, tables: [name] })),
      ...[
        (a: string) => `SELECT (SELECT 1 FROM (${a}) q LIMIT 1)`,
        (a: string) => `SELECT 1 WHERE EXISTS (${a})`,
        (a: string) => `SELECT 1 FROM (${a}) q`,
        (a: string) => `SELECT 1 ORDER BY (${a})`,
        (a: string) => `WITH q AS (${a}) SELECT 1 FROM q`,
        (a: string) => `WITH q AS MATERIALIZED (${a}) SELECT 1`,
        (a: string) => `WITH orders AS (${a}) SELECT 1 FROM orders`,
        (a: string) => `SELECT 1 FROM LATERAL (SELECT ARRAY(${a})) q`,
        (a: string) => `VALUES ((${a}))`,
        (a: string) => `SELECT CASE WHEN 1 IN (${a}) THEN 1 END`,
        (a: string) => `SELECT 1 LIMIT (${a})`,
        (a: string) => `SELECT 1 GROUP BY ROLLUP ((${a}))`,
        (a: string) => `SELECT abs((${a})) OVER w FROM (SELECT 1) s WINDOW w AS (ORDER BY (${a}))`,
      ].map((wrap) => tie('query').map(({ sql, tables }) => ({ sql: wrap(sql), tables }))),
      ...['UNION', 'EXCEPT', 'INTERSECT ALL'].map((operator) =>
        fc.tuple(tie('query'), tie('query')).map(([a, b]) => ({
          sql: `(${a.sql}) ${operator} (${b.sql})`,
          tables: [...a.tables, ...b.tables],
        })),
      ),
    ),
  }))
  fc.assert(
    fc.property(query, ({ sql, tables }) => {
      const analysis = world.analyse(sql)
      expect(analysis.parseError).toBeUndefined()
      const read = new Set(analysis.effects.map((effect) => effect.resource.id))
      for (const name of tables) expect(read).toContain(`shop/${name.includes('.') ? name : `public.${name}`}`)
    }),
    { numRuns: 300, seed: 11 },
  )
})
