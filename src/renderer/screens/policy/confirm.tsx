import { AlertDialog } from 'radix-ui'
import { useState } from 'react'
import { wordsOf } from '../../app/api.ts'
import { Button } from '../../parts/basics.tsx'

/** Asks once more before something goes for good; why it was not done stands in the dialog. */
export function Confirm(props: {
  title: string
  description: string
  action: string
  onClose: () => void
  onDo: () => Promise<unknown>
}) {
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState('')
  return (
    <AlertDialog.Root open onOpenChange={(open) => (open ? undefined : props.onClose())}>
      <AlertDialog.Portal>
        <AlertDialog.Overlay className="fixed inset-0 bg-[rgb(0_0_0/0.35)]" />
        <AlertDialog.Content className="fixed top-[14vh] left-1/2 w-[min(440px,92vw)] -translate-x-1/2 rounded-box border border-line bg-panel p-6 shadow-box">
          <AlertDialog.Title className="text-title font-semibold break-words">{props.title}</AlertDialog.Title>
          <AlertDialog.Description className="mt-1.5 text-dim">{props.description}</AlertDialog.Description>
          {problem ? (
            <p role="alert" className="mt-3 rounded-box bg-danger-pale px-3 py-2 text-danger">
              {problem}
            </p>
          ) : null}
          <div className="mt-5 flex justify-end gap-2.5">
            <AlertDialog.Cancel asChild>
              <Button>Cancel</Button>
            </AlertDialog.Cancel>
            <Button
              tone="danger"
              disabled={busy}
              onClick={() => {
                setBusy(true)
                props.onDo().then(props.onClose, (error) => {
                  setProblem(wordsOf(error))
                  setBusy(false)
                })
              }}
            >
              {props.action}
            </Button>
          </div>
        </AlertDialog.Content>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  )
}
