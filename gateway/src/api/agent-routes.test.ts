import { join } from 'node:path'
import { AgentRecord, PersonRecord } from '@countersign/contract/access'
import { listOf } from '@countersign/contract/api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openEntries } from '../sessions/ledger/entries.ts'
import { type Caller, startWorld, type World } from './testing/world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world?.[Symbol.asyncDispose]())

const id = (subject: string) => `${world.agents.url}#${subject}`
const at = (one: string) => `/v1/agents/${encodeURIComponent(one)}`
const person = (subject: string) => `${world.people.url}#${subject}`
async function said<T>(path: string, as: Caller, init?: RequestInit): Promise<{ status: number; body: T }> {
  const answer = await world.call(path, as, init)
  return { status: answer.status, body: (await answer.json()) as T }
}
const send = (path: string, as: Caller, body: unknown, method = 'POST') =>
  said<AgentRecord & PersonRecord & { detail: string }>(path, as, { method, body: JSON.stringify(body) })
const patch = (subject: string, body: unknown, as: Caller = 'max') => send(at(id(subject)), as, body, 'PATCH')
const list = async (query = '', as: Caller = 'rae') =>
  listOf(AgentRecord).parse((await said(`/v1/agents${query}`, as)).body)
async function comes(subject: string, more: Record<string, unknown> = {}): Promise<AgentRecord> {
  const token = await world.agents.agentToken({ subject, groups: ['ci-agents'], ...more })
  const answer = await fetch(`${world.url}/v1/me`, { headers: { authorization: `Bearer ${token}` } })
  expect(answer.status).toBe(200)
  await world.access.registry.flush()
  return AgentRecord.parse((await said(at(id(subject)), 'rae')).body)
}
const entriesOf = async (type: string) => {
  await world.ledger.sync()
  using entries = openEntries(join(world.folder, 'logged', 'ledger'))
  return [...entries.byType(type)].map(({ at, payload }) => ({
    at,
    said: JSON.parse(Buffer.from(payload!).toString()),
  }))
}

describe('agents that come', () => {
  it('are registered as their token has them, once, and again when it says otherwise', async () => {
    const first = await comes('one', { groups: ['ci-agents', 'b'] })
    expect(first).toMatchObject({
      id: id('one'),
      subject: 'one',
      groups: ['ci-agents', 'b'],
      declared: false,
      state: 'active',
    })
    expect(first).toMatchObject({
      orphan: 'no-sponsor',
      connections: [],
      openSessions: 0,
      liveGrants: 0,
      chain: [id('one')],
    })
    await comes('one', { groups: ['ci-agents', 'b'] })
    const second = await comes('one', { groups: ['b'] })
    expect(second).toMatchObject({ groups: ['b'], firstSeenAt: first.firstSeenAt })
    const seen = (await entriesOf('agent.seen')).filter(({ said }) => said.agent.id === id('one'))
    expect(seen.map(({ said }) => said.agent.groups)).toEqual([['ci-agents', 'b'], ['b']])
    const past = await world.store.db
      .selectFrom('agent_identities')
      .selectAll()
      .where('agent', '=', id('one'))
      .orderBy('id')
      .execute()
    expect(past.map((row) => ({ at: row.at, said: { agent: JSON.parse(row.identity) } }))).toEqual(seen)
  })

  it('are told of on the feed to people with a role', async () => {
    const feed = await world.listen('/v1/feed', 'aud')
    await comes('announced')
    const messages = await feed.until((all) => all.some(({ type }) => type === 'agent.changed'))
    expect(messages.find(({ type }) => type === 'agent.changed')!.data).toMatchObject({ id: id('announced') })
    await feed.close()
  })

  it('have their sessions counted by connection', async () => {
    await comes('agent')
    const session = await world.session('agent')
    await world.ledger.sync()
    expect((await list('?text=agent&connection=orders')).items).toMatchObject([
      { id: id('agent'), openSessions: 1, connections: [{ connection: 'orders', sessions: 1 }] },
    ])
    await session.close('closed', 'done')
  })
})

