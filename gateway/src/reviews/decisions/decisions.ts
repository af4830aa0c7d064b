import type {
  BulkPreview,
  CampaignItem,
  CampaignItemPage,
  ItemComment,
  ItemCommentRequest,
  ItemDecision,
  ItemDecisionRequest,
  ItemMove,
  ReviewSignals,
} from '@countersign/contract/review'
import { type Kysely, type Selectable, sql } from 'kysely'
import type { z } from 'zod'
import type { Tx } from '../../approvals/transitions.ts'
import type { PersonPrincipal } from '../../identity/principal.ts'
import type { Registry } from '../../identity/registry/registry.ts'
import type { ItemDecisionsTable } from '../../store/review-tables.ts'
import type { Store } from '../../store/store.ts'
import type { Tables } from '../../store/tables.ts'
import { readItem } from '../campaigns/items.ts'
import { sayChanged } from '../campaigns/making.ts'
import { type Bulk, bulkDecision, bulkId, mustBePreviewed, previewOf } from './bulk.ts'
import { commentIn, commentOf } from './commenting.ts'
import { decideIn, type Neighbours, requestHash, sameDecision } from './deciding.ts'
import { type CampaignFacts, campaignFacts, type ItemFacts, itemFacts } from './facts.ts'
import { standingFor } from './may-act.ts'
import { type Moving, moveIn } from './moving.ts'
import { DecisionRefused } from './refused.ts'
import { signalsOf } from './signals.ts'

export interface DecisionsOptions {
  store: Store
  registry: Pick<Registry, 'entry'>
  neighbours: Neighbours
  /** Milliseconds since the epoch. */
  clock: () => number
}

/** Where an item is: of a campaign. */
export interface Place {
  campaign: string
  item: string
}

/** What people decide of a campaign's items, say of them, and hand over (docs/reviews.md, "Decisions"). */
export interface Decisions {
  /**
   * Decides an item. `made` is false where the very same decision was there already.
   * @throws DecisionRefused
   */
  decide(
    place: Place,
    id: string,
    person: PersonPrincipal,
    request: z.output<typeof ItemDecisionRequest>,
  ): Promise<{ made: boolean; item: CampaignItem; decision: ItemDecision }>
  /** @throws DecisionRefused */
  comment(
    place: Place,
    id: string,
    person: PersonPrincipal,
    request: z.output<typeof ItemCommentRequest>,
  ): Promise<{ made: boolean; comment: ItemComment }>
  /** @throws DecisionRefused */
  move(place: Place, person: PersonPrincipal, moving: Moving): Promise<{ item: CampaignItem; move: ItemMove }>
  /** Shows what deciding many at once would come to, or does it as it was shown. @throws DecisionRefused */
  bulk(campaign: string, person: PersonPrincipal, bulk: Bulk): Promise<BulkPreview>
  /** How a campaign is decided: by whom how fast, and how many are open. @throws DecisionRefused */
  signals(campaign: string): Promise<ReviewSignals>
  /** Whose the campaign is: an id of a person. @throws DecisionRefused */
  ownerOf(campaign: string): Promise<string | undefined>
  /** An item with its evidence and its history, as it is for who looks; undefined where there is none. */
  page(place: Place, person: PersonPrincipal): Promise<CampaignItemPage | undefined>
}

/** So many items of a bulk are one transaction: what waits for the store doesn't wait for all of them. */
const AT_ONCE = 50

