import type { FileChooser, Page } from '@playwright/test'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { barriers, coloursAndRoom, wcagAndMore } from './axe.ts'
import { type InBrowser, inBrowser } from './browser.ts'

/** The built renderer in a real Chromium, under the policy that the shells serve it with, on a double of the core. */

let shown: InBrowser
let page: Page

beforeAll(async () => {
  shown = await inBrowser()
  page = shown.page
}, 180_000)

vi.setConfig({ testTimeout: 90_000 })

afterAll(() => shown?.[Symbol.asyncDispose]())

/** Opens the console; whatever the page complains about (a blocked script, a warning of React) fails the test. */
const open: InBrowser['open'] = (...args) => shown.open(...args)
afterEach(() => expect(shown.complaints).toEqual([]))

const bar = () => page.getByRole('region', { name: /^Decision on/ })
const option = (text: string | RegExp) => page.getByRole('option').filter({ hasText: text })
/** Past the moment in which a new card takes no decision: its clock goes on by a second. */
const cardIsOld = () =>
  page.evaluate(() => {
    const real = performance.now.bind(performance)
    performance.now = () => real() + 1000
  })
/** Time stands still for the page until `cardIsOld`. */
const holdClock = () =>
  page.evaluate(() => {
    const now = performance.now()
    performance.now = () => now
  })
const decideCalls = () =>
  page.evaluate(() => window.fixture.calls.filter((call) => call.name === 'decide').map((call) => call.input))

test('a chooses, Enter sends; sending → applied; the card keeps its place and says what happened', async () => {
  await open('', '#/queue')
  await bar()
    .getByRole('button', { name: /Approve/ })
    .waitFor()
  await cardIsOld()
  await page.keyboard.press('a')
  await page.getByText('approves this command once').waitFor()
  expect(await decideCalls()).toEqual([])
  await page.keyboard.type('agreed')
  await page.keyboard.press('Enter')
  await bar().getByText('Approved by you · ran, 1,204 rows · 81 ms').waitFor()
  expect(await decideCalls()).toMatchObject([
    {
      approval: 'ap_7h2k',
      verdict: 'approve',
      reason: 'agreed',
      window: 'once',
      digest: expect.stringMatching(/^sha256:/),
    },
  ])
  expect(await bar().getByRole('button').count()).toBe(0)
  expect(await page.getByRole('option').first().getAttribute('aria-selected')).toBe('true')
  await page.keyboard.press('j')
  await page.getByRole('article', { name: /etl-nightly/ }).waitFor()
  expect(await page.getByRole('option').first().textContent()).toContain('UPDATE customers')
})

test('no slip decides: too early, taken back, a held key, Enter alone, a card that changed', async () => {
  await open('', '#/queue/ap_7h2k')
  await holdClock()
  await page.keyboard.press('j')
  await page.keyboard.press('d')
  await page.getByText('This card has only just appeared').waitFor()
  await cardIsOld()
  await page.keyboard.press('d')
  await page.getByText('denies this command').waitFor()
  await page.keyboard.press('Escape')
  await page.keyboard.press('Enter')
  await bar().getByRole('textbox').focus()
  await page.keyboard.press('Enter')
  await page.getByText('a reason alone decides nothing').waitFor()
  await page.keyboard.press('Escape')
  await page.keyboard.press('a')
  await page.evaluate(() => {
    const { command } = window.fixture.approvals.get('ap_3m9q')!
    window.fixture.settle('ap_3m9q', { command: { ...command, digest: 'sha256:other' } })
  })
  await page.keyboard.press('Enter')
  expect(await decideCalls()).toEqual([])
})

test('resolved elsewhere, offline, own request, quorum, refused: each says why, and offers no keys', async () => {
  await open('', '#/queue/ap_7h2k')
  const nothing = async () => expect(await bar().getByRole('button').count()).toBe(0)
  await cardIsOld()
  await page.keyboard.press('a')
  await page.evaluate(() => {
    const at = new Date().toISOString()
    const decision = {
      person: 'Ben Osei',
      personId: 'x#ben',
      verdict: 'deny' as const,
      reason: 'use the job',
      window: 'once',
      at,
    }
    window.fixture.settle('ap_7h2k', { state: 'denied', closedAt: at, decisions: [decision] })
  })
  await bar().getByText('Denied by Ben Osei: “use the job”').waitFor()
  await bar().getByText('settled without you').waitFor()
  await nothing()
  await page.keyboard.press('Enter')
  await option('TRUNCATE').click()
  await bar().getByText('nobody decides their own request').waitFor()
  await nothing()
  await option('DELETE FROM invoices').click()
  await bar().getByText('Still needed: 1 more of oncall-dba').waitFor()
  await nothing()
  await option('UPDATE customers SET segment').click()
  await bar().getByRole('button', { name: /Deny/ }).waitFor()
  const link = (state: 'offline' | 'live') =>
    page.evaluate((to) => {
      const base = { gateway: 'https://gw.prod.example', since: new Date().toISOString() }
      window.fixture.emit({
        type: 'link',
        link: to === 'live' ? { state: to, ...base } : { state: to, ...base, problem: 'no network' },
      })
    }, state)
  await link('offline')
  await bar().getByText('Decisions can’t be made offline.').waitFor()
  await nothing()
  await link('live')
  await cardIsOld()
  await bar().getByRole('button', { name: /Deny/ }).click()
  await bar().getByText('Denied by you, without a reason').waitFor()
  expect(await decideCalls()).toHaveLength(1)

  await open('world=refusing', '#/queue/ap_7h2k')
  await cardIsOld()
  await bar()
    .getByRole('button', { name: /Approve/ })
    .click()
  await page.getByRole('alert').getByText('Somebody decided first').waitFor()
})

