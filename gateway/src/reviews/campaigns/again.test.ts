import type { Campaign, CampaignTemplate } from '@countersign/contract/review'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CampaignWorld, DAY } from './testing/campaign-world.ts'
import { unusualToday } from './unusual.ts'

const policy = `
@id("ci") permit (principal in Group::"ci", action in [Action::"sql:connect", Action::"sql:read"], resource);
@id("ops") permit (principal in Group::"ops", action in Action::"sql", resource in Connection::"prod");
`

let world: CampaignWorld
beforeAll(async () => {
  world = await CampaignWorld.start(policy, { prod: { tags: ['production'] }, dev: {} })
  await world.signIn('rae', 'both', 'ada', 'max', 'aud')
  await world.agent('reader', ['ci'], world.personId('ada'))
  await world.agent('writer', ['ci', 'ops'], world.personId('both'))
})
afterAll(() => world?.[Symbol.asyncDispose]())

const put = (id: string, body: object) => world.get<CampaignTemplate>('rae', 'PUT', `/campaign-templates/${id}`, body)
const templates = async () =>
  (await world.get<{ items: CampaignTemplate[] }>('aud', 'GET', '/campaign-templates')).items
const campaignsOf = async (template: string): Promise<Campaign[]> =>
  (await world.get<{ items: Campaign[] }>('aud', 'GET', `/campaigns?limit=1000&template=${template}`)).items
const agentsIn = async (campaign: Campaign) =>
  [...new Set((await world.items(campaign.id)).map(({ name }) => name))].toSorted()
/** Has what changed noticed, and begun once its time is over. */
const noticed = async () => {
  await world.reviews.campaigns.tick()
  await world.to(world.clock.now + 61_000)
}

describe('templates', () => {
  it('come with Countersign, and begin nothing by themselves', async () => {
    const all = await templates()
    expect(all.map(({ id }) => id)).toEqual([
      ...['production', 'privileged', 'orphans', 'unused', 'jit-rules', 'data-classes', 'changes'],
    ])
    for (const { builtIn, enabled, nextAt } of all) expect([builtIn, enabled, nextAt]).toEqual([true, false, undefined])
    await world.to(world.clock.now + 400 * DAY)
    for (const { id } of all) expect(await campaignsOf(id)).toEqual([])
    world.clock.now = Date.parse('2027-12-20T09:00:00.000Z')
  })

  it('each make a campaign that can be started', async () => {
    for (const { id, plan } of await templates()) {
      const campaign = await world.get('rae', 'POST', '/campaigns', { ...plan, template: id })
      expect(campaign).toMatchObject({ template: id, title: plan.title, controls: plan.controls })
      await world.get('rae', 'DELETE', `/campaigns/${campaign.id}`)
    }
  })

  it('are made one’s own by saving them, and are as they came when that is taken away', async () => {
    const [production] = await templates()
    const own = await put('production', { plan: { ...production!.plan, days: 5 }, enabled: false })
    expect(own).toMatchObject({ builtIn: false, plan: { days: 5, template: 'production' }, by: { name: 'rae' } })
    expect((await world.said('template.saved')).at(-1)).toMatchObject({ template: 'production', enabled: false })
    await world.get('rae', 'DELETE', '/campaign-templates/production')
    expect((await templates()).find(({ id }) => id === 'production')).toEqual(production)
    expect((await world.said('template.saved')).at(-1)).toMatchObject({ template: 'production', removed: true })
  })
})

