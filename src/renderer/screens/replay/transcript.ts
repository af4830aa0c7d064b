import type { Step } from '../../../recording-steps.ts'
import { visibleText } from '../../../visible.ts'
import { colouredRuns } from './terminal/coloured.ts'

/** Steps as plain text, for copying; of what a command said its beginning, with nothing in it that could hide. */
export function transcriptText(steps: readonly Step[]): string {
  return steps
    .map((step) => {
      const time = (step.t / 1000).toFixed(3).padStart(10)
      if (step.kind === 'note') return `${time}  -- ${step.text}`
      if (step.kind === 'end') return `${time}  -- ${step.event.state}: ${step.event.reason}`
      if (step.kind === 'held') return `${time}  -- ${step.hold.approval}: ${step.hold.last.state}, not forwarded`
      const { verdict, text } = step.event
      const said = (step.channel?.head ?? []).map(({ data }) => shown(typeof data === 'string' ? data : '')).join('')
      const result = step.result
        ? `${step.result.status} ${step.result.tag ?? ''} ${step.result.sqlstate ?? ''} ${step.result.message ?? ''}`
            .replace(/ +/g, ' ')
            .trim()
        : 'no result'
      return `${time}  ${text}\n            -- ${verdict.outcome}${verdict.policies.length ? ` (${verdict.policies.join(', ')})` : ''} · ${result}${
        said ? `\n${said.replace(/\n$/, '').replace(/^/gm, '            ')}` : ''
      }`
    })
    .join('\n')
}

const shown = (text: string) =>
  visibleText(
    colouredRuns(text)
      .runs.map((run) => run.text)
      .join(''),
  )
