import type { PersonRef } from '@countersign/contract/identity'
import { sql, type Transaction } from 'kysely'
import { appendAudit } from '../../store/audit.ts'
import { appendFeed } from '../../store/feed.ts'
import type { Store } from '../../store/store.ts'
import type { Tables } from '../../store/tables.ts'
import { EVERY_REVIEWER, readItem } from './items.ts'
import type { ReviewerPeople } from './reviewers.ts'
import { refOf } from './rows.ts'

/** Whom the rules of a stage ask now. */
export type AskAnew = (
  tx: Transaction<Tables>,
  campaign: string,
  item: string,
  stage: number,
) => Promise<{ people: string[]; reviewers: PersonRef[] }>

/** So many items are one transaction. */
const AT_ONCE = 200

/**
 * Takes open items from who can't review any more: they have left, or lost the role. Others who are asked go on alone;
 * where there are none, the rules of the item's stage are asked anew. Answers how many items it were.
 */
export async function replaceLeavers(
  store: Store,
  people: ReviewerPeople,
  askAnew: AskAnew,
  now: number,
): Promise<number> {
  const can = new Set(people.all.map(({ id }) => id))
  const asked = await store.db
    .selectFrom('item_reviewers')
    .innerJoin('campaigns', 'campaigns.id', 'item_reviewers.campaign')
    .select('item_reviewers.person')
    .distinct()
    .where('campaigns.state', '=', 'active')
    .where('item_reviewers.person', '!=', EVERY_REVIEWER)
    .execute()
  const gone = asked.map(({ person }) => person).filter((id) => !can.has(id))
  if (gone.length === 0) return 0
  for (let done = 0; ; ) {
    const some = await store.db.transaction().execute(async (tx) => {
      const items = await tx
        .selectFrom('campaign_items')
        .innerJoin('campaigns', 'campaigns.id', 'campaign_items.campaign')
        .select(['campaign_items.id', 'campaign', 'stage', 'reviewers'])
        .where('campaigns.state', '=', 'active')
        .where('verdict', '=', 'undecided')
        .where(
          sql<boolean>`exists (select 1 from item_reviewers where item_reviewers.item = campaign_items.id
            and person in (select value from json_each(${JSON.stringify(gone)})))`,
        )
        .orderBy('campaign_items.id')
        .limit(AT_ONCE)
        .execute()
      for (const { id, campaign, stage, reviewers } of items) {
        const rows = await tx.selectFrom('item_reviewers').select('person').where('item', '=', id).execute()
        const lent = await lentBy(tx, id, stage, gone)
        const left = rows.map(({ person }) => person).filter((person) => !gone.includes(person) && !lent.has(person))
        const known = JSON.parse(reviewers) as PersonRef[]
        const now = left.length > 0 ? { people: left, reviewers: known } : await askAnew(tx, campaign, id, stage)
        await put(tx, { id, campaign, stage }, now)
      }
      return items.length
    })
    done += some
    if (some < AT_ONCE) return done
  }

  async function put(
    tx: Transaction<Tables>,
    { id, campaign, stage }: { id: string; campaign: string; stage: number },
    asked: { people: string[]; reviewers: PersonRef[] },
  ): Promise<void> {
    const all = asked.people.includes(EVERY_REVIEWER)
    const reviewers = asked.reviewers.filter((one) => all || asked.people.includes(one.id)).map(refOf)
    await tx
      .updateTable('campaign_items')
      .set({ reviewers: JSON.stringify(reviewers) })
      .where('id', '=', id)
      .execute()
    await tx.deleteFrom('item_reviewers').where('item', '=', id).execute()
    await tx
      .insertInto('item_reviewers')
      .values(asked.people.map((person) => ({ item: id, person, campaign })))
      .execute()
    const at = new Date(now)
    await appendAudit(tx, 'item.staged', { campaign, item: id, stage, reviewers: asked.people }, at)
    await appendFeed(tx, 'campaign.item', (await readItem(tx, id))!, at)
  }
}

/** Who has an item in the place of one of these alone: what was lent goes with who lent it. */
async function lentBy(
  tx: Transaction<Tables>,
  item: string,
  stage: number,
  gone: readonly string[],
): Promise<Set<string>> {
  const moves = await tx
    .selectFrom('item_moves')
    .select(['kind', 'from_ref', 'to_ref'])
    .where('item', '=', item)
    .where('stage', '=', stage)
    .orderBy('at')
    .orderBy(sql`rowid`)
    .execute()
  const idIn = (json: string | null) => (json === null ? '' : (JSON.parse(json) as PersonRef).id)
  // Of several the last says how they have it.
  const last = new Map(moves.map((move) => [idIn(move.to_ref), move]))
  return new Set(
    [...last].flatMap(([to, { kind, from_ref }]) => (kind === 'delegate' && gone.includes(idIn(from_ref)) ? [to] : [])),
  )
}
