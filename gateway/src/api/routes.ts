import type { IncomingMessage, ServerResponse } from 'node:http'
import { Problem } from '@countersign/contract/api'
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import type { z } from 'zod'
import type { Principal } from '../identity/principal.ts'

/** What a file of routes is given. */
export type Routes = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>

declare module 'fastify' {
  interface FastifyRequest {
    /** Set on every route that doesn't say `config: { open: true }`. */
    caller: Principal
  }
  interface FastifyContextConfig {
    /** Needs no token. */
    open?: boolean
  }
}

const words: Record<number, string> = {
  400: 'Something in the request is not as it should be; `detail` says what.',
  401: 'No token, or one that is not valid here.',
  403: 'The caller’s role may not.',
  404: 'There is no such thing, or the caller may not see it.',
  409: 'Its state no longer allows it; load it anew.',
  426: 'This is a WebSocket.',
  429: 'Too many; wait as long as Retry-After says.',
  503: 'Not now; try again shortly.',
}

/** Responses of a route for its schema: what it answers, and which problems (RFC 9457). Those of tokens are added. */
export function answers<T extends z.ZodType>(status: number, description: string, schema: T, ...problems: number[]) {
  const own = { description, content: { 'application/json': { schema } } }
  return { [status]: own, ...problemsOf(401, 429, 503, ...problems) } as Record<number, typeof own>
}

export function problemsOf(...statuses: number[]) {
  return Object.fromEntries(
    statuses.map((status) => [
      status,
      { description: words[status] ?? 'An error.', content: { 'application/problem+json': { schema: Problem } } },
    ]),
  )
}

export const bearer = [{ bearer: [] }]
