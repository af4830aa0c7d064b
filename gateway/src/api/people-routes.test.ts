import { BreakGlass, Delegation } from '@countersign/contract/access'
import { Approval } from '@countersign/contract/approval'
import { FeedMessage } from '@countersign/contract/feed'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Caller, cast, type FeedClient, type Person, startWorld, type World } from './testing/world.ts'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 60_000 })

let world: World
beforeAll(async () => {
  world = await startWorld()
  // Whoever is to be named must have signed in once.
  for (const one of Object.keys(cast) as Person[]) await world.call('/v1/me', one)
  await world.access.registry.flush()
})
afterAll(() => world?.[Symbol.asyncDispose]())
beforeEach(async () => {
  for (const { id } of (await world.approvals.delegations.list({ limit: 1000 })).items) {
    const max = { ...(await me('max')), kind: 'person' as const, expiresAt: new Date() }
    await world.approvals.delegations.end(id, max as never, '').catch(() => {})
  }
  delete world.approvalsConfig.break_glass
})

const me = async (who: Caller) => (await world.call('/v1/me', who)).json() as Promise<{ id: string; name: string }>
const idOf = (name: string) => `${world.people.url}#${name}`
const post = (path: string, as: Caller, body: unknown = {}) =>
  world.call(path, as, { method: 'POST', body: JSON.stringify(body) })
const soon = () => new Date(Date.now() + 3_600_000).toISOString()
const handOver = (to = 'sam') => post('/v1/delegations', 'ada', { to: idOf(to), until: soon(), reason: 'a holiday' })
const detailOf = async (answer: Response) => ((await answer.json()) as { detail: string }).detail
const hold = async (groups = ['oncall-dba']) => {
  const session = await world.session()
  return { session, approval: await world.hold(session, groups) }
}
const decide = (id: string, digest: string, as: Caller, more: object = {}) =>
  post(`/v1/approvals/${id}/decisions`, as, { verdict: 'approve', reason: 'the shop is down', digest, ...more })

