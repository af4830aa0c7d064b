import type { PersonRef } from '@countersign/contract/identity'
import {
  type Campaign,
  type CampaignItem,
  type CampaignPatch,
  CampaignPlan,
  type CampaignState,
} from '@countersign/contract/review'
import { sql } from 'kysely'
import { appendAudit } from '../../store/audit.ts'
import { appendFeed } from '../../store/feed.ts'
import type { Store } from '../../store/store.ts'
import { idOfKey } from './ids.ts'
import { type ItemQuery, type Looking, listItems } from './items.ts'
import { makeDraft, mustBeReadable, rowOf, sayChanged } from './making.ts'
import { CampaignRefused } from './refused.ts'
import { type CampaignRow, campaignsOf, refOf, type Starting } from './rows.ts'
import { mustBeDraft } from './starting.ts'

export interface CampaignQuery {
  state?: CampaignState | undefined
  template?: string | undefined
  limit: number
  after?: string | undefined
}

/** Campaigns as people make, read and change them. */
export interface Drafts {
  /**
   * @param key of the caller's: the same plan again under it answers the campaign that there is
   * @throws CampaignRefused: `conflict` where another plan was made under it
   */
  create(by: PersonRef, plan: CampaignPlan, key?: string): Promise<Campaign>
  /** Newest first. @throws CampaignRefused */
  list(query: CampaignQuery, looking: Looking): Promise<{ items: Campaign[]; next: string | null }>
  get(id: string, looking: Looking): Promise<Campaign | undefined>
  /** Items of a campaign; undefined where there is no such campaign. @throws CampaignRefused */
  items(query: ItemQuery, looking: Looking): Promise<{ items: CampaignItem[]; next: string | null } | undefined>
  /** Changes a draft. @throws CampaignRefused */
  change(id: string, by: PersonRef, changes: CampaignPatch): Promise<Campaign>
  /** Takes a draft away. @throws CampaignRefused */
  remove(id: string, by: PersonRef): Promise<void>
}

export function createDrafts(options: { store: Store; starting: Starting; clock: () => number }): Drafts {
  const { store, starting, clock } = options
  const { db } = store
  const get = async (id: string, looking: Looking) => {
    const row = await db.selectFrom('campaigns').selectAll().where('id', '=', id).executeTakeFirst()
    return row && (await campaignsOf(db, [row], starting, looking))[0]
  }

  return {
    get,
    async create(by, plan, key) {
      mustBeReadable(plan)
      const at = new Date(clock())
      const own = key === undefined ? undefined : idOfKey(by.id, key)
      const id = await db.transaction().execute(async (tx) => {
        const there = own && (await tx.selectFrom('campaigns').select('plan').where('id', '=', own).executeTakeFirst())
        if (!there) return makeDraft(tx, { plan, trigger: { kind: 'person' }, by, owner: by.id, at, id: own })
        if (there.plan !== JSON.stringify(plan))
          throw new CampaignRefused(
            'conflict',
            'Under this Idempotency-Key there is a campaign of another plan: change that one, or use another key.',
          )
        return own
      })
      return (await get(id, undefined))!
    },
    async list({ state, template, limit, after }, looking) {
      // How long each is comes first: a scope may name thousands of agents, and all together be more than there is memory for.
      let select = db.selectFrom('campaigns').select(['id', 'created_at', sql<number>`length(plan)`.as('length')])
      if (state !== undefined) select = select.where('state', '=', state)
      if (template !== undefined) select = select.where('template', '=', template)
      if (after !== undefined) {
        const { at, id } = placeOf(after)
        select = select.where(sql<boolean>`(created_at, id) < (${at}, ${id})`)
      }
      const rows = await select
        .orderBy('created_at', 'desc')
        .orderBy('id', 'desc')
        .limit(limit + 1)
        .execute()
      let length = 0
      const full = rows.findIndex((row, at) => {
        length += row.length
        return at === limit || (at > 0 && length > PAGE)
      })
      const places = full < 0 ? rows : rows.slice(0, full)
      const ids = places.map(({ id }) => id)
      const found =
        ids.length === 0 ? [] : await db.selectFrom('campaigns').selectAll().where('id', 'in', ids).execute()
      const known = new Map(found.map((row) => [row.id, row]))
      const page: CampaignRow[] = ids.flatMap((id) => known.get(id) ?? [])
      const last = places.at(-1)
      return {
        items: await campaignsOf(db, page, starting, looking),
        next: full >= 0 && last ? Buffer.from(`${last.created_at} ${last.id}`).toString('base64url') : null,
      }
    },
    async items(query, looking) {
      const known = await db.selectFrom('campaigns').select('id').where('id', '=', query.campaign).executeTakeFirst()
      return known && listItems(db, query, looking)
    },
    async change(id, by, changes) {
      const at = new Date(clock())
      await db.transaction().execute(async (tx) => {
        const row = await rowOf(tx, id)
        mustBeDraft(row, 'changed')
        const plan = CampaignPlan.parse({ ...JSON.parse(row.plan), ...changes })
        mustBeReadable(plan)
        await tx
          .updateTable('campaigns')
          .set({ title: plan.title, plan: JSON.stringify(plan), template: plan.template ?? null, problem: null })
          .where('id', '=', id)
          .execute()
        await appendAudit(
          tx,
          'campaign.changed',
          { campaign: id, title: plan.title, plan, by: { kind: 'person', ...refOf(by) } },
          at,
        )
        await sayChanged(tx, id, at)
      })
      return (await get(id, undefined))!
    },
    async remove(id, by) {
      const at = new Date(clock())
      await db.transaction().execute(async (tx) => {
        const row = await rowOf(tx, id)
        mustBeDraft(row, 'taken away')
        const [campaign] = await campaignsOf(tx, [row], starting)
        await tx.deleteFrom('campaigns').where('id', '=', id).execute()
        await appendAudit(tx, 'campaign.removed', { campaign: id, by: { kind: 'person', ...refOf(by) } }, at)
        await appendFeed(
          tx,
          'campaign.closed',
          { ...campaign!, closedAt: at.toISOString(), closedBecause: REMOVED },
          at,
        )
      })
    },
  }
}

/** A page has plans of so many characters together; one at least. */
const PAGE = 8 * 1024 * 1024

/** What the feed says of a draft that was taken away: lists don't have it any more. */
const REMOVED = 'The draft was taken away.'

function placeOf(after: string): { at: string; id: string } {
  const [, at, id] = /^(\d{4}-\S{1,40}) (ca_\S{1,40})$/.exec(Buffer.from(after, 'base64url').toString()) ?? []
  if (at !== undefined && id !== undefined) return { at, id }
  throw new CampaignRefused('bad-cursor', '`after` is not one that a list gave out: use the `next` of the page before.')
}
