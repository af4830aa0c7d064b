import type { AgentRecord } from '@countersign/contract/access'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RunningIssuer, startIssuer } from '../../../../demo/issuer.ts'
import { type Core, createCore } from '../core.ts'
import { listenTo, seenNotices, takenFiles, temporaryFolder, testKeychain } from '../testing/console.ts'
import { someAgent } from '../testing/small-agents.ts'
import { type SmallGateway, startSmallGateway } from '../testing/small-gateway.ts'

let issuer: RunningIssuer
beforeAll(async () => {
  issuer = await startIssuer({ people: [{ subject: 'ada', name: 'Ada', groups: ['oncall-dba'] }] })
})
afterAll(() => issuer.stop())

async function gatewayFor(roles: SmallGateway['roles'] = ['approver', 'admin']): Promise<SmallGateway> {
  const gateway = await startSmallGateway({ issuer: issuer.url, clientId: issuer.clientId, resource: issuer.resource })
  gateway.roles = roles
  for (const name of ['orders', 'payments'])
    gateway.connections.push({
      ...{ name, kind: 'postgres', tags: [], access: 'standing', mode: 'enforce' },
      ...{ openSessions: 0, liveGrants: 0 },
    })
  return gateway
}

const keychain = testKeychain()
const notices = seenNotices()
function start(folder: string, secrets = testKeychain(), notifier = notices, downloads = takenFiles()): Promise<Core> {
  return createCore({
    folder,
    capabilities: {
      ...{ shell: 'browser', notifications: 'native', tray: false, badge: false },
      ...{ deepLinks: false, pdf: false, secureStorage: true },
    },
    notifier,
    badge: { set() {} },
    secrets,
    opener: {
      async open(url) {
        void issuer.completeLogin(url, 'ada').catch(() => {})
      },
    },
    downloads,
  })
}

async function signedIn(core: Core, gateway: SmallGateway) {
  const told = listenTo(core)
  await core.call('signIn', { gateway: gateway.url })
  await told.link('live')
  return told
}

const whole = (told: ReturnType<typeof listenTo>, from = 0) =>
  told.until('agents', ({ state }) => state.whole && !state.loading, from)

async function all(core: Core): Promise<AgentRecord[]> {
  const items: AgentRecord[] = []
  let after: string | undefined
  do {
    const page = await core.call('agents', { limit: 400, ...(after === undefined ? {} : { after }) })
    items.push(...page.items)
    after = page.next ?? undefined
  } while (after !== undefined)
  return items
}

test('a thousand agents are fetched once somebody looks, followed by the feed, and there without a network', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  for (let i = 0; i < 1200; i += 1) {
    const id = `i#worker-${String(i).padStart(4, '0')}`
    gateway.agents.set(id, someAgent(id))
  }
  {
    await using core = await start(folder.path, keychain)
    const told = await signedIn(core, gateway)
    expect(gateway.asked.filter((asked) => asked.startsWith('GET /v1/agents'))).toEqual([])
    await core.call('agents', {})
    await whole(told)
    expect(gateway.asked.filter((asked) => asked.startsWith('GET /v1/agents?limit=1000'))).toHaveLength(2)
    expect(await all(core)).toHaveLength(1200)
    gateway.agent({ id: 'i#worker-0007', orphan: 'sponsor-left', sponsorName: 'Kim' })
    await told.until('agents', ({ changed }) => changed.some(({ orphan }) => orphan === 'sponsor-left'))
    // What the gateway no longer knows goes with the next whole list.
    gateway.agents.delete('i#worker-0009')
    gateway.keptFrom = gateway.seq + 2
    gateway.cut()
    await told.until('agents', ({ removed }) => removed.includes('i#worker-0009'))
  }
  await gateway.down()
  await using core = await start(folder.path, keychain)
  const stored = await all(core)
  expect(stored).toHaveLength(1199)
  expect(stored.find(({ id }) => id === 'i#worker-0007')).toMatchObject({ orphan: 'sponsor-left' })
  expect((await core.call('agents', {})).state).toMatchObject({ whole: true, stored: 1199 })
  expect(await core.call('agent', { id: 'i#worker-0007' })).toMatchObject({ source: 'local' })
  for (const [name, input] of [
    ['changeAgent', { id: 'i#worker-0007', patch: { disabled: true } }],
    ['declareAgent', { issuer: 'i', subject: 's' }],
    ['agentAccess', { id: 'i#worker-0007' }],
    ['agentTokens', { id: 'i#worker-0007' }],
    ['accessThen', { at: new Date().toISOString() }],
    ['exportAccessThen', { at: new Date().toISOString(), work: 'w' }],
    ['freeze', { connection: '*', reason: 'x' }],
    ['unfreeze', { connection: 'orders', reason: 'x' }],
    ['delegate', { to: 'i#ben', until: new Date().toISOString(), reason: 'x' }],
    ['reviewBreakGlass', { id: 'bg_1', verdict: 'justified', reason: 'x' }],
  ] as const)
    await expect(core.call(name, input as never), name).rejects.toMatchObject({ code: 'not-connected' })
})

