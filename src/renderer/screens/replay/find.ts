import { useEffect, useState } from 'react'
import { wordsOf } from '../../app/api.ts'
import { core } from '../../app/store.ts'

/** What a search in a recording has found so far. */
export interface Findings {
  /** Places of the steps that say the words, rising. */
  readonly steps: readonly number[]
  /** How much was looked through, 0 to 1; 1 where it is over. */
  readonly part: number
  readonly problem: string
}

/** What was found, for whoever goes through it. */
export interface Places {
  /** Numbers of the places, rising: steps, or times. */
  readonly found: readonly number[]
  readonly part: number
  readonly problem: string
  /** What is looked through, as people call it. */
  readonly of: string
  /** The number of where the player is, at this time. */
  now(t: number): number
  go(i: number): void
}

const nothing: Findings = { steps: [], part: 1, problem: '' }
const looking: Findings = { steps: [], part: 0, problem: '' }
/** A person still types: no search for every letter. */
const PAUSE_MS = 150
let works = 0

/**
 * The steps of a recording that say `words`: the core looks through it, and tells what it finds as it finds it. Other
 * words end a search. `seq` is the number of its last line: of a session that goes on it is looked through anew.
 */
export function useFindings(session: string, words: string, seq: number): Findings {
  const wanted = words.trim()
  const [{ of, found }, setState] = useState({ of: '', found: nothing })
  // biome-ignore lint/correctness/useExhaustiveDependencies: `seq` says that there is more
  useEffect(() => {
    if (wanted === '') return
    const setFound = (next: Findings) => setState({ of: wanted, found: next })
    works += 1
    const work = `find ${works}`
    let steps: number[] = []
    let begun = false
    const stop = core().on((event) => {
      if (event.type !== 'found' || event.work !== work) return
      const last = steps.at(-1) ?? -1
      const sorted = event.steps[0] === undefined || event.steps[0] > last
      steps = steps.concat(event.steps)
      if (!sorted) steps.sort((a, b) => a - b)
      setFound({ steps, part: event.total > 0 ? Math.min(0.99, event.done / event.total) : 0, problem: '' })
    })
    const timer = setTimeout(() => {
      begun = true
      setFound(looking)
      core()
        .call('findInRecording', { session, words: wanted, work })
        .then(
          () => setFound({ steps, part: 1, problem: '' }),
          (error) => {
            if (error?.code !== 'cancelled') setFound({ steps, part: 1, problem: wordsOf(error) })
          },
        )
        .finally(stop)
    }, PAUSE_MS)
    return () => {
      clearTimeout(timer)
      stop()
      if (begun)
        void core()
          .call('cancel', { work })
          .catch(() => {})
    }
  }, [session, wanted, seq])
  // What was found of other words is of no use while these are typed.
  return wanted === '' ? nothing : of === wanted ? found : looking
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
