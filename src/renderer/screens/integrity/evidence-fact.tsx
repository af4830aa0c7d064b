import { useState } from 'react'
import { hashOf } from '../../app/route.ts'
import { core, useWorld } from '../../app/store.ts'
import { Verified } from '../../parts/verified.tsx'
import { VisibleText } from '../../parts/visible-text.tsx'
import { verifySession } from './verify-session.ts'

/** How a session's evidence stands, and the way to have it verified. */
export function EvidenceFact({ session }: { session: string }) {
  const known = useWorld((world) => world.witness.verifications.some((one) => one.session === session))
  const verifying = useWorld((world) => world.verifying.has(session))
  const [problem, setProblem] = useState('')
  const link = 'rounded-tag text-accent underline underline-offset-2'
  return (
    <>
      <span className="flex flex-wrap items-center gap-x-3">
        <Verified session={session} always />
        {verifying ? (
          <button type="button" className={link} onClick={() => void core().call('cancelVerification', { session })}>
            Cancel
          </button>
        ) : (
          <button
            type="button"
            className={link}
            onClick={() => {
              setProblem('')
              verifySession(session, setProblem)
            }}
          >
            {known ? 'Verify again' : 'Verify'}
          </button>
        )}
        {known ? (
          <a href={hashOf({ screen: 'integrity', id: `session:${session}` })} className={link}>
            What was found
          </a>
        ) : null}
      </span>
      {problem ? (
        <span role="alert" className="block text-warn">
          <VisibleText>{problem}</VisibleText>
        </span>
      ) : null}
    </>
  )
}
