import type { Campaign } from '@countersign/contract/review'
import { type ReactNode, useState } from 'react'
import { campaignExports } from '../../../reviews-api.ts'
import { wordsOf } from '../../app/api.ts'
import { startCampaignExport } from '../../app/exporting.ts'
import { decidesItems, decisionsIn, makesCampaigns, usePending } from '../../app/reviews.ts'
import { core, say, useWorld } from '../../app/store.ts'
import { Button, Chip, Notice } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { Reasoned } from '../../parts/reasoned.tsx'
import { dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { Section } from '../agents/parts.tsx'
import { StateMark } from './campaign-list.tsx'
import { Legend, ProgressBar } from './progress.tsx'
import { Signals } from './signals.tsx'
import { dueWords, expiryWords, figure, many, reviewerWords, scopeWords } from './words.ts'

interface Props {
  campaign: Campaign | undefined
  reading: boolean
  onWork: () => void
  onEdit: (campaign: Campaign) => void
}

/** A campaign as a whole: how far it is, who decides what by when, how it was decided, what comes of it. */
export function CampaignPage({ campaign, reading, onWork, onEdit }: Props) {
  const [asking, setAsking] = useState<'close' | 'sign-off' | 'remove' | undefined>(undefined)
  if (!campaign)
    return reading ? (
      <Notice title="Fetching the campaign…" role="status" />
    ) : (
      <Notice title="No such campaign, or not yours to see" role="status">
        <p>Reviewers, auditors and admins see campaigns.</p>
      </Notice>
    )
  const { state, counts } = campaign
  return (
    <article
      aria-label={`Campaign ${campaign.title}`}
      className="@container flex min-h-0 min-w-0 flex-1 flex-col outline-none"
    >
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keys */}
      <div tabIndex={0} className="min-h-0 flex-1 overflow-y-auto px-7 pt-4 pb-4 outline-offset-[-2px] max-lg:px-4">
        <header className="flex flex-wrap items-baseline gap-x-3 gap-y-1">
          <h2 className="min-w-0 text-title font-semibold break-words">
            <VisibleText>{campaign.title}</VisibleText>
          </h2>
          <Due campaign={campaign} />
          <span className="ml-auto">
            <StateMark campaign={campaign} />
          </span>
        </header>
        {campaign.description ? (
          <p className="mt-1 max-w-[70ch] text-dim">
            <VisibleText>{campaign.description}</VisibleText>
          </p>
        ) : null}
        {campaign.problem ? (
          <p role="alert" className="mt-2.5 rounded-box bg-danger-pale px-3 py-2 text-danger">
            <b className="font-semibold">It could not be started:</b> <VisibleText>{campaign.problem}</VisibleText>
          </p>
        ) : null}
        {campaign.starting ? <Starting starting={campaign.starting} /> : null}
        {state === 'draft' ? null : (
          <div className="mt-3.5 flex flex-col gap-2">
            <p className="text-head">
              <b className="font-semibold">{figure(counts.items - counts.undecided)}</b>{' '}
              <span className="text-dim">of {many(counts.items, 'item')} decided</span>
            </p>
            <ProgressBar counts={counts} high />
            <Legend counts={counts} />
          </div>
        )}
        {state === 'draft' ? null : <Signals campaign={campaign} />}
        {state === 'draft' ? null : <Applications campaign={campaign} />}
        <Facts campaign={campaign} />
        {state === 'draft' ? null : <SignOffs campaign={campaign} />}
        {state === 'draft' ? null : <Exports campaign={campaign} />}
      </div>
      <Bar campaign={campaign} onWork={onWork} onEdit={() => onEdit(campaign)} onAsk={setAsking} />
      {asking === 'close' ? (
        <Reasoned
          title="Close this campaign?"
          description={
            counts.undecided === 0
              ? 'Everything is decided. Nothing can be decided in it afterwards.'
              : `${many(counts.undecided, 'item')} undecided: what nobody decided ${expiryWords[campaign.onExpiry]}.`
          }
          action="Close"
          doing="Closing…"
          placeholder="Kept with the campaign"
          danger={counts.undecided > 0}
          onClose={() => setAsking(undefined)}
          onReason={async (reason) => {
            await core().call('closeCampaign', { id: campaign.id, reason })
            say('Campaign closed')
          }}
        />
      ) : null}
      {asking === 'sign-off' ? (
        <Reasoned
          title="Sign off this campaign"
          description="You state, under your name and in the log, how it was done. It can’t be taken back."
          action="Sign off"
          doing="Signing off…"
          placeholder="For example: every item was looked at; the two open ones are tracked"
          onClose={() => setAsking(undefined)}
          onReason={async (statement) => {
            await core().call('signOffCampaign', { id: campaign.id, statement })
            say('Signed off')
          }}
        />
      ) : null}
      {asking === 'remove' ? (
        <Reasoned
          title="Delete this draft?"
          description="Nothing of it is kept but that it was there."
          action="Delete"
          doing="Deleting…"
          placeholder="For yourself: why"
          danger
          onClose={() => setAsking(undefined)}
          onReason={async () => {
            await core().call('removeCampaign', { id: campaign.id })
            say('Draft deleted')
          }}
        />
      ) : null}
    </article>
  )
}

