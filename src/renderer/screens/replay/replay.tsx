import type { Session } from '@countersign/contract/session'
import { useVirtualizer } from '@tanstack/react-virtual'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { useKeys } from '../../app/keys.ts'
import { say, useWorld } from '../../app/store.ts'
import { Button, Notice } from '../../parts/basics.tsx'
import { clock, dateAndClock } from '../../parts/time.ts'
import { SessionTitle } from '../sessions/overview.tsx'
import { Controls } from './controls.tsx'
import { findSteps, useHighlight } from './find.ts'
import { FindBar } from './find-bar.tsx'
import { advance, countUpTo, createPlayer, type PlayerStore, SPEEDS } from './player.ts'
import { type Recording, useRecording } from './recording.ts'
import { StepIndex } from './step-index.tsx'
import { StepView } from './step-view.tsx'
import { Timeline } from './timeline.tsx'
import { stepAt, transcriptText } from './transcript.ts'

interface Props {
  id: string
  /** Where to begin, in milliseconds. */
  at: number | undefined
  onEnd: (session: Session) => void
}

/** A database session as a transcript: command → verdict → result, to read or to play. */
export function Replay({ id, at, onEnd }: Props) {
  const recording = useRecording(id)
  if (recording.state === 'loading') return <Notice title="Reading the recording…" role="status" />
  if (recording.state === 'failed')
    return (
      <Notice title="This recording can’t be shown" role="alert">
        <p>{recording.problem}</p>
        <Button onClick={recording.again}>Try again</Button>
      </Notice>
    )
  return <Ready recording={recording} at={at} onEnd={onEnd} />
}

type ReadyRecording = Extract<Recording, { state: 'ready' }>

function Ready({ recording, at, onEnd }: Omit<Props, 'id'> & { recording: ReadyRecording }) {
  const { view, transcript, moments, problem } = recording
  const { steps, markers } = transcript
  const session = useWorld((world) => world.sessions.get(view.session.id)) ?? view.session
  const linked = useWorld((world) => world.link.state === 'live')
  const live = !view.complete && session.state === 'open'
  const length = useLength(transcript.length, live && linked && !problem ? session.openedAt : undefined)
  const crowded = useMemo(() => steps.some((step, i) => i > 0 && step.t - steps[i - 1]!.t < 1000), [steps])
  const fine = crowded || length < 60_000
  const [player] = useState(() => createPlayer(at ?? (live ? length : 0), live && at === undefined))
  const [find, setFind] = useState<string | undefined>(undefined)
  const found = useMemo(() => findSteps(steps, find ?? ''), [steps, find])

  const seek = useCallback(
    (t: number) => player.setState({ t: Math.max(0, Math.min(length, t)), following: false }),
    [player, length],
  )
  useEffect(() => {
    if (at !== undefined) seek(at)
  }, [at, seek])
  useEffect(() => {
    // A session that has ended is as long as its recording: what lay beyond was only the clock.
    if (player.getState().following || player.getState().t > length) player.setState({ t: length })
  }, [length, player])
  usePlaying(player, moments, length)

  const play = () => {
    const { playing, t } = player.getState()
    player.setState(playing ? { playing: false } : { playing: true, following: false, t: t >= length ? 0 : t })
  }
  const goTo = (step: number) => {
    const target = steps[Math.max(0, Math.min(steps.length - 1, step))]
    if (target) seek(target.t)
  }
  const here = () => stepAt(steps, player.getState().t)
  const faster = (by: number) => {
    const index = SPEEDS.indexOf(player.getState().speed as (typeof SPEEDS)[number])
    player.setState({ speed: SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, index + by))]! })
  }
  const copy = (text: string, what: string) =>
    void navigator.clipboard.writeText(text).then(
      () => say(`${what} copied`),
      () => say('Copying was not allowed'),
    )
  const by = (ms: number) => () => seek(player.getState().t + ms)
  useKeys({
    space: play,
    arrowleft: by(-5000),
    arrowright: by(5000),
    'shift+arrowleft': by(-length / 10),
    'shift+arrowright': by(length / 10),
    home: () => seek(0),
    end: () => seek(length),
    '[': () => {
      const before = markers.findLast((marker) => marker.t < player.getState().t - 1)
      if (before) seek(before.t)
    },
    ']': () => {
      const next = markers.find((marker) => marker.t > player.getState().t)
      if (next) seek(next.t)
    },
    ',': () => goTo(here() - (player.getState().t > (steps[here()]?.t ?? 0) ? 0 : 1)),
    '.': () => goTo(here() + 1),
    '<': () => faster(-1),
    '>': () => faster(1),
    i: () => player.setState((now) => ({ skipIdle: !now.skipIdle })),
    '/': () => setFind((now) => now ?? ''),
    c: () => {
      const step = steps[here()]
      if (step?.kind === 'command') copy(step.event.text, 'Command')
    },
    y: () => copy(transcriptText(transcript), 'Transcript'),
    ...Object.fromEntries(Array.from({ length: 10 }, (_, n) => [String(n), () => seek((length * n) / 10)])),
  })
  return (
    <article
      aria-label={`Replay of ${view.session.id}`}
      className="@container flex min-h-0 min-w-0 flex-col gap-3.5 px-7 pt-5 pb-4 max-lg:px-4"
    >
      <SessionTitle session={session}>
        <Freshness session={session} live={live} linked={linked} local={view.source === 'local'} problem={problem} />
      </SessionTitle>
      {find === undefined ? null : (
        <FindBar
          words={find}
          found={found}
          steps={steps}
          player={player}
          onWords={setFind}
          onGo={goTo}
          onClose={() => setFind(undefined)}
        />
      )}
      {steps.length === 0 ? (
        <Notice title="Nothing was said yet">
          <p>{live ? 'Commands appear here as the agent sends them.' : 'The session ended without a command.'}</p>
        </Notice>
      ) : (
        <div className="grid min-h-0 flex-1 grid-cols-[minmax(0,1fr)_252px] gap-4 @max-[720px]:grid-cols-1">
          <TranscriptPane recording={recording} fine={fine} player={player} words={find ?? ''} />
          <StepIndex steps={steps} fine={fine} player={player} onSeek={seek} />
        </div>
      )}
      <Timeline transcript={transcript} length={length} player={player} onSeek={seek} />
      <Controls
        player={player}
        length={length}
        live={live}
        finding={find !== undefined}
        onPlay={play}
        onFind={() => setFind((now) => (now === undefined ? '' : undefined))}
        onFollow={() =>
          player.setState((now) => ({ following: !now.following, playing: false, t: now.following ? now.t : length }))
        }
        onCopy={() => copy(transcriptText(transcript), 'Transcript')}
        onEnd={live && linked ? () => onEnd(session) : undefined}
      />
    </article>
  )
}

