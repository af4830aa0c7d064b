import { Approval } from '@countersign/contract/approval'
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ada, ben, command, cy, minute, person, type World, world } from '../approvals/testing/approvals.ts'
import type { Policies } from '../policy/policy.ts'
import { bot, CONTRACT_EXAMPLE, onTable, orders, policiesOf } from '../policy/testing/policies.ts'
import type { Command, Gate, HoldNotice, SubmitOptions, Verdict } from './command.ts'
import { createGate } from './gate.ts'

const example = await policiesOf(CONTRACT_EXAMPLE)
const permit = 'permit (principal, action, resource);'
const held = (id: string, group: string, quorum = 1) =>
  `@id("${id}") @hold("${group}") @quorum("${quorum}") forbid (principal, action == Action::"sql:write", resource) unless { context has approval };`
const simple = await policiesOf(permit + held('h', 'oncall-dba'))

let w: World
let gate: Gate
let policies: Policies | (() => Policies)
beforeEach(async () => {
  w = await world()
  policies = simple
  const log = { error: (entry: unknown) => void w.errors.push(entry) } as never
  gate = createGate({
    policies: () => (typeof policies === 'function' ? policies() : policies),
    approvals: delegate(() => w.approvals),
    clock: () => w.clock.now(),
    log,
  })
})
afterEach(async () => {
  await w[Symbol.asyncDispose]()
})
/** Approvals that may be started anew behind the gate's back. */
const delegate = <T extends object>(target: () => T): T =>
  new Proxy({} as T, { get: (_, key) => target()[key as keyof T] })

interface Run {
  verdict: Promise<Verdict>
  /** What was recorded, with whether it had to be on disk. */
  records: [Verdict, boolean][]
  noticed: Promise<HoldNotice>
  notices: HoldNotice[]
  abort: (because: string) => void
}
function run(more: Partial<Command> = {}, options: Partial<SubmitOptions> = {}): Run {
  const controller = new AbortController()
  const records: Run['records'] = []
  const notices: HoldNotice[] = []
  let notice: (notice: HoldNotice) => void
  const noticed = new Promise<HoldNotice>((resolve) => {
    notice = resolve
  })
  const verdict = Promise.resolve(
    gate.submit(command(more), {
      hold: 'wait',
      signal: controller.signal,
      onHeld: (n) => {
        notices.push(n)
        notice(n)
      },
      record: (v, { durable }) => void records.push([v, durable]),
      ...options,
    }),
  )
  return { verdict, records, noticed, notices, abort: (because) => controller.abort(new Error(because)) }
}
const decide = async (id: string, who: typeof ada, verdict: 'approve' | 'deny' = 'approve', window = 'once') => {
  const { command } = (await w.approvals.get(id))!
  const decided = await w.approvals.decide(id, who, {
    verdict,
    reason: 'because',
    digest: command.digest,
    window,
  } as never)
  expect(decided).toMatchObject({ ok: true })
}
const stateOf = async (id: string) => (await w.approvals.get(id))?.state
const read = { effects: [onTable('sql:read', 'customers', { kind: 'select' })] }

describe('the example of the contract, verbatim', () => {
  beforeEach(() => {
    policies = example
  })
  test('a read runs at once', async () => {
    const { verdict, records, notices } = run(read)
    expect(await verdict).toEqual({
      outcome: 'allow',
      policies: ['base.cedar#1'],
      digest: expect.stringMatching(/^sha256:/),
    })
    expect(records).toEqual([[await verdict, false]])
    expect(notices).toEqual([])
  })
  test('a delete of every row waits for two of oncall-dba, then runs once', async () => {
    const { verdict, records, noticed } = run()
    const notice = await noticed
    expect(notice).toMatchObject({ groups: ['oncall-dba'], expiresAt: new Date(w.clock.now().getTime() + 10 * minute) })
    await decide(notice.approval, ada)
    expect(await stateOf(notice.approval)).toBe('pending')
    expect(records).toEqual([])
    await decide(notice.approval, ben)
    expect(await verdict).toMatchObject({
      outcome: 'allow',
      policies: ['unbounded-delete'],
      approval: { id: notice.approval, by: ['Ada', 'Ben'] },
    })
    expect(records).toEqual([[await verdict, true]])
    expect(await stateOf(notice.approval)).toBe('used')
    const again = run()
    expect((await again.noticed).approval).not.toBe(notice.approval)
    again.abort('enough')
    await again.verdict
  })
  test('one who may not write is denied, and nobody is asked', async () => {
    const { verdict, notices } = run({ agent: { ...bot, groups: ['support-agents'] } })
    expect(await verdict).toMatchObject({
      outcome: 'denied',
      policies: [],
      reason: 'no policy permits sql:write on orders/public.customers',
    })
    expect(notices).toEqual([])
  })
  test('what is sent to the console names the effect, its reach and the policy', async () => {
    const { verdict, noticed, abort } = run()
    const approval = await w.approvals.get((await noticed).approval)
    expect(Approval.parse(approval)).toMatchObject({
      command: { text: 'DELETE FROM customers', effects: [{ kind: 'delete', bounded: false }] },
      requirements: [{ policy: 'unbounded-delete', reason: 'Deletes every row', quorum: 2 }],
    })
    abort('enough')
    await verdict
  })
})

