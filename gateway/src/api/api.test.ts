import { randomBytes } from 'node:crypto'
import { readdirSync, readlinkSync } from 'node:fs'
import { request } from 'node:http'
import { request as requestTls } from 'node:https'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { zstdDecompressSync } from 'node:zlib'
import { Problem } from '@countersign/contract/api'
import { Approval } from '@countersign/contract/approval'
import { RecordingLine } from '@countersign/contract/recording'
import { Session } from '@countersign/contract/session'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { selfSignedPair } from '../config/tls.ts'
import { TokenError } from '../identity/principal.ts'
import type { LiveSession } from '../sessions/session.ts'
import { type Caller, startWorld, type World } from './testing/world.ts'

let world: World
let live: LiveSession
let other: LiveSession
let ended: LiveSession
let held: Approval
let heldElsewhere: Approval

const command = (id: string, text: string) =>
  ({
    type: 'command',
    command: id,
    text,
    parameters: [],
    kind: 'select',
    effects: [],
    digest: 'sha256:00',
    verdict: { outcome: 'allow', policies: [] },
  }) satisfies Parameters<LiveSession['recorder']['append']>[0]

beforeAll(async () => {
  world = await startWorld()
  live = await world.session('agent')
  live.recorder.append(command('c1', 'select zebra'))
  held = await world.hold(live, ['oncall-dba'])
  other = await world.session('other-agent')
  heldElsewhere = await world.hold(other, ['sre'])
  ended = await world.session('agent')
  for (let i = 0; i < 100; i++) ended.recorder.append(command(`c${i}`, `select ${i}`))
  await world.hold(ended, ['oncall-dba'])
  await ended.close('closed', 'the client disconnected')
})
afterAll(() => world[Symbol.asyncDispose]())

