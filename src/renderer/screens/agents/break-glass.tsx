import type { BreakGlass } from '@countersign/contract/access'
import { Check, Siren, X } from 'lucide-react'
import { useEffect, useMemo, useState } from 'react'
import { useAgents } from '../../app/agents.ts'
import { mayNotReview, useDuty } from '../../app/duty.ts'
import { useKeys } from '../../app/keys.ts'
import { go, hashOf } from '../../app/route.ts'
import { core, say, useWorld } from '../../app/store.ts'
import { Button, Key, Notice } from '../../parts/basics.tsx'
import { Listbox, type ListRow, stepFrom } from '../../parts/listbox.tsx'
import { Reasoned } from '../../parts/reasoned.tsx'
import { clock, dateAndClock, shortWhen } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { Fact, factGrid, linkLook, Quoted } from '../access/grant-facts.tsx'
import { Parts, routeOf, Split } from './parts.tsx'
import { subjectOf } from './words.ts'

type Row = ListRow & ({ use: BreakGlass } | { heading: string; count: number })
type Verdict = NonNullable<BreakGlass['review']>['verdict']

/** Every time one person decided alone in an emergency; those that nobody has reviewed first. */
export function BreakGlassPart({ id }: { id: string | undefined }) {
  const uses = useDuty(({ duty }) => duty.breakGlass)
  const at = useDuty(({ duty }) => duty.at)
  const me = useWorld((world) => world.me)
  const live = useWorld((world) => world.link.state === 'live')
  const [reviewing, setReviewing] = useState<{ use: BreakGlass; verdict: Verdict } | undefined>(undefined)
  const rows = useMemo(() => rowsOf(uses), [uses])
  const options = useMemo(() => rows.filter((row) => row.option), [rows])
  const chosen = uses.find((use) => use.id === id)
  const first = options[0]?.key
  useEffect(() => {
    if (id === undefined && first !== undefined) go(routeOf('break-glass', first), 'replace')
  }, [id, first])
  const select = (next: string | undefined) => {
    if (next !== undefined) go(routeOf('break-glass', next), 'replace')
  }
  const may = live && chosen && !chosen.review && mayNotReview(chosen, me) === undefined
  const review = (verdict: Verdict) => () => (may ? setReviewing({ use: chosen, verdict }) : false)
  useKeys({
    j: () => select(stepFrom(options, id, 1)),
    k: () => select(stepFrom(options, id, -1)),
    arrowdown: () => select(stepFrom(options, id, 1)),
    arrowup: () => select(stepFrom(options, id, -1)),
    y: review('justified'),
    w: review('not-justified'),
    o: () => (chosen ? go({ screen: 'queue', id: chosen.approval }) : false),
  })
  const waiting = uses.filter((use) => !use.review).length
  return (
    <Split>
      <section aria-label="Break-glass" className="flex min-h-0 flex-col border-r border-line bg-panel">
        <Parts here="break-glass" />
        <div className="flex min-h-[42px] items-baseline gap-2 px-4 pt-3 pb-1.5">
          <h2 className="text-head font-semibold">Break-glass</h2>
          <span role="status" className="min-w-0 truncate text-dim">
            {waiting === 0 ? 'all reviewed' : `${waiting} to review`}
          </span>
        </div>
        {!live ? (
          <p className="mx-3 mb-1.5 rounded-box bg-sunken px-3 py-1.5 text-fine text-dim">
            {at ? `As the gateway told it ${dateAndClock(at, Date.now())}. ` : ''}Nothing can be reviewed offline.
          </p>
        ) : null}
        {options.length > 0 ? (
          <Listbox
            label="Uses of break-glass"
            rows={rows}
            selected={id}
            onSelect={select}
            render={(row, selected) =>
              'heading' in row ? (
                <div className="flex h-full items-end px-4 pb-1.5 text-tag font-semibold tracking-wide text-dim uppercase">
                  {row.heading} <span className="ml-1.5 font-normal">{row.count}</span>
                </div>
              ) : (
                <UseRow use={row.use} selected={selected} />
              )
            }
          />
        ) : (
          <Notice title="Nobody broke glass">
            <p>When one person decides alone in an emergency, it stands here until another one has reviewed it.</p>
          </Notice>
        )}
      </section>
      {chosen ? (
        <UsePage key={chosen.id} use={chosen} onReview={(verdict) => setReviewing({ use: chosen, verdict })} />
      ) : (
        <Notice title={id ? 'No such use of break-glass here' : 'Nothing to review'}>
          <p>{options.length > 0 ? 'J and K move through the list.' : 'There was no emergency.'}</p>
        </Notice>
      )}
      {reviewing ? <Review {...reviewing} onClose={() => setReviewing(undefined)} /> : null}
    </Split>
  )
}

function rowsOf(uses: readonly BreakGlass[]): Row[] {
  const rows: Row[] = []
  const section = (heading: string, of: readonly BreakGlass[]) => {
    if (of.length === 0) return
    const height = rows.length === 0 ? 28 : 36
    rows.push({ key: `heading ${heading}`, height, option: false, heading, count: of.length })
    for (const use of of) rows.push({ key: use.id, height: 57, option: true, use })
  }
  const latest = [...uses].sort((a, b) => (a.at < b.at ? 1 : -1))
  section(
    'To review',
    latest.filter(({ review }) => !review),
  )
  section(
    'Reviewed',
    latest.filter(({ review }) => review),
  )
  return rows
}

const words: Record<Verdict, string> = { justified: 'justified', 'not-justified': 'not justified' }

