import fc from 'fast-check'

/** A query, and which of its columns are plainly innocent: unclassified base columns, by whatever detour. */
export interface TestQuery {
  sql: string
  innocent: boolean[]
}

interface Source {
  sql: string
  columns: { name: string; innocent: boolean }[]
}

const relation = (sql: string, columns: string): Source => ({
  sql,
  columns: columns.split(' ').map((name) => ({ name: name.replace('!', ''), innocent: !name.endsWith('!') })),
})

/** What ends in ! is classified or computed from it. */
const relations = [
  relation('customers', 'id name! email! pin! city handle! town'),
  relation('orders', 'id customer total note'),
  relation('vault.cards', 'id number! label'),
  relation('vault.cards_1', 'id number! label'),
  relation('derived', 'id label secret!'),
  relation('base', 'id label'),
  relation('people', 'id contact! city who! letters!'),
  relation('over_people', 'id c2! c3 total'),
  relation('kept', 'id m! city'),
  relation('both_ways', 'id! v!'),
]

/** Ways to compute something of a column; whatever comes of it counts as not innocent. */
const wrappings = [
  (x: string) => `upper(${x}::text)`,
  (x: string) => `reverse(${x}::text)`,
  (x: string) => `substr(${x}::text, 2)`,
  (x: string) => `${x}::varchar(40)`,
  (x: string) => `${x}::text::bytea`,
  (x: string) => `encode(${x}::text::bytea, 'hex')`,
  (x: string) => `coalesce(${x}, ${x})`,
  (x: string) => `CASE WHEN true THEN ${x} END`,
  (x: string) => `ARRAY[${x}, ${x}]`,
  (x: string) => `ROW(${x}, 1)`,
  (x: string) => `to_jsonb(${x})`,
  (x: string) => `json_build_object('k', ${x})`,
  (x: string) => `xmlelement(name e, ${x})`,
  (x: string) => `max(${x}) OVER ()`,
  (x: string) => `(SELECT ${x})`,
  (x: string) => `string_to_array(${x}::text, 'q')`,
  (x: string) => `format('%s', ${x})`,
  (x: string) => `${x} || ''`,
  (x: string) => `nullif(${x}::text, '')::json`,
]

const index = fc.nat(1000)
const pick = <V>(from: readonly V[], at: number): V => from[at % from.length]!

const base: fc.Arbitrary<Source> = fc.constantFrom(...relations)

/** Something to select from, of a depth. */
const source = (depth: number): fc.Arbitrary<Source> => {
  if (depth === 0) return base
  const deeper = query(depth - 1).map(({ sql, columns }) => ({ sql: `(${sql})`, columns }))
  return fc.oneof({ weight: 2, arbitrary: base }, { weight: 1, arbitrary: deeper })
}

interface Query extends Source {}

function query(depth: number): fc.Arbitrary<Query> {
  const from = fc.record({ left: source(depth), right: fc.option(source(depth)), how: index })
  const items = fc.array(fc.record({ at: index, wrap: fc.option(index, { freq: 1 }), whole: fc.boolean() }), {
    minLength: 1,
    maxLength: 5,
  })
  return fc
    .record({ from, items, end: index, second: fc.option(fc.constantFrom(...relations)), shape: index })
    .map(({ from, items, end, second, shape }) => {
      const sides = [{ alias: 'a', ...from.left }, ...(from.right ? [{ alias: 'b', ...from.right }] : [])]
      const available = sides.flatMap(({ alias, columns }) =>
        columns.map((column) => ({ ...column, text: `${alias}.${column.name}` })),
      )
      const columns: Source['columns'] = []
      const list = items.map(({ at, wrap, whole }, position) => {
        const name = `c${position}`
        const found = pick(available, at)
        if (wrap !== null && whole) {
          columns.push({ name, innocent: false })
          const row = pick(sides, at).alias
          return `${pick([row, `row_to_json(${row})`, `${row}::text`, `array_agg(${row}) OVER ()`], wrap)} AS ${name}`
        }
        columns.push({ name, innocent: found.innocent && wrap === null })
        return `${wrap === null ? found.text : pick(wrappings, wrap)(found.text)} AS ${name}`
      })
      const join = pick([', ', ' CROSS JOIN ', ' NATURAL JOIN ', ' NATURAL FULL JOIN '], from.how)
      const tables = sides.map(({ sql, alias }) => `${sql} ${alias}`).join(join)
      const plain = `SELECT ${pick(['', 'DISTINCT '], end)}${list.join(', ')} FROM ${tables} LIMIT 3`
      if (shape % 4 === 0) return { sql: `WITH w AS (${plain}) SELECT * FROM w`, columns }
      if (shape % 4 === 1 && second) {
        const other = pick(second.columns, end).name
        const union = `SELECT ${list[0]!} FROM ${tables} UNION ALL SELECT ${other} FROM ${second.sql}`
        return { sql: union, columns: [{ name: 'c0', innocent: false }] }
      }
      if (shape % 4 === 2 && shape % 3 === 0) {
        const folded = items.map(
          ({ at }, n) =>
            `${pick(['max', 'array_agg', 'string_agg', 'json_agg'], n + end)}(${pick(available, at).text}${pick(['', '', ", ','", ''], n + end)})`,
        )
        const named = folded.map((text, n) => `${text} AS c${n}`)
        return {
          sql: `SELECT ${named.join(', ')} FROM ${tables}`,
          columns: folded.map((_, n) => ({ name: `c${n}`, innocent: false })),
        }
      }
      return { sql: plain, columns }
    })
}

/** Statements that change rows and answer with them. They change nothing that another test would miss. */
const changes: fc.Arbitrary<TestQuery> = fc.constantFrom(
  {
    sql: 'UPDATE customers SET city = city WHERE id = 1 RETURNING id, email, city, upper(name)',
    innocent: [true, false, true, false],
  },
  { sql: 'DELETE FROM vault.cards WHERE false RETURNING *', innocent: [true, false, true] },
  {
    sql: 'WITH u AS (UPDATE orders SET total = total RETURNING note, id) SELECT u.note, c.email FROM u, customers c',
    innocent: [true, false],
  },
  {
    sql: 'UPDATE orders o SET total = total FROM customers c WHERE c.id = o.customer RETURNING c.email, c, o',
    innocent: [false, false, false],
  },
  { sql: 'UPDATE customers SET email = email RETURNING old.email, new.email, old', innocent: [false, false, false] },
)

export const queries: fc.Arbitrary<TestQuery> = fc.oneof(
  {
    weight: 12,
    arbitrary: query(2).map(({ sql, columns }) => ({ sql, innocent: columns.map(({ innocent }) => innocent) })),
  },
  { weight: 1, arbitrary: changes },
)
