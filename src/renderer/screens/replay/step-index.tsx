import { memo, useMemo } from 'react'
import { useWorld } from '../../app/store.ts'
import { Listbox } from '../../parts/listbox.tsx'
import { duration, playhead } from '../../parts/time.ts'
import { oneLine } from '../../../visible.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { rowCount } from '../queue/words.ts'
import type { PlayerStore } from './player.ts'
import { deniedBy, type HeldStep, isConnect, type Step, stepAt } from './transcript.ts'

/** Every step in two lines, to jump to. */
export function StepIndex(props: {
  steps: readonly Step[]
  fine: boolean
  player: PlayerStore
  onSeek: (t: number) => void
}) {
  const { steps, fine, player, onSeek } = props
  const current = player((state) => stepAt(steps, state.t))
  const rows = useMemo(() => steps.map((step) => ({ key: step.key, height: 53, option: true, step })), [steps])
  return (
    <div className="flex min-h-0 flex-col overflow-hidden rounded-box border border-line bg-panel py-1 @max-[720px]:hidden">
      <Listbox
        label="Steps"
        rows={rows}
        selected={steps[current]?.key}
        onSelect={(key) => {
          const step = rows.find((row) => row.key === key)?.step
          if (step) onSeek(step.t)
        }}
        render={(row, selected) => <IndexRow step={row.step} fine={fine} selected={selected} />}
      />
    </div>
  )
}

const IndexRow = memo(function IndexRow(props: { step: Step; fine: boolean; selected: boolean }) {
  const { step, fine, selected } = props
  const { ink, text } = endOf(step)
  return (
    <div className={`flex h-full items-start gap-3 px-3.5 pt-1.5 ${selected ? 'bg-accent-pale' : 'hover:bg-sunken'}`}>
      <time className="w-11 shrink-0 text-fine text-dim tabular-nums">{playhead(step.t, fine)}</time>
      <div className="min-w-0 flex-1">
        <div
          className={`truncate text-fine ${step.kind === 'held' || (step.kind === 'command' && !isConnect(step)) ? 'font-mono' : ''}`}
        >
          {step.kind === 'held' ? <HeldName step={step} /> : <VisibleText>{nameOf(step)}</VisibleText>}
        </div>
        <div className={`truncate text-tag ${ink}`}>
          <VisibleText>{text}</VisibleText>
        </div>
      </div>
    </div>
  )
})

function HeldName({ step }: { step: HeldStep }) {
  const command = useWorld((world) => world.approvals.get(step.hold.approval)?.command)
  return <VisibleText>{command ? oneLine(command.text, 120) : step.hold.approval}</VisibleText>
}

function nameOf(step: Exclude<Step, HeldStep>): string {
  if (step.kind === 'command')
    return isConnect(step)
      ? step.event.verdict.outcome === 'deny'
        ? 'asked to connect'
        : 'connected'
      : oneLine(step.event.text, 120)
  return step.kind === 'note' ? oneLine(step.text, 120) : `session ${step.event.state}`
}

/** How a step went, in a few words. */
function endOf(step: Step): { ink: string; text: string } {
  if (step.kind === 'held') return holdEnd(step.hold)
  if (step.kind === 'note') return { ink: 'text-dim', text: 'note of the gateway' }
  if (step.kind === 'end') return { ink: 'text-dim', text: step.event.reason }
  const { event, hold, result } = step
  if (event.verdict.outcome === 'deny' && !event.verdict.observed) return { ink: 'text-danger', text: deniedBy(event) }
  if (isConnect(step)) return { ink: 'text-dim', text: event.verdict.policies.join(', ') }
  if (hold) return holdEnd(hold)
  if (!result) return { ink: 'text-dim', text: 'no result recorded' }
  if (result.status === 'failed')
    return { ink: 'text-warn', text: `failed ${result.sqlstate ?? ''} · ${duration(result.ms)}` }
  return {
    ink: 'text-dim',
    text: result.rows === undefined ? duration(result.ms) : `${rowCount(result.rows)} · ${duration(result.ms)}`,
  }
}

function holdEnd({ last }: HeldStep['hold']): { ink: string; text: string } {
  if (last.state === 'pending') return { ink: 'text-warn', text: 'held, waiting for a decision' }
  const who = last.by?.length ? ` by ${last.by.join(' and ')}` : ''
  const yes = last.state === 'approved' || last.state === 'used'
  return {
    ink: yes ? 'text-ok' : last.state === 'denied' ? 'text-danger' : 'text-dim',
    text: `${yes ? 'approved' : last.state}${who}`,
  }
}
