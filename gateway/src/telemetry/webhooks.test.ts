import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Counter } from 'prom-client'
import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { approve, deny, minute, open, person, requirement, type World, world } from '../approvals/testing/approvals.ts'
import { bot } from '../policy/testing/policies.ts'
import { appendFeed } from '../store/feed.ts'
import type { WebhookContent, WebhookEvent } from './webhook-event.ts'
import { WEBHOOK_SECRET_FILE, webhookSecrets } from './webhook-secret.ts'
import { createWebhooks, type WebhookBounds, type Webhooks } from './webhooks.ts'

const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const older = `whsec_${Buffer.alloc(32, 8).toString('base64')}`
const hour = 60 * minute

interface Call {
  path: string
  headers: IncomingHttpHeaders
  body: string
}

/** A receiver as somebody would write one: it answers what it is told to, 204 where nothing is said. */
class Receiver {
  readonly calls: Call[] = []
  /** Answers by turns; the last one stays. `hang` never answers. */
  answers: (number | 'hang')[] = [204]
  #server: Server
  #wake = () => {}
  private constructor(server: Server) {
    this.#server = server
  }
  static async start(): Promise<Receiver> {
    const server = createServer()
    const receiver = new Receiver(server)
    server.on('request', (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk) => chunks.push(chunk))
      request.on('end', () => {
        receiver.calls.push({ path: request.url!, headers: request.headers, body: Buffer.concat(chunks).toString() })
        const answer = receiver.answers.length > 1 ? receiver.answers.shift()! : receiver.answers[0]!
        if (answer !== 'hang') response.writeHead(answer, { location: '/elsewhere' }).end('whatever'.repeat(1000))
        receiver.#wake()
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return receiver
  }
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`
  }
  get events(): WebhookEvent[] {
    return this.calls.map(({ body }) => JSON.parse(body) as WebhookEvent)
  }
  async until(calls: number): Promise<void> {
    while (this.calls.length < calls)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
  }
  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

let w: World
let receiver: Receiver
let webhooks: Webhooks | undefined
let counted: Counter<'result'>
let config: { webhooks: string[]; webhook_content: WebhookContent }
let logged: object[]
beforeEach(async () => {
  w = await world()
  receiver = await Receiver.start()
  config = { webhooks: [receiver.url], webhook_content: 'name' }
  logged = []
})
afterEach(async () => {
  await webhooks?.[Symbol.asyncDispose]()
  webhooks = undefined
  await receiver.stop()
  await w[Symbol.asyncDispose]()
})

async function start(bounds: Partial<WebhookBounds> = {}, secrets = [secret]): Promise<Webhooks> {
  counted = new Counter({ name: 'deliveries', help: 'x', labelNames: ['result'], registers: [] })
  const log = (fields: object) => void logged.push(fields)
  webhooks = createWebhooks({
    store: w.store,
    config: () => config,
    secrets,
    source: 'https://gw.example.com',
    version: '1.2.3',
    clock: w.clock,
    log: { info: log, warn: log, error: log } as never,
    counted,
    bounds: { timeout: 2000, ...bounds },
  })
  await webhooks.start()
  return webhooks
}
const count = async () =>
  Object.fromEntries((await counted.get()).values.map(({ labels, value }) => [labels.result, value]))
/** Resolves once so many deliveries wait; nothing is polled but the feed and what was told. */
const untilWaiting = async (many: number) => {
  while ((await webhooks!.waiting()) !== many) await new Promise((resolve) => setImmediate(resolve))
}
const ada = person('Ada', ['oncall-dba'])
const asking = [{ ...requirement('deletes', ['oncall-dba']), escalation: [{ after: '3m', groups: ['leads'] }] }]

/** As Standard Webhooks has receivers do it, at the time of the clock. */
function verified(call: Call, by = secret): unknown {
  const real = Date.now
  Date.now = () => w.clock.now().getTime()
  try {
    return new Webhook(by).verify(call.body, call.headers as Record<string, string>)
  } finally {
    Date.now = real
  }
}

describe('a receiver', () => {
  test('is told of an approval’s life, each event signed, once, in its order', async () => {
    await start()
    const { id } = await open(w, 'fail', asking)
    await receiver.until(1)
    w.clock.advance(3 * minute)
    await receiver.until(2)
    await w.approvals.decide(id, ada, deny())
    await receiver.until(4)
    expect(receiver.events.map(({ type }) => type)).toEqual([
      'countersign.approval.opened',
      'countersign.approval.escalated',
      'countersign.approval.decided',
      'countersign.approval.closed',
    ])
    for (const call of receiver.calls) {
      const event = verified(call) as WebhookEvent
      expect(call.headers).toMatchObject({
        'content-type': 'application/cloudevents+json; charset=utf-8',
        'webhook-id': event.id,
        'webhook-signature': expect.stringMatching(/^v1,[A-Za-z0-9+/]{43}=$/),
      })
      expect(event).toMatchObject({
        specversion: '1.0',
        source: 'https://gw.example.com',
        subject: id,
        datacontenttype: 'application/json',
        data: { class_uid: 3004, category_uid: 3, metadata: { version: '1.3.0', uid: event.id } },
      })
      expect(event.data.type_uid).toBe(300_400 + Number(event.data.activity_id))
      expect(event.data.time).toBe(Date.parse(event.time))
    }
    expect(new Set(receiver.events.map((event) => event.id)).size).toBe(4)
    expect(receiver.events[2]!.data).toMatchObject({
      comment: 'too much',
      message: 'Ada has denied a command (delete) of Deploy bot on orders',
      actor: { user: { uid: ada.id, name: 'Ada' } },
      entity: { uid: id, data: { state: 'denied', requirements: [{ escalatedTo: ['leads'] }] } },
    })
    await untilWaiting(0)
    expect(await count()).toEqual({ delivered: 4 })
  })

  test('finds another secret, another time and another body wrong', async () => {
    await start()
    await open(w, 'fail')
    await receiver.until(1)
    const call = receiver.calls[0]!
    expect(() => verified(call, older)).toThrow(/signature/)
    expect(() => verified({ ...call, body: call.body.replace('orders', 'others') })).toThrow(/signature/)
    w.clock.advance(6 * minute)
    expect(() => verified(call)).toThrow(/too old/)
  })

  test('may check by the older secret while it is replaced', async () => {
    await start({}, [secret, older])
    await open(w, 'fail')
    await receiver.until(1)
    expect(verified(receiver.calls[0]!)).toBeTruthy()
    expect(verified(receiver.calls[0]!, older)).toBeTruthy()
  })

  test('is told of break-glass and its review, and of grants, and of nothing else', async () => {
    await start()
    w.config.break_glass = { groups: ['oncall-dba'], max: hour, unreviewed: 3 }
    const { id } = await open(w, 'fail', [requirement('two', ['oncall-dba'], 2)])
    await w.approvals.decide(id, ada, { ...approve(), reason: 'the shop is down', breakGlass: true })
    const [use] = (await w.approvals.breakGlass.list({ limit: 1 })).items
    const rae = person('Rae', [], { roles: ['reviewer'] })
    await w.approvals.breakGlass.review(use!.id, rae, { verdict: 'justified', reason: 'it was' })
    await w.seen(ada)
    const grant = {
      ...{ id: 'gr_1', state: 'revoked' as const, connection: 'orders', connectionTags: ['production'], agent: bot.id },
      identity: { id: bot.id, issuer: bot.issuer, subject: bot.subject, name: bot.name, groups: bot.groups },
      ...{ actions: ['sql:read'], duration: '1h', seconds: 3600, purpose: 'the secret purpose', policies: [] },
      requestedAt: w.clock.now().toISOString(),
      requestedBy: { kind: 'agent' as const, id: bot.id, name: bot.name },
      approvedBy: [],
      endedBy: { kind: 'person' as const, id: ada.id, name: 'Ada' },
      endedBecause: 'revoked by Ada',
      sessions: 0,
    }
    await w.store.db.transaction().execute((tx) => appendFeed(tx, 'grant.revoked', grant, w.clock.now()))
    await receiver.until(5)
    await untilWaiting(0)
    expect(receiver.events.map(({ type, subject, data }) => [type.slice(12), subject, data.severity_id])).toEqual([
      ['approval.opened', id, 1],
      ['break-glass.used', use!.id, 4],
      ['approval.decided', id, 4],
      ['break-glass.reviewed', use!.id, 1],
      ['grant.revoked', 'gr_1', 1],
    ])
    expect(receiver.events[1]!.data).toMatchObject({ activity_id: 99, comment: 'the shop is down' })
    expect(receiver.calls.at(-1)!.body).not.toContain('the secret purpose')
    expect(receiver.events.at(-1)!.data).toMatchObject({ comment: 'revoked by Ada', actor: { user: { name: 'Ada' } } })
  })

  test.each<[WebhookContent, boolean]>([
    ['name', false],
    ['command', true],
  ])('with webhook_content: %s, the text is told: %s', async (content, told) => {
    config.webhook_content = content
    await start()
    const text = `DELETE FROM customers -- ${'x'.repeat(100_000)}`
    const session = { id: 'se_1', purpose: 'a purpose' }
    const groups = Array.from({ length: 1000 }, (_, n) => `g${n}-${'y'.repeat(1000)}`)
    await open(w, 'fail', [{ ...requirement('deletes', groups), reason: 'z'.repeat(10_000) }], {
      command: { text, session },
    })
    await receiver.until(1)
    const { body } = receiver.calls[0]!
    expect(body.includes('DELETE FROM')).toBe(told)
    expect(body.includes('a purpose')).toBe(told)
    expect(body.includes('sha256:')).toBe(told)
    // However large the thing is, what is told of it is not.
    expect(Buffer.byteLength(body)).toBeLessThan(64 * 1024)
    if (told)
      expect(receiver.events[0]!.data.entity).toMatchObject({
        data: { command: { length: text.length, text: text.slice(0, 4096) } },
      })
  })

  test('is told of the closing once, not of what became of the command', async () => {
    await start()
    const { id } = await open(w, 'fail')
    await w.approvals.decide(id, ada, approve())
    await w.approvals.use(id, new AbortController().signal)
    w.clock.advance(1)
    await w.approvals.reportOutcome(id, { status: 'completed', tag: 'DELETE 3' })
    await open(w, 'fail')
    await receiver.until(4)
    await untilWaiting(0)
    expect(receiver.events.map(({ type }) => type.slice(21))).toEqual(['opened', 'decided', 'closed', 'opened'])
  })
})

describe('what could not be told', () => {
  test.each<[what: string, answer: number | 'hang', problem: RegExp]>([
    ['refused', 500, /answered 500/],
    ['unknown there', 404, /answered 404/],
    ['redirected, which is not followed', 307, /redirects \(307\)/],
    ['never answered', 'hang', /did not answer within 100 ms/],
  ])('%s: is told again', async (_, answer, problem) => {
    receiver.answers = [answer, 204]
    await start({ timeout: answer === 'hang' ? 100 : 2000 })
    await open(w, 'fail')
    await receiver.until(1)
    await untilFailed(1)
    expect(logged).toContainEqual({
      host: new URL(receiver.url).host,
      tries: 1,
      problem: expect.stringMatching(problem),
    })
    w.clock.advance(5000)
    await receiver.until(2)
    await untilWaiting(0)
    expect(receiver.calls.map(({ path }) => path)).toEqual(['/hook', '/hook'])
    // The same event, so that it counts once; signed for the time of the try.
    expect(receiver.events[0]).toEqual(receiver.events[1])
    expect(receiver.calls[0]!.headers['webhook-timestamp']).not.toBe(receiver.calls[1]!.headers['webhook-timestamp'])
    expect(verified(receiver.calls[1]!)).toBeTruthy()
  })

  const untilFailed = async (times: number) => {
    while (((await count()).failed ?? 0) < times) await new Promise((resolve) => setImmediate(resolve))
  }

  test('is tried at growing distances for 24 hours, then given up', async () => {
    receiver.answers = [503]
    w.config.expires = 7 * 24 * hour
    await start()
    const began = w.clock.now().getTime()
    await open(w, 'fail')
    const times: number[] = []
    for (let tries = 1; ; tries++) {
      await receiver.until(tries)
      times.push(w.clock.now().getTime() - began)
      while (((await count()).failed ?? 0) + ((await count())['given-up'] ?? 0) < tries)
        await new Promise((resolve) => setImmediate(resolve))
      if ((await count())['given-up']) break
      const [row] = await w.store.db.selectFrom('deliveries').selectAll().execute()
      // The alarm is set once the lane has looked.
      while (!w.clock.alarms.includes(row!.next_at)) await new Promise((resolve) => setImmediate(resolve))
      w.clock.advance(Date.parse(row!.next_at) - w.clock.now().getTime())
    }
    const distances = times.slice(1).map((time, n) => time - times[n]!)
    expect(distances).toEqual(distances.toSorted((a, b) => a - b))
    expect(distances[0]).toBe(5000)
    expect(times.at(-1)).toBeGreaterThan(20 * hour)
    expect(times.at(-1)).toBeLessThanOrEqual(24 * hour)
    expect(await webhooks!.waiting()).toBe(0)
    expect(times.length).toBeLessThan(20)
  })

  test('does not hold up another receiver', async () => {
    const other = await Receiver.start()
    receiver.answers = [500]
    config.webhooks = [receiver.url, other.url]
    await start()
    for (let n = 0; n < 3; n++) await open(w, 'fail', undefined, { digest: `sha256:${String(n).repeat(64)}` })
    await other.until(3)
    expect(new Set(other.events.map(({ id }) => id)).size).toBe(3)
    // One that fails is left alone a while, whatever waits for it.
    await untilFailed(1)
    expect(receiver.calls).toHaveLength(1)
    await other.stop()
  })

  test('is bounded: the oldest are given up', async () => {
    receiver.answers = [500]
    w.config.expires = 24 * hour
    await start({ queue: 5 })
    const opened: string[] = []
    for (let n = 0; n < 9; n++)
      opened.push((await open(w, 'fail', undefined, { digest: `sha256:${String(n).repeat(64)}` })).id)
    while (((await count()).dropped ?? 0) < 4) await new Promise((resolve) => setImmediate(resolve))
    await untilWaiting(5)
    await untilFailed(1)
    receiver.answers = [204]
    const told = receiver.calls.length
    while (w.clock.alarms.length < 2) await new Promise((resolve) => setImmediate(resolve))
    w.clock.advance(hour)
    await receiver.until(told + 5)
    expect(new Set(receiver.events.slice(told).map(({ subject }) => subject))).toEqual(new Set(opened.slice(4)))
  })
})

describe('over restarts', () => {
  const stopAll = async () => {
    await webhooks?.[Symbol.asyncDispose]()
    webhooks = undefined
  }

  test('what was said before a kill, and not told, is told after it; what was told is not told again', async () => {
    await start()
    await open(w, 'fail')
    await receiver.until(1)
    await untilWaiting(0)
    // From here on nobody tells: the process is gone before it could, the change was committed.
    await stopAll()
    const { id } = await open(w, 'fail', undefined, { digest: `sha256:${'b'.repeat(64)}` })
    await w.restart()
    await start()
    await receiver.until(2)
    await untilWaiting(0)
    expect(receiver.events[1]!.subject).toBe(id)
    expect(receiver.calls).toHaveLength(2)
  })

  test('in the middle of a call that is not answered: it is called again, with the same id', async () => {
    receiver.answers = ['hang', 204]
    await start({ timeout: 600_000 })
    await open(w, 'fail')
    await receiver.until(1)
    await stopAll()
    await w.restart()
    await start()
    await receiver.until(2)
    expect(receiver.events[0]!.id).toBe(receiver.events[1]!.id)
    await untilWaiting(0)
  })

  test('who is configured later is told what happens from then on; for who is taken away nothing waits', async () => {
    const { webhooks: urls } = config
    config.webhooks = []
    await start()
    await open(w, 'fail')
    config.webhooks = urls
    webhooks!.reconfigured()
    await webhooks!.start()
    const { id } = await open(w, 'fail', undefined, { digest: `sha256:${'c'.repeat(64)}` })
    await receiver.until(1)
    expect(receiver.events[0]!.subject).toBe(id)
    await untilWaiting(0)
    receiver.answers = [500]
    await w.approvals.cancel(id, 'gone')
    await receiver.until(2)
    config.webhooks = []
    webhooks!.reconfigured()
    await untilWaiting(0)
  })
})

describe('the secret', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'countersign-secret-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  test('is made once, for its user alone, and a good one', async () => {
    const made = await Promise.all([webhookSecrets(folder), webhookSecrets(folder), webhookSecrets(folder)])
    expect(new Set(made.map(({ secrets }) => secrets.join())).size).toBe(1)
    expect(made[0]!.secrets).toEqual([expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/)])
    expect((await stat(join(folder, WEBHOOK_SECRET_FILE))).mode & 0o777).toBe(0o600)
    expect(await readdir(folder)).toEqual([WEBHOOK_SECRET_FILE])
    expect(await webhookSecrets(folder)).toMatchObject({ secrets: made[0]!.secrets, made: false })
  })
  test('has others beside it while it is replaced', async () => {
    await writeFile(join(folder, WEBHOOK_SECRET_FILE), `${secret}\n${older}\n`, { mode: 0o600 })
    expect(await webhookSecrets(folder)).toEqual({ secrets: [secret, older], made: false })
  })
  test('is doubtful where others may read it', async () => {
    await writeFile(join(folder, WEBHOOK_SECRET_FILE), secret, { mode: 0o644 })
    expect((await webhookSecrets(folder)).doubt).toMatch(/others may read/)
  })
  test.each(['', '\n', 'secret', 'whsec_', 'whsec_short', `${secret} ${older}`, 'x'.repeat(10_000)])(
    'is refused where the file says %j, and never replaced',
    async (text) => {
      const file = join(folder, WEBHOOK_SECRET_FILE)
      await writeFile(file, text, { mode: 0o600 })
      await expect(webhookSecrets(folder)).rejects.toThrow(/can't be used/)
      expect(await readFile(file, 'utf8')).toBe(text)
    },
  )
})
