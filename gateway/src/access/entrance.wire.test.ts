import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { ConnectionRecord } from '@countersign/contract/access'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { Q, type RawClient, told } from '../postgres/testing/raw.ts'
import { reportFields, T } from '../postgres/wire/messages.ts'
import { AccessWorld } from './testing/world.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 })

/** Comes true some time: how long that takes is the machine's affair. */
const eventually = <T>(look: () => Promise<T> | T) => vi.waitFor(look, { timeout: 30_000, interval: 20 })

let world: AccessWorld
beforeAll(async () => {
  world = await AccessWorld.start()
})
afterAll(() => world?.[Symbol.asyncDispose]())

const restored: (() => Promise<unknown>)[] = []
let open: RawClient[] = []
afterEach(async () => {
  for (const client of open) client.socket.destroy()
  open = []
  for (const restore of restored.splice(0)) await restore()
})

async function connected(password: string, database = 'orders', more: Record<string, string> = {}) {
  const client = await world.client(password, database, more)
  open.push(client)
  expect(told(client.frames).at(-1)).toBe('Z I')
  return client
}

async function said(client: RawClient, sql: string): Promise<string[]> {
  client.send(Q(sql))
  return told(await client.ready()).filter((line) => /^[CEN]/.test(line))
}

const agentPath = (subject: string) => `/v1/agents/${encodeURIComponent(world.agent(subject))}`
const asMax = (path: string, body: object, method?: string) => world.as('max', path, body, method)
async function freeze(path: string): Promise<void> {
  restored.push(() => asMax(`/v1/${path}unfreeze`, { reason: 'fine' }))
  await asMax(`/v1/${path}freeze`, { reason: 'odd' })
}
async function disabled(subject: string): Promise<string> {
  const jwt = await world.jwt(subject)
  await world.call('/v1/me', jwt)
  await eventually(() => world.as('max', agentPath(subject)))
  await asMax(agentPath(subject), { disabled: true, reason: 'odd' }, 'PATCH')
  return jwt
}

