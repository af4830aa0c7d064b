import { AxeBuilder } from '@axe-core/playwright'
import type { Approval } from '@countersign/contract/approval'
import type { Page } from '@playwright/test'
import { sampleAccess } from '../demo/access.ts'
import { samplePolicy, type World } from '../demo/world.ts'
import { expect, heldNotice, press, test } from './fixture.ts'

// Who answers for agents, and how they are stopped; whose duty it is; what happened in an emergency: through a real
// gateway, in the console, with a real psql on the wire.

const leads = `
@id("support-leads-look-at-tickets")
@hold("support-leads")
@reason("What a customer was told is changed by a lead alone")
forbid (principal, action == Action::"sql:write", resource == Table::"orders/public.tickets")
unless { context has approval };
`
test.use({ worldOptions: { ...sampleAccess, policy: samplePolicy({ 'leads.cedar': leads }) } })

const maintenance = { groups: ['shop-agents', 'maintenance-agents'] }
const live = (page: Page) => expect(page.getByText(/· live$/)).toBeVisible()
const foot = (page: Page) => page.getByRole('region', { name: /^What to do about/ })

async function clean(page: Page): Promise<void> {
  const axe = await new AxeBuilder({ page }).setLegacyMode().analyze()
  expect(axe.violations.map(({ id, nodes }) => [id, nodes.map((node) => node.target)])).toEqual([])
}

async function asPerson<T>(world: World, subject: string, path: string, body?: unknown): Promise<T> {
  const token = await world.people.personToken({ subject })
  const answer = await fetch(`${world.api}${path}`, {
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  })
  if (!answer.ok) throw new Error(await answer.text())
  return (await answer.json()) as T
}

test('an orphan gets a sponsor, is disabled under its open session, and everything is frozen and unfrozen', async ({
  openConsole,
  psql,
  world,
}) => {
  await asPerson(world, 'ben', '/v1/me')
  const { page } = await openConsole('admin')
  await live(page)
  const shell = await psql('batch-1', maintenance)
  shell.send("SELECT 'in';")
  await shell.prints(/^in$/m)

  await page.keyboard.press('g')
  await page.keyboard.press('g')
  await expect(page.getByRole('heading', { name: 'Agents', exact: true })).toBeVisible()
  const row = page.getByRole('listbox', { name: 'Agents' }).getByRole('option', { name: /batch-1/ })
  await expect(async () => {
    await page.keyboard.press('1')
    await expect(row).toContainText('no sponsor was named', { timeout: 1_000 })
  }).toPass()
  await row.click()
  const agent = page.getByRole('article', { name: 'Agent batch-1' })
  await expect(agent).toContainText('Nobody answers for it: no sponsor was named')
  await expect(page.getByRole('grid', { name: 'Permitted against used on orders' })).toBeVisible()
  await expect(agent.getByRole('heading', { name: /Open sessions/ })).toBeVisible()
  await clean(page)

  await page.getByRole('button', { name: 'Give it a sponsor' }).click()
  const edit = page.getByRole('dialog', { name: 'Edit batch-1' })
  await edit.getByRole('combobox', { name: 'Sponsor' }).fill('ben')
  await expect(edit.getByRole('option', { name: /Ben Osei/ })).toBeVisible()
  await page.keyboard.press('Enter')
  await edit.getByLabel('Purpose').fill('nightly batch')
  await edit.getByRole('button', { name: 'Save' }).click()
  await expect(foot(page)).toContainText('applied')
  await expect(agent).not.toContainText('Nobody answers for it')
  await expect(agent).toContainText('Ben Osei')

  await page.keyboard.press('x')
  const disable = page.getByRole('alertdialog')
  await expect(disable).toContainText('1 open session is closed within a second')
  await disable.getByLabel('Reason').fill('its key leaked')
  await page.keyboard.press('Enter')
  await expect(agent).toContainText('Disabled by Max Novak')
  shell.send("SELECT 'still in';")
  await shell.prints(/FATAL: {2}57P01: .*its key leaked/)
  await expect(agent).toContainText('its key leaked')

  const other = await psql('batch-2', maintenance)
  other.send("SELECT 'here';")
  await other.prints(/^here$/m)
  await page.keyboard.press('Control+k')
  await page.getByPlaceholder('Find anything, do anything').fill('freeze everything')
  await page.keyboard.press('Enter')
  const freeze = page.getByRole('alertdialog', { name: 'Freeze everything?' })
  await freeze.getByLabel('Reason').fill('incident 4411')
  const deed = freeze.getByRole('button', { name: 'Freeze everything' })
  await expect(deed).toBeDisabled()
  await freeze.getByLabel('Type everything to confirm').fill('everything')
  await deed.click()
  const banner = page.getByRole('alert').filter({ hasText: 'Everything is frozen' })
  await expect(banner).toBeVisible()
  other.send("SELECT 'still here';")
  await other.prints(/FATAL: {2}57P01: .*incident 4411/)
  await expect(banner).toContainText('incident 4411')
  await expect(banner).toContainText('Max Novak')
  const refused = await psql('batch-3', maintenance)
  await refused.prints(/FATAL/)

  await banner.getByRole('link', { name: 'See it' }).click()
  await page.getByRole('button', { name: 'Unfreeze everything…' }).click()
  await page.getByRole('alertdialog').getByLabel('Reason').fill('found and mended')
  await page.keyboard.press('Enter')
  await expect(banner).toBeHidden()
  const again = await psql('batch-3', maintenance)
  again.send("SELECT 'back';")
  await again.prints(/^back$/m)
})

