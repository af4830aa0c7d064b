/// <reference lib="dom" />
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeBundle } from '@countersign/contract/ledger/bundle'
import { collect, crypto, smallWorld } from '@countersign/contract/ledger/testing/world'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunningIssuer, startIssuer } from '../../demo/issuer.ts'
import { chromiumPath, launchDouble } from '../../e2e/electron-double/launch.ts'
import { type ConsoleApi, type ConsoleEvent, Snapshot } from '../console-api.ts'
import { sliceBytes } from '../witness-api.ts'
import { startBrowserShell } from './browser/shell.ts'
import { type SmallGateway, someRecording, startSmallGateway } from './core/testing/small-gateway.ts'
import { build } from './testing/build.ts'

/**
 * One contract, two transports: what the renderer finds as `window.countersign` in a real page, over the browser
 * shell's WebSocket and over the desktop shell's IPC (its built main and preload, on a double of Electron).
 */

let out: string
let issuer: RunningIssuer
let browser: Browser

beforeAll(async () => {
  out = build('transports')
  issuer = await startIssuer({ people: [{ subject: 'ada', name: 'Ada', groups: [] }] })
  browser = await chromium.launch({
    executablePath: chromiumPath(),
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  })
})
afterAll(async () => {
  await browser?.close()
  await issuer?.stop()
})

interface Shell extends AsyncDisposable {
  page: Page
  /** The person takes the next file that is offered; answers its name and what it holds. */
  takesFile(): Promise<{ name: string; text: string }>
  name: 'browser' | 'electron'
}

