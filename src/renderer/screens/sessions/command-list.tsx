import type { FoundCommand } from '@countersign/contract/evidence'
import { type Ref, useMemo } from 'react'
import { oneLine } from '../../../visible.ts'
import { AgentOn } from '../../parts/agent-on.tsx'
import { Notice } from '../../parts/basics.tsx'
import { useToday } from '../../parts/clock.ts'
import { CommandText } from '../../parts/command-text.tsx'
import { Listbox, type ListboxHandle } from '../../parts/listbox.tsx'
import { clock, dateAndClock, isToday, playhead, shortWhen } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import type { CommandsFound } from './command-search.ts'

type Row =
  | { readonly key: string; readonly height: number; readonly option: false; readonly of: FoundCommand }
  | { readonly key: string; readonly height: number; readonly option: true; readonly command: FoundCommand }

/** What tells a found command from others. */
export const keyOf = ({ session, seq }: FoundCommand) => `${session}-${seq}`

/** Where a recording is to be played for a command: not before it, so what falls between milliseconds is after it. */
export const momentOf = ({ t }: FoundCommand) => Math.ceil(t)

/** Found commands under their sessions, in their order: a session that is met again has its heading again. */
export function rowsOf(items: readonly FoundCommand[]): Row[] {
  const rows: Row[] = []
  let before: string | undefined
  for (const command of items) {
    if (command.session !== before)
      rows.push({ key: `above-${keyOf(command)}`, height: 33, option: false, of: command })
    before = command.session
    rows.push({ key: keyOf(command), height: 49, option: true, command })
  }
  return rows
}

/** The commands that were found, newest first. */
export function CommandList(props: {
  ref: Ref<ListboxHandle>
  rows: readonly Row[]
  found: CommandsFound
  filtered: boolean
  selected: string | undefined
  onSelect: (key: string) => void
  onOpen: (key: string) => void
}) {
  const { rows, found, filtered, ...rest } = props
  const today = useToday()
  const notes = useMemo(() => notesOn(found), [found])
  return (
    <>
      {found.problem ? (
        <p role="alert" className="mx-3 mb-2 rounded-box bg-warn-pale px-3 py-1.5 text-fine text-warn">
          Commands can’t be looked for: {found.problem}
        </p>
      ) : null}
      {notes.map((note) => (
        <p key={note} className="mx-3 mb-2 rounded-box bg-sunken px-3 py-1.5 text-fine text-dim">
          {note}
        </p>
      ))}
      {rows.length > 0 ? (
        <Listbox
          {...rest}
          label="Commands"
          rows={rows}
          onEnd={found.next === null ? undefined : found.loadMore}
          render={(row, chosen) =>
            row.option ? (
              <CommandRow command={row.command} selected={chosen} />
            ) : (
              <SessionHeading of={row.of} today={today} />
            )
          }
        />
      ) : found.searching ? (
        <Notice title="Looking…" />
      ) : (
        <Notice title={filtered ? 'No command fits' : 'No commands yet'}>
          {filtered ? (
            <p>
              Words are found from their beginnings, in commands and in what came back. Esc in the field clears the
              filter.
            </p>
          ) : (
            <p>A command appears here as soon as an agent has sent it.</p>
          )}
        </Notice>
      )}
    </>
  )
}

function notesOn({ source, cut, behind }: CommandsFound): string[] {
  const notes: string[] = []
  if (behind > 0)
    notes.push(
      `The gateway is still reading ${behind.toLocaleString('en-US')} recording${behind === 1 ? '' : 's'} into its index: what they hold may be missing.`,
    )
  if (source === 'local') notes.push('Only recordings that are kept on this computer are looked through.')
  if (cut) notes.push('There are more: narrow it down.')
  return notes
}

function SessionHeading({ of, today }: { of: FoundCommand; today: number }) {
  return (
    <div className="flex h-full items-end gap-3 border-t border-line bg-panel px-4 pb-1 text-fine text-dim">
      <span className="min-w-0 flex-1 truncate font-mono">
        <AgentOn agent={of.agentName} connection={of.connection} />
      </span>
      <span className="tabular-nums">{isToday(of.at, today) ? 'today' : shortWhen(of.at, Date.now())}</span>
    </div>
  )
}

/** A found command as far as the search has it, beside its session. */
export function FoundHere({ command, protocol }: { command: FoundCommand; protocol: string }) {
  const { text, at, found, t } = command
  return (
    <section aria-label="Found command" className="mt-4 overflow-hidden rounded-box border border-line bg-panel">
      <pre className="max-h-[30vh] overflow-auto px-4 py-3 font-mono whitespace-pre-wrap break-words">
        <CommandText text={text} protocol={protocol} />
        {text.length >= SHOWN ? <span className="text-dim"> … the recording has the rest</span> : null}
      </pre>
      <p className="border-t border-line px-4 py-2 text-fine text-dim">
        <Verdict command={command} />
        <Facts command={command} />
        {' · '}
        <time dateTime={at}>{dateAndClock(at, Date.now())}</time>, at {playhead(t)} of the recording
        {found === 'result' ? '. The words are in what came back.' : ''}
      </p>
    </section>
  )
}

/** The search tells so many characters of a command. */
const SHOWN = 1000

function CommandRow({ command, selected }: { command: FoundCommand; selected: boolean }) {
  const { text, at, found } = command
  return (
    <div
      className={`flex h-full flex-col justify-center gap-0.5 border-l-2 px-4 ${selected ? 'border-accent bg-accent-pale' : 'border-transparent hover:bg-sunken'}`}
    >
      <div className="flex items-baseline gap-3">
        <span className="min-w-0 flex-1 truncate font-mono text-fine" title={oneLine(text.slice(0, 300))}>
          <VisibleText>{oneLine(text)}</VisibleText>
        </span>
        <time dateTime={at} className="text-fine text-dim tabular-nums">
          {clock(at)}
        </time>
      </div>
      <div className="truncate text-fine text-dim">
        <Verdict command={command} />
        {found === 'result' ? ' · in what came back' : ''}
        <Facts command={command} />
      </div>
    </div>
  )
}

function Facts({ command: { count, tables } }: { command: FoundCommand }) {
  return (
    <>
      {count > 1 ? ` · ${count.toLocaleString('en-US')} times` : ''}
      {tables.length > 0 ? (
        <>
          {' · '}
          <VisibleText>{tables.join(', ')}</VisibleText>
        </>
      ) : null}
    </>
  )
}

function Verdict({ command: { verdict, kind } }: { command: FoundCommand }) {
  if (verdict === 'deny') return <span className="text-danger">denied</span>
  if (verdict === 'hold') return <span className="text-warn">held</span>
  return <>{kind}</>
}
