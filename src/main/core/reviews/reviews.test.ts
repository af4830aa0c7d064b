import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RunningIssuer, startIssuer } from '../../../../demo/issuer.ts'
import type { PendingReview } from '../../../reviews-api.ts'
import { type Core, createCore } from '../core.ts'
import { listenTo, seenNotices, takenFiles, temporaryFolder, testKeychain } from '../testing/console.ts'
import { type SmallGateway, startSmallGateway } from '../testing/small-gateway.ts'
import { someCampaign, someItem } from '../testing/small-reviews.ts'
import { nextOf } from './campaigns.ts'
import { reminderNotice } from './reminders.ts'

let issuer: RunningIssuer
beforeAll(async () => {
  issuer = await startIssuer({ people: [{ subject: 'ada', name: 'Ada', groups: [] }] })
})
afterAll(() => issuer.stop())

async function gatewayFor(items: number, roles: SmallGateway['roles'] = ['reviewer']): Promise<SmallGateway> {
  const gateway = await startSmallGateway({ issuer: issuer.url, clientId: issuer.clientId, resource: issuer.resource })
  gateway.roles = roles
  gateway.campaigns.set('ca_1', someCampaign())
  for (let i = 1; i <= items; i += 1) gateway.items.set(`it_${i}`, someItem(`it_${i}`))
  return gateway
}

function start(
  folder: string,
  { secrets = testKeychain(), notifier = seenNotices(), downloads = takenFiles() } = {},
): Promise<Core> {
  return createCore({
    folder,
    capabilities: {
      ...{ shell: 'browser', notifications: 'native', tray: false, badge: false },
      ...{ deepLinks: false, pdf: true, secureStorage: true },
    },
    ...{ notifier, secrets, downloads, badge: { set() {} } },
    opener: {
      async open(url) {
        void issuer.completeLogin(url, 'ada').catch(() => {})
      },
    },
    printer: { pdf: async (html) => Buffer.from(`%PDF of ${html.length}`) },
  })
}

async function signedIn(core: Core, gateway: SmallGateway) {
  const told = listenTo(core)
  await core.call('signIn', { gateway: gateway.url })
  await told.link('live')
  return told
}

const allKept = (told: ReturnType<typeof listenTo>, kept: number) =>
  told.until('campaign-items', ({ state }) => state.whole && !state.loading && state.evidence.kept === kept)
const decision = (item: string, more: object = {}) => ({
  ...{ campaign: 'ca_1', item, verdict: 'certify' as const, revision: 0 },
  ...more,
})
const pendingOf = async (core: Core): Promise<PendingReview[]> => (await core.call('campaigns', {})).pending
const settled = (told: ReturnType<typeof listenTo>, fits: (items: PendingReview[]) => boolean, from = 0) =>
  told.until('pending-reviews', ({ items }) => fits(items), from)

