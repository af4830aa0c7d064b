import { CircleCheck, CircleSlash, CircleX, LoaderCircle } from 'lucide-react'
import type { BacktestHead } from '../../../policy-api.ts'

/** How a backtest stands: a picture and a word. */
export function BacktestMark({ backtest }: { backtest: BacktestHead }) {
  const [Icon, ink, word] = {
    running: [LoaderCircle, 'text-accent', 'runs'] as const,
    done: [CircleCheck, 'text-ok', 'done'] as const,
    cancelled: [CircleSlash, 'text-dim', 'cancelled'] as const,
    failed: [CircleX, 'text-danger', 'failed'] as const,
  }[backtest.state]
  return (
    <span className={`whitespace-nowrap ${ink}`}>
      <Icon size={12} strokeWidth={2.2} className="mr-1 inline align-[-1.5px]" aria-hidden />
      {word}
    </span>
  )
}

/** How far it is, 0 to 1; undefined while that can't be told. */
export function partOf({ progress, state }: BacktestHead): number | undefined {
  if (state === 'done') return 1
  return progress.of ? Math.min(1, progress.commands / progress.of) : undefined
}
