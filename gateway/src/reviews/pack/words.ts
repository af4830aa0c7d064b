import type { ItemException } from '@countersign/contract/ledger/campaign-item'
import type { CampaignException } from '@countersign/contract/ledger/campaign-pack'
import type { PackReviewer } from '@countersign/contract/ledger/campaign-reviewers'
import type { Actor } from '@countersign/contract/ledger/payloads'
import type { ApplicationState, ClosedHow, ItemVerdict } from '@countersign/contract/review'

/** What is called how in the report. */

export const verdictWords: Record<ItemVerdict, string> = {
  undecided: 'Undecided',
  certify: 'Certify',
  reduce: 'Reduce',
  revoke: 'Revoke',
  abstain: 'Abstain',
}

export const howWords: Record<ClosedHow, string> = {
  reviewer: 'decided by a reviewer',
  'expired-default': 'nobody decided in time: what the campaign says for that',
  skipped: 'left open when the campaign was closed',
}

export const applicationWords: Record<ApplicationState, string> = {
  pending: 'not applied yet',
  applied: 'applied, not verified yet',
  verified: 'applied and verified',
  failed: 'not applied: it failed, was rejected or rolled back',
  'not-supported': 'can’t be applied by an overlay',
}

export const exceptionWords: Record<ItemException | CampaignException, string> = {
  undecided: 'nobody has decided',
  abstained: 'the reviewer abstained',
  'expired-default': 'decided by expiry, not by a person',
  'application-pending': 'decided, and not enforced yet',
  'application-failed': 'its application failed',
  'application-not-supported': 'can’t be enforced by an overlay: to be done elsewhere',
  'overlay-rejected': 'its application was rejected',
  'overlay-rolled-back': 'its application was rolled back',
  'thin-coverage': 'thin coverage: little of the window could be read',
  'not-closed': 'the campaign is not closed',
  'not-signed-off': 'nobody has signed the campaign off',
  'rubber-stamp': 'reviewers whose decisions look like rubber stamps',
  'evidence-missing': 'evidence documents are missing',
  'commands-left-out': 'cited commands whose entries this pack has no room for, or that are not there',
}

export const flagWords: Record<PackReviewer['flags'][number], string> = {
  fast: 'half of the decisions took a few seconds each',
  'always-certifies': 'certified nearly everything, against recommendations',
  'no-evidence': 'decided mostly without opening evidence',
  'mostly-bulk': 'decided mostly in bulk',
}

export const actionWords: Record<string, string> = { allow: 'allowed', hold: 'held', deny: 'denied' }

export const nameOf = (by: Actor): string => (by.kind === 'gateway' ? 'the gateway' : `${by.name} (${by.id})`)
