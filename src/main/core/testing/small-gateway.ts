import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { zstdCompressSync } from 'node:zlib'
import { Approval, DecisionRequest } from '@countersign/contract/approval'
import { type Annotation, NewAnnotation, OfflinePlayback, WithdrawAnnotation } from '@countersign/contract/evidence'
import { FeedMessage } from '@countersign/contract/feed'
import type { Me, Role } from '@countersign/contract/identity'
import type { RecordingLine } from '@countersign/contract/recording'
import { Session } from '@countersign/contract/session'
import { type WebSocket, WebSocketServer } from 'ws'
import { type SmallAccess, smallAccess } from './small-access.ts'
import { type SmallAgents, smallAgents } from './small-agents.ts'
import { type SmallPolicy, smallPolicy } from './small-policy.ts'
import { type SmallReviews, smallReviews } from './small-reviews.ts'

/** A gateway as the console meets it, small enough to be made to misbehave. What it says is checked by the contract. */
export interface SmallGateway extends SmallAccess, SmallAgents, SmallPolicy, SmallReviews, AsyncDisposable {
  url: string
  approvals: Map<string, Approval>
  sessions: Map<string, Session>
  recordings: Map<string, RecordingLine[]>
  /** Recordings as they are sent, where not as their lines. */
  recordingBytes: Map<string, Buffer>
  bundles: Map<string, Buffer>
  /** Answers wait for it. */
  slow?: (path: string) => Promise<void> | undefined
  /** After how many bytes the next answers with a recording break off, one each. */
  cuts: number[]
  /** How recordings are sent: as this one asks, without knowing of ranges, or never packed. */
  sends: 'as-asked' | 'no-ranges' | 'plain'
  /** Decisions that arrived, in order. */
  decided: { id: string; body: DecisionRequest; person: string }[]
  /** Notes in the order in which they came. */
  annotations: Annotation[]
  /** Playbacks that were told, by their ids. */
  playbacks: Map<string, string>
  /** What the person who signs in may do. */
  roles: Role[]
  /** Requests in order, as `METHOD /path?query`. */
  asked: string[]
  /** The oldest sequence number that the feed still has; larger than the last one means nothing is kept. */
  keptFrom: number
  /** What `POST …/decisions` does instead of deciding. */
  misbehave: 'no' | 'silent' | 'conflict' | 'broken'
  /** Rooms (approvals, sessions) that this person's role may not enter: 403. */
  forbidden: Set<string>
  /** Tokens that are refused with 401. */
  refused: Set<string>
  readonly seq: number
  /** Holds a command: into the list and onto the feed. */
  hold(given: Partial<Approval> & { id: string }): Approval
  close(id: string, state: Approval['state'], because?: string): void
  open(given: Partial<Session> & { id: string }): Session
  /** Ends every feed connection without a word, as a network does. */
  cut(): void
  /** Ends every feed connection by a close frame. */
  endFeeds(code: number, reason: string): void
  /** Stops listening, and listens again on the same port. */
  down(): Promise<void>
  up(): Promise<void>
  /** Says something on the feed, as it is. */
  say(type: FeedMessage['type'], data: unknown): void
  /** Says something of a type that this console doesn't know yet. */
  sayUnknown(): void
}

interface SignInHow {
  issuer: string
  clientId: string
  resource?: string
}

