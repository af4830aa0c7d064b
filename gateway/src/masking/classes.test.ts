import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Classification, classify } from './classes.ts'
import type { CatalogRelation, ColumnCatalog } from './columns.ts'
import { keyOf } from './keys.ts'

interface Table {
  oid: string
  name: string
  columns: (string | null)[]
  kind?: string
  children?: string[]
  parents?: string[]
  reads?: string[]
}

/** A catalog out of a list: columns are numbered from 1, null is one that was dropped. `name` may be `schema.name`. */
function catalogOf(...tables: Table[]): ColumnCatalog {
  const relations = tables.map(({ oid, name, columns, kind = 'r', children = [], parents = [], reads = [] }) => {
    const [schema, table] = name.includes('.') ? (name.split('.') as [string, string]) : ['public', name]
    const relation: CatalogRelation = {
      oid,
      schema,
      name: table,
      kind,
      columns: new Map(
        columns.flatMap((column, at) =>
          column === null ? [] : [[at + 1, { attnum: at + 1, name: column, typeOid: 25, generated: false }] as const],
        ),
      ),
      children,
      parents,
      reads,
      calls: false,
    }
    return relation
  })
  return {
    relations,
    relation: (oid) => relations.find((one) => one.oid === oid),
    named: (schema, name) => relations.find((one) => one.schema === schema && one.name === name),
  }
}

const customers = { oid: '20001', name: 'customers', columns: ['id', 'email', 'city'] }
const kinds = (c: Classification) => c.problems.map(({ key, kind }) => `${key} ${kind}`)

describe('keys', () => {
  it.each<[key: string, schema: string, table: string, column: string, fits: boolean]>([
    ['*.*.email', 'public', 'a', 'email', true],
    ['*.*.email', 'public', 'a', 'Email', true],
    ['*.*.email', 'public', 'a', 'emails', false],
    ['*.*.*email*', 'x', 'y', 'work_email_2', true],
    ['public.*.ssn', 'crm', 'a', 'ssn', false],
    ['public.*.ssn', 'public', 'Odd Name', 'ssn', true],
    ['public.cust*.ssn', 'public', 'cust', 'ssn', true],
    ['*."*".ssn', 'a', '*', 'ssn', true],
    ['*."*".ssn', 'a', 'b', 'ssn', false],
    ['*."Person".name', 'a', 'Person', 'name', true],
    ['*."Person".name', 'a', 'person', 'name', false],
    ['a*b*c.t.c', 'axxbxbc', 't', 'c', true],
    ['a*b*c.t.c', 'axxbxb', 't', 'c', false],
    ['*.*.*', '', '', '', true],
    ['*.2024_*.x', 's', '2024_a', 'x', true],
  ])('%s on %s.%s.%s: %j', (key, schema, table, column, fits) => {
    const read = keyOf(key)
    expect(read?.is === 'pattern' && read.fits(schema, table, column)).toBe(fits)
  })

  it.each([
    'public.a',
    'a.b.c.d',
    'A.b.c',
    'a..c',
    'a.b.',
    '.a.b',
    '1a.b.c',
    'a.b.c ',
    'a."b.c',
    '',
    '*',
    '*.*',
    'a.b.é',
  ])('%j is none', (key) => {
    expect(keyOf(key)).toBeUndefined()
  })

  it('a star is what it is to everybody', () => {
    const letters = fc.array(fc.constantFrom('a', 'b', '*', '_'), { minLength: 1, maxLength: 8 }).map((l) => l.join(''))
    const name = fc.array(fc.constantFrom('a', 'b', 'B', '_'), { maxLength: 10 }).map((l) => l.join(''))
    fc.assert(
      fc.property(letters, name, (pattern, text) => {
        const read = keyOf(`*.t.${pattern}`)
        const expected = new RegExp(`^${pattern.replaceAll('*', '.*')}$`, 'i').test(text)
        expect(read?.is === 'pattern' && read.fits('s', 't', text)).toBe(expected)
      }),
      { seed: 20261121, numRuns: 2000 },
    )
  })

  it('no pattern takes long', () => {
    const key = keyOf(`${'*a'.repeat(30)}*b.t.c`)
    expect(key?.is === 'pattern' && key.fits('a'.repeat(100_000), 't', 'c')).toBe(false)
  }, 5_000)
})

