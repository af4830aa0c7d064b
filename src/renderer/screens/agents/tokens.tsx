import type { AgentRecord, TokenRecord } from '@countersign/contract/access'
import { useState } from 'react'
import { revokeToken, useTokens } from '../../app/agents.ts'
import { isAdmin } from '../../app/duty.ts'
import { hashOf } from '../../app/route.ts'
import { say, useWorld } from '../../app/store.ts'
import { useNow } from '../../parts/clock.ts'
import { Reasoned } from '../../parts/reasoned.tsx'
import { age, dateAndClock, shortWhen } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { linkLook } from '../access/grant-facts.tsx'
import { leftWords } from '../access/words.ts'
import { boxLook, rowLook, Section } from './parts.tsx'

const isLive = ({ revoked, expiresAt }: TokenRecord, now: number) => !revoked && Date.parse(expiresAt) > now

/** Gateway tokens of an agent, never their text; each can be revoked by who may. */
export function Tokens({ agent }: { agent: AgentRecord }) {
  const { value, problem, again } = useTokens(agent.id)
  const me = useWorld((world) => world.me)
  const live = useWorld((world) => world.link.state === 'live')
  const now = useNow()
  const [revoking, setRevoking] = useState<TokenRecord | undefined>(undefined)
  const [whole, setWhole] = useState(false)
  if (!value)
    return problem && live ? (
      <Section title="Gateway tokens">
        <p className="text-fine text-dim">They could not be listed: {problem}</p>
      </Section>
    ) : null
  const living = value.items.filter((token) => isLive(token, now))
  const shown = whole ? value.items : living
  const answers = me !== null && [agent.sponsor, agent.owner].some((who) => who === me.id || who === me.name)
  const mayRevoke = live && (isAdmin(me) || answers)
  if (value.items.length === 0) return null
  return (
    <Section title="Gateway tokens" more={`${living.length} live`}>
      {shown.length > 0 ? (
        <ul className={boxLook}>
          {shown.map((token) => (
            <li key={token.id} className={rowLook}>
              <time dateTime={token.issuedAt} className="w-14 text-fine text-dim tabular-nums">
                {shortWhen(token.issuedAt, now)}
              </time>
              <span className="min-w-0 flex-1 truncate">
                {token.connection}
                {token.grant ? (
                  <>
                    <span className="text-dim"> · </span>
                    <a className={linkLook} href={hashOf({ screen: 'access', id: token.grant })}>
                      its grant
                    </a>
                  </>
                ) : null}
                {token.purpose ? (
                  <span className="text-dim">
                    {' · '}
                    <VisibleText>{token.purpose}</VisibleText>
                  </span>
                ) : null}
              </span>
              <span className="shrink-0 text-fine text-dim tabular-nums">
                {token.revoked
                  ? `revoked ${dateAndClock(token.revoked.at, now)} by ${token.revoked.by}`
                  : isLive(token, now)
                    ? `${leftWords(Date.parse(token.expiresAt) - now)} left${token.lastUsedAt ? ` · used ${age(now - Date.parse(token.lastUsedAt))} ago` : ' · never used'}`
                    : 'expired'}
              </span>
              {mayRevoke && isLive(token, now) ? (
                <button
                  type="button"
                  className="shrink-0 rounded-tag text-fine font-semibold text-danger hover:underline"
                  onClick={() => setRevoking(token)}
                >
                  Revoke…
                </button>
              ) : null}
            </li>
          ))}
        </ul>
      ) : null}
      {value.items.length > living.length ? (
        <button type="button" className={`mt-1 text-fine ${linkLook}`} onClick={() => setWhole((now) => !now)}>
          {whole ? 'Only those that are live' : `and ${value.items.length - living.length} that have ended`}
        </button>
      ) : null}
      {revoking ? (
        <Reasoned
          title={<>Revoke this token for {revoking.connection}?</>}
          description="It is good for nothing from then on, and its sessions end within a second. The agent may exchange another one, unless it is disabled."
          action="Revoke"
          doing="Revoking…"
          placeholder="Kept with the record, told to the agent"
          danger
          onClose={() => setRevoking(undefined)}
          onReason={async (reason) => {
            await revokeToken(revoking.id, reason)
            say('The token is revoked')
            again()
          }}
        />
      ) : null}
    </Section>
  )
}
