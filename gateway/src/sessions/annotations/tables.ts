import type { Annotation } from '@countersign/contract/evidence'
import type { PersonRef } from '@countersign/contract/identity'
import { type Kysely, type Selectable, sql, type Transaction } from 'kysely'
import type { Store } from '../../store/store.ts'
import type { Json, Tables, Timestamp } from '../../store/tables.ts'

interface AnnotationsTable {
  id: string
  session: string
  /** Id of who made it, ISSUER#SUBJECT. */
  person: string
  /** PersonRef */
  by: Json
  from_ms: number
  to_ms: number | null
  text: string
  tags: Json
  made_at: Timestamp
  received_at: Timestamp
  withdrawn_at: Timestamp | null
  withdrawn_reason: string | null
  /** Row of the audit outbox that was written last for it. */
  audit: number
}

interface OfflinePlaybacksTable {
  id: string
  session: string
  person: string
  played_at: Timestamp
  received_at: Timestamp
}

export type AnnotationTables = Tables & { annotations: AnnotationsTable; offline_playbacks: OfflinePlaybacksTable }
export type AnnotationRow = Selectable<AnnotationsTable>

/** The store with this room's own tables (migration 0005). */
export function tablesOf(store: Pick<Store, 'db'>): Kysely<AnnotationTables> {
  return store.db as unknown as Kysely<AnnotationTables>
}

/** The ground's transaction, for what is said in it on the feed and to the ledger. */
export function ground(tx: Transaction<AnnotationTables>): Transaction<Tables> {
  return tx as unknown as Transaction<Tables>
}

/** Rows with whether the ledger has what was said of them last. */
export function rowsWithLog(db: Kysely<AnnotationTables>) {
  return db
    .selectFrom('annotations')
    .selectAll('annotations')
    .select(sql<0 | 1>`not exists (select 1 from audit_outbox where audit_outbox.id = annotations.audit)`.as('logged'))
}

export function annotationOf(row: AnnotationRow & { logged?: 0 | 1 | boolean }): Annotation {
  return {
    id: row.id,
    session: row.session,
    by: JSON.parse(row.by) as PersonRef,
    from: row.from_ms,
    ...(row.to_ms !== null && { to: row.to_ms }),
    text: row.text,
    tags: JSON.parse(row.tags) as string[],
    madeAt: row.made_at,
    receivedAt: row.received_at,
    ...(row.logged !== undefined && { logged: Boolean(row.logged) }),
    ...(row.withdrawn_at !== null && { withdrawn: { at: row.withdrawn_at, reason: row.withdrawn_reason ?? '' } }),
  }
}
