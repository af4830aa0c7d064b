import { Dialog } from 'radix-ui'
import { Key } from '../parts/basics.tsx'
import { allKeys } from './key-table.ts'
import type { Route } from './route.ts'

/** All keys of this screen, by `?`. */
export function KeysOverlay(props: { open: boolean; onOpenChange: (open: boolean) => void; screen: Route['screen'] }) {
  return (
    <Dialog.Root open={props.open} onOpenChange={props.onOpenChange}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 bg-[rgb(0_0_0/0.35)]" />
        <Dialog.Content
          aria-describedby={undefined}
          className="fixed top-[5vh] left-1/2 max-h-[90vh] w-[min(760px,92vw)] -translate-x-1/2 overflow-y-auto rounded-box border border-line bg-panel p-6 shadow-box outline-none"
        >
          <Dialog.Title className="mb-4 text-title font-semibold">Keys</Dialog.Title>
          <div className="grid gap-8 sm:grid-cols-[3fr_2fr]">
            {allKeys[props.screen].map((group) => (
              <section key={group.title}>
                <h3 className="mb-2 font-semibold text-dim">{group.title}</h3>
                <dl className="grid grid-cols-[max-content_1fr] items-center gap-x-4 gap-y-2">
                  {group.hints.map((hint) => (
                    <div key={hint.does} className="contents">
                      <dt className="flex gap-1">
                        {hint.keys.map((key, i) => (
                          // biome-ignore lint/suspicious/noArrayIndexKey: g g is the same key twice
                          <Key key={i}>{key}</Key>
                        ))}
                      </dt>
                      <dd>{hint.does}</dd>
                    </div>
                  ))}
                </dl>
              </section>
            ))}
          </div>
          <p className="mt-5 text-fine text-dim">Esc closes this.</p>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  )
}
