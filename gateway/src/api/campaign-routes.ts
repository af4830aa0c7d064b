import { ListQuery, listOf } from '@countersign/contract/api'
import {
  ApplicationState,
  Campaign,
  CampaignItem,
  CampaignPatch,
  CampaignPlan,
  CampaignState,
  ItemVerdict,
  Verdict,
} from '@countersign/contract/review'
import { z } from 'zod'
import { CampaignRefused } from '../reviews/campaigns/refused.ts'
import type { Reviews } from '../reviews/reviews.ts'
import { readsReviews, runsReviews } from './campaign-visibility.ts'
import { HttpProblem } from './problem.ts'
import { answers, bearer, problemsOf, type Routes } from './routes.ts'

const tags = ['campaigns']
/** A scope may name 10,000 agents. */
export const bodyLimit = 4 * 1024 * 1024
/** Whoever is not told what came of a call calls again. */
const Keyed = z.object({ 'idempotency-key': z.string().min(8).max(128).optional() })
const Id = z.object({ id: z.string().max(100) })
const Flag = z.enum(['true', 'false']).transform((text) => text === 'true')
const Query = ListQuery.extend({
  state: CampaignState.optional(),
  template: z.string().max(64).optional().describe('those that were made of it'),
})
const ItemsQuery = ListQuery.extend({
  verdict: ItemVerdict.optional(),
  mine: Flag.optional().describe('those that the caller may decide now, or those that they may not'),
  recommendation: Verdict.optional(),
  privileged: Flag.optional(),
  application: ApplicationState.optional(),
  text: z.string().max(200).optional().describe('words, all of which are in what people see of it'),
})

/** Campaigns from draft to sign-off, and their items as a list (docs/reviews.md). */
export function campaignRoutes(app: Routes, { campaigns }: Pick<Reviews, 'campaigns'>): void {
  app.get(
    '/v1/campaigns',
    {
      schema: {
        tags,
        summary: 'Campaigns, newest first',
        security: bearer,
        querystring: Query,
        response: answers(200, 'A page of them.', listOf(Campaign), 400, 403),
      },
    },
    async ({ caller, query }) => {
      const person = readsReviews(caller)
      return refusing(() => campaigns.list(query, person))
    },
  )

  app.post(
    '/v1/campaigns',
    {
      bodyLimit,
      schema: {
        tags,
        summary: 'Make a draft of a campaign',
        description:
          'For reviewers and admins. With an Idempotency-Key the same plan again answers the campaign that there is; another plan 409.',
        security: bearer,
        headers: Keyed,
        body: CampaignPlan,
        response: answers(201, 'The draft.', Campaign, 400, 403, 409),
      },
    },
    async ({ caller, body, headers }, reply) => {
      const person = runsReviews(caller)
      const key = headers['idempotency-key']
      return reply.code(201).send(await refusing(() => campaigns.create(person, body, key)))
    },
  )

  app.get(
    '/v1/campaigns/:id',
    {
      schema: {
        tags,
        summary: 'A campaign',
        security: bearer,
        params: Id,
        response: answers(200, 'The campaign.', Campaign, 403, 404),
      },
    },
    async ({ caller, params }) => {
      const person = readsReviews(caller)
      const campaign = await campaigns.get(params.id, person)
      if (!campaign) throw noCampaign(params.id)
      return campaign
    },
  )

  app.patch(
    '/v1/campaigns/:id',
    {
      bodyLimit,
      schema: {
        tags,
        summary: 'Change a draft',
        description: 'Members that are given replace those that there are. Of a campaign that is no draft: 409.',
        security: bearer,
        params: Id,
        body: CampaignPatch,
        response: answers(200, 'The draft as it is now.', Campaign, 400, 403, 404, 409),
      },
    },
    async ({ caller, params, body }) => {
      const person = runsReviews(caller)
      return refusing(() => campaigns.change(params.id, person, body))
    },
  )

  app.delete(
    '/v1/campaigns/:id',
    {
      schema: {
        tags,
        summary: 'Take a draft away',
        security: bearer,
        params: Id,
        response: {
          ...problemsOf(401, 403, 404, 409, 429, 503),
          200: { description: 'It is gone.', content: { 'application/json': { schema: z.object({}) } } },
        },
      },
    },
    async ({ caller, params }) => {
      const person = runsReviews(caller)
      await refusing(() => campaigns.remove(params.id, person))
      return {}
    },
  )

  app.get(
    '/v1/campaigns/:id/items',
    {
      schema: {
        tags,
        summary: 'Items of a campaign, in the order in which they are best worked through',
        description: 'The riskiest first. A draft has none.',
        security: bearer,
        params: Id,
        querystring: ItemsQuery,
        response: answers(200, 'A page of them.', listOf(CampaignItem), 400, 403, 404),
      },
    },
    async ({ caller, params, query }) => {
      const person = readsReviews(caller)
      const page = await refusing(() => campaigns.items({ ...query, campaign: params.id }, person))
      if (!page) throw noCampaign(params.id)
      return page
    },
  )
}

const noCampaign = (id: string) => new HttpProblem(404, `There is no campaign ${id}.`)

const statusOf = { 'not-found': 404, conflict: 409, invalid: 400, forbidden: 403, 'bad-cursor': 400 } as const

/** What the rooms of campaigns refuse, as a problem. */
export async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof CampaignRefused ? new HttpProblem(statusOf[error.code], error.message) : error
  }
}
