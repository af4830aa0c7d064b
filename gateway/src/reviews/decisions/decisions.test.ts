import type { BulkPreview, Campaign, CampaignItem } from '@countersign/contract/review'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { clientId, type Name, type ReviewWorld, startReviewWorld } from './testing/review-world.ts'

let of: ReviewWorld
beforeAll(async () => {
  of = await startReviewWorld()
})
afterAll(() => of[Symbol.asyncDispose]())

const one = async (spec: Partial<Parameters<ReviewWorld['begin']>[0][number]> = {}, changes = {}) => {
  const campaign = await of.begin([{ agent: 'bot', ...spec }], changes)
  return { campaign, item: (await of.items(campaign))[0]! }
}
const two = [
  { title: 'Sponsor', reviewers: [{ kind: 'person' as const, person: 'rae' }] },
  { title: 'Security', reviewers: [{ kind: 'role' as const }] },
]
const entries = (type: string, campaign: string) => of.said(type, campaign)

describe('who may decide', () => {
  it.each<[who: Name, status: number]>([
    ['rae', 201],
    ['rita', 201],
    ['ada', 403],
    ['aud', 403],
    ['max', 403],
  ])('%s: %i', async (who, status) => {
    const { item, campaign } = await one()
    const { status: is, body } = await of.decide(who, item, 'certify')
    expect(is).toBe(status)
    if (status === 403) {
      expect(body.detail).toMatch(/reviewers/)
      expect((await of.items(campaign))[0]).toEqual({ ...item, mine: true })
    }
  })

  it('nobody but those who are asked at its stage', async () => {
    const { item } = await one({}, { stages: two })
    const { status, body } = await of.decide('ron', item, 'certify')
    expect([status, body.detail]).toEqual([403, 'You are not of those who may decide it now: rae is.'])
  })

  it('nobody an item about themselves: its agent comes on their behalf, by whatever name', async () => {
    for (const actsFor of [of.idOf('rae'), 'rae', 'RAE@shop.test']) {
      const token = await of.world.agents.agentToken({
        subject: actsFor,
        claims: { act: { sub: `for-${actsFor.length}`, groups: ['ci-agents'] } },
      })
      await fetch(`${of.world.url}/v1/me`, { headers: { authorization: `Bearer ${token}` } })
      await of.world.access.registry.flush()
      const { item } = await one({ agent: `for-${actsFor.length}` })
      const refused = await of.decide('rae', item, 'certify')
      expect([actsFor, refused.status]).toEqual([actsFor, 403])
      expect(refused.body.detail).toMatch(/^Nobody reviews what is their own: /)
      expect((await of.decide('ron', item, 'certify')).status).toBe(201)
    }
  })

  it('nobody what isn’t there, nor by another campaign’s name', async () => {
    const { item } = await one()
    const other = await of.begin([{ agent: 'x' }])
    expect((await of.decide('rae', { ...item, campaign: other }, 'certify')).status).toBe(404)
    expect((await of.decide('rae', { ...item, id: 'it_none' }, 'certify')).status).toBe(404)
    expect((await of.ask('GET', `/campaigns/${other}/items/${item.id}`, 'aud')).status).toBe(404)
  })

  it('nobody once they have left', async () => {
    const { item } = await one()
    const tx = of.world.store.db
    await tx
      .updateTable('people')
      .set({ left_at: '2026-01-01T00:00:00.000Z' })
      .where('id', '=', of.idOf('roy'))
      .execute()
    const { status, body } = await of.decide('roy', item, 'certify')
    await tx.updateTable('people').set({ left_at: null }).where('id', '=', of.idOf('roy')).execute()
    expect([status, body.detail]).toEqual([403, 'You were marked as having left.'])
  })
})

