import { readdirSync, readFileSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RunningIssuer, startIssuer } from '../../../../demo/issuer.ts'
import type { LibraryItem } from '../../../library-api.ts'
import { type Core, type CoreOptions, createCore } from '../core.ts'
import { memoryStorage } from '../ports/secure-storage.ts'
import { listenTo, seenNotices, takenFiles, temporaryFolder, testKeychain } from '../testing/console.ts'
import { longRecording } from '../testing/long-recording.ts'
import { ndjsonOf, type SmallGateway, someRecording, someSession, startSmallGateway } from '../testing/small-gateway.ts'

// The library as the console uses it: a real core against a gateway that can be cut, stopped and asked what it was asked.

let issuer: RunningIssuer
beforeAll(async () => {
  const person = (subject: string) => ({ subject, name: subject, groups: [] })
  issuer = await startIssuer({ people: [person('aud'), person('ben')] })
})
afterAll(() => issuer.stop())

const gatewayFor = () => startSmallGateway({ issuer: issuer.url, clientId: issuer.clientId, resource: issuer.resource })

async function consoleAt(gateway: SmallGateway, folder: string, more: Partial<CoreOptions> = {}, person = 'aud') {
  const files = takenFiles()
  const core: Core = await createCore({
    folder,
    gateway: gateway.url,
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
    opener: { open: async (url) => void issuer.completeLogin(url, person).catch(() => {}) },
    downloads: files,
    library: { reserve: 0 },
    ...more,
  })
  const told = listenTo(core)
  const item = (session: string, fits: (item: LibraryItem) => boolean, from = 0) =>
    told
      .until('library', ({ changed }) => changed.some((each) => each.session === session && fits(each)), from)
      .then(({ changed }) => changed.find((each) => each.session === session && fits(each))!)
  return {
    core,
    told,
    files,
    item,
    async signIn() {
      await core.call('signIn', { gateway: gateway.url })
      await told.link('live')
    },
    async offline() {
      const from = told.events.length
      await gateway.down()
      await told.link('reconnecting', from)
    },
    [Symbol.asyncDispose]: () => core[Symbol.asyncDispose](),
  }
}

const lines = [...longRecording('se_1', 3000, 2_500_000)]
const bytes = ndjsonOf(lines)
const ended = (id: string, size = bytes.length) => ({
  id,
  state: 'closed' as const,
  closedAt: new Date().toISOString(),
  recording: { bytes: size, complete: true },
})
const shorter = (id: string) => [...longRecording(id, 300, 300_000)]
const asks = (gateway: SmallGateway, what: string) => gateway.asked.filter((path) => path.includes(what)).length

test.each(['as-asked', 'no-ranges', 'plain'] as const)(
  'a download goes on after every cut, wherever it falls, and is whole in the end (%s)',
  async (sends) => {
    using folder = temporaryFolder()
    await using gateway = await gatewayFor()
    gateway.sends = sends
    gateway.open(ended('se_1'))
    gateway.recordingBytes.set('se_1', bytes)
    const secondLine = bytes.indexOf(10) + 1
    // In the header, at a line's end, behind it, within a line, within a character's bytes, past a chunk, before the end.
    gateway.cuts = [10, secondLine, secondLine + 1, 5000, 300_000, 700_001, bytes.length - 1]
    await using console = await consoleAt(gateway, folder.path)
    await console.signIn()
    for (let tries = 0; tries < 8; tries++) {
      const from = console.told.events.length
      const opened = await console.core.call('openRecording', { session: 'se_1' }).catch(() => undefined)
      if (opened?.complete) break
      if (opened?.loading) await console.item('se_1', ({ state }) => state !== 'downloading', from)
    }
    await console.item('se_1', ({ state }) => state === 'complete')
    await console.core.call('exportSession', { session: 'se_1', format: 'ndjson', work: 'all' })
    expect(console.files.files.get('countersign-se_1.ndjson')?.equals(bytes)).toBe(true)
  },
)

