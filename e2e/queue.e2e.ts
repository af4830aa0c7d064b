import type { Page } from '@playwright/test'
import { expect, heldNotice, press, startWire, test } from './fixture.ts'

// The path that everything hangs on: a real client, a hold on the wire, a person in the console, the outcome on the wire.

const maintenance = { groups: ['shop-agents', 'maintenance-agents'] }
const support = { groups: ['shop-agents', 'support-agents'] }

const option = (page: Page, text: string | RegExp) => page.getByRole('option', { name: text })
const live = (page: Page) => expect(page.getByText(/· live$/)).toBeVisible()

/** Opens the card whose command has this text, and decides by the button. */
async function decide(page: Page, text: string | RegExp, verdict: 'Approve' | 'Deny', reason?: string): Promise<void> {
  await option(page, text).click()
  if (reason) await page.getByLabel('Reason, kept with the record').fill(reason)
  await press(page, verdict)
}

test('held, approved in the console: the waiting psql prints its result, and the recording shows it', async ({
  openConsole,
  psql,
}) => {
  const { page } = await openConsole('ada')
  await live(page)
  const shell = await psql('cleanup-1', { ...maintenance, purpose: 'monthly purge, ticket FIN-1' })
  shell.send("DELETE FROM payments WHERE status = 'refunded' AND id < 100;")
  await shell.prints(/NOTICE: {2}00000: held for approval ap_\w+ \(oncall-dba, expires /)

  await option(page, /refunded/).click()
  const card = page.getByRole('article')
  await expect(card).toContainText("DELETE FROM payments WHERE status = 'refunded' AND id < 100")
  await expect(card).toContainText('cleanup-1')
  await expect(card).toContainText('monthly purge, ticket FIN-1')
  await expect(card).toContainText('production')
  await expect(card).toContainText('public.payments')
  await expect(card).toContainText('payments-need-a-person')
  await decide(page, /refunded/, 'Approve', 'month end')
  await shell.prints(/^DELETE 3$/m)
  await expect(page.getByText(/approved by you · ran, 3 rows/i).first()).toBeVisible()

  await page.getByRole('option', { name: /refunded/ }).click()
  await page.keyboard.press('r')
  await expect(page).toHaveURL(/#\/replay\//)
  await expect(page.getByText("DELETE FROM payments WHERE status = 'refunded'").first()).toBeVisible()
  await expect(page.getByText('Ada Lind').first()).toBeVisible()
  await expect(page.getByText('month end').first()).toBeVisible()
  await expect(page.getByText(/DELETE 3|3 rows/).first()).toBeVisible()
})

test('denied in the console: psql prints who and why, nothing ran, and its connection lives on', async ({
  openConsole,
  psql,
  world,
}) => {
  const { page } = await openConsole('ada')
  const shell = await psql('cleanup-2', maintenance)
  shell.send('DELETE FROM payments WHERE id = 555;')
  await shell.prints(/held for approval/)
  await decide(page, /id = 555/, 'Deny', 'not before the audit')
  await shell.prints(/ERROR: {2}42501: denied by Ada Lind: not before the audit/)
  shell.send("SELECT 'alive';")
  await shell.prints(/^alive$/m)
  expect(await world.database.query('SELECT id FROM payments WHERE id = 555', 'orders')).toHaveLength(1)
})

test('by keys alone: j and k move, a chooses, Enter sends', async ({ openConsole, agent }) => {
  const { page } = await openConsole('ada')
  const client = await agent('support-1', support)
  const notice = heldNotice(client)
  const answer = client.query("UPDATE customers SET tier = 'gold' WHERE id = $1", [31])
  const id = await notice
  await expect(option(page, /tier = 'gold' WHERE id = \$1/).first()).toBeVisible()
  await page.goto(`${new URL(page.url()).origin}/#/queue/${id}`)
  await expect(page.getByRole('article')).toContainText('31')
  await expect(async () => {
    await page.keyboard.press('a')
    await expect(page.getByRole('status').filter({ hasText: 'approves this command' })).toBeVisible({ timeout: 300 })
  }).toPass()
  await page.keyboard.press('Enter')
  expect((await answer).rowCount).toBe(1)
})

test('cancelled by the client: psql is told, the card says so and offers nothing', async ({ openConsole, psql }) => {
  const { page } = await openConsole('ada')
  const shell = await psql('cleanup-3', maintenance)
  shell.send('DELETE FROM payments WHERE id = 556;')
  await shell.prints(/held for approval/)
  await option(page, /id = 556/).click()
  await expect(page.getByRole('button', { name: /^Approve/ })).toBeVisible()
  shell.process.kill('SIGINT')
  await shell.prints(/ERROR: {2}57014/)
  await expect(page.getByRole('button', { name: /^Approve/ })).toBeHidden()
  await expect(page.getByRole('article')).toContainText(/cancelled/i)
})

test('the client went away: the approval is cancelled and never runs', async ({ openConsole, psql, world }) => {
  const { page } = await openConsole('ada')
  const shell = await psql('cleanup-4', maintenance)
  shell.send('DELETE FROM payments WHERE id = 557;')
  await shell.prints(/held for approval/)
  await option(page, /id = 557/).click()
  shell.process.kill('SIGKILL')
  await expect(page.getByRole('article')).toContainText(/cancelled/i)
  expect(await world.database.query('SELECT id FROM payments WHERE id = 557', 'orders')).toHaveLength(1)
})

test('a quorum of two asks two people; one approval shows who is still missing', async ({ openConsole, psql }) => {
  const ada = await openConsole('ada')
  const ben = await openConsole('ben')
  const shell = await psql('cleanup-5', maintenance)
  shell.send('DELETE FROM tmp_import_0931;')
  await shell.prints(/held for approval/)
  await option(ada.page, /tmp_import_0931/).click()
  await expect(ada.page.getByRole('article')).toContainText(/every row/)
  await decide(ada.page, /tmp_import_0931/, 'Approve')
  await expect(ada.page.getByRole('article')).toContainText(/1 more of oncall-dba/)
  expect(shell.output).not.toMatch(/DELETE 250/)
  await decide(ben.page, /tmp_import_0931/, 'Approve')
  await shell.prints(/^DELETE 250$/m)
})

test("nobody decides a command of one's own agent: the card says why", async ({ openConsole, psql }) => {
  const { page } = await openConsole('ada')
  const shell = await psql('copilot-of-ada', { ...support, claims: { owner: 'ada@shop.example' } })
  shell.send("UPDATE customers SET tier = 'gold' WHERE id = 32;")
  await shell.prints(/held for approval/)
  await option(page, /id = 32/).click()
  await expect(page.getByRole('article')).toContainText(/own/i)
  await expect(page.getByRole('button', { name: /^Approve/ })).toBeHidden()
})

test('decided elsewhere: the card stops offering keys at once, and the notification is withdrawn', async ({
  openConsole,
  psql,
}) => {
  const ada = await openConsole('ada')
  const ben = await openConsole('ben')
  await ada.page.evaluate(() => {
    const log: string[] = []
    Object.assign(window, { log })
    window.Notification = class extends EventTarget {
      static permission = 'granted'
      constructor(title: string, options: NotificationOptions) {
        super()
        log.push(`shown ${title} ${options.body}`)
      }
      close() {
        log.push('closed')
      }
    } as unknown as typeof Notification
    // An unfocused window: a focused one is told inside the page only.
    document.hasFocus = () => false
    window.dispatchEvent(new Event('blur'))
  })
  const shell = await psql('cleanup-6', maintenance)
  shell.send('DELETE FROM payments WHERE id = 558;')
  await shell.prints(/held for approval/)
  await option(ada.page, /id = 558/).click()
  await expect(ada.page.getByRole('button', { name: /^Approve/ })).toBeVisible()
  const log = () => ada.page.evaluate(() => (window as unknown as { log: string[] }).log)
  await expect.poll(log).toContainEqual(expect.stringMatching(/^shown .*cleanup-6/))
  await decide(ben.page, /id = 558/, 'Approve', 'fine by me')
  await expect(ada.page.getByRole('button', { name: /^Approve/ })).toBeHidden()
  await expect.poll(log).toContain('closed')
  await expect(ada.page.getByRole('article')).toContainText('Ben Osei')
  await shell.prints(/^DELETE 1$/m)
})

test('the gateway is killed under a hold: it never ran, and is shown as cancelled', async ({
  openConsole,
  psql,
  world,
}) => {
  const { page } = await openConsole('ada')
  const shell = await psql('cleanup-7', maintenance)
  shell.send('DELETE FROM payments WHERE id = 559;')
  await shell.prints(/held for approval/)
  await option(page, /id = 559/).click()
  await expect(page.getByRole('button', { name: /^Approve/ })).toBeVisible()
  await world.restartGateway('SIGKILL')
  await live(page)
  await expect(page.getByRole('article')).toContainText(/cancelled/i)
  await expect(page.getByRole('button', { name: /^Approve/ })).toBeHidden()
  expect(await world.database.query('SELECT id FROM payments WHERE id = 559', 'orders')).toHaveLength(1)
})

test('a link that was cut is shown as such, and what happened meanwhile arrives without a gap', async ({
  openConsole,
  psql,
  world,
}) => {
  const wire = await startWire(world.api)
  const { page } = await openConsole('ada', { gateway: wire.url })
  await live(page)
  const shells = [await psql('cleanup-8', maintenance), await psql('cleanup-9', maintenance)]
  shells[0]!.send('DELETE FROM payments WHERE id = 560;')
  await shells[0]!.prints(/held for approval/)
  await option(page, /id = 560/).click()

  wire.cut()
  await expect(page.getByText(/reconnecting since|offline since/).first()).toBeVisible()
  await expect(page.getByRole('article')).toContainText('Decisions can’t be made offline')
  shells[1]!.send('DELETE FROM payments WHERE id = 561;')
  await shells[1]!.prints(/held for approval/)
  shells[0]!.process.kill('SIGINT')
  await shells[0]!.prints(/57014/)

  wire.mend()
  await live(page)
  await expect(option(page, /id = 561/)).toBeVisible()
  await expect(page.getByRole('article')).toContainText(/cancelled/i)
  await decide(page, /id = 561/, 'Approve')
  await shells[1]!.prints(/^DELETE 1$/m)
  await wire.stop()
})

test('hold=fail gives an id to come back with; once approved it runs once', async ({ openConsole, agent }) => {
  const { page } = await openConsole('ada')
  const client = await agent('cleanup-10', { ...maintenance, hold: 'fail' })
  const sql = 'DELETE FROM payments WHERE id = 562'
  const refused = async () =>
    (await client.query(sql).catch((error) => error)) as { code?: string; hint?: string; rowCount?: number }
  const first = await refused()
  expect(first.code).toBe('ZA001')
  const id = /ap_\w+/.exec(first.hint ?? '')?.[0]
  expect(id).toBeTruthy()
  expect((await refused()).hint).toContain(id)
  await decide(page, /id = 562/, 'Approve')
  await expect(page.getByText(/approved by you · not run yet/i).first()).toBeVisible()
  expect((await refused()).rowCount).toBe(1)
  const again = await refused()
  expect(again.code).toBe('ZA001')
  expect(again.hint).not.toContain(id!)
})

test('denied by policy: the console shows it in the session, the connection lives on', async ({
  openConsole,
  psql,
}) => {
  const { page } = await openConsole('aud')
  const shell = await psql('copilot-2', support)
  shell.send('SELECT secret FROM internal.api_keys;')
  await shell.prints(/ERROR: {2}42501: denied by policy keys-stay-internal/)
  shell.send("SELECT 'alive';")
  await shell.prints(/^alive$/m)
  await live(page)
  await page.keyboard.press('g')
  await page.keyboard.press('s')
  await page
    .getByRole('listbox', { name: 'Sessions' })
    .getByRole('option', { name: /copilot-2/ })
    .first()
    .click()
  await page.keyboard.press('Enter')
  await expect(page.getByText('SELECT secret FROM internal.api_keys').first()).toBeVisible()
  await expect(page.getByText('keys-stay-internal').first()).toBeVisible()
})
