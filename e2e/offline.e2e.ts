import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from '@playwright/test'
import Database from 'better-sqlite3'
import type { World } from '../demo/world.ts'
import { expect, startWire, test } from './fixture.ts'

test.slow()

// An auditor's whole way on a train: a pinned session, no network from the start, words → replay → evidence → note →
// every export; and then the network again. What was said and shown is nowhere on the disk to be read.

const canary = 'canary-4f1d-zebra'
const live = (page: Page) => expect(page.getByText(/· live$/)).toBeVisible()
const away = (page: Page) => expect(page.getByText(/reconnecting since|offline since/).first()).toBeVisible()

async function shot(page: Page, name: string) {
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${name}.png` })
}

/** What the ledger has of people's own doing, by session. */
function told(world: World): { type: string; session: string; where?: string; text?: string }[] {
  const ledger = new Database(join(world.folder, 'data', 'ledger', 'entries.sqlite'), { readonly: true })
  try {
    const rows = ledger
      .prepare(`SELECT type, session, payload FROM entries WHERE type IN ('annotation', 'playback') ORDER BY n`)
      .all() as { type: string; session: string; payload: Buffer }[]
    return rows.map(({ payload, ...row }) => ({ ...row, ...JSON.parse(payload.toString()) }))
  } finally {
    ledger.close()
  }
}

/** Files below `folder` in which `words` stand as they are. */
function filesWith(folder: string, words: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => {
    const path = join(folder, name)
    return statSync(path).isFile() && readFileSync(path).includes(words)
  })
}

for (const colorScheme of ['light', 'dark'] as const)
  test(`started without a network, a pinned session is found, replayed, verified, annotated and exported; then it is told once (${colorScheme})`, async ({
    openConsole,
    agent,
    world,
  }) => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-train-'))
    const wire = await startWire(world.api)
    const name = `train-${colorScheme}`
    const words = `${canary}-${colorScheme}`
    try {
      const client = await agent(name, { groups: ['shop-agents'], purpose: 'month-end report' })
      for (let i = 0; i < 5; i++) await client.query(`SELECT ${i} AS n, count(*) FROM products`)
      await client.query(`SELECT '${words}' AS word`)
      await client.query('SELECT secret FROM internal.api_keys').catch(() => {})
      await client.end()

      const first = await openConsole('aud', { gateway: wire.url, folder, colorScheme })
      await live(first.page)
      await first.page.keyboard.press('g')
      await first.page.keyboard.press('s')
      await first.page.getByRole('option', { name: new RegExp(`${name} →`) }).click()
      await first.page.keyboard.press('p')
      const kept = first.page.getByRole('region', { name: 'On this computer' })
      await expect(kept.getByText(/^whole: .*with its bundle/)).toBeVisible()
      await first.close()
      wire.cut()

      const { page, close } = await openConsole('aud', { gateway: wire.url, folder, colorScheme })
      await away(page)
      await page.keyboard.press('g')
      await page.keyboard.press('s')
      await page.keyboard.press('/')
      await page.getByPlaceholder('Words in commands').fill(words)
      await expect(page.getByText(/1, from this desktop/)).toBeVisible()
      await shot(page, `1-found-${colorScheme}`)
      await page.keyboard.press('Enter')
      await page.keyboard.press('r')
      await expect(page.getByText('closed · from this desktop')).toBeVisible()
      await expect(page.getByText(words).first()).toBeVisible()
      await page.keyboard.press('5')
      await page.keyboard.press('n')
      await page.keyboard.type(`Why ${words}-note?`)
      await shot(page, `2-annotating-${colorScheme}`)
      await page.keyboard.press('Enter')
      await expect(page.getByRole('button', { name: '1 note waits to be sent' })).toBeVisible()
      await shot(page, `3-annotated-${colorScheme}`)
      const session = /se_[a-z0-9]+/.exec(page.url())![0]

      // The evidence, by what is here. While the form is there Escape is the form's.
      await expect(page.getByRole('form', { name: 'New note' })).toBeHidden()
      await page.keyboard.press('Escape')
      await page
        .getByRole('button', { name: /^Verify/ })
        .first()
        .click()
      await page
        .getByRole('button', { name: 'What was found' })
        .or(page.getByRole('link', { name: 'What was found' }))
        .click()
      await expect(page.getByText(/^Every byte is what the log/).first()).toBeVisible()
      await shot(page, `4-verified-${colorScheme}`)
      await page.evaluate((id) => {
        location.hash = `#/replay/${id}`
      }, session)
      await expect(page.getByText('closed · from this desktop')).toBeVisible()

      const exported = async (what: RegExp) => {
        await page.keyboard.press('e')
        await expect(page.getByRole('dialog')).toBeVisible()
        await shot(page, `5-exports-${colorScheme}`)
        const download = page.waitForEvent('download')
        await page.getByRole('dialog').getByRole('button', { name: what }).click()
        return readFileSync(await (await download).path(), 'utf8')
      }
      for (const what of [/^Transcript/, /^Table of commands/, /^Terminal recording/, /^Recording/, /^Report/]) {
        const text = await exported(what)
        expect(text).toContain(words)
      }
      expect(await exported(/^Evidence bundle/)).toContain('manifest.json')
      expect(await exported(/^Report/)).toContain('Verified: whole')

      expect(filesWith(folder, words)).toEqual([])
      expect(told(world).filter((one) => one.session === session && one.where === 'offline')).toEqual([])
      wire.mend()
      await live(page)
      await expect(page.getByRole('button', { name: /to be sent|sending/ })).toBeHidden()
      const ours = () => told(world).filter((one) => one.session === session)
      await expect
        .poll(() => ours().filter(({ type }) => type === 'annotation'))
        .toMatchObject([{ text: `Why ${words}-note?` }])
      await expect.poll(() => ours().filter(({ where }) => where === 'offline').length).toBeGreaterThan(0)
      expect(ours().filter(({ where }) => where === 'offline')).toHaveLength(1)
      await shot(page, `6-told-${colorScheme}`)
      await close()
      expect(filesWith(folder, words)).toEqual([])
    } finally {
      await wire.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  })
