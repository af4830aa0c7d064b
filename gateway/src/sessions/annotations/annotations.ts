import { isDeepStrictEqual } from 'node:util'
import type { Annotation, NewAnnotation } from '@countersign/contract/evidence'
import type { PersonRef } from '@countersign/contract/identity'
import { type Kysely, sql, type Transaction } from 'kysely'
import { appendAudit } from '../../store/audit.ts'
import { appendFeed } from '../../store/feed.ts'
import type { Store } from '../../store/store.ts'
import type { Tables } from '../../store/tables.ts'
import { BadCursor } from '../rows.ts'
import { type AnnotationTables, annotationOf, ground, rowsWithLog, tablesOf } from './tables.ts'

/** What people write about recordings, and what they tell of having played without the gateway. */
export interface AnnotationsRoom {
  /** A session's annotations as they came in, withdrawn ones too. @throws BadCursor */
  list(session: string, page: { limit: number; after?: string }): Promise<{ items: Annotation[]; next: string | null }>
  /** Takes one in; the same again changes nothing. `made` says whether it was the first time. @throws AnnotationRefused */
  add(
    session: string,
    id: string,
    by: PersonRef,
    body: NewAnnotation,
  ): Promise<{ made: boolean; annotation: Annotation }>
  /** Its author takes it back; it stays to be read, as withdrawn. Again changes nothing. @throws AnnotationRefused */
  withdraw(session: string, id: string, by: PersonRef, reason: string): Promise<Annotation>
  /** Notes that a person played a recording from a library; again changes nothing. @throws AnnotationRefused */
  playedOffline(session: string, id: string, by: PersonRef, playedAt: string): Promise<{ made: boolean }>
}

/** Why something was not taken in, with a sentence that says what to do. */
export class AnnotationRefused extends Error {
  override name = 'AnnotationRefused'
  readonly code: 'conflict' | 'full' | 'too-fast' | 'not-found' | 'not-yours'
  constructor(code: AnnotationRefused['code'], message: string) {
    super(message)
    this.code = code
  }
}

/** Annotations and withdrawn ones of a session; of a person, new annotations and playbacks a minute. */
export const annotationBounds = { perSession: 5000, perMinute: 120, playbacksPerMinute: 240 }

/** Opens the room on the store. `clock` is milliseconds since the epoch. */
export function createAnnotations(options: {
  store: Store
  clock?: () => number
  bounds?: Partial<typeof annotationBounds>
}): AnnotationsRoom {
  const clock = options.clock ?? Date.now
  const bounds = { ...annotationBounds, ...options.bounds }
  const db = tablesOf(options.store)

  return {
    async list(session, { limit, after }) {
      let query = rowsWithLog(db).where('session', '=', session)
      if (after !== undefined) {
        const [at, id] = placeOf(after)
        query = query.where(sql<boolean>`(received_at, id) > (${at}, ${id})`)
      }
      const rows = await query
        .orderBy('received_at')
        .orderBy('id')
        .limit(limit + 1)
        .execute()
      const items = rows.slice(0, limit).map(annotationOf)
      const last = items.at(-1)
      const next = rows.length > limit && last ? cursorOf(last.receivedAt!, last.id) : null
      return { items, next }
    },

    add: (session, id, by, body) =>
      db.transaction().execute(async (tx) => {
        const known = await one(tx, id)
        if (known) {
          if (known.session !== session || known.by.id !== by.id || !isSame(known, body))
            throw new AnnotationRefused(
              'conflict',
              'There is another annotation under this id: keep yours as a new one, under an id of its own.',
            )
          return { made: false, annotation: known }
        }
        const at = new Date(clock())
        const { n } = await tx
          .selectFrom('annotations')
          .select((e) => e.fn.countAll<number>().as('n'))
          .where('session', '=', session)
          .executeTakeFirstOrThrow()
        if (Number(n) >= bounds.perSession)
          throw new AnnotationRefused(
            'full',
            `This session has ${bounds.perSession} annotations, as many as one may have: write on another one, or add to what you keep elsewhere.`,
          )
        await slowDown(tx, 'annotations', by, at, bounds.perMinute, 'annotations')
        const audit = await appendAudit(
          ground(tx),
          'annotation',
          {
            annotation: id,
            session,
            by: refOf(by),
            from: body.from,
            ...(body.to !== undefined && { to: body.to }),
            text: body.text,
            tags: body.tags,
            madeAt: body.madeAt,
          },
          at,
        )
        const row = {
          id,
          session,
          person: by.id,
          by: JSON.stringify(refOf(by)),
          from_ms: body.from,
          to_ms: body.to ?? null,
          text: body.text,
          tags: JSON.stringify(body.tags),
          made_at: body.madeAt,
          received_at: at.toISOString(),
          withdrawn_at: null,
          withdrawn_reason: null,
          audit,
        }
        await tx.insertInto('annotations').values(row).execute()
        const annotation = annotationOf(row)
        await appendFeed(ground(tx), 'annotation.added', annotation, at)
        return { made: true, annotation: { ...annotation, logged: false } }
      }),

    withdraw: (session, id, by, reason) =>
      db.transaction().execute(async (tx) => {
        const known = await one(tx, id)
        if (!known || known.session !== session)
          throw new AnnotationRefused('not-found', `There is no annotation ${id} of this session.`)
        if (known.by.id !== by.id)
          throw new AnnotationRefused(
            'not-yours',
            'An annotation is withdrawn by who made it: ask them, or answer it by one of yours.',
          )
        if (known.withdrawn) return known
        const at = new Date(clock())
        const audit = await appendAudit(
          ground(tx),
          'annotation.withdrawn',
          { annotation: id, session, by: refOf(by), reason },
          at,
        )
        await tx
          .updateTable('annotations')
          .set({ withdrawn_at: at.toISOString(), withdrawn_reason: reason, audit })
          .where('id', '=', id)
          .execute()
        const { logged: _, ...rest } = known
        const annotation = { ...rest, withdrawn: { at: at.toISOString(), reason } }
        await appendFeed(ground(tx), 'annotation.withdrawn', annotation, at)
        return { ...annotation, logged: false }
      }),

    playedOffline: (session, id, by, playedAt) =>
      db.transaction().execute(async (tx) => {
        const known = await tx.selectFrom('offline_playbacks').selectAll().where('id', '=', id).executeTakeFirst()
        if (known) {
          const same =
            known.session === session && known.person === by.id && Date.parse(known.played_at) === Date.parse(playedAt)
          if (!same)
            throw new AnnotationRefused(
              'conflict',
              'There is another playback under this id: tell yours under an id of its own.',
            )
          return { made: false }
        }
        const at = new Date(clock())
        await slowDown(tx, 'offline_playbacks', by, at, bounds.playbacksPerMinute, 'playbacks')
        await appendAudit(ground(tx), 'playback', { session, by: refOf(by), where: 'offline', playedAt }, at)
        await tx
          .insertInto('offline_playbacks')
          .values({ id, session, person: by.id, played_at: playedAt, received_at: at.toISOString() })
          .execute()
        return { made: true }
      }),
  }
}

