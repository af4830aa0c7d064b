import { type Kysely, sql } from 'kysely'
import { appendFeed } from '../../store/feed.ts'
import type { Store } from '../../store/store.ts'
import type { Tables } from '../../store/tables.ts'
import { EVERY_REVIEWER, isMine } from './items.ts'
import type { ReviewerPeople } from './reviewers.ts'

/** When people are reminded: once each, and only those who can decide something now. */
export type Reminder = 'started' | 'half' | 'soon' | 'last-day'

const DAY = 86_400_000

/** When each is, the first one first: what would come before another one, or with it, is left out. */
export function remindersOf(startedAt: number, dueAt: number): { kind: Reminder; at: number }[] {
  const half = startedAt + Math.floor((dueAt - startedAt) / 2)
  const wished: { kind: Reminder; at: number }[] = [
    { kind: 'started', at: startedAt },
    { kind: 'half', at: half },
    { kind: 'soon', at: dueAt - 3 * DAY },
    { kind: 'last-day', at: dueAt - DAY },
  ]
  const kept: typeof wished = []
  for (const one of wished) if (one.at > (kept.at(-1)?.at ?? Number.NEGATIVE_INFINITY)) kept.push(one)
  return kept
}

/** Sends what is due of active campaigns. Answers when the next is, if any is. */
export async function remind(store: Store, people: () => ReviewerPeople, now: number): Promise<number | undefined> {
  const active = await store.db
    .selectFrom('campaigns')
    .select(['id', 'title', 'started_at', 'due_at'])
    .where('state', '=', 'active')
    .execute()
  let next: number | undefined
  for (const { id, title, started_at, due_at } of active) {
    const dueAt = Date.parse(due_at!)
    const all = remindersOf(Date.parse(started_at!), dueAt)
    // Of those that were missed the last one says it all.
    const last = all.findLast(({ at }) => at <= now)
    for (const { at } of all) if (at > now) next = Math.min(next ?? at, at)
    if (dueAt <= now) continue
    const campaign = { id, title, dueAt: due_at! }
    if (last) await tell(store.db, campaign, last.kind, last.kind, people(), now)
    for (const stage of await stagesReached(store.db, id))
      await tell(store.db, campaign, `stage-${stage}`, 'stage', people(), now, stage)
  }
  return next
}

async function tell(
  db: Kysely<Tables>,
  campaign: { id: string; title: string; dueAt: string },
  kind: string,
  says: Reminder | 'stage',
  people: ReviewerPeople,
  now: number,
  stage?: number,
): Promise<void> {
  const rows = await db
    .selectFrom('campaign_reminders')
    .select('person')
    .where('campaign', '=', campaign.id)
    .where('kind', '=', kind)
    .execute()
  const told = new Set(rows.map(({ person }) => person))
  const others = people.all.filter(({ id }) => !told.has(id))
  if (others.length === 0) return
  const asked = await askedNow(db, campaign.id, stage)
  const at = new Date(now)
  for (const person of others) {
    if (!asked.has(person.id) && !asked.has(EVERY_REVIEWER)) continue
    const { open, there } = await openFor(db, campaign.id, person, stage)
    if (there === 0) continue
    const { id, title, dueAt } = campaign
    await db.transaction().execute(async (tx) => {
      await tx
        .insertInto('campaign_reminders')
        .values({ campaign: id, person: person.id, kind, at: at.toISOString() })
        .execute()
      await appendFeed(tx, 'campaign.reminder', { campaign: id, title, person: person.id, open, dueAt, kind: says }, at)
    })
  }
}

async function askedNow(db: Kysely<Tables>, campaign: string, stage: number | undefined): Promise<Set<string>> {
  let query = db
    .selectFrom('item_reviewers')
    .innerJoin('campaign_items', 'campaign_items.id', 'item_reviewers.item')
    .select('item_reviewers.person')
    .distinct()
    .where('item_reviewers.campaign', '=', campaign)
    .where('campaign_items.verdict', '=', 'undecided')
  if (stage !== undefined) query = query.where('campaign_items.stage', '=', stage)
  return new Set((await query.execute()).map(({ person }) => person))
}

/** How many they may decide in all, and how many of these at the stage. */
async function openFor(
  db: Kysely<Tables>,
  campaign: string,
  person: ReviewerPeople['all'][number],
  stage: number | undefined,
): Promise<{ open: number; there: number }> {
  const { open, there } = await db
    .selectFrom('campaign_items')
    .select((e) => [
      e.fn.countAll<number>().as('open'),
      sql<number>`count(case when ${stage ?? null} is null or campaign_items.stage = ${stage ?? null} then 1 end)`.as(
        'there',
      ),
    ])
    .where('campaign', '=', campaign)
    .where('verdict', '=', 'undecided')
    .where(sql<boolean>`${isMine(person)} = 1`)
    .executeTakeFirstOrThrow()
  return { open: Number(open), there: Number(there) }
}

async function stagesReached(db: Kysely<Tables>, campaign: string): Promise<number[]> {
  const rows = await db
    .selectFrom('campaign_items')
    .select('stage')
    .distinct()
    .where('campaign', '=', campaign)
    .where('verdict', '=', 'undecided')
    .where('stage', '>', 0)
    .orderBy('stage')
    .execute()
  return rows.map(({ stage }) => stage)
}
