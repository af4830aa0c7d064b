import { Approval, type ApprovalState } from '@countersign/contract/approval'
import { FeedMessage } from '@countersign/contract/feed'
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { bot } from '../policy/testing/policies.ts'
import {
  ada,
  approve,
  ben,
  cy,
  DIGEST,
  deny,
  minute,
  open,
  person,
  requirement,
  type World,
  world,
} from './testing/approvals.ts'

let w: World
beforeEach(async () => {
  w = await world()
})
afterEach(async () => {
  await w[Symbol.asyncDispose]()
})
const never = new AbortController().signal
const stateOf = async (id: string) => (await w.approvals.get(id))?.state

describe('an approval', () => {
  test('is what the contract says, from the feed, the list and by id', async () => {
    const opened = await open(w, 'wait', [
      { ...requirement('unbounded-delete', ['oncall-dba'], 2), reason: 'Deletes every row' },
    ])
    expect(opened).toEqual({
      id: expect.stringMatching(/^ap_[0-9a-hjkmnp-tv-z]{16}$/),
      state: 'pending',
      connection: 'orders',
      connectionTags: ['production'],
      protocol: 'postgres',
      agent: bot.id,
      identity: { id: bot.id, issuer: bot.issuer, subject: 'bot', name: 'Deploy bot', groups: ['ci-agents'] },
      session: 'se_1',
      command: {
        text: 'DELETE FROM customers',
        parameters: [],
        kind: 'delete',
        effects: [
          {
            action: 'sql:write',
            resource: { type: 'Table', id: 'orders/public.customers' },
            kind: 'delete',
            bounded: false,
            functions: [],
          },
        ],
        digest: DIGEST,
      },
      requirements: [
        { policy: 'unbounded-delete', reason: 'Deletes every row', groups: ['oncall-dba'], quorum: 2, approvedBy: [] },
      ],
      decisions: [],
      requestedAt: '2026-11-21T12:00:00.000Z',
      expiresAt: '2026-11-21T12:10:00.000Z',
      hold: 'wait',
    })
    await w.approvals.decide(opened.id, ada, approve('30m'))
    await w.approvals.decide(opened.id, ben, approve('1h'))
    await w.approvals.use(opened.id, never)
    await w.approvals.reportOutcome(opened.id, { status: 'completed', tag: 'DELETE 3', rows: 3, ms: 1.5 })
    await w.until(() => w.said.length === 5)
    expect(w.said.map((m) => [m.type, (m.data as Approval).state])).toEqual([
      ['approval.opened', 'pending'],
      ['approval.decided', 'pending'],
      ['approval.decided', 'approved'],
      ['approval.closed', 'used'],
      ['approval.outcome', 'used'],
    ])
    for (const message of w.said) expect(FeedMessage.parse(message)).toEqual(message)
    const last = w.said.at(-1)!.data
    expect(await w.approvals.get(opened.id)).toEqual(last)
    expect((await w.approvals.list({ limit: 10 })).items).toEqual([last])
    expect(last).toMatchObject({
      requirements: [{ approvedBy: ['Ada', 'Ben'] }],
      decisions: [
        { person: 'Ada', personId: ada.id, verdict: 'approve', reason: 'looks right', window: '30m' },
        { person: 'Ben', window: '1h' },
      ],
      outcome: { status: 'completed', tag: 'DELETE 3' },
    })
  })
})

