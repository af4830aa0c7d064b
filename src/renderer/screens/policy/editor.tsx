import type { PolicyCheck } from '@countersign/contract/policies'
import { CircleX, TriangleAlert } from 'lucide-react'
import { type Ref, useId, useImperativeHandle, useMemo, useRef } from 'react'

const LINE = 20

export interface EditorHandle {
  focus(): void
  /** Puts the caret at the beginning of a line, from 1. */
  goTo(line: number): void
}

/** A problem or warning of this file. */
export type Mark = PolicyCheck['problems'][number] & { readonly kind: 'problem' | 'warning' }

/**
 * A file to be written: a plain textarea with its line numbers, and what is wrong beside the line that it is about. Tab
 * goes on to what comes next, as everywhere; Esc leaves it.
 */
export function Editor(props: {
  file: string
  text: string
  marks: readonly Mark[]
  readOnly: boolean
  onChange: (text: string) => void
  onLeave: () => void
  ref?: Ref<EditorHandle>
}) {
  const { text, marks } = props
  const area = useRef<HTMLTextAreaElement>(null)
  const id = useId()
  const count = useMemo(() => text.split('\n').length, [text])
  const numbers = useMemo(() => Array.from({ length: count }, (_, i) => i + 1).join('\n'), [count])
  const byLine = useMemo(() => {
    const lines = new Map<number, Mark[]>()
    for (const mark of marks) {
      const line = Math.min(Math.max(1, mark.line), count)
      lines.set(line, [...(lines.get(line) ?? []), mark])
    }
    return [...lines]
  }, [marks, count])
  useImperativeHandle(
    props.ref,
    () => ({
      focus: () => area.current?.focus(),
      goTo(line) {
        const node = area.current
        if (!node) return
        const at =
          node.value
            .split('\n')
            .slice(0, line - 1)
            .join('\n').length + (line > 1 ? 1 : 0)
        node.focus()
        node.setSelectionRange(at, at)
        node.parentElement?.parentElement?.scrollTo({ top: Math.max(0, (line - 4) * LINE) })
      },
    }),
    [],
  )
  return (
    <div className="relative isolate min-h-40 flex-1 overflow-auto rounded-box border border-line-strong bg-panel focus-within:border-accent">
      <div className="relative flex min-h-full w-max min-w-full">
        <pre
          aria-hidden
          className="sticky left-0 z-[1] w-12 shrink-0 bg-panel py-2 pr-3 text-right font-mono text-fine leading-5 text-dim select-none"
        >
          {numbers}
        </pre>
        <textarea
          ref={area}
          aria-label={`Text of ${props.file}`}
          aria-describedby={marks.length > 0 ? `${id}-marks` : undefined}
          aria-invalid={marks.some(({ kind }) => kind === 'problem') || undefined}
          value={text}
          readOnly={props.readOnly}
          onChange={(event) => props.onChange(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === 'Escape') props.onLeave()
          }}
          wrap="off"
          spellCheck={false}
          autoCapitalize="off"
          autoComplete="off"
          rows={count}
          className="min-w-0 flex-1 resize-none overflow-y-hidden bg-transparent py-2 pr-4 font-mono text-fine leading-5 whitespace-pre outline-none [field-sizing:content]"
          style={{ height: count * LINE + 16 }}
        />
        {byLine.map(([line, of]) => {
          const problem = of.find(({ kind }) => kind === 'problem')
          const Icon = problem ? CircleX : TriangleAlert
          const look = problem ? 'bg-danger-pale text-danger' : 'bg-warn-pale text-warn'
          return (
            <div
              key={line}
              aria-hidden
              className="pointer-events-none absolute inset-x-0 flex h-5 items-center"
              style={{ top: (line - 1) * LINE + 8 }}
            >
              <Icon size={12} className={`sticky left-0.5 z-[2] shrink-0 ${problem ? 'text-danger' : 'text-warn'}`} />
              <span
                title={of.map(({ message }) => message).join('\n')}
                className={`pointer-events-auto sticky right-2 ml-auto max-w-[45%] truncate rounded-tag px-1.5 text-tag leading-[18px] ${look}`}
              >
                {of[0]!.message}
                {of.length > 1 ? ` (and ${of.length - 1} more)` : ''}
              </span>
            </div>
          )
        })}
      </div>
      <div id={`${id}-marks`} hidden>
        {marks.map(({ kind, line, message }) => `${kind} in line ${line}: ${message}. `).join('')}
      </div>
    </div>
  )
}
