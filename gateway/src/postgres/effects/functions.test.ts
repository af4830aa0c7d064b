import { afterAll, beforeAll, expect, test } from 'vitest'
import { charged, dataInCatalogs } from './functions.corpus.ts'
import { harmless } from './functions.ts'
import { harmlessCatalogs, harmlessNames } from './harmless.ts'
import { short, startWorld, type World } from './testing/world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world?.[Symbol.asyncDispose]())

const names = Object.values(charged).flatMap((list) => list.trim().split(/\s+/))

/** Functions of the server that a query can call: none of their arguments or results is the server's own business. */
const callable = `SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND oid < 16384
  AND NOT proargtypes::oid[] && ARRAY['internal'::regtype, 'trigger'::regtype]::oid[] AND prorettype NOT IN ('internal'::regtype, 'trigger'::regtype,
    'event_trigger'::regtype, 'language_handler'::regtype, 'index_am_handler'::regtype, 'table_am_handler'::regtype,
    'tsm_handler'::regtype, 'fdw_handler'::regtype)`

test('every function that the server brings is in one of the two lists', async () => {
  const found = (await world.query(callable)).map(([name]) => name!)
  expect(found.length).toBeGreaterThan(2000)
  const known = new Set([...harmlessNames, ...names])
  expect(
    found.filter((name) => !known.has(name)),
    'look at these, then put them into harmless.ts or functions.corpus.ts',
  ).toEqual([])
  expect(names.filter((name) => harmlessNames.has(name))).toEqual([])
  expect([...known].filter((name) => !found.includes(name))).toEqual([])
})

test('a function is harmless if and only if it is in that list', async () => {
  const found = (await world.query(callable)).flatMap(([name]) => world.catalog.routines(name!))
  const here = found.filter(({ schema }) => schema === 'pg_catalog')
  expect([...new Set(here.filter(harmless).map(({ name }) => name))].sort()).toEqual([...harmlessNames].sort())
  for (const routine of here.filter(({ name }) => names.includes(name))) expect(harmless(routine)).toBe(false)
})

test('functions that may not be called by everybody are not harmless', async () => {
  const guarded =
    await world.query(`SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
    AND oid < 16384 AND NOT has_function_privilege('pg_monitor', oid, 'EXECUTE')`)
  expect(guarded.length).toBeGreaterThan(20)
  expect(guarded.flat().filter((name) => harmlessNames.has(name!))).toEqual([])
})

test.each(names)('%s is charged for wherever it is called', async (name) => {
  for (const { arguments: count } of world.catalog.routines(name)) {
    const args = Array.from({ length: count }, () => 'NULL').join(', ')
    const effects = short(world.analyse(`SELECT ${name}(${args})`))
    const analysis = world.analyse(`SELECT ${name}(${args})`)
    expect(analysis.refused ?? effects.find((effect) => /^(call|unknown|admin|read) /.test(effect))).toBeDefined()
  }
})

test('every relation that the server brings is harmless or a table to policy', async () => {
  const rows = await world.query(`SELECT relname FROM pg_class WHERE relnamespace IN ('pg_catalog'::regnamespace,
    'information_schema'::regnamespace) AND relkind IN ('r', 'v') AND oid < 16384 ORDER BY 1`)
  const found = rows.map(([name]) => name!)
  expect(found.filter((name) => !harmlessCatalogs.has(name))).toEqual(dataInCatalogs)
  expect([...harmlessCatalogs].filter((name) => !found.includes(name))).toEqual([])
  for (const name of dataInCatalogs) {
    const schema = /^(_pg_user|user_)/.test(name) ? 'information_schema' : 'pg_catalog'
    expect(short(world.analyse(`TABLE ${schema}.${name}`))).toEqual([`read ${schema}.${name} select`])
  }
})

test('what may not be read by everybody is a table to policy', async () => {
  const guarded = await world.query(`SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace
    AND relkind IN ('r', 'v') AND NOT has_any_column_privilege('pg_monitor', oid, 'SELECT')`)
  expect(guarded.length).toBeGreaterThan(5)
  expect(guarded.flat().filter((name) => harmlessCatalogs.has(name!))).toEqual([])
})