describe('where nobody has to be asked', () => {
  const now = (submitted: Command, record: SubmitOptions['record'] = () => {}) =>
    gate.submit(submitted, { hold: 'wait', signal: new AbortController().signal, record })
  test('the answer is there at once', () => {
    expect(now(command({ ...read, agent: bot }))).toMatchObject({ outcome: 'allow' })
    expect(
      now(command(read), () => {
        throw new Error('disk full')
      }),
    ).toMatchObject({ outcome: 'denied', reason: expect.stringContaining('disk full') })
  })
  test('the same again is asked anew once anything it depends on is another', async () => {
    const hourly = await policiesOf(
      '@id("day") permit (principal, action, resource) when { context.time.hour < 13 && principal in Group::"support-agents" };',
    )
    const same = command({ ...read, agent: { ...bot, groups: ['support-agents'] } })
    w.clock.advance(-w.clock.now().getTime() + Date.UTC(2026, 10, 21, 12, 30))
    const outcome = (submitted: Command) => {
      const verdict = now(submitted)
      return verdict instanceof Promise ? 'later' : verdict.outcome
    }
    policies = hourly
    expect(outcome(same)).toBe('allow')
    expect(outcome({ ...same, agent: { ...same.agent, groups: [] } })).toBe('denied')
    expect(outcome({ ...same, effects: [onTable('sql:read', 'orders', { kind: 'select' })] })).toBe('allow')
    policies = await policiesOf('@id("no") forbid (principal, action, resource);')
    expect(outcome(same)).toBe('denied')
    policies = hourly
    expect(outcome(same)).toBe('allow')
    w.clock.advance(31 * minute)
    expect(outcome(same)).toBe('denied')
  })
})

describe('a held command', () => {
  test('denied by a person', async () => {
    const { verdict, noticed, records } = run()
    const { approval } = await noticed
    await decide(approval, ada, 'deny')
    expect(await verdict).toEqual({
      outcome: 'denied-by-person',
      approval,
      digest: expect.any(String),
      person: 'Ada',
      reason: 'because',
    })
    expect(records.map(([v]) => v.outcome)).toEqual(['denied-by-person'])
  })
  test('expired', async () => {
    const { verdict, noticed } = run()
    const { approval } = await noticed
    w.clock.advance(10 * minute)
    expect(await verdict).toMatchObject({ outcome: 'expired', approval })
  })
  test('cancelled by its client', async () => {
    const { verdict, noticed, abort } = run()
    const { approval } = await noticed
    abort('the client cancelled')
    expect(await verdict).toMatchObject({ outcome: 'cancelled', approval, reason: 'the client cancelled' })
    expect(await w.approvals.get(approval)).toMatchObject({ state: 'cancelled', closedBecause: 'the client cancelled' })
  })
  test('cancelled because the gateway stops', async () => {
    const { verdict, noticed } = run()
    await noticed
    await w.approvals.cancelWaiting('the gateway is stopping')
    expect(await verdict).toMatchObject({ outcome: 'cancelled', reason: 'the gateway is stopping' })
    expect(await run().verdict).toMatchObject({
      outcome: 'denied',
      reason: expect.stringContaining('the gateway is stopping'),
    })
  })
  test('survives a gateway restart as cancelled, and never runs', async () => {
    const { verdict, noticed, records } = run()
    const { approval } = await noticed
    await w.restart()
    await w.approvals.recover()
    expect(await verdict).toMatchObject({ outcome: 'cancelled' })
    expect(await stateOf(approval)).toBe('cancelled')
    expect(records.some(([v]) => v.outcome === 'allow')).toBe(false)
  })
  test('of one whose client has gone before: nobody is asked', async () => {
    const { verdict } = run({}, { signal: AbortSignal.abort(new Error('gone')) })
    expect(await verdict).toMatchObject({ outcome: 'denied', reason: expect.stringContaining('gone') })
    expect((await w.approvals.list({ limit: 1 })).items).toEqual([])
  })
})