test('what waits for me is fetched with its evidence; decided offline in order, sent once each, sealed on disk', async () => {
  using folder = temporaryFolder()
  const secrets = testKeychain()
  await using gateway = await gatewayFor(30)
  {
    await using core = await start(folder.path, { secrets })
    const told = await signedIn(core, gateway)
    await allKept(told, 30)
  }
  await gateway.down()
  {
    await using core = await start(folder.path, { secrets })
    const { items, state } = await core.call('campaigns', {})
    expect(items).toMatchObject([{ id: 'ca_1', counts: { mine: 30 } }])
    expect(state).toMatchObject({ whole: true, forbidden: false })
    const page = await core.call('campaignItems', { campaign: 'ca_1', limit: 20 })
    expect(page.items.map(({ number }) => number)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
    expect((await core.call('campaignItems', { campaign: 'ca_1', after: page.next! })).items).toHaveLength(10)
    expect(await core.call('campaignItem', { campaign: 'ca_1', item: 'it_7' })).toMatchObject({
      ...{ source: 'local', page: { item: { id: 'it_7' }, evidence: { format: 'countersign-evidence/1' } } },
    })
    await core.call('commentItem', { campaign: 'ca_1', item: 'it_3', text: 'Finance moved it' })
    for (const [item, more] of [
      ['it_3', { verdict: 'revoke', reason: 'gone', seconds: 4.5, evidenceOpened: ['identity'] }],
      ['it_1', {}],
      ['it_2', { verdict: 'reduce', reason: 'unused', policy: 'forbid (principal, action, resource);' }],
    ] as const)
      expect(await core.call('decideItem', decision(item, more))).toMatchObject({ state: 'waiting', item })
    // The same twice is a slip, and so is one without a reason.
    await expect(core.call('decideItem', decision('it_1'))).rejects.toMatchObject({ code: 'decided-already' })
    await expect(core.call('decideItem', decision('it_4', { verdict: 'revoke' }))).rejects.toMatchObject({
      code: 'bad-input',
    })
    const mistaken = await core.call('decideItem', decision('it_5', { verdict: 'abstain', reason: 'a slip' }))
    expect(await core.call('takeBackReview', { id: mistaken.id })).toEqual({ taken: true })
    expect((await core.call('snapshot', {})).outbox).toMatchObject({ waiting: 4, reviews: 4, notes: 4 })
    for (const [name, input] of [
      ['startCampaign', { id: 'ca_1' }],
      ['moveItem', { campaign: 'ca_1', item: 'it_1', kind: 'delegate', to: 'i#ben', reason: 'x' }],
      ['decideTogether', { campaign: 'ca_1', items: [{ id: 'it_9', revision: 0 }], verdict: 'certify', reason: 'x' }],
      ['exportCampaign', { campaign: 'ca_1', format: 'pack', work: 'w' }],
      ['checkReduction', { policy: '' }],
    ] as const)
      await expect(core.call(name, input as never), name).rejects.toMatchObject({ code: 'not-connected' })
  }
  const { readFile, readdir } = await import('node:fs/promises')
  for (const file of await readdir(folder.path))
    if (/sqlite/.test(file)) {
      const bytes = await readFile(`${folder.path}/${file}`)
      for (const word of ['Finance moved', 'privileges used', 'countersign-evidence/1'])
        expect(bytes.includes(word), `${word} in ${file}`).toBe(false)
    }
  await gateway.up()
  await using core = await start(folder.path, { secrets })
  const told = listenTo(core)
  await settled(told, (items) => items.length === 0)
  expect(gateway.comments).toMatchObject([{ item: 'it_3', text: 'Finance moved it' }])
  expect(gateway.itemDecisions.map(({ item, verdict }) => [item, verdict])).toEqual([
    ['it_3', 'revoke'],
    ['it_1', 'certify'],
    ['it_2', 'reduce'],
  ])
  expect(gateway.itemDecisions[0]!.body).toMatchObject({ seconds: 4.5, evidenceOpened: ['identity'] })
  const sent = gateway.asked.filter((asked) => asked.startsWith('PUT /v1/campaigns'))
  expect(new Set(sent).size).toBe(4)
  const known = await core.call('campaignItems', { campaign: 'ca_1' })
  expect(known.items.filter(({ verdict }) => verdict !== 'undecided').map(({ id }) => id)).toEqual([
    ...['it_1', 'it_2', 'it_3'],
  ])
})

test('somebody was first, the campaign closed, not mine: a choice each, and nobody is overwritten', async () => {
  using folder = temporaryFolder()
  const secrets = testKeychain()
  await using gateway = await gatewayFor(4)
  {
    await using core = await start(folder.path, { secrets })
    const told = await signedIn(core, gateway)
    await allKept(told, 4)
    await gateway.down()
    await told.link('reconnecting')
    for (const item of ['it_1', 'it_2', 'it_3'])
      await core.call('decideItem', decision(item, { verdict: 'revoke', reason: 'mine' }))
  }
  const ben = { id: 'i#ben', issuer: 'i', subject: 'ben', name: 'Ben' }
  gateway.item({ id: 'it_1', verdict: 'certify', decidedBy: ben })
  gateway.item({ id: 'it_2', lastUsedAt: new Date().toISOString() })
  gateway.item({ id: 'it_3', mine: false, revision: 0 })
  await gateway.up()
  await using core = await start(folder.path, { secrets })
  const told = listenTo(core)
  const { items } = await settled(told, (all) => all.length === 3 && all.every(({ state }) => state === 'conflict'))
  expect(items.map(({ item, status, choices }) => [item, status, choices])).toEqual([
    ['it_1', 409, ['anew', 'discard']],
    ['it_2', 409, ['anew', 'discard']],
    ['it_3', 403, ['again', 'discard']],
  ])
  const [first, second, third] = items
  // What is there is known at once, from the refusal itself.
  const kept = await core.call('campaignItems', { campaign: 'ca_1' })
  expect(kept.items[0]).toMatchObject({ verdict: 'certify', decidedBy: { name: 'Ben' } })
  await expect(core.call('resolveReview', { id: first!.id, choice: 'anew' })).rejects.toMatchObject({
    code: 'decided-already',
  })
  await core.call('resolveReview', { id: first!.id, choice: 'discard' })
  const seen = (anew: object) => core.call('resolveReview', { id: second!.id, choice: 'anew', anew })
  await expect(seen({ reason: 'of an older one', revision: 0 })).rejects.toMatchObject({ code: 'changed' })
  await seen({ reason: 'seen, and still', revision: 1 })
  await settled(told, (all) => all.length === 1)
  expect(gateway.itemDecisions).toMatchObject([{ item: 'it_2', verdict: 'revoke', reason: 'seen, and still' }])
  expect(gateway.items.get('it_1')).toMatchObject({ verdict: 'certify' })
  await core.call('resolveReview', { id: third!.id, choice: 'discard' })
  expect(await pendingOf(core)).toEqual([])
  // What changed while it was looked at isn't decided unseen; what is over neither.
  const from = told.events.length
  gateway.item({ id: 'it_4', refused: 3 })
  await told.until('campaign-items', ({ changed }) => changed.some(({ refused }) => refused === 3), from)
  await expect(core.call('decideItem', decision('it_4'))).rejects.toMatchObject({ code: 'changed' })
  gateway.campaigns.set('ca_1', { ...gateway.campaigns.get('ca_1')!, state: 'closed' })
  await core.call('decideItem', decision('it_4', { revision: 1 }))
  const closed = await settled(told, (all) => all.some(({ state }) => state === 'conflict'), from)
  expect(closed.items).toMatchObject([{ item: 'it_4', status: 409, problem: 'This campaign is closed.' }])
})

test('the feed is followed: whose an item is by now, campaigns that begin and end, a thousand items', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor(1200)
  for (const [id, item] of gateway.items) gateway.items.set(id, { ...item, mine: false })
  await using core = await start(folder.path)
  const told = await signedIn(core, gateway)
  await told.until('campaigns', ({ changed }) => changed.length > 0)
  // Nobody waits for me in it: its items are fetched once I look.
  expect(gateway.asked.some((asked) => asked.includes('/items'))).toBe(false)
  await core.call('campaignItems', { campaign: 'ca_1' })
  await told.until('campaign-items', ({ state }) => state.whole && !state.loading && state.stored === 1200)
  expect(gateway.asked.filter((asked) => asked.includes('/items?limit=1000'))).toHaveLength(2)
  const me = (await core.call('snapshot', {})).me!
  const ada = { id: me.id, issuer: 'i', subject: 'ada', name: 'Ada' }
  gateway.item({ id: 'it_900', mine: true, reviewers: [ada] })
  await told.until('campaign-items', ({ changed }) => changed.some(({ id, mine }) => id === 'it_900' && mine))
  await allKept(told, 1)
  gateway.campaign({ id: 'ca_2', title: 'Another' }, 'campaign.started')
  await told.until('campaigns', ({ changed }) => changed.some(({ id }) => id === 'ca_2'))
  gateway.campaign({ id: 'ca_1', state: 'closed', closedAt: new Date().toISOString() }, 'campaign.closed')
  await told.until('campaigns', ({ changed }) => changed.some(({ state }) => state === 'closed'))
  expect((await core.call('campaigns', {})).items.map(({ id }) => id)).toEqual(['ca_2', 'ca_1'])
})

