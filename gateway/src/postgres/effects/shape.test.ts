import fc from 'fast-check'
import { parseSync, scanSync } from 'libpg-query'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { writeFlow } from '../../masking/flow.ts'
import { bypasses } from './bypass.corpus.ts'
import type { Catalog } from './catalog.ts'
import type { Analysis } from './effects.ts'
import { shapeOf, type Token, tokensOf } from './shape.ts'
import { startWorld, type World } from './testing/world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world?.[Symbol.asyncDispose]())

/** Bits out of which texts are made that scanners could disagree on. */
const bits =
  `SELECT select FROM WHERE e E u U& b x N _a a1 t.id "q" "a b" "" "a""b" interval date ' '' 'a' 'it''s' '\\' '\u0001'
  0 1 5 007 0x1F 1_000 1e5 .5 5. 1.5 1..2 2147483647 2147483648 9223372036854775807 9223372036854775808 123abc 1.5e
  = < > <= >= <> != => := :: : ::: + - * / % ^ || | & && -> ->> #> @> ~ ~* !~ ? ?| @ @@ =- *- <@ -- /* */ $1 $$ $a$ \\ é \u0000
  ( ) , [ ] ; . .. { }`.split(/\s+/)
const spaces = [' ', ' ', '\n', '\t', '\r', '', '', '\f', '\v', '  ', '\u00a0']

describe('tokens', () => {
  test('are those of PostgreSQL’s own scanner', () => {
    const text = fc
      .array(fc.tuple(fc.constantFrom(...bits), fc.constantFrom(...spaces)), { minLength: 1, maxLength: 12 })
      .map((parts) => parts.flat().join(''))
    let eligible = 0
    fc.assert(
      fc.property(text, (text) => {
        const tokens = tokensOf(text)
        if (!tokens) return
        eligible++
        expect(tokens).toEqual(scanned(text))
      }),
      { seed: 18, numRuns: 60_000 },
    )
    expect(eligible).toBeGreaterThan(1000)
  })

  test.each([
    "SELECT E'a' = 1",
    "SELECT U&'a', 1",
    `SELECT U&"a", 1`,
    "SELECT x'1f', 1",
    "SELECT n'a', 1",
    "SELECT 'a\\', 1",
    "SELECT 'a'\n'b'",
    "SELECT 'é'",
    'SELECT é, 1',
    'SELECT 1 -- a',
    'SELECT 1 /* a */',
    'SELECT $1, 1',
    'SELECT $$a$$, 1',
    'SELECT 1; SELECT 2',
    'SELECT a=-1',
    'SELECT a*-1',
    'SELECT 1_000',
    'SELECT 0x1F',
    'SELECT 1e5',
    'SELECT 007',
    'SELECT a.1',
    'SELECT 1a',
    `SELECT "a""b", 1`,
    `SELECT ${'1, '.repeat(4000)} 1`,
    'SELECT a FROM t',
  ])('%s has no shape', (text) => {
    expect(shapeOf(text)).toBeUndefined()
  })
})