describe('recording', () => {
  test('comes before the approval is used', async () => {
    const states: unknown[] = []
    const { verdict, noticed } = run(
      {},
      { record: async (v) => void states.push(await stateOf((v as { approval: { id: string } }).approval.id)) },
    )
    await decide((await noticed).approval, ada)
    expect((await verdict).outcome).toBe('allow')
    expect(states).toEqual(['approved'])
  })
  const broken = () => {
    throw new Error('disk full')
  }
  test('where it fails, an allowed command is refused in words', async () => {
    expect(await run(read, { record: broken }).verdict).toMatchObject({
      outcome: 'denied',
      reason: expect.stringMatching(/was not run.*disk full/),
    })
  })
  test('where it fails, an approved command is refused, and the approval is not used', async () => {
    const { verdict, noticed } = run({}, { record: async () => broken() })
    const { approval } = await noticed
    await decide(approval, ada)
    expect(await verdict).toMatchObject({ outcome: 'denied', reason: expect.stringContaining('disk full') })
    expect(await w.approvals.get(approval)).toMatchObject({
      state: 'cancelled',
      closedBecause: expect.stringContaining('disk full'),
    })
  })
  test('where it fails, a refusal stays what it is', async () => {
    policies = await policiesOf('@id("no") forbid (principal, action, resource);')
    expect(await run({}, { record: broken }).verdict).toMatchObject({ outcome: 'denied', policies: ['no'] })
  })
})

describe('one who goes', () => {
  const moments: [name: string, act: (run: Run, id: string) => void][] = [
    ['while people decide', (r) => r.abort('gone')],
    ['while it is recorded', () => {}],
  ]
  test.each(moments)('%s never has it run', async (name, act) => {
    let current: Run
    current = run(
      {},
      { record: async (v) => void (name === 'while it is recorded' && v.outcome === 'allow' && current.abort('gone')) },
    )
    const { approval } = await current.noticed
    const deciding = decide(approval, ada).catch(() => {})
    act(current, approval)
    await deciding
    expect((await current.verdict).outcome).toBe('cancelled')
    expect(await stateOf(approval)).toBe('cancelled')
  })
  test('at the moment of the approval: either it ran and is used, or it did not and is not', async () => {
    for (let i = 0; i < 20; i++) {
      const current = run()
      const { approval } = await current.noticed
      const deciding = decide(approval, ada).catch(() => {})
      for (let step = 0; step < i; step++) await new Promise((resolve) => setImmediate(resolve))
      current.abort('gone')
      await deciding
      const { outcome } = await current.verdict
      expect([outcome, await stateOf(approval)]).toEqual(
        outcome === 'allow' ? ['allow', 'used'] : ['cancelled', 'cancelled'],
      )
    }
  })
})