describe('patterns', () => {
  it('classify what fits them, in tables and views of users alone', () => {
    const found = classify(
      { '*.*.email': 'email' },
      catalogOf(
        customers,
        { oid: '20002', name: 'crm.leads', columns: ['EMAIL', 'note'] },
        { oid: '20003', name: 'mails', columns: ['x', 'email'], kind: 'v' },
        { oid: '20004', name: 'counter', columns: ['email'], kind: 'S' },
        { oid: '1260', name: 'pg_catalog.things', columns: ['email'] },
      ),
    )
    expect(found.ofColumn('20001', 2)).toEqual(['email'])
    expect(found.ofColumn('20001', 1)).toEqual([])
    expect(found.ofColumn('20002', 1)).toEqual(['email'])
    expect(found.ofColumn('20003', 2)).toEqual(['email'])
    expect(found.ofColumn('20004', 1)).toEqual([])
    expect(found.ofColumn('1260', 1)).toEqual([])
    expect(found.problems).toEqual([])
    expect(found.all).toEqual(['email'])
  })

  it('give way to exact keys, on partitions too; none is no class', () => {
    const found = classify(
      { '*.*.email': 'email', '*.*.mail': 'email', 'public.customers.email': 'contact', 'public.news.mail': 'none' },
      catalogOf(
        { ...customers, kind: 'p', children: ['20002'] },
        { oid: '20002', name: 'customers_1', columns: ['email', 'id'], parents: ['20001'] },
        { oid: '20003', name: 'news', columns: ['mail', 'email'] },
      ),
    )
    expect(found.ofColumn('20001', 2)).toEqual(['contact'])
    expect(found.ofColumn('20002', 1)).toEqual(['contact'])
    expect(found.ofColumn('20003', 1)).toEqual([])
    expect(found.ofColumn('20003', 2)).toEqual(['email'])
    expect(found.all).toEqual(['contact', 'email'])
    expect(found.problems).toEqual([])
  })

  it('a column that is to have no class, and has gone: told, and nothing is masked for it', () => {
    const found = classify({ '*.*.mail': 'email', 'public.customers.mail': 'none' }, catalogOf(customers))
    expect(found.problems.map(({ problem }) => problem)).toEqual([
      'public.customers.mail, which is to have no class, is no column of the database: correct data_classes',
      'no column fits *.*.mail: correct data_classes, unless one is to come',
    ])
    expect(found.ofRelation('20001')).toEqual([])
  })

  it('several that fit one column give it all their classes', () => {
    const found = classify({ '*.*.email': 'email', 'public.*.*mail': 'post' }, catalogOf(customers))
    expect(found.ofColumn('20001', 2)).toEqual(['email', 'post'])
  })

  it('one that nothing fits is told, and its class is one of the database: its column may come', () => {
    const found = classify({ '*.*.emial': 'email' }, catalogOf(customers))
    expect(kinds(found)).toEqual(['*.*.emial unmatched'])
    expect(found.all).toEqual(['email'])
  })

  it('classify a column from the look that sees it; before, it is not known', () => {
    const config = { '*.*.email': 'email' }
    const first = classify(config, catalogOf({ oid: '20001', name: 'customers', columns: ['id'] }))
    expect(first.ofColumn('20001', 2)).toBeUndefined()
    expect(classify(config, catalogOf(customers), first).ofColumn('20001', 2)).toEqual(['email'])
  })
})

