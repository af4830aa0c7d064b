import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RunningIssuer, startIssuer } from '../../../demo/issuer.ts'
import { createAccounts } from './account.ts'
import { type Core, type CoreOptions, createCore } from './core.ts'
import type { BrowserOpener } from './ports/browser-opener.ts'
import { systemClock } from './ports/clock.ts'
import { listenTo, seenNotices, takenFiles, temporaryFolder, testKeychain } from './testing/console.ts'
import { someRecording, startSmallGateway } from './testing/small-gateway.ts'

let issuer: RunningIssuer
beforeAll(async () => {
  issuer = await startIssuer({
    people: [
      { subject: 'ada', name: 'Ada', groups: ['oncall-dba'] },
      { subject: 'ben', name: 'Ben', groups: ['oncall-dba'] },
    ],
  })
})
afterAll(() => issuer.stop())

/** Stands in for the system's browser and the person in front of it. */
const as = (person: string): BrowserOpener => ({
  async open(url) {
    void issuer.completeLogin(url, person).catch(() => {})
  },
})

function start(folder: string, more: Partial<CoreOptions> = {}): Promise<Core> {
  return createCore({
    folder,
    capabilities: {
      shell: 'browser',
      notifications: 'none',
      tray: false,
      badge: false,
      deepLinks: false,
      pdf: false,
      secureStorage: true,
    },
    notifier: seenNotices(),
    badge: { set() {} },
    secrets: testKeychain(),
    opener: as('ada'),
    downloads: takenFiles(),
    ...more,
  })
}

const gatewayFor = () => startSmallGateway({ issuer: issuer.url, clientId: issuer.clientId, resource: issuer.resource })

test('signs in with code, PKCE S256, state, nonce and resource, and shows what is held', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  gateway.hold({ id: 'ap_1' })
  const opened: URL[] = []
  await using core = await start(folder.path, {
    opener: {
      async open(url) {
        opened.push(new URL(url))
        await as('ada').open(url)
      },
    },
  })
  const told = listenTo(core)
  await core.call('signIn', { gateway: gateway.url })
  await told.link('live')
  const asked = opened[0]!.searchParams
  expect(asked.get('response_type')).toBe('code')
  expect(asked.get('code_challenge_method')).toBe('S256')
  expect(asked.get('resource')).toBe(issuer.resource)
  for (const name of ['state', 'nonce', 'code_challenge']) expect(asked.get(name)!.length).toBeGreaterThan(20)
  expect(asked.get('redirect_uri')).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/callback$/)
  const snapshot = await core.call('snapshot', {})
  expect(snapshot.me?.name).toBe('ada')
  expect(snapshot.approvals).toMatchObject([{ id: 'ap_1', mayDecide: true }])
})

test('the listener of a sign-in takes one redirect with the right state, and nothing else', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  const opened = Promise.withResolvers<string>()
  await using core = await start(folder.path, { opener: { open: async (url) => opened.resolve(url) } })
  const told = listenTo(core)
  await core.call('signIn', { gateway: gateway.url })
  const address = await opened.promise
  const callback = new URL(new URL(address).searchParams.get('redirect_uri')!)
  const forged = new URL('?code=stolen&state=guessed', callback)
  expect((await fetch(forged)).status).toBe(404)
  expect((await fetch(new URL('/', callback))).status).toBe(404)
  expect((await core.call('snapshot', {})).link.state).toBe('signing-in')
  const page = await issuer.completeLogin(address, 'ada')
  expect(page).toContain('You are signed in')
  await told.link('live')
  await expect(fetch(callback)).rejects.toThrow()
})

test('a person who says no is told so, and may try again', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  await using core = await start(folder.path, {
    opener: {
      async open(url) {
        const { searchParams } = new URL(url)
        const back = new URL(searchParams.get('redirect_uri')!)
        // With iss, since the issuer says that it gives it (RFC 9207): without, the answer could be another issuer's.
        const iss = encodeURIComponent(issuer.url)
        back.search = `?error=access_denied&error_description=The+person+said+no&state=${searchParams.get('state')}&iss=${iss}`
        void fetch(back)
      },
    },
  })
  const told = listenTo(core)
  await core.call('signIn', { gateway: gateway.url })
  const { link } = await told.link('signed-out')
  expect(link).toMatchObject({ problem: expect.stringContaining('The person said no') })
})

test.each([
  ['nonsense address', 'http://', 'bad-gateway-address'],
  ['plain http to another machine', 'http://gw.example.com', 'bad-gateway-address'],
  ['a password in the address', 'https://a:b@gw.example.com', 'bad-gateway-address'],
  ['nobody there', 'http://127.0.0.1:1', 'unreachable'],
])('sign-in refuses %s', async (_name, gateway, code) => {
  using folder = temporaryFolder()
  await using core = await start(folder.path)
  await expect(core.call('signIn', { gateway })).rejects.toMatchObject({ name: 'ConsoleError', code })
  expect((await core.call('snapshot', {})).link.state).toBe('signed-out')
})

