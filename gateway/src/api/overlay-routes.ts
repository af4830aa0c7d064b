import { ListQuery, listOf } from '@countersign/contract/api'
import { Overlay, OverlayAnswer, OverlayExport, OverlayPage, OverlayState } from '@countersign/contract/review'
import { z } from 'zod'
import { GatewayStopping } from '../in-force.ts'
import type { Overlays } from '../reviews/apply/apply.ts'
import { OverlayRefused } from '../reviews/apply/refused.ts'
import { LedgerStopped } from '../sessions/ledger/ledger.ts'
import { readsReviews } from './campaign-visibility.ts'
import { HttpProblem } from './problem.ts'
import { answers, bearer, type Routes } from './routes.ts'

const tags = ['overlays']
const Id = z.object({ id: z.string().max(100) })
const Query = ListQuery.extend({
  state: OverlayState.optional(),
  agent: z.string().max(4000).optional(),
  connection: z.string().max(63).optional(),
  campaign: z.string().max(64).optional(),
})

/** Forbids beside the policy folder, by decisions of reviews (docs/reviews.md, "Application"). */
export function overlayRoutes(app: Routes, overlays: Overlays): void {
  app.get(
    '/v1/overlays',
    {
      schema: {
        tags,
        summary: 'Overlays, newest first',
        description: 'For reviewers, auditors and admins.',
        security: bearer,
        querystring: Query,
        response: answers(200, 'A page of them.', listOf(Overlay), 400, 403),
      },
    },
    async ({ caller, query }) => {
      readsReviews(caller)
      return refusing(() => overlays.list(query))
    },
  )

  app.get(
    '/v1/overlays/export',
    {
      schema: {
        tags,
        summary: 'Overlays in force as an edit of the policy folder',
        description: 'For those who keep it in git: whole files, and a patch that `git apply` takes.',
        security: bearer,
        response: answers(200, 'The edit.', OverlayExport, 403),
      },
    },
    async ({ caller }) => {
      readsReviews(caller)
      return overlays.exported()
    },
  )

  app.get(
    '/v1/overlays/:id',
    {
      schema: {
        tags,
        summary: 'An overlay',
        security: bearer,
        params: Id,
        response: answers(200, 'The overlay.', OverlayPage, 403, 404),
      },
    },
    async ({ caller, params }) => {
      readsReviews(caller)
      const overlay = await refusing(() => overlays.get(params.id))
      if (!overlay) throw new HttpProblem(404, `There is no overlay ${params.id}.`)
      return overlay
    },
  )

  const changes = {
    apply: {
      summary: 'Put an overlay in force, and see whether it does what it says',
      description:
        'From the next command on, in open sessions too. The gate is then asked what it is to refuse and what it is to leave alone: the answer is `verified`, or `failed` and why. For admins who neither decided nor proposed it (403).',
    },
    reject: {
      summary: 'Do not put an overlay in force; or refuse that one is rolled back',
      description: 'With a reason. For admins.',
    },
    'roll-back': {
      summary: 'Ask that an overlay is taken back; said by a second admin, take it back',
      description:
        'It takes two people, neither of them one who answers for the agent. Then the gate is asked whether this alone has changed.',
    },
    retire: {
      summary: 'Take an overlay out of the store that the policy folder has by now',
      description: 'Only where every policy of it is in the folder in force (409). For admins.',
    },
  } as const
  const doing = { apply: 'apply', reject: 'reject', 'roll-back': 'rollBack', retire: 'retire' } as const
  for (const [path, told] of Object.entries(changes) as [
    keyof typeof changes,
    { summary: string; description: string },
  ][])
    app.post(
      `/v1/overlays/:id/${path}`,
      {
        schema: {
          tags,
          ...told,
          security: bearer,
          params: Id,
          body: OverlayAnswer,
          response: answers(200, 'The overlay as it is now.', Overlay, 400, 403, 404, 409),
        },
      },
      async ({ caller, params, body }) => {
        const person = readsReviews(caller)
        return refusing(() => overlays[doing[path]](params.id, person, body))
      },
    )
}

const statusOf = { 'not-found': 404, conflict: 409, invalid: 400, forbidden: 403, 'bad-cursor': 400 } as const

/** @throws HttpProblem */
async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof OverlayRefused) throw new HttpProblem(statusOf[error.code], error.message)
    if (error instanceof GatewayStopping || error instanceof LedgerStopped)
      throw new HttpProblem(503, error.message, { 'retry-after': '5' })
    throw error
  }
}
