import { Dialog } from 'radix-ui'
import { terminalExports } from '../../../terminal-api.ts'
import { oneLine } from '../../../visible.ts'
import { offeredFormats, startExport, startTerminalExport, useShownChannel } from '../../app/exporting.ts'
import { useLibrary } from '../../app/library.ts'
import { useWorld } from '../../app/store.ts'
import { Chip } from '../../parts/basics.tsx'
import { VisibleText } from '../../parts/visible-text.tsx'

/** Chooses as what a session is written to a file. What can't be had offline says so. */
export function ExportSession(props: { session: string; onClose: () => void }) {
  const { session, onClose } = props
  const live = useWorld((world) => world.link.state === 'live')
  const capabilities = useWorld((world) => world.capabilities)
  const item = useLibrary((library) => library?.items.get(session))
  const here = (item?.bytes ?? 0) > 0
  const shown = useShownChannel((state) => state.shown)
  const channel = shown?.session === session ? shown : undefined
  return (
    <Dialog.Root open onOpenChange={(open) => (open ? undefined : onClose())}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 bg-[rgb(0_0_0/0.35)]" />
        <Dialog.Content className="fixed top-[8vh] left-1/2 max-h-[84vh] w-[min(520px,92vw)] overflow-y-auto -translate-x-1/2 rounded-box border border-line bg-panel p-6 shadow-box">
          <Dialog.Title className="text-title font-semibold">Export this session</Dialog.Title>
          <Dialog.Description className="mt-1.5 text-dim">
            The file is no longer encrypted: keep it where you would keep what it says.
          </Dialog.Description>
          <ul className="mt-4 flex flex-col gap-1.5">
            {offeredFormats(capabilities).map(({ id, name, extension, says }) => {
              const can = live || (id === 'bundle' ? item?.bundle === 'kept' : here)
              return (
                <li key={id}>
                  <Format
                    {...{ name, extension, says, can }}
                    why={id === 'bundle' ? 'offline only where the session is pinned' : undefined}
                    onChoose={() => {
                      onClose()
                      void startExport(session, id)
                    }}
                  />
                </li>
              )
            })}
          </ul>
          {channel ? (
            <>
              <h3 className="mt-5 truncate text-fine font-semibold text-dim">
                Only {channel.terminal ? 'the terminal' : 'the output'} on the screen
                {channel.command ? (
                  <>
                    {': '}
                    <span className="font-mono font-normal">
                      <VisibleText>{oneLine(channel.command, 80)}</VisibleText>
                    </span>
                  </>
                ) : null}
              </h3>
              <ul className="mt-2 flex flex-col gap-1.5">
                {terminalExports
                  .filter(({ id }) => !channel.terminal || id !== 'errors')
                  .map(({ id, name, extension, says }) => (
                    <li key={id}>
                      <Format
                        {...{ name, extension, says }}
                        can={live || here}
                        onChoose={() => {
                          onClose()
                          void startTerminalExport(channel, id)
                        }}
                      />
                    </li>
                  ))}
              </ul>
            </>
          ) : null}
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  )
}

function Format(props: {
  name: string
  extension: string
  says: string
  can: boolean
  /** Why it can’t be had. */
  why?: string | undefined
  onChoose: () => void
}) {
  const { name, extension, says, can, why = 'not on this computer', onChoose } = props
  return (
    <button
      type="button"
      disabled={!can}
      className="flex w-full items-baseline gap-3 rounded-box border border-line px-3.5 py-2.5 text-left enabled:hover:bg-sunken disabled:text-dim"
      onClick={onChoose}
    >
      <span className="w-40 shrink-0 font-semibold">{name}</span>
      <span className="min-w-0 flex-1 text-fine text-dim">{can ? says : why}</span>
      <Chip>.{extension}</Chip>
    </button>
  )
}
