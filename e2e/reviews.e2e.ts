import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AxeBuilder } from '@axe-core/playwright'
import { LedgerState } from '@countersign/contract/evidence'
import type { Campaign, CampaignItem, CampaignItemPage, Overlay } from '@countersign/contract/review'
import type { Page } from '@playwright/test'
import pg from 'pg'
import type { World } from '../demo/world.ts'
import { expect, startWire, test } from './fixture.ts'

// A reviewer works through 500 items: by keys alone, on a train for a while, and what she decides is what the gate does.

test.setTimeout(300_000)

const FLEET = 494
/** Those who may write: privileged, decided one by one. */
const KEEPERS = ['price-sync', 'keeper-1', 'keeper-2', 'keeper-3', 'keeper-4', 'keeper-5']

const live = (page: Page) => expect(page.getByText(/· live$/)).toBeVisible()
const away = (page: Page) => expect(page.getByText(/reconnecting since|offline since/).first()).toBeVisible()
const items = (page: Page) => page.getByRole('region', { name: 'Items' })
const shown = (page: Page, name: string) => page.getByRole('article', { name: `${name} on orders` })
const opened = (page: Page, name: string) => expect(shown(page, name)).toBeVisible()

/** Certifies the item that is open, as a person would: looks at it, chooses, decides; the next one comes. */
async function certify(page: Page, name: string): Promise<void> {
  await opened(page, name)
  // An item that has only just come isn't decided by a key: it is pressed again.
  await expect(async () => {
    await page.keyboard.press('c')
    await expect(page.getByText('certifies this access')).toBeVisible({ timeout: 500 })
  }).toPass()
  await page.keyboard.press('Enter')
  await expect(shown(page, name)).toBeHidden()
}

/** Decides otherwise, which asks for a reason. */
async function decide(page: Page, name: string, key: 'u' | 'v' | 'b', reason: string): Promise<void> {
  await opened(page, name)
  await expect(async () => {
    await page.keyboard.press(key)
    await expect(page.getByRole('alertdialog')).toBeVisible({ timeout: 500 })
  }).toPass()
  await page.keyboard.type(reason)
  await page.keyboard.press('Enter')
  await expect(page.getByRole('alertdialog')).toBeHidden()
}

