import type { FoundCommand } from '@countersign/contract/evidence'
import type { Session } from '@countersign/contract/session'
import { Pin, Search } from 'lucide-react'
import { type Ref, useEffect, useMemo, useRef, useState } from 'react'
import { useKeys } from '../../app/keys.ts'
import { keep, useLibrary } from '../../app/library.ts'
import { useWorld } from '../../app/store.ts'
import { Button, Notice } from '../../parts/basics.tsx'
import { useToday } from '../../parts/clock.ts'
import { Listbox, type ListboxHandle, stepFrom } from '../../parts/listbox.tsx'
import { size } from '../../parts/size.ts'
import { CommandList, keyOf, rowsOf } from './command-list.tsx'
import { useCommandSearch } from './command-search.ts'
import { noFilter, type SessionFilter, useSessionSearch } from './search.ts'
import { Filters, type Narrowed, notNarrowed } from './session-filters.tsx'
import { SessionRow } from './session-row.tsx'

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
