import type { BacktestResult } from '@countersign/contract/policies'
import { BacktestRequest, Backtest as Shown } from '@countersign/contract/policies'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { loadPolicyTexts } from '../policy/policy.ts'
import { bot, onTable } from '../policy/testing/policies.ts'
import type { StoredMessage } from '../store/feed.ts'
import { openPolicyWork, type PolicyWork } from './backtest.ts'
import { createBacktests } from './backtests.ts'
import { replay } from './replay.ts'
import { ReplayFailed } from './running.ts'
import { Past } from './testing/past.ts'

const permit = { file: 'a.cedar', text: 'permit (principal, action, resource);' }
const tighter = {
  file: 'b.cedar',
  text: `@id("no-notes") @reason("Notes are private")
forbid (principal, action, resource == Table::"orders/public.notes");
@id("ask") @hold("dba") forbid (principal, action == Action::"sql:write", resource) unless { context has approval };`,
}
const rae = { id: 'https://idp#rae', issuer: 'https://idp', subject: 'rae', name: 'Rae' }
const request = (more: object = {}) =>
  BacktestRequest.parse({ files: [permit, tighter], since: '2026-11-01', until: '2026-11-30T00:00:00Z', ...more })

let past: Past
let work: PolicyWork
let said: StoredMessage[]
let sessions: string[]
beforeAll(async () => {
  past = await Past.begin('2026-11-18T15:00:00.000Z')
  const loaded = loadPolicyTexts([permit])
  if (!loaded.ok) throw new Error('no policies')
  await past.configure([{ name: 'orders', kind: 'postgres', tags: [], access: 'standing', mode: 'enforce' }])
  const [one, other] = [await past.session(bot, 'orders'), await past.session({ ...bot, name: 'Other' }, 'orders')]
  sessions = [one.id, other.id]
  for (const session of [one, one, one, other])
    for (const effect of [
      onTable('sql:read', 'notes'),
      onTable('sql:write', 'customers'),
      onTable('sql:read', 'orders'),
    ]) {
      past.pass(1000)
      await past.run(loaded.policies, session, past.command(session, [effect]))
    }
  await past.over()
  past.store.feed.subscribe((message) => void said.push(message))
  work = await openPolicyWork({
    ...{ store: past.store, folder: past.folder, policies: () => loaded.policies, policyFolder: () => past.folder },
    log: { warn() {}, error() {} },
  })
}, 60_000)
afterAll(async () => {
  await work[Symbol.asyncDispose]()
  await past[Symbol.asyncDispose]()
})
beforeEach(() => {
  said = []
})
/** Resolves once the feed has said so. */
const until = async (test: () => boolean) => {
  while (!test()) {
    const { promise, resolve } = Promise.withResolvers<void>()
    const stop = past.store.feed.subscribe(() => resolve())
    if (!test()) await promise
    stop()
  }
}
const told = () => said.filter(({ type }) => type === 'backtest.changed').map(({ data }) => data as Shown)

