import type { Campaign, CampaignItem, CampaignReminder, Overlay } from '@countersign/contract/review'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { remindersOf } from './reminders.ts'
import { CampaignWorld, DAY } from './testing/campaign-world.ts'

const policy = `
@id("ci") permit (principal in Group::"ci", action in [Action::"sql:connect", Action::"sql:read"], resource);
@id("ops") permit (principal in Group::"ops", action in Action::"sql", resource in Connection::"prod");
`

let world: CampaignWorld
beforeAll(async () => {
  world = await CampaignWorld.start(policy, { prod: { tags: ['production'] }, dev: {} })
  await world.signIn('rae', 'both', 'ada', 'max', 'aud')
  await world.agent('reader', ['ci'], world.personId('rae'))
  await world.agent('writer', ['ci', 'ops'], world.personId('both'))
})
afterAll(() => world?.[Symbol.asyncDispose]())

const decided = async (item: CampaignItem, as: 'rae' | 'both', verdict: string) => {
  const path = `/campaigns/${item.campaign}/items/${item.id}/decisions/test-${item.id}-${item.stage}`
  return world.get(as, 'PUT', path, { verdict, reason: 'looked', revision: item.revision })
}

describe('when it is due', () => {
  it.each([
    ['keep', 'certify', undefined],
    ['revoke', 'revoke', 'pending'],
  ] as const)('%s makes of what nobody decided: %s', async (onExpiry, verdict, application) => {
    const campaign = await world.begun({ onExpiry, days: 2 })
    const items = await world.items(campaign.id)
    await decided(items[0]!, 'rae', 'abstain')
    const due = Date.parse(campaign.dueAt!)
    await world.to(due - 1)
    expect(await world.get('aud', 'GET', `/campaigns/${campaign.id}`)).toMatchObject({ state: 'active' })
    await world.to(due)
    const closed = await world.get('aud', 'GET', `/campaigns/${campaign.id}`)
    expect(closed).toMatchObject({ state: 'closed', closedAt: campaign.dueAt, closedBecause: 'It was due.' })
    expect(closed.closedBy).toBeUndefined()
    expect(closed.counts).toMatchObject({ items: 4, undecided: 0, abstain: 1, [verdict]: 3 })
    const [first, ...rest] = await world.items(campaign.id)
    // Who abstained has said something: it stays what they said.
    expect(first).toMatchObject({ verdict: 'abstain', how: 'reviewer', decidedBy: { name: 'rae' } })
    for (const item of rest) {
      expect(item).toMatchObject({ verdict, how: 'expired-default', mine: false, revision: 1 })
      expect([item.decidedBy, item.application]).toEqual([undefined, application])
    }
    const entries = (await world.said('item.decided')).filter((one) => one.campaign === campaign.id)
    expect(entries.slice(1)).toMatchObject(
      rest.map(({ id, evidence }) => ({
        item: id,
        verdict,
        evidence,
        by: { kind: 'gateway' },
        how: 'expired-default',
      })),
    )
    const overlays = await world.get<{ items: Overlay[] }>('max', 'GET', '/overlays?limit=1000')
    const mine = overlays.items.filter((one) => one.campaign === campaign.id)
    expect(mine.map(({ item, state, kind }) => [item, state, kind]).toSorted()).toEqual(
      application ? rest.map(({ id }) => [id, 'proposed', 'revoke']).toSorted() : [],
    )
    for (const { proposed, policy } of mine) {
      expect(proposed.by).toBeUndefined()
      expect(policy).toContain('forbid')
    }
  })

  it('recommendation makes of each what is recommended of it', async () => {
    const campaign = await world.begun({ onExpiry: 'recommendation', days: 1 })
    const before = await world.items(campaign.id)
    await world.to(Date.parse(campaign.dueAt!))
    const after = await world.items(campaign.id)
    expect(after.map(({ verdict }) => verdict)).toEqual(before.map(({ recommendation }) => recommendation.verdict))
    for (const { verdict, application } of after)
      expect(application).toBe(verdict === 'reduce' || verdict === 'revoke' ? 'pending' : undefined)
  })

  it('decides nothing twice: who closes it then closes it as its plan says', async () => {
    const campaign = await world.begun({ onExpiry: 'keep', days: 1 })
    // Nobody has looked at the clock yet.
    world.clock.now = Date.parse(campaign.dueAt!)
    await world.get('rae', 'POST', `/campaigns/${campaign.id}/close`, { reason: 'enough' })
    await world.reviews.campaigns.tick()
    const items = await world.items(campaign.id)
    expect(items.map(({ verdict, how }) => [verdict, how])).toEqual(items.map(() => ['certify', 'expired-default']))
    const closed = (await world.said('campaign.closed')).filter((one) => one.campaign === campaign.id)
    expect(closed).toMatchObject([{ by: { kind: 'gateway' }, reason: 'It was due.' }])
  })
})

