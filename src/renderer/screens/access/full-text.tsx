import type { Approval } from '@countersign/contract/approval'
import { VisibleText } from '../../parts/visible-text.tsx'

/** The gateway's own text of it, whole: a decision binds to what it says. */
export function FullText({ approval }: { approval: Approval }) {
  const { text } = approval.command
  if (text === '') return null
  return (
    <section aria-labelledby="full-text" className="mt-4">
      <h3 id="full-text" className="mb-2 text-fine font-semibold text-dim">
        In full, as the decision binds it
      </h3>
      <pre className="rounded-box border border-line bg-panel px-4 py-2.5 font-mono text-fine break-words whitespace-pre-wrap">
        <VisibleText>{text}</VisibleText>
      </pre>
    </section>
  )
}