test('the command is shown exactly as it was given, with what it hides made visible', async () => {
  await open('', '#/queue/ap_5bid')
  const pre = page.getByRole('region', { name: 'Command' }).locator('pre')
  await pre.waitFor()
  const shown = await pre.evaluate((node) => {
    const copy = node.cloneNode(true) as HTMLElement
    for (const added of copy.querySelectorAll('[data-added]')) added.remove()
    for (const mark of copy.querySelectorAll<HTMLElement>('[data-given]')) mark.replaceWith(mark.dataset.given!)
    return copy.textContent
  })
  expect(shown).toBe(await page.evaluate(() => window.fixture.approvals.get('ap_5bid')!.command.text))
  expect(await pre.textContent()).toContain('U+202E')
  expect(await pre.locator('b').count()).toBe(0)
  await page.getByText('look-alike letters in pаyer').waitFor()
  await page.keyboard.press('c')
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toBe(shown)
})

test('10,000 holds: few nodes, an instant filter, and nothing jumps when more come', async () => {
  await open('world=many', '#/queue')
  await page.getByText('10,004, oldest deadline first').waitFor()
  for (let i = 0; i < 30; i += 1) await page.keyboard.press('j')
  const chosen = page.getByRole('option', { selected: true })
  const before = { text: await chosen.locator('.font-mono').textContent(), y: (await chosen.boundingBox())!.y }
  await page.evaluate(() => window.fixture.add(12))
  await page.getByRole('button', { name: '12 new holds wait for you' }).waitFor()
  expect({ text: await chosen.locator('.font-mono').textContent(), y: (await chosen.boundingBox())!.y }).toEqual(before)
  expect(await page.getByRole('option').count()).toBeLessThan(60)
  await page.keyboard.press('/')
  await page.keyboard.type('id = 109999')
  await expect.poll(() => page.getByRole('option').count()).toBe(1)
})

test('replay: reads, plays, jumps to markers, finds; a live one follows; 10,000 commands', async () => {
  await open('', '#/replay/se_d001')
  const place = page.getByRole('slider', { name: 'Place in the recording' })
  await place.waitFor()
  const at = () => place.getAttribute('aria-valuenow').then(Number)
  await page.keyboard.press(']')
  expect(await at()).toBe(91)
  await page.keyboard.press('ArrowRight')
  expect(await at()).toBe(96)
  await page.keyboard.press('.')
  expect(await at()).toBe(240)
  await page.keyboard.press('[')
  expect(await at()).toBe(91)
  await page.keyboard.press('/')
  await page.keyboard.type('duplicate key')
  await page.keyboard.press('Enter')
  await page.getByText('1 of 1').waitFor()
  expect(await at()).toBe(349)
  await page.keyboard.press('Escape')
  await page.keyboard.press('0')
  await page.keyboard.press('>')
  await page.keyboard.press('>')
  await page.keyboard.press('Space')
  await expect.poll(at, { timeout: 20_000 }).toBe(842)
  await page.getByRole('button', { name: 'Play' }).waitFor()

  await open('', '#/replay/se_7h2k')
  await page.getByText('held by payments-need-a-person, waiting for a decision').waitFor()

  await open('repeat=1430', '#/replay/se_d001')
  await page.getByRole('slider', { name: 'Place in the recording' }).waitFor()
  await page.keyboard.press('9')
  await expect.poll(() => page.locator('[data-index]').count()).toBeLessThan(60)
  await page.getByText('payments_pkey').first().waitFor()
})

test('library: kept by a key, by search; sizes, stopping and going on; exports show how far they are, and end', async () => {
  const calls = (name: string) =>
    page.evaluate(
      (wanted) => window.fixture.calls.filter((call) => call.name === wanted).map((call) => call.input),
      name,
    )
  await open('', '#/sessions/se_d003')
  const here = page.getByRole('region', { name: 'On this computer' })
  await here.getByText('goes when room is needed').waitFor()
  await page.keyboard.press('p')
  await here.getByText('with its bundle').waitFor()
  expect(await calls('pin')).toEqual([{ sessions: ['se_d003'] }])
  await page.keyboard.press('p')
  await here.getByText('goes when room is needed').waitFor()

  await open('', '#/sessions/se_d002')
  await page.getByRole('progressbar', { name: 'Download of se_d002' }).waitFor()
  await here.getByRole('button', { name: 'Cancel' }).click()
  await here.getByRole('button', { name: 'Resume' }).click()
  await page.getByRole('progressbar', { name: 'Download of se_d002' }).waitFor()

  await page.getByRole('button', { name: 'Keep these 11 on this computer' }).click()
  await page.getByRole('alertdialog').getByText('Keep 11 sessions').waitFor()
  await page.getByRole('button', { name: 'Keep them' }).click()
  await expect
    .poll(async () => ((await calls('pin'))[0] as { sessions: string[] } | undefined)?.sessions.length)
    .toBe(11)

  await open('', '#/replay/se_d001')
  await page.getByRole('slider', { name: 'Place in the recording' }).waitFor()
  await page.keyboard.press('e')
  await page
    .getByRole('dialog')
    .getByRole('button', { name: /^Transcript/ })
    .click()
  const under = page.getByRole('region', { name: 'Exports' })
  await under.getByRole('progressbar').waitFor()
  await under.getByRole('button', { name: 'Cancel the export' }).click()
  await under.waitFor({ state: 'detached' })
  await page.keyboard.press('f')
  expect(await page.getByRole('listbox', { name: 'Sessions' }).isVisible()).toBe(false)
  await page.keyboard.press('f')
  expect(await page.getByRole('listbox', { name: 'Sessions' }).isVisible()).toBe(true)

  await open('', '#/settings')
  await page.getByRole('combobox', { name: 'Room for recordings' }).selectOption('10240')
  expect(await calls('saveSettings')).toMatchObject([{ library: { room: 10240 } }])
  await page.getByRole('button', { name: 'Remove what was looked at' }).click()
  await page.getByText('0 bytes looked at').waitFor()
})

test('sessions: words in commands are the core’s to find; one is ended with a reason', async () => {
  await open('', '#/sessions/se_7h2k')
  await page.keyboard.press('/')
  await page.keyboard.type('payer_email')
  await expect
    .poll(() =>
      page.evaluate(() =>
        window.fixture.calls.some(
          (call) => call.name === 'searchSessions' && (call.input as { text?: string }).text === 'payer_email',
        ),
      ),
    )
    .toBe(true)
  await page.keyboard.press('Escape')
  await page.keyboard.press('x')
  const dialog = page.getByRole('alertdialog')
  expect(await dialog.getByRole('button', { name: 'End session' }).isDisabled()).toBe(true)
  await dialog.getByRole('textbox').fill('wrong database')
  await page.keyboard.press('Enter')
  await page.getByText('Ada Lind: wrong database').waitFor()
})

