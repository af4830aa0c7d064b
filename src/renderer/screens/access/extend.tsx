import type { Grant } from '@countersign/contract/access'
import { Dialog } from 'radix-ui'
import { useRef, useState } from 'react'
import { secondsOf } from '../../../span.ts'
import { extend } from '../../app/access.ts'
import { Button } from '../../parts/basics.tsx'
import { VisibleText } from '../../parts/visible-text.tsx'
import { DurationField } from './duration-field.tsx'

/** Asks to prolong access: the same agent, actions and resources, decided anew. */
export function Extend({ grant, onClose }: { grant: Grant; onClose: () => void }) {
  const [duration, setDuration] = useState(grant.duration)
  const [purpose, setPurpose] = useState('')
  const field = useRef<HTMLInputElement>(null)
  const ready = secondsOf(duration) !== undefined && purpose.trim() !== ''
  return (
    <Dialog.Root open onOpenChange={(open) => (open ? undefined : onClose())}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 bg-[rgb(0_0_0/0.35)]" />
        <Dialog.Content
          onOpenAutoFocus={(event) => {
            event.preventDefault()
            field.current?.focus()
          }}
          className="fixed top-[14vh] left-1/2 max-h-[80vh] w-[min(520px,92vw)] -translate-x-1/2 overflow-y-auto rounded-box border border-line bg-panel p-6 shadow-box"
        >
          <Dialog.Title className="text-title font-semibold">
            Extend the access of <VisibleText>{grant.identity.name}</VisibleText> to {grant.connection}?
          </Dialog.Title>
          <Dialog.Description className="mt-1.5 text-dim">
            It is a new request for the same actions and resources, and policy decides it anew: at once, by people, or
            not at all. What is there goes on meanwhile.
          </Dialog.Description>
          <form
            onSubmit={(event) => {
              event.preventDefault()
              if (!ready) return
              void extend(grant.id, duration, purpose.trim())
              onClose()
            }}
          >
            <div className="mt-4">
              <DurationField value={duration} onChange={setDuration} />
            </div>
            <label className="mt-4 flex flex-col gap-1.5">
              <span className="font-semibold">Purpose</span>
              <input
                ref={field}
                value={purpose}
                onChange={(event) => setPurpose(event.target.value)}
                maxLength={2000}
                placeholder="Why it takes longer; shown to those who decide, kept with the record"
                className="h-9 rounded-box border border-line-strong bg-panel px-3"
              />
            </label>
            <div className="mt-5 flex justify-end gap-2.5">
              <Dialog.Close asChild>
                <Button>Cancel</Button>
              </Dialog.Close>
              <Button type="submit" tone="accent" disabled={!ready}>
                Ask to extend
              </Button>
            </div>
          </form>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  )
}