export function createDecisions(options: DecisionsOptions): Decisions {
  const { store, registry, neighbours, clock } = options
  const { db } = store
  const entry = (agent: string) => registry.entry(agent)

  const found = async (tx: Tx, { campaign, item }: Place): Promise<{ campaign: CampaignFacts; item: ItemFacts }> => {
    const of = await campaignFacts(tx, campaign)
    const facts = of && (await itemFacts(tx, campaign, [item])).get(item)
    if (!of || !facts) throw new DecisionRefused('not-found', `There is no item ${item} in a campaign ${campaign}.`)
    return { campaign: of, item: facts }
  }
  const standingOf = (tx: Tx, person: PersonPrincipal, items: Iterable<ItemFacts>, at: Date) =>
    standingFor(tx, person, items, { entry, at })

  /** What of a bulk is done, and what it would do now. */
  const previewed = async (tx: Tx, id: string, person: PersonPrincipal, bulk: Bulk, at: Date) => {
    const campaign = await campaignFacts(tx, id)
    if (!campaign || campaign.row.state === 'draft')
      throw new DecisionRefused('not-found', `There is no campaign ${id}.`)
    const ids = bulk.items.map((one) => one.id)
    const items = await itemFacts(tx, id, ids)
    const by = bulk.preview === undefined ? undefined : bulkId(bulk.preview)
    const rows =
      by === undefined
        ? []
        : await tx
            .selectFrom('item_decisions')
            .select('item')
            .where('bulk', '=', by)
            .where('person', '=', person.id)
            .where('campaign', '=', id)
            .execute()
    const done = new Set(rows.map(({ item }) => item))
    const standing = await standingOf(tx, person, items.values(), at)
    return { done, preview: previewOf(person, bulk, { campaign, items, standing, done }) }
  }

  return {
    async decide(place, id, person, request) {
      const at = new Date(clock())
      return db.transaction().execute(async (tx) => {
        const { campaign, item } = await found(tx, place)
        const again = await sameDecision(tx, id, requestHash(place.item, person.id, request))
        if (!again) {
          const standing = await standingOf(tx, person, [item], at)
          await decideIn(tx, id, person, request, campaign, item, { neighbours, standing, at })
        }
        const row = await tx.selectFrom('item_decisions').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
        return { made: !again, item: (await readItem(tx, place.item, person))!, decision: decisionOf(row) }
      })
    },

    async comment(place, id, person, request) {
      const at = new Date(clock())
      return db.transaction().execute(async (tx) => {
        const { campaign, item } = await found(tx, place)
        return commentIn(tx, id, person, request, {
          campaign,
          item,
          standing: await standingOf(tx, person, [item], at),
          at,
        })
      })
    },

    async move(place, person, moving) {
      const at = new Date(clock())
      return db.transaction().execute(async (tx) => {
        const { campaign, item } = await found(tx, place)
        const of = (who: PersonPrincipal) => standingOf(tx, who, [item], at)
        const move = await moveIn(tx, person, moving, { campaign, item, standingOf: of, at })
        return { item: (await readItem(tx, place.item, person))!, move }
      })
    },

    async bulk(campaign, person, bulk) {
      const at = new Date(clock())
      const { done, preview } = await db.transaction().execute((tx) => previewed(tx, campaign, person, bulk, at))
      if (bulk.preview === undefined) return preview
      mustBePreviewed(bulk, preview)
      const revisions = new Map(bulk.items.map(({ id, revision }) => [id, revision]))
      const left = preview.items.filter(({ id }) => !done.has(id))
      const decided = new Set(done)
      const refused = [...preview.refused]
      for (let from = 0; from < left.length; from += AT_ONCE) {
        const lot = left.slice(from, from + AT_ONCE).map(({ id }) => id)
        await db.transaction().execute(async (tx) => {
          const of = await campaignFacts(tx, campaign)
          const items = await itemFacts(tx, campaign, lot)
          const standing = await standingOf(tx, person, items.values(), at)
          const just = decided.size
          for (const [id, item] of items) {
            const request = { verdict: bulk.verdict, reason: bulk.reason, revision: revisions.get(id)! }
            const deciding = { neighbours, standing, at, bulk: bulkId(preview.preview) }
            try {
              await decideIn(tx, bulkDecision(preview.preview, id), person, request, of!, item, deciding)
              decided.add(id)
            } catch (error) {
              // It has changed since the look at all of them: nothing of it was written yet.
              if (!(error instanceof DecisionRefused)) throw error
              refused.push({ id, why: error.message })
            }
          }
          if (decided.size > just) await sayChanged(tx, campaign, at)
        })
      }
      return { ...preview, items: preview.items.filter(({ id }) => decided.has(id)), refused, done: true }
    },

    async ownerOf(campaign) {
      const facts = await campaignFacts(db, campaign)
      if (!facts) throw new DecisionRefused('not-found', `There is no campaign ${campaign}.`)
      return facts.row.owner ?? undefined
    },

    async signals(id) {
      const facts = await campaignFacts(db, id)
      if (!facts) throw new DecisionRefused('not-found', `There is no campaign ${id}.`)
      const rows = await db
        .selectFrom('item_decisions')
        .select(['item', 'stage', 'verdict', 'by', 'at', 'made_at', 'bulk', 'seconds', 'evidence_opened', 'followed'])
        .where('campaign', '=', id)
        .where('how', '=', 'reviewer')
        .orderBy('at')
        .orderBy(sql`rowid`)
        .execute()
      const items = await db
        .selectFrom('campaign_items')
        .select(['id', 'verdict', 'decided_at'])
        .where('campaign', '=', id)
        .execute()
      const { started_at, snapshot_at, created_at, closed_at } = facts.row
      return signalsOf(
        rows.map(({ by, made_at, bulk, seconds, evidence_opened, followed, ...decision }) => ({
          ...decision,
          by: by === null ? undefined : JSON.parse(by),
          madeAt: made_at ?? undefined,
          bulk: bulk ?? undefined,
          seconds: seconds ?? undefined,
          evidenceOpened: evidence_opened === null ? [] : (JSON.parse(evidence_opened) as string[]),
          followed: followed === 1,
        })),
        items.map(({ id: item, decided_at }) => ({ id: item, decidedAt: decided_at ?? undefined })),
        {
          from: snapshot_at ?? started_at ?? created_at,
          to: closed_at ?? new Date(clock()).toISOString(),
        },
      )
    },

    async page({ campaign, item }, person) {
      const shown = await readItem(db, item, person)
      if (!shown || shown.campaign !== campaign) return undefined
      const kept = await db
        .selectFrom('campaign_items')
        .select(['evidence', 'recommendation'])
        .where('id', '=', item)
        .executeTakeFirstOrThrow()
      return {
        item: shown,
        evidence: JSON.parse(kept.evidence),
        recommendation: JSON.parse(kept.recommendation),
        ...(await historyOf(db, item)),
      }
    },
  }
}

