import type { BreakGlass } from '@countersign/contract/access'
import { FeedMessage } from '@countersign/contract/feed'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { bot } from '../policy/testing/policies.ts'
import { ReviewRefused } from './break-glass.ts'
import {
  ada,
  approve,
  ben,
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
  w.config.break_glass = { groups: ['incident-leads'], max: 60 * minute, unreviewed: 3 }
})
afterEach(async () => {
  await w[Symbol.asyncDispose]()
})

const ivy = person('Ivy', ['incident-leads'])
const iris = person('Iris', ['incident-leads'])
const rae = person('Rae', [], { roles: ['reviewer'] })
const reason = 'the shop is down'
const alone = (more: object = {}) => ({ ...approve(), reason, breakGlass: true, ...more })
const asked = [requirement('two', ['oncall-dba'], 2), requirement('other', ['sre'])]
let digests = 0
const hold = async (more: Parameters<typeof open>[3] = {}) => {
  const digest = `sha256:${String(++digests).padStart(64, '0')}`
  const { id } = await open(w, 'fail', asked, { digest, ...more })
  return { id, digest }
}
const uses = async () => (await w.approvals.breakGlass.list({ limit: 100 })).items
const refusal = (work: Promise<unknown>) =>
  work.then(
    () => 'it was done',
    (error) => (error instanceof ReviewRefused ? `${error.code}: ${error.message}` : Promise.reject(error)),
  )
const audit = async (type: string) =>
  (await w.store.db.selectFrom('audit_outbox').select('payload').where('type', '=', type).execute()).map(
    ({ payload }) => JSON.parse(payload),
  )

test('one person approves alone, whatever is asked: told, logged, marked, and usable once', async () => {
  const { id } = await open(w, 'fail', asked)
  expect(w.approvals.mayBreakGlass(ivy, (await w.approvals.get(id))!)).toBe(true)
  expect(w.approvals.mayDecide(ivy, (await w.approvals.get(id))!)).toMatch(/none of the groups/)
  const decided = await w.approvals.decide(id, ivy, alone())
  expect(decided).toMatchObject({
    ok: true,
    approval: { state: 'approved', decisions: [{ person: 'Ivy', reason, window: 'once', breakGlass: true }] },
  })
  const [use] = await uses()
  expect(use).toEqual({
    id: expect.stringMatching(/^bg_[0-9a-f]{20}$/),
    approval: id,
    agent: bot.id,
    connection: 'orders',
    person: { id: ivy.id, issuer: ivy.issuer, subject: ivy.subject, name: 'Ivy' },
    reason,
    at: '2026-11-21T12:00:00.000Z',
  })
  await w.until(() => w.said.length === 3)
  expect(w.said.map(({ type }) => type)).toEqual(['approval.opened', 'break-glass.used', 'approval.decided'])
  for (const message of w.said) expect(FeedMessage.parse(message)).toEqual(message)
  expect(await audit('approval.decided')).toMatchObject([{ breakGlass: true, person: { id: ivy.id } }])
  expect(await audit('break-glass.used')).toMatchObject([{ use: use!.id, approval: id, reason }])
  // A retry of the same is the same.
  expect((await w.approvals.decide(id, ivy, alone())).ok).toBe(true)
  expect(await uses()).toHaveLength(1)
  expect(await w.approvals.use(id, new AbortController().signal)).toBe(true)
  expect(await w.approvals.findWindow(DIGEST, bot.id, 'se_1')).toBeUndefined()
})

test('who has approved with others goes on alone where they don’t come', async () => {
  const both = { ...ivy, groups: ['incident-leads', 'oncall-dba'] }
  const { id } = await open(w, 'fail', asked)
  await w.approvals.decide(id, both, approve('1h'))
  expect(w.approvals.mayBreakGlass(both, (await w.approvals.get(id))!)).toBe(true)
  expect(await w.approvals.decide(id, both, alone())).toMatchObject({
    ok: true,
    approval: { state: 'approved', decisions: [{ window: 'once', breakGlass: true, reason }] },
  })
  expect((await w.approvals.get(id))!.decisions).toHaveLength(1)
  expect(await audit('approval.decided')).toHaveLength(2)
})

