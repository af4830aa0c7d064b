import type { Page } from '@playwright/test'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { barriers } from './axe.ts'
import { type InBrowser, inBrowser } from './browser.ts'

/** The Reviews screen in a real Chromium, under the policy that the shells serve it with, on a double of the core. */

let shown: InBrowser
let page: Page

beforeAll(async () => {
  shown = await inBrowser()
  page = shown.page
}, 180_000)

vi.setConfig({ testTimeout: 60_000 })

afterAll(() => shown?.[Symbol.asyncDispose]())

/** Opens the console; whatever the page complains about fails the test. */
const open: InBrowser['open'] = (...args) => shown.open(...args)
afterEach(() => expect(shown.complaints).toEqual([]))

const rows = () => page.getByRole('listbox').getByRole('option')
const option = (text: string | RegExp) => rows().filter({ hasText: text })
const item = (name: string | RegExp) => page.getByRole('article', { name })
const bar = () => page.getByRole('region', { name: /^Decision on/ })
const dialog = () => page.getByRole('alertdialog')
const press = (...keys: string[]) =>
  keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve())
/** Past the moment in which a new item takes no decision: its clock goes on by a second. */
const itemIsOld = () =>
  page.evaluate(() => {
    const real = performance.now.bind(performance)
    performance.now = () => real() + 1000
  })
/** Time stands still for the page. */
const holdClock = () =>
  page.evaluate(() => {
    const now = performance.now()
    performance.now = () => now
  })
const asked = (name: string) =>
  page.evaluate(
    (wanted) => window.fixture.calls.filter((call) => call.name === wanted).map((call) => call.input),
    name,
  ) as Promise<Record<string, unknown>[]>

