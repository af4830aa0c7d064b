import { ListQuery, listOf } from '@countersign/contract/api'
import {
  LegalHold,
  LiftLegalHold,
  NewLegalHold,
  RetentionRun,
  RetentionState,
  StartRetentionRun,
} from '@countersign/contract/evidence'
import type { PersonRef, Role } from '@countersign/contract/identity'
import { z } from 'zod'
import type { PersonPrincipal, Principal } from '../identity/principal.ts'
import { LedgerStopped } from '../sessions/ledger/ledger.ts'
import { BadHoldCursor, HoldRefused, type Retention } from '../sessions/retention/retention.ts'
import { HttpProblem } from './problem.ts'
import { answers, bearer, type Routes } from './routes.ts'
import { forbidden, hasRole, seesRetention } from './visibility.ts'

const tags = ['retention']
const Id = z.object({ id: z.string().max(100) })

export function retentionRoutes(app: Routes, retention: Retention): void {
  app.get(
    '/v1/legal-holds',
    {
      schema: {
        tags,
        summary: 'Legal holds, newest first; those that were lifted, too',
        description: 'For auditors, reviewers and admins.',
        security: bearer,
        querystring: ListQuery,
        response: answers(200, 'A page of them.', listOf(LegalHold), 400, 403),
      },
    },
    async ({ caller, query }) => {
      reader(caller)
      const { limit, after } = query
      return refusals(retention.holds({ limit, ...(after !== undefined && { after }) }))
    },
  )

  app.post(
    '/v1/legal-holds',
    {
      schema: {
        tags,
        summary: 'Keep sessions from being erased, whatever the rules say',
        description:
          'By session, connection or agent: of these all sessions, those to come too. What is named must be there. For auditors and admins.',
        security: bearer,
        body: NewLegalHold,
        response: answers(201, 'They are held from now on.', LegalHold, 400, 403, 409),
      },
    },
    async ({ caller, body }, reply) => {
      const by = one(caller, 'Legal holds are placed by auditors and admins', 'auditor', 'admin')
      return reply.code(201).send(await refusals(retention.hold(by, body)))
    },
  )

  app.post(
    '/v1/legal-holds/:id/lift',
    {
      schema: {
        tags,
        summary: 'Lift a legal hold, with a reason',
        description: 'What is held by no other and whose time is over goes with the next run. For auditors and admins.',
        security: bearer,
        params: Id,
        body: LiftLegalHold,
        response: answers(200, 'It is lifted.', LegalHold, 400, 403, 404, 409),
      },
    },
    async ({ caller, params, body }) => {
      const by = one(caller, 'Legal holds are lifted by auditors and admins', 'auditor', 'admin')
      return refusals(retention.lift(params.id, by, body.reason), 404)
    },
  )

  app.get(
    '/v1/retention',
    {
      schema: {
        tags,
        summary: 'What is kept how long, the next run and the last ones',
        description: 'For auditors, reviewers and admins.',
        security: bearer,
        response: answers(200, 'Rules and runs.', RetentionState, 403),
      },
    },
    async ({ caller }) => {
      reader(caller)
      return retention.state()
    },
  )

  app.post(
    '/v1/retention/runs',
    {
      config: { costly: 'retention' },
      schema: {
        tags,
        summary: 'Erase what is due, or (dry) show what would go now',
        description: 'A run takes a bounded number of sessions (`more`). For admins; dry for auditors, too.',
        security: bearer,
        body: StartRetentionRun,
        response: answers(200, 'What went, or would.', RetentionRun, 400, 403),
      },
    },
    async ({ caller, body }) => {
      const by = body.dry
        ? one(caller, 'What a run would take is shown to auditors and admins', 'auditor', 'admin')
        : one(caller, 'Retention is run by admins', 'admin')
      return refusals(retention.run({ dry: body.dry, by: { kind: 'person', ...by } }))
    },
  )

  app.get(
    '/v1/retention/runs/:id',
    {
      schema: {
        tags,
        summary: 'A run with what it took',
        description: 'For auditors, reviewers and admins.',
        security: bearer,
        params: Id,
        response: answers(200, 'The run.', RetentionRun, 403, 404),
      },
    },
    async ({ caller, params }) => {
      reader(caller)
      const run = await retention.one(params.id)
      if (!run) throw new HttpProblem(404, `There is no retention run ${params.id}.`)
      return run
    },
  )
}

/** @throws HttpProblem 403 */
function reader(caller: Principal): void {
  if (!seesRetention(caller))
    throw forbidden(caller, 'Retention and legal holds are seen by auditors, reviewers and admins')
}

/** @throws HttpProblem 403 */
function one(caller: Principal, rule: string, ...roles: Role[]): PersonRef {
  if (!hasRole(caller, ...roles)) throw forbidden(caller, rule)
  const { id, issuer, subject, name } = caller as PersonPrincipal
  return { id, issuer, subject, name }
}

/** @param unknown the status where what is asked for isn't there */
async function refusals<T>(answer: Promise<T>, unknown: 400 | 404 = 400): Promise<T> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof BadHoldCursor) throw new HttpProblem(400, error.message)
    if (error instanceof HoldRefused) throw new HttpProblem(error.code === 'unknown' ? unknown : 409, error.message)
    if (error instanceof LedgerStopped) throw new HttpProblem(503, error.message, { 'retry-after': '5' })
    throw error
  }
}
