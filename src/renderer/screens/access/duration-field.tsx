import { useId } from 'react'
import { secondsOf, span } from '../../../span.ts'

const PRESETS = ['15m', '30m', '1h', '4h', '8h']

/** How long: some that are usual, or any other as people write it. */
export function DurationField({ value, onChange }: { value: string; onChange: (duration: string) => void }) {
  const id = useId()
  const seconds = secondsOf(value)
  return (
    <fieldset>
      <legend className="mb-1.5 font-semibold">How long</legend>
      <div className="flex flex-wrap items-center gap-1.5">
        {PRESETS.map((preset) => (
          <button
            key={preset}
            type="button"
            aria-pressed={preset === value}
            onClick={() => onChange(preset)}
            className="h-8 rounded-box border border-line px-2.5 aria-pressed:border-accent aria-pressed:bg-accent-pale aria-pressed:font-semibold aria-pressed:text-accent"
          >
            {span(secondsOf(preset)!)}
          </button>
        ))}
        <label className="flex items-center gap-2 text-dim">
          or
          <input
            value={value}
            onChange={(event) => onChange(event.target.value.trim())}
            aria-label="How long, as in 90m, 2h or 3d"
            aria-invalid={seconds === undefined || undefined}
            aria-describedby={id}
            spellCheck={false}
            className="h-8 w-20 rounded-box border border-line-strong bg-panel px-2 font-mono text-fine text-ink"
          />
        </label>
        <span id={id} aria-live="polite" className={`text-fine ${seconds === undefined ? 'text-danger' : 'text-dim'}`}>
          {seconds === undefined ? 'a number and s, m, h or d' : span(seconds)}
        </span>
      </div>
    </fieldset>
  )
}
