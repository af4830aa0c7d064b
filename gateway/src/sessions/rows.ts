import type { PersonRef } from '@countersign/contract/identity'
import type { RecordingHeader } from '@countersign/contract/recording'
import type { Session, SessionState } from '@countersign/contract/session'
import { type RawBuilder, sql, type Transaction } from 'kysely'
import { appendAudit } from '../store/audit.ts'
import { appendFeed } from '../store/feed.ts'
import type { Store } from '../store/store.ts'
import type { SessionRow, Tables } from '../store/tables.ts'
import type { RecordingCounts } from './counts.ts'
import type { SessionsWith } from './search/search.ts'
import { type PlayedWhat, tablesOf } from './tables.ts'

export interface SessionQuery {
  agent?: string
  connection?: string
  state?: SessionState
  /** ISO 8601: sessions that were open at or after it … */
  from?: string
  /** … and at or before it. */
  to?: string
  /** Words of one of its commands. */
  text?: string
  /** Only sessions to which an approval belongs that one of these groups may decide. */
  heldFor?: string[]
  limit: number
  /** `next` of the page before. */
  after?: string
}

/** So many sessions are asked at a time whether they have some words … */
const ASKED_AT_ONCE = 200
/** … and so long (ms). */
const LONGEST_MS = 500

/** `after` that no list of ours gave out. */
export class BadCursor extends Error {
  override name = 'BadCursor'
}

export interface Closing {
  state: Exclude<SessionState, 'open'>
  reason: string
  at: string
  counts: RecordingCounts
  /** Data classes that it touched; undefined where that can't be told. */
  classes: string[] | undefined
  bytes: number
  complete: boolean
}

/** Pages of events that a person reads within this time are one playback. */
const ONE_PLAYBACK_MS = 5 * 60_000

