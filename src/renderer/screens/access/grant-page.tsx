import type { Grant } from '@countersign/contract/access'
import { useRef } from 'react'
import { span } from '../../../span.ts'
import { useGrant } from '../../app/access.ts'
import { useKeys } from '../../app/keys.ts'
import { go, hashOf } from '../../app/route.ts'
import { useWorld } from '../../app/store.ts'
import { CopyButton, EnvironmentTag, foremostTag, Notice } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { clock, dateAndClock, duration, shortWhen } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { StateWord } from '../sessions/session-row.tsx'
import { ActionBar } from './action-bar.tsx'
import { FullText } from './full-text.tsx'
import { GrantFacts } from './grant-facts.tsx'
import { PlanSteps } from './plan-steps.tsx'
import { BreakGlassMark, StateMark } from './state-mark.tsx'
import { leftWords, spanOf } from './words.ts'

/** All that is known of one grant, and what can be done about it. */
export function GrantPage(props: { id: string; onExtend: (grant: Grant) => void; onRevoke: (grant: Grant) => void }) {
  const { id } = props
  const { grant, missing } = useGrant(id)
  const approval = useWorld(({ approvals }) =>
    grant?.approval === undefined ? undefined : approvals.get(grant.approval),
  )
  const place = useRef<HTMLElement>(null)
  useKeys({
    enter: () => place.current?.focus(),
    r: () => {
      const newest = grant?.usedBy?.[0]?.session
      if (newest) go({ screen: 'replay', id: newest })
    },
    o: () => {
      if (grant?.approval) go({ screen: 'queue', id: grant.approval })
    },
  })
  if (!grant)
    return missing ? (
      <Notice title="No such grant, or not yours to see" role="status">
        <p>
          <span className="font-mono">{id}</span> is not in what this gateway shows you.
        </p>
      </Notice>
    ) : (
      <Notice title="Fetching the grant…" role="status" />
    )
  const tag = foremostTag(grant.connectionTags)
  return (
    <article
      ref={place}
      tabIndex={-1}
      aria-label={`Grant of ${grant.identity.name} on ${grant.connection}`}
      className="@container flex min-h-0 min-w-0 flex-1 flex-col outline-none"
    >
      <div className="page-body overflow-y-auto px-7 pt-4 pb-4 max-lg:px-4">
        <div className="flex flex-wrap items-baseline gap-x-2.5 gap-y-1">
          <h2 className="flex min-w-0 items-baseline gap-2.5 text-title font-semibold">
            <VisibleText>{grant.identity.name}</VisibleText>
            <span className="text-body font-normal text-dim">on</span> {grant.connection}
          </h2>
          {tag ? <EnvironmentTag tag={tag} /> : null}
          {grant.breakGlass ? <BreakGlassMark words="given by break-glass" /> : null}
          <span className="ml-auto">
            <StateMark grant={grant} />
          </span>
        </div>
        <Duration grant={grant} />
        <GrantFacts grant={grant} />
        {grant.plan ? <PlanSteps plan={grant.plan} here={grant.id} /> : null}
        <Uses grant={grant} />
        {approval ? <FullText approval={approval} /> : null}
        <p className="mt-5 flex items-center gap-1 text-fine text-dim">
          <code>{grant.id}</code>
          <CopyButton text={grant.id} label="Copy the grant’s id" />
        </p>
      </div>
      <ActionBar grant={grant} onExtend={() => props.onExtend(grant)} onRevoke={() => props.onRevoke(grant)} />
    </article>
  )
}

/** From when to when, with the part that is over; exact, in figures. */
function Duration({ grant }: { grant: Grant }) {
  const now = useNow()
  const during = spanOf(grant)
  if (!during)
    return (
      <p className="mt-2.5 text-dim">
        {grant.state === 'requested'
          ? `Asked for ${span(grant.seconds)}; ${grant.expiresAt ? `the request lapses ${dateAndClock(grant.expiresAt, now)}, in ${leftWords(Date.parse(grant.expiresAt) - now)}` : 'it waits for a decision'}.`
          : `Asked for ${span(grant.seconds)}; there was no access.`}
      </p>
    )
  const { from, to } = during
  const active = grant.state === 'active'
  const planned = from + grant.seconds * 1000
  const whole = Math.max(to, planned) - from
  const part = Math.max(0, Math.min(1, ((active ? now : to) - from) / whole))
  return (
    <figure className="mt-2.5" aria-label="How long">
      <div className="relative h-2 overflow-hidden rounded-full bg-line" aria-hidden="true">
        <span
          className={`absolute inset-y-0 left-0 ${grant.state === 'revoked' ? 'bg-danger' : 'bg-bar'}`}
          style={{ width: `${part * 100}%` }}
        />
        {active ? (
          <span className="absolute inset-y-0 right-0 bg-ok" style={{ width: `${(1 - part) * 100}%` }} />
        ) : null}
      </div>
      <figcaption className="mt-1 flex flex-wrap justify-between gap-x-4 text-fine text-dim tabular-nums">
        <span>
          active from {dateAndClock(from, now)}:{clock(from, true).slice(-2)}
        </span>
        {active ? (
          <b className="font-semibold text-ink">
            ends {dateAndClock(to, now)}:{clock(to, true).slice(-2)} · {leftWords(to - now)} left
          </b>
        ) : (
          <span>
            {grant.state} {dateAndClock(to, now)}:{clock(to, true).slice(-2)}
            {to < planned ? `, after ${duration(to - from)} of ${span(grant.seconds)}` : ''}
          </span>
        )}
      </figcaption>
    </figure>
  )
}

/** The sessions that used it: each leads to its replay. */
function Uses({ grant }: { grant: Grant }) {
  const sessions = useWorld((world) => world.sessions)
  const now = useNow()
  const { usedBy } = grant
  return (
    <section aria-labelledby="used-by" className="mt-5">
      <h3 id="used-by" className="mb-2 text-fine font-semibold text-dim">
        Used by{' '}
        {grant.sessions === 0 ? 'no session' : grant.sessions === 1 ? '1 session' : `${grant.sessions} sessions`}
        {grant.lastUsedAt ? <span className="font-normal"> · last {dateAndClock(grant.lastUsedAt, now)}</span> : null}
        {usedBy && grant.sessions > usedBy.length ? (
          <span className="font-normal"> · the newest {usedBy.length}</span>
        ) : null}
      </h3>
      {grant.sessions > 0 && !usedBy ? (
        <p className="rounded-box border border-line bg-panel px-4 py-2 text-dim">
          Which ones, the gateway tells once it is reached.
        </p>
      ) : null}
      {usedBy && usedBy.length > 0 ? (
        <ol className="overflow-hidden rounded-box border border-line bg-panel py-1">
          {usedBy.map(({ session: id, at }) => {
            const session = sessions.get(id)
            return (
              <li key={id}>
                <a
                  href={hashOf({ screen: 'sessions', id })}
                  className="flex h-[29px] items-center gap-4 px-4 -outline-offset-2 hover:bg-sunken"
                >
                  <time dateTime={at} className="w-14 text-fine text-dim tabular-nums">
                    {shortWhen(at, now)}
                  </time>
                  <span className="min-w-0 flex-1 truncate font-mono text-fine">{id}</span>
                  <span className="text-fine text-dim">
                    {session ? (
                      <>
                        <StateWord session={session} /> · {session.counts.commands} commands
                      </>
                    ) : (
                      'not known here'
                    )}
                  </span>
                </a>
              </li>
            )
          })}
        </ol>
      ) : null}
    </section>
  )
}
