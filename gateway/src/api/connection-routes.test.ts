import type { ConnectionRecord, Freeze } from '@countersign/contract/access'
import { afterAll, afterEach, beforeAll, describe, expect, it, test } from 'vitest'
import { type Caller, startWorld, type World } from './testing/world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world[Symbol.asyncDispose]())
afterEach(async () => {
  for (const path of ['connections/orders/unfreeze', 'unfreeze']) await post(path, 'max')
})

const post = (path: string, as?: Caller, body: object = { reason: 'odd' }) =>
  world.call(`/v1/${path}`, as, { method: 'POST', body: JSON.stringify(body) })
const list = async (as: Caller, query = '') =>
  (await (await world.call(`/v1/connections${query}`, as)).json()) as { items: ConnectionRecord[]; next: string | null }

test('connections are listed by name, with what they are and the freeze that is over them', async () => {
  const vault = { name: 'vault', kind: 'postgres', tags: [], access: 'jit', mode: 'enforce', openSessions: 0 }
  expect((await list('rae')).items).toMatchObject([{ name: 'orders', tags: ['production'] }, vault])
  const own = (await (await post('connections/orders/freeze', 'max')).json()) as Freeze
  expect((await list('ada')).items.map(({ freeze }) => freeze)).toEqual([own, undefined])
  const all = (await (await post('freeze', 'max')).json()) as Freeze
  expect(all).toMatchObject({ connection: '*', by: { name: 'max' }, reason: 'odd' })
  expect((await list('max')).items.map(({ freeze }) => freeze)).toEqual([all, all])
})

test('in pages', async () => {
  const first = await list('aud', '?limit=1')
  expect(first).toMatchObject({ items: [{ name: 'orders' }], next: 'orders' })
  expect(await list('aud', `?limit=1&after=${first.next}`)).toMatchObject({ items: [{ name: 'vault' }], next: null })
})

it.each<[call: string, path: string, as: Caller | undefined, status: number, body?: object]>([
  ['without a token', 'connections/orders/freeze', undefined, 401],
  ['by an approver', 'connections/orders/freeze', 'ada', 403],
  ['by a reviewer', 'connections/orders/freeze', 'rae', 403],
  ['by an auditor', 'connections/orders/freeze', 'aud', 403],
  ['by nobody', 'connections/orders/freeze', 'nobody', 403],
  ['by an agent', 'connections/orders/freeze', 'agent', 403],
  ['of everything, by an approver', 'freeze', 'ada', 403],
  ['of everything, by an agent', 'freeze', 'agent', 403],
  ['lifted by an approver', 'connections/orders/unfreeze', 'ada', 403],
  ['of everything, lifted by an agent', 'unfreeze', 'agent', 403],
  ['of what is not there', 'connections/nothing/freeze', 'max', 404],
  ['of what is not there, lifted', 'connections/nothing/unfreeze', 'max', 404],
  ['of everything, as a connection', 'connections/*/freeze', 'max', 404],
  ['of everything, as a connection, lifted', 'connections/*/unfreeze', 'max', 404],
  ['without a reason', 'connections/orders/freeze', 'max', 400, {}],
  ['with an empty reason', 'freeze', 'max', 400, { reason: ' ' }],
  ['of what is not frozen, lifted', 'connections/orders/unfreeze', 'max', 409],
  ['of everything, which is not frozen, lifted', 'unfreeze', 'max', 409],
])('a freeze %s is refused', async (_, path, as, status, body) => {
  const answer = await post(path, as, body)
  expect(answer.status).toBe(status)
  expect(answer.headers.get('content-type')).toContain('application/problem+json')
  expect((await list('max')).items.some(({ freeze }) => freeze)).toBe(false)
})

test('twice is 409', async () => {
  expect((await post('connections/orders/freeze', 'max')).status).toBe(200)
  const again = await post('connections/orders/freeze', 'max')
  expect([again.status, await again.json()]).toMatchObject([409, { detail: 'orders is frozen already.' }])
  expect((await post('freeze', 'max')).status).toBe(200)
  expect((await post('freeze', 'max')).status).toBe(409)
  expect((await post('unfreeze', 'max')).status).toBe(200)
  expect((await post('connections/orders/unfreeze', 'max')).status).toBe(200)
})

test('everybody who has a role hears of it, and no agent', async () => {
  const [ada, agent] = await Promise.all([world.listen('/v1/feed', 'ada'), world.listen('/v1/feed', 'agent')])
  await post('connections/orders/freeze', 'max')
  await post('connections/orders/unfreeze', 'max', { reason: 'fine' })
  const heard = await ada.until((all) => all.some(({ type }) => type === 'connection.unfrozen'))
  expect(heard.filter(({ type }) => type.startsWith('connection.'))).toMatchObject([
    { type: 'connection.frozen', data: { connection: 'orders', reason: 'odd' } },
    { type: 'connection.unfrozen', data: { connection: 'orders', reason: 'odd', ended: { reason: 'fine' } } },
  ])
  // What comes after it the agent hears first.
  await world.session()
  expect(await agent.until((all) => all.length > 0)).toMatchObject([{ type: 'session.opened' }])
  await Promise.all([ada.close(), agent.close()])
})

test('nothing of it is approved meanwhile; it may be denied', async () => {
  const session = await world.session()
  const [one, two] = [await world.hold(session), await world.hold(session)]
  const decide = (approval: typeof one, verdict: 'approve' | 'deny') =>
    post(`approvals/${approval.id}/decisions`, 'ada', { verdict, reason: 'so', digest: approval.command.digest })
  await post('connections/orders/freeze', 'max')
  const refused = await decide(one, 'approve')
  expect([refused.status, await refused.json()]).toMatchObject([
    409,
    { detail: 'Nothing is approved while it is frozen: orders was frozen by max: odd.' },
  ])
  expect((await decide(two, 'deny')).status).toBe(200)
  await post('connections/orders/unfreeze', 'max')
  expect((await decide(one, 'approve')).status).toBe(200)
})

describe('who sees connections', () => {
  it.each<[Caller, number]>([
    ['ada', 200],
    ['rae', 200],
    ['aud', 200],
    ['max', 200],
    ['nobody', 403],
    ['agent', 403],
  ])('%s: %i', async (as, status) => {
    expect((await world.call('/v1/connections', as)).status).toBe(status)
  })
})
