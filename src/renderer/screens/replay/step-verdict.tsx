import type { ReactNode } from 'react'
import { type CommandStep, deniedBy, type HeldStep } from '../../../recording-steps.ts'
import { hashOf } from '../../app/route.ts'
import { useWorld } from '../../app/store.ts'
import { duration } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'

/** What the gate said, and for a hold what became of it. */
export function Verdict({ step, until }: { step: CommandStep; until: number }) {
  const { verdict } = step.event
  const by = verdict.policies.join(', ')
  if (verdict.observed && verdict.outcome !== 'allow')
    return (
      <Line ink="text-warn">
        only observed: would have been {verdict.outcome === 'deny' ? 'denied' : 'held'} by <Policy name={by} />
      </Line>
    )
  if (verdict.outcome === 'deny') {
    // The gateway's sentence names the policy itself; where it has none, the policy is all there is to say.
    const whole = verdict.reason?.startsWith('denied')
    return (
      <Line ink="text-danger">
        <VisibleText>{whole ? verdict.reason! : deniedBy(step.event)}</VisibleText>
        {verdict.reason && !whole ? (
          <>
            {' · '}
            <VisibleText>{verdict.reason}</VisibleText>
          </>
        ) : null}
      </Line>
    )
  }
  return step.hold ? <HoldLine hold={step.hold} by={by} until={until} /> : null
}

/** How long it was held, by what, and what people made of it; where it still waits, the way to its card. */
export function HoldLine({ hold, by, until }: { hold: HeldStep['hold']; by: string; until: number }) {
  const known = useWorld((world) => world.approvals.has(hold.approval))
  const { last, from } = hold
  const settled = last.state !== 'pending' && last.t <= until
  const held =
    `held ${settled ? duration(last.t - from) : Number.isFinite(until) ? duration(Math.max(0, until - from)) : ''}`.trim()
  const who = last.by?.length ? ` by ${last.by.join(' and ')}` : ''
  const yes = last.state === 'approved' || last.state === 'used'
  return (
    <Line ink="text-warn">
      {held}
      {by ? (
        <>
          {' by '}
          <Policy name={by} />
        </>
      ) : null}
      {settled ? (
        <span className={yes ? 'text-ok' : last.state === 'denied' ? 'text-danger' : 'text-dim'}>
          {' → '}
          {yes ? 'approved' : last.state}
          {who}
          {last.reason ? <VisibleText>{`: “${last.reason}”`}</VisibleText> : null}
        </span>
      ) : (
        ', waiting for a decision'
      )}
      {last.state === 'pending' && known ? (
        <>
          {' · '}
          <a
            href={hashOf({ screen: 'queue', id: hold.approval })}
            className="font-semibold whitespace-nowrap text-accent hover:underline"
          >
            Open its card
          </a>
        </>
      ) : null}
    </Line>
  )
}

export function Policy({ name }: { name: string }) {
  return <code className="text-fine">{name}</code>
}

export function Line({ ink, children }: { ink: string; children: ReactNode }) {
  return <p className={`mt-0.5 text-fine ${ink}`}>{children}</p>
}
