import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Grant, Plan } from '@countersign/contract/access'
import type { Approval } from '@countersign/contract/approval'
import type { Session } from '@countersign/contract/session'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { stopwatch } from '../access/testing/stopwatch.ts'
import { AccessWorld, type Person, policy } from '../access/testing/world.ts'
import { Q, type RawClient, told } from '../postgres/testing/raw.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 })

let world: AccessWorld
const open: RawClient[] = []
beforeAll(async () => {
  world = await AccessWorld.start()
  world.write(`${policy}
@id("held") @hold("dba") @reason("Held") forbid (principal, action == Action::"access:request", resource)
when { context.purpose == "held" } unless { context has approval };
@id("no-files") @reason("Never files") forbid (principal, action == Action::"access:request", resource == Connection::"files");`)
  await world.reload()
})
afterAll(async () => {
  for (const client of open) client.socket.destroy()
  await world?.[Symbol.asyncDispose]()
})

const asking = (more: object = {}) => ({
  connection: 'orders',
  actions: ['sql'],
  duration: '1h',
  purpose: 'to look',
  ...more,
})
const ask = async (subject: string, more: object = {}) =>
  world.call('/v1/grants', await world.jwt(subject), asking(more))
const grantOf = async (answer: Response): Promise<Grant> => {
  if (!answer.ok) throw new Error(await answer.text())
  return (await answer.json()) as Grant
}
const decide = async ({ approval }: Pick<Grant, 'approval'>, verdict: 'approve' | 'deny') => {
  const { command } = await world.as<Approval>('ada', `/v1/approvals/${approval}`)
  const decision = { verdict, reason: 'as you say', digest: command.digest }
  return world.as<Approval>('ada', `/v1/approvals/${approval}/decisions`, decision)
}
const untilState = (id: string, state: string) =>
  vi.waitFor(async () => expect((await world.as<Grant>('aud', `/v1/grants/${id}`)).state).toBe(state), 20_000)

/** psql, as anybody has it: what it said, by when it is over. */
async function psql(password: string, sql: string) {
  const conninfo = `host=127.0.0.1 port=${world.port} dbname=orders user=any sslmode=prefer`
  const child = spawn('psql', ['-X', '-At', conninfo, '-c', sql], { env: { ...process.env, PGPASSWORD: password } })
  let out = ''
  let err = ''
  child.stdout.on('data', (text) => {
    out += text
  })
  child.stderr.on('data', (text) => {
    err += text
  })
  const [code] = await once(child, 'close')
  return { code, out: out.trim(), err: err.trim() }
}

test('no access, asked for, held, approved, at work, revoked in the middle of a statement', async () => {
  const jwt = await world.jwt('worker')
  const refused = await psql(jwt, 'select 1')
  expect(refused).toMatchObject({
    code: 2,
    err: expect.stringContaining('there is no such connection, or this agent may not open it'),
  })
  const answer = await ask('worker', { purpose: 'held' })
  expect(answer.status).toBe(201)
  const grant = await grantOf(answer)
  expect(grant.state).toBe('requested')
  expect((await ask('worker', { purpose: 'held' })).status).toBe(200)
  expect((await psql(jwt, 'select 1')).code).toBe(2)
  await decide(grant, 'approve')
  await untilState(grant.id, 'active')
  expect(await psql(jwt, 'select count(*) from items')).toMatchObject({ code: 0, out: '0' })

  const running = psql(jwt, 'select pg_sleep(60)')
  const asleep = `select pid from pg_stat_activity where state = 'active' and query = 'select pg_sleep(60)'`
  await vi.waitFor(async () => expect(await world.server.query(asleep)).toHaveLength(1), 20_000)
  const revoked = await world.as<Grant>('max', `/v1/grants/${grant.id}/revoke`, { reason: 'it looks odd' })
  const since = stopwatch()
  const over = await running
  expect(since()).toBeLessThan(1000)
  expect(revoked.state).toBe('revoked')
  expect(over.code).toBe(2)
  expect(over.err).toContain(`FATAL:  access ended: grant ${grant.id} was revoked by Max: it looks odd`)
  const used = await vi.waitFor(async () => {
    const found = await world.as<Grant>('aud', `/v1/grants/${grant.id}`)
    expect(found.sessions).toBe(2)
    return found
  }, 20_000)
  expect(used.usedBy).toHaveLength(2)
  // Whoever may decide it sees the sessions that used it, and may end them.
  const { items } = await world.as<{ items: Session[] }>('ada', `/v1/sessions?agent=${encodeURIComponent(grant.agent)}`)
  expect(items.map(({ id }) => id).sort()).toEqual(used.usedBy!.map(({ session }) => session).sort())
  const ended = await world.call(`/v1/sessions/${items[0]!.id}/terminate`, await world.person('ada'), {})
  expect(ended.status).toBe(409)
  expect((await psql(jwt, 'select 1')).code).toBe(2)
})

