import type { AgentRecord } from '@countersign/contract/access'
import { UserX } from 'lucide-react'
import { useMemo, useRef } from 'react'
import { useAccess } from '../../app/access.ts'
import { useAgent, useAgentAccess } from '../../app/agents.ts'
import { isAdmin } from '../../app/duty.ts'
import { useKeys } from '../../app/keys.ts'
import { hashOf } from '../../app/route.ts'
import { useWorld } from '../../app/store.ts'
import { CopyButton, EnvironmentTag, Notice } from '../../parts/basics.tsx'
import { useToday } from '../../parts/clock.ts'
import { dateAndClock, shortWhen } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { linkLook } from '../access/grant-facts.tsx'
import { StateMark, TimeLeft } from '../access/state-mark.tsx'
import { AgentBar } from './agent-bar.tsx'
import { AgentFacts } from './agent-facts.tsx'
import { AgentMark } from './agent-row.tsx'
import { HeatStrip } from './heat-strip.tsx'
import { type MatrixHandle, PermittedAgainstUsed } from './matrix.tsx'
import { boxLook, rowLook, Section } from './parts.tsx'
import { Tokens } from './tokens.tsx'
import { orphanWords } from './words.ts'

interface Props {
  id: string
  onEdit: (agent: AgentRecord) => void
  onSwitch: (agent: AgentRecord) => void
}

/** All that is known of one agent: who answers for it, what it may and did, what it has open. */
export function AgentPage({ id, onEdit, onSwitch }: Props) {
  const { agent, missing } = useAgent(id)
  const place = useRef<HTMLElement>(null)
  const matrix = useRef<MatrixHandle>(null)
  useKeys({ enter: () => place.current?.focus(), m: () => matrix.current?.focus() })
  if (!agent)
    return missing ? (
      <Notice title="No such agent, or not yours to see" role="status">
        <p>
          <span className="font-mono break-all">{id}</span> is not in the registry that this gateway shows you.
        </p>
      </Notice>
    ) : (
      <Notice title="Fetching the agent…" role="status" />
    )
  return (
    <article
      ref={place}
      tabIndex={-1}
      aria-label={`Agent ${agent.name}`}
      className="@container flex min-h-0 min-w-0 flex-1 flex-col outline-none"
    >
      <div className="page-body overflow-y-auto px-7 pt-4 pb-4 max-lg:px-4">
        <div className="flex flex-wrap items-baseline gap-x-2.5 gap-y-1">
          <h2 className="min-w-0 text-title font-semibold break-words">
            <VisibleText>{agent.name}</VisibleText>
          </h2>
          {agent.environment ? <EnvironmentTag tag={agent.environment} /> : null}
          <span className="ml-auto">
            <AgentMark agent={agent} />
          </span>
        </div>
        <Standing agent={agent} onEdit={() => onEdit(agent)} />
        <AgentFacts agent={agent} />
        <Doings agent={agent} handle={matrix} />
        <Connections agent={agent} />
        <OpenSessions agent={agent} />
        <Grants agent={agent} />
        <Tokens agent={agent} />
        <p className="mt-5 flex items-center gap-1 text-fine text-dim">
          <code className="min-w-0 break-all">
            <VisibleText>{agent.id}</VisibleText>
          </code>
          <CopyButton text={agent.id} label="Copy the agent’s id" />
        </p>
      </div>
      <AgentBar agent={agent} onEdit={() => onEdit(agent)} onSwitch={() => onSwitch(agent)} />
    </article>
  )
}

/** What is wrong with it, before everything else. */
function Standing({ agent, onEdit }: { agent: AgentRecord; onEdit: () => void }) {
  const admin = useWorld((world) => isAdmin(world.me))
  const live = useWorld((world) => world.link.state === 'live')
  const orphan = orphanWords(agent)
  return (
    <>
      {agent.disabled ? (
        <p className="mt-2.5 rounded-box bg-danger-pale px-3 py-2 text-danger">
          <b className="font-semibold">Disabled</b> by <VisibleText>{agent.disabled.by}</VisibleText>,{' '}
          {dateAndClock(agent.disabled.at, Date.now())}
          {agent.disabled.reason ? (
            <>
              : <VisibleText>{agent.disabled.reason}</VisibleText>
            </>
          ) : null}
        </p>
      ) : null}
      {orphan ? (
        <div className="mt-2.5 flex items-center gap-3 rounded-box bg-warn-pale px-3 py-2 text-warn">
          <UserX size={15} className="shrink-0" aria-hidden />
          <p className="min-w-0 flex-1">
            <b className="font-semibold">Nobody answers for it:</b> <VisibleText>{orphan}</VisibleText>.
          </p>
          {admin && live ? (
            <button type="button" onClick={onEdit} className="shrink-0 font-semibold underline underline-offset-2">
              Give it a sponsor
            </button>
          ) : admin ? null : (
            <span className="text-fine">Admins name its sponsor.</span>
          )}
        </div>
      ) : null}
    </>
  )
}