test('commands are found under their sessions; Enter plays the recording at that moment', async () => {
  await open('', '#/sessions')
  await page.getByRole('listbox', { name: 'Sessions' }).waitFor()
  await page.keyboard.press('c')
  const list = page.getByRole('listbox', { name: 'Commands' })
  await list.waitFor()
  const field = page.getByPlaceholder('Words in commands and results')
  await field.fill('customers')
  await field.press('Enter')
  const found = page.getByRole('region', { name: 'Found command' })
  await found.waitFor()
  expect(await found.textContent()).toMatch(/customers/i)
  await page.getByLabel('Verdict').selectOption('denied')
  await expect.poll(() => list.getByRole('option').first().textContent()).toContain('denied')
  await page.getByRole('combobox', { name: 'Table' }).fill('public.nothing')
  await page.getByText('No command fits').waitFor()
  await page.getByRole('combobox', { name: 'Table' }).fill('public.customers')
  await list.getByRole('option').first().click()
  expect((await barriers(page)).map(({ id, nodes }) => [id, nodes.map((n) => n.html)])).toEqual([])
  const asked = await page.evaluate(() => window.fixture.calls.filter(({ name }) => name === 'searchCommands').at(-1))
  expect(asked?.input).toEqual({ limit: 100, text: 'customers', verdict: 'deny', table: 'public.customers' })
  await page.keyboard.press('Enter')
  await page
    .getByRole('slider', { name: /place|position|play/i })
    .first()
    .waitFor()
  const t = Number(new URL(page.url()).hash.split('t=')[1])
  expect(t).toBeGreaterThan(0)
  await page.keyboard.press('Escape')
  await found.waitFor()
  await page.keyboard.press('c')
  await page.getByRole('listbox', { name: 'Sessions' }).waitFor()
})

test('palette and keys reach every screen; `open` shows what a notification asked for', async () => {
  await open('', '#/queue')
  await page.getByRole('listbox').waitFor()
  await page.keyboard.press('g')
  await page.keyboard.press(',')
  await page.getByRole('heading', { name: 'Settings' }).waitFor()
  await page.keyboard.press('Control+k')
  await page.keyboard.type('go to sess')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Sessions' }).waitFor()
  await page.keyboard.press('?')
  await page.getByRole('dialog', { name: 'Keys' }).waitFor()
  await page.keyboard.press('Escape')
  await page.evaluate(() => window.fixture.emit({ type: 'open', target: '/queue/ap_long' }))
  await page.getByRole('article', { name: /deploy-bot/ }).waitFor()
  await page.evaluate(() => window.fixture.emit({ type: 'open', target: '/queue/ap_nobody' }))
  await page.getByText('No such approval, or not yours to see').waitFor()
})

test('a web notification is shown, leads to its card, and goes when it was decided elsewhere', async () => {
  await open('', '#/settings')
  await page.getByRole('heading', { name: 'Settings' }).waitFor()
  const told = await page.evaluate(async () => {
    const log: string[] = []
    const made: EventTarget[] = []
    window.Notification = class extends EventTarget {
      static permission = 'granted'
      constructor(title: string, options: { body: string; tag: string }) {
        super()
        log.push(`${title} | ${options.body} | ${options.tag}`)
        made.push(this)
      }
      close() {
        log.push('closed')
      }
    } as unknown as typeof Notification
    const notify = (tag: string) =>
      window.fixture.emit({
        type: 'notify',
        notification: { tag, title: 'Held', body: 'orders', target: '/queue/ap_7h2k' },
      })
    notify('n1')
    window.fixture.emit({ type: 'withdraw', tag: 'n1' })
    notify('n2')
    made[1]!.dispatchEvent(new Event('click'))
    const clicked = window.fixture.calls.filter((call) => call.name === 'notificationClicked').map((call) => call.input)
    return { log, clicked }
  })
  expect(told).toEqual({
    log: ['Held | orders | n1', 'closed', 'Held | orders | n2', 'closed'],
    clicked: [{ tag: 'n2' }],
  })
})

test('an alarm stands over every screen until it is acknowledged with a reason', async () => {
  await open('witness=forked', '#/queue')
  const banner = page.getByRole('alert').filter({ hasText: 'was forked' })
  await banner.getByRole('link', { name: 'See both sides' }).click()
  await page.getByRole('region', { name: 'What was shown instead', exact: true }).getByText('48,305 entries').waitFor()
  await page.keyboard.press('e')
  await expect
    .poll(() => page.evaluate(() => window.fixture.calls.filter(({ name }) => name === 'exportAlarm').length))
    .toBe(1)
  expect(await page.getByRole('button', { name: 'Acknowledge' }).isDisabled()).toBe(true)
  await page.getByLabel('What it was, kept with the evidence').fill('restored')
  await page.keyboard.press('Enter')
  await page.locator('q', { hasText: 'restored' }).waitFor()
  expect(await banner.count()).toBe(0)
})

test('integrity by keys: g i, j and k, a bundle by o, a session verified again by v', async () => {
  await open('', '#/queue')
  await page.getByRole('listbox').waitFor()
  await page.keyboard.press('g')
  await page.keyboard.press('i')
  await page.getByText('Every checkpoint seen since').waitFor()
  // What is in sight listens a little after it was painted: a key that came too early is pressed again.
  let chooser: FileChooser | undefined
  while (!chooser) {
    const opened = page.waitForEvent('filechooser', { timeout: 3000 }).catch(() => undefined)
    await page.keyboard.press('o')
    chooser = await opened
  }
  await chooser.setFiles({ name: 'dropped.tar', mimeType: 'application/x-tar', buffer: Buffer.alloc(400_000, 7) })
  await page.getByRole('article', { name: 'Verification of dropped.tar' }).waitFor()
  const sent = await page.evaluate(() =>
    window.fixture.calls.flatMap(({ name, input }) =>
      name === 'bundleSlice' ? [[(input as { offset: number }).offset, (input as { data: string }).data.length]] : [],
    ),
  )
  expect(sent).toEqual([
    [0, 196_608],
    [147_456, 196_608],
    [294_912, 140_120],
  ])
  await page.keyboard.press('Escape')
  await page.getByText('Every checkpoint seen since').waitFor()
  for (let i = 0; i < 6; i++) await page.keyboard.press('j')
  await page.getByRole('article', { name: 'Verification of session se_d002' }).waitFor()
  await page.keyboard.press('v')
  await page.getByRole('option', { name: /deploy-bot.*whole/ }).waitFor()
})

