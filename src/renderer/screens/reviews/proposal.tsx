import type { CampaignItemPage, Recommendation } from '@countersign/contract/review'
import { Check, Minus } from 'lucide-react'
import { useState } from 'react'
import { CedarText } from '../../parts/cedar-text.tsx'
import { VisibleText } from '../../parts/visible-text.tsx'
import { linkLook } from '../access/grant-facts.tsx'
import { Part } from './evidence.tsx'
import { figure, many, recommendedNames } from './words.ts'

/** What the evidence suggests, with its reasons; of a reduce or revoke what it would take away, and the Cedar that does. */
export function ProposalPart({ page }: { page: CampaignItemPage }) {
  const { recommendation } = page
  const { verdict, reasons, policy } = recommendation
  return (
    <Part name="recommendation" title="Recommended" more={recommendedNames[verdict]}>
      <p className="font-semibold">
        <VisibleText>{recommendation.summary}</VisibleText>
      </p>
      {reasons.length > 0 ? (
        <ul className="mt-1 list-disc pl-5 text-dim">
          {reasons.map((reason) => (
            <li key={`${reason.code} ${reason.text}`}>
              <VisibleText>{reason.text}</VisibleText>
            </li>
          ))}
        </ul>
      ) : null}
      {policy ? (
        <div className="mt-2.5 overflow-hidden rounded-box border border-line bg-panel">
          <PermittedDiff recommendation={recommendation} />
          {verdict === 'reduce' ? (
            <p className="px-4 pb-2 text-fine text-dim">
              Made from what it did in the window: <b className="font-semibold text-ok">it denies none of that</b>.
            </p>
          ) : null}
          <details className="border-t border-line">
            <summary className="cursor-default px-4 py-1.5 text-fine text-dim -outline-offset-2 hover:bg-sunken">
              The Cedar that enforces it, beside your policy folder
            </summary>
            <CedarText text={policy} />
          </details>
        </div>
      ) : null}
    </Part>
  )
}

const SHOWN = 8

/** What stays permitted and what goes, as lines of a diff: by a sign and a word, not by colour alone. */
export function PermittedDiff({ recommendation }: { recommendation: Pick<Recommendation, 'keeps' | 'drops'> }) {
  const { keeps, drops } = recommendation
  const [all, setAll] = useState(false)
  const lines = [...drops.map((text) => ({ text, drop: true })), ...keeps.map((text) => ({ text, drop: false }))]
  const shownDrops = all ? drops.length : SHOWN
  const shown = all
    ? lines
    : [...lines.filter(({ drop }) => drop).slice(0, shownDrops), ...lines.filter(({ drop }) => !drop).slice(0, SHOWN)]
  return (
    <div className="py-2">
      <p className="px-4 pb-1 text-fine text-dim">
        <b className="font-semibold text-danger">{many(drops.length, 'permission')}</b> would go,{' '}
        <b className="font-semibold text-ok">{figure(keeps.length)}</b> {keeps.length === 1 ? 'stays' : 'stay'}
      </p>
      <ul className="font-mono text-fine">
        {shown.map(({ text, drop }) => (
          <li key={`${drop} ${text}`} className={`flex items-baseline gap-2 px-4 ${drop ? 'bg-danger-pale' : ''}`}>
            {drop ? (
              <Minus size={12} strokeWidth={3} className="shrink-0 self-center text-danger" aria-label="goes" />
            ) : (
              <Check size={12} strokeWidth={3} className="shrink-0 self-center text-ok" aria-label="stays" />
            )}
            <span className={`min-w-0 break-words ${drop ? 'text-danger line-through' : 'text-ok'}`}>
              <VisibleText>{text}</VisibleText>
            </span>
          </li>
        ))}
      </ul>
      {shown.length < lines.length ? (
        <button type="button" className={`mt-1 ml-4 text-fine ${linkLook}`} onClick={() => setAll(true)}>
          Show all {figure(lines.length)}
        </button>
      ) : null}
    </div>
  )
}
