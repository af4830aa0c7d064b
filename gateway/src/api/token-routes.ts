import { TokenAnswer, TokenRecord } from '@countersign/contract/access'
import { ListQuery, listOf } from '@countersign/contract/api'
import type { Actor } from '@countersign/contract/ledger/payloads'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { Counter, type Registry } from 'prom-client'
import { z } from 'zod'
import { agentRef, type PersonPrincipal, type Principal, personRef } from '../identity/principal.ts'
import type { SignIns } from '../identity/sign-ins.ts'
import type { Exchange } from '../identity/tokens/exchange.ts'
import { LARGEST_FORM, readForm, TOKEN_EXCHANGE, tokenTypes } from '../identity/tokens/form.ts'
import { invalidRequest, OAuthError } from '../identity/tokens/oauth-error.ts'
import type { Listeners } from '../identity/tokens/target.ts'
import { BadTokenCursor, type Tokens } from '../identity/tokens/tokens.ts'
import { HttpProblem } from './problem.ts'
import { answers, bearer, type Routes } from './routes.ts'
import { forbidden, hasRole } from './visibility.ts'

const tags = ['tokens']
const FORM = 'application/x-www-form-urlencoded'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Changes something, and takes a gateway token nevertheless. */
    byGatewayToken?: boolean
  }
}

/**
 * A gateway token is for a connection. Of the API it shows an agent what agents may see, and gives itself back; to ask
 * for access, or to change anything else, takes a token of the issuer. To be called after the hook that finds out who
 * calls.
 */
export function boundGatewayTokens(app: Pick<FastifyInstance, 'addHook'>): void {
  app.addHook('onRequest', async ({ caller, method, routeOptions }) => {
    if (caller?.kind !== 'agent' || !caller.token || method === 'GET' || routeOptions.config.byGatewayToken) return
    throw new HttpProblem(403, 'A gateway token is for its connection alone: send the token of your issuer for this.')
  })
}

export interface TokenRoutesOptions {
  tokens: Tokens
  exchange: Exchange
  /** Whether a person answers for an agent: its sponsor, or its owner. */
  answersFor: (person: PersonPrincipal, agent: string) => boolean
  signIns: Pick<SignIns, 'refused'>
  listeners: () => Listeners
  metrics: Registry
  log: { error(fields: object, text: string): void }
}

/** An error of the token endpoint (RFC 6749, section 5.2). */
const OAuthProblem = z.object({
  error: z.string().describe('invalid_request, invalid_grant, invalid_target, unsupported_grant_type, …'),
  error_description: z.string(),
})

/** Gateway tokens: given for others (RFC 8693), given back (RFC 7009), seen and revoked. */
export function tokenRoutes(app: Routes, options: TokenRoutesOptions): void {
  void app.register(async (scope) => oauthRoutes(scope as Routes, options))
  listRoutes(app, options)
}

const Exchanged = z.object({
  grant_type: z.literal(TOKEN_EXCHANGE),
  subject_token: z.string().describe('who is to have the token, or whom its agent acts for'),
  subject_token_type: z.enum(Object.keys(tokenTypes) as [string, ...string[]]),
  actor_token: z.string().optional().describe('the agent that acts for the subject'),
  actor_token_type: z.string().optional(),
  audience: z.string().optional().describe('name of the connection'),
  resource: z
    .string()
    .optional()
    .describe('its URL: postgres://GW:PORT/NAME, ssh://NAME@GW:PORT, https://GW:PORT/NAME'),
  purpose: z.string().optional().describe('of the sessions that say none themselves'),
  requested_token_lifetime: z.string().optional().describe('seconds'),
  requested_token_type: z.string().optional(),
  grant: z.string().optional().describe('id of a live grant: the token is good for that alone'),
})

