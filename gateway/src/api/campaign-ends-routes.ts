import { Campaign, CampaignTemplate, CloseRequest, SignOffRequest, TemplateRequest } from '@countersign/contract/review'
import { z } from 'zod'
import type { Reviews } from '../reviews/reviews.ts'
import { bodyLimit, refusing } from './campaign-routes.ts'
import { readsReviews, runsReviews } from './campaign-visibility.ts'
import { answers, bearer, problemsOf, type Routes } from './routes.ts'

const Id = z.object({ id: z.string().max(100) })

/** How campaigns begin and end, and the templates that begin them again and again (docs/reviews.md). */
export function campaignEndsRoutes(app: Routes, { campaigns }: Pick<Reviews, 'campaigns'>): void {
  const tags = ['campaigns']
  app.post(
    '/v1/campaigns/:id/start',
    {
      schema: {
        tags,
        summary: 'Start a draft',
        description:
          'Its snapshot is taken from now on: how far it is says `starting`, and the feed. When it is done the campaign is active; where it can’t be, it is a draft again, and `problem` says why. For reviewers and admins.',
        security: bearer,
        params: Id,
        response: answers(202, 'It is being started.', Campaign, 400, 403, 404, 409),
      },
    },
    async ({ caller, params }, reply) => {
      const person = runsReviews(caller)
      await refusing(() => campaigns.start(params.id, person))
      return reply.code(202).send((await campaigns.get(params.id, person))!)
    },
  )

  app.post(
    '/v1/campaigns/:id/close',
    {
      schema: {
        tags,
        summary: 'Close a campaign before it is due',
        description: 'What nobody has decided is skipped, and its access stays as it is. For reviewers and admins.',
        security: bearer,
        params: Id,
        body: CloseRequest,
        response: answers(200, 'It is closed.', Campaign, 400, 403, 404, 409),
      },
    },
    async ({ caller, params, body }) => {
      const person = runsReviews(caller)
      await refusing(() => campaigns.close(params.id, person, body.reason))
      return (await campaigns.get(params.id, person))!
    },
  )

  app.post(
    '/v1/campaigns/:id/sign-off',
    {
      schema: {
        tags,
        summary: 'Sign a closed campaign off',
        description: 'For reviewers, and for whose it is; once each. The same again changes nothing.',
        security: bearer,
        params: Id,
        body: SignOffRequest,
        response: answers(200, 'It is signed off.', Campaign, 400, 403, 404, 409),
      },
    },
    async ({ caller, params, body }) => {
      const person = runsReviews(caller)
      await refusing(() => campaigns.signOff(params.id, person, body.statement))
      return (await campaigns.get(params.id, person))!
    },
  )

  const ofTemplates = ['campaign templates']
  app.get(
    '/v1/campaign-templates',
    {
      schema: {
        tags: ofTemplates,
        summary: 'What campaigns are made of: people’s own templates, then those that come with Countersign',
        security: bearer,
        response: answers(200, 'All of them.', z.object({ items: z.array(CampaignTemplate), next: z.null() }), 403),
      },
    },
    async ({ caller }) => {
      readsReviews(caller)
      return { items: await campaigns.templates.list(), next: null }
    },
  )

  app.put(
    '/v1/campaign-templates/:id',
    {
      bodyLimit,
      schema: {
        tags: ofTemplates,
        summary: 'Make or change a template',
        description: 'One that comes with Countersign becomes one’s own. For reviewers and admins.',
        security: bearer,
        params: Id,
        body: TemplateRequest,
        response: answers(200, 'The template as it is now.', CampaignTemplate, 400, 403, 409),
      },
    },
    async ({ caller, params, body }) => {
      const person = runsReviews(caller)
      return refusing(() => campaigns.templates.save(params.id, person, body))
    },
  )

  app.delete(
    '/v1/campaign-templates/:id',
    {
      schema: {
        tags: ofTemplates,
        summary: 'Take a template away',
        description: 'Campaigns that were made of it stay. One that came with Countersign is again as it came.',
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
      await refusing(() => campaigns.templates.remove(params.id, person))
      return {}
    },
  )
}