async function inBrowser(gateway: SmallGateway): Promise<Shell> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-transport-'))
  const shell = await startBrowserShell({
    folder,
    gateway: gateway.url,
    renderer: join(out, 'renderer'),
    opener: { open: () => Promise.reject(new Error('the page opens it')) },
  })
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.goto(shell.url)
  // The tab may be closed under the click that it answers: whether one is signed in is what tells.
  context.on('page', (tab) => void followSignIn(tab).catch(() => {}))
  return {
    page,
    name: 'browser',
    async takesFile() {
      const download = await page.waitForEvent('download')
      return { name: download.suggestedFilename(), text: readFileSync(await download.path(), 'utf8') }
    },
    async [Symbol.asyncDispose]() {
      await context.close()
      await shell.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The person in the tab that the click opened. */
async function followSignIn(tab: Page): Promise<void> {
  await tab.getByText('Ada').click()
}

async function onDesktop(gateway: SmallGateway): Promise<Shell> {
  const double = await launchDouble({ out, arguments: [`--countersign-gateway=${gateway.url}`] })
  void double.seen('open-external').then(({ url }) => issuer.completeLogin(url, 'ada'))
  const answered = new Set<object>()
  return {
    page: double.page,
    name: 'electron',
    async takesFile() {
      // Those that were answered are still told of.
      const dialog = await double.seen('save-dialog', (one) => !answered.has(one))
      answered.add(dialog)
      const { name } = dialog
      const path = join(double.folder, name)
      await double.do('save-as', path)
      await expect.poll(() => existsSync(path)).toBe(true)
      return { name, text: readFileSync(path, 'utf8') }
    },
    [Symbol.asyncDispose]: () => double[Symbol.asyncDispose](),
  }
}

type InPage = { countersign: ConsoleApi; heard: ConsoleEvent[] }

const call = (page: Page, name: string, input: unknown) =>
  page.evaluate(
    ([name, input]) =>
      (globalThis as unknown as InPage).countersign.call(name as 'snapshot', input as never).then(
        (output) => ({ output }),
        (error) => ({
          error: { is: error instanceof Error, name: error.name, code: error.code, message: error.message },
        }),
      ),
    [name, input] as const,
  ) as Promise<{ output?: unknown; error?: { is: boolean; name: string; code: string; message: string } }>

const recorded = someRecording('se_1')
const someRecordingText = () => recorded.map((line) => `${JSON.stringify(line)}\n`).join('')

/** Signs in by what a person does: a click, so that the browser lets a tab open. */
async function signIn(page: Page, gateway: string): Promise<void> {
  await page.evaluate((gateway) => {
    const button = document.createElement('button')
    button.textContent = 'test sign in'
    button.style.cssText = 'position:fixed;inset:0;z-index:99999'
    button.onclick = () => {
      button.remove()
      void (globalThis as unknown as InPage).countersign.call('signIn', { gateway })
    }
    document.body.append(button)
  }, gateway)
  await page.getByRole('button', { name: 'test sign in' }).click()
  await until(page, `event.type === 'link' && event.link.state === 'live'`)
}

const listen = (page: Page) =>
  page.evaluate(() => {
    const world = globalThis as unknown as InPage & { off: () => void }
    world.heard = []
    world.off = world.countersign.on((event) => world.heard.push(event))
  })

/** Waits, in the page, until an event was heard that fits; a function, since the page's policy has no eval. */
async function until(page: Page, fits: string): Promise<void> {
  const test = new Function('event', `return ${fits}`) as (event: ConsoleEvent) => boolean
  await expect
    .poll(async () => (await page.evaluate(() => (globalThis as unknown as InPage).heard)).some(test), {
      timeout: 15_000,
    })
    .toBe(true)
}

describe.each([
  ['browser', inBrowser],
  ['electron', onDesktop],
] as const)('window.countersign in the %s shell', (name, start) => {
  let gateway: SmallGateway
  let shell: Shell

  beforeAll(async () => {
    gateway = await startSmallGateway({ issuer: issuer.url, clientId: issuer.clientId, resource: issuer.resource })
    shell = await start(gateway)
    await listen(shell.page)
  })
  afterAll(async () => {
    await shell?.[Symbol.asyncDispose]()
    await gateway?.[Symbol.asyncDispose]()
  })

  test('answers a call by its schema, and says what this shell can do', async () => {
    const { output } = await call(shell.page, 'snapshot', {})
    expect(Snapshot.parse(output)).toMatchObject({
      capabilities: { shell: name, tray: name === 'electron', deepLinks: name === 'electron' },
      link: { state: 'signed-out', gateway: gateway.url },
      me: null,
    })
  })

  test.each([
    ['an unknown call', 'launchMissiles', {}, 'no-such-call'],
    ['a name of Object’s own', 'constructor', {}, 'no-such-call'],
    ['a wrong input', 'decide', { approval: 7 }, 'bad-input'],
    ['what can’t be done now', 'terminate', { session: 'se_1', reason: '' }, 'not-connected'],
    ['what isn’t there', 'openRecording', { session: 'se_0' }, 'not-kept'],
  ])('refuses %s with a ConsoleError that has a code and a sentence', async (_what, name, input, code) => {
    const { error } = await call(shell.page, name, input)
    expect(error).toMatchObject({ is: true, name: 'ConsoleError', code })
    expect(error?.message.length).toBeGreaterThan(10)
  })

  test('can’t be replaced by the page', async () => {
    const replaced = await shell.page.evaluate(() => {
      const world = globalThis as unknown as InPage
      const before = world.countersign
      try {
        world.countersign = {} as ConsoleApi
      } catch {
        // strict mode says so
      }
      return { same: world.countersign === before, frozen: Object.isFrozen(world.countersign) }
    })
    expect(replaced).toEqual({ same: true, frozen: true })
  })

  test('signs in by a click, in the browser and not in its own page', async () => {
    await signIn(shell.page, gateway.url)
    expect(new URL(shell.page.url()).pathname).toMatch(/^\//)
    const { output } = await call(shell.page, 'snapshot', {})
    expect(output).toMatchObject({ me: { name: 'ada' }, link: { state: 'live' } })
  })

  test('tells what is held, takes a decision, tells what became of it', async () => {
    const { command } = gateway.hold({ id: 'ap_9' })
    await until(shell.page, `event.type === 'approvals' && event.approvals[0].id === 'ap_9'`)
    const decision = { approval: 'ap_9', verdict: 'deny', digest: command.digest, reason: '<b>no</b> \u202E' }
    expect(await call(shell.page, 'decide', decision)).toMatchObject({ output: { state: 'sent' } })
    await until(shell.page, `event.type === 'approvals' && event.approvals[0].state === 'denied'`)
    expect(gateway.decided.at(-1)?.body).toMatchObject({ verdict: 'deny', reason: '<b>no</b> \u202E' })
  })

  test('carries a recording whole', async () => {
    gateway.open({ id: 'se_1' })
    const lines = recorded
    gateway.recordings.set('se_1', lines)
    const { output } = await call(shell.page, 'openRecording', { session: 'se_1' })
    expect(output).toMatchObject({ source: 'gateway', complete: true, steps: 2, header: lines[0] })
    const window = await call(shell.page, 'recordingWindow', { session: 'se_1', from: 0, to: 2 })
    expect(window.output).toEqual({ from: 0, to: 2, lines: lines.slice(1) })
    const found = await call(shell.page, 'findInRecording', { session: 'se_1', words: 'SECRET', work: 'w1' })
    expect(found.output).toEqual({ steps: 1 })
    await until(shell.page, `event.type === 'found' && event.work === 'w1' && event.steps[0] === 0`)
    await until(shell.page, `event.type === 'library' && event.changed.some((item) => item.session === 'se_1')`)
    const { output: library } = await call(shell.page, 'library', {})
    expect(library).toMatchObject({ items: [{ session: 'se_1', state: 'complete', pinnedAt: null }] })
  })

  test('takes a dropped bundle in slices as large as they may be, and says what was found', async () => {
    const world = smallWorld()
    const bundle = await collect(writeBundle(crypto, await world.bundle('se_one'), [world.key]))
    const sent = [...bundle.subarray(0, 3 * sliceBytes)]
    const verdict = await shell.page.evaluate(
      async ([bytes, length, slice]) => {
        const { countersign } = globalThis as unknown as InPage
        const { upload } = await countersign.call('openBundle', { name: 'dropped.tar', bytes: length })
        for (let offset = 0; offset < length; offset += slice) {
          const data = btoa(
            bytes.slice(offset, offset + slice).reduce((text, byte) => text + String.fromCharCode(byte), ''),
          )
          await countersign.call('bundleSlice', { upload, offset, data })
        }
        return countersign.call('closeBundle', { upload })
      },
      [sent, bundle.length, sliceBytes] as const,
    )
    expect(verdict).toMatchObject({ name: 'dropped.tar', bytes: bundle.length, outcome: 'cant-tell', trust: 'none' })
    await until(shell.page, `event.type === 'witness' && event.witness.verdicts.length === 1`)
    const { error } = await call(shell.page, 'bundleSlice', { upload: 'up_none', offset: 0, data: '' })
    expect(error).toMatchObject({ code: 'no-such-upload' })
  })

  test('says of a gateway without a log that it has none, and raises nothing', async () => {
    const { output } = await call(shell.page, 'checkLog', {})
    expect(output).toMatchObject({ status: { state: 'no-ledger' }, alarms: [] })
  })

  test('access: told in pages and by the feed, asked for, revoked; a refusal has words', async () => {
    gateway.grant({ id: 'gr_1', purpose: '<b>please</b> \u202e' })
    await until(shell.page, `event.type === 'grants' && event.changed.some(({ id }) => id === 'gr_1')`)
    const { output } = await call(shell.page, 'grants', { limit: 1 })
    expect(output).toMatchObject({ items: [{ id: 'gr_1', purpose: '<b>please</b> \u202e' }], next: null })
    const request = { connection: 'orders', actions: ['sql:read'], duration: '30m', purpose: 'x', agent: 'i#a' }
    expect(await call(shell.page, 'requestGrant', request)).toMatchObject({ output: { grant: { state: 'active' } } })
    gateway.access = 'denies'
    expect(await call(shell.page, 'requestGrant', request)).toMatchObject({
      output: { grant: { state: 'denied' }, words: 'Denied by policy never-at-night.' },
    })
    gateway.access = 'refuses'
    expect(await call(shell.page, 'requestGrant', request)).toMatchObject({
      error: { is: true, name: 'ConsoleError', code: 'refused' },
    })
    await call(shell.page, 'revokeGrant', { grant: 'gr_1', reason: 'enough' })
    await until(shell.page, `event.type === 'grants' && event.changed.some(({ state }) => state === 'revoked')`)
    expect(await call(shell.page, 'grant', { id: 'gr_1' })).toMatchObject({
      output: { grant: { state: 'revoked', endedBecause: 'enough' }, source: 'gateway' },
    })
    expect(await call(shell.page, 'revokeGrant', { grant: 'gr_1', reason: '' })).toMatchObject({
      error: { code: 'bad-input' },
    })
  })

  test('agents: told by the feed, changed by who may; duty, emergencies and the past; a refusal has words', async () => {
    await call(shell.page, 'agents', {})
    gateway.agent({ id: 'i#bot', name: '<i>bot</i>', orphan: 'no-sponsor' })
    await until(shell.page, `event.type === 'agents' && event.changed.some(({ id }) => id === 'i#bot')`)
    const change = { id: 'i#bot', patch: { sponsor: 'i#ben', purpose: null } }
    expect(await call(shell.page, 'changeAgent', change)).toMatchObject({ error: { code: 'refused' } })
    gateway.roles = ['approver', 'admin']
    expect(await call(shell.page, 'changeAgent', change)).toMatchObject({ output: { sponsor: 'i#ben' } })
    expect(await call(shell.page, 'agent', { id: 'i#bot' })).toMatchObject({
      output: { agent: { name: '<i>bot</i>' } },
    })
    expect(await call(shell.page, 'changeAgent', { id: 'i#bot', patch: { rank: 1 } })).toMatchObject({
      error: { code: 'bad-input' },
    })
    gateway.emergency({ id: 'bg_1' })
    await until(shell.page, `event.type === 'duty' && event.duty.breakGlass.length === 1`)
    const review = { id: 'bg_1', verdict: 'justified', reason: 'it was' }
    expect(await call(shell.page, 'reviewBreakGlass', review)).toMatchObject({
      output: { review: { reason: 'it was' } },
    })
    const at = '2026-11-17T12:00:00.000Z'
    expect(await call(shell.page, 'accessThen', { at })).toMatchObject({ output: { at, items: [], whole: true } })
    const [file, saved] = await Promise.all([
      shell.takesFile(),
      shell.page.evaluate(async (at) => {
        const { countersign } = globalThis as unknown as InPage
        const stop = countersign.on((event) => {
          if (event.type !== 'export' || event.work !== 'then' || !event.url) return
          const link = Object.assign(document.createElement('a'), { href: event.url, download: '' })
          document.body.append(link)
          link.click()
        })
        const told = await countersign.call('exportAccessThen', { at, work: 'then' })
        stop()
        return told
      }, at),
    ])
    expect(saved).toMatchObject({ state: 'written', lines: 0 })
    expect(file).toMatchObject({
      name: 'access-2026-11-17T1200Z.csv',
      text: expect.stringContaining('at,policy_set,agent'),
    })
    gateway.roles = ['approver']
  })

  test('writes a note, tells how it stands, withdraws it; what is wrong has words', async () => {
    gateway.roles = ['auditor']
    gateway.open({ id: 'se_n' })
    // Who they are is asked when the link is made anew.
    gateway.cut()
    await until(shell.page, `event.type === 'me' && event.me?.roles?.includes('auditor')`)
    await until(shell.page, `event.type === 'link' && event.link.state === 'live'`)
    const text = '<b>look</b> \u202e\nhere'
    const { output } = await call(shell.page, 'annotate', { session: 'se_n', note: { from: 5, text, tags: ['odd'] } })
    expect(output).toMatchObject({ text, mine: true, tags: ['odd'] })
    const { id } = output as { id: string }
    await until(
      shell.page,
      `event.type === 'annotations' && event.items[0]?.id === '${id}' && event.items[0].state === 'logged'`,
    )
    await until(shell.page, `event.type === 'outbox' && event.outbox.waiting === 0`)
    expect(gateway.annotations).toMatchObject([{ id, session: 'se_n', text, by: { name: 'ada' } }])
    expect(await call(shell.page, 'withdrawAnnotation', { session: 'se_n', id, reason: 'a slip' })).toEqual({
      output: {},
    })
    await until(shell.page, `event.type === 'annotations' && event.items[0]?.withdrawn?.reason === 'a slip'`)
    expect(await call(shell.page, 'annotations', { session: 'se_n' })).toMatchObject({
      output: { items: [{ id, withdrawn: { reason: 'a slip' } }], tags: ['odd'], mayAnnotate: true, source: 'gateway' },
    })
    const refused: [string, unknown, string][] = [
      ['annotate', { session: 'se_n', note: { from: 5, text: ' ', tags: [] } }, 'bad-input'],
      ['annotate', { session: 'se_n', note: { from: 5, to: 4, text: 'x', tags: [] } }, 'bad-input'],
      ['annotate', { session: 'se_n', id, note: { from: 5, text: 'x', tags: [] } }, 'sent'],
      ['withdrawAnnotation', { session: 'se_n', id, reason: '' }, 'withdrawn'],
      ['withdrawAnnotation', { session: 'se_n', id: 'an_0', reason: '' }, 'no-such-annotation'],
      ['resolveConflict', { id, choice: 'keep' }, 'no-conflict'],
    ]
    for (const [name, input, code] of refused)
      expect(await call(shell.page, name, input)).toMatchObject({ error: { is: true, name: 'ConsoleError', code } })
  })

  test('a refused note is a conflict until it is chosen about', async () => {
    const { output } = await call(shell.page, 'annotate', {
      session: 'se_n',
      note: { from: 9, text: 'mine', tags: [] },
    })
    const { id } = output as { id: string }
    await until(
      shell.page,
      `event.type === 'annotations' && event.items.some((item) => item.id === '${id}' && item.state === 'logged')`,
    )
    gateway.forbidden.add('sessions')
    await call(shell.page, 'withdrawAnnotation', { session: 'se_n', id, reason: 'no' })
    await until(shell.page, `event.type === 'outbox' && event.outbox.conflicts === 1`)
    const { output: snapshot } = await call(shell.page, 'snapshot', {})
    const { items } = (snapshot as Snapshot).outbox
    expect(items).toMatchObject([
      { kind: 'withdrawal', problem: 'Your role may not see this.', choices: ['again', 'discard'] },
    ])
    gateway.forbidden.delete('sessions')
    expect(await call(shell.page, 'resolveConflict', { id: items[0]!.id, choice: 'again' })).toEqual({ output: {} })
    await until(
      shell.page,
      `event.type === 'annotations' && event.items.some((item) => item.withdrawn?.reason === 'no')`,
    )
  })

  test('gives a file to the person: by the system’s dialog, or as a download', async () => {
    await shell.page.evaluate(() => {
      const { countersign } = globalThis as unknown as InPage
      countersign.on((event) => {
        if (event.type !== 'export' || !event.url) return
        const link = document.createElement('a')
        link.href = event.url
        link.click()
      })
    })
    const taken = shell.takesFile()
    const { output } = await call(shell.page, 'exportSession', { session: 'se_1', format: 'ndjson', work: 'e1' })
    expect(output).toMatchObject({ state: 'written' })
    expect(await taken).toEqual({
      name: 'countersign-se_1.ndjson',
      text: someRecordingText(),
    })
  })

  test('answers many calls at once, each its own', async () => {
    const states = await shell.page.evaluate(() => {
      const { countersign } = globalThis as unknown as InPage
      return Promise.all(
        Array.from({ length: 40 }, (_, n) =>
          countersign.call('searchSessions', { limit: (n % 5) + 1 }).then((r) => r.source),
        ),
      )
    })
    expect(new Set(states)).toEqual(new Set(['gateway']))
  })

  test('a listener that has unsubscribed hears nothing more', async () => {
    const count = await shell.page.evaluate(() => {
      const world = globalThis as unknown as InPage & { off: () => void }
      world.off()
      return world.heard.length
    })
    const settings = {
      gateway: gateway.url,
      theme: 'dark',
      notifications: { enabled: true, content: 'name', quietHours: null },
      library: { room: 512 },
    }
    expect(await call(shell.page, 'saveSettings', settings)).toEqual({ output: settings })
    expect(await shell.page.evaluate(() => (globalThis as unknown as InPage).heard.length)).toBe(count)
    await listen(shell.page)
  })

  test('the page runs no inline script, no eval, and reaches nobody else', async () => {
    const tried = await shell.page.evaluate(async () => {
      const world = globalThis as unknown as { ran?: boolean }
      const script = document.createElement('script')
      script.textContent = 'globalThis.ran = true'
      document.head.append(script)
      const reached = await fetch('http://127.0.0.1:9/').then(
        () => true,
        () => false,
      )
      // In a task of the page's own: what the test runs itself is exempt.
      const evaluated = await new Promise<boolean>((resolve) => {
        setTimeout(() => {
          try {
            resolve(new Function('return true')())
          } catch {
            resolve(false)
          }
        })
      })
      return { inline: world.ran === true, reached, evaluated }
    })
    expect(tried).toEqual({ inline: false, reached: false, evaluated: false })
  })
})