test('retention: an auditor holds a session and lets it go; an admin sees what would go, and has it erased', async () => {
  const asked = (name: string) =>
    page.evaluate((name) => window.fixture.calls.flatMap((call) => (call.name === name ? [call.input] : [])), name)
  await open('retention=auditor', '#/sessions')
  const kept = page.getByRole('region', { name: 'On the gateway' })
  await kept.getByText('begins when it ends').waitFor()
  await kept.getByRole('button', { name: 'Place legal hold…' }).click()
  const dialog = page.getByRole('alertdialog')
  await dialog.getByLabel('Reason').fill('case 7')
  await dialog.getByRole('radio', { name: /All sessions on orders/ }).click()
  await dialog.getByRole('button', { name: 'Place legal hold' }).click()
  await kept.getByText('case 7').waitFor()
  await kept.getByText('all of orders').waitFor()
  expect(await asked('placeLegalHold')).toEqual([
    { reason: 'case 7', sessions: [], connections: ['orders'], agents: [] },
  ])
  await kept.getByRole('button', { name: 'Lift…' }).first().click()
  expect(await dialog.getByRole('button', { name: 'Lift legal hold' }).isDisabled()).toBe(true)
  await dialog.getByLabel('Reason').fill('over')
  await page.keyboard.press('Enter')
  await kept.getByText('case 7').waitFor({ state: 'detached' })

  const preview = page.getByRole('button', { name: 'Show what would go now' })
  await page.evaluate(() => {
    location.hash = '#/settings'
  })
  await preview.click()
  await page.getByText(/would go\. Legal holds keep/).waitFor()
  expect(await page.getByRole('button', { name: 'Erase now…' }).count()).toBe(0)
  await open('retention=admin', '#/settings')
  await preview.click()
  await page.getByRole('button', { name: 'Erase now…' }).click()
  await dialog.getByRole('button', { name: 'Erase', exact: true }).click()
  await expect.poll(() => asked('runRetention')).toEqual([{ dry: true }, { dry: false }])
  await open('', '#/settings')
  expect(await page.getByRole('heading', { name: 'Retention on the gateway' }).count()).toBe(0)
})

const grantList = () => page.getByRole('listbox', { name: 'Grants' })

test('access by keys: g a, narrowed, a moment in the picture, revoked with a reason, extended; sent → applied', async () => {
  await open('access=usual', '#/queue')
  await page.getByRole('listbox').waitFor()
  await page.keyboard.press('g')
  await page.keyboard.press('a')
  await grantList().waitFor()
  await page.keyboard.press('/')
  await page.keyboard.type('fin-2209')
  await page.keyboard.press('Enter')
  const grant = page.getByRole('article', { name: 'Grant of billing-cleanup on payments' })
  await grant.getByText('FIN-2209 is signed off').waitFor()
  await grant.getByText('in place of Mina Okafor').waitFor()
  await grant.getByRole('link', { name: /se_7h2k/ }).waitFor()
  await page.keyboard.press('x')
  const dialog = page.getByRole('alertdialog')
  await dialog.getByText('1 live session uses it and will be closed within a second').waitFor()
  expect(await dialog.getByRole('button', { name: 'Revoke' }).isDisabled()).toBe(true)
  await dialog.getByLabel('Reason').fill('wrong tables')
  await page.keyboard.press('Enter')
  const foot = page.getByRole('region', { name: /^What to do about/ })
  await foot.getByText('applied').waitFor()
  await grant.getByText('wrong tables').waitFor()
  expect(await called('revokeGrant')).toEqual([{ grant: 'gr_active1', reason: 'wrong tables' }])
  expect(await foot.getByRole('button').count()).toBe(0)

  await page.evaluate(() => {
    location.hash = '#/access/gr_ext'
  })
  await page.getByRole('article', { name: /etl-nightly on warehouse/ }).waitFor()
  await page.keyboard.press('e')
  await page.getByRole('dialog').getByRole('button', { name: '8 h' }).click()
  await page.getByRole('dialog').getByLabel('Purpose').fill('still stuck')
  await page.keyboard.press('Enter')
  await foot.getByRole('link', { name: 'See the new request' }).click()
  await page.getByRole('article').getByText('still stuck').waitFor()
  await page
    .getByRole('article')
    .getByRole('link', { name: /the one until/ })
    .waitFor()

  const moment = page.getByRole('slider', { name: 'Moment' })
  await page.getByRole('searchbox').or(page.getByPlaceholder('Agent, purpose, person, policy')).press('Escape')
  await moment.focus()
  const now = Number(await moment.getAttribute('aria-valuenow'))
  for (let i = 0; i < 5; i += 1) await page.keyboard.press('ArrowLeft')
  expect(Number(await moment.getAttribute('aria-valuenow'))).toBeLessThan(now)
  await page.getByText(/^live on /).waitFor()
  await page.keyboard.press('Escape')
  await page.getByText(/^live on /).waitFor({ state: 'detached' })
})

