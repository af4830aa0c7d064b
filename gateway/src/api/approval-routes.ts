import { ListQuery, listOf } from '@countersign/contract/api'
import { Approval, ApprovalState, DecisionRequest } from '@countersign/contract/approval'
import { z } from 'zod'
import { type Freezes, frozenWords } from '../access/freezes.ts'
import type { Approvals } from '../approvals/approvals.ts'
import type { Principal } from '../identity/principal.ts'
import { HttpProblem } from './problem.ts'
import { answers, bearer, type Routes } from './routes.ts'
import { approvalScope, forbidden, hasRole, seesApproval } from './visibility.ts'

const tags = ['approvals']
const Id = z.object({ id: z.string().max(100) })
const Query = ListQuery.extend({
  state: ApprovalState.optional(),
  mayDecide: z.enum(['true', 'false']).optional().describe('only such as the caller may decide now, or may not'),
})

export function approvalRoutes(app: Routes, approvals: Approvals, frozen: Freezes['over']): void {
  app.get(
    '/v1/approvals',
    {
      schema: {
        tags,
        summary: 'Held commands that the caller may see, newest first',
        security: bearer,
        querystring: Query,
        response: answers(200, 'A page of them.', listOf(Approval), 400, 403),
      },
    },
    async ({ caller, query }) => {
      const scope = approvalScope(caller)
      const { state, limit, after } = query
      const mayDecide = query.mayDecide === undefined ? undefined : query.mayDecide === 'true'
      if (after !== undefined) checkCursor(after)
      const page = await approvals.list({
        limit,
        ...(state !== undefined && { state }),
        ...(scope.see === 'own' && { agent: scope.agent }),
        ...(after !== undefined && { after }),
        sees: (approval) =>
          seesApproval(scope, approval) &&
          (mayDecide === undefined || mayDecide === (mayDecideNow(approvals, caller, approval) === true)),
      })
      return { ...page, items: page.items.map((approval) => forCaller(approvals, caller, approval)) }
    },
  )

  app.get(
    '/v1/approvals/:id',
    {
      schema: {
        tags,
        summary: 'A held command',
        security: bearer,
        params: Id,
        response: answers(200, 'The held command.', Approval, 403, 404),
      },
    },
    async ({ caller, params }) => {
      const scope = approvalScope(caller)
      const approval = await approvals.get(params.id)
      if (!approval || !seesApproval(scope, approval)) throw unknown(params.id)
      return forCaller(approvals, caller, approval)
    },
  )

  app.post(
    '/v1/approvals/:id/decisions',
    {
      schema: {
        tags,
        summary: 'Approve or deny a held command',
        description:
          'The digest says what was shown; a command that is another by now is not decided (409). The same decision of the same person again is 200 and counts once. With `breakGlass` a person of the groups of `approvals.break_glass` approves alone, in an emergency, with a reason: that is told to everybody, and reviewed by somebody else.',
        security: bearer,
        params: Id,
        body: DecisionRequest,
        response: answers(200, 'The held command after the decision.', Approval, 400, 403, 404, 409),
      },
    },
    async ({ caller, params, body }) => {
      if (caller.kind === 'agent' || !hasRole(caller, 'approver'))
        throw forbidden(caller, 'Held commands are decided by approvers')
      if (body.verdict === 'approve') await notFrozen(caller, params.id)
      const decided = await approvals.decide(params.id, caller, body)
      if (decided.ok) return forCaller(approvals, caller, decided.approval)
      throw new HttpProblem(statusOf[decided.problem], sentence(decided.message))
    },
  )

  /** Nobody comes in where it is frozen, so nobody could use it: better said now. It may be denied. */
  const notFrozen = async (caller: Principal, id: string) => {
    const approval = await approvals.get(id)
    if (approval?.state !== 'pending' || !seesApproval(approvalScope(caller), approval)) return
    const freeze = frozen(approval.connection)
    if (freeze) throw new HttpProblem(409, `Nothing is approved while it is frozen: ${frozenWords(freeze)}.`)
  }
}

const statusOf = { 'not-found': 404, forbidden: 403, conflict: 409, invalid: 400 } as const

/** An approval with whether this caller may decide it now. */
export function forCaller(approvals: Deciding, caller: Principal, approval: Approval): Approval {
  const may = mayDecideNow(approvals, caller, approval)
  const alone = caller.kind === 'person' && approvals.mayBreakGlass(caller, approval) ? { mayBreakGlass: true } : {}
  if (may === true) return { ...approval, mayDecide: true, ...alone }
  return { ...approval, mayDecide: false, mayNotDecideBecause: may, ...alone }
}

type Deciding = Pick<Approvals, 'mayDecide' | 'mayBreakGlass'>

function mayDecideNow(approvals: Deciding, caller: Principal, approval: Approval): true | string {
  if (caller.kind === 'agent') return 'agents decide nothing'
  if (approval.state !== 'pending') return `it is ${approval.state} already`
  const may = approvals.mayDecide(caller, approval)
  if (may !== true) return may
  if (approval.decisions.some((decision) => decision.personId === caller.id)) return 'you have decided already'
  return true
}

function checkCursor(after: string): void {
  if (/^\d{4}-\S{1,40} ap_[0-9a-z]+$/.test(Buffer.from(after, 'base64url').toString())) return
  throw new HttpProblem(400, '`after` is not one that a list gave out: use the `next` of the page before.')
}

function unknown(id: string): HttpProblem {
  return new HttpProblem(404, `There is no approval ${id}.`)
}

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1)
  return /[.!?]$/.test(first) ? first : `${first}.`
}