describe('a backtest', () => {
  test('tells what would be decided otherwise, by agent and shape, with samples', async () => {
    const begun = await work.backtests.start(request(), rae)
    expect(Shown.parse(begun)).toMatchObject({ state: 'running', by: rae, progress: { commands: 0 } })
    await work.backtests.idle()
    const done = Shown.parse(await work.backtests.get(begun.id))
    expect(done).toMatchObject({ state: 'done', progress: { commands: 12, of: 12 }, check: { warnings: [] } })
    const result = done.result!
    expect(result).toMatchObject({
      ...{ commands: 12, unreadable: 0, newlyDenied: 4, newlyHeld: 4, newlyAllowed: 0, left: 0, notes: [] },
      same: { allow: 4, hold: 0, deny: 0 },
    })
    expect(
      result.changes.map(({ change, shape, commands, policies, was }) => [change, shape, commands, policies, was]),
    ).toEqual([
      ['newly-denied', 'sql:read public.notes', 4, ['no-notes'], { allow: 4, hold: 0, deny: 0 }],
      ['newly-held', 'sql:write public.customers', 4, ['ask'], { allow: 4, hold: 0, deny: 0 }],
    ])
    const [denied] = result.changes
    expect(denied!.reason).toBe('denied by policy no-notes (Notes are private): sql:read on orders/public.notes')
    expect(new Set(denied!.samples.map(({ session }) => session))).toEqual(new Set(sessions))
    expect(denied!.samples).toHaveLength(3)
    for (const { text, was, now } of denied!.samples)
      expect([text, was, now]).toEqual([expect.stringMatching(/^statement \d+$/), 'allow', 'deny'])
    await until(() => told().some(({ id, state }) => id === begun.id && state === 'done'))
    expect(told()[0]).toMatchObject({ id: begun.id, state: 'running' })
    expect(told().every((one) => !('result' in one))).toBe(true)
  })

  test('is of the agents, connections and times that were asked for', async () => {
    const window = { from: '2026-11-01T00:00:00.000Z', to: '2026-11-30T00:00:00.000Z' }
    const ask = async (more: object) =>
      (await replay({ data: past.folder, policies: [permit], ...window, ...more })).commands
    expect(await ask({ agents: [bot.id] })).toBe(12)
    expect(await ask({ agents: ['https://idp#nobody'] })).toBe(0)
    expect(await ask({ connections: ['payments'] })).toBe(0)
    expect(await ask({ to: '2026-11-18T15:00:04.000Z' })).toBe(3)
    expect(await ask({ from: '2026-11-18T15:00:12.000Z' })).toBe(1)
  })

  test('is compared with policy in force where that is asked for', async () => {
    const { id } = await work.backtests.start(request({ files: [permit], against: 'in-force' }), rae)
    await work.backtests.idle()
    expect((await work.backtests.get(id))!.result).toMatchObject({ same: { allow: 12 }, changes: [] })
  })

  test('does without the texts that retention has erased since, and so does the store', async () => {
    const { id } = await work.backtests.start(request(), rae)
    await work.backtests.idle()
    const at = new Date().toISOString()
    await past.store.db
      .updateTable('sessions')
      .set({ recording_erased_at: at })
      .where('id', '=', sessions[1]!)
      .execute()
    const samples = ({ changes }: BacktestResult) => changes.flatMap((change) => change.samples)
    const texts = samples((await work.backtests.get(id))!.result!).map(({ session, text }) => [
      session,
      /erased/.test(text),
    ])
    expect(texts).toContainEqual([sessions[1], true])
    expect(texts).toContainEqual([sessions[0], false])
    const { result } = await past.store.db
      .selectFrom('backtests')
      .select('result')
      .where('id', '=', id)
      .executeTakeFirstOrThrow()
    expect(
      samples(JSON.parse(result!)).some(({ session, text }) => session === sessions[1] && /statement/.test(text)),
    ).toBe(false)
    await past.store.db
      .updateTable('sessions')
      .set({ recording_erased_at: null as never })
      .execute()
  })
})

