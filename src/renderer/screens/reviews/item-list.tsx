import type { Campaign, CampaignItem } from '@countersign/contract/review'
import { ArrowLeft } from 'lucide-react'
import { useMemo, useRef } from 'react'
import type { ItemsState, PendingReview } from '../../../reviews-api.ts'
import { useKeys } from '../../app/keys.ts'
import { readCampaignItems } from '../../app/reviews.ts'
import { hashOf } from '../../app/route.ts'
import { useWorld } from '../../app/store.ts'
import { Notice } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { Listbox, type ListboxHandle, type ListRow, stepFrom } from '../../parts/listbox.tsx'
import { SearchField } from '../../parts/search-field.tsx'
import { Select } from '../../parts/select.tsx'
import { age, dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { linkLook } from '../access/grant-facts.tsx'
import { type ArrangedItems, type ItemFilter, noFilter, settled } from './filters.ts'
import { ItemRow, ROW_HEIGHT } from './item-row.tsx'
import { ProgressBar } from './progress.tsx'
import { dueWords, figure, many } from './words.ts'

type Row = ListRow & ({ item: CampaignItem } | { heading: string; count: number })

interface Props {
  campaign: Campaign | undefined
  arranged: ArrangedItems
  all: number
  state: ItemsState | undefined
  reading: boolean
  problem: string
  pending: ReadonlyMap<string, PendingReview>
  filter: ItemFilter
  selected: string | undefined
  chosen: ReadonlySet<string>
  onFilter(filter: ItemFilter): void
  onSelect(id: string): void
  onChoose(id: string): void
  /** All of these that may be decided together. */
  onChooseAll(ids: readonly string[]): void
  onClear(): void
  onTogether(): void
}

const WHICH = [
  ['mine', 'yours, undecided'],
  ['undecided', 'undecided'],
  ['refused', 'refused: choose'],
  ['certify', 'certified'],
  ['reduce', 'reduced'],
  ['revoke', 'revoked'],
  ['abstain', 'abstained'],
] as const
const RECOMMENDED = [
  ['certify', 'keep'],
  ['reduce', 'reduce'],
  ['revoke', 'revoke'],
  ['abstain', 'look closer'],
] as const
const MORE = [
  ['privileged', 'privileged'],
  ['orphan', 'nobody answers'],
  ['pending', 'to be applied'],
  ['applied', 'applied'],
  ['verified', 'verified'],
  ['failed', 'failed'],
  ['not-supported', 'by hand'],
] as const

/** Items of a campaign, those that wait for this person on top; tens of thousands stay quick. */
export function ItemList(props: Props) {
  const { campaign, arranged, filter, selected, chosen, pending, onFilter, onSelect } = props
  const rows = useMemo(() => rowsOf(arranged), [arranged])
  const options = useMemo(() => rows.filter((row) => row.option), [rows])
  /** What was chosen and is filtered out since: decided with the others, so it is said. */
  const hidden = useMemo(
    () => (chosen.size === 0 ? 0 : chosen.size - options.filter(({ key }) => chosen.has(key)).length),
    [options, chosen],
  )
  const live = useWorld((world) => world.link.state === 'live')
  const field = useRef<HTMLInputElement>(null)
  const list = useRef<ListboxHandle>(null)
  const select = (id: string | undefined) => {
    if (id !== undefined) onSelect(id)
  }
  const change = (part: Partial<ItemFilter>) => onFilter(settled({ ...filter, ...part }))
  const chooseAll = () => props.onChooseAll(options.map((row) => row.key))
  const decideTogether = () => (chosen.size > 0 ? props.onTogether() : false)
  useKeys({
    j: () => select(stepFrom(options, selected, 1)),
    k: () => select(stepFrom(options, selected, -1)),
    arrowdown: () => select(stepFrom(options, selected, 1)),
    arrowup: () => select(stepFrom(options, selected, -1)),
    x: () => (selected === undefined ? false : props.onChoose(selected)),
    A: chooseAll,
    X: decideTogether,
    '/': () => field.current?.focus(),
  })
  const now = useNow()
  const filtered = filter !== noFilter
  const counts = campaign?.counts
  return (
    <section aria-label="Items" className="flex min-h-0 flex-col border-r border-line bg-panel">
      <div className="px-4 pt-3 pb-2">
        <p className="flex items-baseline gap-2">
          <a
            href={hashOf({ screen: 'reviews' })}
            aria-label="All campaigns"
            title="All campaigns"
            className="-ml-1 inline-flex size-5 shrink-0 items-center justify-center self-center rounded-tag text-dim hover:bg-sunken hover:text-ink"
          >
            <ArrowLeft size={14} aria-hidden />
          </a>
          <a
            href={hashOf({ screen: 'reviews', ...(campaign && { id: campaign.id }) })}
            className="min-w-0 truncate text-head font-semibold hover:underline"
          >
            <VisibleText>{campaign?.title ?? 'Campaign'}</VisibleText>
          </a>
        </p>
        <p role="status" className="mt-0.5 truncate text-dim">
          {campaign?.state === 'draft' ? 'draft' : ''}
          {counts && campaign.state !== 'draft'
            ? `${figure(counts.items - counts.undecided)} of ${figure(counts.items)}${campaign.state === 'closed' ? ', closed' : campaign.dueAt ? `, ${dueWords(campaign.dueAt, now)}` : ''}`
            : ''}
          {filtered ? ` · ${figure(options.length)} shown` : ''}
          {props.reading ? ' · reading…' : ''}
        </p>
        {counts && campaign.state !== 'draft' ? (
          <div className="mt-2">
            <ProgressBar counts={counts} />
          </div>
        ) : null}
      </div>
      <SearchField
        label="Find items"
        placeholder="Agent, connection, sponsor, group"
        value={filter.text}
        field={field}
        onChange={(text) => change({ text })}
        onClear={() => onFilter(noFilter)}
        onList={(found) => {
          if (found) select(options.some((row) => row.key === selected) ? selected : options[0]?.key)
          list.current?.focus()
        }}
      />
      <div className="grid grid-cols-[5fr_7fr_5fr] gap-1.5 px-3 py-1.5">
        <Select
          label="Which"
          value={filter.which}
          onChange={(which) => change({ which: which as ItemFilter['which'] })}
          options={WHICH}
        />
        <Select
          label="Recommended"
          value={filter.recommended}
          onChange={(recommended) => change({ recommended: recommended as ItemFilter['recommended'] })}
          options={RECOMMENDED}
        />
        <Select
          label="More"
          value={filter.more}
          onChange={(more) => change({ more: more as ItemFilter['more'] })}
          options={MORE}
        />
      </div>
      <Freshness {...props} />
      {chosen.size > 0 ? (
        <div
          role="status"
          className="mx-3 mb-1.5 flex items-center gap-3 rounded-box bg-accent-pale px-3 py-1.5 text-fine"
        >
          <span className="min-w-0 flex-1">
            {many(chosen.size, 'item')} chosen
            {hidden > 0 ? <b className="font-semibold text-warn">{`, ${figure(hidden)} not shown`}</b> : null}
          </span>
          <button type="button" className="font-semibold text-accent" onClick={props.onTogether}>
            Decide together…
          </button>
          <button type="button" className="text-dim hover:text-ink" onClick={props.onClear}>
            Clear
          </button>
        </div>
      ) : null}
      {options.length > 0 ? (
        <Listbox
          ref={list}
          label="Items"
          rows={rows}
          selected={selected}
          onSelect={select}
          render={(row, here) =>
            'heading' in row ? (
              <div className="flex h-full items-end px-4 pb-1.5 text-tag font-semibold tracking-wide text-dim uppercase">
                {row.heading} <span className="ml-1.5 font-normal">{figure(row.count)}</span>
              </div>
            ) : (
              <ItemRow
                item={row.item}
                pending={pending.get(row.item.id)}
                selected={here}
                chosen={chosen.has(row.item.id)}
                live={live}
              />
            )
          }
        />
      ) : (
        <Nothing {...props} filtered={filtered} />
      )}
    </section>
  )
}

function rowsOf({ conflicts, mine, others, decidedByMe, decided }: ArrangedItems): Row[] {
  const rows: Row[] = []
  const section = (heading: string, items: readonly CampaignItem[]) => {
    if (items.length === 0) return
    const height = rows.length === 0 ? 28 : 36
    rows.push({ key: `heading ${heading}`, height, option: false, heading, count: items.length })
    for (const item of items) rows.push({ key: item.id, height: ROW_HEIGHT, option: true, item })
  }
  section('Refused: choose', conflicts)
  section('Yours to decide', mine)
  section('Others decide', others)
  section('Decided by you', decidedByMe)
  section('Decided', decided)
  return rows
}

/** How old what is shown is, how much of the evidence is here, and what is missing. */
function Freshness({ campaign, state, problem }: Props) {
  const live = useWorld((world) => world.link.state === 'live')
  const now = useNow()
  if (problem || (live && state?.problem))
    return (
      <div role="alert" className="mx-3 mb-1.5 flex gap-2 rounded-box bg-warn-pale px-3 py-1.5 text-fine text-warn">
        <span className="min-w-0 flex-1">{problem || state?.problem}</span>
        <button
          type="button"
          className="font-semibold underline"
          onClick={() => campaign && readCampaignItems(campaign.id)}
        >
          Try again
        </button>
      </div>
    )
  if (!state) return null
  const { kept, of } = state.evidence
  if (live)
    return kept < of ? (
      <p className="mx-4 mb-1 text-fine text-dim">
        Evidence of {figure(kept)} of your {many(of, 'item')} is here, to be decided offline.
      </p>
    ) : null
  return (
    <p className="mx-3 mb-1.5 rounded-box bg-sunken px-3 py-1.5 text-fine text-dim">
      {state.at
        ? `As the gateway told it ${age(now - Date.parse(state.at))} ago, ${dateAndClock(state.at, now)}. `
        : 'Nothing was fetched yet. '}
      {state.whole ? '' : 'Not all items were fetched. '}
      {of > 0 ? `${figure(kept)} of your ${many(of, 'item')} can be decided offline.` : ''}
    </p>
  )
}

function Nothing({ filtered, reading, state, onFilter, campaign }: Props & { filtered: boolean }) {
  if ((reading || state?.loading) && !filtered) return <Notice title="Reading the items…" role="status" />
  if (filtered)
    return (
      <Notice title="No item fits">
        <button type="button" className={linkLook} onClick={() => onFilter(noFilter)}>
          Clear the filter
        </button>
      </Notice>
    )
  return (
    <Notice title={campaign?.state === 'draft' ? 'Not started' : 'No items'}>
      <p>
        {campaign?.state === 'draft'
          ? 'Its items are made when it is started.'
          : 'Nobody holds anything that this campaign looks at.'}
      </p>
    </Notice>
  )
}
