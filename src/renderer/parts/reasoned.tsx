import { AlertDialog } from 'radix-ui'
import { type ReactNode, useRef, useState } from 'react'
import { wordsOf } from '../app/api.ts'
import { Button } from './basics.tsx'

/** Asks for a reason, and does it only with one; why it was not done stands in the dialog. */
export function Reasoned(props: {
  title: ReactNode
  description: ReactNode
  action: string
  doing: string
  placeholder: string
  danger?: boolean
  /** Characters that a reason has at least; 1 where nothing is said. */
  least?: number
  /** Whether what else it asks for is there. */
  ready?: boolean
  onClose: () => void
  onReason: (reason: string) => Promise<void>
  children?: ReactNode
}) {
  const { least = 1, ready = true } = props
  const [reason, setReason] = useState('')
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const field = useRef<HTMLInputElement>(null)
  const left = least - [...reason.trim()].length
  const go = async () => {
    setBusy(true)
    setProblem('')
    try {
      await props.onReason(reason.trim())
      props.onClose()
    } catch (error) {
      setProblem(wordsOf(error))
      setBusy(false)
    }
  }
  return (
    <AlertDialog.Root open onOpenChange={(open) => (open ? undefined : props.onClose())}>
      <AlertDialog.Portal>
        <AlertDialog.Overlay className="fixed inset-0 bg-[rgb(0_0_0/0.35)]" />
        <AlertDialog.Content
          onOpenAutoFocus={(event) => {
            event.preventDefault()
            field.current?.focus()
          }}
          className="fixed top-[14vh] left-1/2 max-h-[80vh] w-[min(480px,92vw)] -translate-x-1/2 overflow-y-auto rounded-box border border-line bg-panel p-6 shadow-box"
        >
          <AlertDialog.Title className="text-title font-semibold">{props.title}</AlertDialog.Title>
          <AlertDialog.Description className="mt-1.5 text-dim">{props.description}</AlertDialog.Description>
          <form
            onSubmit={(event) => {
              event.preventDefault()
              if (left <= 0 && ready && !busy) void go()
            }}
          >
            {props.children}
            <label className="mt-4 flex flex-col gap-1.5">
              <span className="font-semibold">Reason</span>
              <input
                ref={field}
                value={reason}
                onChange={(event) => setReason(event.target.value)}
                maxLength={2000}
                placeholder={props.placeholder}
                className="h-9 rounded-box border border-line-strong bg-panel px-3"
              />
            </label>
            {least > 1 ? (
              <p className="mt-1 text-fine text-dim" aria-live="polite">
                {left > 0 ? `${left} more character${left === 1 ? '' : 's'}` : 'Long enough.'}
              </p>
            ) : null}
            {problem ? (
              <p role="alert" className="mt-3 rounded-box bg-danger-pale px-3 py-2 text-danger">
                {problem}
              </p>
            ) : null}
            <div className="mt-5 flex justify-end gap-2.5">
              <AlertDialog.Cancel asChild>
                <Button>Cancel</Button>
              </AlertDialog.Cancel>
              <Button type="submit" tone={props.danger ? 'danger' : 'accent'} disabled={left > 0 || !ready || busy}>
                {busy ? props.doing : props.action}
              </Button>
            </div>
          </form>
        </AlertDialog.Content>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  )
}
