import { X } from 'lucide-react'
import { useId, useState } from 'react'
import { VisibleText } from '../../../parts/visible-text.tsx'

const TAG = /^[\p{L}\p{N}][\p{L}\p{N} _.:-]{0,39}$/u
const MOST = 20

/** Tags of a note, with those that were used before offered as one types. Enter or a comma takes one. */
export function TagField(props: {
  tags: readonly string[]
  known: readonly string[]
  onChange(tags: readonly string[]): void
  onLeave(): void
  onDone(): void
}) {
  const { tags, known, onChange } = props
  const [typed, setTyped] = useState('')
  const [at, setAt] = useState(-1)
  const id = useId()
  const wanted = typed.trim().toLowerCase()
  const offered = known
    .filter((tag) => !tags.includes(tag) && (wanted === '' ? false : tag.toLowerCase().includes(wanted)))
    .slice(0, 6)
  const bad = wanted !== '' && !TAG.test(typed.trim())
  const add = (tag: string) => {
    const clean = tag.trim()
    if (!TAG.test(clean) || tags.length >= MOST) return
    if (!tags.includes(clean)) onChange([...tags, clean])
    setTyped('')
    setAt(-1)
  }
  return (
    <div className="relative flex min-w-0 flex-1 flex-wrap items-center gap-1.5">
      {tags.map((tag) => (
        <span
          key={tag}
          className="inline-flex items-center gap-1 rounded-tag bg-accent-pale py-px pr-0.5 pl-1.5 text-tag leading-4 font-semibold text-accent"
        >
          <VisibleText>{tag}</VisibleText>
          <button
            type="button"
            aria-label={`Remove the tag ${tag}`}
            className="inline-flex size-4 items-center justify-center rounded-tag hover:bg-panel"
            onClick={() => onChange(tags.filter((each) => each !== tag))}
          >
            <X size={11} aria-hidden />
          </button>
        </span>
      ))}
      <input
        role="combobox"
        aria-label="Tags"
        aria-autocomplete="list"
        aria-expanded={offered.length > 0}
        aria-controls={`${id}-list`}
        aria-activedescendant={at >= 0 && offered[at] !== undefined ? `${id}-${at}` : undefined}
        aria-invalid={bad || undefined}
        value={typed}
        maxLength={40}
        placeholder={tags.length === 0 ? 'Tags' : ''}
        className="h-6 min-w-20 flex-1 bg-transparent outline-none"
        onChange={(event) => {
          setTyped(event.target.value)
          setAt(-1)
        }}
        onBlur={() => {
          if (wanted !== '' && !bad) add(typed)
        }}
        onKeyDown={(event) => {
          const { key } = event
          if (key === 'ArrowDown' || key === 'ArrowUp') {
            if (offered.length === 0) return
            event.preventDefault()
            setAt((now) => (now + (key === 'ArrowDown' ? 1 : now < 0 ? 0 : -1) + offered.length) % offered.length)
          } else if (key === ',' || (key === 'Enter' && wanted !== '')) {
            event.preventDefault()
            add(offered[at] ?? typed)
          } else if (key === 'Enter') {
            event.preventDefault()
            props.onDone()
          } else if (key === 'Backspace' && typed === '') onChange(tags.slice(0, -1))
          else if (key === 'Escape') {
            event.stopPropagation()
            if (offered.length > 0) setTyped('')
            else props.onLeave()
          }
        }}
      />
      <div
        id={`${id}-list`}
        role="listbox"
        aria-label="Tags used before"
        hidden={offered.length === 0}
        className="absolute bottom-full left-0 z-10 mb-1 min-w-40 overflow-hidden rounded-box border border-line bg-panel py-1 shadow-box"
      >
        {offered.map((tag, i) => (
          // biome-ignore lint/a11y/useFocusableInteractive: the field holds the focus (aria-activedescendant)
          // biome-ignore lint/a11y/useKeyWithClickEvents: the field has the keys
          <div
            key={tag}
            id={`${id}-${i}`}
            role="option"
            aria-selected={i === at}
            className="px-3 py-1 aria-selected:bg-accent-pale"
            // The field would lose the focus first, and take what was typed.
            onPointerDown={(event) => event.preventDefault()}
            onClick={() => add(tag)}
          >
            <VisibleText>{tag}</VisibleText>
          </div>
        ))}
      </div>
    </div>
  )
}
