import { join } from 'node:path'
import { listOf, Problem } from '@countersign/contract/api'
import type { Annotation, NewAnnotation } from '@countersign/contract/evidence'
import { Annotation as AnnotationSchema, PlaybackId } from '@countersign/contract/evidence'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it, test } from 'vitest'
import { type Caller, startWorld, type World } from '../../api/testing/world.ts'
import { openEntries } from '../ledger/entries.ts'
import type { LiveSession } from '../session.ts'
import { AnnotationRefused, createAnnotations, eraseAnnotations } from './annotations.ts'

let world: World
let seen: LiveSession
let other: LiveSession
let ids = 0

const base32 = 'abcdefghijklmnopqrstuvwxyz234567'
const newId = (prefix: 'an' | 'pb') => {
  let n = ids++
  let text = ''
  for (let i = 0; i < 24; i++) {
    text = base32[n % 32] + text
    n = Math.floor(n / 32)
  }
  return `${prefix}_${text}`
}
const body = (changes: Partial<NewAnnotation> = {}): NewAnnotation => ({
  from: 1500,
  text: 'why did it look here?',
  tags: ['odd'],
  madeAt: '2026-11-20T10:00:00.000Z',
  ...changes,
})
const put = (session: string, id: string, as: Caller, given: unknown = body()) =>
  world.call(`/v1/sessions/${session}/annotations/${id}`, as, { method: 'PUT', body: JSON.stringify(given) })
const withdraw = (session: string, id: string, as: Caller, reason = 'a slip') =>
  world.call(`/v1/sessions/${session}/annotations/${id}/withdraw`, as, {
    method: 'POST',
    body: JSON.stringify({ reason }),
  })
const play = (session: string, id: string, as: Caller, playedAt: string) =>
  world.call(`/v1/sessions/${session}/playbacks/${id}`, as, { method: 'PUT', body: JSON.stringify({ playedAt }) })
const list = async (session: string, as: Caller = 'aud', query = '') =>
  listOf(AnnotationSchema).parse(await (await world.call(`/v1/sessions/${session}/annotations${query}`, as)).json())
/** What the ledger has on disk of what people said and played, in its order. */
const told = async () => {
  await world.ledger.sync()
  using entries = openEntries(join(world.folder, 'logged', 'ledger'))
  return ['annotation', 'annotation.withdrawn', 'playback']
    .flatMap((type) => [...entries.byType(type)])
    .sort((a, b) => a.n - b.n)
    .map(({ type, payload }) => ({ type, payload: String(payload) }))
}
const toldOf = async (word: string) => (await told()).filter(({ payload }) => payload.includes(word))

beforeAll(async () => {
  world = await startWorld()
  seen = await world.session('agent')
  await world.hold(seen, ['oncall-dba'])
  other = await world.session('other-agent')
})
afterAll(() => world[Symbol.asyncDispose]())

