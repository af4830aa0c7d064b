import { Dialog } from 'radix-ui'
import { useState } from 'react'
import { useFetched } from '../../app/agents.ts'
import { wordsOf } from '../../app/api.ts'
import { mayApply, savePolicyFiles, usePolicy } from '../../app/policy.ts'
import { core, useWorld } from '../../app/store.ts'
import { Button } from '../../parts/basics.tsx'
import { DiffView } from './diff-view.tsx'
import { differences } from './difference.ts'
import { OverlayDialog } from './overlay-dialog.tsx'
import { many } from './parts.tsx'

/** Overlays in force as edits of the policy folder, for those who keep it in git; those that are there by now can go. */
export function ExportOverlays({ onClose }: { onClose: () => void }) {
  const edits = useFetched('overlay edits', () => core().call('overlayEdits', {}))
  const inForce = usePolicy(({ view }) => view?.inForce)
  const overlays = usePolicy(({ view }) => view?.overlays)
  const admin = useWorld((world) => mayApply(world.me))
  const [problem, setProblem] = useState('')
  const [written, setWritten] = useState('')
  const [retiring, setRetiring] = useState<string | undefined>(undefined)
  const told = edits.value
  const files = told?.files ?? []
  const before = (inForce?.texts ?? []).filter((one) => files.some(({ file }) => file === one.file))
  const write = (form: 'patch' | 'tar') => {
    setProblem('')
    savePolicyFiles({
      ...{ name: `overlays.${form}`, form, files },
      // The patch is made here, of what is shown: what the gateway calls one may say something else.
      ...(form === 'patch' && { before }),
    }).then(
      (saved) => setWritten(saved ? `Written to ${saved.where}.` : ''),
      (error) => setProblem(wordsOf(error)),
    )
  }
  const redundant = (told?.redundant ?? []).flatMap((id) => overlays?.filter((overlay) => overlay.id === id) ?? [])
  const retired = redundant.find(({ id }) => id === retiring)
  return (
    <Dialog.Root open onOpenChange={(open) => (open ? undefined : onClose())}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 bg-[rgb(0_0_0/0.35)]" />
        <Dialog.Content className="fixed top-[8vh] left-1/2 flex max-h-[84vh] w-[min(760px,94vw)] -translate-x-1/2 flex-col rounded-box border border-line bg-panel p-6 shadow-box">
          <Dialog.Title className="text-title font-semibold">Overlays as edits of the policy folder</Dialog.Title>
          <Dialog.Description className="mt-1.5 text-dim">
            The gateway never writes the folder. Take these edits into git; once they are loaded, the overlays that they
            repeat can be retired.
          </Dialog.Description>
          <div className="mt-4 min-h-0 flex-1 overflow-y-auto">
            {told ? (
              <>
                <DiffView files={differences(before, files)} same="The folder has all of them already." />
                {(told.notes ?? []).map((note) => (
                  <p key={note} className="mt-2 text-dim">
                    {note}
                  </p>
                ))}
                {redundant.length > 0 ? (
                  <section aria-label="In the folder by now" className="mt-4">
                    <p className="font-semibold">{many(redundant.length, 'overlay')} in the folder by now</p>
                    <ul className="mt-1.5 flex flex-col gap-1.5">
                      {redundant.map(({ id, title }) => (
                        <li key={id} className="flex items-center gap-3">
                          <span className="min-w-0 flex-1 truncate">{title}</span>
                          {admin ? <Button onClick={() => setRetiring(id)}>Retire</Button> : null}
                        </li>
                      ))}
                    </ul>
                  </section>
                ) : null}
              </>
            ) : edits.problem ? (
              <p role="alert" className="rounded-box bg-warn-pale px-4 py-2.5 text-warn">
                {edits.problem}
              </p>
            ) : (
              <p role="status" className="text-dim">
                Fetching the edits…
              </p>
            )}
          </div>
          {problem ? (
            <p role="alert" className="mt-3 rounded-box bg-danger-pale px-3 py-2 text-danger">
              {problem}
            </p>
          ) : null}
          <div className="mt-5 flex flex-wrap items-center justify-end gap-2.5">
            <span role="status" className="min-w-0 flex-1 truncate text-dim">
              {written}
            </span>
            <Dialog.Close asChild>
              <Button>Close</Button>
            </Dialog.Close>
            <Button disabled={files.length === 0} onClick={() => write('tar')}>
              All files (.tar)
            </Button>
            <Button tone="accent" disabled={files.length === 0} onClick={() => write('patch')}>
              One patch
            </Button>
          </div>
          {retired ? <OverlayDialog overlay={retired} does="retire" onClose={() => setRetiring(undefined)} /> : null}
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  )
}
