import {
  Grant,
  GrantExtension,
  GrantRequest,
  GrantRevocation,
  GrantState,
  Plan,
  PlanRequest,
} from '@countersign/contract/access'
import { ListQuery, listOf } from '@countersign/contract/api'
import { z } from 'zod'
import { type GrantFault, GrantRefused, type Grants } from '../grants/grants.ts'
import { BadGrantCursor } from '../grants/list.ts'
import type { Principal } from '../identity/principal.ts'
import { type GrantRules, grantScope, mayRevoke, seesGrant } from './grant-visibility.ts'
import { HttpProblem } from './problem.ts'
import { answers, bearer, type Routes } from './routes.ts'
import { forbidden } from './visibility.ts'

const tags = ['grants']
const Id = z.object({ id: z.string().max(100) })
const Query = ListQuery.extend({
  state: GrantState.optional(),
  agent: z.string().max(2000).optional(),
  connection: z.string().max(63).optional(),
  plan: z.string().max(100).optional(),
  text: z.string().max(200).optional().describe('words of what was asked for, by whom, for whom, what for'),
})

/** An agent may have any number of large ones made: it reads few lists at a time. */
const ofAgents = ({ caller }: { caller: Principal }) => (caller.kind === 'agent' ? 'access' : undefined)

/** Access that is asked for, given and ended, by single grants and by plans. */
export function grantRoutes(app: Routes, { grants, rules }: { grants: Grants; rules: GrantRules }): void {
  const seen = async (caller: Principal, id: string): Promise<Grant> => {
    const grant = await grants.get(id)
    if (!grant || !(await seesGrant(caller, grant, rules))) throw new HttpProblem(404, `There is no grant ${id}.`)
    return grant
  }

  app.get(
    '/v1/grants',
    {
      config: { costly: ofAgents },
      schema: {
        tags,
        summary: 'Grants that the caller may see, newest first',
        security: bearer,
        querystring: Query,
        response: answers(200, 'A page of them.', listOf(Grant), 400, 403),
      },
    },
    async ({ caller, query }) => refusing(() => grants.list({ ...query, scope: grantScope(caller) })),
  )

  app.post(
    '/v1/grants',
    {
      schema: {
        tags,
        summary: 'Ask for access',
        description:
          'Policy decides (`access:request`): at once, or people are asked, as the approval that the grant names. Asked for again while they are, it is the same grant, with 200. 403 has the member `grant` where a policy denies it by name.',
        security: bearer,
        body: GrantRequest,
        response: {
          ...answers(201, 'The grant, active or requested.', Grant, 400, 403, 409),
          ...answers(200, 'The grant that was asked for before.', Grant),
        },
      },
    },
    async ({ caller, body }, reply) => {
      const { grant, again } = await refusing(() => grants.request(caller, body))
      return reply.code(again ? 200 : 201).send(grant)
    },
  )

  app.get(
    '/v1/grants/:id',
    {
      schema: {
        tags,
        summary: 'A grant, with the sessions that used it',
        security: bearer,
        params: Id,
        response: answers(200, 'The grant.', Grant, 403, 404),
      },
    },
    async ({ caller, params }) => {
      const { id } = await seen(caller, params.id)
      // Those first: what they count is in the grant then.
      const usedBy = await grants.usedBy(id)
      return { ...(await seen(caller, id)), usedBy }
    },
  )

  app.post(
    '/v1/grants/:id/extend',
    {
      schema: {
        tags,
        summary: 'Ask for the same access for longer',
        description: 'A new decision and a new grant, which begins when it is given; the one that there is goes on.',
        security: bearer,
        params: Id,
        body: GrantExtension,
        response: {
          ...answers(201, 'The new grant, active or requested.', Grant, 400, 403, 404, 409),
          ...answers(200, 'The new grant, which was asked for before.', Grant),
        },
      },
    },
    async ({ caller, params, body }, reply) => {
      const before = await seen(caller, params.id)
      const { grant, again } = await refusing(() => grants.extend(before.id, caller, body))
      return reply.code(again ? 200 : 201).send(grant)
    },
  )

  app.post(
    '/v1/grants/:id/revoke',
    {
      schema: {
        tags,
        summary: 'End a grant, or a request for one',
        description: 'Sessions that stand on it alone end at once. What is revoked already stays so.',
        security: bearer,
        params: Id,
        body: GrantRevocation,
        response: answers(200, 'The grant, revoked.', Grant, 400, 403, 404, 409),
      },
    },
    async ({ caller, params, body }) => {
      const grant = await seen(caller, params.id)
      if (!(await mayRevoke(caller, grant, rules)))
        throw forbidden(
          caller,
          'A grant is ended by its agent, who asked for it, who answers for the agent, who decides it, and admins',
        )
      return refusing(() => grants.revoke(grant.id, caller, body.reason))
    },
  )

  app.get(
    '/v1/plans',
    {
      config: { costly: ofAgents },
      schema: {
        tags,
        summary: 'Plans that the caller may see, newest first',
        security: bearer,
        querystring: ListQuery.extend({ text: z.string().max(200).optional() }),
        response: answers(200, 'A page of them.', listOf(Plan), 400, 403),
      },
    },
    async ({ caller, query }) => {
      const page = await refusing(() => grants.plans({ ...query, scope: grantScope(caller) }))
      return { ...page, items: page.items.map((plan) => ownSteps(caller, plan)) }
    },
  )

  app.post(
    '/v1/plans',
    {
      schema: {
        tags,
        summary: 'Ask for the access that the steps of a plan take, decided as one',
        description:
          'A step is for the agent that asks, unless it names another one. One denial denies the plan, and names the step; where any step is held people approve the whole plan at once.',
        security: bearer,
        body: PlanRequest,
        response: {
          ...answers(201, 'The plan with its grants.', Plan, 400, 403, 409),
          ...answers(200, 'The plan that was asked for before.', Plan),
        },
      },
    },
    async ({ caller, body }, reply) => {
      const { plan, again } = await refusing(() => grants.requestPlan(caller, body))
      return reply.code(again ? 200 : 201).send(plan)
    },
  )

  app.get(
    '/v1/plans/:id',
    {
      schema: {
        tags,
        summary: 'A plan with its grants',
        security: bearer,
        params: Id,
        response: answers(200, 'The plan.', Plan, 403, 404),
      },
    },
    async ({ caller, params }) => {
      const plan = await grants.plan(params.id)
      const sees = plan && (await Promise.all(plan.grants.map((grant) => seesGrant(caller, grant, rules))))
      if (!sees?.includes(true)) throw new HttpProblem(404, `There is no plan ${params.id}.`)
      return ownSteps(caller, plan!)
    },
  )
}

/** An agent sees of another's plan the steps that are its own. */
function ownSteps(caller: Principal, plan: Plan): Plan {
  if (caller.kind === 'person' || plan.requestedBy.id === caller.id) return plan
  return { ...plan, grants: plan.grants.filter(({ agent }) => agent === caller.id) }
}

const statusOf: Record<GrantFault, number> = {
  invalid: 400,
  denied: 403,
  'not-permitted': 403,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  full: 429,
}

async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof BadGrantCursor) throw new HttpProblem(400, error.message)
    if (!(error instanceof GrantRefused)) throw error
    const { fault, message, grant, plan } = error
    throw new HttpProblem(
      statusOf[fault],
      /[.!?]$/.test(message) ? message : `${message}.`,
      fault === 'full' ? { 'retry-after': '60' } : {},
      { ...(grant === undefined ? {} : { grant }), ...(plan === undefined ? {} : { plan }) },
    )
  }
}
