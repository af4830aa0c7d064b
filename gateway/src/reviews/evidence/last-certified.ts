import type { PersonRef } from '@countersign/contract/identity'
import type { ItemEvidence } from '@countersign/contract/review'
import type { Store } from '../../store/store.ts'
import type { Subject } from '../recommend/subject.ts'

/** When, and by whom, the same access was last certified in an earlier campaign. */
export async function lastCertified(
  { db }: Pick<Store, 'db'>,
  subject: Subject,
): Promise<ItemEvidence['identity']['lastCertified']> {
  const row = await db
    .selectFrom('campaign_items')
    .leftJoin('item_decisions', 'item_decisions.id', 'campaign_items.decision')
    .select(['campaign_items.campaign', 'campaign_items.decided_at', 'item_decisions.by'])
    .where('campaign_items.kind', '=', subject.kind)
    .where('campaign_items.connection', '=', subject.connection)
    .where('campaign_items.verdict', '=', 'certify')
    .where('campaign_items.decided_at', 'is not', null)
    .$if(subject.kind === 'access', (query) =>
      query.where('campaign_items.agent', '=', subject.kind === 'access' ? subject.agent : ''),
    )
    .$if(subject.kind === 'rule', (query) =>
      query.where('campaign_items.name', '=', subject.kind === 'rule' ? subject.policy : ''),
    )
    .orderBy('campaign_items.decided_at', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (!row) return undefined
  const by = row.by === null ? 'nobody: the campaign was due' : (JSON.parse(row.by) as PersonRef).name
  return { campaign: row.campaign, at: row.decided_at!, by }
}
