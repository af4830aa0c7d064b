import { type Approval, namedParameters, type Parameter } from '@countersign/contract/approval'
import { useMemo, useRef } from 'react'
import { ParameterValue } from '../../parts/command-text.tsx'
import { bytesOf, hexOf } from '../../parts/hex.ts'
import { useMoreBelow } from './more-below.ts'

/** What an SSH command reads from standard input: whole, where it was there when it was asked for; else that nobody saw it. */
export function Input({ approval: { command } }: { approval: Approval }) {
  if (command.input === undefined) return null
  if (command.input === 'not-shown')
    return (
      <p role="note" className="mt-3 rounded-box border border-warn bg-warn-pale px-3.5 py-2 text-warn">
        <b className="font-semibold">Input not shown.</b>{' '}
        {unseen[command.kind] ?? 'It may be sent anything once it runs'}: it can be approved for once only.
      </p>
    )
  const [whole] = command.parameters
  if (whole === undefined || whole === '')
    return <p className="mt-2 text-fine text-dim">It is sent nothing on standard input.</p>
  return <Whole value={whole} />
}

/** The variables that an SSH command runs with: they stand in its digest, and can change what it does. */
export function Environment({ approval: { command, protocol } }: { approval: Approval }) {
  const variables = protocol === 'ssh' ? namedParameters(command).filter(([name]) => name !== 'input') : []
  if (variables.length === 0) return null
  return (
    <dl
      tabIndex={0}
      aria-label="Environment"
      className="mt-2 flex max-h-[18vh] flex-wrap gap-x-4 gap-y-1 overflow-y-auto font-mono text-fine -outline-offset-2"
    >
      {variables.map(([name, value]) => (
        <div key={name} className="flex min-w-0">
          <dt className="text-dim">{name}=</dt>
          <dd className="min-w-0 break-words whitespace-pre-wrap">
            <ParameterValue value={value} />
          </dd>
        </div>
      ))}
    </dl>
  )
}

function Whole({ value }: { value: Parameter }) {
  const scroller = useRef<HTMLPreElement>(null)
  const said = useMoreBelow(scroller)
  const bytes = useMemo(() => (value !== null && typeof value === 'object' ? bytesOf(value) : undefined), [value])
  const text = typeof value === 'string' ? value : ''
  const lines = text.replace(/\n$/, '').split('\n').length
  return (
    <section aria-label="Standard input" className="mt-3 overflow-hidden rounded-box border border-line bg-panel">
      <h3 className="border-b border-line px-[18px] py-1.5 text-fine text-dim">
        Standard input, whole: it can be sent nothing else
      </h3>
      <pre
        ref={scroller}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a long input scrolls in here, also by keys
        tabIndex={0}
        className={`max-h-[30vh] overflow-auto px-[18px] py-3 font-mono text-code outline-offset-[-2px] ${bytes ? 'whitespace-pre' : 'break-words whitespace-pre-wrap'}`}
      >
        {bytes ? hexOf(bytes) : <ParameterValue value={value} />}
      </pre>
      <p className="flex gap-3 border-t border-line px-[18px] py-1 text-fine text-dim">
        {bytes ? (
          <span className="text-warn">not text: {bytes.length.toLocaleString('en-US')} bytes, each of them shown</span>
        ) : (
          <span>
            {lines.toLocaleString('en-US')} line{lines === 1 ? '' : 's'}, {text.length.toLocaleString('en-US')}{' '}
            characters
          </span>
        )}
        <span ref={said} hidden className="font-semibold text-warn">
          ↓ more below
        </span>
      </p>
    </section>
  )
}

const unseen: Record<string, string> = {
  shell: 'What will be typed nobody knows yet',
  put: 'What is in the file nobody has seen',
  update: 'What is written into the file nobody has seen',
}