function Due({ campaign }: { campaign: Campaign }) {
  const now = useNow()
  if (campaign.state === 'closed')
    return (
      <span className="text-dim">
        closed {campaign.closedAt ? dateAndClock(campaign.closedAt, now) : ''}
        {campaign.closedBy ? (
          <>
            {' by '}
            <VisibleText>{campaign.closedBy.name}</VisibleText>
          </>
        ) : (
          ', as it was due'
        )}
      </span>
    )
  return (
    <span className="text-dim">
      {campaign.dueAt ? dueWords(campaign.dueAt, now) : `${many(campaign.days, 'day')} from its start`}
    </span>
  )
}

function Starting({ starting }: { starting: NonNullable<Campaign['starting']> }) {
  const part = starting.of > 0 ? starting.done / starting.of : undefined
  return (
    <div role="status" className="mt-3 rounded-box border border-line bg-panel px-4 py-3">
      <p>
        <b className="font-semibold">Taking its snapshot</b>{' '}
        <span className="text-dim">
          <VisibleText>{starting.doing}</VisibleText>
          {starting.of > 0 ? `, ${figure(starting.done)} of ${figure(starting.of)}` : ''}
        </span>
      </p>
      <div
        role="progressbar"
        aria-label="Snapshot"
        aria-valuemin={0}
        aria-valuemax={100}
        {...(part === undefined ? {} : { 'aria-valuenow': Math.round(part * 100) })}
        className="mt-2 h-1.5 overflow-hidden rounded-full bg-sunken"
      >
        <div
          className={`h-full rounded-full bg-accent ${part === undefined ? 'w-1/4 motion-safe:animate-breathe' : ''}`}
          style={part === undefined ? undefined : { width: `${part * 100}%` }}
        />
      </div>
    </div>
  )
}

/** What became of reduces and revokes: facts apart from the decisions. */
function Applications({ campaign }: { campaign: Campaign }) {
  const { applications } = campaign.counts
  const admin = useWorld((world) => world.me?.kind === 'person' && world.me.roles.includes('admin'))
  const all = Object.values(applications).reduce((sum, n) => sum + n, 0)
  if (all === 0) return null
  const parts = [
    ['pending', 'to be seen by a second pair of eyes', 'warn'],
    ['verified', 'applied and verified', 'ok'],
    ['applied', 'applied, not verified yet', 'plain'],
    ['failed', 'failed, rejected or rolled back', 'danger'],
    ['not-supported', 'to be done by hand', 'plain'],
  ] as const
  return (
    <Section title="What came of it" more="reduces and revokes at the gateway">
      <p className="flex flex-wrap items-center gap-x-4 gap-y-1.5">
        {parts.map(([key, words, tone]) =>
          applications[key] > 0 ? (
            <span key={key}>
              <Chip tone={tone}>{figure(applications[key])}</Chip> <span className="text-dim">{words}</span>
            </span>
          ) : null,
        )}
        {applications.pending + applications.failed > 0 ? (
          <a href="#/policy/overlays" className="font-semibold text-accent hover:underline">
            {admin ? 'Apply or reject them in Policy' : 'See them in Policy'}
          </a>
        ) : null}
      </p>
    </Section>
  )
}

