import type { AgentRecord } from '@countersign/contract/access'
import { Plus } from 'lucide-react'
import { useMemo, useRef } from 'react'
import { readAgents, useAgents } from '../../app/agents.ts'
import { hostOf } from '../../app/header.tsx'
import { useKeys } from '../../app/keys.ts'
import { useWorld } from '../../app/store.ts'
import { Button, Notice } from '../../parts/basics.tsx'
import { useNow, useToday } from '../../parts/clock.ts'
import { Listbox, type ListboxHandle, type ListRow, stepFrom } from '../../parts/listbox.tsx'
import { SearchField } from '../../parts/search-field.tsx'
import { Select } from '../../parts/select.tsx'
import { age, dateAndClock } from '../../parts/time.ts'
import { AgentRow, ROW_HEIGHT } from './agent-row.tsx'
import { type AgentFilter, type ArrangedAgents, noFilter, settled } from './filters.ts'
import { Parts } from './parts.tsx'

type Row = ListRow & ({ agent: AgentRecord } | { heading: string; count: number })

interface Props {
  arranged: ArrangedAgents
  filter: AgentFilter
  selected: string | undefined
  mayDeclare: boolean
  onFilter(filter: AgentFilter): void
  onSelect(id: string): void
  onDeclare(): void
}

/** Every agent of the registry, narrowed as one types; those for whom nobody answers on top. */
export function AgentList(props: Props) {
  const { arranged, filter, selected, onFilter, onSelect } = props
  const agents = useAgents((known) => known.agents)
  const reading = useAgents(({ state, reading }) => reading || state?.loading === true)
  const rows = useMemo(() => rowsOf(arranged), [arranged])
  const options = useMemo(() => rows.filter((row) => row.option), [rows])
  const [issuers, connections] = useMemo(() => choices(agents.values()), [agents])
  const today = useToday()
  const field = useRef<HTMLInputElement>(null)
  const list = useRef<ListboxHandle>(null)
  const select = (id: string | undefined) => {
    if (id !== undefined) onSelect(id)
  }
  const change = (part: Partial<AgentFilter>) => onFilter(settled({ ...filter, ...part }))
  useKeys({
    j: () => select(stepFrom(options, selected, 1)),
    k: () => select(stepFrom(options, selected, -1)),
    arrowdown: () => select(stepFrom(options, selected, 1)),
    arrowup: () => select(stepFrom(options, selected, -1)),
    '/': () => field.current?.focus(),
    escape: () => list.current?.focus(),
  })
  const filtered = filter !== noFilter
  return (
    <section aria-label="Agents" className="flex min-h-0 flex-col border-r border-line bg-panel">
      <Parts here="agents" />
      <div className="flex min-h-[42px] items-baseline gap-2 px-4 pt-3 pb-1.5">
        <h2 className="text-head font-semibold">Agents</h2>
        <span role="status" className="min-w-0 truncate text-dim">
          {countWords(arranged, filtered ? agents.size : undefined)}
          {reading ? ' · reading…' : ''}
        </span>
        {props.mayDeclare ? (
          <button
            type="button"
            aria-label="Declare an agent"
            title="Declare an agent"
            onClick={props.onDeclare}
            className="ml-auto inline-flex size-6 shrink-0 items-center justify-center self-center rounded-tag text-dim hover:bg-sunken hover:text-ink"
          >
            <Plus size={15} aria-hidden />
          </button>
        ) : null}
      </div>
      <SearchField
        label="Find agents"
        placeholder="Name, sponsor, purpose, group, key"
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
          onChange={(state) => change({ state: state as AgentFilter['state'] })}
          options={STATES}
        />
        <Select label="Issuer" value={filter.issuer} onChange={(issuer) => change({ issuer })} options={issuers} />
        <Select
          label="Connection"
          value={filter.connection}
          onChange={(connection) => change({ connection })}
          options={connections}
        />
      </div>
      <Freshness />
      {options.length > 0 ? (
        <Listbox
          ref={list}
          label="Agents"
          rows={rows}
          selected={selected}
          onSelect={select}
          render={(row, chosen) =>
            'heading' in row ? (
              <div className="flex h-full items-end px-4 pb-1.5 text-tag font-semibold tracking-wide text-dim uppercase">
                {row.heading} <span className="ml-1.5 font-normal">{row.count.toLocaleString('en-US')}</span>
              </div>
            ) : (
              <AgentRow agent={row.agent} selected={chosen} today={today} />
            )
          }
        />
      ) : (
        <Nothing filtered={filtered} reading={reading} mayDeclare={props.mayDeclare} onDeclare={props.onDeclare} />
      )}
    </section>
  )
}

