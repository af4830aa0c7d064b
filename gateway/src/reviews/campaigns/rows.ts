import type { PersonRef } from '@countersign/contract/identity'
import type { Actor } from '@countersign/contract/ledger/payloads'
import type { Campaign } from '@countersign/contract/review'
import type { Kysely, Selectable } from 'kysely'
import type { CampaignsTable } from '../../store/review-tables.ts'
import type { Tables } from '../../store/tables.ts'
import { countsOf, type Looking, noCounts, planOf } from './items.ts'

export type CampaignRow = Selectable<CampaignsTable>
/** How far the snapshot of a campaign is that is being started; told by whoever starts it. */
export type Starting = (campaign: string) => Campaign['starting']

/** Campaigns as they are for who looks, in the order of their rows. */
export async function campaignsOf(
  db: Kysely<Tables>,
  rows: readonly CampaignRow[],
  starting: Starting,
  looking: Looking = undefined,
): Promise<Campaign[]> {
  const ids = rows.map(({ id }) => id)
  const counts = await countsOf(db, ids, looking)
  const signed =
    ids.length === 0
      ? []
      : await db.selectFrom('campaign_sign_offs').selectAll().where('campaign', 'in', ids).orderBy('at').execute()
  return rows.map((row) =>
    campaignOf(
      row,
      counts.get(row.id) ?? noCounts(),
      signed
        .filter(({ campaign }) => campaign === row.id)
        .map(({ by, at, statement }) => ({ person: JSON.parse(by) as PersonRef, at, statement })),
      starting(row.id),
    ),
  )
}

function campaignOf(
  row: CampaignRow,
  counts: Campaign['counts'],
  signedOffBy: Campaign['signedOffBy'],
  starting: Campaign['starting'],
): Campaign {
  const plan = planOf(row.plan)
  const person = (text: string | null) => (text === null ? undefined : (JSON.parse(text) as PersonRef))
  const told: { [Member in keyof Campaign]?: Campaign[Member] | undefined } = {
    template: row.template ?? undefined,
    createdBy: person(row.created_by),
    starting,
    problem: row.problem ?? undefined,
    startedAt: row.snapshot_at === null ? undefined : (row.started_at ?? undefined),
    startedBy: row.snapshot_at === null ? undefined : person(row.started_by),
    snapshotAt: row.snapshot_at ?? undefined,
    policy: row.policy ?? undefined,
    coverage: row.coverage === null ? undefined : (JSON.parse(row.coverage) as Campaign['coverage']),
    dueAt: row.due_at ?? undefined,
    closedAt: row.closed_at ?? undefined,
    closedBy: person(row.closed_by),
    closedBecause: row.closed_because ?? undefined,
  }
  const { title, description, scope, stages, onExpiry, controls, days, windowDays } = plan
  return {
    id: row.id,
    state: row.state,
    ...{ title, description, scope, stages, onExpiry, controls, days },
    window: {
      days: windowDays,
      ...(row.window_from !== null && { from: row.window_from }),
      ...(row.snapshot_at !== null && { to: row.snapshot_at }),
    },
    trigger: JSON.parse(row.trigger) as Campaign['trigger'],
    createdAt: row.created_at,
    ...(Object.fromEntries(Object.entries(told).filter(([, value]) => value !== undefined)) as Partial<Campaign>),
    signedOffBy,
    counts,
  }
}

/** Whose doing something was, for the ledger; without a person the gateway's own. */
export function actorOf(person: PersonRef | undefined): Actor {
  if (!person) return { kind: 'gateway' }
  return { kind: 'person', ...refOf(person) }
}

/** Only what everybody may know of a person. */
export function refOf({ id, issuer, subject, name }: PersonRef): PersonRef {
  return { id, issuer, subject, name }
}
