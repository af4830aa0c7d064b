import type { FastifyReply } from 'fastify'
import { z } from 'zod'
import type { Principal } from '../identity/principal.ts'
import { type PackForm, packName } from '../reviews/pack/pack.ts'
import type { Reviews } from '../reviews/reviews.ts'
import { NoBundle, TooMany } from '../sessions/bundles/making.ts'
import { LedgerStopped } from '../sessions/ledger/ledger.ts'
import { readsReviews } from './campaign-visibility.ts'
import { HttpProblem } from './problem.ts'
import { bearer, problemsOf, type Routes } from './routes.ts'

const tags = ['campaigns']
const Id = z.object({ id: z.string().max(100) })

const types: Record<PackForm, string> = {
  bundle: 'application/x-tar',
  report: 'text/html; charset=utf-8',
  csv: 'text/csv; charset=utf-8; header=present',
  json: 'application/json; charset=utf-8',
}

/** A campaign's evidence pack, and its parts for people and other tools (docs/reviews.md, "Evidence pack"). */
export function packRoutes(app: Routes, { packs }: Pick<Reviews, 'packs'>): void {
  const send = async (
    reply: FastifyReply,
    ask: { caller: Principal; id: string; form: PackForm; recordings?: boolean },
  ) => {
    const { id, form, recordings = false } = ask
    const { subject, issuer, name, id: person } = readsReviews(ask.caller)
    try {
      const stream = await packs.make(id, form, { id: person, issuer, subject, name }, { recordings })
      return reply
        .header('content-disposition', `attachment; filename="${packName(id, form)}"`)
        .header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'; sandbox")
        .header('content-type', types[form])
        .send(stream)
    } catch (error) {
      if (error instanceof LedgerStopped) throw new HttpProblem(503, error.message, { 'retry-after': '5' })
      if (error instanceof TooMany) throw new HttpProblem(503, error.message, { 'retry-after': '60' })
      if (error instanceof NoBundle) throw new HttpProblem(error.code === 'unknown-campaign' ? 404 : 409, error.message)
      throw error
    }
  }
  const described = (summary: string, description: string, type: string) => ({
    config: { costly: 'bundle' as const },
    schema: {
      tags,
      summary,
      description: `${description} Each that is made is recorded.`,
      security: bearer,
      params: Id,
      response: {
        200: { description: 'It.', content: { [type.split(';')[0]!]: { schema: z.string() } } },
        ...problemsOf(401, 403, 404, 409, 429, 503),
      },
    },
  })

  const pack = described(
    'A campaign’s evidence pack: entries, proofs, evidence documents, policies, report and tables',
    'A tar file that `countersign verify` and stock tools check without the gateway.',
    types.bundle,
  )
  app.get(
    '/v1/campaigns/:id/pack',
    {
      config: pack.config,
      schema: {
        ...pack.schema,
        querystring: z.object({
          recordings: z
            .enum(['none', 'cited'])
            .default('none')
            .describe('cited: also the recordings of sessions of which evidence cites commands'),
        }),
      },
    },
    ({ caller, params, query }, reply) =>
      send(reply, { caller, id: params.id, form: 'bundle', recordings: query.recordings === 'cited' }),
  )
  app.get(
    '/v1/campaigns/:id/report',
    described('The report of a campaign, to be printed', 'One HTML file without scripts.', types.report),
    ({ caller, params }, reply) => send(reply, { caller, id: params.id, form: 'report' }),
  )
  app.get(
    '/v1/campaigns/:id/items.csv',
    described('The items of a campaign as a table', 'RFC 4180; formulas are kept from being run.', types.csv),
    ({ caller, params }, reply) => send(reply, { caller, id: params.id, form: 'csv' }),
  )
  app.get(
    '/v1/campaigns/:id/items.json',
    described('A campaign and its items as the ledger has them', 'As in the pack.', types.json),
    ({ caller, params }, reply) => send(reply, { caller, id: params.id, form: 'json' }),
  )
}