/** How long a recording is: to its last line, and while its session goes on to now, so that the clock is seen to run. */
function useLength(recorded: number, openSince: string | undefined): number {
  const since = openSince === undefined ? undefined : Date.parse(openSince)
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    if (since === undefined) return
    const timer = setInterval(() => setNow(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [since])
  return since === undefined ? recorded : Math.max(recorded, now - since)
}

/** Lets the player's time run while it plays. */
function usePlaying(player: PlayerStore, moments: readonly number[], length: number) {
  const playing = player((state) => state.playing)
  useEffect(() => {
    if (!playing) return
    let last = performance.now()
    let frame = requestAnimationFrame(function beat(now) {
      player.setState(advance(player.getState(), Math.max(0, now - last), moments, length))
      last = now
      frame = requestAnimationFrame(beat)
    })
    return () => cancelAnimationFrame(frame)
  }, [playing, player, moments, length])
}

function TranscriptPane(props: { recording: ReadyRecording; fine: boolean; player: PlayerStore; words: string }) {
  const { transcript, moments, view } = props.recording
  const { steps, header } = transcript
  const playing = props.player((state) => state.playing)
  // Changes only when something happens, not with every frame.
  const happened = props.player((state) => countUpTo(moments, state.t))
  const current = props.player((state) => stepAt(steps, state.t))
  const scroller = useRef<HTMLDivElement>(null)
  const virtual = useVirtualizer({
    count: steps.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 68,
    getItemKey: (i) => steps[i]!.key,
    overscan: 6,
  })
  // biome-ignore lint/correctness/useExhaustiveDependencies: what has happened changes heights
  useEffect(() => {
    if (current >= 0) virtual.scrollToIndex(current, { align: 'auto' })
    // Heights are only known once laid out: look again then.
    const look = () =>
      scroller.current?.querySelector(`[data-index="${current}"]`)?.scrollIntoView({ block: 'nearest' })
    const frame = requestAnimationFrame(look)
    const watcher = new ResizeObserver(look)
    if (scroller.current) watcher.observe(scroller.current)
    return () => {
      cancelAnimationFrame(frame)
      watcher.disconnect()
    }
  }, [current, happened, virtual])
  const items = virtual.getVirtualItems()
  useHighlight(scroller, props.words, `${items[0]?.key} ${items.at(-1)?.key} ${happened} ${playing}`)
  return (
    <section
      ref={scroller}
      aria-label="Transcript"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keys
      tabIndex={0}
      className="min-h-0 overflow-y-auto rounded-box border border-line bg-panel py-1"
    >
      <div className="relative w-full" style={{ height: virtual.getTotalSize() }}>
        {items.map((item) => (
          <div
            key={item.key}
            ref={virtual.measureElement}
            data-index={item.index}
            className="absolute inset-x-0 top-0"
            style={{ transform: `translateY(${item.start}px)` }}
          >
            <StepView
              step={steps[item.index]!}
              current={item.index === current}
              future={playing && item.index > current}
              until={playing ? (moments[happened - 1] ?? 0) : Number.POSITIVE_INFINITY}
              fine={props.fine}
              protocol={view.session.protocol}
              startedAt={Date.parse(header?.startedAt ?? view.session.openedAt)}
            />
          </div>
        ))}
      </div>
    </section>
  )
}

function Freshness(props: { session: Session; live: boolean; linked: boolean; local: boolean; problem: string }) {
  const { session, live, linked, local, problem } = props
  if (live)
    return linked && !problem ? (
      <span className="text-ok">
        <span
          className="mr-1.5 inline-block size-2 rounded-full bg-ok motion-safe:animate-breathe"
          aria-hidden="true"
        />
        live since {clock(session.openedAt)}
      </span>
    ) : (
      <span className="text-warn">was live; what came since is not here{problem ? `: ${problem}` : ''}</span>
    )
  return (
    <>
      {dateAndClock(session.openedAt, Date.now())} · {session.state}
      {local ? ' · from this desktop' : ''}
    </>
  )
}