/** What it did by day, and what it may beside what it did. */
function Doings({ agent, handle }: { agent: AgentRecord; handle: React.Ref<MatrixHandle> }) {
  const { value: access, problem, again } = useAgentAccess(agent.id)
  const live = useWorld((world) => world.link.state === 'live')
  const today = useToday()
  if (!access)
    return (
      <Section title="Permitted against used">
        <div
          role="status"
          className={`flex items-start gap-3 rounded-box border border-line bg-panel px-4 py-2 text-dim ${live && !problem ? 'min-h-40' : ''}`}
        >
          <span className="min-w-0 flex-1">
            {!live
              ? 'Policy answers at the gateway: this can’t be told offline.'
              : problem
                ? `The gateway could not tell: ${problem}`
                : 'The gateway asks policy about all it may and did…'}
          </span>
          {problem && live ? (
            <button type="button" className="font-semibold text-accent underline" onClick={again}>
              Try again
            </button>
          ) : null}
        </div>
      </Section>
    )
  return (
    <>
      {access.days ? (
        <Section title="Activity" more="uses a day, UTC">
          <HeatStrip days={access.days} since={access.since} now={today + 86_399_000} />
        </Section>
      ) : null}
      <Section title="Permitted against used" more={`use since ${access.since.slice(0, 10)}`}>
        <PermittedAgainstUsed ref={handle} access={access} />
      </Section>
    </>
  )
}

function Connections({ agent }: { agent: AgentRecord }) {
  const now = Date.now()
  if (agent.connections.length === 0) return null
  return (
    <Section title="Last use by connection">
      <ul className={boxLook}>
        {agent.connections.map(({ connection, lastUsedAt, sessions }) => (
          <li key={connection}>
            <a
              href={hashOf({ screen: 'agents', part: 'connections', id: connection })}
              className={`${rowLook} hover:bg-sunken`}
            >
              <span className="min-w-0 flex-1 truncate font-mono text-fine">{connection}</span>
              <span className="text-fine text-dim">{sessions === 1 ? '1 session' : `${sessions} sessions`}</span>
              <time dateTime={lastUsedAt} className="w-28 text-right text-fine text-dim tabular-nums">
                {dateAndClock(lastUsedAt, now)}
              </time>
            </a>
          </li>
        ))}
      </ul>
    </Section>
  )
}

const SHOWN = 20

function OpenSessions({ agent }: { agent: AgentRecord }) {
  const sessions = useWorld((world) => world.sessions)
  const mine = useMemo(
    () => [...sessions.values()].filter((session) => session.agent === agent.id && session.state === 'open'),
    [sessions, agent.id],
  )
  const now = Date.now()
  const count = Math.max(mine.length, agent.openSessions)
  if (count === 0) return null
  return (
    <Section title="Open sessions" more={String(count)}>
      <ul className={boxLook}>
        {mine.slice(0, SHOWN).map((session) => (
          <li key={session.id}>
            <a href={hashOf({ screen: 'sessions', id: session.id })} className={`${rowLook} hover:bg-sunken`}>
              <time dateTime={session.openedAt} className="w-14 text-fine text-dim tabular-nums">
                {shortWhen(session.openedAt, now)}
              </time>
              <span className="min-w-0 flex-1 truncate font-mono text-fine">{session.id}</span>
              <span className="min-w-0 truncate text-fine text-dim">
                {session.connection}
                {session.identity.onBehalfOf ? (
                  <>
                    {' · for '}
                    <VisibleText>{session.identity.onBehalfOf}</VisibleText>
                  </>
                ) : null}
                {` · ${session.counts.commands} commands`}
              </span>
            </a>
          </li>
        ))}
        {count > Math.min(mine.length, SHOWN) ? (
          <li className="px-4 py-1 text-fine text-dim">
            {count - Math.min(mine.length, SHOWN)} more that aren’t among the newest here
          </li>
        ) : null}
      </ul>
    </Section>
  )
}

function Grants({ agent }: { agent: AgentRecord }) {
  const grants = useAccess((known) => known.grants)
  const mine = useMemo(
    () =>
      [...grants.values()].filter(
        (grant) => grant.agent === agent.id && (grant.state === 'active' || grant.state === 'requested'),
      ),
    [grants, agent.id],
  )
  if (mine.length === 0) return null
  return (
    <Section title="Grants" more={`${mine.length} live or asked for`}>
      <ul className={boxLook}>
        {mine.slice(0, SHOWN).map((grant) => (
          <li key={grant.id}>
            <a href={hashOf({ screen: 'access', id: grant.id })} className={`${rowLook} hover:bg-sunken`}>
              <span className="w-24 text-fine">
                <StateMark grant={grant} />
              </span>
              <span className="min-w-0 flex-1 truncate">
                {grant.connection} <span className="text-dim">· {grant.actions.join(', ')} · </span>
                <span className="text-dim">
                  <VisibleText>{grant.purpose}</VisibleText>
                </span>
              </span>
              <TimeLeft grant={grant} />
            </a>
          </li>
        ))}
      </ul>
      {mine.length > SHOWN ? (
        <a className={`mt-1 inline-block text-fine ${linkLook}`} href={hashOf({ screen: 'access' })}>
          and {mine.length - SHOWN} more in Access
        </a>
      ) : null}
    </Section>
  )
}
