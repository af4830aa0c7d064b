import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type Database from 'better-sqlite3'
import type { FastifyRequest } from 'fastify'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createCallers } from './api/caller.ts'
import { createIdentity } from './identity/identity.ts'
import { type Identity, type Principal, TokenError, type TokenFault } from './identity/principal.ts'
import { measuredIdentity } from './measured.ts'
import { loadPolicies } from './policy/policy.ts'
import { bot, onTable, orders } from './policy/testing/policies.ts'
import { loadCatalog } from './postgres/effects/catalog.ts'
import { analyse, loadParser } from './postgres/effects/effects.ts'
import { columnsOf, cstring, int16, int32, message, T } from './postgres/wire/messages.ts'
import { driven } from './store/sqlite.ts'
import type { Store } from './store/store.ts'
import { openFreshStore } from './store/testing/fresh.ts'
import { createMetrics } from './telemetry/metrics.ts'

let folder: string
let store: Store
beforeAll(async () => {
  await loadParser()
  folder = mkdtempSync(join(tmpdir(), 'countersign-bounds-'))
  store = await openFreshStore(join(folder, 'store.sqlite'))
})
afterAll(async () => {
  await store[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

/**
 * What answers alike to what is asked again, while it remembers it: the same object. `ask` asks for the n-th of many
 * things that differ.
 */
interface Memory {
  what: string
  /** So many of these things are remembered, at most and at least. */
  most: number
  least: number
  make(): Promise<(n: number) => unknown> | ((n: number) => unknown)
}

const memories: Memory[] = [
  {
    what: 'decisions of policies, of which a gateway has 10,000 remembered',
    most: 100,
    least: 100,
    async make() {
      const at = join(folder, 'policy')
      mkdirSync(at)
      writeFileSync(join(at, 'all.cedar'), 'permit (principal, action, resource);')
      const loaded = await loadPolicies(at, { remembered: 100 })
      if (!loaded.ok) throw new Error('the policies do not load')
      const { policies } = loaded
      const context = { time: new Date('2026-11-21T12:00:00Z') }
      return (n) =>
        policies.decide({ principal: bot, connection: orders, effect: onTable('sql:read', `t${n}`), context })
    },
  },
  {
    what: 'analyses of a catalog: 16 MiB',
    most: 256,
    least: 50,
    async make() {
      const catalog = await loadCatalog(async () => [])
      const context = { connection: 'orders', catalog, searchPath: ['public'], user: 'app', tempSchema: null }
      const filler = ' '.repeat(31_000)
      return (n) => analyse(`select a${n}${filler}`, { ...context, prepared: () => undefined, portal: () => undefined })
    },
  },
  {
    what: 'analyses of a catalog, of short texts',
    most: 16_384,
    least: 1000,
    async make() {
      const catalog = await loadCatalog(async () => [])
      const context = { connection: 'orders', catalog, searchPath: ['public'], user: 'app', tempSchema: null }
      return (n) => analyse(`select a${n}`, { ...context, prepared: () => undefined, portal: () => undefined })
    },
  },
  {
    what: 'descriptions of rows',
    most: 512,
    least: 512,
    make: () => (n) => columnsOf(described(`c${n}`)),
  },
  {
    what: 'statements of the store',
    most: 500,
    least: 500,
    make() {
      const database = { prepare: (sql: string) => ({ sql }), inTransaction: false } as unknown as Database.Database
      const kept = driven(database, () => {})
      return (n) => kept.prepare(`select ${n}`)
    },
  },
]

test.each(memories)('$what: what was asked for longest ago is forgotten', async ({ most, least, make }) => {
  const ask = await make()
  const first = ask(0)
  for (let n = 1; n < least; n++) ask(n)
  // The answer may be moved to the end by this; what comes after is counted from here on.
  expect(ask(0)).toBe(first)
  for (let n = least; n <= least + most; n++) ask(n)
  expect(ask(0)).not.toBe(first)
})

function described(name: string): Buffer {
  const column = [cstring(name), int32(0), int16(0), int32(23), int16(4), int32(-1), int16(0)]
  return message(T.RowDescription, int16(1), ...column)
}

test('tokens that were found good: 1,000', async () => {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const issuer = 'https://idp.example.com'
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'k', use: 'sig', alg: 'ES256' }] }
  const identity = createIdentity({
    issuers: [{ issuer, for: 'agents', audience: 'countersign', groups: 'groups', scopes: [], jwks }],
    roles: { approver: [], reviewer: [], auditor: [], admin: [] },
    log: { warn() {}, info() {} },
  })
  const token = (n: number) =>
    new SignJWT({ n })
      .setProtectedHeader({ alg: 'ES256', kid: 'k', typ: 'JWT' })
      .setIssuer(issuer)
      .setSubject('ci')
      .setAudience('countersign')
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(privateKey)
  const tokens = await Promise.all(Array.from({ length: 1001 }, (_, n) => token(n)))
  const verify = vi.spyOn(crypto.subtle, 'verify')
  const checked = async (n: number) => {
    const before = verify.mock.calls.length
    await identity.authenticate(tokens[n]!)
    return verify.mock.calls.length > before
  }
  for (let n = 0; n < 1000; n++) expect(await checked(n)).toBe(true)
  expect(await checked(0)).toBe(false)
  expect(await checked(1000)).toBe(true)
  expect(await checked(1)).toBe(false)
  expect(await checked(0)).toBe(true)
  verify.mockRestore()
})

test('addresses that guess at tokens: 10,000, and good tokens kept for them: 2,000', async () => {
  const identity: Identity = {
    async authenticate(token) {
      if (token.startsWith('good')) return bot as Principal
      throw new TokenError('signature', 'no')
    },
  }
  const callers = createCallers({
    api: () => 'http://127.0.0.1:7440',
    identity,
    signIns: { ok() {}, refused() {} },
    barred: () => undefined,
    log: { info() {}, warn() {} },
    clock: () => 1_800_000_000_000,
  })
  const from = async (remoteAddress: string, token: string) => {
    const request = { headers: { authorization: `Bearer ${token}` }, socket: { remoteAddress } }
    return callers.of(request as unknown as FastifyRequest).then(
      () => 200,
      ({ status }) => status as number,
    )
  }
  expect(await from('first', 'good0')).toBe(200)
  for (let n = 0; n < 60; n++) expect(await from('first', 'bad')).toBe(401)
  expect(await from('first', 'bad')).toBe(429)
  expect(await from('first', 'good0')).toBe(200)
  for (let n = 1; n <= 2000; n++) await from('other', `good${n}`)
  expect(await from('first', 'good0')).toBe(429)
  for (let n = 0; n < 10_000; n++) await from(`address ${n}`, 'bad')
  expect(await from('first', 'bad')).toBe(401)
})

test('what nobody has signed in for makes no series: metrics know the faults alone', async () => {
  const metrics = createMetrics()
  const faults: TokenFault[] = ['malformed', 'issuer', 'signature']
  const identity = measuredIdentity(
    {
      async authenticate(token) {
        throw new TokenError(faults[Number(token) % faults.length]!, `${token} is none`)
      },
    },
    metrics,
  )
  const series = async () =>
    (await metrics.registry.metrics()).split('\n').filter((line) => line.startsWith('countersign_'))
  const before = (await series()).length
  for (let n = 0; n < 1000; n++) await identity.authenticate(`${n}`).catch(() => {})
  expect((await series()).length).toBe(before + faults.length)
})
