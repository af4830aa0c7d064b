import { join } from 'node:path'
import { listOf, Problem } from '@countersign/contract/api'
import { LegalHold, RetentionRun, RetentionState } from '@countersign/contract/evidence'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import { Session } from '@countersign/contract/session'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LedgerStopped } from '../sessions/ledger/ledger.ts'
import { LedgerLog } from '../sessions/ledger/log.ts'
import { createRetention, type Retention } from '../sessions/retention/retention.ts'
import { day, rules, taken } from '../sessions/retention/testing/world.ts'
import type { Api } from './api.ts'
import { type Caller, silent, startWorld, type World } from './testing/world.ts'

let world: World
let log: LedgerLog
let retention: Retention
let api: Api
let stopped: LedgerStopped | undefined
/** A session that ended longer ago than any rule keeps it, and one of an agent that goes on. */
let old: string
let live: string

beforeAll(async () => {
  world = await startWorld()
  log = (await LedgerLog.open({ folder: join(world.folder, 'ledger'), origin: 'gw.test/ledger', crypto: nodeCrypto }))
    .log
  const ended = await world.session()
  await ended.close('closed', 'done')
  old = ended.id
  live = (await world.session()).id
  const kept = rules({ recordings: 30 * day })
  retention = createRetention({
    store: world.store,
    folder: world.folder,
    rules: () => kept,
    ledger: {
      sync: () => taken(log, world.store, world.folder),
      erase: async (erasure) => {
        if (stopped) throw stopped
        return log.erase(erasure)
      },
    },
    live: (id) => id === live,
    search: { forget: async () => {} },
    connections: () => ['orders'],
    log: silent,
    clock: () => Date.now() + 31 * day,
  })
  api = await world.serve({ retention })
})
afterAll(async () => {
  await api[Symbol.asyncDispose]()
  await retention[Symbol.asyncDispose]()
  log.close()
  await world[Symbol.asyncDispose]()
})

async function call(path: string, as: Caller, body?: object): Promise<Response> {
  const headers = { authorization: `Bearer ${await world.token(as)}`, 'content-type': 'application/json' }
  return fetch(`http://${api.address}${path}`, {
    headers,
    ...(body && { method: 'POST', body: JSON.stringify(body) }),
  })
}

const callers = ['ada', 'rae', 'aud', 'max', 'nobody', 'agent'] as const

describe('who may what', () => {
  it.each<[path: string, body: object | undefined, may: readonly Caller[], status: number]>([
    ['/v1/legal-holds', undefined, ['rae', 'aud', 'max'], 200],
    ['/v1/legal-holds', { reason: 'case', connections: ['nothing'] }, ['aud', 'max'], 400],
    ['/v1/legal-holds/lh_none/lift', { reason: 'over' }, ['aud', 'max'], 404],
    ['/v1/retention', undefined, ['rae', 'aud', 'max'], 200],
    ['/v1/retention/runs', { dry: true }, ['aud', 'max'], 200],
    ['/v1/retention/runs/rt_none', undefined, ['rae', 'aud', 'max'], 404],
  ])('%s %j', async (path, body, may, status) => {
    for (const caller of callers) {
      const answer = await call(path, caller, body)
      expect([caller, answer.status]).toEqual([caller, may.includes(caller) ? status : 403])
      if (answer.status >= 400) expect(Problem.parse(await answer.json()).detail).toMatch(/[.]$/)
    }
  })

  it('only admins have anything erased', async () => {
    for (const caller of callers.filter((one) => one !== 'max'))
      expect((await call('/v1/retention/runs', caller, { dry: false })).status).toBe(403)
  })

  it('who holds a session, and until when it is kept, is told to auditors, reviewers and admins', async () => {
    for (const caller of ['rae', 'aud', 'max'] as const) {
      const session = Session.parse(await (await call(`/v1/sessions/${old}`, caller)).json())
      expect(session.retention).toEqual({ heldBy: [], until: expect.any(String) })
      const { items } = listOf(Session).parse(await (await call('/v1/sessions', caller)).json())
      expect(items.find(({ id }) => id === old)).toEqual(session)
    }
    const own = Session.parse(await (await call(`/v1/sessions/${old}`, 'agent')).json())
    expect(own.retention).toBeUndefined()
  })
})

