import { AccessAnswer, AgentAccess } from '@countersign/contract/access'
import { z } from 'zod'
import { BadThenCursor } from '../identity/registry/access/access-then.ts'
import type { AccessQuestions } from '../identity/registry/access/questions.ts'
import { PoliciesUnreadable } from '../policy/permitted/reading.ts'
import { LedgerStopped } from '../sessions/ledger/ledger.ts'
import { LongId, seesAgents } from './agent-routes.ts'
import { HttpProblem } from './problem.ts'
import { answers, bearer, type Routes } from './routes.ts'

const ThenQuery = z.object({
  at: z.iso.datetime({ offset: true }).describe('the moment that is asked about'),
  agent: z.string().max(4000).optional(),
  connection: z.string().max(63).optional(),
  action: z.string().max(64).optional().describe('for example sql:write'),
  limit: z.coerce.number().int().min(1).max(10_000).default(1000),
  after: z.string().optional(),
})
const NowQuery = z.object({ since: z.iso.date().optional().describe('use from this day on, UTC; 90 days') })

/** Who may do what, and who could. */
export function accessQuestionRoutes(app: Routes, questions: AccessQuestions, clock: () => number): void {
  app.get(
    '/v1/agents/:id/access',
    {
      config: { costly: 'access' },
      schema: {
        tags: ['agents'],
        summary: 'What an agent may do, beside what it did',
        description:
          'Permitted by the policies in force and its live grants, for every command at once: `depends` where it depends on the command, the time, the purpose, on whose behalf it is, or the resource. Whether it is disabled or a connection frozen is not counted.',
        security: bearer,
        params: LongId,
        querystring: NowQuery,
        response: answers(200, 'Permitted and used.', AgentAccess, 400, 403, 404, 409),
      },
    },
    async ({ caller, params, query }) => {
      seesAgents(caller)
      const access = await refusals(questions.now(params.id, query.since))
      if (!access) throw new HttpProblem(404, `There is no agent ${params.id}.`)
      return access
    },
  )

  app.get(
    '/v1/access',
    {
      config: { costly: 'access' },
      schema: {
        tags: ['access'],
        summary: 'Who could do what at a moment',
        description:
          'By what was in force then: identities as the newest tokens until then had them, who was disabled, connections, freezes, policies, live grants. All of it is in the ledger, too. 409 where the policies of then can’t be read.',
        security: bearer,
        querystring: ThenQuery,
        response: answers(200, 'A page of it, by agent.', AccessAnswer, 400, 403, 409),
      },
    },
    async ({ caller, query }) => {
      seesAgents(caller)
      const { at, agent, connection, action, limit, after } = query
      const moment = new Date(at)
      if (moment.getTime() > clock()) throw new HttpProblem(400, '`at` has not been yet: ask about the past.')
      return refusals(
        questions.at({
          at: moment,
          limit,
          ...(agent !== undefined && { agent }),
          ...(connection !== undefined && { connection }),
          ...(action !== undefined && { action }),
          ...(after !== undefined && { after }),
        }),
      )
    },
  )
}

/** @throws HttpProblem */
async function refusals<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof BadThenCursor) throw new HttpProblem(400, error.message)
    if (error instanceof PoliciesUnreadable) throw new HttpProblem(409, `${error.message}.`)
    if (error instanceof LedgerStopped) throw new HttpProblem(503, error.message, { 'retry-after': '5' })
    throw error
  }
}
