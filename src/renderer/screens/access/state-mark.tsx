import type { Grant } from '@countersign/contract/access'
import { Ban, CircleSlash, Hourglass, KeyRound, Siren, TimerOff } from 'lucide-react'
import { useNow } from '../../parts/clock.ts'
import { clock, dateAndClock, spokenLeft } from '../../parts/time.ts'
import { leftWords, spanOf, stateWords } from './words.ts'

const icons: Record<Grant['state'], typeof Ban> = {
  requested: Hourglass,
  active: KeyRound,
  expired: TimerOff,
  revoked: CircleSlash,
  denied: Ban,
}

/** How a grant stands: a picture and a word, never colour alone. */
export function StateMark({ grant, brief = false }: { grant: Grant; brief?: boolean }) {
  const Icon = icons[grant.state]
  const { tone, word } = stateWords(grant)
  const ink = { ok: 'text-ok', warn: 'text-warn', danger: 'text-danger', plain: 'text-dim', accent: '' }[tone]
  return (
    <span className={`whitespace-nowrap ${ink}`}>
      <Icon size={12} strokeWidth={2.2} className="mr-1 inline align-[-1.5px]" aria-hidden />
      <span className={brief ? 'sr-only' : ''}>{word}</span>
    </span>
  )
}

/** Given by one person in an emergency. */
export function BreakGlassMark({ words = 'break-glass' }: { words?: string }) {
  return (
    <span
      className="inline-flex items-center gap-1 rounded-tag bg-danger-pale px-1.5 py-px align-middle text-tag leading-4 font-semibold whitespace-nowrap text-danger"
      title="One person gave it alone in an emergency; somebody else reviews that"
    >
      <Siren size={11} aria-hidden className="shrink-0" />
      {words}
    </span>
  )
}

/** What is left of a live grant, as a quiet bar and a word; `exact` says when it ends. */
export function TimeLeft({ grant, exact = false }: { grant: Grant; exact?: boolean }) {
  const now = useNow()
  const span = spanOf(grant)
  if (grant.state !== 'active' || !span) return null
  const left = span.to - now
  const part = Math.max(0, Math.min(1, left / (span.to - span.from)))
  const urgent = left < 120_000
  return (
    <span
      className={`inline-flex shrink-0 items-center gap-1.5 tabular-nums ${urgent ? 'font-semibold text-danger' : 'text-dim'}`}
      title={`ends ${dateAndClock(span.to, now)}`}
    >
      <span className="h-1 w-9 overflow-hidden rounded-full bg-line max-lg:hidden" aria-hidden="true">
        <span className={`block h-full ${urgent ? 'bg-danger' : 'bg-ok'}`} style={{ width: `${part * 100}%` }} />
      </span>
      <span aria-hidden="true">{exact ? `until ${clock(span.to)}` : leftWords(left)}</span>
      <span className="sr-only">
        {spokenLeft(left)}, ends {dateAndClock(span.to, now)}
      </span>
    </span>
  )
}
