import type { Session } from '@countersign/contract/session'
import { Fragment, type ReactNode, useMemo } from 'react'
import { oneLine } from '../../../visible.ts'
import { hostOf } from '../../app/header.tsx'
import { hashOf } from '../../app/route.ts'
import { useWorld } from '../../app/store.ts'
import { Button, EnvironmentTag, foremostTag, Key, Notice } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { size } from '../../parts/size.ts'
import { age, clock, dateAndClock, duration } from '../../parts/time.ts'
import { Verified } from '../../parts/verified.tsx'
import { VisibleText } from '../../parts/visible-text.tsx'
import { EvidenceFact } from '../integrity/evidence-fact.tsx'
import { ending, protocolName } from '../queue/words.ts'
import { Retained } from '../retention/session-retention.tsx'
import { erasedCommand } from '../retention/words.ts'
import { Kept } from './kept.tsx'
import { StateWord } from './session-row.tsx'

/** A session's title, the same over its overview and its replay. */
export function SessionTitle({ session, children }: { session: Session; children?: ReactNode }) {
  const tag = foremostTag(session.connectionTags)
  return (
    <div className="flex flex-wrap items-baseline gap-x-2.5 gap-y-1">
      <h2 className="flex items-baseline gap-2.5 text-title font-semibold">
        <VisibleText>{session.identity.name}</VisibleText>
        <span className="text-body font-normal text-dim">on</span> {session.connection}
      </h2>
      {tag ? <EnvironmentTag tag={tag} /> : null}
      <span className="text-fine">
        <Verified session={session.id} />
      </span>
      <span className="ml-auto text-dim">{children}</span>
    </div>
  )
}

/** What is known of a session without playing its recording (playing is an audit entry of its own). */
export function Overview(props: {
  id: string
  session: Session | undefined
  onReplay: () => void
  onEnd: (session: Session) => void
  onExport: () => void
  /** What was found in it, above what it is. */
  found?: ReactNode
}) {
  const { session, found } = props
  const now = useNow()
  const live = useWorld((world) => world.link.state === 'live')
  if (!session)
    return (
      <Notice title="Known only by its recording">
        <p>
          <span className="font-mono">{props.id}</span> is not among the newest sessions. Its recording says the rest.
        </p>
        {found ? <div className="mt-2 w-full max-w-2xl text-left">{found}</div> : null}
        <Button tone="accent" onClick={props.onReplay}>
          Replay <Key>R</Key>
        </Button>
      </Notice>
    )
  const { counts, identity } = session
  const facts: [string, ReactNode][] = [
    [
      'Who',
      <Fragment key="who">
        <b className="font-semibold">
          <VisibleText>{identity.name}</VisibleText>
        </b>
        {identity.onBehalfOf ? ` for ${identity.onBehalfOf}` : ''}
        {identity.owner ? ` · owner ${identity.owner}` : ''}
        {' · signed in by '}
        <VisibleText>{hostOf(identity.issuer)}</VisibleText>
      </Fragment>,
    ],
    [
      'Says why',
      session.purpose ? (
        <q key="why" className="inline-block max-w-full rounded-tag bg-sunken px-2 break-words">
          <VisibleText>{session.purpose}</VisibleText>
        </q>
      ) : (
        <span key="why" className="text-dim">
          nothing: it gave no purpose
        </span>
      ),
    ],
    [
      'Where',
      <Fragment key="where">
        {session.connectionTags.map((tag) => (
          <Fragment key={tag}>
            <EnvironmentTag tag={tag} />{' '}
          </Fragment>
        ))}
        {session.connection} · {protocolName(session.protocol)}
        {session.mode === 'observe' ? (
          <span className="font-semibold text-warn"> · observed only: nothing was refused</span>
        ) : null}
      </Fragment>,
    ],
    [
      'From',
      <Fragment key="from">
        <code className="text-fine">{session.client.address}</code>
        {session.client.application ? (
          <>
            {' · '}
            <VisibleText>{session.client.application}</VisibleText>
          </>
        ) : null}
      </Fragment>,
    ],
    [
      'When',
      session.closedAt
        ? `${dateAndClock(session.openedAt, now)}, for ${duration(Date.parse(session.closedAt) - Date.parse(session.openedAt))}`
        : `since ${dateAndClock(session.openedAt, now)}${live ? `, for ${age(now - Date.parse(session.openedAt))} now` : ''}`,
    ],
    ...(session.closedBecause
      ? ([['Ended', <VisibleText key="ended">{session.closedBecause}</VisibleText>]] as [string, ReactNode][])
      : []),
    [
      'Recording',
      `${size(session.recording.bytes)}${session.recording.complete ? '' : session.state === 'open' ? (live ? ', still growing' : ' when last heard of') : session.state === 'interrupted' ? ', not whole: the gateway stopped under it' : ', not whole'}`,
    ],
    ...(session.state === 'open'
      ? []
      : ([['Evidence', <EvidenceFact key={session.id} session={session.id} />]] as [string, ReactNode][])),
  ]
  return (
    <article aria-label={`Session ${session.id}`} className="min-h-0 overflow-y-auto px-7 pt-5 pb-6 max-lg:px-4">
      <SessionTitle session={session}>
        <StateWord session={session} />
      </SessionTitle>
      {found}
      <dl className="mt-4 grid grid-cols-4 gap-2.5">
        <Count name="commands" n={counts.commands} />
        <Count name="held" n={counts.held} ink="text-warn" />
        <Count name="denied" n={counts.denied} ink="text-danger" />
        <Count name="errors" n={counts.errors} ink="text-warn" />
      </dl>
      <dl className="mt-5 grid grid-cols-[118px_minmax(0,1fr)] gap-y-2 max-lg:grid-cols-[92px_minmax(0,1fr)]">
        {facts.map(([name, value]) => (
          <Fragment key={name}>
            <dt className="text-dim">{name}</dt>
            <dd className="min-w-0 break-words">{value}</dd>
          </Fragment>
        ))}
      </dl>
      <Kept session={session} />
      <Retained session={session} />
      <Holds session={session} />
      <div className="mt-6 flex flex-wrap gap-2.5">
        <Button tone="accent" onClick={props.onReplay}>
          {session.state === 'open' && live ? 'Watch' : 'Replay'} <Key>R</Key>
        </Button>
        <Button onClick={props.onExport}>
          Export <Key>E</Key>
        </Button>
        {session.state === 'open' ? (
          <Button tone="danger" disabled={!live} onClick={() => props.onEnd(session)}>
            End session <Key>X</Key>
          </Button>
        ) : null}
      </div>
      {session.state === 'open' && !live ? (
        <p className="mt-2 text-fine text-dim">A session can’t be ended offline.</p>
      ) : null}
    </article>
  )
}