/** What each event makes of each state; where the state stays, the event must have been refused or without effect. */
type Event = keyof typeof events
const events = {
  approve: async (id: string) => void (await w.approvals.decide(id, ben, approve())),
  deny: async (id: string) => void (await w.approvals.decide(id, ben, deny())),
  'approve for another digest': async (id: string) =>
    void (await w.approvals.decide(id, ben, approve('once', 'sha256:other'))),
  'approve by an outsider': async (id: string) => void (await w.approvals.decide(id, cy, approve())),
  cancel: async (id: string) => void (await w.approvals.cancel(id, 'the client went')),
  use: async (id: string) => void (await w.approvals.use(id, never)),
  'use by one who has gone': async (id: string) => void (await w.approvals.use(id, AbortSignal.abort())),
  'time passes': async () => {
    w.clock.advance(11 * minute)
    await w.approvals.recover()
  },
  reopen: async (id: string) => void (await w.approvals.reopen(id, [requirement('more', ['sre'])])),
  report: (id: string) => w.approvals.reportOutcome(id, { status: 'completed' }),
  'restart (hold=fail)': async () => {
    await w.restart()
    await w.approvals.recover()
  },
  'stop (hold=fail)': () => w.approvals.cancelWaiting('the gateway is stopping'),
}
const table: Record<ApprovalState, Partial<Record<Event, ApprovalState>>> = {
  pending: { approve: 'approved', deny: 'denied', cancel: 'cancelled', 'time passes': 'expired' },
  approved: { cancel: 'cancelled', use: 'used', 'time passes': 'expired', reopen: 'pending' },
  used: {},
  denied: {},
  expired: {},
  cancelled: {},
}
const reach: Record<ApprovalState, Event[]> = {
  pending: [],
  approved: ['approve'],
  used: ['approve', 'use'],
  denied: ['deny'],
  expired: ['time passes'],
  cancelled: ['cancel'],
}
describe.each(Object.keys(table) as ApprovalState[])('from %s', (from) => {
  test.each(Object.keys(events) as Event[])('%s', async (event) => {
    const { id } = await open(w, 'fail')
    for (const step of reach[from]) await events[step](id)
    expect(await stateOf(id)).toBe(from)
    const before = await w.approvals.get(id)
    await events[event](id)
    const after = (await w.approvals.get(id))!
    expect(after.state).toBe(table[from][event] ?? from)
    if (table[from][event] === undefined && !(from === 'used' && event === 'report')) expect(after).toEqual(before)
    const open_ = after.state === 'pending' || after.state === 'approved'
    expect(after.closedAt === undefined).toBe(open_)
    expect(after.closedBecause === undefined).toBe(open_ || after.state === 'used')
    expect(Approval.parse(after)).toEqual(after)
  })
})

