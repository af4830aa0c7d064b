import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startIssuer } from '../demo/issuer.ts'
import { startBrowserShell } from '../src/main/browser/shell.ts'
import { longRecordingBytes } from '../src/main/core/testing/long-recording.ts'
import { startSmallGateway } from '../src/main/core/testing/small-gateway.ts'
import { expect, startWire, test } from './fixture.ts'

// The auditor's offline desk: what is kept is played, searched and exported with the network cut.

test('an auditor pins a session, the network goes, and it plays, is found, searched and exported', async ({
  openConsole,
  psql,
  world,
}) => {
  const shell = await psql('copilot-lib', { groups: ['shop-agents'], purpose: 'offline desk' })
  shell.send("SELECT 'first of three';")
  await shell.prints(/^first of three$/m)
  shell.send('SELECT secret FROM internal.api_keys;')
  await shell.prints(/denied by policy keys-stay-internal/)
  shell.send('\\q')

  const wire = await startWire(world.api)
  const { page } = await openConsole('aud', { gateway: wire.url })
  await expect(page.getByText(/· live$/)).toBeVisible()
  await page.keyboard.press('g')
  await page.keyboard.press('s')
  await page
    .getByRole('listbox', { name: 'Sessions' })
    .getByRole('option', { name: /copilot-lib/ })
    .first()
    .click()
  await page.keyboard.press('p')
  const kept = page.getByRole('region', { name: 'On this computer' })
  await expect(kept.getByText(/^whole: .*with its bundle/)).toBeVisible()

  wire.cut()
  await expect(page.getByText(/reconnecting since|offline since/)).toBeVisible()
  await page.keyboard.press('/')
  await page.getByPlaceholder('Words in commands').fill('api_keys internal')
  await expect(page.getByText(/1, from this desktop/)).toBeVisible()
  await page.keyboard.press('Enter')
  await page.keyboard.press('r')
  await expect(page.getByText('from this desktop')).toBeVisible()
  await expect(page.getByText('SELECT secret FROM internal.api_keys').first()).toBeVisible()
  await page.keyboard.press(']')
  await expect(page.getByRole('option', { selected: true }).filter({ hasText: 'api_keys' })).toBeVisible()
  await page.keyboard.press('/')
  await page.getByPlaceholder('Find in commands, results and errors').fill('FIRST OF')
  await page.keyboard.press('Enter')
  await expect(page.getByText('1 of 1')).toBeVisible()
  await page.keyboard.press('Escape')
  await page.getByRole('article').click()

  const exported = async (name: RegExp) => {
    await page.keyboard.press('e')
    const download = page.waitForEvent('download')
    await page.getByRole('dialog').getByRole('button', { name }).click()
    const file = await download
    return { name: file.suggestedFilename(), bytes: readFileSync(await file.path()) }
  }
  const transcript = await exported(/^Transcript/)
  expect(transcript.bytes.toString()).toContain('denied by keys-stay-internal')
  expect((await exported(/^Table of commands/)).bytes.toString()).toMatch(/first of three.*,completed,SELECT 1,1,/)
  const cast = (await exported(/^Terminal recording/)).bytes.toString().split('\n')
  expect(JSON.parse(cast[0]!)).toMatchObject({ version: 3 })
  const bundle = await exported(/^Evidence bundle/)
  expect(bundle.name).toMatch(/\.tar$/)
  expect(bundle.bytes.subarray(0, 13).toString()).toBe('manifest.json')
  await wire.stop()
})

