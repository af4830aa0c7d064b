import { useId } from 'react'
import type { WitnessedLog } from '../../../witness-api.ts'
import { useNow } from '../../parts/clock.ts'
import { clock, dateAndClock, isToday } from '../../parts/time.ts'
import { entries, figure } from './words.ts'

const WIDTH = 640
const HEIGHT = 104
const EDGE = 6

/** How the log grew, with each checkpoint that was seen as a dot: between two dots nobody here was looking. */
export function Growth({ growth }: { growth: WitnessedLog['growth'] }) {
  const now = useNow()
  const caption = useId()
  const [first, last] = [growth[0], growth.at(-1)]
  if (!first || !last) return null
  const when = (at: string) => (isToday(at, now) ? clock(at) : dateAndClock(at, now))
  const words =
    growth.length === 1
      ? `One checkpoint so far, of ${entries(first.size)}, at ${when(first.at)}.`
      : `From ${entries(first.size)} at ${when(first.at)} to ${figure(last.size)} at ${when(last.at)}. Each dot is a checkpoint that this desktop saw.`
  const [from, to] = [Date.parse(first.at), Date.parse(last.at)]
  const x = (at: string) => EDGE + (to > from ? (Date.parse(at) - from) / (to - from) : 0.5) * (WIDTH - 2 * EDGE)
  const low = first.size
  const y = (size: number) =>
    HEIGHT - EDGE - (last.size > low ? (size - low) / (last.size - low) : 0.5) * (HEIGHT - 2 * EDGE)
  const points = growth.map(({ at, size }) => [x(at), y(size)] as const)
  const steps = points.map(([px, py], i) => (i === 0 ? `M${px} ${py}` : `H${px}V${py}`)).join('')
  const dots = points.length > 60 ? 1.8 : 3
  return (
    <figure aria-labelledby={caption} className="rounded-box border border-line bg-panel px-4 pt-3 pb-2.5">
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        className="block h-[104px] w-full overflow-visible"
        aria-hidden="true"
      >
        <path d={`${steps}V${HEIGHT}H${points[0]![0]}Z`} className="fill-accent-pale" />
        <path d={steps} fill="none" strokeWidth="1.5" vectorEffect="non-scaling-stroke" className="stroke-accent" />
      </svg>
      <div className="relative -mt-[104px] mb-1.5 h-[104px]" aria-hidden="true">
        {points.map(([px, py], i) => (
          <span
            key={growth[i]!.at + growth[i]!.size}
            className="absolute -translate-1/2 rounded-full border border-panel bg-accent"
            style={{
              left: `${(px / WIDTH) * 100}%`,
              top: py,
              width: 2 * dots + 2,
              height: 2 * dots + 2,
            }}
          />
        ))}
      </div>
      <figcaption id={caption} className="text-fine text-dim">
        {words}
      </figcaption>
    </figure>
  )
}
