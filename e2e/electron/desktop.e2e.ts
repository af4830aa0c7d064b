import { expect, heldNotice, test } from '../fixture.ts'
import { openDesktop } from './desktop.ts'

// The desktop shell as it is built, from a held command to its outcome on the wire.

const maintenance = { groups: ['shop-agents', 'maintenance-agents'] }

test('the built desktop shell: held, opened by its link, denied; the agent is told who and why', async ({
  world,
  agent,
}) => {
  await using desktop = await openDesktop(world.api, 'ada')
  const { page } = desktop
  await expect(page.getByText(/· live$/)).toBeVisible()

  const client = await agent('cleanup-9', { ...maintenance, purpose: 'monthly purge' })
  const notice = heldNotice(client)
  const answer = client.query('DELETE FROM payments WHERE id = 901').then(
    () => 'it ran',
    (error: Error) => error.message,
  )
  const id = await notice
  await desktop.openLink(`countersign://approval/${id}`)
  await expect(page).toHaveURL(new RegExp(id))
  const card = page.getByRole('article')
  await expect(card).toContainText('DELETE FROM payments WHERE id = 901')
  await page.getByLabel('Reason, kept with the record').fill('not today')
  await expect(async () => {
    await page.getByRole('button', { name: /^Deny/ }).click({ timeout: 2_000 })
    await expect(page.getByText('This card has only just appeared')).toBeHidden({ timeout: 200 })
  }).toPass()
  expect(await answer).toMatch(/^denied by Ada.*: not today$/)
})

test('the built desktop shell: its page has no Node, and one door only', async ({ world }) => {
  await using desktop = await openDesktop(world.api, 'ada')
  await expect(desktop.page.getByText(/· live$/)).toBeVisible()
  const found = await desktop.page.evaluate(() => {
    const page = globalThis as unknown as Record<string, unknown>
    return {
      node: ['require', 'process', 'module', 'Buffer', 'global'].filter((name) => name in page),
      api: Object.keys(page.countersign as object).sort(),
    }
  })
  expect(found).toEqual({ node: [], api: ['call', 'on'] })
})
