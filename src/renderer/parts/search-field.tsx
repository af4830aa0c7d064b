import { Search } from 'lucide-react'
import type { RefObject } from 'react'

/** Narrows a list as one types: Esc clears it, Enter and ↓ go into the list. */
export function SearchField(props: {
  label: string
  placeholder: string
  value: string
  field: RefObject<HTMLInputElement | null>
  onChange: (value: string) => void
  /** Esc; where nothing is said it empties the field. */
  onClear?: () => void
  /** Into the list; `found`: not by Esc, so that what is on top may be chosen. */
  onList: (found: boolean) => void
  className?: string
}) {
  return (
    <label
      className={`mx-3 flex h-8 shrink-0 items-center gap-2 rounded-box border border-line px-2 text-dim focus-within:border-accent ${props.className ?? ''}`}
    >
      <Search size={13} aria-hidden />
      <span className="sr-only">{props.label}</span>
      <input
        ref={props.field}
        value={props.value}
        onChange={(event) => props.onChange(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === 'Escape') (props.onClear ?? (() => props.onChange('')))()
          if (event.key === 'Escape' || event.key === 'Enter' || event.key === 'ArrowDown') {
            event.preventDefault()
            props.onList(event.key !== 'Escape')
          }
        }}
        placeholder={props.placeholder}
        spellCheck={false}
        className="min-w-0 flex-1 bg-transparent text-ink outline-none"
      />
    </label>
  )
}
