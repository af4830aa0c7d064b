import type { Session } from '@countersign/contract/session'
import { AlertDialog } from 'radix-ui'
import { useRef, useState } from 'react'
import { wordsOf } from '../../app/api.ts'
import { core, say } from '../../app/store.ts'
import { Button } from '../../parts/basics.tsx'

/** Ends a live session, with a reason that its agent and the record get. Asked twice: it can't be taken back. */
export function EndSession(props: { session: Session; open: boolean; onOpenChange: (open: boolean) => void }) {
  const { session, open, onOpenChange } = props
  const [reason, setReason] = useState('')
  const [problem, setProblem] = useState('')
  const field = useRef<HTMLInputElement>(null)
  const [busy, setBusy] = useState(false)
  const end = async () => {
    setBusy(true)
    setProblem('')
    try {
      await core().call('terminate', { session: session.id, reason: reason.trim() })
      say('Session ended')
      onOpenChange(false)
    } catch (error) {
      setProblem(wordsOf(error))
    }
    setBusy(false)
  }
  return (
    <AlertDialog.Root open={open} onOpenChange={onOpenChange}>
      <AlertDialog.Portal>
        <AlertDialog.Overlay className="fixed inset-0 bg-[rgb(0_0_0/0.35)]" />
        <AlertDialog.Content
          onOpenAutoFocus={(event) => {
            event.preventDefault()
            field.current?.focus()
          }}
          className="fixed top-[20vh] left-1/2 w-[min(460px,92vw)] -translate-x-1/2 rounded-box border border-line bg-panel p-6 shadow-box"
        >
          <AlertDialog.Title className="text-title font-semibold">
            End {session.identity.name} on {session.connection}?
          </AlertDialog.Title>
          <AlertDialog.Description className="mt-1.5 text-dim">
            Its connection is closed at once; what runs is cancelled and what is held is given up. The agent may connect
            again.
          </AlertDialog.Description>
          <form
            onSubmit={(event) => {
              event.preventDefault()
              if (reason.trim() && !busy) void end()
            }}
          >
            <label className="mt-4 flex flex-col gap-1.5">
              <span className="font-semibold">Reason</span>
              <input
                ref={field}
                value={reason}
                onChange={(event) => setReason(event.target.value)}
                maxLength={2000}
                placeholder="Kept with the record, shown to the agent"
                className="h-9 rounded-box border border-line-strong bg-panel px-3"
              />
            </label>
            {problem ? (
              <p role="alert" className="mt-3 rounded-box bg-danger-pale px-3 py-2 text-danger">
                {problem}
              </p>
            ) : null}
            <div className="mt-5 flex justify-end gap-2.5">
              <AlertDialog.Cancel asChild>
                <Button>Let it go on</Button>
              </AlertDialog.Cancel>
              <Button type="submit" tone="danger" disabled={reason.trim() === '' || busy}>
                {busy ? 'Ending…' : 'End session'}
              </Button>
            </div>
          </form>
        </AlertDialog.Content>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  )
}