describe('whoever is refused at the start gets one and the same text, byte for byte', () => {
  /** What a refused client receives, whole. */
  const refusals: Record<string, () => Promise<{ password: string; database?: string; options?: string }>> = {
    'no such connection': async () => ({ password: await world.jwt('r1'), database: 'nothing' }),
    'a connection of a name that none can have': async () => ({ password: await world.jwt('r1'), database: '*' }),
    'no sql:connect': async () => ({
      password: await world.jwt('r2'),
      database: 'files',
      options: '-c countersign.purpose=mischief',
    }),
    'no grant': async () => ({ password: await world.jwt('r3') }),
    'a grant that was revoked': async () => {
      const password = await world.jwt('r4')
      const { id } = await world.grant(password)
      await asMax(`/v1/grants/${id}/revoke`, { reason: 'done' })
      return { password }
    },
    'a grant of the same agent on behalf of another one': async () => {
      const acting = { claims: { sub: 'bob', act: { sub: 'r5' } } }
      await world.grant(await world.jwt('r5'))
      return { password: await world.jwt('r5', acting) }
    },
    'a grant of another agent': async () => {
      await world.grant(await world.jwt('r6'))
      return { password: await world.jwt('r7') }
    },
    'a grant on another connection': async () => {
      const password = await world.jwt('r8')
      await world.grant(password, { connection: 'watched' })
      return { password }
    },
    'a gateway token of another connection': async () => {
      const { access_token: password } = await world.exchange(await world.jwt('r9'), 'files')
      await world.grant(await world.jwt('r9'))
      return { password }
    },
    'a gateway token of a grant that was revoked': async () => {
      const jwt = await world.jwt('r10')
      const [one] = [await world.grant(jwt), await world.grant(jwt)]
      const { access_token: password } = await world.exchange(jwt, 'orders', { grant: one.id })
      await asMax(`/v1/grants/${one.id}/revoke`, { reason: 'done' })
      return { password }
    },
    'a disabled agent': async () => ({ password: await disabled('r11'), database: 'files' }),
    'a disabled agent, where all is observed': async () => ({ password: await disabled('r12'), database: 'watched' }),
    'a frozen connection': async () => {
      await freeze('connections/files/')
      return { password: await world.jwt('r13'), database: 'files' }
    },
    'a frozen connection, with a grant': async () => {
      const password = await world.jwt('r14')
      await world.grant(password)
      await freeze('connections/orders/')
      return { password }
    },
    'a frozen connection, where all is observed': async () => {
      await freeze('connections/watched/')
      return { password: await world.jwt('r15'), database: 'watched' }
    },
    'everything frozen': async () => {
      await freeze('')
      return { password: await world.jwt('r16'), database: 'files' }
    },
  }
  let first: Buffer | undefined

  test.each(Object.keys(refusals))('%s', async (what) => {
    const { password, database = 'orders', options } = await refusals[what]!()
    const client = await world.client(password, database, options === undefined ? {} : { options })
    open.push(client)
    await client.closed()
    const bytes = Buffer.concat(client.frames)
    first ??= bytes
    expect(bytes.equals(first)).toBe(true)
    expect(client.frames.map((frame) => frame[0])).toEqual([T.Authentication, T.ErrorResponse])
    expect(reportFields(client.frames[1]!)).toMatchObject({
      S: 'FATAL',
      C: '42501',
      M: 'there is no such connection, or this agent may not open it',
    })
  })

  test('a token that was revoked is none', async () => {
    const token = await world.exchange(await world.jwt('r17'), 'files')
    await asMax(`/v1/tokens/${token.token_id}/revoke`, { reason: 'leaked' })
    const client = await world.client(token.access_token, 'files')
    expect(told(client.frames)).toEqual(['R', 'E 28P01 the token was refused'])
  })

  test('why it was is in the ledger', async () => {
    await world.stop()
    await world.serve()
    const said = await world.refusedSignIns()
    const reasons = new Set(said.map(({ reason }) => reason))
    for (const reason of [
      'there is no such connection',
      'policy does not let it in',
      'no live grant',
      'the token is for another connection',
      'the grant of the token is not live',
      'the agent is disabled',
      'the connection is frozen',
      'everything is frozen',
    ])
      expect(reasons).toContain(reason)
  })
})

describe('what a grant lets do', () => {
  test('what it names, where policy lets it, too', async () => {
    const jwt = await world.jwt('reader')
    await world.grant(jwt, { actions: ['sql:read'], resources: ['orders/public.items'] })
    const client = await connected(jwt)
    expect(await said(client, 'select count(*) from items')).toEqual(['C SELECT 1'])
    expect(await said(client, "insert into items values (1, 'x')")).toEqual([
      'E 42501 no live grant covers sql:write on orders/public.items',
    ])
    expect(await said(client, 'select count(*) from pg_stats')).toEqual([
      'E 42501 no live grant covers sql:read on orders/pg_catalog.pg_stats',
    ])
  })

  test('more, as soon as there is one more; less, as soon as that is gone, in the same session', async () => {
    const jwt = await world.jwt('growing')
    await world.grant(jwt, { actions: ['sql:read'] })
    const client = await connected(jwt)
    const insert = "insert into items values (2, 'x')"
    expect(await said(client, insert)).toEqual(['E 42501 no live grant covers sql:write on orders/public.items'])
    const more = await world.grant(jwt, { actions: ['sql:write'] })
    expect(await said(client, insert)).toEqual(['C INSERT 0 1'])
    await asMax(`/v1/grants/${more.id}/revoke`, { reason: 'enough' })
    expect(await said(client, insert)).toEqual(['E 42501 no live grant covers sql:write on orders/public.items'])
    await world.server.query('truncate items')
  })

  test('with a token that is bound to one, what that one names alone', async () => {
    const jwt = await world.jwt('bound')
    const reads = await world.grant(jwt, { actions: ['sql:read'] })
    await world.grant(jwt, { actions: ['sql:write'] })
    const { access_token } = await world.exchange(jwt, 'orders', { grant: reads.id })
    const client = await connected(access_token)
    expect(await said(client, "insert into items values (3, 'x')")).toEqual([
      'E 42501 no live grant covers sql:write on orders/public.items',
    ])
    expect(await said(client, 'select count(*) from items')).toEqual(['C SELECT 1'])
  })

  test('nothing is refused where all is observed, and what would be is recorded', async () => {
    const client = await connected(await world.jwt('seen'), 'watched')
    expect(await said(client, 'select count(*) from items')).toEqual(['C SELECT 1'])
    client.socket.end()
    const [session] = await world.sessions(`&agent=${encodeURIComponent(world.agent('seen'))}`)
    const { items } = await world.as<{ items: { text?: string; verdict?: object }[] }>(
      'aud',
      `/v1/sessions/${session!.id}/events?limit=100`,
    )
    expect(items.find(({ text }) => text === 'select count(*) from items')?.verdict).toMatchObject({
      outcome: 'allow',
      observed: true,
      reason: 'deny: no live grant covers sql:read on watched/public.items',
    })
  })
})

