import type { CampaignScope, ReviewerRule } from '@countersign/contract/review'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CampaignWorld, DAY } from './testing/campaign-world.ts'

const policy = `
@id("ci") permit (principal in Group::"ci", action in [Action::"sql:connect", Action::"sql:read"], resource);
@id("ops") permit (principal in Group::"ops", action in Action::"sql", resource in Connection::"prod");
@id("sees-email") permit (principal in Group::"ops", action == Action::"data:reveal", resource == DataClass::"email")
when { context.connection == Connection::"prod" };
@id("ask-ops") permit (principal in Group::"ops", action == Action::"access:request", resource == Connection::"vault");
@id("ask-nobody") permit (principal in Group::"ghosts", action == Action::"access:request", resource == Connection::"vault");
`

let world: CampaignWorld
beforeAll(async () => {
  world = await CampaignWorld.start(policy, {
    prod: { tags: ['production', 'eu'] },
    dev: { tags: ['eu'] },
    vault: { access: 'jit', tags: ['production'] },
    watched: { mode: 'observe' },
  })
  await world.signIn('rae', 'both', 'ada', 'max', 'aud')
  await world.agent('reader', ['ci'], 'rae@example.com')
  await world.agent('writer', ['ci', 'ops'], world.personId('both'))
  await world.agent('guest', ['guests'], world.personId('rae'))
  const gone = await world.agent('gone', ['ci'], world.personId('rae'))
  await world.world.access.registry.change(gone, { disabled: true, reason: 'over' }, world.person('max'))
})
afterAll(() => world?.[Symbol.asyncDispose]())

const held = async (scope: CampaignScope): Promise<string[]> => {
  const campaign = await world.begun({ scope })
  if (campaign.state === 'draft') return [campaign.problem!.slice(0, 12)]
  return (await world.items(campaign.id))
    .map(({ kind, name, connection }) => `${kind} ${name} ${connection}`)
    .toSorted()
}

const everything = [
  'access reader dev',
  'access reader prod',
  'access reader watched',
  'access writer dev',
  'access writer prod',
  'access writer watched',
]
const none = ['Nobody holds']

describe('a scope', () => {
  it.each<[string, () => CampaignScope, string[]]>([
    ['all', () => ({}), everything],
    ['connections', () => ({ connections: ['dev', 'other'] }), ['access reader dev', 'access writer dev']],
    ['tags', () => ({ tags: ['production'] }), ['access reader prod', 'access writer prod']],
    [
      'one of the tags',
      () => ({ tags: ['production', 'eu'], agents: [world.agentId('reader')] }),
      ['access reader dev', 'access reader prod'],
    ],
    ['agents', () => ({ agents: [world.agentId('writer')], connections: ['prod'] }), ['access writer prod']],
    ['groups', () => ({ groups: ['ops'], connections: ['prod'] }), ['access writer prod']],
    ['who holds nothing', () => ({ agents: [world.agentId('guest')] }), none],
    ['who is disabled', () => ({ agents: [world.agentId('gone')] }), none],
    ['classes', () => ({ classes: ['email'], connections: ['prod', 'dev'] }), ['access writer prod']],
    ['classes that nobody sees', () => ({ classes: ['iban'] }), none],
    ['standing', () => ({ access: 'standing' }), everything],
    ['just in time, without a grant', () => ({ access: 'jit' }), none],
    ['rules that somebody can use', () => ({ access: 'jit', rules: true }), ['rule ask-ops vault']],
    [
      'rules for an agent whom they give nothing',
      () => ({ rules: true, agents: [world.agentId('reader')], connections: ['vault'] }),
      none,
    ],
    ['orphans', () => ({ orphans: true, connections: ['dev'] }), ['access reader dev']],
    ['never used', () => ({ idleDays: 30, connections: ['dev'] }), ['access reader dev', 'access writer dev']],
    ['privileged', () => ({ privileged: true, connections: ['prod', 'dev'] }), ['access writer prod']],
  ])('by %s', async (_name, scope, expected) => {
    expect(await held(scope())).toEqual(expected)
  })

  it('of just-in-time access has an item for each live grant', async () => {
    const { db } = world.world.store
    const at = new Date(world.clock.now).toISOString()
    await db
      .insertInto('grants')
      .values({
        id: 'gr_0123456789abcdef',
        state: 'active',
        agent: world.agentId('writer'),
        identity: JSON.stringify({
          id: world.agentId('writer'),
          issuer: 'i',
          subject: 'writer',
          name: 'writer',
          groups: ['ops'],
        }),
        connection: 'vault',
        connection_tags: '[]',
        actions: JSON.stringify(['sql:read']),
        resources: null,
        on_behalf_of: '',
        duration: '1h',
        policies: '[]',
        sessions: 0,
        seconds: 3600,
        purpose: 'look',
        requested_at: at,
        requester: world.agentId('writer'),
        requested_by: JSON.stringify({ kind: 'agent', id: world.agentId('writer'), name: 'writer' }),
        active_from: at,
        expires_at: new Date(world.clock.now + DAY).toISOString(),
      } as never)
      .execute()
    expect(await held({ access: 'jit' })).toEqual(['access writer vault'])
    await db.deleteFrom('grants').execute()
  })
})

