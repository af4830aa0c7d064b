import { Grant } from '@countersign/contract/access'
import { FeedMessage } from '@countersign/contract/feed'
import { payloads } from '@countersign/contract/ledger/payloads'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ada, ben, cy, minute, person } from '../approvals/testing/approvals.ts'
import { bot, policiesOf } from '../policy/testing/policies.ts'
import { GrantRefused } from './grants.ts'
import { other, POLICY, read, type World, world, write } from './testing/grants.ts'

let w: World
beforeEach(async () => {
  w = await world()
})
afterEach(async () => {
  await w[Symbol.asyncDispose]()
})
const start = Date.parse('2026-11-21T12:00:00.000Z')
const at = (minutes: number) => new Date(start + minutes * minute).toISOString()
const refusedAs = (fault: string) => expect.objectContaining({ name: 'GrantRefused', fault })
const stateOf = async (id: string) => (await w.grants.get(id))?.state
const ofGrants = async () => (await w.entries()).filter(({ type }) => type.startsWith('grant.'))

describe('a request', () => {
  test('that policy permits is given at once, and is live', async () => {
    const { grant, again } = await w.grants.request(bot, read({ resources: ['orders/public.*', 'orders/public.*'] }))
    expect(again).toBe(false)
    expect(Grant.parse(grant)).toEqual({
      id: expect.stringMatching(/^gr_[0-9a-hjkmnp-tv-z]{16}$/),
      state: 'active',
      connection: 'orders',
      connectionTags: ['production'],
      agent: bot.id,
      identity: { id: bot.id, issuer: bot.issuer, subject: 'bot', name: 'Deploy bot', groups: ['ci-agents'] },
      actions: ['sql:read'],
      resources: ['orders/public.*'],
      duration: '30m',
      seconds: 1800,
      purpose: 'count the orders',
      requestedAt: at(0),
      requestedBy: { kind: 'agent', id: bot.id, name: 'Deploy bot' },
      approvedBy: [],
      policies: ['ask-orders'],
      activeFrom: at(0),
      expiresAt: at(30),
      sessions: 0,
    })
    const live = w.grants.live(bot, 'orders')
    expect(live).toEqual([
      { id: grant.id, actions: ['sql:read'], resources: ['orders/public.*'], endsAt: start + 30 * minute },
    ])
    expect(w.grants.live(bot, 'orders')).toBe(live)
    expect(w.grants.live(other, 'orders')).toEqual([])
    expect(w.grants.live({ ...bot, onBehalfOf: 'somebody' }, 'orders')).toEqual([])
    expect(w.grants.live(bot, 'web-1')).toEqual([])
    expect(await w.grants.get(grant.id)).toEqual(grant)
  })

  test('that policy holds waits for people, and is given once they approve', async () => {
    const { grant } = await w.grants.request(bot, write())
    expect(grant).toMatchObject({ state: 'requested', policies: ['writing'], expiresAt: at(10) })
    expect(w.grants.live(bot, 'orders')).toEqual([])
    const approval = (await w.approvals.approvals.get(grant.approval!))!
    expect(approval).toMatchObject({
      state: 'pending',
      protocol: 'access',
      session: '',
      hold: 'fail',
      connection: 'orders',
      agent: bot.id,
      purpose: 'mend the orders',
      access: { grants: [grant.id], requestedBy: { kind: 'agent', id: bot.id }, seconds: 1800 },
      command: {
        kind: 'request',
        effects: [{ action: 'access:request', resource: { type: 'Connection', id: 'orders' } }],
      },
      requirements: [{ policy: 'writing', groups: ['oncall-dba'], quorum: 1 }],
    })
    expect(approval.command.text).toBe(
      [
        'Access to orders for “Deploy bot” (https://idp.example.com#bot)',
        'may: sql:write',
        'on: everything in orders',
        'for: 30m',
        'what for: “mend the orders”',
        'asked for by agent “Deploy bot” (https://idp.example.com#bot)',
      ].join('\n'),
    )
    w.approvals.clock.advance(minute)
    await w.decide(grant)
    await w.untilState(grant.id, 'active')
    expect(await w.grants.get(grant.id)).toMatchObject({
      activeFrom: at(1),
      expiresAt: at(31),
      approvedBy: [{ person: 'Ada', personId: ada.id, reason: 'so it is', at: at(1) }],
    })
    expect((await w.approvals.approvals.get(grant.approval!))?.state).toBe('used')
    expect(w.grants.live(bot, 'orders').map(({ id }) => id)).toEqual([grant.id])
    expect(w.changes.map(({ grant: id, state }) => [id, state])).toEqual([[grant.id, 'active']])
  })

  test('asked again while it waits is the same', async () => {
    const { grant } = await w.grants.request(bot, write({ resources: ['orders/a', 'orders/b'] }))
    const again = await w.grants.request(bot, write({ resources: ['orders/b', 'orders/a'] }))
    expect(again).toEqual({ grant, again: true })
    const otherPurpose = await w.grants.request(bot, write({ purpose: 'another' }))
    expect(otherPurpose.grant.id).not.toBe(grant.id)
    await w.decide(grant, 'deny')
    await w.untilState(grant.id, 'denied')
    const anew = await w.grants.request(bot, write({ resources: ['orders/a', 'orders/b'] }))
    expect(anew.again).toBe(false)
  })

  test.each<[string, 'deny' | 'expire' | 'cancel', RegExp]>([
    ['denied by a person', 'deny', /^denied by Ada: so it is$/],
    ['of which nobody answers', 'expire', /^nobody decided in time$/],
    ['whose approval is cancelled', 'cancel', /^no more$/],
  ])('%s is denied, with the reason', async (_what, how, because) => {
    const { grant } = await w.grants.request(bot, write())
    if (how === 'deny') await w.decide(grant, 'deny')
    else if (how === 'expire') {
      await w.approvals.until(() => w.approvals.clock.alarms.length > 0)
      w.approvals.clock.advance(10 * minute)
    } else await w.approvals.approvals.cancel(grant.approval!, 'no more')
    await w.untilState(grant.id, 'denied')
    const denied = (await w.grants.get(grant.id))!
    expect(denied.endedBecause).toMatch(because)
    expect(denied.endedBy).toMatchObject({ kind: how === 'deny' ? 'person' : 'gateway' })
  })

  test.each<[string, object, string, RegExp, boolean]>([
    ['an unknown action', read({ actions: ['sql:fly'] }), 'invalid', /no action “sql:fly”/, false],
    ['access:request itself', read({ actions: ['access:request'] }), 'invalid', /no action/, false],
    ['actions of two protocols', read({ actions: ['sql:read', 'ssh:exec'] }), 'invalid', /several protocols/, false],
    ['actions of another protocol', read({ actions: ['ssh:exec'] }), 'invalid', /it is postgres/, false],
    ['a table of another connection', read({ resources: ['vault/public.a'] }), 'invalid', /not within orders/, false],
    ['a connection that begins so', read({ resources: ['orders-2/public.a'] }), 'invalid', /not within/, false],
    ['nothing after the slash', read({ resources: ['orders/'] }), 'invalid', /not within/, false],
    ['a star in the middle', read({ resources: ['orders/*.a'] }), 'invalid', /last character/, false],
    ['a star for everything there is', read({ resources: ['*'] }), 'invalid', /neither within/, false],
    ['a data class without data:reveal', read({ resources: ['email'] }), 'invalid', /data:reveal/, false],
    ['too long', read({ duration: '9h' }), 'invalid', /8h at most/, false],
    ['half a character', read({ purpose: 'a\ud800' }), 'invalid', /characters/, false],
    ['no name of a connection', read({ connection: 'Orders' }), 'invalid', /no name/, false],
    ['too many resources', read({ resources: ['orders/'.padEnd(20_000, 'a')] }), 'invalid', /16384 bytes/, false],
    ['another agent’s', read({ agent: other.id }), 'forbidden', /asks for itself/, false],
    ['on behalf of somebody', read({ onBehalfOf: 'ada' }), 'forbidden', /on behalf/, false],
    ['what is denied by name', read({ actions: ['sql:admin'] }), 'denied', /no-admin \(Nobody\)/, true],
    ['that by its group', read({ actions: ['sql'] }), 'denied', /no-admin/, true],
    ['what nothing permits', read({ connection: 'vault' }), 'not-permitted', /Nothing permits/, true],
    ['a connection that there isn’t', read({ connection: 'nope' }), 'not-permitted', /Nothing permits/, true],
    [
      '… with actions of another kind',
      read({ connection: 'vault', actions: ['ssh:exec'] }),
      'not-permitted',
      /Nothing/,
      true,
    ],
    [
      '… where policy denies all by name',
      read({ connection: 'nope', actions: ['sql:admin'] }),
      'denied',
      /no-admin/,
      true,
    ],
  ])('for %s is refused', async (_what, request, fault, words, kept) => {
    const refused = await w.grants.request(bot, request as never).catch((error) => error)
    expect(refused).toBeInstanceOf(GrantRefused)
    expect(refused).toMatchObject({ fault, message: expect.stringMatching(words) })
    expect(refused.grant !== undefined).toBe(fault === 'denied')
    const { items } = await w.grants.list({ scope: { see: 'all' }, limit: 10 })
    expect(items.map(({ state }) => state)).toEqual(kept ? ['denied'] : [])
    expect((await ofGrants()).map(({ type }) => type)).toEqual(kept ? ['grant.denied'] : [])
  })

  test('for what nothing permits and for what there isn’t look the same, also in what is kept of them', async () => {
    const ask = async (connection: string) => {
      const { message, fault, grant } = await w.grants.request(bot, read({ connection })).catch((error) => error)
      const kept = (await w.grants.list({ scope: { see: 'own', agent: bot.id }, connection, limit: 1 })).items[0]
      return { message, fault, grant, kept: { ...kept, id: '', connection: '' } }
    }
    expect(await ask('vault')).toEqual(await ask('nope'))
  })

  test('beyond what an agent may have is refused, whether it is live or waits', async () => {
    w.config.per_agent = 2
    await w.grants.request(bot, read())
    const { grant } = await w.grants.request(bot, write())
    await expect(w.grants.request(bot, read())).rejects.toEqual(refusedAs('full'))
    // The same again is no more.
    expect((await w.grants.request(bot, write())).again).toBe(true)
    await w.grants.request(other, read())
    await w.grants.revoke(grant.id, bot, '')
    await w.grants.request(bot, read())
  })

  test('again and again refused must wait, and the same refusal is written down once', async () => {
    for (let i = 0; i < 5; i++)
      await expect(w.grants.request(bot, read({ connection: 'nope' }))).rejects.toEqual(refusedAs('not-permitted'))
    expect(await ofGrants()).toHaveLength(1)
    for (let i = 1; i < 60; i++)
      await expect(w.grants.request(bot, read({ connection: `no-${i}` }))).rejects.toEqual(refusedAs('not-permitted'))
    await expect(w.grants.request(bot, read())).rejects.toEqual(refusedAs('full'))
    await w.grants.request(other, read())
    w.approvals.clock.advance(10 * minute)
    await w.grants.request(bot, read())
  })

  test('with a token for another connection is refused', async () => {
    const bound = { ...bot, token: { id: 'tk_1', connection: 'web-1' } }
    await expect(w.grants.request(bound, read())).rejects.toEqual(refusedAs('forbidden'))
    await expect(
      w.grants.request({ ...bot, token: { id: 'tk_1', connection: 'orders' } }, read()),
    ).resolves.toBeDefined()
  })

  test('that is full of lines of its own stays on one', async () => {
    const { grant } = await w.grants.request(bot, write({ purpose: 'a\nmay: nothing\u2028\u202efor:\u2066 1s”' }))
    const { command } = (await w.approvals.approvals.get(grant.approval!))!
    expect(command.text.split('\n')).toHaveLength(6)
    expect(command.text).toContain('what for: “a may: nothing for: 1s"”')
  })
})