test('what a grant shows unmasked is shown while it lives, in the same session', async () => {
  const jwt = await world.jwt('showing')
  const client = await connected(jwt, 'masked')
  const emails = async () => {
    client.send(Q('select email from customers'))
    const rows = (await client.ready()).filter((frame) => frame[0] === T.DataRow)
    return rows.map((frame) => frame.toString('utf8', 11))
  }
  expect(await emails()).toEqual(['[masked: email]'])
  const grant = await world.grant(jwt, { connection: 'masked', actions: ['data:reveal'] })
  expect(await emails()).toEqual(['jane@example.com'])
  // What is being shown can't be masked any more.
  client.send(
    Q("copy (select email, repeat('x', 20000), pg_sleep(0.02) from customers, generate_series(1, 100000)) to stdout"),
  )
  await client.until((frame) => frame[0] === T.CopyData)
  await asMax(`/v1/grants/${grant.id}/revoke`, { reason: 'enough' })
  expect(told(await client.closed()).at(-1)).toBe(`E 57P01 access ended: grant ${grant.id} was revoked by Max: enough`)
})

test('the purpose is the token’s where the client says none', async () => {
  const jwt = await world.jwt('purposeful')
  const { access_token } = await world.exchange(jwt, 'files', { purpose: 'mending orders' })
  await connected(access_token, 'files')
  await connected(access_token, 'files', { options: '-c countersign.purpose=other' })
  const sessions = await world.sessions(`&agent=${encodeURIComponent(world.agent('purposeful'))}`)
  expect(sessions.map(({ purpose }) => purpose)).toEqual(['other', 'mending orders'])
  const refused = await world.exchange(jwt, 'files', { purpose: 'mischief' }).then(
    ({ access_token }) => world.client(access_token, 'files').then(({ frames }) => told(frames).at(-1)),
    (error: Error) => error.message,
  )
  expect(refused).toMatch(/42501 there is no such connection|invalid_target/)
})

test('sessions and grants are counted where connections are listed, and a grant knows its sessions', async () => {
  const jwt = await world.jwt('counted')
  const grant = await world.grant(jwt, { connection: 'files' })
  await connected(jwt, 'files')
  const client = await connected(jwt, 'files')
  const files = async () => {
    const { items } = await world.as<{ items: ConnectionRecord[] }>('aud', '/v1/connections')
    return items.find(({ name }) => name === 'files')
  }
  expect(await files()).toMatchObject({ access: 'standing', openSessions: 2, liveGrants: 1 })
  await eventually(async () => expect(await world.as('aud', `/v1/grants/${grant.id}`)).toMatchObject({ sessions: 2 }))
  client.socket.end()
  await eventually(async () => expect(await files()).toMatchObject({ openSessions: 1 }))
})

