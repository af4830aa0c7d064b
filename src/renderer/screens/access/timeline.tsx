import type { Grant } from '@countersign/contract/access'
import { RadioGroup } from 'radix-ui'
import { memo, useMemo, useRef, useState } from 'react'
import { useNow } from '../../parts/clock.ts'
import { clock, dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { isLiveAt } from './filters.ts'
import { type Lane, lanesOf } from './lanes.ts'
import { spanOf } from './words.ts'

const HOUR = 3_600_000
const PLACES = 240
const LANE = 16

const RANGES = [
  { value: '1', label: '24 h', ms: 24 * HOUR, says: 'the last 24 hours' },
  { value: '7', label: '7 days', ms: 7 * 24 * HOUR, says: 'the last 7 days' },
  { value: '30', label: '30 days', ms: 30 * 24 * HOUR, says: 'the last 30 days' },
] as const
type Range = (typeof RANGES)[number]

/**
 * Who had access when, in one picture: a line an agent (or a connection, where one agent is shown). A click, or the
 * arrows, choose a moment: the list then has who had access at that moment.
 */
export function Timeline(props: {
  /** Those that fit the filter, but for its moment. */
  grants: readonly Grant[]
  by: 'agent' | 'connection'
  chosen: Grant | undefined
  at: number | undefined
  onMoment(at: number | undefined): void
}) {
  const { grants, by, chosen, at, onMoment } = props
  const [range, setRange] = useState<Range>(RANGES[0])
  const minute = Math.floor(useNow() / 60_000) * 60_000
  // A few minutes move nothing in a month.
  const now = minute - (minute % (range.ms / PLACES))
  const window = useMemo(() => ({ from: now - range.ms, to: now + range.ms / 8 }), [now, range])
  const lanes = useMemo(() => lanesOf(grants, by, window, { places: PLACES }), [grants, by, window])
  const place = useRef<HTMLDivElement>(null)
  const part = (t: number) => (t - window.from) / (window.to - window.from)
  const momentAt = (p: number) => window.from + Math.max(0, Math.min(1, p)) * (window.to - window.from)
  const choose = (clientX: number) => {
    const box = place.current!.getBoundingClientRect()
    onMoment(Math.round(momentAt((clientX - box.left) / box.width) / 60_000) * 60_000)
  }
  const moment = at ?? minute
  const count = useMemo(
    () => grants.reduce((sum, grant) => sum + (isLiveAt(grant, moment) ? 1 : 0), 0),
    [grants, moment],
  )
  const step = (window.to - window.from) / PLACES
  const span = chosen && spanOf(chosen)
  return (
    <figure
      aria-label="Who had access when"
      className="mx-7 mt-4 rounded-box border border-line bg-panel px-4 pt-2.5 pb-2 max-lg:mx-4"
    >
      <div className="mb-1.5 flex items-center gap-3">
        <figcaption className="min-w-0 flex-1 truncate text-fine text-dim">
          <b className="font-semibold">Who had access</b>{' '}
          {at === undefined ? `in ${range.says} · ${count} now` : `on ${dateAndClock(at, minute)} · ${count}`}
        </figcaption>
        <RadioGroup.Root
          value={range.value}
          onValueChange={(value) => setRange(RANGES.find((each) => each.value === value)!)}
          aria-label="How far back"
          className="flex h-6 overflow-hidden rounded-box border border-line text-fine"
        >
          {RANGES.map(({ value, label }) => (
            <RadioGroup.Item
              key={value}
              value={value}
              className="px-2 text-dim outline-offset-[-2px] hover:text-ink data-[state=checked]:bg-sunken data-[state=checked]:font-semibold data-[state=checked]:text-ink"
            >
              {label}
            </RadioGroup.Item>
          ))}
        </RadioGroup.Root>
      </div>
      {/* Always as high as all its lines: what stands below never jumps. */}
      <div className="grid h-24 grid-cols-[104px_minmax(0,1fr)] gap-x-3">
        <ul className="min-w-0" aria-label="Lines, from the top">
          {lanes.map((lane) => (
            <li key={lane.key} className="h-4 truncate text-tag leading-4 text-dim">
              {lane.others > 0 ? `${lane.others} more` : <VisibleText>{lane.label}</VisibleText>}
            </li>
          ))}
        </ul>
        <div
          ref={place}
          role="slider"
          tabIndex={0}
          aria-label="Moment"
          aria-valuemin={Math.round(window.from / 60_000)}
          aria-valuemax={Math.round(window.to / 60_000)}
          aria-valuenow={Math.round(moment / 60_000)}
          aria-valuetext={`${at === undefined ? 'now' : dateAndClock(at, minute)}, ${count} with access`}
          className="relative h-full touch-none outline-offset-2"
          onPointerDown={(event) => {
            event.currentTarget.setPointerCapture(event.pointerId)
            choose(event.clientX)
          }}
          onPointerMove={(event) => {
            if (event.buttons === 1) choose(event.clientX)
          }}
          onKeyDown={(event) => {
            const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: 10, PageDown: -10, Home: -1e9, End: 1e9 }[event.key]
            if (event.key === 'Escape' && at !== undefined) onMoment(undefined)
            else if (steps === undefined) return
            else onMoment(Math.max(window.from, Math.min(window.to, moment + steps * step * (event.shiftKey ? 10 : 1))))
            event.preventDefault()
            event.stopPropagation()
          }}
        >
          <Runs lanes={lanes} now={part(now) * PLACES} />
          {lanes.flatMap((lane, i) =>
            lane.emergencies.map((where) => (
              <span
                key={`${lane.key} ${where}`}
                title="break-glass"
                className="absolute -ml-[4px] size-2 rotate-45 rounded-[1px] border border-panel bg-danger"
                style={{ left: `${where * 100}%`, top: i * LANE + 4 }}
              />
            )),
          )}
          {span && span.to > window.from && span.from < window.to ? (
            <span
              aria-hidden="true"
              className="absolute min-w-1 rounded-[3px] border-2 border-accent"
              style={{
                top: laneOf(lanes, chosen, by) * LANE + 1,
                height: LANE - 2,
                left: `${Math.max(0, part(span.from)) * 100}%`,
                width: `${(Math.min(1, part(span.to)) - Math.max(0, part(span.from))) * 100}%`,
              }}
            />
          ) : null}
          <span
            aria-hidden="true"
            className="absolute inset-y-0 w-px border-l border-dashed border-line-strong"
            style={{ left: `${part(minute) * 100}%` }}
          />
          {at === undefined ? null : (
            <span
              aria-hidden="true"
              className="absolute inset-y-0 -ml-px w-0.5 rounded bg-ink"
              style={{ left: `${Math.max(0, Math.min(1, part(at))) * 100}%` }}
            />
          )}
          {lanes.length === 0 ? (
            <p className="absolute inset-0 grid place-items-center text-fine text-dim">
              Nobody had access in this time.
            </p>
          ) : null}
        </div>
      </div>
      <div className="relative ml-[116px] h-4 text-tag text-dim tabular-nums" aria-hidden="true">
        {[0, 0.25, 0.5, 0.75].map((p) => (
          <span key={p} className="absolute" style={{ left: `${p * (part(now) * 100)}%` }}>
            {range.value === '1' ? clock(momentAt(p * part(now))) : dayOf(momentAt(p * part(now)), minute)}
          </span>
        ))}
        <span className="absolute -translate-x-1/2" style={{ left: `${part(minute) * 100}%` }}>
          now
        </span>
      </div>
    </figure>
  )
}