/**
 * Takes away what these sessions' annotations say, here and where the feed still has it, when retention takes away the
 * sessions' payloads: in its transaction. The ledger's own payloads are the ledger's to erase.
 */
export async function eraseAnnotations(tx: Transaction<Tables>, sessions: readonly string[]): Promise<void> {
  if (sessions.length === 0) return
  const own = tx as unknown as Transaction<AnnotationTables>
  await own.deleteFrom('annotations').where('session', 'in', sessions).execute()
  await tx
    .deleteFrom('feed')
    .where('type', 'in', ['annotation.added', 'annotation.withdrawn'])
    .where(sql<string>`json_extract(data, '$.session')`, 'in', sessions)
    .execute()
}

async function one(db: Kysely<AnnotationTables>, id: string): Promise<Annotation | undefined> {
  const row = await rowsWithLog(db).where('id', '=', id).executeTakeFirst()
  return row && annotationOf(row)
}

function isSame(known: Annotation, body: NewAnnotation): boolean {
  return (
    known.from === body.from &&
    known.to === body.to &&
    known.text === body.text &&
    isDeepStrictEqual(known.tags, body.tags) &&
    Date.parse(known.madeAt) === Date.parse(body.madeAt)
  )
}

/** @throws AnnotationRefused where a person has sent as many within the last minute as they may */
async function slowDown(
  tx: Transaction<AnnotationTables>,
  table: 'annotations' | 'offline_playbacks',
  by: PersonRef,
  at: Date,
  most: number,
  what: string,
): Promise<void> {
  const since = new Date(at.getTime() - 60_000).toISOString()
  const { n } = await tx
    .selectFrom(table)
    .select((e) => e.fn.countAll<number>().as('n'))
    .where('person', '=', by.id)
    .where('received_at', '>', since)
    .executeTakeFirstOrThrow()
  if (Number(n) < most) return
  throw new AnnotationRefused(
    'too-fast',
    `You have sent ${most} ${what} within a minute: wait a little, then send the rest.`,
  )
}

/** Only what everybody may know of a person. */
function refOf({ id, issuer, subject, name }: PersonRef): PersonRef {
  return { id, issuer, subject, name }
}

function cursorOf(at: string, id: string): string {
  return Buffer.from(`${at} ${id}`).toString('base64url')
}

function placeOf(cursor: string): [at: string, id: string] {
  const found = /^(\d{4}-\S{1,40}) (an_[a-z2-7]{24})$/.exec(Buffer.from(cursor, 'base64url').toString())
  if (!found) throw new BadCursor('`after` is not one that a list gave out: use the `next` of the page before.')
  return [found[1]!, found[2]!]
}