test('made, started, signed off, closed; templates; moved; decided together: as the gateway answers', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor(3, ['reviewer', 'admin'])
  gateway.items.set('it_2', { ...gateway.items.get('it_2')!, privileged: true })
  await using core = await start(folder.path)
  const told = await signedIn(core, gateway)
  await allKept(told, 3)
  const made = await core.call('createCampaign', { title: 'Production', scope: { tags: ['production'] } })
  expect(made).toMatchObject({ state: 'draft', window: { days: 90 } })
  await core.call('changeCampaign', { id: made.id, plan: { title: 'Production access' } })
  expect(await core.call('startCampaign', { id: made.id })).toMatchObject({ starting: { of: 10 } })
  await core.call('removeCampaign', { id: made.id })
  expect((await core.call('campaigns', {})).items.map(({ id }) => id)).toEqual(['ca_1'])
  await core.call('saveTemplate', {
    id: 'quarterly',
    plan: { title: 'Q' },
    cadence: { every: 'quarter', from: '2027-01-01' },
  })
  expect((await core.call('campaignTemplates', {})).items).toMatchObject([
    { id: 'quarterly', cadence: { every: 'quarter' } },
  ])
  await core.call('removeTemplate', { id: 'quarterly' })
  await core.call('moveItem', { campaign: 'ca_1', item: 'it_3', kind: 'reassign', to: 'i#ben', reason: 'knows it' })
  await told.until('campaign-items', ({ changed }) => changed.some(({ id, mine }) => id === 'it_3' && !mine))
  const items = ['it_1', 'it_2'].map((id) => ({ id, revision: 0 }))
  const all = { campaign: 'ca_1', items, verdict: 'certify' as const, reason: 'as before' }
  const preview = await core.call('decideTogether', all)
  expect(preview).toMatchObject({ done: false, items: [{ id: 'it_1' }], refused: [{ id: 'it_2' }] })
  expect(gateway.items.get('it_1')!.verdict).toBe('undecided')
  await core.call('decideTogether', { ...all, preview: preview.preview })
  await told.until('campaign-items', ({ changed }) => changed.some(({ id, bulk }) => id === 'it_1' && bulk === true))
  expect(await core.call('signOffCampaign', { id: 'ca_1', statement: 'Done.' })).toMatchObject({
    signedOffBy: [{ statement: 'Done.' }],
  })
  expect(await core.call('closeCampaign', { id: 'ca_1', reason: 'all decided' })).toMatchObject({ state: 'closed' })
})

