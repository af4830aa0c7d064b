import type { FoundCommand } from '@countersign/contract/evidence'
import type { Session } from '@countersign/contract/session'
import { ChevronDown, Pin, Search } from 'lucide-react'
import { type Ref, useEffect, useMemo, useRef, useState } from 'react'
import { useKeys } from '../../app/keys.ts'
import { keep, useLibrary } from '../../app/library.ts'
import { useWorld } from '../../app/store.ts'
import { Button, EnvironmentTag, foremostTag, Notice } from '../../parts/basics.tsx'
import { useToday } from '../../parts/clock.ts'
import { Listbox, type ListboxHandle, stepFrom } from '../../parts/listbox.tsx'
import { size } from '../../parts/size.ts'
import { duration, shortWhen } from '../../parts/time.ts'
import { Verified } from '../../parts/verified.tsx'
import { VisibleText } from '../../parts/visible-text.tsx'
import { CommandList, keyOf, rowsOf } from './command-list.tsx'
import { type CommandFilter, useCommandSearch } from './command-search.ts'
import { noFilter, type SessionFilter, useSessionSearch } from './search.ts'

interface Props {
  selected: string | undefined
  /** In a replay `/` belongs to the recording. */
  ownsSlash: boolean
  /** `command`: what was found in it, where commands are listed. */
  onSelect(id: string, command?: FoundCommand): void
  onOpen(id: string, command?: FoundCommand): void
}

/** Every session that can be found, the newest first; or the commands in them. */
export function SessionList({ selected, ownsSlash, onSelect, onOpen }: Props) {
  const [filter, setFilter] = useState<SessionFilter>(noFilter)
  const [what, setWhat] = useState<'sessions' | 'commands'>('sessions')
  const [narrowed, setNarrowed] = useState<Narrowed>(notNarrowed)
  const found = useSessionSearch(filter)
  const commandFilter = useMemo(
    () => (what === 'commands' ? { ...pick(filter), ...narrowed } : undefined),
    [what, filter, narrowed],
  )
  const commands = useCommandSearch(commandFilter)
  const commandRows = useMemo(() => rowsOf(commands.items), [commands.items])
  const byKey = useMemo(() => new Map(commands.items.map((one) => [keyOf(one), one])), [commands.items])
  const [chosen, setChosen] = useState<string | undefined>(undefined)
  const choose = (key: string | undefined, open = false) => {
    const command = key === undefined ? undefined : byKey.get(key)
    if (!command) return
    setChosen(key)
    if (open) onOpen(command.session, command)
    else onSelect(command.session, command)
  }
  const rows = useMemo(
    () => found.items.map((session) => ({ key: session.id, height: 57, option: true, session })),
    [found.items],
  )
  const kept = useLibrary((library) => library?.kept ?? false)
  const live = useWorld((world) => world.link.state === 'live')
  const [keeping, setKeeping] = useState(false)
  const field = useRef<HTMLInputElement>(null)
  const list = useRef<ListboxHandle>(null)
  const select = (id: string | undefined) => {
    if (id !== undefined) onSelect(id)
  }
  // Not what was found for other words: the answer may be on its way.
  const [entering, setEntering] = useState(false)
  useEffect(() => {
    if (!entering || commands.searching) return
    setEntering(false)
    choose(chosen !== undefined && byKey.has(chosen) ? chosen : commandRows.find((row) => row.option)?.key)
  })
  const step = (by: number) => {
    if (what === 'sessions') select(stepFrom(rows, selected, by))
    else
      choose(
        stepFrom(
          commandRows.filter((row) => row.option),
          chosen,
          by,
        ),
      )
  }
  useKeys({
    j: () => step(1),
    k: () => step(-1),
    c: () => (ownsSlash ? setWhat(what === 'sessions' ? 'commands' : 'sessions') : false),
    '/': () => (ownsSlash ? field.current?.focus() : false),
  })
  const filtered = filter !== noFilter || (what === 'commands' && narrowed !== notNarrowed)
  const clear = () => {
    setFilter(noFilter)
    setNarrowed(notNarrowed)
  }
  const count = what === 'sessions' ? rows.length : commands.items.length
  const { searching, source } = what === 'sessions' ? found : commands
  const more = what === 'sessions' ? found.more : commands.next !== null || commands.cut
  return (
    <section aria-label="Sessions" className="flex min-h-0 flex-col border-r border-line bg-panel">
      <div className="flex min-h-[42px] items-baseline gap-2 px-4 pt-3 pb-1.5">
        <h2 className="text-head font-semibold">{what === 'sessions' ? 'Sessions' : 'Commands'}</h2>
        <span role="status" className="min-w-0 truncate text-dim">
          {searching
            ? 'looking…'
            : `${count.toLocaleString('en-US')}${more ? '+' : ''}${source === 'local' ? ', from this desktop' : ''}`}
        </span>
        {what === 'sessions' && rows.length > 0 && kept && live ? (
          <button
            type="button"
            className="ml-auto inline-flex size-6 shrink-0 items-center justify-center self-center rounded-tag text-dim hover:bg-sunken hover:text-ink"
            aria-label={`Keep these ${rows.length.toLocaleString('en-US')} on this computer`}
            title={`Keep these ${rows.length.toLocaleString('en-US')} on this computer`}
            onClick={() => setKeeping(true)}
          >
            <Pin size={14} aria-hidden />
          </button>
        ) : null}
      </div>
      {keeping ? <KeepFound sessions={found.items} more={found.more} onClose={() => setKeeping(false)} /> : null}
      <label className="mx-3 flex h-8 shrink-0 items-center gap-2 rounded-box border border-line px-2 text-dim focus-within:border-accent">
        <Search size={13} aria-hidden />
        <span className="sr-only">Words in commands</span>
        <input
          ref={field}
          value={filter.text}
          onChange={(event) => setFilter({ ...filter, text: event.target.value })}
          onKeyDown={(event) => {
            if (event.key === 'Escape') clear()
            if (event.key === 'Escape' || event.key === 'Enter' || event.key === 'ArrowDown') {
              event.preventDefault()
              if (event.key !== 'Escape' && what === 'commands') setEntering(true)
              else if (event.key !== 'Escape')
                select(rows.some((row) => row.key === selected) ? selected : rows[0]?.key)
              list.current?.focus()
            }
          }}
          placeholder={what === 'sessions' ? 'Words in commands' : 'Words in commands and results'}
          className="min-w-0 flex-1 bg-transparent text-ink outline-none"
        />
      </label>
      <What what={what} onChange={setWhat} />
      <Filters
        filter={filter}
        onChange={setFilter}
        narrowed={what === 'commands' ? narrowed : undefined}
        onNarrow={setNarrowed}
        tables={commands.items}
      />
      {what === 'commands' ? (
        <CommandList
          ref={list}
          rows={commandRows}
          found={commands}
          filtered={filtered}
          selected={chosen}
          onSelect={choose}
          onOpen={(key) => choose(key, true)}
        />
      ) : null}
      {what === 'sessions' && found.problem ? (
        <p role="alert" className="mx-3 mb-2 rounded-box bg-warn-pale px-3 py-1.5 text-fine text-warn">
          Older sessions can’t be fetched: {found.problem}
        </p>
      ) : null}
      {what === 'sessions' ? (
        <List
          ref={list}
          rows={rows}
          selected={selected}
          onSelect={select}
          onOpen={(id) => onOpen(id)}
          onEnd={found.more ? found.loadMore : undefined}
          empty={
            found.searching ? (
              <Notice title="Looking…" />
            ) : filtered ? (
              <Notice title="No session fits">
                <p>Esc in the field clears the filter.</p>
              </Notice>
            ) : (
              <Notice title="No sessions yet">
                <p>A session appears here when an agent connects through the gateway.</p>
              </Notice>
            )
          }
        />
      ) : null}
    </section>
  )
}

