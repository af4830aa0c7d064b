import type { Grant } from '@countersign/contract/access'
import type { Page } from '@playwright/test'
import { sampleAccess } from '../demo/access.ts'
import type { World } from '../demo/world.ts'
import { expect, press, startWire, test } from './fixture.ts'

// Access from being asked for to being over: through a real gateway, in the console, with a real psql on the wire.

test.use({ worldOptions: sampleAccess })

const maintenance = { groups: ['shop-agents', 'maintenance-agents'] }
const live = (page: Page) => expect(page.getByText(/· live$/)).toBeVisible()
const queued = (page: Page, text: string | RegExp) => page.getByRole('option', { name: text })
const grants = (page: Page) => page.getByRole('listbox', { name: 'Grants' })
const foot = (page: Page) => page.getByRole('region', { name: /^What to do about/ })

/** What an agent asks of the API with its own token. */
async function asAgent<T>(world: World, subject: string, path: string, body: unknown): Promise<T> {
  const token = await world.agents.agentToken({ subject, ...maintenance })
  const answer = await fetch(`${world.api}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!answer.ok) throw new Error(await answer.text())
  return (await answer.json()) as T
}

const payments = { connection: 'payments', actions: ['sql:read', 'sql:write'], resources: ['payments/public.payments'] }

async function toAccess(page: Page): Promise<void> {
  await page.keyboard.press('g')
  await page.keyboard.press('a')
  await expect(page.getByRole('heading', { name: 'Access', exact: true })).toBeVisible()
}

test('asked for, approved for less, used, revoked: the waiting psql is told why, the record has it all', async ({
  openConsole,
  psql,
  world,
}) => {
  const { page } = await openConsole('ada')
  await live(page)
  const asked = await asAgent<Grant>(world, 'purge-1', '/v1/grants', {
    ...payments,
    duration: '2h',
    purpose: 'monthly purge, ticket FIN-7 \u200b',
  })
  expect(asked.state).toBe('requested')

  await queued(page, /access to payments for 2 h/).click()
  const card = page.getByRole('article')
  await expect(card).toContainText('adds, changes and deletes rows')
  await expect(card).toContainText('payments/public.payments')
  await expect(card).toContainText('monthly purge, ticket FIN-7')
  await expect(card).toContainText('U+200B')
  await expect(card).toContainText('longer-or-writing-needs-a-person')
  await expect(card).toContainText('first access of purge-1 to payments')
  await expect(card).toContainText('In full, as the decision binds it')
  await page.getByRole('radio', { name: '1 h', exact: true }).click()
  await page.getByLabel('Reason, kept with the record').fill('an hour will do')
  await press(page, 'Approve')
  await expect(page.getByText('Approved by you · access was given').first()).toBeVisible()
  await expect(card).toContainText(/active\s*until/)

  const shell = await psql('purge-1', { ...maintenance, connection: 'payments' })
  shell.send("SELECT 'in', count(*) > 0 FROM payments;")
  await shell.prints(/^in\|t$/m)

  await toAccess(page)
  await grants(page)
    .getByRole('option', { name: /purge-1/ })
    .click()
  await expect(card).toContainText('shortened by who approved it; 2 h were asked for')
  await expect(card).toContainText('an hour will do')
  await expect(card).toContainText('Used by 1 session')
  await page.getByRole('button', { name: /^Revoke/ }).click()
  const dialog = page.getByRole('alertdialog')
  await expect(dialog).toContainText(/1 live session uses it and will be closed|1 session that you may not see used it/)
  await dialog.getByLabel('Reason').fill('wrong month')
  await page.keyboard.press('Enter')
  await expect(foot(page)).toContainText('applied')
  shell.send("SELECT 'still in';")
  expect(await shell.prints(/57P01/)).toContain('wrong month')
  expect(shell.output).not.toContain('still in')
  await expect(card).toContainText(/revoked.*by you: .*wrong month/)
  await card.getByRole('link', { name: /^.*se_/ }).click()
  await expect(page).toHaveURL(/#\/sessions\/se_/)
})

test('a plan is one card with all its steps; denied, nobody has access, and the record says by whom', async ({
  openConsole,
  world,
}) => {
  const ben = await openConsole('ben')
  await live(ben.page)
  await asAgent(world, 'planner-1', '/v1/plans', {
    title: 'Close the books',
    purpose: 'month end',
    steps: [
      { title: 'Count what is open', ...payments, actions: ['sql:read'], duration: '15m' },
      { title: 'Settle it', ...payments, duration: '30m' },
    ],
  })
  await queued(ben.page, /plan: Close the books · 2 steps/).click()
  const card = ben.page.getByRole('article')
  for (const said of ['Count what is open', '15 min', 'Settle it', '30 min', 'a plan of 2 steps, decided as one'])
    await expect(card).toContainText(said)
  await ben.page.getByLabel('Reason, kept with the record').fill('not in October')
  await press(ben.page, 'Deny')
  await expect(card).toContainText('What then happened')
  await toAccess(ben.page)
  await ben.page.getByRole('combobox', { name: 'State' }).selectOption('denied')
  await grants(ben.page)
    .getByRole('option', { name: /planner-1.*step 2 of 2/ })
    .click()
  await expect(card).toContainText('not in October')
  await expect(card.getByRole('region', { name: /Plan Close the books/ })).toContainText('Count what is open')
})

test('a person asks in the console: given at once, held and not theirs to decide, or refused in one sentence', async ({
  openConsole,
  world,
}) => {
  await asAgent<Grant>(world, 'report-1', '/v1/grants', {
    connection: 'payments',
    actions: ['sql:read'],
    duration: '5m',
    purpose: 'to be known',
  })
  const { page } = await openConsole('ada')
  await live(page)
  await toAccess(page)
  const dialog = page.getByRole('dialog', { name: 'Ask for access' })
  const ask = async (minutes: string, connection: string) => {
    await expect(async () => {
      await page.keyboard.press('n')
      await expect(dialog).toBeVisible({ timeout: 300 })
    }).toPass()
    await dialog.getByRole('combobox', { name: 'Agent', exact: true }).fill('report-1')
    await page.keyboard.press('Enter')
    await dialog.getByRole('combobox', { name: 'Connection' }).fill(connection)
    await page.keyboard.press('Enter')
    await dialog.getByLabel(/reads rows/).check()
    await dialog.getByLabel('How long, as in 90m, 2h or 3d').fill(minutes)
    await dialog.getByLabel(/^Purpose/).fill(`for ${minutes}`)
    await dialog.getByRole('button', { name: 'Ask', exact: true }).click()
  }
  await ask('10m', 'payments')
  await expect(dialog).toBeHidden()
  const card = page.getByRole('article')
  await expect(card).toContainText('for 10m')
  await expect(card).toContainText('gave it at once')
  await expect(card).toContainText('by you, a person, for this agent')

  await ask('1h', 'payments')
  await expect(dialog).toBeHidden()
  await expect(foot(page)).toContainText('It waits for a decision.')
  await page.keyboard.press('o')
  await expect(page).toHaveURL(/#\/queue\/ap_/)
  await expect(card).toContainText('Ada Lind, a person')
  await expect(page.getByRole('button', { name: /^Approve/ })).toBeHidden()
  await toAccess(page)

  // What nothing permits to ask for is refused in one sentence, and stays to be changed.
  await ask('10m', 'orders')
  await expect(dialog.getByRole('alert')).toBeVisible()
  await expect(dialog.getByLabel(/^Purpose/)).toHaveValue('for 10m')
  await page.keyboard.press('Escape')
})

test('extended by a new decision; without a link nothing is offered, and what was seen is there with its age', async ({
  openConsole,
  world,
}) => {
  const first = await asAgent<Grant>(world, 'report-2', '/v1/grants', {
    connection: 'payments',
    actions: ['sql:read'],
    duration: '10m',
    purpose: 'weekly figures',
  })
  expect(first.state).toBe('active')
  const wire = await startWire(world.api)
  const { page } = await openConsole('aud', { gateway: wire.url })
  await live(page)
  await toAccess(page)
  await grants(page)
    .getByRole('option', { name: /report-2/ })
    .click()
  const card = page.getByRole('article')
  await expect(card).toContainText('weekly figures')
  await expect(page.getByRole('button', { name: /^Revoke/ })).toBeHidden()
  await page.getByRole('button', { name: /^Extend/ }).click()
  await page.getByRole('dialog').getByRole('button', { name: '15 min' }).click()
  await page.getByRole('dialog').getByLabel('Purpose').fill('one more table')
  await page.keyboard.press('Enter')
  await foot(page).getByRole('link', { name: 'See the new request' }).click()
  await expect(card).toContainText('one more table')
  await expect(card.getByRole('link', { name: /the one until/ })).toBeVisible()

  wire.cut()
  await expect(page.getByText(/As the gateway told it/)).toBeVisible()
  await expect(foot(page)).toContainText('offline')
  await asAgent(world, 'report-2', `/v1/grants/${first.id}/revoke`, { reason: 'done early' })
  wire.mend()
  await live(page)
  await page.goto(`${new URL(page.url()).origin}/#/access/${first.id}`)
  await expect(card).toContainText('done early')
  await wire.stop()
})

test('break-glass: a way of its own, with a reason; marked everywhere', async ({ openConsole, psql }) => {
  const { page } = await openConsole('ada')
  const shell = await psql('cleanup-bg', maintenance)
  shell.send('DELETE FROM tmp_import_0931;')
  await shell.prints(/held for approval/)
  await queued(page, /tmp_import_0931/).click()
  await page.getByRole('button', { name: 'Break glass…' }).click()
  const dialog = page.getByRole('alertdialog')
  await expect(dialog).toContainText('another person reviews afterwards')
  await dialog.getByLabel('Reason').fill('the disk is full and Ben is asleep')
  await dialog.getByRole('button', { name: 'Break glass and approve' }).click()
  await shell.prints(/^DELETE 250$/m)
  await expect(page.getByText(/Approved by you alone \(break-glass\)/).first()).toBeVisible()
  await expect(page.getByRole('article')).toContainText('break-glass: alone, in an emergency')
})
