import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { parseSync } from 'libpg-query'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { alterTable, nodes, objects } from './nodes.ts'
import { examples } from './statements.corpus.ts'
import { neverParsed, statements } from './statements.ts'
import { short, startWorld, type World } from './testing/world.ts'

const require = createRequire(import.meta.url)
const parser = dirname(require.resolve('libpg-query'))
/** The parser itself: the names with which its C code prints nodes and enums as JSON. */
const binary = readFileSync(join(parser, 'libpg-query.wasm')).toString('latin1')
const printed = [...new Set([...binary.matchAll(/"([A-Z][A-Za-z_]*)":\{/g)].map((match) => match[1]!))].sort()

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world?.[Symbol.asyncDispose]())

describe('everything that the parser can print is in a table', () => {
  test('statements', () => {
    const found = printed.filter((name) => name.endsWith('Stmt'))
    expect(found.length).toBeGreaterThan(100)
    expect([...Object.keys(statements), ...neverParsed].sort()).toEqual(found)
  })

  test('all other nodes', () => {
    const found = printed.filter((name) => !name.endsWith('Stmt') && !name.startsWith('PLpgSQL_'))
    expect(found.length).toBeGreaterThan(100)
    expect(Object.keys(nodes)).toEqual(expect.arrayContaining(['A_Star', ...found]))
  })

  test.each([
    ['AT_', alterTable],
    ['OBJECT_', objects],
  ])('%s…', (prefix, table) => {
    const found = [...binary.matchAll(new RegExp(`(?<![A-Za-z_])${prefix}[A-Za-z_]+(?=\\0)`, 'g'))].map(
      ([name]) => name,
    )
    expect(found.length).toBeGreaterThan(40)
    expect(Object.keys(table)).toEqual(expect.arrayContaining(found))
  })

  test('fields in which a node stands without its name are known to walk.ts', () => {
    const types = readFileSync(require.resolve('@pgsql/types/types.d.ts', { paths: [parser] }), 'utf8')
    const bare = new Set<string>()
    for (const [, owner, body] of types.matchAll(/export interface (\w+) \{(.*?)\n\}/gs)) {
      if (nodes[owner!] === 'never' || neverParsed.includes(owner!)) continue
      for (const [, field, type] of body!.matchAll(/\n\s+(\w+)\?: (\w+)(?:\[\])?;/g)) {
        if (nodes[type!] === 'rule' || statements[type!]) bare.add(`${type} ${field}`)
      }
    }
    const rangeVars = [...bare].filter((name) => name.startsWith('RangeVar '))
    expect([...bare].filter((name) => !rangeVars.includes(name)).sort()).toEqual([
      'CreateStmt base',
      'FuncCall funccall',
      // Of ALTER DEFAULT PRIVILEGES, which is sql:admin anyhow.
      'GrantStmt action',
      'SelectStmt larg',
      'SelectStmt rarg',
      // Types that are declared: nothing is cast to them.
      'TypeName argType',
      'TypeName datatype',
      'TypeName ofTypename',
      'TypeName returnType',
      'TypeName sourcetype',
      'TypeName storedtype',
      'TypeName targettype',
      'TypeName typeName',
      'TypeName type_name',
      'VariableSetStmt setstmt',
    ])
  })
})

describe('examples', () => {
  test('every statement that the grammar gives has one', () => {
    const shown = new Set(examples.map((sql) => Object.keys(parseSync(sql).stmts![0]!.stmt!)[0]!))
    const parts = Object.keys(statements).filter((name) => statements[name]!.does === 'part')
    expect([...shown, ...parts].sort()).toEqual(Object.keys(statements).sort())
  })

  test('have the effects that docs/policy.md says', () => {
    const table = examples.map((sql) => {
      const analysis = world.analyse(sql, { prepared: () => 'TABLE notes', portal: () => 'TABLE notes' })
      expect(analysis.refused).toBeUndefined()
      const effects = short(analysis).map((line) => {
        const [action, on, kind] = line.split(/ (?=[^ ]+(?: |$))/) as [string, string, string]
        return `sql:${action} on ${on === '.' ? 'the connection' : on} (${kind.replace('!', ', unbounded')})`
      })
      return `| \`${sql}\` | ${effects.join('; ')} |`
    })
    const docs = readFileSync(new URL('../../../../docs/policy.md', import.meta.url), 'utf8')
    const [, said] = docs.split('| statement | effects |\n|---|---|\n')
    expect((said ?? '').split('\n\n')[0]!.trim().split('\n')).toEqual(table)
  })
})
