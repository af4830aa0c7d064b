import { useEffect } from 'react'
import type { Step } from './transcript.ts'

const haystacks = new WeakMap<Step, string>()

/** Everything a step says, in small letters. */
function haystack(step: Step): string {
  const known = haystacks.get(step)
  if (known !== undefined) return known
  const words: unknown[] = []
  if (step.kind === 'note') words.push(step.text)
  else if (step.kind === 'end') words.push(step.event.state, step.event.reason)
  else if (step.kind === 'held') words.push(step.hold.approval, ...(step.hold.last.by ?? []), step.hold.last.reason)
  else {
    const { event, result, hold, rows } = step
    words.push(event.text, ...event.parameters, ...event.verdict.policies, event.verdict.reason)
    words.push(result?.tag, result?.sqlstate, result?.message, ...(hold?.last.by ?? []), hold?.last.reason)
    for (const row of rows?.rows ?? []) words.push(...row)
  }
  const text = words
    .filter((word) => typeof word === 'string')
    .join('\n')
    .toLowerCase()
  haystacks.set(step, text)
  return text
}

/** The places of the steps that say `words`. */
export function findSteps(steps: readonly Step[], words: string): number[] {
  const wanted = words.trim().toLowerCase()
  if (wanted === '') return []
  return steps.flatMap((step, i) => (haystack(step).includes(wanted) ? [i] : []))
}

/**
 * Marks `words` in what `root` shows, by the browser's own highlights: the text itself isn't touched. `occasion` is
 * whatever changes when other text is shown.
 */
export function useHighlight(root: { current: HTMLElement | null }, words: string, occasion: unknown) {
  // biome-ignore lint/correctness/useExhaustiveDependencies: `occasion` says when the text is another one
  useEffect(() => {
    if (typeof Highlight === 'undefined') return
    const wanted = words.trim().toLowerCase()
    if (!root.current || wanted === '') {
      CSS.highlights.delete('find')
      return
    }
    const ranges: Range[] = []
    for (const block of root.current.querySelectorAll('[data-command], p, td')) ranges.push(...rangesIn(block, wanted))
    CSS.highlights.set('find', new Highlight(...ranges))
    return () => void CSS.highlights.delete('find')
  }, [root, words, occasion])
}

/** Matches may span several coloured pieces, so they are looked for in the joined text. */
function rangesIn(block: Element, wanted: string): Range[] {
  const walker = document.createTreeWalker(block, NodeFilter.SHOW_TEXT)
  const nodes: { node: Text; start: number }[] = []
  let text = ''
  while (walker.nextNode()) {
    const node = walker.currentNode as Text
    nodes.push({ node, start: text.length })
    text += node.data.toLowerCase()
  }
  const ranges: Range[] = []
  const locate = (offset: number) => {
    const found = nodes.findLast((each) => each.start <= offset)!
    return [found.node, Math.min(offset - found.start, found.node.length)] as const
  }
  for (let at = text.indexOf(wanted); at >= 0 && ranges.length < 500; at = text.indexOf(wanted, at + wanted.length)) {
    const range = new Range()
    range.setStart(...locate(at))
    range.setEnd(...locate(at + wanted.length))
    ranges.push(range)
  }
  return ranges
}
