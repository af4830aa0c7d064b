import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PolicyText } from '@countersign/contract/policies'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RunningIssuer, startIssuer } from '../../../../demo/issuer.ts'
import type { DraftWork } from '../../../policy-api.ts'
import { type Core, createCore } from '../core.ts'
import { listenTo, seenNotices, takenFiles, temporaryFolder, testKeychain } from '../testing/console.ts'
import { type SmallGateway, startSmallGateway } from '../testing/small-gateway.ts'
import { patchOf } from './files.ts'

let issuer: RunningIssuer
beforeAll(async () => {
  issuer = await startIssuer({
    people: ['ada', 'ben'].map((subject) => ({ subject, name: subject, groups: ['oncall-dba'] })),
  })
})
afterAll(() => issuer.stop())

const first = [{ file: 'access.cedar', text: '@id("a")\npermit (principal, action, resource);\n' }]

async function gatewayFor(roles: SmallGateway['roles']): Promise<SmallGateway> {
  const gateway = await startSmallGateway({ issuer: issuer.url, clientId: issuer.clientId, resource: issuer.resource })
  gateway.roles = roles
  gateway.policy.enforce(first, 'the gateway started')
  return gateway
}

function start(folder: string, more: { secrets?: ReturnType<typeof testKeychain>; who?: () => string } = {}) {
  const downloads = takenFiles()
  const core = createCore({
    folder,
    capabilities: {
      ...{ shell: 'browser', notifications: 'native', tray: false, badge: false },
      ...{ deepLinks: false, pdf: false, secureStorage: true },
    },
    notifier: seenNotices(),
    badge: { set() {} },
    secrets: more.secrets ?? testKeychain(),
    opener: {
      async open(url) {
        void issuer.completeLogin(url, more.who?.() ?? 'ada').catch(() => {})
      },
    },
    downloads,
  })
  return core.then((started) => Object.assign(started, { files: downloads.files }))
}

async function signedIn(core: Core, gateway: SmallGateway) {
  const told = listenTo(core)
  await core.call('signIn', { gateway: gateway.url })
  await told.link('live')
  return told
}

/** Asks for everything, and waits until every part was told. */
async function whole(core: Core, told: ReturnType<typeof listenTo>) {
  const from = told.events.length
  await core.call('policy', {})
  await Promise.all(
    (['in-force', 'versions', 'drafts', 'backtests', 'overlays'] as const).map((name) =>
      told.until('policy', ({ changed }) => Boolean(changed.parts?.[name].at ?? changed.parts?.[name].refused), from),
    ),
  )
  return core.call('policy', {})
}

const workOf = (more: Partial<DraftWork> = {}): DraftWork => ({
  ...{ id: 'new-1', title: 'Tighter', base: 'sha256:1', files: first, at: '2026-11-21T12:00:00.000Z' },
  ...more,
})

