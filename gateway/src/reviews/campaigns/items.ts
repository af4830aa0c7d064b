import type { PersonRef, Role } from '@countersign/contract/identity'
import {
  type ApplicationState,
  type Campaign,
  type CampaignItem,
  CampaignPlan,
  type ItemVerdict,
  type OverlayState,
  type Recommendation,
} from '@countersign/contract/review'
import { type Kysely, type RawBuilder, type Selectable, sql } from 'kysely'
import type { PersonStanding } from '../../identity/principal.ts'
import type { CampaignItemsTable } from '../../store/review-tables.ts'
import type { Tables } from '../../store/tables.ts'
import { CampaignRefused } from './refused.ts'

/** Who looks: `mine` is about them. Absent: nobody's. */
export type Looking =
  | (Called & {
      roles: readonly Role[]
      /** Whose duties are handed over to them. */
      standing?: () => Pick<PersonStanding, 'duties'>
    })
  | undefined
/** What a person may be called by. */
export interface Called {
  id: string
  subject: string
  email?: string | undefined
}

export interface ItemQuery {
  campaign: string
  verdict?: ItemVerdict | undefined
  /** Those that the caller may decide now, or those that they may not. */
  mine?: boolean | undefined
  /** What is recommended. */
  recommendation?: Recommendation['verdict'] | undefined
  privileged?: boolean | undefined
  application?: ApplicationState | undefined
  /** Words, all of which are in what people see of it. */
  text?: string | undefined
  limit: number
  /** `next` of the page before. */
  after?: string | undefined
}

/** Members of CampaignItem that are kept as they are, beside what the columns have. */
export type ItemSummary = Pick<
  CampaignItem,
  | 'groups'
  | 'connectionTags'
  | 'access'
  | 'privilegedBecause'
  | 'commands'
  | 'refused'
  | 'held'
  | 'permittedCells'
  | 'usedCells'
> &
  Partial<Pick<CampaignItem, 'sponsor' | 'owner' | 'orphan' | 'lastUsedAt'>> & {
    /** On whose behalf the agent came, normalised: they don't decide about themselves. */
    actsFor: string[]
  }

/** In `item_reviewers`: everybody who has the role reviewer, those who come later too. */
export const EVERY_REVIEWER = '*'

const MOST_WORDS = 10

/** Items of a campaign in their order. Those of a draft are nobody's to see: there are none. @throws CampaignRefused */
export async function listItems(
  db: Kysely<Tables>,
  query: ItemQuery,
  looking: Looking,
): Promise<{ items: CampaignItem[]; next: string | null }> {
  const { campaign, verdict, mine, recommendation, privileged, application, text, limit, after } = query
  let select = rowsFor(db, looking).where('campaign_items.campaign', '=', campaign)
  if (verdict !== undefined) select = select.where('campaign_items.verdict', '=', verdict)
  if (privileged !== undefined) select = select.where('campaign_items.privileged', '=', privileged ? 1 : 0)
  if (application !== undefined) select = select.where('campaign_items.application', '=', application)
  if (recommendation !== undefined)
    select = select.where(sql<boolean>`json_extract(campaign_items.recommendation, '$.verdict') = ${recommendation}`)
  if (mine !== undefined) select = select.where(sql<boolean>`${isMine(looking)} = ${mine ? 1 : 0}`)
  for (const word of wordsOf(text))
    select = select.where(
      sql<boolean>`(campaign_items.name || ' ' || campaign_items.agent || ' ' || campaign_items.connection || ' ' ||
        campaign_items.summary || ' ' || json_extract(campaign_items.recommendation, '$.summary'))
        like ${`%${word.replace(/[\\%_]/g, '\\$&')}%`} escape '\\'`,
    )
  if (after !== undefined) select = select.where('campaign_items.number', '>', placeOf(after))
  const rows = await select
    .orderBy('campaign_items.number')
    .limit(limit + 1)
    .execute()
  const items = rows.slice(0, limit).map(itemOf)
  return { items, next: rows.length > limit ? String(items.at(-1)!.number) : null }
}

/** An item as it is for who looks; undefined where there is none. */
export async function readItem(
  db: Kysely<Tables>,
  item: string,
  looking: Looking = undefined,
): Promise<CampaignItem | undefined> {
  const row = await rowsFor(db, looking).where('campaign_items.id', '=', item).executeTakeFirst()
  return row && itemOf(row)
}

