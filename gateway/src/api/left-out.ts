import { parse } from 'node:querystring'
import type { FastifyInstance } from 'fastify'

/**
 * Takes what is left out as left out, however a client writes that: no body, or an empty one that is called JSON, are `{}`
 * where a route takes a body. To be called before there are routes.
 */
export function acceptLeftOut(app: FastifyInstance): void {
  const json = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, undefined)
    else json(request, body as string, done)
  })
  app.addHook('preValidation', async (request) => {
    if (request.routeOptions.schema?.body !== undefined) request.body ??= {}
  })
}

/** Reads a query: a parameter without a value (`?state=`) is none, as in a form of RFC 6749. */
export function readQuery(text: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(parse(text)).filter(([, value]) => value !== ''))
}