describe('a decision', () => {
  it.each(['certify', 'revoke', 'abstain'] as const)('%s: item, ledger, counts', async (verdict) => {
    const { campaign, item } = await one()
    const made = await of.decide('rae', item, verdict, { seconds: 12, evidenceOpened: ['use'] })
    expect(made.status).toBe(201)
    const { item: after, decision } = made.body
    expect(after).toMatchObject({ verdict, how: 'reviewer', decidedBy: { name: 'rae' } })
    expect(after.revision).toBeGreaterThan(item.revision)
    expect(after.application).toBe(verdict === 'revoke' ? 'pending' : undefined)
    const page = await of.page(campaign, item.id)
    expect(page.decisions).toMatchObject([{ id: decision.id, verdict, seconds: 12, evidenceOpened: ['use'], stage: 0 }])
    const [entry] = await entries('item.decided', campaign)
    expect(entry).toMatchObject({ item: item.id, verdict, how: 'reviewer', evidence: item.evidence })
    const { body } = await of.ask<Campaign>('GET', `/campaigns/${campaign}`, 'aud')
    expect(body.counts).toMatchObject({ items: 1, undecided: 0, [verdict]: 1 })
  })

  it('is told on the feed, with the counts of its campaign', async () => {
    const { campaign, item } = await one()
    const feed = await of.world.listen('/v1/feed', 'max')
    await of.decide('rae', item, 'certify')
    await feed.until((all) => all.some(({ type, data }) => type === 'campaign.changed' && data.id === campaign))
    const told = feed.messages.flatMap((one) => (one.type === 'campaign.item' ? [one.data] : []))
    expect(told.at(-1)).toMatchObject({ id: item.id, verdict: 'certify', mine: false })
    const changed = feed.messages.flatMap((one) => (one.type === 'campaign.changed' ? [one.data] : []))
    expect(changed.at(-1)).toMatchObject({ counts: { certify: 1, undecided: 0 } })
    await feed.close()
  })

  it('sent again is the same, and counts once; another one under its id is a conflict', async () => {
    const { campaign, item } = await one()
    const id = clientId()
    const sent = { id, madeAt: '2026-11-01T10:00:00.000Z' }
    expect((await of.decide('rae', item, 'certify', sent)).status).toBe(201)
    const again = await of.decide('rae', item, 'certify', sent)
    expect([again.status, again.body.decision.id]).toEqual([200, id])
    for (const other of [{ ...sent, reason: 'another' }, { id }, { ...sent, revision: 7 }])
      expect((await of.decide('rae', item, 'certify', other)).status).toBe(409)
    expect((await of.decide('ron', item, 'certify', sent)).status).toBe(409)
    expect((await of.page(campaign, item.id)).decisions).toHaveLength(1)
    expect(await entries('item.decided', campaign)).toHaveLength(1)
  })

  it('is the same again also when its campaign is closed meanwhile', async () => {
    const { campaign, item } = await one()
    const id = clientId()
    await of.decide('rae', item, 'certify', { id })
    await of.world.store.db.updateTable('campaigns').set({ state: 'closed' }).where('id', '=', campaign).execute()
    expect((await of.decide('rae', item, 'certify', { id })).status).toBe(200)
    const late = await of.decide('rae', item, 'certify')
    expect(late.status).toBe(409)
    expect(late.body.campaign).toMatchObject({ id: campaign, state: 'closed' })
    expect(late.body.item).toMatchObject({ id: item.id, verdict: 'certify' })
  })

  it('on an older revision is a conflict that shows the item as it is', async () => {
    const { item } = await one({}, { stages: two })
    await of.decide('rae', item, 'certify')
    const late = await of.decide('ron', item, 'revoke')
    expect(late.status).toBe(409)
    expect(late.body.item).toMatchObject({ id: item.id, stage: 1, mine: true, verdict: 'undecided' })
    expect((await of.decide('ron', late.body.item!, 'revoke')).status).toBe(201)
  })

  it('of two at once, one counts', async () => {
    const { campaign, item } = await one()
    const both = await Promise.all([of.decide('rae', item, 'certify'), of.decide('ron', item, 'revoke')])
    expect(both.map(({ status }) => status).sort()).toEqual([201, 409])
    const [lost] = both.filter(({ status }) => status === 409)
    const [won] = both.filter(({ status }) => status === 201)
    expect(lost!.body.item).toMatchObject({ verdict: won!.body.item.verdict })
    expect((await of.page(campaign, item.id)).decisions).toHaveLength(1)
  })

  it('says so in words: no time to come, no policy but with a reduce', async () => {
    const { item } = await one()
    const soon = new Date(Date.now() + 3_600_000).toISOString()
    expect((await of.decide('rae', item, 'certify', { madeAt: soon })).status).toBe(400)
    expect((await of.decide('rae', item, 'certify', { policy: of.policyFor('bot') })).status).toBe(400)
    expect((await of.decide('rae', item, 'reduce')).body.detail).toMatch(/^No smaller access is known/)
    expect((await of.decide('rae', item, 'certify', { id: 'short' })).status).toBe(400)
  })
})

