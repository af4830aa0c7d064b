import type { ConnectionRecord, Grant } from '@countersign/contract/access'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RunningIssuer, startIssuer } from '../../../../demo/issuer.ts'
import { type Core, createCore } from '../core.ts'
import { openStore } from '../store/store.ts'
import { listenTo, seenNotices, takenFiles, temporaryFolder, testKeychain } from '../testing/console.ts'
import { someGrant } from '../testing/small-access.ts'
import { type SmallGateway, someApproval, startSmallGateway } from '../testing/small-gateway.ts'
import { grantSupersedes } from './grants.ts'

let issuer: RunningIssuer
beforeAll(async () => {
  issuer = await startIssuer({ people: [{ subject: 'ada', name: 'Ada', groups: ['oncall-dba'] }] })
})
afterAll(() => issuer.stop())

const gatewayFor = () => startSmallGateway({ issuer: issuer.url, clientId: issuer.clientId, resource: issuer.resource })

const keychain = testKeychain()
function start(folder: string, secrets = testKeychain()): Promise<Core> {
  return createCore({
    folder,
    capabilities: {
      ...{ shell: 'browser', notifications: 'none', tray: false, badge: false },
      ...{ deepLinks: false, pdf: false, secureStorage: true },
    },
    notifier: seenNotices(),
    badge: { set() {} },
    secrets,
    opener: {
      async open(url) {
        void issuer.completeLogin(url, 'ada').catch(() => {})
      },
    },
    downloads: takenFiles(),
  })
}

async function signedIn(core: Core, gateway: SmallGateway) {
  const told = listenTo(core)
  await core.call('signIn', { gateway: gateway.url })
  await told.link('live')
  return told
}

/** Waits until all that the gateway has was fetched. */
const whole = (told: ReturnType<typeof listenTo>, from = 0) =>
  told.until('grants', ({ state }) => state.whole && !state.loading, from)

/** All grants that the core tells, page by page. */
async function all(core: Core, limit = 1000): Promise<Grant[]> {
  const items: Grant[] = []
  let after: string | undefined
  do {
    const page = await core.call('grants', { limit, ...(after === undefined ? {} : { after }) })
    items.push(...page.items)
    after = page.next ?? undefined
  } while (after !== undefined)
  return items
}

function many(gateway: SmallGateway, count: number) {
  for (let i = 0; i < count; i += 1) {
    const requestedAt = new Date(Date.UTC(2026, 0, 1) + Math.floor(i / 3) * 60_000).toISOString()
    const id = `gr_${String(i).padStart(5, '0')}`
    gateway.grants.set(id, { ...someGrant(), id, requestedAt, ...(i % 50 ? { state: 'expired' } : {}) })
  }
}

test('ten thousand grants are fetched in pages once, told in pages, and there without a network', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  many(gateway, 10_000)
  {
    await using core = await start(folder.path, keychain)
    const told = await signedIn(core, gateway)
    await whole(told)
    expect(gateway.asked.filter((asked) => /^GET \/v1\/grants\?limit=1000(&after=\d+)?$/.test(asked))).toHaveLength(10)
    const items = await all(core)
    expect(new Set(items.map(({ id }) => id)).size).toBe(10_000)
    expect(items).toEqual(items.toSorted((a, b) => (a.requestedAt + a.id < b.requestedAt + b.id ? 1 : -1)))
  }
  await gateway.down()
  await using core = await start(folder.path, keychain)
  const { state } = await core.call('grants', {})
  expect(state).toMatchObject({ whole: true, stored: 10_000 })
  expect(Date.parse(state.at!)).toBeGreaterThan(Date.now() - 60_000)
  expect(await all(core)).toHaveLength(10_000)
  for (const [name, input] of [
    ['revokeGrant', { grant: 'gr_00000', reason: 'x' }],
    ['extendGrant', { grant: 'gr_00000', duration: '1h', purpose: 'x' }],
    ['requestGrant', { connection: 'orders', actions: ['sql:read'], duration: '1h', purpose: 'x' }],
    ['askable', {}],
  ] as const)
    await expect(core.call(name, input as never)).rejects.toMatchObject({ code: 'not-connected' })
})