test('packs, reports and tables go to a file, with progress; what was cut off or cancelled is given up', async () => {
  using folder = temporaryFolder()
  const downloads = takenFiles()
  await using gateway = await gatewayFor(1)
  gateway.files.set('pack', Buffer.alloc(300_000, 7)).set('report', Buffer.from('<h1>report</h1>'))
  await using core = await start(folder.path, { downloads })
  const told = await signedIn(core, gateway)
  const asked = { campaign: 'ca_1', work: 'w1' }
  await core.call('exportCampaign', { ...asked, format: 'pack', recordings: true })
  expect(downloads.files.get('countersign-ca_1.tar')).toEqual(gateway.files.get('pack'))
  expect(gateway.asked).toContain('GET /v1/campaigns/ca_1/pack?recordings=cited')
  await told.until('export', ({ work, total }) => work === 'w1' && total === 300_000)
  await core.call('exportCampaign', { ...asked, format: 'pdf' })
  expect(downloads.files.get('countersign-ca_1.pdf')?.toString()).toBe('%PDF of 15')
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>()
  gateway.slow = (path) => (path.endsWith('/report') ? held : undefined)
  const cancelled = core.call('exportCampaign', { ...asked, format: 'report' })
  const refused = expect(cancelled).rejects.toMatchObject({ code: 'cancelled' })
  await core.call('cancelCampaignExport', { work: 'w1' })
  await refused
  letGo()
  expect([...downloads.files.keys()]).toEqual(['countersign-ca_1.tar', 'countersign-ca_1.pdf'])
})

test('a reminder is for whom it names; it goes once nothing is left, and says no more than it may', async () => {
  using folder = temporaryFolder()
  const notifier = seenNotices()
  await using gateway = await gatewayFor(1)
  await using core = await start(folder.path, { notifier })
  const told = await signedIn(core, gateway)
  const me = (await core.call('snapshot', {})).me!
  const reminder = {
    ...{ campaign: 'ca_1', title: 'Q4\u202e recertification', open: 3, kind: 'soon' },
    dueAt: new Date(Date.now() + 2 * 86_400_000 - 60_000).toISOString(),
  }
  gateway.say('campaign.reminder', { ...reminder, person: 'i#ben' })
  gateway.say('campaign.reminder', { ...reminder, person: me.id })
  gateway.campaign({ id: 'ca_9', title: 'a mark' })
  await told.until('campaigns', ({ changed }) => changed.some(({ id }) => id === 'ca_9'))
  const [notice, ...others] = [...notifier.shown.values()]
  expect(others).toEqual([])
  expect(notice).toMatchObject({ title: '3 items wait for you: Q4\uFFFD recertification', body: 'Due in 2 days.' })
  await core.call('notificationClicked', { tag: notice!.tag })
  expect(await told.until('open')).toMatchObject({ target: '/reviews/ca_1' })
  gateway.say('campaign.reminder', { ...reminder, person: me.id })
  gateway.campaign({ id: 'ca_1', state: 'closed' }, 'campaign.closed')
  await told.until('campaigns', ({ changed }) => changed.some(({ state }) => state === 'closed'))
  expect(notifier.shown.size).toBe(0)
  const plain = reminderNotice({ ...reminder, person: me.id, kind: 'soon' }, 't', 'nothing', Date.now())
  expect(plain).toEqual({
    ...{ tag: 't', target: '/reviews/ca_1', title: 'A review waits for you', body: 'Open Countersign to see it.' },
  })
})

test('a list that tells the same again and again is not followed', () => {
  expect(nextOf(null, 0)).toBeUndefined()
  expect(nextOf('2', 1)).toBe('2')
  expect(() => nextOf('2', 0)).toThrow('has no end')
})

test('an approver has no reviews: nothing is asked for, and the state says so', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor(1, ['approver'])
  await using core = await start(folder.path)
  await signedIn(core, gateway)
  expect(await core.call('campaigns', {})).toMatchObject({ items: [], state: { forbidden: true } })
  expect(gateway.asked.some((asked) => asked.includes('campaigns'))).toBe(false)
})