test('asking for access: only what is whole is sent, in the gateway’s names; a refusal stands in its words', async () => {
  await open('access=usual', '#/access')
  await grantList().waitFor()
  await page.keyboard.press('n')
  const dialog = page.getByRole('dialog', { name: 'Ask for access' })
  const send = dialog.getByRole('button', { name: 'Ask', exact: true })
  await dialog.getByRole('combobox', { name: 'Agent', exact: true }).fill('support')
  await page.keyboard.press('Enter')
  await dialog.getByRole('combobox', { name: 'Connection' }).fill('ord')
  await page.keyboard.press('Enter')
  await dialog.getByLabel(/everything that SQL can do/).check()
  expect(await dialog.getByLabel(/reads rows/).isChecked()).toBe(true)
  await dialog.getByLabel(/everything that SQL can do/).uncheck()
  await dialog.getByLabel(/reads rows/).check()
  await dialog.getByLabel(/^Resources/).fill('orders/public.customers\nwarehouse/public.x')
  await dialog.getByText('warehouse/public.x is not within orders').waitFor()
  await dialog.getByLabel(/^Resources/).fill('orders/public.customers')
  await dialog.getByLabel('How long, as in 90m, 2h or 3d').fill('soon')
  await dialog.getByText('Still missing: how long, a purpose.').waitFor()
  expect(await send.isDisabled()).toBe(true)
  await dialog.getByLabel('How long, as in 90m, 2h or 3d').fill('90m')
  await dialog.getByLabel(/^Purpose/).fill('ticket 1')
  await dialog.getByLabel(/^On whose behalf/).fill('Teo Brandt')
  await send.click()
  await dialog.waitFor({ state: 'detached' })
  expect(await called('requestGrant')).toEqual([
    {
      agent: 'https://agents.example.com#support-copilot',
      onBehalfOf: 'Teo Brandt',
      connection: 'orders',
      actions: ['sql:read'],
      resources: ['orders/public.customers'],
      duration: '90m',
      purpose: 'ticket 1',
    },
  ])
  await page
    .getByRole('article', { name: /support-copilot on orders/ })
    .getByText('ticket 1')
    .waitFor()

  await open('access=refusing', '#/access/gr_active1')
  await page.getByRole('button', { name: /^Revoke/ }).click()
  await page.getByRole('alertdialog').getByLabel('Reason').fill('x')
  await page.keyboard.press('Enter')
  await page.getByRole('alert').getByText('no policy permits').waitFor()
  await page.getByRole('button', { name: /^Revoke/ }).waitFor()
})

test('10,000 grants: few rows and few bars, narrowed as one types; offline nothing is offered, and its age is said', async () => {
  await open('access=many', '#/access')
  await page.getByText(/^104 active, 6 asked for$/).waitFor()
  const rows = () => grantList().getByRole('option').count()
  expect(await rows()).toBeLessThan(40)
  expect(await page.locator('[data-run]').count()).toBeLessThan(300)
  await page.keyboard.press('End')
  await grantList().press('End')
  await grantList().getByText('worker-').last().waitFor()
  expect(await rows()).toBeLessThan(40)
  await page.keyboard.press('/')
  await page.keyboard.type('s-5321')
  await expect.poll(rows).toBe(1)
  await page.getByText('1 of 10,0').waitFor()
  await page.keyboard.press('Escape')
  const chosen = grantList().getByRole('option', { selected: true })
  await chosen.waitFor()
  await grantList().press('Home')
  for (let i = 0; i < 6; i += 1) await page.keyboard.press('j')
  const before = await chosen.boundingBox()
  await page.evaluate(() => {
    const grants = [...window.fixture.grants.values()].filter(({ id }) => id.startsWith('gr_m')).slice(0, 30)
    const requested = grants.map((grant, i) => ({ ...grant, id: `gr_x${i}`, state: 'requested' as const }))
    window.fixture.emit({
      type: 'grants',
      changed: requested,
      removed: [],
      state: { at: null, whole: true, more: false, loading: false, stored: 0, seesAll: false },
    })
  })
  await page.getByText(/36 asked for/).waitFor()
  expect(await chosen.boundingBox()).toEqual(before)

  await open('world=offline', '#/access/gr_active1')
  await page.getByText(/As the gateway told it 29 min ago/).waitFor()
  await page.getByText('Access can’t be extended or revoked offline').waitFor()
  await page.keyboard.press('x')
  await page.keyboard.press('n')
  expect(await page.getByRole('dialog').or(page.getByRole('alertdialog')).count()).toBe(0)
})

test('a plan is decided as one, for shorter; break-glass is a way of its own that needs a reason', async () => {
  await open('access=usual', '#/queue/ap_plan')
  const card = page.getByRole('article')
  for (const title of ['Count what is unsettled', 'Settle what was paid', 'Compare with the orders', 'Close the month'])
    await card.getByText(title).waitFor()
  await cardIsOld()
  expect(await bar().getByRole('radio').allTextContents()).toEqual(['As asked', '5 min', '15 min'])
  await page.keyboard.press('w')
  await page.keyboard.press('a')
  await page.getByText('gives each step 5 min of access at most').waitFor()
  await page.keyboard.press('Enter')
  await expect.poll(decideCalls).toMatchObject([{ approval: 'ap_plan', window: '5m', breakGlass: false }])
  await card.getByText('What then happened').waitFor()

  await page.evaluate(() => {
    location.hash = '#/queue/ap_req'
  })
  await page.getByRole('button', { name: 'Break glass…' }).click()
  const dialog = page.getByRole('alertdialog')
  const go = dialog.getByRole('button', { name: 'Break glass and approve' })
  await dialog.getByLabel('Reason').fill('urgent!')
  await dialog.getByText('3 more characters').waitFor()
  expect(await go.isDisabled()).toBe(true)
  await dialog.getByLabel('Reason').fill('customers wait, nobody is awake')
  await go.click()
  await expect
    .poll(async () => (await decideCalls()).at(-1))
    .toMatchObject({ approval: 'ap_req', verdict: 'approve', breakGlass: true, window: 'once' })
  await page.evaluate(() => {
    location.hash = '#/queue/ap_esc'
  })
  await page.getByRole('note').getByText('Escalated to oncall-dba.').waitFor()
  expect(await page.getByRole('button', { name: 'Break glass…' }).count()).toBe(0)
})

const agentId = (name: string) => encodeURIComponent(`https://agents.example.com#${name}`)
const agentList = () => page.getByRole('listbox', { name: 'Agents' })

