import type { Approval } from '@countersign/contract/approval'
import { Ban, Check, CircleAlert, Pause } from 'lucide-react'
import { useEffect, useState } from 'react'
import { wordsOf } from '../../app/api.ts'
import { core, useWorld } from '../../app/store.ts'
import { clock, duration } from '../../parts/time.ts'
import { oneLine } from '../../../visible.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { type CommandStep, deniedBy, type HeldStep, isConnect, transcriptOf } from '../replay/transcript.ts'
import { rowCount } from './words.ts'

export type SoFar =
  | { state: 'loading' }
  | { state: 'unknown'; because: string }
  | { state: 'known'; startedAt: number; before: readonly (CommandStep | HeldStep)[]; denied: number }

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
      core()
        .call('recording', { session: approval.session })
        .then(
          (recording) => {
            const { steps } = transcriptOf(recording.lines)
            const commands = steps
              .filter((step) => step.kind === 'command' || step.kind === 'held')
              .filter((step) => !isConnect(step))
            const held = commands.findIndex((step) => step.hold?.approval === approval.id)
            const requested = Date.parse(approval.requestedAt) - Date.parse(recording.session.openedAt)
            const before = held < 0 ? commands.filter((step) => step.t < requested) : commands.slice(0, held)
            const denied = before.filter(
              (step) =>
                step.kind === 'command' && step.event.verdict.outcome === 'deny' && !step.event.verdict.observed,
            ).length
            settle({ state: 'known', startedAt: Date.parse(recording.session.openedAt), before, denied })
          },
          (error) => settle({ state: 'unknown', because: wordsOf(error) }),
        )
    }, 120)
    return () => {
      wanted = false
      clearTimeout(timer)
    }
  }, [approval.id, approval.session, approval.requestedAt, live])
  return soFar
}

const SHOWN = 4

/** The last commands of the session, or what is known of it. */
export function SessionSoFar({ approval, soFar }: { approval: Approval; soFar: SoFar }) {
  const session = useWorld((world) => world.sessions.get(approval.session))
  return (
    <section aria-labelledby="so-far" className="mt-4">
      <h3 id="so-far" className="mb-2 text-fine font-semibold text-dim">
        This session so far
        {soFar.state === 'known' && soFar.before.length > SHOWN ? (
          <span className="font-normal">
            {' '}
            · the last {SHOWN} of {soFar.before.length.toLocaleString('en-US')} commands
          </span>
        ) : null}
      </h3>
      {soFar.state === 'known' && soFar.before.length > 0 ? (
        <ol className="overflow-hidden rounded-box border border-line bg-panel py-1">
          {soFar.before.slice(-SHOWN).map((step) => (
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
