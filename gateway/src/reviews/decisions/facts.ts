import type { PersonRef } from '@countersign/contract/identity'
import type { CampaignPlan, Recommendation, Verdict } from '@countersign/contract/review'
import { type Kysely, type Selectable, sql } from 'kysely'
import type { CampaignItemsTable } from '../../store/review-tables.ts'
import type { Tables } from '../../store/tables.ts'
import { planOf } from '../campaigns/items.ts'
import type { CampaignRow } from '../campaigns/rows.ts'

/** What is known of an item where somebody wants to decide it, without its evidence. */
export interface ItemFacts {
  row: Omit<Selectable<CampaignItemsTable>, 'evidence' | 'summary'>
  /** Whether what was decided of it is enforced now. */
  enforced: boolean
  recommendation: Recommendation
  /** Ids of those who may decide it now; `*` for everybody who is a reviewer. */
  reviewers: string[]
  /** At its stage, the earliest first. */
  moves: { kind: 'reassign' | 'delegate'; from: PersonRef | undefined; to: PersonRef }[]
  /** Of all stages, the earliest first. */
  decisions: {
    id: string
    stage: number
    verdict: Verdict
    by: PersonRef | undefined
    inPlaceOf: PersonRef | undefined
  }[]
}

export interface CampaignFacts {
  row: CampaignRow
  plan: CampaignPlan
}

export async function campaignFacts(db: Kysely<Tables>, id: string): Promise<CampaignFacts | undefined> {
  const row = await db.selectFrom('campaigns').selectAll().where('id', '=', id).executeTakeFirst()
  return row && { row, plan: planOf(row.plan) }
}

/** Those of the ids that are items of the campaign, by id. */
export async function itemFacts(
  db: Kysely<Tables>,
  campaign: string,
  ids: readonly string[],
): Promise<Map<string, ItemFacts>> {
  const list = JSON.stringify(ids)
  const named = (column: string) => sql<boolean>`${sql.ref(column)} in (select value from json_each(${list}))`
  const rows = await db
    .selectFrom('campaign_items')
    .select([
      ...(['id', 'campaign', 'number', 'kind', 'agent', 'name', 'connection', 'privileged'] as const),
      ...(['evidence_sha256', 'recommendation', 'stage', 'reviewers', 'verdict', 'how', 'decision'] as const),
      ...(['decided_at', 'application', 'overlay', 'revision'] as const),
      sql<number>`exists (select 1 from overlays where overlays.id = campaign_items.overlay and overlays.in_force = 1)`.as(
        'enforced',
      ),
    ])
    .where('campaign', '=', campaign)
    .where(named('id'))
    .execute()
  const found = new Map<string, ItemFacts>(
    rows.map(({ enforced, ...row }) => [
      row.id,
      {
        ...{ row, enforced: enforced === 1, recommendation: JSON.parse(row.recommendation) },
        ...{ reviewers: [], moves: [], decisions: [] },
      },
    ]),
  )
  for (const { item, person } of await db
    .selectFrom('item_reviewers')
    .select(['item', 'person'])
    .where(named('item'))
    .orderBy('person')
    .execute())
    found.get(item)?.reviewers.push(person)
  for (const move of await db
    .selectFrom('item_moves')
    .select(['item', 'kind', 'from_ref', 'to_ref', 'stage'])
    .where(named('item'))
    .orderBy('at')
    .orderBy(sql`rowid`)
    .execute()) {
    const of = found.get(move.item)
    if (of?.row.stage === move.stage)
      of.moves.push({ kind: move.kind, from: refIn(move.from_ref), to: JSON.parse(move.to_ref) as PersonRef })
  }
  for (const { item, by, in_place_of, ...decision } of await db
    .selectFrom('item_decisions')
    .select(['item', 'id', 'stage', 'verdict', 'by', 'in_place_of'])
    .where(named('item'))
    .orderBy('at')
    .orderBy(sql`rowid`)
    .execute())
    found.get(item)?.decisions.push({ ...decision, by: refIn(by), inPlaceOf: refIn(in_place_of) })
  return found
}

const refIn = (json: string | null): PersonRef | undefined => (json === null ? undefined : JSON.parse(json))
