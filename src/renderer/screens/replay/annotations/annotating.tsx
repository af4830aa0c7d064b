import { type ReactNode, useCallback, useMemo, useState } from 'react'
import { useKeys } from '../../../app/keys.ts'
import { say } from '../../../app/store.ts'
import { showOutbox } from '../../outbox/open.ts'
import type { PlayerStore } from '../player.ts'
import { setDraft, setMark, useDrafts } from './draft.ts'
import { NoteMarks } from './marks.tsx'
import { momentText } from './moment.ts'
import { NoteBar } from './note-bar.tsx'
import { NoteList } from './note-list.tsx'
import { type Note, standing, useNotes } from './notes.ts'

/** What Replay needs to have notes in it. */
export interface Annotating {
  /** Where the last note before `t` begins, and the first one after it. */
  before(t: number): number | undefined
  after(t: number): number | undefined
  /** The notes on the timeline. */
  readonly marks: ReactNode
  /** Where one is written; null while none is. */
  readonly bar: ReactNode
  /** Whether notes may be written, for a button that does what N does. */
  readonly mayAnnotate: boolean
  begin(): void
  /** The side column: its steps (or what else stands there, by its name), or the notes. */
  side(steps: ReactNode, name?: string): ReactNode
}

/**
 * Notes on a recording. N writes one where the player is, or on what is selected in the transcript, or on the range that
 * M began; T changes between steps and notes; E changes and W withdraws the chosen one.
 */
export function useAnnotating(options: {
  session: string
  player: PlayerStore
  /** Milliseconds that the recording is long. */
  length: number
  fine: boolean
  seek(t: number): void
  /** When a step of the transcript began; undefined where there is none. */
  timeOf(step: number): number | undefined
}): Annotating {
  const { session, player, length, fine, seek, timeOf } = options
  const notes = useNotes(session)
  const draft = useDrafts((state) => state.drafts.get(session))
  const mark = useDrafts((state) => state.marks.get(session))
  const [writing, setWriting] = useState(false)
  const [listed, setListed] = useState(false)
  const [selected, setSelected] = useState<string | undefined>(undefined)
  const [withdrawing, setWithdrawing] = useState<string | undefined>(undefined)
  const now = useCallback(() => player.getState().t, [player])
  const standingOnes = useMemo(() => standing(notes.items), [notes.items])

  const begin = () => {
    if (!notes.mayAnnotate) {
      say('Auditors, reviewers and admins write notes; you read them')
      setListed(true)
      return
    }
    player.setState({ playing: false, following: false })
    if (!draft || (draft.text.trim() === '' && draft.id === undefined)) {
      const range = rangeOf(mark, now(), selectedSteps(), timeOf)
      setDraft(session, {
        from: momentText(range.from),
        to: range.to === undefined ? '' : momentText(range.to),
        text: '',
        tags: [],
      })
    }
    setWriting(true)
  }
  const choose = (id: string) => {
    setSelected(id)
    setWithdrawing(undefined)
    const note = notes.items.find((each) => each.id === id)
    if (note) seek(Math.min(note.from, length))
  }
  const edit = (note: Note) => {
    setDraft(session, {
      id: note.id,
      from: momentText(note.from),
      to: note.to === undefined ? '' : momentText(note.to),
      text: note.text,
      tags: note.tags,
    })
    setWriting(true)
  }
  const chosen = listed ? notes.items.find((note) => note.id === selected) : undefined
  useKeys({
    n: begin,
    m: () => {
      if (!notes.mayAnnotate) return begin()
      const t = mark === undefined ? now() : undefined
      setMark(session, t)
      say(t === undefined ? 'The range is given up' : `A range begins at ${momentText(t)}: go on, then N`)
      return undefined
    },
    t: () => setListed((on) => !on),
    e: () => {
      if (!chosen?.mine || chosen.state !== 'here' || chosen.withdrawing) return false
      return edit(chosen)
    },
    w: () => {
      if (!chosen?.mine || chosen.withdrawn || chosen.withdrawing || chosen.state === 'conflict') return false
      return setWithdrawing(chosen.id)
    },
  })

  const actions = {
    onSelect: choose,
    onEdit: edit,
    onWithdraw: setWithdrawing,
    onConflicts: showOutbox,
    onWrite: begin,
  }
  return {
    before: (t) => standingOnes.findLast(({ from }) => from < t)?.from,
    after: (t) => standingOnes.find(({ from }) => from > t)?.from,
    mayAnnotate: notes.mayAnnotate,
    begin,
    marks: <NoteMarks notes={notes.items} length={length} mark={mark} chosen={chosen?.id} />,
    bar:
      writing && draft ? (
        <NoteBar
          key={draft.id ?? 'new'}
          session={session}
          draft={draft}
          known={notes.tags}
          now={now}
          onKept={(id) => {
            setWriting(false)
            setListed(true)
            setSelected(id)
          }}
          onLeave={() => {
            setWriting(false)
            // A change that was given up is not what the next N goes on with.
            if (draft.id !== undefined || draft.text.trim() === '') setDraft(session, undefined)
          }}
        />
      ) : null,
    side: (steps, name = 'Steps') => (
      <div
        className={`flex min-h-0 flex-col overflow-hidden rounded-box border border-line bg-panel ${listed && !writing ? '@max-[720px]:h-56' : '@max-[720px]:hidden'}`}
      >
        <Tabs name={name} listed={listed} count={notes.items.length} onListed={setListed} />
        {listed ? (
          <NoteList notes={notes} fine={fine} selected={selected} withdrawing={withdrawing} actions={actions} />
        ) : (
          steps
        )}
      </div>
    ),
  }
}

function Tabs(props: { name: string; listed: boolean; count: number; onListed(listed: boolean): void }) {
  const { listed, count, onListed } = props
  const look = (on: boolean) =>
    `h-8 flex-1 border-b-2 text-fine outline-offset-[-2px] ${on ? 'border-accent font-semibold' : 'border-transparent text-dim hover:text-ink'}`
  return (
    <div className="flex shrink-0 border-b border-line">
      <button type="button" aria-pressed={!listed} className={look(!listed)} onClick={() => onListed(false)}>
        {props.name}
      </button>
      <button type="button" aria-pressed={listed} className={look(listed)} onClick={() => onListed(true)}>
        Notes {count > 0 ? <span className="tabular-nums">{count.toLocaleString('en-US')}</span> : null}
      </button>
    </div>
  )
}

/** What a note is about: the marked range, else the selected steps, else the moment. */
export function rangeOf(
  mark: number | undefined,
  now: number,
  steps: { first: number; last: number } | undefined,
  timeOf: (step: number) => number | undefined,
): { from: number; to: number | undefined } {
  if (mark !== undefined && mark !== now) return { from: Math.min(mark, now), to: Math.max(mark, now) }
  const from = steps && timeOf(steps.first)
  if (steps && from !== undefined) {
    const to = timeOf(steps.last)
    return { from, to: to !== undefined && to > from ? to : undefined }
  }
  return { from: now, to: undefined }
}

/** The steps of the transcript over which text is selected. */
function selectedSteps(): { first: number; last: number } | undefined {
  const selection = getSelection()
  if (!selection || selection.isCollapsed) return undefined
  const at = (node: Node | null): number | undefined => {
    const element = node instanceof Element ? node : node?.parentElement
    const index = element?.closest<HTMLElement>('[data-step]')?.dataset.step
    return index === undefined ? undefined : Number(index)
  }
  const [a, b] = [at(selection.anchorNode), at(selection.focusNode)]
  if (a === undefined || b === undefined) return undefined
  return { first: Math.min(a, b), last: Math.max(a, b) }
}
