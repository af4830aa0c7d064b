import { ChevronDown } from 'lucide-react'
import { memo, useEffect, useMemo, useRef, useState } from 'react'
import { oneLine } from '../../../../visible.ts'
import { useWorld } from '../../../app/store.ts'
import { Button, Chip, Key } from '../../../parts/basics.tsx'
import { Listbox } from '../../../parts/listbox.tsx'
import { dateAndClock, playhead } from '../../../parts/time.ts'
import { VisibleText } from '../../../parts/visible-text.tsx'
import { filtered, type Note, type NoteFilter, type NotesOfSession, stateWords } from './notes.ts'
import { Withdraw } from './withdraw.tsx'

const INK = { dim: 'text-dim', ok: 'text-ok', warn: 'text-warn', danger: 'text-danger', accent: 'text-accent' }

export interface NoteActions {
  onSelect(id: string): void
  onEdit(note: Note): void
  onWithdraw(id: string | undefined): void
  onConflicts(): void
  onWrite(): void
}

/** The notes of a recording, to go to; of the chosen one everything. */
export function NoteList(props: {
  notes: NotesOfSession
  fine: boolean
  selected: string | undefined
  /** The note whose withdrawal is being written. */
  withdrawing: string | undefined
  actions: NoteActions
}) {
  const { notes, fine, selected, actions } = props
  const [filter, setFilter] = useState<NoteFilter>({ person: undefined, tag: undefined })
  const shown = useMemo(() => filtered(notes.items, filter), [notes.items, filter])
  const rows = useMemo(() => shown.map((note) => ({ key: note.id, height: 66, option: true, note })), [shown])
  const chosen = shown.find((note) => note.id === selected)
  if (notes.items.length === 0)
    return (
      <div className="flex flex-1 flex-col items-center justify-center gap-2 p-4 text-center text-dim">
        <p>Nobody has noted anything on this recording{notes.source === 'local' ? ' that is known here' : ''}.</p>
        {notes.mayAnnotate ? (
          <Button className="h-8!" onClick={actions.onWrite}>
            Annotate <Key>N</Key>
          </Button>
        ) : (
          <p>Auditors, reviewers and admins write notes; you read them here.</p>
        )}
      </div>
    )
  return (
    <>
      <Filters items={notes.items} filter={filter} onFilter={setFilter} />
      {shown.length === 0 ? (
        <p className="flex-1 p-4 text-center text-dim">None of {notes.items.length} is like that.</p>
      ) : (
        <div className="flex min-h-[66px] flex-1 flex-col">
          <Listbox
            label="Notes"
            rows={rows}
            selected={chosen?.id}
            onSelect={actions.onSelect}
            render={(row, isSelected) => <Row note={row.note} fine={fine} selected={isSelected} />}
          />
        </div>
      )}
      {chosen ? (
        <Whole note={chosen} fine={fine} withdrawing={props.withdrawing === chosen.id} actions={actions} />
      ) : null}
    </>
  )
}

function Filters(props: { items: readonly Note[]; filter: NoteFilter; onFilter(filter: NoteFilter): void }) {
  const { items, filter, onFilter } = props
  const people = useMemo(() => [...new Map(items.map((note) => [note.by.id, note]))], [items])
  const tags = useMemo(() => [...new Set(items.flatMap((note) => note.tags))].sort(), [items])
  if (people.length < 2 && tags.length === 0) return null
  return (
    <search className="grid grid-cols-2 gap-1.5 border-b border-line px-2 py-1.5">
      <Pick
        label="Notes of"
        any="everybody"
        value={filter.person}
        options={people.map(([id, note]) => [id, note.mine ? 'you' : oneLine(note.by.name, 40)])}
        onPick={(person) => onFilter({ ...filter, person })}
      />
      <Pick
        label="Notes tagged"
        any="any tag"
        value={filter.tag}
        options={tags.map((tag) => [tag, oneLine(tag, 40)])}
        onPick={(tag) => onFilter({ ...filter, tag })}
      />
    </search>
  )
}

