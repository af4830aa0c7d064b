import { Check, CircleAlert, X } from 'lucide-react'
import { cancelExport, dismiss, type Export, useExports } from './exporting.ts'

/** Exports that are under way, below the header: how far each is, and the way to end it. */
export function ExportNotes() {
  const exports = useExports((state) => state.exports)
  if (exports.length === 0) return null
  return (
    <section aria-label="Exports" className="fixed top-12 right-4 z-10 flex w-80 flex-col gap-2">
      {exports.map((each) => (
        <Note key={each.work} of={each} />
      ))}
    </section>
  )
}

function Note({ of }: { of: Export }) {
  const { work, session, name, state, part, where, problem } = of
  const running = state === 'running'
  return (
    <div className="flex items-start gap-2.5 rounded-box border border-line bg-panel py-2.5 pr-2 pl-3.5 shadow-box">
      {running ? null : state === 'written' ? (
        <Check size={15} className="mt-0.5 shrink-0 text-ok" aria-hidden />
      ) : (
        <CircleAlert size={15} className="mt-0.5 shrink-0 text-warn" aria-hidden />
      )}
      <div className="min-w-0 flex-1">
        <p className="truncate">
          <b className="font-semibold">{name}</b> <span className="font-mono text-fine text-dim">{session}</span>
        </p>
        {running ? (
          <div
            role="progressbar"
            aria-label={`Export of ${session}`}
            aria-valuemin={0}
            aria-valuemax={100}
            {...(part === undefined ? {} : { 'aria-valuenow': Math.round(part * 100) })}
            className="mt-1.5 h-1.5 overflow-hidden rounded-full bg-sunken"
          >
            <div
              className={`h-full rounded-full bg-accent ${part === undefined ? 'w-1/4 motion-safe:animate-breathe' : ''}`}
              style={part === undefined ? undefined : { width: `${part * 100}%` }}
            />
          </div>
        ) : (
          <p className={`text-fine ${problem ? 'text-warn' : 'truncate text-dim'}`}>
            {problem ?? (where ? `written to ${where}` : 'written')}
          </p>
        )}
      </div>
      <button
        type="button"
        aria-label={running ? 'Cancel the export' : 'Dismiss'}
        title={running ? 'Cancel the export' : 'Dismiss'}
        className="inline-flex size-6 shrink-0 items-center justify-center rounded-tag text-dim hover:bg-sunken hover:text-ink"
        onClick={() => (running ? cancelExport(work) : dismiss(work))}
      >
        <X size={14} aria-hidden />
      </button>
    </div>
  )
}