test('the feed is followed without fetching anew; a state never goes back', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  await using core = await start(folder.path)
  const told = await signedIn(core, gateway)
  await whole(told)
  gateway.grant({ id: 'gr_1', state: 'requested' })
  gateway.grant({ id: 'gr_1', state: 'active' })
  gateway.grant({ id: 'gr_1', state: 'revoked', endedBecause: 'enough' })
  await told.until('grants', ({ changed }) => changed.some(({ state }) => state === 'revoked'))
  const fetches = gateway.asked.filter((asked) => asked.startsWith('GET /v1/grants?limit=1000')).length
  // A list that was asked for before, and comes after.
  gateway.grants.set('gr_1', { ...gateway.grants.get('gr_1')!, state: 'active' })
  gateway.cut()
  await told.link('live', told.events.length)
  expect((await core.call('grant', { id: 'gr_1' })).grant).toMatchObject({ state: 'revoked', endedBecause: 'enough' })
  expect(gateway.asked.filter((asked) => asked.startsWith('GET /v1/grants?limit=1000'))).toHaveLength(fetches)
})

test('after a gap of the feed all are fetched anew, and what is no longer shown goes', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  gateway.grant({ id: 'gr_1' })
  gateway.grant({ id: 'gr_2' })
  await using core = await start(folder.path)
  const told = await signedIn(core, gateway)
  await whole(told)
  const from = told.events.length
  gateway.grants.delete('gr_1')
  gateway.keptFrom = gateway.seq + 10
  gateway.cut()
  await told.until('grants', ({ removed }) => removed.includes('gr_1'), from)
  expect((await all(core)).map(({ id }) => id)).toEqual(['gr_2'])
})

test('whose role sees no grants has none here, and is told so', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  gateway.grant({ id: 'gr_1' })
  gateway.forbidden.add('grants')
  await using core = await start(folder.path)
  const told = await signedIn(core, gateway)
  await told.until('grants', ({ state }) => state.problem !== undefined)
  expect((await core.call('grants', {})).state).toMatchObject({ whole: false, problem: 'Your role sees no grants.' })
})

test.each([
  ['gives', { state: 'active' }, undefined],
  ['holds', { state: 'requested' }, undefined],
  ['denies', { state: 'denied' }, 'Denied by policy never-at-night.'],
] as const)('a request that the gateway %s is a grant with its words', async (access, grant, words) => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  gateway.access = access
  await using core = await start(folder.path)
  const told = await signedIn(core, gateway)
  const request = { connection: 'orders', actions: ['sql:read'], duration: '1h', purpose: 'x', agent: 'i#a' }
  const answer = await core.call('requestGrant', request)
  expect(answer).toMatchObject({ grant, ...(words && { words }) })
  await told.until('grants', ({ changed }) => changed.some(({ id }) => id === answer.grant.id))
})

test('what nothing permits is refused in the gateway’s one sentence; a lost answer is no refusal', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  gateway.access = 'refuses'
  await using core = await start(folder.path)
  await signedIn(core, gateway)
  const request = { connection: 'nowhere', actions: ['sql:read'], duration: '1h', purpose: 'x', agent: 'i#a' }
  await expect(core.call('requestGrant', request)).rejects.toMatchObject({
    code: 'refused',
    message: 'No policy permits to ask for that, or there is no such connection.',
  })
  gateway.slow = (path) => {
    if (path === '/v1/grants') gateway.cut()
    return path.startsWith('/v1/grants') ? gateway.down() : undefined
  }
  await expect(core.call('requestGrant', request)).rejects.toThrow('It may have arrived all the same')
})

test('revoked: with a reason, as applied; a second time it is refused, and what is true is shown', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  gateway.grant({ id: 'gr_1' })
  await using core = await start(folder.path)
  const told = await signedIn(core, gateway)
  await whole(told)
  await expect(core.call('revokeGrant', { grant: 'gr_1', reason: ' ' })).rejects.toMatchObject({ code: 'bad-input' })
  const { grant } = await core.call('revokeGrant', { grant: 'gr_1', reason: 'wrong tables' })
  expect(grant).toMatchObject({ state: 'revoked', endedBecause: 'wrong tables', endedBy: { name: 'ada' } })
  await expect(core.call('revokeGrant', { grant: 'gr_1', reason: 'again' })).rejects.toThrow('ended already')
  const longer = core.call('extendGrant', { grant: 'gr_1', duration: '1h', purpose: 'more' })
  expect(await longer).toMatchObject({ grant: { extends: 'gr_1', purpose: 'more' } })
})

