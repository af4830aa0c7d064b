import { AgentAccess, AgentRecord } from '@countersign/contract/access'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { AccessWorld } from '../../../access/testing/world.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 })

let world: AccessWorld
beforeAll(async () => {
  world = await AccessWorld.start()
})
afterAll(() => world?.[Symbol.asyncDispose]())

const path = (subject: string) => `/v1/agents/${encodeURIComponent(world.agent(subject))}`
const access = async (subject: string, query = '') =>
  AgentAccess.parse(await world.as('aud', `${path(subject)}/access${query}`))

/** Does these by a real client, each for itself. */
async function does(token: string, connection: string, ...statements: string[]): Promise<void> {
  const client = new pg.Client({
    host: '127.0.0.1',
    port: world.port,
    database: connection,
    user: 'x',
    password: token,
  })
  client.on('error', () => {})
  await client.connect()
  for (const statement of statements) await client.query(statement).catch(() => {})
  await client.end()
}
/** What was used is counted soon after. */
const untilUsed = (subject: string, resource: string) =>
  vi.waitFor(
    async () => {
      const { used } = await access(subject)
      expect(used.map((one) => one.resource)).toContain(resource)
      return used
    },
    { timeout: 20_000, interval: 100 },
  )

describe('permitted against used', () => {
  it('shows each action on a standing connection, with what was used, and how', async () => {
    const token = await world.jwt('worker')
    await does(token, 'files', 'select * from items', 'insert into items values (1)', 'select * from items')
    const used = await untilUsed('worker', 'files/public.items')
    const of = (action: string) => used.find((one) => one.action === action && one.connection === 'files')
    expect(of('sql:connect')).toMatchObject({ resource: 'files', denied: 0 })
    expect(of('sql:read')).toMatchObject({ resource: 'files/public.items', allowed: 2, held: 0, denied: 0 })
    expect(of('sql:write')).toMatchObject({ resource: 'files/public.items', allowed: 1 })
    const { permitted, days } = await access('worker')
    expect(days).toMatchObject([{ day: new Date().toISOString().slice(0, 10), held: 0, denied: 0 }])
    const line = (action: string, resource = 'files') =>
      permitted.find((one) => one.connection === 'files' && one.action === action && one.resource === resource)
    expect(line('sql:read')).toMatchObject({ verdict: 'allow', policies: ['base.cedar#1'] })
    expect(line('sql:read', 'files/public.items')).toMatchObject({ verdict: 'allow' })
    // Deletes are held, others not; to open it depends on the purpose; what is revealed takes a grant.
    expect(line('sql:write')).toMatchObject({ verdict: 'depends', policies: ['base.cedar#1', 'deletes'] })
    expect(line('sql:connect')).toMatchObject({
      verdict: 'depends',
      policies: ['ask-first', 'base.cedar#1', 'mischief'],
    })
    expect(line('data:reveal', 'email')).toMatchObject({ verdict: 'deny' })
    expect(AgentRecord.parse(await world.as('aud', path('worker'))).connections).toMatchObject([
      { connection: 'files', sessions: 1 },
    ])
  })

  it('shows nothing but live grants where a connection needs one, and what is observed as it is', async () => {
    const token = await world.jwt('granted')
    await world.call('/v1/me', token)
    const before = await vi.waitFor(async () => (await access('granted')).permitted, 20_000)
    const on = (all: typeof before, connection: string) => all.filter((one) => one.connection === connection)
    expect(on(before, 'orders').every(({ verdict, grant }) => verdict === 'deny' && grant === undefined)).toBe(true)
    // Where it is only observed a missing grant refuses nothing, but what is masked stays so.
    for (const { action, verdict, observed } of on(before, 'watched'))
      expect([verdict, observed]).toEqual(action === 'data:reveal' ? ['deny', undefined] : ['allow', true])
    const grant = await world.grant(token, {
      actions: ['sql:read', 'data:reveal'],
      resources: ['orders/public.items', 'email'],
    })
    await world.grant(token, { connection: 'watched', actions: ['sql:read'] })
    const { permitted } = await access('granted')
    const lines = on(permitted, 'orders').map(({ action, resource, verdict, grant }) => [
      action,
      resource,
      verdict,
      grant,
    ])
    expect(lines).toContainEqual(['sql:read', 'orders/public.items', 'allow', grant.id])
    expect(lines).toContainEqual(['sql:connect', 'orders', 'depends', grant.id])
    expect(lines).toContainEqual(['data:reveal', 'email', 'allow', grant.id])
    expect(lines).toContainEqual(['sql:write', 'orders', 'deny', undefined])
    expect(lines).not.toContainEqual(expect.arrayContaining(['sql:read', 'orders']))
    expect(on(permitted, 'watched').find(({ action }) => action === 'sql:read')).toMatchObject({
      verdict: 'allow',
      observed: true,
    })
    expect(on(permitted, 'masked').find(({ resource }) => resource === 'email')).toMatchObject({ verdict: 'deny' })
    await world.as('max', `/v1/grants/${grant.id}/revoke`, { reason: 'enough' })
    expect(on((await access('granted')).permitted, 'orders').every(({ verdict }) => verdict === 'deny')).toBe(true)
  })

  it('asks for a window of use, and for an agent that is there', async () => {
    expect((await access('worker', '?since=2099-01-01')).used).toEqual([])
    const said = async (query: string) => (await world.call(query, await world.person('aud'))).status
    expect(await said(`${path('worker')}/access?since=yesterday`)).toBe(400)
    expect(await said(`${path('nobody')}/access`)).toBe(404)
    expect((await world.call(`${path('worker')}/access`, await world.jwt('worker'))).status).toBe(403)
  })
})