describe('who may what', () => {
  const callers = ['ada', 'sam', 'rae', 'aud', 'max', 'both', 'nobody', 'agent', 'other-agent'] as const
  const at = new Date(Date.now() + 1000).toISOString()
  //                                                                ada  sam  rae  aud  max  both nobody agent other
  const matrix: [string, (as: Caller) => Promise<Response>, ...number[]][] = [
    [
      'list',
      (as) => world.call(`/v1/sessions/${seen.id}/annotations`, as),
      200,
      404,
      200,
      200,
      200,
      200,
      403,
      403,
      403,
    ],
    [
      'list of none',
      (as) => world.call('/v1/sessions/se_0/annotations', as),
      404,
      404,
      404,
      404,
      404,
      404,
      403,
      403,
      403,
    ],
    ['put', (as) => put(seen.id, newId('an'), as), 403, 403, 201, 201, 201, 201, 403, 403, 403],
    ['put to none', (as) => put('se_0', newId('an'), as), 403, 403, 404, 404, 404, 404, 403, 403, 403],
    ['withdraw none', (as) => withdraw(seen.id, newId('an'), as), 403, 403, 404, 404, 404, 404, 403, 403, 403],
    ['play', (as) => play(seen.id, newId('pb'), as, at), 201, 404, 201, 201, 201, 201, 403, 403, 403],
  ]
  test.each(matrix)('%s', async (_name, ask, ...expected) => {
    const answered = await Promise.all(callers.map((as) => ask(as)))
    expect(Object.fromEntries(answered.map(({ status }, i) => [callers[i], status]))).toEqual(
      Object.fromEntries(expected.map((status, i) => [callers[i], status])),
    )
    for (const response of answered.filter(({ status }) => status >= 400))
      expect(Problem.parse(await response.json()).detail).toMatch(/^[A-Z`].*[.!?]$/s)
  })
  it('needs a token', async () => {
    expect((await world.call(`/v1/sessions/${seen.id}/annotations`)).status).toBe(401)
  })
})

test('the first time 201, the same again 200, anything else under the same id 409', async () => {
  const id = newId('an')
  const first = await put(seen.id, id, 'aud')
  expect(first.status).toBe(201)
  expect(await first.json()).toMatchObject({ id, session: seen.id, by: { name: 'aud' }, from: 1500, logged: false })
  const cases: [number, Caller, string, NewAnnotation][] = [
    [200, 'aud', seen.id, body()],
    [200, 'aud', seen.id, body({ madeAt: '2026-11-20T12:00:00.000+02:00' })],
    [409, 'aud', seen.id, body({ text: 'another' })],
    [409, 'aud', seen.id, body({ tags: [] })],
    [409, 'aud', seen.id, body({ to: 2000 })],
    [409, 'aud', seen.id, body({ from: 1501 })],
    [409, 'aud', seen.id, body({ madeAt: '2026-11-20T10:00:01.000Z' })],
    [409, 'rae', seen.id, body()],
    [409, 'aud', other.id, body()],
  ]
  for (const [status, as, session, given] of cases) expect((await put(session, id, as, given)).status).toBe(status)
  expect(await toldOf(id)).toHaveLength(1)
})

test.each<[string, unknown]>([
  ['nothing said', body({ text: '' })],
  ['blanks', body({ text: ' \n' })],
  ['too long', body({ text: 'x'.repeat(10_001) })],
  ['half a character', body({ text: 'x\ud800' })],
  ['no character', body({ text: 'x\0' })],
  ['before the beginning', body({ from: -1 })],
  ['backwards', body({ from: 5, to: 4 })],
  ['no number', { ...body(), from: '5' }],
  ['what nobody asked for', { ...body(), by: 'somebody else' }],
  ['a tag that is markup', body({ tags: ['<b>'] })],
  ['too many tags', body({ tags: Array.from({ length: 21 }, (_, i) => `t${i}`) })],
  ['from the future', body({ madeAt: new Date(Date.now() + 3_600_000).toISOString() })],
  ['at no time', body({ madeAt: 'yesterday' })],
])('refuses %s', async (_name, given) => {
  const id = newId('an')
  const response = await put(seen.id, id, 'aud', given)
  expect(response.status).toBe(400)
  expect(Problem.parse(await response.json()).detail).toMatch(/^[A-Z`].*[.!?]$/s)
  expect(await toldOf(id)).toEqual([])
})

test.each(['an_short', 'pb_aaaaaaaaaaaaaaaaaaaaaaaa', `an_${'A'.repeat(24)}`, 'an_..%2f..%2faaaaaaaaaaaaaaaaa'])(
  'refuses the id %s',
  async (id) => {
    expect((await put(seen.id, id, 'aud')).status).toBe(400)
  },
)

test('its author withdraws it, once; it stays readable, and the ledger is told of both', async () => {
  const id = newId('an')
  await put(seen.id, id, 'rae')
  expect((await withdraw(seen.id, id, 'aud')).status).toBe(403)
  expect((await withdraw(other.id, id, 'rae')).status).toBe(404)
  const first = await withdraw(seen.id, id, 'rae', 'it was the wrong session')
  expect(first.status).toBe(200)
  const withdrawn = (await first.json()) as Annotation
  expect(withdrawn.withdrawn).toMatchObject({ reason: 'it was the wrong session' })
  expect(await (await withdraw(seen.id, id, 'rae', 'another reason')).json()).toMatchObject({
    withdrawn: withdrawn.withdrawn,
  })
  expect((await put(seen.id, id, 'rae')).status).toBe(200)
  expect((await list(seen.id)).items.find((item) => item.id === id)).toMatchObject({ withdrawn: withdrawn.withdrawn })
  expect((await toldOf(id)).map(({ type }) => type)).toEqual(['annotation', 'annotation.withdrawn'])
})

test('says when the ledger has it', async () => {
  const id = newId('an')
  const logged = async () => (await list(seen.id)).items.find((item) => item.id === id)?.logged
  expect(await (await put(seen.id, id, 'aud')).json()).toMatchObject({ logged: false })
  await expect.poll(logged).toBe(true)
  expect(await toldOf(id)).toHaveLength(1)
  expect(await (await withdraw(seen.id, id, 'aud')).json()).toMatchObject({ logged: false })
  await expect.poll(logged).toBe(true)
  expect(await toldOf(id)).toHaveLength(2)
})

test('the feed tells who sees the session, and nobody else', async () => {
  const after = await world.store.feed.newest()
  const clients = await Promise.all(
    (['ada', 'sam', 'aud', 'agent', 'other-agent'] as const).map(
      async (as) => [as, await world.listen(`/v1/feed?after=${after}`, as)] as const,
    ),
  )
  const [mine, theirs] = [newId('an'), newId('an')]
  await put(seen.id, mine, 'aud')
  await put(other.id, theirs, 'aud')
  await withdraw(seen.id, mine, 'aud')
  // Something that all of them see, so that what has not come by then was not sent.
  const last = await world.session('agent')
  await world.hold(last, ['oncall-dba', 'sre'])
  const both = await world.session('other-agent')
  await world.hold(both, ['oncall-dba', 'sre'])
  const expected: Partial<Record<Caller, string[]>> = { aud: [mine, theirs, mine], ada: [mine, mine] }
  for (const [as, client] of clients) {
    // The auditor sees no approvals, an agent nothing of the other's.
    const until = as === 'aud' ? 'session.opened' : 'approval.opened'
    const session = as === 'agent' ? last.id : both.id
    const messages = await client.until((all) =>
      all.some(({ type, data }) => type === until && JSON.stringify(data).includes(session)),
    )
    const heard = messages.filter(({ type }) => type.startsWith('annotation.'))
    expect([as, heard.map(({ data }) => (data as Annotation).id)]).toEqual([as, expected[as] ?? []])
    await client.close()
  }
})

test('an offline playback is told once; not from the future, not from before the session', async () => {
  const id = newId('pb')
  const at = new Date().toISOString()
  expect((await play(seen.id, id, 'aud', at)).status).toBe(201)
  expect((await play(seen.id, id, 'aud', at)).status).toBe(200)
  expect((await play(seen.id, id, 'rae', at)).status).toBe(409)
  expect((await play(other.id, id, 'aud', at)).status).toBe(409)
  expect((await play(seen.id, id, 'aud', new Date(Date.now() + 60_000).toISOString())).status).toBe(409)
  expect((await play(seen.id, newId('pb'), 'aud', new Date(Date.now() + 3_600_000).toISOString())).status).toBe(400)
  expect((await play(seen.id, newId('pb'), 'aud', '2001-01-01T00:00:00Z')).status).toBe(400)
  const entries = (await told()).filter(({ type, payload }) => type === 'playback' && payload.includes(at))
  expect(entries.map(({ payload }) => JSON.parse(payload))).toMatchObject([
    { session: seen.id, by: { name: 'aud' }, where: 'offline', playedAt: at },
  ])
})

test('pages, each annotation once and in order', async () => {
  const session = await world.session('agent')
  const all = Array.from({ length: 25 }, () => newId('an'))
  for (const id of all) expect((await put(session.id, id, 'aud')).status).toBe(201)
  const got: string[] = []
  let after: string | null = null
  do {
    const page = await list(session.id, 'aud', `?limit=10${after ? `&after=${after}` : ''}`)
    got.push(...page.items.map(({ id }) => id))
    after = page.next
  } while (after)
  expect(got).toEqual(all)
  expect((await world.call(`/v1/sessions/${session.id}/annotations?after=nonsense`, 'aud')).status).toBe(400)
})

describe('bounds', () => {
  const by = { id: 'x#p', issuer: 'x', subject: 'p', name: 'P' }
  let now: number
  beforeEach(() => {
    now = Date.parse('2026-11-21T12:00:00Z')
  })
  const room = (bounds: Parameters<typeof createAnnotations>[0]['bounds']) =>
    createAnnotations({ store: world.store, clock: () => now, bounds: bounds! })

  test('so many of a person a minute; what was sent already is not counted again', async () => {
    const annotations = room({ perMinute: 3, playbacksPerMinute: 1 })
    const all = Array.from({ length: 4 }, () => newId('an'))
    for (const id of all.slice(0, 3)) await annotations.add('se_slow', id, by, body())
    await expect(annotations.add('se_slow', all[3]!, by, body())).rejects.toMatchObject({ code: 'too-fast' })
    expect(await annotations.add('se_slow', all[0]!, by, body())).toMatchObject({ made: false })
    expect(await annotations.add('se_slow', all[3]!, { ...by, id: 'x#q' }, body())).toMatchObject({ made: true })
    now += 60_001
    expect(await annotations.add('se_slow', newId('an'), by, body())).toMatchObject({ made: true })
    await annotations.playedOffline('se_slow', newId('pb'), by, '2026-11-20T12:00:00Z')
    await expect(annotations.playedOffline('se_slow', newId('pb'), by, '2026-11-20T12:00:00Z')).rejects.toMatchObject({
      code: 'too-fast',
    })
  })

  test('so many of a session', async () => {
    const annotations = room({ perSession: 2 })
    for (let i = 0; i < 2; i++) await annotations.add('se_full', newId('an'), by, body())
    await expect(annotations.add('se_full', newId('an'), by, body())).rejects.toBeInstanceOf(AnnotationRefused)
    expect(await annotations.add('se_other', newId('an'), by, body())).toMatchObject({ made: true })
  })

  test('too many are told in words, and when to go on', async () => {
    const slow = await world.serve({ annotations: room({ perMinute: 0 }) })
    const response = await fetch(`http://${slow.address}/v1/sessions/${seen.id}/annotations/${newId('an')}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${await world.token('aud')}`, 'content-type': 'application/json' },
      body: JSON.stringify(body()),
    })
    expect(response.status).toBe(429)
    expect(response.headers.get('retry-after')).toBe('20')
    expect(Problem.parse(await response.json()).detail).toContain('wait a little')
    await slow[Symbol.asyncDispose]()
  })
})

