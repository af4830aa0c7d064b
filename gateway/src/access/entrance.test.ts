import type { Freeze } from '@countersign/contract/access'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, test, vi } from 'vitest'
import type { Command, ConnectionRef, Effect, Preview } from '../gate/command.ts'
import type { Entry, LiveGrant } from '../gate/entrance.ts'
import type { AgentPrincipal } from '../identity/principal.ts'
import type { EndReason } from '../sessions/session.ts'
import { createEntrance, type EntranceRoom, type GrantChange } from './entrance.ts'

const HOUR = 3_600_000
const connect: Effect = { action: 'sql:connect', resource: { type: 'Connection', id: 'orders' }, command: {} }
const agentOf = (subject: string, more: Partial<AgentPrincipal> = {}): AgentPrincipal => ({
  kind: 'agent',
  id: `https://idp#${subject}`,
  issuer: 'https://idp',
  subject,
  name: subject,
  groups: [],
  expiresAt: new Date(8 * HOUR),
  ...more,
})
const bot = agentOf('bot')
const connection = (more: Partial<ConnectionRef> = {}): ConnectionRef => ({
  name: 'orders',
  kind: 'postgres',
  tags: [],
  mode: 'enforce',
  access: 'jit',
  ...more,
})
const jit = connection()
const standing = connection({ access: 'standing' })
const observed = connection({ mode: 'observe' })
const ada = { id: 'https://idp#ada', issuer: 'https://idp', subject: 'ada', name: 'Ada' }
const freezeOf = (name: string): Freeze => ({ id: 'fr_1', connection: name, by: ada, reason: 'odd', at: '' })

/** The rooms that the entrance asks, as a test says they are. */
class Around {
  now = 0
  disabled = new Map<string, { by: string; reason: string }>()
  frozen = new Map<string, Freeze>()
  live = new Map<string, readonly LiveGrant[]>()
  used: [string, string[]][] = []
  over = new Map<string, string>()
  previews: Command[] = []
  policy: (command: Command) => Preview['outcome'] = () => 'allow'
  readonly entrance: EntranceRoom = createEntrance({
    disabled: (agent) => this.disabled.get(agent),
    frozen: (name) => this.frozen.get('*') ?? this.frozen.get(name),
    grants: {
      live: (agent, name) => this.live.get(key(agent, name)) ?? none,
      used: (grants, session) => void this.used.push([session, [...grants]]),
    },
    preview: (command) => {
      this.previews.push(command)
      const outcome = this.policy(command)
      return { outcome, policies: [], reason: outcome === 'allow' ? 'allowed' : 'no policy permits it' }
    },
    tokenOver: async (agent) => this.over.get(agent.token?.id ?? agent.proof ?? ''),
    clock: () => this.now,
  })

  /** Gives an agent these grants, and says so as the room of grants does. */
  give(agent: AgentPrincipal, grants: LiveGrant[], change: Partial<GrantChange> = {}): void {
    this.live.set(key(agent, 'orders'), grants)
    this.entrance.grantChanged({
      agent: agent.id,
      onBehalfOf: agent.onBehalfOf,
      connection: 'orders',
      grant: 'gr_1',
      state: 'revoked',
      words: 'grant gr_1 was revoked by Ada: no longer needed',
      ...change,
    })
  }

  enter(agent: AgentPrincipal, ref: ConnectionRef): Entry {
    const entry = this.entrance.enter(agent, ref)
    if ('refused' in entry) throw new Error(entry.refused)
    return entry
  }

  /** Enters, and opens a session. */
  open(agent: AgentPrincipal, ref: ConnectionRef, id = 'se_1') {
    const entry = this.enter(agent, ref)
    const ends: EndReason[] = []
    const less: EndReason[] = []
    entry.opened({
      id,
      connect,
      end: (reason) => void ends.push(reason),
      lessened: (reason) => void less.push(reason),
    })
    const words = (of: EndReason[]) => of.map(({ cause_, message }) => `${cause_}: ${message}`)
    return { entry, ends, words: () => words(ends), lessened: () => words(less) }
  }
}
const none: readonly LiveGrant[] = []
const key = (agent: Pick<AgentPrincipal, 'id' | 'onBehalfOf'>, name: string) =>
  JSON.stringify([agent.id, agent.onBehalfOf ?? '', name])