describe('at the door, of no use is', () => {
  const wrong: Record<string, () => Promise<string>> = {
    'a grant that people are still to decide': async () => {
      await grantOf(await ask('w1', { purpose: 'held' }))
      return world.jwt('w1')
    },
    'one that a person denied': async () => {
      const grant = await grantOf(await ask('w2', { purpose: 'held' }))
      await decide(grant, 'deny')
      await untilState(grant.id, 'denied')
      return world.jwt('w2')
    },
    'one that policy denied': async () => {
      expect((await ask('w3', { purpose: 'never' })).status).toBe(403)
      return world.jwt('w3')
    },
    'one that has expired': async () => {
      const grant = await grantOf(await ask('w4', { duration: '1s' }))
      await untilState(grant.id, 'expired')
      return world.jwt('w4')
    },
    'one that its agent gave back': async () => {
      const grant = await grantOf(await ask('w5'))
      const back = await world.call(`/v1/grants/${grant.id}/revoke`, await world.jwt('w5'), {})
      expect(back.status).toBe(200)
      return world.jwt('w5')
    },
    'one of another delegator': async () => {
      await grantOf(
        await world.call('/v1/grants', await world.jwt('w6', { claims: { sub: 'zoe', act: { sub: 'w6' } } }), asking()),
      )
      return world.jwt('w6', { claims: { sub: 'bob', act: { sub: 'w6' } } })
    },
    'a step of a plan for another agent': async () => {
      await world.call('/v1/me', await world.jwt('w8'))
      const { purpose, ...step } = asking({ agent: world.agent('w8'), title: 'look' }) as Record<string, unknown>
      await vi.waitFor(async () => {
        const made = await world.call('/v1/plans', await world.jwt('w7'), { title: 'plan', purpose, steps: [step] })
        expect(made.status).toBe(201)
      }, 20_000)
      return world.jwt('w7')
    },
  }
  test.each(Object.keys(wrong))('%s', async (what) => {
    const client = await world.client(await wrong[what]!())
    open.push(client)
    expect(told(client.frames).at(-1)).toBe('E 42501 there is no such connection, or this agent may not open it')
  })
})

describe('in a session that stands on one', () => {
  const refusals: [what: string, actions: string[], resources: string[] | undefined, sql: string, says: string][] = [
    ['another action', ['sql:read'], undefined, 'truncate items', 'sql:write on orders/public.items'],
    ['another resource', ['sql'], ['orders/public.other'], 'select * from items', 'sql:read on orders/public.items'],
    ['what only begins so', ['sql'], ['orders/public.item'], 'select * from items', 'sql:read on orders/public.items'],
    [
      'the catalog’s values',
      ['sql'],
      ['orders/public.*'],
      'select * from pg_stats',
      'sql:read on orders/pg_catalog.pg_stats',
    ],
    ['making things', ['sql:read', 'sql:write'], undefined, 'create table t ()', 'sql:ddl on orders/public.t'],
    ['administering', ['sql:read'], undefined, 'set role postgres', 'sql:admin on orders'],
  ]
  test.each(refusals)('%s is refused, and it lives on', async (what, actions, resources, sql, says) => {
    const subject = `s-${what.replaceAll(/\W/g, '')}`
    await grantOf(await ask(subject, { actions, ...(resources && { resources }) }))
    const client = await world.client(await world.jwt(subject))
    open.push(client)
    client.send(Q(sql))
    expect(told(await client.ready()).find((line) => line.startsWith('E'))).toBe(`E 42501 no live grant covers ${says}`)
    client.send(Q('show DateStyle'))
    expect(told(await client.ready()).some((line) => line.startsWith('C'))).toBe(true)
  })

  test('it ends when that does, within a second, and lives on where it was prolonged', async () => {
    const jwt = await world.jwt('short')
    const grant = await grantOf(await ask('short', { duration: '3s' }))
    const [one, two] = [await world.client(jwt), await world.client(await world.jwt('short'))]
    open.push(one, two)
    const longer = await world.call(`/v1/grants/${grant.id}/extend`, jwt, { duration: '1h', purpose: 'more' })
    expect(longer.status).toBe(201)
    await untilState(grant.id, 'expired')
    one.send(Q('select count(*) from items'))
    expect(told(await one.ready()).at(-1)).toBe('Z I')
    const { id } = await grantOf(longer)
    const since = stopwatch()
    await world.as('max', `/v1/grants/${id}/revoke`, { reason: '' })
    await Promise.all([one.closed(), two.closed()])
    expect(since()).toBeLessThan(1000)
    expect(told(two.frames).at(-1)).toBe(`E 57P01 access ended: grant ${id} was revoked by Max`)
    const other = await grantOf(await ask('short', { duration: '2s' }))
    const three = await world.client(await world.jwt('short'))
    open.push(three)
    const over = stopwatch(Date.parse(other.expiresAt!))
    await three.closed()
    expect(over()).toBeLessThan(1000)
    expect(told(three.frames).at(-1)).toBe(`E 57P01 access ended: grant ${other.id} has expired`)
  })
})