describe('deciding', () => {
  const refusals: [name: string, who: () => Parameters<World['approvals']['decide']>[1], problem: string][] = [
    ['by one of none of the groups', () => cy, 'forbidden'],
    [
      'by one who is no approver',
      () => person('Rae', ['oncall-dba'], { roles: ['reviewer', 'auditor', 'admin'] }),
      'forbidden',
    ],
  ]
  test.each(refusals)('%s is refused', async (_, who, problem) => {
    const { id } = await open(w)
    expect(await w.approvals.decide(id, who(), approve())).toMatchObject({ ok: false, problem })
    expect((await w.approvals.get(id))!.decisions).toEqual([])
  })

  test('of what is not there, and by what is no decision', async () => {
    const { id } = await open(w)
    expect(await w.approvals.decide('ap_none', ada, approve())).toMatchObject({ problem: 'not-found' })
    for (const bad of [
      {},
      { ...approve(), verdict: 'maybe' },
      approve('0m'),
      approve('-1h'),
      approve('9h'),
      approve('1y'),
      { ...approve(), extra: 1 },
    ])
      expect(await w.approvals.decide(id, ada, bad as never)).toMatchObject({ ok: false, problem: 'invalid' })
    expect(await w.approvals.decide(id, ada, approve('9h'))).toMatchObject({
      message: 'a window is at most 8h here: choose a shorter one',
    })
    expect(await stateOf(id)).toBe('pending')
  })

  test('another digest than the one held is a conflict', async () => {
    const { id } = await open(w)
    expect(await w.approvals.decide(id, ada, approve('once', 'sha256:other'))).toMatchObject({ problem: 'conflict' })
  })

  test('the same decision again is accepted and counts once, even once decided; a different one is a conflict', async () => {
    const { id } = await open(w, 'wait', [requirement('p', ['oncall-dba'], 2)])
    for (let i = 0; i < 3; i++)
      expect(await w.approvals.decide(id, ada, approve())).toMatchObject({ ok: true, approval: { state: 'pending' } })
    expect((await w.approvals.get(id))!.decisions).toHaveLength(1)
    expect(await w.approvals.decide(id, ada, deny())).toMatchObject({ problem: 'conflict' })
    expect(await w.approvals.decide(id, ada, approve('session'))).toMatchObject({ problem: 'conflict' })
    expect(await w.approvals.decide(id, ben, approve())).toMatchObject({ ok: true, approval: { state: 'approved' } })
    expect(await w.approvals.decide(id, ada, approve())).toMatchObject({ ok: true, approval: { state: 'approved' } })
    expect(await w.approvals.decide(id, person('Dee', ['oncall-dba']), approve())).toMatchObject({
      problem: 'conflict',
    })
  })

  test('the same denial again is accepted after it ended the approval', async () => {
    const { id } = await open(w)
    expect(await w.approvals.decide(id, ada, deny())).toMatchObject({
      ok: true,
      approval: { state: 'denied', closedBecause: 'denied by Ada: too much' },
    })
    expect(await w.approvals.decide(id, ada, deny())).toMatchObject({ ok: true })
    expect(await w.approvals.decide(id, ben, deny())).toMatchObject({
      problem: 'conflict',
      message: expect.stringContaining('denied by Ada'),
    })
  })

  test('one deny ends it, whoever approved before', async () => {
    const { id } = await open(w, 'wait', [requirement('p', ['oncall-dba'], 2)])
    await w.approvals.decide(id, ada, approve())
    await w.approvals.decide(id, ben, deny())
    expect(await stateOf(id)).toBe('denied')
    expect(await w.approvals.use(id, never)).toBe(false)
  })

  test('too late is a conflict, though no timer has run', async () => {
    const { id, expiresAt } = await open(w)
    w.clock.now = () => new Date(expiresAt)
    expect(await w.approvals.decide(id, ada, approve())).toMatchObject({ problem: 'conflict' })
    expect(await stateOf(id)).toBe('expired')
  })
})

describe('races: exactly one wins', () => {
  test('of two who decide at once against each other', async () => {
    for (let i = 0; i < 10; i++) {
      const { id } = await open(w)
      const [a, b] = await Promise.all([w.approvals.decide(id, ada, approve()), w.approvals.decide(id, ben, deny())])
      expect([a.ok, b.ok].filter(Boolean)).toHaveLength(1)
      expect(await stateOf(id)).toBe(a.ok ? 'approved' : 'denied')
    }
  })
  test('of two who approve at once both count', async () => {
    const { id } = await open(w, 'wait', [requirement('p', ['oncall-dba'], 2)])
    const both = await Promise.all([w.approvals.decide(id, ada, approve()), w.approvals.decide(id, ben, approve())])
    expect(both.map((d) => d.ok)).toEqual([true, true])
    expect(await stateOf(id)).toBe('approved')
  })
  test('of the same person by two consoles it counts once', async () => {
    const { id } = await open(w, 'wait', [requirement('p', ['oncall-dba'], 2)])
    await Promise.all([w.approvals.decide(id, ada, approve()), w.approvals.decide(id, ada, approve())])
    expect(await w.approvals.get(id)).toMatchObject({ state: 'pending', decisions: [{ person: 'Ada' }] })
  })
  test('deciding, cancelling and expiring', async () => {
    for (let i = 0; i < 10; i++) {
      const { id } = await open(w)
      const orderOf = [
        () => w.approvals.decide(id, ada, approve()),
        () => w.approvals.cancel(id, 'the client went'),
        async () => w.clock.advance(10 * minute),
      ]
      await Promise.all([...orderOf.slice(i % 3), ...orderOf.slice(0, i % 3)].map((race) => race()))
      await w.until(async () => (await stateOf(id)) !== 'pending')
      await w.until(async () => (await stateOf(id)) !== 'approved')
      const closings = w.said.filter((m) => m.type === 'approval.closed' && (m.data as Approval).id === id)
      expect(closings).toHaveLength(1)
      expect(['cancelled', 'expired']).toContain(await stateOf(id))
      expect(await w.approvals.use(id, never)).toBe(false)
    }
  })
  test('of two who use it', async () => {
    const { id } = await open(w, 'fail')
    await w.approvals.decide(id, ada, approve())
    expect((await Promise.all([1, 2, 3].map(() => w.approvals.use(id, never)))).filter(Boolean)).toHaveLength(1)
  })
  test('using and cancelling', async () => {
    const { id } = await open(w)
    await w.approvals.decide(id, ada, approve())
    const [used, cancelled] = await Promise.all([w.approvals.use(id, never), w.approvals.cancel(id, 'gone')])
    expect([used, cancelled?.state]).toEqual([true, 'used'])
  })
})

