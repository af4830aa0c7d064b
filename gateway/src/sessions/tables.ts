import type { Kysely } from 'kysely'
import type { Store } from '../store/store.ts'
import type { Tables } from '../store/tables.ts'

/** The whole recording, a page of its events, or an evidence bundle with it. */
export type PlayedWhat = 'recording' | 'events' | 'bundle'

/** Who saw which recording. The ledger has an entry of each. */
export interface PlaybacksTable {
  id: number | undefined
  at: string
  session: string
  person: string
  person_name: string
  what: PlayedWhat
}

export type SessionTables = Tables & {
  playbacks: PlaybacksTable
}

/** The store with this room's own tables (migration 0002). */
export function tablesOf(store: Store): Kysely<SessionTables> {
  return store.db as unknown as Kysely<SessionTables>
}