function Facts({ campaign }: { campaign: Campaign }) {
  const now = Date.now()
  const { window, coverage, trigger } = campaign
  const began =
    trigger.kind === 'person'
      ? campaign.createdBy?.name
      : trigger.kind === 'cadence'
        ? 'its template, by the calendar'
        : `its template: ${trigger.kind.replaceAll('-', ' ')}${trigger.about ? ` (${trigger.about})` : ''}`
  const rows: [string, ReactNode][] = [
    ['Scope', <VisibleText key="scope">{scopeWords(campaign.scope)}</VisibleText>],
    [
      'Looks back',
      `${many(window.days, 'day')}${window.from && window.to ? `, ${dateAndClock(window.from, now)} to ${dateAndClock(window.to, now)}` : ''}`,
    ],
    ...campaign.stages.map((stage, i): [string, ReactNode] => [
      campaign.stages.length === 1 ? 'Reviewers' : `Stage ${i + 1}`,
      <VisibleText key={stage.title}>
        {`${campaign.stages.length === 1 ? '' : `${stage.title}: `}${stage.reviewers.map(reviewerWords).join(', else ')}`}
      </VisibleText>,
    ]),
    ['When it is due', `what nobody decided ${expiryWords[campaign.onExpiry]}`],
    ...(campaign.controls.length > 0 ? [['Controls', campaign.controls.join(', ')] as [string, ReactNode]] : []),
    ['Begun by', <VisibleText key="by">{began ?? 'somebody'}</VisibleText>],
    ...(campaign.snapshotAt
      ? [
          [
            'Snapshot',
            `${dateAndClock(campaign.snapshotAt, now)}${campaign.policy ? `, policy ${campaign.policy.slice(0, 19)}` : ''}`,
          ] as [string, ReactNode],
        ]
      : []),
    ...(coverage
      ? [
          [
            'Coverage',
            <span key="coverage">
              {many(coverage.commands, 'command')} read
              {coverage.unreadable > 0 ? `, ${figure(coverage.unreadable)} erased or unreadable` : ''}
              {coverage.since ? `, since ${dateAndClock(coverage.since, now)}` : ''}
              {coverage.notes.map((note) => (
                <span key={note} className="block text-fine text-dim">
                  <VisibleText>{note}</VisibleText>
                </span>
              ))}
            </span>,
          ] as [string, ReactNode],
        ]
      : []),
    ...(campaign.closedBecause
      ? [['Closed', <VisibleText key="closed">{campaign.closedBecause}</VisibleText>] as [string, ReactNode]]
      : []),
  ]
  return (
    <Section title="What it is">
      <dl className="grid grid-cols-[max-content_1fr] gap-x-5 gap-y-1">
        {rows.map(([name, value]) => (
          <div key={name} className="contents">
            <dt className="text-dim">{name}</dt>
            <dd className="min-w-0 break-words">{value}</dd>
          </div>
        ))}
      </dl>
    </Section>
  )
}

function SignOffs({ campaign }: { campaign: Campaign }) {
  if (campaign.signedOffBy.length === 0) return null
  return (
    <Section title="Signed off">
      <ul className="flex flex-col gap-1">
        {campaign.signedOffBy.map((each) => (
          <li key={each.person.id}>
            <b className="font-semibold">
              <VisibleText>{each.person.name}</VisibleText>
            </b>{' '}
            <span className="text-dim">{dateAndClock(each.at, Date.now())}</span> “
            <VisibleText>{each.statement}</VisibleText>”
          </li>
        ))}
      </ul>
    </Section>
  )
}