describe('an analysis holds for every text of its shape', () => {
  test.each([
    'SELECT abalance FROM orders WHERE id = 8123;',
    'SELECT * FROM "orders" AS "o" WHERE "o"."id" IN (1, 2) AND total BETWEEN 1 AND 5 LIMIT 10 OFFSET 20',
    "SELECT name FROM customers WHERE name LIKE 'a%' AND email <> 'it''s' ORDER BY name FETCH FIRST 5 ROWS ONLY",
    "SELECT now() - interval '5 days', date '2026-01-01', total::numeric(10,2) FROM orders WHERE total > 1.5",
    'INSERT INTO orders (id, customer, total) VALUES (1, 2, -3), (4, 5, 6) ON CONFLICT (id) DO UPDATE SET total = 7',
    "INSERT INTO notes VALUES (1, 2, 'a') RETURNING id",
    'UPDATE orders SET total = total + -1234 WHERE id = 5;',
    "UPDATE customers SET name = 'b', email = 'c' WHERE id = 5 AND name = 'a' RETURNING id",
    'DELETE FROM orders WHERE id = 5',
    'WITH a AS (SELECT id FROM notes WHERE id > 3) DELETE FROM orders WHERE id IN (SELECT id FROM a) AND total > 5',
    'SELECT count(*) FILTER (WHERE total > 5) FROM orders GROUP BY customer HAVING count(*) > 3 ORDER BY 2 + 1',
    "SELECT substring(name from 1 for 3), extract('year' from now()), name::varchar(3) FROM customers WHERE id = 1",
  ])('%s', (text) => {
    const first = world.analyse(text)
    expect(first.general).toBe(true)
    for (const other of swaps(text)) {
      expect(other).not.toBe(text)
      expect(world.analyse(other)).toBe(first)
      expect(meaning(fresh(other))).toEqual(meaning(first))
    }
  })

  test.each([
    // What a constant names, sets or compares is part of what the statement does.
    ["SELECT nextval('counter')", "SELECT nextval('orders')"],
    ["SELECT currval('counter') WHERE 1 = 2", "SELECT currval('other.x') WHERE 1 = 2"],
    ["SELECT set_config('work_mem', '1', false)", "SELECT set_config('role', 'x', false)"],
    ['DELETE FROM orders WHERE 1 = 2 OR id = 1', 'DELETE FROM orders WHERE 1 = 1 OR id = 1'],
    ["DELETE FROM orders WHERE 'f' OR id = 1", "DELETE FROM orders WHERE 't' OR id = 1"],
    ['DELETE FROM orders WHERE id > 1 OR id <= 2', 'DELETE FROM orders WHERE id > 1 OR id <= 1'],
    ['DELETE FROM orders WHERE id + 1 = id + 2', 'DELETE FROM orders WHERE id + 1 = id + 1'],
    // What the grammar itself makes something of, or a column's number.
    ["SELECT float(24) '1'", "SELECT float(53) '1'"],
    ['SELECT total::float(24) FROM orders', 'SELECT total::float(25) FROM orders'],
    ["SELECT '{}'::int[3]", "SELECT '{}'::int[4]"],
    ['SELECT id, total FROM orders ORDER BY 1', 'SELECT id, total FROM orders ORDER BY 2'],
    ['SELECT id, total FROM orders GROUP BY 1, 2', 'SELECT id, total FROM orders GROUP BY 1, 3'],
    // Statements of other kinds.
    ["COPY orders TO PROGRAM 'a'", "COPY orders TO PROGRAM 'b'"],
    ["SET application_name = 'a'", "SET application_name = 'b'"],
    ['PREPARE p AS SELECT 1', 'PREPARE p AS SELECT 2'],
    ['EXECUTE p(1)', 'EXECUTE p(2)'],
  ])('but not where it depends on a literal: %s', (one, other) => {
    expect(shapeOf(one)).toBe(shapeOf(other))
    const [first, second] = [world.analyse(one), world.analyse(other)]
    expect(first.general).toBeUndefined()
    expect(second).not.toBe(first)
    expect(meaning(second)).toEqual(meaning(fresh(other)))
  })

  test.each([
    ['SELECT 1', 'SELECT 1.0'],
    ['SELECT 1', "SELECT '1'"],
    ['SELECT 1', 'SELECT 2147483648'],
    ['SELECT 2147483648', 'SELECT 9223372036854775808'],
    ['SELECT -1', 'SELECT 1'],
    ['SELECT 1', 'select 1'],
    ['SELECT 1', 'SELECT  1'],
    ['SELECT 1', 'SELECT \u0001'],
  ])('%j and %j are not of one shape', (one, other) => {
    expect(shapeOf(one)).toBeDefined()
    expect(shapeOf(one)).not.toBe(shapeOf(other))
    expect(world.analyse(one)).not.toBe(world.analyse(other))
  })

  test('whatever the statement, whatever the literals', () => {
    const text = fc.oneof(
      { weight: 9, arbitrary: fc.oneof(...grammar()) },
      { weight: 1, arbitrary: fc.constantFrom(...bypasses.map(({ sql }) => sql)) },
    )
    let shared = 0
    fc.assert(
      fc.property(text, fc.infiniteStream(fc.nat()), (text, choices) => {
        const tokens = tokensOf(text)
        if (!tokens) return
        const other = swap(text, tokens, () => choices.next().value)
        expect(shapeOf(other)).toBe(shapeOf(text))
        const first = fresh(text)
        const second = fresh(other)
        expect(first.parseError === undefined).toBe(second.parseError === undefined)
        if (!first.general) return
        shared++
        expect(meaning(second)).toEqual(meaning(first))
        expect(flow(other)).toEqual(flow(text))
        expect(skeleton(parseSync(other))).toEqual(skeleton(parseSync(text)))
      }),
      { seed: 18, numRuns: 4000 },
    )
    expect(shared).toBeGreaterThan(1000)
  })
})

/** The tokens by libpg-query, in our words. */
function scanned(text: string): Token[] {
  return scanSync(text).tokens.map(({ start, end, tokenName, keywordName, text }) => {
    const kind =
      tokenName === 'ICONST'
        ? 'int4'
        : tokenName === 'FCONST'
          ? /^\d+$/.test(text) && BigInt(text) <= 9223372036854775807n
            ? 'int8'
            : 'numeric'
          : tokenName === 'SCONST'
            ? 'string'
            : text.startsWith('"')
              ? 'quoted'
              : tokenName === 'IDENT' || keywordName !== 'NO_KEYWORD'
                ? 'word'
                : 'operator'
    return { kind, start, end } as Token
  })
}

const values: Record<string, string[]> = {
  int4: ['0', '1', '2', '3', '24', '53', '5', '77', '2147483647'],
  int8: ['2147483648', '9223372036854775807'],
  numeric: ['0.0', '1.5', '3.14159', '9223372036854775808'],
  string: [
    "''",
    "'t'",
    "'f'",
    "'role'",
    "'counter'",
    "'it''s'",
    "'vault.secrets'",
    "'client_encoding'",
    "'1'",
    "'--'",
    "'ColumnRef'",
  ],
}