test('what an approval asks for: its grants in order, and what was before each', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  const at = (minute: number) => new Date(Date.UTC(2026, 10, 20, 9, minute)).toISOString()
  gateway.grant({ id: 'gr_a', requestedAt: at(0), seconds: 900, state: 'expired' })
  const { activeFrom: _, ...never } = someGrant()
  gateway.grants.set('gr_b', { ...never, id: 'gr_b', requestedAt: at(1), state: 'denied' })
  const step = (number: number) => ({ plan: 'pl_1', step: { number, of: 2, title: `step ${number}` } })
  gateway.grant({ id: 'gr_2', requestedAt: at(2), state: 'requested', ...step(2), seconds: 3600, extends: 'gr_a' })
  gateway.grant({ id: 'gr_1', requestedAt: at(2), state: 'requested', ...step(1) })
  gateway.hold({
    id: 'ap_1',
    session: '',
    protocol: 'access',
    access: {
      grants: ['gr_1', 'gr_2', 'gr_0'],
      plan: 'pl_1',
      title: 'Plan',
      requestedBy: { kind: 'agent', id: 'x', name: 'x' },
      seconds: 3600,
    },
  })
  await using core = await start(folder.path)
  const told = await signedIn(core, gateway)
  await whole(told)
  const { items, missing } = await core.call('asked', { approval: 'ap_1' })
  expect(items).toMatchObject([
    { grant: { id: 'gr_1' }, before: { given: 1, denied: 1, longest: 900, actions: ['sql:read'] } },
    { grant: { id: 'gr_2' }, extended: { id: 'gr_a' } },
  ])
  expect(missing).toBe(1)
  await gateway.down()
  await told.link('reconnecting')
  expect(await core.call('plan', { id: 'pl_1' })).toMatchObject({
    state: 'requested',
    grants: [{ id: 'gr_1' }, { id: 'gr_2' }],
  })
})

test('connections are kept with their environment; a freeze is followed, and its end', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  const orders: ConnectionRecord = {
    ...{ name: 'orders', kind: 'postgres', tags: ['production'], access: 'jit', mode: 'enforce' },
    ...{ openSessions: 0, liveGrants: 0 },
  }
  gateway.connections.push(orders)
  await using core = await start(folder.path)
  const told = await signedIn(core, gateway)
  expect(await core.call('connections', {})).toMatchObject({ items: [{ name: 'orders', access: 'jit' }] })
  const by = { id: 'i#a', issuer: 'i', subject: 'a', name: 'Admin' }
  const freeze = { id: 'fr_1', connection: '*', by, reason: 'leak', at: new Date().toISOString() }
  gateway.say('connection.frozen', freeze)
  await told.until('connections', ({ items }) => items[0]?.freeze?.reason === 'leak')
  gateway.say('connection.unfrozen', { ...freeze, ended: { by, reason: 'over', at: new Date().toISOString() } })
  await told.until('connections', ({ items }) => items[0]?.freeze === undefined, told.events.length)
})

test('messages of other rooms are counted, and break nothing', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  await using core = await start(folder.path)
  const told = await signedIn(core, gateway)
  const person = { id: 'i#p', issuer: 'i', subject: 'p', name: 'P' }
  const at = new Date().toISOString()
  gateway.say('break-glass.used', {
    id: 'bg_1',
    approval: 'ap_1',
    agent: 'a',
    connection: 'orders',
    person,
    reason: 'r',
    at,
  })
  gateway.say('person.changed', { ...person, groups: [], roles: [], firstSeenAt: at, lastSeenAt: at })
  gateway.sayUnknown()
  const loud = { ...someApproval(), id: 'ap_loud' }
  gateway.say('approval.escalated', {
    ...loud,
    requirements: [{ ...loud.requirements[0]!, escalatedTo: ['sre'] }],
  })
  await told.until('approvals', ({ approvals }) => approvals[0]?.requirements[0]?.escalatedTo?.[0] === 'sre')
  await core[Symbol.asyncDispose]()
  using store = openStore(folder.path)
  expect(store.approval('ap_loud')).toBeDefined()
})

test.each([
  ['a later state', { state: 'expired' }, {}, true],
  ['an earlier state', { state: 'requested' }, {}, false],
  ['more sessions', { sessions: 2 }, { sessions: 1 }, true],
  ['fewer sessions', { sessions: 1 }, { sessions: 2 }, false],
] as const)('%s supersedes or not', (_what, given, stored, supersedes) => {
  expect(grantSupersedes({ ...someGrant(), ...given }, { ...someGrant(), ...stored })).toBe(supersedes)
})
