import { useEffect } from 'react'
import { readPolicy, usePolicy } from '../../app/policy.ts'
import type { Route } from '../../app/route.ts'
import { Button, Notice } from '../../parts/basics.tsx'
import { BacktestsPart } from './backtests.tsx'
import { DraftsPart } from './drafts.tsx'
import { HistoryPart } from './history.tsx'
import { InForcePart } from './in-force.tsx'
import { OverlaysPart } from './overlays.tsx'

/** What is in force and who changed it; drafts and what they would have changed; overlays of reviews. */
export function Policy({ route }: { route: Extract<Route, { screen: 'policy' }> }) {
  const there = usePolicy(({ view }) => view !== undefined)
  const problem = usePolicy((known) => known.problem)
  // What the feed doesn't tell (drafts) is as the gateway has it for who comes here.
  useEffect(() => readPolicy(), [])
  if (!there)
    return problem ? (
      <Notice title="Policy could not be read" role="alert">
        <p>{problem}</p>
        <Button onClick={readPolicy}>Try again</Button>
      </Notice>
    ) : (
      <Notice title="Reading the policy…" role="status" />
    )
  switch (route.part) {
    case 'history':
      return <HistoryPart id={route.id} />
    case 'drafts':
      return <DraftsPart id={route.id} />
    case 'backtests':
      return <BacktestsPart id={route.id} />
    case 'overlays':
      return <OverlaysPart id={route.id} />
    default:
      return <InForcePart id={route.id} />
  }
}
