import { ListQuery, listOf, PolicyInForce } from '@countersign/contract/api'
import {
  Backtest,
  BacktestRequest,
  PolicyCheck,
  PolicyDraft,
  PolicyDraftRequest,
  PolicyFilesInput,
  PolicyVersion,
  PolicyVersionPage,
} from '@countersign/contract/policies'
import { z } from 'zod'
import type { PolicyWork } from '../backtest/backtest.ts'
import { BacktestRefused } from '../backtest/backtests.ts'
import { BadWindow } from '../backtest/window.ts'
import type { PersonPrincipal, Principal } from '../identity/principal.ts'
import { DraftRefused, refuseFiles } from '../policy/drafts/drafts.ts'
import { BadVersionCursor } from '../policy/history.ts'
import type { Policies } from '../policy/policy.ts'
import { HttpProblem } from './problem.ts'
import { answers, bearer, problemsOf, type Routes } from './routes.ts'
import { forbidden, hasRole, mayReadPolicy } from './visibility.ts'

const tags = ['policy']
const Id = z.object({ id: z.string().max(100) })
const Version = z.object({ version: z.string().max(100) })
const Check = z.strictObject({ files: PolicyFilesInput })
/** Drafts of some megabytes, as JSON. */
const bodyLimit = 8 * 1024 * 1024