test('duty is handed over and decided by the delegate; an emergency is counted, reviewed, and then no more', async ({
  openConsole,
  agent,
  world,
}) => {
  await asPerson(world, 'ada', '/v1/me')
  const ben = await openConsole('ben')
  await live(ben.page)
  await ben.page.keyboard.press('g')
  await ben.page.keyboard.press(',')
  await ben.page.getByRole('button', { name: 'Hand over…' }).click()
  const dialog = ben.page.getByRole('dialog', { name: 'Hand over your duty' })
  await dialog.getByRole('combobox', { name: 'To' }).fill('ada')
  await expect(dialog.getByRole('option', { name: /Ada Lind/ })).toBeVisible()
  await ben.page.keyboard.press('Enter')
  await dialog.getByLabel('Reason').fill('on leave')
  await dialog.getByRole('button', { name: 'Hand over' }).click()
  await expect(ben.page.getByText('Ada Lind decides in place of you')).toBeVisible()

  const ada = await openConsole('ada')
  const client = await agent('helper-1', maintenance)
  const notice = heldNotice(client)
  const answer = client.query("UPDATE tickets SET body = 'answered' WHERE id = 1")
  const held = await notice
  await ada.page.goto(`${new URL(ada.page.url()).origin}/#/queue/${held}`)
  await expect(ada.page.getByRole('article')).toContainText('support-leads')
  await press(ada.page, 'Approve')
  await answer
  await expect(ada.page.getByRole('article')).toContainText(/in place of/)
  await ben.page.getByRole('button', { name: 'End…' }).click()
  await ben.page.getByRole('alertdialog').getByLabel('Reason').fill('back early')
  await ben.page.keyboard.press('Enter')
  await expect(ben.page.getByText('Ada Lind decides in place of you')).toBeHidden()
  await ben.close()

  const client2 = await agent('helper-2', maintenance)
  const second = heldNotice(client2)
  const purge = client2.query('DELETE FROM payments WHERE id = 901')
  const id = await second
  const { command } = await asPerson<Approval>(world, 'ben', `/v1/approvals/${id}`)
  const reason = 'checkout is down and nobody answers'
  const body = { verdict: 'approve', reason, window: 'once', digest: command.digest, breakGlass: true }
  await asPerson(world, 'ben', `/v1/approvals/${id}/decisions`, body)
  await purge
  const rae = await openConsole('rae')
  await live(rae.page)
  await rae.page.getByRole('link', { name: /Agents.*1 uses? of break-glass to review/ }).click()
  const use = rae.page.getByRole('article', { name: 'Break-glass by Ben Osei' })
  await expect(use).toContainText(reason)
  await clean(rae.page)
  await rae.page.keyboard.press('w')
  await rae.page.getByRole('alertdialog').getByLabel('Reason').fill('two of us were online')
  await rae.page.keyboard.press('Enter')
  await expect(use).toContainText('not justified')
  await expect(use).toContainText('two of us were online')
  await expect(rae.page.getByRole('link', { name: /break-glass to review/ })).toBeHidden()
})
