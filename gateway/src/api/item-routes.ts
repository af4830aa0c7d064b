import {
  BulkPreview,
  BulkRequest,
  CampaignItemPage,
  ClientId,
  ItemComment,
  ItemCommentRequest,
  ItemDecisionAnswer,
  ItemDecisionRequest,
  ItemMoveAnswer,
  ItemMoveRequest,
  ReviewSignals,
} from '@countersign/contract/review'
import { z } from 'zod'
import { DecisionRefused } from '../reviews/decisions/refused.ts'
import type { Reviews } from '../reviews/reviews.ts'
import { readsReviews, reviews } from './campaign-visibility.ts'
import { HttpProblem } from './problem.ts'
import { answers, bearer, type Routes } from './routes.ts'
import { forbidden, hasRole } from './visibility.ts'

const tags = ['campaigns']
const CampaignPath = z.object({ id: z.string().max(100) })
const ItemPath = CampaignPath.extend({ item: z.string().max(100) })
/** How far a console's clock may be ahead of ours. */
const skewMs = 10 * 60_000

/** What is decided of a campaign's items, said of them, and who has them (docs/reviews.md, "Decisions"). */
export function itemRoutes(
  app: Routes,
  { decisions }: Pick<Reviews, 'decisions'>,
  clock: () => number = Date.now,
): void {
  const notInTheFuture = (madeAt: string | undefined) => {
    if (madeAt !== undefined && Date.parse(madeAt) > clock() + skewMs)
      throw new HttpProblem(
        400,
        '`madeAt` is in the future: set the clock of the computer that says so, and send it again.',
      )
  }

  app.get(
    '/v1/campaigns/:id/items/:item',
    {
      schema: {
        tags,
        summary: 'An item with its evidence, what is recommended, and what was decided and said of it',
        security: bearer,
        params: ItemPath,
        response: answers(200, 'The item.', CampaignItemPage, 403, 404),
      },
    },
    async ({ caller, params }) => {
      const person = readsReviews(caller)
      const page = await decisions.page({ campaign: params.id, item: params.item }, person)
      if (!page) throw noItem(params)
      return page
    },
  )

  app.put(
    '/v1/campaigns/:id/items/:item/decisions/:decision',
    {
      bodyLimit: 512 * 1024,
      schema: {
        tags,
        summary: 'Decide an item',
        description:
          'For reviewers who are asked about the item at its stage. The caller makes the id, so that it may be sent again: the same again is 200, another one under the same id 409. A decision on another revision, or on an item that somebody has decided, is 409, and the problem has the `item` as it is now; of a campaign that is closed, `campaign` too. Who decided last may change it while nothing of it is enforced.',
        security: bearer,
        params: ItemPath.extend({ decision: ClientId }),
        body: ItemDecisionRequest,
        response: {
          ...answers(200, 'It was there already, the same.', ItemDecisionAnswer, 400, 403, 404, 409),
          ...answers(201, 'It is decided.', ItemDecisionAnswer),
        },
      },
    },
    async ({ caller, params, body }, reply) => {
      const person = reviews(caller)
      notInTheFuture(body.madeAt)
      const place = { campaign: params.id, item: params.item }
      const { made, item, decision } = await refusals(decisions.decide(place, params.decision, person, body))
      return reply.code(made ? 201 : 200).send({ item, decision })
    },
  )

  app.put(
    '/v1/campaigns/:id/items/:item/comments/:comment',
    {
      schema: {
        tags,
        summary: 'Say something on an item',
        description:
          'For those who may decide it, and those who have. The caller makes the id: the same again is 200. It leaves the item’s revision as it is.',
        security: bearer,
        params: ItemPath.extend({ comment: ClientId }),
        body: ItemCommentRequest,
        response: {
          ...answers(200, 'It was there already, the same.', ItemComment, 400, 403, 404, 409),
          ...answers(201, 'It is said.', ItemComment),
        },
      },
    },
    async ({ caller, params, body }, reply) => {
      const person = reviews(caller)
      notInTheFuture(body.madeAt)
      const place = { campaign: params.id, item: params.item }
      const { made, comment } = await refusals(decisions.comment(place, params.comment, person, body))
      return reply.code(made ? 201 : 200).send(comment)
    },
  )

  const moves = {
    reassign: 'Hand an item over to another reviewer: it is theirs then, and no longer one’s own',
    delegate: 'Let another reviewer decide an item in one’s place, too',
  }
  for (const kind of ['reassign', 'delegate'] as const)
    app.post(
      `/v1/campaigns/:id/items/:item/${kind}`,
      {
        schema: {
          tags,
          summary: moves[kind],
          description:
            'To somebody who has the role reviewer and could decide it: named by id, e-mail address or subject. What one has from another isn’t handed on.',
          security: bearer,
          params: ItemPath,
          body: ItemMoveRequest,
          response: answers(200, 'It is handed over.', ItemMoveAnswer, 400, 403, 404, 409),
        },
      },
      async ({ caller, params, body }) => {
        const person = reviews(caller)
        return refusals(decisions.move({ campaign: params.id, item: params.item }, person, { kind, ...body }))
      },
    )

  app.post(
    '/v1/campaigns/:id/bulk',
    {
      bodyLimit: 2 * 1024 * 1024,
      schema: {
        tags,
        summary: 'Decide many items at once, having seen which',
        description:
          'Without `preview` nothing is decided: it answers what would be, and what not and why. With the `preview` that was answered the same is done; where items have changed since, it is 409. Never privileged items, nor reduce.',
        security: bearer,
        params: CampaignPath,
        body: BulkRequest,
        response: answers(200, 'What it would decide, or has decided.', BulkPreview, 400, 403, 404, 409),
      },
    },
    async ({ caller, params, body }) => {
      const person = reviews(caller)
      return refusals(decisions.bulk(params.id, person, body))
    },
  )

  app.get(
    '/v1/campaigns/:id/signals',
    {
      schema: {
        tags,
        summary: 'How a campaign is decided: by whom how fast, and how many items are open',
        description: 'For the campaign’s owner, auditors and admins.',
        security: bearer,
        params: CampaignPath,
        response: answers(200, 'How it goes.', ReviewSignals, 403, 404),
      },
    },
    async ({ caller, params }) => {
      const person = readsReviews(caller)
      const owner = await refusals(decisions.ownerOf(params.id))
      if (owner !== person.id && !hasRole(person, 'auditor', 'admin'))
        throw forbidden(person, 'How reviewers decide is shown to the campaign’s owner, to auditors and admins')
      return refusals(decisions.signals(params.id))
    },
  )
}

const noItem = ({ id, item }: { id: string; item: string }) =>
  new HttpProblem(404, `There is no item ${item} in a campaign ${id}.`)

const statusOf = { 'not-found': 404, forbidden: 403, conflict: 409, invalid: 400 } as const

async function refusals<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof DecisionRefused)) throw error
    const { item, campaign } = error
    throw new HttpProblem(
      statusOf[error.code],
      error.message,
      {},
      { ...(item && { item }), ...(campaign && { campaign }) },
    )
  }
}
