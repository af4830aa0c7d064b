import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Store } from '../../store/store.ts'
import { openFreshStore } from '../../store/testing/fresh.ts'
import type { AgentPrincipal, PersonPrincipal } from '../principal.ts'
import { openRegistry, type Registry, type RegistryOptions, type RegistrySettings } from './registry.ts'

const DAY = 86_400_000
let folder: string
let store: Store
let registry: Registry
let now: number
let settings: RegistrySettings
let warned: string[]
let failed: string[]
const open = async (more: Partial<RegistryOptions> = {}) =>
  openRegistry({
    store,
    used: { connections: () => new Map() },
    settings: () => settings,
    log: {
      warn: (_fields: unknown, text?: string) => void warned.push(text ?? ''),
      error: (_fields: unknown, text?: string) => void failed.push(text ?? ''),
    } as RegistryOptions['log'],
    clock: () => now,
    ...more,
  })
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'registry-'))
  store = await openFreshStore(join(folder, 'store.db'))
  now = Date.parse('2026-11-21T12:00:00.000Z')
  settings = { leftAfter: 90 * DAY, sponsorFrom: 'registry', agentIssuers: new Set(['https://idp']) }
  warned = []
  failed = []
  registry = await open()
})
afterEach(async () => {
  await registry[Symbol.asyncDispose]()
  await store[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const agent = (subject: string, more: Partial<AgentPrincipal> = {}): AgentPrincipal => ({
  kind: 'agent',
  id: `https://idp#${subject}`,
  issuer: 'https://idp',
  subject,
  name: subject,
  groups: ['ci'],
  expiresAt: new Date(now + 3_600_000),
  ...more,
})
const person = (subject: string, more: Partial<PersonPrincipal> = {}): PersonPrincipal => ({
  kind: 'person',
  id: `https://people#${subject}`,
  issuer: 'https://people',
  subject,
  name: subject,
  groups: ['dba'],
  roles: ['approver'],
  expiresAt: new Date(now + 3_600_000),
  ...more,
})
const max = { id: 'https://people#max', issuer: 'https://people', subject: 'max', name: 'Max' }
const seen = async (...who: (AgentPrincipal | PersonPrincipal)[]) => {
  for (const one of who) registry.seen(one)
  await registry.flush()
}
const count = async (table: 'agent_identities' | 'agents' | 'people' | 'audit_outbox' | 'feed') =>
  Number(
    (
      await store.db
        .selectFrom(table)
        .select((e) => e.fn.countAll().as('n'))
        .executeTakeFirstOrThrow()
    ).n,
  )
const restart = async (more: Partial<RegistryOptions> = {}) => {
  await registry[Symbol.asyncDispose]()
  registry = await open(more)
}

describe('who comes', () => {
  it('is written down once, however often they come; when they came last, once a minute', async () => {
    for (let n = 0; n < 1000; n++) registry.seen(agent('a'))
    await registry.flush()
    const first = now
    now += 30_000
    await seen(agent('a'))
    expect((await registry.agent('https://idp#a'))!.lastSeenAt).toBe(new Date(first).toISOString())
    now += 31_000
    await seen(agent('a'))
    const record = await registry.agent('https://idp#a')
    expect(record).toMatchObject({
      firstSeenAt: new Date(first).toISOString(),
      lastSeenAt: new Date(now).toISOString(),
    })
    expect([await count('agent_identities'), await count('audit_outbox'), await count('feed')]).toEqual([1, 1, 1])
  })

  it('is known after a restart, with all that was told', async () => {
    await seen(agent('a', { onBehalfOf: 'ada', chain: ['https://idp#planner'] }), person('ben'))
    await registry.change('https://idp#a', { sponsor: 'ben', purpose: 'reports', disabled: true, reason: 'x' }, max)
    const before = await registry.agent('https://idp#a')
    expect(before).toMatchObject({
      actsFor: ['ada'],
      chain: ['https://idp#a', 'https://idp#planner'],
      sponsor: 'https://people#ben',
    })
    await restart()
    expect(await registry.agent('https://idp#a')).toEqual(before)
    expect(registry.disabled('https://idp#a')).toEqual({ by: 'Max', reason: 'x' })
    expect(registry.person('https://people#ben')).toMatchObject({ roles: ['approver'] })
  })

  it('on whose behalf is remembered, the latest first, and makes no other identity', async () => {
    for (const one of ['ada', 'ben', 'ada', 'cleo']) {
      now += 61_000
      await seen(agent('a', { onBehalfOf: one }))
    }
    expect((await registry.agent('https://idp#a'))!.actsFor).toEqual(['cleo', 'ada', 'ben'])
    expect(await count('agent_identities')).toBe(1)
  })

  it('by a token of the gateway’s own is no other than their issuer last said', async () => {
    await seen(agent('a', { groups: ['new'] }))
    await seen(agent('a', { groups: ['old'], token: { id: 'tk_1', connection: 'orders' } }))
    expect((await registry.agent('https://idp#a'))!.groups).toEqual(['new'])
    await seen(agent('b', { groups: ['old'], token: { id: 'tk_2', connection: 'orders' } }))
    expect((await registry.agent('https://idp#b'))!.groups).toEqual(['old'])
  })

  it('in ever other groups is written down now and then', async () => {
    for (let n = 0; n < 500; n++) await seen(agent('a', { groups: [`g${n % 2}`] }))
    expect(await count('agent_identities')).toBe(21)
    now += 3_600_000
    for (let n = 0; n < 500; n++) await seen(agent('a', { groups: [`g${n % 2}`] }))
    expect(await count('agent_identities')).toBe(33)
  })

  it('as a flood of invented subjects fills neither store nor memory; a declared one is there all the same', async () => {
    await restart({ bounds: { newOnes: { atOnce: 50, anHour: 10 }, most: 80 } })
    for (let n = 0; n < 5000; n++) registry.seen(agent(`invented-${n}`))
    await registry.flush()
    expect([await count('agents'), await count('audit_outbox')]).toEqual([50, 50])
    expect(warned).toHaveLength(1)
    for (let hour = 0; hour < 20; hour++) {
      now += 3_600_000
      for (let n = 0; n < 100; n++) registry.seen(agent(`later-${hour}-${n}`))
      await registry.flush()
    }
    expect(await count('agents')).toBe(80)
    const declared = await registry.declare({ issuer: 'https://idp', subject: 'real' }, max)
    expect(declared).toMatchObject({ ok: true })
    await seen(agent('real'))
    expect((await registry.agent('https://idp#real'))!.lastSeenAt).toBe(new Date(now).toISOString())
    // Those of another issuer have a bound of their own, under the whole.
    for (let n = 0; n < 100; n++) registry.seen(person(`p${n}`))
    await registry.flush()
    expect(await count('people')).toBe(50)
  })

  it('while the store can’t be written is written down once it can', async () => {
    const { db } = store
    await db.schema.alterTable('agent_identities').renameTo('gone').execute()
    registry.seen(agent('a'))
    await registry.flush()
    expect(failed).toEqual([expect.stringContaining('tried again')])
    expect(await registry.agent('https://idp#a')).toBeUndefined()
    expect(await count('agents')).toBe(0)
    await db.schema.alterTable('gone').renameTo('agent_identities').execute()
    await registry.flush()
    expect(await registry.agent('https://idp#a')).toMatchObject({ groups: ['ci'] })
    expect(await count('agent_identities')).toBe(1)
  })
})

describe('who answers for an agent', () => {
  const orphan = async () => (await registry.agent('https://idp#a'))!.orphan

  it.each<[what: string, sponsor: string | undefined, answer: string | undefined]>([
    ['nobody', undefined, 'no-sponsor'],
    ['an id', 'https://people#ada', undefined],
    ['a subject', 'ada', undefined],
    ['an e-mail address, in whatever case', 'MAILTO:Ada@Example.com', undefined],
    ['somebody who was never here', 'zoe', 'sponsor-unknown'],
    ['a name, which others may have', 'Ada Lovelace', 'sponsor-unknown'],
  ])('%s', async (_what, sponsor, answer) => {
    await seen(agent('a'), person('ada', { name: 'Ada Lovelace', email: 'ada@example.com' }))
    if (sponsor !== undefined) await registry.change('https://idp#a', { sponsor }, max)
    expect(await orphan()).toBe(answer)
  })

  it('has left when they were not seen for long, and is back when they come', async () => {
    await seen(agent('a'), person('ada'))
    await registry.change('https://idp#a', { sponsor: 'ada' }, max)
    now += 90 * DAY
    expect(await orphan()).toBeUndefined()
    now += 1
    expect(await orphan()).toBe('sponsor-left')
    expect((await registry.agents({ orphans: true, limit: 10 })).items).toHaveLength(1)
    await seen(person('ada'))
    expect(await orphan()).toBeUndefined()
  })

  it('must be one: of two of that name the id is asked for, and one who has left is enough to ask', async () => {
    await seen(agent('a'))
    await registry.change('https://idp#a', { sponsor: 'ada' }, max)
    await seen(person('ada'), person('ada', { id: 'https://other#ada', issuer: 'https://other' }))
    expect(await orphan()).toBeUndefined()
    expect(registry.answersFor({ id: 'https://people#ada' }, 'https://idp#a')).toBe(false)
    expect(await registry.change('https://idp#a', { sponsor: 'ada' }, max)).toMatchObject({ problem: 'conflict' })
    await registry.markLeft('https://other#ada', true, max, '')
    expect(await orphan()).toBe('sponsor-left')
    await registry.change('https://idp#a', { sponsor: 'https://people#ada' }, max)
    expect(await orphan()).toBeUndefined()
    expect(registry.answersFor({ id: 'https://people#ada' }, 'https://idp#a')).toBe(true)
  })

  it('is not who a token names as owner, unless the configuration says so', async () => {
    await seen(agent('a', { owner: 'ada' }), person('ada'))
    expect(await orphan()).toBe('no-sponsor')
    expect(registry.sponsorsOf('https://idp#a')).toContain('ada')
    settings = { ...settings, sponsorFrom: 'owner' }
    expect(await registry.agent('https://idp#a')).toMatchObject({ owner: 'ada', sponsor: 'https://people#ada' })
    expect(await orphan()).toBeUndefined()
  })
})

it('a thousand agents are a page, in the order of the list, and found by words', async () => {
  await restart({ bounds: { newOnes: { atOnce: 5000, anHour: 1 } } })
  for (let n = 0; n < 1000; n++)
    registry.seen(agent(`bot-${n}`, { name: `Bot ${String(n).padStart(4, '0')}`, groups: [`team-${n % 10}`] }))
  await registry.flush()
  const all = await registry.agents({ limit: 10_000 })
  expect(all.items.map(({ name }) => name)).toEqual(
    Array.from({ length: 1000 }, (_, n) => `Bot ${String(n).padStart(4, '0')}`),
  )
  expect((await registry.agents({ text: 'TEAM-3 bot', limit: 10_000 })).items).toHaveLength(100)
  expect((await registry.agents({ text: 'nothing like it', limit: 10 })).items).toEqual([])
  expect(await count('agent_identities')).toBe(1000)
})
