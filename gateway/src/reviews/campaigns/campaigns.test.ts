import type { Campaign, CampaignPlanInput } from '@countersign/contract/review'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Caller } from '../../api/testing/world.ts'
import { CampaignWorld } from './testing/campaign-world.ts'

const policy = `
@id("ci") permit (principal in Group::"ci", action in [Action::"sql:connect", Action::"sql:read"], resource);
@id("ops") permit (principal in Group::"ops", action in Action::"sql", resource in Connection::"prod");
`

let world: CampaignWorld
beforeAll(async () => {
  world = await CampaignWorld.start(policy, { prod: { tags: ['production'] }, dev: {} })
  await world.signIn('rae', 'both', 'ada', 'max', 'aud')
  await world.agent('reader', ['ci'], 'rae')
  await world.agent('writer', ['ci', 'ops'], 'both')
  await world.agent('nobody', ['guests'], 'rae')
})
afterAll(() => world?.[Symbol.asyncDispose]())

/** Small enough to have its snapshot taken at once. */
const small: Omit<CampaignPlanInput, 'title'> = { scope: { connections: ['dev'], groups: ['ops'] } }
type State = 'draft' | 'active' | 'closed'
const made = async (state: State): Promise<string> => {
  if (state === 'draft') return (await world.get('rae', 'POST', '/campaigns', { title: 'Draft', ...small })).id
  const { id } = await world.begun(small)
  if (state === 'closed') await world.get('rae', 'POST', `/campaigns/${id}/close`, { reason: 'enough' })
  return id
}

describe('who may what, in which state', () => {
  const everybody: Caller[] = ['rae', 'max', 'aud', 'ada', 'nobody', 'agent']
  const readers: Caller[] = ['rae', 'max', 'aud']
  const runners: Caller[] = ['rae', 'max']
  const states: State[] = ['draft', 'active', 'closed']
  const rows: [string, string, object | undefined, Caller[], Record<State, number>][] = [
    ['GET', '', undefined, readers, { draft: 200, active: 200, closed: 200 }],
    ['GET', '/items', undefined, readers, { draft: 200, active: 200, closed: 200 }],
    ['PATCH', '', { title: 'Another' }, runners, { draft: 200, active: 409, closed: 409 }],
    ['DELETE', '', undefined, runners, { draft: 200, active: 409, closed: 409 }],
    ['POST', '/start', undefined, runners, { draft: 202, active: 409, closed: 409 }],
    ['POST', '/close', { reason: 'enough' }, runners, { draft: 409, active: 200, closed: 409 }],
    ['POST', '/sign-off', { statement: 'I have looked' }, ['rae'], { draft: 409, active: 409, closed: 200 }],
  ]
  it.each(rows)('%s /campaigns/ID%s', async (method, path, body, allowed, expected) => {
    const found: Record<string, number> = {}
    const wanted: Record<string, number> = {}
    for (const state of states) {
      let id = await made(state)
      for (const caller of everybody) {
        const { status } = await world.ask(caller, method, `/campaigns/${id}${path}`, body)
        const key = `${state} ${caller}`
        found[key] = status
        wanted[key] = allowed.includes(caller) ? expected[state] : 403
        if (path === '/start') await world.reviews.campaigns.tick()
        // Once is enough of what changes the state.
        if (status < 300 && method !== 'GET' && method !== 'PATCH') id = await made(state)
      }
    }
    expect(found).toEqual(wanted)
  })

  it.each<[string, string, object | undefined, Caller[], number]>([
    ['GET', '/campaigns', undefined, readers, 200],
    ['POST', '/campaigns', { title: 'One more' }, runners, 201],
    ['GET', '/campaign-templates', undefined, readers, 200],
    ['PUT', '/campaign-templates/mine', { plan: { title: 'Mine' }, enabled: false }, runners, 200],
    ['DELETE', '/campaign-templates/unused', undefined, runners, 409],
    ['GET', '/campaigns/ca_none', undefined, readers, 404],
    ['GET', '/campaigns/ca_none/items', undefined, readers, 404],
    ['PATCH', '/campaigns/ca_none', { title: 'Another' }, runners, 404],
    ['DELETE', '/campaigns/ca_none', undefined, runners, 404],
    ['POST', '/campaigns/ca_none/start', undefined, runners, 404],
    ['POST', '/campaigns/ca_none/close', { reason: 'enough' }, runners, 404],
    ['POST', '/campaigns/ca_none/sign-off', { statement: 'Done' }, runners, 404],
    ['DELETE', '/campaign-templates/none', undefined, runners, 404],
  ])('%s %s', async (method, path, body, allowed, status) => {
    for (const caller of everybody) {
      const answer = await world.ask(caller, method, path, body)
      expect([caller, answer.status, answer.body.detail]).toEqual([
        caller,
        allowed.includes(caller) ? status : 403,
        allowed.includes(caller) && status < 300 ? undefined : expect.stringMatching(/[.]$/),
      ])
    }
  })

  it.each<[string, string, object]>([
    ['POST', '/campaigns', {}],
    ['POST', '/campaigns', { title: 'x', days: 0 }],
    ['POST', '/campaigns', { title: 'x', stages: [] }],
    ['POST', '/campaigns', { title: 'x\u001b[2J' }],
    ['POST', '/campaigns', { title: 'txt.\u202egnp' }],
    ['POST', '/campaigns', { title: 'x', stages: [{ title: 'two\nlines', reviewers: [{ kind: 'role' }] }] }],
    ['PUT', '/campaign-templates/x', { plan: { title: '\u200b' } }],
    ['POST', '/campaigns', { title: 'x', scope: { whatever: true } }],
    ['POST', '/campaigns', { title: 'x', controls: ['not a control'] }],
    ['PUT', '/campaign-templates/Not%20An%20Id', { plan: { title: 'x' } }],
    ['PUT', '/campaign-templates/x', { plan: { title: 'x' }, cadence: { every: 'hour', from: '2026-01-01' } }],
    ['PUT', '/campaign-templates/x', { plan: { title: 'x' }, triggers: ['full-moon'] }],
  ])('what makes no sense is refused: %s %s %j', async (method, path, body) => {
    expect((await world.ask('rae', method, path, body)).status).toBe(400)
  })

  it('made again under the same key it is the same campaign; the key of another person is another', async () => {
    const make = async (as: Caller, title: string, key = 'autumn-2026') => {
      const { status, body } = await world.ask(
        as,
        'POST',
        '/campaigns',
        { title, ...small },
        { 'idempotency-key': key },
      )
      return { status, id: body.id }
    }
    const both = await Promise.all([make('rae', 'Once'), make('rae', 'Once')])
    expect(both).toEqual([both[0], both[0]])
    expect(both[0]).toMatchObject({ status: 201, id: expect.stringMatching(/^ca_/) })
    expect(await make('rae', 'Another plan')).toMatchObject({ status: 409 })
    expect((await make('max', 'Once')).id).not.toBe(both[0]!.id)
    expect((await make('rae', 'Once', 'winter-2026')).id).not.toBe(both[0]!.id)
    expect(await make('rae', 'Once', 'short')).toMatchObject({ status: 400 })
  })

  it('refuses a cursor that no list gave out', async () => {
    const { id } = await world.begun(small)
    for (const path of ['/campaigns?after=x', `/campaigns/${id}/items?after=x`])
      expect((await world.ask('rae', 'GET', path)).status).toBe(400)
  })
})