function VerdictMark({ use }: { use: BreakGlass }) {
  if (!use.review)
    return (
      <span className="font-semibold whitespace-nowrap text-danger">
        <Siren size={12} className="mr-1 inline align-[-1.5px]" aria-hidden />
        to review
      </span>
    )
  const just = use.review.verdict === 'justified'
  const Icon = just ? Check : X
  return (
    <span className={`whitespace-nowrap ${just ? 'text-ok' : 'text-danger'}`}>
      <Icon size={12} strokeWidth={2.4} className="mr-1 inline align-[-1.5px]" aria-hidden />
      {words[use.review.verdict]}
    </span>
  )
}

function UseRow({ use, selected }: { use: BreakGlass; selected: boolean }) {
  return (
    <div
      className={`flex h-full flex-col justify-center gap-0.5 border-l-2 px-4 ${selected ? 'border-accent bg-accent-pale' : 'border-transparent hover:bg-sunken'}`}
    >
      <div className="flex items-baseline gap-3">
        <span className={`min-w-0 flex-1 truncate ${use.review ? 'text-dim' : 'font-semibold'}`}>
          <VisibleText>{use.person.name}</VisibleText> <span className="font-normal text-dim">on</span> {use.connection}
        </span>
        <time dateTime={use.at} className="shrink-0 text-dim tabular-nums">
          {shortWhen(use.at, Date.now())}
        </time>
      </div>
      <div className="flex items-center gap-2 text-fine text-dim">
        <span className="min-w-0 flex-1 truncate">
          <VisibleText>{use.reason}</VisibleText>
        </span>
        <VerdictMark use={use} />
      </div>
    </div>
  )
}

function UsePage({ use, onReview }: { use: BreakGlass; onReview: (verdict: Verdict) => void }) {
  const me = useWorld((world) => world.me)
  const link = useWorld((world) => world.link)
  const agent = useAgents(({ agents }) => agents.get(use.agent))
  const not = mayNotReview(use, me)
  return (
    <article aria-label={`Break-glass by ${use.person.name}`} className="flex min-h-0 min-w-0 flex-1 flex-col">
      <div className="page-body overflow-y-auto px-7 pt-4 pb-4 max-lg:px-4">
        <div className="flex flex-wrap items-baseline gap-x-2.5 gap-y-1">
          <h2 className="min-w-0 text-title font-semibold break-words">
            <VisibleText>{use.person.name}</VisibleText>{' '}
            <span className="text-body font-normal text-dim">decided alone on</span> {use.connection}
          </h2>
          <span className="ml-auto">
            <VerdictMark use={use} />
          </span>
        </div>
        <dl className={factGrid}>
          <Fact name="When">{dateAndClock(use.at, Date.now())}</Fact>
          <Fact name="Says why">
            <Quoted>{use.reason}</Quoted>
          </Fact>
          <Fact name="For">
            <a className={linkLook} href={hashOf({ screen: 'agents', id: use.agent })}>
              <VisibleText>{agent?.name ?? subjectOf(use.agent)}</VisibleText>
            </a>
          </Fact>
          <Fact name="Decided">
            <a className={linkLook} href={hashOf({ screen: 'queue', id: use.approval })}>
              What was approved, and what then happened
            </a>{' '}
            <Key>O</Key>
          </Fact>
          {use.review ? (
            <Fact name="Reviewed">
              <VerdictMark use={use} /> by <VisibleText>{use.review.by.name}</VisibleText>,{' '}
              {dateAndClock(use.review.at, Date.now())}: <Quoted>{use.review.reason}</Quoted>
            </Fact>
          ) : null}
          <Fact name="On record as">
            <code className="text-fine text-dim">{use.id}</code>
          </Fact>
        </dl>
      </div>
      <section aria-label="Review" className="mx-7 border-t border-line py-3.5 max-lg:mx-4">
        <div className="flex min-h-9 flex-wrap items-center gap-2.5">
          {use.review ? (
            <p className="text-dim">It is reviewed; nothing is left to do.</p>
          ) : not ? (
            <p className="text-dim">{not}</p>
          ) : link.state !== 'live' ? (
            <p className="text-dim">
              Nothing can be reviewed offline{'since' in link ? `; no link since ${clock(link.since)}` : ''}.
            </p>
          ) : (
            <>
              <Button onClick={() => onReview('justified')}>
                Justified <Key>Y</Key>
              </Button>
              <Button onClick={() => onReview('not-justified')}>
                Not justified <Key>W</Key>
              </Button>
              <p className="min-w-0 flex-1 text-fine text-dim">
                By a reviewer, an auditor, or somebody of the break-glass groups who didn’t do it.
              </p>
            </>
          )}
        </div>
      </section>
    </article>
  )
}

function Review({ use, verdict, onClose }: { use: BreakGlass; verdict: Verdict; onClose: () => void }) {
  return (
    <Reasoned
      title={`${verdict === 'justified' ? 'It was justified' : 'It was not justified'} to decide alone?`}
      description={`Your review of what ${use.person.name} did on ${use.connection} is kept with the record and can’t be changed.`}
      action={verdict === 'justified' ? 'Justified' : 'Not justified'}
      doing="Sending…"
      placeholder="What you looked at, and why you say so"
      danger={verdict === 'not-justified'}
      onClose={onClose}
      onReason={async (reason) => {
        await core().call('reviewBreakGlass', { id: use.id, verdict, reason })
        say(`Reviewed: ${words[verdict]}`)
      }}
    />
  )
}