test('changed, disabled, declared: as the gateway answers; who may not is told so, and nothing is made up', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  gateway.agents.set('i#bot', someAgent('i#bot'))
  await using core = await start(folder.path)
  const told = await signedIn(core, gateway)
  const from = told.events.length
  const changed = await core.call('changeAgent', { id: 'i#bot', patch: { sponsor: 'i#ben', purpose: null } })
  expect(changed).toMatchObject({ sponsor: 'i#ben' })
  await told.until('agents', ({ changed }) => changed.some(({ sponsor }) => sponsor === 'i#ben'), from)
  await core.call('changeAgent', { id: 'i#bot', patch: { disabled: true, reason: 'leaked' } })
  expect((await core.call('agent', { id: 'i#bot' })).agent).toMatchObject({ disabled: { reason: 'leaked' } })
  expect(await core.call('declareAgent', { issuer: 'i', subject: 'new', purpose: 'x' })).toMatchObject({
    declared: true,
  })
  expect(gateway.asked).toContain('PATCH /v1/agents/i%23bot')
  gateway.roles = ['approver']
  await expect(core.call('changeAgent', { id: 'i#bot', patch: { disabled: false } })).rejects.toMatchObject({
    code: 'refused',
    message: 'Agents are changed by admins; your roles: approver.',
  })
  await expect(core.call('freeze', { connection: 'orders', reason: 'x' })).rejects.toThrow('by admins')
  gateway.tokens.push({
    ...{ id: 'tk_1', agent: 'i#bot', identity: { id: 'i#bot', issuer: 'i', subject: 'bot', name: 'bot', groups: [] } },
    ...{ connection: 'orders', issuedAt: new Date().toISOString() },
    expiresAt: new Date(Date.now() + 60_000).toISOString(),
  })
  expect((await core.call('agentTokens', { id: 'i#bot' })).items).toHaveLength(1)
  expect(await core.call('revokeToken', { token: 'tk_1', reason: 'lost' })).toMatchObject({
    revoked: { reason: 'lost' },
  })
  await expect(core.call('revokeToken', { token: 'tk_1', reason: 'lost' })).rejects.toThrow('ended already')
})

test('freezes are known from the first moment on, told at once, and gone when they end', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  await using core = await start(folder.path)
  const told = await signedIn(core, gateway)
  await told.until('connections')
  const from = told.events.length
  expect(await core.call('freeze', { connection: '*', reason: 'incident' })).toMatchObject({ connection: '*' })
  await told.until('connections', ({ items }) => items.every(({ freeze }) => freeze?.reason === 'incident'), from)
  await expect(core.call('freeze', { connection: '*', reason: 'again' })).rejects.toThrow('frozen already')
  await core.call('unfreeze', { connection: '*', reason: 'over' })
  await expect.poll(async () => (await core.call('connections', {})).items.filter(({ freeze }) => freeze)).toEqual([])
  await expect(core.call('freeze', { connection: 'orders', reason: '  ' })).rejects.toMatchObject({ code: 'bad-input' })
})