test('what is in force, its past, overlays and backtests follow the feed, and are there without a network', async () => {
  using folder = temporaryFolder()
  const secrets = testKeychain()
  await using gateway = await gatewayFor(['reviewer'])
  gateway.policy.overlay({ id: 'ov_1' })
  {
    await using core = await start(folder.path, { secrets })
    const told = await signedIn(core, gateway)
    expect(gateway.asked.filter((asked) => asked.includes('/v1/policy'))).toEqual([])
    const view = await whole(core, told)
    expect(view).toMatchObject({ inForce: { version: 'sha256:1', texts: first }, versions: [{ version: 'sha256:1' }] })
    expect(view.overlays).toMatchObject([{ id: 'ov_1', state: 'proposed' }])

    const next = [...first, { file: 'overlay:ov_1.cedar', text: 'forbid (principal, action, resource);\n' }]
    let from = told.events.length
    gateway.policy.enforce(next, 'overlay ov_1 was applied')
    await told.until('policy', ({ changed }) => changed.inForce?.version === 'sha256:2', from)
    await told.until('policy', ({ changed }) => changed.versions?.length === 2, from)
    gateway.policy.overlay({ id: 'ov_1', state: 'failed', failedBecause: 'a probe was allowed' })
    await told.until('overlay', ({ overlay }) => overlay.state === 'failed')
    expect((await core.call('overlay', { id: 'ov_1' })).overlay).toMatchObject({ failedBecause: 'a probe was allowed' })
    // A version that was looked at is here from then on.
    expect(await core.call('policyVersion', { version: 'sha256:1' })).toEqual({ texts: first, source: 'gateway' })

    await core.call('startBacktest', { draft: 'dr_1', since: '30d' })
    gateway.policy.backtest({ id: 'bt_1', progress: { commands: 500, of: 1000 } })
    await told.until('policy', ({ changed }) => changed.backtests?.[0]?.progress.commands === 500)
    from = told.events.length
    gateway.policy.backtest({ id: 'bt_1', state: 'done', problem: 'x' })
    await told.until('policy', ({ changed }) => changed.backtests?.[0]?.state === 'done', from)
    // What overtook it on its way doesn't run again.
    gateway.policy.backtest({ id: 'bt_1', state: 'running', progress: { commands: 900 } })
    gateway.policy.overlay({ id: 'ov_2', number: 2 })
    await told.until('overlay', ({ overlay }) => overlay.id === 'ov_2')
    expect((await core.call('policy', {})).backtests).toMatchObject([{ id: 'bt_1', state: 'done' }])
  }
  await gateway.down()
  await using core = await start(folder.path, { secrets })
  const view = await core.call('policy', {})
  expect(view).toMatchObject({ inForce: { version: 'sha256:2' }, versions: [{}, {}], overlays: [{}, { id: 'ov_1' }] })
  expect(view.parts['in-force'].at).toMatch(/^\d{4}-/)
  expect(await core.call('policyVersion', { version: 'sha256:1' })).toEqual({ texts: first, source: 'local' })
  expect(await core.call('overlay', { id: 'ov_1' })).toMatchObject({ source: 'local', overlay: { state: 'failed' } })
  for (const [name, input] of [
    ['saveDraft', { work: workOf() }],
    ['checkPolicy', { files: first }],
    ['startBacktest', { draft: 'dr_1' }],
    ['cancelBacktest', { id: 'bt_1' }],
    ['answerOverlay', { id: 'ov_1', does: 'apply', reason: 'x' }],
    ['overlayEdits', {}],
  ] as const)
    await expect(core.call(name, input as never), name).rejects.toMatchObject({ code: 'not-connected' })
  // What could not be saved is kept.
  expect((await core.call('policy', {})).works).toMatchObject([{ id: 'new-1', title: 'Tighter' }])
})

test('a role sees what is its own: approvers read policy alone, and nothing of the rest is kept for them', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor(['approver'])
  gateway.policy.overlay({ id: 'ov_1' })
  await using core = await start(folder.path)
  const told = await signedIn(core, gateway)
  const { parts, inForce, overlays, drafts } = await whole(core, told)
  expect({ version: inForce?.version, overlays, drafts }).toEqual({ version: 'sha256:1', overlays: [], drafts: [] })
  expect(Object.entries(parts).flatMap(([name, { refused }]) => (refused ? [[name, refused]] : []))).toEqual([
    ['drafts', 'forbidden'],
    ['backtests', 'forbidden'],
    ['overlays', 'forbidden'],
  ])
})