describe('jobs', () => {
  /** Backtests whose replays are ended by the test. */
  const held = () => {
    const calls: {
      signal: AbortSignal
      progress: (commands: number) => void
      fail: (error: Error) => void
      done: (result: BacktestResult) => void
    }[] = []
    const begun: (() => void)[] = []
    const backtests = createBacktests({
      ...{ store: past.store, folder: past.folder, drafts: work.drafts, checking: work.checking, clock: Date.now },
      inForce: () => ({ texts: [permit], overlays: [] }),
      log: { warn() {}, error() {} },
      replay: (_, { signal, onProgress } = {}) =>
        new Promise((resolve, reject) => {
          signal!.addEventListener('abort', () => reject(signal!.reason))
          calls.push({
            signal: signal!,
            fail: reject,
            done: resolve,
            progress: (commands) => onProgress!({ commands, of: 100 }),
          })
          for (const tell of begun.splice(0)) tell()
        }),
    })
    return { backtests, calls }
  }

  test('one runs at a time, and says how far it is', async () => {
    const { backtests, calls } = held()
    const both = await Promise.allSettled([backtests.start(request(), rae), backtests.start(request(), rae)])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    const [{ id }] = both.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])) as [Shown]
    await expect(backtests.start(request(), rae)).rejects.toMatchObject({ code: 'busy' })
    calls[0]!.progress(40)
    expect(await backtests.get(id)).toMatchObject({ state: 'running', progress: { commands: 40, of: 100 } })
    calls[0]!.fail(new ReplayFailed('the disk is gone'))
    await backtests.idle()
    expect(await backtests.get(id)).toMatchObject({
      state: 'failed',
      problem: 'It could not be done: the disk is gone',
    })
    await expect(backtests.cancel(id, 'Rae')).rejects.toMatchObject({ code: 'over' })
    await expect(backtests.cancel('bt_none', 'Rae')).rejects.toMatchObject({ code: 'unknown' })
  })

  test('one that is cancelled ends at once', async () => {
    const { backtests, calls } = held()
    const { id } = await backtests.start(request(), rae)
    const cancelled = await backtests.cancel(id, 'Rae')
    expect(cancelled).toMatchObject({ state: 'cancelled', problem: 'cancelled by Rae' })
    expect(calls[0]!.signal.aborted).toBe(true)
    await until(() => told().some((one) => one.id === id && one.state === 'cancelled'))
  })

  test('a real one is cancelled in its thread', async () => {
    const { id } = await work.backtests.start(request(), rae)
    expect(await work.backtests.cancel(id, 'Rae')).toMatchObject({ state: 'cancelled' })
  })

  test('what a gateway leaves behind that is stopped, or killed, has failed', async () => {
    const stopped = held()
    const { id } = await stopped.backtests.start(request(), rae)
    await stopped.backtests[Symbol.asyncDispose]()
    expect(await work.backtests.get(id)).toMatchObject({ state: 'failed', problem: expect.stringContaining('stopped') })

    const killed = held()
    const left = await killed.backtests.start(request(), rae)
    const next = held()
    await next.backtests.recover()
    expect(await next.backtests.get(left.id)).toMatchObject({
      state: 'failed',
      problem: expect.stringContaining('run it again'),
    })
    // What it might still say is said of one that is over.
    killed.calls[0]!.done({} as BacktestResult)
    await killed.backtests.idle()
    expect(await next.backtests.get(left.id)).toMatchObject({ state: 'failed' })
  })

  test('the newest hundred are kept', async () => {
    const { backtests, calls } = held()
    const ids: string[] = []
    for (let n = 0; n < 3; n++) {
      const { id } = await backtests.start(request({ files: [permit] }), rae)
      ids.push(id)
      calls[n]!.fail(new Error('over'))
      await backtests.idle()
    }
    const row = await past.store.db
      .selectFrom('backtests')
      .selectAll()
      .where('id', '=', ids[0]!)
      .executeTakeFirstOrThrow()
    for (let n = 0; n < 110; n++)
      await past.store.db
        .insertInto('backtests')
        .values({ ...row, id: `bt_old${n}`, at: new Date(Date.UTC(2026, 0, 1, 0, n)).toISOString() })
        .execute()
    await backtests.start(request({ files: [permit] }), rae)
    calls[3]!.fail(new Error('over'))
    await backtests.idle()
    const { items } = await backtests.list({ limit: 1000 })
    expect(items.length).toBeLessThanOrEqual(101)
    expect(items.map(({ id }) => id)).toEqual(expect.arrayContaining(ids))
    expect(items.some(({ id }) => id === 'bt_old0')).toBe(false)
  })

  test('the gateway’s loop goes on while a thread replays', async () => {
    const { id } = await work.backtests.start(request(), rae)
    let turns = 0
    const turning = setInterval(() => turns++, 1)
    await work.backtests.idle()
    clearInterval(turning)
    expect((await work.backtests.get(id))!.state).toBe('done')
    expect(turns).toBeGreaterThan(3)
  })
})

test('a replay of policies that don’t load says where', async () => {
  const window = { data: past.folder, from: '2026-11-01T00:00:00.000Z', to: '2026-11-30T00:00:00.000Z' }
  await expect(replay({ ...window, policies: [{ file: 'x.cedar', text: 'permit' }] })).rejects.toThrow(/x\.cedar:1: /)
})