test('500 items by keyboard, part of them offline; a reduce is denied at the gate, and the pack says so and verifies', async ({
  openConsole,
  world,
}) => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-review-'))
  const wire = await startWire(world.api)
  try {
    const rae = await caller(world, 'rae')
    const max = await caller(world, 'admin')
    await rae('/v1/me')
    await fleet(world)
    const sync = await client(world, 'price-sync', ['shop-agents', 'maintenance-agents'])
    await sync.query('SELECT id, name, price FROM products')
    await sync.query('UPDATE products SET price = price WHERE id = 3')
    const campaign = await started(rae, world)
    expect(campaign.counts).toMatchObject({ items: 500, undecided: 500, privileged: KEEPERS.length })

    // The riskiest first, one by one.
    const desk = await openConsole('rae', { gateway: wire.url, folder })
    const { page } = desk
    await live(page)
    await page.keyboard.press('g')
    await page.keyboard.press('r')
    await page.getByRole('option', { name: /Everything on orders/ }).waitFor()
    await page.keyboard.press('j')
    await page.keyboard.press('Enter')
    await page.getByRole('article', { name: /^Campaign/ }).waitFor()
    await items(page)
      .getByRole('option', { name: /keeper-1/ })
      .waitFor()
    await page.keyboard.press('n')
    await certify(page, 'keeper-1')
    await decide(page, 'keeper-2', 'v', 'its job ended in May')
    for (const name of ['keeper-3', 'keeper-4', 'keeper-5']) await certify(page, name)
    await decide(page, 'price-sync', 'u', 'it keeps prices, nothing else')
    await certify(page, 'fleet-001')
    await expect(items(page).getByText('7 of 500')).toBeVisible({ timeout: 60_000 })
    await opened(page, 'fleet-002')

    // In the tunnel: evidence is here, decisions wait; somebody else decides one of them meanwhile.
    wire.cut()
    await away(page)
    for (let n = 2; n <= 12; n++) await certify(page, fleetName(n))
    await decide(page, 'fleet-013', 'b', 'I know its owner too well')
    await decide(page, 'fleet-014', 'v', 'nobody remembers it')
    await expect(page.getByRole('button', { name: /^13 changes wait to be sent/ })).toBeVisible()
    const [contested] = (await all(rae, campaign.id)).filter(({ name }) => name === 'fleet-012')
    await rae(
      `/v1/campaigns/${campaign.id}/items/${contested!.id}/decisions/${randomUUID()}`,
      { verdict: 'revoke', reason: 'from another desk', revision: contested!.revision },
      'PUT',
    )
    wire.mend()
    await live(page)
    await expect(page.getByRole('button', { name: '1 refused: choose' })).toBeVisible({ timeout: 60_000 })
    const after = new Map((await all(rae, campaign.id)).map((item) => [item.name, item]))
    expect([1, 2, 11, 12, 13, 14, 15].map((n) => after.get(fleetName(n))!.verdict)).toEqual([
      ...['certify', 'certify', 'certify', 'revoke', 'abstain', 'revoke', 'undecided'],
    ])
    await page.keyboard.press('/')
    await page.keyboard.type('fleet-012')
    await page.keyboard.press('Enter')
    await expect(page.getByText('Your decision was not taken.')).toBeVisible()
    await page.getByRole('button', { name: 'Keep theirs' }).press('Enter')
    await expect(page.getByRole('button', { name: /refused: choose/ })).toBeHidden()
    const axe = await new AxeBuilder({ page }).setLegacyMode().analyze()
    expect(axe.violations.map(({ id, nodes }) => [id, nodes.map((node) => node.target)])).toEqual([])

    // What is alike is decided together, after a look at what that would do.
    await page.keyboard.press('/')
    await page.keyboard.press('Escape')
    await page.keyboard.press('n')
    await opened(page, 'fleet-015')
    await page.keyboard.press('Shift+A')
    await expect(page.getByText(/^48[01] items chosen/)).toBeVisible()
    await page.keyboard.press('Shift+X')
    const dialog = page.getByRole('alertdialog')
    await dialog.getByRole('radio', { name: 'Certify' }).press('Space')
    await dialog.getByLabel('Reason').fill('the fleet reads the shop, as it should')
    await page.keyboard.press('Enter')
    await expect(dialog.getByText('480 items will be decided')).toBeVisible()
    await expect(dialog.getByRole('button', { name: 'Certify 480' })).toBeEnabled()
    await page.keyboard.press('Enter')
    await expect(dialog).toBeHidden()
    await expect(items(page).getByText('500 of 500')).toBeVisible({ timeout: 60_000 })

    // Another pair of eyes, and the gate does it: in the session that is open, too.
    const admin = await openConsole('admin')
    await live(admin.page)
    const { items: proposed } = await max<{ items: Overlay[] }>('/v1/overlays?state=proposed')
    const overlay = proposed.find(({ agent }) => agent?.endsWith('#price-sync'))!
    await admin.page.goto(admin.page.url().replace(/#.*|$/, `#/policy/overlays/${overlay.id}`))
    await admin.page.getByRole('heading', { level: 2, name: /price-sync/ }).waitFor()
    // One that has only just come is answered by no key.
    await expect(async () => {
      await admin.page.keyboard.press('a')
      await admin.page.getByRole('alertdialog').waitFor({ timeout: 500 })
    }).toPass()
    await admin.page.getByRole('alertdialog').getByLabel('Reason').fill('')
    await admin.page.keyboard.type('looked at with Rae')
    await admin.page.keyboard.press('Enter')
    await expect(admin.page.getByText(/verified/i).first()).toBeVisible()
    await sync.query('UPDATE products SET price = price WHERE id = 4')
    await sync.query('SELECT id, price FROM products')
    await expect(sync.query('DELETE FROM products WHERE id = 12')).rejects.toMatchObject({
      code: '42501',
      message: expect.stringContaining(`denied by policy overlay/${overlay.id}`),
    })
    await expect(sync.query('SELECT * FROM customers')).rejects.toMatchObject({ code: '42501' })
    await sync.end()

    // The evidence needs nobody's word.
    await rae(`/v1/campaigns/${campaign.id}/close`, { reason: 'all decided' })
    await rae(`/v1/campaigns/${campaign.id}/sign-off`, { statement: 'every item was looked at' })
    const pack = join(folder, 'pack.tar')
    writeFileSync(pack, await rae.bytes(`/v1/campaigns/${campaign.id}/pack`))
    const key = LedgerState.parse(await rae('/v1/ledger')).keys.at(-1)!
    const verified = verify(pack, key)
    expect(verified.stdout + verified.stderr).toContain('500')
    expect(verified.status).toBe(0)
    const report = (await rae.bytes(`/v1/campaigns/${campaign.id}/report`)).toString()
    expect(report).toContain('price-sync')
    expect(report).toMatch(/verified/)
    const [reduced] = (await all(rae, campaign.id)).filter(({ name }) => name === 'price-sync')
    const whole = await rae<CampaignItemPage>(`/v1/campaigns/${campaign.id}/items/${reduced!.id}`)
    expect(whole.item).toMatchObject({ verdict: 'reduce', application: 'verified', overlay: overlay.id })
    expect(whole.decisions).toMatchObject([{ verdict: 'reduce', reason: 'it keeps prices, nothing else' }])
    const bytes = await rae.bytes(`/v1/campaigns/${campaign.id}/pack`)
    const at = bytes.indexOf('it keeps prices, nothing else')
    bytes[at] = bytes[at]! ^ 1
    writeFileSync(pack, bytes)
    expect(verify(pack, key).status).toBe(1)
  } finally {
    await wire.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})

const fleetName = (n: number) => `fleet-${String(n).padStart(3, '0')}`

/** 500 agents come once each: the registry knows them, and policy lets them read. */
async function fleet(world: World): Promise<void> {
  const come = async (subject: string, groups: string[]) => {
    const authorization = `Bearer ${await world.agents.agentToken({ subject, groups })}`
    const answer = await fetch(`${world.api}/v1/me`, { headers: { authorization } })
    if (!answer.ok) throw new Error(await answer.text())
  }
  for (const name of KEEPERS) await come(name, ['shop-agents', 'maintenance-agents'])
  for (let n = 1; n <= FLEET; n++) await come(fleetName(n), ['shop-agents'])
}

async function client(world: World, subject: string, groups: string[]): Promise<pg.Client> {
  const { host, port } = world.postgres
  const password = await world.agents.agentToken({ subject, groups })
  const made = new pg.Client({ host, port, database: 'orders', user: subject, password })
  await made.connect()
  return made
}

interface Call {
  <T>(path: string, body?: unknown, method?: string): Promise<T>
  bytes(path: string): Promise<Buffer>
}

async function caller(world: World, subject: string): Promise<Call> {
  const headers = {
    authorization: `Bearer ${await world.people.personToken({ subject })}`,
    'content-type': 'application/json',
  }
  const ask = async (path: string, body?: unknown, method = 'POST') => {
    const answer = await fetch(
      world.api + path,
      body === undefined ? { headers } : { headers, method, body: JSON.stringify(body) },
    )
    if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`)
    return answer
  }
  const call = async <T>(...args: Parameters<typeof ask>) => (await (await ask(...args)).json()) as T
  return Object.assign(call, { bytes: async (path: string) => Buffer.from(await (await ask(path)).arrayBuffer()) })
}

/** A campaign about these agents alone: others have worked in this world before. */
async function started(rae: Call, world: World): Promise<Campaign> {
  const names = [...KEEPERS, ...Array.from({ length: FLEET }, (_, n) => fleetName(n + 1))]
  const agents = names.map((name) => `${world.agents.url}#${name}`)
  const plan = { title: 'Everything on orders', scope: { connections: ['orders'], agents }, onExpiry: 'revoke' }
  const { id } = await rae<Campaign>('/v1/campaigns', plan)
  await rae(`/v1/campaigns/${id}/start`, {})
  await expect.poll(async () => (await rae<Campaign>(`/v1/campaigns/${id}`)).state, { timeout: 60_000 }).toBe('active')
  return rae<Campaign>(`/v1/campaigns/${id}`)
}

const all = async (rae: Call, campaign: string) =>
  (await rae<{ items: CampaignItem[] }>(`/v1/campaigns/${campaign}/items?limit=1000`)).items

function verify(pack: string, key: string) {
  const command = join(import.meta.dirname, '..', 'gateway', 'bin', 'countersign-gateway.js')
  const args = [command, 'verify', '--bundle', pack, '--key', key]
  return spawnSync(process.execPath, args, { encoding: 'utf8' })
}