test('an item answers the three questions on one page: who, whether it needs it, what it did against its purpose', async () => {
  await open('reviews=usual', '#/reviews/ca_q4/it_q4_2')
  const page_ = item('report-builder on orders')
  const answer = (name: string) => page_.getByRole('region', { name }).textContent()
  expect(await answer('Is it still who it was?')).toContain('yesSponsor Noor Haddad, owner Finance. Purpose: weekly')
  expect(await answer('Does it need all it may?')).toContain('no7 of 9 privileges unused for 90 days. 8,113 commands')
  expect(await answer('Anything against its purpose?')).toContain('nothing0 denials, 0 holds, 0 reads')
  // What it may × what it used: a verb a column.
  const grid = page_.getByRole('grid', { name: 'Permitted against used on orders' })
  expect(await grid.getByRole('columnheader').allTextContents()).toEqual([
    ...['Resource', 'connect', 'read', 'insert', 'update', 'delete'],
  ])
  expect(await grid.getByRole('row').filter({ hasText: 'public.orders' }).textContent()).toMatch(
    /6,902.*unused.*unused/,
  )
  // A reduce is a diff of what is permitted, and the Cedar that enforces it.
  const proposed = page_.getByRole('region', { name: /^Recommended/ })
  expect(await proposed.getByRole('listitem').filter({ hasText: 'sql:write' }).first().getByLabel('goes').count()).toBe(
    1,
  )
  await proposed.getByText('The Cedar that enforces it').click()
  await proposed.getByText('Table::"orders/public.customers"').waitFor()
  // Through which policies and groups it may it.
  const through = page_.getByRole('region', { name: /^Through what/ })
  expect(await through.getByRole('group').first().textContent()).toContain('as one of ci-agents')
  await page_.getByText('Payments moved to the new report.').waitFor()
  // What was refused is cited, with its place in the recording; R goes to the first.
  await press('j')
  const other = item('support-copilot on crm tools')
  await other.getByRole('region', { name: 'What stands out' }).getByText('denied: every customer at once').waitFor()
  await other.getByText('U+202E').waitFor()
  const link = await other.getByRole('link', { name: 'Replay' }).nth(1).getAttribute('href')
  expect(link).toMatch(/^#\/replay\/se_d001\?at=/)
  await press('r')
  await page.waitForURL(/#\/replay\/se_d001\?at=/)
  await page.getByRole('slider').first().waitFor()
})

test('a rule says whom it lets ask and whom it gave something, not what it may itself', async () => {
  await open('reviews=usual', '#/reviews/ca_q4/it_q4_6')
  await item(/^jit-payments/).waitFor()
  const askers = item(/^jit-payments/).getByRole('region', { name: /^Whom it lets ask/ })
  await askers.getByText('may ask; people decide').waitFor()
  expect(await askers.getByRole('listitem').count()).toBe(2)
  expect(await askers.textContent()).not.toContain('\u202e')
  await item(/^jit-payments/)
    .getByText('1 of the 2 agents that it lets ask had one.')
    .waitFor()
  expect(
    await item(/^jit-payments/)
      .getByRole('region', { name: /^What it may/ })
      .count(),
  ).toBe(0)
})

test('by keyboard: chosen, sent, on to the next one; reasons where they are due; what was looked at goes with it', async () => {
  await open('reviews=usual', '#/reviews/ca_q4')
  await page.getByRole('heading', { level: 2, name: 'Q4 recertification' }).waitFor()
  await press('n')
  await item(/^old-importer/).waitFor()
  await itemIsOld()
  // A revoke asks for a reason, and has no default.
  await press('v')
  await dialog()
    .getByRole('heading', { name: /Revoke old-importer/ })
    .waitFor()
  expect(await dialog().getByRole('button', { name: 'Revoke' }).isDisabled()).toBe(true)
  await press('Enter')
  expect(await asked('decideItem')).toEqual([])
  await page.keyboard.type('its sponsor has left')
  await press('Enter')
  await item(/^report-builder/).waitFor()
  await page.waitForFunction(() => window.fixture.reviews.items.get('it_q4_1')?.verdict === 'revoke')
  // A reduce may be edited, is checked, and shows what was changed.
  await itemIsOld()
  await press('u')
  await dialog().getByText('Edit the Cedar that enforces it').click()
  const cedar = dialog().getByRole('textbox', { name: 'The tighter policy, in Cedar' })
  await cedar.fill('permit (principal, action, resource);')
  await dialog().getByText('It may only forbid').waitFor()
  await cedar.fill('forbid (principal == Agent::"report-builder", oops, resource);')
  await dialog().getByRole('textbox', { name: 'Reason' }).fill('payments moved away')
  await dialog().getByRole('button', { name: 'Reduce' }).click()
  await dialog().getByText('unexpected token').waitFor()
  expect(await dialog().getByText(/^\+ /).textContent()).toContain('oops')
  await cedar.fill('forbid (principal == Agent::"report-builder", action, resource);')
  await dialog().getByRole('button', { name: 'Reduce' }).click()
  await item(/^support-copilot/).waitFor()
  // Certify is chosen by C and sent by Enter; nothing is sent before.
  await itemIsOld()
  await press('c')
  await bar().getByText('certifies this access').waitFor()
  await press('Escape', 'Enter')
  expect(await asked('decideItem')).toHaveLength(2)
  await press('c')
  await page.keyboard.type('Support needs it')
  await press('Enter')
  await item(/^deploy-bot/).waitFor()
  const sent = await asked('decideItem')
  expect(sent).toMatchObject([
    { item: 'it_q4_1', verdict: 'revoke', reason: 'its sponsor has left', revision: 0 },
    { item: 'it_q4_2', verdict: 'reduce', policy: expect.stringContaining('action, resource') },
    { item: 'it_q4_3', verdict: 'certify', reason: 'Support needs it' },
  ])
  for (const { seconds, evidenceOpened } of sent) {
    expect(seconds).toEqual(expect.any(Number))
    expect(evidenceOpened).toEqual(expect.any(Array))
  }
  // Decision, recommendation and application are three facts.
  await option(/^report-builder/).click()
  expect(await bar().textContent()).toMatch(/DecisionReduced.*Recommendationreduce.*Applicationwaits for a second pair/)
  // Until it is enforced, who decided may be of another mind.
  expect(await bar().getByRole('button').allTextContents()).toEqual(['Change the decision…'])
})

test('no slip decides: too early, a held key, twice, on what is decided, on what is not mine', async () => {
  await open('reviews=usual', '#/reviews/ca_q4/it_q4_4')
  await item(/^deploy-bot/).waitFor()
  await holdClock()
  await press('j')
  await item(/^nightly/).waitFor()
  await press('c', 'v')
  await page.getByText('This item has only just appeared').waitFor()
  expect(await dialog().count()).toBe(0)
  await itemIsOld()
  await press('c')
  await bar().getByText('certifies this access').waitFor()
  await page.evaluate(() => {
    const field = document.activeElement!
    for (const repeat of [true, false, false])
      field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true, repeat }))
  })
  await item(/^jit-payments/).waitFor()
  expect(await asked('decideItem')).toMatchObject([{ item: 'it_q4_5' }])
  for (const [name, words] of [
    [/^billing-cleanup/, 'Not yours to decide. It waits for Rae Holm, stage 2 of 2.'],
    [/^patch-runner/, 'applied and verified'],
  ] as const) {
    await option(name).click()
    await bar().getByText(words).waitFor()
    await press('c', 'Enter', 'v')
    expect(await dialog().count()).toBe(0)
    expect(await bar().getByRole('button').count()).toBe(0)
  }
  expect(await asked('decideItem')).toHaveLength(1)
})