/** As {@link readItem}, of many of a campaign, by id. */
export async function readItems(
  db: Kysely<Tables>,
  items: readonly string[],
  looking: Looking = undefined,
): Promise<Map<string, CampaignItem>> {
  const rows = await rowsFor(db, looking)
    .where(sql<boolean>`campaign_items.id in (select value from json_each(${JSON.stringify(items)}))`)
    .execute()
  return new Map(rows.map((row) => [row.id, itemOf(row)]))
}

/** Counts of these campaigns, by campaign. */
export async function countsOf(
  db: Kysely<Tables>,
  campaigns: readonly string[],
  looking: Looking = undefined,
): Promise<Map<string, Campaign['counts']>> {
  const found = new Map(campaigns.map((one) => [one, noCounts()]))
  if (campaigns.length === 0) return found
  const rows = await db
    .selectFrom('campaign_items')
    .select((e) => ['campaign', 'verdict', 'application', 'privileged', e.fn.countAll<number>().as('n')])
    .where('campaign', 'in', campaigns)
    .groupBy(['campaign', 'verdict', 'application', 'privileged'])
    .execute()
  for (const { campaign, verdict, application, privileged, n } of rows) {
    const counts = found.get(campaign)!
    counts.items += Number(n)
    counts[verdict] += Number(n)
    if (privileged) counts.privileged += Number(n)
    if (application) counts.applications[application] += Number(n)
  }
  for (const [campaign, n] of await mineIn(db, campaigns, looking)) found.get(campaign)!.mine = n
  return found
}

/** How many open items of these campaigns who looks may decide now, by campaign. */
export async function mineIn(
  db: Kysely<Tables>,
  campaigns: readonly string[],
  looking: Looking,
): Promise<Map<string, number>> {
  if (!looking?.roles.includes('reviewer') || campaigns.length === 0) return new Map()
  const rows = await db
    .selectFrom('campaign_items')
    .select((e) => ['campaign', e.fn.countAll<number>().as('n')])
    .where('campaign', 'in', campaigns)
    .where('verdict', '=', 'undecided')
    .where(sql<boolean>`${isMine(looking)} = 1`)
    .groupBy('campaign')
    .execute()
  return new Map(rows.map(({ campaign, n }) => [campaign, Number(n)]))
}

export const noCounts = (): Campaign['counts'] => ({
  ...{ items: 0, undecided: 0, certify: 0, reduce: 0, revoke: 0, abstain: 0, privileged: 0, mine: 0 },
  applications: { pending: 0, applied: 0, verified: 0, failed: 0, 'not-supported': 0 },
})

/** A name as it is compared with others: of people and of those on whose behalf agents come. */
export const nameKey = (name: string): string =>
  name
    .normalize('NFKC')
    .trim()
    .toLowerCase()
    .replace(/^mailto:/, '')

/** By what a person may be called where an agent comes on their behalf. */
export function keysOf({ id, subject, email }: Called): string[] {
  return [id, subject, ...(email === undefined ? [] : [email])].map(nameKey)
}

/**
 * SQL that is 1 where who looks may decide the item now, and else 0: it is open, they have the role, they are of its
 * reviewers or stand in for one whose group is asked, it is not about themselves, and they have not decided it before.
 */
export function isMine(looking: Looking) {
  if (!looking?.roles.includes('reviewer')) return sql<number>`0`
  const duties = looking.standing?.().duties ?? []
  return sql<number>`(campaign_items.verdict = 'undecided' and campaign_items.how is null
    and (exists (select 1 from item_reviewers where item_reviewers.item = campaign_items.id
      and item_reviewers.person in (${looking.id}, ${EVERY_REVIEWER}))
      ${duties.length === 0 ? sql`` : sql`or ${isHandedOver(duties)}`})
    and not ${decidedEarlier(sql`${looking.id}`)}
    and (instr(campaign_items.summary, '"actsFor":[]') > 0
      or not exists (select 1 from json_each(campaign_items.summary, '$.actsFor') as acted
      where acted.value in (select value from json_each(${JSON.stringify(keysOf(looking))}))))
    and exists (select 1 from campaigns where campaigns.id = campaign_items.campaign and campaigns.state = 'active'))`
}