test('an issuer by plain http on another machine is refused before anything is opened', async () => {
  using folder = temporaryFolder()
  await using gateway = await startSmallGateway({ issuer: 'http://idp.example.com', clientId: 'x' })
  const opened: string[] = []
  await using core = await start(folder.path, { opener: { open: async (url) => void opened.push(url) } })
  await expect(core.call('signIn', { gateway: gateway.url })).rejects.toMatchObject({ code: 'insecure-issuer' })
  expect(opened).toEqual([])
})

async function signedIn(gateway: { url: string }, folder: string, more: Partial<CoreOptions> = {}) {
  const core = await start(folder, more)
  const told = listenTo(core)
  await core.call('signIn', { gateway: gateway.url })
  await told.link('live')
  return { core, told, [Symbol.asyncDispose]: () => core[Symbol.asyncDispose]() }
}

test('a link that is lost resumes from the last number, without a gap', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  gateway.hold({ id: 'ap_1' })
  await using console = await signedIn(gateway, folder.path)
  const { core, told } = console
  gateway.hold({ id: 'ap_2' })
  await told.until('approvals', ({ approvals }) => approvals.some(({ id }) => id === 'ap_2'))
  const seen = gateway.seq
  let from = told.events.length
  await gateway.down()
  await told.link('reconnecting', from)
  // Opened and closed while nobody listened: no list of pending ones tells of it, only the feed does.
  gateway.hold({ id: 'ap_3' })
  gateway.close('ap_3', 'expired', 'nobody decided')
  gateway.close('ap_1', 'cancelled', 'the client left')
  from = told.events.length
  await gateway.up()
  core.wake()
  await told.link('live', from)
  await told.until('approvals', ({ approvals }) =>
    approvals.some(({ id, state }) => id === 'ap_1' && state === 'cancelled'),
  )
  expect(gateway.asked.findLast((line) => line.includes('/v1/feed'))).toBe(`GET /v1/feed?after=${seen}`)
  const { approvals } = await core.call('snapshot', {})
  const states = Object.fromEntries(approvals.map(({ id, state }) => [id, state]))
  expect(states).toEqual({ ap_1: 'cancelled', ap_2: 'pending', ap_3: 'expired' })
})

test('a feed that no longer has the number is loaded anew: what is gone goes, what is there comes', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  gateway.hold({ id: 'ap_1' })
  gateway.hold({ id: 'ap_2' })
  await using console = await signedIn(gateway, folder.path)
  const from = console.told.events.length
  await gateway.down()
  await console.told.link('reconnecting', from)
  gateway.close('ap_1', 'denied')
  gateway.approvals.delete('ap_2') // no longer this person's to see
  gateway.hold({ id: 'ap_4' })
  gateway.keptFrom = gateway.seq + 1
  await gateway.up()
  console.core.wake()
  await console.told.until('snapshot', ({ snapshot }) => snapshot.approvals.some(({ id }) => id === 'ap_4'), from)
  const { approvals } = await console.core.call('snapshot', {})
  expect(Object.fromEntries(approvals.map(({ id, state }) => [id, state]))).toEqual({ ap_1: 'denied', ap_4: 'pending' })
})

test('after some failures it says offline, and what was seen is still there', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  gateway.hold({ id: 'ap_1' })
  gateway.open({ id: 'se_1', purpose: 'nightly purge' })
  await using console = await signedIn(gateway, folder.path)
  const { core, told } = console
  const from = told.events.length
  await gateway.down()
  for (const state of ['reconnecting', 'offline'] as const) {
    const poke = told.events.length
    if (state === 'offline') {
      const { promise, resolve } = Promise.withResolvers<void>()
      const off = core.on((event) => {
        if (event.type !== 'link') return
        if (event.link.state === 'offline') resolve()
        else setImmediate(() => core.wake())
      })
      core.wake()
      await promise
      off()
    } else await told.link(state, Math.min(from, poke))
  }
  const { link, approvals } = await core.call('snapshot', {})
  expect(link).toMatchObject({ state: 'offline', problem: expect.stringContaining('Nothing answers') })
  expect(approvals).toHaveLength(1)
  expect(await core.call('searchSessions', { text: 'purge' })).toMatchObject({
    items: [{ id: 'se_1' }],
    source: 'local',
  })
  expect(await core.call('searchSessions', { text: 'pur%' })).toMatchObject({ items: [] })
})

