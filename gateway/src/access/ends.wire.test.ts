import type { Grant } from '@countersign/contract/access'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { d, Q, type RawClient, told } from '../postgres/testing/raw.ts'
import { T } from '../postgres/wire/messages.ts'
import { verify } from '../verify/testing/world.ts'
import { stopwatch } from './testing/stopwatch.ts'
import { AccessWorld, policy } from './testing/world.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 })

/** Comes true some time: how long that takes is the machine's affair. */
const eventually = <T>(look: () => Promise<T> | T) => vi.waitFor(look, { timeout: 30_000, interval: 20 })

let world: AccessWorld
beforeAll(async () => {
  world = await AccessWorld.start()
})
afterAll(() => world?.[Symbol.asyncDispose]())

let open: RawClient[] = []
afterEach(() => {
  for (const client of open) client.socket.destroy()
  open = []
})

let number = 0
/** An agent that nobody has seen yet, with a grant on `orders`. */
async function agentWithGrant(duration = '1h') {
  const subject = `bot-${++number}`
  const jwt = await world.jwt(subject)
  const grant = await world.grant(jwt, { duration })
  return { subject, jwt, grant }
}

async function connected(password: string, database = 'orders', more: Record<string, string> = {}) {
  const client = await world.client(password, database, more)
  open.push(client)
  expect(told(client.frames).at(-1)).toBe('Z I')
  return client
}

const running = (sql: string) =>
  world.server.query(`select count(*)::int as n from pg_stat_activity where state = 'active' and query like '${sql}%'`)
const untilRunning = (sql: string, count = 1) =>
  eventually(async () => expect((await running(sql))[0]).toMatchObject({ n: count }))
const isCopyIn = (frame: Buffer) => frame[0] === T.CopyInResponse

/** What a session may be in the middle of; each answers once it is. */
const middles: Record<string, (client: RawClient) => Promise<unknown>> = {
  'at rest': async () => {},
  'within a query': async (client) => {
    client.send(Q('select pg_sleep(60)'))
    await untilRunning('select pg_sleep(60)')
  },
  'within a COPY from the client': async (client) => {
    client.send(Q('copy items from stdin'))
    await client.until(isCopyIn)
    client.send(d('1\tcopied\n'))
  },
  'within a COPY to the client': async (client) => {
    client.send(Q("copy (select pg_sleep(0.02), repeat('x', 20000) from generate_series(1, 100000)) to stdout"))
    await client.until((frame) => frame[0] === T.CopyData)
  },
  'within a held command': async (client) => {
    client.send(Q('delete from items'))
    await client.until((frame) => frame[0] === T.NoticeResponse)
  },
  'within a transaction': async (client) => {
    client.send(Q("begin; insert into items values (1, 'never')"))
    await client.ready()
  },
}

/** The FATAL that ends it, with how long after `since` it came (ms). */
async function ended(client: RawClient, since = stopwatch()) {
  const frames = await client.closed()
  return { words: told(frames).findLast((line) => line.startsWith('E')), ms: since() }
}

describe.each(Object.keys(middles))('%s', (middle) => {
  test('a revoked grant ends it within a second, and nothing of what it was at goes on', async () => {
    const { jwt, grant, subject } = await agentWithGrant()
    const client = await connected(jwt)
    await middles[middle]!(client)
    await world.as('max', `/v1/grants/${grant.id}/revoke`, { reason: 'no longer needed' })
    const { words, ms } = await ended(client)
    expect(words).toBe(`E 57P01 access ended: grant ${grant.id} was revoked by Max: no longer needed`)
    expect(ms).toBeLessThan(1000)
    await untilRunning('select pg_sleep(60)', 0)
    await untilRunning('copy', 0)
    expect(await world.server.query('select * from items')).toEqual([])
    await eventually(async () => {
      const [session] = await world.sessions(`&agent=${encodeURIComponent(world.agent(subject))}`)
      expect(session).toMatchObject({
        state: 'terminated',
        closedBecause: `access ended: grant ${grant.id} was revoked by Max: no longer needed`,
        grants: [grant.id],
      })
    })
    const held = (await world.approvals()).filter(({ agent }) => agent === world.agent(subject))
    expect(held.map(({ state }) => state)).toEqual(middle === 'within a held command' ? ['cancelled'] : [])
  })
})

test('while it is being opened: held before it is connected', async () => {
  const { jwt, grant, subject } = await agentWithGrant()
  const opening = world.client(jwt, 'orders', { options: '-c countersign.purpose=ask' })
  const ours = async () => (await world.approvals()).filter(({ agent }) => agent === world.agent(subject))
  await eventually(async () => expect(await ours()).toMatchObject([{ state: 'pending' }]))
  await world.as('max', `/v1/grants/${grant.id}/revoke`, { reason: 'no longer needed' })
  const client = await opening
  expect(told(await client.closed()).at(-1) ?? told(client.frames).at(-1)).toBe(
    `E 57P01 access ended: grant ${grant.id} was revoked by Max: no longer needed`,
  )
  expect(await ours()).toMatchObject([{ state: 'cancelled' }])
})