async function problemOf(response: Response): Promise<Problem> {
  expect(response.headers.get('content-type')).toBe('application/problem+json')
  const problem = Problem.parse(await response.json())
  expect(problem.status).toBe(response.status)
  expect(problem.detail).toMatch(/^[A-Z`].*[.!?]$/s)
  return problem
}

const callers = ['ada', 'sam', 'rae', 'aud', 'max', 'both', 'nobody', 'agent', 'other-agent'] as const

describe('who may what', () => {
  // One row a call; one column a caller, in the order of `callers`, then without a token.
  //                                          ada  sam  rae  aud  max  both nobody agent other none
  const matrix: [string, () => string, ...number[]][] = [
    ['GET', () => '/healthz', 200, 200, 200, 200, 200, 200, 200, 200, 200, 200],
    ['GET', () => '/readyz', 200, 200, 200, 200, 200, 200, 200, 200, 200, 200],
    ['GET', () => '/metrics', 200, 200, 200, 200, 200, 200, 200, 200, 200, 200],
    ['GET', () => '/openapi.json', 200, 200, 200, 200, 200, 200, 200, 200, 200, 200],
    ['GET', () => '/v1/sign-in', 200, 200, 200, 200, 200, 200, 200, 200, 200, 200],
    ['GET', () => '/v1/me', 200, 200, 200, 200, 200, 200, 200, 200, 200, 401],
    ['GET', () => '/v1/policy', 200, 200, 200, 200, 200, 200, 403, 403, 403, 401],
    ['GET', () => '/v1/approvals', 200, 200, 403, 403, 200, 200, 403, 200, 200, 401],
    ['GET', () => `/v1/approvals/${held.id}`, 200, 404, 403, 403, 200, 200, 403, 200, 404, 401],
    ['GET', () => '/v1/approvals/ap_none', 404, 404, 403, 403, 404, 404, 403, 404, 404, 401],
    ['POST', () => '/v1/approvals/ap_none/decisions', 404, 404, 403, 403, 403, 404, 403, 403, 403, 401],
    ['POST', () => `/v1/approvals/${heldElsewhere.id}/decisions`, 403, 409, 403, 403, 403, 403, 403, 403, 403, 401],
    ['GET', () => '/v1/sessions', 200, 200, 200, 200, 200, 200, 403, 200, 200, 401],
    ['GET', () => '/v1/sessions?text=zebra', 200, 200, 200, 200, 200, 200, 403, 403, 403, 401],
    ['GET', () => '/v1/commands?text=zebra', 200, 200, 200, 200, 200, 200, 403, 403, 403, 401],
    ['GET', () => `/v1/sessions/${live.id}`, 200, 404, 200, 200, 200, 200, 403, 200, 404, 401],
    ['GET', () => '/v1/sessions/se_none', 404, 404, 404, 404, 404, 404, 403, 404, 404, 401],
    ['GET', () => `/v1/sessions/${live.id}/events`, 200, 404, 200, 200, 200, 200, 403, 403, 403, 401],
    ['GET', () => `/v1/sessions/${ended.id}/recording`, 200, 404, 200, 200, 200, 200, 403, 403, 403, 401],
    ['POST', () => `/v1/sessions/${ended.id}/terminate`, 409, 404, 403, 403, 403, 409, 403, 403, 403, 401],
    ['POST', () => `/v1/sessions/${other.id}/terminate`, 404, 202, 403, 403, 403, 403, 403, 403, 403, 401],
    ['GET', () => '/v1/feed', 426, 426, 426, 426, 426, 426, 403, 426, 426, 401],
    ['GET', () => '/v1/grants', 200, 200, 200, 200, 200, 200, 403, 200, 200, 401],
    ['GET', () => '/v1/plans', 200, 200, 200, 200, 200, 200, 403, 200, 200, 401],
    ['GET', () => '/v1/grants/gr_none', 404, 404, 404, 404, 404, 404, 404, 404, 404, 401],
    ['POST', () => '/v1/grants/gr_none/revoke', 404, 404, 404, 404, 404, 404, 404, 404, 404, 401],
    ['POST', () => '/v1/plans', 400, 400, 400, 400, 400, 400, 400, 400, 400, 401],
    ['GET', () => '/v1/tokens', 200, 200, 200, 200, 200, 200, 200, 200, 200, 401],
    ['GET', () => '/v1/tokens/tk_none', 404, 404, 404, 404, 404, 404, 404, 404, 404, 401],
    ['POST', () => '/v1/tokens/tk_none/revoke', 404, 404, 404, 404, 404, 404, 404, 404, 404, 401],
    ['GET', () => '/nothing', 404, 404, 404, 404, 404, 404, 404, 404, 404, 404],
    ['DELETE', () => '/v1/approvals', 405, 405, 405, 405, 405, 405, 405, 405, 405, 405],
  ]
  const cases = matrix.flatMap(([method, path, ...statuses]) =>
    [...callers, undefined].map((caller, i) => ({ method, path, caller, status: statuses[i]! })),
  )

  it('every call, every caller', async () => {
    expect(cases.every(({ status }) => status > 0)).toBe(true)
    const wrong: string[] = []
    for (const { method, path, caller, status } of cases) {
      const body = path().endsWith('/decisions')
        ? JSON.stringify({ verdict: 'approve', reason: 'fine', digest: 'sha256:another' })
        : '{}'
      const response = await world.call(path(), caller, { method, ...(method === 'POST' && { body }) })
      const what = `${method} ${path()} as ${caller ?? 'no one'}`
      if (response.status !== status) wrong.push(`${what}: ${response.status} instead of ${status}`)
      if (response.status >= 400) await problemOf(response)
      else await response.body?.cancel()
      if (response.status === 401) expect(response.headers.get('www-authenticate')).toMatch(/^Bearer /)
      if (response.status === 405) expect(response.headers.get('allow')).toBe('GET')
      expect(response.headers.get('cache-control')).toBe('no-store')
    }
    expect(wrong).toEqual([])
  })

  it.each<[Caller, () => string[]]>([
    ['ada', () => [held.id]],
    ['sam', () => [heldElsewhere.id]],
    ['max', () => [held.id, heldElsewhere.id]],
    ['agent', () => [held.id]],
    ['other-agent', () => [heldElsewhere.id]],
  ])('%s sees only their approvals in the list', async (caller, expected) => {
    const response = await world.call('/v1/approvals?state=pending', caller)
    const { items } = (await response.json()) as { items: Approval[] }
    const mine = items.filter((a) => [held.id, heldElsewhere.id].includes(a.id))
    expect(mine.map((a) => Approval.parse(a).id).toSorted()).toEqual(expected().toSorted())
  })

  it.each<[Caller, () => string[]]>([
    ['ada', () => [live.id, ended.id]],
    ['sam', () => [other.id]],
    ['rae', () => [live.id, other.id, ended.id]],
    ['agent', () => [live.id, ended.id]],
    ['other-agent', () => [other.id]],
  ])('%s sees only their sessions in the list', async (caller, expected) => {
    const response = await world.call('/v1/sessions', caller)
    const { items } = (await response.json()) as { items: Session[] }
    expect(items.map((s) => Session.parse(s).id).toSorted()).toEqual(expected().toSorted())
  })

  it.each<[query: string, expected: () => string[]]>([
    ['', () => [live.id, other.id, ended.id]],
    ['state=&agent=&connection=&from=&to=&text=&after=&limit=', () => [live.id, other.id, ended.id]],
    ['state=closed', () => [ended.id]],
    ['from=2001-01-01T00:00:00Z', () => [live.id, other.id, ended.id]],
    ['to=2001-01-01T00:00:00Z', () => []],
    ['from=2999-01-01T00:00:00Z', () => []],
    ['text=zebra', () => [live.id]],
  ])('sessions by ?%s', async (query, expected) => {
    const { items } = (await (await world.call(`/v1/sessions?${query}`, 'rae')).json()) as { items: Session[] }
    expect(items.map(({ id }) => id).toSorted()).toEqual(expected().toSorted())
  })

  it('an agent can’t ask for another’s sessions', async () => {
    const response = await world.call(`/v1/sessions?agent=${encodeURIComponent(other.agent.id)}`, 'agent')
    expect(await response.json()).toEqual({ items: [], next: null })
  })
})

describe('tokens', () => {
  const send = (authorization: string) => fetch(`${world.url}/v1/me`, { headers: { authorization } })

  it.each([
    ['nonsense', 'Bearer nonsense'],
    ['another scheme', 'Basic YTpi'],
    ['nothing after Bearer', 'Bearer '],
    ['two tokens', 'Bearer a b'],
  ])('%s is 401', async (_, authorization) => {
    const response = await send(authorization)
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toMatch(
      /^Bearer realm="countersign", resource_metadata="http:\/\/127\.0\.0\.1:\d+\/\.well-known\/oauth-protected-resource"/,
    )
    await problemOf(response)
  })

  it('an expired one is 401 and says nothing of why', async () => {
    const response = await send(`Bearer ${await world.token('ada', -100)}`)
    expect(response.status).toBe(401)
    expect((await problemOf(response)).detail).not.toMatch(/expired/)
  })

  it('tells who I am, without more than the contract says', async () => {
    const me = (await (await world.call('/v1/me', 'both')).json()) as Record<string, unknown>
    expect(me).toMatchObject({ kind: 'person', name: 'both', roles: ['approver', 'reviewer'] })
    expect(me).not.toHaveProperty('email')
    const agent = await (await world.call('/v1/me', 'agent')).json()
    expect(agent).toMatchObject({ kind: 'agent', subject: 'agent', groups: ['ci-agents'] })
  })

  it('are told to the ledger: a good one when it is first used, a bad one each time, none by its text', async () => {
    const said: unknown[] = []
    const signIns = {
      ok: (signIn: object) => said.push(['ok', signIn]),
      refused: (signIn: object) => said.push(['refused', signIn]),
    }
    await using api = await world.serve({ signIns })
    const token = await world.token('aud', 3600)
    for (const each of [token, token, 'a.b.c', 'a.b.c'])
      await fetch(`http://${api.address}/v1/me`, { headers: { authorization: `Bearer ${each}` } })
    const bad = { via: 'api', address: '127.0.0.1', reason: 'what was presented is no token' }
    expect(said).toMatchObject([
      ['ok', { via: 'api', address: '127.0.0.1', who: { subject: 'aud' } }],
      ['refused', bad],
      ['refused', bad],
    ])
    expect(JSON.stringify(said)).not.toContain('a.b.c')
  })

  it('slows down who guesses, but not who has a good one', async () => {
    const own = await world.serve({})
    const at = (token: string) =>
      fetch(`http://${own.address}/v1/me`, { headers: { authorization: `Bearer ${token}` } }).then((r) => r.status)
    const good = await world.token('ada')
    expect(await at(good)).toBe(200)
    const statuses: number[] = []
    for (let i = 0; i < 62; i++) statuses.push(await at(`guess-${i}`))
    expect(statuses.slice(0, 60).every((s) => s === 401)).toBe(true)
    expect(statuses.slice(60)).toEqual([429, 429])
    expect(await at(good)).toBe(200)
    await own[Symbol.asyncDispose]()
  })
})

