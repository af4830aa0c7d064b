import { PolicyFileInput, type PolicyText } from '@countersign/contract/policies'
import { Dialog } from 'radix-ui'
import { useState } from 'react'
import { Button } from '../../parts/basics.tsx'

const beginnings = {
  cedar: `// What this file is for.

@id("name-of-the-policy")
permit (
  principal in Group::"some-agents",
  action in [Action::"sql:connect", Action::"sql:read"],
  resource in Connection::"orders"
);
`,
  tests: `# Each test asks the policies one question; they run with every save.
agents:
  reader: { groups: [shop-agents] }
connections:
  orders: { kind: postgres }
tests:
  - name: a reader reads
    agent: reader
    does: sql:read orders/public.orders
    expect: allow
  - name: a reader does not delete every row
    agent: reader
    does: "sql:write orders/public.orders delete, every row"
    expect: deny
`,
}

/** A new file of a draft: policies, or tests that run with every save. */
export function AddFile(props: { taken: readonly string[]; onClose: () => void; onAdd: (file: PolicyText) => void }) {
  const [name, setName] = useState('')
  const [kind, setKind] = useState<'cedar' | 'tests'>('cedar')
  const file = name.trim().replace(/\.(cedar|test\.yaml)$/, '') + (kind === 'cedar' ? '.cedar' : '.test.yaml')
  const fits = PolicyFileInput.shape.file.safeParse(file).success && !/^overlay/i.test(file)
  const taken = props.taken.some((one) => one.toLowerCase() === file.toLowerCase())
  const problem =
    name.trim() === ''
      ? ''
      : !fits
        ? 'A name such as orders: letters, digits, ., _ and -'
        : taken
          ? 'There is a file of that name.'
          : ''
  return (
    <Dialog.Root open onOpenChange={(open) => (open ? undefined : props.onClose())}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 bg-[rgb(0_0_0/0.35)]" />
        <Dialog.Content className="fixed top-[14vh] left-1/2 w-[min(440px,92vw)] -translate-x-1/2 rounded-box border border-line bg-panel p-6 shadow-box">
          <Dialog.Title className="text-title font-semibold">Add a file</Dialog.Title>
          <Dialog.Description className="mt-1.5 text-dim">
            Policies, or tests of them that run with every save.
          </Dialog.Description>
          <form
            className="mt-4 flex flex-col gap-3"
            onSubmit={(event) => {
              event.preventDefault()
              if (!name.trim() || problem) return
              props.onAdd({ file, text: beginnings[kind] })
              props.onClose()
            }}
          >
            <fieldset className="flex gap-4">
              <legend className="mb-1.5 font-semibold">What it has</legend>
              {(['cedar', 'tests'] as const).map((one) => (
                <label key={one} className="flex items-center gap-1.5">
                  <input type="radio" name="kind" checked={kind === one} onChange={() => setKind(one)} />
                  {one === 'cedar' ? 'policies (.cedar)' : 'tests (.test.yaml)'}
                </label>
              ))}
            </fieldset>
            <label className="flex flex-col gap-1.5">
              <span className="font-semibold">Name</span>
              <input
                value={name}
                onChange={(event) => setName(event.target.value)}
                placeholder="orders"
                spellCheck={false}
                className="h-9 rounded-box border border-line-strong bg-panel px-3 font-mono"
              />
            </label>
            <p aria-live="polite" className={`min-h-5 text-fine ${problem ? 'text-danger' : 'text-dim'}`}>
              {problem || (name.trim() ? file : '')}
            </p>
            <div className="flex justify-end gap-2.5">
              <Dialog.Close asChild>
                <Button>Cancel</Button>
              </Dialog.Close>
              <Button type="submit" tone="accent" disabled={!name.trim() || problem !== ''}>
                Add it
              </Button>
            </div>
          </form>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  )
}
