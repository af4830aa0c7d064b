import type { Grant } from '@countersign/contract/access'
import { ArrowDownWideNarrow, Plus, X } from 'lucide-react'
import { useMemo, useRef } from 'react'
import { readAgain, useAccess } from '../../app/access.ts'
import { useKeys } from '../../app/keys.ts'
import { useWorld } from '../../app/store.ts'
import { Button, Notice } from '../../parts/basics.tsx'
import { useNow, useToday } from '../../parts/clock.ts'
import { Listbox, type ListboxHandle, type ListRow, stepFrom } from '../../parts/listbox.tsx'
import { SearchField } from '../../parts/search-field.tsx'
import { Select } from '../../parts/select.tsx'
import { age, dateAndClock } from '../../parts/time.ts'
import { type ArrangedGrants, type GrantFilter, noFilter, type Sort, settled } from './filters.ts'
import { GrantRow, ROW_HEIGHT } from './grant-row.tsx'

type Row = ListRow & ({ grant: Grant } | { heading: string; count: number })

interface Props {
  arranged: ArrangedGrants
  filter: GrantFilter
  sort: Sort
  selected: string | undefined
  mayAsk: boolean
  onFilter(filter: GrantFilter): void
  onSort(sort: Sort): void
  onSelect(id: string): void
  onOpen(): void
  onAsk(): void
}

/** Every grant that this person may see, narrowed as one types. */
export function GrantList(props: Props) {
  const { arranged, filter, sort, selected, onFilter, onSelect } = props
  const grants = useAccess((known) => known.grants)
  const reading = useAccess(({ state, reading }) => reading || state?.loading === true)
  const rows = useMemo(() => rowsOf(arranged), [arranged])
  const options = useMemo(() => rows.filter((row) => row.option), [rows])
  const [agents, connections] = useMemo(() => choices(grants.values()), [grants])
  const today = useToday()
  const field = useRef<HTMLInputElement>(null)
  const list = useRef<ListboxHandle>(null)
  const select = (id: string | undefined) => {
    if (id !== undefined) onSelect(id)
  }
  const change = (part: Partial<GrantFilter>) => onFilter(settled({ ...filter, ...part }))
  const toggleSort = () => props.onSort(sort === 'end' ? 'request' : 'end')
  useKeys({
    j: () => select(stepFrom(options, selected, 1)),
    k: () => select(stepFrom(options, selected, -1)),
    arrowdown: () => select(stepFrom(options, selected, 1)),
    arrowup: () => select(stepFrom(options, selected, -1)),
    s: toggleSort,
    '/': () => field.current?.focus(),
    escape: () => list.current?.focus(),
  })
  const filtered = filter !== noFilter
  return (
    <section aria-label="Access" className="flex min-h-0 flex-col border-r border-line bg-panel">
      <div className="flex min-h-[42px] items-baseline gap-2 px-4 pt-3 pb-1.5">
        <h2 className="text-head font-semibold">Access</h2>
        <span role="status" className="min-w-0 truncate text-dim">
          {countWords(arranged, filtered ? grants.size : undefined)}
          {reading ? ' · reading…' : ''}
        </span>
        <span className="ml-auto flex shrink-0 gap-1 self-center">
          <IconButton
            label={sort === 'end' ? 'Sorted by end; sort by request' : 'Sorted by request; sort by end'}
            onClick={toggleSort}
          >
            <ArrowDownWideNarrow size={14} aria-hidden className={sort === 'request' ? 'text-accent' : ''} />
          </IconButton>
          {props.mayAsk ? (
            <IconButton label="Ask for access" onClick={props.onAsk}>
              <Plus size={15} aria-hidden />
            </IconButton>
          ) : null}
        </span>
      </div>
      <SearchField
        label="Find grants"
        placeholder="Agent, purpose, person, policy"
        value={filter.text}
        field={field}
        onChange={(text) => change({ text })}
        onClear={() => onFilter(noFilter)}
        onList={(found) => {
          if (found) select(options.some((row) => row.key === selected) ? selected : options[0]?.key)
          list.current?.focus()
        }}
      />
      <div className="grid grid-cols-[1fr_1.2fr_1.2fr] gap-1.5 px-3 py-1.5">
        <Select
          label="State"
          value={filter.state}
          onChange={(state) => change({ state: state as GrantFilter['state'] })}
          options={STATES}
        />
        <Select label="Agent" value={filter.agent} onChange={(agent) => change({ agent })} options={agents} />
        <Select
          label="Connection"
          value={filter.connection}
          onChange={(connection) => change({ connection })}
          options={connections}
        />
      </div>
      {filter.at === undefined ? null : (
        <p className="mx-3 mb-1.5 flex items-center gap-2 rounded-box bg-accent-pale px-2.5 py-1 text-fine text-accent">
          <span className="min-w-0 flex-1 truncate font-semibold">live on {dateAndClock(filter.at, today)}</span>
          <IconButton label="Leave that moment" onClick={() => change({ at: undefined })}>
            <X size={13} aria-hidden />
          </IconButton>
        </p>
      )}
      <Freshness />
      {options.length > 0 ? (
        <Listbox
          ref={list}
          label="Grants"
          rows={rows}
          selected={selected}
          onSelect={select}
          onOpen={props.onOpen}
          render={(row, chosen) =>
            'heading' in row ? (
              <div className="flex h-full items-end px-4 pb-1.5 text-tag font-semibold tracking-wide text-dim uppercase">
                {row.heading} <span className="ml-1.5 font-normal">{row.count.toLocaleString('en-US')}</span>
              </div>
            ) : (
              <GrantRow grant={row.grant} selected={chosen} today={today} />
            )
          }
        />
      ) : (
        <Nothing filtered={filtered} reading={reading} mayAsk={props.mayAsk} onAsk={props.onAsk} />
      )}
    </section>
  )
}

