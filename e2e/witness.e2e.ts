import { execFileSync } from 'node:child_process'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from '@playwright/test'
import type { World } from '../demo/world.ts'
import { expect, startWire, test } from './fixture.ts'

test.slow()

// What no honest gateway does with its log is shown on every screen; evidence is verified where it is dropped.

const live = (page: Page) => expect(page.getByText(/· live$/)).toBeVisible()
const alarm = (page: Page) => page.getByRole('alert').filter({ hasText: 'don’t rely on its evidence' })
const data = (world: World) => join(world.folder, 'data')
const kept = (world: World) => join(world.folder, 'data.before')

/** An agent's session with so many commands, recorded and closed. */
async function work(agent: (subject: string, options?: object) => Promise<import('pg').Client>, commands: number) {
  const client = await agent('report-1', { groups: ['shop-agents'] })
  for (let i = 0; i < commands; i++) await client.query(`SELECT ${i} AS n, count(*) FROM products`)
  await client.end()
}

async function integrity(page: Page) {
  await page.keyboard.press('g')
  await page.keyboard.press('i')
  await expect(page.getByRole('heading', { name: 'Integrity' })).toBeVisible()
}

const size = async (page: Page) =>
  Number(
    /ledger ([\d,]+) ·/.exec((await page.getByText(/ledger [\d,]+ ·/).textContent()) ?? '')?.[1]?.replaceAll(',', '') ??
      0,
  )

/** Waits until the log was witnessed as grown beyond `from`. */
async function grown(page: Page, from: number): Promise<number> {
  await expect(async () => {
    await page.keyboard.press('v')
    expect(await size(page)).toBeGreaterThan(from)
  }).toPass()
  return size(page)
}

test('a data folder that was rolled back under the gateway is shown loudly, until a person says why', async ({
  openConsole,
  agent,
  world,
}) => {
  const { page } = await openConsole('aud')
  await live(page)
  await integrity(page)
  await expect(page.getByText(/^Every checkpoint seen since .* is an ancestor of the newest/)).toBeVisible()
  await expect(page.getByText('Nobody has compared this key yet')).toBeVisible()

  await world.gateway.stop()
  cpSync(data(world), kept(world), { recursive: true })
  await world.restartGateway()
  await live(page)
  const before = await grown(page, 0)
  await work(agent, 30)
  await grown(page, before + 30)

  await world.gateway.stop()
  rmSync(data(world), { recursive: true })
  cpSync(kept(world), data(world), { recursive: true })
  await world.restartGateway()
  await live(page)
  await expect(alarm(page)).toContainText(/The gateway’s log was (rolled back|forked)/)
  await page.keyboard.press('g')
  await page.keyboard.press('q')
  await expect(alarm(page)).toBeVisible()
  await page.reload()
  await expect(alarm(page)).toBeVisible()

  await page.getByRole('link', { name: 'See both sides' }).click()
  await expect(page.getByRole('region', { name: 'What this desktop relies on', exact: true })).toContainText('entries')
  await expect(page.getByRole('region', { name: 'What was shown instead', exact: true })).toContainText('entries')
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: /^Export the proof/ }).click(),
  ])
  expect(download.suggestedFilename()).toMatch(/^log-(rolled-back|forked)-.*\.tar$/)

  await expect(page.getByRole('button', { name: 'Acknowledge' })).toBeDisabled()
  await page.getByLabel('What it was, kept with the evidence').fill('restored by a test')
  await page.getByRole('button', { name: 'Acknowledge' }).click()
  await expect(page.getByText('restored by a test')).toBeVisible()
  // A log that is first smaller and then another one is two findings.
  await expect(async () => {
    const soon = { timeout: 3_000 }
    if (await alarm(page).isVisible()) {
      await page.getByRole('link', { name: 'See both sides' }).click(soon)
      await page.getByLabel('What it was, kept with the evidence').fill('the same', soon)
      await page.getByRole('button', { name: 'Acknowledge' }).click(soon)
    }
    await expect(alarm(page)).toBeHidden(soon)
  }).toPass()
  await page.keyboard.press('Escape')
  await expect(page.getByText(/^Every checkpoint seen since .* is an ancestor of the newest/)).toBeVisible()
})