describe('people', () => {
  test('ask for an agent that is known, and don’t decide what they asked for', async () => {
    const { grant } = await w.grants.request(ada, write({ agent: bot.id }))
    expect(grant).toMatchObject({ agent: bot.id, requestedBy: { kind: 'person', id: ada.id, name: 'Ada' } })
    await expect(w.decide(grant)).rejects.toThrow(/nobody decides their own/)
    await w.decide(grant, 'approve', ben)
    await w.untilState(grant.id, 'active')
  })

  test.each<[string, typeof ada, object, string]>([
    ['for nobody', ada, {}, 'invalid'],
    ['for an agent that nobody has seen', ada, { agent: 'https://idp.example.com#nobody' }, 'invalid'],
    ['on a connection that there isn’t', ada, { agent: bot.id, connection: 'nope' }, 'invalid'],
    ['without a role', person('Zoe', ['oncall-dba'], { roles: [] }), { agent: bot.id }, 'forbidden'],
  ])('%s are refused', async (_what, who, more, fault) => {
    await expect(w.grants.request(who, read(more))).rejects.toEqual(refusedAs(fault))
  })

  test('get nothing for an agent that is disabled, nor does it once it is', async () => {
    const { grant } = await w.grants.request(bot, write())
    w.disabled.set(bot.id, { reason: 'it went wild' })
    await expect(w.grants.request(ada, read({ agent: bot.id }))).rejects.toEqual(refusedAs('conflict'))
    await w.decide(grant)
    await w.untilState(grant.id, 'denied')
    expect((await w.grants.get(grant.id))?.endedBecause).toMatch(/disabled \(it went wild\)/)
  })

  test('say for whom an agent acts; the grant is of use on behalf of that one only', async () => {
    const { grant } = await w.grants.request(ada, read({ agent: bot.id, onBehalfOf: 'zoe' }))
    expect(grant.identity.onBehalfOf).toBe('zoe')
    expect(w.grants.live({ id: bot.id, onBehalfOf: 'zoe' }, 'orders')).toHaveLength(1)
    expect(w.grants.live(bot, 'orders')).toHaveLength(0)
  })

  test.each([
    [['30m', 'once'], 1800],
    [['10m', 'once'], 600],
    [['10m', '20m'], 600],
    [['8h', 'once'], 7200],
  ])('who approve %j give %i seconds at most', async (windows, seconds) => {
    const { grant } = await w.grants.request(
      bot,
      write({ duration: seconds === 1800 || seconds === 600 ? '2h' : '2h' }),
    )
    // Held by two policies: a DBA for writing, two of sre for the length.
    const sre = [cy, person('Dee', ['sre'])]
    await w.decide(grant, 'approve', ada, windows[0])
    for (const one of sre) await w.decide(grant, 'approve', one, windows[1])
    await w.untilState(grant.id, 'active')
    expect(await w.grants.get(grant.id)).toMatchObject({
      seconds,
      expiresAt: at(seconds / 60),
      policies: ['long', 'writing'],
    })
    expect((await w.approvals.store.db.selectFrom('windows').selectAll().execute()).length).toBe(0)
  })

  test('can’t approve access for a session', async () => {
    const { grant } = await w.grants.request(bot, write())
    await expect(w.decide(grant, 'approve', ada, 'session')).rejects.toThrow(/without a session/)
  })
})

