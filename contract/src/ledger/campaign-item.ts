import type { PersonRef } from '../identity.ts'
import type {
  ApplicationState,
  ClosedHow,
  ItemVerdict,
  OverlayState,
  Probe,
  Recommendation,
  Verdict,
} from '../review.ts'
import type { Actor } from './payloads.ts'

/** An item of a campaign as an evidence pack has it: `items/ID.json` (docs/formats.md, "Bundles of campaigns"). */

export interface PackDecision {
  id: string
  entry: number
  at: string
  stage: number
  verdict: Verdict
  reason: string
  by: Actor
  how: ClosedHow
  bulk?: string
  policy?: string
  madeAt?: string
  inPlaceOf?: PersonRef
  /** Whether it is what was recommended. */
  followed?: boolean
  /** How long it was open before, and which parts of it were looked at, as the console says. */
  seconds?: number
  evidenceOpened?: string[]
}

export interface PackOverlay {
  id: string
  number: number
  kind: 'reduce' | 'revoke'
  title: string
  policy: string
  /** SHA-256 of the policy's text. */
  digest: string
  /** Id of the decision that it carries out. */
  decision?: string
  state: OverlayState
  /** Each step of its life as the ledger has it. */
  steps: {
    entry: number
    at: string
    what: string
    by: Actor
    reason?: string
    /** Of the policy set that came into force by it. */
    version?: string
    /** What the gate was asked, and answered. */
    asked?: Probe[]
  }[]
}

/** `items/ID.json`. */
export interface PackItem {
  format: 'countersign-item/1'
  campaign: string
  id: string
  /** The entry campaign.item, and its time. */
  entry: number
  at: string
  number: number
  kind: 'access' | 'rule'
  agent?: string
  name: string
  connection: string
  privileged: boolean
  /** SHA-256 of its evidence document. */
  evidence: string
  /** Ids of who was to decide it first. */
  reviewers: string[]
  recommendation: Recommendation
  verdict: ItemVerdict
  how?: ClosedHow
  /** Id of the decision that counts. */
  decision?: string
  application?: ApplicationState
  decisions: PackDecision[]
  comments: { id: string; entry: number; at: string; by: PersonRef; text: string; madeAt?: string }[]
  moves: {
    id: string
    entry: number
    at: string
    kind: 'reassign' | 'delegate'
    from?: string
    to: PersonRef
    by: PersonRef
    reason: string
    stage?: number
    /** Ids of who may decide it after that. */
    reviewers?: string[]
  }[]
  stages: { entry: number; at: string; stage: number; reviewers: string[] }[]
  overlays: PackOverlay[]
  exceptions: ItemException[]
}

export type ItemException =
  | 'undecided'
  | 'abstained'
  | 'expired-default'
  | 'application-pending'
  | 'application-failed'
  | 'application-not-supported'
  | 'overlay-rejected'
  | 'overlay-rolled-back'
  | 'thin-coverage'
