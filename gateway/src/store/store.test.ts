import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Session } from '@countersign/contract/session'
import Database from 'better-sqlite3'
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { appendFeed, type StoredMessage } from './feed.ts'
import { openStore, type Store, StoreError } from './store.ts'

let folder: string
let file: string
const opened: Store[] = []
const open = async (options?: Parameters<typeof openStore>[1]) => {
  const store = await openStore(file, options)
  opened.push(store)
  return store
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-store-'))
  file = join(folder, 'gateway.db')
})
afterEach(async () => {
  for (const store of opened.splice(0)) await store[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

function session(id: string): Session {
  return {
    id,
    state: 'open',
    connection: 'orders',
    connectionTags: [],
    protocol: 'postgres',
    mode: 'enforce',
    agent: 'https://idp#bot',
    identity: { id: 'https://idp#bot', issuer: 'https://idp', subject: 'bot', name: 'bot', groups: [] },
    client: { address: '127.0.0.1' },
    openedAt: '2026-01-01T00:00:00.000Z',
    counts: { commands: 0, held: 0, denied: 0, errors: 0 },
    recording: { bytes: 0, complete: false },
  }
}
const say = (store: Store, id: string) =>
  store.db.transaction().execute((tx) => appendFeed(tx, 'session.opened', session(id)))
const heard = (store: Store, count: number) => {
  const messages: StoredMessage[] = []
  let done: () => void
  const all = new Promise<void>((resolve) => {
    done = resolve
  })
  const stop = store.feed.subscribe((message) => {
    messages.push(message)
    if (messages.length === count) done()
  })
  return { messages, all, stop }
}

describe('opening', () => {
  test('nobody but the owner may read database, log and shared memory', async () => {
    await writeFile(file, '', { mode: 0o644 })
    const store = await open()
    await say(store, 's1')
    for (const suffix of ['', '-wal', '-shm']) expect((await stat(file + suffix)).mode & 0o777).toBe(0o600)
  })

  test('is durable: WAL, a sync at every commit, foreign keys', async () => {
    const { db } = await open()
    const ask = async (pragma: string) =>
      Object.values((await sql.raw(`pragma ${pragma}`).execute(db)).rows[0] as object)
    expect(await ask('journal_mode')).toEqual(['wal'])
    expect(await ask('synchronous')).toEqual([2])
    expect(await ask('foreign_keys')).toEqual([1])
    await expect(
      db
        .insertInto('decisions')
        .values({
          approval: 'ap_none',
          person: 'p',
          person_name: 'P',
          person_groups: '[]',
          verdict: 'approve',
          reason: '',
          window: 'once',
          at: '',
        })
        .execute(),
    ).rejects.toThrow(/FOREIGN KEY/)
  })

  test('what was committed is there after opening again', async () => {
    const first = await open()
    await say(first, 's1')
    await opened.pop()![Symbol.asyncDispose]()
    const again = await open()
    expect(await again.feed.since(0)).toMatchObject({ reset: false, messages: [{ seq: 1, data: { id: 's1' } }] })
  })

  test('a database of a newer version is refused in words', async () => {
    const store = await open()
    await sql`insert into kysely_migration (name, timestamp) values ('9999_future', '')`.execute(store.db)
    await opened.pop()![Symbol.asyncDispose]()
    const refusal = await openStore(file).catch((e: unknown) => e)
    expect(refusal).toBeInstanceOf(StoreError)
    expect(refusal).toMatchObject({
      code: 'newer',
      message: expect.stringMatching(/newer version.*9999_future.*run that/),
    })
  })

  test("somebody else's database is refused and left as it is", async () => {
    const other = new Database(file)
    other.exec('create table theirs (a)')
    other.close()
    await expect(openStore(file)).rejects.toMatchObject({ code: 'foreign' })
    const after = new Database(file)
    expect(after.prepare('select count(*) n from sqlite_master').get()).toEqual({ n: 1 })
    after.close()
  })

  test('a file that is no database is refused', async () => {
    await writeFile(file, 'x'.repeat(5000))
    await expect(openStore(file)).rejects.toMatchObject({ code: 'unusable', message: expect.stringContaining(file) })
  })
})

describe('a full disk', () => {
  test('is an error, leaves nothing half done, and the store works again once there is room', async () => {
    const store = await open()
    await say(store, 's1')
    const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(store.db)
    await sql.raw(`pragma max_page_count = ${rows[0]!.page_count}`).execute(store.db)
    const large = { ...session('s2'), closedBecause: 'x'.repeat(200_000) }
    const refusal = await store.db
      .transaction()
      .execute(async (tx) => {
        await appendFeed(tx, 'session.opened', session('before'))
        await appendFeed(tx, 'session.opened', large)
      })
      .catch((e: unknown) => e)
    expect(refusal).toMatchObject({ code: 'SQLITE_FULL' })
    expect(await store.feed.newest()).toBe(1)
    await sql.raw('pragma max_page_count = 1000000').execute(store.db)
    expect(await say(store, 's3')).toBe(2)
  })
})

describe('feed', () => {
  test('is heard in order, none left out, whoever commits at once', async () => {
    const store = await open()
    const { messages, all } = heard(store, 50)
    await Promise.all(Array.from({ length: 50 }, (_, i) => say(store, `s${i}`)))
    await all
    expect(messages.map((m) => m.seq)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1))
  })

  test('what is rolled back is never heard, and leaves no gap', async () => {
    const store = await open()
    const { messages, all } = heard(store, 2)
    await say(store, 's1')
    await store.db
      .transaction()
      .execute(async (tx) => {
        await appendFeed(tx, 'session.opened', session('undone'))
        throw new Error('no')
      })
      .catch(() => {})
    await say(store, 's2')
    await all
    expect(messages.map((m) => [m.seq, (m.data as Session).id])).toEqual([
      [1, 's1'],
      [2, 's2'],
    ])
  })

  test('is not heard before the commit', async () => {
    const store = await open()
    const { messages, all } = heard(store, 1)
    await store.db.transaction().execute(async (tx) => {
      await appendFeed(tx, 'session.opened', session('s1'))
      for (let i = 0; i < 10; i++) await tx.selectFrom('feed').selectAll().execute()
      expect(messages).toEqual([])
    })
    await all
    expect(messages).toHaveLength(1)
  })

  test('a listener that throws spoils nothing for the others; one that left hears nothing', async () => {
    const errors: unknown[] = []
    const store = await open({ log: { error: (e: unknown) => void errors.push(e) } as never })
    store.feed.subscribe(() => {
      throw new Error('broken')
    })
    const left = heard(store, 1)
    left.stop()
    const { all } = heard(store, 1)
    await say(store, 's1')
    await all
    expect(left.messages).toEqual([])
    expect(errors).toHaveLength(1)
  })

  test('resumes from any number still kept, and says reset for others', async () => {
    const store = await open({ feedKeeps: 10 })
    const { all } = heard(store, 30)
    for (let i = 1; i <= 30; i++) await say(store, `s${i}`)
    await all
    await say(store, 's31')
    const oldest = await store.feed.oldest()
    expect(oldest).toBeGreaterThan(1)
    expect(31 - oldest + 1).toBeGreaterThanOrEqual(10)
    expect(await store.feed.since(oldest - 2)).toEqual({ reset: true, seq: 31 })
    expect(await store.feed.since(0)).toEqual({ reset: true, seq: 31 })
    expect(await store.feed.since(32)).toEqual({ reset: true, seq: 31 })
    expect(await store.feed.since(31)).toEqual({ reset: false, messages: [] })
    const page = await store.feed.since(oldest - 1, 3)
    expect(page.reset === false && page.messages.map((m) => m.seq)).toEqual([oldest, oldest + 1, oldest + 2])
  })

  test('an empty one resumes from 0 and nowhere else', async () => {
    const store = await open()
    expect(await store.feed.since(0)).toEqual({ reset: false, messages: [] })
    expect(await store.feed.since(5)).toEqual({ reset: true, seq: 0 })
  })
})
