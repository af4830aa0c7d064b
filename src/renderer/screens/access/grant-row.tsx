import type { Grant } from '@countersign/contract/access'
import { memo } from 'react'
import { span } from '../../../span.ts'
import { AgentOn } from '../../parts/agent-on.tsx'
import { EnvironmentTag, foremostTag } from '../../parts/basics.tsx'
import { shortWhen } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { BreakGlassMark, StateMark, TimeLeft } from './state-mark.tsx'
import { endOf } from './words.ts'

export const ROW_HEIGHT = 57

/** A grant in the list: to whom, for what, how long yet, how it stands. `today` has it drawn anew when the day changes. */
export const GrantRow = memo(function GrantRow(props: { grant: Grant; selected: boolean; today: number }) {
  const { grant, selected } = props
  const tag = foremostTag(grant.connectionTags)
  const over = grant.state !== 'active' && grant.state !== 'requested'
  return (
    <div
      className={`flex h-full flex-col justify-center gap-0.5 border-l-2 px-4 ${selected ? 'border-accent bg-accent-pale' : 'border-transparent hover:bg-sunken'}`}
    >
      <div className="flex items-baseline gap-3">
        <span className={`min-w-0 flex-1 truncate font-mono text-fine ${over ? 'text-dim' : ''}`}>
          <AgentOn agent={grant.identity.name} connection={grant.connection} />
        </span>
        {grant.state === 'active' ? (
          <TimeLeft grant={grant} exact={selected} />
        ) : (
          <time dateTime={endOf(grant)} className="shrink-0 text-dim tabular-nums">
            {grant.state === 'requested' ? `for ${span(grant.seconds)}` : shortWhen(endOf(grant), Date.now())}
          </time>
        )}
      </div>
      <div className="flex items-center gap-2 text-fine text-dim">
        <span className="min-w-0 flex-1 truncate">
          <StateMark grant={grant} /> · {grant.actions.join(', ')}
          {grant.identity.onBehalfOf ? (
            <>
              {' · for '}
              <VisibleText>{grant.identity.onBehalfOf}</VisibleText>
            </>
          ) : null}
          {grant.step ? ` · step ${grant.step.number} of ${grant.step.of}` : null}
        </span>
        {grant.breakGlass ? <BreakGlassMark /> : null}
        {tag ? <EnvironmentTag tag={tag} brief quiet={over} /> : null}
      </div>
    </div>
  )
})
