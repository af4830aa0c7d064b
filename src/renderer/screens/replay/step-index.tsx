import { memo, useEffect, useId, useLayoutEffect, useRef, useState, useSyncExternalStore } from 'react'
import { type CommandStep, deniedBy, type HeldStep, isConnect, type Step } from '../../../recording-steps.ts'
import { oneLine } from '../../../visible.ts'
import { useWorld } from '../../app/store.ts'
import { duration, playhead } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { rowCount } from '../queue/words.ts'
import type { PlayerStore } from './player.ts'
import type { ReplayIndex } from './replay-index.ts'
import { fileResult, isFileOperation } from './ssh-step.tsx'
import type { StepWindows } from './step-windows.ts'
import { exitWords } from './terminal/words.ts'

const ROW = 53
/** Browsers end an element at some 17 to 33 million pixels: past this a pixel of scrolling is more than one of the list. */
const TALLEST = 8_000_000
const BEYOND = 4

/** Every step in two lines, to jump to: only what is in sight is there, however long the recording. */
export function StepIndex(props: {
  index: ReplayIndex
  windows: StepWindows
  fine: boolean
  player: PlayerStore
  onSeek: (t: number) => void
}) {
  const { index, windows, fine, player, onSeek } = props
  const current = player((state) => index.stepAt(state.t))
  useSyncExternalStore(windows.subscribe, windows.version)
  const scroller = useRef<HTMLDivElement>(null)
  const base = useId()
  const [view, setView] = useState({ top: 0, height: 600 })
  const [followed, setFollowed] = useState({ step: -1, scale: 1 })
  const whole = index.count * ROW
  const tall = Math.min(whole, TALLEST)
  const scale = whole > tall ? (whole - view.height) / (tall - view.height) : 1
  if (followed.step !== current || followed.scale !== scale) {
    // In the same frame: where it plays fast, the next step would be out of sight again before a scroll is heard of.
    setFollowed({ step: current, scale })
    const at = current * ROW
    const seen = view.top * scale
    if (current >= 0 && at < seen) setView({ ...view, top: at / scale })
    else if (at + ROW > seen + view.height) setView({ ...view, top: (at + ROW - view.height) / scale })
  }
  const top = view.top * scale
  const first = Math.max(0, Math.floor(top / ROW) - BEYOND)
  const last = Math.min(index.count, Math.ceil((top + view.height) / ROW) + BEYOND)

  useEffect(() => windows.want(first, last), [windows, first, last])
  useEffect(() => {
    const node = scroller.current!
    const look = () => setView({ top: node.scrollTop, height: node.clientHeight })
    const watcher = new ResizeObserver(look)
    watcher.observe(node)
    node.addEventListener('scroll', look, { passive: true })
    return () => {
      watcher.disconnect()
      node.removeEventListener('scroll', look)
    }
  }, [])
  useLayoutEffect(() => {
    const node = scroller.current!
    if (Math.abs(node.scrollTop - view.top) > 1) node.scrollTop = view.top
  }, [view.top])

  const rows = Array.from({ length: Math.max(0, last - first) }, (_, i) => first + i)
  return (
    <div className="flex min-h-0 flex-1 flex-col py-1">
      <div
        ref={scroller}
        role="listbox"
        tabIndex={0}
        aria-label="Steps"
        aria-activedescendant={current >= first && current < last ? `${base}-${current}` : undefined}
        className="group/list min-h-0 flex-1 overflow-x-hidden overflow-y-auto outline-offset-[-2px]"
        onKeyDown={(event) => {
          const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 }[event.key]
          if (step === undefined) return
          event.preventDefault()
          event.stopPropagation()
          onSeek(index.timeOf(Math.max(0, Math.min(index.count - 1, current + step))))
        }}
      >
        <div role="presentation" className="relative w-full" style={{ height: tall }}>
          {rows.map((i) => (
            // biome-ignore lint/a11y/useFocusableInteractive: the listbox holds the focus (aria-activedescendant)
            // biome-ignore lint/a11y/useKeyWithClickEvents: the listbox has the keys
            <div
              key={index.keyOf(i)}
              id={`${base}-${i}`}
              role="option"
              aria-selected={i === current}
              aria-setsize={index.count}
              aria-posinset={i + 1}
              className="absolute inset-x-0 top-0 outline-offset-[-2px] outline-accent aria-selected:group-focus-visible/list:outline-2"
              style={{ height: ROW, transform: `translateY(${view.top + i * ROW - top}px)` }}
              onClick={() => onSeek(index.timeOf(i))}
            >
              <IndexRow
                step={windows.get(i)}
                t={index.timeOf(i)}
                kind={index.flagsOf(i).kind}
                fine={fine}
                selected={i === current}
              />
            </div>
          ))}
        </div>
      </div>
    </div>
  )
}

const IndexRow = memo(function IndexRow(props: {
  step: Step | undefined
  t: number
  kind: Step['kind']
  fine: boolean
  selected: boolean
}) {
  const { step, t, kind, fine, selected } = props
  const { ink, text } = step ? endOf(step) : { ink: 'text-dim', text: '' }
  const mono = kind === 'held' || (step ? step.kind === 'command' && !isConnect(step) : kind === 'command')
  return (
    <div className={`flex h-full items-start gap-3 px-3.5 pt-1.5 ${selected ? 'bg-accent-pale' : 'hover:bg-sunken'}`}>
      <time className="min-w-11 shrink-0 text-fine text-dim tabular-nums">{playhead(t, fine)}</time>
      <div className="min-w-0 flex-1">
        <div className={`truncate text-fine ${mono ? 'font-mono' : ''}`}>
          {!step ? (
            <span className="text-dim">…</span>
          ) : step.kind === 'held' ? (
            <HeldName step={step} />
          ) : (
            <VisibleText>{nameOf(step)}</VisibleText>
          )}
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
  if (step.channel) return channelEnd(step)
  if (isFileOperation(step) && result)
    return { ink: result.status === 'completed' ? 'text-dim' : 'text-warn', text: result.message ?? fileResult(result) }
  if (!result) return { ink: 'text-dim', text: 'no result recorded' }
  if (result.status === 'failed')
    return { ink: 'text-warn', text: `failed ${result.sqlstate ?? ''} · ${duration(result.ms)}` }
  return {
    ink: 'text-dim',
    text: result.rows === undefined ? duration(result.ms) : `${rowCount(result.rows)} · ${duration(result.ms)}`,
  }
}

/** How a command on a host ended, and what of its output is masked. */
function channelEnd(step: CommandStep): { ink: string; text: string } {
  const { event, exit, head } = step.channel!
  const classes = [...new Set(head.flatMap(({ masked }) => masked ?? []))]
  const masked = classes.length > 0 ? ` · masked: ${classes.join(', ')}` : ''
  if (!exit) return { ink: 'text-dim', text: `goes on${masked}` }
  const ink = exit.code === 0 ? 'text-dim' : 'text-warn'
  return { ink, text: `${exitWords(exit)} · ${duration(exit.t - event.t)}${masked}` }
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
