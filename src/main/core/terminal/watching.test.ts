import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RunningIssuer, startIssuer } from '../../../../demo/issuer.ts'
import { createCore } from '../core.ts'
import { listenTo, seenNotices, takenFiles, temporaryFolder, testKeychain } from '../testing/console.ts'
import { bytesOf, execRecording, shellRecording } from '../testing/long-terminal.ts'
import { type SmallGateway, startSmallGateway } from '../testing/small-gateway.ts'

// Terminals as the console has them: a real core, a gateway whose session goes on, and none at all.

let issuer: RunningIssuer
beforeAll(async () => {
  issuer = await startIssuer({ people: [{ subject: 'aud', name: 'aud', groups: [] }] })
})
afterAll(() => issuer.stop())

const shell = bytesOf(shellRecording('se_1', 400_000))
const of = { session: 'se_1', channel: '1' }

async function consoleAt(gateway: SmallGateway, folder: string) {
  const files = takenFiles()
  const core = await createCore({
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
    opener: { open: async (url) => void issuer.completeLogin(url, 'aud').catch(() => {}) },
    downloads: files,
    library: { reserve: 0 },
  })
  const told = listenTo(core)
  await core.call('signIn', { gateway: gateway.url })
  await told.link('live')
  return { core, told, files, [Symbol.asyncDispose]: () => core[Symbol.asyncDispose]() }
}

const gatewayFor = () => startSmallGateway({ issuer: issuer.url, clientId: issuer.clientId, resource: issuer.resource })

test('who watches a session sees what comes of it, through a lost connection too, until its end', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  const live = (part: number) => gateway.recordingBytes.set('se_1', shell.subarray(0, Math.floor(shell.length * part)))
  gateway.open({ id: 'se_1', protocol: 'ssh', state: 'open' })
  live(0.2)
  await using console = await consoleAt(gateway, folder.path)
  const { core, told } = console
  const opened = await core.call('openRecording', { session: 'se_1' })
  const followed = core.call('followRecording', { session: 'se_1', work: 'watch' })
  const first = await told.until('tail', ({ work }) => work === 'watch')
  expect(first).toMatchObject({ session: 'se_1', edition: opened.edition, seq: opened.seq, complete: false })
  const before = await core.call('terminalAt', { ...of, t: Number.MAX_SAFE_INTEGER })
  expect(before).toMatchObject({ ended: false })
  live(0.6)
  const second = await told.until('tail', ({ seq }) => seq > first.seq)
  const more = await core.call('terminalFrames', { ...of, from: before.next })
  expect(more.frames.length).toBeGreaterThan(0)
  expect(more.count).toBeGreaterThan(before.count)
  const cut = told.events.length
  await gateway.down()
  const lost = await told.until('tail', ({ problem }) => problem !== undefined, cut)
  expect(lost.seq).toBe(second.seq)
  await gateway.up()
  live(1)
  expect(await followed).toEqual({ ended: true })
  expect(told.events.findLast(({ type }) => type === 'tail')).toMatchObject({ complete: true })
  const summary = await core.call('terminal', of)
  expect(summary).toMatchObject({ ended: true, exit: { code: 0 } })
  const last = await core.call('terminalAt', { ...of, t: summary.to })
  expect(last.frames.at(-1)).toMatchObject({ type: 'exit', code: 0 })
  expect(last.next).toBe(last.count)
})

test('who watches no more is asked for nothing more; a session that may not be seen any more ends it', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  gateway.open({ id: 'se_1', protocol: 'ssh', state: 'open' })
  gateway.recordingBytes.set('se_1', shell.subarray(0, 50_000))
  await using console = await consoleAt(gateway, folder.path)
  await console.core.call('openRecording', { session: 'se_1' })
  const followed = console.core.call('followRecording', { session: 'se_1', work: 'watch' })
  const over = followed.catch((error: { code: string }) => error.code)
  await console.told.until('tail')
  await console.core.call('cancel', { work: 'watch' })
  expect(await over).toBe('cancelled')
  const asked = gateway.asked.length
  const again = console.core.call('followRecording', { session: 'se_1', work: 'watch' })
  const refused = again.catch((error: { code: string }) => error.code)
  await expect.poll(() => gateway.asked.slice(asked).some((path) => path.endsWith('/recording'))).toBe(true)
  gateway.forbidden.add('sessions')
  expect(await refused).toBe('not-to-be-had')
})

test('without a gateway a kept terminal plays, is searched and written; whoever signs out leaves none of it', async () => {
  using folder = temporaryFolder()
  await using gateway = await gatewayFor()
  const execs = bytesOf(execRecording('se_2', 60))
  for (const [id, bytes] of [
    ['se_1', shell],
    ['se_2', execs],
  ] as const) {
    gateway.open({ id, protocol: 'ssh', state: 'closed', recording: { bytes: bytes.length, complete: true } })
    gateway.recordingBytes.set(id, bytes)
  }
  await using console = await consoleAt(gateway, folder.path)
  const { core, told, files } = console
  for (const session of ['se_1', 'se_2']) {
    const complete = told.until('library', ({ changed }) =>
      changed.some((item) => item.session === session && item.state === 'complete'),
    )
    await core.call('openRecording', { session })
    await complete
  }
  const from = told.events.length
  await gateway.down()
  await told.link('reconnecting', from)
  const { items, count } = await core.call('recordingChannels', { session: 'se_2' })
  expect(items.length).toBe(count)
  expect((await core.call('terminal', of)).looked).toBeLessThanOrEqual(1)
  const { hits } = await core.call('findInTerminal', { ...of, words: 'ops@web-1', work: 'find' })
  expect(hits).toBeGreaterThan(2)
  const work = 'in all'
  const { steps } = await core.call('findInRecording', { session: 'se_2', words: 'of order', work })
  expect(steps).toBeGreaterThan(20)
  const commands = await core.call('findKeptCommands', { text: 'journalctl kettle' })
  expect(commands.items.length).toBeGreaterThan(0)
  expect(commands.items.every(({ text }) => text.includes('shop-kettle'))).toBe(true)
  const written = await core.call('exportTerminal', { ...of, format: 'cast', work: 'export' })
  expect(written).toEqual({ state: 'written', where: 'countersign-se_1-1.cast' })
  const [header, ...events] = files.files.get('countersign-se_1-1.cast')!.toString().trim().split('\n')
  expect(JSON.parse(header!)).toMatchObject({ version: 3, term: { cols: 120, rows: 36, type: 'xterm-256color' } })
  expect(JSON.parse(events.at(-1)!)[1]).toBe('x')
  await expect(core.call('terminal', { session: 'se_1', channel: '99' })).rejects.toMatchObject({
    code: 'no-such-channel',
  })
  await core.call('signOut', {})
  await expect(core.call('terminalAt', { ...of, t: 5 })).rejects.toMatchObject({ code: 'not-kept' })
})
