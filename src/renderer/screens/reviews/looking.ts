import { type RefObject, useEffect, useRef } from 'react'

/** A part counts as looked at once it was in sight for so long (ms). */
const LOOKED = 1200
const BEAT = 400

export interface Looked {
  /** Seconds that the item was in front of the person; a hidden window doesn’t count. */
  seconds(): number
  /** Names of the parts of the evidence that were looked at. */
  parts(): string[]
  /** Something of the evidence was opened by hand: a replay. */
  opened(part: string): void
}

/**
 * Measures how long an item is open and which parts of its evidence (elements with `data-evidence`) come into sight; it
 * is sent with the decision, and shown to the campaign’s owner. Begins anew with each `item`.
 */
export function useLooking(item: string, scroller: RefObject<HTMLElement | null>): Looked {
  const state = useRef({ item: '', ms: 0, seen: new Map<string, number>(), opened: new Set<string>() })
  if (state.current.item !== item) state.current = { item, ms: 0, seen: new Map(), opened: new Set() }
  // biome-ignore lint/correctness/useExhaustiveDependencies: another item is measured anew
  useEffect(() => {
    const mine = state.current
    let last = performance.now()
    const beat = setInterval(() => {
      const now = performance.now()
      const passed = Math.min(now - last, 2 * BEAT)
      last = now
      if (document.visibilityState !== 'visible') return
      mine.ms += passed
      const frame = scroller.current?.getBoundingClientRect()
      if (!frame) return
      for (const part of scroller.current?.querySelectorAll<HTMLElement>('[data-evidence]') ?? []) {
        const place = part.getBoundingClientRect()
        const inSight = Math.min(place.bottom, frame.bottom) - Math.max(place.top, frame.top)
        if (inSight >= Math.min(60, place.height) && inSight > 0)
          mine.seen.set(part.dataset.evidence!, (mine.seen.get(part.dataset.evidence!) ?? 0) + passed)
      }
    }, BEAT)
    return () => clearInterval(beat)
  }, [item])
  return {
    seconds: () => Math.round(state.current.ms / 100) / 10,
    parts: () => [
      ...new Set([
        ...[...state.current.seen].filter(([, ms]) => ms >= LOOKED).map(([part]) => part),
        ...state.current.opened,
      ]),
    ],
    opened: (part) => void state.current.opened.add(part),
  }
}