describe('over HTTP', () => {
  test.each<[string, object, number, RegExp, boolean]>([
    ['no purpose', { purpose: ' ' }, 400, /purpose/, false],
    ['no duration', { duration: '0m' }, 400, /duration/, false],
    ['a member that nobody knows', { more: 1 }, 400, /more/i, false],
    ['too long', { duration: '9h' }, 400, /8h at most here \(grants.max_duration\)/, false],
    ['actions of another protocol', { actions: ['k8s:get'] }, 400, /it is postgres/, false],
    ['what a policy denies by name', { connection: 'files' }, 403, /denied by policy no-files \(Never files\)/, true],
    ['what nothing permits', { purpose: 'never' }, 403, /^Nothing permits you to ask for this/, false],
    ['a connection that there isn’t', { connection: 'nope' }, 403, /^Nothing permits you to ask for this/, false],
    ['for another agent', { agent: 'https://other#agent' }, 403, /asks for itself/, false],
  ])('asked for with %s it is a problem that says what to do', async (_what, more, status, detail, named) => {
    const answer = await ask('http', more)
    const problem = (await answer.json()) as { status: number; detail: string; grant?: string }
    expect([answer.status, problem.status]).toEqual([status, status])
    expect(answer.headers.get('content-type')).toMatch(/problem\+json/)
    expect(problem.detail).toMatch(detail)
    expect('grant' in problem).toBe(named)
    if (named) expect((await world.as<Grant>('aud', `/v1/grants/${problem.grant}`)).state).toBe('denied')
  })

  test('who sees a grant, and who may end it', async () => {
    const grant = await grantOf(await ask('owner-of-it', { purpose: 'held' }))
    const plain = await grantOf(await ask('owner-of-it'))
    const tokens: Record<string, string> = {
      itself: await world.jwt('owner-of-it'),
      'another agent': await world.jwt('other'),
      ada: await world.person('ada'),
      aud: await world.person('aud'),
      max: await world.person('max'),
      nobody: await world.issuers.people.personToken({ subject: 'nobody', name: 'Nobody', groups: ['guests'] }),
    }
    const statuses: [path: string, body: object | undefined, Record<string, number>][] = [
      [
        `/v1/grants/${grant.id}`,
        undefined,
        { itself: 200, 'another agent': 404, ada: 200, aud: 200, max: 200, nobody: 404 },
      ],
      [
        `/v1/grants/${plain.id}`,
        undefined,
        { itself: 200, 'another agent': 404, ada: 404, aud: 200, max: 200, nobody: 404 },
      ],
      [
        `/v1/grants/${plain.id}/revoke`,
        {},
        { 'another agent': 404, ada: 404, aud: 403, nobody: 404, max: 200, itself: 200 },
      ],
      [
        `/v1/grants/${plain.id}/extend`,
        { duration: '1m', purpose: 'x' },
        { 'another agent': 404, nobody: 404, itself: 409, max: 409 },
      ],
      [`/v1/grants/${grant.id}/revoke`, {}, { aud: 403, ada: 200, itself: 200 }],
    ]
    for (const [path, body, expected] of statuses)
      for (const [who, status] of Object.entries(expected)) {
        const answer = await world.call(path, tokens[who]!, body)
        expect([who, path, answer.status]).toEqual([who, path, status])
      }
    for (const [who, sees] of [
      ['itself', [grant.id, plain.id]],
      ['another agent', []],
      ['ada', [grant.id]],
      ['aud', [grant.id, plain.id]],
    ] as const) {
      const { items } = (await (
        await world.call(`/v1/grants?agent=${encodeURIComponent(world.agent('owner-of-it'))}`, tokens[who]!)
      ).json()) as { items: Grant[] }
      expect(items.map(({ id }) => id).sort()).toEqual([...sees].sort())
    }
    expect((await world.call('/v1/grants', tokens.nobody!)).status).toBe(403)
  })

  test('an agent sees of another’s plan its own steps', async () => {
    await world.call('/v1/me', await world.jwt('executor'))
    const { purpose, ...step } = asking() as Record<string, unknown>
    const steps = [
      { ...step, title: 'mine' },
      { ...step, title: 'yours', agent: world.agent('executor') },
    ]
    const made = await vi.waitFor(async () => {
      const answer = await world.call('/v1/plans', await world.jwt('planner'), { title: 'two', purpose, steps })
      expect(answer.status).toBe(201)
      return (await answer.json()) as Plan
    }, 20_000)
    const seen = async (subject: string) => world.call(`/v1/plans/${made.id}`, await world.jwt(subject))
    expect(((await (await seen('planner')).json()) as Plan).grants).toHaveLength(2)
    expect(((await (await seen('executor')).json()) as Plan).grants.map(({ step }) => step?.title)).toEqual(['yours'])
    expect((await seen('other')).status).toBe(404)
    const { items } = await world.as<{ items: Plan[] }>('aud', '/v1/plans?text=two')
    expect(items.map(({ id }) => id)).toContain(made.id)
  })

  test('the feed tells each of those that they may see', async () => {
    const agent = await world.listen(await world.jwt('on-the-feed'))
    const stranger = await world.listen(await world.jwt('stranger'))
    const listening: [Person, Awaited<ReturnType<typeof world.listen>>][] = []
    for (const person of ['ada', 'aud', 'max'] as const)
      listening.push([person, await world.listen(await world.person(person))])
    const plain = await grantOf(await ask('on-the-feed'))
    const held = await grantOf(await ask('on-the-feed', { purpose: 'held' }))
    const last = await grantOf(await ask('stranger', { purpose: 'held' }))
    const of = (messages: { type: string; data: unknown }[]) =>
      messages.filter(({ type }) => type.startsWith('grant.')).map(({ data }) => (data as Grant).id)
    expect(of((await agent.until((messages) => of(messages as never).length === 2)) as never)).toEqual([
      plain.id,
      held.id,
    ])
    expect(of((await stranger.until((messages) => of(messages as never).length === 1)) as never)).toEqual([last.id])
    const all = [plain.id, held.id, last.id]
    const expected = { ada: [held.id, last.id], aud: all, max: all, mia: all, rae: all }
    for (const [person, client] of listening) {
      const ids = of((await client.until((messages) => of(messages as never).includes(last.id))) as never)
      expect([person, ids]).toEqual([person, expected[person]])
      await client.close()
    }
    await Promise.all([agent.close(), stranger.close()])
  })

  test('its sponsor, and nobody else without a role, sees and ends it', async () => {
    const grant = await grantOf(await ask('sponsored'))
    const sponsor = await world.issuers.people.personToken({ subject: 'spon', name: 'Spon', groups: ['guests'] })
    await world.call('/v1/me', sponsor)
    const path = `/v1/agents/${encodeURIComponent(world.agent('sponsored'))}`
    await vi.waitFor(() => world.as('max', path), 20_000)
    expect((await world.call(`/v1/grants/${grant.id}`, sponsor)).status).toBe(404)
    await world.as('max', path, { sponsor: `${world.issuers.people.url}#spon` }, 'PATCH')
    expect((await world.call(`/v1/grants/${grant.id}/revoke`, sponsor, { reason: 'mine' })).status).toBe(200)
  })

  test('after policy has changed what it would not give any more is gone, with its sessions', async () => {
    const grant = await grantOf(await ask('changed', { purpose: 'fiddling' }))
    const client = await world.client(await world.jwt('changed'))
    open.push(client)
    world.write(policy.replace('context.purpose != "never"', '!(["never", "fiddling"].contains(context.purpose))'))
    await world.reload()
    await client.closed()
    expect(told(client.frames).at(-1)).toMatch(
      new RegExp(`^E 57P01 access ended: grant ${grant.id} was revoked since policy has changed: no policy permits it`),
    )
  })
})