/** What of this session was held, as far as the queue knows: each leads to its card. */
function Holds({ session }: { session: Session }) {
  const approvals = useWorld((world) => world.approvals)
  const me = useWorld((world) => world.me)
  const held = useMemo(
    () =>
      [...approvals.values()]
        .filter((approval) => approval.session === session.id)
        .sort((a, b) => (a.requestedAt < b.requestedAt ? -1 : 1)),
    [approvals, session.id],
  )
  if (held.length === 0) return null
  return (
    <section aria-labelledby="held-here" className="mt-5">
      <h3 id="held-here" className="mb-2 text-fine font-semibold text-dim">
        Held in this session
      </h3>
      <ol className="overflow-hidden rounded-box border border-line bg-panel py-1">
        {held.map((approval) => {
          const { tone, text } = ending(approval, me)
          const ink = { ok: 'text-ok', danger: 'text-danger', warn: 'text-warn', plain: 'text-dim', accent: '' }[tone]
          return (
            <li key={approval.id}>
              <a
                href={hashOf({ screen: 'queue', id: approval.id })}
                className="flex h-[29px] items-center gap-4 px-4 -outline-offset-2 hover:bg-sunken"
              >
                <time className="text-fine text-dim tabular-nums">{clock(approval.requestedAt, true)}</time>
                <span className="min-w-0 flex-1 truncate font-mono text-fine">
                  {approval.command.text === '' ? (
                    <i className="font-sans">{erasedCommand}</i>
                  ) : (
                    <VisibleText>{oneLine(approval.command.text)}</VisibleText>
                  )}
                </span>
                <span className={`max-w-[50%] truncate text-fine ${approval.state === 'pending' ? 'text-warn' : ink}`}>
                  <VisibleText>{approval.state === 'pending' ? 'waits for a decision' : text}</VisibleText>
                </span>
              </a>
            </li>
          )
        })}
      </ol>
    </section>
  )
}

function Count({ name, n, ink = '' }: { name: string; n: number; ink?: string }) {
  return (
    <div className="flex flex-col-reverse rounded-box border border-line bg-panel px-3.5 py-2.5">
      <dt className="text-fine text-dim">{name}</dt>
      <dd className={`text-title font-semibold tabular-nums ${n > 0 ? ink : 'text-dim'}`}>
        {n.toLocaleString('en-US')}
      </dd>
    </div>
  )
}