/** Policy in force, its past, drafts, and drafts over recorded commands (docs/policy.md). */
export function policyRoutes(
  app: Routes,
  options: {
    policies: () => Policies
    work: PolicyWork
  },
): void {
  const { policies } = options
  const { history, checking, drafts, backtests, overlays, tests } = options.work

  app.get(
    '/v1/policy',
    {
      schema: {
        tags,
        summary: 'The policy in force',
        description:
          '`tests` are those in the policy folder now. Files that begin with `overlay:` are overlays of reviews, and in no folder.',
        security: bearer,
        response: answers(200, 'Its files.', PolicyInForce, 403),
      },
    },
    async ({ caller }) => {
      mayReadPolicy(caller)
      const { version, texts } = policies()
      return { version, texts: texts.map(({ file, text }) => ({ file, text })), tests: await tests() }
    },
  )

  app.get(
    '/v1/policy/versions',
    {
      schema: {
        tags,
        summary: 'Each time that a policy came into force, the newest first',
        security: bearer,
        querystring: ListQuery,
        response: answers(200, 'A page of them.', listOf(PolicyVersion), 400, 403),
      },
    },
    async ({ caller, query }) => {
      mayReadPolicy(caller)
      return refusing(() => history.list(query))
    },
  )

  app.get(
    '/v1/policy/versions/:version',
    {
      schema: {
        tags,
        summary: 'A version with its files, as of the last time that it came into force',
        security: bearer,
        params: Version,
        response: answers(200, 'The version.', PolicyVersionPage, 403, 404),
      },
    },
    async ({ caller, params }) => {
      mayReadPolicy(caller)
      const found = await history.version(params.version)
      if (!found) throw new HttpProblem(404, 'No policy of this version was ever in force here.')
      return found
    },
  )

  app.post(
    '/v1/policy/check',
    {
      bodyLimit,
      config: { costly: 'policy' },
      schema: {
        tags,
        summary: 'What is wrong with policies, what the Cedar validator warns of, and what their tests say',
        description: 'With the overlays in force behind them. Nothing is kept. For those who read policy.',
        security: bearer,
        body: Check,
        response: answers(200, 'What was found.', PolicyCheck, 400, 403),
      },
    },
    async ({ caller, body }) => {
      mayReadPolicy(caller)
      return refusing(() => {
        refuseFiles(body.files)
        return checking.check(body.files, overlays())
      })
    },
  )

  app.get(
    '/v1/policy/drafts',
    {
      schema: {
        tags,
        summary: 'Drafts of policy, the one that was changed last first',
        security: bearer,
        querystring: ListQuery,
        response: answers(200, 'A page of them; it may be short.', listOf(PolicyDraft), 400, 403),
      },
    },
    async ({ caller, query }) => {
      mayReadPolicy(caller)
      return refusing(() => drafts.list(query))
    },
  )

  app.post(
    '/v1/policy/drafts',
    {
      bodyLimit,
      config: { costly: 'policy' },
      schema: {
        tags,
        summary: 'Begin a draft; its check is run, and kept with it',
        description: 'Nothing of it is enforced. For reviewers and admins.',
        security: bearer,
        body: PolicyDraftRequest,
        response: answers(201, 'The draft.', PolicyDraft, 400, 403, 409),
      },
    },
    async ({ caller, body }, reply) => {
      const by = writer(caller)
      return reply.code(201).send(await refusing(() => drafts.create(body, by)))
    },
  )

  app.get(
    '/v1/policy/drafts/:id',
    {
      schema: {
        tags,
        summary: 'A draft',
        security: bearer,
        params: Id,
        response: answers(200, 'The draft.', PolicyDraft, 403, 404),
      },
    },
    async ({ caller, params }) => {
      mayReadPolicy(caller)
      const found = await drafts.get(params.id)
      if (!found) throw noDraft()
      return found
    },
  )

  app.put(
    '/v1/policy/drafts/:id',
    {
      bodyLimit,
      config: { costly: 'policy' },
      schema: {
        tags,
        summary: 'Save a draft; its check is run anew',
        description:
          '`revision` is that of the draft that was changed. Where another one is there by now it is a 409 with the draft as it is, as member `draft`. For reviewers and admins.',
        security: bearer,
        params: Id,
        body: PolicyDraftRequest,
        response: answers(200, 'The draft.', PolicyDraft, 400, 403, 404, 409),
      },
    },
    async ({ caller, params, body }) => {
      const by = writer(caller)
      return refusing(() => drafts.change(params.id, body, by))
    },
  )

  app.delete(
    '/v1/policy/drafts/:id',
    {
      schema: {
        tags,
        summary: 'Delete a draft',
        description: 'For reviewers and admins.',
        security: bearer,
        params: Id,
        response: {
          204: { description: 'It is gone.', content: { 'application/json': { schema: z.undefined() } } },
          ...problemsOf(401, 403, 404, 429, 503),
        },
      },
    },
    async ({ caller, params }, reply) => {
      writer(caller)
      if (!(await drafts.remove(params.id))) throw noDraft()
      return reply.code(204).send()
    },
  )

  app.post(
    '/v1/policy/backtest',
    {
      bodyLimit,
      schema: {
        tags,
        summary: 'Ask a draft about the commands that were recorded',
        description:
          'Goes on by itself, one at a time; the feed (backtest.changed) and GET tell how far it is. For reviewers, auditors and admins.',
        security: bearer,
        body: BacktestRequest,
        response: answers(202, 'It has begun.', Backtest, 400, 403, 409),
      },
    },
    async ({ caller, body }, reply) => {
      const by = runner(caller)
      return reply.code(202).send(await refusing(() => backtests.start(body, by)))
    },
  )

  app.get(
    '/v1/policy/backtests',
    {
      schema: {
        tags,
        summary: 'Backtests, the newest first; without their results',
        description: 'The newest 100 are kept. For reviewers, auditors and admins.',
        security: bearer,
        querystring: ListQuery,
        response: answers(200, 'A page of them.', listOf(Backtest), 400, 403),
      },
    },
    async ({ caller, query }) => {
      runner(caller)
      return refusing(() => backtests.list(query))
    },
  )

  app.get(
    '/v1/policy/backtests/:id',
    {
      schema: {
        tags,
        summary: 'A backtest, with its result once it is done',
        security: bearer,
        params: Id,
        response: answers(200, 'The backtest.', Backtest, 403, 404),
      },
    },
    async ({ caller, params }) => {
      runner(caller)
      const found = await backtests.get(params.id)
      if (!found) throw new HttpProblem(404, 'There is no such backtest: only the newest are kept.')
      return found
    },
  )

  app.post(
    '/v1/policy/backtests/:id/cancel',
    {
      schema: {
        tags,
        summary: 'Cancel a backtest',
        description: 'By who started it, or an admin.',
        security: bearer,
        params: Id,
        response: answers(200, 'It has ended.', Backtest, 403, 404, 409),
      },
    },
    async ({ caller, params }) => {
      const by = runner(caller)
      const found = await backtests.get(params.id)
      if (found && found.by.id !== by.id && !hasRole(by, 'admin'))
        throw forbidden(by, 'A backtest is cancelled by who started it, and by admins')
      return refusing(() => backtests.cancel(params.id, by.name))
    },
  )
}

/** Writes drafts. @throws HttpProblem 403 */
function writer(caller: Principal): PersonPrincipal {
  if (hasRole(caller, 'reviewer', 'admin')) return caller as PersonPrincipal
  throw forbidden(caller, 'Drafts are written by reviewers and admins')
}

/** Runs backtests, and sees what they found. @throws HttpProblem 403 */
function runner(caller: Principal): PersonPrincipal {
  if (hasRole(caller, 'reviewer', 'auditor', 'admin')) return caller as PersonPrincipal
  throw forbidden(caller, 'Backtests are run and read by reviewers, auditors and admins')
}

const noDraft = () => new HttpProblem(404, 'There is no such draft: it may have been deleted.')

const statuses = { unknown: 404, wrong: 400, conflict: 409, full: 409, busy: 409, over: 409 } as const

async function refusing<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof DraftRefused)
      throw new HttpProblem(statuses[error.code], error.message, {}, error.draft && { draft: error.draft })
    if (error instanceof BacktestRefused) throw new HttpProblem(statuses[error.code], error.message)
    if (error instanceof BadWindow || error instanceof BadVersionCursor) throw new HttpProblem(400, `${error.message}.`)
    throw error
  }
}
