import { useMemo } from 'react'
import { visibleRuns } from '../../visible.ts'

/** Text from outside, as text: what it could hide is shown as marks. A mark takes no part in copying. */
export function VisibleText({ children }: { children: string }) {
  const runs = useMemo(() => visibleRuns(children), [children])
  return (
    <bdi>
      {runs.map((run, i) =>
        run.mark === undefined ? (
          run.given
        ) : (
          // biome-ignore lint/suspicious/noArrayIndexKey: runs have no other identity
          <Mark key={i} given={run.given} mark={run.mark} />
        ),
      )}
    </bdi>
  )
}

/** `data-given` keeps the real character, so that tests and copying see the text as it was. */
function Mark({ given, mark }: { given: string; mark: string }) {
  return (
    <span
      data-given={given}
      title={mark === 'CR' ? 'carriage return' : `hidden character ${mark}`}
      className={`mx-px rounded-tag px-0.5 text-[0.85em] select-none ${mark === 'CR' ? 'text-dim' : 'bg-warn-pale font-semibold text-warn'}`}
    >
      {mark}
    </span>
  )
}
