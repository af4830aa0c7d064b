import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Actor } from '@countersign/contract/ledger/payloads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Store } from '../../store/store.ts'
import { openFreshStore } from '../../store/testing/fresh.ts'
import type { AgentPrincipal, TokenError } from '../principal.ts'
import { fingerprintOf, hashOf, newTokenText } from './text.ts'
import { BadTokenCursor, createTokens, KEPT_MS, type Tokens, TooManyTokens } from './tokens.ts'

const issuer = 'https://idp.example.com'
const minute = 60_000
const start = Date.UTC(2026, 10, 21, 12)
const ada: Actor = { kind: 'person', id: 'p#ada', issuer: 'p', subject: 'ada', name: 'Ada' }

let folder: string
let store: Store
let tokens: Tokens
let now: number
let trusted: Set<string>
const errors: unknown[] = []
const made = (options = {}) =>
  createTokens({
    store,
    trusts: (one) => trusted.has(one),
    clock: () => now,
    log: { error: (...told: unknown[]) => void errors.push(told) },
    ...options,
  })
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tokens-'))
  store = await openFreshStore(join(folder, 'store.db'))
  now = start
  trusted = new Set([issuer])
  tokens = made()
})
afterEach(async () => {
  await tokens[Symbol.asyncDispose]()
  await store[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
  expect(errors).toEqual([])
})

function agent(subject = 'executor', more: Partial<AgentPrincipal> = {}): AgentPrincipal {
  const who = { id: `${issuer}#${subject}`, issuer, subject, name: subject, groups: ['ci'] }
  return { kind: 'agent', ...who, expiresAt: new Date(start + 60 * minute), ...more }
}
const issue = (more: Partial<Parameters<Tokens['issue']>[0]> = {}) =>
  tokens.issue({
    agent: agent(),
    connection: 'orders',
    expiresAt: new Date(now + 15 * minute),
    address: '10.0.0.1',
    ...more,
  })
const refused = (text: string) =>
  tokens.authenticate(text).then(
    () => 'let in',
    (error: TokenError) => error.fault,
  )
const said = async () => {
  const rows = await store.db.selectFrom('audit_outbox').selectAll().orderBy('id').execute()
  return rows.map(({ at, type, payload }) => ({ at, type, payload: JSON.parse(payload) }))
}

describe('a token', () => {
  it('is 40 ASCII characters of which nobody has seen 214 bits before', () => {
    const texts = Array.from({ length: 2000 }, newTokenText)
    expect(new Set(texts).size).toBe(2000)
    for (const text of texts) expect(text).toMatch(/^cst_[0-9A-Za-z]{36}$/)
    expect(new Set(texts.join('')).size).toBe(63)
  })

  it('is the agent that it was given to, with what it is bound to', async () => {
    const who = agent('executor', { onBehalfOf: 'ada', chain: ['planner'], owner: 'ada' })
    const { text, token } = await issue({ agent: who, grant: 'gr_1', purpose: 'clean up' })
    expect(await tokens.authenticate(text)).toEqual({
      ...who,
      expiresAt: new Date(start + 15 * minute),
      token: { id: token.id, connection: 'orders', grant: 'gr_1', purpose: 'clean up' },
    })
  })

  it('is nothing to anybody else', async () => {
    const { text } = await issue()
    const other = text.endsWith('a') ? 'b' : 'a'
    const cases: [text: string, fault: string][] = [
      [newTokenText(), 'unknown'],
      [text.slice(0, -1) + other, 'unknown'],
      [text.toLowerCase() === text ? text.toUpperCase() : text.toLowerCase(), 'unknown'],
      [text.slice(0, -1), 'malformed'],
      [`${text}0`, 'malformed'],
      [` ${text}`, 'malformed'],
      [`${text}\n`, 'malformed'],
      ['cst_', 'malformed'],
      [hashOf(text), 'malformed'],
      [`cst_${'\u0661'.repeat(36)}`, 'malformed'],
      [`cst_${'x'.repeat(100_000)}`, 'malformed'],
    ]
    for (const [wrong, fault] of cases)
      expect([wrong.slice(0, 50), await refused(wrong)]).toEqual([wrong.slice(0, 50), fault])
  })

  it('ends at its time, to the millisecond', async () => {
    const { text, token } = await issue()
    now = start + 15 * minute - 1
    expect(await refused(text)).toBe('let in')
    expect(await tokens.over(token.id)).toBeUndefined()
    now++
    expect(await refused(text)).toBe('expired')
    expect(await tokens.over(token.id)).toBe('its token has expired')
  })

  it('ends with its issuer’s place in the configuration', async () => {
    const { text } = await issue()
    trusted.clear()
    expect(await refused(text)).toBe('issuer')
  })

  it('says when it was last used, to the minute', async () => {
    const { text, token } = await issue()
    const lastUsed = async () => {
      await tokens[Symbol.asyncDispose]()
      const found = (await tokens.get(token.id))?.lastUsedAt
      tokens = made()
      return found
    }
    expect(await lastUsed()).toBeUndefined()
    await Promise.all([tokens.authenticate(text), tokens.authenticate(text)])
    expect(await lastUsed()).toBe(new Date(start).toISOString())
    now += minute - 1
    await tokens.authenticate(text)
    expect(await lastUsed()).toBe(new Date(start).toISOString())
    now++
    await tokens.authenticate(text)
    expect(await lastUsed()).toBe(new Date(start + minute).toISOString())
  })

  it('leaves no trace of its text in the store, and the ledger has not even its hash', async () => {
    const { text, token } = await issue({ purpose: 'p' })
    await tokens.authenticate(text)
    await tokens.revoke(token.id, ada, 'enough')
    await tokens[Symbol.asyncDispose]()
    const bytes = readdirSync(folder).map((file) => readFileSync(join(folder, file)).toString('latin1'))
    expect(bytes.join('').includes(text.slice(4))).toBe(false)
    expect(bytes.join('').includes(hashOf(text))).toBe(true)
    expect(JSON.stringify(await said())).not.toContain(hashOf(text))
    expect(JSON.stringify([token, await tokens.get(token.id), await tokens.find(text)])).not.toMatch(
      new RegExp(`${text.slice(4)}|${hashOf(text)}`),
    )
  })

  it('is told to the ledger in the transaction that makes it', async () => {
    const { text, token } = await issue({ grant: 'gr_1', purpose: 'p' })
    const at = new Date(start).toISOString()
    const { kind: _, expiresAt: __, ...ref } = agent()
    const issued = {
      token: token.id,
      agent: ref,
      connection: 'orders',
      grant: 'gr_1',
      purpose: 'p',
      expiresAt: token.expiresAt,
      address: '10.0.0.1',
      fingerprint: fingerprintOf(hashOf(text)),
    }
    expect(await said()).toEqual([{ at, type: 'token.issued', payload: issued }])
    await store.db.schema.alterTable('audit_outbox').renameTo('gone').execute()
    await expect(issue()).rejects.toThrow(/audit_outbox/)
    await expect(tokens.revoke(token.id, ada, '')).rejects.toThrow(/audit_outbox/)
    expect(await tokens.list({ limit: 10 })).toMatchObject({ items: [{ id: token.id }] })
    expect(await refused(text)).toBe('let in')
    await store.db.schema.alterTable('gone').renameTo('audit_outbox').execute()
  })

  it('is one of a thousand at most that an agent has', async () => {
    await tokens[Symbol.asyncDispose]()
    tokens = made({ mostLive: 3 })
    await issue({ expiresAt: new Date(start + 90_000) })
    const { token } = await issue()
    await issue()
    await expect(issue()).rejects.toMatchObject({
      name: 'TooManyTokens',
      retryAfter: 90,
    } satisfies Partial<TooManyTokens>)
    expect((await issue({ agent: agent('other') })).token.agent).toBe(`${issuer}#other`)
    await tokens.revoke(token.id, ada, '')
    await issue()
    now += 90_000
    await issue()
    await expect(issue()).rejects.toBeInstanceOf(TooManyTokens)
  })
})

describe('revoking', () => {
  it('ends it at once, and tells who listens, and the ledger', async () => {
    const { text, token } = await issue()
    const told: string[][] = []
    const end = tokens.onRevoked((...words) => void told.push(words))
    now += 1000
    const at = new Date(now).toISOString()
    const revoked = { by: 'Ada', reason: 'it leaked', at }
    expect(await tokens.revoke(token.id, ada, 'it leaked')).toEqual({
      outcome: 'revoked',
      token: { ...token, revoked },
    })
    expect(told).toEqual([[token.id, 'its token was revoked by Ada: it leaked']])
    expect(await refused(text)).toBe('revoked')
    expect(await tokens.over(token.id)).toBe('its token was revoked by Ada: it leaked')
    const payload = { token: token.id, agent: `${issuer}#executor`, by: ada, reason: 'it leaked' }
    expect((await said()).at(-1)).toEqual({ at, type: 'token.revoked', payload })
    expect(await tokens.revoke(token.id, ada, 'again')).toEqual({ outcome: 'over', token: { ...token, revoked } })
    end()
    await tokens.revoke((await issue()).token.id, ada, '')
    expect(told).toHaveLength(1)
  })

  it('is once, whoever comes at the same time', async () => {
    const { token } = await issue()
    let told = 0
    tokens.onRevoked(() => void told++)
    const all = await Promise.all(Array.from({ length: 5 }, () => tokens.revoke(token.id, ada, '')))
    expect(all.filter((one) => one?.outcome === 'revoked')).toHaveLength(1)
    expect(told).toBe(1)
    expect((await said()).filter(({ type }) => type === 'token.revoked')).toHaveLength(1)
  })

  it('of what has ended, or never was, is nothing', async () => {
    const { token } = await issue()
    now += 15 * minute
    expect(await tokens.revoke(token.id, ada, '')).toEqual({ outcome: 'over', token })
    expect(await tokens.revoke('tk_0', ada, '')).toBeUndefined()
    expect((await said()).map(({ type }) => type)).toEqual(['token.issued'])
  })
})

describe('the list', () => {
  it('is newest first, page by page, and filtered', async () => {
    const all: string[] = []
    for (let n = 0; n < 25; n++) {
      // Some at the same moment.
      if (n % 3 === 0) now += 1000
      const { token } = await issue({ agent: agent(n % 2 ? 'odd' : 'even'), connection: n % 5 ? 'orders' : 'vault' })
      all.push(token.id)
    }
    await tokens.revoke(all[1]!, ada, '')
    const pages = async (query: Partial<Parameters<Tokens['list']>[0]>) => {
      const items = []
      let after: string | undefined
      do {
        const page = await tokens.list({ limit: 4, ...query, ...(after !== undefined && { after }) })
        expect(page.items.length).toBeLessThanOrEqual(4)
        items.push(...page.items)
        after = page.next ?? undefined
      } while (after !== undefined)
      expect(new Set(items.map(({ id }) => id)).size).toBe(items.length)
      expect(items.map(({ issuedAt }) => issuedAt)).toEqual(
        items
          .map(({ issuedAt }) => issuedAt)
          .sort()
          .reverse(),
      )
      return items.length
    }
    expect(await pages({})).toBe(25)
    expect(await pages({ agent: `${issuer}#odd` })).toBe(12)
    expect(await pages({ connection: 'vault' })).toBe(5)
    expect(await pages({ live: true })).toBe(24)
    expect(await pages({ live: false })).toBe(1)
    expect(await pages({ sees: ({ agent: id }) => id.endsWith('#odd') })).toBe(12)
    expect(await pages({ sees: () => false })).toBe(0)
    await expect(tokens.list({ limit: 1, after: 'nonsense' })).rejects.toBeInstanceOf(BadTokenCursor)
  })
})

it('forgets what ended 30 days ago, and the ledger doesn’t', async () => {
  const { token } = await issue()
  now = start + 15 * minute + KEPT_MS
  const restarted = async () => {
    await tokens[Symbol.asyncDispose]()
    tokens = made()
    await tokens[Symbol.asyncDispose]()
    return tokens.get(token.id)
  }
  expect(await restarted()).toBeDefined()
  now++
  expect(await restarted()).toBeUndefined()
  expect((await said()).map(({ type }) => type)).toEqual(['token.issued'])
})