test('a log that goes on otherwise than it was seen is shown as forked', async ({ openConsole, agent, world }) => {
  const wire = await startWire(world.api)
  await world.gateway.stop()
  rmSync(kept(world), { recursive: true, force: true })
  cpSync(data(world), kept(world), { recursive: true })
  await world.restartGateway()
  const { page } = await openConsole('aud', { gateway: wire.url })
  await live(page)
  await work(agent, 5)
  await integrity(page)
  const seen = await grown(page, 5)

  wire.cut()
  await expect(page.getByText(/reconnecting since|offline since/).first()).toBeVisible()
  await world.gateway.stop()
  rmSync(data(world), { recursive: true })
  cpSync(kept(world), data(world), { recursive: true })
  await world.restartGateway()
  await work(agent, seen)
  wire.mend()
  await live(page)
  await expect(alarm(page)).toContainText('The gateway’s log was forked')
  await wire.stop()
})

test('a bundle that is dropped is verified there and then; a flipped bit in it is named', async ({
  openConsole,
  agent,
  world,
}) => {
  const { page } = await openConsole('aud')
  await live(page)
  await work(agent, 3)
  await integrity(page)
  await grown(page, 0)
  await page.keyboard.press('g')
  await page.keyboard.press('s')
  await page
    .getByRole('listbox', { name: 'Sessions' })
    .getByRole('option', { name: /report-1/ })
    .first()
    .click()
  const session = /sessions\/(\w+)/.exec(page.url())![1]!
  const file = join(world.folder, 'evidence.tar')
  const gateway = join(import.meta.dirname, '../gateway/bin/countersign-gateway.js')
  const cut = ['export', '--config', world.configFile, '--session', session, '--out', file]
  // There is one once a checkpoint covers it, a moment after it began.
  await expect(() => execFileSync(process.execPath, [gateway, ...cut], { stdio: 'pipe' })).toPass()
  const bundle = readFileSync(file)
  const at = bundle.indexOf('FROM products')
  expect(at).toBeGreaterThan(0)
  const flipped = Buffer.from(bundle)
  flipped[at]! ^= 1
  writeFileSync(join(world.folder, 'flipped.tar'), flipped)

  await integrity(page)
  await drop(page, 'evidence.tar', bundle)
  const found = page.getByRole('article')
  await expect(found).toContainText('Every byte is what the log')
  await expect(found).toContainText('nobody has compared it yet')
  await expect(found.getByText('recording', { exact: false }).first()).toBeVisible()

  await drop(page, 'flipped.tar', flipped)
  await expect(found).toContainText('This is not what was logged')
  await expect(found).toContainText(`recordings/${session}.ndjson`)
  await expect(page.getByRole('option', { name: /flipped\.tar.*broken/ })).toBeVisible()
  await expect(page.getByRole('option', { name: /evidence\.tar.*whole/ })).toBeVisible()
})

/** As a person drops a file from elsewhere on the screen. */
async function drop(page: Page, name: string, bytes: Buffer): Promise<void> {
  const carried = await page.evaluateHandle(
    ([name, base64]) => {
      const transfer = new DataTransfer()
      const bytes = Uint8Array.from(atob(base64!), (letter) => letter.charCodeAt(0))
      transfer.items.add(new File([bytes], name!, { type: 'application/x-tar' }))
      return transfer
    },
    [name, bytes.toString('base64')],
  )
  for (const type of ['dragenter', 'dragover', 'drop'])
    await page.dispatchEvent('[aria-label="Integrity"]', type, { dataTransfer: carried })
}