test('a decision goes sending → sent, and the feed says what became of it', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  const { command } = gateway.hold({ id: 'ap_1' })
  await using console = await signedIn(gateway, folder.path)
  const { core, told } = console
  const decision = { approval: 'ap_1', verdict: 'approve', digest: command.digest, reason: 'fine' } as const
  const [first, second] = await Promise.all([core.call('decide', decision), core.call('decide', decision)])
  expect(first.state).toBe('sent')
  expect(second).toEqual(first)
  expect(gateway.decided).toHaveLength(1)
  expect(gateway.decided[0]?.body).toMatchObject({ window: 'once', reason: 'fine', digest: command.digest })
  await told.until('approvals', ({ approvals }) => approvals.some(({ id, state }) => id === 'ap_1' && state === 'used'))
  expect(
    told.events.filter(({ type }) => type === 'decision').map((e) => e.type === 'decision' && e.decision.state),
  ).toEqual(['sending', 'sent'])
})

test.each([
  ['409: refused, in the gateway’s words', 'conflict', 'refused', 'It was decided before you.'],
  ['no answer in 5 s: dropped, and honest about it', 'silent', 'dropped', 'did not answer within 5 seconds'],
  ['the connection breaks: dropped after trying again', 'broken', 'dropped', 'may have arrived'],
] as const)('a decision meets %s', async (_name, misbehave, state, problem) => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  const { command } = gateway.hold({ id: 'ap_1' })
  await using console = await signedIn(gateway, folder.path)
  gateway.misbehave = misbehave
  const answer = await console.core.call('decide', { approval: 'ap_1', verdict: 'deny', digest: command.digest })
  expect(answer).toMatchObject({ state, problem: expect.stringContaining(problem) })
})

test('a decision without a link is dropped at once, and never sent later', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  const { command } = gateway.hold({ id: 'ap_1' })
  await using console = await signedIn(gateway, folder.path)
  let from = console.told.events.length
  await gateway.down()
  await console.told.link('reconnecting', from)
  const answer = await console.core.call('decide', { approval: 'ap_1', verdict: 'approve', digest: command.digest })
  expect(answer).toMatchObject({ state: 'dropped', problem: expect.stringContaining('no connection') })
  from = console.told.events.length
  await gateway.up()
  console.core.wake()
  await console.told.link('live', from)
  expect(gateway.decided).toEqual([])
})

test('a refused token is renewed once, by the refresh token; a second refusal signs out', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  const secrets = testKeychain()
  await using console = await signedIn(gateway, folder.path, { secrets })
  const { core, told } = console
  const token = () => JSON.parse(secrets.values.get('account')!).tokens.access as string
  const first = token()
  gateway.refused.add(first)
  let from = told.events.length
  gateway.cut()
  await told.link('live', from)
  expect(token()).not.toBe(first)
  from = told.events.length
  gateway.refused.has = () => true
  gateway.cut()
  const { link } = await told.link('signed-out', from)
  expect(link).toMatchObject({ problem: expect.stringContaining('refused your sign-in') })
  expect((await core.call('snapshot', {})).me?.name).toBe('ada')
})

test('a new start goes on with the sign-in that is kept; signing out forgets what was seen', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  gateway.hold({ id: 'ap_1' })
  const secrets = testKeychain()
  {
    await using _first = await signedIn(gateway, folder.path, { secrets })
  }
  await using core = await start(folder.path, {
    secrets,
    opener: { open: () => Promise.reject(new Error('not again')) },
  })
  const told = listenTo(core)
  await told.link('live')
  expect(gateway.asked.filter((line) => line.startsWith('GET /v1/feed')).at(-1)).toBe(
    `GET /v1/feed?after=${gateway.seq}`,
  )
  await core.call('signOut', {})
  const { approvals, me, link, settings } = await core.call('snapshot', {})
  expect({ approvals, me, link: link.state }).toEqual({ approvals: [], me: null, link: 'signed-out' })
  expect(settings.gateway).toBe(gateway.url)
  expect(secrets.values.has('account')).toBe(false)
})

test('another person on the same machine sees nothing of the one before', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  gateway.hold({ id: 'ap_1' })
  const secrets = testKeychain()
  let person = 'ada'
  await using console = await signedIn(gateway, folder.path, {
    secrets,
    opener: { open: (url) => as(person).open(url) },
  })
  gateway.approvals.clear()
  person = 'ben'
  const from = console.told.events.length
  await console.core.call('signIn', { gateway: gateway.url })
  await console.told.link('live', from)
  const { me, approvals } = await console.core.call('snapshot', {})
  expect({ name: me?.name, approvals }).toEqual({ name: 'ben', approvals: [] })
})