describe('an approved request is decided afresh', () => {
  test('and asks again where policy asks for more', async () => {
    const { grant } = await w.grants.request(bot, write())
    w.policies = await policiesOf(
      POLICY.replace('@id("writing") @hold("oncall-dba")', '@id("writing") @hold("oncall-dba") @quorum("2")'),
    )
    await w.decide(grant)
    await w.approvals.until(
      async () => (await w.approvals.approvals.get(grant.approval!))?.requirements[0]?.quorum === 2,
    )
    expect(await stateOf(grant.id)).toBe('requested')
    await w.decide(grant, 'approve', ben)
    await w.untilState(grant.id, 'active')
  })

  test('and is denied where policy says no by now', async () => {
    const { grant } = await w.grants.request(bot, write())
    w.policies = await policiesOf('@id("nobody") forbid (principal, action, resource);')
    await w.decide(grant)
    await w.untilState(grant.id, 'denied')
    expect((await w.grants.get(grant.id))?.endedBecause).toMatch(
      /refused after it was approved: denied by policy nobody/,
    )
    expect((await w.approvals.approvals.get(grant.approval!))?.state).toBe('cancelled')
  })
})

describe('a grant ends', () => {
  test('to the millisecond that it says', async () => {
    const { grant } = await w.grants.request(bot, read({ duration: '2s' }))
    w.approvals.clock.advance(1999)
    expect(w.grants.live(bot, 'orders')).toHaveLength(1)
    w.approvals.clock.advance(1)
    expect(w.grants.live(bot, 'orders')).toHaveLength(0)
    expect(w.changes.at(-1)).toEqual({
      agent: bot.id,
      onBehalfOf: undefined,
      connection: 'orders',
      grant: grant.id,
      state: 'expired',
      words: `grant ${grant.id} has expired`,
    })
    await w.untilState(grant.id, 'expired')
    expect(await w.grants.get(grant.id)).toMatchObject({ endedAt: grant.expiresAt, endedBy: { kind: 'gateway' } })
  })

  test('in its own time, also where a timer can’t wait so long, and each at its own', async () => {
    w.config.max_duration = 365 * 86_400_000
    w.policies = await policiesOf('permit (principal, action, resource);')
    const long = await w.grants.request(bot, read({ duration: '60d' }))
    const short = await w.grants.request(bot, read({ duration: '1m' }))
    expect(w.approvals.clock.alarms).toContain(short.grant.expiresAt)
    w.approvals.clock.advance(minute)
    await w.untilState(short.grant.id, 'expired')
    expect(w.grants.live(bot, 'orders').map(({ id }) => id)).toEqual([long.grant.id])
    w.approvals.clock.advance(60 * 86_400_000 - minute)
    await w.untilState(long.grant.id, 'expired')
  })

  test('when it is revoked, and stays so', async () => {
    const { grant } = await w.grants.request(bot, read())
    const revoked = await w.grants.revoke(grant.id, ada, 'enough\nof it')
    expect(revoked).toMatchObject({
      state: 'revoked',
      endedAt: at(0),
      endedBy: { kind: 'person', id: ada.id, name: 'Ada' },
      endedBecause: 'revoked by Ada: enough of it',
    })
    expect(w.grants.live(bot, 'orders')).toEqual([])
    expect(w.changes.at(-1)).toMatchObject({
      state: 'revoked',
      words: `grant ${grant.id} was revoked by Ada: enough of it`,
    })
    expect(await w.grants.revoke(grant.id, ben, 'me too')).toEqual(revoked)
    expect(await ofGrants()).toHaveLength(2)
    await expect(w.grants.revoke('gr_none', ada, '')).rejects.toEqual(refusedAs('not-found'))
    const short = await w.grants.request(bot, read({ duration: '1s' }))
    w.approvals.clock.advance(1000)
    await expect(w.grants.revoke(short.grant.id, ada, '')).rejects.toEqual(refusedAs('conflict'))
  })

  test('before it begins, where it is withdrawn: nobody is asked any more', async () => {
    const { grant } = await w.grants.request(bot, write())
    expect((await w.grants.revoke(grant.id, bot, '')).state).toBe('revoked')
    expect(await w.approvals.approvals.get(grant.approval!)).toMatchObject({
      state: 'cancelled',
      closedBecause: 'withdrawn by Deploy bot',
    })
    expect(w.changes).toEqual([])
  })
})

