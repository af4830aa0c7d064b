import type { LegalHold } from '@countersign/contract/evidence'
import type { Session } from '@countersign/contract/session'
import { useCallback, useEffect, useState } from 'react'
import type { SessionRetention } from '../../../retention-api.ts'
import { wordsOf } from '../../app/api.ts'
import { core, useWorld } from '../../app/store.ts'
import { Button } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { LiftHold, PlaceHold } from './hold-dialogs.tsx'
import { keptUntil } from './words.ts'

/** Until when the gateway keeps a session, who holds it, and the way to hold it. */
export function Retained({ session }: { session: Session }) {
  const live = useWorld((world) => world.link.state === 'live')
  const sees = useWorld(({ me }) => me?.kind === 'person' && me.roles.some((role) => role !== 'approver'))
  const [told, setTold] = useState<SessionRetention | null>(null)
  const [problem, setProblem] = useState('')
  const [placing, setPlacing] = useState(false)
  const [lifting, setLifting] = useState<LegalHold | undefined>(undefined)
  const now = useNow()
  const { id } = session
  const look = useCallback(async () => {
    if (!live || !sees) return
    try {
      setTold(await core().call('sessionRetention', { session: id }))
      setProblem('')
    } catch (error) {
      setProblem(wordsOf(error))
    }
  }, [id, live, sees])
  useEffect(() => {
    setTold(null)
    void look()
  }, [look])

  const retention = told?.session.retention ?? session.retention
  if (!retention && !problem) return null
  const erased = retention?.erasedAt
  const heldBy = retention?.heldBy ?? []
  return (
    <section aria-label="On the gateway" className="mt-2.5 rounded-box border border-line bg-panel px-4 py-3">
      <div className="flex flex-wrap items-center gap-3">
        <div className="min-w-48 flex-1">
          <p className="font-semibold">
            {erased ? 'Erased on the gateway' : heldBy.length > 0 ? 'Under legal hold' : 'On the gateway'}
          </p>
          <p className={`text-fine ${heldBy.length > 0 && !erased ? 'text-warn' : 'text-dim'}`}>
            {problem || (retention ? keptUntil(retention, session.state === 'open', now) : '')}
          </p>
        </div>
        {told?.mayHold && !erased ? (
          <Button disabled={!live} onClick={() => setPlacing(true)}>
            Place legal hold…
          </Button>
        ) : null}
      </div>
      {told && told.holds.length > 0 ? (
        <ul className="mt-2 divide-y divide-line border-t border-line">
          {told.holds.map((hold) => (
            <li key={hold.id} className="flex flex-wrap items-center gap-3 py-2">
              <div className="min-w-48 flex-1">
                <p className="break-words">
                  <q>
                    <VisibleText>{hold.reason}</VisibleText>
                  </q>
                </p>
                <p className="text-fine text-dim">
                  <VisibleText>{hold.by.name}</VisibleText>, {dateAndClock(hold.placedAt, now)}
                  {hold.sessions.includes(id)
                    ? ''
                    : ` · ${hold.connections.includes(session.connection) ? `all of ${session.connection}` : `all of ${session.identity.name}`}`}
                </p>
              </div>
              {told.mayHold ? (
                <Button quiet disabled={!live} onClick={() => setLifting(hold)}>
                  Lift…
                </Button>
              ) : null}
            </li>
          ))}
        </ul>
      ) : null}
      {placing ? <PlaceHold session={session} onClose={() => setPlacing(false)} onDone={() => void look()} /> : null}
      {lifting ? <LiftHold hold={lifting} onClose={() => setLifting(undefined)} onDone={() => void look()} /> : null}
    </section>
  )
}
