import { describe, expect, it } from 'vitest'
import { openStore, type Store } from '../store/store.ts'
import type { Principal } from './principal.ts'
import { createSignInLog, MOST_KINDS, MOST_WAITING } from './sign-ins.ts'

const silent = { error() {} }
const ref = { id: 'https://idp#x', issuer: 'https://idp', subject: 'x', name: 'X' }
const expiresAt = new Date(Date.now() + 1000)
const person: Principal = { kind: 'person', ...ref, groups: ['g'], roles: ['auditor'], email: 'x@y', expiresAt }
const agent: Principal = { kind: 'agent', ...ref, groups: ['g'], owner: 'o', expiresAt }

async function written(store: Store) {
  const rows = await store.db.selectFrom('audit_outbox').selectAll().orderBy('id').execute()
  return rows.map(({ type, payload }) => ({ type, ...JSON.parse(payload) }))
}

describe('sign-ins', () => {
  it('say who was let in, and nothing else of their token', async () => {
    await using store = await openStore(':memory:')
    await using log = createSignInLog({ db: store.db, log: silent })
    log.ok({ via: 'api', address: '10.0.0.1', who: person })
    log.ok({ via: 'api', address: '10.0.0.1', who: agent })
    await log.flush()
    const both = { type: 'sign-in', outcome: 'ok', via: 'api', address: '10.0.0.1' }
    expect(await written(store)).toEqual([
      { ...both, who: { kind: 'person', ...ref } },
      { ...both, who: { kind: 'agent', ...ref, groups: ['g'], owner: 'o' } },
    ])
  })

  it('count those who were refused, by address and reason', async () => {
    await using store = await openStore(':memory:')
    await using log = createSignInLog({ db: store.db, log: silent })
    for (let i = 0; i < 1000; i++) log.refused({ via: 'postgres', address: '10.0.0.1', reason: 'expired' })
    log.refused({ via: 'postgres', address: '10.0.0.1', reason: 'signature' })
    log.refused({ via: 'api', address: '10.0.0.2', reason: 'expired', who: agent, connection: 'orders' })
    await log.flush()
    expect((await written(store)).map(({ via, address, reason, count }) => [via, address, reason, count])).toEqual([
      ['postgres', '10.0.0.1', 'expired', 1000],
      ['postgres', '10.0.0.1', 'signature', 1],
      ['api', '10.0.0.2', 'expired', 1],
    ])
  })

  it('count those who were refused also while others are let in', async () => {
    await using store = await openStore(':memory:')
    await using log = createSignInLog({ db: store.db, log: silent, togetherMs: { ok: 1 } })
    log.refused({ via: 'api', address: '10.0.0.1', reason: 'expired' })
    log.ok({ via: 'api', address: '10.0.0.1', who: person })
    await expect.poll(() => written(store)).toMatchObject([{ outcome: 'ok' }])
    log.refused({ via: 'api', address: '10.0.0.1', reason: 'expired' })
    await log.flush()
    expect(await written(store)).toMatchObject([{ outcome: 'ok' }, { outcome: 'refused', count: 2 }])
  })

  it('take little, however many addresses a flood comes from', async () => {
    await using store = await openStore(':memory:')
    await using log = createSignInLog({ db: store.db, log: silent })
    for (let i = 0; i < 10_000; i++)
      log.refused({ via: 'api', address: `10.0.${i >> 8}.${i & 255}`, reason: 'expired' })
    for (let i = 0; i < 20_000; i++) log.ok({ via: 'api', address: '10.0.0.1', who: person })
    await log.flush()
    const all = await written(store)
    expect(all).toHaveLength(MOST_KINDS + 1 + MOST_WAITING)
    expect(all.at(-1)).toMatchObject({ address: 'further ones', count: 10_000 - MOST_KINDS })
  })

  it('are written by themselves', async () => {
    await using store = await openStore(':memory:')
    await using log = createSignInLog({ db: store.db, log: silent, togetherMs: { ok: 1, refused: 1 } })
    log.refused({ via: 'api', address: '10.0.0.1', reason: 'expired' })
    await expect.poll(() => written(store)).toHaveLength(1)
  })
})