describe('who, what and when', () => {
  const people: Name[] = ['rae', 'ron', 'ada', 'aud', 'max']
  // Rae has decided it where somebody has; of a closed campaign too.
  const states: [state: string, statuses: number[]][] = [
    ['open', [201, 201, 403, 403, 403]],
    ['decided', [201, 409, 403, 403, 403]],
    ['abstained', [201, 201, 403, 403, 403]],
    ['enforced', [409, 409, 403, 403, 403]],
    ['closed', [409, 409, 403, 403, 403]],
    ['skipped', [409, 409, 403, 403, 403]],
  ]
  const into = async (state: string): Promise<CampaignItem> => {
    const { campaign, item } = await one({ recommended: 'reduce' })
    const verdict = { decided: 'certify', abstained: 'abstain', enforced: 'revoke', closed: 'certify' }[state]
    if (verdict) await of.decide('rae', item, verdict as 'certify')
    const db = of.world.store.db
    if (state === 'enforced')
      await db.updateTable('overlays').set({ in_force: 1 }).where('item', '=', item.id).execute()
    if (state === 'closed' || state === 'skipped')
      expect((await of.ask('POST', `/campaigns/${campaign}/close`, 'ron', { reason: 'enough' })).status).toBe(200)
    return (await of.items(campaign))[0]!
  }
  it.each(states)('%s', async (state, statuses) => {
    for (const verdict of ['certify', 'reduce', 'revoke', 'abstain'] as const)
      for (const [n, who] of people.entries()) {
        // To who may not, it is one and the same which.
        if (n > 1 && verdict !== 'certify') continue
        const { status, body } = await of.decide(who, await into(state), verdict)
        expect([who, verdict, status]).toEqual([who, verdict, statuses[n]])
        if (status !== 201) expect(body.detail).toMatch(/^\S.*\.$/)
        if (status === 409) expect(body.item).toBeDefined()
      }
  })
})

