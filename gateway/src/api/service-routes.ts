import { Readiness } from '@countersign/contract/api'
import { Me, SignIn } from '@countersign/contract/identity'
import type { Registry } from 'prom-client'
import { z } from 'zod'
import type { IssuerConfig } from '../config/schema.ts'
import { HttpProblem } from './problem.ts'
import { answers, bearer, problemsOf, type Routes } from './routes.ts'

const Health = z.object({ status: z.literal('ok') })
/** What is about the gateway itself: health, metrics, signing in. */
export function serviceRoutes(
  app: Routes,
  options: {
    issuers: () => readonly IssuerConfig[]
    readiness: () => Readiness | Promise<Readiness>
    metrics: Registry
  },
): void {
  const open = { open: true }
  const tags = ['gateway']

  app.get(
    '/healthz',
    {
      config: open,
      exposeHeadRoute: true,
      schema: {
        tags,
        summary: 'Whether the gateway runs at all',
        response: { 200: { description: 'It does.', content: { 'application/json': { schema: Health } } } },
      },
    },
    async () => ({ status: 'ok' as const }),
  )

  app.get(
    '/readyz',
    {
      config: open,
      exposeHeadRoute: true,
      schema: {
        tags,
        summary: 'Whether the gateway takes agents now',
        response: {
          200: { description: 'It does.', content: { 'application/json': { schema: Readiness } } },
          503: { description: 'It doesn’t; why.', content: { 'application/json': { schema: Readiness } } },
        },
      },
    },
    async (_request, reply) => {
      const { ready, reasons } = await options.readiness()
      return reply.code(ready ? 200 : 503).send({ ready, reasons })
    },
  )

  app.get(
    '/metrics',
    {
      config: open,
      exposeHeadRoute: true,
      schema: {
        tags,
        summary: 'Metrics for Prometheus',
        response: { 200: { description: 'Text format.', content: { 'text/plain': { schema: z.string() } } } },
      },
    },
    async (_request, reply) => {
      const text = await options.metrics.metrics()
      return reply
        .header('content-type', options.metrics.contentType)
        .serializer((body: unknown) => String(body))
        .send(text)
    },
  )

  app.get(
    '/v1/sign-in',
    {
      config: open,
      schema: {
        tags,
        summary: 'What a console or CLI signs people in with (OIDC, code and PKCE)',
        response: {
          200: { description: 'The issuer.', content: { 'application/json': { schema: SignIn } } },
          ...problemsOf(404),
        },
      },
    },
    async () => {
      const issuer = options.issuers().find((each) => each.for !== 'agents' && each.client_id !== undefined)
      if (!issuer)
        throw new HttpProblem(
          404,
          'No issuer of people has a client_id: add one to identity.issuers in the gateway’s configuration.',
        )
      return {
        issuer: issuer.issuer,
        client_id: issuer.client_id!,
        scopes: issuer.scopes,
        ...(issuer.resource !== undefined && { resource: issuer.resource }),
      }
    },
  )

  app.get(
    '/v1/me',
    {
      schema: {
        tags,
        summary: 'Who I am, and my roles',
        security: bearer,
        response: answers(200, 'The caller.', Me),
      },
    },
    async ({ caller }) => ({ ...caller, expiresAt: caller.expiresAt.toISOString() }) as Me,
  )
}