interface Row {
  readonly key: string
  readonly height: number
  readonly option: boolean
  readonly session: Session
}

function List(props: {
  ref: Ref<ListboxHandle>
  rows: readonly Row[]
  selected: string | undefined
  onSelect: (id: string) => void
  onOpen: (id: string) => void
  onEnd: (() => void) | undefined
  empty: React.ReactNode
}) {
  const { rows, empty, ...rest } = props
  const today = useToday()
  if (rows.length === 0) return empty
  return (
    <Listbox
      {...rest}
      label="Sessions"
      rows={rows}
      render={(row, chosen) => <SessionRow session={row.session} selected={chosen} today={today} />}
    />
  )
}

function SessionRow({ session, selected }: { session: Session; selected: boolean; today: number }) {
  const tag = foremostTag(session.connectionTags)
  const pinned = useLibrary((library) => Boolean(library?.items.get(session.id)?.pinnedAt))
  return (
    <div
      className={`flex h-full flex-col justify-center gap-0.5 border-l-2 px-4 ${selected ? 'border-accent bg-accent-pale' : 'border-transparent hover:bg-sunken'}`}
    >
      <div className="flex items-baseline gap-3">
        <span className="min-w-0 flex-1 truncate font-mono text-fine">
          <VisibleText>{session.identity.name}</VisibleText> <span className="font-sans">→</span> {session.connection}
        </span>
        <time dateTime={session.openedAt} className="text-dim tabular-nums">
          {shortWhen(session.openedAt, Date.now())}
        </time>
      </div>
      <div className="flex items-center gap-2 text-fine text-dim">
        <span className="min-w-0 flex-1 truncate">
          <StateWord session={session} />
          {countWords(session)}
        </span>
        <Verified session={session.id} brief />
        {pinned ? <Pin size={12} className="shrink-0 text-dim" role="img" aria-label="kept on this computer" /> : null}
        {tag ? <EnvironmentTag tag={tag} brief /> : null}
      </div>
    </div>
  )
}

