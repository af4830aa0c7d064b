import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openStore, type Store } from '../store/store.ts'
import { type Principal, TokenError } from './principal.ts'
import { createSubjectTokens, type VerifiedToken } from './subject-tokens.ts'

const principal: Principal = {
  kind: 'agent',
  id: 'https://idp.example.com#x',
  issuer: 'https://idp.example.com',
  subject: 'x',
  name: 'x',
  groups: [],
  expiresAt: new Date('2026-11-21T10:05:00Z'),
}

describe('what may be presented once only', () => {
  let store: Store
  let at: number
  beforeEach(async () => {
    store = await openStore(':memory:')
    at = Date.parse('2026-11-21T10:00:00Z')
  })
  afterEach(() => store[Symbol.asyncDispose]())
  const subjects = (verified: VerifiedToken = { principal }) =>
    createSubjectTokens({ identity: { verify: async () => verified }, db: store.db, clock: () => at })
  const until = () => new Date(at + 300_000)

  test('is good once, also for one that starts anew and for many at a time', async () => {
    expect(await subjects().once('a', until())).toBe(true)
    expect(await subjects().once('a', until())).toBe(false)
    const room = subjects()
    const answers = await Promise.all(Array.from({ length: 20 }, () => room.once('b', until())))
    expect(answers.filter(Boolean)).toHaveLength(1)
  })

  test('is kept as a hash, and no longer than it takes', async () => {
    await subjects().once('secret-id', until())
    expect(JSON.stringify(await store.db.selectFrom('presented').selectAll().execute())).not.toContain('secret-id')
    at += 300_001
    await subjects().once('other', until())
    expect(await store.db.selectFrom('presented').selectAll().execute()).toHaveLength(1)
  })

  test('a token that says so is refused the second time, another one is not', async () => {
    const given = { token: 't', type: 'saml2' as const }
    const room = subjects({ principal, once: { id: 'i', until: until() } })
    expect(await room.verify(given)).toBe(principal)
    await expect(room.verify(given)).rejects.toMatchObject({ fault: 'replayed' })
    await expect(room.verify(given)).rejects.toBeInstanceOf(TokenError)
    const free = subjects()
    await free.verify(given)
    expect(await free.verify(given)).toBe(principal)
  })
})
