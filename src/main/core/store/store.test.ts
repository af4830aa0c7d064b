import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { temporaryFolder } from '../testing/console.ts'
import { someApproval, someSession } from '../testing/small-gateway.ts'
import { openStore } from './store.ts'

test('what was seen is there at the next start, for this account only', () => {
  using folder = temporaryFolder()
  {
    using store = openStore(folder.path)
    store.saveApprovals([someApproval()])
    store.keep('seq', 7)
  }
  using store = openStore(folder.path)
  expect(store.approvals()).toEqual([expect.objectContaining({ id: 'ap_1' })])
  expect(store.kept('seq', z.number())).toBe(7)
  if (process.platform !== 'win32')
    for (const name of readdirSync(folder.path)) expect(statSync(join(folder.path, name)).mode & 0o077).toBe(0)
})

test('a store of a newer version is left alone, with a sentence', () => {
  using folder = temporaryFolder()
  openStore(folder.path)[Symbol.dispose]()
  const db = new Database(join(folder.path, 'console.sqlite'))
  db.pragma('user_version = 99')
  db.close()
  expect(() => openStore(folder.path)).toThrow('newer version of the console')
})

test('rows that no longer fit are left out, not fatal', () => {
  using folder = temporaryFolder()
  using store = openStore(folder.path)
  store.saveApprovals([someApproval(), { ...someApproval(), id: 'ap_2', state: 'odd' as 'pending' }])
  store.keep('seq', 'not a number')
  expect(store.approval('ap_2')).toBeUndefined()
  expect(store.kept('seq', z.number())).toBeUndefined()
})

test('a failure in the middle changes nothing', () => {
  using folder = temporaryFolder()
  using store = openStore(folder.path)
  expect(() =>
    store.together(() => {
      store.saveApprovals([someApproval()])
      throw new Error('power cut')
    }),
  ).toThrow('power cut')
  expect(store.approvals()).toEqual([])
})

test('sessions come in pages, newest first, each once', () => {
  using folder = temporaryFolder()
  using store = openStore(folder.path)
  const at = (n: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, Math.floor(n / 3))).toISOString()
  store.saveSessions(Array.from({ length: 50 }, (_, n) => ({ ...someSession(), id: `se_${n}`, openedAt: at(n) })))
  const seen: string[] = []
  let after: string | null = null
  do {
    const page = store.sessions({ limit: 7, ...(after ? { after } : {}) })
    seen.push(...page.items.map(({ id }) => id))
    after = page.next
  } while (after)
  expect(new Set(seen).size).toBe(50)
  expect(seen).toHaveLength(50)
})

test('any words can be searched for: they are words, never a pattern or SQL', () => {
  using folder = temporaryFolder()
  using store = openStore(folder.path)
  fc.assert(
    fc.property(
      fc.string({ minLength: 1, maxLength: 20 }).filter((text) => !text.includes('\0')),
      (text) => {
        store.forgetLists()
        store.saveSessions([{ ...someSession(), id: 'x', purpose: `before${text}after` }])
        expect(store.sessions({ text, limit: 5 }).items).toHaveLength(1)
        expect(store.sessions({ text: `${text}nowhere`, limit: 5 }).items).toHaveLength(0)
      },
    ),
    { numRuns: 100, seed: 3 },
  )
})
