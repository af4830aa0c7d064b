import { type ReactNode, useEffect, useId, useRef, useState } from 'react'

export interface Choice {
  readonly value: string
  readonly label: string
  /** Beside the label. */
  readonly detail?: ReactNode
  /** What else it is found by. */
  readonly words?: string
}

const MOST = 60

/** Chooses one of many by typing some of it: a combobox (WAI-ARIA 1.2). `other` takes what is none of them as typed. */
export function Chooser(props: {
  label: string
  placeholder: string
  choices: readonly Choice[]
  value: string
  onChange: (value: string) => void
  other?: (typed: string) => boolean
  autoFocus?: boolean
}) {
  const { choices, value, onChange } = props
  const chosen = choices.find((choice) => choice.value === value)
  const [typed, setTyped] = useState<string | undefined>(undefined)
  const [at, setAt] = useState(0)
  const id = useId()
  const list = useRef<HTMLDivElement>(null)
  const open = typed !== undefined
  const wanted = (typed ?? '').toLowerCase().split(/\s+/).filter(Boolean)
  const fitting = open
    ? choices.filter((choice) => {
        const text = `${choice.label} ${choice.value} ${choice.words ?? ''}`.toLowerCase()
        return wanted.every((word) => text.includes(word))
      })
    : []
  const offered = fitting.slice(0, MOST)
  const take = (choice: Choice | undefined) => {
    if (choice) onChange(choice.value)
    else if (typed !== undefined && props.other?.(typed.trim())) onChange(typed.trim())
    setTyped(undefined)
  }
  useEffect(() => {
    if (open) list.current?.querySelector(`[id="${id}-${at}"]`)?.scrollIntoView({ block: 'nearest' })
  }, [open, at, id])
  return (
    <div className="relative flex flex-col gap-1.5">
      <label className="flex flex-col gap-1.5">
        <span className="font-semibold">{props.label}</span>
        <input
          role="combobox"
          aria-autocomplete="list"
          aria-expanded={open}
          aria-controls={`${id}-list`}
          aria-activedescendant={open && offered[at] ? `${id}-${at}` : undefined}
          // biome-ignore lint/a11y/noAutofocus: the first field of a dialog
          autoFocus={props.autoFocus}
          value={typed ?? chosen?.label ?? value}
          placeholder={props.placeholder}
          spellCheck={false}
          className="h-9 rounded-box border border-line-strong bg-panel px-3"
          onChange={(event) => {
            setTyped(event.target.value)
            setAt(0)
          }}
          onClick={() => {
            if (!open) setTyped('')
          }}
          onBlur={() => {
            // What was typed and fits one alone was meant.
            if (open) take(typed?.trim() && fitting.length === 1 ? fitting[0] : undefined)
          }}
          onKeyDown={(event) => {
            const { key } = event
            if (key === 'ArrowDown' || key === 'ArrowUp') {
              event.preventDefault()
              if (!open) {
                setTyped('')
                setAt(0)
              } else if (offered.length > 0)
                setAt((now) => (now + (key === 'ArrowDown' ? 1 : -1) + offered.length) % offered.length)
            } else if (key === 'Enter' && open) {
              event.preventDefault()
              // What fits nothing, perhaps not yet, stays to be seen and mended.
              if (offered[at] || props.other?.(typed.trim())) take(offered[at])
            } else if (key === 'Escape' && open) {
              event.preventDefault()
              event.stopPropagation()
              setTyped(undefined)
            }
          }}
        />
      </label>
      <div
        ref={list}
        id={`${id}-list`}
        role="listbox"
        aria-label={props.label}
        hidden={!open}
        className="absolute inset-x-0 top-full z-10 mt-1 max-h-60 overflow-y-auto rounded-box border border-line bg-panel py-1 shadow-box"
      >
        {offered.map((choice, i) => (
          // biome-ignore lint/a11y/useFocusableInteractive: the field holds the focus (aria-activedescendant)
          // biome-ignore lint/a11y/useKeyWithClickEvents: the field has the keys
          <div
            key={choice.value}
            id={`${id}-${i}`}
            role="option"
            aria-selected={i === at}
            className="flex items-center gap-3 px-3 py-1 aria-selected:bg-accent-pale"
            // The field would lose the focus first.
            onPointerDown={(event) => event.preventDefault()}
            onClick={() => take(choice)}
          >
            <span className="min-w-0 flex-1 truncate">{choice.label}</span>
            <span className="flex min-w-0 items-center gap-2 truncate text-fine text-dim">{choice.detail}</span>
          </div>
        ))}
        {offered.length === 0 ? (
          <p className="px-3 py-1 text-dim">
            {props.other?.((typed ?? '').trim()) ? 'Enter takes it as it is typed.' : 'Nothing is called that.'}
          </p>
        ) : fitting.length > offered.length ? (
          <p className="px-3 py-1 text-fine text-dim">and {fitting.length - offered.length} more: type on</p>
        ) : null}
      </div>
    </div>
  )
}