describe('who may', () => {
  it.each<[Caller, string, string, number]>([
    ['ada', 'GET', '/v1/agents', 200],
    ['rae', 'GET', '/v1/agents', 200],
    ['aud', 'GET', '/v1/agents', 200],
    ['max', 'GET', '/v1/agents', 200],
    ['nobody', 'GET', '/v1/agents', 403],
    ['agent', 'GET', '/v1/agents', 403],
    ['nobody', 'GET', '/v1/people', 403],
    ['agent', 'GET', '/v1/people', 403],
    ['ada', 'GET', '/v1/people', 200],
    ['agent', 'GET', '/v1/agents/x', 403],
    ['rae', 'GET', '/v1/agents/x', 404],
    ['rae', 'POST', '/v1/agents', 403],
    ['ada', 'PATCH', '/v1/agents/x', 403],
    ['aud', 'PATCH', '/v1/agents/x', 403],
    ['max', 'PATCH', '/v1/agents/x', 404],
    ['agent', 'PATCH', '/v1/agents/x', 403],
    ['rae', 'POST', '/v1/people/x/left', 403],
    ['max', 'POST', '/v1/people/x/left', 404],
    ['max', 'DELETE', '/v1/agents/x', 405],
  ])('%s %s %s is %i', async (as, method, path, status) => {
    const bodies: Record<string, unknown> = {
      'POST /v1/agents': { issuer: 'x', subject: 'x' },
      'PATCH /v1/agents/x': {},
      'POST /v1/people/x/left': { left: true },
    }
    const body = bodies[`${method} ${path}`]
    const init = { method, ...(body !== undefined && { body: JSON.stringify(body) }) }
    expect((await said(path, as, init)).status).toBe(status)
  })
})

describe('an agent that is declared', () => {
  it('is there before it comes, and is the same when it does', async () => {
    const declared = await send('/v1/agents', 'max', {
      issuer: world.agents.url,
      subject: 'declared',
      sponsor: 'ada@nowhere.example',
      purpose: 'nightly\nreports',
      environment: 'production',
    })
    expect(declared.status).toBe(201)
    expect(declared.body).toMatchObject({ id: id('declared'), declared: true, orphan: 'sponsor-unknown', groups: [] })
    expect(declared.body.firstSeenAt).toBeUndefined()
    expect(await comes('declared')).toMatchObject({
      declared: true,
      purpose: 'nightly\nreports',
      groups: ['ci-agents'],
    })
    const twice = await send('/v1/agents', 'max', { issuer: world.agents.url, subject: 'declared' })
    expect(twice).toMatchObject({ status: 409, body: { detail: expect.stringContaining('change it instead') } })
    expect((await entriesOf('agent.declared')).map(({ said }) => said)).toEqual([
      expect.objectContaining({
        agent: id('declared'),
        sponsor: 'ada@nowhere.example',
        by: expect.objectContaining({ name: 'max' }),
      }),
    ])
  })

  it.each([
    ['an issuer that nobody configured', { issuer: 'https://elsewhere.example', subject: 'x' }, 'no issuer for agents'],
    ['an issuer for people', { issuer: 'PEOPLE', subject: 'x' }, 'no issuer for agents'],
    ['a name that turns around', { issuer: 'AGENTS', subject: 'x', name: 'a\u202eb' }, 'can’t be shown'],
    ['two lines as an owner', { issuer: 'AGENTS', subject: 'x', owner: 'a\nb' }, 'on one line'],
    ['a subject with a control character', { issuer: 'AGENTS', subject: 'x\u0007' }, 'can’t be shown'],
    ['NUL', { issuer: 'AGENTS', subject: 'x\u0000' }, 'no text has'],
    ['a name that nobody sees', { issuer: 'AGENTS', subject: 'x', name: '\u3164' }, 'nothing to see'],
    ['a key that is none', { issuer: 'AGENTS', subject: 'x', keys: ['ssh-ed25519 AAAA'] }, 'Key 1: '],
    ['a member that is not there', { issuer: 'AGENTS', subject: 'x', disabled: true }, 'disabled'],
  ])('is refused with %s', async (_what, body, words) => {
    const issuer = { AGENTS: world.agents.url, PEOPLE: world.people.url }[body.issuer] ?? body.issuer
    const answer = await send('/v1/agents', 'max', { ...body, issuer })
    expect(answer).toMatchObject({ status: 400, body: { detail: expect.stringContaining(words) } })
    expect((await said(at(id('x')), 'rae')).status).toBe(404)
  })
})