it.each([
  [{ reason: 'case' }, /a hold names/],
  [{ reason: ' ', sessions: ['se_a'] }, /reason/],
  [{ reason: 'case', sessions: ['se_nobody'] }, /There is no session se_nobody/],
  [{ reason: 'case', agents: ['robot'] }, /robot is no agent/],
  [{ reason: 'case', connection: ['orders'] }, /connection/],
])('a hold that is %j is refused', async (body, words) => {
  const answer = await call('/v1/legal-holds', 'aud', body)
  expect(answer.status).toBe(400)
  expect(Problem.parse(await answer.json()).detail).toMatch(words)
})

it('what is held stays, until the hold is lifted; then it goes, and the session says so', async () => {
  const placed = await call('/v1/legal-holds', 'aud', { reason: ' case 7 ', sessions: [old] })
  expect(placed.status).toBe(201)
  const hold = LegalHold.parse(await placed.json())
  expect(hold).toMatchObject({ reason: 'case 7', by: { name: 'aud' }, sessions: [old], covers: 1 })
  const held = Session.parse(await (await call(`/v1/sessions/${old}`, 'aud')).json())
  expect(held.retention?.heldBy).toEqual([hold.id])

  const kept = RetentionRun.parse(await (await call('/v1/retention/runs', 'max', { dry: false })).json())
  expect(kept).toMatchObject({ by: 'max', recordings: 0, kept: 1, items: [{ session: old, heldBy: [hold.id] }] })

  const lifted = LegalHold.parse(
    await (await call(`/v1/legal-holds/${hold.id}/lift`, 'max', { reason: 'over' })).json(),
  )
  expect(lifted.lifted).toMatchObject({ by: { name: 'max' }, reason: 'over' })
  expect((await call(`/v1/legal-holds/${hold.id}/lift`, 'max', { reason: 'over' })).status).toBe(409)
  expect((await call(`/v1/legal-holds/${hold.id}/lift`, 'max', { reason: ' ' })).status).toBe(400)

  const dry = RetentionRun.parse(await (await call('/v1/retention/runs', 'aud', { dry: true })).json())
  expect(dry).toMatchObject({ dry: true, recordings: 1, items: [{ session: old }] })

  // The run is written down, and the ledger can't be written: nothing goes.
  stopped = new LedgerStopped('The disk is full: make room.')
  const full = await call('/v1/retention/runs', 'max', { dry: false })
  expect([full.status, Problem.parse(await full.json()).detail]).toEqual([503, 'The disk is full: make room.'])
  expect((await call(`/v1/sessions/${old}/recording`, 'aud')).status).toBe(200)
  stopped = undefined

  const run = RetentionRun.parse(await (await call('/v1/retention/runs', 'max', { dry: false })).json())
  expect(run).toMatchObject({ dry: false, by: 'max', recordings: 1, done: true })
  expect(RetentionRun.parse(await (await call(`/v1/retention/runs/${run.id}`, 'rae')).json())).toEqual(run)
  expect((await call(`/v1/sessions/${old}/recording`, 'aud')).status).toBe(404)
  const gone = Session.parse(await (await call(`/v1/sessions/${old}`, 'agent')).json())
  expect(gone.retention?.erasedAt).toEqual(expect.any(String))
  expect((await call('/v1/legal-holds', 'aud', { reason: 'late', sessions: [old] })).status).toBe(409)

  const state = RetentionState.parse(await (await call('/v1/retention', 'rae')).json())
  expect(state.rules).toContainEqual({ what: 'recordings', keeps: 30 * day })
  expect(state.runs.map(({ recordings }) => recordings)).toEqual([1, 0])
  const { items } = listOf(LegalHold).parse(await (await call('/v1/legal-holds', 'rae')).json())
  expect(items).toEqual([lifted])
})