function swap(text: string, tokens: Token[], choose: () => number): string {
  let swapped = ''
  let from = 0
  for (const { kind, start, end } of tokens) {
    const options = values[kind]
    if (!options) continue
    swapped += text.slice(from, start) + options[choose() % options.length]
    from = end
  }
  return swapped + text.slice(from)
}

/** Three other texts of the same shape. */
function swaps(text: string): string[] {
  const tokens = tokensOf(text)!
  return [0, 1, 3].map((by) =>
    swap(
      text,
      tokens,
      (() => {
        let next = by
        return () => ++next
      })(),
    ),
  )
}

/** With nothing remembered: a catalog of its own has a memory of its own. */
function fresh(text: string): Analysis {
  return world.analyse(text, { catalog: { ...world.catalog } as Catalog })
}

/** An analysis without what may differ: the text. */
function meaning({ statements, ...analysis }: Analysis) {
  return { ...analysis, statements: statements.map(({ text, ...statement }) => statement) }
}

function flow(text: string) {
  const classification = { catalog: { relation: () => undefined }, ofColumn: () => [], all: [], ofRelation: () => [] }
  return writeFlow(parseSync(text), { classification, written: [], touched: [] } as never)
}

/** A parse tree without values of literals and places in the text. */
function skeleton(tree: unknown): unknown {
  return JSON.parse(
    JSON.stringify(tree, (key, value) =>
      /location$|_(start|end)$/.test(key) ||
      key === 'stmt_len' ||
      /^(ival|fval)$/.test(key) ||
      (key === 'sval' && typeof value === 'object')
        ? undefined
        : value,
    ),
  )
}

/** Statements of many forms. */
function grammar(): fc.Arbitrary<string>[] {
  const column = fc.constantFrom(
    'id',
    'total',
    'orders.id',
    '"total"',
    'customer',
    'abs(total)',
    'lower(1)',
    'total(5)',
  )
  const constant = fc.constantFrom(
    '1',
    '2',
    '0',
    "'t'",
    "'a'",
    '1.5',
    '- 3',
    "'x'::text",
    "'x'::varchar(3)",
    'NULL',
    'true',
    "interval '1' day",
    '5::mood',
  )
  const value = fc.oneof(
    column,
    constant,
    fc.tuple(column, constant).map(([a, b]) => `${a} + ${b}`),
    constant.map((c) => `coalesce(${c}, 1)`),
  )
  const compare = fc.constantFrom('=', '<>', '<', '>=', '~', 'LIKE', '||', '@@@@')
  const simple = fc.oneof(
    fc.tuple(value, compare, value).map(([a, o, b]) => `${a} ${o} ${b}`),
    fc.tuple(value, value, value).map(([a, b, c]) => `${a} IN (${b}, ${c})`),
    fc.tuple(value, constant, constant).map(([a, b, c]) => `${a} BETWEEN ${b} AND ${c}`),
    value.map((a) => `${a} IS NOT NULL`),
    constant,
    fc.constantFrom(
      'EXISTS (SELECT 1 FROM notes WHERE id = 3)',
      "nextval('counter') > 1",
      "set_config('a.b', 'c', true) = 'x'",
      "CASE WHEN id > 1 THEN 't' ELSE 'f' END",
    ),
  )
  const condition = fc.oneof(
    simple,
    simple.map((a) => `NOT (${a})`),
    fc.tuple(simple, fc.constantFrom('AND', 'OR'), simple).map(([a, o, b]) => `${a} ${o} ${b}`),
    fc.tuple(simple, simple, simple).map(([a, b, c]) => `(${a} OR ${b}) AND ${c}`),
  )
  const tail = fc.constantFrom(
    '',
    ' LIMIT 5',
    ' ORDER BY 1',
    ' ORDER BY id LIMIT 3 OFFSET 4',
    ' GROUP BY 1',
    ' FOR UPDATE',
    ' OFFSET 3 ROWS FETCH NEXT 2 ROWS ONLY',
    ';',
  )
  return [
    fc.tuple(value, condition, tail).map(([a, c, t]) => `SELECT ${a} FROM orders WHERE ${c}${t}`),
    fc.tuple(value, value, condition).map(([a, b, c]) => `UPDATE orders SET total = ${a}, customer = ${b} WHERE ${c}`),
    condition.map((c) => `DELETE FROM orders WHERE ${c}`),
    fc
      .tuple(constant, constant, value)
      .map(([a, b, c]) => `INSERT INTO orders VALUES (${a}, ${b}, 5) ON CONFLICT (id) DO UPDATE SET total = ${c}`),
    fc
      .tuple(condition, value)
      .map(([c, a]) => `WITH a AS (SELECT id FROM orders WHERE ${c}) SELECT ${a} FROM orders, a`),
    fc
      .tuple(condition, constant)
      .map(([c, a]) => `MERGE INTO orders USING notes n ON ${c} WHEN MATCHED THEN UPDATE SET total = ${a}`),
  ]
}
