import type { Page } from '@playwright/test'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { barriers } from './axe.ts'
import { type InBrowser, inBrowser } from './browser.ts'

/** The Policy screen in a real Chromium, under the policy that the shells serve it with, on a double of the core. */

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

const option = (text: string | RegExp) => page.getByRole('option').filter({ hasText: text })
const asked = (name: string) =>
  page.evaluate(
    (wanted) => window.fixture.calls.filter((call) => call.name === wanted).map((call) => call.input),
    name,
  ) as Promise<Record<string, unknown>[]>
const bar = () => page.getByRole('region', { name: 'What to do about it' })

test('in force: every policy by name, what it does in words, its lines in the file; search finds and marks', async () => {
  await open('policy=admin', '#/queue')
  await page.keyboard.press('g')
  await page.keyboard.press('y')
  await page.getByRole('article', { name: 'Policy payments-need-a-person' }).waitFor()
  await page.keyboard.press('j')
  const article = page.getByRole('article', { name: 'Policy every-row' })
  await article.getByText('Holds what it covers until 2 people of oncall-dba approve').waitFor()
  await article.getByText('3m: sre-leads').first().waitFor()
  const file = article.getByRole('region', { name: 'File holds.cedar' })
  await expect.poll(() => file.locator('[data-line="13"] .sql-number').first().textContent()).toBe('@id')
  expect(await file.locator('.border-accent').count()).toBe(12)
  await page.keyboard.press('/')
  await page.keyboard.type('api keys')
  await page.getByRole('article', { name: 'Policy keys-stay-internal' }).waitFor()
  expect(await page.getByRole('option').count()).toBe(1)
  await page.keyboard.press('Escape')
  await option('overlay/ov_3#1').click()
  await page.getByRole('link', { name: /who decided it/ }).click()
  await page.getByRole('article', { name: 'Overlay 3' }).waitFor()
})

test('history: who, why and what changed, against the one before and the one in force', async () => {
  await open('policy=auditor', '#/policy/history')
  await page.getByRole('region', { name: 'overlay:ov_3.cedar, added' }).waitFor()
  await page.keyboard.press('j')
  const article = page.getByRole('article', { name: /^Policy as of/ })
  await article.getByText('SIGHUP: the policy folder was loaded').waitFor()
  await article.getByRole('region', { name: 'holds.cedar, changed' }).getByText('@quorum("2")').waitFor()
  await page.keyboard.press('c')
  await article.getByRole('region', { name: 'overlay:ov_3.cedar, added' }).waitFor()
  expect(await article.getByRole('region', { name: 'holds.cedar, changed' }).count()).toBe(0)
})

