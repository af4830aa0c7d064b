import { ChevronDown } from 'lucide-react'

/** One choice out of some; nothing chosen shows the label. */
export function Select(props: {
  label: string
  value: string
  onChange: (value: string) => void
  options: readonly (readonly [string, string])[]
}) {
  return (
    <span className="relative min-w-0">
      <select
        aria-label={props.label}
        value={props.value}
        onChange={(event) => props.onChange(event.target.value)}
        className={`h-7 w-full appearance-none truncate rounded-box border border-line bg-panel pr-5 pl-2 text-fine ${props.value ? 'font-semibold text-accent' : 'text-dim'}`}
      >
        <option value="">{props.label}</option>
        {props.options.map(([value, name]) => (
          <option key={value} value={value}>
            {name}
          </option>
        ))}
      </select>
      <ChevronDown size={12} className="pointer-events-none absolute top-2 right-1.5 text-dim" aria-hidden />
    </span>
  )
}