test('offline: decided all the same, said to wait, taken back; comments too; nobody else can be asked', async () => {
  await open('reviews=usual&world=offline', '#/reviews/ca_q4/it_q4_1')
  await page.getByText('6 of your 6 items can be decided offline').waitFor()
  await itemIsOld()
  await press('m')
  await page.keyboard.type('asked Noor')
  await press('Enter')
  await item(/^old-importer/)
    .getByText('made offline, not sent yet')
    .waitFor()
  await press('Escape', 'c')
  await page.keyboard.type('fine')
  await press('Enter')
  await item(/^report-builder/).waitFor()
  await option(/^old-importer/)
    .getByText('made offline, not sent yet')
    .waitFor()
  expect(await page.getByRole('link', { name: /^Reviews/ }).textContent()).toContain('5')
  await option(/^old-importer/).click()
  await bar().getByText('You certified this.').waitFor()
  await bar().getByRole('button', { name: 'Take it back' }).click()
  await bar()
    .getByRole('button', { name: /Certify/ })
    .waitFor()
  await itemIsOld()
  await press('e')
  await bar().getByText('Nobody else can be asked offline.').waitFor()
  await option(/^billing-cleanup/).click()
  await page.getByRole('heading', { name: 'Its evidence is not on this computer' }).waitFor()
  await press('Escape')
  await page.getByText('it can’t be told offline').waitFor()
  expect(await page.getByRole('button', { name: 'Evidence pack' }).isDisabled()).toBe(true)
})

test('somebody was first, or it changed: theirs beside mine, and the choice is the person’s', async () => {
  await open('reviews=refused', '#/reviews/ca_q4/it_q4_2')
  await bar().getByText('Somebody decided this first').waitFor()
  expect(await bar().textContent()).toMatch(/Yoursrevoked.*“Nobody uses it”.*There nowcertified by Ben Osei/)
  expect(await bar().getByRole('button').allTextContents()).toEqual(['Keep theirs'])
  await bar().getByRole('button', { name: 'Keep theirs' }).click()
  await bar().getByText('Certified').waitFor()
  await option(/^support-copilot/).click()
  await bar().getByRole('button', { name: 'Decide again on what is there now' }).click()
  await dialog().getByRole('button', { name: 'Revoke' }).click()
  await bar().getByText('Revoked').waitFor()
  expect(await asked('resolveReview')).toMatchObject([
    { choice: 'discard' },
    { choice: 'anew', anew: { verdict: 'revoke', reason: 'Nobody uses it' } },
  ])
})

