import { hash } from 'node:crypto'
import { canonical } from '@countersign/contract/canonical'
import type { BulkPreview, BulkRequest } from '@countersign/contract/review'
import type { z } from 'zod'
import type { PersonPrincipal } from '../../identity/principal.ts'
import { judge } from './deciding.ts'
import type { CampaignFacts, ItemFacts } from './facts.ts'
import type { Standing } from './may-act.ts'
import { DecisionRefused } from './refused.ts'

export type Bulk = z.output<typeof BulkRequest>

/**
 * What deciding many items at once would come to: which it would decide, and which not and why. Never those that are
 * privileged, nor those that somebody has decided. The digest says who, what and on which items as they are: what is
 * decided is what was previewed.
 * @param done ids that were decided by the very same before: they are as they were then
 */
export function previewOf(
  person: PersonPrincipal,
  bulk: Bulk,
  {
    campaign,
    items,
    standing,
    done,
  }: {
    campaign: CampaignFacts
    items: ReadonlyMap<string, ItemFacts>
    standing: Standing
    done: ReadonlySet<string>
  },
): BulkPreview {
  const { verdict } = bulk
  const accepted: BulkPreview['items'] = []
  const bound: [id: string, revision: number][] = []
  const refused: BulkPreview['refused'] = []
  const seen = new Set<string>()
  for (const { id, revision } of bulk.items) {
    if (seen.has(id)) continue
    seen.add(id)
    const item = items.get(id)
    const why = item
      ? done.has(id)
        ? undefined
        : whyNot(person, verdict, revision, campaign, item, standing)
      : 'There is no such item in this campaign.'
    if (why !== undefined || !item) {
      refused.push({ id, why: why! })
      continue
    }
    const { name, connection } = item.row
    const recommended = item.recommendation.verdict
    accepted.push({ id, name, connection, recommended, followed: recommended === verdict })
    bound.push([id, revision])
  }
  bound.sort(([a], [b]) => (a < b ? -1 : 1))
  const said = { campaign: campaign.row.id, person: person.id, verdict, reason: bulk.reason, items: bound }
  return { preview: hash('sha256', canonical(said)), verdict, items: accepted, refused, done: false }
}

function whyNot(
  person: PersonPrincipal,
  verdict: Bulk['verdict'],
  revision: number,
  campaign: CampaignFacts,
  item: ItemFacts,
  standing: Standing,
): string | undefined {
  if (item.row.privileged === 1) return 'It is privileged: look at it by itself.'
  const judged = judge(person, { verdict, revision }, campaign, item, standing)
  if (judged.code !== 'ok') return judged.because
  // What one has decided oneself is changed one by one.
  return item.row.verdict === 'undecided' ? undefined : `It has been decided already: ${item.row.verdict}.`
}

/** What was decided at once bears this, whoever asks again. */
export const bulkId = (preview: string): string => `bu_${preview.slice(0, 32)}`

/** The id of one of its decisions: the same item can't be decided by it twice. */
export const bulkDecision = (preview: string, item: string): string =>
  `bd_${hash('sha256', `${preview} ${item}`).slice(0, 32)}`

/** @throws DecisionRefused where what would be decided isn't what was previewed */
export function mustBePreviewed(bulk: Bulk, preview: BulkPreview): void {
  if (bulk.preview !== preview.preview)
    throw new DecisionRefused(
      'conflict',
      'What this would decide is not what you were shown: items have changed meanwhile. Look at the preview anew.',
    )
}
