import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Store } from '../store/store.ts'
import { openFreshStore } from '../store/testing/fresh.ts'
import { openKnownColumns } from './earlier.ts'

let folder: string
let store: Store
const errors: unknown[] = []
const log = { error: (...said: unknown[]) => void errors.push(said) }
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-earlier-'))
  store = await openFreshStore(join(folder, 'store.sqlite'))
  errors.length = 0
})
afterEach(async () => {
  await store[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const orders = { host: '10.0.0.5', port: 5432, database: 'orders' }
const classes = { 'public.a.email': 'email', 'public.a.ssn': 'ssn' }
const email = { oid: '20001', attnum: 2, newest: 20_009 }

it('what a key stood for is there after a restart, for that database and while the key is configured', async () => {
  {
    await using known = await openKnownColumns(store, log)
    const { load, save } = known.of(orders, classes)
    expect(load()).toBeUndefined()
    save(new Map([['public.a.email', { ...email, newest: 20_002 }]]))
    save(new Map([['public.a.email', email]]))
    expect(load()).toEqual(new Map([['public.a.email', email]]))
  }
  await using known = await openKnownColumns(store, log)
  expect(known.of(orders, classes).load()).toEqual(new Map([['public.a.email', email]]))
  expect(known.of({ ...orders, host: '10.0.0.6' }, classes).load()).toBeUndefined()
  expect(known.of(orders, { 'public.a.ssn': 'ssn' }).load()).toBeUndefined()
  expect(errors).toEqual([])
})

it('connections to one database know what the others found, and forget what none names', async () => {
  {
    await using known = await openKnownColumns(store, log)
    known.of(orders, classes).save(new Map([['public.a.email', email]]))
    known.of(orders, { 'public.a.ssn': 'ssn' }).save(new Map([['public.a.ssn', { ...email, attnum: 3 }]]))
    known.keepOnly([
      { ...orders, data_classes: { 'public.a.email': 'email' } },
      { ...orders, data_classes: { 'public.a.ssn': 'ssn' } },
    ])
    expect([...known.of(orders, classes).load()!.keys()]).toEqual(['public.a.email', 'public.a.ssn'])
    known.keepOnly([{ ...orders, data_classes: { 'public.a.ssn': 'ssn' } }])
    expect([...known.of(orders, classes).load()!.keys()]).toEqual(['public.a.ssn'])
  }
  await using known = await openKnownColumns(store, log)
  expect([...known.of(orders, classes).load()!.keys()]).toEqual(['public.a.ssn'])
})

it('a store that fails is told of, stops nobody, and is tried again', async () => {
  const known = await openKnownColumns(store, log)
  const earlier = known.of(orders, classes)
  await store.db.schema.alterTable('classified_columns').renameTo('away').execute()
  earlier.save(new Map([['public.a.email', email]]))
  await known.written()
  expect(errors).toHaveLength(1)
  expect(earlier.load()?.get('public.a.email')).toEqual(email)
  await store.db.schema.alterTable('away').renameTo('classified_columns').execute()
  earlier.save(new Map([['public.a.ssn', { ...email, attnum: 3 }]]))
  await known.written()
  const again = await openKnownColumns(store, log)
  expect([...again.of(orders, classes).load()!.keys()].sort()).toEqual(['public.a.email', 'public.a.ssn'])
})