test('while nobody reads what comes: server and session end nevertheless', async () => {
  const { jwt, grant, subject } = await agentWithGrant()
  const client = await connected(jwt)
  client.socket.pause()
  const flood = "select repeat('x', 1000) from generate_series(1, 10000000)"
  client.send(Q(flood))
  const blocked = `select count(*)::int as n from pg_stat_activity where wait_event = 'ClientWrite' and query = $$${flood}$$`
  await eventually(async () => expect((await world.server.query(blocked))[0]).toMatchObject({ n: 1 }))
  const revoke = `/v1/grants/${grant.id}/revoke`
  const { endedAt } = await world.as<Grant>('max', revoke, { reason: 'no longer needed' })
  await eventually(async () => {
    const [session] = await world.sessions(`&agent=${encodeURIComponent(world.agent(subject))}`)
    expect(session).toMatchObject({ state: 'terminated' })
    expect(Date.parse(session!.closedAt!) - Date.parse(endedAt!)).toBeLessThan(1000)
    expect((await world.server.query(blocked))[0]).toMatchObject({ n: 0 })
  })
})

interface Access {
  subject: string
  grant: Grant
  token: string
}
const restored: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const restore of restored.splice(0)) await restore()
})

describe.each<[what: string, end: (access: Access) => Promise<unknown>, words: (access: Access) => string]>([
  [
    'its token, revoked',
    ({ token }) => world.as('max', `/v1/tokens/${token}/revoke`, { reason: 'leaked' }),
    () => 'its token was revoked by Max: leaked',
  ],
  [
    'its agent, disabled',
    async ({ subject }) => {
      const path = `/v1/agents/${encodeURIComponent(world.agent(subject))}`
      // Who comes is written down a moment later.
      await eventually(() => world.as('max', path))
      return world.as('max', path, { disabled: true, reason: 'odd' }, 'PATCH')
    },
    ({ subject }) => `agent ${subject} was disabled by Max: odd`,
  ],
  [
    'its connection, frozen',
    async () => {
      restored.push(() => world.as('max', '/v1/connections/orders/unfreeze', { reason: 'fine' }))
      await world.as('max', '/v1/connections/orders/freeze', { reason: 'odd' })
    },
    () => 'orders was frozen by Max: odd',
  ],
  [
    'everything, frozen',
    async () => {
      restored.push(() => world.as('max', '/v1/unfreeze', { reason: 'fine' }))
      await world.as('max', '/v1/freeze', { reason: 'odd' })
    },
    () => 'everything was frozen by Max: odd',
  ],
  [
    'policy that lets it connect no more',
    async () => {
      restored.push(() => {
        world.write(policy)
        return world.reload()
      })
      world.write(
        `${policy}@id("closed") @reason("Closed today") forbid (principal, action == Action::"sql:connect", resource);`,
      )
      await world.reload()
    },
    () => 'policy was changed: denied by policy closed (Closed today): sql:connect on orders',
  ],
])('%s', (_, end, words) => {
  test.each(['at rest', 'within a query', 'within a held command'])('ends it within a second, %s', async (middle) => {
    const { jwt, subject, grant } = await agentWithGrant()
    const token = await world.exchange(jwt, 'orders')
    const client = await connected(token.access_token)
    await middles[middle]!(client)
    const access = { subject, grant, token: token.token_id }
    await end(access)
    const { words: said, ms } = await ended(client)
    expect(said).toBe(`E 57P01 access ended: ${words(access)}`)
    expect(ms).toBeLessThan(1000)
  })
})

test('a grant that runs out ends it within a second of its end', async () => {
  const { jwt, grant } = await agentWithGrant('2s')
  const client = await connected(jwt)
  await middles['within a query']!(client)
  const since = stopwatch(Date.parse(grant.expiresAt!))
  const { words } = await ended(client)
  const late = Date.now() - Date.parse(grant.expiresAt!)
  expect(words).toMatch(new RegExp(`^E 57P01 access ended: grant ${grant.id} has (run out|expired|ended)`))
  expect(late).toBeGreaterThanOrEqual(0)
  expect(since()).toBeLessThan(1000)
})

test('a token that runs out ends it within a second of its end', async () => {
  const { jwt } = await agentWithGrant()
  const token = await world.exchange(jwt, 'orders', { requested_token_lifetime: '2' })
  const until = Date.now() + token.expires_in * 1000
  const client = await connected(token.access_token)
  await middles['within a query']!(client)
  const since = stopwatch(until)
  const { words } = await ended(client)
  expect(words).toBe('E 57P01 access ended: its token has expired')
  expect(since()).toBeLessThan(1000)
})