describe('who could do what', () => {
  const ask = async (query: string, person: 'aud' | 'ada' | 'max' = 'aud') => {
    const answer = await world.call(`/v1/access?${query}`, await world.person(person))
    return {
      status: answer.status,
      body: (await answer.json()) as { items: unknown[]; notes?: string[]; detail: string },
    }
  }

  it.each([
    ['no time', '', 400],
    ['no time at all', 'at=noon', 400],
    ['a time to come', `at=2099-01-01T00:00:00Z`, 400],
    ['another’s cursor', 'at=2026-01-01T00:00:00Z&after=x', 400],
  ])('with %s is %i', async (_what, query, status) => {
    expect((await ask(query)).status).toBe(status)
  })

  it('before anything was known is said to be unknown', async () => {
    expect((await ask('at=2020-01-01T00:00:00Z')).body).toMatchObject({
      items: [],
      notes: [expect.stringContaining('No policy')],
    })
  })

  it('is asked by agent, connection and action', async () => {
    const at = new Date().toISOString()
    const agent = encodeURIComponent(world.agent('worker'))
    const { body } = await ask(`at=${at}&agent=${agent}&connection=files&action=sql:read`)
    expect(body.items).toMatchObject([
      {
        agent: world.agent('worker'),
        connection: 'files',
        action: 'sql:read',
        resource: 'files',
        verdict: 'allow',
        through: { kind: 'policy' },
      },
    ])
    expect((await ask(`at=${at}&agent=nobody`)).body.items).toEqual([])
    expect((await ask(`at=${at}&after=x`)).status).toBe(400)
    expect((await world.call(`/v1/access?at=${at}`, await world.jwt('worker'))).status).toBe(403)
  })

  it('by policies that can’t be read is refused, in words, and what is in force goes on', async () => {
    await world.stop()
    const { default: Database } = await import('better-sqlite3')
    const store = new Database(`${world.data}/countersign.sqlite`)
    const { files } = store.prepare('select files from policy_versions').get() as { files: string }
    store.prepare('update policy_versions set files = ?').run(files.replace('@hold', '@held'))
    store.close()
    await world.serve()
    const changed = await ask(`at=${new Date().toISOString()}`)
    expect(changed).toMatchObject({ status: 409, body: { detail: expect.stringContaining('run verify') } })
    await does(await world.jwt('worker'), 'files', 'select 1')
    expect((await access('worker')).permitted.length).toBeGreaterThan(0)
    await world.stop()
    const mended = new Database(`${world.data}/countersign.sqlite`)
    mended.prepare('update policy_versions set files = ?').run(files)
    mended.close()
    await world.serve()
    expect((await ask(`at=${new Date().toISOString()}`)).status).toBe(200)
  })
})
