import type { ItemComment, ItemCommentRequest } from '@countersign/contract/review'
import type { Selectable } from 'kysely'
import type { z } from 'zod'
import type { Tx } from '../../approvals/transitions.ts'
import type { PersonPrincipal } from '../../identity/principal.ts'
import { appendAudit } from '../../store/audit.ts'
import { appendFeed } from '../../store/feed.ts'
import type { ItemCommentsTable } from '../../store/review-tables.ts'
import { readItem } from '../campaigns/items.ts'
import { refOf } from '../campaigns/rows.ts'
import { closedWords, sentence } from './deciding.ts'
import type { CampaignFacts, ItemFacts } from './facts.ts'
import { aboutBecause, mayAct, type Standing } from './may-act.ts'
import { DecisionRefused } from './refused.ts'

/** So many comments an item has at most. */
export const MOST_COMMENTS = 500

/**
 * What somebody says on an item, in a transaction: those who may decide it now, and those who have. It isn't a change of
 * the item: nobody's decision becomes one on an old revision by it.
 * @param id made by who says it; the same again counts once
 * @throws DecisionRefused
 */
export async function commentIn(
  tx: Tx,
  id: string,
  person: PersonPrincipal,
  { text, madeAt }: z.output<typeof ItemCommentRequest>,
  { campaign, item, standing, at }: { campaign: CampaignFacts; item: ItemFacts; standing: Standing; at: Date },
): Promise<{ made: boolean; comment: ItemComment }> {
  const { row } = item
  const before = await tx.selectFrom('item_comments').selectAll().where('id', '=', id).executeTakeFirst()
  if (before) {
    const same = before.item === row.id && before.person === person.id && before.text === text
    if (same && before.made_at === (madeAt ?? null)) return { made: false, comment: commentOf(before) }
    throw new DecisionRefused('conflict', `Another comment is ${id} already: make this one under another id.`)
  }
  if (campaign.row.state !== 'active') throw new DecisionRefused('conflict', closedWords(campaign))
  const decided = item.decisions.some(({ by }) => by !== undefined && standing.key(by) === standing.key(person))
  const acting = mayAct(person, item, campaign, standing)
  if (!acting.ok && !(decided && aboutBecause(person, item, standing) === undefined))
    throw new DecisionRefused('forbidden', sentence(acting.because))
  const { count } = await tx
    .selectFrom('item_comments')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where('item', '=', row.id)
    .executeTakeFirstOrThrow()
  if (Number(count) >= MOST_COMMENTS)
    throw new DecisionRefused('conflict', `It has ${MOST_COMMENTS} comments already: decide it.`)
  const by = refOf(person)
  const made = {
    ...{ id, campaign: row.campaign, item: row.id, person: person.id, by: JSON.stringify(by), text },
    ...{ at: at.toISOString(), made_at: madeAt ?? null },
  }
  await tx.insertInto('item_comments').values(made).execute()
  await appendAudit(
    tx,
    'item.commented',
    {
      ...{ campaign: row.campaign, item: row.id, comment: id, by, text },
      ...(madeAt !== undefined && { madeAt }),
    },
    at,
  )
  await appendFeed(tx, 'campaign.item', (await readItem(tx, row.id))!, at)
  return { made: true, comment: commentOf(made) }
}

export function commentOf({ id, item, by, text, at, made_at }: Selectable<ItemCommentsTable>): ItemComment {
  return { id, item, by: JSON.parse(by), text, at, ...(made_at !== null && { madeAt: made_at }) }
}
