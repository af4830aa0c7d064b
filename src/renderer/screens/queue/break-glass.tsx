import type { Approval } from '@countersign/contract/approval'
import { Siren } from 'lucide-react'
import { useState } from 'react'
import { decide } from '../../app/store.ts'
import { Reasoned } from '../../parts/reasoned.tsx'
import { VisibleText } from '../../parts/visible-text.tsx'
import { missing } from './arrange.ts'

/** A reason that another person can review afterwards has at least so many characters. */
const LEAST = 10

/**
 * The way for emergencies, apart from Approve and on no key: one person alone, with a reason that is reviewed. Offered
 * only where the gateway says that this person may.
 */
export function BreakGlass({ approval }: { approval: Approval }) {
  const [open, setOpen] = useState(false)
  if (!approval.mayBreakGlass) return null
  const still = missing(approval)
  return (
    <>
      <button
        type="button"
        onClick={() => setOpen(true)}
        className="inline-flex shrink-0 items-center gap-1.5 rounded-tag text-fine font-semibold text-danger hover:underline"
      >
        <Siren size={12} aria-hidden />
        Break glass…
      </button>
      {open ? (
        <Reasoned
          title="Approve this alone, in an emergency?"
          description={`${still.length > 0 ? `Otherwise this needs ${still.join(' and ')}. ` : ''}Break-glass is loud: it is told and marked everywhere at once, and another person reviews afterwards whether it was justified. Nobody breaks glass for their own request.`}
          action="Break glass and approve"
          doing="Sending…"
          placeholder="What the emergency is, and why nobody else can decide"
          least={LEAST}
          danger
          onClose={() => setOpen(false)}
          onReason={async (reason) => {
            void decide(approval, 'approve', reason, 'once', { breakGlass: true })
          }}
        >
          <pre className="mt-3 max-h-40 overflow-auto rounded-box bg-sunken px-3 py-2 font-mono text-fine break-words whitespace-pre-wrap">
            <VisibleText>{approval.command.text}</VisibleText>
          </pre>
        </Reasoned>
      ) : null}
    </>
  )
}