export async function startSmallGateway(how: SignInHow): Promise<SmallGateway> {
  const feeds = new Set<WebSocket>()
  const log: FeedMessage[] = []
  const server = createServer((request, response) => {
    answer(request, response).catch((error: Error) => problem(response, 500, error.message))
  })
  const sockets = new WebSocketServer({ noServer: true })
  let port = 0

  const say = (type: FeedMessage['type'], data: unknown) => {
    const message = FeedMessage.parse({ seq: log.length + 1, at: new Date().toISOString(), type, data })
    log.push(message)
    for (const feed of feeds) feed.send(JSON.stringify(message))
  }

  const access = smallAccess(say, () => gateway.access)
  const agents = smallAgents(say, () => gateway.connections)
  const policy = smallPolicy(say)
  const reviews = smallReviews(say)
  const gateway: SmallGateway = {
    ...access.rooms,
    ...agents.rooms,
    ...reviews.rooms,
    ...policy.rooms,
    access: 'gives',
    url: '',
    approvals: new Map(),
    sessions: new Map(),
    recordings: new Map(),
    recordingBytes: new Map(),
    bundles: new Map(),
    cuts: [],
    sends: 'as-asked',
    decided: [],
    annotations: [],
    playbacks: new Map(),
    roles: ['approver'],
    asked: [],
    keptFrom: 1,
    misbehave: 'no',
    forbidden: new Set(),
    refused: new Set(),
    get seq() {
      return log.length
    },
    hold(given) {
      const approval = Approval.parse({ ...someApproval(), ...given })
      gateway.approvals.set(approval.id, approval)
      // The feed tells everybody the same: whether the caller may decide is only in an answer to the caller.
      const { mayDecide: _, ...told } = approval
      say('approval.opened', told)
      return approval
    },
    close(id, state, closedBecause) {
      const approval: Approval = {
        ...gateway.approvals.get(id)!,
        state,
        mayDecide: false,
        closedAt: new Date().toISOString(),
        ...(closedBecause ? { closedBecause } : {}),
      }
      gateway.approvals.set(id, approval)
      say('approval.closed', approval)
    },
    open(given) {
      const session = Session.parse({ ...someSession(), ...given })
      gateway.sessions.set(session.id, session)
      say('session.opened', session)
      return session
    },
    cut() {
      for (const feed of feeds) feed.terminate()
    },
    endFeeds(code, reason) {
      for (const feed of feeds) feed.close(code, reason)
    },
    async down() {
      gateway.cut()
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
    async up() {
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
    },
    say,
    sayUnknown() {
      const message = {
        seq: log.length + 1,
        at: new Date().toISOString(),
        type: 'campaign.opened',
        data: { id: 'ca_1' },
      }
      log.push(message as never)
      for (const feed of feeds) feed.send(JSON.stringify(message))
    },
    async [Symbol.asyncDispose]() {
      if (server.listening) await gateway.down()
    },
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    gateway.asked.push(`${request.method} ${request.url}`)
    const url = new URL(request.url!, gateway.url)
    await gateway.slow?.(url.pathname)
    const [, , room, id, deed] = url.pathname.split('/').map(decodeURIComponent)
    if (room === 'sign-in') {
      const scopes = ['openid', 'offline_access']
      return send(response, {
        issuer: how.issuer,
        client_id: how.clientId,
        scopes,
        ...(how.resource ? { resource: how.resource } : {}),
      })
    }
    const person = whoAsks(request)
    if (!person) return problem(response, 401, 'The token is missing or not valid.')
    if (room === 'me') return send(response, person)
    if (room && gateway.forbidden.has(room)) return problem(response, 403, 'Your role may not see this.')
    if (room === 'approvals' && deed === 'decisions') return decide(id!, person, request, response)
    if (room === 'approvals' && id) return one(response, gateway.approvals.get(id))
    if (room === 'approvals') {
      const state = url.searchParams.get('state')
      return page(
        url,
        response,
        [...gateway.approvals.values()].filter((a) => !state || a.state === state),
      )
    }
    if (room === 'sessions' && deed === 'recording') {
      const lines = gateway.recordings.get(id!)
      const bytes = gateway.recordingBytes.get(id!) ?? ndjsonOf(lines ?? [])
      return sendRecording(request, response, bytes, gateway.cuts.shift())
    }
    if (room === 'sessions' && deed === 'bundle') {
      const bundle = gateway.bundles.get(id!)
      if (!bundle) return problem(response, 404, 'There is no bundle.')
      response.writeHead(200, { 'content-type': 'application/x-tar' })
      return void response.end(bundle)
    }
    if (room === 'sessions' && deed === 'annotations') return annotate(id!, url, person, request, response)
    if (room === 'sessions' && deed === 'playbacks') {
      gateway.playbacks.set(url.pathname.split('/').at(-1)!, OfflinePlayback.parse(await json(request)).playedAt)
      return send(response, {})
    }
    if (room === 'sessions' && deed === 'terminate') return send(response, {})
    if (room === 'sessions' && id) return one(response, gateway.sessions.get(id))
    if (room === 'sessions') return page(url, response, [...gateway.sessions.values()].reverse())
    const reviewed = await reviews.answer(url, person, request)
    if (reviewed && 'bytes' in reviewed) {
      response.writeHead(200, { 'content-type': reviewed.type, 'content-length': reviewed.bytes.length })
      return void response.end(reviewed.bytes)
    }
    const told =
      reviewed ??
      (await policy.answer(url, person, request)) ??
      (await agents.answer(url, person, request)) ??
      (await access.answer(url, person, request))
    if (told && 'items' in told) return page(url, response, told.items)
    if (told && 'problem' in told) return problem(response, told.status, told.problem, told.members)
    if (told) return one(response, told.item)
    problem(response, 404, 'There is no such place.')
  }

  function sendRecording(request: IncomingMessage, response: ServerResponse, bytes: Buffer, cut: number | undefined) {
    const range = gateway.sends === 'no-ranges' ? undefined : /^bytes=(\d+)-$/.exec(request.headers.range ?? '')
    const from = range ? Number(range[1]) : 0
    if (range && from >= bytes.length) return void response.writeHead(416).end()
    const packed = !range && gateway.sends === 'as-asked' && /zstd/.test(request.headers['accept-encoding'] ?? '')
    const sent = packed ? zstdCompressSync(bytes) : bytes.subarray(from)
    response.writeHead(range ? 206 : 200, {
      'content-type': 'application/x-ndjson',
      'content-length': sent.length,
      ...(range ? { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {}),
      ...(packed ? { 'content-encoding': 'zstd' } : {}),
    })
    if (cut === undefined) return void response.end(sent)
    response.write(sent.subarray(0, cut), () => response.destroy())
  }

  function whoAsks(request: IncomingMessage): Me | undefined {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
    if (!token || gateway.refused.has(token)) return undefined
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString() || '{}')
    return {
      kind: 'person',
      id: `${how.issuer}#${claims.sub}`,
      issuer: how.issuer,
      subject: claims.sub,
      name: claims.sub,
      groups: [],
      roles: gateway.roles,
      expiresAt: new Date(claims.exp * 1000).toISOString(),
    }
  }

  async function decide(id: string, person: Me, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = DecisionRequest.parse(await json(request))
    if (gateway.misbehave === 'silent') return
    if (gateway.misbehave === 'broken') return void request.socket.destroy()
    const approval = gateway.approvals.get(id)
    if (!approval) return problem(response, 404, 'There is no such approval.')
    if (gateway.misbehave === 'conflict' || approval.state !== 'pending')
      return problem(response, 409, 'It was decided before you.')
    gateway.decided.push({ id, body, person: person.name })
    const verdict = { person: person.name, personId: person.id, ...body, at: new Date().toISOString() }
    const decisions = [...approval.decisions, { ...verdict, window: body.window ?? 'once', reason: body.reason ?? '' }]
    gateway.approvals.set(id, { ...approval, decisions })
    gateway.close(id, body.verdict === 'approve' ? 'used' : 'denied')
    send(response, gateway.approvals.get(id))
  }

  async function annotate(session: string, url: URL, by: Me, request: IncomingMessage, response: ServerResponse) {
    const [, , , , , id, withdrawing] = url.pathname.split('/')
    if (!id) return page(url, response, gateway.annotations)
    if (by.kind !== 'person') return problem(response, 403, 'Agents write no notes.')
    const at = gateway.annotations.findIndex((one) => one.id === id)
    const known = gateway.annotations[at]
    if (withdrawing) {
      if (!known) return problem(response, 404, 'There is no such annotation.')
      const { reason } = WithdrawAnnotation.parse(await json(request))
      gateway.annotations[at] = { ...known, withdrawn: { at: new Date().toISOString(), reason: reason ?? '' } }
      return send(response, gateway.annotations[at])
    }
    const body = NewAnnotation.parse(await json(request))
    if (known && known.text !== body.text) return problem(response, 409, 'There is another annotation under this id.')
    const ref = { id: by.id, issuer: by.issuer, subject: by.subject, name: by.name }
    const { to, ...rest } = body
    const receivedAt = new Date().toISOString()
    const taken = { ...rest, ...(to !== undefined && { to }), id, session, by: ref, receivedAt, logged: true }
    if (!known) gateway.annotations.push(taken)
    send(response, known ?? taken)
  }

  server.on('upgrade', (request, socket, head) => {
    gateway.asked.push(`${request.method} ${request.url}`)
    if (!whoAsks(request)) return void socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n')
    sockets.handleUpgrade(request, socket, head, (feed) => {
      feeds.add(feed)
      feed.on('close', () => feeds.delete(feed))
      const after = Number(new URL(request.url!, gateway.url).searchParams.get('after'))
      if (after > log.length || after < gateway.keptFrom - 1)
        feed.send(JSON.stringify({ seq: log.length, at: new Date().toISOString(), type: 'reset', data: {} }))
      else for (const message of log.slice(after)) feed.send(JSON.stringify(message))
    })
  })

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
  gateway.url = `http://127.0.0.1:${port}`
  return gateway
}

/** A recording as bytes. */
export function ndjsonOf(lines: readonly RecordingLine[]): Buffer {
  return Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
}

function page(url: URL, response: ServerResponse, items: unknown[]): void {
  const limit = Number(url.searchParams.get('limit') ?? 100)
  const from = Number(url.searchParams.get('after') ?? 0)
  const next = from + limit < items.length ? String(from + limit) : null
  send(response, { items: items.slice(from, from + limit), next })
}

function one(response: ServerResponse, item: unknown): void {
  if (item) send(response, item)
  else problem(response, 404, 'There is no such thing.')
}

function send(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

function problem(response: ServerResponse, status: number, detail: string, members: object = {}): void {
  response.writeHead(status, { 'content-type': 'application/problem+json' })
  response.end(JSON.stringify({ type: 'about:blank', title: 'Refused', status, detail, ...members }))
}

const agent = {
  id: 'https://idp.example#billing-cleanup',
  issuer: 'https://idp.example',
  subject: 'billing-cleanup',
  name: 'billing-cleanup',
  groups: ['ci-agents'],
}

export function someApproval(): Approval {
  return {
    id: 'ap_1',
    state: 'pending',
    connection: 'orders',
    connectionTags: ['production'],
    protocol: 'postgres',
    agent: agent.id,
    identity: agent,
    session: 'se_1',
    purpose: 'monthly purge',
    command: {
      text: 'DELETE FROM payments',
      parameters: [],
      kind: 'delete',
      effects: [
        {
          action: 'sql:write',
          resource: { type: 'Table', id: 'orders/public.payments' },
          kind: 'delete',
          bounded: false,
        },
      ],
      digest: `sha256:${'a'.repeat(64)}`,
    },
    requirements: [{ policy: 'unbounded-delete', groups: ['oncall-dba'], quorum: 1, approvedBy: [] }],
    decisions: [],
    requestedAt: new Date().toISOString(),
    expiresAt: new Date(Date.now() + 600_000).toISOString(),
    hold: 'wait',
    mayDecide: true,
  }
}

export function someSession(): Session {
  return {
    id: 'se_1',
    state: 'open',
    connection: 'orders',
    connectionTags: ['production'],
    protocol: 'postgres',
    mode: 'enforce',
    agent: agent.id,
    identity: agent,
    client: { address: '127.0.0.1:5000' },
    openedAt: new Date().toISOString(),
    counts: { commands: 0, held: 0, denied: 0, errors: 0 },
    recording: { bytes: 0, complete: false },
  }
}

export function someRecording(session: string): RecordingLine[] {
  return [
    {
      type: 'header',
      format: 'countersign-recording/1',
      session,
      connection: 'orders',
      protocol: 'postgres',
      mode: 'enforce',
      agent,
      client: { address: '127.0.0.1:5000' },
      startedAt: new Date().toISOString(),
      resultBound: { rows: 100, bytes: 65536 },
    },
    { type: 'note', seq: 1, t: 5, text: 'a secret-looking note' },
    { type: 'end', seq: 2, t: 9, state: 'closed', reason: 'the client left' },
  ]
}
