import type { Campaign } from '@countersign/contract/review'
import { CircleCheck, CircleDashed, CirclePlay, Plus } from 'lucide-react'
import { useMemo } from 'react'
import { useKeys } from '../../app/keys.ts'
import { decisionsIn, makesCampaigns, readCampaigns, useReviews } from '../../app/reviews.ts'
import { hashOf } from '../../app/route.ts'
import { useWorld } from '../../app/store.ts'
import { Button, Notice } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { Listbox, type ListRow, stepFrom } from '../../parts/listbox.tsx'
import { age, dateAndClock, shortWhen } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { ProgressBar } from './progress.tsx'
import { dueWords, figure, many } from './words.ts'

const HEIGHT = 74
type Row = ListRow & ({ campaign: Campaign } | { heading: string; count: number })

/** Where the Reviews screen can be: campaigns, and templates of them. */
export function Parts({ here }: { here: 'campaigns' | 'templates' }) {
  const look = (at: typeof here) =>
    `-mb-px border-b-2 px-1.5 pb-1.5 text-fine ${at === here ? 'border-accent font-semibold text-ink' : 'border-transparent text-dim hover:text-ink'}`
  return (
    <nav aria-label="Parts of Reviews" className="flex gap-1 border-b border-line px-3 pt-2">
      <a
        href={hashOf({ screen: 'reviews' })}
        aria-current={here === 'campaigns' ? 'page' : undefined}
        className={look('campaigns')}
      >
        Campaigns
      </a>
      <a
        href={hashOf({ screen: 'reviews', part: 'templates' })}
        aria-current={here === 'templates' ? 'page' : undefined}
        className={look('templates')}
      >
        Templates
      </a>
    </nav>
  )
}

/** Campaigns: those that go on with what of them is mine, drafts, those that are over. */
export function CampaignList(props: {
  selected: string | undefined
  onSelect: (id: string) => void
  onOpen: (id: string) => void
  onMake: () => void
}) {
  const { selected, onSelect } = props
  const campaigns = useReviews((known) => known.campaigns)
  const state = useReviews((known) => known.state)
  const problem = useReviews((known) => known.problem)
  const may = useWorld((world) => makesCampaigns(world.me) && world.link.state === 'live')
  const live = useWorld((world) => world.link.state === 'live')
  const rows = useMemo(() => rowsOf([...campaigns.values()]), [campaigns])
  const options = useMemo(() => rows.filter((row) => row.option), [rows])
  const now = useNow()
  const select = (id: string | undefined) => {
    if (id !== undefined) onSelect(id)
  }
  useKeys({
    j: () => select(stepFrom(options, selected, 1)),
    k: () => select(stepFrom(options, selected, -1)),
    arrowdown: () => select(stepFrom(options, selected, 1)),
    arrowup: () => select(stepFrom(options, selected, -1)),
    enter: () => (selected === undefined ? false : props.onOpen(selected)),
    a: () => (may ? props.onMake() : false),
  })
  return (
    <section aria-label="Campaigns" className="flex min-h-0 flex-col border-r border-line bg-panel">
      <Parts here="campaigns" />
      <div className="flex min-h-[42px] items-baseline gap-2 px-4 pt-3 pb-1.5">
        <h2 className="text-head font-semibold">Campaigns</h2>
        <span role="status" className="min-w-0 truncate text-dim">
          {figure(options.length)}
          {state?.loading ? ' · reading…' : ''}
        </span>
        {may ? (
          <button
            type="button"
            aria-label="Make a campaign"
            title="Make a campaign (A)"
            onClick={props.onMake}
            className="ml-auto inline-flex size-6 shrink-0 items-center justify-center self-center rounded-tag text-dim hover:bg-sunken hover:text-ink"
          >
            <Plus size={15} aria-hidden />
          </button>
        ) : null}
      </div>
      {problem || (live && state?.problem) ? (
        <div role="alert" className="mx-3 mb-1.5 flex gap-2 rounded-box bg-warn-pale px-3 py-1.5 text-fine text-warn">
          <span className="min-w-0 flex-1">{problem || state?.problem}</span>
          <button type="button" className="font-semibold underline" onClick={readCampaigns}>
            Try again
          </button>
        </div>
      ) : !live && state ? (
        <p className="mx-3 mb-1.5 rounded-box bg-sunken px-3 py-1.5 text-fine text-dim">
          {state.at
            ? `As the gateway told it ${age(now - Date.parse(state.at))} ago, ${dateAndClock(state.at, now)}. `
            : 'Nothing was fetched yet. '}
          Items of yours can be decided all the same.
        </p>
      ) : null}
      {options.length > 0 ? (
        <Listbox
          label="Campaigns"
          rows={rows}
          selected={selected}
          onSelect={select}
          onOpen={props.onOpen}
          render={(row, here) =>
            'heading' in row ? (
              <div className="flex h-full items-end px-4 pb-1.5 text-tag font-semibold tracking-wide text-dim uppercase">
                {row.heading} <span className="ml-1.5 font-normal">{figure(row.count)}</span>
              </div>
            ) : (
              <CampaignRow campaign={row.campaign} selected={here} now={now} />
            )
          }
        />
      ) : state === undefined || state.loading ? (
        <Notice title="Reading the campaigns…" role="status" />
      ) : (
        <Notice title="No campaigns yet">
          <p>A campaign asks, agent by agent, whether what it may is still right, and shows what it did.</p>
          {may ? <Button onClick={props.onMake}>Make a campaign</Button> : null}
        </Notice>
      )}
    </section>
  )
}

