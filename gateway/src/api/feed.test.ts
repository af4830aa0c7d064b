import { once } from 'node:events'
import { connect } from 'node:net'
import { text as textOf } from 'node:stream/consumers'
import type { FeedMessage } from '@countersign/contract/feed'
import { FeedMessage as FeedMessageSchema } from '@countersign/contract/feed'
import type { Session } from '@countersign/contract/session'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import type { Identity } from '../identity/principal.ts'
import { appendFeed, type StoredMessage } from '../store/feed.ts'
import { openStore } from '../store/store.ts'
import { type FeedBounds, feedBounds, serveFeed } from './feed.ts'
import { type Caller, cast, FeedClient, silent, startWorld, type World } from './testing/world.ts'

let world: World
const clients: FeedClient[] = []
beforeAll(async () => {
  world = await startWorld({ feedsPerCaller: 3 })
  await everybodyKnown()
})
/** Who comes for the first time is news of its own. */
const everybodyKnown = async () => {
  for (const caller of [...Object.keys(cast), 'agent', 'other-agent'] as Caller[]) await world.call('/v1/me', caller)
  await world.access.registry.flush()
}
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()))
})
afterAll(() => world[Symbol.asyncDispose]())

const listen = async (path: string, as: Caller) => {
  const client = await world.listen(path, as)
  clients.push(client)
  return client
}
const types = (messages: FeedMessage[]) => messages.map((message) => message.type)
const closedOf = (id: string) => (messages: FeedMessage[]) =>
  messages.some((m) => m.type === 'session.closed' && m.data.id === id)