/** The table of sessions. What others should know of is said on the feed in the same transaction. */
export function createRows(store: Store, clock: () => number = Date.now) {
  const db = tablesOf(store)
  return {
    async insert(session: Session): Promise<void> {
      await store.db.transaction().execute(async (tx) => {
        await tx.insertInto('sessions').values(rowOf(session)).execute()
        await appendFeed(tx, 'session.opened', session, new Date(session.openedAt))
      })
    },

    /** A recording whose row is missing, as after a store was restored from a backup. */
    async adopt(header: RecordingHeader): Promise<void> {
      const session: Session = {
        id: header.session,
        state: 'open',
        connection: header.connection,
        connectionTags: [],
        protocol: header.protocol,
        mode: header.mode,
        agent: header.agent.id,
        identity: header.agent,
        ...(header.purpose !== undefined && { purpose: header.purpose }),
        ...(header.grants && { grants: header.grants }),
        client: header.client,
        openedAt: header.startedAt,
        counts: { commands: 0, held: 0, denied: 0, errors: 0 },
        recording: { bytes: 0, complete: false },
      }
      await store.db.insertInto('sessions').values(rowOf(session)).execute()
    },

    async close(id: string, closing: Closing): Promise<void> {
      await store.db.transaction().execute(async (tx) => {
        const row = await tx
          .updateTable('sessions')
          .set({
            state: closing.state,
            closed_at: closing.at,
            closed_because: closing.reason,
            ...closing.counts,
            classes: closing.classes === undefined ? null : JSON.stringify(closing.classes),
            recording_bytes: closing.bytes,
            recording_complete: closing.complete ? 1 : 0,
          })
          .where('id', '=', id)
          .where('state', '=', 'open')
          .returningAll()
          .executeTakeFirst()
        if (row) return void (await appendFeed(tx, 'session.closed', sessionOf(row), new Date(closing.at)))
        // It has ended as the ledger says, which lost its recording: what it did is known all the same.
        await tx
          .updateTable('sessions')
          .set({ ...closing.counts, classes: closing.classes === undefined ? null : JSON.stringify(closing.classes) })
          .where('id', '=', id)
          .execute()
      })
    },

    /** What became known of a recording after its session was closed. */
    async complete(id: string, found: Pick<Closing, 'counts' | 'classes' | 'bytes'>): Promise<void> {
      await store.db
        .updateTable('sessions')
        .set({
          ...found.counts,
          ...(found.classes && { classes: JSON.stringify(found.classes) }),
          recording_bytes: found.bytes,
          recording_complete: 1,
        })
        .where('id', '=', id)
        .execute()
    },

    async count(many: { id: string; counts: RecordingCounts; bytes: number }[]): Promise<void> {
      if (many.length === 0) return
      await store.db.transaction().execute(async (tx) => {
        for (const { id, counts, bytes } of many) {
          await tx
            .updateTable('sessions')
            .set({ ...counts, recording_bytes: bytes })
            .where('id', '=', id)
            .where('state', '=', 'open')
            .execute()
        }
      })
    },

    async get(id: string): Promise<Session | undefined> {
      const row = await store.db.selectFrom('sessions').selectAll().where('id', '=', id).executeTakeFirst()
      return row && sessionOf(row)
    },

    open(): Promise<{ id: string; opened_at: string }[]> {
      return store.db.selectFrom('sessions').select(['id', 'opened_at']).where('state', '=', 'open').execute()
    },

    /**
     * Newest first. @throws BadCursor
     * @param having the sessions that have the words of `query.text`
     * @param among where those are many: which of some they are
     */
    async list(
      query: SessionQuery,
      having?: SessionsWith,
      among: (sessions: string[]) => Promise<string[]> = async (sessions) => sessions,
    ): Promise<{ items: Session[]; next: string | null }> {
      let select = db.selectFrom('sessions').selectAll('sessions')
      if (query.agent !== undefined) select = select.where('sessions.agent', '=', query.agent)
      if (query.connection !== undefined) select = select.where('sessions.connection', '=', query.connection)
      if (query.state !== undefined) select = select.where('sessions.state', '=', query.state)
      const { from, to } = query
      if (from !== undefined)
        select = select.where((e) =>
          e.or([
            // What is open now has not been open in the future.
            ...(Date.parse(from) <= clock() ? [e('sessions.closed_at', 'is', null)] : []),
            e('sessions.closed_at', '>=', instant(from)),
          ]),
        )
      if (to !== undefined) select = select.where('sessions.opened_at', '<=', instant(to))
      if (query.text !== undefined && query.text.trim() !== '') {
        if (!having) return { items: [], next: null }
        if (having.are === 'these')
          select = select.where(
            sql<boolean>`sessions.id in (select value from json_each(${JSON.stringify(having.sessions)}))`,
          )
      }
      if (query.heldFor !== undefined) select = select.where(isHeldFor(query.heldFor))
      const ordered = select.orderBy('sessions.opened_at', 'desc').orderBy('sessions.id', 'desc')
      const below = (after: { at: string; id: string } | undefined) =>
        after ? ordered.where(sql<boolean>`(sessions.opened_at, sessions.id) < (${after.at}, ${after.id})`) : ordered
      let after = query.after === undefined ? undefined : readCursor(query.after)
      const atOnce = having?.are === 'many' ? ASKED_AT_ONCE : query.limit + 1
      const rows: SessionRow[] = []
      const until = performance.now() + LONGEST_MS
      for (;;) {
        const some = await below(after).limit(atOnce).execute()
        const has = having?.are === 'many' ? new Set(await among(some.map(({ id }) => id))) : undefined
        for (const row of some) {
          if (!has || has.has(row.id)) rows.push(row)
          if (rows.length > query.limit) break
        }
        if (rows.length > query.limit || having?.are !== 'many' || some.length < atOnce) break
        const last = some.at(-1)!
        // A page that is short says where to go on.
        if (performance.now() > until) return { items: rows.map(sessionOf), next: cursorOf(last) }
        after = { at: last.opened_at, id: last.id }
      }
      const page = rows.slice(0, query.limit)
      return { items: page.map(sessionOf), next: rows.length > page.length ? cursorOf(page.at(-1)!) : null }
    },

    /** The sessions to which an approval belongs, of a command or of the grant they used, that one of these groups may decide. */
    async heldFor(groups: string[]): Promise<string[]> {
      // Requirements are the same for all that one policy has held: few are looked into. Few have escalated.
      const { rows } = await sql<{ session: string }>`select distinct session from approvals where requirements in (
        select requirements from (select distinct requirements from approvals) as held
        where ${isFor(sql.ref('held.requirements'), groups)})
        or (escalated_to is not null and ${hasEscalatedTo(groups)})
        union select used.session from grant_sessions as used
          join grants on grants.id = used."grant"
          join approvals on approvals.id = grants.approval
          where ${isFor(sql.ref('approvals.requirements'), groups)} or ${hasEscalatedTo(groups)}`.execute(db)
      return rows.map(({ session }) => session)
    },

    /** Whether such an approval belongs to the session. */
    async isHeldFor(id: string, groups: string[]): Promise<boolean> {
      const row = await db
        .selectFrom('sessions')
        .select('sessions.id')
        .where('sessions.id', '=', id)
        .where(isHeldFor(groups))
        .executeTakeFirst()
      return row !== undefined
    },

    async playback(session: string, by: PersonRef, what: PlayedWhat, at: string) {
      const { id: person, issuer, subject, name } = by
      await db.transaction().execute(async (tx) => {
        // Who reads on, page by page, plays it once.
        const burst = tx
          .selectFrom('playbacks')
          .select('id')
          .where('session', '=', session)
          .where('at', '>', new Date(Date.parse(at) - ONE_PLAYBACK_MS).toISOString())
          .where('person', '=', person)
          .where('what', '=', what)
        if (what === 'events' && (await burst.executeTakeFirst())) return
        const row = { id: undefined, at, session, person, person_name: name, what }
        await tx.insertInto('playbacks').values(row).execute()
        const played = { session, by: { id: person, issuer, subject, name }, where: 'gateway' as const, what }
        await appendAudit(tx as unknown as Transaction<Tables>, 'playback', played, new Date(at))
      })
    },
  }
}