test('a draft: begun from what is in force, written, there again after one was away, checked on save', async () => {
  await open('policy=reviewer', '#/policy/drafts/new')
  await page.getByRole('textbox', { name: 'Title' }).fill('Fewer holds')
  await page.getByRole('button', { name: 'Begin the draft' }).click()
  const article = page.getByRole('article', { name: 'Draft Fewer holds' })
  await article.getByText('Never saved').waitFor()
  await page.keyboard.press('e')
  const text = article.getByRole('textbox', { name: 'Text of holds.cedar' })
  await expect.poll(() => text.evaluate((node) => node === document.activeElement)).toBe(true)
  await page.keyboard.press('Control+Home')
  await page.keyboard.type('// WRONG\n// ODD\n')
  const kept = async () => ((await asked('keepDraftWork')).at(-1) as { files: { file: string; text: string }[] }).files
  await expect.poll(async () => (await kept())[0]?.text).toMatch(/^\/\/ WRONG\n\/\/ ODD\n/)
  expect((await kept()).map(({ file }) => file)).toEqual(['holds.cedar', 'orders.cedar', 'orders.test.yaml'])

  // Away and back: what was written is there.
  await page.keyboard.press('Escape')
  await page.keyboard.press('1')
  await page.getByRole('article', { name: /^Policy / }).waitFor()
  await page.keyboard.press('3')
  await option('Fewer holds').click()
  expect(await text.inputValue()).toMatch(/^\/\/ WRONG/)
  await text.focus()

  await page.keyboard.press('Control+s')
  await article.getByText('1 problem', { exact: true }).waitFor()
  await article.getByText('1 warning', { exact: true }).waitFor()
  await article.getByText('1 test passes').waitFor()
  await article.getByText('unexpected token `WRONG`').first().waitFor()
  expect(await text.getAttribute('aria-invalid')).toBe('true')
  expect(await page.evaluate(() => location.hash)).toBe('#/policy/drafts/dr_new1')
  // The page is the same one: whoever writes on is not thrown out.
  expect(await text.evaluate((node) => node === document.activeElement)).toBe(true)
  await article.getByRole('button', { name: /holds.cedar:2/ }).click()
  expect(await text.evaluate((node: HTMLTextAreaElement) => node.selectionStart)).toBe('// WRONG\n'.length)
  await page.keyboard.type('x')
  await article.getByText('you have written since').waitFor()
  await article.getByText('not saved', { exact: true }).waitFor()

  await article.getByRole('button', { name: 'Add a file' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('textbox').fill('orders')
  await dialog.getByText('There is a file of that name.').waitFor()
  await dialog.getByRole('radio', { name: /tests/ }).check()
  await dialog.getByRole('textbox').fill('more')
  await dialog.getByRole('button', { name: 'Add it' }).click()
  await article.getByRole('textbox', { name: 'Text of more.test.yaml' }).waitFor()
  await article.getByRole('button', { name: 'Remove more.test.yaml from the draft' }).click()
  await article.getByRole('button', { name: 'Difference to what is in force' }).click()
  await article.getByRole('region', { name: 'holds.cedar, changed' }).waitFor()
  await article.getByRole('button', { name: 'Export' }).click()
  await page.getByRole('menuitem', { name: /One patch/ }).click()
  await expect
    .poll(() => asked('savePolicyFiles'))
    .toMatchObject([{ name: 'Fewer holds.patch', form: 'patch', before: [{ file: 'holds.cedar' }, {}, {}] }])
})

test('somebody else saved it: both are shown, and nothing is overwritten unasked', async () => {
  await open('policy=admin', '#/policy/drafts/dr_1')
  const article = page.getByRole('article', { name: /^Draft/ })
  await article.getByRole('textbox', { name: 'Text of holds.cedar' }).fill('// mine\n')
  await page.evaluate(() => {
    const { drafts } = window.fixture.policy
    drafts.set('dr_1', { ...drafts.get('dr_1')!, revision: 4 })
  })
  await article.getByRole('button', { name: /^Save/ }).click()
  await article.getByRole('alert').getByText('Rae Holm saved this draft').waitFor()
  await article.getByRole('region', { name: 'holds.cedar, changed' }).getByText('// mine').waitFor()
  expect(await asked('saveDraft')).toHaveLength(1)
  await article.getByRole('button', { name: 'Keep mine as a draft of its own' }).click()
  await page.getByRole('article', { name: 'Draft Maintenance without DDL (mine)' }).getByText('Never saved').waitFor()
  expect(
    await page.evaluate(() => [...window.fixture.policy.works.values()].map(({ files }) => files[0]!.text)),
  ).toEqual(['// mine\n'])
  await option(/^Maintenance without DDL(?! \(mine)/).click()
  await page.getByRole('textbox', { name: 'Text of holds.cedar' }).fill('// mine again\n')
  await page.evaluate(() => {
    const { drafts } = window.fixture.policy
    drafts.set('dr_1', { ...drafts.get('dr_1')!, revision: 5 })
  })
  await page.getByRole('button', { name: /^Save/ }).click()
  await page.getByRole('button', { name: 'Save mine over theirs' }).click()
  await page.getByText('saved', { exact: true }).waitFor()
  expect((await asked('saveDraft')).at(-1)).toMatchObject({ over: 5 })
})

test('what somebody wrote is nobody else’s: with another person it is gone from the screen, and kept under no other name', async () => {
  await open('policy=admin', '#/policy/drafts/dr_1')
  const text = page.getByRole('textbox', { name: 'Text of holds.cedar' })
  await text.fill('// mine\n')
  await page.evaluate(() => {
    const { fixture } = window
    fixture.policy.works.clear()
    const me = {
      kind: 'person',
      id: 'p#ben',
      issuer: 'p',
      subject: 'ben',
      name: 'Ben',
      groups: [],
      roles: ['admin'],
    } as const
    fixture.emit({ type: 'me', me: { ...me, groups: [], roles: ['admin'], expiresAt: '2099-01-01T00:00:00.000Z' } })
  })
  await expect.poll(() => text.inputValue()).toMatch(/^\/\/ What a person looks at first/)
  const before = (await asked('keepDraftWork')).length
  await text.press('End')
  await text.pressSequentially('x')
  await expect.poll(async () => (await asked('keepDraftWork')).length).toBeGreaterThan(before)
  expect(JSON.stringify((await asked('keepDraftWork')).at(-1))).not.toContain('// mine')
})

test('a backtest: chosen, begun, followed, cancelled; its result in counts, by agent, with samples into Replay', async () => {
  await open('policy=reviewer&agents=usual', '#/policy/drafts/dr_1')
  await page.getByRole('article', { name: /^Draft/ }).waitFor()
  await page.keyboard.press('b')
  await page.getByRole('article', { name: 'New backtest' }).waitFor()
  await page.getByRole('radio', { name: '90 days' }).check()
  await page.getByRole('radio', { name: /what is in force now/ }).check()
  await page.getByRole('combobox', { name: 'Connections' }).fill('paym')
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Run the backtest' }).click()
  const article = page.getByRole('article', { name: 'Backtest of Maintenance without DDL' })
  await article.getByText('commands decided anew').waitFor()
  expect(await asked('startBacktest')).toMatchObject([
    { draft: 'dr_1', since: '90d', against: 'in-force', overlays: true, connections: ['payments'] },
  ])
  await page.evaluate(() => {
    const { backtests, tell } = window.fixture.policy
    const one = [...backtests.values()].find(({ id }) => id.startsWith('bt_new'))!
    backtests.set(one.id, { ...one, progress: { commands: 250_000, of: 1_000_000 } })
    tell()
  })
  await expect.poll(() => article.getByRole('progressbar').getAttribute('aria-valuenow')).toBe('25')
  await page.keyboard.press('c')
  await article.getByText('It was cancelled after 250,000 commands').waitFor()
  await option('1,000,000').first().click()
  await article.getByRole('button', { name: /Newly denied 1,522/ }).waitFor()
  await article.getByText('1,892 commands could not be asked about').waitFor()
  await article.getByRole('button', { name: /Newly held 100/ }).click()
  await article.getByText('2 shapes of commands').waitFor()
  await article.getByRole('button', { name: /billing-cleanup → orders/ }).click()
  const sample = article.getByRole('link', { name: /^Replay/ }).first()
  expect(await sample.getAttribute('href')).toMatch(/^#\/replay\/se_d001/)
  await article.getByRole('link', { name: 'every-row' }).click()
  await page.getByRole('article', { name: 'Policy every-row' }).waitFor()
})

/** Presses a key of an overlay until it is heard: one that has only just come is answered by none. */
async function pressOnceOld(key: string) {
  await expect
    .poll(async () => {
      await page.keyboard.press(key)
      return page.getByRole('alertdialog').count()
    })
    .toBe(1)
}

test('keys that were pressed before an overlay came, or are held down, answer nothing', async () => {
  await open('policy=admin', '#/policy/overlays')
  await option('waits to be applied').first().click()
  await page.getByRole('article', { name: 'Overlay 6' }).waitFor()
  await page.evaluate(() => {
    const key = (of: string, repeat = false) =>
      document.body.dispatchEvent(new KeyboardEvent('keydown', { key: of, bubbles: true, cancelable: true, repeat }))
    // A word that was meant for a dialog: k and j move on, d would reject.
    for (const letter of 'kjd') key(letter)
    for (let n = 0; n < 50; n += 1) key('d', true)
  })
  expect(await page.getByRole('alertdialog').count()).toBe(0)
  await pressOnceOld('d')
  expect(await asked('answerOverlay')).toEqual([])
})

test('an overlay is applied by a second person alone, with a reason and the digest that was shown', async () => {
  await open('policy=admin', '#/policy/overlays')
  // What failed is first in the list, and on every screen.
  await page.getByRole('alert').getByText('Overlay 7 failed').waitFor()
  const failed = page.getByRole('article', { name: 'Overlay 7' })
  await failed.getByText('1 of 3 answers are wrong').waitFor()
  await bar().getByRole('button', { name: 'Apply again' }).waitFor()
  await bar()
    .getByRole('button', { name: /^Reject/ })
    .waitFor()
  await option('waits to be applied').first().click()
  const article = page.getByRole('article', { name: 'Overlay 6' })
  await article.getByText('Decided by Rae Holm: one pair of eyes.').waitFor()
  await article.getByText('10 differences').waitFor()
  expect(await article.getByRole('link', { name: 'the item of the review' }).getAttribute('href')).toBe(
    '#/reviews/ca_q4/it_1',
  )
  const dialog = page.getByRole('alertdialog')
  await pressOnceOld('a')
  await dialog.getByRole('textbox', { name: 'Reason' }).fill('looked at the matrix')
  await page.keyboard.press('Enter')
  await article.getByText('in force, verified').waitFor()
  await article.getByText('Decided by Rae Holm, applied by you: two people.').waitFor()
  expect(await asked('answerOverlay')).toMatchObject([
    { id: 'ov_6', does: 'apply', reason: 'looked at the matrix', digest: expect.stringMatching(/^d{63}6$/) },
  ])
  // One's own decision is another's to apply.
  await option('old-importer').click()
  await bar().getByText('Four eyes: you decided this').waitFor()
  expect(await bar().getByRole('button', { name: /Apply/ }).count()).toBe(0)
  await page.keyboard.press('a')
  expect(await page.getByRole('alertdialog').count()).toBe(0)
  await option('etl-nightly').click()
  await bar()
    .getByRole('button', { name: /Roll back, as asked/ })
    .click()
  await page.getByRole('alertdialog').getByText('you are the second person').waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('button', { name: 'Export as edits of the policy folder' }).click()
  await page.getByRole('dialog').getByRole('region', { name: 'reviews.cedar, added' }).waitFor()
  await page.getByRole('dialog').getByRole('button', { name: 'One patch' }).click()
  await page.getByText('Written to /home/ada/overlays.patch.').waitFor()
})

test.each([
  ['policy=reviewer', '#/policy/overlays/ov_6', 'your role looks'],
  ['policy=approver', '#/policy/overlays', 'Overlays are not for your role'],
  ['policy=approver', '#/policy/drafts', 'Drafts are not for your role'],
  ['policy=approver', '#/policy/backtests', 'Backtests are not for your role'],
  ['policy=auditor', '#/policy/drafts/new', 'Drafts are written by reviewers and admins'],
  ['policy=auditor', '#/policy/drafts/dr_1', 'your role reads them'],
  ['policy=admin&world=offline', '#/policy/overlays/ov_6', 'Nothing can be applied offline: what'],
  ['policy=admin&world=offline', '#/policy', 'As the gateway told it 29 min ago'],
  ['policy=admin&world=offline', '#/policy/drafts/dr_1', 'can be saved once the link is back'],
  ['policy=admin&world=offline', '#/policy/backtests/new', 'None can be begun offline.'],
  ['policy=empty', '#/policy', 'Nothing is permitted'],
  ['policy=empty', '#/policy/overlays', 'Nothing stands on top of the policy folder'],
  ['policy=empty', '#/policy/history', 'Nothing has changed'],
  ['policy=empty', '#/policy/backtests/new', 'There is no saved draft to run'],
] as const)('%s %s says what is so: %s', async (query, hash, words) => {
  await open(query, hash)
  await page.getByText(words).first().waitFor()
  for (const name of [/^Apply/, /^Reject/, /^Roll back/])
    expect(await page.getByRole('button', { name }).count()).toBe(0)
})

test('refused: why stands where it was asked, and nothing that was written is lost', async () => {
  await open('policy=refusing', '#/policy/drafts/dr_1')
  await page.getByRole('textbox', { name: 'Text of holds.cedar' }).fill('// mine\n')
  await page.getByRole('button', { name: /^Save/ }).click()
  await page.getByRole('alert').getByText('Not saved, and kept on this computer').waitFor()
  expect(await page.getByRole('textbox', { name: 'Text of holds.cedar' }).inputValue()).toBe('// mine\n')
  await open('policy=refusing', '#/policy/overlays/ov_6')
  await bar()
    .getByRole('button', { name: /^Apply/ })
    .click()
  await page.getByRole('alertdialog').getByRole('textbox').fill('x')
  await page.keyboard.press('Enter')
  await page.getByRole('alertdialog').getByText('could not write its ledger').waitFor()
})

test('six thousand policies and 500 changes: the list is drawn as far as it is seen', async () => {
  await open('policy=many', '#/policy')
  await page.getByText(/6,00\d policies, 1 overlay on top/).waitFor()
  expect(await page.getByRole('option').count()).toBeLessThan(60)
  await page.keyboard.press('/')
  // At once: each letter by itself is six thousand rows looked at.
  await page.keyboard.insertText('t99-19-keys')
  await page.getByRole('article', { name: 'Policy t99-19-keys-stay-internal' }).waitFor()
  const marked = page.locator('[data-line].border-accent').first()
  await expect.poll(() => marked.isVisible()).toBe(true)
  await page.evaluate(() => {
    location.hash = '#/policy/history'
  })
  await page.getByText('500 changes and more').waitFor()
})

// Each by itself: on a busy machine one is slow, and says which.
test.each([
  ['policy=admin', '#/policy', 'Holds what it covers'],
  ['policy=admin', '#/policy/history', 'What is different'],
  ['policy=admin', '#/policy/drafts/dr_2', 'unexpected token'],
  ['policy=admin', '#/policy/backtests/bt_2', 'By agent'],
  ['policy=admin', '#/policy/backtests/bt_3', 'decided anew'],
  ['policy=admin', '#/policy/backtests/new', 'Run the backtest'],
  ['policy=admin', '#/policy/overlays/ov_7', 'answers are wrong'],
  ['policy=admin&world=offline', '#/policy/overlays/ov_6', 'differences'],
] as const)('no barrier that axe finds, and contrast in both colours: %s %s', async (query, hash, ready) => {
  await open(query, hash)
  await page.getByText(ready).first().waitFor()
  const light = await barriers(page)
  await page.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' })
  // Only colours are others.
  const dark = await barriers(page, { type: 'rule', values: ['color-contrast'] })
  const found = [...light, ...dark].flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`))
  expect(found).toEqual([])
})

test('narrow: nothing is cut that can’t be scrolled to', async () => {
  for (const hash of ['#/policy', '#/policy/drafts/dr_2', '#/policy/backtests/bt_2', '#/policy/overlays/ov_3']) {
    await open('policy=reviewer', hash, { width: 820, height: 640 })
    await page.getByRole('article').waitFor()
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    expect(wide, hash).toBeLessThanOrEqual(0)
    const cut = await page.getByRole('article').evaluate((node) => node.scrollWidth - node.clientWidth)
    expect(cut, hash).toBeLessThanOrEqual(0)
  }
})
