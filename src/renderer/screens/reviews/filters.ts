import type { CampaignItem } from '@countersign/contract/review'
import type { PendingReview } from '../../../reviews-api.ts'

export interface ItemFilter {
  readonly text: string
  readonly which: 'mine' | 'undecided' | 'certify' | 'reduce' | 'revoke' | 'abstain' | 'refused' | ''
  readonly recommended: 'certify' | 'reduce' | 'revoke' | 'abstain' | ''
  readonly more: 'privileged' | 'orphan' | 'pending' | 'applied' | 'verified' | 'failed' | 'not-supported' | ''
}

export const noFilter: ItemFilter = { text: '', which: '', recommended: '', more: '' }

/** A filter that leaves nothing out is `noFilter` itself. */
export function settled(filter: ItemFilter): ItemFilter {
  return Object.values(filter).every((value) => value === '') ? noFilter : filter
}

export interface ArrangedItems {
  /** Refused decisions of this person: they choose. */
  readonly conflicts: readonly CampaignItem[]
  readonly mine: readonly CampaignItem[]
  readonly others: readonly CampaignItem[]
  readonly decidedByMe: readonly CampaignItem[]
  readonly decided: readonly CampaignItem[]
}

/**
 * Items that fit, in the order in which they are best worked through: what this person may decide, what others may,
 * what is decided. What was decided here and isn’t sent counts as decided.
 */
export function arrangeItems(
  items: Iterable<CampaignItem>,
  filter: ItemFilter,
  pending: ReadonlyMap<string, PendingReview>,
  me: string | undefined,
): ArrangedItems {
  const fits = fitting(filter, pending)
  const sections = {
    conflicts: [] as CampaignItem[],
    mine: [] as CampaignItem[],
    others: [] as CampaignItem[],
    decidedByMe: [] as CampaignItem[],
    decided: [] as CampaignItem[],
  }
  for (const item of items) {
    if (!fits(item)) continue
    const own = pending.get(item.id)
    if (own?.state === 'conflict') sections.conflicts.push(item)
    else if (own) sections.decidedByMe.push(item)
    else if (item.verdict === 'undecided') sections[item.mine ? 'mine' : 'others'].push(item)
    else sections[item.decidedBy?.id === me ? 'decidedByMe' : 'decided'].push(item)
  }
  for (const section of Object.values(sections)) section.sort((a, b) => a.number - b.number)
  return sections
}

/** Whether it waits for this person, and nothing of theirs is on its way. */
export const waitsForMe = (item: CampaignItem, pending: ReadonlyMap<string, PendingReview>): boolean =>
  item.mine && item.verdict === 'undecided' && !pending.has(item.id)

/** The next one that waits for this person after `from`, by number; from the beginning again at the end. */
export function nextUndecided(
  items: Iterable<CampaignItem>,
  pending: ReadonlyMap<string, PendingReview>,
  from: number,
): CampaignItem | undefined {
  let next: CampaignItem | undefined
  let first: CampaignItem | undefined
  for (const item of items) {
    if (!waitsForMe(item, pending)) continue
    if (item.number > from && (!next || item.number < next.number)) next = item
    if (!first || item.number < first.number) first = item
  }
  return next ?? (first && first.number !== from ? first : undefined)
}

function fitting(
  { text, which, recommended, more }: ItemFilter,
  pending: ReadonlyMap<string, PendingReview>,
): (item: CampaignItem) => boolean {
  const wanted = text.toLowerCase().split(/\s+/).filter(Boolean)
  return (item) => {
    if (which === 'mine' && !waitsForMe(item, pending)) return false
    if (which === 'undecided' && (item.verdict !== 'undecided' || pending.has(item.id))) return false
    if (which === 'refused' && pending.get(item.id)?.state !== 'conflict') return false
    if (which !== '' && which !== 'mine' && which !== 'undecided' && which !== 'refused') {
      const verdict = item.verdict === 'undecided' ? pending.get(item.id)?.verdict : item.verdict
      if (verdict !== which) return false
    }
    if (recommended !== '' && item.recommendation.verdict !== recommended) return false
    if (more === 'privileged' && !item.privileged) return false
    if (more === 'orphan' && !item.orphan) return false
    if (more !== '' && more !== 'privileged' && more !== 'orphan' && item.application !== more) return false
    if (wanted.length === 0) return true
    const words = itemText(item)
    return wanted.every((word) => words.includes(word))
  }
}

/** What an item is found by. */
const itemText = (item: CampaignItem) =>
  `${item.name} ${item.connection} ${item.connectionTags.join(' ')} ${item.groups.join(' ')} ${item.sponsor ?? ''} ${item.owner ?? ''} ${item.recommendation.summary} ${item.reviewers.map(({ name }) => name).join(' ')} ${item.agent ?? ''}`.toLowerCase()