const STATES = [
  ['orphans', 'orphans'],
  ['active', 'active'],
  ['disabled', 'disabled'],
  ['never', 'never seen'],
] as const

function rowsOf({ orphans, answered, disabled }: ArrangedAgents): Row[] {
  const rows: Row[] = []
  const section = (heading: string, agents: readonly AgentRecord[]) => {
    if (agents.length === 0) return
    const height = rows.length === 0 ? 28 : 36
    rows.push({ key: `heading ${heading}`, height, option: false, heading, count: agents.length })
    for (const agent of agents) rows.push({ key: agent.id, height: ROW_HEIGHT, option: true, agent })
  }
  section('Nobody answers for', orphans)
  section('Answered for', answered)
  section('Disabled', disabled)
  return rows
}

function choices(agents: Iterable<AgentRecord>): [issuers: [string, string][], connections: [string, string][]] {
  const issuers = new Set<string>()
  const places = new Set<string>()
  for (const { issuer, connections } of agents) {
    issuers.add(issuer)
    for (const { connection } of connections) places.add(connection)
  }
  return [
    [...issuers].sort().map((issuer): [string, string] => [issuer, hostOf(issuer)]),
    [...places].sort().map((name): [string, string] => [name, name]),
  ]
}

function countWords({ orphans, answered, disabled }: ArrangedAgents, ofAll: number | undefined): string {
  const figure = (n: number) => n.toLocaleString('en-US')
  const all = orphans.length + answered.length + disabled.length
  if (ofAll !== undefined) return `${figure(all)} of ${figure(ofAll)}`
  return `${figure(all)}${orphans.length > 0 ? `, ${figure(orphans.length)} orphan${orphans.length === 1 ? '' : 's'}` : ''}`
}

/** How old what is shown is, where it isn't live; and what is missing. */
function Freshness() {
  const state = useAgents((known) => known.state)
  const problem = useAgents((known) => known.problem)
  const live = useWorld((world) => world.link.state === 'live')
  const now = useNow()
  if (problem || (live && state?.problem))
    return (
      <div role="alert" className="mx-3 mb-1.5 flex gap-2 rounded-box bg-warn-pale px-3 py-1.5 text-fine text-warn">
        <span className="min-w-0 flex-1">
          {state?.whole === false ? 'Not all agents are here: ' : ''}
          {problem || state?.problem}
        </span>
        <button type="button" className="font-semibold underline" onClick={readAgents}>
          Try again
        </button>
      </div>
    )
  if (live || !state) return null
  return (
    <p className="mx-3 mb-1.5 rounded-box bg-sunken px-3 py-1.5 text-fine text-dim">
      {state.at
        ? `As the gateway told it ${age(now - Date.parse(state.at))} ago, ${dateAndClock(state.at, now)}. `
        : 'Nothing was fetched yet. '}
      {state.whole ? '' : 'Not all of it was fetched. '}
      Nothing can be changed offline.
    </p>
  )
}

function Nothing(props: { filtered: boolean; reading: boolean; mayDeclare: boolean; onDeclare: () => void }) {
  if (props.reading && !props.filtered) return <Notice title="Reading the registry…" role="status" />
  if (props.filtered)
    return (
      <Notice title="No agent fits">
        <p>Esc in the field clears the filter.</p>
      </Notice>
    )
  return (
    <Notice title="No agents yet">
      <p>Every agent that comes with a token appears here; one can be declared before it does.</p>
      {props.mayDeclare ? <Button onClick={props.onDeclare}>Declare an agent</Button> : null}
    </Notice>
  )
}