describe('an agent is changed', () => {
  const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP1Mlul0UqtWYWfGjUVgpM4bNQdFvUIG02YUVyxFoDgI bot@host'

  it('by admins, member by member; null takes away', async () => {
    await comes('changed')
    const changed = await patch('changed', { name: 'Deployer', owner: 'team-a', purpose: 'deploys', keys: [key] })
    expect(changed.body).toMatchObject({ name: 'Deployer', owner: 'team-a', purpose: 'deploys' })
    expect(changed.body.keys).toEqual([
      expect.objectContaining({
        type: 'ssh-ed25519',
        comment: 'bot@host',
        addedBy: 'max',
        fingerprint: expect.stringMatching(/^SHA256:[A-Za-z0-9+/]{43}$/),
      }),
    ])
    const back = await patch('changed', { owner: null, keys: [] })
    expect(back.body).toMatchObject({ name: 'Deployer', keys: [] })
    expect(back.body.owner).toBeUndefined()
    const said = (await entriesOf('agent.changed'))
      .map(({ said }) => said)
      .filter(({ agent }) => agent === id('changed'))
    expect(said).toMatchObject([
      { owner: 'team-a', keys: [changed.body.keys[0]!.fingerprint] },
      { owner: null, keys: [] },
    ])
  })

  it('and a key belongs to one agent', async () => {
    await comes('keyed')
    await comes('thief')
    expect((await patch('keyed', { keys: [key, `${key} twice`] })).body.keys).toHaveLength(1)
    const refused = await patch('thief', { keys: [key] })
    expect(refused).toMatchObject({ status: 409, body: { detail: expect.stringContaining('is another agent’s') } })
    // Its comment may change, when and by whom it was added stays.
    const again = await patch('keyed', { keys: [key.replace('bot@host', 'other')] })
    expect(again.body.keys[0]).toMatchObject({ comment: 'other', addedBy: 'max' })
    await patch('keyed', { keys: [] })
    expect((await patch('thief', { keys: [key] })).status).toBe(200)
  })

  it('but not taken off themselves by who answers for it and decides', async () => {
    const token = await world.people.personToken({ subject: 'zed', name: 'Zed', groups: ['platform', 'oncall-dba'] })
    const call = async (path: string, init: RequestInit = {}) => {
      const headers = { authorization: `Bearer ${token}`, ...(init.body ? { 'content-type': 'application/json' } : {}) }
      const answer = await fetch(`${world.url}${path}`, { ...init, headers })
      return { status: answer.status, body: (await answer.json()) as AgentRecord & { detail: string } }
    }
    await call('/v1/me')
    await comes('zeds')
    expect((await patch('zeds', { sponsor: person('zed'), owner: 'team-a' })).status).toBe(200)
    const mine = (subject: string, body: unknown) =>
      call(at(id(subject)), { method: 'PATCH', body: JSON.stringify(body) })
    for (const body of [
      { sponsor: null },
      { sponsor: person('ada') },
      { sponsor: null, purpose: 'x' },
      { owner: null },
    ])
      expect(await mine('zeds', body)).toMatchObject({
        status: 409,
        body: { detail: expect.stringContaining('another admin') },
      })
    const declared = { issuer: world.agents.url, subject: 'zeds', sponsor: null }
    expect((await call('/v1/agents', { method: 'POST', body: JSON.stringify(declared) })).status).toBe(409)
    // What is said again changes nothing, what is another matter is theirs to say, and of others everything.
    expect((await mine('zeds', { sponsor: person('zed'), purpose: 'y' })).body).toMatchObject({
      sponsor: person('zed'),
      purpose: 'y',
    })
    await comes('not-zeds')
    expect((await mine('not-zeds', { sponsor: person('zed') })).status).toBe(200)
    expect((await patch('zeds', { sponsor: person('ada') })).status).toBe(200)
  })

  it('several at a time, one after another', async () => {
    await comes('busy')
    const all = await Promise.all(Array.from({ length: 20 }, (_, index) => patch('busy', { purpose: `p${index}` })))
    expect(all.map(({ status }) => status)).toEqual(Array(20).fill(200))
    const said = (await entriesOf('agent.changed')).map(({ said }) => said).filter(({ agent }) => agent === id('busy'))
    const now = (await list('?text=busy')).items[0]!
    expect(said.at(-1).purpose).toBe(now.purpose)
  })
})