test('a connection that takes a grant from now on ends the sessions that have none', async () => {
  const client = await connected(await world.jwt('bot-files'), 'files')
  restored.push(() => {
    world.configure()
    return world.reload()
  })
  world.configure({ files: { access: 'jit' } })
  await world.reload()
  const { words, ms } = await ended(client)
  expect(words).toMatch(/^E 57P01 terminating connection because "files" was changed/)
  expect(ms).toBeLessThan(1000)
})

test('an issuer that is trusted no more ends what came by its tokens, sessions and the feed', async () => {
  const jwt = await world.jwt('bot-issuer')
  const { access_token } = await world.exchange(jwt, 'files')
  const clients = [await connected(jwt, 'files'), await connected(access_token, 'files')]
  const [feed, other] = [await world.listen(jwt), await world.listen(await world.person('ada'))]
  restored.push(() => {
    world.configure()
    return world.reload()
  })
  world.configure({}, { agents: false })
  await world.reload()
  for (const client of clients)
    expect((await ended(client)).words).toBe('E 57P01 access ended: the issuer of its token is trusted no more')
  expect(await feed.untilClosed()).toEqual({ code: 4401, reason: 'the issuer of its token is trusted no more' })
  expect(other.closed).toBeUndefined()
  await other.close()
})

test('one grant of two ends nothing but what it alone covered, also of a command that is held', async () => {
  const jwt = await world.jwt('bot-two')
  const [reads, writes] = [
    await world.grant(jwt, { actions: ['sql:read'] }),
    await world.grant(jwt, { actions: ['sql:read', 'sql:write'] }),
  ]
  const client = await connected(jwt)
  client.send(Q('delete from items'))
  await client.until((frame) => frame[0] === T.NoticeResponse)
  const [held] = (await world.approvals('&state=pending')).filter(({ agent }) => agent === world.agent('bot-two'))
  await world.as('max', `/v1/grants/${writes.id}/revoke`, { reason: 'read only' })
  expect(told(await client.ready())).toEqual([
    `E 57014 canceling statement: access ended: grant ${writes.id} was revoked by Max: read only`,
    'Z I',
  ])
  expect(await world.as('ada', `/v1/approvals/${held!.id}`)).toMatchObject({ state: 'cancelled' })
  client.send(Q('select count(*) from items'))
  expect(told(await client.ready())).toContain('C SELECT 1')
  await world.as('max', `/v1/grants/${reads.id}/revoke`, {})
  expect((await ended(client)).words).toBe(`E 57P01 access ended: grant ${reads.id} was revoked by Max`)
})

test('a command that runs by one grant of two ends the session with that', async () => {
  const jwt = await world.jwt('bot-running')
  await world.grant(jwt, { actions: ['sql:read'] })
  const writes = await world.grant(jwt, { actions: ['sql:write', 'sql:call'] })
  const reading = await connected(jwt)
  const client = await connected(jwt)
  const insert = "insert into items select 1, 'x' from pg_sleep(60)"
  client.send(Q(insert))
  await untilRunning(insert.replaceAll("'", "''"))
  await world.as('max', `/v1/grants/${writes.id}/revoke`, { reason: 'read only' })
  const { words, ms } = await ended(client)
  expect(words).toBe(`E 57P01 access ended: grant ${writes.id} was revoked by Max: read only`)
  expect(ms).toBeLessThan(1000)
  reading.send(Q('select count(*) from items'))
  expect(told(await reading.ready())).toContain('C SELECT 1')
})

test('a hundred sessions of a hundred agents end at once where everything is frozen, and none comes in', async () => {
  const agents = await Promise.all(
    Array.from({ length: 100 }, async (_, n) => {
      const jwt = await world.jwt(`many-${n}`)
      return connected(jwt, n % 2 ? 'files' : 'watched')
    }),
  )
  restored.push(() => world.as('max', '/v1/unfreeze', { reason: 'fine' }))
  await world.as('max', '/v1/freeze', { reason: 'all of it' })
  const since = stopwatch()
  const ends = await Promise.all(agents.map((client) => ended(client, since)))
  expect(new Set(ends.map(({ words }) => words))).toEqual(
    new Set(['E 57P01 access ended: everything was frozen by Max: all of it']),
  )
  expect(Math.max(...ends.map(({ ms }) => ms))).toBeLessThan(1000)
  const late = await world.client(await world.jwt('many-0'), 'files')
  expect(told(late.frames)).toContain('E 42501 there is no such connection, or this agent may not open it')
})

test('of all of this the ledger tells the same as the store', async () => {
  for (const restore of restored.splice(0)) await restore()
  await world.stop()
  expect((await verify(world.data)).findings).toEqual([])
  await world.serve()
})
