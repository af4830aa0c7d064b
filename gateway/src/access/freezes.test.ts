import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Freeze } from '@countersign/contract/access'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Store } from '../store/store.ts'
import { openFreshStore } from '../store/testing/fresh.ts'
import { putConfigured } from './connections.ts'
import { type Freezes, openFreezes } from './freezes.ts'

const ada = { id: 'https://idp#ada', issuer: 'https://idp', subject: 'ada', name: 'Ada' }
const ben = { ...ada, id: 'https://idp#ben', subject: 'ben', name: 'Ben' }

let folder: string
let store: Store
let now: number
beforeEach(async () => {
  now = Date.parse('2026-11-21T10:00:00Z')
  folder = mkdtempSync(join(tmpdir(), 'freezes-'))
  store = await openFreshStore(join(folder, 'store.db'))
})
afterEach(async () => {
  await store[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const opened = () => openFreezes({ store, clock: () => now })
const said = async () => {
  const audit = await store.db.selectFrom('audit_outbox').selectAll().orderBy('id').execute()
  const feed = await store.db.selectFrom('feed').selectAll().orderBy('seq').execute()
  return {
    audit: audit.map(({ type, payload }) => ({ type, ...JSON.parse(payload) })),
    feed: feed.map(({ type, data }) => ({ type, ...JSON.parse(data) })),
  }
}

test('a freeze is over its connection alone, and over all where it is of everything', async () => {
  const freezes = await opened()
  expect(freezes.over('orders')).toBeUndefined()
  const freeze = await freezes.freeze('orders', ada, 'odd')
  expect(freeze).toMatchObject({ connection: 'orders', by: ada, reason: 'odd', at: '2026-11-21T10:00:00.000Z' })
  expect(freezes.over('orders')).toBe(freeze)
  expect(freezes.over('other')).toBeUndefined()
  const all = await freezes.freeze('*', ben, 'worse')
  expect([freezes.over('orders'), freezes.over('other')]).toEqual([all, all])
  await freezes.unfreeze('*', ada, 'fine')
  expect([freezes.over('orders'), freezes.over('other')]).toEqual([freeze, undefined])
})

test('twice is told apart from once, also at the same moment', async () => {
  const freezes = await opened()
  const both = await Promise.all([freezes.freeze('orders', ada, 'one'), freezes.freeze('orders', ben, 'two')])
  expect(both.filter((one) => one === 'already')).toHaveLength(1)
  expect(await freezes.unfreeze('other', ada, 'x')).toBe('not-frozen')
  now += 1000
  const ends = await Promise.all([freezes.unfreeze('orders', ada, 'done'), freezes.unfreeze('orders', ben, 'done')])
  expect(ends.filter((one) => one === 'not-frozen')).toHaveLength(1)
  expect(freezes.over('orders')).toBeUndefined()
  expect(await freezes.freeze('orders', ada, 'again')).toMatchObject({ reason: 'again' })
})

test('a restart lifts nothing, and brings nothing back', async () => {
  const freezes = await opened()
  const freeze = await freezes.freeze('orders', ada, 'odd')
  await freezes.freeze('other', ada, 'odd')
  await freezes.unfreeze('other', ada, 'fine')
  const again = await opened()
  expect(again.over('orders')).toEqual(freeze)
  expect(again.over('other')).toBeUndefined()
})

test('it is in force before anybody is told, and is told once', async () => {
  const freezes = await opened()
  const told: (Freeze | undefined)[] = []
  const end = freezes.onFrozen((freeze) => told.push(freezes.over(freeze.connection)))
  const freeze = await freezes.freeze('orders', ada, 'odd')
  await freezes.freeze('orders', ada, 'odd')
  end()
  await freezes.freeze('*', ada, 'odd')
  expect(told).toEqual([freeze])
})

test('ledger and feed have each freeze and its end', async () => {
  const freezes = await opened()
  const freeze = (await freezes.freeze('orders', ada, 'odd')) as Freeze
  await freezes.freeze('orders', ben, 'odd, too')
  now += 60_000
  const ended = (await freezes.unfreeze('orders', ben, 'fine')) as Freeze
  expect(ended).toEqual({ ...freeze, ended: { by: ben, reason: 'fine', at: '2026-11-21T10:01:00.000Z' } })
  const entry = { freeze: freeze.id, connection: 'orders' }
  expect(await said()).toEqual({
    audit: [
      { type: 'connection.frozen', ...entry, by: ada, reason: 'odd' },
      { type: 'connection.unfrozen', ...entry, by: ben, reason: 'fine' },
    ],
    feed: [
      { type: 'connection.frozen', ...freeze },
      { type: 'connection.unfrozen', ...ended },
    ],
  })
})

test('what cannot be written down is not in force', async () => {
  const freezes: Freezes = await opened()
  await store.db.schema.dropTable('audit_outbox').execute()
  await expect(freezes.freeze('orders', ada, 'odd')).rejects.toThrow()
  expect(freezes.over('orders')).toBeUndefined()
  expect((await opened()).over('orders')).toBeUndefined()
})

test('connections are written down whenever they are others than before, in whatever order they come', async () => {
  const orders = { name: 'orders', kind: 'postgres', tags: ['a'], access: 'jit' as const, mode: 'enforce' as const }
  const files = { ...orders, name: 'files', access: 'standing' as const }
  const put = (...all: (typeof orders | typeof files)[]) =>
    store.db.transaction().execute((tx) => putConfigured(tx, all, new Date(now)))
  expect(await put(orders, files)).toBe(true)
  expect(await put(files, { ...orders })).toBe(false)
  // The clock was put back meanwhile.
  now -= 60_000
  expect(await put(orders)).toBe(true)
  expect(await put(orders, files)).toBe(true)
  const rows = await store.db.selectFrom('connection_versions').selectAll().orderBy('id').execute()
  expect(rows.map(({ at, connections }) => [at, JSON.parse(connections)])).toEqual([
    ['2026-11-21T10:00:00.000Z', [files, orders]],
    ['2026-11-21T10:00:00.001Z', [orders]],
    ['2026-11-21T10:00:00.002Z', [files, orders]],
  ])
  const entries = await store.db.selectFrom('audit_outbox').selectAll().orderBy('id').execute()
  expect(entries.map(({ at, type, payload }) => [type, at, JSON.parse(payload).connections])).toEqual(
    rows.map(({ at, connections }) => ['connections.configured', at, JSON.parse(connections)]),
  )
})
