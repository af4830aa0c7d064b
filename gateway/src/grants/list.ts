import type { Grant, GrantState, Plan } from '@countersign/contract/access'
import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Tables } from '../store/tables.ts'
import { readGrants, readPlans } from './rows.ts'

/** Which grants a caller sees: an agent its own and what it has asked for; a person of groups what these decide. */
export type GrantScope =
  | { see: 'all' }
  | { see: 'own'; agent: string }
  | { see: 'groups'; groups: readonly string[]; person: string }

export interface GrantQuery {
  state?: GrantState | undefined
  agent?: string | undefined
  connection?: string | undefined
  plan?: string | undefined
  /** Words, all of which are in what is asked for, by whom, for what. */
  text?: string | undefined
  scope: GrantScope
  limit: number
  /** `next` of the page before. */
  after?: string | undefined
}

export type PlanQuery = Pick<GrantQuery, 'scope' | 'limit' | 'after' | 'text'>

/** `after` that no list of ours gave out. */
export class BadGrantCursor extends Error {
  override name = 'BadGrantCursor'
  constructor() {
    super('`after` is not one that a list gave out: use the `next` of the page before.')
  }
}

const MOST_USES = 100
const MOST_WORDS = 10

/** Newest first. @throws BadGrantCursor */
export async function listGrants(
  db: Kysely<Tables>,
  { state, agent, connection, plan, text, scope, limit, after }: GrantQuery,
): Promise<{ items: Grant[]; next: string | null }> {
  let select = db.selectFrom('grants').selectAll('grants')
  if (state !== undefined) select = select.where('state', '=', state)
  if (agent !== undefined) select = select.where('agent', '=', agent)
  if (connection !== undefined) select = select.where('connection', '=', connection)
  if (plan !== undefined) select = select.where('plan', '=', plan)
  if (scope.see === 'own')
    select = select.where((e) => e.or([e('agent', '=', scope.agent), e('requester', '=', scope.agent)]))
  if (scope.see === 'groups')
    select = select.where((e) =>
      e.or([e('requester', '=', scope.person), decidedBy(sql.ref('grants.approval'), scope.groups)]),
    )
  for (const word of wordsOf(text)) select = select.where(has(sql<string>`${searched}`, word))
  if (after !== undefined) {
    const { at, id } = readCursor(after, 'gr')
    select = select.where(sql<boolean>`(requested_at, id) < (${at}, ${id})`)
  }
  const rows = await select
    .orderBy('requested_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute()
  const page = rows.slice(0, limit)
  return { items: await readGrants(db, page), next: rows.length > limit ? cursorOf(page.at(-1)!) : null }
}

/** Newest first. @throws BadGrantCursor */
export async function listPlans(
  db: Kysely<Tables>,
  { scope, text, limit, after }: PlanQuery,
): Promise<{ items: Plan[]; next: string | null }> {
  let select = db.selectFrom('plans').selectAll('plans')
  if (scope.see === 'own')
    select = select.where(sql<boolean>`exists (select 1 from grants where grants.plan = plans.id
      and (grants.agent = ${scope.agent} or grants.requester = ${scope.agent}))`)
  if (scope.see === 'groups')
    select = select.where((e) =>
      e.or([
        sql<boolean>`exists (select 1 from grants where grants.plan = plans.id and grants.requester = ${scope.person})`,
        decidedBy(sql.ref('plans.approval'), scope.groups),
      ]),
    )
  for (const word of wordsOf(text)) select = select.where(has(sql<string>`title || ' ' || purpose || ' ' || id`, word))
  if (after !== undefined) {
    const { at, id } = readCursor(after, 'pl')
    select = select.where(sql<boolean>`(requested_at, id) < (${at}, ${id})`)
  }
  const rows = await select
    .orderBy('requested_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute()
  const page = rows.slice(0, limit)
  return { items: await readPlans(db, page), next: rows.length > limit ? cursorOf(page.at(-1)!) : null }
}

/** Sessions that used a grant, the newest first. */
export async function readUses(db: Kysely<Tables>, id: string): Promise<{ session: string; at: string }[]> {
  return db
    .selectFrom('grant_sessions')
    .select(['session', 'at'])
    .where('grant', '=', id)
    .orderBy('at', 'desc')
    .orderBy('session')
    .limit(MOST_USES)
    .execute()
}

const searched = sql`id || ' ' || connection || ' ' || connection_tags || ' ' || identity || ' ' || actions || ' ' ||
  coalesce(resources, '') || ' ' || purpose || ' ' || coalesce(step, '') || ' ' || requested_by || ' ' ||
  coalesce(ended_because, '')`

function has(text: RawBuilder<string>, word: string) {
  return sql<boolean>`${text} like ${`%${word.replace(/[\\%_]/g, '\\$&')}%`} escape '\\'`
}

function wordsOf(text: string | undefined): string[] {
  return (text ?? '')
    .split(/\s+/)
    .filter((word) => word !== '')
    .slice(0, MOST_WORDS)
}

/** Whether one of these groups may decide an approval, or might have. */
function decidedBy(approval: RawBuilder<unknown>, groups: readonly string[]) {
  const mine = sql`(select value from json_each(${JSON.stringify(groups)}))`
  return sql<boolean>`exists (select 1 from approvals, json_each(approvals.requirements) as requirement,
    json_each(requirement.value, '$.groups') as member
    where approvals.id = ${approval} and member.value in ${mine})
    or exists (select 1 from approvals, json_each(approvals.escalated_to) as asked, json_each(asked.value) as member
    where approvals.id = ${approval} and member.value in ${mine})`
}

function cursorOf({ requested_at, id }: { requested_at: string; id: string }): string {
  return Buffer.from(`${requested_at} ${id}`).toString('base64url')
}

function readCursor(after: string, prefix: 'gr' | 'pl'): { at: string; id: string } {
  const [, at, id] = /^(\d{4}-\S{1,40}) (\S{1,40})$/.exec(Buffer.from(after, 'base64url').toString()) ?? []
  if (at === undefined || id === undefined || !id.startsWith(`${prefix}_`)) throw new BadGrantCursor()
  return { at, id }
}
