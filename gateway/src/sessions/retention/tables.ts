import { randomBytes } from 'node:crypto'
import type { Kysely, Transaction } from 'kysely'
import type { Store } from '../../store/store.ts'
import type { Flag, Json, Tables, Timestamp } from '../../store/tables.ts'

export interface LegalHoldsTable {
  id: string
  /** PersonRef */
  by: Json
  reason: string
  placed_at: Timestamp
  sessions: Json
  connections: Json
  agents: Json
  /** PersonRef */
  lifted_by: Json | null
  lifted_reason: string | null
  lifted_at: Timestamp | null
}

export interface RetentionRunsTable {
  id: string
  at: Timestamp
  /** Actor */
  by: Json
  rule: string
  /** `planned`: perhaps its entry is written; `explained`: it is, and what it names is being removed. */
  state: 'planned' | 'explained' | 'done'
  ledger_size: number
  entry: number | null
  recordings: number
  bytes: number
  entries: number
  kept: number
  more: Flag
}

export interface RetentionItemsTable {
  run: string
  session: string
  rule: string
  /** RetentionPart[] */
  takes: Json
  /** Digests go too. */
  digests: Flag
  bytes: number
  entries: number
}

export type RetentionTables = Tables & {
  legal_holds: LegalHoldsTable
  retention_runs: RetentionRunsTable
  retention_items: RetentionItemsTable
}
export type RetentionDb = Kysely<RetentionTables>
export type RetentionTx = Transaction<RetentionTables>

/** The store with this room's own tables (migration 0006). */
export function tablesOf(store: Pick<Store, 'db'>): RetentionDb {
  return store.db as unknown as RetentionDb
}

/** The ground's transaction, for what is said in it on the feed and to the ledger. */
export function ground(tx: RetentionTx): Transaction<Tables> {
  return tx as unknown as Transaction<Tables>
}

/** 120 random bits in base32 (RFC 4648, lower case) behind a prefix of two letters. */
export function newId(prefix: 'lh' | 'rt'): string {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'
  return `${prefix}_${Array.from(randomBytes(24), (byte) => alphabet[byte & 31]).join('')}`
}