describe('a draft', () => {
  it('is changed by what is given, and keeps the rest', async () => {
    const body = { title: 'Quarter', days: 3, onExpiry: 'keep', scope: { tags: ['production'] } }
    const draft = await world.get('rae', 'POST', '/campaigns', body)
    const changed = await world.get('max', 'PATCH', `/campaigns/${draft.id}`, { windowDays: 30 })
    expect(changed).toMatchObject({ ...body, state: 'draft', window: { days: 30 }, createdBy: { name: 'rae' } })
    expect((await world.said('campaign.created')).at(-1)).toMatchObject({ campaign: draft.id, by: { name: 'rae' } })
    expect((await world.said('campaign.changed')).at(-1)).toMatchObject({
      ...{ campaign: draft.id, by: { name: 'max' }, plan: { windowDays: 30, days: 3 } },
    })
  })

  it('may be about as many agents as a scope names', async () => {
    const agents = [...Array(10_000).keys()].map((i) => `https://issuer.example/tenants/somewhere#agent-${i}`)
    const draft = await world.get('rae', 'POST', '/campaigns', { title: 'Many', scope: { agents } })
    expect(draft.scope.agents).toHaveLength(10_000)
    await world.get('rae', 'DELETE', `/campaigns/${draft.id}`)
  })

  it('is taken away, and said so', async () => {
    const { id } = await world.get('rae', 'POST', '/campaigns', { title: 'In vain' })
    await world.get('rae', 'DELETE', `/campaigns/${id}`)
    expect((await world.ask('rae', 'GET', `/campaigns/${id}`)).status).toBe(404)
    expect((await world.said('campaign.removed')).at(-1)).toMatchObject({ campaign: id, by: { name: 'rae' } })
  })

  it('of what nobody holds can’t begin, and says why; then it can be widened', async () => {
    const none = await world.begun({ scope: { connections: ['gone'] } })
    expect(none).toMatchObject({ state: 'draft', problem: expect.stringMatching(/Nobody holds .*widen the scope/) })
    expect(none.startedAt).toBeUndefined()
    await world.get('rae', 'PATCH', `/campaigns/${none.id}`, { scope: { connections: ['dev'] } })
    await world.get('rae', 'POST', `/campaigns/${none.id}/start`)
    await world.reviews.campaigns.tick()
    const campaign = await world.get('rae', 'GET', `/campaigns/${none.id}`)
    expect(campaign).toMatchObject({ state: 'active', counts: { items: 2 } })
    expect(campaign.problem).toBeUndefined()
  })
})