describe('delegations', () => {
  it('are handed over, seen by everybody who has a role, and ended', async () => {
    const made = await handOver()
    expect(made.status).toBe(201)
    const delegation = Delegation.parse(await made.json())
    expect(delegation).toMatchObject({
      from: { name: 'ada' },
      to: { name: 'sam' },
      groups: ['oncall-dba'],
      state: 'active',
    })
    for (const who of ['ada', 'sam', 'rae', 'aud', 'max'] as const) {
      const { items } = (await (await world.call('/v1/delegations', who)).json()) as { items: Delegation[] }
      expect(items.map(({ id }) => id)).toContain(delegation.id)
    }
    const ended = await post(`/v1/delegations/${delegation.id}/end`, 'sam', { reason: 'she is back' })
    expect(ended.status).toBe(200)
    expect(await ended.json()).toMatchObject({ state: 'ended', ended: { by: 'sam', reason: 'she is back' } })
  })

  it('let the other one see and decide what is held, sessions too, as long as they last', async () => {
    const { session, approval } = await hold()
    const see = async () => [
      (await world.call(`/v1/approvals/${approval.id}`, 'sam')).status,
      (await world.call(`/v1/sessions/${session.id}`, 'sam')).status,
      ((await (await world.call('/v1/approvals?limit=10000', 'sam')).json()) as { items: Approval[] }).items.some(
        ({ id }) => id === approval.id,
      ),
    ]
    expect(await see()).toEqual([404, 404, false])
    const { id } = (await (await handOver()).json()) as Delegation
    expect(await see()).toEqual([200, 200, true])
    expect(await (await world.call(`/v1/approvals/${approval.id}`, 'sam')).json()).toMatchObject({ mayDecide: true })
    await post(`/v1/delegations/${id}/end`, 'ada')
    expect(await see()).toEqual([404, 404, false])
    expect((await decide(approval.id, approval.command.digest, 'sam')).status).toBe(403)
    await handOver()
    const decided = await decide(approval.id, approval.command.digest, 'sam')
    expect(decided.status).toBe(200)
    expect(Approval.parse(await decided.json()).decisions).toMatchObject([{ person: 'sam', inPlaceOf: ['ada'] }])
    await session.close('closed', 'done')
  })

  it('are told on the feed, with what is held from then on', async () => {
    const feed = await world.listen('/v1/feed', 'sam')
    await handOver()
    await feed.until((all) => all.some(({ type }) => type === 'delegation.changed'))
    const { approval, session } = await hold()
    const opened = (await feed.until((all) => all.some(isOf(approval.id)))).find(isOf(approval.id))!
    expect(opened).toMatchObject({ type: 'approval.opened', data: { mayDecide: true } })
    for (const message of feed.messages) expect(FeedMessage.parse(message)).toEqual(message)
    await feed.close()
    await session.close('closed', 'done')
  })

  it.each<[what: string, as: Caller, body: () => object, status: number, words: RegExp]>([
    ['by an agent', 'agent', () => ({}), 403, /approvers/],
    ['by a reviewer', 'rae', () => ({}), 403, /approvers/],
    ['by an admin', 'max', () => ({}), 403, /approvers/],
    ['to oneself', 'ada', () => ({ to: idOf('ada') }), 400, /stands in for themselves/],
    ['to a stranger', 'ada', () => ({ to: idOf('zoe') }), 400, /Nobody of that id has signed in/],
    ['to a reviewer', 'ada', () => ({ to: idOf('rae') }), 400, /no approver/],
    ['of others’ groups', 'ada', () => ({ groups: ['sre'] }), 400, /You are not in sre/],
    ['for 100 days', 'ada', () => ({ until: new Date(Date.now() + 100 * 86_400_000).toISOString() }), 400, /90 days/],
    ['without a reason', 'ada', () => ({ reason: ' ' }), 400, /reason/],
    ['with what isn’t known', 'ada', () => ({ for: 'ever' }), 400, /for/],
  ])('are refused %s', async (_, as, body, status, words) => {
    const answer = await post('/v1/delegations', as, { to: idOf('sam'), until: soon(), reason: 'x', ...body() })
    expect(answer.status).toBe(status)
    expect(await detailOf(answer)).toMatch(words)
  })

  it('are for people who have a role, and ended by the two or an admin', async () => {
    for (const who of ['nobody', 'agent'] as const) expect((await world.call('/v1/delegations', who)).status).toBe(403)
    const { id } = (await (await handOver()).json()) as Delegation
    for (const [who, status] of [
      ['rae', 403],
      ['both', 403],
      ['agent', 403],
      ['max', 200],
      ['ada', 409],
    ] as const)
      expect((await post(`/v1/delegations/${id}/end`, who)).status).toBe(status)
    expect((await post('/v1/delegations/dg_none/end', 'ada')).status).toBe(404)
    expect((await world.call('/v1/delegations?after=x', 'ada')).status).toBe(400)
  })

  it('end when the registry learns that somebody has left', async () => {
    await handOver()
    const left = await post(`/v1/people/${encodeURIComponent(idOf('sam'))}/left`, 'max', {
      left: true,
      reason: 'moved on',
    })
    expect(left.status).toBe(200)
    await vi.waitUntil(async () => {
      const { items } = (await (await world.call('/v1/delegations', 'ada')).json()) as { items: Delegation[] }
      return items[0]!.state === 'ended' && items[0]!.ended!.reason === 'sam has left'
    }, 20_000)
    await post(`/v1/people/${encodeURIComponent(idOf('sam'))}/left`, 'max', { left: false, reason: 'is back' })
  })
})