describe('a grant is extended', () => {
  test('by another, which begins when it is given; both are live meanwhile', async () => {
    const { grant } = await w.grants.request(bot, read({ resources: ['orders/a'] }))
    w.approvals.clock.advance(20 * minute)
    const more = await w.grants.extend(grant.id, bot, { duration: '1h', purpose: 'still counting' })
    expect(more.grant).toMatchObject({
      extends: grant.id,
      state: 'active',
      resources: ['orders/a'],
      activeFrom: at(20),
      expiresAt: at(80),
    })
    expect(w.grants.live(bot, 'orders').map(({ id }) => id)).toEqual([grant.id, more.grant.id])
    w.approvals.clock.advance(10 * minute)
    await w.untilState(grant.id, 'expired')
    expect(w.grants.live(bot, 'orders').map(({ id }) => id)).toEqual([more.grant.id])
  })

  test('by people’s decision where policy holds it, and not by just anybody', async () => {
    const { grant } = await w.grants.request(bot, read())
    const { grant: more } = await w.grants.extend(grant.id, ada, { duration: '2h', purpose: 'longer' })
    const { command } = (await w.approvals.approvals.get(more.approval!))!
    expect(command.text).toContain(`prolongs: grant ${grant.id}, which ends ${grant.expiresAt}`)
    const ask = { duration: '10m', purpose: 'mine' }
    await expect(w.grants.extend(grant.id, other, ask)).rejects.toEqual(refusedAs('forbidden'))
    await expect(w.grants.extend(grant.id, { ...bot, onBehalfOf: 'zoe' }, ask)).rejects.toEqual(refusedAs('forbidden'))
    await expect(w.grants.extend(more.id, bot, ask)).rejects.toEqual(refusedAs('conflict'))
    await expect(w.grants.extend('gr_none', bot, ask)).rejects.toEqual(refusedAs('not-found'))
  })
})