test('a draft is saved, changed by somebody else meanwhile, and what was written is a choice, never lost', async () => {
  using folder = temporaryFolder()
  const secrets = testKeychain()
  let who = 'ada'
  await using gateway = await gatewayFor(['reviewer'])
  {
    await using core = await start(folder.path, { secrets, who: () => who })
    await signedIn(core, gateway)
    await core.call('keepDraftWork', workOf())
    gateway.policy.refuses = { status: 422, problem: 'The title is taken.' }
    await expect(core.call('saveDraft', { work: workOf() })).rejects.toMatchObject({ message: 'The title is taken.' })
    expect((await core.call('policy', {})).works).toHaveLength(1)
    delete gateway.policy.refuses
    const saved = await core.call('saveDraft', { work: workOf() })
    expect(saved).toMatchObject({ state: 'saved', draft: { id: 'dr_1', revision: 1, by: { name: 'ada' } } })
    const { works, drafts } = await core.call('policy', {})
    expect({ works, drafts: drafts.map(({ id, ok }) => [id, ok]) }).toEqual({ works: [], drafts: [['dr_1', true]] })

    const mine = [{ file: 'access.cedar', text: 'permit (principal, action, resource); // wrong\n' }]
    await core.call('keepDraftWork', workOf({ id: 'dr_1', revision: 1, files: mine }))
    gateway.policy.drafts.set('dr_1', { ...gateway.policy.drafts.get('dr_1')!, revision: 2, title: 'Theirs' })
  }
  // A restart later, another person first.
  await using core = await start(folder.path, { secrets, who: () => who })
  const told = listenTo(core)
  await told.link('live')
  await core.call('signOut', {})
  who = 'ben'
  // Nothing of what she saw is left for whoever comes next.
  expect(await core.call('policy', { look: false })).toMatchObject({ inForce: null, drafts: [], works: [] })
  await core.call('signIn', { gateway: gateway.url })
  await told.link('live', told.events.length)
  expect((await core.call('policyDraft', { id: 'dr_1' })).work).toBeNull()
  await core.call('signOut', {})
  who = 'ada'
  await core.call('signIn', { gateway: gateway.url })
  await told.link('live', told.events.length)
  const { work, draft } = await core.call('policyDraft', { id: 'dr_1' })
  expect([draft?.revision, work?.revision, work?.files[0]?.text]).toEqual([2, 1, expect.stringContaining('wrong')])
  expect(await core.call('saveDraft', { work: work! })).toMatchObject({ state: 'conflict', draft: { title: 'Theirs' } })
  expect((await core.call('policyDraft', { id: 'dr_1' })).work).toEqual(work)
  const over = await core.call('saveDraft', { work: work!, over: 2 })
  expect(over).toMatchObject({
    state: 'saved',
    draft: { title: 'Tighter', revision: 3, check: { ok: false, problems: [{ file: 'access.cedar', line: 1 }] } },
  })
  expect((await core.call('policyDraft', { id: 'dr_1' })).work).toBeNull()
  // Deleted by somebody else while it was written here: it begins anew.
  gateway.policy.drafts.delete('dr_1')
  await core.call('keepDraftWork', { ...work!, revision: 3 })
  expect(await core.call('saveDraft', { work: { ...work!, revision: 3 } })).toMatchObject({
    state: 'saved',
    draft: { id: 'dr_2', revision: 1 },
  })
  expect((await core.call('policy', {})).works).toEqual([])
  await core.call('deleteDraft', { id: 'dr_2' })
  expect(gateway.policy.drafts.size).toBe(0)
})

test('what is written of drafts can’t be read on the disk, saved or not, and never passes for another draft', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor(['reviewer'])
  await using core = await start(folder.path)
  await signedIn(core, gateway)
  const secret = 'permit-in-the-making'
  await core.call('keepDraftWork', workOf({ files: [{ file: 'a.cedar', text: `// ${secret}` }] }))
  expect((await core.call('policyDraft', { id: 'new-1' })).work?.files[0]?.text).toContain(secret)
  // What the gateway tells of drafts and backtests is shut in, too, and is there without it.
  const { files } = workOf({ files: [{ file: 'a.cedar', text: `// ${secret}` }] })
  const saved = await core.call('saveDraft', { work: workOf({ files }) })
  const id = saved.draft.id
  await gateway.down()
  expect(await core.call('policyDraft', { id })).toMatchObject({ source: 'local', draft: { files } })
  // Its title is in the list of drafts.
  expect(saved.draft.title).toBe('Tighter')
  for (const file of readdirSync(folder.path))
    if (file.startsWith('console.sqlite'))
      for (const word of [secret, saved.draft.title])
        expect(readFileSync(join(folder.path, file)).includes(word), `${word} in ${file}`).toBe(false)
})