describe('a calendar', () => {
  it('begins a campaign on each of its days, once', async () => {
    const plan = { title: 'Monthly', scope: { connections: ['dev'] }, days: 3, onExpiry: 'keep' }
    const template = await put('monthly', { plan, cadence: { every: 'month', from: '2027-10-31' } })
    expect(template).toMatchObject({ enabled: true, nextAt: '2027-12-31T00:00:00.000Z' })
    await world.to(Date.parse('2027-12-30T23:59:59.999Z'))
    expect(await campaignsOf('monthly')).toEqual([])
    await world.to(Date.parse('2027-12-31T00:00:00.000Z'))
    await world.reviews.campaigns.tick()
    const [campaign, ...more] = await campaignsOf('monthly')
    expect(more).toEqual([])
    expect(campaign).toMatchObject({
      ...{ title: 'Monthly · 2027-12-31', state: 'active', trigger: { kind: 'cadence' }, counts: { items: 2 } },
    })
    expect([campaign!.createdBy, campaign!.startedBy]).toEqual([undefined, undefined])
    expect((await world.said('campaign.started')).at(-1)).toMatchObject({ by: { kind: 'gateway' } })
    // Saved again on the same day, and over a restart.
    expect(await put('monthly', { plan, cadence: { every: 'month', from: '2027-10-31' } })).toMatchObject({
      nextAt: '2028-01-31T00:00:00.000Z',
    })
    await world.closeReviews()
    await world.openReviews()
    await world.reviews.campaigns.tick()
    expect(await campaignsOf('monthly')).toHaveLength(1)
  })

  it('catches up once after a time without the gateway', async () => {
    await world.closeReviews()
    world.clock.now = Date.parse('2028-05-15T12:00:00.000Z')
    await world.openReviews()
    await world.reviews.campaigns.tick()
    expect((await campaignsOf('monthly')).map(({ title }) => title)).toEqual([
      'Monthly · 2028-05-15',
      'Monthly · 2027-12-31',
    ])
    expect((await templates()).find(({ id }) => id === 'monthly')).toMatchObject({
      nextAt: '2028-05-31T00:00:00.000Z',
    })
  })

  it('of a template that is switched off begins nothing', async () => {
    const before = await campaignsOf('monthly')
    const plan = { title: 'Monthly', scope: { connections: ['dev'] } }
    const off = await put('monthly', { plan, cadence: { every: 'month', from: '2027-10-31' }, enabled: false })
    expect(off.nextAt).toBeUndefined()
    await world.to(world.clock.now + 100 * DAY)
    expect(await campaignsOf('monthly')).toHaveLength(before.length)
  })
})

describe('what changes', () => {
  let kept: { id: string; changed_at: string }[] = []
  beforeAll(async () => {
    await put('changes', {
      plan: { title: 'Changed', days: 7, onExpiry: 'keep' },
      triggers: ['new-privilege', 'unusual-use', 'sponsor-left'],
    })
    // The registry has a clock of its own, which is behind.
    const { db } = world.world.store
    kept = await db.selectFrom('campaign_templates').select(['id', 'changed_at']).execute()
    await db.updateTable('campaign_templates').set({ changed_at: '2026-01-01T00:00:00.000Z' }).execute()
  })
  afterAll(async () => {
    const { db } = world.world.store
    for (const { id, changed_at } of kept)
      await db.updateTable('campaign_templates').set({ changed_at }).where('id', '=', id).execute()
  })
  const latest = async () => (await campaignsOf('changes'))[0]

  it('a sponsor who left: their agents, once, also over a restart', async () => {
    const { registry } = world.world.access
    await registry.markLeft(world.personId('ada'), true, world.person('max'), 'moved on')
    await noticed()
    const campaign = await latest()
    expect(campaign).toMatchObject({
      ...{ title: 'Changed · ada has left', state: 'active' },
      trigger: { kind: 'sponsor-left', about: world.personId('ada') },
    })
    expect(await agentsIn(campaign!)).toEqual(['reader'])
    await world.closeReviews()
    await world.openReviews()
    await noticed()
    expect(await campaignsOf('changes')).toHaveLength(1)
  })

  it('a sponsor who left while the gateway was down', async () => {
    await world.closeReviews()
    await world.agent('helper', ['ci'], world.personId('aud'))
    await world.world.access.registry.markLeft(world.personId('aud'), true, world.person('max'), 'gone')
    await world.openReviews()
    await noticed()
    await world.world.access.registry.markLeft(world.personId('aud'), false, world.person('max'), 'a mistake')
    const campaign = await latest()
    expect(campaign).toMatchObject({ trigger: { kind: 'sponsor-left', about: world.personId('aud') } })
    expect(await agentsIn(campaign!)).toEqual(['helper'])
  })

  it('a policy by which an agent may more; not one by which it may less', async () => {
    const before = (await campaignsOf('changes')).length
    await world.enforce(policy.replace('Action::"sql:connect", ', ''))
    await noticed()
    expect(await campaignsOf('changes')).toHaveLength(before)
    await world.enforce(
      `${policy}\n@id("more") permit (principal in Group::"ops", action == Action::"sql:ddl", resource in Connection::"dev");`,
    )
    await noticed()
    // Everybody of ci may connect again, and who is of ops may more.
    const campaign = await latest()
    expect(campaign).toMatchObject({
      ...{ title: 'Changed · 3 agents may more than before', trigger: { kind: 'new-privilege' } },
    })
    expect(campaign!.trigger.about).toBe(`policy ${world.policies.version}`)
    expect(await agentsIn(campaign!)).toEqual(['helper', 'reader', 'writer'])
  })

  it('a policy that changed while the gateway was down, once', async () => {
    const before = (await campaignsOf('changes')).length
    await world.closeReviews()
    await world.enforce(
      `${policy}\n@id("most") permit (principal in Group::"ops", action in Action::"sql", resource in Connection::"dev");`,
    )
    await world.openReviews()
    await noticed()
    expect(await campaignsOf('changes')).toHaveLength(before + 1)
    expect(await agentsIn((await latest())!)).toEqual(['writer'])
    await world.closeReviews()
    await world.openReviews()
    await noticed()
    expect(await campaignsOf('changes')).toHaveLength(before + 1)
  })

  it('new groups of agents, all of a minute together', async () => {
    const before = (await campaignsOf('changes')).length
    await world.agent('reader', ['ci', 'ops'])
    await world.agent('helper', ['ci', 'ops'])
    await noticed()
    const campaign = await latest()
    expect(await campaignsOf('changes')).toHaveLength(before + 1)
    expect(campaign!.trigger.kind).toBe('new-privilege')
    expect(await agentsIn(campaign!)).toEqual(['helper', 'reader'])
  })
})