describe('hold=fail', () => {
  const ask = (more: Partial<Command> = {}) => run(more, { hold: 'fail' }).verdict
  const heldOf = async (verdict: Promise<Verdict>) => {
    const found = await verdict
    if (found.outcome !== 'held') throw new Error(found.outcome)
    return found
  }
  test('answers with the id; the same while pending; runs once approved, in any session; then is held anew', async () => {
    const first = await heldOf(ask())
    expect(first).toMatchObject({ groups: ['oncall-dba'], expiresAt: new Date(w.clock.now().getTime() + 10 * minute) })
    expect((await heldOf(ask({ session: { id: 'se_2' } }))).approval).toBe(first.approval)
    await decide(first.approval, ada)
    expect(await ask({ session: { id: 'se_2' } })).toMatchObject({
      outcome: 'allow',
      approval: { id: first.approval, by: ['Ada'] },
    })
    expect(await stateOf(first.approval)).toBe('used')
    expect((await heldOf(ask())).approval).not.toBe(first.approval)
  })
  test('outlives its connection, and a restart', async () => {
    const { approval } = await heldOf(ask())
    await w.restart()
    await w.approvals.recover()
    await decide(approval, ada)
    const gone = await run({}, { hold: 'fail', signal: AbortSignal.abort(new Error('gone')) }).verdict
    expect(gone).toMatchObject({ outcome: 'cancelled', approval })
    expect(await ask()).toMatchObject({ outcome: 'allow', approval: { id: approval } })
  })
  test('of many who run it at once one does', async () => {
    const { approval } = await heldOf(ask())
    await decide(approval, ada)
    const verdicts = await Promise.all(Array.from({ length: 5 }, () => ask()))
    expect(verdicts.filter((v) => v.outcome === 'allow')).toHaveLength(1)
    const anew = verdicts.filter((v) => v.outcome === 'held').map((v) => v.approval)
    expect(anew).toHaveLength(4)
    expect(new Set(anew).size).toBe(1)
  })
  test('not used within use_within: held anew', async () => {
    const { approval } = await heldOf(ask())
    await decide(approval, ada)
    w.clock.advance(10 * minute)
    expect((await heldOf(ask())).approval).not.toBe(approval)
  })
  test('approved while pending, another command is another one', async () => {
    const { approval } = await heldOf(ask())
    await decide(approval, ada)
    for (const other of [
      { text: 'DELETE FROM customers;' },
      { parameters: ['1'] },
      { effects: [{ ...onTable('sql:write', 'customers', { kind: 'delete', bounded: false }), object: '99' }] },
      { meaning: { search_path: ['evil'], role: 'app_rw' } },
      { agent: { ...bot, id: `${bot.id}2`, subject: 'bot2' } },
    ])
      expect((await heldOf(ask(other))).approval).not.toBe(approval)
    expect(await stateOf(approval)).toBe('approved')
  })
  test('denied: the next is asked anew', async () => {
    const { approval } = await heldOf(ask())
    await decide(approval, ada, 'deny')
    expect((await heldOf(ask())).approval).not.toBe(approval)
  })
})

describe('where as many are held as may be', () => {
  const other = { ...bot, id: `${bot.id}2`, subject: 'bot2' }
  const ask = (text: string, agent = bot) => run({ text, agent }, { hold: 'fail' }).verdict
  test.each([
    { limit: 'limits.held_per_agent', limits: { held_per_agent: 2, held: 100 }, others: 'held' },
    { limit: 'limits.held', limits: { held_per_agent: 100, held: 2 }, others: 'denied' },
  ])('by $limit one more is refused, and recorded as that', async ({ limit, limits, others }) => {
    Object.assign(w.limits, limits)
    const first = await ask('delete 1')
    expect([first.outcome, (await ask('delete 2')).outcome]).toEqual(['held', 'held'])
    const { verdict, records, notices } = run({ text: 'delete 3' })
    expect(await verdict).toMatchObject({
      outcome: 'denied',
      policies: [],
      limit,
      reason: expect.stringContaining(limit),
    })
    expect(records).toEqual([[await verdict, false]])
    expect(notices).toEqual([])
    expect(w.errors).toEqual([])
    // What is held already stays the same one, and what needs nobody runs.
    expect(await ask('delete 1')).toEqual(first)
    expect((await run(read).verdict).outcome).toBe('allow')
    expect((await ask('delete 4', other)).outcome).toBe(others)
    // One that was approved may come to wait again: it takes room until it is used.
    const { approval } = first as { approval: string }
    await decide(approval, ada)
    expect(await ask('delete 3')).toMatchObject({ outcome: 'denied', limit })
    expect((await ask('delete 1')).outcome).toBe('allow')
    expect((await ask('delete 3')).outcome).toBe('held')
  })
  test('never more, however many ask at once', async () => {
    w.limits.held_per_agent = 5
    const verdicts = await Promise.all(Array.from({ length: 20 }, (_, n) => ask(`delete ${n}`)))
    expect(verdicts.filter(({ outcome }) => outcome === 'held')).toHaveLength(5)
    expect(await w.approvals.list({ state: 'pending', limit: 100 })).toMatchObject({ items: { length: 5 } })
  })
})

