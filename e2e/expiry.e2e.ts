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
  const [, id] = /held for approval (ap_\w+)/.exec(await shell.prints(/held for approval/))!
  // By its address: in the list it is no longer, where the page needs longer than three seconds.
  await page.evaluate((hash) => {
    location.hash = hash
  }, `#/queue/${id}`)
  await expect(page.getByRole('article')).toContainText('id = 570')
  await shell.prints(/ERROR: {2}57014/)
  await expect(page.getByRole('article')).toContainText(/expired/i)
  await expect(page.getByRole('button', { name: /^Approve/ })).toBeHidden()
  shell.send("SELECT 'alive';")
  await shell.prints(/^alive$/m)
  expect(await world.database.query('SELECT id FROM payments WHERE id = 570', 'orders')).toHaveLength(1)
})