/** At most so many lanes times places: ten thousand grants draw no more than ten. What is to come is paler. */
const Runs = memo(function Runs({ lanes, now }: { lanes: readonly Lane[]; now: number }) {
  return (
    <svg
      viewBox={`0 0 ${PLACES} ${LANE * 6}`}
      preserveAspectRatio="none"
      className="absolute inset-0 h-full w-full"
      aria-hidden="true"
    >
      {lanes.map((lane, i) =>
        lane.runs.map((run) => {
          const height = run.most > 1 ? 9 : 6
          const y = i * LANE + (LANE - height) / 2
          const past = Math.min(run.to, now)
          return (
            <g key={run.from} data-run>
              {past > run.from ? (
                <rect x={run.from} y={y} width={past - run.from} height={height} className="fill-bar" />
              ) : null}
              {run.to > now ? (
                <rect
                  x={Math.max(run.from, now)}
                  y={y}
                  width={run.to - Math.max(run.from, now)}
                  height={height}
                  className="fill-ok-pale stroke-ok"
                  strokeWidth="1"
                  vectorEffect="non-scaling-stroke"
                />
              ) : null}
            </g>
          )
        }),
      )}
    </svg>
  )
})

/** The line that a grant is in: its own, or that of all others. */
function laneOf(lanes: readonly Lane[], grant: Grant, by: 'agent' | 'connection'): number {
  const key = by === 'agent' ? grant.agent : grant.connection
  const own = lanes.findIndex((lane) => lane.key === key)
  return own >= 0 ? own : Math.max(0, lanes.length - 1)
}

const dayOf = (t: number, now: number) => dateAndClock(t, now).replace(/ \d\d:\d\d$/, '')