describe('a window', () => {
  test('repeats the same digest without asking, recorded on disk, and decided afresh', async () => {
    const first = run()
    const { approval } = await first.noticed
    await decide(approval, ada, 'approve', '30m')
    await first.verdict
    const again = run({ session: { id: 'se_2' } })
    expect(await again.verdict).toMatchObject({ outcome: 'allow', approval: { id: approval, by: ['Ada'] } })
    expect(again.records).toEqual([[await again.verdict, true]])
    policies = await policiesOf(permit + held('h', 'oncall-dba', 2))
    const more = run()
    expect((await more.noticed).approval).not.toBe(approval)
    more.abort('enough')
    await more.verdict
    policies = await policiesOf('@id("no") forbid (principal, action, resource);')
    expect(await run().verdict).toMatchObject({ outcome: 'denied', policies: ['no'] })
  })
})

describe('at release it decides afresh', () => {
  const released = async (then: string) => {
    const current = run()
    const { approval } = await current.noticed
    policies = await policiesOf(then)
    await decide(approval, ada)
    return { ...current, approval }
  }
  test('what is denied by then is denied', async () => {
    const { verdict, approval, records } = await released(`${permit}@id("no") forbid (principal, action, resource);`)
    expect(await verdict).toMatchObject({ outcome: 'denied', policies: ['no'] })
    expect(await w.approvals.get(approval)).toMatchObject({
      state: 'cancelled',
      closedBecause: expect.stringContaining('denied by policy no'),
    })
    expect(records.map(([v]) => v.outcome)).toEqual(['denied'])
  })
  test('what nothing holds any more runs', async () => {
    const { verdict } = await released(permit)
    expect(await verdict).toMatchObject({ outcome: 'allow', policies: ['base.cedar#1'], approval: { by: ['Ada'] } })
  })
  test('a policy that nobody was asked about is not silenced: it goes on pending for its people', async () => {
    const { verdict, approval, records } = await released(permit + held('h', 'oncall-dba') + held('new', 'sre'))
    await w.until(() => w.said.filter((m) => m.type === 'approval.opened').length === 2)
    expect(await w.approvals.get(approval)).toMatchObject({
      state: 'pending',
      requirements: [
        { policy: 'h', approvedBy: ['Ada'] },
        { policy: 'new', approvedBy: [] },
      ],
    })
    expect(records).toEqual([])
    await decide(approval, cy)
    expect(await verdict).toMatchObject({ outcome: 'allow', policies: ['h', 'new'], approval: { by: ['Ada', 'Cy'] } })
  })
  test('a quorum that was raised must be met', async () => {
    const { verdict, approval } = await released(permit + held('h', 'oncall-dba', 2))
    await w.until(() => w.said.filter((m) => m.type === 'approval.opened').length === 2)
    await decide(approval, person('Dee', ['oncall-dba']))
    expect(await verdict).toMatchObject({ outcome: 'allow', approval: { by: ['Ada', 'Dee'] } })
  })
  test('a clause that asks for a person who did not approve refuses in words', async () => {
    const { verdict } = await released(
      `${permit}${held('h', 'oncall-dba')}@id("two") @hold("oncall-dba") forbid (principal, action, resource)
       unless { context has approval && !context.approval.people.contains("${ada.id}") };`,
    )
    expect(await verdict).toMatchObject({ outcome: 'denied' })
  })
})

