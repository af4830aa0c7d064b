import { setImmediate as turn } from 'node:timers/promises'
import type { Grant, GrantState, Plan } from '@countersign/contract/access'
import { type Kysely, type RawBuilder, type SelectQueryBuilder, sql } from 'kysely'
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

/** Newest first; a page may be shorter than `limit`, and has a `next` then. @throws BadGrantCursor */
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
  return pageOf({
    limit,
    largest: largestOf(scope),
    from: after === undefined ? undefined : readCursor(after, 'gr'),
    atOnce: 200,
    read: (from, many) => ordered(from ? select.where(olderThan(from)) : select, many).execute(),
    load: (rows) => readGrants(db, rows),
  })
}

/** As {@link listGrants}. @throws BadGrantCursor */
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
  return pageOf({
    limit,
    largest: largestOf(scope),
    from: after === undefined ? undefined : readCursor(after, 'pl'),
    atOnce: 20,
    read: (from, many) => ordered(from ? select.where(olderThan(from)) : select, many).execute(),
    load: (rows) => readPlans(db, rows),
  })
}

/**
 * A page, read in parts: it ends at `limit`, or before where it grows beyond `largest` (characters of JSON). Whoever may
 * ask for much has thousands of grants made, each as large as one may be; while they are read and written as JSON, nobody
 * else would have a turn.
 */
async function pageOf<Row extends At, Item>({
  limit,
  largest,
  from,
  atOnce,
  read,
  load,
}: {
  limit: number
  largest: number
  from: Place | undefined
  atOnce: number
  read: (from: Place | undefined, many: number) => Promise<Row[]>
  load: (rows: Row[]) => Promise<Item[]>
}): Promise<{ items: Item[]; next: string | null }> {
  const items: Item[] = []
  let last: Row | undefined
  for (let size = 0; ; ) {
    const many = Math.min(limit - items.length + 1, atOnce)
    const rows = await read(last ? { at: last.requested_at, id: last.id } : from, many)
    for (const [i, item] of (await load(rows)).entries()) {
      if (last && (items.length === limit || size > largest)) return { items, next: cursorOf(last) }
      items.push(item)
      size += JSON.stringify(item).length
      last = rows[i]!
    }
    if (rows.length < many) return { items, next: null }
    await turn()
  }
}

interface At {
  requested_at: string
  id: string
}

interface Place {
  at: string
  id: string
}

/** Agents have their own read to them in small pieces; what people ask for they see at once. */
const largestOf = ({ see }: GrantScope) => (see === 'own' ? 2 * 1024 ** 2 : 16 * 1024 ** 2)

const olderThan = ({ at, id }: Place) => sql<boolean>`(requested_at, id) < (${at}, ${id})`

function ordered<T extends 'grants' | 'plans', O>(select: SelectQueryBuilder<Tables, T, O>, many: number) {
  return select.orderBy(sql`requested_at`, 'desc').orderBy(sql`id`, 'desc').limit(many)
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

function cursorOf({ requested_at, id }: At): string {
  return Buffer.from(`${requested_at} ${id}`).toString('base64url')
}

function readCursor(after: string, prefix: 'gr' | 'pl'): Place {
  const [, at, id] = /^(\d{4}-\S{1,40}) (\S{1,40})$/.exec(Buffer.from(after, 'base64url').toString()) ?? []
  if (at === undefined || id === undefined || !id.startsWith(`${prefix}_`)) throw new BadGrantCursor()
  return { at, id }
}
