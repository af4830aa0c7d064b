import type {
  ApplicationState,
  CampaignItem,
  CampaignScope,
  ExpiryDefault,
  ItemVerdict,
  ReviewerRule,
  Verdict,
} from '@countersign/contract/review'
import type { PendingReview } from '../../../reviews-api.ts'

/** What was decided, in a word. */
export const decidedWords: Record<ItemVerdict, string> = {
  undecided: 'undecided',
  certify: 'certified',
  reduce: 'reduced',
  revoke: 'revoked',
  abstain: 'abstained',
}
/** What to do. */
export const verdictWords: Record<Verdict, string> = {
  certify: 'Certify',
  reduce: 'Reduce',
  revoke: 'Revoke',
  abstain: 'Abstain',
}
/** What the evidence suggests; never more than a question. */
export const recommendedWords: Record<Verdict, string> = {
  certify: 'keep?',
  reduce: 'reduce?',
  revoke: 'revoke?',
  abstain: 'look',
}
export const recommendedNames: Record<Verdict, string> = {
  certify: 'certify',
  reduce: 'reduce',
  revoke: 'revoke',
  abstain: 'look closer',
}
/** What became of a reduce or revoke at the gateway: a fact of its own. */
export const applicationWords: Record<ApplicationState, string> = {
  pending: 'waits for a second pair of eyes',
  applied: 'applied, not verified yet',
  verified: 'applied and verified',
  failed: 'not enforced: it failed',
  'not-supported': 'to be done by hand',
}
/** What became of an item's: rejected and rolled back are not failures, but what somebody said. */
export function appliedWords({ application, overlayState }: CampaignItem): string | undefined {
  if (application === 'failed' && overlayState === 'rejected')
    return 'not enforced: the second pair of eyes rejected it'
  if (application === 'failed' && overlayState === 'rolled-back') return 'not enforced any more: rolled back'
  return application && applicationWords[application]
}
/** Whether it went wrong by itself. */
export const hasFailed = ({ application, overlayState }: CampaignItem): boolean =>
  application === 'failed' && overlayState !== 'rejected' && overlayState !== 'rolled-back'
export const expiryWords: Record<ExpiryDefault, string> = {
  keep: 'is kept as it is',
  revoke: 'is revoked',
  recommendation: 'goes as recommended',
}

export const figure = (n: number) => n.toLocaleString('en-US')
export const many = (n: number, one: string, more = `${one}s`) => `${figure(n)} ${n === 1 ? one : more}`
export const titleOf = (item: CampaignItem) => `${item.name} → ${item.connection}`

/** Where a decision made here is, honestly. */
export function pendingWords(pending: PendingReview, live: boolean): string {
  if (pending.state === 'conflict') return 'refused: choose'
  if (pending.state === 'sending') return 'being sent…'
  return live ? 'waits to be sent' : 'made offline, not sent yet'
}

export function reviewerWords(rule: ReviewerRule): string {
  switch (rule.kind) {
    case 'sponsor':
      return 'its sponsor'
    case 'owner':
      return 'its owner'
    case 'group':
      return `the group ${rule.group}`
    case 'person':
      return rule.person
    case 'role':
      return 'every reviewer'
  }
}

/** What a campaign looks at, in a sentence. */
export function scopeWords(scope: CampaignScope): string {
  const parts: string[] = []
  const of = (what: string, names: readonly string[] | undefined) => {
    if (names?.length) parts.push(`${what} ${names.join(', ')}`)
  }
  if (scope.access) parts.push(scope.access === 'jit' ? 'access given just in time' : 'standing access')
  of('on', scope.connections)
  of('on connections tagged', scope.tags)
  of('of', scope.agents)
  of('of agents of', scope.groups)
  of('that may see', scope.classes)
  if (scope.privileged) parts.push('privileged only')
  if (scope.orphans) parts.push('agents that nobody answers for')
  if (scope.idleDays) parts.push(`not used for ${many(scope.idleDays, 'day')}`)
  if (scope.rules) parts.push('and the rules that give access just in time')
  return parts.length === 0 ? 'All access of all agents' : parts.join(', ').replace(/^./, (c) => c.toUpperCase())
}

/** due 30 Nov, due today, was due 3 days ago. */
export function dueWords(dueAt: string | undefined, now: number): string {
  if (!dueAt) return ''
  const day = 86_400_000
  const left = Date.parse(dueAt) - now
  if (left < 0) return left > -day ? 'was due today' : `was due ${many(Math.floor(-left / day), 'day')} ago`
  if (left < day) return 'due within a day'
  if (left < 14 * day) return `due in ${many(Math.floor(left / day), 'day')}`
  return `due ${new Date(dueAt).toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })}`
}
