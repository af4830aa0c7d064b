import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listOf } from '@countersign/contract/api'
import { LedgerState } from '@countersign/contract/evidence'
import { Campaign, CampaignItem, CampaignItemPage, Overlay } from '@countersign/contract/review'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { sampleAccess } from '../../../demo/access.ts'
import { makeReviews } from '../../../demo/reviews.ts'
import { startWorld, type World } from '../../../demo/world.ts'
import { browserAs, newUser, type User } from '../testing/cli.ts'

vi.setConfig({ testTimeout: 120_000 })

let folder: string
let world: World
const people = new Map<string, User>()
let campaign: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-reviews-'))
  world = await startWorld({ folder, ...sampleAccess })
  for (const name of ['rae', 'admin', 'ada']) people.set(name, newUser(world.api))
  const signedIn = [...people].map(([name, user]) => user.run(['login'], { BROWSER: browserAs(name) }))
  expect((await Promise.all(signedIn)).map(({ code }) => code)).toEqual([0, 0, 0])
  await makeReviews(world)
}, 120_000)
afterAll(async () => {
  await world?.stop()
  for (const user of people.values()) user[Symbol.dispose]()
  rmSync(folder, { recursive: true, force: true })
})

const rae = () => people.get('rae')!
const max = () => people.get('admin')!
const itemsOf = async (...more: string[]) =>
  listOf(CampaignItem).parse(await rae().json(['reviews', 'items', campaign, '--all', ...more])).items

it('lists campaigns and items, and shows an item with its three answers', async () => {
  const { items } = listOf(Campaign).parse(await rae().json(['reviews', 'list', '--state', 'active']))
  expect(items).toHaveLength(1)
  campaign = items[0]!.id
  expect((await rae().run(['reviews', 'list'])).out).toContain('Access to production, autumn')
  expect((await rae().run(['reviews', 'show', campaign])).out).toMatch(
    /decided +certify 1, reduce 1, revoke 1, abstain 0/,
  )
  const reduced = (await itemsOf('--verdict', 'reduce'))[0]!
  expect(reduced).toMatchObject({ name: 'catalog-sync', application: 'verified' })
  const shown = (await rae().run(['reviews', 'item', campaign, reduced.id])).out
  expect(shown).toContain('sql:read select orders/public.products: 1 allowed, 0 held, 0 denied')
  expect(shown).toContain('reduce by Rae Moreau')
  expect(shown).toContain('    | forbid')
  expect(shown).toMatch(/application: verified, ov_/)
  const rule = (await itemsOf()).find(({ kind, name }) => kind === 'rule' && name === 'maintenance-asks')!
  const asks = (await rae().run(['reviews', 'item', campaign, rule.id])).out
  expect(asks).toMatch(/it lets ask\n {4}.* grants?\n/)
  expect(asks).not.toMatch(/ sponsor| it did/)
  const refused = await people.get('ada')!.run(['reviews', 'list'])
  expect(refused).toMatchObject({ code: 1, out: '' })
})

it('decides what was shown, and nothing that has changed since', async () => {
  const [item] = await itemsOf('--verdict', 'undecided', '--mine')
  const decide = ['reviews', 'decide', campaign, item!.id]
  expect(await rae().run([...decide, 'certify'])).toMatchObject({ code: 2, err: expect.stringContaining('--revision') })
  expect((await rae().run([...decide, 'revoke', '--yes', '--revision', '0'])).err).toContain('needs --reason')
  expect((await rae().run([...decide, 'certify', '--yes', '--revision', '99'])).err).toContain('has changed')
  const revision = String(item!.revision)
  const args = [...decide, 'abstain', '--yes', '--reason', 'not mine to say', '--revision', revision]
  expect((await rae().run(args)).err).toContain('decided: abstain')
  const page = CampaignItemPage.parse(await rae().json(['reviews', 'item', campaign, item!.id]))
  expect(page.decisions).toMatchObject([
    { verdict: 'abstain', reason: 'not mine to say', evidenceOpened: ['terminal'] },
  ])
  expect((await max().run(args)).code).not.toBe(0)
})

it('has an overlay applied by somebody else than who decided, with the digest that was shown', async () => {
  const { items } = listOf(Overlay).parse(await max().json(['reviews', 'overlays', 'list', '--state', 'proposed']))
  expect(items).toMatchObject([{ kind: 'revoke' }])
  const { id, digest } = items[0]!
  expect((await max().run(['reviews', 'overlays', 'show', id])).out).toContain(`digest      ${digest}`)
  const apply = (given: string) => ['reviews', 'overlays', 'apply', id, '--reason', 'agreed', '--digest', given]
  expect((await rae().run(apply(digest))).code).toBe(1)
  expect((await max().run(apply('0'.repeat(64)))).code).toBe(1)
  expect(await max().run(apply(digest))).toMatchObject({ code: 0, err: expect.stringContaining('it is verified') })
})

it('exports a pack that verifies, and overwrites nothing', async () => {
  const file = join(mkdtempSync(join(folder, 'out-')), 'autumn.tar')
  const made = await rae().run(['reviews', 'export', campaign, file])
  expect(made).toMatchObject({ code: 0, err: expect.stringContaining('countersign verify') })
  const unpinned = await rae().run(['verify', file])
  expect(unpinned.code).toBe(2)
  const token = await world.people.personToken({ subject: 'rae' })
  const ledger = await fetch(`${world.api}/v1/ledger`, { headers: { authorization: `Bearer ${token}` } })
  const key = LedgerState.parse(await ledger.json()).keys.at(-1)!
  expect((await rae().run(['verify', file, '--key', key])).code).toBe(0)
  const bytes = readFileSync(file)
  expect((await rae().run(['reviews', 'export', campaign, file])).err).toContain('is there already')
  expect(readFileSync(file).equals(bytes)).toBe(true)
  writeFileSync(file, bytes.fill(0x20, bytes.length >> 1, (bytes.length >> 1) + 600))
  expect((await rae().run(['verify', file, '--key', key])).code).toBe(1)
  const report = `${file}.html`
  expect((await people.get('ada')!.run(['reviews', 'export', campaign, report, '--as-form', 'report'])).code).toBe(1)
  expect(existsSync(report) || existsSync(`${report}.part`)).toBe(false)
  expect((await rae().run(['reviews', 'export', campaign, report, '--as-form', 'report'])).code).toBe(0)
  expect(readFileSync(report, 'utf8')).toContain('Access to production, autumn')
})