test('a recording that was played plays offline, and lies encrypted on the disk', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  gateway.open({ id: 'se_1' })
  gateway.recordings.set('se_1', someRecording('se_1'))
  await using console = await signedIn(gateway, folder.path)
  const online = await console.core.call('openRecording', { session: 'se_1' })
  expect(online).toMatchObject({ source: 'gateway', complete: true, steps: 2, loading: false })
  const lines = await console.core.call('recordingWindow', { session: 'se_1', from: 0, to: 10 })
  expect(lines).toMatchObject({ from: 0, to: 2, lines: someRecording('se_1').slice(1) })
  const from = console.told.events.length
  await gateway.down()
  await console.told.link('reconnecting', from)
  const offline = await console.core.call('openRecording', { session: 'se_1' })
  expect(offline).toEqual({ ...online, source: 'local' })
  expect(await console.core.call('recordingWindow', { session: 'se_1', from: 0, to: 10 })).toEqual(lines)
  await expect(console.core.call('openRecording', { session: 'se_2' })).rejects.toMatchObject({ code: 'not-kept' })
  const { readdirSync, readFileSync } = await import('node:fs')
  for (const name of readdirSync(folder.path, { recursive: true, withFileTypes: true }))
    if (name.isFile())
      expect(readFileSync(`${name.parentPath}/${name.name}`).includes('secret-looking'), name.name).toBe(false)
})

test('every call is checked: unknown names and wrong inputs never reach anything', async () => {
  using folder = temporaryFolder()
  await using core = await start(folder.path)
  await expect(core.call('toString' as never, {} as never)).rejects.toMatchObject({ code: 'no-such-call' })
  await expect(core.call('decide', { approval: 'x', verdict: 'maybe' } as never)).rejects.toMatchObject({
    code: 'bad-input',
  })
  await expect(
    core.call('decide', { approval: 'x', verdict: 'deny', digest: 'd', extra: 1 } as never),
  ).rejects.toMatchObject({
    code: 'bad-input',
  })
})

test('a role that may not see approvals is live with its sessions', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  gateway.forbidden.add('approvals')
  gateway.open({ id: 'se_1' })
  await using console = await signedIn(gateway, folder.path)
  const { approvals, sessions } = await console.core.call('snapshot', {})
  expect({ approvals, sessions: sessions.map(({ id }) => id) }).toEqual({ approvals: [], sessions: ['se_1'] })
})

test('when the feed ends because the token did, it goes on with the next one, and nobody is told of a loss', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  const secrets = testKeychain()
  let later = 0
  const clock = { ...systemClock, now: () => Date.now() + later }
  await using console = await signedIn(gateway, folder.path, { secrets, clock })
  const before = secrets.values.get('account')
  const from = console.told.events.length
  later = 6_000
  gateway.endFeeds(4401, 'the token has expired: get a new one')
  await console.told.link('live', from)
  const states = console.told.events.slice(from).flatMap((event) => (event.type === 'link' ? [event.link.state] : []))
  expect(states).toEqual(['live'])
  expect(secrets.values.get('account')).not.toBe(before)
})

test('a message of a type that is newer than this console is counted, and changes nothing', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  await using console = await signedIn(gateway, folder.path)
  gateway.sayUnknown()
  gateway.hold({ id: 'ap_1' })
  await console.told.until('approvals', ({ approvals }) => approvals.some(({ id }) => id === 'ap_1'))
  const from = console.told.events.length
  gateway.cut()
  await console.told.link('live', from)
  expect(gateway.asked.findLast((line) => line.includes('/v1/feed'))).toBe('GET /v1/feed?after=2')
})

test('a refresh token that the issuer no longer takes ends the sign-in, in words', async () => {
  const how = { issuer: issuer.url, client_id: issuer.clientId, scopes: [], resource: issuer.resource }
  const secrets = testKeychain()
  using accounts = createAccounts(secrets, systemClock)
  await accounts.save('http://127.0.0.1:1', how, { access: 'old', expiresAt: 0, refresh: 'stale' })
  await expect(accounts.token()).rejects.toThrow(/Your sign-in has ended .* Sign in again\./)
  expect(secrets.values.size).toBe(0)
  await accounts.save('http://127.0.0.1:1', how, { access: 'old', expiresAt: 0 })
  await expect(accounts.token()).rejects.toThrow('Your sign-in has expired')
})

test('an issuer that can’t be reached ends nothing: the token is used while it lasts', async () => {
  const how = { issuer: 'http://127.0.0.1:1', client_id: 'x', scopes: [] }
  const secrets = testKeychain()
  using accounts = createAccounts(secrets, systemClock)
  const soon = Date.now() + 20_000
  await accounts.save('http://127.0.0.1:1', how, { access: 'still good', expiresAt: soon, refresh: 'r' })
  expect(await accounts.token()).toBe('still good')
  await accounts.save('http://127.0.0.1:1', how, { access: 'gone', expiresAt: 0, refresh: 'r' })
  await expect(accounts.token()).rejects.toMatchObject({ name: 'Unreachable' })
  expect(secrets.values.has('account')).toBe(true)
})
