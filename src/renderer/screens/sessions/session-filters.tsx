import type { FoundCommand } from '@countersign/contract/evidence'
import { useMemo } from 'react'
import { useWorld } from '../../app/store.ts'
import { Select } from '../../parts/select.tsx'
import type { CommandFilter } from './command-search.ts'
import { noFilter, type SessionFilter } from './search.ts'

/** What only commands are narrowed by. */
export type Narrowed = Pick<CommandFilter, 'verdict' | 'table'>
export const notNarrowed: Narrowed = { verdict: '', table: '' }

/** By what sessions, or commands, are narrowed besides words; choices are of what is known here. */
export function Filters(props: {
  filter: SessionFilter
  onChange: (filter: SessionFilter) => void
  /** Of commands; absent where sessions are listed. */
  narrowed: Narrowed | undefined
  onNarrow: (narrowed: Narrowed) => void
  /** Commands whose tables are offered. */
  tables: readonly FoundCommand[]
}) {
  const { filter, onChange, narrowed, onNarrow } = props
  const tables = useMemo(
    () => [...new Set(props.tables.flatMap((command) => command.tables))].sort().slice(0, 100),
    [props.tables],
  )
  const sessions = useWorld((world) => world.sessions)
  const [agents, connections] = useMemo(() => {
    const names = new Map<string, string>()
    const places = new Set<string>()
    for (const session of sessions.values()) {
      names.set(session.agent, session.identity.name)
      places.add(session.connection)
    }
    return [[...names].sort((a, b) => a[1].localeCompare(b[1])), [...places].sort()] as const
  }, [sessions])
  const change = (part: Partial<SessionFilter>) => {
    const next = { ...filter, ...part }
    onChange(Object.values(next).every((value) => value === '') ? noFilter : next)
  }
  const narrow = (part: Partial<Narrowed>) => {
    const next = { ...notNarrowed, ...narrowed, ...part }
    onNarrow(next.verdict === '' && next.table === '' ? notNarrowed : next)
  }
  return (
    <div className={`grid gap-1.5 px-3 py-1.5 ${narrowed ? 'grid-cols-2' : 'grid-cols-[1fr_1.3fr_1fr]'}`}>
      <Select label="Agent" value={filter.agent} onChange={(agent) => change({ agent })} options={agents} />
      <Select
        label="Connection"
        value={filter.connection}
        onChange={(connection) => change({ connection })}
        options={connections.map((name) => [name, name] as const)}
      />
      {narrowed ? (
        <>
          <Select
            label="Verdict"
            value={narrowed.verdict}
            onChange={(verdict) => narrow({ verdict: verdict as Narrowed['verdict'] })}
            options={VERDICTS}
          />
          <input
            aria-label="Table"
            value={narrowed.table}
            onChange={(event) => narrow({ table: event.target.value })}
            onKeyDown={(event) => {
              if (event.key === 'Escape') narrow({ table: '' })
            }}
            list="tables-found"
            placeholder="Table"
            spellCheck={false}
            className={`h-7 min-w-0 rounded-box border border-line bg-panel px-2 text-fine placeholder:text-dim ${narrowed.table ? 'font-semibold text-accent' : ''}`}
          />
          <datalist id="tables-found">
            {tables.map((table) => (
              <option key={table} value={table} />
            ))}
          </datalist>
        </>
      ) : (
        <Select
          label="State"
          value={filter.state}
          onChange={(state) => change({ state: state as SessionFilter['state'] })}
          options={STATES}
        />
      )}
    </div>
  )
}

const VERDICTS = [
  ['allow', 'allowed'],
  ['hold', 'held'],
  ['deny', 'denied'],
] as const

const STATES = [
  ['open', 'live'],
  ['closed', 'closed'],
  ['terminated', 'terminated'],
  ['interrupted', 'interrupted'],
] as const