test('together: with a preview, never privileged ones; handed over to somebody else', async () => {
  await open('reviews=usual', '#/reviews/ca_q4/it_q4_1')
  await item(/^old-importer/).waitFor()
  await press('x', 'j')
  await item(/^report-builder/).waitFor()
  await press('x')
  await page.getByText('2 items chosen').waitFor()
  await press('X')
  await dialog().getByRole('radio', { name: 'Certify' }).check()
  await dialog().getByRole('textbox', { name: 'Reason' }).fill('as last time')
  // Enter that is held down, or pressed once too often, asks what it would do, and decides nothing.
  await page.keyboard.down('Enter')
  await dialog().getByText('1 item will be decided').waitFor()
  await page.keyboard.down('Enter')
  await page.keyboard.up('Enter')
  await dialog().getByRole('button', { name: 'Certify 1', disabled: false }).waitFor()
  expect((await asked('decideTogether')).map(({ preview: of }) => of !== undefined)).toEqual([false])
  const preview_ = dialog().getByRole('region', { name: 'Preview' })
  await preview_.getByText('privileged access is decided by itself').waitFor()
  expect(await preview_.textContent()).toContain('report-builder → ordersrecommended: reduce')
  await dialog().getByRole('button', { name: 'Certify 1' }).click()
  await bar().getByText('together with others').waitFor()
  expect((await asked('decideTogether')).map(({ preview: of }) => of !== undefined)).toEqual([false, true])
  await option(/^deploy-bot/).click()
  await item(/^deploy-bot/).waitFor()
  await itemIsOld()
  await press('e')
  await dialog().getByRole('radio', { name: 'Delegate' }).check()
  await dialog().getByRole('combobox', { name: 'To' }).fill('rae@shop.example')
  await press('Enter')
  await dialog().getByRole('textbox', { name: 'Reason' }).fill('she runs it')
  await dialog().getByRole('button', { name: 'Delegate' }).click()
  await bar().getByText('It waits for rae@shop.example').waitFor()
  expect(await asked('moveItem')).toMatchObject([{ item: 'it_q4_4', kind: 'delegate', to: 'rae@shop.example' }])
})

test('ten thousand items are quick: narrowed as one types, moved through, decided', async () => {
  await open('reviews=many', '#/reviews/ca_q4')
  await page.getByText('Yours to decide 9,000').waitFor()
  expect(await rows().count()).toBeLessThan(60)
  await press('/')
  await page.keyboard.type('worker-09998')
  await expect.poll(() => rows().count()).toBe(1)
  await option(/worker-09998/).waitFor()
  await press('Escape')
  await page.getByLabel('More', { exact: true }).selectOption('privileged')
  await page.getByText(/· 200 shown/).waitFor()
  await page.getByLabel('Recommended', { exact: true }).selectOption('reduce')
  await page.getByText(/· 100 shown/).waitFor()
  await page.getByLabel('Which', { exact: true }).selectOption('mine')
  await rows().first().click()
  await page.getByRole('article', { name: /^worker/ }).waitFor()
  for (let i = 0; i < 5; i += 1) {
    await bar()
      .getByRole('button', { name: /Certify/ })
      .waitFor()
    await itemIsOld()
    const before = await page.evaluate(() => location.hash)
    await press('c', 'Enter')
    await page.waitForFunction((was) => location.hash !== was, before)
  }
  expect(await asked('decideItem')).toHaveLength(5)
})