describe('reminders', () => {
  const told = async (campaign: string): Promise<CampaignReminder[]> => {
    const rows = await world.world.store.db
      .selectFrom('feed')
      .select('data')
      .where('type', '=', 'campaign.reminder')
      .orderBy('seq')
      .execute()
    return rows.map(({ data }) => JSON.parse(data) as CampaignReminder).filter((one) => one.campaign === campaign)
  }
  const short = (all: CampaignReminder[]) =>
    all.map(({ person, kind, open }) => `${person.split('#')[1]} ${kind} ${open}`)

  it.each([
    [1, ['started 0', 'half 0.5']],
    [2, ['started 0', 'half 1']],
    [4, ['started 0', 'half 2', 'last-day 3']],
    [7, ['started 0', 'half 3.5', 'soon 4', 'last-day 6']],
    [30, ['started 0', 'half 15', 'soon 27', 'last-day 29']],
  ])('of %i days are at most four', (days, expected) => {
    const found = remindersOf(1000, 1000 + days * DAY).map(({ kind, at }) => `${kind} ${(at - 1000) / DAY}`)
    expect(found).toEqual(expected)
  })

  it('come once each, to those who can decide something, and to nobody else', async () => {
    const feeds = { rae: await world.world.listen('/v1/feed', 'rae'), aud: await world.world.listen('/v1/feed', 'aud') }
    const campaign = await world.begun({
      ...{ days: 10, onExpiry: 'keep', scope: { connections: ['dev'] } },
      stages: [{ title: 'Sponsor', reviewers: [{ kind: 'sponsor' }] }],
    })
    const begun = Date.parse(campaign.startedAt!)
    expect(short(await told(campaign.id))).toEqual(['both started 1', 'rae started 1'])
    await world.reviews.campaigns.tick()
    await world.to(begun + DAY)
    expect(await told(campaign.id)).toHaveLength(2)

    const items = await world.items(campaign.id)
    const mine = items.find(({ name }) => name === 'reader')!
    await decided(mine, 'rae', 'certify')
    await world.to(begun + 5 * DAY)
    expect(short(await told(campaign.id)).slice(2)).toEqual(['both half 1'])
    await world.to(begun + 7 * DAY)
    await world.to(begun + 7 * DAY + 1000)
    await world.to(begun + 9 * DAY)
    expect(short(await told(campaign.id)).slice(3)).toEqual(['both soon 1', 'both last-day 1'])
    await world.to(begun + 10 * DAY)
    expect(await told(campaign.id)).toHaveLength(5)

    const seen = (feed: (typeof feeds)['rae']) =>
      feed.messages.filter((one) => one.type === 'campaign.reminder' && one.data.campaign === campaign.id).length
    for (const feed of [feeds.rae, feeds.aud])
      await feed.until((all) => all.some((one) => one.type === 'campaign.closed' && one.data.id === campaign.id))
    expect([seen(feeds.rae), seen(feeds.aud)]).toEqual([1, 0])
    await Promise.all(Object.values(feeds).map((feed) => feed.close()))
  })

  it('of a time without the gateway are one', async () => {
    const campaign = await world.begun({ days: 30, onExpiry: 'keep', scope: { connections: ['dev'], groups: ['ops'] } })
    const before = await told(campaign.id)
    await world.closeReviews()
    world.clock.to(Date.parse(campaign.dueAt!) - 2 * DAY)
    await world.openReviews()
    await world.reviews.campaigns.tick()
    const after = (await told(campaign.id)).slice(before.length)
    expect(after.map(({ kind }) => kind)).toEqual(['soon', 'soon'])
  })

  it('tell those who are asked at a stage when the first item comes to it', async () => {
    const campaign = await world.begun({
      ...{ days: 10, scope: { connections: ['dev'], groups: ['ops'] } },
      stages: [
        { title: 'Sponsor', reviewers: [{ kind: 'sponsor' }] },
        { title: 'Second look', reviewers: [{ kind: 'person', person: world.personId('rae') }] },
      ],
    })
    expect(short(await told(campaign.id))).toEqual(['both started 1'])
    await decided((await world.items(campaign.id, 'both'))[0]!, 'both', 'certify')
    await world.reviews.campaigns.tick()
    const [item] = await world.items(campaign.id)
    expect(item).toMatchObject({ stage: 1, mine: true, verdict: 'undecided', reviewers: [{ name: 'rae' }] })
    expect((await world.items(campaign.id, 'both'))[0]!.mine).toBe(false)
    expect(short(await told(campaign.id)).slice(1)).toContain('rae stage 1')
    await world.reviews.campaigns.tick()
    const stages = (await told(campaign.id)).filter(({ kind }) => kind === 'stage')
    expect(stages).toHaveLength(1)
  })
})