test('psql says why it was ended', async () => {
  const jwt = await world.jwt('psql')
  const grant = await world.grant(jwt)
  const psql = promisify(execFile)(
    'psql',
    ['-X', '-h', '127.0.0.1', '-p', String(world.port), '-U', 'any', '-d', 'orders', '-c', 'select pg_sleep(50)'],
    { env: { ...process.env, PGPASSWORD: jwt } },
  ).then(
    () => 'it went on',
    (error: { stderr: string }) => error.stderr,
  )
  const asleep =
    "select count(*)::int as n from pg_stat_activity where state = 'active' and query = 'select pg_sleep(50)'"
  await eventually(async () => expect((await world.server.query(asleep))[0]).toMatchObject({ n: 1 }))
  await asMax(`/v1/grants/${grant.id}/revoke`, { reason: 'no longer needed' })
  expect(await psql).toContain(`FATAL:  access ended: grant ${grant.id} was revoked by Max: no longer needed`)
})

describe('the feed', () => {
  test('of a gateway token is closed with 4401 when that is revoked', async () => {
    const token = await world.exchange(await world.jwt('listening'), 'files')
    const [feed, other] = [await world.listen(token.access_token), await world.listen(await world.jwt('listening'))]
    await asMax(`/v1/tokens/${token.token_id}/revoke`, { reason: 'leaked' })
    expect(await feed.untilClosed()).toEqual({ code: 4401, reason: 'its token was revoked by Max: leaked' })
    expect(other.closed).toBeUndefined()
    await expect(world.listen(token.access_token)).rejects.toMatchObject({ status: 401 })
    await other.close()
  })

  test('of an agent is closed with 4403 when it is disabled, and it may do nothing from then on', async () => {
    const jwt = await world.jwt('listening-too')
    const feed = await world.listen(jwt)
    await disabled('listening-too')
    const long = 'x'.repeat(200)
    expect(await feed.untilClosed()).toEqual({ code: 4403, reason: 'agent listening-too was disabled by Max: odd' })
    await expect(world.listen(jwt)).rejects.toMatchObject({ status: 403 })
    const answer = await world.call('/v1/grants', jwt)
    expect([answer.status, await answer.json()]).toMatchObject([
      403,
      { detail: 'this agent was disabled by Max: odd.' },
    ])
    await asMax(agentPath('listening-too'), { disabled: false, reason: 'fine' }, 'PATCH')
    const again = await world.listen(jwt)
    await asMax(agentPath('listening-too'), { disabled: true, reason: long }, 'PATCH')
    const { code, reason } = await again.untilClosed()
    expect([code, reason]).toEqual([4403, expect.stringMatching(/^agent listening-too was disabled by Max: x+…$/)])
  })

  test('of a person who has left is closed with 4403, and they may do nothing from then on', async () => {
    const feed = await world.listen(await world.person('aud'))
    const id = encodeURIComponent(`${world.issuers.people.url}#aud`)
    await eventually(() => world.as('max', `/v1/people/${id}`))
    await asMax(`/v1/people/${id}/left`, { left: true, reason: 'retired' })
    expect(await feed.untilClosed()).toMatchObject({ code: 4403, reason: expect.stringContaining('left') })
    expect((await world.call('/v1/sessions', await world.person('aud'))).status).toBe(403)
    await asMax(`/v1/people/${id}/left`, { left: false, reason: 'back' })
    expect((await world.call('/v1/sessions', await world.person('aud'))).status).toBe(200)
  })
})

test('a freeze outlives a restart', async () => {
  await freeze('connections/files/')
  await world.stop()
  await world.serve()
  const client = await world.client(await world.jwt('later'), 'files')
  expect(told(client.frames).at(-1)).toBe('E 42501 there is no such connection, or this agent may not open it')
  await connected(await world.jwt('later'), 'watched')
})