test('overlays: applied by another admin with the digest that was shown; refusals and lost answers are said', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor(['admin'])
  gateway.policy.overlay({ id: 'ov_1' })
  const me = `${issuer.url}#ada`
  gateway.policy.overlay({
    id: 'ov_2',
    number: 2,
    proposed: {
      by: { id: me, issuer: issuer.url, subject: 'ada', name: 'ada' },
      at: '2026-11-21T12:00:00Z',
      reason: '',
    },
  })
  await using core = await start(folder.path)
  const told = await signedIn(core, gateway)
  // Overlays are known before anybody opens the screen: what fails stands everywhere.
  await told.until('policy', ({ changed }) => changed.overlays?.length === 2)
  const digest = 'd'.repeat(64)
  const applied = await core.call('answerOverlay', { id: 'ov_1', does: 'apply', reason: 'looked', digest })
  expect(applied).toMatchObject({ state: 'verified', approved: { by: { name: 'ada' }, reason: 'looked' } })
  expect(gateway.policy.asked).toEqual([{ reason: 'looked', digest }])
  await expect(core.call('answerOverlay', { id: 'ov_2', does: 'apply', reason: '', digest })).rejects.toThrow(
    'Four eyes',
  )
  await expect(
    core.call('answerOverlay', { id: 'ov_1', does: 'apply', reason: '', digest: 'e'.repeat(64) }),
  ).rejects.toThrow('changed meanwhile')
  expect(await core.call('answerOverlay', { id: 'ov_1', does: 'roll-back', reason: 'too much' })).toMatchObject({
    state: 'verified',
    rollBack: { reason: 'too much' },
  })
  const edits = await core.call('overlayEdits', {})
  expect(edits.overlays).toEqual(['ov_1', 'ov_2'])
  await core.call('savePolicyFiles', {
    work: 'w',
    name: 'overlays.patch',
    form: 'patch',
    files: edits.files,
    before: [],
  })
  // Of what was shown, whatever else the gateway calls its patch.
  expect(core.files.get('overlays.patch')?.toString()).toBe(patchOf([], edits.files))
})

test('a draft’s files go into the folder: as one patch that git takes, as a tar, one by one', async () => {
  using folder = temporaryFolder()
  const before: PolicyText[] = [
    { file: 'access.cedar', text: 'permit (principal, action, resource);\n' },
    { file: 'gone.cedar', text: '// gone\n' },
    { file: 'same.cedar', text: '// same\n' },
    { file: 'noend.cedar', text: 'forbid (principal, action, resource);' },
    { file: 'overlay:ov_1.cedar', text: 'forbid (principal, action, resource);\n' },
  ]
  const after: PolicyText[] = [
    { file: 'access.cedar', text: '// tighter\npermit (principal, action, resource);\n' },
    { file: 'same.cedar', text: '// same\n' },
    { file: 'noend.cedar', text: 'forbid (principal, action, resource);\n' },
    { file: 'new.test.yaml', text: 'tests: []\n' },
  ]
  await using gateway = await gatewayFor(['reviewer'])
  await using core = await start(join(folder.path, 'console'))
  await signedIn(core, gateway)
  await core.call('savePolicyFiles', { work: 'w', name: 'a draft.patch', form: 'patch', files: after, before })
  const patch = core.files.get('a-draft.patch')!.toString()
  expect(patch).toBe(patchOf(before, after))
  expect(patch).not.toContain('overlay:')
  await core.call('savePolicyFiles', { work: 'w', name: 'draft.tar', form: 'tar', files: after })
  await core.call('savePolicyFiles', { work: 'w', name: 'same.cedar', form: 'file', files: [after[1]!] })
  expect(core.files.get('same.cedar')?.toString()).toBe('// same\n')

  for (const file of ['../hook.cedar', '/etc/x.cedar', 'a\nb.cedar', '.git', 'a\u202eb.cedar', 'sub/x.cedar'])
    for (const form of ['patch', 'tar'] as const)
      await expect(
        core.call('savePolicyFiles', { work: 'w', name: 'lies', form, files: [{ file, text: 'x' }], before: [] }),
      ).rejects.toMatchObject({ code: 'bad-name' })

  const git = join(folder.path, 'git')
  const tar = join(folder.path, 'tar')
  for (const place of [git, tar]) mkdirSync(place)
  const read = (place: string) =>
    readdirSync(place)
      .filter((file) => !file.startsWith('.'))
      .sort()
      .map((file) => ({ file, text: readFileSync(join(place, file), 'utf8') }))
  const wanted = [...after].sort((a, b) => (a.file < b.file ? -1 : 1))
  for (const { file, text } of before) if (!file.startsWith('overlay:')) writeFileSync(join(git, file), text)
  execFileSync('git', ['init', '-q'], { cwd: git })
  execFileSync('git', ['apply', '-'], { cwd: git, input: patch })
  expect(read(git)).toEqual(wanted)
  execFileSync('tar', ['xf', '-'], { cwd: tar, input: core.files.get('draft.tar')! })
  expect(read(tar)).toEqual(wanted)
})
