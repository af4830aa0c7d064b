import { Dialog } from 'radix-ui'
import { offeredFormats, startExport } from '../../app/exporting.ts'
import { useLibrary } from '../../app/library.ts'
import { useWorld } from '../../app/store.ts'
import { Chip } from '../../parts/basics.tsx'

/** Chooses as what a session is written to a file. What can't be had offline says so. */
export function ExportSession(props: { session: string; onClose: () => void }) {
  const { session, onClose } = props
  const live = useWorld((world) => world.link.state === 'live')
  const capabilities = useWorld((world) => world.capabilities)
  const item = useLibrary((library) => library?.items.get(session))
  const here = (item?.bytes ?? 0) > 0
  return (
    <Dialog.Root open onOpenChange={(open) => (open ? undefined : onClose())}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 bg-[rgb(0_0_0/0.35)]" />
        <Dialog.Content className="fixed top-[16vh] left-1/2 w-[min(520px,92vw)] -translate-x-1/2 rounded-box border border-line bg-panel p-6 shadow-box">
          <Dialog.Title className="text-title font-semibold">Export this session</Dialog.Title>
          <Dialog.Description className="mt-1.5 text-dim">
            The file is no longer encrypted: keep it where you would keep what it says.
          </Dialog.Description>
          <ul className="mt-4 flex flex-col gap-1.5">
            {offeredFormats(capabilities).map(({ id, name, extension, says }) => {
              const can = live || (id === 'bundle' ? item?.bundle === 'kept' : here)
              return (
                <li key={id}>
                  <button
                    type="button"
                    disabled={!can}
                    className="flex w-full items-baseline gap-3 rounded-box border border-line px-3.5 py-2.5 text-left enabled:hover:bg-sunken disabled:text-dim"
                    onClick={() => {
                      onClose()
                      void startExport(session, id)
                    }}
                  >
                    <span className="w-40 shrink-0 font-semibold">{name}</span>
                    <span className="min-w-0 flex-1 text-fine text-dim">
                      {can
                        ? says
                        : id === 'bundle'
                          ? 'offline only where the session is pinned'
                          : 'not on this computer'}
                    </span>
                    <Chip>.{extension}</Chip>
                  </button>
                </li>
              )
            })}
          </ul>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  )
}