function oauthRoutes(app: Routes, { tokens, exchange, signIns, listeners, metrics, log }: TokenRoutesOptions): void {
  const requests = counter(metrics)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(FORM, { parseAs: 'string', bodyLimit: LARGEST_FORM }, (_request, body, done) =>
    done(null, body),
  )
  app.setErrorHandler((error: Error & { statusCode?: number; code?: string }, request, reply) => {
    const told = asOAuthError(error)
    if (!told) log.error({ error, route: request.routeOptions.url }, 'a call of the token endpoint failed')
    requests.inc({ result: told?.code ?? 'error' })
    return refuse(reply, told ?? new OAuthError('temporarily_unavailable', 'Something went wrong.', { status: 500 }))
  })
  /** Read by hand: a schema would take a parameter that is there twice for a list. */
  const unchecked = () => (value: unknown) => ({ value })
  const problem = { content: { 'application/json': { schema: OAuthProblem } } }
  const problems = {
    400: { description: 'Refused; `error` says why.', ...problem },
    413: { description: 'The body is too large.', ...problem },
    429: { description: 'Too many; wait as long as Retry-After says.', ...problem },
    503: { description: 'An issuer can’t be asked now.', ...problem },
  }

  app.post(
    '/v1/token',
    {
      config: { open: true },
      bodyLimit: LARGEST_FORM,
      validatorCompiler: unchecked,
      schema: {
        tags,
        summary: 'A token for one connection, for an issuer’s token (RFC 8693)',
        consumes: [FORM],
        body: Exchanged,
        response: {
          200: {
            description: 'The token; its text is told this once.',
            content: { 'application/json': { schema: TokenAnswer } },
          },
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const address = request.socket.remoteAddress ?? ''
      const answer = await exchange.exchange(formOf(request.body), { address, listeners: listeners(), signIns })
      requests.inc({ result: 'issued' })
      return reply.header('cache-control', 'no-store').header('pragma', 'no-cache').send(answer)
    },
  )

  app.post(
    '/v1/token/revoke',
    {
      config: { open: true },
      bodyLimit: 8 * 1024,
      validatorCompiler: unchecked,
      schema: {
        tags,
        summary: 'Give a gateway token back (RFC 7009)',
        description: 'By whoever holds it. One that is unknown or over is answered 200 as well.',
        consumes: [FORM],
        body: z.object({ token: z.string(), token_type_hint: z.string().optional() }),
        response: {
          200: {
            description: 'It is good for nothing any more.',
            content: { 'application/json': { schema: z.object({}) } },
          },
          ...problems,
        },
      },
    },
    async (request) => {
      const address = request.socket.remoteAddress ?? ''
      const text = readForm(formOf(request.body)).get('token')
      if (text === undefined) throw invalidRequest('token is missing.')
      if (!tokens.claims(text))
        throw new OAuthError('unsupported_token_type', 'Only tokens of this gateway are revoked here.')
      const found = await tokens.find(text)
      if (found) await tokens.revoke(found.id, { kind: 'agent', ...found.identity }, 'whoever held it gave it back')
      else exchange.guessed({ address, signIns })
      return {}
    },
  )
}

function listRoutes(app: Routes, { tokens, answersFor }: TokenRoutesOptions): void {
  const Query = ListQuery.extend({
    agent: z.string().max(2000).optional(),
    connection: z.string().max(63).optional(),
    live: z.enum(['true', 'false']).optional().describe('only those that may be used now, or that may not'),
  })
  const Id = z.object({ id: z.string().max(100) })
  const sees = (caller: Principal) => visible(caller, answersFor)

  app.get(
    '/v1/tokens',
    {
      schema: {
        tags,
        summary: 'Gateway tokens, newest first; never their text',
        description:
          'Agents see their own (by a gateway token that one alone), reviewers, auditors and admins all, others those of agents that they answer for.',
        security: bearer,
        querystring: Query,
        response: answers(200, 'A page of them.', listOf(TokenRecord), 400),
      },
    },
    async ({ caller, query: { live, limit, agent, connection, after } }) => {
      // Nothing of others is its own: not a thousand of their tokens are read to find that out.
      if (caller.kind === 'agent' && agent !== undefined && agent !== caller.id) return { items: [], next: null }
      const given = { ...(agent !== undefined && { agent }), ...(connection !== undefined && { connection }) }
      try {
        return await tokens.list({
          ...given,
          ...(caller.kind === 'agent' && agent === undefined && { agent: caller.id }),
          ...(live !== undefined && { live: live === 'true' }),
          ...(after !== undefined && { after }),
          ...(!seesAll(caller) && { sees: sees(caller) }),
          limit,
        })
      } catch (error) {
        if (error instanceof BadTokenCursor) throw new HttpProblem(400, error.message)
        throw error
      }
    },
  )

  const seen = async (caller: Principal, id: string): Promise<TokenRecord> => {
    const token = await tokens.get(id)
    if (token && (seesAll(caller) || sees(caller)(token))) return token
    throw new HttpProblem(404, 'There is no such token, or it is not for you to see.')
  }

  app.get(
    '/v1/tokens/:id',
    {
      schema: {
        tags,
        summary: 'A gateway token',
        security: bearer,
        params: Id,
        response: answers(200, 'The token.', TokenRecord, 404),
      },
    },
    async ({ caller, params }) => seen(caller, params.id),
  )

  app.post(
    '/v1/tokens/:id/revoke',
    {
      config: { byGatewayToken: true },
      schema: {
        tags,
        summary: 'Revoke a gateway token: its sessions end at once',
        description: 'By admins, whoever answers for its agent, and the agent itself.',
        security: bearer,
        params: Id,
        body: z.strictObject({ reason: z.string().trim().max(2000).default('') }),
        response: answers(200, 'It is good for nothing any more.', TokenRecord, 400, 403, 404, 409),
      },
    },
    async ({ caller, params, body: { reason } }) => {
      const token = await seen(caller, params.id)
      if (!hasRole(caller, 'admin') && !sees(caller)(token))
        throw forbidden(caller, 'Tokens are revoked by admins, those who answer for the agent, and the agent itself')
      const revoked = await tokens.revoke(token.id, actorOf(caller), reason)
      if (revoked?.outcome === 'revoked') return revoked.token
      throw new HttpProblem(409, 'This token has ended already.')
    },
  )
}

function seesAll(caller: Principal): boolean {
  return hasRole(caller, 'reviewer', 'auditor', 'admin')
}

/** What is a caller's own. A gateway token is good for one connection: it tells nothing of the agent's others. */
function visible(
  caller: Principal,
  answersFor: TokenRoutesOptions['answersFor'],
): (token: Pick<TokenRecord, 'id' | 'identity'>) => boolean {
  if (caller.kind === 'person') return ({ identity }) => answersFor(caller, identity.id)
  const { token: by } = caller
  return ({ id, identity }) => identity.id === caller.id && (by === undefined || by.id === id)
}

function actorOf(caller: Principal): Actor {
  return caller.kind === 'agent' ? { kind: 'agent', ...agentRef(caller) } : { kind: 'person', ...personRef(caller) }
}

function formOf(body: unknown): string {
  if (typeof body === 'string') return body
  throw notAForm()
}

const notAForm = () => invalidRequest(`The body is a form: send it with Content-Type: ${FORM}.`)

/** What Fastify refuses before anybody looks at it, in the words of RFC 6749. */
function asOAuthError(error: Error & { statusCode?: number; code?: string }): OAuthError | undefined {
  if (error instanceof OAuthError) return error
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new OAuthError('invalid_request', 'The body is too large.', { status: 413 })
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return notAForm()
  if (error.statusCode !== undefined && error.statusCode < 500) return invalidRequest('The request can not be read.')
  return undefined
}

function refuse(reply: FastifyReply, { status, code, message, retryAfter }: OAuthError) {
  if (retryAfter !== undefined) reply.header('retry-after', String(retryAfter))
  return reply
    .code(status)
    .header('cache-control', 'no-store')
    .header('pragma', 'no-cache')
    .header('content-type', 'application/json')
    .serializer((body: unknown) => String(body))
    .send(JSON.stringify({ error: code, error_description: message }))
}

function counter(registry: Registry): Counter<'result'> {
  const name = 'countersign_token_requests_total'
  registry.removeSingleMetric(name)
  return new Counter({ name, help: 'Requests of the token endpoint', labelNames: ['result'], registers: [registry] })
}