test('agents by keys: g g, narrowed, the picture walked through, a sponsor given, disabled and enabled', async () => {
  await open('agents=usual', '#/queue')
  await page.getByRole('listbox').waitFor()
  await page.keyboard.press('g')
  await page.keyboard.press('g')
  await agentList().waitFor()
  expect(await agentList().getByRole('option').first().textContent()).toContain('no sponsor was named')
  await page.keyboard.press('/')
  await page.keyboard.type('support')
  await page.keyboard.press('Enter')
  const agent = page.getByRole('article', { name: 'Agent support-copilot' })
  await agent.getByText('lea@shop.example has never signed in').first().waitFor()
  const chain = agent.getByRole('list', { name: 'Delegation chain of its newest token' })
  expect(await chain.getByRole('listitem').allTextContents()).toEqual(['support-copilot', 'throughplanner', 'forteo'])
  await page.getByRole('grid', { name: 'Permitted against used on orders' }).waitFor()
  await page.keyboard.press('m')
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('End')
  await page.keyboard.press('ArrowLeft')
  await expect
    .poll(() => page.evaluate(() => document.activeElement?.textContent))
    .toMatch(/^1,211✕3: sql:read on orders\/public.customers: permitted by policy .*denied 3 times/)
  expect(await agentList().getByRole('option', { selected: true }).textContent()).toContain('support-copilot')

  await page.keyboard.press('e')
  const edit = page.getByRole('dialog', { name: 'Edit support-copilot' })
  await edit.getByRole('combobox', { name: 'Sponsor' }).fill('ben')
  await edit.getByRole('option', { name: /Ben Osei/ }).waitFor()
  await page.keyboard.press('Enter')
  await edit.getByLabel('Purpose').fill('')
  await edit.getByText('2 changes to save.').waitFor()
  await edit.getByRole('button', { name: 'Save' }).click()
  const foot = page.getByRole('region', { name: /^What to do about/ })
  await foot.getByText('applied').waitFor()
  expect(await called('changeAgent')).toEqual([
    {
      id: 'https://agents.example.com#support-copilot',
      patch: { sponsor: 'https://idp.example.com#ben', purpose: null },
    },
  ])
  await agent.getByText('Ben Osei').waitFor()
  await page.keyboard.press('x')
  const disable = page.getByRole('alertdialog')
  await disable.getByText('1 open session is closed within a second').waitFor()
  await disable.getByLabel('Reason').fill('its key leaked')
  await page.keyboard.press('Enter')
  await agent.getByText('its key leaked').waitFor()
  await page.keyboard.press('x')
  await page.getByRole('alertdialog').getByLabel('Reason').fill('has a new one')
  await page.keyboard.press('Enter')
  await agent.getByText('its key leaked').waitFor({ state: 'detached' })
  await agent.getByRole('button', { name: 'Revoke…' }).click()
  await page.getByRole('alertdialog').getByLabel('Reason').fill('not needed')
  await page.keyboard.press('Enter')
  await expect.poll(() => called('revokeToken')).toEqual([{ token: 'tk_0a', reason: 'not needed' }])
})

test('frozen from the palette, everything by its name; over every screen until it is over; nobody but admins', async () => {
  await open('agents=usual', '#/sessions')
  const palette = async (words: string) => {
    await page.keyboard.press('Control+k')
    await page.getByPlaceholder('Find anything, do anything').last().fill(words)
    await page.keyboard.press('Enter')
  }
  await palette('freeze everything')
  const dialog = page.getByRole('alertdialog', { name: 'Freeze everything?' })
  await dialog.getByLabel('Reason').fill('incident 4411 \u202e')
  await page.keyboard.press('Enter')
  await dialog.getByLabel('Type everything to confirm').fill('everything')
  await page.keyboard.press('Enter')
  const banner = page.getByRole('alert').filter({ hasText: 'Everything is frozen' })
  await banner.getByText('U+202E').waitFor()
  expect(await called('freeze')).toEqual([{ connection: '*', reason: 'incident 4411 \u202e' }])
  await palette('unfreeze everything')
  await page.getByRole('alertdialog').getByLabel('Reason').fill('over')
  await page.keyboard.press('Enter')
  await banner.waitFor({ state: 'detached' })

  await open('agents=looking', '#/agents/connections/orders')
  await page.getByText('Admins freeze and unfreeze; your role looks.').waitFor()
  await page.keyboard.press('Control+k')
  await page.getByPlaceholder('Find anything, do anything').last().fill('freeze')
  expect(await page.getByRole('option', { name: /^Freeze/ }).count()).toBe(0)
})

test('an emergency stands in the navigation until it is reviewed with a reason; duty is handed over and ended', async () => {
  await open('agents=usual', '#/queue')
  await page.getByRole('link', { name: /Agents.*1 uses of break-glass to review/ }).click()
  const use = page.getByRole('article', { name: 'Break-glass by Ben Osei' })
  await use.getByText('Checkout is down').waitFor()
  await page.keyboard.press('w')
  await page.getByRole('alertdialog').getByLabel('Reason').fill('Rae was online')
  await page.keyboard.press('Enter')
  await use.getByText('It is reviewed').waitFor()
  expect(await called('reviewBreakGlass')).toEqual([{ id: 'bg_1', verdict: 'not-justified', reason: 'Rae was online' }])
  expect(await page.getByRole('link', { name: /to review/ }).count()).toBe(0)

  await page.keyboard.press('g')
  await page.keyboard.press(',')
  await page.getByText('in place of Ben Osei for oncall-dba').waitFor()
  await page.getByRole('button', { name: 'Hand over…' }).click()
  const dialog = page.getByRole('dialog', { name: 'Hand over your duty' })
  await dialog.getByRole('combobox', { name: 'To' }).fill('ben')
  await page.keyboard.press('Enter')
  await dialog.getByLabel('only some').check()
  await dialog.getByText('Still missing: at least one group, a reason.').waitFor()
  await dialog.getByLabel('sre').check()
  await dialog.getByLabel('Reason').fill('on leave')
  await page.keyboard.press('Enter')
  await page.getByText('Ben Osei decides in place of you for sre').waitFor()
  expect(await called('delegate')).toMatchObject([
    { to: 'https://idp.example.com#ben', groups: ['sre'], reason: 'on leave' },
  ])
  await page.getByRole('button', { name: 'End…' }).first().click()
  await page.getByRole('alertdialog').getByLabel('Reason').fill('back')
  await page.keyboard.press('Enter')
  await page.getByText('Ben Osei decides in place of you for sre').waitFor({ state: 'detached' })
})

