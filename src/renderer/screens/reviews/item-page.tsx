import type { CampaignItemPage } from '@countersign/contract/review'
import { Crown } from 'lucide-react'
import { useRef } from 'react'
import { useKeys } from '../../app/keys.ts'
import { decisionsIn, useItemPage, useItems, usePending } from '../../app/reviews.ts'
import { go, hashOf } from '../../app/route.ts'
import { useWorld } from '../../app/store.ts'
import { Button, EnvironmentTag, Notice } from '../../parts/basics.tsx'
import { age, dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { linkLook } from '../access/grant-facts.tsx'
import { DecisionBar } from './decision-bar.tsx'
import { AgainstPart, AskersPart, DaysPart, firstCited, MatrixPart, Part, ThroughPart } from './evidence.tsx'
import { useLooking } from './looking.ts'
import { PastPart } from './past.tsx'
import { ProposalPart } from './proposal.tsx'
import { type Answer, answersOf } from './questions.ts'

/** One item: the three questions answered on one page, what they rest on, and the decision below. */
export function ItemPage(props: { campaign: string; id: string; onBack: () => void; onDecided: () => void }) {
  const { campaign, id } = props
  const { items } = useItems(campaign)
  const known = items.get(id)
  const { page, value, problem, again } = useItemPage(campaign, id, known)
  const live = useWorld((world) => world.link.state === 'live')
  if (!page)
    return problem ? (
      <Notice title="This item can’t be shown" role="alert">
        <p>{problem}</p>
        <Button onClick={again}>Try again</Button>
      </Notice>
    ) : value ? (
      <Notice title={live ? 'No such item, or not yours to see' : 'Its evidence is not on this computer'} role="status">
        <p>
          {live
            ? 'It may have gone with a newer snapshot of its campaign.'
            : 'Evidence is kept of items that wait for you. This one can be read once the gateway is reached.'}
        </p>
      </Notice>
    ) : (
      <Notice title="Fetching the evidence…" role="status" />
    )
  const fresh = known && known.revision >= page.item.revision ? { ...page, item: known } : page
  return <Ready key={id} {...props} page={fresh} local={value?.source === 'local'} />
}

function Ready(props: { page: CampaignItemPage; local: boolean; onBack: () => void; onDecided: () => void }) {
  const { page, local, onBack, onDecided } = props
  const { item, evidence } = page
  const pending = usePending(item.campaign)
  const mine = decisionsIn(pending).get(item.id)
  const place = useRef<HTMLElement>(null)
  const scroller = useRef<HTMLDivElement>(null)
  const looked = useLooking(item.id, scroller)
  const now = Date.now()
  const answers = answersOf(page, (at) => age(now - Date.parse(at)))
  const cited = firstCited(evidence)
  const replayed = () => looked.opened('replay')
  useKeys({
    enter: () => place.current?.focus(),
    r: () => {
      if (!cited) return false
      replayed()
      go({ screen: 'replay', id: cited.session, ...(cited.at && { at: cited.at }) })
    },
    o: () => nextPart(scroller.current),
  })
  return (
    <article
      ref={place}
      tabIndex={-1}
      aria-label={`${item.name} on ${item.connection}`}
      className="@container flex min-h-0 min-w-0 flex-1 flex-col outline-none"
    >
      <div ref={scroller} className="page-body overflow-y-auto px-7 pt-4 pb-4 max-lg:px-4">
        <header className="flex flex-wrap items-baseline gap-x-2.5 gap-y-1">
          <h2 className="min-w-0 text-title font-semibold break-words">
            <VisibleText>{item.name}</VisibleText>{' '}
            <span className="mx-1.5 text-body font-normal text-dim">
              {item.kind === 'rule' ? 'gives access to' : 'may use'}
            </span>{' '}
            <VisibleText>{item.connection}</VisibleText>
          </h2>
          <span className="flex gap-1.5 self-center">
            {item.connectionTags.map((tag) => (
              <EnvironmentTag key={tag} tag={tag} />
            ))}
          </span>
          <p className="ml-auto text-fine text-dim">
            {item.access === 'jit' ? 'just in time' : 'standing'} · snapshot {dateAndClock(evidence.at, now)}
            {item.stages > 1 ? ` · stage ${item.stage + 1} of ${item.stages}` : ''}
            {local ? ' · as kept on this computer' : ''}
          </p>
        </header>
        {item.privileged ? (
          <p className="mt-2 flex items-center gap-2 text-fine text-warn">
            <Crown size={13} className="shrink-0" aria-hidden />
            <span>
              Privileged
              {item.privilegedBecause.length > 0 ? (
                <>
                  {': '}
                  <VisibleText>{item.privilegedBecause.join('; ')}</VisibleText>
                </>
              ) : null}
              . It is decided by itself, never with others.
            </span>
          </p>
        ) : null}
        <div className="mt-3 grid grid-cols-3 gap-3 @max-[720px]:grid-cols-1">
          {answers.map((answer) => (
            <AnswerCard key={answer.question} answer={answer} />
          ))}
        </div>
        {item.kind === 'rule' ? <AskersPart evidence={evidence} /> : <MatrixPart evidence={evidence} />}
        <ProposalPart page={page} />
        <AgainstPart evidence={evidence} onReplay={replayed} />
        <DaysPart evidence={evidence} />
        <IdentityPart page={page} />
        <ThroughPart page={page} onReplay={replayed} />
        <PastPart page={page} pending={pending.filter((each) => each.item === item.id)} />
        <p className="mt-5 text-fine break-all text-dim">
          Evidence <code>{item.evidence}</code>, as the log has it
        </p>
      </div>
      <DecisionBar page={page} pending={mine} looked={looked} onBack={onBack} onDecided={onDecided} />
    </article>
  )
}

const inks: Record<Answer['tone'], string> = {
  ok: 'text-ok',
  warn: 'text-warn',
  danger: 'text-danger',
  plain: 'text-dim',
}

function AnswerCard({ answer }: { answer: Answer }) {
  return (
    <section aria-label={answer.question} className="rounded-box border border-line bg-panel px-3.5 py-2.5">
      <h3 className="flex items-baseline justify-between gap-3 font-semibold">
        {answer.question} <b className={`shrink-0 font-semibold ${inks[answer.tone]}`}>{answer.answer}</b>
      </h3>
      <p className="mt-1 text-dim">
        <VisibleText>{answer.facts.join(' ')}</VisibleText>
      </p>
    </section>
  )
}

/** Who it is and who answers for it. */
function IdentityPart({ page }: { page: CampaignItemPage }) {
  const { identity } = page.evidence
  const now = Date.now()
  const facts: [string, string | undefined][] = [
    ['Sponsor', identity.sponsorName ?? identity.sponsor],
    ['Owner', identity.owner],
    ['Groups', identity.groups.join(', ') || undefined],
    ['Acts for', identity.actsFor.join(', ') || undefined],
    ['Environment', identity.environment],
    ['First seen', identity.firstSeenAt && dateAndClock(identity.firstSeenAt, now)],
    ['Last seen', identity.lastSeenAt && dateAndClock(identity.lastSeenAt, now)],
    [
      'Last certified',
      identity.lastCertified && `${dateAndClock(identity.lastCertified.at, now)} by ${identity.lastCertified.by}`,
    ],
  ]
  const told = facts.filter(([, value]) => value)
  if (told.length === 0) return null
  return (
    <Part
      name="identity"
      title="Who it is"
      more={
        identity.agent ? (
          <a className={linkLook} href={hashOf({ screen: 'agents', id: identity.agent })}>
            in the registry
          </a>
        ) : undefined
      }
    >
      <dl className="grid grid-cols-[repeat(auto-fill,minmax(220px,1fr))] gap-x-6 gap-y-1">
        {told.map(([name, value]) => (
          <div key={name} className="flex gap-2">
            <dt className="w-24 shrink-0 text-dim">{name}</dt>
            <dd className="min-w-0 break-words">
              <VisibleText>{value!}</VisibleText>
            </dd>
          </div>
        ))}
      </dl>
    </Part>
  )
}

/** Scrolls to the part of the evidence that begins below the top, and from the last one to the top again. */
function nextPart(scroller: HTMLElement | null) {
  if (!scroller) return
  const top = scroller.getBoundingClientRect().top
  const parts = [...scroller.querySelectorAll<HTMLElement>('[data-evidence]')]
  const next = parts.find((part) => part.getBoundingClientRect().top - top > 40)
  const atEnd = scroller.scrollTop + scroller.clientHeight >= scroller.scrollHeight - 2
  if (!next || atEnd) scroller.scrollTop = 0
  else {
    next.scrollIntoView({ block: 'start' })
    next.querySelector<HTMLElement>('h3')?.focus({ preventScroll: true })
  }
}