describe('over a restart', () => {
  it('a snapshot that was broken off is taken anew, once', async () => {
    const { id } = await world.get('rae', 'POST', '/campaigns', {
      title: 'Broken off',
      scope: { connections: ['dev'] },
    })
    const { db } = world.world.store
    const brokenOff = (problem: string | null) =>
      db
        .updateTable('campaigns')
        .set({
          started_at: new Date(world.clock.now).toISOString(),
          started_by: JSON.stringify(world.person('rae')),
          problem,
        })
        .where('id', '=', id)
        .execute()
    await world.closeReviews()
    await brokenOff('The gateway ended while its snapshot was taken: it is taken anew.')
    await world.openReviews()
    await world.reviews.campaigns.tick()
    const failed = await world.get('rae', 'GET', `/campaigns/${id}`)
    expect(failed).toMatchObject({ state: 'draft', problem: expect.stringMatching(/ended twice/) })

    await world.closeReviews()
    await brokenOff(null)
    await world.openReviews()
    await world.reviews.campaigns.tick()
    const campaign = await world.get<Campaign>('rae', 'GET', `/campaigns/${id}`)
    expect(campaign).toMatchObject({ state: 'active', startedBy: { name: 'rae' }, counts: { items: 2 } })
    expect(campaign.problem).toBeUndefined()
  })

  it('a stop in the middle of a snapshot leaves nothing of it, and it is gone on with', async () => {
    const { id } = await world.get('rae', 'POST', '/campaigns', { title: 'Stopped', scope: { connections: ['dev'] } })
    await world.get('rae', 'POST', `/campaigns/${id}/start`)
    await world.closeReviews()
    const row = await world.world.store.db
      .selectFrom('campaigns')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirstOrThrow()
    const items = await world.world.store.db
      .selectFrom('campaign_items')
      .select('id')
      .where('campaign', '=', id)
      .execute()
    expect([row.state, row.problem, items.length]).toEqual(['draft', null, 0])
    await world.openReviews()
    await world.reviews.campaigns.tick()
    expect(await world.get('rae', 'GET', `/campaigns/${id}`)).toMatchObject({ state: 'active', counts: { items: 2 } })
  })
})

it('leaves nothing that the ledger doesn’t say', async () => {
  expect(await world.verified()).toEqual([])
  // It would be seen: as is what somebody writes into the store by hand.
  const { db } = world.world.store
  await db.updateTable('campaigns').set({ closed_because: 'by hand' }).where('state', '=', 'closed').execute()
  expect(await world.verified()).not.toEqual([])
})