test('1,000 agents: few rows, narrowed as one types; the past by agent, as a table; refused and offline say so', async () => {
  await open('agents=many', '#/agents')
  await page.getByText(/^1,007, 4\d orphans$/).waitFor()
  const rows = () => agentList().getByRole('option').count()
  expect(await rows()).toBeLessThan(40)
  await page.keyboard.press('/')
  await page.keyboard.type('worker-0417')
  await expect.poll(rows).toBe(1)
  await page.keyboard.press('Escape')
  await page.keyboard.press('4')
  await page.getByRole('button', { name: 'Ask', exact: true }).click()
  await page.getByRole('listbox', { name: 'Who could do what' }).waitFor()
  await page.keyboard.press('j')
  await page.getByText('policy alone').waitFor()
  await page.getByRole('button', { name: 'Export as a table (CSV)' }).click()
  await page.getByText('900 lines written to /home/ada/access.csv').waitFor()

  await open('agents=refusing', `#/agents/${agentId('planner')}`)
  await page.getByRole('button', { name: /^Disable/ }).click()
  await page.getByRole('alertdialog').getByLabel('Reason').fill('x')
  await page.keyboard.press('Enter')
  await page.getByRole('alert').getByText('Agents are changed by admins.').waitFor()
  await open('agents=usual&world=offline', `#/agents/${agentId('planner')}`)
  await page.getByText('Agents can’t be changed offline; there is no link since').waitFor()
  await page.getByText('this can’t be told offline').waitFor()
  await page.keyboard.press('e')
  expect(await page.getByRole('dialog').count()).toBe(0)
})

const places: [string, string, string, string[]][] = [
  ['access', '', '#/access/gr_bg', []],
  ['access, offline', 'world=offline', '#/access/gr_active1', []],
  ['access, not all of it', 'access=partial', '#/access', []],
  ['asking for access', '', '#/access', ['n']],
  ['revoking access', '', '#/access/gr_active1', ['x']],
  ['a plan', 'access=usual', '#/queue/ap_plan', ['a']],
  ['an escalated request', 'access=usual', '#/queue/ap_esc', []],
  ['a request that was decided', 'access=usual', '#/queue/ap_acc1', []],
  ['an agent', 'agents=usual', `#/agents/${agentId('support-copilot')}`, []],
  ['a disabled agent, looking on', 'agents=looking', `#/agents/${agentId('deploy-bot')}`, []],
  ['agents, offline', 'agents=usual&world=offline', `#/agents/${agentId('billing-cleanup')}`, []],
  ['an agent is edited', 'agents=usual', `#/agents/${agentId('planner')}`, ['e']],
  ['connections, one frozen', 'agents=frozen', '#/agents/connections', []],
  ['break-glass', 'agents=usual', '#/agents/break-glass', []],
  ['who could do what then', 'agents=usual', '#/agents/past', []],
  ['duty', 'agents=usual', '#/settings', []],
  ['queue', '', '#/queue', []],
  ['armed card', '', '#/queue/ap_3m9q', ['a']],
  ['odd command', '', '#/queue/ap_5bid', []],
  ['decided card', '', '#/queue/ap_d002', []],
  ['offline', 'world=offline', '#/queue', []],
  ['empty', 'world=empty', '#/queue', []],
  ['sessions', '', '#/sessions', []],
  ['replay', '', '#/replay/se_d001', [']', '/']],
  ['forbidden', 'world=forbidden', '#/replay/se_d001', []],
  ['integrity', '', '#/integrity', []],
  ['integrity, nothing yet', 'witness=never', '#/integrity', []],
  ['integrity, not proven', 'witness=unproven', '#/integrity', []],
  ['integrity, offline', 'world=offline', '#/integrity', []],
  ['alarm', 'witness=forked', '#/integrity/alarm%3Aal_41bc9e', []],
  ['alarm over the queue', 'witness=hidden', '#/queue', []],
  ['broken bundle', '', '#/integrity/bundle%3Abv_broken', []],
  ['session with its evidence', '', '#/sessions/se_d003', []],
  ['settings', '', '#/settings', []],
  ['nothing is kept here', 'world=nothing-kept', '#/settings', []],
  ['a download', '', '#/sessions/se_d002', []],
  ['a copy that is not whole', '', '#/sessions/se_d004', []],
  ['what to export as', 'world=offline', '#/sessions/se_d001', ['e']],
  ['sign-in', 'world=signed-out', '', []],
  ['retention', 'retention=admin', '#/settings', []],
  ['a session under legal hold', 'retention=auditor', '#/sessions/se_5bid', []],
  ['palette', '', '#/queue', ['Control+k']],
  ['keys', '', '#/queue', ['?']],
]
test.each(places)('accessible in both themes, wide and narrow: %s', async (_name, query, hash, keys) => {
  await open(query, hash)
  if (keys.includes('a')) await cardIsOld()
  for (const key of keys) await page.keyboard.press(key)
  await page.waitForFunction(() => document.fonts.status === 'loaded')
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    await page.setViewportSize({ width: colorScheme === 'dark' ? 900 : 1280, height: 800 })
    // What colours and room decide is looked at twice, the rest, which takes most of the time, once.
    const violations = await barriers(page, colorScheme === 'light' ? wcagAndMore : coloursAndRoom)
    expect(
      violations.map(
        (each) => `${each.id}: ${each.nodes.map((node) => `${node.target} ${node.failureSummary}`).join('\n')}`,
      ),
    ).toEqual([])
  }
})

const notesOf = () => page.getByRole('listbox', { name: 'Notes', exact: true }).getByRole('option')
const called = (name: string) =>
  page.evaluate((wanted) => window.fixture.calls.filter((call) => call.name === wanted).map((call) => call.input), name)

