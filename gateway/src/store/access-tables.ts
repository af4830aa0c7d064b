import type { GrantState } from '@countersign/contract/access'
import type { ColumnType, Generated } from 'kysely'

/** Tables of access: who may do what, since when and until when (migration 0008). JSON is kept as text. */

type Json = string
type Timestamp = string
type Flag = 0 | 1

export interface PlansTable {
  id: string
  title: string
  purpose: string
  requested_at: Timestamp
  requested_by: Json
  approval: string | null
}

export interface GrantsTable {
  id: string
  state: GrantState
  connection: string
  connection_tags: Json
  agent: string
  /** Empty where the agent acts for nobody. */
  on_behalf_of: string
  identity: Json
  actions: Json
  resources: Json | null
  duration: string
  seconds: number
  purpose: string
  plan: string | null
  step: Json | null
  extends: string | null
  requested_at: Timestamp
  requested_by: Json
  /** Id of the one who asked. */
  requester: ColumnType<string, string | undefined, string>
  approval: string | null
  policies: Json
  active_from: Timestamp | null
  /** While it is requested: when the request lapses. */
  expires_at: Timestamp | null
  ended_at: Timestamp | null
  ended_by: Json | null
  ended_because: string | null
  sessions: ColumnType<number, number | undefined, number>
  last_used_at: Timestamp | null
}

export interface GrantSessionsTable {
  grant: string
  session: string
  at: Timestamp
}

export interface TokensTable {
  id: string
  /** SHA-256 of the token's text, in hex. */
  hash: string
  agent: string
  identity: Json
  connection: string
  grant: string | null
  purpose: string | null
  issued_at: Timestamp
  expires_at: Timestamp
  last_used_at: Timestamp | null
  revoked_at: Timestamp | null
  revoked_by: Json | null
  revoked_because: string | null
}

/** What may be presented once only. */
export interface PresentedTable {
  hash: string
  until: Timestamp
}

export interface AgentsTable {
  id: string
  issuer: string
  subject: string
  /** AgentRef of its newest token; null before it was seen. */
  identity: Json | null
  name: string | null
  owner: string | null
  sponsor: string | null
  purpose: string | null
  environment: string | null
  keys: ColumnType<Json, Json | undefined, Json>
  declared: ColumnType<Flag, Flag | undefined, Flag>
  acts_for: ColumnType<Json, Json | undefined, Json>
  /** The delegation chain of its newest token, the agent itself first. */
  chain: ColumnType<Json, Json | undefined, Json>
  first_seen_at: Timestamp | null
  last_seen_at: Timestamp | null
  disabled_at: Timestamp | null
  disabled_by: Json | null
  disabled_because: string | null
}

export interface AgentIdentitiesTable {
  id: Generated<number>
  agent: string
  at: Timestamp
  identity: Json
}

export interface AgentStatesTable {
  id: Generated<number>
  agent: string
  at: Timestamp
  state: 'active' | 'disabled'
  by: Json
  reason: string
}

/** All connections as they were configured from a time on: [{name, kind, tags, access, mode}], by name. */
export interface ConnectionVersionsTable {
  id: Generated<number>
  at: Timestamp
  connections: Json
}

export interface PolicyTimesTable {
  id: Generated<number>
  at: Timestamp
  version: string
  /** PersonRef of who put it in force; null: the gateway, from the folder. */
  by: ColumnType<Json | null, Json | null | undefined, Json | null>
  reason: ColumnType<string | null, string | null | undefined, string | null>
}

export interface FreezesTable {
  id: string
  connection: string
  by: Json
  reason: string
  at: Timestamp
  ended_at: Timestamp | null
  ended_by: Json | null
  ended_because: string | null
}

export interface PeopleTable {
  id: string
  issuer: string
  subject: string
  name: string
  email: string | null
  groups: Json
  roles: Json
  first_seen_at: Timestamp
  last_seen_at: Timestamp
  left_at: Timestamp | null
  left_by: Json | null
  left_because: string | null
}

export interface DelegationsTable {
  id: string
  from_person: string
  from_ref: Json
  to_person: string
  to_ref: Json
  groups: Json
  since: Timestamp
  until: Timestamp
  reason: string
  made_at: Timestamp
  ended_at: Timestamp | null
  ended_by: Json | null
  ended_because: string | null
}

export interface BreakGlassTable {
  id: string
  approval: string
  agent: string
  connection: string
  person: Json
  reason: string
  at: Timestamp
  reviewed_at: Timestamp | null
  reviewed_by: Json | null
  verdict: 'justified' | 'not-justified' | null
  review_reason: string | null
}

export interface DeliveriesTable {
  id: string
  url: string
  body: Json
  at: Timestamp
  tries: ColumnType<number, number | undefined, number>
  next_at: Timestamp
}

/** How far the feed was read for webhooks: one row, while any are configured. */
export interface WebhookCursorTable {
  one: number
  seq: number
}

export interface AccessTables {
  plans: PlansTable
  grants: GrantsTable
  grant_sessions: GrantSessionsTable
  tokens: TokensTable
  presented: PresentedTable
  agents: AgentsTable
  agent_identities: AgentIdentitiesTable
  agent_states: AgentStatesTable
  connection_versions: ConnectionVersionsTable
  policy_times: PolicyTimesTable
  freezes: FreezesTable
  people: PeopleTable
  delegations: DelegationsTable
  break_glass: BreakGlassTable
  deliveries: DeliveriesTable
  webhook_cursor: WebhookCursorTable
}