describe('a token that can’t be checked', () => {
  it.each<[string, Error, number]>([
    ['because its issuer doesn’t answer', new TokenError('issuer-unreachable', 'no answer'), 503],
    ['because something broke', new Error('secret detail'), 500],
  ])('is not let in: %s', async (_, error, status) => {
    const api = await world.serve({ identity: { authenticate: () => Promise.reject(error) } })
    const response = await fetch(`http://${api.address}/v1/me`, { headers: { authorization: 'Bearer x' } })
    expect(response.status).toBe(status)
    expect((await problemOf(response)).detail).not.toContain('secret')
    await api[Symbol.asyncDispose]()
  })
})

describe('TLS', () => {
  it('is spoken with the pair that is in force, and renewed without a restart', async () => {
    let { pair } = await selfSignedPair(join(world.folder, 'one'), [])
    const api = await world.serve({ tls: () => pair })
    const ask = (ca: string) =>
      new Promise<number | string>((resolve) => {
        const asked = requestTls(`https://${api.address}/healthz`, { ca, agent: false }, (response) => {
          response.resume()
          resolve(response.statusCode!)
        })
        asked.on('error', (error: NodeJS.ErrnoException) => resolve(error.code!))
        asked.end()
      })
    const first = pair.cert
    expect(await ask(first)).toBe(200)
    pair = (await selfSignedPair(join(world.folder, 'two'), [])).pair
    expect(await ask(pair.cert)).not.toBe(200)
    api.renewTls()
    expect(await ask(pair.cert)).toBe(200)
    expect(await ask(first)).not.toBe(200)
    await expect(fetch(`http://${api.address}/healthz`)).rejects.toThrow()
    await api[Symbol.asyncDispose]()
  })
})