describe('what is said', () => {
  test('has an entry of the ledger and a message for every transition', async () => {
    const given = await w.grants.request(bot, read())
    const held = await w.grants.request(bot, write())
    await w.decide(held.grant)
    await w.untilState(held.grant.id, 'active')
    await w.grants.revoke(given.grant.id, ada, 'done')
    w.approvals.clock.advance(30 * minute)
    await w.untilState(held.grant.id, 'expired')
    const entries = await ofGrants()
    expect(entries.map(({ type, payload }) => [type, payload.grant])).toEqual([
      ['grant.activated', given.grant.id],
      ['grant.requested', held.grant.id],
      ['grant.activated', held.grant.id],
      ['grant.revoked', given.grant.id],
      ['grant.expired', held.grant.id],
    ])
    for (const { type, payload } of entries) payloads[type as 'grant.activated'].parse(payload)
    expect(entries[2]!.payload).toMatchObject({
      agent: bot.id,
      connection: 'orders',
      actions: ['sql:write'],
      seconds: 1800,
      purpose: 'mend the orders',
      identity: { groups: ['ci-agents'] },
      approval: held.grant.approval,
      approvedBy: [{ personId: ada.id }],
      policies: ['writing'],
      activeFrom: at(0),
      expiresAt: at(30),
      by: { kind: 'gateway' },
    })
    expect(entries[3]!.payload).toMatchObject({
      by: { kind: 'person', id: ada.id },
      reason: 'revoked by Ada: done',
      endedAt: at(0),
    })
    const messages = w.approvals.said.filter(({ type }) => type.startsWith('grant.'))
    expect(messages.map(({ type }) => type)).toEqual(entries.map(({ type }) => type))
    for (const message of messages) expect(FeedMessage.parse(message)).toEqual(message)
  })

  test('counts sessions, each once, and when it was used last', async () => {
    const { grant } = await w.grants.request(bot, read())
    w.grants.used([grant.id], 'se_1')
    w.grants.used([grant.id], 'se_1')
    w.approvals.clock.advance(minute)
    w.grants.used([grant.id], 'se_2')
    w.approvals.clock.advance(500)
    await w.restart()
    expect(await w.grants.get(grant.id)).toMatchObject({ sessions: 2, lastUsedAt: at(1) })
    expect(await w.grants.usedBy(grant.id)).toEqual([
      { session: 'se_2', at: at(1) },
      { session: 'se_1', at: at(0) },
    ])
  })
})

