import type { Approval } from '@countersign/contract/approval'
import { Fragment, type ReactNode, useRef } from 'react'
import type { AskedGrant } from '../../../access-api.ts'
import { span } from '../../../span.ts'
import { type Asked, useAsked } from '../../app/access.ts'
import { useKeys } from '../../app/keys.ts'
import { go, hashOf } from '../../app/route.ts'
import { say } from '../../app/store.ts'
import { Chip, CopyButton, EnvironmentTag } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { FullText } from '../access/full-text.tsx'
import { Actions, Fact, Identity, linkLook, Quoted, Resources } from '../access/grant-facts.tsx'
import { BreakGlassMark, StateMark, TimeLeft } from '../access/state-mark.tsx'
import { spanOf } from '../access/words.ts'
import { unusualAccess } from './access-words.ts'
import { DecisionBar } from './decision-bar.tsx'
import { Decisions, Escalation, Needs } from './facts.tsx'
import { headline, shortDigest } from './words.ts'

/** A request for access as a person decides on it: what, for whom, how long, what for, what is unusual; nothing cut. */
export function AccessCard({ approval, onBack }: { approval: Approval; onBack: () => void }) {
  const { asked, problem } = useAsked(approval.id)
  const place = useRef<HTMLElement>(null)
  useKeys({
    r: () => {
      const used = asked?.items.flatMap(({ grant }) => grant.usedBy ?? []) ?? []
      const [newest] = used.sort((a, b) => (a.at < b.at ? 1 : -1))
      if (!newest) return false
      go({ screen: 'replay', id: newest.session })
    },
    c: () => {
      void navigator.clipboard.writeText(approval.command.text).then(() => say('Request copied'))
    },
    enter: () => place.current?.focus(),
  })
  return (
    <article
      ref={place}
      tabIndex={-1}
      aria-label={`Access asked for by ${approval.access?.requestedBy.name}: ${headline(approval)}`}
      className="@container flex min-h-0 min-w-0 flex-col outline-none"
    >
      <div className="page-body overflow-y-auto px-7 pt-5 pb-4 max-lg:px-4">
        <Escalation approval={approval} />
        <Request approval={approval} asked={asked} problem={problem} />
        <AccessFacts approval={approval} asked={asked} />
        <Happened approval={approval} asked={asked} />
        <FullText approval={approval} />
      </div>
      <DecisionBar approval={approval} onBack={onBack} />
    </article>
  )
}

/** What is asked for: one grant, or all steps of a plan in their order. */
function Request({ approval, asked, problem }: { approval: Approval; asked: Asked | undefined; problem: string }) {
  const { access, command } = approval
  const isPlan = access?.plan !== undefined
  const wanted = access?.grants.length ?? 0
  return (
    <section aria-label="Request" className="overflow-hidden rounded-box border border-line bg-panel shadow-box">
      <div className="px-[18px] pt-3.5 pb-3">
        {isPlan ? (
          <h3 className="text-title font-semibold">
            <VisibleText>{access?.title ?? ''}</VisibleText>
            <span className="ml-2 text-body font-normal text-dim">a plan of {wanted} steps, decided as one</span>
          </h3>
        ) : (
          <h3 className="flex flex-wrap items-baseline gap-x-2 text-title font-semibold">
            Access to {approval.connection}
            <Tags tags={approval.connectionTags} />
            <span className="text-body font-normal text-dim">for</span> {span(access?.seconds ?? 0)}
          </h3>
        )}
        {asked && isPlan ? (
          <ol className="mt-2.5 flex flex-col gap-3">
            {asked.items.map((item) => (
              <Step key={item.grant.id} item={item} />
            ))}
          </ol>
        ) : null}
        {asked && !isPlan && asked.items[0] ? <One item={asked.items[0]} /> : null}
        {asked ? null : (
          <p role="status" className="mt-2 text-dim">
            {problem
              ? `The grants can’t be fetched: ${problem} The request stands below in full.`
              : 'Reading what is asked for…'}
          </p>
        )}
        {asked && asked.missing > 0 ? (
          <p role="alert" className="mt-2 rounded-box bg-warn-pale px-3 py-1.5 text-warn">
            {asked.missing} of {wanted} {wanted === 1 ? 'grant' : 'steps'} can’t be shown here; the request stands below
            in full.
          </p>
        ) : null}
      </div>
      <div className="flex h-8 items-center gap-3 border-t border-line pr-3 pl-[18px] text-fine whitespace-nowrap text-dim">
        <span>whole request{isPlan ? `, ${wanted} steps` : ''}</span>
        <span className="truncate" title={command.digest}>
          digest {shortDigest(command.digest)}
        </span>
        <span className="-mr-1 ml-auto flex">
          <CopyButton text={command.text} label="Copy the request" />
        </span>
      </div>
    </section>
  )
}

function Tags({ tags }: { tags: readonly string[] }) {
  return (
    <>
      {tags.map((tag) => (
        <Fragment key={tag}>
          <EnvironmentTag tag={tag} />{' '}
        </Fragment>
      ))}
    </>
  )
}

function One({ item: { grant } }: { item: AskedGrant }) {
  return (
    <dl className="mt-2 grid grid-cols-[44px_minmax(0,1fr)] gap-y-1">
      <Fact name="may">
        <Actions actions={grant.actions} />
      </Fact>
      <Fact name="on">
        <Resources grant={grant} />
      </Fact>
    </dl>
  )
}

