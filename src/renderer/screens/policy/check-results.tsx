import type { PolicyCheck } from '@countersign/contract/policies'
import { Check, CircleX, TriangleAlert } from 'lucide-react'
import type { ReactNode } from 'react'
import { VisibleText } from '../../parts/visible-text.tsx'
import { many } from './parts.tsx'

/** What the validator and the tests say, in counts first; each line leads to where it is. */
export function CheckResults(props: {
  check: PolicyCheck | undefined
  /** Whether what is written has changed since. */
  old: boolean
  hasTests: boolean
  onGo: (file: string, line: number) => void
}) {
  const { check } = props
  if (!check)
    return (
      <p className="mt-2 shrink-0 text-fine text-dim">
        Nothing was checked yet: saving asks Cedar’s validator and runs the tests.
      </p>
    )
  const { problems, warnings, tests } = check
  const failed = tests.filter(({ ok }) => !ok)
  return (
    <section aria-label="Checks" className="mt-2 flex max-h-[38%] shrink-0 flex-col">
      <p role="status" className="flex flex-wrap items-center gap-x-4 gap-y-0.5 pb-1.5 text-fine">
        <Count bad={problems.length > 0} icon={CircleX}>
          {problems.length === 0 ? 'Cedar takes it' : many(problems.length, 'problem')}
        </Count>
        {warnings.length > 0 ? (
          <span className="inline-flex items-center gap-1 font-semibold text-warn">
            <TriangleAlert size={12} aria-hidden /> {many(warnings.length, 'warning')}
          </span>
        ) : null}
        {tests.length === 0 ? (
          <span className="text-dim">
            {props.hasTests ? 'tests run once Cedar takes it' : 'no tests: add a file such as orders.test.yaml'}
          </span>
        ) : (
          <Count bad={failed.length > 0} icon={CircleX}>
            {failed.length === 0
              ? many(tests.length, 'test passes', 'tests pass')
              : `${failed.length} of ${tests.length} tests fail`}
          </Count>
        )}
        {props.old ? <span className="text-dim">· as of the last check; you have written since</span> : null}
      </p>
      {problems.length + warnings.length + tests.length > 0 ? (
        <ul className="min-h-0 overflow-y-auto rounded-box border border-line bg-panel py-1">
          {[
            ...problems.map((finding) => ({ ...finding, ink: 'text-danger', word: 'Problem' })),
            ...warnings.map((finding) => ({ ...finding, ink: 'text-warn', word: 'Warning' })),
          ].map(({ file, line, message, mend, ink, word }) => (
            <Line key={`${word} ${file} ${line} ${message}`} file={file} line={line} onGo={props.onGo}>
              <span className={`font-semibold ${ink}`}>{word}</span> <VisibleText>{message}</VisibleText>
              {mend ? (
                <span className="text-dim">
                  {' '}
                  <VisibleText>{mend}</VisibleText>
                </span>
              ) : null}
            </Line>
          ))}
          {[...failed, ...tests.filter(({ ok }) => ok)].map((test) => (
            <Line key={`${test.file} ${test.line} ${test.name}`} file={test.file} line={test.line} onGo={props.onGo}>
              {test.ok ? (
                <span className="text-ok">
                  <Check size={12} className="mr-1 inline align-[-1.5px]" aria-hidden />
                  passes
                </span>
              ) : (
                <span className="font-semibold text-danger">
                  <CircleX size={12} className="mr-1 inline align-[-1.5px]" aria-hidden />
                  fails
                </span>
              )}{' '}
              <VisibleText>{test.name}</VisibleText>
              <span className="text-dim">
                {' '}
                {test.ok ? `· ${test.got}` : `· expected ${test.expected}, got ${test.got}`}
                {byWords(test)}
              </span>
            </Line>
          ))}
        </ul>
      ) : null}
    </section>
  )
}

/** Who decided, where the answer doesn't say it already. */
function byWords({ got, policies }: PolicyCheck['tests'][number]): string {
  const others = policies.filter((policy) => !got.includes(policy))
  return others.length > 0 ? ` by ${others.join(', ')}` : ''
}

function Count({ bad, icon: Icon, children }: { bad: boolean; icon: typeof CircleX; children: ReactNode }) {
  return (
    <span className={`inline-flex items-center gap-1 font-semibold ${bad ? 'text-danger' : 'text-ok'}`}>
      {bad ? <Icon size={12} aria-hidden /> : <Check size={12} aria-hidden />} {children}
    </span>
  )
}

function Line(props: { file: string; line: number; onGo: (file: string, line: number) => void; children: ReactNode }) {
  return (
    <li>
      <button
        type="button"
        onClick={() => props.onGo(props.file, props.line)}
        className="flex w-full items-baseline gap-3 px-3 py-0.5 text-left text-fine -outline-offset-2 hover:bg-sunken"
      >
        <span className="w-36 shrink-0 truncate font-mono text-tag text-dim" title={`${props.file}:${props.line}`}>
          {props.file}:{props.line}
        </span>
        <span className="min-w-0 flex-1">{props.children}</span>
      </button>
    </li>
  )
}
