import type { LegalHold, NewLegalHold } from '@countersign/contract/evidence'
import type { PersonRef } from '@countersign/contract/identity'
import { type Selectable, sql } from 'kysely'
import { appendAudit } from '../../store/audit.ts'
import { ground, type LegalHoldsTable, newId, type RetentionDb, type RetentionTx } from './tables.ts'

/** Why a hold was not placed or lifted, with a sentence that says what to do. */
export class HoldRefused extends Error {
  override name = 'HoldRefused'
  readonly code: 'unknown' | 'erased' | 'lifted' | 'full'
  constructor(code: HoldRefused['code'], message: string) {
    super(message)
    this.code = code
  }
}

/** So many are in force at a time: each session is looked up in all of them. */
export const MOST_HOLDS = 1000

/** More than this is as good as all. */
const MOST_COUNTED = 10_000

/** The holds in force, asked by what they cover. */
export interface Holds {
  /** Ids of those that keep a session. */
  on(session: { id: string; connection: string; agent: string }): string[]
  /** Whether one keeps what is of no session, but of an agent or a connection. */
  of(what: { connection?: string | undefined; agent?: string | undefined }): boolean
}

/** The holds in force now. */
export async function holdsInForce(db: RetentionDb | RetentionTx): Promise<Holds> {
  const rows = await db.selectFrom('legal_holds').selectAll().where('lifted_at', 'is', null).execute()
  const index = { sessions: new Map(), connections: new Map(), agents: new Map() } as Record<
    'sessions' | 'connections' | 'agents',
    Map<string, string[]>
  >
  for (const row of rows)
    for (const kind of ['sessions', 'connections', 'agents'] as const)
      for (const name of JSON.parse(row[kind]) as string[])
        index[kind].set(name, [...(index[kind].get(name) ?? []), row.id])
  const found = (kind: keyof typeof index, name: string | undefined) =>
    (name === undefined ? undefined : index[kind].get(name)) ?? []
  return {
    on: ({ id, connection, agent }) =>
      [...new Set([...found('sessions', id), ...found('connections', connection), ...found('agents', agent)])].sort(),
    of: ({ connection, agent }) => found('connections', connection).length + found('agents', agent).length > 0,
  }
}

/**
 * Places a hold, with its entry. What it names must be there: a slip of the pen would keep nothing.
 * @param configured names of connections that exist, with or without a session
 * @throws HoldRefused
 */
export async function placeHold(
  db: RetentionDb,
  by: PersonRef,
  asked: NewLegalHold,
  { configured, at }: { configured: ReadonlySet<string>; at: Date },
): Promise<LegalHold> {
  const id = newId('lh')
  const [sessions, connections, agents] = [asked.sessions, asked.connections, asked.agents].map((names) => [
    ...new Set(names),
  ]) as [string[], string[], string[]]
  const who = refOf(by)
  return db.transaction().execute(async (tx) => {
    await refuseUnknown(tx, { sessions, connections, agents }, configured)
    const row = {
      id,
      by: JSON.stringify(who),
      reason: asked.reason,
      placed_at: at.toISOString(),
      sessions: JSON.stringify(sessions),
      connections: JSON.stringify(connections),
      agents: JSON.stringify(agents),
      lifted_by: null,
      lifted_reason: null,
      lifted_at: null,
    }
    await tx.insertInto('legal_holds').values(row).execute()
    await appendAudit(
      ground(tx),
      'legal-hold.placed',
      { hold: id, by: who, reason: asked.reason, sessions, connections, agents },
      at,
    )
    return withCover(tx, holdOf(row))
  })
}

