import { pipeline, type Readable } from 'node:stream'
import { createGzip } from 'node:zlib'
import { ListQuery, listOf } from '@countersign/contract/api'
import { asciicastType } from '@countersign/contract/asciicast'
import { EventsPage } from '@countersign/contract/recording'
import { Session, SessionState, TerminateRequest } from '@countersign/contract/session'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { Principal } from '../identity/principal.ts'
import { castOf, type NoCast } from '../sessions/cast.ts'
import type { Retention } from '../sessions/retention/retention.ts'
import { BadCursor, type SessionQuery, type SessionsRoom } from '../sessions/sessions.ts'
import { HttpProblem } from './problem.ts'
import { rangeFrom, slice } from './ranges.ts'
import { answers, bearer, problemsOf, type Routes } from './routes.ts'
import {
  decidingGroups,
  forbidden,
  hasRole,
  recordingScope,
  type Scope,
  seesRetention,
  sessionScope,
} from './visibility.ts'

const tags = ['sessions']
const ndjson = 'application/x-ndjson; charset=utf-8'
const Id = z.object({ id: z.string().max(100) })
const instant = z.iso.datetime({ offset: true })
const Query = ListQuery.extend({
  agent: z.string().optional().describe('agent id, ISSUER#SUBJECT'),
  connection: z.string().optional(),
  state: SessionState.optional(),
  from: instant.optional().describe('sessions that were open at or after it'),
  to: instant.optional().describe('sessions that were open at or before it'),
  text: z.string().max(1000).optional().describe('words of one of its commands; the last may be a beginning'),
})
const EventsQuery = z.object({
  after: z.coerce.number().int().nonnegative().default(0).describe('sequence number of the last event already had'),
  limit: z.coerce.number().int().min(1).max(10_000).default(1000),
})
const RecordingQuery = z.object({
  format: z
    .enum(['recording', 'asciicast'])
    .optional()
    .describe('asciicast: one channel of an SSH session as asciicast v3, which asciinema plays'),
  channel: z
    .string()
    .max(100)
    .optional()
    .describe('id of the channel; absent: the first in which a command or a shell runs'),
  version: z.enum(['2', '3']).optional().describe('of asciicast: 2 for asciinema before 3.0; 3 where absent'),
})

