import type { PersonRef } from '@countersign/contract/identity'
import type { Campaign, CampaignPlan } from '@countersign/contract/review'
import type { Transaction } from 'kysely'
import { hasControl, isVisible } from '../../identity/claim.ts'
import { appendAudit } from '../../store/audit.ts'
import { appendFeed } from '../../store/feed.ts'
import type { Tables } from '../../store/tables.ts'
import { newId } from './ids.ts'
import { CampaignRefused } from './refused.ts'
import { actorOf, type CampaignRow, campaignsOf, refOf, type Starting } from './rows.ts'

export const nobodyStarts: Starting = () => undefined

/** Makes a draft, with its entry and its message, and answers its id. */
export async function makeDraft(
  tx: Transaction<Tables>,
  made: {
    plan: CampaignPlan
    trigger: Campaign['trigger']
    by: PersonRef | undefined
    /** Whose it is: who made it, or who has saved the template that did. */
    owner: string | undefined
    at: Date
    /** Absent: a new one. */
    id?: string | undefined
  },
): Promise<string> {
  const { plan, trigger, by, owner, at, id = newId('ca') } = made
  await tx
    .insertInto('campaigns')
    .values({
      id,
      state: 'draft',
      title: plan.title,
      plan: JSON.stringify(plan),
      trigger: JSON.stringify(trigger),
      template: plan.template ?? null,
      created_at: at.toISOString(),
      created_by: by ? JSON.stringify(refOf(by)) : null,
      owner: owner ?? null,
    })
    .execute()
  await appendAudit(
    tx,
    'campaign.created',
    { campaign: id, title: plan.title, plan, trigger, by: actorOf(by), ...(owner !== undefined && { owner }) },
    at,
  )
  await sayChanged(tx, id, at)
  return id
}

/** Says on the feed how a campaign is now. */
export async function sayChanged(
  tx: Transaction<Tables>,
  id: string,
  at: Date,
  type: 'campaign.started' | 'campaign.changed' | 'campaign.closed' = 'campaign.changed',
  starting: Starting = nobodyStarts,
): Promise<void> {
  const [campaign] = await campaignsOf(tx, [await rowOf(tx, id)], starting)
  await appendFeed(tx, type, campaign!, at)
}

/** @throws CampaignRefused where there is none */
export async function rowOf(tx: Transaction<Tables>, id: string): Promise<CampaignRow> {
  const row = await tx.selectFrom('campaigns').selectAll().where('id', '=', id).executeTakeFirst()
  if (!row) throw new CampaignRefused('not-found', `There is no campaign ${id}.`)
  return row
}

/** Titles stand in lists, terminals and reports: on one line, as what they look like. @throws CampaignRefused */
export function mustBeReadable({ title, stages }: Pick<CampaignPlan, 'title' | 'stages'>): void {
  for (const one of [title, ...stages.map((stage) => stage.title)])
    if (hasControl(one) || !isVisible(one))
      throw new CampaignRefused('invalid', `A title has characters that can’t be shown: write it on one line.`)
}
