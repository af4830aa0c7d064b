import { expect, test } from './fixture.ts'

test.use({ worldOptions: { config: { approvals: { expires: '3s' } } } })

test('nobody decided in time: the client gets 57014, the card says that it expired', async ({
  openConsole,
  psql,
  world,
}) => {
  const { page } = await openConsole('ada')
  await expect(page.getByText(/· live$/)).toBeVisible()
  const shell = await psql('cleanup-1', { groups: ['shop-agents', 'maintenance-agents'] })
  shell.send('DELETE FROM payments WHERE id = 570;')
  await shell.prints(/held for approval/)
  await page.getByRole('option', { name: /id = 570/ }).click()
  await shell.prints(/ERROR: {2}57014/)
  await expect(page.getByRole('article')).toContainText(/expired/i)
  await expect(page.getByRole('button', { name: /^Approve/ })).toBeHidden()
  shell.send("SELECT 'alive';")
  await shell.prints(/^alive$/m)
  expect(await world.database.query('SELECT id FROM payments WHERE id = 570', 'orders')).toHaveLength(1)
})