function Pick(props: {
  label: string
  any: string
  value: string | undefined
  options: (readonly [value: string, name: string])[]
  onPick(value: string | undefined): void
}) {
  return (
    <span className="relative min-w-0">
      <select
        aria-label={props.label}
        value={props.value ?? ''}
        onChange={(event) => props.onPick(event.target.value || undefined)}
        className={`h-7 w-full appearance-none truncate rounded-box border border-line bg-panel pr-5 pl-2 text-fine ${props.value === undefined ? 'text-dim' : 'font-semibold text-accent'}`}
      >
        <option value="">{props.any}</option>
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

const Row = memo(function Row({ note, fine, selected }: { note: Note; fine: boolean; selected: boolean }) {
  const live = useWorld((world) => world.link.state === 'live')
  const state = stateWords(note, live)
  return (
    <div className={`flex h-full items-start gap-3 px-3.5 pt-1.5 ${selected ? 'bg-accent-pale' : 'hover:bg-sunken'}`}>
      <time className="w-11 shrink-0 text-fine text-dim tabular-nums">{playhead(note.from, fine)}</time>
      <div className="min-w-0 flex-1">
        <div className={`line-clamp-2 text-fine break-words ${note.withdrawn ? 'text-dim line-through' : ''}`}>
          <VisibleText>{oneLine(note.text, 160)}</VisibleText>
        </div>
        <div className={`truncate text-tag ${INK[state.tone]}`}>
          <span className="text-dim">
            <VisibleText>{note.mine ? 'you' : note.by.name}</VisibleText>
            {' · '}
          </span>
          <VisibleText>{state.text}</VisibleText>
        </div>
      </div>
    </div>
  )
})

/** A note with everything that is known of it, and what may be done. */
function Whole(props: { note: Note; fine: boolean; withdrawing: boolean; actions: NoteActions }) {
  const { note, fine, actions } = props
  const live = useWorld((world) => world.link.state === 'live')
  const state = stateWords(note, live)
  const place = useRef<HTMLElement>(null)
  // biome-ignore lint/correctness/useExhaustiveDependencies: another note is read from its beginning
  useEffect(() => {
    if (place.current) place.current.scrollTop = 0
  }, [note.id])
  const over = note.withdrawn !== undefined || note.withdrawing !== undefined
  return (
    <section
      ref={place}
      aria-label="Chosen note"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keys
      tabIndex={0}
      className="flex max-h-[55%] shrink-0 flex-col gap-1.5 overflow-y-auto border-t border-line px-3.5 pt-2 pb-2.5 outline-offset-[-2px]"
    >
      <p className="text-fine text-dim tabular-nums">
        {playhead(note.from, fine)}
        {note.to === undefined ? null : ` – ${playhead(note.to, fine)}`}
      </p>
      <p className="break-words whitespace-pre-wrap">
        <VisibleText>{note.text}</VisibleText>
      </p>
      {note.tags.length > 0 ? (
        <p className="flex flex-wrap gap-1">
          {note.tags.map((tag) => (
            <Chip key={tag} tone="accent">
              <VisibleText>{tag}</VisibleText>
            </Chip>
          ))}
        </p>
      ) : null}
      <dl className="grid grid-cols-[max-content_minmax(0,1fr)] gap-x-2 text-tag text-dim">
        <dt>by</dt>
        <dd className="break-words">
          <VisibleText>{note.by.name}</VisibleText>
          {note.mine ? ' (you)' : ''}, {dateAndClock(note.madeAt, Date.now())}
        </dd>
        {note.receivedAt ? (
          <>
            <dt>received</dt>
            <dd>{dateAndClock(note.receivedAt, Date.now())}</dd>
          </>
        ) : null}
        {note.withdrawn ? (
          <>
            <dt>withdrawn</dt>
            <dd>{dateAndClock(note.withdrawn.at, Date.now())}</dd>
          </>
        ) : null}
      </dl>
      <p className={`text-fine ${INK[state.tone]}`}>
        <VisibleText>{state.text}</VisibleText>
        {note.withdrawn && note.logged ? ' · both are in the log' : ''}
      </p>
      {note.problem || note.withdrawing?.problem ? (
        <p className="rounded-tag bg-danger-pale px-2 py-1 text-fine text-danger">
          <VisibleText>{note.problem ?? note.withdrawing?.problem ?? ''}</VisibleText>
        </p>
      ) : null}
      {props.withdrawing && note.mine && !over ? (
        <Withdraw note={note} onDone={() => actions.onWithdraw(undefined)} />
      ) : note.state === 'conflict' || note.withdrawing?.state === 'conflict' ? (
        <Button className="h-8! self-start" onClick={actions.onConflicts}>
          Choose…
        </Button>
      ) : note.mine && !over ? (
        <p className="flex gap-2">
          {note.state === 'here' ? (
            <Button className="h-8! px-2.5!" onClick={() => actions.onEdit(note)}>
              Change <Key>E</Key>
            </Button>
          ) : null}
          <Button className="h-8! px-2.5!" onClick={() => actions.onWithdraw(note.id)}>
            {note.state === 'here' ? 'Discard' : 'Withdraw'} <Key>W</Key>
          </Button>
        </p>
      ) : null}
    </section>
  )
}
