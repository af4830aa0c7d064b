import { useVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useLayoutEffect, useRef, useState, useSyncExternalStore } from 'react'
import { countUpTo } from '../../../recording-index.ts'
import type { ChannelRow } from '../../../terminal-api.ts'
import { playhead } from '../../parts/time.ts'
import { useHighlight } from './find.ts'
import type { PlayerStore } from './player.ts'
import type { ReadyRecording } from './recording.ts'
import { StepView } from './step-view.tsx'

/**
 * So many steps can be scrolled through at once. Their heights are only known once they are laid out, and counting with
 * hundreds of thousands of them would be felt with every frame; near an end the stretch moves on.
 */
const STRETCH = 3000
const NEAR_END = 150
/** The core thins out moments closer than this: what happens so soon after one is shown with it. */
const MOMENT_MS = 100

/** The recording to read: command → verdict → result, as far as it has happened where it plays. */
export function TranscriptPane(props: {
  recording: ReadyRecording
  fine: boolean
  player: PlayerStore
  words: string
  onOpen(channel: ChannelRow): void
}) {
  const { recording, player } = props
  const { index, windows, session, startedAt } = recording
  const host = session.protocol === 'ssh'
  const version = useSyncExternalStore(windows.subscribe, windows.version)
  const playing = player((state) => state.playing)
  // Changes only when something happens, not with every frame.
  const happened = player((state) => countUpTo(index.moments, state.t))
  const current = player((state) => index.stepAt(state.t))
  const [begin, setBegin] = useState(() => around(current, index.count))
  const [moved, setMoved] = useState<{ step: number; above: number } | undefined>(undefined)
  const [followed, setFollowed] = useState(current)
  let base = begin
  // Another step is current: the stretch goes there. A person who scrolls may leave it.
  if (followed !== current) {
    setFollowed(current)
    if (current >= 0 && (current < begin || current >= begin + STRETCH)) {
      base = around(current, index.count)
      setBegin(base)
    }
  }
  const count = Math.min(STRETCH, index.count - base)

  const scroller = useRef<HTMLDivElement>(null)
  /** The stretch has moved, and what is scrolled to is not what is shown yet. */
  const moving = useRef(false)
  const virtual = useVirtualizer({
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => 68,
    getItemKey: (i) => index.keyOf(base + i),
    overscan: 6,
  })
  const items = virtual.getVirtualItems()
  const first = base + (items[0]?.index ?? 0)
  const last = base + (items.at(-1)?.index ?? 0)

  // biome-ignore lint/correctness/useExhaustiveDependencies: another stretch is the occasion
  useLayoutEffect(() => {
    moving.current = true
    // What is scrolled to is told in the next frame, and laid out in the one after.
    let frame = requestAnimationFrame(() => {
      frame = requestAnimationFrame(() => {
        moving.current = false
      })
    })
    return () => cancelAnimationFrame(frame)
  }, [base])
  useEffect(() => {
    // What comes next while it plays is asked for before it is there.
    windows.want(first, playing ? last + 128 : last)
  }, [windows, first, last, playing])

  // Somebody scrolls towards an end of the stretch: another stretch, with the same step at the same place.
  useEffect(() => {
    const node = scroller.current
    const low = first < base + NEAR_END && base > 0
    const high = last > base + count - NEAR_END && base + count < index.count
    if (!node || moving.current || items.length === 0 || (!low && !high)) return
    const seen = items.find((item) => item.start + item.size > node.scrollTop) ?? items[0]!
    const step = base + seen.index
    const next = around(step, index.count)
    if (next === base) return
    setMoved({ step, above: node.scrollTop - seen.start })
    setBegin(next)
  }, [first, last, base, count, index.count, items])
  useLayoutEffect(() => {
    if (!moved || !scroller.current) return
    const place = virtual.getOffsetForIndex(moved.step - begin, 'start')?.[0] ?? 0
    scroller.current.scrollTop = place + moved.above
    setMoved(undefined)
  }, [moved, begin, virtual])

  // Rows whose words have come are taller at once: before they are painted, or they would lie over one another meanwhile.
  // biome-ignore lint/correctness/useExhaustiveDependencies: other words and what has happened change heights
  useLayoutEffect(() => {
    for (const row of scroller.current?.querySelectorAll<HTMLElement>('[data-step]') ?? [])
      virtual.resizeItem(Number(row.dataset.index), row.offsetHeight)
  }, [virtual, version, happened, playing])

  // biome-ignore lint/correctness/useExhaustiveDependencies: what has happened changes heights
  useEffect(() => {
    if (current >= base) virtual.scrollToIndex(current - base, { align: 'auto' })
    // Heights are only known once laid out: look again then.
    const look = () => scroller.current?.querySelector(`[data-step="${current}"]`)?.scrollIntoView({ block: 'nearest' })
    const frame = requestAnimationFrame(look)
    const watcher = new ResizeObserver(look)
    if (scroller.current) watcher.observe(scroller.current)
    return () => {
      cancelAnimationFrame(frame)
      watcher.disconnect()
    }
  }, [current, happened, virtual, windows.get(current) === undefined])
  useHighlight(scroller, props.words, `${first} ${last} ${happened} ${playing} ${version}`)
  return (
    <section
      ref={scroller}
      aria-label="Transcript"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keys
      tabIndex={0}
      className={`min-h-0 overflow-y-auto rounded-box border border-line py-1 ${host ? 'on-terminal' : 'bg-panel'}`}
    >
      <div className="relative w-full" style={{ height: virtual.getTotalSize() }}>
        {items.map((item) => {
          const place = base + item.index
          const step = windows.get(place)
          return (
            <div
              key={item.key}
              ref={virtual.measureElement}
              data-index={item.index}
              data-step={place}
              className="absolute inset-x-0 top-0"
              style={{ transform: `translateY(${item.start}px)` }}
            >
              {step ? (
                <StepView
                  step={step}
                  current={place === current}
                  future={playing && place > current}
                  until={playing ? (index.moments[happened - 1] ?? 0) + MOMENT_MS : Number.POSITIVE_INFINITY}
                  fine={props.fine}
                  session={session.id}
                  connection={session.connection}
                  protocol={session.protocol}
                  onOpen={props.onOpen}
                  startedAt={startedAt}
                />
              ) : (
                <Unread
                  t={index.timeOf(place)}
                  fine={props.fine}
                  current={place === current}
                  problem={windows.problem(place)}
                />
              )}
            </div>
          )
        })}
      </div>
    </section>
  )
}

/** A step whose words are not here yet, or can't be had. */
function Unread({
  t,
  fine,
  current,
  problem,
}: {
  t: number
  fine: boolean
  current: boolean
  problem: string | undefined
}) {
  return (
    <div
      className={`flex min-h-[68px] gap-3.5 border-l-2 py-2 pr-4 pl-2 ${current ? 'border-accent bg-accent-pale' : 'border-transparent'}`}
      aria-current={current ? 'step' : undefined}
    >
      <time className="min-w-12 shrink-0 pt-0.5 text-right text-fine text-dim tabular-nums">{playhead(t, fine)}</time>
      {problem ? <p className="text-warn">{problem}</p> : <p className="text-dim">…</p>}
    </div>
  )
}

/** Where a stretch begins that has `step` in its middle. */
function around(step: number, count: number): number {
  return Math.max(0, Math.min(count - STRETCH, step - STRETCH / 2))
}