describe('deciding', () => {
  const decide = (id: string, caller: Caller, body: object) =>
    world.call(`/v1/approvals/${id}/decisions`, caller, { method: 'POST', body: JSON.stringify(body) })

  it('approves once, whoever says it twice, and not otherwise after that', async () => {
    const approval = await world.hold(live)
    const body = { verdict: 'approve', reason: 'agreed', digest: approval.command.digest }
    const before = await (await world.call(`/v1/approvals/${approval.id}`, 'ada')).json()
    expect(before).toMatchObject({ state: 'pending', mayDecide: true })
    const first = await decide(approval.id, 'ada', body)
    expect(first.status).toBe(200)
    expect(Approval.parse(await first.json())).toMatchObject({
      state: 'approved',
      mayDecide: false,
      decisions: [{ person: 'ada', verdict: 'approve', reason: 'agreed', window: 'once' }],
    })
    const again = await decide(approval.id, 'ada', body)
    expect(again.status).toBe(200)
    expect(((await again.json()) as Approval).decisions).toHaveLength(1)
    const changed = await decide(approval.id, 'ada', { ...body, verdict: 'deny' })
    expect(changed.status).toBe(409)
    await problemOf(changed)
    const late = await decide(approval.id, 'both', body)
    expect(late.status).toBe(409)
  })

  it.each<[string, object, number]>([
    ['another digest', { verdict: 'approve', digest: 'sha256:11' }, 409],
    ['no verdict', { digest: 'sha256:11' }, 400],
    ['a verdict that isn’t one', { verdict: 'maybe', digest: 'x' }, 400],
    ['something more', { verdict: 'approve', digest: 'x', force: true }, 400],
    ['a window that is no duration', { verdict: 'approve', digest: 'x', window: 'forever' }, 400],
    ['a window longer than any may be', { verdict: 'approve', digest: 'x', window: '9h' }, 400],
    ['a reason longer than any needs', { verdict: 'deny', digest: 'x', reason: 'x'.repeat(2001) }, 400],
  ])('%s is refused', async (_, body, status) => {
    const response = await decide(held.id, 'ada', body)
    expect(response.status).toBe(status)
    await problemOf(response)
    expect((await world.approvals.get(held.id))?.decisions).toEqual([])
  })

  it('says why one may not', async () => {
    const seen = await (await world.call(`/v1/approvals/${heldElsewhere.id}`, 'max')).json()
    expect(seen).toMatchObject({ mayDecide: false, mayNotDecideBecause: 'only approvers decide' })
  })
})