test('an emergency is told natively once, to everybody else, as much as the person lets it; and withdrawn once reviewed', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor(['auditor'])
  const seen = seenNotices()
  await using core = await start(folder.path, testKeychain(), seen)
  const told = await signedIn(core, gateway)
  gateway.emergency({ id: 'bg_1' })
  await told.until('duty', ({ duty }) => duty.breakGlass.length === 1)
  const [notice] = seen.history
  expect(notice).toMatchObject({
    title: 'Ben\ufffd broke glass on orders',
    body: 'checkout is down',
    target: '/agents/break-glass/bg_1',
  })
  // The same once more, and one of one's own, are no news.
  gateway.emergency({ id: 'bg_1' })
  const me = (await core.call('snapshot', {})).me!
  gateway.emergency({ id: 'bg_2', person: { id: me.id, issuer: me.issuer, subject: me.subject, name: me.name } })
  await told.until('duty', ({ duty }) => duty.breakGlass.length === 2)
  expect(seen.history).toHaveLength(1)
  const from = told.events.length
  await core.call('notificationClicked', { tag: notice!.tag })
  expect(await told.until('open', undefined, from)).toMatchObject({ target: '/agents/break-glass/bg_1' })

  const { settings } = await core.call('snapshot', {})
  await core.call('saveSettings', { ...settings, notifications: { ...settings.notifications, content: 'nothing' } })
  gateway.emergency({ id: 'bg_3' })
  await told.until('duty', ({ duty }) => duty.breakGlass.length === 3)
  expect(seen.history[1]).toMatchObject({ title: 'Break-glass was used', body: 'Open Countersign to see it.' })
  expect(seen.shown.size).toBe(1)
  await core.call('reviewBreakGlass', { id: 'bg_3', verdict: 'justified', reason: 'it was' })
  await expect.poll(() => seen.shown.size).toBe(0)
  await expect(
    core.call('reviewBreakGlass', { id: 'bg_2', verdict: 'justified', reason: 'mine' }),
  ).rejects.toMatchObject({ code: 'refused', message: 'Nobody reviews what they did themselves.' })

  await core.call('windowFocus', { focused: true })
  gateway.emergency({ id: 'bg_4' })
  await told.until('duty', ({ duty }) => duty.breakGlass.length === 4)
  expect(seen.history).toHaveLength(2)
})

test('duty is handed over and taken back; both sides have it without a network', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  await using core = await start(folder.path)
  const told = await signedIn(core, gateway)
  const until = new Date(Date.now() + 86_400_000).toISOString()
  const made = await core.call('delegate', { to: 'i#ben', until, reason: 'leave' })
  expect(made).toMatchObject({ state: 'active', to: { id: 'i#ben' }, reason: 'leave' })
  await told.until('duty', ({ duty }) => duty.delegations.length === 1)
  expect(await core.call('endDelegation', { id: made.id, reason: 'back' })).toMatchObject({ state: 'ended' })
  await gateway.down()
  expect((await core.call('duty', {})).delegations).toMatchObject([{ state: 'ended', ended: { reason: 'back' } }])
})

test('who could do what then: all pages in one answer, and as a table that no spreadsheet runs', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  for (let i = 0; i < 2300; i += 1)
    gateway.past.push({
      ...{ agent: `i#a${i}`, name: i === 0 ? '=cmd()' : `a${i}`, connection: 'orders', action: 'sql:read' },
      ...{ resource: 'orders', verdict: 'allow', through: { kind: 'policy', policies: ['p'] } },
    })
  const files = takenFiles()
  await using core = await start(folder.path, testKeychain(), seenNotices(), files)
  await signedIn(core, gateway)
  const at = '2026-11-17T12:00:00.000Z'
  const answer = await core.call('accessThen', { at })
  expect(answer).toMatchObject({ at, whole: true, notes: ['=a note'] })
  expect(answer.items).toHaveLength(2300)
  const saved = await core.call('exportAccessThen', { at, agent: 'i#a', work: 'w' })
  expect(saved).toMatchObject({ state: 'written', lines: 2300 })
  expect(gateway.asked).toContain(`GET /v1/access?${new URLSearchParams({ at, agent: 'i#a', limit: '1000' })}`)
  const lines = files.files.get('access-2026-11-17T1200Z.csv')!.toString('utf8').split('\r\n')
  expect(lines).toHaveLength(2300 + 3)
  expect(lines[0]).toBe('\ufeff# =a note')
  expect(lines[2]).toContain(",'=cmd(),orders,sql:read,orders,allow,")
})