/** What was decided of an item, said of it, and who had it, the earliest first. */
export async function historyOf(
  db: Kysely<Tables>,
  item: string,
): Promise<Pick<CampaignItemPage, 'decisions' | 'comments' | 'moves'>> {
  const decisions = await db
    .selectFrom('item_decisions')
    .selectAll()
    .where('item', '=', item)
    .orderBy('at')
    .orderBy(sql`rowid`)
    .execute()
  const comments = await db
    .selectFrom('item_comments')
    .selectAll()
    .where('item', '=', item)
    .orderBy('at')
    .orderBy(sql`rowid`)
    .execute()
  const moves = await db
    .selectFrom('item_moves')
    .selectAll()
    .where('item', '=', item)
    .orderBy('at')
    .orderBy(sql`rowid`)
    .execute()
  return {
    decisions: decisions.map(decisionOf),
    comments: comments.map(commentOf),
    moves: moves.map(({ from_ref, to_ref, by, campaign: _, ...move }) => ({
      ...move,
      ...(from_ref !== null && { from: JSON.parse(from_ref) }),
      to: JSON.parse(to_ref),
      by: JSON.parse(by),
    })),
  }
}

/** A decision as people see it. */
export function decisionOf(row: Selectable<ItemDecisionsTable>): ItemDecision {
  const { id, item, stage, verdict, reason, at, how, followed } = row
  return {
    ...{ id, item, stage, verdict, reason, at, how },
    ...(row.policy !== null && { policy: row.policy }),
    ...(row.by !== null && { by: JSON.parse(row.by) }),
    ...(row.in_place_of !== null && { inPlaceOf: JSON.parse(row.in_place_of) }),
    ...(row.made_at !== null && { madeAt: row.made_at }),
    ...(row.bulk !== null && { bulk: row.bulk }),
    ...(row.seconds !== null && { seconds: row.seconds }),
    ...(row.evidence_opened !== null && { evidenceOpened: JSON.parse(row.evidence_opened) }),
    followed: followed === 1,
  }
}
