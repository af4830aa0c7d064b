import { type RefObject, useEffect, useRef } from 'react'

/** Shows an element (hidden else) only while there is more below in what scrolls: measured after layout, not guessed. */
export function useMoreBelow(scroller: RefObject<HTMLElement | null>): RefObject<HTMLSpanElement | null> {
  const said = useRef<HTMLSpanElement>(null)
  useEffect(() => {
    const node = scroller.current
    if (!node) return
    const tell = () => {
      if (said.current) said.current.hidden = node.scrollHeight - node.clientHeight - node.scrollTop < 4
    }
    tell()
    node.addEventListener('scroll', tell, { passive: true })
    const watcher = new ResizeObserver(tell)
    watcher.observe(node)
    return () => {
      node.removeEventListener('scroll', tell)
      watcher.disconnect()
    }
  }, [scroller])
  return said
}
