import { createHash } from 'node:crypto'
import type { Anomaly, EvidenceCommand, ItemEvidence, ObservedUse } from '@countersign/contract/review'

/** What one pass over the recorded commands of a window found; plain, so that it passes between threads. */
export interface Observed {
  /** ISO 8601, UTC; commands at `from` belong to it, those at `to` don't. */
  from: string
  to: string
  coverage: ItemEvidence['coverage']
  /** By {@link accessKey}. */
  access: ReadonlyMap<string, ObservedAccess>
  /** By {@link ruleKey}: commands that were drawn from those that ran under grants of a rule. */
  rules: ReadonlyMap<string, ObservedRule>
}

/** What one agent did on one connection. */
export interface ObservedAccess {
  agent: string
  connection: string
  commands: number
  /** Of these. A held one counts as held whether or not people let it run. */
  allowed: number
  held: number
  denied: number
  /** Of the allowed: those that a connection in mode observe let pass, whatever policy said. */
  observed: number
  firstAt: string
  lastAt: string
  /** Those with most commands first. */
  used: readonly ObservedUse[]
  /** How many pairs of action and resource were not told apart. */
  folded: number
  days: ItemEvidence['days']
  refused: readonly EvidenceCommand[]
  heldCommands: readonly EvidenceCommand[]
  /** Classes of data that commands that ran may have read or written. */
  classes: readonly { class: string; commands: number }[]
  anomalies: readonly Anomaly[]
}

export interface ObservedRule {
  policy: string
  connection: string
  /** Commands under its grants. */
  of: number
  /** From which it follows which commands were drawn (docs/reviews.md). */
  seed: string
  commands: readonly EvidenceCommand[]
}

/** What may have any characters stands last. */
export const accessKey = (agent: string, connection: string): string => `${connection}\u0000${agent}`
export const ruleKey = (policy: string, connection: string): string => `${connection}\u0000${policy}`

/** Whether a command ran: it was allowed, or people let it. What was held and came to nothing names no policy. */
export function ran({ outcome, policies }: EvidenceCommand['verdict']): boolean {
  return outcome === 'allow' || (outcome === 'hold' && policies.length > 0)
}

/** From a seed that everybody can make themselves, so that nobody chose what is drawn. */
export function seedIn({ from, to }: { from: string; to: string }, policy: string, connection: string): string {
  return createHash('sha256')
    .update(JSON.stringify([from, to, policy, connection]))
    .digest('hex')
    .slice(0, 16)
}