describe('whatever goes wrong inside is a refusal', () => {
  test('policy', async () => {
    policies = () => {
      throw new Error('no policy at all')
    }
    expect(await run(read).verdict).toMatchObject({
      outcome: 'denied',
      reason: expect.stringMatching(/no policy at all.*nothing was run/),
    })
    expect(gate.preview(command(read))).toMatchObject({ outcome: 'deny' })
    expect(w.errors).toHaveLength(1)
  })
  test('a command without effects', async () => {
    expect(await run({ effects: [] }).verdict).toMatchObject({
      outcome: 'denied',
      reason: expect.stringContaining('no known effect'),
    })
  })
  test('a command without a canonical form', async () => {
    expect(await run({ ...read, meaning: { x: Number.NaN } }).verdict).toMatchObject({ outcome: 'denied' })
  })
  test('onHeld', async () => {
    const broken = () => {
      throw new Error('socket closed')
    }
    expect(await run({}, { onHeld: broken }).verdict).toMatchObject({
      outcome: 'cancelled',
      reason: expect.stringContaining('socket closed'),
    })
    expect((await w.approvals.list({ limit: 2 })).items.map((a) => a.state)).toEqual(['cancelled'])
  })
  test('a full disk, while opening and while using', async () => {
    const fill = async () => {
      const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(w.store.db)
      await sql.raw(`pragma max_page_count = ${rows[0]!.page_count}`).execute(w.store.db)
    }
    await fill()
    expect(await run({ text: 'x'.repeat(300_000) }).verdict).toMatchObject({
      outcome: 'denied',
      reason: expect.stringContaining('full'),
    })
    await sql.raw('pragma max_page_count = 100000').execute(w.store.db)
    // a window makes use() write more than fits
    const text = `DELETE FROM customers -- ${'x'.repeat(50_000)}`
    const current = run({ text }, { record: fill })
    const { approval } = await current.noticed
    await decide(approval, ada)
    expect((await current.verdict).outcome).toBe('cancelled')
    await sql.raw('pragma max_page_count = 100000').execute(w.store.db)
    expect(await stateOf(approval)).not.toBe('used')
    await w.restart()
    await w.approvals.recover()
    expect(await stateOf(approval)).toBe('cancelled')
  })
})

test('the strictest of the effects wins', async () => {
  policies = await policiesOf(
    `${permit}${held('h', 'oncall-dba')}@id("no-ddl") @reason("by migrations") forbid (principal, action == Action::"sql:ddl", resource);`,
  )
  const [reads, writes, ddl] = ['read', 'write', 'ddl'].map((a) => onTable(`sql:${a}`, 'customers'))
  const preview = (...effects: Command['effects']) => gate.preview(command({ effects }))
  expect(preview(reads!)).toEqual({ outcome: 'allow', policies: ['base.cedar#1'], reason: 'allowed' })
  expect(preview(reads!, writes!)).toEqual({ outcome: 'hold', policies: ['h'], reason: 'held by policy h' })
  for (const effects of [
    [reads!, writes!, ddl!],
    [ddl!, writes!],
    [writes!, ddl!, reads!],
  ])
    expect(preview(...effects)).toEqual({
      outcome: 'deny',
      policies: ['no-ddl'],
      reason: 'denied by policy no-ddl (by migrations): sql:ddl on orders/public.customers',
    })
})

test('observe decides and records, refuses nothing and asks nobody', async () => {
  policies = await policiesOf(
    `${permit}${held('h', 'oncall-dba')}@id("no") forbid (principal, action == Action::"sql:ddl", resource);`,
  )
  const connection = { ...orders, mode: 'observe' as const }
  const cases = [
    [read, undefined],
    [{}, 'hold: held by policy h'],
    [{ effects: [onTable('sql:ddl', 't')] }, 'deny: denied by policy no: sql:ddl on orders/public.t'],
  ] as const
  for (const [more, observed] of cases) {
    const { verdict, records, notices } = run({ ...(more as Partial<Command>), connection })
    expect(await verdict).toMatchObject({ outcome: 'allow', ...(observed === undefined ? {} : { observed }) })
    expect(records).toHaveLength(1)
    expect(notices).toEqual([])
  }
  expect((await w.approvals.list({ limit: 1 })).items).toEqual([])
  const { verdict } = run({ connection }, { record: () => Promise.reject(new Error('disk full')) })
  expect(await verdict).toMatchObject({ outcome: 'denied' })
})

test('what became of it is on the card', async () => {
  const current = run()
  const { approval } = await current.noticed
  await decide(approval, ada)
  await current.verdict
  gate.report(approval, { status: 'failed', sqlstate: '23503', message: 'still referenced', ms: 2 })
  await w.until(async () => (await w.approvals.get(approval))?.outcome !== undefined)
  expect(await w.approvals.get(approval)).toMatchObject({
    state: 'used',
    outcome: { status: 'failed', sqlstate: '23503' },
  })
})