/** Asks before a whole search is kept: how many, how much. */
function KeepFound(props: { sessions: readonly Session[]; more: boolean; onClose: () => void }) {
  const { sessions, more, onClose } = props
  const some = sessions.slice(0, 1000)
  const bytes = some.reduce((sum, session) => sum + session.recording.bytes, 0)
  return (
    <div role="alertdialog" aria-label="Keep what was found" className="mx-3 mb-2 rounded-box bg-sunken px-3 py-2.5">
      <p>
        Keep {some.length.toLocaleString('en-US')} {some.length === 1 ? 'session' : 'sessions'} on this computer, with
        their bundles? About {size(bytes)} of recordings
        {more ? '; what further scrolling would find is not among them' : ''}.
      </p>
      <div className="mt-2 flex gap-2">
        <Button
          tone="accent"
          onClick={() => {
            onClose()
            void keep(
              some.map(({ id }) => id),
              true,
            )
          }}
        >
          Keep them
        </Button>
        <Button onClick={onClose}>Not now</Button>
      </div>
    </div>
  )
}

/** Live with a dot, or how long it was and how it ended. */
export function StateWord({ session }: { session: Session }) {
  if (session.state === 'open')
    return (
      <span className="text-ok">
        <span className="mr-1 inline-block size-2 rounded-full bg-ok motion-safe:animate-breathe" aria-hidden="true" />
        live
      </span>
    )
  const lasted = session.closedAt ? duration(Date.parse(session.closedAt) - Date.parse(session.openedAt)) : ''
  if (session.state === 'closed') return <>{lasted}</>
  return (
    <>
      <span className={session.state === 'terminated' ? 'text-danger' : 'text-warn'}>{session.state}</span>
      {lasted ? ` · ${lasted}` : ''}
    </>
  )
}

/** · 2 holds · 1 denial */
function countWords({ counts }: Session): string {
  const word = (n: number, one: string, many: string) => (n > 0 ? ` · ${n} ${n === 1 ? one : many}` : '')
  return (
    word(counts.held, 'hold', 'holds') +
      word(counts.denied, 'denial', 'denials') +
      word(counts.errors, 'error', 'errors') || word(counts.commands, 'command', 'commands')
  )
}

type Narrowed = Pick<CommandFilter, 'verdict' | 'table'>
const notNarrowed: Narrowed = { verdict: '', table: '' }
const pick = ({ text, agent, connection }: SessionFilter) => ({ text, agent, connection })

/** Whether sessions are listed, or commands. */
function What(props: { what: 'sessions' | 'commands'; onChange: (what: 'sessions' | 'commands') => void }) {
  return (
    <fieldset className="mx-3 mt-1.5 grid h-7 shrink-0 grid-cols-2 rounded-box border border-line bg-sunken text-fine">
      <legend className="sr-only">List</legend>
      {(['sessions', 'commands'] as const).map((one) => (
        <label
          key={one}
          className={`flex cursor-pointer items-center justify-center gap-1.5 rounded-box capitalize has-focus-visible:outline-2 has-focus-visible:outline-accent ${one === props.what ? 'bg-panel font-semibold text-ink shadow-[0_0_0_1px_var(--line)]' : 'text-dim hover:text-ink'}`}
        >
          <input
            type="radio"
            name="list-what"
            className="sr-only"
            checked={one === props.what}
            onChange={() => props.onChange(one)}
          />
          {one}
        </label>
      ))}
    </fieldset>
  )
}

function Filters(props: {
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

function Select(props: {
  label: string
  value: string
  onChange: (value: string) => void
  options: readonly (readonly [string, string])[]
}) {
  return (
    <span className="relative min-w-0">
      <select
        aria-label={props.label}
        value={props.value}
        onChange={(event) => props.onChange(event.target.value)}
        className={`h-7 w-full appearance-none truncate rounded-box border border-line bg-panel pr-5 pl-2 text-fine ${props.value ? 'font-semibold text-accent' : 'text-dim'}`}
      >
        <option value="">{props.label}</option>
        {props.options.map(([value, name]) => (
          <option key={value} value={value}>
            {name}
          </option>
        ))}
      </select>
      <ChevronDown size={12} className="pointer-events-none absolute top-2 right-1.5 text-dim" aria-hidden />
    </span>
  )
}
