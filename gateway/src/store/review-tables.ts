import type {
  ApplicationState,
  CampaignState,
  ClosedHow,
  ItemVerdict,
  OverlayState,
  Verdict,
} from '@countersign/contract/review'
import type { ColumnType } from 'kysely'

/** Tables of reviews, overlays, drafts and backtests (migration 0009). JSON is kept as text. */

type Json = string
type Timestamp = string
type Flag = 0 | 1

export interface CampaignTemplatesTable {
  id: string
  plan: Json
  cadence: Json | null
  triggers: ColumnType<Json, Json | undefined, Json>
  enabled: ColumnType<Flag, Flag | undefined, Flag>
  next_at: Timestamp | null
  last_campaign: string | null
  by: Json | null
  changed_at: Timestamp
}

export interface CampaignsTable {
  id: string
  state: CampaignState
  title: string
  plan: Json
  trigger: Json
  template: string | null
  created_at: Timestamp
  created_by: Json | null
  owner: string | null
  problem: string | null
  started_at: Timestamp | null
  started_by: Json | null
  snapshot_at: Timestamp | null
  window_from: Timestamp | null
  policy: string | null
  coverage: Json | null
  due_at: Timestamp | null
  closed_at: Timestamp | null
  closed_by: Json | null
  closed_because: string | null
}

export interface CampaignItemsTable {
  id: string
  campaign: string
  number: number
  kind: 'access' | 'rule'
  agent: ColumnType<string, string | undefined, string>
  name: string
  connection: string
  privileged: ColumnType<Flag, Flag | undefined, Flag>
  summary: Json
  evidence: Json
  evidence_sha256: string
  recommendation: Json
  stage: ColumnType<number, number | undefined, number>
  reviewers: Json
  verdict: ColumnType<ItemVerdict, ItemVerdict | undefined, ItemVerdict>
  how: ClosedHow | null
  decision: string | null
  decided_at: Timestamp | null
  application: ApplicationState | null
  overlay: string | null
  revision: ColumnType<number, number | undefined, number>
}

export interface ItemReviewersTable {
  item: string
  person: string
  campaign: string
}

export interface ItemDecisionsTable {
  id: string
  campaign: string
  item: string
  stage: number
  verdict: Verdict
  reason: string
  policy: string | null
  person: ColumnType<string, string | undefined, string>
  by: Json | null
  in_place_of: Json | null
  at: Timestamp
  made_at: Timestamp | null
  how: ClosedHow
  bulk: string | null
  seconds: number | null
  evidence_opened: Json | null
  followed: Flag
  request_sha256: ColumnType<string, string | undefined, string>
}

export interface ItemCommentsTable {
  id: string
  campaign: string
  item: string
  person: string
  by: Json
  text: string
  at: Timestamp
  made_at: Timestamp | null
}

export interface ItemMovesTable {
  id: string
  campaign: string
  item: string
  kind: 'reassign' | 'delegate'
  from_ref: Json | null
  to_ref: Json
  by: Json
  reason: string
  at: Timestamp
  stage: ColumnType<number, number | undefined, number>
}

export interface CampaignSignOffsTable {
  campaign: string
  person: string
  by: Json
  statement: string
  at: Timestamp
}

export interface CampaignRemindersTable {
  campaign: string
  person: string
  kind: string
  at: Timestamp
}

export interface OverlaysTable {
  id: string
  number: number
  state: OverlayState
  kind: 'reduce' | 'revoke'
  title: string
  agent: ColumnType<string, string | undefined, string>
  connection: string
  campaign: string | null
  item: string | null
  decision: string | null
  policy: string
  digest: string
  proposed_at: Timestamp
  proposed_by: Json | null
  proposed_because: string
  approved_at: Timestamp | null
  approved_by: Json | null
  approved_because: string | null
  applied_at: Timestamp | null
  version: string | null
  in_force: ColumnType<Flag, Flag | undefined, Flag>
  probes: ColumnType<Json, Json | undefined, Json>
  failed_because: string | null
  rejected: Json | null
  roll_back: Json | null
  rolled_back: Json | null
  retired: Json | null
}

export interface PolicyDraftsTable {
  id: string
  title: string
  base: string
  files: Json
  check: Json
  by: Json
  at: Timestamp
  changed_by: Json
  changed_at: Timestamp
  revision: ColumnType<number, number | undefined, number>
}

export interface BacktestsTable {
  id: string
  state: 'running' | 'done' | 'cancelled' | 'failed'
  title: string
  by: Json
  at: Timestamp
  asked: Json
  files: Json
  version: string
  ended_at: Timestamp | null
  problem: string | null
  warnings: ColumnType<Json, Json | undefined, Json>
  result: Json | null
}

export interface ReviewTables {
  campaign_templates: CampaignTemplatesTable
  campaigns: CampaignsTable
  campaign_items: CampaignItemsTable
  item_reviewers: ItemReviewersTable
  item_decisions: ItemDecisionsTable
  item_comments: ItemCommentsTable
  item_moves: ItemMovesTable
  campaign_sign_offs: CampaignSignOffsTable
  campaign_reminders: CampaignRemindersTable
  overlays: OverlaysTable
  policy_drafts: PolicyDraftsTable
  backtests: BacktestsTable
}
