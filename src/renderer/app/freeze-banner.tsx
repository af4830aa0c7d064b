import { Snowflake } from 'lucide-react'
import { dateAndClock } from '../parts/time.ts'
import { VisibleText } from '../parts/visible-text.tsx'
import { freezesOf, useDuty } from './duty.ts'
import { hashOf } from './route.ts'

/** Over every screen while anything is frozen: what, by whom, why, since when. */
export function FreezeBanner() {
  const freezes = freezesOf(useDuty(({ connections }) => connections))
  const [first, ...others] = freezes
  // Always there, so that screen readers notice what comes into it.
  return (
    <div role="alert">
      {first ? (
        <div className="flex items-center gap-3 border-b border-danger bg-danger px-4 py-1.5 text-panel">
          <Snowflake size={16} className="shrink-0" aria-hidden />
          <p className="min-w-0 flex-1 break-words">
            <b className="font-semibold">
              {first.connection === '*' ? 'Everything is frozen' : `${first.connection} is frozen`}:
            </b>{' '}
            it takes no sessions. By <VisibleText>{first.by.name}</VisibleText>, since{' '}
            {dateAndClock(first.at, Date.now())}: <VisibleText>{first.reason}</VisibleText>
            {others.length > 0 ? ` Frozen, too: ${others.map(({ connection }) => connection).join(', ')}.` : ''}
          </p>
          <a
            href={hashOf(
              first.connection === '*'
                ? { screen: 'agents', part: 'connections' }
                : { screen: 'agents', part: 'connections', id: first.connection },
            )}
            className="shrink-0 rounded-tag font-semibold underline underline-offset-2 outline-panel"
          >
            See it
          </a>
        </div>
      ) : null}
    </div>
  )
}