describe('changing one’s mind', () => {
  it('is for who decided, while nothing is enforced; what was proposed is taken back', async () => {
    const { campaign, item } = await one({ recommended: 'reduce' })
    const first = (await of.decide('rae', item, 'revoke')).body.item
    expect(first).toMatchObject({ verdict: 'revoke', application: 'pending' })
    const other = await of.decide('ron', first, 'certify')
    expect([other.status, other.body.detail]).toEqual([409, 'rae has decided it already: revoke.'])
    const second = (await of.decide('rae', first, 'reduce')).body.item
    expect(second).toMatchObject({ verdict: 'reduce', application: 'pending' })
    expect(second.overlay).not.toBe(first.overlay)
    const overlays = await of.world.store.db
      .selectFrom('overlays')
      .select(['id', 'state'])
      .where('item', '=', item.id)
      .orderBy('number')
      .execute()
    expect(overlays).toEqual([
      { id: first.overlay, state: 'rejected' },
      { id: second.overlay, state: 'proposed' },
    ])
    const third = (await of.decide('rae', second, 'certify')).body.item
    expect(third).toMatchObject({ verdict: 'certify' })
    expect([third.application, third.overlay]).toEqual([undefined, undefined])
    const page = await of.page(campaign, item.id)
    expect(page.decisions.map(({ verdict }) => verdict)).toEqual(['revoke', 'reduce', 'certify'])
  })

  it('is over once it is enforced, and open again where an admin refused it', async () => {
    const { item } = await one()
    const decided = (await of.decide('rae', item, 'revoke')).body.item
    const db = of.world.store.db
    const set = (application: 'applied' | 'failed', in_force: 0 | 1) =>
      db.transaction().execute(async (tx) => {
        await tx.updateTable('campaign_items').set({ application }).where('id', '=', item.id).execute()
        await tx.updateTable('overlays').set({ in_force }).where('item', '=', item.id).execute()
      })
    for (const [application, inForce, status] of [
      ['applied', 1, 409],
      ['failed', 1, 409],
      ['failed', 0, 201],
    ] as const) {
      await set(application, inForce)
      expect((await of.decide('rae', decided, 'certify')).status).toBe(status)
    }
  })

  it('who abstains leaves it to the others', async () => {
    const { item } = await one()
    const after = (await of.decide('rae', item, 'abstain')).body.item
    expect(after.verdict).toBe('abstain')
    expect((await of.decide('ron', after, 'certify')).status).toBe(201)
  })
})

describe('stages', () => {
  it('a revoke is looked at by the next stage, and the last one counts', async () => {
    const { campaign, item } = await one({}, { stages: two })
    const staged = (await of.decide('rae', item, 'revoke')).body.item
    expect(staged).toMatchObject({ stage: 1, verdict: 'undecided', mine: false })
    expect(staged.application).toBeUndefined()
    const again = await of.decide('rae', staged, 'certify')
    expect([again.status, again.body.detail]).toEqual([
      403,
      'It was decided by rae at stage 1 already: each stage is another person’s look at it.',
    ])
    expect((await of.items(campaign, 'ron'))[0]!.mine).toBe(true)
    expect((await of.decide('ron', staged, 'certify')).body.item).toMatchObject({ verdict: 'certify', stage: 1 })
    expect((await of.page(campaign, item.id)).decisions.map(({ stage, verdict }) => [stage, verdict])).toEqual([
      [0, 'revoke'],
      [1, 'certify'],
    ])
  })
})