describe('it is refused', () => {
  test.each<[what: string, who: typeof ivy, request: object, problem: string, words: RegExp]>([
    ['of another group', ben, {}, 'forbidden', /none of the groups that may break the glass: incident-leads/],
    ['without the role', { ...ivy, roles: ['admin'] }, {}, 'forbidden', /only approvers/],
    ['without a reason', ivy, { reason: '' }, 'invalid', /10 characters/],
    ['with a short reason', ivy, { reason: '  urgent!  ' }, 'invalid', /10 characters/],
    ['for a session', ivy, { window: 'session' }, 'invalid', /runs once/],
    ['for an hour', ivy, { window: '1h' }, 'invalid', /runs once/],
    ['to deny', ivy, { verdict: 'deny' }, 'invalid', /approves/],
    ['for another digest', ivy, { digest: `sha256:${'f'.repeat(64)}` }, 'conflict', /another than the one/],
  ])('%s', async (_, who, request, problem, words) => {
    const { id } = await open(w, 'fail', asked)
    const decided = await w.approvals.decide(id, who, alone(request))
    expect(decided).toMatchObject({ ok: false, problem, message: expect.stringMatching(words) })
    expect((await w.approvals.get(id))!.state).toBe('pending')
    expect(await uses()).toEqual([])
  })

  test('for what is one’s own', async () => {
    w.sponsors.set(bot.id, ['ivy'])
    const { id } = await open(w, 'fail', asked)
    expect(w.approvals.mayBreakGlass(ivy, (await w.approvals.get(id))!)).toBe(false)
    expect(await w.approvals.decide(id, ivy, alone())).toMatchObject({
      problem: 'forbidden',
      message: expect.stringMatching(/nobody decides their own/),
    })
  })

  test('where it isn’t configured', async () => {
    w.config.break_glass = undefined
    const { id } = await open(w, 'fail', asked)
    expect(w.approvals.mayBreakGlass(ivy, (await w.approvals.get(id))!)).toBe(false)
    expect(await w.approvals.decide(id, ivy, alone())).toMatchObject({ problem: 'forbidden' })
  })

  test('after it was decided, or one has denied', async () => {
    const { id } = await open(w, 'fail', asked)
    await w.approvals.decide(id, { ...ivy, groups: ['incident-leads', 'sre'] }, deny())
    expect(w.approvals.mayBreakGlass(iris, (await w.approvals.get(id))!)).toBe(false)
    expect(await w.approvals.decide(id, iris, alone())).toMatchObject({ problem: 'conflict' })
  })

  test('once so many wait for being reviewed, until one is; also over a restart', async () => {
    w.config.break_glass!.unreviewed = 2
    for (let i = 0; i < 2; i++) {
      const { id, digest } = await hold()
      expect((await w.approvals.decide(id, i === 0 ? ivy : iris, alone({ digest }))).ok).toBe(true)
    }
    const { id, digest } = await hold()
    expect(w.approvals.mayBreakGlass(ivy, (await w.approvals.get(id))!)).toBe(false)
    expect(await w.approvals.decide(id, ivy, alone({ digest }))).toMatchObject({
      problem: 'conflict',
      message: expect.stringMatching(/2 uses of break-glass wait/),
    })
    await w.restart()
    await w.approvals.recover()
    expect(w.approvals.mayBreakGlass(ivy, (await w.approvals.get(id))!)).toBe(false)
    const [first] = await uses()
    await w.approvals.breakGlass.review(first!.id, rae, { verdict: 'justified', reason: 'seen' })
    expect(w.approvals.mayBreakGlass(ivy, (await w.approvals.get(id))!)).toBe(true)
    expect((await w.approvals.decide(id, ivy, alone({ digest }))).ok).toBe(true)
  })
})

describe('a review', () => {
  const used = async (): Promise<BreakGlass> => {
    const { id, digest } = await hold()
    await w.approvals.decide(id, ivy, alone({ digest }))
    return (await uses())[0]!
  }

  test.each<[who: string, by: typeof ivy, outcome: RegExp]>([
    ['by a reviewer', rae, /done/],
    ['by an auditor', { ...rae, roles: ['auditor'] }, /done/],
    ['by another one of the groups', iris, /done/],
    ['not by who did it', { ...ivy, roles: ['approver', 'reviewer'] }, /^forbidden: Nobody reviews what they did/],
    ['not by an admin', { ...rae, roles: ['admin'] }, /^forbidden/],
    ['not by an approver of other groups', ada, /^forbidden/],
  ])('%s', async (_, by, outcome) => {
    const { id } = await used()
    expect(await refusal(w.approvals.breakGlass.review(id, by, { verdict: 'not-justified', reason: 'no' }))).toMatch(
      outcome,
    )
  })

  test('is told and logged; once, and again where it is the same', async () => {
    const { id } = await used()
    const review = { verdict: 'justified' as const, reason: 'the shop was down' }
    const reviewed = await w.approvals.breakGlass.review(id, rae, review)
    expect(reviewed.review).toMatchObject({ by: { name: 'Rae' }, ...review })
    expect(await w.approvals.breakGlass.review(id, rae, review)).toEqual(reviewed)
    expect(await refusal(w.approvals.breakGlass.review(id, iris, review))).toMatch(/^conflict: Rae has reviewed it/)
    expect(await refusal(w.approvals.breakGlass.review(id, rae, { ...review, verdict: 'not-justified' }))).toMatch(
      /^conflict/,
    )
    expect(await refusal(w.approvals.breakGlass.review('bg_0', rae, review))).toMatch(/^not-found/)
    expect(await audit('break-glass.reviewed')).toMatchObject([{ use: id, ...review }])
    await w.until(() => w.said.at(-1)?.type === 'break-glass.reviewed')
    expect(FeedMessage.parse(w.said.at(-1))).toEqual(w.said.at(-1))
  })
})
