import { Campaign, CampaignItem, CampaignItemPage } from '@countersign/contract/review'
import type Database from 'better-sqlite3'
import type { z } from 'zod'
import type { Seal } from '../outbox/seal.ts'

/** Campaigns, their items and the evidence of those that this person may decide, as the gateway told of them; sealed. */
export interface ReviewRows {
  campaigns(): Campaign[]
  campaign(id: string): Campaign | undefined
  saveCampaigns(campaigns: readonly Campaign[]): void
  /** With all that is kept of them. */
  removeCampaigns(ids: readonly string[]): void
  /** By number; `next` goes into `after`. */
  items(query: { campaign: string; limit: number; after?: string | undefined }): {
    items: CampaignItem[]
    next: string | null
  }
  item(id: string): CampaignItem | undefined
  itemIds(campaign: string): string[]
  saveItems(items: readonly CampaignItem[]): void
  removeItems(ids: readonly string[]): void
  count(campaign: string): number
  page(item: string): CampaignItemPage | undefined
  /** Of the items that wait for this person: how many, and how many have their evidence here. */
  evidence(campaign: string): { kept: number; of: number }
  /** Items that wait for this person and whose evidence isn’t here as it is now, those worked through first on top. */
  withoutEvidence(campaign: string, limit: number): string[]
  /** Items whose evidence is kept. */
  pages(campaign: string): string[]
  savePage(page: CampaignItemPage): void
  removePages(items: readonly string[]): void
}

export function reviewRows(db: Database.Database, seal: Seal): ReviewRows {
  const upsert = (table: string, columns: string) =>
    db.prepare(
      `INSERT INTO ${table} (${columns}) VALUES (${columns.replaceAll(/\w+/g, '?')})
       ON CONFLICT DO UPDATE SET ${columns
         .split(', ')
         .slice(1)
         .map((name) => `${name} = excluded.${name}`)
         .join(', ')}`,
    )
  const allCampaigns = db.prepare('SELECT id, body FROM campaigns')
  const oneCampaign = db.prepare('SELECT id, body FROM campaigns WHERE id = ?')
  const saveCampaign = upsert('campaigns', 'id, body')
  const inOrder = db.prepare(
    'SELECT id, number, body FROM campaign_items WHERE campaign = ? AND number > ? ORDER BY number LIMIT ?',
  )
  const oneItem = db.prepare('SELECT id, body FROM campaign_items WHERE id = ?')
  const ids = db.prepare('SELECT id FROM campaign_items WHERE campaign = ?').pluck()
  const count = db.prepare('SELECT count(*) FROM campaign_items WHERE campaign = ?').pluck()
  const saveItem = upsert('campaign_items', 'id, campaign, number, revision, waits, body')
  const onePage = db.prepare('SELECT item AS id, body FROM item_pages WHERE item = ?')
  const pages = db.prepare('SELECT item FROM item_pages WHERE campaign = ?').pluck()
  const evidence = db.prepare(
    `SELECT count(*) AS "of", count(p.item) AS kept FROM campaign_items AS i LEFT JOIN item_pages AS p ON p.item = i.id
     WHERE i.campaign = ? AND i.waits = 1`,
  )
  const without = db
    .prepare(
      `SELECT i.id FROM campaign_items AS i LEFT JOIN item_pages AS p ON p.item = i.id
       WHERE i.campaign = ? AND i.waits = 1 AND p.revision IS NOT i.revision ORDER BY i.number LIMIT ?`,
    )
    .pluck()
  const savePage = upsert('item_pages', 'item, campaign, revision, body')
  const remove = (sql: string) => {
    const statement = db.prepare(sql)
    return db.transaction((gone: readonly string[]) => {
      for (const id of gone) statement.run(id)
    })
  }
  const dropCampaign = remove('DELETE FROM campaigns WHERE id = ?')
  const dropItemsOf = remove('DELETE FROM campaign_items WHERE campaign = ?')
  const dropPagesOf = remove('DELETE FROM item_pages WHERE campaign = ?')
  const removeItems = remove('DELETE FROM campaign_items WHERE id = ?')
  const removePages = remove('DELETE FROM item_pages WHERE item = ?')

  /** What can't be read (an older form, another key) is left out: the gateway will tell it anew. */
  function read<T>(schema: z.ZodType<T>, kind: string, rows: readonly unknown[]): T[] {
    return rows.flatMap((row) => {
      if (!row) return []
      const { id, body } = row as { id: string; body: Buffer }
      try {
        return [schema.parse(seal.open(body, `${kind}\n${id}`))]
      } catch {
        return []
      }
    })
  }

  return {
    campaigns: () => read(Campaign, 'campaign', allCampaigns.all()),
    campaign: (id) => read(Campaign, 'campaign', [oneCampaign.get(id)])[0],
    saveCampaigns: db.transaction((campaigns: readonly Campaign[]) => {
      for (const each of campaigns) saveCampaign.run(each.id, seal.shut(each, `campaign\n${each.id}`))
    }),
    removeCampaigns: db.transaction((gone: readonly string[]) => {
      for (const drop of [dropPagesOf, dropItemsOf, dropCampaign]) drop(gone)
    }),
    items({ campaign, limit, after = '-1' }) {
      const rows = inOrder.all(campaign, Number(after), limit + 1) as { number: number }[]
      const shown = rows.slice(0, limit)
      return {
        items: read(CampaignItem, 'item', shown),
        next: rows.length > limit ? String(shown.at(-1)!.number) : null,
      }
    },
    item: (id) => read(CampaignItem, 'item', [oneItem.get(id)])[0],
    itemIds: (campaign) => ids.all(campaign) as string[],
    saveItems: db.transaction((items: readonly CampaignItem[]) => {
      for (const each of items) {
        const { id, campaign, number, revision } = each
        const waits = each.mine && each.verdict === 'undecided' ? 1 : 0
        saveItem.run(id, campaign, number, revision, waits, seal.shut(each, `item\n${id}`))
      }
    }),
    removeItems,
    count: (campaign) => count.get(campaign) as number,
    page: (item) => read(CampaignItemPage, 'page', [onePage.get(item)])[0],
    evidence: (campaign) => evidence.get(campaign) as { kept: number; of: number },
    withoutEvidence: (campaign, limit) => without.all(campaign, limit) as string[],
    pages: (campaign) => pages.all(campaign) as string[],
    savePage(page) {
      const { id, campaign, revision } = page.item
      savePage.run(id, campaign, revision, seal.shut(page, `page\n${id}`))
    },
    removePages,
  }
}