async function refuseUnknown(
  tx: RetentionTx,
  { sessions, connections, agents }: Record<'sessions' | 'connections' | 'agents', string[]>,
  configured: ReadonlySet<string>,
): Promise<void> {
  const { n } = await tx
    .selectFrom('legal_holds')
    .select((e) => e.fn.countAll<number>().as('n'))
    .where('lifted_at', 'is', null)
    .executeTakeFirstOrThrow()
  if (Number(n) >= MOST_HOLDS)
    throw new HoldRefused('full', `${n} legal holds are in force, as many as may be: lift one, or name more in one.`)
  const there = await tx
    .selectFrom('sessions')
    .select(['id', 'recording_erased_at'])
    .where('id', 'in', sql<string>`(select value from json_each(${JSON.stringify(sessions)}))` as never)
    .execute()
  const known = new Map(there.map((row) => [row.id, row.recording_erased_at]))
  // What an entry says is gone is gone, also while it is being removed.
  for (const { session, at } of await beingErased(tx, sessions)) known.set(session, at)
  for (const id of sessions) {
    if (!known.has(id)) throw new HoldRefused('unknown', `There is no session ${id}: nothing would be held.`)
    const erased = known.get(id)
    if (erased)
      throw new HoldRefused('erased', `The recording of ${id} was erased on ${erased.slice(0, 10)}: it comes too late.`)
  }
  for (const name of connections)
    if (!configured.has(name) && !(await hasSession(tx, 'connection', name)))
      throw new HoldRefused('unknown', `There is no connection ${name}, and no session of one: nothing would be held.`)
  for (const name of agents)
    if (!/^[^#\s]+#.+$/.test(name) && !(await hasSession(tx, 'agent', name)))
      throw new HoldRefused('unknown', `${name} is no agent: write it as ISSUER#SUBJECT, as its sessions have it.`)
}

async function beingErased(tx: RetentionTx, sessions: string[]): Promise<{ session: string; at: string }[]> {
  const rows = await tx
    .selectFrom('retention_items')
    .innerJoin('retention_runs', 'retention_runs.id', 'retention_items.run')
    .select(['session', 'at', 'takes'])
    .where('state', '=', 'explained')
    .where('session', 'in', sql<string>`(select value from json_each(${JSON.stringify(sessions)}))` as never)
    .execute()
  return rows.filter(({ takes }) => (JSON.parse(takes) as string[]).includes('recording'))
}

async function hasSession(tx: RetentionTx, column: 'connection' | 'agent', name: string): Promise<boolean> {
  const row = await tx.selectFrom('sessions').select('id').where(column, '=', name).limit(1).executeTakeFirst()
  return row !== undefined
}

/** @throws HoldRefused */
export async function liftHold(
  db: RetentionDb,
  id: string,
  by: PersonRef,
  reason: string,
  at: Date,
): Promise<LegalHold> {
  const who = refOf(by)
  return db.transaction().execute(async (tx) => {
    const row = await tx.selectFrom('legal_holds').selectAll().where('id', '=', id).executeTakeFirst()
    if (!row) throw new HoldRefused('unknown', `There is no legal hold ${id}.`)
    if (row.lifted_at !== null) throw new HoldRefused('lifted', `This legal hold was lifted on ${row.lifted_at}.`)
    const lifted = { lifted_by: JSON.stringify(who), lifted_reason: reason, lifted_at: at.toISOString() }
    await tx.updateTable('legal_holds').set(lifted).where('id', '=', id).execute()
    const { sessions, connections, agents } = holdOf(row)
    await appendAudit(ground(tx), 'legal-hold.lifted', { hold: id, by: who, reason, sessions, connections, agents }, at)
    return holdOf({ ...row, ...lifted })
  })
}

/** All that ever were, newest first; of those in force with how many sessions they keep. */
export async function listHolds(
  db: RetentionDb,
  { limit, after }: { limit: number; after?: string },
): Promise<{ items: LegalHold[]; next: string | null }> {
  let query = db.selectFrom('legal_holds').selectAll()
  if (after !== undefined) {
    const [at, id] = placeOf(after)
    query = query.where(sql<boolean>`(placed_at, id) < (${at}, ${id})`)
  }
  const rows = await query
    .orderBy('placed_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute()
  const page = rows.slice(0, limit)
  const items: LegalHold[] = []
  for (const row of page) items.push(await withCover(db, holdOf(row)))
  const last = page.at(-1)
  return { items, next: rows.length > limit && last ? cursorOf(last) : null }
}

async function withCover(db: RetentionDb | RetentionTx, hold: LegalHold): Promise<LegalHold> {
  if (hold.lifted) return hold
  const among = (names: string[]) => sql<string>`(select value from json_each(${JSON.stringify(names)}))` as never
  const rows = await db
    .selectFrom('sessions')
    .select('id')
    .where('recording_erased_at', 'is', null)
    .where((e) =>
      e.or([
        e('id', 'in', among(hold.sessions)),
        e('connection', 'in', among(hold.connections)),
        e('agent', 'in', among(hold.agents)),
      ]),
    )
    .limit(MOST_COUNTED)
    .execute()
  return { ...hold, covers: rows.length }
}

function holdOf(row: Selectable<LegalHoldsTable>): LegalHold {
  return {
    id: row.id,
    by: JSON.parse(row.by) as PersonRef,
    reason: row.reason,
    placedAt: row.placed_at,
    sessions: JSON.parse(row.sessions) as string[],
    connections: JSON.parse(row.connections) as string[],
    agents: JSON.parse(row.agents) as string[],
    ...(row.lifted_at !== null && {
      lifted: { by: JSON.parse(row.lifted_by!) as PersonRef, reason: row.lifted_reason ?? '', at: row.lifted_at },
    }),
  }
}

/** Only what everybody may know of a person. */
function refOf({ id, issuer, subject, name }: PersonRef): PersonRef {
  return { id, issuer, subject, name }
}

/** `after` that no list of ours gave out. */
export class BadHoldCursor extends Error {
  override name = 'BadHoldCursor'
}

function cursorOf({ placed_at, id }: { placed_at: string; id: string }): string {
  return Buffer.from(`${placed_at} ${id}`).toString('base64url')
}

function placeOf(cursor: string): [at: string, id: string] {
  const found = /^(\d{4}-\S{1,40}) (lh_[a-z2-7]{24})$/.exec(Buffer.from(cursor, 'base64url').toString())
  if (!found) throw new BadHoldCursor('`after` is not one that a list gave out: use the `next` of the page before.')
  return [found[1]!, found[2]!]
}