describe('a reduce', () => {
  const bot = () => `Agent::"${of.agentId('bot')}"`
  it.each<[what: string, policy: () => string, says: RegExp]>([
    ['a permit', () => `permit (principal == ${bot()}, action, resource in Connection::"orders");`, /permit/],
    ['about everybody', () => 'forbid (principal, action, resource in Connection::"orders");', /not about principal/],
    [
      'about another',
      () => 'forbid (principal == Agent::"x#y", action, resource in Connection::"orders");',
      /not about principal/,
    ],
    [
      'about a group',
      () => 'forbid (principal in Group::"ci-agents", action, resource in Connection::"orders");',
      /not about principal/,
    ],
    [
      'another connection',
      () => `forbid (principal == ${bot()}, action, resource in Connection::"vault");`,
      /orders alone/,
    ],
    ['every connection', () => `forbid (principal == ${bot()}, action, resource);`, /orders alone/],
    [
      'one of a permit among forbids',
      () => `${of.policyFor('bot')}\npermit (principal == ${bot()}, action, resource in Connection::"orders");`,
      /policy 2 is a permit/,
    ],
    [
      'a hold',
      () =>
        `@hold("sre") forbid (principal == ${bot()}, action, resource in Connection::"orders") unless { context has approval };`,
      /@hold/,
    ],
    [
      'an approval',
      () =>
        `forbid (principal == ${bot()}, action in Action::"sql", resource in Connection::"orders") unless { context has approval };`,
      /approval/,
    ],
    [
      'what never applies',
      () =>
        `forbid (principal == ${bot()}, action == Action::"ssh:exec", resource in Connection::"orders") when { false };`,
      /impossible/,
    ],
    [
      'a wrong attribute',
      () =>
        `forbid (principal == ${bot()}, action == Action::"sql:read", resource in Connection::"orders") when { context.nothing == 1 };`,
      /nothing/,
    ],
    ['no Cedar', () => 'forbid everything', /This policy/],
    ['nothing', () => '  ', /empty/],
    ['a comment alone', () => '// forbid', /no policy/],
    [
      'what looks like another',
      () => of.policyFor('bot').replace('sql:ddl', 'sql:\u202eldd'),
      /nobody sees.*\\u\{202e\}/,
    ],
    ['a template', () => 'forbid (principal == ?principal, action, resource in Connection::"orders");', /template/],
  ])('is not %s', async (_what, policy, says) => {
    const { item } = await one()
    const { status, body } = await of.decide('rae', item, 'reduce', { policy: policy() })
    expect([status, body.detail]).toEqual([400, expect.stringMatching(says)])
  })

  it('is the recommended one, or one’s own; it is kept, and proposed', async () => {
    const { campaign, item } = await one({ recommended: 'reduce' })
    const followed = await of.decide('rae', item, 'reduce')
    expect(followed.body.item).toMatchObject({ verdict: 'reduce', application: 'pending' })
    const own = of.policyFor('bot').replace('Action::"sql:ddl"', 'Action::"sql:admin"')
    const changed = await of.decide('rae', followed.body.item, 'reduce', { policy: own })
    expect(changed.status).toBe(201)
    const { decisions } = await of.page(campaign, item.id)
    expect(decisions.map(({ policy, followed }) => [policy, followed])).toEqual([
      [of.policyFor('bot'), true],
      [own, false],
    ])
    const overlay = await of.world.store.db
      .selectFrom('overlays')
      .selectAll()
      .where('id', '=', changed.body.item.overlay!)
      .executeTakeFirstOrThrow()
    expect(overlay).toMatchObject({ policy: own, state: 'proposed', item: item.id, agent: of.agentId('bot') })
  })
})

describe('comments', () => {
  it('are said once, by those who are asked, and leave the revision', async () => {
    const { campaign, item } = await one({}, { stages: two })
    const path = `/campaigns/${campaign}/items/${item.id}/comments/${clientId()}`
    expect((await of.ask('PUT', path, 'rae', { text: 'finance uses it' })).status).toBe(201)
    expect((await of.ask('PUT', path, 'rae', { text: 'finance uses it' })).status).toBe(200)
    expect((await of.ask('PUT', path, 'rae', { text: 'nobody uses it' })).status).toBe(409)
    for (const [who, status] of [
      ['ron', 403],
      ['aud', 403],
      ['max', 403],
    ] as const)
      expect((await of.ask('PUT', path.replace(/[^/]+$/, clientId()), who, { text: 'hm' })).status).toBe(status)
    const page = await of.page(campaign, item.id)
    expect(page.comments).toMatchObject([{ by: { name: 'rae' }, text: 'finance uses it' }])
    expect(page.item).toMatchObject({ revision: item.revision, comments: 1 })
    expect(await entries('item.commented', campaign)).toHaveLength(1)
    await of.decide('rae', item, 'certify')
    const after = path.replace(/[^/]+$/, clientId())
    expect((await of.ask('PUT', after, 'rae', { text: 'to the next: ask me' })).status).toBe(201)
  })
})