describe('disabling', () => {
  it('is one action, and enabling is one; doing it again is none', async () => {
    await comes('other-agent')
    const feed = await world.listen('/v1/feed', 'other-agent')
    const disabled = await patch('other-agent', { disabled: true, reason: 'leaked its token' })
    expect(disabled.body).toMatchObject({ state: 'disabled', disabled: { by: 'max', reason: 'leaked its token' } })
    expect(await feed.untilClosed()).toMatchObject({ code: 4403, reason: expect.stringContaining('leaked its token') })
    expect((await said('/v1/me', 'other-agent')).status).toBe(403)
    await patch('other-agent', { disabled: true, reason: 'again' })
    expect((await list('?state=disabled')).items.map((one) => one.id)).toEqual([id('other-agent')])
    await patch('other-agent', { disabled: false, reason: 'it was another one' })
    expect((await said('/v1/me', 'other-agent')).status).toBe(200)
    const states = await world.store.db
      .selectFrom('agent_states')
      .select(['state', 'reason', 'at'])
      .orderBy('id')
      .execute()
    expect(states.map(({ state, reason }) => [state, reason])).toEqual([
      ['disabled', 'leaked its token'],
      ['active', 'it was another one'],
    ])
    const logged = [...(await entriesOf('agent.disabled')), ...(await entriesOf('agent.enabled'))]
    expect(logged.map(({ at, said }) => [at, said.reason])).toEqual(states.map(({ at, reason }) => [at, reason]))
  })

  it('tells the entrance before it is answered', async () => {
    await comes('told')
    const told: string[] = []
    const end = world.access.registry.onDisabled((agent, words) => told.push(`${agent} ${words}`))
    await patch('told', { disabled: true, reason: 'gone mad' })
    expect(told).toEqual([`${id('told')} agent told was disabled by max: gone mad`])
    expect(world.access.registry.disabled(id('told'))).toEqual({ by: 'max', reason: 'gone mad' })
    end()
  })

  it('of an agent that came a moment ago is not too early', async () => {
    const token = await world.agents.agentToken({ subject: 'hasty' })
    await fetch(`${world.url}/v1/me`, { headers: { authorization: `Bearer ${token}` } })
    expect((await patch('hasty', { disabled: true, reason: 'not wanted' })).status).toBe(200)
  })

  it('of an agent that was declared and never came holds for when it does', async () => {
    await send('/v1/agents', 'max', { issuer: world.agents.url, subject: 'banned' })
    await patch('banned', { disabled: true, reason: 'not wanted' })
    const token = await world.agents.agentToken({ subject: 'banned' })
    const answer = await fetch(`${world.url}/v1/me`, { headers: { authorization: `Bearer ${token}` } })
    expect(answer.status).toBe(403)
  })
})

