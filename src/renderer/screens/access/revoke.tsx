import type { Grant } from '@countersign/contract/access'
import type { Session } from '@countersign/contract/session'
import { useMemo } from 'react'
import { revoke, useAccess } from '../../app/access.ts'
import { useWorld } from '../../app/store.ts'
import { useNow } from '../../parts/clock.ts'
import { Reasoned } from '../../parts/reasoned.tsx'
import { age } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'

const SHOWN = 6

/** Takes access away before its time, with a reason that the agent and the record get; says what ends with it. */
export function Revoke({ grant, onClose }: { grant: Grant; onClose: () => void }) {
  const connection = useAccess(({ connections }) => connections.get(grant.connection))
  const live = useLive(grant)
  const sessions = useWorld((world) => world.sessions)
  const unseen = grant.usedBy ? grant.usedBy.filter(({ session }) => !sessions.has(session)).length : grant.sessions
  const others = useAccess(({ grants }) => otherGrants(grants.values(), grant))
  const now = useNow()
  return (
    <Reasoned
      title={
        <>
          {grant.state === 'requested' ? 'Withdraw the request for' : 'Revoke'} the access of{' '}
          <VisibleText>{grant.identity.name}</VisibleText> to {grant.connection}?
        </>
      }
      description="It ends at once, on every gateway, and can’t be taken back: the agent has to ask anew. The agent is told the reason, and the log tells who revoked it."
      action="Revoke"
      doing="Revoking…"
      placeholder="Kept with the record, told to the agent"
      danger
      onClose={onClose}
      onReason={async (reason) => {
        void revoke(grant.id, reason)
      }}
    >
      <div className="mt-3 rounded-box bg-sunken px-3 py-2">
        {live.length === 0 ? (
          <p>{unseen > 0 ? 'No live session that you may see uses it.' : 'No live session uses it now.'}</p>
        ) : (
          <>
            <p className="font-semibold">
              {live.length === 1 ? '1 live session uses' : `${live.length} live sessions use`} it
              {connection?.access === 'standing'
                ? '; they go on with what policy permits without it.'
                : others > 0
                  ? `; they go on with what ${others === 1 ? 'another grant covers' : `${others} other grants cover`}.`
                  : ' and will be closed within a second:'}
            </p>
            <ul className="mt-1">
              {live.slice(0, SHOWN).map((session) => (
                <li key={session.id} className="flex gap-3">
                  <span className="min-w-0 flex-1 truncate font-mono text-fine">{session.id}</span>
                  <span className="text-fine text-dim">
                    for {age(now - Date.parse(session.openedAt))} · {session.counts.commands} commands
                  </span>
                </li>
              ))}
            </ul>
            {live.length > SHOWN ? <p className="text-fine text-dim">and {live.length - SHOWN} more</p> : null}
          </>
        )}
        {unseen > 0 ? (
          <p className="mt-1 text-dim">
            {unseen === 1 ? '1 session' : `${unseen} sessions`} that you may not see used it, too; what of that is live
            ends as well, unless something else covers it.
          </p>
        ) : null}
      </div>
    </Reasoned>
  )
}

/** Open sessions that stand on a grant, of those that are known here. */
function useLive(grant: Grant): readonly Session[] {
  const sessions = useWorld((world) => world.sessions)
  return useMemo(() => {
    const used = grant.usedBy && new Set(grant.usedBy.map(({ session }) => session))
    const could = (session: Session) =>
      session.connection === grant.connection &&
      session.agent === grant.agent &&
      session.identity.onBehalfOf === grant.identity.onBehalfOf
    return [...sessions.values()].filter((session) => {
      if (session.state !== 'open') return false
      if (session.grants?.includes(grant.id) || used?.has(session.id)) return true
      // Where not all that used it are told, those that could have.
      return used === undefined || grant.sessions > used.size ? could(session) : false
    })
  }, [sessions, grant])
}

function otherGrants(grants: Iterable<Grant>, grant: Grant): number {
  let count = 0
  for (const one of grants)
    if (
      one.id !== grant.id &&
      one.state === 'active' &&
      one.agent === grant.agent &&
      one.connection === grant.connection &&
      one.identity.onBehalfOf === grant.identity.onBehalfOf
    )
      count += 1
  return count
}
