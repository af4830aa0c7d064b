import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AxeBuilder } from '@axe-core/playwright'
import type { Page } from '@playwright/test'
import Database from 'better-sqlite3'
import type { World } from '../demo/world.ts'
import { expect, startWire, test } from './fixture.ts'

test.slow()

// An auditor on a train: what they note without a network is in the gateway once, and in its ledger once.

const live = (page: Page) => expect(page.getByText(/· live$/)).toBeVisible()
const away = (page: Page) => expect(page.getByText(/reconnecting since|offline since/).first()).toBeVisible()
const notes = (page: Page) => page.getByRole('listbox', { name: 'Notes', exact: true }).getByRole('option')

/** An agent's session with some commands, over. */
async function work(agent: (subject: string, options?: object) => Promise<import('pg').Client>) {
  const client = await agent('report-9', { groups: ['shop-agents'] })
  for (let i = 0; i < 6; i++) await client.query(`SELECT ${i} AS n, count(*) FROM products`)
  await client.end()
}

async function replay(page: Page, name = /report-9 →/) {
  await page.keyboard.press('g')
  await page.keyboard.press('s')
  await page.getByRole('option', { name }).click()
  await page.keyboard.press('r')
  await expect(page.getByRole('slider', { name: 'Place in the recording' })).toBeVisible()
  await expect(page.getByText(/count\(\*\)|DELETE FROM/).first()).toBeVisible()
}

async function note(page: Page, key: string, text: string, tag: string) {
  await page.keyboard.press(key)
  await page.keyboard.press('n')
  await page.keyboard.type(text)
  await page.keyboard.press('Tab')
  await page.getByRole('combobox', { name: 'Tags' }).fill(tag)
  await page.keyboard.press('Enter')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('form', { name: 'New note' })).toBeHidden()
}

/** What the ledger says of a session's people, in its order. */
function told(world: World): { type: string; by: string; where?: string; text?: string; reason?: string }[] {
  const ledger = new Database(join(world.folder, 'data', 'ledger', 'entries.sqlite'), { readonly: true })
  try {
    const rows = ledger
      .prepare(
        `SELECT type, payload FROM entries WHERE type IN ('annotation', 'annotation.withdrawn', 'playback') ORDER BY n`,
      )
      .all() as { type: string; payload: Buffer }[]
    return rows.map(({ type, payload }) => {
      const { by, where, text, reason } = JSON.parse(payload.toString())
      return { type, by: by.name, where, text, reason }
    })
  } finally {
    ledger.close()
  }
}

test('notes made without a network survive a restart and are in the gateway, and in its ledger, once', async ({
  openConsole,
  agent,
  world,
}) => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-desk-'))
  const wire = await startWire(world.api)
  try {
    await work(agent)
    const first = await openConsole('aud', { gateway: wire.url, folder })
    await live(first.page)
    await replay(first.page)

    wire.cut()
    await away(first.page)
    await first.page.keyboard.press('Escape')
    await replay(first.page)
    await expect(first.page.getByText('closed · from this desktop')).toBeVisible()
    await note(first.page, '1', 'Why did it look here?', 'question')
    await note(first.page, '5', 'Bidi \u202e and <b>markup</b>', 'finding')
    await note(first.page, '9', 'And the end of it', 'question')
    await expect(first.page.getByRole('button', { name: '3 notes wait to be sent' })).toBeVisible()
    await expect(notes(first.page)).toHaveCount(3)
    await expect(notes(first.page).nth(1)).toContainText('U+202E and <b>markup</b>')
    await expect(notes(first.page).nth(0)).toContainText('only here')
    const axe = await new AxeBuilder({ page: first.page }).setLegacyMode().analyze()
    expect(axe.violations.map(({ id, nodes }) => [id, nodes.map((node) => node.target)])).toEqual([])
    await first.close()

    const second = await openConsole('aud', { gateway: wire.url, folder })
    await away(second.page)
    await expect(second.page.getByRole('button', { name: '3 notes wait to be sent' })).toBeVisible()
    wire.mend()
    await live(second.page)
    await expect(second.page.getByRole('button', { name: /to be sent|sending/ })).toBeHidden()
    // Notes in the order in which they were written; playbacks go beside them.
    await expect
      .poll(() => told(world).filter(({ type }) => type === 'annotation'))
      .toMatchObject([
        { by: 'Aud Berg', text: 'Why did it look here?' },
        { by: 'Aud Berg', text: 'Bidi \u202e and <b>markup</b>' },
        { by: 'Aud Berg', text: 'And the end of it' },
      ])
    await expect
      .poll(() => told(world).filter(({ where }) => where === 'offline'))
      .toMatchObject([{ type: 'playback', by: 'Aud Berg' }])

    await replay(second.page)
    await second.page.keyboard.press('t')
    for (const n of [0, 1, 2]) await expect(notes(second.page).nth(n)).toContainText('in the log')

    // Others see them at once, and their author's withdrawal; the others can't withdraw them.
    const reviewer = await openConsole('rae')
    await live(reviewer.page)
    await replay(reviewer.page)
    await reviewer.page.keyboard.press('t')
    await expect(notes(reviewer.page)).toHaveCount(3)
    await notes(reviewer.page).nth(0).click()
    await expect(reviewer.page.getByRole('button', { name: /^Withdraw/ })).toHaveCount(0)
    await notes(second.page).nth(0).click()
    await second.page.keyboard.press('w')
    await second.page.keyboard.type('answered meanwhile')
    await second.page.keyboard.press('Enter')
    await expect(notes(reviewer.page).nth(0)).toContainText('withdrawn: answered meanwhile')
    await expect
      .poll(() => told(world).filter(({ type }) => type === 'annotation.withdrawn'))
      .toMatchObject([{ by: 'Aud Berg', reason: 'answered meanwhile' }])
    expect(told(world).filter(({ type }) => type === 'annotation')).toHaveLength(3)
  } finally {
    await wire.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})

test('who may only read reads: an approver sees the notes of their sessions, and no way to write', async ({
  openConsole,
  agent,
}) => {
  const client = await agent('cleanup-9', { groups: ['shop-agents', 'maintenance-agents'], hold: 'fail' })
  await expect(client.query('DELETE FROM payments WHERE id = 5')).rejects.toThrow()
  await client.end()
  const auditor = await openConsole('aud')
  await live(auditor.page)
  await replay(auditor.page, /cleanup-9 →/)
  await note(auditor.page, '0', 'For the approver to read', 'finding')
  await expect(notes(auditor.page).last()).toContainText('in the log')
  const approver = await openConsole('ada')
  await live(approver.page)
  await replay(approver.page, /cleanup-9 →/)
  await approver.page.keyboard.press('n')
  await expect(approver.page.getByRole('form', { name: 'New note' })).toHaveCount(0)
  await expect(notes(approver.page).first()).toContainText('For the approver to read')
  await expect(approver.page.getByRole('button', { name: /^Annotate/ })).toHaveCount(0)
})