describe('exact keys', () => {
  const config = { 'public.customers.email': 'email' }
  const first = classify(config, catalogOf(customers, { oid: '20002', name: 'old', columns: ['a'] }))
  /** As kept across a restart. */
  const kept = {
    keys: new Map(JSON.parse(JSON.stringify([...first.keys])) as [string, { oid: string; attnum: number }][]),
  }

  it.each<[what: string, now: Table[], classified: string[], kind: string[]]>([
    ['nothing changed', [customers], ['20001 2'], []],
    ['the column was renamed', [{ ...customers, columns: ['id', 'mail', 'city'] }], ['20001 2'], ['renamed']],
    ['the table was renamed', [{ ...customers, name: 'people' }], ['20001 2'], ['renamed']],
    [
      'the table was renamed, and another has its name',
      [
        { ...customers, name: 'customers_old' },
        { oid: '20009', name: 'customers', columns: ['email'] },
      ],
      ['20001 2', '20009 1'],
      ['renamed'],
    ],
    ['it was made anew', [{ ...customers, oid: '20009' }], ['20009 2'], []],
    [
      'the column was dropped',
      [{ ...customers, columns: ['id', null, 'city', 'mail'] }],
      ['20001 1', '20001 3', '20001 4'],
      ['column'],
    ],
    [
      'the column was dropped and the table renamed',
      [{ ...customers, name: 'people', columns: ['id', null, 'city', 'mail'] }],
      ['20001 1', '20001 3', '20001 4'],
      ['column'],
    ],
    [
      'the table has gone, and others have come',
      [
        { oid: '20002', name: 'old', columns: ['a'] },
        { oid: '20003', name: 'people', columns: ['a', 'b'] },
      ],
      ['20003 1', '20003 2'],
      ['lost'],
    ],
    ['the table has gone', [{ oid: '20002', name: 'old', columns: ['a'] }], [], ['lost']],
  ])('known, and %s', (_, now, classified, kind) => {
    const catalog = catalogOf(...now)
    for (const before of [first, kept]) {
      const found = classify(config, catalog, before)
      expect(found.problems.map((problem) => problem.kind)).toEqual(kind)
      expect(
        now.flatMap(({ oid, columns }) =>
          columns.flatMap((_, at) => (found.ofColumn(oid, at + 1)?.includes('email') ? [`${oid} ${at + 1}`] : [])),
        ),
      ).toEqual(classified)
    }
  })

  it('lost stays lost, look after look, until the key is corrected', () => {
    const old = { oid: '20002', name: 'old', columns: ['a'] }
    const lost = classify(config, catalogOf(old), first)
    const later = classify(config, catalogOf(old, { oid: '20005', name: 'late', columns: ['a'] }), lost)
    expect(later.ofRelation('20005')).toEqual(['email'])
    expect(later.ofRelation('20002')).toEqual([])
    const corrected = classify(
      { 'public.late.a': 'email' },
      catalogOf(old, { oid: '20005', name: 'late', columns: ['a'] }),
      later,
    )
    expect(corrected.problems).toEqual([])
    expect([...corrected.keys.keys()]).toEqual(['public.late.a'])
  })

  it('of another database, where what was known says nothing: all that users made may be it', () => {
    const elsewhere = { keys: new Map([['public.customers.email', { oid: '0', attnum: 0 }]]) }
    const found = classify(config, catalogOf({ oid: '20002', name: 'old', columns: ['a'] }), elsewhere)
    expect(kinds(found)).toEqual(['public.customers.email lost'])
    expect(found.ofRelation('20002')).toEqual(['email'])
    expect(classify(config, catalogOf(customers), elsewhere).problems).toEqual([])
  })

  it('never known: told, and nothing is masked for it', () => {
    const found = classify(config, catalogOf({ oid: '20002', name: 'costumers', columns: ['email'] }))
    expect(kinds(found)).toEqual(['public.customers.email absent'])
    expect(found.ofRelation('20002')).toEqual([])
    expect(found.keys.size).toBe(0)
  })

  it('of a view mean the table behind it, too: so is a table moved', () => {
    const people = { oid: '20009', name: 'people', columns: ['contact', 'id'] }
    const view = { oid: '20010', name: 'customers', columns: ['email'], kind: 'v', reads: ['20009'] }
    const over = { oid: '20011', name: 'over', columns: ['mail'], kind: 'v', reads: ['20010'] }
    const catalog = catalogOf(people, view, over)
    catalog.relation('20010')!.columns.get(1)!.origin = { oid: '20009', attnum: 1 }
    catalog.relation('20011')!.columns.get(1)!.origin = { oid: '20010', attnum: 1 }
    const found = classify(config, catalog, kept)
    expect([found.ofColumn('20009', 1), found.ofColumn('20009', 2)]).toEqual([['email'], []])
    expect([found.ofColumn('20010', 1), found.ofColumn('20011', 1)]).toEqual([['email'], ['email']])
    expect(found.problems).toEqual([])
  })

  it('a table without the column is masked whole', () => {
    const found = classify({ 'public.customers.emial': 'email' }, catalogOf(customers))
    expect(kinds(found)).toEqual(['public.customers.emial column'])
    expect([1, 2, 3].map((n) => found.ofColumn('20001', n))).toEqual([['email'], ['email'], ['email']])
  })

  it('unreadable ones are told', () => {
    expect(kinds(classify({ 'customers.email': 'email' }, catalogOf(customers)))).toEqual(['customers.email form'])
  })
})