export type SessionRows = ReturnType<typeof createRows>

/** Something was held in the session, or it used a grant that people gave. */
function isHeldFor(groups: string[]) {
  const theirs = sql`(${isFor(sql.ref('approvals.requirements'), groups)} or ${hasEscalatedTo(groups)})`
  return sql<boolean>`(exists (select 1 from approvals where approvals.session = sessions.id and ${theirs})
    or exists (select 1 from json_each(sessions.grants) as used
      join grants on grants.id = used.value
      join approvals on approvals.id = grants.approval
      where ${theirs}))`
}

/** Whether one of these groups was asked when nobody had answered. */
function hasEscalatedTo(groups: string[]) {
  return sql<boolean>`exists (select 1 from json_each(approvals.escalated_to) as asked, json_each(asked.value) as member
    where member.value in (select value from json_each(${JSON.stringify(groups)})))`
}

/** Whether one of these groups is in requirements. */
function isFor(requirements: RawBuilder<unknown>, groups: string[]) {
  return sql<boolean>`exists (select 1 from json_each(${requirements}) as requirement,
    json_each(requirement.value, '$.groups') as member
    where member.value in (select value from json_each(${JSON.stringify(groups)})))`
}

/** Any ISO 8601 instant in the form in which the store sorts them. */
function instant(text: string): string {
  return new Date(text).toISOString()
}

function cursorOf(row: SessionRow): string {
  return Buffer.from(`${row.opened_at}|${row.id}`).toString('base64url')
}

function readCursor(cursor: string): { at: string; id: string } {
  const match = /^(\d{4}-[^|]{1,40})\|(se_[a-z2-7]+)$/.exec(Buffer.from(cursor, 'base64url').toString())
  if (!match) throw new BadCursor('`after` is not one that a list gave out: use the `next` of the page before.')
  return { at: match[1]!, id: match[2]! }
}

function rowOf(session: Session) {
  return {
    id: session.id,
    state: session.state,
    connection: session.connection,
    connection_tags: JSON.stringify(session.connectionTags),
    protocol: session.protocol,
    mode: session.mode,
    agent: session.agent,
    identity: JSON.stringify(session.identity),
    purpose: session.purpose ?? null,
    grants: session.grants ? JSON.stringify(session.grants) : null,
    client: JSON.stringify(session.client),
    opened_at: session.openedAt,
    closed_at: null,
    closed_because: null,
  }
}

export function sessionOf(row: SessionRow): Session {
  return {
    id: row.id,
    state: row.state,
    connection: row.connection,
    connectionTags: JSON.parse(row.connection_tags),
    protocol: row.protocol,
    mode: row.mode,
    agent: row.agent,
    identity: JSON.parse(row.identity),
    ...(row.purpose !== null && { purpose: row.purpose }),
    ...(row.grants !== null && { grants: JSON.parse(row.grants) }),
    client: JSON.parse(row.client),
    openedAt: row.opened_at,
    ...(row.closed_at !== null && { closedAt: row.closed_at }),
    ...(row.closed_because !== null && { closedBecause: row.closed_because }),
    counts: { commands: row.commands, held: row.held, denied: row.denied, errors: row.errors },
    recording: { bytes: row.recording_bytes, complete: row.recording_complete === 1 },
    ...(row.recording_erased_at !== null && { retention: { heldBy: [], erasedAt: row.recording_erased_at } }),
  }
}
