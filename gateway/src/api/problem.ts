import { STATUS_CODES } from 'node:http'
import type { Problem } from '@countersign/contract/api'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod'

export type ProblemMembers = Pick<Problem, 'grant' | 'plan' | 'item' | 'campaign' | 'draft'>

/** An error that a caller is told: RFC 9457, with a sentence that says what to do. */
export class HttpProblem extends Error {
  override name = 'HttpProblem'
  readonly status: number
  readonly headers: Record<string, string>
  /** Members of the problem beside those that every one has (RFC 9457, section 3.2). */
  readonly members: ProblemMembers
  constructor(status: number, detail: string, headers: Record<string, string> = {}, members: ProblemMembers = {}) {
    super(detail)
    this.status = status
    this.headers = headers
    this.members = members
  }
}

export function problemBody(status: number, detail: string): Problem {
  return { type: 'about:blank', title: STATUS_CODES[status] ?? 'Error', status, detail }
}

export const problemType = 'application/problem+json'

/**
 * Makes every error of the server a problem: ours, those of schemas, those of Fastify, those of the HTTP parser. What
 * nobody foresaw is logged, and told as nothing but that.
 */
export function answerProblems(
  app: FastifyInstance,
  log: { error(fields: object, text: string): void },
  allowedAt: (path: string) => string[],
): void {
  app.setErrorHandler((error: FastifyError | HttpProblem, request, reply) => {
    if (error instanceof HttpProblem)
      return send(reply.headers(error.headers), error.status, error.message, error.members)
    if (hasZodFastifySchemaValidationErrors(error)) return send(reply, 400, sentenceOf(error))
    const status = error.statusCode ?? 500
    if (status < 500) return send(reply, status, foreseen[error.code] ?? sentence(error.message))
    log.error({ error, method: request.method, route: request.routeOptions.url }, 'a call of the API failed')
    return send(reply, 500, 'Something went wrong in the gateway; its log says what.')
  })
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0]!
    const allowed = allowedAt(path)
    if (allowed.length === 0)
      return send(reply, 404, 'There is nothing at this path: /openapi.json tells what there is.')
    return send(reply.header('allow', allowed.join(', ')), 405, `This path takes ${allowed.join(' and ')} only.`)
  })
}

/** For `clientErrorHandler`: what wasn't HTTP, or too much of it. */
export function answerBrokenHttp(error: NodeJS.ErrnoException, socket: import('node:net').Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const [status, detail] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? [431, 'The headers of this request are too large.']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? [408, 'The request took too long to arrive.']
        : [400, 'This is no HTTP request.']
  const body = JSON.stringify(problemBody(status as number, detail as string))
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status as number]}\r\nContent-Type: ${problemType}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}

/** For Fastify's `frameworkErrors`: a URL that can't be one. No hook runs, so an upgrade's connection is ended here. */
export function answerBadUrl(_error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  if (request.headers.upgrade !== undefined) reply.raw.once('finish', () => request.raw.socket.end())
  send(reply, 400, 'This URL can’t be decoded.')
}

function send(reply: FastifyReply, status: number, detail: string, members: HttpProblem['members'] = {}) {
  // As a string, so that no response schema of the route is asked.
  return reply
    .code(status)
    .header('content-type', problemType)
    .serializer((body: unknown) => String(body))
    .send(JSON.stringify({ ...problemBody(status, detail), ...members }))
}

const foreseen: Record<string, string> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'The body must be JSON, sent with Content-Type: application/json.',
  FST_ERR_CTP_BODY_TOO_LARGE: 'The body is too large.',
  FST_ERR_CTP_INVALID_JSON_BODY: 'The body is not valid JSON.',
}

function sentenceOf(error: FastifyError & { validation?: unknown; validationContext?: string | undefined }): string {
  const where: Record<string, string> = { querystring: 'query', body: 'body', params: 'path', headers: 'headers' }
  const issues = (error.validation ?? []) as { instancePath?: string; message?: string }[]
  const parts = issues.slice(0, 5).map(({ instancePath, message }) => {
    const path = instancePath?.replace(/^\//, '').replaceAll('/', '.')
    return path ? `${path}: ${message}` : `${message}`
  })
  return sentence(
    `The ${where[error.validationContext ?? ''] ?? 'request'} is not as it should be: ${parts.join('; ')}`,
  )
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`
}