describe('moves', () => {
  const move = (as: Name, item: CampaignItem, kind: 'reassign' | 'delegate', to: string) =>
    of.ask<{ item: CampaignItem }>('POST', `/campaigns/${item.campaign}/items/${item.id}/${kind}`, as, {
      to,
      reason: 'away',
    })

  it('reassigned it is another’s, and no longer one’s own', async () => {
    const { campaign, item } = await one({}, { stages: two })
    const moved = await move('rae', item, 'reassign', 'ron@shop.test')
    expect(moved.body.item).toMatchObject({ reviewers: [{ name: 'ron' }], mine: false })
    expect((await of.decide('rae', moved.body.item, 'certify')).status).toBe(403)
    const decided = await of.decide('ron', moved.body.item, 'certify')
    expect(decided.status).toBe(201)
    const { moves, decisions } = await of.page(campaign, item.id)
    expect(moves).toMatchObject([{ kind: 'reassign', from: { name: 'rae' }, to: { name: 'ron' }, reason: 'away' }])
    expect(decisions[0]!.inPlaceOf).toBeUndefined()
    // The next stage has reviewers of its own.
    expect(decided.body.item.reviewers.map(({ name }) => name).sort()).toEqual(['rae', 'rita', 'roy'])
  })

  it('of what everybody may decide becomes one’s', async () => {
    const { item } = await one()
    expect((await move('rae', item, 'delegate', 'ron')).status).toBe(409)
    const moved = (await move('rae', item, 'reassign', of.idOf('ron'))).body.item
    expect((await of.decide('rita', moved, 'certify')).status).toBe(403)
    expect((await of.decide('ron', moved, 'certify')).status).toBe(201)
  })

  it('delegated the other decides in one’s place, and hands nothing on', async () => {
    const { campaign, item } = await one({}, { stages: two })
    const moved = (await move('rae', item, 'delegate', of.idOf('rita'))).body.item
    expect(moved.reviewers.map(({ name }) => name)).toEqual(['rae', 'rita'])
    expect(moved.mine).toBe(true)
    expect((await move('rita', moved, 'reassign', of.idOf('ron'))).status).toBe(403)
    expect((await move('rita', moved, 'delegate', of.idOf('ron'))).status).toBe(403)
    const { body } = await of.decide('rita', moved, 'certify')
    expect((await of.page(campaign, item.id)).decisions).toMatchObject([
      { by: { name: 'rita' }, inPlaceOf: { name: 'rae' } },
    ])
    // Neither of the two decides the next stage.
    for (const who of ['rae', 'rita'] as const) expect((await of.decide(who, body.item, 'certify')).status).toBe(403)
    expect((await of.decide('ron', body.item, 'certify')).status).toBe(201)
  })

  it('what was lent goes when it is reassigned', async () => {
    const { item } = await one({}, { stages: two })
    const lent = (await move('rae', item, 'delegate', of.idOf('rita'))).body.item
    const moved = (await move('rae', lent, 'reassign', of.idOf('ron'))).body.item
    expect(moved.reviewers.map(({ name }) => name)).toEqual(['ron'])
    expect((await of.decide('rita', moved, 'certify')).status).toBe(403)
  })

  it('what was lent ends when who lent it leaves: the rules of the stage are asked anew', async () => {
    const { campaign, item } = await one({}, { stages: two })
    const lent = (await move('rae', item, 'delegate', of.idOf('rita'))).body.item
    const path = `/people/${encodeURIComponent(of.idOf('rae'))}/left`
    expect((await of.ask('POST', path, 'max', { left: true, reason: 'retired' })).status).toBe(200)
    const refused = await of.decide('rita', lent, 'certify')
    expect([refused.status, refused.body.detail]).toEqual([403, 'You would decide in the place of rae, who has left.'])
    await of.world.reviews.campaigns.tick()
    const now = (await of.items(campaign, 'rita'))[0]!
    expect(now.reviewers.map(({ name }) => name).sort()).toEqual(['rita', 'ron', 'roy'])
    expect(now.mine).toBe(true)
    expect((await of.decide('rita', now, 'certify')).status).toBe(201)
    expect((await of.page(campaign, item.id, 'aud')).decisions[0]!.inPlaceOf).toBeUndefined()
    expect((await of.ask('POST', path, 'max', { left: false, reason: 'back' })).status).toBe(200)
  })

  it.each([
    ['who can’t review', 'ada', /can’t decide it: only reviewers/],
    ['an admin', 'max', /only reviewers/],
    ['oneself', 'rae', /is you/],
    ['nobody', 'nobody-at-all', /Nobody of that name/],
  ])('not to %s', async (_what, to, says) => {
    const { item } = await one({}, { stages: two })
    const { status, body } = await move('rae', item, 'reassign', to)
    expect([status, body.detail]).toEqual([400, expect.stringMatching(says)])
  })

  it('not by others, not once it is decided', async () => {
    const { item } = await one({}, { stages: two })
    expect((await move('ron', item, 'reassign', of.idOf('rita'))).status).toBe(403)
    expect((await move('max', item, 'reassign', of.idOf('rita'))).status).toBe(403)
    const { item: open } = await one()
    await of.decide('rae', open, 'certify')
    expect((await move('rae', open, 'reassign', of.idOf('rita'))).status).toBe(409)
  })

  it('a duty that was handed over counts where its group is asked', async () => {
    const asked = [{ title: 'Owners', reviewers: [{ kind: 'group' as const, group: 'oncall-dba' }] }]
    const { item, campaign } = await one({}, { stages: asked })
    expect(item.reviewers.map(({ name }) => name)).toEqual(['roy'])
    expect((await of.decide('rita', item, 'certify')).status).toBe(403)
    const ref = (name: Name) => JSON.stringify(of.world.access.registry.person(of.idOf(name)))
    const at = new Date(Date.now() - 1000).toISOString()
    await of.world.store.db
      .insertInto('delegations')
      .values({
        ...{ id: 'dg_test', from_person: of.idOf('roy'), from_ref: ref('roy'), to_person: of.idOf('rita') },
        ...{ to_ref: ref('rita'), groups: '["oncall-dba"]', since: at, made_at: at, reason: 'away' },
        ...{
          until: new Date(Date.now() + 3_600_000).toISOString(),
          ended_at: null,
          ended_by: null,
          ended_because: null,
        },
      })
      .execute()
    expect((await move('rita', item, 'reassign', of.idOf('ron'))).status).toBe(403)
    expect((await of.decide('rita', item, 'certify')).status).toBe(201)
    expect((await of.page(campaign, item.id)).decisions[0]).toMatchObject({ inPlaceOf: { name: 'roy' } })
    await of.world.store.db.deleteFrom('delegations').execute()
  })
})