describe('after a restart', () => {
  test('live ones are live, what ended meanwhile has ended, what waits waits on', async () => {
    const short = await w.grants.request(bot, read({ duration: '1m' }))
    const long = await w.grants.request(bot, read())
    const held = await w.grants.request(bot, write())
    await w.grants[Symbol.asyncDispose]()
    w.approvals.clock.advance(2 * minute)
    await w.restart()
    expect(await stateOf(short.grant.id)).toBe('expired')
    expect((await w.grants.get(short.grant.id))?.endedAt).toBe(short.grant.expiresAt)
    expect(w.grants.live(bot, 'orders').map(({ id }) => id)).toEqual([long.grant.id])
    expect(await stateOf(held.grant.id)).toBe('requested')
    await w.decide(held.grant)
    await w.untilState(held.grant.id, 'active')
  })

  test.each(['approve', 'deny'] as const)(
    'what was decided (%s) while nobody listened is finished',
    async (verdict) => {
      const { grant } = await w.grants.request(bot, write())
      await w.grants[Symbol.asyncDispose]()
      await w.decide(grant, verdict)
      expect((await w.approvals.store.db.selectFrom('grants').select('state').executeTakeFirst())?.state).toBe(
        'requested',
      )
      await w.restart()
      expect(await stateOf(grant.id)).toBe(verdict === 'approve' ? 'active' : 'denied')
    },
  )
})