test('what was merely begun goes on at the next start; a cancelled download stays cancelled until it is asked for', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  const secrets = testKeychain()
  gateway.open(ended('se_1'))
  gateway.recordingBytes.set('se_1', bytes)
  gateway.bundles.set('se_1', Buffer.alloc(1024))
  gateway.sends = 'plain'
  gateway.cuts = [1_500_000, 0, 0]
  {
    await using console = await consoleAt(gateway, folder.path, { secrets })
    await console.signIn()
    await console.core.call('pin', { sessions: ['se_1'] })
    const stopped = await console.item('se_1', ({ state, problem }) => state !== 'downloading' && problem !== undefined)
    expect(stopped.bytes).toBeGreaterThan(1_000_000)
    await console.core.call('cancelDownload', { session: 'se_1' })
  }
  const before = asks(gateway, '/recording')
  await using console = await consoleAt(gateway, folder.path, { secrets })
  const whole = await console.item('se_1', ({ state, bundle }) => state === 'complete' && bundle === 'kept')
  expect(whole).toMatchObject({ bytes: bytes.length, total: bytes.length })
  // One request, from where it broke off.
  expect(asks(gateway, '/recording')).toBe(before + 1)
})

test('pinned: its bundle comes with it, it outlives what is looked at, and a live one is completed when it ends', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  for (const id of ['se_a', 'se_b', 'se_c']) {
    gateway.open(ended(id, ndjsonOf(shorter(id)).length))
    gateway.recordings.set(id, shorter(id))
    gateway.bundles.set(id, Buffer.from(`not really a bundle of ${id}`.repeat(100)))
  }
  gateway.open({ id: 'se_live' })
  const soFar = someRecording('se_live').slice(0, -1)
  gateway.recordings.set('se_live', soFar)
  await using console = await consoleAt(gateway, folder.path)
  await console.signIn()
  expect(await console.core.call('pin', { sessions: ['se_a', 'se_live'] })).toEqual({ pinned: 2 })
  const pinned = await console.item('se_a', ({ bundle }) => bundle === 'kept')
  // What the gateway sent is kept as it is, and said to be what it is.
  expect(pinned).toMatchObject({ state: 'complete', problem: expect.stringContaining('bundle is broken') })
  await console.item('se_live', ({ state }) => state === 'live')
  for (const session of ['se_b', 'se_c']) await console.core.call('openRecording', { session })
  const settings = (await console.core.call('snapshot', {})).settings
  const from = console.told.events.length
  await console.core.call('saveSettings', { ...settings, library: { room: 0 } })
  await console.told.until('library', ({ removed }) => removed.includes('se_c') || removed.includes('se_b'), from)
  const { items } = await console.core.call('library', {})
  expect(items.map(({ session }) => session)).toEqual(expect.arrayContaining(['se_a', 'se_live']))
  expect(items.some(({ session }) => session === 'se_b')).toBe(false)

  const end = console.told.events.length
  gateway.recordings.set('se_live', someRecording('se_live'))
  gateway.open({ ...someSession(), id: 'se_live', state: 'closed' })
  await console.item('se_live', ({ state }) => state === 'complete', end)

  await console.offline()
  await console.core.call('exportSession', { session: 'se_a', format: 'bundle', work: 'b' })
  expect(console.files.files.get('countersign-se_a.tar')?.toString()).toContain('not really a bundle of se_a')
  await expect(
    console.core.call('exportSession', { session: 'se_live', format: 'bundle', work: 'c' }),
  ).rejects.toMatchObject({
    code: 'no-bundle',
  })
  await console.core.call('unpin', { sessions: ['se_a'] })
  const left = (await console.core.call('library', {})).items.find(({ session }) => session === 'se_a')
  expect(left?.bundle ?? 'none').toBe('none')
})

test('a disk that is nearly full stops it, in words; what is here stays', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  gateway.open(ended('se_1'))
  gateway.recordingBytes.set('se_1', bytes)
  const { bavail, bsize } = statfsSync(folder.path)
  await using console = await consoleAt(gateway, folder.path, { library: { reserve: bavail * bsize * 2 } })
  await console.signIn()
  await expect(console.core.call('openRecording', { session: 'se_1' })).rejects.toMatchObject({
    code: 'disk-full',
    message: expect.stringContaining('MiB left'),
  })
})

test('without a safe place for the key a recording plays, and nothing outlives the console', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  gateway.open({ id: 'se_1' })
  gateway.recordings.set('se_1', someRecording('se_1'))
  {
    await using console = await consoleAt(gateway, folder.path, { secrets: memoryStorage() })
    await console.signIn()
    expect(await console.core.call('openRecording', { session: 'se_1' })).toMatchObject({ steps: 2 })
    expect(await console.core.call('library', {})).toMatchObject({ kept: false })
    await expect(console.core.call('pin', { sessions: ['se_1'] })).rejects.toMatchObject({ code: 'nothing-kept' })
  }
  expect(readdirSync(folder.path)).not.toContain('library')
})