const grant = (id: string, endsAt = HOUR): LiveGrant => ({ id, actions: ['sql:read'], endsAt })

let around: Around
beforeEach(() => {
  vi.useFakeTimers()
  around = new Around()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('who is refused', () => {
  const token = { id: 'tk_1', connection: 'orders' }
  it.each<
    [what: string, ref: ConnectionRef, agent: AgentPrincipal, set: (a: Around) => void, refused: string | undefined]
  >([
    ['nothing against it', standing, bot, () => {}, undefined],
    [
      'a disabled agent',
      standing,
      bot,
      (a) => a.disabled.set(bot.id, { by: 'Ada', reason: '' }),
      'the agent is disabled',
    ],
    [
      'a disabled agent, observed',
      observed,
      bot,
      (a) => a.disabled.set(bot.id, { by: 'Ada', reason: '' }),
      'the agent is disabled',
    ],
    [
      'a frozen connection',
      standing,
      bot,
      (a) => a.frozen.set('orders', freezeOf('orders')),
      'the connection is frozen',
    ],
    [
      'a frozen connection, observed',
      observed,
      bot,
      (a) => a.frozen.set('orders', freezeOf('orders')),
      'the connection is frozen',
    ],
    ['another one is frozen', standing, bot, (a) => a.frozen.set('other', freezeOf('other')), undefined],
    ['everything is frozen', standing, bot, (a) => a.frozen.set('*', freezeOf('*')), 'everything is frozen'],
    [
      'a token of another connection',
      standing,
      agentOf('bot', { token: { ...token, connection: 'other' } }),
      () => {},
      'the token is for another connection',
    ],
    [
      'a token of another connection, observed',
      observed,
      agentOf('bot', { token: { ...token, connection: 'other' } }),
      () => {},
      'the token is for another connection',
    ],
    ['a token of this one', standing, agentOf('bot', { token }), () => {}, undefined],
    ['no grant', jit, bot, () => {}, 'no live grant'],
    ['no grant, observed', observed, bot, () => {}, undefined],
    ['a live grant', jit, bot, (a) => a.live.set(key(bot, 'orders'), [grant('gr_1')]), undefined],
    [
      'a grant that has just ended',
      jit,
      bot,
      (a) => a.live.set(key(bot, 'orders'), [grant('gr_1', 0)]),
      'no live grant',
    ],
    [
      'a grant on behalf of another one',
      jit,
      agentOf('bot', { onBehalfOf: 'bob' }),
      (a) => a.live.set(key(bot, 'orders'), [grant('gr_1')]),
      'no live grant',
    ],
    ['a grant on another connection', jit, bot, (a) => a.live.set(key(bot, 'other'), [grant('gr_1')]), 'no live grant'],
    [
      'a token of another grant',
      jit,
      agentOf('bot', { token: { ...token, grant: 'gr_2' } }),
      (a) => a.live.set(key(bot, 'orders'), [grant('gr_1')]),
      'the grant of the token is not live',
    ],
    [
      'a token of a grant that is over, where none is needed',
      standing,
      agentOf('bot', { token: { ...token, grant: 'gr_2' } }),
      () => {},
      'the grant of the token is not live',
    ],
    [
      'a token of this grant',
      jit,
      agentOf('bot', { token: { ...token, grant: 'gr_1' } }),
      (a) => a.live.set(key(bot, 'orders'), [grant('gr_1')]),
      undefined,
    ],
  ])('%s', (_, ref, agent, set, refused) => {
    set(around)
    const entry = around.entrance.enter(agent, ref)
    expect('refused' in entry ? entry.refused : undefined).toBe(refused)
    if (!('refused' in entry)) entry.left()
    expect(around.entrance.inside).toBe(0)
  })
})

describe('what stands behind it', () => {
  test('nothing, where no grant is needed', () => {
    const { entry } = around.open(bot, standing)
    expect(entry.backing).toEqual({ needed: false, grants: [] })
    expect(around.open(agentOf('other'), standing).entry.backing).toBe(entry.backing)
  })

  test('its grants, as one object while they stay', () => {
    around.give(bot, [grant('gr_1')])
    const { entry } = around.open(bot, jit)
    const before = entry.backing
    expect(before).toEqual({ needed: true, grants: [grant('gr_1')] })
    around.give(agentOf('other'), [grant('gr_9')])
    around.give(bot, around.live.get(key(bot, 'orders')) as LiveGrant[])
    expect(entry.backing).toBe(before)
    around.give(bot, [...before.grants, grant('gr_2')], { state: 'active' })
    expect(entry.backing).not.toBe(before)
    expect(entry.backing.grants.map(({ id }) => id)).toEqual(['gr_1', 'gr_2'])
  })

  test('one grant alone, where its token is bound to it', () => {
    around.give(bot, [grant('gr_1'), grant('gr_2')])
    const { entry, words } = around.open(
      agentOf('bot', { token: { id: 't', connection: 'orders', grant: 'gr_2' } }),
      jit,
    )
    expect(entry.backing.grants.map(({ id }) => id)).toEqual(['gr_2'])
    const before = entry.backing
    const [, second] = around.live.get(key(bot, 'orders'))!
    around.give(bot, [second!])
    expect(entry.backing).toBe(before)
    expect(words()).toEqual([])
    around.give(bot, [grant('gr_1')])
    expect(words()).toEqual(['grant-ended: access ended: grant gr_1 was revoked by Ada: no longer needed'])
  })

  test('what it needs also where none is needed, with a token that is bound to a grant', () => {
    around.give(bot, [grant('gr_1')])
    const { entry } = around.open(agentOf('bot', { token: { id: 't', connection: 'orders', grant: 'gr_1' } }), standing)
    expect(entry.backing.needed).toBe(true)
  })

  test('told to whoever counts, each grant once', () => {
    around.give(bot, [grant('gr_1')])
    around.open(bot, jit)
    around.give(bot, [...around.live.get(key(bot, 'orders'))!, grant('gr_2')], { state: 'active' })
    expect(around.used).toEqual([
      ['se_1', ['gr_1']],
      ['se_1', ['gr_2']],
    ])
  })
})

describe('what ends it', () => {
  it.each<[what: string, end: (a: Around) => void, words: string]>([
    [
      'its last grant',
      (a) => a.give(bot, []),
      'grant-ended: access ended: grant gr_1 was revoked by Ada: no longer needed',
    ],
    [
      'its agent disabled',
      (a) => a.entrance.disabled(bot.id, 'bot was disabled by Ada: odd'),
      'agent-disabled: access ended: bot was disabled by Ada: odd',
    ],
    [
      'its connection frozen',
      (a) => a.entrance.frozen(freezeOf('orders')),
      'frozen: access ended: orders was frozen by Ada: odd',
    ],
    [
      'everything frozen',
      (a) => a.entrance.frozen(freezeOf('*')),
      'frozen: access ended: everything was frozen by Ada: odd',
    ],
    [
      'its issuer trusted no more',
      (a) => a.entrance.issuersChanged((issuer) => issuer !== 'https://idp'),
      'token-revoked: access ended: the issuer of its token is trusted no more',
    ],
    [
      'its token revoked',
      (a) => a.entrance.tokenEnded('tk_1', 'its token was revoked by Ada'),
      'token-revoked: access ended: its token was revoked by Ada',
    ],
    [
      'policy that denies it by now',
      (a) => {
        a.policy = () => 'deny'
        a.entrance.policyChanged()
      },
      'policy-changed: access ended: policy was changed: no policy permits it',
    ],
  ])('%s: at once, once, and also between the entrance and the session', (_, end, words) => {
    const agent = agentOf('bot', { token: { id: 'tk_1', connection: 'orders' } })
    around.give(bot, [grant('gr_1')])
    const { words: said } = around.open(agent, jit)
    const early = around.enter(agent, jit)
    end(around)
    end(around)
    expect(said()).toEqual([words])
    if (words.startsWith('policy')) return // Opening it asks policy itself.
    const ends: EndReason[] = []
    early.opened({ id: 'se_2', connect, end: (reason) => void ends.push(reason), lessened() {} })
    expect(ends.map(({ cause_, message }) => `${cause_}: ${message}`)).toEqual([words])
  })

  test('nobody else goes', () => {
    around.give(bot, [grant('gr_1')])
    around.give(agentOf('bot', { onBehalfOf: 'bob' }), [grant('gr_2')])
    around.give(agentOf('other'), [grant('gr_3')])
    const mine = around.open(bot, jit)
    const others = [
      around.open(agentOf('bot', { onBehalfOf: 'bob' }), jit),
      around.open(agentOf('other'), jit),
      around.open(agentOf('third', { token: { id: 'tk_2', connection: 'orders' } }), standing),
      around.open(agentOf('fourth'), connection({ name: 'files', access: 'standing' })),
    ]
    around.give(bot, [])
    around.entrance.disabled('https://idp#nobody', 'x')
    around.entrance.frozen(freezeOf('elsewhere'))
    around.entrance.tokenEnded('tk_1', 'x')
    around.entrance.policyChanged()
    around.entrance.issuersChanged(() => true)
    expect(mine.words()).toHaveLength(1)
    expect(others.flatMap(({ words }) => words())).toEqual([])
  })

  test('not one grant of two', () => {
    around.give(bot, [grant('gr_1'), grant('gr_2')])
    const { entry, words, lessened } = around.open(bot, jit)
    around.give(bot, [...around.live.get(key(bot, 'orders'))!, grant('gr_3')], { state: 'active' })
    expect(lessened()).toEqual([])
    around.give(bot, [grant('gr_2')])
    expect(words()).toEqual([])
    expect(lessened()).toEqual(['grant-ended: access ended: grant gr_1 was revoked by Ada: no longer needed'])
    expect(entry.backing.grants.map(({ id }) => id)).toEqual(['gr_2'])
  })

  test('the clock, where nobody could write down that its grants are over', () => {
    around.give(bot, [grant('gr_1', HOUR), grant('gr_2', 2 * HOUR)])
    const { words } = around.open(bot, jit)
    around.now = HOUR
    vi.advanceTimersByTime(HOUR)
    expect(words()).toEqual([])
    around.now = 2 * HOUR
    vi.advanceTimersByTime(HOUR + 999)
    expect(words()).toEqual(['grant-ended: access ended: grant gr_2 has expired'])
  })

  test('not the clock, where it was prolonged', () => {
    around.give(bot, [grant('gr_1', HOUR)])
    const { words } = around.open(bot, jit)
    around.give(bot, [grant('gr_1', HOUR), grant('gr_2', 3 * HOUR)], { state: 'active' })
    around.now = 2 * HOUR
    vi.advanceTimersByTime(2 * HOUR)
    expect(words()).toEqual([])
  })

  test('where no grant is needed, policy that asks for one', () => {
    around.policy = ({ session }) => (session.backing?.grants.length ? 'allow' : 'deny')
    around.give(bot, [grant('gr_1')])
    const { words } = around.open(bot, standing)
    around.give(bot, [])
    expect(words()).toEqual(['grant-ended: access ended: grant gr_1 was revoked by Ada: no longer needed'])
  })

  test('where all is observed neither grants nor policy, but freezes', () => {
    around.policy = () => 'deny'
    around.give(bot, [grant('gr_1')])
    const { entry, words } = around.open(bot, observed)
    around.give(bot, [])
    around.entrance.policyChanged()
    vi.advanceTimersByTime(9 * HOUR)
    expect(words()).toEqual([])
    expect(entry.backing).toEqual({ needed: true, grants: [] })
    around.entrance.frozen(freezeOf('orders'))
    expect(words()).toHaveLength(1)
  })

  test('a hold of policy ends nothing: it was approved when it was opened', () => {
    const { words } = around.open(bot, standing)
    around.policy = () => 'hold'
    around.entrance.policyChanged()
    expect(words()).toEqual([])
  })

  test('policy is asked with what the session is', () => {
    around.give(bot, [grant('gr_1')])
    const entry = around.enter(bot, jit)
    entry.opened({ id: 'se_1', purpose: 'cleaning', connect, end() {}, lessened() {} })
    around.entrance.policyChanged()
    expect(around.previews).toMatchObject([
      {
        agent: bot,
        connection: jit,
        effects: [connect],
        session: { id: 'se_1', purpose: 'cleaning', backing: entry.backing },
      },
    ])
  })

  test('a token that was revoked between its check and the session', async () => {
    const agent = agentOf('bot', { token: { id: 'tk_1', connection: 'orders' } })
    around.over.set('tk_1', 'its token was revoked by Ada')
    const { words } = around.open(agent, standing)
    await vi.waitFor(
      () => expect(words()).toEqual(['token-revoked: access ended: its token was revoked by Ada']),
      20_000,
    )
  })

  test('a token whose issuer says no, asked each minute', async () => {
    const { words } = around.open(agentOf('bot', { proof: 'p' }), standing)
    await vi.advanceTimersByTimeAsync(59_000)
    around.over.set('p', 'its issuer says that the token is good no more')
    expect(words()).toEqual([])
    await vi.advanceTimersByTimeAsync(1_000)
    expect(words()).toEqual(['token-revoked: access ended: its issuer says that the token is good no more'])
  })
})

test('whoever has left is nobody’s concern, and nothing of it is left', async () => {
  around.give(bot, [grant('gr_1')])
  const agent = agentOf('bot', { token: { id: 'tk_1', connection: 'orders' }, proof: 'p' })
  const { entry, words } = around.open(agent, jit)
  const never = around.enter(agent, jit)
  entry.left()
  entry.left()
  never.left()
  expect(around.entrance.inside).toBe(0)
  around.give(bot, [])
  around.entrance.frozen(freezeOf('*'))
  await vi.advanceTimersByTimeAsync(24 * HOUR)
  expect(words()).toEqual([])
  expect(vi.getTimerCount()).toBe(0)
})

test('in whatever order things happen: it is open with a live grant alone, ended once, and nothing is left', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('give' as const), grants: fc.uniqueArray(fc.integer({ min: 1, max: 3 })) }),
    fc.record({ do: fc.constantFrom('enter' as const, 'open' as const, 'leave' as const, 'freeze' as const) }),
    fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: HOUR }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const around = new Around()
      const entries: { entry: Entry; ends: number; open: boolean; left: boolean }[] = []
      for (const one of steps) {
        if (one.do === 'give')
          around.give(
            bot,
            one.grants.map((n) => grant(`gr_${n}`, around.now + n * HOUR)),
          )
        if (one.do === 'enter') {
          const entry = around.entrance.enter(bot, jit)
          if (!('refused' in entry)) entries.push({ entry, ends: 0, open: false, left: false })
        }
        const last = entries.findLast(({ left }) => !left)
        if (one.do === 'open' && last && !last.open) {
          last.open = true
          last.entry.opened({ id: 's', connect, end: () => void last.ends++, lessened() {} })
        }
        if (one.do === 'leave' && last) {
          last.left = true
          last.entry.left()
        }
        if (one.do === 'freeze') around.entrance.frozen(freezeOf('orders'))
        if (one.do === 'pass') {
          around.now += one.ms
          vi.advanceTimersByTime(one.ms + 250)
        }
        for (const { entry, ends, open, left } of entries) {
          expect(ends).toBeLessThan(2)
          const alive = entry.backing.grants.some(({ endsAt }) => endsAt > around.now)
          if (open && !left && !alive) expect(ends).toBe(1)
        }
        expect(around.entrance.inside).toBe(entries.filter(({ left }) => !left).length)
      }
      for (const { entry } of entries) entry.left()
      expect(around.entrance.inside).toBe(0)
      expect(vi.getTimerCount()).toBe(0)
    }),
    { seed: 20261121, numRuns: 300 },
  )
})
