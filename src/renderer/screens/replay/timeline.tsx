import { type ReactNode, useMemo, useRef } from 'react'
import { playhead } from '../../parts/time.ts'
import { NOTE_MARK } from './annotations/marks.tsx'
import type { PlayerStore } from './player.ts'
import { activity, type Marker, type ReplayIndex } from './replay-index.ts'

const BARS = 160
/** As many marks as stand side by side without touching. */
const DOTS = 76
const WEIGHT: Record<Marker['kind'], number> = { denied: 4, error: 3, hold: 2, released: 1, mask: 0 }

/** The whole session in one picture: how busy it was, and what is worth going to. Click, drag or arrows seek. */
export function Timeline(props: {
  index: ReplayIndex
  length: number
  player: PlayerStore
  /** What its picture counts: what was asked for, or everything that happened. */
  busy?: 'steps' | 'moments'
  onSeek: (t: number) => void
  /** More marks, placed by their part of the length. */
  children?: ReactNode
}) {
  const { index, player, busy = 'steps', onSeek } = props
  const length = Math.max(1, props.length)
  const fine = length < 60_000
  const t = player((state) => state.t)
  const bars = useMemo(() => activity(index, length, BARS, busy), [index, length, busy])
  const spans = useMemo(() => holdSpans(index, length), [index, length])
  const dots = useMemo(() => foremost(index, length), [index, length])
  const place = useRef<HTMLDivElement>(null)
  const seekTo = (clientX: number) => {
    const box = place.current!.getBoundingClientRect()
    onSeek(Math.max(0, Math.min(1, (clientX - box.left) / box.width)) * length)
  }
  return (
    <div className="rounded-box border border-line bg-panel px-3">
      <div
        ref={place}
        role="slider"
        tabIndex={0}
        aria-label="Place in the recording"
        aria-valuemin={0}
        aria-valuemax={Math.round(length / 1000)}
        aria-valuenow={Math.round(t / 1000)}
        aria-valuetext={`${playhead(t, fine)} of ${playhead(length, fine)}`}
        className="relative h-[44px] touch-none outline-offset-2"
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId)
          seekTo(event.clientX)
        }}
        onPointerMove={(event) => {
          if (event.buttons === 1) seekTo(event.clientX)
        }}
        onKeyDown={(event) => {
          const step = { ArrowLeft: -5000, ArrowRight: 5000, Home: -1e15, End: 1e15 }[event.key]
          if (step === undefined) return
          event.preventDefault()
          event.stopPropagation()
          onSeek(t + (event.shiftKey ? (step / 5000) * (length / 10) : step))
        }}
      >
        <svg
          viewBox={`0 0 ${BARS} 24`}
          preserveAspectRatio="none"
          className="absolute inset-x-0 bottom-2 h-[22px] w-full fill-bar"
          aria-hidden="true"
        >
          {bars.map((bar, i) =>
            bar > 0 ? (
              <rect
                // biome-ignore lint/suspicious/noArrayIndexKey: a bar is its place
                key={i}
                x={i + 0.15}
                y={24 - 4 - bar * 20}
                width="0.7"
                height={4 + bar * 20}
                rx="0.2"
              />
            ) : null,
          )}
        </svg>
        {spans.map((span) => (
          <span
            key={span.from}
            className="absolute top-[9px] h-px min-w-px bg-warn"
            style={{ left: `${(span.from / length) * 100}%`, width: `${((span.to - span.from) / length) * 100}%` }}
            aria-hidden="true"
          />
        ))}
        {dots.map((marker) => (
          <span
            key={`${marker.t} ${marker.kind}`}
            title={`${playhead(marker.t, fine)} ${marker.label}`}
            className={`absolute top-[5px] -ml-[4.5px] size-[9px] ${MARKS[marker.kind]}`}
            style={{ left: `${(marker.t / length) * 100}%` }}
          />
        ))}
        {props.children}
        <span
          className="absolute inset-y-0 -ml-px w-0.5 rounded bg-ink"
          style={{ left: `${Math.min(100, (t / length) * 100)}%` }}
          aria-hidden="true"
        />
      </div>
    </div>
  )
}

/** Colour and shape, so that neither alone carries it. */
const MARKS: Record<Marker['kind'], string> = {
  hold: 'rounded-full border-2 border-warn bg-panel',
  released: 'rounded-full bg-ok',
  denied: 'rotate-45 rounded-[1px] bg-danger',
  error: 'rounded-[1px] bg-warn',
  mask: 'scale-75 rounded-[1px] border-2 border-dim bg-panel',
}

/** What the marks mean. */
export function Legend() {
  return (
    <ul className="flex items-center gap-3 text-fine text-dim">
      {(['hold', 'released', 'denied', 'error', 'mask'] as const).map((kind) => (
        <li key={kind} className="flex items-center gap-1.5">
          <span className={`size-[8px] ${MARKS[kind]}`} aria-hidden="true" />
          {{ hold: 'held', released: 'approved', denied: 'denied', error: 'error', mask: 'masked' }[kind]}
        </li>
      ))}
      <li className="flex items-center gap-1.5">
        <span className={NOTE_MARK} aria-hidden="true" />
        note
      </li>
    </ul>
  )
}

/** From when to when something was held: waiting is what takes time in a session. At most one a place. */
function holdSpans(index: ReplayIndex, length: number): { from: number; to: number }[] {
  const longest = new Map<number, { from: number; to: number }>()
  const { from: froms, to: tos } = index.columns.holds
  for (const [i, from] of froms.entries()) {
    const to = tos[i]! < 0 ? length : tos[i]!
    const at = Math.floor((from / length) * DOTS)
    const old = longest.get(at)
    if (!old || old.to - old.from < to - from) longest.set(at, { from, to })
  }
  return [...longest.values()]
}

/** At most one mark a place; what matters most wins. */
function foremost(index: ReplayIndex, length: number): Marker[] {
  const best = new Map<number, Marker>()
  for (let i = 0; i < index.markers; i++) {
    const marker = index.marker(i)
    const at = Math.floor((marker.t / length) * DOTS)
    const old = best.get(at)
    if (!old || WEIGHT[marker.kind] > WEIGHT[old.kind]) best.set(at, marker)
  }
  return [...best.values()]
}