/** Whether the group's duty of somebody who is asked is handed over, and they could still do it. */
function isHandedOver(duties: PersonStanding['duties']) {
  const known = JSON.stringify(duties.map(({ from, groups }) => ({ person: from.id, groups })))
  return sql`exists (select 1 from json_each(${known}) as duty
    join item_reviewers on item_reviewers.item = campaign_items.id and item_reviewers.person = duty.value ->> 'person'
    join campaigns as planned on planned.id = campaign_items.campaign
    join json_each(planned.plan, '$.stages[' || campaign_items.stage || '].reviewers') as rule
    where rule.value ->> 'kind' = 'group'
      and rule.value ->> 'group' in (select value from json_each(duty.value, '$.groups'))
      and not ${decidedEarlier(sql`duty.value ->> 'person'`)})`
}

/** Whether somebody has decided the item at a stage before, or another one in their place. */
function decidedEarlier(person: RawBuilder<unknown>) {
  return sql`exists (select 1 from item_decisions as earlier where earlier.item = campaign_items.id
    and earlier.stage < campaign_items.stage
    and (earlier.person = ${person} or earlier.in_place_of ->> 'id' = ${person}))`
}

type ItemRow = Omit<Selectable<CampaignItemsTable>, 'evidence'> & {
  mine: number
  stages: number
  decided_by: string | null
  bulk: string | null
  comments: number
  overlay_state: OverlayState | null
}

function rowsFor(db: Kysely<Tables>, looking: Looking) {
  return db
    .selectFrom('campaign_items')
    .innerJoin('campaigns as of_campaign', 'of_campaign.id', 'campaign_items.campaign')
    .leftJoin('item_decisions', 'item_decisions.id', 'campaign_items.decision')
    .select([
      'campaign_items.id',
      'campaign_items.campaign',
      'campaign_items.number',
      'campaign_items.kind',
      'campaign_items.agent',
      'campaign_items.name',
      'campaign_items.connection',
      'campaign_items.privileged',
      'campaign_items.summary',
      'campaign_items.evidence_sha256',
      'campaign_items.recommendation',
      'campaign_items.stage',
      'campaign_items.reviewers',
      'campaign_items.verdict',
      'campaign_items.how',
      'campaign_items.decision',
      'campaign_items.decided_at',
      'campaign_items.application',
      'campaign_items.overlay',
      sql<OverlayState | null>`(select state from overlays where overlays.id = campaign_items.overlay)`.as(
        'overlay_state',
      ),
      'campaign_items.revision',
      'item_decisions.by as decided_by',
      'item_decisions.bulk as bulk',
      sql<number>`json_array_length(of_campaign.plan, '$.stages')`.as('stages'),
      sql<number>`(select count(*) from item_comments where item_comments.item = campaign_items.id)`.as('comments'),
      isMine(looking).as('mine'),
    ])
}

function itemOf(row: ItemRow): CampaignItem {
  const { actsFor: _, ...summary } = JSON.parse(row.summary) as ItemSummary
  const { verdict, summary: words } = JSON.parse(row.recommendation) as Recommendation
  return {
    id: row.id,
    campaign: row.campaign,
    number: row.number,
    kind: row.kind,
    ...(row.agent !== '' && { agent: row.agent }),
    name: row.name,
    connection: row.connection,
    ...summary,
    privileged: row.privileged === 1,
    recommendation: { verdict, summary: words },
    stage: row.stage,
    stages: row.stages,
    reviewers: JSON.parse(row.reviewers) as PersonRef[],
    mine: row.mine === 1,
    verdict: row.verdict,
    ...(row.how !== null && { how: row.how }),
    ...(row.decided_by !== null && { decidedBy: JSON.parse(row.decided_by) as PersonRef }),
    ...(row.decided_at !== null && { decidedAt: row.decided_at }),
    ...(row.bulk !== null && { bulk: true }),
    ...(row.application !== null && { application: row.application }),
    ...(row.overlay !== null && { overlay: row.overlay }),
    ...(row.overlay_state !== null && { overlayState: row.overlay_state }),
    evidence: row.evidence_sha256,
    revision: row.revision,
    comments: Number(row.comments),
  }
}

/** Plan of a campaign as it is kept. */
export const planOf = (text: string): CampaignPlan => CampaignPlan.parse(JSON.parse(text))

function wordsOf(text: string | undefined): string[] {
  return (text ?? '')
    .split(/\s+/)
    .filter((word) => word !== '')
    .slice(0, MOST_WORDS)
}

function placeOf(after: string): number {
  if (/^\d{1,9}$/.test(after)) return Number(after)
  throw new CampaignRefused('bad-cursor', '`after` is not one that a list gave out: use the `next` of the page before.')
}