describe('the feed', () => {
  it('tells what happens from now on, in order, as the contract has it', async () => {
    const ada = await listen('/v1/feed', 'ada')
    const rae = await listen('/v1/feed', 'rae')
    // Connected is not yet subscribed: the first thing heard says that it is.
    const session = await world.session()
    await rae.until((messages) => messages.length > 0)
    const approval = await world.hold(session)
    await ada.until((messages) => messages.length > 0)
    const token = { verdict: 'approve', digest: approval.command.digest }
    await world.call(`/v1/approvals/${approval.id}/decisions`, 'ada', { method: 'POST', body: JSON.stringify(token) })
    await session.close('closed', 'bye')
    await ada.until(closedOf(session.id))
    await rae.until(closedOf(session.id))
    for (const message of [...ada.messages, ...rae.messages]) FeedMessageSchema.parse(message)
    expect(types(ada.messages)).toEqual(['approval.opened', 'approval.decided', 'session.closed'])
    expect(types(rae.messages)).toEqual(['session.opened', 'session.closed'])
    expect(ada.messages[0]?.data).toMatchObject({ id: approval.id, mayDecide: true })
    expect(ada.messages[1]?.data).toMatchObject({ state: 'approved', mayDecide: false })
    const seqs = ada.messages.map((message) => message.seq)
    expect(seqs).toEqual(seqs.toSorted((a, b) => a - b))
  })

  it.each<[Caller, string[]]>([
    ['ada', ['approval.opened mine', 'approval.closed mine', 'session.closed mine']],
    ['sam', ['approval.opened other', 'approval.closed other', 'session.closed other']],
    [
      'max',
      [
        'session.opened mine',
        'session.opened other',
        'approval.opened mine',
        'approval.opened other',
        'approval.closed mine',
        'approval.closed other',
        'session.closed mine',
        'session.closed other',
      ],
    ],
    ['rae', ['session.opened mine', 'session.opened other', 'session.closed mine', 'session.closed other']],
    ['aud', ['session.opened mine', 'session.opened other', 'session.closed mine', 'session.closed other']],
    ['agent', ['session.opened mine', 'approval.opened mine', 'approval.closed mine', 'session.closed mine']],
  ])('shows %s what the calls would', async (caller, expected) => {
    const client = await listen(`/v1/feed?after=${await world.store.feed.newest()}`, caller)
    const end = await listen(`/v1/feed?after=${await world.store.feed.newest()}`, 'max')
    const mine = await world.session('agent')
    const other = await world.session('other-agent')
    const first = await world.hold(mine, ['oncall-dba'])
    const second = await world.hold(other, ['sre'])
    await world.approvals.cancel(first.id, 'the client went')
    await world.approvals.cancel(second.id, 'the client went')
    await mine.close('closed', '')
    await other.close('closed', '')
    await end.until(closedOf(other.id))
    const seen = () =>
      client.messages
        .filter((m) => !(m.type === 'session.opened' && (caller === 'ada' || caller === 'sam')))
        .map((m) => `${m.type} ${(m.data as { agent: string }).agent.endsWith('other-agent') ? 'other' : 'mine'}`)
    await client.until(() => seen().length >= expected.length)
    expect(seen()).toEqual(expected)
  })

  it('tells everybody but agents of the ledger’s checkpoints', async () => {
    const from = await world.store.feed.newest()
    const callers: Caller[] = ['ada', 'rae', 'aud', 'max', 'agent']
    const heard = await Promise.all(callers.map((caller) => listen(`/v1/feed?after=${from}`, caller)))
    const head = { origin: 'gw/ledger', size: 7, note: 'a note' }
    await world.store.db.transaction().execute((tx) => appendFeed(tx, 'ledger.checkpoint', head))
    const session = await world.session('agent')
    await world.hold(session)
    for (const client of heard) await client.until((messages) => messages.some(({ type }) => /opened/.test(type)))
    expect(heard.map(({ messages }) => messages.some(({ type }) => type === 'ledger.checkpoint'))).toEqual([
      ...[true, true, true, true],
      false,
    ])
    await session.close('closed', '')
  })

  it('shows a person without a role, and one without a token, nothing', async () => {
    await expect(world.listen('/v1/feed', 'nobody')).rejects.toMatchObject({ status: 403 })
    await expect(FeedClient.connect(`${world.url.replace('http', 'ws')}/v1/feed`)).rejects.toMatchObject({
      status: 401,
    })
    await expect(FeedClient.connect(`${world.url.replace('http', 'ws')}/v1/feed`, 'nonsense')).rejects.toMatchObject({
      status: 401,
    })
  })

  it.each(['-1', 'x', '1.5', '1e400', '99999999999999999999'])('refuses after=%s', async (after) => {
    await expect(world.listen(`/v1/feed?after=${after}`, 'ada')).rejects.toMatchObject({ status: 400 })
  })

  it('resumes without a loss from any number', async () => {
    const start = await world.store.feed.newest()
    for (let i = 0; i < 5; i++) await (await world.session()).close('closed', '')
    const whole = await listen(`/v1/feed?after=${start}`, 'rae')
    await whole.until((messages) => messages.length === 10)
    for (const from of [1, 4, 9]) {
      const client = await world.listen(`/v1/feed?after=${whole.messages[from]!.seq}`, 'rae')
      await client.until((messages) => messages.length === 9 - from)
      expect(client.messages).toEqual(whole.messages.slice(from + 1))
      await client.close()
    }
  })

  it('starts with reset from a number that it never gave out, and goes on', async () => {
    const client = await listen('/v1/feed?after=1000000', 'rae')
    await client.until((messages) => messages.length === 1)
    expect(client.messages[0]).toMatchObject({ type: 'reset', seq: await world.store.feed.newest(), data: {} })
    FeedMessageSchema.parse(client.messages[0])
    const session = await world.session()
    await client.until((messages) => messages.length === 2)
    expect(client.messages[1]).toMatchObject({ type: 'session.opened', data: { id: session.id } })
    await session.close('closed', '')
  })

  it('closes with 4401 when the token expires', async () => {
    const identity: Identity = {
      authenticate: async (token) => ({
        ...(await world.identity.authenticate(token)),
        expiresAt: new Date(Date.now() + 300),
      }),
    }
    const api = await world.serve({ identity })
    const client = await FeedClient.connect(`ws://${api.address}/v1/feed`, await world.token('ada'))
    expect(await client.untilClosed()).toMatchObject({ code: 4401 })
    await api[Symbol.asyncDispose]()
  })

  it('takes no messages: few are ignored, many or large ones end it', async () => {
    const few = await listen('/v1/feed', 'ada')
    for (let i = 0; i < 10; i++) few.socket.send('hello')
    const many = await world.listen('/v1/feed', 'ada')
    for (let i = 0; i < 200; i++) many.socket.send('hello')
    expect(await many.untilClosed()).toMatchObject({ code: 1008 })
    const large = await world.listen('/v1/feed', 'ada')
    large.socket.send('x'.repeat(5000))
    expect(await large.untilClosed()).toMatchObject({ code: 1009 })
    expect(few.closed).toBeUndefined()
  })

  it('bounds how often one person listens, and lets go when they stop', async () => {
    for (let i = 0; i < 3; i++) await listen('/v1/feed', 'sam')
    await expect(world.listen('/v1/feed', 'sam')).rejects.toMatchObject({ status: 429 })
    await listen('/v1/feed', 'aud')
    await clients[0]!.close()
    let again: FeedClient | undefined
    while (!again) again = await world.listen('/v1/feed', 'sam').catch(() => undefined)
    clients.push(again)
  })

  it('says goodbye when the gateway stops', async () => {
    const api = await world.serve({})
    const client = await FeedClient.connect(`ws://${api.address}/v1/feed`, await world.token('ada'))
    await api[Symbol.asyncDispose]()
    expect(await client.untilClosed()).toMatchObject({ code: 1001 })
  })

  it('doesn’t wait for one that doesn’t listen to that', async () => {
    const api = await world.serve({})
    const client = await FeedClient.connect(`ws://${api.address}/v1/feed`, await world.token('ada'))
    client.socket.pause()
    await api[Symbol.asyncDispose]()
    client.socket.terminate()
  })

  it.each([
    ['without a token', '/v1/feed', 401],
    ['of a path that is none', '/nothing', 404],
    ['of a path that can’t be decoded', '/%zz', 400],
  ])('answers an upgrade %s, and ends the connection', async (_, path, status) => {
    const [host, port] = world.api.address.split(':')
    const socket = connect(Number(port), host)
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    )
    expect(await textOf(socket)).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  })

  it('survives a half-open upgrade and a socket cut in the middle', async () => {
    const [host, port] = world.api.address.split(':')
    const token = await world.token('ada')
    const head = `GET /v1/feed HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer ${token}\r\n\r\n`
    for (const bytes of [head, head.replace('dGhlIHNhbXBsZSBub25jZQ==', 'x'), `${head}\x81\xff\xff\xff`]) {
      const socket = connect(Number(port), host)
      await new Promise<void>((resolve) => {
        socket.write(bytes, 'latin1')
        socket.once('data', () => socket.resetAndDestroy())
        socket.once('close', () => resolve())
        socket.on('error', () => {})
      })
    }
    expect((await world.call('/healthz')).status).toBe(200)
  })
})