test('campaigns: made from a template, started with its progress, signed off, closed, taken out', async () => {
  await open('reviews=usual', '#/reviews')
  await press('a')
  const form = page.getByRole('dialog', { name: 'Make a campaign' })
  await form.getByLabel('From a template').selectOption('production')
  expect(await form.getByLabel('Tagged').inputValue()).toBe('production')
  await form.getByLabel('Title', { exact: true }).fill('')
  await form.getByRole('button', { name: 'Save and start' }).click()
  await form.getByText('Give it a title.').waitFor()
  await form.getByLabel('Title', { exact: true }).fill('Production, once more')
  await form.getByRole('button', { name: 'Another stage' }).click()
  await form.getByRole('button', { name: 'Save and start' }).click()
  await page.getByRole('progressbar', { name: 'Snapshot' }).waitFor()
  await page.getByRole('progressbar', { name: 'Snapshot' }).waitFor({ state: 'hidden' })
  expect(await asked('createCampaign')).toMatchObject([
    {
      ...{
        title: 'Production, once more',
        template: 'production',
        scope: { tags: ['production'] },
        onExpiry: 'revoke',
      },
      stages: [{ title: 'Sponsor' }, { title: 'Second look', reviewers: [{ kind: 'role' }] }],
    },
  ])
  await option(/^Q4 recertification/).click()
  const campaign = page.getByRole('article', { name: 'Campaign Q4 recertification' })
  await campaign.getByRole('img', { name: /^Burn-down: 7 of 10 open/ }).waitFor()
  expect(await campaign.getByRole('table').textContent()).toContain('Half of the decisions took less than 3 s')
  expect(await campaign.getByRole('link', { name: /in Policy/ }).getAttribute('href')).toBe('#/policy/overlays')
  await campaign.getByRole('button', { name: 'Evidence pack' }).click()
  await page.getByRole('region', { name: 'Exports' }).getByText('written to countersign-ca_q4.tar').waitFor()
  await campaign.getByRole('button', { name: 'Sign off…' }).click()
  await dialog().getByRole('textbox', { name: 'Reason' }).fill('All of it was looked at.')
  await dialog().getByRole('button', { name: 'Sign off' }).click()
  await campaign.getByText('All of it was looked at.').waitFor()
  await campaign.getByRole('button', { name: 'Close…' }).click()
  expect(await dialog().textContent()).toContain('7 items undecided: what nobody decided is revoked')
  await dialog().getByRole('textbox', { name: 'Reason' }).fill('due')
  await dialog().getByRole('button', { name: 'Close' }).click()
  await campaign.getByText(/^closed .* by Ada Lind/).waitFor()
  // Templates: a calendar, and what begins one.
  await page.getByRole('link', { name: 'Templates' }).click()
  await page.getByRole('button', { name: 'Make it your own…' }).click()
  const edit = page.getByRole('dialog', { name: 'Change this template' })
  await edit.getByRole('combobox', { name: /^Begins/ }).selectOption('month')
  await edit.getByLabel('a sponsor leaves').check()
  await edit.getByRole('button', { name: 'Save' }).click()
  await page.getByText('each month, and when something changes').first().waitFor()
  expect(await asked('saveTemplate')).toMatchObject([
    { id: 'production', cadence: { every: 'month', from: '2027-01-04' }, triggers: ['sponsor-left'] },
  ])
})

test.each([
  ['an approver', '', 'Reviews are not yours to see'],
  ['nothing yet', 'reviews=empty', 'No campaigns yet'],
  ['an auditor', 'reviews=auditor', 'Q4 recertification'],
])('%s: the screen says what there is', async (_, query, words) => {
  await open(query, '#/reviews')
  await page.getByRole('heading', { name: words }).first().waitFor()
  if (query !== 'reviews=auditor') return
  expect(await page.getByRole('button', { name: /Close…|Sign off…|Make a campaign/ }).count()).toBe(0)
  await open(query, '#/reviews/ca_q4/it_q4_2')
  await bar().getByText('Reviewers decide; auditors and admins look.').waitFor()
})

test.each([
  ['item', 'reviews=usual', '#/reviews/ca_q4/it_q4_3', '', 'light', 1280],
  ['conflict', 'reviews=refused', '#/reviews/ca_q4/it_q4_2', '', 'dark', 820],
  ['reduce', 'reviews=usual', '#/reviews/ca_q4/it_q4_2', 'u', 'dark', 1280],
  ['campaigns', 'reviews=usual', '#/reviews', '', 'dark', 820],
  ['making', 'reviews=usual', '#/reviews', 'a', 'light', 820],
  ['offline', 'reviews=usual&world=offline', '#/reviews/ca_q4/it_q4_1', '', 'light', 1280],
] as const)('axe finds nothing: %s', async (_, query, hash, key, colorScheme, width) => {
  await open(query, hash, { width, height: 800 })
  await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
  await page.getByRole('article').first().waitFor()
  if (key) {
    await itemIsOld()
    await press(key)
    await page.getByRole(key === 'a' ? 'dialog' : 'alertdialog').waitFor()
  }
  const found = await barriers(page, { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa'] })
  expect(found.map(({ id, nodes }) => [id, nodes.map(({ html }) => html.slice(0, 160))])).toEqual([])
})