function Step({ item: { grant } }: { item: AskedGrant }) {
  return (
    <li className="grid grid-cols-[24px_minmax(0,1fr)] border-t border-line pt-2.5 first:border-t-0 first:pt-0">
      <span className="text-dim tabular-nums">{grant.step?.number}</span>
      <div>
        <div className="flex flex-wrap items-baseline gap-x-2">
          <b className="min-w-0 font-semibold break-words">
            <VisibleText>{grant.step?.title ?? ''}</VisibleText>
          </b>
          <span className="ml-auto font-semibold tabular-nums">{span(grant.seconds)}</span>
        </div>
        <div className="flex flex-wrap items-baseline gap-x-1.5">
          <code className="text-fine">
            <VisibleText>{grant.identity.name}</VisibleText>
          </code>
          {grant.identity.onBehalfOf ? (
            <span className="text-fine text-dim">
              for <VisibleText>{grant.identity.onBehalfOf}</VisibleText>
            </span>
          ) : null}
          → {grant.connection} <Tags tags={grant.connectionTags} />
        </div>
        <One item={{ grant } as AskedGrant} />
      </div>
    </li>
  )
}

/** Who asks for whom, what for, who may decide, what is unusual. */
function AccessFacts({ approval, asked }: { approval: Approval; asked: Asked | undefined }) {
  const odd = unusualAccess(approval, asked)
  const { access, identity } = approval
  const others = access?.agents ?? []
  return (
    <dl className="mt-3.5 grid grid-cols-[118px_minmax(0,1fr)] gap-y-2 max-lg:grid-cols-[92px_minmax(0,1fr)]">
      <Fact name={access?.plan ? 'Planned by' : 'For'}>
        <Identity grant={{ identity }} />
      </Fact>
      {others.length > 0 ? (
        <Fact name="For">
          {others.map((one, i) => (
            <Fragment key={one.id}>
              {i > 0 ? ', ' : ''}
              <b className="font-semibold" title={one.id}>
                <VisibleText>{one.name}</VisibleText>
              </b>
              {one.onBehalfOf ? (
                <>
                  {' for '}
                  <VisibleText>{one.onBehalfOf}</VisibleText>
                </>
              ) : null}
            </Fragment>
          ))}
        </Fact>
      ) : null}
      {access && access.requestedBy.id !== identity.id ? (
        <Fact name="Asked by">
          <b className="font-semibold" title={access.requestedBy.id}>
            <VisibleText>{access.requestedBy.name}</VisibleText>
          </b>
          {access.requestedBy.kind === 'person' ? ', a person' : ', another agent'}
        </Fact>
      ) : null}
      <Fact name="Says why">
        {approval.purpose ? <Quoted>{approval.purpose}</Quoted> : <span className="text-dim">nothing</span>}
      </Fact>
      <Fact name="Held by">
        <Needs approval={approval} />
      </Fact>
      <Decisions approval={approval} />
      {odd.length > 0 ? (
        <Fact name="Unusual">
          <span className="flex min-h-5 flex-wrap items-center gap-1.5">
            {odd.map(({ tone, text }) => (
              <Chip key={text} tone={tone} title={text}>
                {text}
              </Chip>
            ))}
          </span>
        </Fact>
      ) : null}
    </dl>
  )
}

/** What came of it: access until when, and who used it. */
function Happened({ approval, asked }: { approval: Approval; asked: Asked | undefined }) {
  if (approval.state === 'pending' || !asked || asked.items.length === 0) return null
  return (
    <section aria-labelledby="what-then" className="mt-4">
      <h3 id="what-then" className="mb-2 text-fine font-semibold text-dim">
        What then happened
      </h3>
      <ul className="overflow-hidden rounded-box border border-line bg-panel py-1">
        {asked.items.map(({ grant }) => (
          <li key={grant.id} className="flex flex-wrap items-center gap-x-3 px-4 py-1">
            <a className={linkLook} href={hashOf({ screen: 'access', id: grant.id })}>
              {grant.step ? `Step ${grant.step.number}` : 'The grant'}
            </a>
            <StateMark grant={grant} />
            {grant.breakGlass ? <BreakGlassMark /> : null}
            <Until item={{ grant } as AskedGrant} />
            <span className="ml-auto flex items-center gap-3 text-fine text-dim">
              {grant.sessions === 0
                ? 'not used'
                : `used by ${grant.sessions} session${grant.sessions === 1 ? '' : 's'}`}
              <TimeLeft grant={grant} />
            </span>
          </li>
        ))}
      </ul>
    </section>
  )
}

function Until({ item: { grant } }: { item: AskedGrant }): ReactNode {
  const now = useNow()
  const during = spanOf(grant)
  if (!during) return grant.endedBecause ? <VisibleText>{grant.endedBecause}</VisibleText> : null
  if (grant.state === 'active') return <>until {dateAndClock(during.to, now)}</>
  return (
    <span className="min-w-0 break-words">
      {dateAndClock(during.to, now)}
      {grant.endedBecause ? (
        <>
          {': '}
          <VisibleText>{grant.endedBecause}</VisibleText>
        </>
      ) : null}
    </span>
  )
}