describe('time', () => {
  test('nobody decided: it expires by itself, at its own time', async () => {
    const first = await open(w)
    w.clock.advance(5 * minute)
    const second = await open(w)
    w.clock.advance(5 * minute)
    await w.until(async () => (await stateOf(first.id)) === 'expired')
    expect(await w.approvals.get(first.id)).toMatchObject({
      closedBecause: 'nobody decided in time',
      closedAt: first.expiresAt,
    })
    expect(await stateOf(second.id)).toBe('pending')
    w.clock.advance(5 * minute)
    await w.until(async () => (await stateOf(second.id)) === 'expired')
    expect(w.clock.alarms).toEqual([])
  })
  test('approved but not used in time: it expires', async () => {
    const { id } = await open(w, 'fail')
    w.clock.advance(9 * minute)
    await w.approvals.decide(id, ada, approve())
    w.clock.advance(9 * minute)
    expect(await w.approvals.findApproved(DIGEST, bot.id)).toMatchObject({ approval: { id } })
    w.clock.advance(minute)
    await w.until(async () => (await stateOf(id)) === 'expired')
    expect(await w.approvals.findApproved(DIGEST, bot.id)).toBeUndefined()
    expect(await w.approvals.use(id, never)).toBe(false)
  })
  test('it expires after a restart too, and what fell due in between at once', async () => {
    const early = await open(w, 'fail')
    w.clock.advance(5 * minute)
    const late = await open(w, 'fail', undefined, { digest: 'sha256:late' })
    await w.restart()
    w.clock.advance(5 * minute)
    await w.approvals.recover()
    expect([await stateOf(early.id), await stateOf(late.id)]).toEqual(['expired', 'pending'])
    w.clock.advance(5 * minute)
    await w.until(async () => (await stateOf(late.id)) === 'expired')
  })
})

describe('a restart', () => {
  test('cancels what waited on a connection, decided or not, and it never runs', async () => {
    const pending = await open(w)
    const approved = await open(w)
    await w.approvals.decide(approved.id, ada, approve('1h'))
    await w.restart()
    await w.approvals.recover()
    for (const { id } of [pending, approved]) {
      expect(await w.approvals.get(id)).toMatchObject({ state: 'cancelled', closedBecause: 'the gateway restarted' })
      expect(await w.approvals.decide(id, ben, approve())).toMatchObject({ problem: 'conflict' })
      expect(await w.approvals.use(id, never)).toBe(false)
    }
    expect(await w.approvals.findApproved(DIGEST, bot.id)).toBeUndefined()
    expect(await w.approvals.findWindow(DIGEST, bot.id, 'se_1')).toBeUndefined()
  })
  test('leaves hold=fail ones as they were, windows too', async () => {
    const pending = await open(w, 'fail', undefined, { digest: 'sha256:other' })
    const { id } = await open(w, 'fail')
    await w.approvals.decide(id, ada, approve('1h'))
    await w.approvals.use(id, never)
    await w.restart()
    await w.approvals.recover()
    expect(await stateOf(pending.id)).toBe('pending')
    expect(await w.approvals.findWindow(DIGEST, bot.id, 'se_2')).toMatchObject({
      approval: id,
      votes: [{ name: 'Ada' }],
    })
  })
  test('stopping refuses new ones that would wait', async () => {
    const waiting = await open(w)
    await w.approvals.cancelWaiting('the gateway is stopping')
    expect(await stateOf(waiting.id)).toBe('cancelled')
    await expect(open(w)).rejects.toThrow('the gateway is stopping')
    expect((await open(w, 'fail')).state).toBe('pending')
  })
})

