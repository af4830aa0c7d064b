import type { ApprovalState } from '@countersign/contract/approval'
import type { SessionState } from '@countersign/contract/session'
import type { ColumnType, Generated, Insertable, Selectable } from 'kysely'
import type { AccessTables } from './access-tables.ts'
import type { ReviewTables } from './review-tables.ts'

/** JSON kept as text: whoever owns the table parses it, so that a row's shape is checked in one place. */
export type Json = string
/** `Date.toISOString()`: sorts as text. */
export type Timestamp = string
/** SQLite and PostgreSQL agree on 0 and 1, not on true and false. */
export type Flag = 0 | 1

export interface ApprovalsTable {
  id: string
  state: ApprovalState
  hold: 'wait' | 'fail'
  connection: string
  connection_tags: Json
  protocol: string
  agent: string
  identity: Json
  session: string
  purpose: string | null
  text: string
  parameters: Json
  kind: string
  effects: Json
  digest: string
  /** Requirements without `approvedBy`, which follows from the decisions. */
  requirements: Json
  requested_at: Timestamp
  expires_at: Timestamp
  /** Until when an approved one may be used; null while it is pending. */
  use_by: Timestamp | null
  closed_at: Timestamp | null
  closed_because: string | null
  outcome: Json | null
  /** AccessAsked where it is a request for access, not a command. */
  access: ColumnType<Json | null, Json | null | undefined, Json | null>
  /** {POLICY: groups}: who of the escalation is asked by now, by the requirement; null: nobody yet. */
  escalated_to: ColumnType<Json | null, Json | null | undefined, Json | null>
  /** When the next group is asked; null: never. */
  escalates_at: ColumnType<Timestamp | null, Timestamp | null | undefined, Timestamp | null>
  /** Since when what is required now is asked for, where that isn't `requested_at`. */
  asked_at: ColumnType<Timestamp | null, Timestamp | null | undefined, Timestamp | null>
}

export interface DecisionsTable {
  id: Generated<number>
  approval: string
  person: string
  person_name: string
  /** The person's groups when they decided: a later change of groups changes nothing decided. */
  person_groups: Json
  verdict: 'approve' | 'deny'
  reason: string
  window: string
  at: Timestamp
  /** [{id, name, groups}] of people who are away, and whose duty it was. */
  in_place_of: ColumnType<Json | null, Json | null | undefined, Json | null>
  break_glass: ColumnType<Flag, Flag | undefined, Flag>
}

/** A digest that was approved for more than once. `session` is set where it ends with one. */
export interface WindowsTable {
  approval: string
  digest: string
  agent: string
  connection: string
  session: string | null
  until: Timestamp
}

export interface FeedTable {
  seq: Generated<number>
  at: Timestamp
  type: string
  data: Json
}

export interface SessionsTable {
  id: string
  state: SessionState
  connection: string
  connection_tags: Json
  protocol: string
  mode: 'enforce' | 'observe'
  agent: string
  identity: Json
  purpose: string | null
  /** Ids of the live grants that it was opened by; null: none. */
  grants: ColumnType<Json | null, Json | null | undefined, never>
  client: Json
  opened_at: Timestamp
  closed_at: Timestamp | null
  closed_because: string | null
  commands: ColumnType<number, number | undefined, number>
  held: ColumnType<number, number | undefined, number>
  denied: ColumnType<number, number | undefined, number>
  errors: ColumnType<number, number | undefined, number>
  recording_bytes: ColumnType<number, number | undefined, number>
  recording_complete: ColumnType<Flag, Flag | undefined, Flag>
  /** 1 once the ledger has its end, and so all of its recording. */
  in_ledger: ColumnType<Flag, Flag | undefined, Flag>
  /** Data classes that its commands or results touched, once it has ended; null where nobody has noted them. */
  classes: ColumnType<Json | null, undefined, Json | null>
  /** When retention took the recording, with what else says what was done; */
  recording_erased_at: ColumnType<Timestamp | null, undefined, Timestamp>
  /** what its approvals say of held commands; */
  approvals_erased_at: ColumnType<Timestamp | null, undefined, Timestamp>
  annotations_erased_at: ColumnType<Timestamp | null, undefined, Timestamp>
  /** what is left of the payloads of its entries. */
  entries_erased_at: ColumnType<Timestamp | null, undefined, Timestamp>
}

/** What waits to be written into the ledger (store/audit.ts). */
export interface AuditOutboxTable {
  id: Generated<number>
  at: Timestamp
  type: string
  payload: Json
}

/** The policy files of each version that was ever in force: evidence names versions. */
export interface PolicyVersionsTable {
  /** sha256:HEX */
  version: string
  at: Timestamp
  /** [{file, text}] */
  files: Json
}

/** The column that a key of `data_classes` stood for when the catalog was read last. */
export interface ClassifiedColumnsTable {
  /** host:port/database of the configuration: OIDs mean nothing anywhere else. */
  database: string
  key: string
  oid: string
  attnum: number
  newest: number
  at: Timestamp
}

export interface Tables extends AccessTables, ReviewTables {
  audit_outbox: AuditOutboxTable
  policy_versions: PolicyVersionsTable
  classified_columns: ClassifiedColumnsTable
  approvals: ApprovalsTable
  decisions: DecisionsTable
  windows: WindowsTable
  feed: FeedTable
  sessions: SessionsTable
}

export type ApprovalRow = Selectable<ApprovalsTable>
export type NewApprovalRow = Insertable<ApprovalsTable>
export type DecisionRow = Selectable<DecisionsTable>
export type WindowRow = Selectable<WindowsTable>
export type SessionRow = Selectable<SessionsTable>