function CampaignRow({ campaign, selected, now }: { campaign: Campaign; selected: boolean; now: number }) {
  const { counts, state, starting } = campaign
  const pending = useReviews((known) => known.pending.get(campaign.id))
  const mine = Math.max(0, counts.mine - (pending ? decisionsIn(pending).size : 0))
  const late = state === 'active' && campaign.dueAt !== undefined && Date.parse(campaign.dueAt) < now + 2 * 86_400_000
  return (
    <div
      className={`flex h-full flex-col justify-center gap-1 border-l-2 px-4 ${selected ? 'border-accent bg-accent-pale' : 'border-transparent hover:bg-sunken'}`}
    >
      <div className="flex items-baseline gap-3">
        <span className={`min-w-0 flex-1 truncate font-semibold ${state === 'closed' ? 'text-dim' : ''}`}>
          <VisibleText>{campaign.title}</VisibleText>
        </span>
        {mine > 0 ? (
          <span className="shrink-0 rounded-full bg-accent-pale px-1.5 text-tag leading-[18px] font-semibold text-accent">
            {figure(mine)} yours
          </span>
        ) : null}
      </div>
      <div className="flex items-baseline gap-3 text-fine text-dim">
        <span className="min-w-0 flex-1 truncate">
          {starting
            ? `starting: ${starting.doing}`
            : state === 'draft'
              ? 'draft'
              : `${figure(counts.items - counts.undecided)} of ${figure(counts.items)} decided`}
        </span>
        <span className={`shrink-0 ${late ? 'font-semibold text-danger' : ''}`}>
          {state === 'closed'
            ? campaign.closedAt
              ? `closed ${shortWhen(campaign.closedAt, now)}`
              : 'closed'
            : dueWords(campaign.dueAt, now)}
        </span>
      </div>
      {state === 'draft' ? null : <ProgressBar counts={counts} />}
    </div>
  )
}

const order = { active: 0, draft: 1, closed: 2 }
function rowsOf(campaigns: Campaign[]): Row[] {
  const rows: Row[] = []
  const sorted = campaigns.sort(
    (a, b) =>
      order[a.state] - order[b.state] ||
      (a.state === 'active'
        ? (a.dueAt ?? '').localeCompare(b.dueAt ?? '')
        : (b.closedAt ?? b.createdAt).localeCompare(a.closedAt ?? a.createdAt)) ||
      a.id.localeCompare(b.id),
  )
  for (const [state, heading] of [
    ['active', 'Going on'],
    ['draft', 'Drafts'],
    ['closed', 'Closed'],
  ] as const) {
    const of = sorted.filter((campaign) => campaign.state === state)
    if (of.length === 0) continue
    rows.push({
      ...{ key: `heading ${heading}`, height: rows.length === 0 ? 28 : 36, option: false },
      ...{ heading, count: of.length },
    })
    for (const campaign of of) rows.push({ key: campaign.id, height: HEIGHT, option: true, campaign })
  }
  return rows
}

/** How a campaign stands: a picture and a word. */
export function StateMark({ campaign }: { campaign: Campaign }) {
  const [Icon, ink, word] =
    campaign.state === 'active'
      ? ([CirclePlay, 'text-accent', 'going on'] as const)
      : campaign.state === 'draft'
        ? ([CircleDashed, 'text-dim', campaign.starting ? 'starting' : 'draft'] as const)
        : ([CircleCheck, 'text-ok', 'closed'] as const)
  return (
    <span className={`whitespace-nowrap ${ink}`}>
      <Icon size={13} className="mr-1 inline align-[-2px]" aria-hidden />
      {word}
    </span>
  )
}

export const waitingWords = (mine: number) =>
  mine === 0 ? 'Nothing waits for you in it.' : `${many(mine, 'item')} for you.`