export function sessionRoutes(app: Routes, sessions: SessionsRoom, retention: Pick<Retention, 'described'>): void {
  const described = async (caller: Principal, many: Session[]): Promise<Session[]> =>
    seesRetention(caller) ? retention.described(many) : many
  app.get(
    '/v1/sessions',
    {
      config: {
        costly: ({ query }: FastifyRequest) => ((query as { text?: string }).text ? ('search' as const) : undefined),
      },
      schema: {
        tags,
        summary: 'Sessions that the caller may see, newest first',
        security: bearer,
        querystring: Query,
        response: answers(200, 'A page of them.', listOf(Session), 400, 403),
      },
    },
    async ({ caller, query }) => {
      const scope = sessionScope(caller)
      const { limit, ...filter } = query
      const asked: SessionQuery = { ...defined(filter), limit }
      if (scope.see === 'groups') asked.heldFor = scope.groups
      if (scope.see === 'own') {
        if (asked.agent !== undefined && asked.agent !== scope.agent) return { items: [], next: null }
        // The words of its commands are in recordings, which an agent doesn't see.
        if (asked.text !== undefined) throw new HttpProblem(403, 'An agent can’t search in recordings.')
        asked.agent = scope.agent
      }
      try {
        const { items, next } = await sessions.list(asked)
        return { items: await described(caller, items), next }
      } catch (error) {
        throw error instanceof BadCursor ? new HttpProblem(400, error.message) : error
      }
    },
  )

  app.get(
    '/v1/sessions/:id',
    {
      schema: {
        tags,
        summary: 'A session',
        security: bearer,
        params: Id,
        response: answers(200, 'The session.', Session, 403, 404),
      },
    },
    async ({ caller, params }) => {
      const [session] = await described(caller, [await visible(sessions, sessionScope(caller), params.id)])
      return session!
    },
  )

  app.get(
    '/v1/sessions/:id/events',
    {
      schema: {
        tags,
        summary: 'Events of a session’s recording, in order; of a live one those so far',
        description: 'Playing back a session that has ended is itself recorded.',
        security: bearer,
        params: Id,
        querystring: EventsQuery,
        response: answers(200, 'A page of events.', EventsPage, 400, 403, 404),
      },
    },
    async ({ caller, params, query }) => {
      const session = await visible(sessions, recordingScope(caller), params.id)
      const page = await sessions.events(session.id, query.after, query.limit)
      if (!page) throw noRecording(session.id)
      if (!page.live) await sessions.playedBack(session.id, caller, 'events')
      const last = page.events.at(-1)?.seq ?? query.after
      return { items: page.events, next: page.more || page.live ? String(last) : null }
    },
  )

  app.get(
    '/v1/sessions/:id/recording',
    {
      schema: {
        tags,
        summary: 'A session’s whole recording; of a live one what is there',
        description:
          'NDJSON: a header, then events. Each playback is itself recorded. `Range: bytes=N-` goes on where another answer ended (of the plain form). `format=asciicast`, or `Accept: application/x-asciicast`, has one channel as asciicast v3.',
        security: bearer,
        params: Id,
        querystring: RecordingQuery,
        response: {
          200: {
            description: 'The recording, compressed as Accept-Encoding allows (zstd, gzip).',
            content: { 'application/x-ndjson': { schema: z.string() }, [asciicastType]: { schema: z.string() } },
          },
          206: {
            description: 'The recording from byte N on, as it is.',
            content: { 'application/x-ndjson': { schema: z.string() } },
          },
          ...problemsOf(400, 401, 403, 404, 416, 429, 503),
        },
      },
    },
    async ({ caller, params, query, headers }, reply) => {
      const session = await visible(sessions, recordingScope(caller), params.id)
      if (!(await sessions.events(session.id, 0, 1))) throw noRecording(session.id)
      void reply.header('vary', 'accept, accept-encoding')
      if (wantsCast(query, headers.accept)) {
        const found = await castOf(sessions.recordingStream(session.id), query.channel, query.version === '2' ? 2 : 3)
        if ('channels' in found) throw noCast(session.id, query.channel, found.channels)
        try {
          await sessions.playedBack(session.id, caller, 'recording')
        } catch (error) {
          found.cast.destroy()
          throw error
        }
        void reply.header('content-disposition', `attachment; filename="${session.id}-${safe(found.channel)}.cast"`)
        return sendPacked(found.cast, asciicastType, reply, headers['accept-encoding'])
      }
      const from = rangeFrom(headers.range)
      // Who goes on behind a cut, or follows a live session, reads on as by pages of events: one playback, not many.
      await sessions.playedBack(session.id, caller, from ? 'events' : 'recording')
      void reply.header('accept-ranges', 'bytes')
      if (from !== undefined) return sendRest(sessions, session, from, reply)
      return sendRecording(sessions, session.id, reply, headers['accept-encoding'])
    },
  )

  app.post(
    '/v1/sessions/:id/terminate',
    {
      schema: {
        tags,
        summary: 'End a live session',
        security: bearer,
        params: Id,
        body: TerminateRequest,
        response: answers(202, 'It was told to end.', Session, 400, 403, 404, 409),
      },
    },
    async ({ caller, params, body }, reply) => {
      if (!hasRole(caller, 'approver')) throw forbidden(caller, 'Sessions are terminated by approvers')
      const { id } = await visible(sessions, sessionScope(caller), params.id)
      if (!(await mayTerminate(sessions, caller, id)))
        throw new HttpProblem(403, 'You may terminate the sessions whose held commands your groups may decide.')
      if (!(await sessions.terminate(id, nameOf(caller), body.reason)))
        throw new HttpProblem(409, 'This session has ended already, or is about to.')
      return reply.code(202).send((await sessions.get(id))!)
    },
  )
}

