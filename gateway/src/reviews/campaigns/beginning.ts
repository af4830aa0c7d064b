import { hash } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { canonical } from '@countersign/contract/canonical'
import type { PersonRef } from '@countersign/contract/identity'
import type { Campaign, CampaignPlan } from '@countersign/contract/review'
import type { Transaction } from 'kysely'
import { appendAudit, appendAudits } from '../../store/audit.ts'
import type { Tables } from '../../store/tables.ts'
import { rowOf, sayChanged } from './making.ts'
import { askedBy, type ReviewerPeople } from './reviewers.ts'
import { actorOf } from './rows.ts'
import type { TakenItem } from './taking.ts'

/** So many rows are written by one statement. */
const AT_ONCE = 20

/**
 * A campaign begins: all its items at once, with what the ledger is to have of each, and those who are asked.
 * In one transaction, which others wait for: nobody ever sees a part of it.
 */
export async function beginCampaign(
  tx: Transaction<Tables>,
  campaign: string,
  begun: {
    plan: CampaignPlan
    items: readonly TakenItem[]
    people: ReviewerPeople
    by: PersonRef | undefined
    snapshotAt: Date
    windowFrom: string
    policy: string
    coverage: NonNullable<Campaign['coverage']>
    at: Date
  },
): Promise<void> {
  const { plan, items, by, snapshotAt, policy, at } = begun
  const dueAt = new Date(at.getTime() + plan.days * 86_400_000).toISOString()
  const { owner } = await rowOf(tx, campaign)
  await tx
    .updateTable('campaigns')
    .set({
      state: 'active',
      problem: null,
      snapshot_at: snapshotAt.toISOString(),
      started_at: at.toISOString(),
      window_from: begun.windowFrom,
      policy,
      coverage: JSON.stringify(begun.coverage),
      due_at: dueAt,
    })
    .where('id', '=', campaign)
    .execute()
  await appendAudit(
    tx,
    'campaign.started',
    {
      ...{ campaign, by: actorOf(by), items: items.length, snapshotAt: snapshotAt.toISOString(), dueAt, policy },
      ...{ windowFrom: begun.windowFrom, coverage: begun.coverage },
      ...(owner !== null && { owner }),
    },
    at,
  )
  for (let i = 0; i < items.length; i += AT_ONCE) {
    await insert(tx, campaign, items.slice(i, i + AT_ONCE), i, begun)
    // Commands that need nothing of the store go on.
    await turn()
  }
  await sayChanged(tx, campaign, at, 'campaign.started')
}

async function insert(
  tx: Transaction<Tables>,
  campaign: string,
  items: readonly TakenItem[],
  before: number,
  { plan, people, at }: { plan: CampaignPlan; people: ReviewerPeople; at: Date },
): Promise<void> {
  const asked = items.map(({ about }) => askedBy(plan.stages[0]!.reviewers, about, people))
  await tx
    .insertInto('campaign_items')
    .values(
      items.map(({ id, subject, name, privileged, summary, recommendation, evidence, evidenceSha256 }, i) => ({
        ...{ id, campaign, name },
        number: before + i + 1,
        kind: subject.kind,
        agent: subject.kind === 'access' ? subject.agent : '',
        connection: subject.connection,
        privileged: privileged ? (1 as const) : (0 as const),
        summary: JSON.stringify(summary),
        evidence: evidence(),
        evidence_sha256: evidenceSha256,
        recommendation: JSON.stringify(recommendation),
        reviewers: JSON.stringify(asked[i]!.reviewers),
      })),
    )
    .execute()
  const rows = items.flatMap(({ id }, i) => asked[i]!.ids.map((person) => ({ item: id, person, campaign })))
  // A statement takes so many values.
  for (let i = 0; i < rows.length; i += 1000)
    await tx
      .insertInto('item_reviewers')
      .values(rows.slice(i, i + 1000))
      .execute()
  const said = items.map(({ id, subject, name, privileged, summary, recommendation, evidenceSha256 }, i) => ({
    ...{ campaign, item: id, name, privileged },
    number: before + i + 1,
    kind: subject.kind,
    ...(subject.kind === 'access' && { agent: subject.agent }),
    connection: subject.connection,
    evidence: evidenceSha256,
    summary: hash('sha256', canonical(summary)),
    recommendation,
    reviewers: asked[i]!.ids,
  }))
  await appendAudits(tx, 'campaign.item', said, at)
}