describe('many at once', () => {
  const bulk = (as: Name, campaign: string, body: object) =>
    of.ask<BulkPreview>('POST', `/campaigns/${campaign}/bulk`, as, body)

  it('are shown, refused one by one, and decided as they were shown', async () => {
    const campaign = await of.begin([
      ...Array.from({ length: 5 }, (_, n) => ({ agent: `bulk-${n}` })),
      { agent: 'root', privileged: true },
      { agent: 'old', recommended: 'revoke' as const },
    ])
    const all = await of.items(campaign)
    await of.decide('ron', all[0]!, 'revoke')
    const asked = {
      items: [
        ...(await of.items(campaign)).map(({ id, revision }) => ({ id, revision })),
        { id: 'it_none', revision: 0 },
      ],
      verdict: 'certify',
      reason: 'used each day',
    }
    const shown = await bulk('rae', campaign, asked)
    expect(shown.status).toBe(200)
    expect(shown.body).toMatchObject({ done: false, verdict: 'certify' })
    expect(shown.body.items.map(({ name, followed }) => [name, followed])).toEqual([
      ...['bulk-1', 'bulk-2', 'bulk-3', 'bulk-4'].map((name) => [name, true]),
      ['old', false],
    ])
    expect(shown.body.refused.map(({ why }) => why)).toEqual([
      'ron has decided it already: revoke.',
      'It is privileged: look at it by itself.',
      'There is no such item in this campaign.',
    ])
    expect((await of.items(campaign)).filter(({ verdict }) => verdict === 'certify')).toEqual([])

    const wrong = { ...asked, preview: '0'.repeat(64) }
    expect((await bulk('rae', campaign, wrong)).status).toBe(409)
    expect((await bulk('rita', campaign, { ...asked, preview: shown.body.preview })).status).toBe(409)
    expect((await bulk('rae', campaign, { ...asked, verdict: 'abstain', preview: shown.body.preview })).status).toBe(
      409,
    )
    const done = await bulk('rae', campaign, { ...asked, preview: shown.body.preview })
    expect(done.body).toMatchObject({ done: true, preview: shown.body.preview })
    expect(done.body.items).toHaveLength(5)
    const after = await of.items(campaign)
    expect(after.filter(({ bulk }) => bulk).map(({ name }) => name)).toHaveLength(5)
    const { decisions } = await of.page(campaign, done.body.items[0]!.id)
    const other = await of.page(campaign, done.body.items[1]!.id)
    expect(decisions[0]!.bulk).toMatch(/^bu_/)
    expect(other.decisions[0]!.bulk).toBe(decisions[0]!.bulk)
    // Its answer may have been lost.
    const again = await bulk('rae', campaign, { ...asked, preview: shown.body.preview })
    expect([again.status, again.body.items.length]).toEqual([200, 5])
    expect(await entries('item.decided', campaign)).toHaveLength(6)
  })

  it('are not decided where one has changed since they were shown', async () => {
    const campaign = await of.begin([{ agent: 'one' }, { agent: 'two' }])
    const items = await of.items(campaign)
    const asked = { items: items.map(({ id, revision }) => ({ id, revision })), verdict: 'certify', reason: 'fine' }
    const { body } = await bulk('rae', campaign, asked)
    await of.decide('ron', items[0]!, 'revoke')
    expect((await bulk('rae', campaign, { ...asked, preview: body.preview })).status).toBe(409)
    expect((await of.items(campaign))[1]!.verdict).toBe('undecided')
  })

  it('never reduce, never without a reason, never by who may not', async () => {
    const campaign = await of.begin([{ agent: 'one' }])
    const items = (await of.items(campaign)).map(({ id, revision }) => ({ id, revision }))
    expect((await bulk('rae', campaign, { items, verdict: 'reduce', reason: 'x' })).status).toBe(400)
    expect((await bulk('rae', campaign, { items, verdict: 'certify', reason: ' ' })).status).toBe(400)
    for (const who of ['aud', 'max', 'ada'] as const)
      expect((await bulk(who, campaign, { items, verdict: 'certify', reason: 'x' })).status).toBe(403)
    expect((await bulk('rae', 'ca_none', { items, verdict: 'certify', reason: 'x' })).status).toBe(404)
  })
})

describe('signals', () => {
  it('are for the owner, auditors and admins', async () => {
    const campaign = await of.begin([{ agent: 'one' }, { agent: 'two' }], { owner: 'ron' })
    const [first] = await of.items(campaign)
    await of.decide('rae', first!, 'certify', { seconds: 40, evidenceOpened: ['use'] })
    for (const [who, status] of [
      ['ron', 200],
      ['aud', 200],
      ['max', 200],
      ['rae', 403],
      ['ada', 403],
    ] as const)
      expect([who, (await of.ask('GET', `/campaigns/${campaign}/signals`, who)).status]).toEqual([who, status])
    const { body } = await of.ask('GET', `/campaigns/${campaign}/signals`, 'aud')
    expect(body).toMatchObject({
      reviewers: [
        { person: { name: 'rae' }, decided: 1, certified: 1, bulk: 0, followed: 1, medianSeconds: 40, flags: [] },
      ],
      burnDown: [{ day: new Date().toISOString().slice(0, 10), open: 1 }],
    })
    expect((await of.ask('GET', '/campaigns/ca_none/signals', 'aud')).status).toBe(404)
  })
})