describe('orphans', () => {
  it('are those without a sponsor, with one who was never here, and with one who has left', async () => {
    await comes('mine')
    await said('/v1/me', 'sam')
    await world.access.registry.flush()
    expect((await patch('mine', { sponsor: 'nobody@here' })).body).toMatchObject({
      orphan: 'sponsor-unknown',
      sponsor: 'nobody@here',
    })
    const known = await patch('mine', { sponsor: 'SAM' })
    expect(known.body).toMatchObject({ sponsor: person('sam'), sponsorName: 'sam' })
    expect(known.body.orphan).toBeUndefined()
    expect(world.access.registry.sponsorsOf(id('mine'))).toEqual([person('sam')])
    expect(world.access.registry.answersFor({ id: person('sam') }, id('mine'))).toBe(true)
    expect(world.access.registry.answersFor({ id: person('ada') }, id('mine'))).toBe(false)

    const feed = await world.listen('/v1/feed', 'aud')
    const left = await send(`/v1/people/${encodeURIComponent(person('sam'))}/left`, 'max', {
      left: true,
      reason: 'retired',
    })
    expect(left.body).toMatchObject({ id: person('sam'), left: { by: 'max', reason: 'retired' } })
    await feed.until((all) => all.some((one) => one.type === 'agent.changed' && one.data.orphan === 'sponsor-left'))
    await feed.close()
    expect((await said('/v1/me', 'sam')).status).toBe(403)
    const orphans = await list('?orphans=true&limit=1000')
    expect(orphans.items.map((one) => [one.id, one.orphan])).toContainEqual([id('mine'), 'sponsor-left'])
    expect(orphans.items.every(({ orphan }) => orphan !== undefined)).toBe(true)
    await send(`/v1/people/${encodeURIComponent(person('sam'))}/left`, 'max', { left: false, reason: 'is back' })
    expect((await list('?text=mine')).items[0]!.orphan).toBeUndefined()
    expect((await said('/v1/me', 'sam')).status).toBe(200)
    const logged = [...(await entriesOf('person.left')), ...(await entriesOf('person.returned'))]
    expect(logged.map(({ said }) => [said.person.id, said.reason])).toEqual([
      [person('sam'), 'retired'],
      [person('sam'), 'is back'],
    ])
  })

  it('come first; pages follow one another without a gap', async () => {
    const all = (await list('?limit=1000')).items
    const firstAnswered = all.findIndex(({ orphan }) => orphan === undefined)
    expect(all.slice(firstAnswered).every(({ orphan }) => orphan === undefined)).toBe(true)
    const paged: string[] = []
    for (let after: string | null = ''; after !== null; ) {
      const page = await list(`?limit=3${after ? `&after=${after}` : ''}`)
      paged.push(...page.items.map((one) => one.id))
      after = page.next
    }
    expect(paged).toEqual(all.map((one) => one.id))
    expect((await said('/v1/agents?after=xyz', 'rae')).status).toBe(400)
  })

  it('nobody marks themselves', async () => {
    const answer = await send(`/v1/people/${encodeURIComponent(person('max'))}/left`, 'max', { left: true })
    expect(answer.status).toBe(409)
  })
})

it('people are those who have signed in, with roles and groups', async () => {
  await said('/v1/me', 'both')
  await world.access.registry.flush()
  const people = listOf(PersonRecord).parse((await said('/v1/people?text=both', 'aud')).body)
  expect(people.items).toMatchObject([
    { name: 'both', roles: ['approver', 'reviewer'], groups: ['oncall-dba', 'security'] },
  ])
  expect((await said(`/v1/people/${encodeURIComponent(person('both'))}`, 'aud')).body).toMatchObject({ name: 'both' })
})