test('a copy that somebody changed is not shown; with the gateway it is fetched anew', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  const secrets = testKeychain()
  gateway.open(ended('se_1'))
  gateway.recordingBytes.set('se_1', bytes)
  const library = join(folder.path, 'library')
  const spoil = () => {
    const name = readdirSync(library).find((file) => file.endsWith('.chunks'))!
    const chunks = readFileSync(join(library, name))
    chunks[chunks.length - 100]! ^= 1
    writeFileSync(join(library, name), chunks)
  }
  {
    await using console = await consoleAt(gateway, folder.path, { secrets })
    await console.signIn()
    await console.core.call('openRecording', { session: 'se_1' })
    await console.item('se_1', ({ state }) => state === 'complete')
  }
  spoil()
  await using console = await consoleAt(gateway, folder.path, { secrets })
  await console.told.link('live')
  const { steps } = await console.core.call('openRecording', { session: 'se_1' })
  // Elsewhere in it everything is as it was.
  expect(
    (await console.core.call('recordingWindow', { session: 'se_1', from: 0, to: 5 })).lines.length,
  ).toBeGreaterThan(4)
  const last = { session: 'se_1', from: steps - 2, to: steps }
  await expect(console.core.call('recordingWindow', last)).rejects.toMatchObject({ code: 'damaged-copy' })
  expect((await console.core.call('library', {})).items).toMatchObject([{ state: 'damaged' }])
  const from = console.told.events.length
  await console.core.call('openRecording', { session: 'se_1' })
  await console.item('se_1', ({ state }) => state === 'complete', from)
  expect((await console.core.call('recordingWindow', last)).lines.at(-1)).toEqual(lines.at(-1))
})

test('offline, sessions and commands are found by words in what is kept; a search inside streams and can be ended', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  gateway.open(ended('se_1'))
  gateway.recordingBytes.set('se_1', bytes)
  gateway.open({ ...someSession(), id: 'se_2', agent: 'https://idp.example#other' })
  gateway.recordings.set('se_2', someRecording('se_2'))
  await using console = await consoleAt(gateway, folder.path)
  await console.signIn()
  for (const session of ['se_1', 'se_2']) await console.core.call('openRecording', { session })
  await console.item('se_1', ({ state }) => state === 'complete')
  await console.offline()
  const { core } = console
  const sessions = async (text: string) => (await core.call('searchSessions', { text })).items.map(({ id }) => id)
  expect(await sessions('batch 3 checked')).toEqual(['se_1'])
  expect(await sessions('zeppelin')).toEqual([])
  expect(await sessions('se_2')).toEqual(['se_2'])
  const found = await core.call('findKeptCommands', {
    text: 'update PAYMENTS',
    verdict: 'allow',
    table: 'public.payments',
  })
  expect(found.items.length).toBeGreaterThan(10)
  for (const item of found.items)
    expect(item).toMatchObject({
      session: 'se_1',
      kind: 'update',
      verdict: 'allow',
      tables: ['public.payments'],
      found: 'command',
    })
  const result = await core.call('findKeptCommands', { text: 'duplicate key' })
  expect(result.items.every((item) => item.found === 'result')).toBe(true)
  expect(result.items.length).toBeGreaterThan(5)
  expect((await core.call('findKeptCommands', { text: 'select', limit: 3 })).more).toBe(true)
  expect((await core.call('findKeptCommands', { agent: 'nobody' })).looked).toBe(0)

  const { steps } = await core.call('findInRecording', { session: 'se_1', words: 'kettle', work: 'w' })
  const told = console.told.events.flatMap((event) => (event.type === 'found' && event.work === 'w' ? event.steps : []))
  expect(new Set(told).size).toBe(steps)
  const looking = core.call('findInRecording', { session: 'se_1', words: 'nowhere at all', work: 'x' })
  await console.told.until('found', ({ work }) => work === 'x')
  await core.call('cancel', { work: 'x' })
  await expect(looking).rejects.toMatchObject({ code: 'cancelled' })
})

test('each offline playback waits to be told to the gateway; one from the gateway does not', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  gateway.open({ id: 'se_1' })
  gateway.recordings.set('se_1', someRecording('se_1'))
  await using console = await consoleAt(gateway, folder.path)
  await console.signIn()
  await console.core.call('openRecording', { session: 'se_1' })
  const waiting = async () => (await console.core.call('snapshot', {})).outbox.waiting
  expect(await waiting()).toBe(0)
  await console.offline()
  await console.core.call('openRecording', { session: 'se_1' })
  expect(await waiting()).toBe(1)
})