describe('serving one listener', () => {
  const session = (n: number): Session => ({
    id: `se_${n}`,
    state: 'open',
    connection: 'orders',
    connectionTags: [],
    protocol: 'postgres',
    mode: 'enforce',
    agent: 'a',
    identity: { id: 'a', issuer: 'i', subject: 's', name: 'n', groups: [] },
    client: { address: '127.0.0.1' },
    openedAt: new Date(0).toISOString(),
    counts: { commands: 0, held: 0, denied: 0, errors: 0 },
    recording: { bytes: 0, complete: false },
  })

  async function ground(options: {
    bounds?: Partial<FeedBounds>
    view?: (message: StoredMessage) => StoredMessage | undefined | Promise<StoredMessage | undefined>
    feedKeeps?: number
  }) {
    const store = await openStore(':memory:', options.feedKeeps === undefined ? {} : { feedKeeps: options.feedKeeps })
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    server.on('connection', (socket, request) => {
      const after = new URL(request.url!, 'http://x').searchParams.get('after')
      serveFeed({
        socket,
        feed: store.feed,
        after: after === null ? undefined : Number(after),
        view: options.view ?? ((message) => message),
        expiresAt: new Date(Date.now() + 60 * 86_400_000),
        watch: () => () => {},
        clock: Date.now,
        bounds: { ...feedBounds, ...options.bounds },
        log: silent,
      })
    })
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as { port: number }
    let said = 0
    let stopped = false
    const running = {
      store,
      server,
      url: `ws://127.0.0.1:${port}/`,
      say: (data = session(++said)) => store.db.transaction().execute((tx) => appendFeed(tx, 'session.opened', data)),
      async stop() {
        if (stopped) return
        stopped = true
        for (const client of server.clients) client.terminate()
        server.close()
        await store[Symbol.asyncDispose]()
      },
    }
    grounds.push(running)
    return running
  }
  const grounds: { stop(): Promise<void> }[] = []
  afterEach(async () => {
    for (const each of grounds.splice(0)) await each.stop()
  })

  it('has no gap and no double where replay meets what is said meanwhile, whatever the bounds', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          before: fc.integer({ min: 0, max: 40 }),
          rounds: fc.array(
            fc.record({
              say: fc.integer({ min: 0, max: 12 }),
              connectAt: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 2 }),
            }),
            { minLength: 1, maxLength: 4 },
          ),
          queue: fc.integer({ min: 1, max: 8 }),
          inFlight: fc.constantFrom(1, 600, 1_000_000),
          asyncView: fc.boolean(),
          hides: fc.integer({ min: 2, max: 5 }),
        }),
        async ({ before, rounds, queue, inFlight, asyncView, hides }) => {
          const sees = (message: StoredMessage) => (message.seq % hides === 0 ? undefined : message)
          const g = await ground({
            bounds: { queue, inFlight },
            view: asyncView ? (m) => new Promise((resolve) => setImmediate(() => resolve(sees(m)))) : sees,
          })
          const listeners: { from: number; client: FeedClient }[] = []
          for (let i = 0; i < before; i++) await g.say()
          for (const { say, connectAt } of rounds) {
            const saying = Array.from({ length: say }, () => g.say())
            const newest = await g.store.feed.newest()
            const connecting = connectAt.map(async (part) => {
              const from = Math.floor(part * newest)
              listeners.push({ from, client: await FeedClient.connect(`${g.url}?after=${from}`) })
            })
            await Promise.all([...saying, ...connecting])
          }
          // The last one is one that everybody sees.
          do await g.say()
          while ((await g.store.feed.newest()) % hides === 0)
          const last = await g.store.feed.newest()
          for (const { from, client } of listeners) {
            await client.until((messages) => (messages.at(-1)?.seq ?? 0) >= last)
            const expected = Array.from({ length: last - from }, (_, i) => from + 1 + i).filter((n) => n % hides !== 0)
            expect(client.messages.map((message) => message.seq)).toEqual(expected)
          }
          await g.stop()
        },
      ),
      { numRuns: 40, seed: 7 },
    )
  })

  it('starts from now without a number, with nothing of before', async () => {
    const g = await ground({})
    await g.say()
    const client = await FeedClient.connect(g.url)
    let said = 1
    while (client.messages.length === 0) {
      said = await g.say()
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(client.messages[0]!.seq).toBeGreaterThan(1)
    await client.until((messages) => messages.at(-1)!.seq === said)
  })

  it('closes one that doesn’t read with 1013, keeps little for it, and lets it resume', async () => {
    const g = await ground({ bounds: { inFlight: 64 * 1024, stall: 50, queue: 10 } })
    const client = await FeedClient.connect(`${g.url}?after=0`)
    client.socket.pause()
    const big = { ...session(0), purpose: 'x'.repeat(200_000) }
    const [served] = g.server.clients
    for (let i = 0; i < 200; i++) await g.say(big)
    while (served!.readyState === served!.OPEN) await new Promise((resolve) => setTimeout(resolve, 5))
    client.socket.resume()
    expect(await client.untilClosed()).toMatchObject({ code: 1013 })
    const had = client.messages.at(-1)?.seq ?? 0
    expect(had).toBeLessThan(200)
    // As a console does: again and again from where it is, however slow this machine is today.
    const seen = client.messages.map((message) => message.seq)
    while (seen.at(-1) !== 200) {
      const again = await FeedClient.connect(`${g.url}?after=${seen.at(-1) ?? 0}`)
      await again.until((messages) => messages.at(-1)?.seq === 200).catch(() => {})
      seen.push(...again.messages.map((message) => message.seq))
    }
    expect(seen).toEqual(Array.from({ length: 200 }, (_, i) => i + 1))
  })

  it('drops one that no longer answers pings', async () => {
    const g = await ground({ bounds: { heartbeat: 20 } })
    const client = await FeedClient.connect(g.url, undefined, { autoPong: false })
    expect(await client.untilClosed()).toMatchObject({ code: 1006 })
  })

  it('keeps one that answers pings', async () => {
    // Both ends run in this process: between a ping and the next it must get round to the pong, on a busy machine too.
    const g = await ground({ bounds: { heartbeat: 300 } })
    const client = await FeedClient.connect(g.url)
    let pings = 0
    await Promise.race([
      new Promise<void>((resolve) => client.socket.on('ping', () => ++pings === 3 && resolve())),
      once(client.socket, 'close'),
    ])
    expect(client.closed).toBeUndefined()
    expect(pings).toBe(3)
  })

  it('starts with reset where what follows is no longer kept', async () => {
    const g = await ground({ feedKeeps: 10 })
    for (let i = 0; i < 60; i++) await g.say()
    while ((await g.store.feed.oldest()) <= 3) await new Promise((resolve) => setImmediate(resolve))
    const client = await FeedClient.connect(`${g.url}?after=2`)
    await client.until((messages) => messages.length === 1)
    expect(client.messages[0]).toMatchObject({ type: 'reset', seq: 60 })
    const next = await g.say()
    await client.until((messages) => messages.at(-1)!.seq === next)
    expect(client.messages.map((m) => m.seq)).toEqual([60, 61])
  })
})