describe('windows', () => {
  const used = async (windows: string[]) => {
    const { id } = await open(w, 'fail', [requirement('p', ['oncall-dba'], windows.length)])
    for (const [i, window] of windows.entries()) {
      const decided = await w.approvals.decide(id, person(`P${i}`, ['oncall-dba']), approve(window))
      expect(decided.ok).toBe(true)
    }
    expect(await w.approvals.use(id, never)).toBe(true)
  }
  const found = async (session = 'se_1', digest = DIGEST, agent = bot.id) =>
    (await w.approvals.findWindow(digest, agent, session)) !== undefined

  test('once repeats nothing', async () => {
    await used(['once'])
    expect(await found()).toBe(false)
  })
  test('a duration repeats the same digest of the same agent in any session, until it ends', async () => {
    await used(['30m'])
    expect([await found(), await found('se_2')]).toEqual([true, true])
    expect([await found('se_1', 'sha256:other'), await found('se_1', DIGEST, 'other')]).toEqual([false, false])
    w.clock.advance(30 * minute)
    expect(await found()).toBe(false)
  })
  test('session repeats it in that session, at most for max_window', async () => {
    await used(['session'])
    expect([await found('se_1'), await found('se_2')]).toEqual([true, false])
    w.clock.advance(w.config.max_window)
    expect(await found('se_1')).toBe(false)
  })
  test('the narrowest wins', async () => {
    await used(['8h', 'session', '30m'])
    expect([await found('se_1'), await found('se_2')]).toEqual([true, false])
    w.clock.advance(30 * minute)
    expect(await found('se_1')).toBe(false)
    await used(['8h', 'once'])
    expect(await found()).toBe(false)
  })
  test.each([
    ['exec', [], 'not-shown', false],
    ['shell', [], 'not-shown', false],
    ['exec', ['rm x\n'], 'whole', true],
    ['exec', [''], 'whole', true],
    ['exec', ['', 'LANG=C'], 'whole', true],
    ['exec', [null, 'LANG=C'], 'not-shown', false],
    ['shell', [null, 'LANG=C'], 'not-shown', false],
    ['remove', [], undefined, true],
  ] as const)(
    'of SSH, %s with %j: its input is %s, and a window is given: %s',
    async (kind, parameters, input, given) => {
      const command = { protocol: 'ssh' as const, kind, parameters: [...parameters] }
      const approval = await open(w, 'fail', undefined, { command })
      expect(approval.command.input).toBe(input)
      for (const window of ['session', '30m'])
        if (!given)
          expect(await w.approvals.decide(approval.id, ada, approve(window))).toMatchObject({
            problem: 'invalid',
            message: expect.stringContaining('not shown'),
          })
      expect(await w.approvals.decide(approval.id, ada, approve(given ? 'session' : 'once'))).toMatchObject({
        ok: true,
      })
      expect(await w.approvals.use(approval.id, never)).toBe(true)
      expect(await found()).toBe(given)
    },
  )
  test('it begins with the approval, and only if the command then ran', async () => {
    const { id } = await open(w, 'fail')
    await w.approvals.decide(id, ada, approve('5m'))
    expect(await found()).toBe(false)
    w.clock.advance(4 * minute)
    await w.approvals.use(id, never)
    expect(await found()).toBe(true)
    w.clock.advance(minute)
    expect(await found()).toBe(false)
  })
})

