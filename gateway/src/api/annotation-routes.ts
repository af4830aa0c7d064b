import { ListQuery, listOf } from '@countersign/contract/api'
import {
  Annotation,
  AnnotationId,
  NewAnnotation,
  OfflinePlayback,
  PlaybackId,
  WithdrawAnnotation,
} from '@countersign/contract/evidence'
import type { Session } from '@countersign/contract/session'
import { z } from 'zod'
import type { PersonPrincipal, Principal } from '../identity/principal.ts'
import { AnnotationRefused, type AnnotationsRoom } from '../sessions/annotations/annotations.ts'
import { BadCursor, type SessionsRoom } from '../sessions/sessions.ts'
import { HttpProblem } from './problem.ts'
import { answers, bearer, problemsOf, type Routes } from './routes.ts'
import { visible } from './session-routes.ts'
import { forbidden, hasRole, sessionScope } from './visibility.ts'

const tags = ['annotations']
const Id = z.object({ id: z.string().max(100) })
const AnnotationPath = Id.extend({ annotation: AnnotationId })
const PlaybackPath = Id.extend({ playback: PlaybackId })
/** How far a console's clock may be ahead of ours, or of when a session began. */
const skewMs = 10 * 60_000

export function annotationRoutes(
  app: Routes,
  options: { annotations: AnnotationsRoom; sessions: SessionsRoom; clock: () => number },
): void {
  const { annotations, sessions, clock } = options
  const seen = (caller: PersonPrincipal, id: string): Promise<Session> => visible(sessions, sessionScope(caller), id)

  app.get(
    '/v1/sessions/:id/annotations',
    {
      schema: {
        tags,
        summary: 'What people noted on a session’s recording, in the order in which it came in',
        description: 'Withdrawn ones too. Who sees the session sees them; agents see none.',
        security: bearer,
        params: Id,
        querystring: ListQuery,
        response: answers(200, 'A page of them.', listOf(Annotation), 400, 403, 404),
      },
    },
    async ({ caller, params, query }) => {
      const session = await seen(person(caller), params.id)
      const { limit, after } = query
      return refusals(annotations.list(session.id, { limit, ...(after !== undefined && { after }) }))
    },
  )

  app.put(
    '/v1/sessions/:id/annotations/:annotation',
    {
      schema: {
        tags,
        summary: 'Note something on a moment or a range of a recording',
        description:
          'The caller makes the id (an_ and 24 of a-z 2-7), so that it may be sent again: the same again is 200, another body under the same id 409. For auditors, reviewers and admins.',
        security: bearer,
        params: AnnotationPath,
        body: NewAnnotation,
        response: {
          ...answers(200, 'It was there already, the same.', Annotation, 400, 403, 404, 409),
          ...answers(201, 'It was taken in.', Annotation),
        },
      },
    },
    async ({ caller, params, body }, reply) => {
      const by = writer(caller)
      const session = await seen(by, params.id)
      if (Date.parse(body.madeAt) > clock() + skewMs) throw tooEarly('madeAt')
      const { made, annotation } = await refusals(annotations.add(session.id, params.annotation, by, body))
      return reply.code(made ? 201 : 200).send(annotation)
    },
  )

  app.post(
    '/v1/sessions/:id/annotations/:annotation/withdraw',
    {
      schema: {
        tags,
        summary: 'Take back an annotation that one has made',
        description: 'It stays in the list, as withdrawn, and in the ledger. Again is 200 and changes nothing.',
        security: bearer,
        params: AnnotationPath,
        body: WithdrawAnnotation,
        response: answers(200, 'It is withdrawn.', Annotation, 400, 403, 404),
      },
    },
    async ({ caller, params, body }) => {
      const by = writer(caller)
      const session = await seen(by, params.id)
      return refusals(annotations.withdraw(session.id, params.annotation, by, body.reason))
    },
  )

  app.put(
    '/v1/sessions/:id/playbacks/:playback',
    {
      schema: {
        tags,
        summary: 'Tell that one has played a recording without the gateway',
        description:
          'A console tells it when it is back. The caller makes the id (pb_ and 24 of a-z 2-7): the same again changes nothing.',
        security: bearer,
        params: PlaybackPath,
        body: OfflinePlayback,
        response: {
          ...problemsOf(400, 401, 403, 404, 409, 429, 503),
          201: { description: 'It was taken in.', content: { 'application/json': { schema: z.object({}) } } },
          200: { description: 'It was there already.', content: { 'application/json': { schema: z.object({}) } } },
        },
      },
    },
    async ({ caller, params, body }, reply) => {
      const by = person(caller)
      const session = await seen(by, params.id)
      const playedAt = Date.parse(body.playedAt)
      if (playedAt > clock() + skewMs) throw tooEarly('playedAt')
      if (playedAt < Date.parse(session.openedAt) - skewMs)
        throw new HttpProblem(
          400,
          '`playedAt` is before this session began: look at the clock of the computer that says so.',
        )
      const { made } = await refusals(annotations.playedOffline(session.id, params.playback, by, body.playedAt))
      return reply.code(made ? 201 : 200).send({})
    },
  )
}

const statusOf = { conflict: 409, full: 409, 'too-fast': 429, 'not-found': 404, 'not-yours': 403 } as const

async function refusals<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (error instanceof AnnotationRefused)
      throw new HttpProblem(
        statusOf[error.code],
        error.message,
        error.code === 'too-fast' ? { 'retry-after': '20' } : {},
      )
    throw error instanceof BadCursor ? new HttpProblem(400, error.message) : error
  }
}

/** @throws HttpProblem 403 */
function person(caller: Principal): PersonPrincipal {
  if (caller.kind === 'person') return caller
  throw new HttpProblem(403, 'An agent sees its sessions’ state, but not what people note on them.')
}

/** @throws HttpProblem 403 */
function writer(caller: Principal): PersonPrincipal {
  const by = person(caller)
  if (!hasRole(by, 'auditor', 'reviewer', 'admin'))
    throw forbidden(by, 'Recordings are annotated by auditors, reviewers and admins')
  return by
}

function tooEarly(member: string): HttpProblem {
  return new HttpProblem(
    400,
    `\`${member}\` is in the future: set the clock of the computer that says so, and send it again.`,
  )
}
