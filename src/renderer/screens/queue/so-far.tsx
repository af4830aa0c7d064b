import type { Approval } from '@countersign/contract/approval'
import { Ban, Check, CircleAlert, Pause } from 'lucide-react'
import { useEffect, useState } from 'react'
import { type CommandStep, deniedBy, type HeldStep, isConnect, stepsOf } from '../../../recording-steps.ts'
import { oneLine } from '../../../visible.ts'
import { wordsOf } from '../../app/api.ts'
import { core, useWorld } from '../../app/store.ts'
import { clock, duration } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { ReplayIndex } from '../replay/replay-index.ts'
import { rowCount } from './words.ts'

export type SoFar =
  | { state: 'loading' }
  | { state: 'unknown'; because: string }
  | {
      state: 'known'
      startedAt: number
      /** The last ones before it. */
      last: readonly (CommandStep | HeldStep)[]
      /** How many there were, and how many of them were denied. */
      count: number
      denied: number
    }

const kept = new Map<string, SoFar>()

/** What this session did before the held command, by its recording. Asked only once a card has been looked at a moment. */
export function useSoFar(approval: Approval): SoFar {
  const live = useWorld((world) => world.link.state === 'live')
  const [soFar, setSoFar] = useState<SoFar>(() => kept.get(approval.id) ?? { state: 'loading' })
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked again once the link is back
  useEffect(() => {
    const known = kept.get(approval.id)
    if (known?.state === 'known') return
    let wanted = true
    const settle = (next: SoFar) => {
      if (!wanted) return
      if (kept.size > 200) kept.clear()
      kept.set(approval.id, next)
      setSoFar(next)
    }
    const timer = setTimeout(() => {
      before(approval).then(settle, (error) => settle({ state: 'unknown', because: wordsOf(error) }))
    }, 120)
    return () => {
      wanted = false
      clearTimeout(timer)
    }
  }, [approval.id, approval.session, approval.requestedAt, live])
  return soFar
}

const SHOWN = 4
/** So many steps are read before the held command: enough to show some commands among notes. */
const READ = 40

async function before(approval: Approval): Promise<SoFar> {
  const { session } = approval
  const summary = await core().call('openRecording', { session })
  const index = ReplayIndex.of(summary)
  const startedAt = Date.parse(summary.session.openedAt)
  // Where the recording doesn't tell of the hold (yet), its time says what was before.
  const requested = Date.parse(approval.requestedAt) - startedAt
  const near = index.stepAt(requested + 1000)
  const from = Math.max(0, near - READ)
  const { lines } = await core().call('recordingWindow', { session, from, to: near + 1 })
  const steps = stepsOf(lines)
  const hold = steps.findIndex((step) => 'hold' in step && step.hold?.approval === approval.id)
  const place = hold >= 0 ? from + hold : steps.filter((step) => step.t < requested).length + from
  let count = 0
  let denied = 0
  for (let i = 0; i < place; i++) {
    const { kind, verdict, observed } = index.flagsOf(i)
    if (kind !== 'command' && kind !== 'held') continue
    count += 1
    if (verdict === 'deny' && !observed) denied += 1
  }
  const commands = steps
    .slice(0, place - from)
    .filter((step) => step.kind === 'command' || step.kind === 'held')
    .filter((step) => !isConnect(step))
  // The connect is the recording's first command, and none of the agent's.
  const first = from === 0 ? steps[0] : undefined
  if (place > 0 && (from > 0 || (first && isConnect(first)))) count -= 1
  return { state: 'known', startedAt, last: commands.slice(-SHOWN), count: Math.max(commands.length, count), denied }
}

/** The last commands of the session, or what is known of it. */
export function SessionSoFar({ approval, soFar }: { approval: Approval; soFar: SoFar }) {
  const session = useWorld((world) => world.sessions.get(approval.session))
  return (
    <section aria-labelledby="so-far" className="mt-4">
      <h3 id="so-far" className="mb-2 text-fine font-semibold text-dim">
        This session so far
        {soFar.state === 'known' && soFar.count > SHOWN ? (
          <span className="font-normal">
            {' '}
            · the last {SHOWN} of {soFar.count.toLocaleString('en-US')} commands
          </span>
        ) : null}
      </h3>
      {soFar.state === 'known' && soFar.last.length > 0 ? (
        <ol className="overflow-hidden rounded-box border border-line bg-panel py-1">
          {soFar.last.map((step) => (
            <Line key={step.key} step={step} startedAt={soFar.startedAt} />
          ))}
        </ol>
      ) : (
        <p className="rounded-box border border-line bg-panel px-4 py-2 text-dim">
          {soFar.state === 'loading' ? 'Reading the recording…' : null}
          {soFar.state === 'known' ? 'Nothing: this is its first command.' : null}
          {soFar.state === 'unknown'
            ? `${session ? `${session.counts.commands} commands, ${session.counts.held} held, ${session.counts.denied} denied; ` : ''}its recording can’t be read now: ${soFar.because}`
            : null}
        </p>
      )}
    </section>
  )
}

function Line({ step, startedAt }: { step: CommandStep | HeldStep; startedAt: number }) {
  const held = useWorld((world) => (step.kind === 'held' ? world.approvals.get(step.hold.approval) : undefined))
  const { sign, end } = signOf(step)
  const text = step.kind === 'command' ? step.event.text : (held?.command.text ?? step.hold.approval)
  return (
    <li className="flex h-[29px] items-center gap-4 px-4">
      <time className="text-fine text-dim tabular-nums">{clock(startedAt + step.t, true)}</time>
      {sign}
      <span className="min-w-0 flex-1 truncate font-mono text-fine">
        <VisibleText>{oneLine(text)}</VisibleText>
      </span>
      <span className="max-w-[45%] truncate text-fine text-dim">{end}</span>
    </li>
  )
}

/** The sign of how a command went, and its end in words. */
export function signOf(step: CommandStep | HeldStep): { sign: React.ReactNode; end: string } {
  const icon = (Icon: typeof Check, ink: string, name: string) => (
    <Icon size={13} strokeWidth={2.4} className={`shrink-0 ${ink}`} aria-label={name} role="img" />
  )
  const { hold } = step
  const result = step.kind === 'command' ? step.result : undefined
  if (step.kind === 'command' && step.event.verdict.outcome === 'deny' && !step.event.verdict.observed)
    return { sign: icon(Ban, 'text-danger', 'denied'), end: deniedBy(step.event) }
  if (hold && !result)
    return { sign: icon(Pause, 'text-warn', 'held'), end: hold.last.state === 'pending' ? 'held' : hold.last.state }
  if (!result) return { sign: icon(Pause, 'text-dim', 'running'), end: 'no result yet' }
  const time = duration(result.ms)
  if (result.status === 'failed')
    return { sign: icon(CircleAlert, 'text-warn', 'failed'), end: `${result.sqlstate ?? 'failed'} · ${time}` }
  if (result.status === 'refused')
    return { sign: icon(Ban, 'text-danger', 'refused'), end: result.message ?? hold?.last.state ?? 'refused' }
  return {
    sign: icon(Check, 'text-ok', 'completed'),
    end: result.rows === undefined ? time : `${rowCount(result.rows)} · ${time}`,
  }
}