test('hold=fail: the same digest of the same agent while it is pending gets the same id', async () => {
  const [first, again] = await Promise.all([open(w, 'fail'), open(w, 'fail')])
  expect(again.id).toBe(first.id)
  const other = { ...bot, id: 'https://idp.example.com#other', subject: 'other' }
  const others = [
    await open(w, 'fail', undefined, { digest: 'sha256:other' }),
    await open(w, 'fail', undefined, { command: { agent: other } }),
    await open(w, 'wait'),
  ]
  expect(new Set([first.id, ...others.map((o) => o.id)]).size).toBe(4)
  await w.until(() => w.said.length === 4)
  await w.approvals.decide(first.id, ada, deny())
  expect((await open(w, 'fail')).id).not.toBe(first.id)
})

test('waiting ends with what became of it, or with the one who waits', async () => {
  const { id } = await open(w, 'wait', [requirement('p', ['oncall-dba'], 2)])
  const gone = new AbortController()
  const waits = w.approvals.waitFor(id, never)
  const left = w.approvals.waitFor(id, gone.signal)
  gone.abort(new Error('the client went'))
  await expect(left).rejects.toThrow('the client went')
  await w.approvals.decide(id, ada, approve())
  await w.approvals.decide(id, ben, approve())
  expect((await waits).approval.state).toBe('approved')
  const late = await open(w)
  const orphan = w.approvals.waitFor(late.id, never)
  const refused = expect(orphan).rejects.toThrow('stopped')
  await w.approvals[Symbol.asyncDispose]()
  await refused
})

test('a full disk refuses, and nothing is half done', async () => {
  const { id } = await open(w)
  const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(w.store.db)
  await sql.raw(`pragma max_page_count = ${rows[0]!.page_count}`).execute(w.store.db)
  const large = { command: { text: 'x'.repeat(300_000) } }
  await expect(open(w, 'wait', undefined, large)).rejects.toMatchObject({ code: 'SQLITE_FULL' })
  await expect(w.approvals.decide(id, person('Eve'.repeat(99_999), ['oncall-dba']), approve())).rejects.toMatchObject({
    code: 'SQLITE_FULL',
  })
  await sql.raw('pragma max_page_count = 100000').execute(w.store.db)
  expect((await w.approvals.list({ limit: 10 })).items).toMatchObject([{ id, state: 'pending', decisions: [] }])
  expect(await w.store.feed.newest()).toBe(1)
})

test('lists newest first, by pages, by state, and only what the caller sees', async () => {
  const ids: string[] = []
  for (let i = 0; i < 7; i++) {
    ids.unshift((await open(w, 'fail', undefined, { digest: `sha256:${i}` })).id)
    if (i !== 3) w.clock.advance(1000)
  }
  const listed: string[] = []
  let after: string | null = null
  do {
    const page: { items: Approval[]; next: string | null } = await w.approvals.list({
      limit: 3,
      ...(after ? { after } : {}),
    })
    listed.push(...page.items.map((a) => a.id))
    after = page.next
  } while (after)
  expect(listed).toHaveLength(7)
  expect(new Set(listed)).toEqual(new Set(ids))
  await w.approvals.cancel(ids[2]!, 'gone')
  expect((await w.approvals.list({ state: 'cancelled', limit: 10 })).items.map((a) => a.id)).toEqual([ids[2]])
  const seen = await w.approvals.list({ limit: 2, sees: (a) => a.id === ids[6] || a.id === ids[0] })
  expect(seen.items.map((a) => a.id)).toEqual([ids[0], ids[6]])
  expect((await w.approvals.list({ limit: 9, agent: (await w.approvals.get(ids[0]!))!.agent })).items).toHaveLength(7)
  expect((await w.approvals.list({ limit: 9, agent: 'https://idp.example.com#nobody' })).items).toEqual([])
})

test('a page of long commands is short, and the next one goes on', async () => {
  const text = 'x'.repeat(1024 ** 2)
  for (let i = 0; i < 12; i++) await open(w, 'fail', undefined, { digest: `sha256:${i}`, command: { text } })
  const first = await w.approvals.list({ limit: 10_000 })
  expect(first.items.length).toBeLessThan(10)
  const rest = await w.approvals.list({ limit: 10_000, after: first.next! })
  expect(new Set([...first.items, ...rest.items].map(({ id }) => id)).size).toBe(12)
  expect(rest.next).toBeNull()
})