test('who signs in after somebody else finds nothing of theirs, nor does the disk', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  const secrets = testKeychain()
  gateway.open({ id: 'se_1' })
  gateway.recordings.set('se_1', someRecording('se_1'))
  await using console = await consoleAt(gateway, folder.path, { secrets })
  await console.signIn()
  await console.core.call('openRecording', { session: 'se_1' })
  const key = secrets.values.get('recordings-key')
  expect(key).toBeDefined()
  await console.core.call('signOut', {})
  await expect.poll(() => secrets.values.has('recordings-key')).toBe(false)
  expect(await console.core.call('library', {})).toMatchObject({ items: [], pinned: 0, cached: 0 })
  expect(readdirSync(folder.path)).not.toContain('library')
})

test('what the gateway no longer shows this person is taken from the computer', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  gateway.open({ id: 'se_1' })
  gateway.recordings.set('se_1', someRecording('se_1'))
  await using console = await consoleAt(gateway, folder.path)
  await console.signIn()
  await console.core.call('openRecording', { session: 'se_1' })
  gateway.sessions.delete('se_1')
  await expect(console.core.call('openRecording', { session: 'se_1' })).rejects.toMatchObject({
    code: 'no-such-session',
  })
  expect((await console.core.call('library', {})).items).toEqual([])

  // But what somebody keeps on purpose no gateway talks away: it says that it is only a copy.
  gateway.open({ id: 'se_2' })
  gateway.recordings.set('se_2', someRecording('se_2'))
  await console.core.call('pin', { sessions: ['se_2'] })
  await console.item('se_2', ({ state }) => state === 'complete')
  gateway.sessions.delete('se_2')
  expect(await console.core.call('openRecording', { session: 'se_2' })).toMatchObject({
    source: 'local',
    steps: 2,
    problem: expect.stringContaining('the copy that you keep'),
  })
})

test('what the gateway has erased goes from the computer, too, but for what somebody keeps: that stays until they let go', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  for (const id of ['se_a', 'se_b']) {
    gateway.open(ended(id, ndjsonOf(shorter(id)).length))
    gateway.recordings.set(id, shorter(id))
  }
  await using console = await consoleAt(gateway, folder.path)
  await console.signIn()
  await console.core.call('openRecording', { session: 'se_b' })
  await console.core.call('pin', { sessions: ['se_a'] })
  await console.item('se_a', ({ state }) => state === 'complete')
  const from = console.told.events.length
  const retention = { heldBy: [], erasedAt: new Date().toISOString() }
  for (const id of ['se_a', 'se_b']) {
    gateway.recordings.delete(id)
    gateway.open({ ...ended(id, ndjsonOf(shorter(id)).length), retention })
  }
  await console.told.until('library', ({ removed }) => removed.includes('se_b'), from)
  await expect(console.core.call('openRecording', { session: 'se_b' })).rejects.toMatchObject({ code: 'erased' })
  expect((await console.core.call('library', {})).items.map(({ session }) => session)).toEqual(['se_a'])
  expect(await console.core.call('openRecording', { session: 'se_a' })).toMatchObject({ source: 'local' })
  await console.core.call('unpin', { sessions: ['se_a'] })
  expect((await console.core.call('library', {})).items).toEqual([])
})

test('what comes for somebody who has signed out is not kept for the next one', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  gateway.open(ended('se_a', ndjsonOf(shorter('se_a')).length))
  gateway.recordings.set('se_a', shorter('se_a'))
  await using console = await consoleAt(gateway, folder.path)
  await console.signIn()
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>()
  const { promise: asked, resolve: isAsked } = Promise.withResolvers<void>()
  gateway.slow = (path) => {
    if (path !== '/v1/sessions/se_a') return undefined
    isAsked()
    return held
  }
  const opening = console.core.call('openRecording', { session: 'se_a' }).catch((error: Error) => error)
  await asked
  await console.core.call('signOut', {})
  letGo()
  expect(await opening).toBeInstanceOf(Error)
  const { items } = await console.core.call('library', {})
  expect(items).toEqual([])
  expect((await console.core.call('snapshot', {})).sessions).toEqual([])
})
