import { useEffect, useRef, useState } from 'react'
import { wordsOf } from '../../../app/api.ts'
import { core, say } from '../../../app/store.ts'
import { Button, Key } from '../../../parts/basics.tsx'
import type { Note } from './notes.ts'

/** Takes a note back, with a reason. What only this computer has is thrown away; anything else stays in the log. */
export function Withdraw({ note, onDone }: { note: Note; onDone(): void }) {
  const [reason, setReason] = useState('')
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const form = useRef<HTMLFormElement>(null)
  const never = note.state === 'here'
  useEffect(() => form.current?.querySelector<HTMLElement>('input, button')?.focus(), [])
  const withdraw = async () => {
    if (busy) return
    setBusy(true)
    try {
      await core().call('withdrawAnnotation', { session: note.session, id: note.id, reason: reason.trim() })
      say(never ? 'Note taken back' : 'Note withdrawn')
      onDone()
    } catch (error) {
      setProblem(wordsOf(error))
      setBusy(false)
    }
  }
  return (
    <form
      ref={form}
      aria-label={never ? 'Discard the note' : 'Withdraw the note'}
      className="flex flex-col gap-1.5"
      onSubmit={(event) => {
        event.preventDefault()
        void withdraw()
      }}
      onKeyDown={(event) => {
        if (event.key !== 'Escape') return
        event.stopPropagation()
        onDone()
      }}
    >
      {never ? (
        <p className="text-fine text-dim">
          Nobody but you has seen it. If it is on its way already, it is withdrawn instead.
        </p>
      ) : (
        <label className="flex flex-col gap-1 text-fine">
          Reason
          <input
            value={reason}
            maxLength={2000}
            placeholder="Kept with the note, in the log"
            className="h-8 rounded-tag border border-line-strong bg-panel px-2"
            onChange={(event) => setReason(event.target.value)}
          />
        </label>
      )}
      {problem ? (
        <p role="alert" className="text-fine text-danger">
          {problem}
        </p>
      ) : null}
      <p className="flex gap-2">
        <Button type="submit" tone="danger" className="h-8! px-2.5!" disabled={busy}>
          {never ? 'Discard' : 'Withdraw'} <Key>⏎</Key>
        </Button>
        <Button quiet className="h-8! px-2.5!" onClick={onDone}>
          Let it stand
        </Button>
      </p>
    </form>
  )
}
