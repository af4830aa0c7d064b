import type { Campaign, ReviewSignals } from '@countersign/contract/review'
import { figure, many } from './words.ts'

const parts = [
  ['certify', 'certified', 'fill-ok bg-ok'],
  ['abstain', 'abstained', 'fill-bar bg-bar'],
  ['reduce', 'reduced', 'fill-warn bg-warn'],
  ['revoke', 'revoked', 'fill-danger bg-danger'],
] as const

/** How far a campaign is: one bar, a colour a decision; the figures are in its name. */
export function ProgressBar({ counts, high = false }: { counts: Campaign['counts']; high?: boolean }) {
  const done = counts.items - counts.undecided
  const words = parts.map(([key, word]) => `${figure(counts[key])} ${word}`).join(', ')
  return (
    <div
      role="img"
      aria-label={`${figure(done)} of ${many(counts.items, 'item')} decided: ${words}`}
      className={`flex w-full overflow-hidden rounded-[2px] bg-sunken ${high ? 'h-2.5' : 'h-1.5'}`}
    >
      {parts.map(([key, , look]) =>
        counts[key] > 0 ? (
          <span
            key={key}
            className={`not-first:border-l not-first:border-panel ${look}`}
            style={{ width: `${(100 * counts[key]) / Math.max(1, counts.items)}%` }}
          />
        ) : null,
      )}
    </div>
  )
}

/** What the bar's colours mean, with their figures. */
export function Legend({ counts }: { counts: Campaign['counts'] }) {
  return (
    <ul className="flex flex-wrap gap-x-4 gap-y-1 text-fine text-dim">
      {parts.map(([key, word, look]) => (
        <li key={key} className="flex items-center gap-1.5">
          <span className={`size-2 rounded-[2px] ${look}`} aria-hidden="true" />
          <b className="font-semibold text-ink tabular-nums">{figure(counts[key])}</b> {word}
        </li>
      ))}
      <li className="flex items-center gap-1.5">
        <span className="size-2 rounded-[2px] border border-line-strong" aria-hidden="true" />
        <b className="font-semibold text-ink tabular-nums">{figure(counts.undecided)}</b> undecided
      </li>
    </ul>
  )
}

const WIDTH = 640
const HEIGHT = 132
const LEFT = 44
const BOTTOM = 20
const DAY = 86_400_000

/** Items open by day, beside the even pace to the due date. */
export function BurnDown(props: {
  days: ReviewSignals['burnDown']
  startedAt: string
  dueAt: string | undefined
  items: number
  now: number
}) {
  const { days, items, now } = props
  const start = Date.parse(`${props.startedAt.slice(0, 10)}T00:00:00Z`)
  const points = days.map(({ day, open }) => ({ at: Date.parse(`${day}T00:00:00Z`), open }))
  const last = points.at(-1)
  if (!last || items === 0)
    return <p className="text-fine text-dim">The first day is not over: there is nothing to draw yet.</p>
  const end = Math.max(Date.parse(props.dueAt ?? '') || 0, last.at, start + DAY)
  const x = (at: number) => LEFT + ((Math.max(start, at) - start) / (end - start)) * (WIDTH - LEFT - 8)
  const y = (open: number) => 8 + (1 - open / items) * (HEIGHT - BOTTOM - 8)
  const line = points.map(({ at, open }) => `${x(at).toFixed(1)},${y(open).toFixed(1)}`).join(' ')
  const due = props.dueAt ? Date.parse(props.dueAt) : undefined
  const pace = due && now < due ? (items * (due - now)) / Math.max(1, due - start) : 0
  const words = `${figure(last.open)} of ${figure(items)} open${due && now < due ? `; an even pace would have ${figure(Math.round(pace))} open now` : ''}`
  const day = (at: number) =>
    new Date(at).toLocaleDateString('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' })
  return (
    <figure>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={`Burn-down: ${words}`}
        className="w-full max-w-[760px]"
      >
        {[0, items / 2, items].map((open) => (
          <g key={open}>
            <line x1={LEFT} x2={WIDTH - 8} y1={y(open)} y2={y(open)} className="stroke-line" />
            <text x={LEFT - 6} y={y(open) + 3.5} textAnchor="end" className="fill-dim text-[10px]">
              {figure(Math.round(open))}
            </text>
          </g>
        ))}
        <polygon points={`${x(points[0]!.at)},${y(0)} ${line} ${x(last.at)},${y(0)}`} className="fill-accent-pale" />
        <polyline points={line} fill="none" strokeWidth="2" strokeLinejoin="round" className="stroke-accent" />
        {due ? (
          <line
            x1={x(start)}
            y1={y(items)}
            x2={x(due)}
            y2={y(0)}
            strokeDasharray="4 4"
            className="stroke-line-strong"
            fill="none"
          />
        ) : null}
        <circle cx={x(last.at)} cy={y(last.open)} r="3.5" className="fill-accent" />
        <text x={LEFT} y={HEIGHT - 5} className="fill-dim text-[10px]">
          {day(start)}
        </text>
        {due ? (
          <text x={x(due)} y={HEIGHT - 5} textAnchor="end" className="fill-dim text-[10px]">
            due {day(due)}
          </text>
        ) : null}
      </svg>
      <figcaption className="mt-1 text-fine text-dim">{words}. Dashed: an even pace.</figcaption>
    </figure>
  )
}