function Exports({ campaign }: { campaign: Campaign }) {
  const live = useWorld((world) => world.link.state === 'live')
  const pdf = useWorld((world) => world.capabilities.pdf)
  const [recordings, setRecordings] = useState(false)
  return (
    <Section title="Take it out" more={live ? undefined : 'not offline'}>
      <div className="flex flex-wrap items-center gap-2">
        {campaignExports
          .filter(({ id }) => pdf || id !== 'pdf')
          .map(({ id, name, says }) => (
            <Button
              key={id}
              className="h-8!"
              title={says}
              disabled={!live}
              onClick={() => void startCampaignExport(campaign, id, recordings)}
            >
              {name}
            </Button>
          ))}
      </div>
      <label className="mt-2 flex items-center gap-2 text-dim">
        <input type="checkbox" checked={recordings} onChange={(event) => setRecordings(event.target.checked)} />
        The pack with the recordings of the commands that it cites
      </label>
    </Section>
  )
}

function Bar(props: {
  campaign: Campaign
  onWork: () => void
  onEdit: () => void
  onAsk: (what: 'close' | 'sign-off' | 'remove') => void
}) {
  const { campaign, onAsk } = props
  const me = useWorld((world) => world.me)
  const live = useWorld((world) => world.link.state === 'live')
  const pending = usePending(campaign.id)
  const [problem, setProblem] = useState('')
  const mine = Math.max(0, campaign.counts.mine - decisionsIn(pending).size)
  const makes = makesCampaigns(me)
  const owns = campaign.createdBy?.id === me?.id || campaign.startedBy?.id === me?.id
  const signed = campaign.signedOffBy.some(({ person }) => person.id === me?.id)
  const start = async () => {
    setProblem('')
    try {
      await core().call('startCampaign', { id: campaign.id })
      say('Campaign starting')
    } catch (error) {
      setProblem(wordsOf(error))
    }
  }
  return (
    <section aria-label="What to do about this campaign" className="mx-7 border-t border-line py-3.5 max-lg:mx-4">
      {problem ? (
        <p role="alert" className="mb-2.5 rounded-box bg-danger-pale px-3 py-2 text-danger">
          {problem}
        </p>
      ) : null}
      <div className="flex min-h-9 flex-wrap items-center gap-2.5">
        {campaign.state === 'draft' ? (
          makes && live ? (
            <>
              <Button tone="accent" disabled={campaign.starting !== undefined} onClick={() => void start()}>
                Start it
              </Button>
              <Button disabled={campaign.starting !== undefined} onClick={props.onEdit}>
                Edit
              </Button>
              <Button tone="danger" disabled={campaign.starting !== undefined} onClick={() => onAsk('remove')}>
                Delete
              </Button>
            </>
          ) : (
            <p className="text-dim">
              {live ? 'Reviewers and admins start campaigns.' : 'Campaigns can’t be started offline.'}
            </p>
          )
        ) : (
          <>
            <Button tone={mine > 0 ? 'accent' : 'plain'} onClick={props.onWork}>
              {mine > 0 && campaign.state === 'active'
                ? `Work through your ${many(mine, 'item')}`
                : 'Look at its items'}
            </Button>
            {live && !signed && (decidesItems(me) || owns) ? (
              <Button onClick={() => onAsk('sign-off')}>Sign off…</Button>
            ) : null}
            {live && makes && campaign.state === 'active' ? (
              <Button tone={campaign.counts.undecided > 0 ? 'danger' : 'plain'} onClick={() => onAsk('close')}>
                Close…
              </Button>
            ) : null}
            {live ? null : <p className="text-dim">Offline: what you decide is kept here and sent later.</p>}
          </>
        )}
      </div>
    </section>
  )
}
