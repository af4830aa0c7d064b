import { expect, startWire, test } from './fixture.ts'

// Finding commands among all sessions, by their words, by what came back, by verdict and table.

test('a reviewer finds commands of live sessions, plays one at its moment; offline what is kept is found', async ({
  openConsole,
  psql,
  world,
}) => {
  const shell = await psql('copilot-search', { groups: ['shop-agents'], purpose: 'a question' })
  shell.send("SELECT 'before it' AS first;")
  await shell.prints(/^before it$/m)
  shell.send("SELECT 'zebra' || '-crossing' AS animal;")
  await shell.prints(/^zebra-crossing$/m)
  shell.send('SELECT secret FROM internal.api_keys;')
  await shell.prints(/denied by policy keys-stay-internal/)

  const wire = await startWire(world.api)
  const { page } = await openConsole('rae', { gateway: wire.url })
  await expect(page.getByText(/· live$/)).toBeVisible()
  await page.keyboard.press('g')
  await page.keyboard.press('s')
  await page.getByRole('listbox', { name: 'Sessions' }).waitFor()
  await page.keyboard.press('c')
  const list = page.getByRole('listbox', { name: 'Commands' })
  const field = page.getByPlaceholder('Words in commands and results')

  // Only the result has the word: the session still goes on.
  await field.fill('zebra-cross')
  await expect(list.getByRole('option')).toHaveCount(1)
  await expect(list.getByRole('option')).toContainText('in what came back')
  await field.press('Enter')
  await expect(page.getByRole('region', { name: 'Found command' })).toContainText("'zebra' || '-crossing'")
  await page.keyboard.press('Enter')
  await expect(page.getByRole('option', { selected: true }).filter({ hasText: 'animal' }).first()).toBeVisible()
  expect(Number(new URL(page.url()).hash.split('t=')[1])).toBeGreaterThan(0)
  await page.keyboard.press('Escape')

  await field.fill('')
  await page.getByLabel('Agent').selectOption({ label: 'copilot-search' })
  await page.getByLabel('Verdict').selectOption('denied')
  await expect(list.getByRole('option')).toHaveCount(1)
  await page.getByRole('combobox', { name: 'Table' }).fill('internal.api_keys')
  await expect(list.getByRole('option', { name: /api_keys/ })).toHaveCount(1)
  await page.getByLabel('Verdict').selectOption('allowed')
  await expect(page.getByText('No command fits')).toBeVisible()
  await page.getByLabel('Verdict').selectOption('denied')
  await list.getByRole('option', { name: /api_keys/ }).click()
  await page.keyboard.press('p')
  await expect(
    page
      .getByRole('region', { name: 'On this computer' })
      .getByText(/kept|so far|whole/i)
      .first(),
  ).toBeVisible()
  shell.send('\\q')
  await expect(page.getByText(/^whole: .*with its bundle/)).toBeVisible({ timeout: 30_000 })

  wire.cut()
  await expect(page.getByText(/reconnecting since|offline since/)).toBeVisible()
  await page.getByLabel('Verdict').selectOption('')
  await page.getByRole('combobox', { name: 'Table' }).fill('')
  await field.fill('zebra')
  await expect(page.getByText(/1, from this desktop/)).toBeVisible()
  await expect(list.getByRole('option')).toContainText('zebra')
  await wire.stop()
})
