import type { CampaignItem } from '@countersign/contract/review'
import { Check, CircleAlert, CloudOff, Crown } from 'lucide-react'
import { memo } from 'react'
import type { PendingReview } from '../../../reviews-api.ts'
import { AgentOn } from '../../parts/agent-on.tsx'
import { EnvironmentTag, foremostTag } from '../../parts/basics.tsx'
import { VisibleText } from '../../parts/visible-text.tsx'
import { appliedWords, decidedWords, hasFailed, pendingWords, recommendedWords } from './words.ts'

export const ROW_HEIGHT = 57

/** An item in the list: who may use what, what the evidence suggests or what was decided, what became of it. */
export const ItemRow = memo(function ItemRow(props: {
  item: CampaignItem
  pending: PendingReview | undefined
  selected: boolean
  chosen: boolean
  live: boolean
}) {
  const { item, pending, selected, chosen, live } = props
  const tag = foremostTag(item.connectionTags)
  const verdict = pending?.verdict ?? item.verdict
  const over = verdict !== 'undecided'
  const below = pending
    ? pendingWords(pending, live)
    : item.application
      ? appliedWords(item)
      : item.verdict === 'undecided' || !item.decidedBy
        ? item.recommendation.summary
        : `by ${item.decidedBy.name}${item.bulk ? ', with others' : ''}`
  return (
    <div
      className={`flex h-full flex-col justify-center gap-0.5 border-l-2 px-4 ${selected ? 'border-accent bg-accent-pale' : 'border-transparent hover:bg-sunken'}`}
    >
      <div className="flex items-baseline gap-2">
        {chosen ? (
          <Check size={13} strokeWidth={3} className="shrink-0 self-center text-accent" aria-label="chosen" />
        ) : null}
        <span className={`min-w-0 flex-1 truncate font-mono text-fine ${over && !pending ? 'text-dim' : ''}`}>
          <AgentOn agent={item.name} connection={item.connection} />
        </span>
        <span className="flex shrink-0 items-center gap-1 text-dim">
          {item.privileged ? <Crown size={12} className="text-warn" aria-label="privileged" /> : null}
          {over ? (
            <span className={verdict === 'revoke' || verdict === 'reduce' ? 'text-ink' : ''}>
              {decidedWords[verdict]}
            </span>
          ) : (
            <span className={item.recommendation.verdict === 'revoke' ? 'font-semibold text-danger' : ''}>
              {recommendedWords[item.recommendation.verdict]}
            </span>
          )}
        </span>
      </div>
      <div className="flex items-center gap-2 text-fine text-dim">
        <span
          className={`flex min-w-0 flex-1 items-center gap-1 ${pending?.state === 'conflict' || hasFailed(item) ? 'font-semibold text-danger' : pending ? 'text-warn' : ''}`}
        >
          {pending?.state === 'conflict' ? (
            <CircleAlert size={12} className="shrink-0" aria-hidden />
          ) : pending ? (
            <CloudOff size={12} className="shrink-0" aria-hidden />
          ) : null}
          <span className="truncate">
            <VisibleText>{below ?? ''}</VisibleText>
          </span>
        </span>
        {tag ? <EnvironmentTag tag={tag} brief quiet={over} /> : null}
      </div>
    </div>
  )
})
