import type { AgentRecord } from '@countersign/contract/access'
import { ArrowRight, Bot, User } from 'lucide-react'
import type { ReactNode } from 'react'
import { useAgents } from '../../app/agents.ts'
import { hostOf } from '../../app/header.tsx'
import { hashOf } from '../../app/route.ts'
import { CopyButton } from '../../parts/basics.tsx'
import { dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { Fact, factGrid, linkLook } from '../access/grant-facts.tsx'
import { sponsorWords, subjectOf } from './words.ts'

/** Who answers for it, whose it is, what it is for, where it comes from, for whom it acts, by which keys. */
export function AgentFacts({ agent }: { agent: AgentRecord }) {
  const now = Date.now()
  const sponsor = sponsorWords(agent)
  return (
    <dl className={factGrid}>
      <Fact name="Sponsor">
        {sponsor ? (
          <span title={agent.sponsor}>
            <VisibleText>{sponsor}</VisibleText>
          </span>
        ) : (
          <Missing>nobody</Missing>
        )}
      </Fact>
      <Fact name="Owner">
        {agent.owner ? (
          <span title={agent.owner}>
            <VisibleText>{subjectOf(agent.owner)}</VisibleText>
          </span>
        ) : (
          <Missing>not told</Missing>
        )}
      </Fact>
      <Fact name="Purpose">
        {agent.purpose ? <VisibleText>{agent.purpose}</VisibleText> : <Missing>not told</Missing>}
      </Fact>
      <Fact name="Environment">{agent.environment ?? <Missing>not told</Missing>}</Fact>
      <Fact name="Comes from">
        <span title={agent.issuer}>
          <VisibleText>{hostOf(agent.issuer)}</VisibleText>
        </span>
        <span className="text-dim"> as </span>
        <code className="text-fine break-all">
          <VisibleText>{agent.subject}</VisibleText>
        </code>
        {agent.groups.length > 0 ? (
          <span className="text-dim">
            {' in '}
            <VisibleText>{agent.groups.join(', ')}</VisibleText>
          </span>
        ) : null}
      </Fact>
      <Fact name="Acts for">
        <Chain agent={agent} />
      </Fact>
      <Fact name="Seen">
        {agent.lastSeenAt ? (
          <>
            {dateAndClock(agent.lastSeenAt, now)}
            {agent.firstSeenAt ? (
              <span className="text-dim"> · first {dateAndClock(agent.firstSeenAt, now)}</span>
            ) : null}
          </>
        ) : (
          'never'
        )}
        <span className="text-dim">{agent.declared ? ' · declared' : ' · not declared, only seen'}</span>
      </Fact>
      {agent.keys.length > 0 ? (
        <Fact name="SSH keys">
          <ul className="flex flex-col gap-0.5">
            {agent.keys.map((key) => (
              <li key={key.fingerprint} className="flex flex-wrap items-center gap-x-2">
                <code className="text-fine break-all">{key.fingerprint}</code>
                <CopyButton text={key.fingerprint} label="Copy the fingerprint" />
                <span className="text-fine text-dim">
                  {key.type}
                  {key.comment ? (
                    <>
                      {' · '}
                      <VisibleText>{key.comment}</VisibleText>
                    </>
                  ) : null}
                  {' · added '}
                  {dateAndClock(key.addedAt, now)} by <VisibleText>{key.addedBy}</VisibleText>
                </span>
              </li>
            ))}
          </ul>
        </Fact>
      ) : null}
    </dl>
  )
}

function Missing({ children }: { children: string }) {
  return <span className="text-dim italic">{children}</span>
}

/** The delegation chain of its newest token: who acts, through whom, for whom. */
function Chain({ agent }: { agent: AgentRecord }) {
  const agents = useAgents((known) => known.agents)
  const [latest, ...others] = agent.actsFor
  const before = agent.chain.filter((id) => id !== agent.id)
  if (!latest && before.length === 0) return <span className="text-dim">itself: its tokens name nobody else</span>
  return (
    <>
      <ol className="flex flex-wrap items-center gap-1.5" aria-label="Delegation chain of its newest token">
        <Link icon={<Bot size={12} aria-hidden />}>
          <VisibleText>{agent.name}</VisibleText>
        </Link>
        {before.map((id) => {
          const known = agents.get(id)
          return (
            <Link key={id} joined="through" icon={<Bot size={12} aria-hidden />}>
              {known ? (
                <a className={linkLook} href={hashOf({ screen: 'agents', id })}>
                  <VisibleText>{known.name}</VisibleText>
                </a>
              ) : (
                <span title={id}>
                  <VisibleText>{subjectOf(id)}</VisibleText>
                </span>
              )}
            </Link>
          )
        })}
        {latest ? (
          <Link joined="for" icon={<User size={12} aria-hidden />}>
            <span title={latest}>
              <VisibleText>{subjectOf(latest)}</VisibleText>
            </span>
          </Link>
        ) : null}
      </ol>
      {others.length > 0 ? (
        <p className="mt-1 text-fine text-dim">
          lately for <VisibleText>{others.map(subjectOf).join(', ')}</VisibleText>, too
        </p>
      ) : null}
    </>
  )
}

function Link({ joined, icon, children }: { joined?: string; icon: ReactNode; children: ReactNode }) {
  return (
    <li className="flex items-center gap-1.5">
      {joined ? (
        <span className="flex items-center gap-1 text-fine text-dim">
          <ArrowRight size={12} aria-hidden />
          {joined}
        </span>
      ) : null}
      <span className="flex items-center gap-1.5 rounded-box border border-line bg-panel px-2 py-0.5">
        <span className="text-dim">{icon}</span>
        {children}
      </span>
    </li>
  )
}