describe('unusual use', () => {
  const now = Date.parse('2026-11-21T12:00:00.000Z')
  const days = (today: [number, number], usual: [number, number] = [10, 0]) =>
    [...Array(10).keys()].map((i) => {
      const [allowed, denied] = i === 9 ? today : usual
      return { day: new Date(now - (9 - i) * DAY).toISOString().slice(0, 10), allowed, held: 0, denied }
    })
  const use = (connection: string, ago: number) => ({
    ...{ connection, action: 'sql:read', resource: 'x', type: 'Table', allowed: 1, held: 0, denied: 0 },
    ...{ firstAt: new Date(now - ago).toISOString(), lastAt: new Date(now).toISOString() },
  })
  it.each([
    ['as ever', days([12, 1]), [], undefined],
    ['much refused', days([10, 25]), [], /25 of its commands were refused today, 0 on a usual day/],
    ['much refused, as ever', days([10, 25], [10, 20]), [], undefined],
    ['very busy', days([500, 0]), [], /500 commands today, 10/],
    ['busy, as ever', days([500, 0], [400, 0]), [], undefined],
    ['somewhere new', days([5, 0]), [use('dev', 20 * DAY), use('prod', 1000)], /prod for the first time/],
    ['somewhere known', days([5, 0]), [use('dev', 20 * DAY), use('prod', 3 * DAY)], undefined],
    ['too young to tell', days([500, 50]).slice(-3), [use('prod', 1000), use('dev', 2 * DAY)], undefined],
  ])('%s', (_name, of, uses, expected) => {
    const found = unusualToday(of, uses, now)
    if (expected) expect(found).toMatch(expected)
    else expect(found).toBeUndefined()
  })
})

it('leaves nothing that the ledger doesn’t say', async () => {
  expect(await world.verified()).toEqual([])
  // It would be seen: as is what somebody writes into the store by hand.
  const { db } = world.world.store
  await db.updateTable('campaigns').set({ closed_because: 'by hand' }).where('state', '=', 'closed').execute()
  expect(await world.verified()).not.toEqual([])
})
