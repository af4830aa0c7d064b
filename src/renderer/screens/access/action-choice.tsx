import { protocolName } from '../queue/words.ts'
import { actionsByKind } from './words.ts'

/** What the agent may do, in plain words; what a chosen one contains is chosen with it. */
export function ActionChoice(props: {
  /** Of the connection; undefined while none is chosen. */
  kind: string | undefined
  chosen: readonly string[]
  onChange: (actions: readonly string[]) => void
}) {
  const { kind, chosen, onChange } = props
  const offered = kind === undefined ? undefined : actionsByKind[kind]
  const contained = new Set(
    (offered ?? [])
      .filter(({ name }) => chosen.includes(name))
      .flatMap(({ contains }) => [...within(contains, offered!)]),
  )
  const toggle = (name: string, on: boolean) => {
    const rest = chosen.filter((each) => each !== name)
    if (!on) return onChange(rest)
    // What it contains needs no naming.
    const inside = within(offered?.find((each) => each.name === name)?.contains, offered ?? [])
    onChange([...rest.filter((each) => !inside.has(each)), name])
  }
  return (
    <fieldset>
      <legend className="mb-1.5 font-semibold">
        May{' '}
        {kind ? (
          <span className="font-normal text-dim">on {protocolName(kind)}; opening the connection comes with it</span>
        ) : null}
      </legend>
      {offered ? (
        <div className="grid grid-cols-2 gap-x-4 gap-y-1 rounded-box border border-line px-3 py-2 max-sm:grid-cols-1">
          {offered.map(({ name, says, grave }) => (
            <label key={name} className="flex min-h-6 items-start gap-2">
              <input
                type="checkbox"
                checked={chosen.includes(name) || contained.has(name)}
                disabled={contained.has(name)}
                onChange={(event) => toggle(name, event.target.checked)}
                className="mt-0.5 size-4 shrink-0 accent-(--accent)"
              />
              <span className="min-w-0">
                <span className={grave ? 'text-warn' : ''}>{says}</span>{' '}
                <code className="text-fine text-dim">{name}</code>
              </span>
            </label>
          ))}
        </div>
      ) : kind === undefined ? (
        <p className="rounded-box border border-line px-3 py-2 text-dim">Choose a connection first.</p>
      ) : (
        <p className="rounded-box border border-line px-3 py-2 text-dim">
          This console doesn’t know what can be done on {protocolName(kind)}: ask by countersign grants request.
        </p>
      )}
    </fieldset>
  )
}

/** All that some actions contain, through groups in groups. */
function within(
  names: readonly string[] | undefined,
  offered: readonly { name: string; contains?: readonly string[] }[],
): Set<string> {
  const all = new Set<string>()
  for (const name of names ?? []) {
    all.add(name)
    for (const inner of within(offered.find((each) => each.name === name)?.contains, offered)) all.add(inner)
  }
  return all
}
