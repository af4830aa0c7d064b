import type { Grant } from '@countersign/contract/access'
import { useEffect, useMemo, useState } from 'react'
import { span } from '../../../span.ts'
import { useAccess } from '../../app/access.ts'
import { hashOf } from '../../app/route.ts'
import { core, useConsole } from '../../app/store.ts'
import { EnvironmentTag, foremostTag } from '../../parts/basics.tsx'
import { VisibleText } from '../../parts/visible-text.tsx'
import { StateMark, TimeLeft } from './state-mark.tsx'

/** The plan that a grant is a step of: all its steps in their order, and how each stands. */
export function PlanSteps({ plan, here }: { plan: string; here: string }) {
  const { title, steps } = usePlan(plan)
  return (
    <section aria-labelledby="plan-steps" className="mt-5">
      <h3 id="plan-steps" className="mb-2 text-fine font-semibold text-dim">
        Plan <VisibleText>{title}</VisibleText>
      </h3>
      <ol className="overflow-hidden rounded-box border border-line bg-panel py-1">
        {steps.map((grant) => (
          <li key={grant.id}>
            <a
              href={hashOf({ screen: 'access', id: grant.id })}
              aria-current={grant.id === here ? 'step' : undefined}
              className={`flex min-h-[29px] flex-wrap items-center gap-x-3 px-4 py-1 -outline-offset-2 hover:bg-sunken ${grant.id === here ? 'bg-accent-pale' : ''}`}
            >
              <span className="w-4 shrink-0 text-right text-fine text-dim tabular-nums">{grant.step?.number}</span>
              <span className="min-w-32 flex-1 break-words">
                <VisibleText>{grant.step?.title ?? ''}</VisibleText>
                <span className="text-fine text-dim">
                  {' · '}
                  <VisibleText>{grant.identity.name}</VisibleText> → {grant.connection} · {grant.actions.join(', ')} ·{' '}
                  {span(grant.seconds)}
                </span>
              </span>
              <Environment grant={grant} />
              <TimeLeft grant={grant} />
              <span className="text-fine">
                <StateMark grant={grant} />
              </span>
            </a>
          </li>
        ))}
      </ol>
    </section>
  )
}

function Environment({ grant }: { grant: Grant }) {
  const tag = foremostTag(grant.connectionTags)
  return tag ? <EnvironmentTag tag={tag} brief /> : null
}

/** A plan's title and steps; those that are known here at once, all once the core has answered. */
function usePlan(id: string): { title: string; steps: readonly Grant[] } {
  const grants = useAccess((known) => known.grants)
  const live = useConsole(({ world }) => world?.link.state === 'live')
  const [told, setTold] = useState<{ id: string; title: string; steps: readonly Grant[] } | undefined>(undefined)
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked again once the link is back
  useEffect(() => {
    let wanted = true
    core()
      .call('plan', { id })
      .then(
        (plan) => {
          if (wanted && plan) setTold({ id, title: plan.title, steps: plan.grants })
        },
        () => {},
      )
    return () => {
      wanted = false
    }
  }, [id, live])
  return useMemo(() => {
    const steps = new Map<string, Grant>()
    if (told?.id === id) for (const step of told.steps) steps.set(step.id, step)
    for (const grant of grants.values()) if (grant.plan === id) steps.set(grant.id, grant)
    return {
      title: told?.id === id ? told.title : '',
      steps: [...steps.values()].sort((a, b) => (a.step?.number ?? 0) - (b.step?.number ?? 0)),
    }
  }, [grants, told, id])
}