describe('a campaign', () => {
  it('begins with an item for each access that is held, each with its entry', async () => {
    const feed = await world.world.listen('/v1/feed', 'aud')
    const campaign = await world.begun({ days: 10 })
    expect(campaign).toMatchObject({
      ...{
        state: 'active',
        policy: world.policies.version,
        startedBy: { name: 'rae' },
        dueAt: '2026-11-12T09:00:00.000Z',
      },
      ...{ snapshotAt: '2026-11-02T09:00:00.000Z', window: { days: 90, from: '2026-08-04T09:00:00.000Z' } },
      counts: { items: 4, undecided: 4, mine: 4 },
    })
    const items = await world.items(campaign.id)
    expect(items.map(({ number }) => number)).toEqual([1, 2, 3, 4])
    const named = items.map(({ name, connection }) => `${name} ${connection}`)
    expect(named.toSorted()).toEqual(['reader dev', 'reader prod', 'writer dev', 'writer prod'])
    // What is privileged is first: it may write where it is called production.
    expect(named[0]).toBe('writer prod')

    const started = (await world.said('campaign.started')).at(-1)
    expect(started).toMatchObject({ campaign: campaign.id, items: 4, by: { name: 'rae' }, policy: campaign.policy })
    const entries = (await world.said('campaign.item')).filter((one) => one.campaign === campaign.id)
    expect(entries.map(({ item, evidence, number }) => [item, evidence, number])).toEqual(
      items.map(({ id, evidence, number }) => [id, evidence, number]),
    )
    await feed.until((all) => all.some((one) => one.type === 'campaign.started' && one.data.id === campaign.id))
    const steps = feed.messages.flatMap(({ type, data }) =>
      type === 'campaign.changed' && data.id === campaign.id && data.starting ? [data.starting.doing] : [],
    )
    expect(steps).toContain('finding out who holds what')
    expect(steps).toContain('weighing each item')
    await feed.close()
  })

  it('has evidence that hashes to what the ledger has, with its own name in it', async () => {
    const campaign = await world.begun(small)
    const { hash } = await import('node:crypto')
    const rows = await world.world.store.db
      .selectFrom('campaign_items')
      .select(['id', 'evidence', 'evidence_sha256'])
      .where('campaign', '=', campaign.id)
      .execute()
    expect(rows).toHaveLength(1)
    for (const { id, evidence, evidence_sha256 } of rows) {
      expect(hash('sha256', evidence)).toBe(evidence_sha256)
      expect(JSON.parse(evidence)).toMatchObject({ format: 'countersign-evidence/1', campaign: campaign.id, item: id })
    }
  })

  it('lists items by what is asked for, page by page', async () => {
    const { id } = await world.begun({})
    const numbers = async (query: string) => (await world.items(id, 'rae', query)).map(({ number }) => number)
    expect(await numbers('&text=WRITER')).toHaveLength(2)
    expect(await numbers('&text=writer dev')).toHaveLength(1)
    expect(await numbers('&text=100%25')).toHaveLength(0)
    expect(await numbers('&mine=true')).toHaveLength(4)
    expect(await numbers('&mine=false')).toHaveLength(0)
    expect(await world.items(id, 'aud', '&mine=true')).toHaveLength(0)
    expect(await numbers('&verdict=certify')).toHaveLength(0)
    expect(await numbers('&application=pending')).toHaveLength(0)
    const privileged = await numbers('&privileged=true')
    expect([...privileged, ...(await numbers('&privileged=false'))].toSorted()).toEqual([1, 2, 3, 4])
    const first = await world.get<{ items: { number: number }[]; next: string }>(
      'rae',
      'GET',
      `/campaigns/${id}/items?limit=3`,
    )
    expect(first.items.map(({ number }) => number)).toEqual([1, 2, 3])
    const rest = await world.get<{ items: { number: number }[]; next: null }>(
      'rae',
      'GET',
      `/campaigns/${id}/items?limit=3&after=${first.next}`,
    )
    expect([rest.items.map(({ number }) => number), rest.next]).toEqual([[4], null])
  })

  it('lists campaigns newest first, page by page, by state', async () => {
    const all: string[] = []
    for (let after = ''; ; ) {
      const page: { items: Campaign[]; next: string | null } = await world.get(
        'aud',
        'GET',
        `/campaigns?limit=7${after && `&after=${after}`}`,
      )
      all.push(...page.items.map(({ id }) => id))
      if (page.next === null) break
      after = page.next
    }
    expect(new Set(all).size).toBe(all.length)
    const { items } = await world.get<{ items: Campaign[] }>('aud', 'GET', '/campaigns?limit=1000')
    expect(all).toEqual(items.map(({ id }) => id))
    for (const state of ['draft', 'active', 'closed']) {
      const some = await world.get<{ items: Campaign[] }>('aud', 'GET', `/campaigns?limit=1000&state=${state}`)
      expect(some.items.map(({ id }) => id)).toEqual(items.filter((one) => one.state === state).map(({ id }) => id))
    }
  })
})

