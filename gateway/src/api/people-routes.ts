import {
  BreakGlass,
  BreakGlassReview,
  Delegation,
  DelegationEnd,
  DelegationRequest,
} from '@countersign/contract/access'
import { ListQuery, listOf } from '@countersign/contract/api'
import { z } from 'zod'
import type { Approvals } from '../approvals/approvals.ts'
import { ReviewRefused } from '../approvals/break-glass.ts'
import { DelegationRefused } from '../approvals/delegations.ts'
import type { PersonPrincipal, Principal } from '../identity/principal.ts'
import { HttpProblem } from './problem.ts'
import { answers, bearer, type Routes } from './routes.ts'
import { forbidden, hasRole } from './visibility.ts'

const tags = ['people']
const Id = z.object({ id: z.string().max(100) })

/** Who decides while somebody is away, and who decided alone in an emergency. */
export function peopleRoutes(
  app: Routes,
  { delegations, breakGlass }: Pick<Approvals, 'delegations' | 'breakGlass'>,
): void {
  app.get(
    '/v1/delegations',
    {
      schema: {
        tags,
        summary: 'Who decides in whose place, and did, the latest first',
        description: 'For everybody who has a role.',
        security: bearer,
        querystring: ListQuery,
        response: answers(200, 'A page of them.', listOf(Delegation), 400, 403),
      },
    },
    async ({ caller, query }) => {
      withRole(caller, 'Delegations are seen by approvers, reviewers, auditors and admins')
      return paged(await delegations.list(page(query)))
    },
  )

  app.post(
    '/v1/delegations',
    {
      schema: {
        tags,
        summary: 'Hand one’s own duty to decide over while one is away',
        description:
          'To an approver who has signed in before, for 90 days at most. Only one’s own groups are handed over, and only such as policy asks; what one has from others stays with oneself. It ends early when one leaves, or the groups do.',
        security: bearer,
        body: DelegationRequest,
        response: answers(201, 'It was handed over.', Delegation, 400, 403, 409),
      },
    },
    async ({ caller, body }, reply) => {
      if (caller.kind === 'agent' || !hasRole(caller, 'approver'))
        throw forbidden(caller, 'Only who decides can hand that over: approvers')
      return reply.code(201).send(await refusals(delegations.begin(caller, body)))
    },
  )

  app.post(
    '/v1/delegations/:id/end',
    {
      schema: {
        tags,
        summary: 'End a delegation',
        description: 'By either side, or an admin.',
        security: bearer,
        params: Id,
        body: DelegationEnd,
        response: answers(200, 'It has ended.', Delegation, 400, 403, 404, 409),
      },
    },
    async ({ caller, params, body }) => {
      const by = withRole(caller, 'Delegations are ended by either side, or by admins')
      return refusals(delegations.end(params.id, by, body.reason))
    },
  )

  app.get(
    '/v1/break-glass',
    {
      schema: {
        tags,
        summary: 'Who decided alone in an emergency, and whether somebody else found it justified; the latest first',
        description: 'For everybody who has a role.',
        security: bearer,
        querystring: ListQuery,
        response: answers(200, 'A page of them.', listOf(BreakGlass), 400, 403),
      },
    },
    async ({ caller, query }) => {
      withRole(caller, 'Uses of break-glass are seen by approvers, reviewers, auditors and admins')
      return paged(await breakGlass.list(page(query)))
    },
  )

  app.post(
    '/v1/break-glass/:id/review',
    {
      schema: {
        tags,
        summary: 'Say whether it was justified that one person decided alone',
        description:
          'By another person, who is a reviewer or auditor or of the break-glass groups. Once; the same again is 200.',
        security: bearer,
        params: Id,
        body: BreakGlassReview,
        response: answers(200, 'It is reviewed.', BreakGlass, 400, 403, 404, 409),
      },
    },
    async ({ caller, params, body }) => {
      const by = withRole(caller, 'Uses of break-glass are reviewed by people')
      return refusals(breakGlass.review(params.id, by, body))
    },
  )
}

const statusOf = { invalid: 400, forbidden: 403, 'not-found': 404, conflict: 409 } as const

async function refusals<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (error instanceof DelegationRefused || error instanceof ReviewRefused)
      throw new HttpProblem(statusOf[error.code], error.message)
    throw error
  }
}

/** @throws HttpProblem 403 */
function withRole(caller: Principal, rule: string): PersonPrincipal {
  if (caller.kind === 'person' && caller.roles.length > 0) return caller
  throw forbidden(caller, rule)
}

function paged<T>({ items, next }: { items: T[]; next: string | null }): { items: T[]; next: string | null } {
  return { items, next: next === null ? null : Buffer.from(next).toString('base64url') }
}

/** Cursors are a time and an id, which nobody makes up. @throws HttpProblem 400 */
function page({ limit, after }: z.output<typeof ListQuery>): { limit: number; after?: string } {
  if (after === undefined) return { limit }
  const plain = Buffer.from(after, 'base64url').toString()
  if (/^\d{4}-\S{1,40} [a-z]{2}_[0-9a-z]+$/.test(plain)) return { limit, after: plain }
  throw new HttpProblem(400, '`after` is not one that a list gave out: use the `next` of the page before.')
}
