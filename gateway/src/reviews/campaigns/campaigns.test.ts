import { afterAll, beforeAll, describe, expect, it } from 'vitest'
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

describe('a campaign', () => {
  it('begins with an item for each access that is held', async () => {
    const campaign = await world.begun({})
    expect(campaign.problem).toBeUndefined()
    expect(campaign).toMatchObject({ state: 'active', counts: { items: 4, undecided: 4, mine: 4 } })
    const items = await world.items(campaign.id)
    expect(items.map(({ number }) => number)).toEqual([1, 2, 3, 4])
    expect(items.map(({ name, connection }) => `${name} ${connection}`).sort()).toEqual([
      'reader dev',
      'reader prod',
      'writer dev',
      'writer prod',
    ])
  })
})