describe('break-glass', () => {
  const feeds: FeedClient[] = []
  it('is offered to those who may, done alone, told to everybody who has a role, and reviewed by another one', async () => {
    world.approvalsConfig.break_glass = { groups: ['sre'], max: 3_600_000, unreviewed: 3 }
    const { approval, session } = await hold()
    const { command } = approval
    expect(await (await world.call(`/v1/approvals/${approval.id}`, 'ada')).json()).not.toHaveProperty('mayBreakGlass')
    const shown = Approval.parse(await (await world.call(`/v1/approvals/${approval.id}`, 'sam')).json())
    expect(shown).toMatchObject({ mayDecide: false, mayBreakGlass: true })
    for (const who of ['ada', 'sam', 'rae', 'aud', 'max'] as const) feeds.push(await world.listen('/v1/feed', who))
    const agents = await world.listen('/v1/feed', 'agent')
    expect((await decide(approval.id, command.digest, 'ada', { breakGlass: true })).status).toBe(403)
    expect((await decide(approval.id, command.digest, 'sam', { breakGlass: true, reason: 'now!' })).status).toBe(400)
    const done = await decide(approval.id, command.digest, 'sam', { breakGlass: true })
    expect(done.status).toBe(200)
    expect(Approval.parse(await done.json())).toMatchObject({ state: 'approved', decisions: [{ breakGlass: true }] })
    for (const feed of feeds) await feed.until((all) => all.some(({ type }) => type === 'break-glass.used'))
    await agents.until((all) => all.some((one) => one.type === 'approval.decided'))
    expect(agents.messages.some(({ type }) => type.startsWith('break-glass'))).toBe(false)

    const [use] = ((await (await world.call('/v1/break-glass', 'aud')).json()) as { items: BreakGlass[] }).items
    expect(BreakGlass.parse(use)).toMatchObject({
      approval: approval.id,
      person: { name: 'sam' },
      reason: 'the shop is down',
    })
    const review = { verdict: 'not-justified', reason: 'ada was there' }
    for (const [who, status] of [
      ['sam', 403],
      ['max', 403],
      ['ada', 403],
      ['agent', 403],
      ['rae', 200],
      ['rae', 200],
      ['aud', 409],
    ] as const)
      expect((await post(`/v1/break-glass/${use!.id}/review`, who, review)).status).toBe(status)
    for (const feed of feeds) await feed.until((all) => all.some(({ type }) => type === 'break-glass.reviewed'))
    for (const message of feeds.flatMap((feed) => feed.messages)) expect(FeedMessage.parse(message)).toEqual(message)
    await Promise.all([...feeds, agents].map((feed) => feed.close()))
    await session.close('closed', 'done')
  })

  it('is refused with 409 while as many as may wait for a review', async () => {
    world.approvalsConfig.break_glass = { groups: ['sre'], max: 3_600_000, unreviewed: 1 }
    const one = await hold()
    const two = await hold()
    const alone = (of: typeof one) => decide(of.approval.id, of.approval.command.digest, 'sam', { breakGlass: true })
    expect((await alone(one)).status).toBe(200)
    const refused = await alone(two)
    expect(refused.status).toBe(409)
    expect(await detailOf(refused)).toMatch(/wait for being reviewed/)
    await one.session.close('closed', 'done')
    await two.session.close('closed', 'done')
  })

  it('is nothing for agents and people without a role', async () => {
    for (const who of ['nobody', 'agent'] as const) expect((await world.call('/v1/break-glass', who)).status).toBe(403)
    expect((await post('/v1/break-glass/bg_none/review', 'rae', { verdict: 'justified', reason: 'x' })).status).toBe(
      404,
    )
    expect((await post('/v1/break-glass/bg_none/review', 'rae', { verdict: 'fine', reason: 'x' })).status).toBe(400)
  })
})

it('what one may decide is a list of its own', async () => {
  const mine = await hold(['sre'])
  const theirs = await hold(['oncall-dba'])
  await handOver()
  const list = async (query: string) =>
    (
      (await (await world.call(`/v1/approvals?state=pending&limit=1000${query}`, 'sam')).json()) as {
        items: Approval[]
      }
    ).items.map(({ id }) => id)
  expect(await list('&mayDecide=true')).toEqual(expect.arrayContaining([mine.approval.id, theirs.approval.id]))
  const digest = mine.approval.command.digest
  await world.approvals.open({
    command: { ...(await commandOf(mine)), session: { id: mine.session.id } },
    digest: `${digest.slice(0, -1)}x`,
    requirements: [{ policy: 'two', groups: ['sre'], quorum: 2 }],
    hold: 'wait',
  })
  const [two] = await list('&mayDecide=true')
  await decide(two!, `${digest.slice(0, -1)}x`, 'sam')
  expect(await list('&mayDecide=true')).not.toContain(two)
  expect(await list('&mayDecide=false')).toEqual([two])
  expect((await world.call('/v1/approvals?mayDecide=maybe', 'sam')).status).toBe(400)
  await mine.session.close('closed', 'done')
  await theirs.session.close('closed', 'done')
})

async function commandOf({ session }: { session: Awaited<ReturnType<World['session']>> }) {
  return {
    protocol: 'postgres' as const,
    connection: { name: 'orders', kind: 'postgres', tags: [], mode: 'enforce' as const },
    agent: session.agent,
    text: 'DELETE FROM orders',
    parameters: [],
    kind: 'delete',
    effects: [],
    meaning: {},
  }
}

function isOf(id: string) {
  return (message: FeedMessage) => message.type === 'approval.opened' && message.data.id === id
}
