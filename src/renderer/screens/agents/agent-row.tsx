import type { AgentRecord } from '@countersign/contract/access'
import { Ban, Bot, UserX } from 'lucide-react'
import { memo } from 'react'
import { EnvironmentTag } from '../../parts/basics.tsx'
import { shortWhen } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { orphanWords, sponsorWords } from './words.ts'

export const ROW_HEIGHT = 57

/** How an agent stands: a picture and a word, never colour alone. */
export function AgentMark({ agent }: { agent: AgentRecord }) {
  const [Icon, ink, word] =
    agent.state === 'disabled'
      ? ([Ban, 'text-danger', 'disabled'] as const)
      : agent.orphan
        ? ([UserX, 'text-warn', 'nobody answers for it'] as const)
        : ([Bot, 'text-ok', 'active'] as const)
  return (
    <span className={`whitespace-nowrap ${ink}`}>
      <Icon size={12} strokeWidth={2.2} className="mr-1 inline align-[-1.5px]" aria-hidden />
      {word}
    </span>
  )
}

/** An agent in the list: who, who answers for it or why nobody does, when it last came. `today` draws it anew at midnight. */
export const AgentRow = memo(function AgentRow(props: { agent: AgentRecord; selected: boolean; today: number }) {
  const { agent, selected } = props
  const orphan = orphanWords(agent)
  const disabled = agent.state === 'disabled'
  return (
    <div
      className={`flex h-full flex-col justify-center gap-0.5 border-l-2 px-4 ${selected ? 'border-accent bg-accent-pale' : 'border-transparent hover:bg-sunken'}`}
    >
      <div className="flex items-baseline gap-3">
        <span className={`min-w-0 flex-1 truncate font-mono text-fine ${disabled ? 'text-dim' : ''}`}>
          <VisibleText>{agent.name}</VisibleText>
        </span>
        {agent.openSessions > 0 && !disabled ? (
          <span className="shrink-0 text-fine text-ok">
            <span className="mr-1 inline-block size-2 rounded-full bg-ok" aria-hidden="true" />
            {agent.openSessions} open
          </span>
        ) : (
          <span className="shrink-0 text-dim tabular-nums">
            {agent.lastSeenAt ? (
              <time dateTime={agent.lastSeenAt}>{shortWhen(agent.lastSeenAt, Date.now())}</time>
            ) : (
              'never seen'
            )}
          </span>
        )}
      </div>
      <div className="flex items-center gap-2 text-fine text-dim">
        <span className="min-w-0 flex-1 truncate">
          {disabled ? (
            <AgentMark agent={agent} />
          ) : orphan ? (
            <span className="font-semibold text-warn">
              <AgentWarning />
              <VisibleText>{orphan}</VisibleText>
            </span>
          ) : (
            <VisibleText>{sponsorWords(agent) ?? ''}</VisibleText>
          )}
          {agent.purpose ? (
            <>
              {' · '}
              <VisibleText>{agent.purpose}</VisibleText>
            </>
          ) : null}
        </span>
        {agent.environment ? <EnvironmentTag tag={agent.environment} brief quiet={disabled} /> : null}
      </div>
    </div>
  )
})

function AgentWarning() {
  return (
    <>
      <UserX size={12} strokeWidth={2.2} className="mr-1 inline align-[-1.5px]" aria-hidden />
      <span className="sr-only">Nobody answers for it: </span>
    </>
  )
}
