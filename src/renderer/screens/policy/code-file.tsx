import type { PolicyText } from '@countersign/contract/policies'
import { useEffect, useMemo, useRef } from 'react'
import { CodeLine, linesOf } from '../../parts/cedar-text.tsx'
import { useHighlight } from '../replay/find.ts'

interface Range {
  readonly from: number
  readonly to: number
}

/** So many lines are drawn together; those out of sight cost nothing. */
const CHUNK = 100
const LINE_HEIGHT = 20

/** A whole file with its line numbers; the chosen lines stand out, and are scrolled to. `words` are marked. */
export function CodeFile({
  file,
  chosen,
  words = '',
}: {
  file: PolicyText
  chosen?: Range | undefined
  words?: string
}) {
  const root = useRef<HTMLElement>(null)
  const lines = useMemo(() => linesOf(file.file, file.text.replace(/\n$/, '')), [file])
  const chunks = useMemo(
    () => Array.from({ length: Math.ceil(lines.length / CHUNK) }, (_, i) => lines.slice(i * CHUNK, (i + 1) * CHUNK)),
    [lines],
  )
  useHighlight(root, words, file)
  const { from } = chosen ?? {}
  useEffect(() => {
    if (from === undefined) return
    const at = root.current?.querySelector(`[data-line="${from}"]`)
    // The comment above it is seen, too.
    at?.scrollIntoView({ block: 'center' })
  }, [from])
  const within = (line: number) => chosen !== undefined && line >= chosen.from && line <= chosen.to
  return (
    <section
      ref={root}
      aria-label={`File ${file.file}`}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls can be scrolled by keys
      tabIndex={0}
      className="min-h-0 flex-1 overflow-auto rounded-box border border-line bg-panel py-2 font-mono text-fine leading-5 outline-offset-[-2px]"
    >
      <div className="w-max min-w-full">
        {chunks.map((chunk, at) => (
          <div
            // biome-ignore lint/suspicious/noArrayIndexKey: chunks have no other identity
            key={at}
            style={{ contentVisibility: 'auto', containIntrinsicBlockSize: chunk.length * LINE_HEIGHT }}
          >
            {chunk.map((runs, i) => {
              const number = at * CHUNK + i + 1
              const marked = within(number)
              return (
                <div
                  key={number}
                  data-line={number}
                  className={`flex min-h-5 border-l-2 pr-4 ${marked ? 'border-accent bg-accent-pale' : 'border-transparent'}`}
                >
                  <span aria-hidden className="w-12 shrink-0 pr-3 text-right text-dim select-none">
                    {number}
                  </span>
                  <code data-command className="whitespace-pre">
                    <CodeLine runs={runs} />
                  </code>
                </div>
              )
            })}
          </div>
        ))}
      </div>
    </section>
  )
}