describe('when policy changes', () => {
  const recheck = async (policy: string) => {
    w.policies = await policiesOf(policy)
    await w.grants.recheck()
  }

  test('what would not be given any more is revoked, and nothing else', async () => {
    const reading = await w.grants.request(bot, read())
    const writing = await w.grants.request(bot, write())
    await w.decide(writing.grant)
    await w.untilState(writing.grant.id, 'active')
    await recheck(POLICY)
    expect(w.grants.live(bot, 'orders')).toHaveLength(2)
    await recheck(`${POLICY} @id("read-only") forbid (principal, action == Action::"access:request", resource)
      when { context.actions.contains("sql:write") };`)
    expect(w.grants.live(bot, 'orders').map(({ id }) => id)).toEqual([reading.grant.id])
    expect(await w.grants.get(writing.grant.id)).toMatchObject({
      state: 'revoked',
      endedBecause: expect.stringMatching(/policy has changed: denied by policy read-only/),
    })
    w.connections.delete('orders')
    await w.grants.recheck()
    expect(w.grants.live(bot, 'orders')).toEqual([])
  })

  test('what waits is denied, given, or waits on', async () => {
    const one = await w.grants.request(bot, write())
    await recheck(POLICY.replace('Writes', 'Writes, really'))
    expect(await stateOf(one.grant.id)).toBe('requested')
    await recheck('permit (principal, action, resource);')
    expect(await stateOf(one.grant.id)).toBe('active')
    expect(await w.approvals.approvals.get(one.grant.approval!)).toMatchObject({ state: 'cancelled' })
    await recheck(POLICY)
    const two = await w.grants.request(bot, write())
    await recheck('@id("none") forbid (principal, action, resource);')
    expect(await stateOf(two.grant.id)).toBe('denied')
  })
})