test('notes: written by keyboard on a moment, a range, a selection; listed, filtered, changed, withdrawn', async () => {
  await open('world=offline', '#/replay/se_d001')
  const place = page.getByRole('slider', { name: 'Place in the recording' })
  await place.waitFor()
  await page.keyboard.press('3')
  await page.keyboard.press('m')
  await page.keyboard.press('5')
  await page.keyboard.press('n')
  await page.keyboard.type('First \u202e line')
  await page.keyboard.press('Shift+Enter')
  await page.keyboard.type('<b>second</b>')
  await page.getByText('A character in it can’t be seen here').waitFor()
  const tags = page.getByRole('combobox', { name: 'Tags' })
  await tags.focus()
  await page.keyboard.type('fin')
  await page.getByRole('option', { name: 'finding' }).waitFor()
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('Enter')
  await page.keyboard.type('new one,')
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: '2 notes wait to be sent' }).waitFor()
  expect(await called('annotate')).toEqual([
    {
      session: 'se_d001',
      note: { from: 252_600, to: 421_000, text: 'First \u202e line\n<b>second</b>', tags: ['finding', 'new one'] },
    },
  ])
  const chosen = page.getByRole('region', { name: 'Chosen note' })
  await chosen.getByText('only here · waits to be sent').waitFor()
  expect(await chosen.textContent()).toContain('First U+202E line\n<b>second</b>')
  await page.keyboard.press('e')
  await page.keyboard.press('ControlOrMeta+a')
  await page.keyboard.type('Better said')
  await page.keyboard.press('Enter')
  await expect.poll(() => called('annotate')).toHaveLength(2)
  expect((await called('annotate'))[1]).toMatchObject({
    id: expect.stringMatching(/^an_/),
    note: { text: 'Better said' },
  })

  await page.getByRole('combobox', { name: 'Notes tagged' }).selectOption('masking')
  expect(await notesOf().count()).toBe(1)
  await page.getByRole('combobox', { name: 'Notes tagged' }).selectOption('')
  await page.getByRole('combobox', { name: 'Notes of' }).selectOption({ label: 'Aud Berg' })
  await notesOf().first().click()
  expect(await place.getAttribute('aria-valuenow')).toBe('91')
  expect(await chosen.getByRole('button').count()).toBe(0)
  await page.keyboard.press('w')
  expect(await called('withdrawAnnotation')).toEqual([])
  await page.getByRole('combobox', { name: 'Notes of' }).selectOption('')
  await notesOf().first().click()

  // What was begun is there when one comes back; what is no time is said.
  await page.keyboard.press('n')
  await page.keyboard.type('half a thought')
  await page.keyboard.press('Escape')
  await page.keyboard.press('n')
  expect(await page.getByRole('textbox', { name: 'Note', exact: true }).inputValue()).toBe('half a thought')
  await page.getByRole('textbox', { name: 'From' }).fill('1:75')
  await page.getByRole('button', { name: /^Keep/ }).click()
  await page.getByRole('alert').getByText('The beginning is no time').waitFor()
})

test('notes: [ and ] stop at them; withdrawn with a reason; those who may only read are told so', async () => {
  await open('', '#/replay/se_d001')
  const place = page.getByRole('slider', { name: 'Place in the recording' })
  await place.waitFor()
  await page.keyboard.press('t')
  await notesOf().nth(1).click()
  await page.keyboard.press('w')
  await page.keyboard.type('the wrong session')
  await page.keyboard.press('Enter')
  await page.getByRole('region', { name: 'Chosen note' }).getByText('withdrawn: the wrong session').waitFor()
  expect(await called('withdrawAnnotation')).toMatchObject([{ session: 'se_d001', reason: 'the wrong session' }])
  await page.keyboard.press('End')
  await page.keyboard.press('[')
  expect(await place.getAttribute('aria-valuenow')).toBe('349')

  await open('notes=reading', '#/replay/se_d001')
  await page.keyboard.press('n')
  await notesOf().first().waitFor()
  expect(await page.getByRole('form').count()).toBe(0)
  expect(await page.getByRole('button', { name: /^Annotate/ }).count()).toBe(0)

  await open('notes=many', '#/replay/se_d001')
  await page.keyboard.press('t')
  await notesOf().first().waitFor()
  expect(await notesOf().count()).toBeLessThan(40)
})

test('what the gateway refused is a choice: kept as a new note, changed, discarded only when asked twice', async () => {
  await open('notes=refused', '#/replay/se_d001')
  await page.getByRole('button', { name: '2 refused: choose' }).click()
  const refused = page.getByRole('article', { name: 'Refused: Note' })
  await refused.getByText('There is another annotation under this id').waitFor()
  await refused.getByRole('button', { name: 'Discard' }).click()
  expect(await called('resolveConflict')).toEqual([])
  await refused.getByRole('button', { name: 'Keep it here' }).click()
  await refused.getByRole('button', { name: 'Change it…' }).click()
  await page.keyboard.press('ControlOrMeta+a')
  await page.keyboard.type('Said anew')
  await refused.getByRole('button', { name: 'Send it so' }).click()
  await refused.waitFor({ state: 'detached' })
  const withdrawal = page.getByRole('article', { name: 'Refused: Withdrawal of a note' })
  await withdrawal.getByRole('button', { name: 'Discard' }).click()
  await withdrawal.getByRole('button', { name: 'Discard for good' }).click()
  await page.getByText('Everything you wrote is with the gateway.').waitFor()
  expect(await called('resolveConflict')).toMatchObject([
    { choice: 'edit', note: { text: 'Said anew', from: 700_000, tags: ['finding'] } },
    { choice: 'discard' },
  ])
})

test.each(['notes=refused', 'world=offline'])('notes (%s): nothing that axe finds, light and dark', async (query) => {
  await open(query, '#/replay/se_d001')
  await page.keyboard.press('t')
  await notesOf().first().click()
  await page.keyboard.press('n')
  await page.getByRole('form', { name: 'New note' }).waitFor()
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    const violations = await barriers(page, colorScheme === 'light' ? undefined : coloursAndRoom)
    expect(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.target)])).toEqual([])
  }
  if (query === 'notes=refused') {
    await page.getByRole('button', { name: '2 refused: choose' }).click()
    await page.getByRole('article').first().waitFor()
    const violations = await barriers(page)
    expect(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.target)])).toEqual([])
  }
})