describe('on the feed', () => {
  it('campaigns are for reviewers, auditors and admins, each with what is theirs', async () => {
    const feeds = await Promise.all((['rae', 'aud', 'ada'] as const).map((who) => world.world.listen('/v1/feed', who)))
    const [rae, aud, ada] = feeds as [(typeof feeds)[0], (typeof feeds)[0], (typeof feeds)[0]]
    const { id } = await world.begun(small)
    const [item] = await world.items(id)
    await world.get('rae', 'PUT', `/campaigns/${id}/items/${item!.id}/decisions/on-the-feed`, {
      ...{ verdict: 'certify', reason: 'used', revision: item!.revision },
    })
    await world.get('rae', 'POST', `/campaigns/${id}/close`, { reason: 'done' })
    // What comes after it has gone by everybody.
    await world.world.access.registry.change(world.agentId('reader'), { purpose: 'to read' }, world.person('max'))
    for (const feed of feeds) await feed.until((all) => all.some(({ type }) => type === 'agent.changed'))
    const mineIn = (feed: typeof rae) =>
      feed.messages.flatMap(({ type, data }) =>
        type === 'campaign.started' && data.id === id ? [data.counts.mine] : [],
      )
    expect([mineIn(rae), mineIn(aud), mineIn(ada)]).toEqual([[expect.any(Number)], [0], []])
    const types = (feed: typeof rae) => new Set(feed.messages.map(({ type }) => type))
    for (const type of ['campaign.started', 'campaign.item', 'campaign.closed'])
      expect([types(rae).has(type as never), types(aud).has(type as never)]).toEqual([true, true])
    expect([...types(ada)].filter((type) => type.startsWith('campaign.'))).toEqual([])
    await Promise.all(feeds.map((feed) => feed.close()))
  })
})

describe('the end of a campaign', () => {
  it('by a person skips what nobody has decided', async () => {
    const { id } = await world.begun(small)
    const closed = await world.get('max', 'POST', `/campaigns/${id}/close`, { reason: 'We begin anew' })
    expect(closed).toMatchObject({ state: 'closed', closedBy: { name: 'max' }, closedBecause: 'We begin anew' })
    const [item] = await world.items(id)
    expect(item).toMatchObject({ verdict: 'undecided', how: 'skipped', mine: false })
    expect((await world.said('campaign.closed')).at(-1)).toMatchObject({
      ...{ campaign: id, by: { name: 'max' }, skipped: [item!.id], counts: { items: 1, undecided: 1 } },
    })
  })

  it('is signed off once by each reviewer, and by whose it is', async () => {
    const { id } = await world.get('max', 'POST', '/campaigns', { title: 'Of an admin', ...small })
    await world.get('max', 'POST', `/campaigns/${id}/start`)
    await world.reviews.campaigns.tick()
    await world.get('max', 'POST', `/campaigns/${id}/close`, { reason: 'enough' })
    const sign = (as: Caller, statement: string) => world.ask(as, 'POST', `/campaigns/${id}/sign-off`, { statement })
    expect((await sign('max', 'It is mine')).status).toBe(200)
    expect((await sign('rae', 'I have looked')).status).toBe(200)
    expect((await sign('rae', 'I have looked')).status).toBe(200)
    expect((await sign('rae', 'I have looked again')).status).toBe(409)
    expect((await sign('aud', 'Me too')).status).toBe(403)
    const { signedOffBy } = await world.get('aud', 'GET', `/campaigns/${id}`)
    expect(signedOffBy.map(({ person, statement }) => [person.name, statement])).toEqual([
      ['max', 'It is mine'],
      ['rae', 'I have looked'],
    ])
    const entries = (await world.said('campaign.signed-off')).filter((one) => one.campaign === id)
    expect(entries).toHaveLength(2)
  })
})