const STATES = [
  ['requested', 'asked for'],
  ['active', 'active'],
  ['ended', 'ended'],
  ['expired', 'expired'],
  ['revoked', 'revoked'],
  ['denied', 'denied'],
  ['break-glass', 'break-glass'],
] as const

function rowsOf({ requested, active, ended }: ArrangedGrants): Row[] {
  const rows: Row[] = []
  const section = (heading: string, grants: readonly Grant[]) => {
    if (grants.length === 0) return
    const height = rows.length === 0 ? 28 : 36
    rows.push({ key: `heading ${heading}`, height, option: false, heading, count: grants.length })
    for (const grant of grants) rows.push({ key: grant.id, height: ROW_HEIGHT, option: true, grant })
  }
  section('Asked for', requested)
  section('Active', active)
  section('Ended', ended)
  return rows
}

function choices(grants: Iterable<Grant>): [agents: [string, string][], connections: [string, string][]] {
  const names = new Map<string, string>()
  const places = new Set<string>()
  for (const { agent, identity, connection } of grants) {
    names.set(agent, identity.name)
    places.add(connection)
  }
  return [
    [...names].sort((a, b) => (a[1] < b[1] ? -1 : 1)),
    [...places].sort().map((name): [string, string] => [name, name]),
  ]
}

function countWords({ requested, active, ended }: ArrangedGrants, ofAll: number | undefined): string {
  const figure = (n: number) => n.toLocaleString('en-US')
  const all = requested.length + active.length + ended.length
  if (ofAll !== undefined) return `${figure(all)} of ${figure(ofAll)}`
  return `${figure(active.length)} active${requested.length > 0 ? `, ${figure(requested.length)} asked for` : ''}`
}

function IconButton(props: { label: string; onClick: () => void; children: React.ReactNode }) {
  return (
    <button
      type="button"
      aria-label={props.label}
      title={props.label}
      onClick={props.onClick}
      className="inline-flex size-6 shrink-0 items-center justify-center rounded-tag text-dim hover:bg-sunken hover:text-ink"
    >
      {props.children}
    </button>
  )
}

/** How old what is shown is, where it isn't live; and what is missing. */
function Freshness() {
  const state = useAccess((known) => known.state)
  const problem = useAccess((known) => known.problem)
  const live = useWorld((world) => world.link.state === 'live')
  const now = useNow()
  if (problem || (live && state?.problem))
    return (
      <div role="alert" className="mx-3 mb-1.5 flex gap-2 rounded-box bg-warn-pale px-3 py-1.5 text-fine text-warn">
        <span className="min-w-0 flex-1">
          {state?.whole === false ? 'Not all grants are here: ' : ''}
          {problem || state?.problem}
        </span>
        <button type="button" className="font-semibold underline" onClick={readAgain}>
          Try again
        </button>
      </div>
    )
  if (live || !state) return null
  return (
    <p className="mx-3 mb-1.5 rounded-box bg-sunken px-3 py-1.5 text-fine text-dim">
      {state.at
        ? `As the gateway told it ${age(now - Date.parse(state.at))} ago, ${dateAndClock(state.at, now)}. `
        : 'What this computer has seen of it. '}
      {state.whole ? '' : 'Not all of it was fetched. '}
      Nothing can be asked for, extended or revoked offline.
    </p>
  )
}

function Nothing(props: { filtered: boolean; reading: boolean; mayAsk: boolean; onAsk: () => void }) {
  if (props.reading && !props.filtered) return <Notice title="Reading the access record…" role="status" />
  if (props.filtered)
    return (
      <Notice title="No grant fits">
        <p>Esc in the field clears the filter.</p>
      </Notice>
    )
  return (
    <Notice title="No grants yet">
      <p>Access that agents ask for, and get for a while, appears here.</p>
      {props.mayAsk ? <Button onClick={props.onAsk}>Ask for access</Button> : null}
    </Notice>
  )
}
