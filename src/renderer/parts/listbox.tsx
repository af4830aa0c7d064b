import { useVirtualizer } from '@tanstack/react-virtual'
import {
  type ReactNode,
  type Ref,
  useEffect,
  useId,
  useImperativeHandle,
  useLayoutEffect,
  useMemo,
  useRef,
} from 'react'

/** A row of a long list: something to choose, or a heading above what follows. */
export interface ListRow {
  readonly key: string
  readonly height: number
  readonly option: boolean
}

export interface ListboxHandle {
  focus(): void
}

interface Props<R extends ListRow> {
  label: string
  rows: readonly R[]
  selected: string | undefined
  onSelect(key: string): void
  onOpen?: ((key: string) => void) | undefined
  onEnd?: (() => void) | undefined
  render(row: R, selected: boolean): ReactNode
  ref?: Ref<ListboxHandle>
}

/**
 * A virtual listbox: tens of thousands of rows, one tab stop, aria-activedescendant. When rows come or go above what is
 * being read, the scroll place moves with them, so that nothing jumps.
 */
export function Listbox<R extends ListRow>({ label, rows, selected, onSelect, onOpen, onEnd, render, ref }: Props<R>) {
  const scroller = useRef<HTMLDivElement>(null)
  const base = useId()
  const starts = useMemo(() => startsOf(rows), [rows])
  const options = useMemo(() => rows.filter((row) => row.option), [rows])
  const places = useMemo(() => new Map(options.map((row, i) => [row.key, i + 1])), [options])
  // TanStack Virtual hands out functions that change; the React compiler is not in use here.
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: (i) => rows[i]!.height,
    getItemKey: (i) => rows[i]!.key,
    overscan: 8,
  })
  useImperativeHandle(ref, () => ({ focus: () => scroller.current?.focus() }), [])

  // Heights belong to rows, not to places: measured anew whenever the rows are others.
  // biome-ignore lint/correctness/useExhaustiveDependencies: rows is the occasion
  useLayoutEffect(() => virtual.measure(), [rows, virtual])
  useAnchor(scroller, rows, starts, selected)

  const at = selected === undefined ? -1 : rows.findIndex((row) => row.key === selected)
  const last = useRef<string | undefined>(undefined)
  useEffect(() => {
    const node = scroller.current
    if (at < 0 || !node) {
      // What comes back, when a filter is cleared say, is shown again.
      last.current = undefined
      return
    }
    const show = () => {
      // The first option shows its heading too.
      const from = at > 0 && !rows[at - 1]!.option ? starts[at - 1]! : starts[at]!
      const to = starts[at]! + rows[at]!.height
      if (from < node.scrollTop) node.scrollTop = from
      else if (to > node.scrollTop + node.clientHeight) node.scrollTop = to - node.clientHeight
    }
    if (last.current !== selected) show()
    last.current = selected
    // A smaller window must not cut what is chosen, if it was in sight.
    let height = node.clientHeight
    const watcher = new ResizeObserver(() => {
      if (starts[at]! >= node.scrollTop && starts[at]! < node.scrollTop + height) show()
      height = node.clientHeight
    })
    watcher.observe(node)
    return () => watcher.disconnect()
  }, [at, selected, rows, starts])

  const items = virtual.getVirtualItems()
  const reached = items.at(-1)?.index ?? -1
  useEffect(() => {
    if (rows.length > 0 && reached >= rows.length - 1) onEnd?.()
  }, [reached, rows.length, onEnd])

  return (
    <div
      ref={scroller}
      role="listbox"
      tabIndex={0}
      aria-label={label}
      aria-activedescendant={at >= 0 ? `${base}-${selected}` : undefined}
      className={`group/list min-h-0 flex-1 overflow-x-hidden overflow-y-auto outline-offset-[-2px] ${at >= 0 ? 'outline-none' : ''}`}
      onKeyDown={(event) => {
        const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 }[event.key]
        if (step !== undefined) {
          event.preventDefault()
          event.stopPropagation()
          const next = stepFrom(options, selected, step)
          if (next) onSelect(next)
        }
      }}
    >
      <div role="presentation" className="relative w-full" style={{ height: virtual.getTotalSize() }}>
        {items.map((item) => {
          const row = rows[item.index]!
          const chosen = row.key === selected
          const place = { height: row.height, transform: `translateY(${item.start}px)` }
          if (!row.option)
            return (
              <div key={row.key} role="presentation" className="absolute inset-x-0 top-0" style={place}>
                {render(row, false)}
              </div>
            )
          return (
            // biome-ignore lint/a11y/useFocusableInteractive: the listbox holds the focus (aria-activedescendant)
            // biome-ignore lint/a11y/useKeyWithClickEvents: the listbox has the keys
            <div
              key={row.key}
              id={`${base}-${row.key}`}
              role="option"
              aria-selected={chosen}
              aria-setsize={options.length}
              aria-posinset={places.get(row.key)}
              className="absolute inset-x-0 top-0 outline-offset-[-2px] outline-accent aria-selected:group-focus-visible/list:outline-2"
              style={place}
              onClick={() => onSelect(row.key)}
              onDoubleClick={() => onOpen?.(row.key)}
            >
              {render(row, chosen)}
            </div>
          )
        })}
      </div>
    </div>
  )
}

/** The option `step` places from `selected`; the first one where nothing is selected. */
export function stepFrom(
  options: readonly { key: string }[],
  selected: string | undefined,
  step: number,
): string | undefined {
  const at = options.findIndex((row) => row.key === selected)
  const next = at < 0 ? 0 : Math.max(0, Math.min(options.length - 1, at + step))
  return options[next]?.key
}

function startsOf(rows: readonly ListRow[]): number[] {
  const starts: number[] = []
  let y = 0
  for (const row of rows) {
    starts.push(y)
    y += row.height
  }
  return starts
}

/** Keeps the selected row (or else the topmost visible one) where it was on the screen when rows come and go. */
function useAnchor(
  scroller: { current: HTMLDivElement | null },
  rows: readonly ListRow[],
  starts: readonly number[],
  selected: string | undefined,
) {
  const before = useRef<{ rows: readonly ListRow[]; starts: readonly number[] } | undefined>(undefined)
  useLayoutEffect(() => {
    const was = before.current
    before.current = { rows, starts }
    const node = scroller.current
    if (!node || !was || was.rows === rows) return
    const seen = (i: number) =>
      was.starts[i]! + was.rows[i]!.height > node.scrollTop && was.starts[i]! < node.scrollTop + node.clientHeight
    const chosen = was.rows.findIndex((row) => row.key === selected)
    const anchor = chosen >= 0 && seen(chosen) ? chosen : was.rows.findIndex((row, i) => row.option && seen(i))
    if (anchor < 0) return
    const now = rows.findIndex((row) => row.key === was.rows[anchor]!.key)
    if (now < 0) return
    const moved = starts[now]! - was.starts[anchor]!
    if (moved !== 0 && (node.scrollTop > 0 || moved > 0)) node.scrollTop += moved
  }, [rows, starts, selected, scroller])
}
