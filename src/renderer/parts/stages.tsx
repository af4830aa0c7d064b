import { Check } from 'lucide-react'
import type { ReactNode } from 'react'

/** sending → sent → applied: how far something is that was asked of the gateway. */
export function Stages({ sent, applied }: { sent: boolean; applied: boolean }) {
  return (
    <ol className="flex items-center gap-2">
      <Stage done={sent} now={!sent}>
        {sent ? 'sending' : 'sending…'}
      </Stage>
      <Stage done={applied} now={sent && !applied}>
        sent
      </Stage>
      <Stage done={applied} now={false}>
        applied
      </Stage>
    </ol>
  )
}

function Stage({ done, now, children }: { done: boolean; now: boolean; children: ReactNode }) {
  return (
    <li
      className={`flex items-center gap-1 not-first:before:mr-1 not-first:before:text-dim not-first:before:content-['→'] ${done ? 'text-ok' : now ? 'text-ink' : 'text-dim'}`}
    >
      {done ? <Check size={13} aria-label="done" /> : null}
      {children}
    </li>
  )
}
