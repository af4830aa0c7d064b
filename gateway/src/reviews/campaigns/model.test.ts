import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { CampaignWorld, DAY } from './testing/campaign-world.ts'

const policy = `permit (principal in Group::"ci", action in [Action::"sql:connect", Action::"sql:read"], resource);`

let world: CampaignWorld
beforeAll(async () => {
  world = await CampaignWorld.start(policy, { dev: {}, prod: {} })
  await world.signIn('rae', 'both', 'max')
  await world.agent('bot', ['ci'], world.personId('rae'))
})
afterAll(() => world?.[Symbol.asyncDispose]())

type Verdict = 'certify' | 'revoke'
type Step =
  | { do: 'change' | 'start' | 'remove' | 'sign-off' | 'restart' }
  | { do: 'close' }
  | { do: 'wait'; days: number }
  | { do: 'decide'; item: number; verdict: Verdict }

/** A campaign as it should be, and nothing else: what it is made of, one state after another. */
interface Model {
  state: 'draft' | 'active' | 'closed' | 'gone'
  stages: number
  onExpiry: 'keep' | 'revoke'
  dueAt: number
  signedOff: boolean
  items: { stage: number; verdict: string; how: string | undefined }[]
}

const steps: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: fc.constantFrom<Step>({ do: 'start' }), weight: 3 },
  { arbitrary: fc.constantFrom<Step>({ do: 'change' }, { do: 'remove' }, { do: 'restart' }), weight: 1 },
  { arbitrary: fc.constantFrom<Step>({ do: 'close' }, { do: 'sign-off' }), weight: 2 },
  { arbitrary: fc.record({ do: fc.constant('wait' as const), days: fc.constantFrom(0.5, 1, 3) }), weight: 2 },
  {
    arbitrary: fc.record({
      do: fc.constant('decide' as const),
      item: fc.integer({ min: 0, max: 1 }),
      verdict: fc.constantFrom<Verdict>('certify', 'revoke'),
    }),
    weight: 5,
  },
)

it('is at any time what its steps make of it, whatever they are and in whatever order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(steps, { minLength: 4, maxLength: 12 }),
      fc.integer({ min: 1, max: 2 }),
      fc.constantFrom('keep' as const, 'revoke' as const),
      async (all, stages, onExpiry) => {
        const { id } = await world.get('rae', 'POST', '/campaigns', {
          ...{ title: 'Any', days: 3, onExpiry },
          stages: [...Array(stages)].map((_, i) => ({ title: `Stage ${i + 1}`, reviewers: [{ kind: 'role' }] })),
        })
        const model: Model = { state: 'draft', stages, onExpiry, dueAt: 0, signedOff: false, items: [] }
        // Nobody decides at two stages: the second one is another's.
        for (const step of all) {
          const expected = expectedOf(model, step)
          expect([step, await taken(id, step, model)]).toEqual([step, expected])
          await agrees(id, model)
        }
      },
    ),
    { numRuns: 8, seed: 2026 },
  )
}, 300_000)

/** What a step answers by the model, which is changed to what it is then. */
function expectedOf(model: Model, step: Step): number {
  if (model.state === 'gone' && step.do !== 'wait' && step.do !== 'restart') return 404
  switch (step.do) {
    case 'change':
      return model.state === 'draft' ? 200 : 409
    case 'remove':
      if (model.state !== 'draft') return 409
      model.state = 'gone'
      return 200
    case 'start':
      if (model.state !== 'draft') return 409
      model.state = 'active'
      model.dueAt = world.clock.now + 3 * DAY
      model.items = [0, 1].map(() => ({ stage: 0, verdict: 'undecided', how: undefined }))
      return 202
    case 'close':
      if (model.state !== 'active') return 409
      model.state = 'closed'
      for (const item of model.items) if (item.verdict === 'undecided') item.how = 'skipped'
      return 200
    case 'sign-off':
      if (model.state !== 'closed') return 409
      model.signedOff = true
      return 200
    case 'wait':
      if (model.state !== 'active' || world.clock.now + step.days * DAY < model.dueAt) return 0
      model.state = 'closed'
      for (const item of model.items)
        if (item.verdict === 'undecided')
          Object.assign(item, { verdict: model.onExpiry === 'keep' ? 'certify' : 'revoke', how: 'expired-default' })
      return 0
    case 'restart':
      return 0
    case 'decide': {
      const item = model.items[step.item]
      if (!item) return 404
      if (model.state !== 'active') return 409
      if (item.verdict !== 'undecided') return 409
      if (item.stage < model.stages - 1) item.stage++
      else Object.assign(item, { verdict: step.verdict, how: 'reviewer' })
      return 201
    }
  }
}

let decisions = 0

/** Takes the step, and answers the status. */
async function taken(id: string, step: Step, { items }: Model): Promise<number> {
  const post = (path: string, body?: object) => world.ask('rae', 'POST', `/campaigns/${id}/${path}`, body)
  switch (step.do) {
    case 'change':
      return (await world.ask('rae', 'PATCH', `/campaigns/${id}`, { description: 'another' })).status
    case 'remove':
      return (await world.ask('rae', 'DELETE', `/campaigns/${id}`)).status
    case 'start': {
      const { status } = await post('start')
      await world.reviews.campaigns.tick()
      return status
    }
    case 'close':
      return (await post('close', { reason: 'enough' })).status
    case 'sign-off':
      return (await post('sign-off', { statement: 'seen' })).status
    case 'wait':
      await world.to(world.clock.now + step.days * DAY)
      return 0
    case 'restart':
      await world.closeReviews()
      await world.openReviews()
      await world.reviews.campaigns.tick()
      return 0
    case 'decide': {
      const there = items.length > 0 ? (await world.items(id))[step.item] : undefined
      // A decision that was made is changed by who made it: here another one comes, who may not.
      const as = (there?.stage ?? 0) === 0 && there?.verdict === 'undecided' ? 'rae' : 'both'
      const decider = there && there.verdict !== 'undecided' ? (there.stages === 1 ? 'both' : 'rae') : as
      const path = `/campaigns/${id}/items/${there?.id ?? 'it_none'}/decisions/model-${++decisions}-12345678`
      const body = { verdict: step.verdict, reason: 'so', revision: there?.revision ?? 0 }
      return (await world.ask(decider, 'PUT', path, body)).status
    }
  }
}

/** What the gateway tells is what the model says. */
async function agrees(id: string, model: Model): Promise<void> {
  const { status, body } = await world.ask('rae', 'GET', `/campaigns/${id}`)
  if (model.state === 'gone') return expect(status).toBe(404)
  expect([body.state, body.signedOffBy.length > 0, body.problem]).toEqual([model.state, model.signedOff, undefined])
  const items = await world.items(id)
  expect(items.map(({ stage, verdict, how }) => ({ stage, verdict, how }))).toEqual(model.items)
  const { counts } = body
  const { items: sum, undecided, certify, reduce, revoke, abstain } = counts
  expect(sum).toBe(items.length)
  expect(undecided + certify + reduce + revoke + abstain).toBe(sum)
  expect(counts.mine).toBe(items.filter(({ mine }) => mine).length)
  // What is closed is nobody's to decide; what is to be revoked is on its way.
  for (const { mine, verdict, application } of items) {
    if (model.state !== 'active') expect(mine).toBe(false)
    expect(application).toBe(verdict === 'revoke' ? 'pending' : undefined)
  }
}