test('200,000 commands, 100 MB: it opens while it comes, seeks, plays at 32×, is searched, and few of it are on the page', async ({
  browser,
}) => {
  test.setTimeout(240_000)
  const folder = mkdtempSync(join(tmpdir(), 'countersign-e2e-library-'))
  const issuer = await startIssuer({ people: [{ subject: 'aud', name: 'Aud', groups: [] }] })
  const gateway = await startSmallGateway({ issuer: issuer.url, clientId: issuer.clientId, resource: issuer.resource })
  const commands = 200_000
  const bytes = longRecordingBytes('se_long', commands, 100e6)
  gateway.open({ id: 'se_long', state: 'closed', recording: { bytes: bytes.length, complete: true } })
  gateway.recordingBytes.set('se_long', bytes)
  const shell = await startBrowserShell({
    folder,
    gateway: gateway.url,
    opener: { open: async (url) => void issuer.completeLogin(url, 'aud') },
  })
  const page = await browser.newPage()
  try {
    await shell.core.call('signIn', { gateway: gateway.url })
    await page.goto(shell.url)
    await expect(page.getByText(/· live$/)).toBeVisible()
    await page.evaluate(() => {
      location.hash = '#/replay/se_long'
    })
    // Before all of it is here.
    await expect(page.getByText(/reading it in: /)).toBeVisible({ timeout: 60_000 })
    await expect(page.getByRole('option', { name: /SELECT id, name/ }).first()).toBeVisible()
    await expect(page.getByText(/reading it in: /)).toBeHidden({ timeout: 120_000 })
    await gateway.down()
    await expect(page.getByText(/reconnecting since|offline since/)).toBeVisible()

    const place = page.getByRole('slider', { name: 'Place in the recording' })
    const at = async () => Number(await place.getAttribute('aria-valuenow'))
    const steps = page.getByRole('listbox', { name: 'Steps' })
    const current = () => steps.getByRole('option', { selected: true })
    const position = async () => Number(await current().getAttribute('aria-posinset'))
    for (const tenth of ['9', '1', '5']) {
      await page.keyboard.press(tenth)
      await expect(current()).toContainText(/SELECT|UPDATE/)
      await expect(page.locator('[data-step][aria-current], [data-step] [aria-current]')).toContainText(/SELECT|UPDATE/)
    }
    expect(await current().getAttribute('aria-setsize')).toBe(String(commands + 1))
    expect(await page.locator('*').count()).toBeLessThan(3000)

    // By the timeline, by markers, by steps.
    const box = (await place.boundingBox())!
    await page.mouse.click(box.x + box.width * 0.73, box.y + 10)
    await expect(current()).toContainText(/SELECT|UPDATE/)
    const clicked = await position()
    await page.keyboard.press('.')
    await expect.poll(position).toBeGreaterThan(clicked)
    const before = await at()
    await page.keyboard.press(']')
    expect(await at()).toBeGreaterThanOrEqual(before)

    // Scrolled through by hand, past the end of what is counted with at once.
    const transcript = page.getByRole('region', { name: 'Transcript' })
    const first = async () => Number(await transcript.locator('[data-step]').first().getAttribute('data-step'))
    await page.keyboard.press('5')
    const middle = await first()
    await transcript.hover()
    for (let i = 0; i < 60; i++) await page.mouse.wheel(0, 6000)
    await expect.poll(first).toBeGreaterThan(middle + 2000)
    await expect(transcript.getByText(/SELECT|UPDATE/).first()).toBeVisible()

    await page.keyboard.press('0')
    for (let i = 0; i < 3; i++) await page.keyboard.press('>')
    await page.keyboard.press('Space')
    await expect.poll(position, { timeout: 30_000 }).toBeGreaterThan(500)
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/playing.png` })
    await page.keyboard.press('Space')

    await page.keyboard.press('/')
    await page.getByPlaceholder('Find in commands, results and errors').fill(`checked by batch ${7 * 28_000 + 3}'`)
    await expect(page.getByRole('search').getByRole('status')).toHaveText(/^1/, { timeout: 30_000 })
    await page.keyboard.press('Enter')
    await expect(current()).toContainText(`batch ${7 * 28_000 + 3}`)
    expect(await position()).toBeGreaterThan(190_000)
  } finally {
    await page.close()
    await shell.stop()
    await gateway[Symbol.asyncDispose]()
    await issuer.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})