describe('who is asked', () => {
  const asked = async (agent: string, reviewers: ReviewerRule[]) => {
    const campaign = await world.begun({
      scope: { agents: [world.agentId(agent)], connections: ['dev'] },
      stages: [{ title: 'Review', reviewers }],
    })
    const [item] = await world.items(campaign.id)
    const mine = []
    for (const who of ['rae', 'both', 'max'] as const)
      if ((await world.items(campaign.id, who))[0]!.mine) mine.push(who)
    return { reviewers: item!.reviewers.map(({ name }) => name).toSorted(), mine }
  }
  const everyReviewer = { reviewers: ['both', 'rae'], mine: ['rae', 'both'] }

  it.each<[string, string, () => ReviewerRule[], { reviewers: string[]; mine: string[] }]>([
    ['the sponsor', 'writer', () => [{ kind: 'sponsor' }], { reviewers: ['both'], mine: ['both'] }],
    ['a sponsor whom nobody knows: everybody', 'reader', () => [{ kind: 'sponsor' }], everyReviewer],
    [
      'an owner whom there isn’t: the next rule',
      'writer',
      () => [{ kind: 'owner' }, { kind: 'person', person: 'rae' }],
      { reviewers: ['rae'], mine: ['rae'] },
    ],
    ['a person without the role: everybody', 'writer', () => [{ kind: 'person', person: 'ada' }], everyReviewer],
    ['an admin without the role: everybody', 'writer', () => [{ kind: 'person', person: 'max' }], everyReviewer],
    ['a group', 'writer', () => [{ kind: 'group', group: 'oncall-dba' }], { reviewers: ['both'], mine: ['both'] }],
    ['a group without reviewers: everybody', 'writer', () => [{ kind: 'group', group: 'audit' }], everyReviewer],
    ['the role', 'writer', () => [{ kind: 'role' }, { kind: 'person', person: 'rae' }], everyReviewer],
  ])('is %s', async (_name, agent, rules, expected) => {
    expect(await asked(agent, rules())).toEqual(expected)
  })

  it('is nobody about themselves: who an agent acts for is left out', async () => {
    const { access, agents } = world.world
    const id = world.agentId('deputy')
    access.registry.seen({
      ...{ kind: 'agent', id, issuer: agents.url, subject: 'deputy', name: 'deputy', groups: ['ci'] },
      ...{ onBehalfOf: 'both', expiresAt: new Date(Date.now() + DAY) },
    })
    await access.registry.flush()
    await access.registry.change(id, { sponsor: world.personId('both') }, world.person('max'))
    expect(await asked('deputy', [{ kind: 'sponsor' }])).toEqual({ reviewers: ['rae'], mine: ['rae'] })
  })

  it('is by the role also who comes to be a reviewer later', async () => {
    const campaign = await world.begun({ scope: { agents: [world.agentId('reader')], connections: ['dev'] } })
    const token = await world.world.people.personToken({ subject: 'new', name: 'new', groups: ['security'] })
    const answer = await fetch(`${world.url}/campaigns/${campaign.id}/items`, {
      headers: { authorization: `Bearer ${token}` },
    })
    const { items } = (await answer.json()) as { items: { mine: boolean; reviewers: { name: string }[] }[] }
    expect(items[0]!.mine).toBe(true)
    expect(items[0]!.reviewers.map(({ name }) => name)).not.toContain('new')
  })
  it('is also who stands in for the group of one who is away', async () => {
    const token = await world.world.people.personToken({ subject: 'roy', name: 'roy', groups: ['security', 'sre'] })
    const royAsks = async (path: string) => {
      const answer = await fetch(`${world.url}${path}`, { headers: { authorization: `Bearer ${token}` } })
      return (await answer.json()) as { items: { mine: boolean }[] }
    }
    await royAsks('/me')
    await world.world.access.registry.flush()
    const isRoys = async (rule: ReviewerRule) => {
      const campaign = await world.begun({
        scope: { agents: [world.agentId('writer')], connections: ['dev'] },
        stages: [{ title: 'Review', reviewers: [rule] }],
      })
      return (await royAsks(`/campaigns/${campaign.id}/items`)).items[0]!.mine
    }
    const group: ReviewerRule = { kind: 'group', group: 'oncall-dba' }
    expect(await isRoys(group)).toBe(false)
    const until = new Date(Date.now() + DAY).toISOString()
    const away = { to: world.personId('roy'), groups: ['oncall-dba'], until, reason: 'on holiday' }
    const { id } = await world.get<{ id: string }>('both', 'POST', '/delegations', away)
    expect(await isRoys(group)).toBe(true)
    // What is asked of a person by name is not handed over with a group.
    expect(await isRoys({ kind: 'person', person: 'both' })).toBe(false)
    await world.get('both', 'POST', `/delegations/${id}/end`, {})
    expect(await isRoys(group)).toBe(false)
  })

  it('is somebody else once who was asked has left', async () => {
    const campaign = await world.begun({
      scope: { connections: ['dev'], agents: [world.agentId('reader'), world.agentId('writer')] },
      stages: [{ title: 'Review', reviewers: [{ kind: 'person', person: world.personId('both') }] }],
    })
    const { registry } = world.world.access
    await registry.markLeft(world.personId('both'), true, world.person('max'), 'moved on')
    await world.reviews.campaigns.tick()
    const items = await world.items(campaign.id)
    for (const { mine, reviewers } of items) {
      expect(mine).toBe(true)
      expect(reviewers.map(({ name }) => name)).not.toContain('both')
    }
    const entries = (await world.said('item.staged')).filter((one) => one.campaign === campaign.id)
    expect(entries).toMatchObject(items.map(() => ({ stage: 0, reviewers: ['*'] })))
    await registry.markLeft(world.personId('both'), false, world.person('max'), 'a mistake')
  })
})