describe('recordings', () => {
  const lines = (text: string) =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => RecordingLine.parse(JSON.parse(line)))
  const raw = async (id: string, encoding: string) => {
    const token = await world.token('rae')
    return new Promise<{ headers: Record<string, unknown>; body: Buffer }>((resolve, reject) => {
      request(
        `${world.url}/v1/sessions/${id}/recording`,
        { headers: { authorization: `Bearer ${token}`, 'accept-encoding': encoding } },
        (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk) => chunks.push(chunk))
          response.on('end', () => resolve({ headers: response.headers, body: Buffer.concat(chunks) }))
          response.on('error', reject)
        },
      ).end()
    })
  }

  it('are the same in every encoding', async () => {
    const plain = await raw(ended.id, 'identity')
    expect(plain.headers['content-type']).toBe('application/x-ndjson; charset=utf-8')
    expect(plain.headers['content-encoding']).toBeUndefined()
    expect(lines(plain.body.toString())).toHaveLength(102)
    const zstd = await raw(ended.id, 'gzip;q=0.5, zstd')
    expect(zstd.headers['content-encoding']).toBe('zstd')
    expect(zstdDecompressSync(zstd.body)).toEqual(plain.body)
    const gzip = await world.call(`/v1/sessions/${ended.id}/recording`, 'rae', {
      headers: { 'accept-encoding': 'gzip' },
    })
    expect(gzip.headers.get('content-encoding')).toBe('gzip')
    expect(await gzip.text()).toBe(plain.body.toString())
    const refused = await raw(ended.id, 'zstd;q=0')
    expect(refused.headers['content-encoding']).toBeUndefined()
  })

  it('of a live session are what is there', async () => {
    const { body } = await raw(live.id, 'zstd')
    expect(lines(body.toString()).map((line) => line.type)).toEqual(['header', 'command'])
  })

  it('are paged by events, to the end of one that has ended', async () => {
    const seen: number[] = []
    let after: string | null = '0'
    while (after !== null) {
      const response = await world.call(`/v1/sessions/${ended.id}/events?after=${after}&limit=40`, 'aud')
      const page = (await response.json()) as { items: { seq: number }[]; next: string | null }
      seen.push(...page.items.map((event) => event.seq))
      after = page.next
    }
    expect(seen).toEqual(Array.from({ length: 101 }, (_, i) => i + 1))
    const response = await world.call(`/v1/sessions/${live.id}/events?after=1`, 'aud')
    expect(await response.json()).toEqual({ items: [], next: '1' })
  })

  it('go on from any byte, of a live session to where it is now', async () => {
    const session = await world.session('agent')
    for (let i = 0; i < 40; i++) session.recorder.append({ type: 'note', text: `line ${i} ${'ü'.repeat(i)}` })
    const get = (range?: string) =>
      world.call(`/v1/sessions/${session.id}/recording`, 'rae', {
        headers: { 'accept-encoding': 'zstd, gzip', ...(range ? { range } : {}) },
      })
    const whole = async (encoding = 'identity') =>
      Buffer.from(
        await (
          await world.call(`/v1/sessions/${session.id}/recording`, 'rae', { headers: { 'accept-encoding': encoding } })
        ).arrayBuffer(),
      )
    for (const ended of [false, true]) {
      if (ended) await session.close('closed', 'done')
      const bytes = await whole()
      for (const from of [1, 700, bytes.length - 1]) {
        const rest = await get(`bytes=${from}-`)
        expect(rest.status).toBe(206)
        expect(rest.headers.get('content-range')).toBe(`bytes ${from}-${bytes.length - 1}/${bytes.length}`)
        expect(rest.headers.get('content-encoding')).toBeNull()
        expect(Buffer.from(await rest.arrayBuffer()).equals(bytes.subarray(from))).toBe(true)
      }
      const none = await get(`bytes=${bytes.length}-`)
      expect([none.status, none.headers.get('content-range')]).toEqual([416, `bytes */${bytes.length}`])
      // What isn't understood is as if it weren't there.
      for (const odd of ['bytes=5-9', 'bytes=-5', 'lines=1-', 'bytes=1-,3-']) expect((await get(odd)).status).toBe(200)
    }
    const db = world.store.db as unknown as import('kysely').Kysely<{ playbacks: Record<string, string> }>
    const rows = await db.selectFrom('playbacks').selectAll().where('session', '=', session.id).execute()
    expect(rows.filter((row) => row.what === 'events')).toHaveLength(1)
  })

  it('leave a trace of each playback', async () => {
    const session = await world.session('agent')
    await session.close('closed', '')
    await (await world.call(`/v1/sessions/${session.id}/recording`, 'rae')).text()
    for (let page = 0; page < 3; page++) await (await world.call(`/v1/sessions/${session.id}/events`, 'aud')).text()
    const db = world.store.db as unknown as import('kysely').Kysely<{ playbacks: Record<string, string> }>
    const rows = await db.selectFrom('playbacks').selectAll().where('session', '=', session.id).execute()
    expect(rows.map((row) => [row.person_name, row.what])).toEqual([
      ['rae', 'recording'],
      ['aud', 'events'],
    ])
  })

  it.each(['identity', 'gzip', 'zstd'])('let go of their file when the reader goes away (%s)', async (encoding) => {
    const session = await world.session('agent')
    for (let i = 0; i < 60; i++)
      session.recorder.append({ type: 'note', text: randomBytes(100_000).toString('base64') })
    await session.close('closed', '')
    const token = await world.token('rae')
    await new Promise<void>((resolve) => {
      const headers = { authorization: `Bearer ${token}`, 'accept-encoding': encoding }
      const asked = request(`${world.url}/v1/sessions/${session.id}/recording`, { headers }, (response) => {
        response.once('data', () => asked.destroy())
        response.once('error', () => resolve())
      })
      asked.on('error', () => {})
      asked.end()
    })
    const isOpen = () =>
      readdirSync('/proc/self/fd').some((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`).includes(session.id)
        } catch {
          return false
        }
      })
    while (isOpen()) await new Promise((resolve) => setTimeout(resolve, 5))
  })

  it('are found by words', async () => {
    const response = await world.call('/v1/sessions?text=zebra', 'rae')
    const { items } = (await response.json()) as { items: Session[] }
    expect(items.map((s) => s.id)).toEqual([live.id])
  })
})

describe('terminating', () => {
  it('ends the session in the name of who did it', async () => {
    const session = await world.session('agent')
    await world.hold(session)
    const response = await world.call(`/v1/sessions/${session.id}/terminate`, 'ada', {
      method: 'POST',
      body: JSON.stringify({ reason: 'wrong database' }),
    })
    expect(response.status).toBe(202)
    expect(session.ended.reason).toMatchObject({ message: 'terminated by ada: wrong database' })
    await session.close('closed', 'gone')
    const after = await (await world.call(`/v1/sessions/${session.id}`, 'agent')).json()
    expect(after).toMatchObject({ state: 'terminated' })
  })
})

describe('the server', () => {
  it.each<[string, string, RequestInit, number]>([
    ['JSON that isn’t', '/v1/sessions/x/terminate', { method: 'POST', body: '{"reason":' }, 400],
    [
      'a body that isn’t JSON',
      '/v1/sessions/x/terminate',
      { method: 'POST', body: 'a', headers: { 'content-type': 'text/plain' } },
      415,
    ],
    ['no body where one is needed', '/v1/approvals/x/decisions', { method: 'POST' }, 400],
    ['a prototype in JSON', '/v1/sessions/x/terminate', { method: 'POST', body: '{"__proto__":{"a":1}}' }, 400],
    [
      'a large body',
      '/v1/sessions/x/terminate',
      { method: 'POST', body: JSON.stringify({ reason: 'x'.repeat(70_000) }) },
      413,
    ],
    ['a limit too high', '/v1/sessions?limit=10001', {}, 400],
    ['a limit of none', '/v1/sessions?limit=0', {}, 400],
    ['a state that isn’t one', '/v1/approvals?state=maybe', {}, 400],
    ['an `after` of sessions that nobody gave out', '/v1/sessions?after=xyz', {}, 400],
    ['an `after` of approvals that nobody gave out', '/v1/approvals?after=xyz', {}, 400],
    ['a time that isn’t one', '/v1/sessions?from=yesterday', {}, 400],
    ['an id longer than any', `/v1/sessions/${'x'.repeat(150)}`, {}, 400],
    ['a path that can’t be decoded', '/v1/sessions/%zz', {}, 400],
    ['a call by another method', '/v1/me', { method: 'OPTIONS' }, 405],
    ['HEAD', '/v1/me', { method: 'HEAD' }, 405],
  ])('answers %s with a problem', async (_, path, init, status) => {
    const response = await world.call(path, 'ada', init)
    expect(response.status).toBe(status)
    if (init.method !== 'HEAD') {
      const problem = await problemOf(response)
      expect(JSON.stringify(problem)).not.toMatch(/node_modules|at \w+ \(|\.ts:/)
    }
    expect(response.headers.get('server')).toBeNull()
    expect(response.headers.get('x-powered-by')).toBeNull()
    expect(response.headers.get('access-control-allow-origin')).toBeNull()
  })

  // Ended already: each was taken for a call without a reason.
  it.each<[string, RequestInit]>([
    ['none', {}],
    ['none, called JSON', { headers: { 'content-type': 'application/json' } }],
    ['an empty one, called JSON', { headers: { 'content-type': 'application/json' }, body: '' }],
    ['null', { body: 'null' }],
    ['{}', { body: '{}' }],
  ])('takes a body where nothing in it is needed as %s', async (_, init) => {
    const response = await fetch(`${world.url}/v1/sessions/${ended.id}/terminate`, {
      method: 'POST',
      ...init,
      headers: {
        authorization: `Bearer ${await world.token('ada')}`,
        ...(init.body ? { 'content-type': 'application/json' } : {}),
        ...init.headers,
      },
    })
    expect(response.status).toBe(409)
  })

  it.each(['/healthz', '/readyz', '/metrics'])('answers HEAD %s as a balancer of load asks', async (path) => {
    const response = await world.call(path, undefined, { method: 'HEAD' })
    expect([response.status, await response.text()]).toEqual([200, ''])
  })

  it.each([
    ['garbage', 'garbage\r\n\r\n', 400],
    ['headers without end', `GET / HTTP/1.1\r\nHost: x\r\nA: ${'x'.repeat(40_000)}\r\n\r\n`, 431],
    ['no Host', 'GET /healthz HTTP/1.1\r\n\r\n', 400],
    ['two lengths', 'POST /v1/me HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0', 400],
  ])('answers %s and lives on', async (_, bytes, status) => {
    const [host, port] = world.api.address.split(':')
    const socket = connect(Number(port), host)
    socket.write(bytes)
    socket.end()
    expect(await textOf(socket)).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect((await world.call('/healthz')).status).toBe(200)
  })

  it('ignores an offer of h2c', async () => {
    const [host, port] = world.api.address.split(':')
    const socket = connect(Number(port), host)
    socket.end('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n')
    expect(await textOf(socket)).toMatch(/^HTTP\/1.1 200 /)
  })

  it('tells nothing of what went wrong inside', async () => {
    const broken = await world.serve({
      policies: () => {
        throw new Error('secret detail')
      },
    })
    const token = await world.token('ada')
    const response = await fetch(`http://${broken.address}/v1/policy`, {
      headers: { authorization: `Bearer ${token}` },
    })
    expect(response.status).toBe(500)
    expect((await problemOf(response)).detail).not.toContain('secret')
    await broken[Symbol.asyncDispose]()
  })

  it('takes so many connections, whoever they are of', async () => {
    await using api = await world.serve({ connections: 3 })
    const [host, port] = api.address.split(':') as [string, string]
    const answered = async () => {
      const socket = connect(Number(port), host)
      socket.on('error', () => {})
      socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
      const answer = await new Promise<string>((resolve) => {
        socket.once('data', (data) => resolve(String(data).split('\r\n')[0]!))
        socket.once('close', () => resolve('closed'))
      })
      return { socket, answer }
    }
    const open = [await answered(), await answered(), await answered()]
    expect(open.map(({ answer }) => answer)).toEqual(Array(3).fill('HTTP/1.1 200 OK'))
    expect((await answered()).answer).toBe('closed')
    open[0]!.socket.destroy()
    while ((await answered()).answer === 'closed');
  })

  it('says 503 and why while it isn’t ready', async () => {
    const waiting = await world.serve({ readiness: () => ({ ready: false, reasons: ['draining'] }) })
    const response = await fetch(`http://${waiting.address}/readyz`)
    expect(response.status).toBe(503)
    expect(await response.json()).toEqual({ ready: false, reasons: ['draining'] })
    await waiting[Symbol.asyncDispose]()
  })

  it('speaks no plain HTTP beyond loopback', async () => {
    await expect(world.serve({ listen: '0.0.0.0:0' })).rejects.toThrow(/plain HTTP/)
  })

  it('names the issuer of people to sign in with, and 404 where there is none', async () => {
    expect(await (await world.call('/v1/sign-in')).json()).toEqual({
      issuer: world.people.url,
      client_id: world.people.clientId,
      scopes: ['openid'],
      resource: world.people.resource,
    })
    const none = await world.serve({ issuers: () => [] })
    expect((await fetch(`http://${none.address}/v1/sign-in`)).status).toBe(404)
    await none[Symbol.asyncDispose]()
  })

  it('measures calls by route, not by what strangers ask for', async () => {
    await world.call('/what/a/stranger/asks')
    const text = await (await world.call('/metrics')).text()
    expect(text).toContain('route="/v1/sessions/:id"')
    expect(text).toContain('route="none"')
    expect(text).not.toContain('stranger')
    expect(text).not.toContain(live.id)
  })
})

