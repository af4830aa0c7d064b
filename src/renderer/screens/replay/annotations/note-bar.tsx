import { useEffect, useMemo, useRef, useState } from 'react'
import { hiddenCount } from '../../../../visible.ts'
import { wordsOf } from '../../../app/api.ts'
import { core, say, useWorld } from '../../../app/store.ts'
import { Button, Key } from '../../../parts/basics.tsx'
import { type Draft, setDraft, setMark } from './draft.ts'
import { momentText, readMoment } from './moment.ts'
import { TagField } from './tag-field.tsx'

/** Writes a note: Enter keeps it, Shift+Enter is a new line, Esc leaves; what was typed is there when one comes back. */
export function NoteBar(props: {
  session: string
  draft: Draft
  known: readonly string[]
  /** Where the player is now, for the buttons that take it. */
  now(): number
  onKept(id: string): void
  onLeave(): void
}) {
  const { session, draft, known, now } = props
  const live = useWorld((world) => world.link.state === 'live')
  const sealed = useWorld((world) => world.outbox.sealed)
  const field = useRef<HTMLTextAreaElement>(null)
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  useEffect(() => field.current?.focus(), [])
  const change = (more: Partial<Draft>) => setDraft(session, { ...draft, ...more })
  const from = readMoment(draft.from)
  const to = draft.to.trim() === '' ? undefined : readMoment(draft.to)
  const wrong =
    from === undefined
      ? 'The beginning is no time: write it as 4:02.'
      : draft.to.trim() !== '' && to === undefined
        ? 'The end is no time: write it as 4:02, or leave it empty.'
        : to !== undefined && to < from
          ? 'The end is before the beginning.'
          : draft.text.trim() === ''
            ? 'Write something first.'
            : ''
  const hidden = useMemo(() => hiddenCount(draft.text), [draft.text])
  const keep = async () => {
    if (wrong || busy) {
      setProblem(wrong)
      return
    }
    setBusy(true)
    setProblem('')
    try {
      const kept = await core().call('annotate', {
        session,
        ...(draft.id !== undefined && { id: draft.id }),
        note: { from: from!, ...(to !== undefined && to > from! && { to }), text: draft.text, tags: [...draft.tags] },
      })
      setDraft(session, undefined)
      setMark(session, undefined)
      say(live ? 'Note kept, being sent' : 'Note kept on this computer, it waits to be sent')
      props.onKept(kept.id)
    } catch (error) {
      setProblem(wordsOf(error))
    }
    setBusy(false)
  }
  return (
    <form
      aria-label={draft.id ? 'Change a note' : 'New note'}
      className="flex flex-col gap-1.5 rounded-box border border-accent bg-panel px-3 py-2"
      onSubmit={(event) => {
        event.preventDefault()
        void keep()
      }}
      onKeyDown={(event) => {
        if (event.key !== 'Escape') return
        event.stopPropagation()
        props.onLeave()
      }}
    >
      <textarea
        ref={field}
        rows={2}
        maxLength={10_000}
        value={draft.text}
        aria-label="Note"
        placeholder="What is to be seen here?"
        className="max-h-40 min-h-10 w-full resize-none field-sizing-content bg-transparent outline-none"
        onChange={(event) => change({ text: event.target.value })}
        onKeyDown={(event) => {
          if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return
          event.preventDefault()
          void keep()
        }}
      />
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1.5 border-t border-line pt-1.5">
        <Moment label="From" value={draft.from} bad={from === undefined} onChange={(text) => change({ from: text })} />
        <Moment
          label="to"
          value={draft.to}
          bad={draft.to.trim() !== '' && (to === undefined || (from !== undefined && to < from))}
          empty="a moment"
          onChange={(text) => change({ to: text })}
        />
        <Button
          quiet
          className="h-7! px-2! font-normal! text-dim!"
          title="The range ends where the player is"
          onClick={() => change({ to: momentText(now()) })}
        >
          to here
        </Button>
        <TagField
          tags={draft.tags}
          known={known}
          onChange={(tags) => change({ tags })}
          onLeave={props.onLeave}
          onDone={() => void keep()}
        />
        <span className="ml-auto flex items-center gap-2">
          <Button quiet className="h-8! px-2.5! font-normal! text-dim!" onClick={props.onLeave}>
            Leave <Key>Esc</Key>
          </Button>
          <Button type="submit" className="h-8!" disabled={busy}>
            {draft.id ? 'Change' : live ? 'Keep and send' : 'Keep'} <Key>⏎</Key>
          </Button>
        </span>
      </div>
      {hidden > 0 ? (
        <p role="status" className="text-fine text-warn">
          {hidden === 1 ? 'A character in it can’t be seen' : `${hidden} characters in it can’t be seen`} here; readers
          get a mark in its place.
        </p>
      ) : null}
      {problem ? (
        <p role="alert" className="text-danger">
          {problem}
        </p>
      ) : live || sealed ? null : (
        <p className="text-fine text-warn">
          This computer has no safe place for keys: the note lies unencrypted in a file of yours until it is sent.
        </p>
      )}
    </form>
  )
}

function Moment(props: { label: string; value: string; bad: boolean; empty?: string; onChange(text: string): void }) {
  return (
    <label className="flex items-center gap-1.5 text-dim">
      {props.label}
      <input
        value={props.value}
        placeholder={props.empty}
        aria-invalid={props.bad || undefined}
        onChange={(event) => props.onChange(event.target.value)}
        onKeyDown={(event) => {
          // Enter in a field of time only takes the time.
          if (event.key === 'Enter') event.preventDefault()
        }}
        className={`h-7 w-20 rounded-tag border bg-panel px-2 text-ink tabular-nums ${props.bad ? 'border-danger' : 'border-line'}`}
      />
    </label>
  )
}