test('however puts, withdrawals and their repetitions come in, each is there once and told once', async () => {
  let round = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({ which: fc.nat(4), who: fc.constantFrom('p', 'q'), what: fc.constantFrom('put', 'withdraw') }),
        {
          minLength: 1,
          maxLength: 40,
        },
      ),
      fc.boolean(),
      async (deeds, together) => {
        const session = `se_prop${round++}`
        const ids_ = Array.from({ length: 5 }, () => newId('an'))
        const annotations = createAnnotations({ store: world.store, bounds: { perMinute: 1e9 } })
        const person = (who: string) => ({ id: `x#${who}`, issuer: 'x', subject: who, name: who })
        const run = ({ which, who, what }: (typeof deeds)[number]) => {
          const id = ids_[which]!
          const done =
            what === 'put'
              ? annotations.add(session, id, person(who), body({ from: which }))
              : annotations.withdraw(session, id, person(who), who)
          return done.then(
            () => ({ which, who, what, ok: true }),
            (error: unknown) => {
              if (!(error instanceof AnnotationRefused)) throw error
              return { which, who, what, ok: false }
            },
          )
        }
        const outcomes: Awaited<ReturnType<typeof run>>[] = []
        if (together) outcomes.push(...(await Promise.all(deeds.map(run))))
        else for (const deed of deeds) outcomes.push(await run(deed))
        const { items } = await annotations.list(session, { limit: 100 })
        const entries = await toldOf(session)
        const feed = await world.store.db.selectFrom('feed').selectAll().where('data', 'like', `%${session}%`).execute()
        for (const [which, id] of ids_.entries()) {
          const puts = outcomes.filter((o) => o.which === which && o.what === 'put' && o.ok)
          const taken = outcomes.filter((o) => o.which === which && o.what === 'withdraw' && o.ok)
          const there = items.filter((item) => item.id === id)
          expect(there.length).toBe(puts.length > 0 ? 1 : 0)
          // Whoever was first has it: nobody else's put or withdrawal was taken.
          expect(new Set([...puts, ...taken].map(({ who }) => `x#${who}`))).toEqual(
            new Set(there.map(({ by }) => by.id)),
          )
          expect(there.filter((item) => item.withdrawn).length).toBe(taken.length > 0 ? 1 : 0)
          const expected = [...(there.length ? ['annotation'] : []), ...(taken.length ? ['annotation.withdrawn'] : [])]
          expect(entries.filter(({ payload }) => payload.includes(id)).map(({ type }) => type)).toEqual(expected)
          expect(feed.filter(({ data }) => data.includes(id)).map(({ type }) => type)).toEqual(
            expected.map((type) => (type === 'annotation' ? 'annotation.added' : type)),
          )
        }
      },
    ),
    { numRuns: 60, seed: 20261121 },
  )
})

test('erasing takes the words out of the store and the feed', async () => {
  const session = await world.session('agent')
  await put(session.id, newId('an'), 'aud', body({ text: 'quotes 4111 1111 1111 1111' }))
  await put(seen.id, newId('an'), 'aud', body({ text: 'stays' }))
  await world.store.db.transaction().execute((tx) => eraseAnnotations(tx, [session.id]))
  expect((await list(session.id)).items).toEqual([])
  const feed = await world.store.db.selectFrom('feed').select('data').where('type', 'like', 'annotation%').execute()
  expect(feed.some(({ data }) => data.includes('4111'))).toBe(false)
  expect(feed.some(({ data }) => data.includes('stays'))).toBe(true)
})

test('the ids that the tests make are ids', () => expect(PlaybackId.safeParse(newId('pb')).success).toBe(true))
