import { useVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useId, useMemo, useRef } from 'react'
import { countUpTo } from '../../../../recording-index.ts'
import type { TerminalMarker } from '../../../../terminal-api.ts'
import { playhead } from '../../../parts/time.ts'
import { VisibleText } from '../../../parts/visible-text.tsx'
import type { PlayerStore } from '../player.ts'
import { MARK_LOOKS } from './marks.ts'

const ROW = 34
const INK: Partial<Record<TerminalMarker['kind'], string>> = {
  error: 'text-warn',
  notice: 'text-warn',
  signal: 'text-warn',
}

/** What is worth going to in a terminal: lines that were typed, passwords, sizes, what is masked. */
export function Moments(props: {
  markers: readonly TerminalMarker[]
  fine: boolean
  player: PlayerStore
  onSeek(t: number): void
}) {
  const { markers, fine, player, onSeek } = props
  const times = useMemo(() => markers.map(({ t }) => t), [markers])
  const current = player((state) => countUpTo(times, state.t) - 1)
  const scroller = useRef<HTMLDivElement>(null)
  const base = useId()
  const virtual = useVirtualizer({
    count: markers.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 8,
  })
  useEffect(() => {
    if (current >= 0) virtual.scrollToIndex(current, { align: 'auto' })
  }, [current, virtual])
  if (markers.length === 0)
    return <p className="px-3.5 py-3 text-fine text-dim">Lines that are typed, passwords and sizes appear here.</p>
  const items = virtual.getVirtualItems()
  const shown = items.some((item) => item.index === current)
  return (
    <div
      ref={scroller}
      role="listbox"
      tabIndex={0}
      aria-label="Moments"
      aria-activedescendant={shown ? `${base}-${current}` : undefined}
      className="group/list my-1 min-h-0 flex-1 overflow-x-hidden overflow-y-auto outline-offset-[-2px]"
      onKeyDown={(event) => {
        const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 }[event.key]
        if (step === undefined) return
        event.preventDefault()
        event.stopPropagation()
        onSeek(times[Math.max(0, Math.min(times.length - 1, current + step))]!)
      }}
    >
      <div role="presentation" className="relative w-full" style={{ height: virtual.getTotalSize() }}>
        {items.map((item) => {
          const marker = markers[item.index]!
          const line = marker.kind === 'line'
          return (
            // biome-ignore lint/a11y/useFocusableInteractive: the listbox holds the focus (aria-activedescendant)
            // biome-ignore lint/a11y/useKeyWithClickEvents: the listbox has the keys
            <div
              key={item.key}
              id={`${base}-${item.index}`}
              role="option"
              aria-selected={item.index === current}
              aria-setsize={markers.length}
              aria-posinset={item.index + 1}
              title={marker.label}
              className={`absolute inset-x-0 top-0 flex items-center gap-2.5 px-3.5 outline-offset-[-2px] outline-accent aria-selected:group-focus-visible/list:outline-2 ${item.index === current ? 'bg-accent-pale' : 'hover:bg-sunken'}`}
              style={{ height: ROW, transform: `translateY(${item.start}px)` }}
              onClick={() => onSeek(marker.t)}
            >
              <time className="min-w-11 shrink-0 text-fine text-dim tabular-nums">{playhead(marker.t, fine)}</time>
              <span className={`size-2 shrink-0 ${MARK_LOOKS[marker.kind]}`} aria-hidden="true" />
              <span
                className={`min-w-0 flex-1 truncate text-fine ${line ? 'font-mono' : (INK[marker.kind] ?? 'text-dim')}`}
              >
                <VisibleText>{marker.label}</VisibleText>
              </span>
            </div>
          )
        })}
      </div>
    </div>
  )
}