describe('the OpenAPI document', () => {
  it('is 3.1 and tells every route with its errors, from the contract’s schemas', async () => {
    const document = (await (await world.call('/openapi.json')).json()) as {
      openapi: string
      paths: Record<
        string,
        Record<
          string,
          { summary?: string; tags?: string[]; responses: Record<string, { content: object }>; security?: object[] }
        >
      >
      components: { schemas: Record<string, object> }
    }
    expect(document.openapi).toBe('3.1.0')
    expect(Object.keys(document.paths).toSorted()).toEqual([
      '/.well-known/countersign',
      '/.well-known/oauth-authorization-server',
      '/.well-known/oauth-protected-resource',
      '/healthz',
      '/metrics',
      '/readyz',
      '/v1/access',
      '/v1/agents',
      '/v1/agents/{id}',
      '/v1/agents/{id}/access',
      '/v1/approvals',
      '/v1/approvals/{id}',
      '/v1/approvals/{id}/decisions',
      '/v1/break-glass',
      '/v1/break-glass/{id}/review',
      '/v1/campaign-templates',
      '/v1/campaign-templates/{id}',
      '/v1/campaigns',
      '/v1/campaigns/{id}',
      '/v1/campaigns/{id}/bulk',
      '/v1/campaigns/{id}/close',
      '/v1/campaigns/{id}/items',
      '/v1/campaigns/{id}/items.csv',
      '/v1/campaigns/{id}/items.json',
      '/v1/campaigns/{id}/items/{item}',
      '/v1/campaigns/{id}/items/{item}/comments/{comment}',
      '/v1/campaigns/{id}/items/{item}/decisions/{decision}',
      '/v1/campaigns/{id}/items/{item}/delegate',
      '/v1/campaigns/{id}/items/{item}/reassign',
      '/v1/campaigns/{id}/pack',
      '/v1/campaigns/{id}/report',
      '/v1/campaigns/{id}/sign-off',
      '/v1/campaigns/{id}/signals',
      '/v1/campaigns/{id}/start',
      '/v1/commands',
      '/v1/connections',
      '/v1/connections/{name}/freeze',
      '/v1/connections/{name}/unfreeze',
      '/v1/delegations',
      '/v1/delegations/{id}/end',
      '/v1/feed',
      '/v1/freeze',
      '/v1/grants',
      '/v1/grants/{id}',
      '/v1/grants/{id}/extend',
      '/v1/grants/{id}/revoke',
      '/v1/ledger',
      '/v1/ledger/checkpoint',
      '/v1/ledger/cosignatures',
      '/v1/ledger/tile/{*}',
      '/v1/legal-holds',
      '/v1/legal-holds/{id}/lift',
      '/v1/me',
      '/v1/overlays',
      '/v1/overlays/export',
      '/v1/overlays/{id}',
      '/v1/overlays/{id}/apply',
      '/v1/overlays/{id}/reject',
      '/v1/overlays/{id}/retire',
      '/v1/overlays/{id}/roll-back',
      '/v1/people',
      '/v1/people/{id}',
      '/v1/people/{id}/left',
      '/v1/plans',
      '/v1/plans/{id}',
      '/v1/policy',
      '/v1/policy/backtest',
      '/v1/policy/backtests',
      '/v1/policy/backtests/{id}',
      '/v1/policy/backtests/{id}/cancel',
      '/v1/policy/check',
      '/v1/policy/drafts',
      '/v1/policy/drafts/{id}',
      '/v1/policy/versions',
      '/v1/policy/versions/{version}',
      '/v1/retention',
      '/v1/retention/runs',
      '/v1/retention/runs/{id}',
      '/v1/sessions',
      '/v1/sessions/{id}',
      '/v1/sessions/{id}/annotations',
      '/v1/sessions/{id}/annotations/{annotation}',
      '/v1/sessions/{id}/annotations/{annotation}/withdraw',
      '/v1/sessions/{id}/bundle',
      '/v1/sessions/{id}/events',
      '/v1/sessions/{id}/playbacks/{playback}',
      '/v1/sessions/{id}/recording',
      '/v1/sessions/{id}/terminate',
      '/v1/sign-in',
      '/v1/token',
      '/v1/token/revoke',
      '/v1/tokens',
      '/v1/tokens/{id}',
      '/v1/tokens/{id}/revoke',
      '/v1/unfreeze',
    ])
    for (const path of Object.values(document.paths))
      for (const call of Object.values(path)) {
        expect(call.summary).toBeTruthy()
        if (call.security) expect(Object.keys(call.responses)).toEqual(expect.arrayContaining(['401', '429']))
        for (const [status, response] of Object.entries(call.responses))
          if (Number(status) >= 400 && status !== '503')
            // Those of the token endpoint are RFC 6749's.
            expect(response.content).toMatchObject(
              call.tags?.includes('tokens') && !call.security
                ? { 'application/json': {} }
                : { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
            )
      }
    expect(document.components.schemas).toHaveProperty('Approval')
    expect(document.components.schemas).toHaveProperty('Session')
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map((m) => m[1]!)
    for (const ref of refs) expect(Object.keys(document.components.schemas)).toContain(ref)
  })
})