/** A session that a caller with that scope may see. @throws HttpProblem 404 */
export async function visible(sessions: SessionsRoom, scope: Scope, id: string): Promise<Session> {
  const session = await sessions.get(id)
  const sees =
    session !== undefined &&
    (scope.see === 'all' ||
      (scope.see === 'own' ? session.agent === scope.agent : await sessions.isHeldFor(id, scope.groups)))
  if (!sees) throw new HttpProblem(404, `There is no session ${id}.`)
  return session
}

async function mayTerminate(sessions: SessionsRoom, caller: Principal, id: string): Promise<boolean> {
  return caller.kind === 'person' && (await sessions.isHeldFor(id, decidingGroups(caller)))
}

function nameOf(caller: Principal): string {
  return caller.name
}

/** A sealed recording goes out as it lies on disk to who takes zstd; else it is unpacked, and packed with gzip if asked. */
async function sendRecording(sessions: SessionsRoom, id: string, reply: FastifyReply, accept: string | undefined) {
  const accepted = acceptedEncodings(accept)
  // A string of another type than JSON is sent as it is, a stream in any case.
  void reply.header('content-type', ndjson)
  const sealed = accepted.has('zstd') ? await sessions.sealedRecording(id) : undefined
  if (sealed) return reply.header('content-encoding', 'zstd').header('content-length', sealed.bytes).send(sealed.stream)
  return sendPacked(sessions.recordingStream(id), ndjson, reply, accept)
}

function sendPacked(plain: Readable, type: string, reply: FastifyReply, accept: string | undefined) {
  void reply.header('content-type', type)
  if (!acceptedEncodings(accept).has('gzip')) return reply.send(plain)
  const gzip = createGzip({ level: 4 })
  plain.on('error', (error) => gzip.destroy(error))
  gzip.on('close', () => plain.destroy())
  return reply.header('content-encoding', 'gzip').send(plain.pipe(gzip))
}

/** What is behind byte `from`, of a live session what is there now. */
function sendRest(sessions: SessionsRoom, { id, recording }: Session, from: number, reply: FastifyReply) {
  const { bytes } = recording
  if (from >= bytes) {
    void reply.header('content-range', `bytes */${bytes}`)
    throw new HttpProblem(416, `This recording has ${bytes} bytes: there is nothing behind them now.`)
  }
  const rest = slice(from, bytes)
  const plain = sessions.recordingStream(id)
  pipeline(plain, rest, () => {})
  return reply
    .code(206)
    .header('content-type', ndjson)
    .header('content-range', `bytes ${from}-${bytes - 1}/${bytes}`)
    .header('content-length', bytes - from)
    .send(rest)
}

/** RFC 9110, section 12.5.3; `*` and qualities other than zero are no more than yes. */
export function acceptedEncodings(header: string | undefined): Set<string> {
  const accepted = new Set<string>()
  for (const part of (header ?? '').split(',')) {
    const [name, ...parameters] = part.split(';').map((p) => p.trim().toLowerCase())
    if (name && !parameters.some((p) => /^q=0(\.0*)?$/.test(p))) accepted.add(name === 'x-gzip' ? 'gzip' : name)
  }
  return accepted
}

/** What is asked for by name counts, else what is accepted. */
function wantsCast({ format }: z.infer<typeof RecordingQuery>, accept: string | undefined): boolean {
  return format === undefined ? acceptedEncodings(accept).has(asciicastType) : format === 'asciicast'
}

function noCast(id: string, asked: string | undefined, channels: NoCast['channels']): HttpProblem {
  const kinds = channels.map(({ channel, kind }) => `${channel} (${kind})`).join(', ')
  const there = channels.length === 0 ? 'it has no channels' : `it has ${kinds}`
  if (asked !== undefined && channels.some(({ channel, kind }) => channel === asked && kind === 'sftp'))
    return new HttpProblem(404, `Channel ${asked} of ${id} is sftp: its operations are commands of the recording.`)
  return new HttpProblem(404, `The recording of ${id} has no such channel with a command or a shell: ${there}.`)
}

/** For the name of a file. */
const safe = (channel: string) => channel.replace(/[^\w-]/g, '_')

function noRecording(id: string): HttpProblem {
  return new HttpProblem(404, `The recording of ${id} is not there any more.`)
}

/** Without the keys whose value is undefined. */
function defined<T extends object>(object: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as never
}
