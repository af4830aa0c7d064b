import type { Session } from '@countersign/contract/session'
import { useCallback, useEffect, useState } from 'react'
import { useKeys } from '../../app/keys.ts'
import { say, useWorld } from '../../app/store.ts'
import { Button, Notice } from '../../parts/basics.tsx'
import { size } from '../../parts/size.ts'
import { clock, dateAndClock } from '../../parts/time.ts'
import { SessionTitle } from '../sessions/overview.tsx'
import { useAnnotating } from './annotations/annotating.tsx'
import { Controls } from './controls.tsx'
import { useFindings } from './find.ts'
import { FindBar } from './find-bar.tsx'
import { advance, createPlayer, type PlayerStore, SPEEDS } from './player.ts'
import { type ReadyRecording, useRecording } from './recording.ts'
import { StepIndex } from './step-index.tsx'
import { useTerminals } from './terminal/terminals.tsx'
import { Timeline } from './timeline.tsx'
import { transcriptText } from './transcript.ts'
import { TranscriptPane } from './transcript-pane.tsx'

interface Props {
  id: string
  /** Where to begin, in milliseconds. */
  at: number | undefined
  /** Where to begin, as an instant (ISO 8601), where nobody knows the milliseconds. */
  moment?: string | undefined
  onEnd: (session: Session) => void
  onExport: () => void
}

/** A session as a transcript (command → verdict → result) or as the terminals it had, to read or to play. */
export function Replay({ id, at, moment, onEnd, onExport }: Props) {
  const recording = useRecording(id)
  if (recording.state === 'loading') return <Notice title="Reading the recording…" role="status" />
  if (recording.state === 'failed')
    return (
      <Notice title="This recording can’t be shown" role="alert">
        <p>{recording.problem}</p>
        <Button onClick={recording.again}>Try again</Button>
      </Notice>
    )
  // What cites a command by the clock knows nothing of when its recording began.
  const since = moment === undefined ? Number.NaN : Date.parse(moment) - recording.startedAt
  const place = at ?? (Number.isFinite(since) ? Math.max(0, since) : undefined)
  return <Ready recording={recording} at={place} onEnd={onEnd} onExport={onExport} />
}

/** Longer recordings are exported, not copied. */
const COPIED_STEPS = 2000

function Ready({ recording, at, onEnd, onExport }: Omit<Props, 'id' | 'moment'> & { recording: ReadyRecording }) {
  const { index, windows, problem } = recording
  const session = useWorld((world) => world.sessions.get(recording.session.id)) ?? recording.session
  const linked = useWorld((world) => world.link.state === 'live')
  const live = !recording.complete && session.state === 'open'
  const length = useLength(recording.length, live && linked && !problem ? session.openedAt : undefined)
  const fine = index.crowded || length < 60_000
  const [player] = useState(() => createPlayer(at ?? (live ? length : 0), live && at === undefined))
  const [find, setFind] = useState<string | undefined>(undefined)

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
  usePlaying(player, index.moments, length)
  const annotating = useAnnotating({
    session: session.id,
    player,
    length,
    fine,
    seek,
    timeOf: (step) => (step >= 0 && step < index.count ? index.timeOf(step) : undefined),
  })

  const terminals = useTerminals({
    ...{ recording, player, length, fine, seek },
    words: find ?? '',
    fromBeginning: at === undefined && !live,
  })
  const findings = useFindings(session.id, terminals.pane ? '' : (find ?? ''), recording.complete ? 0 : recording.bytes)

  const play = () => {
    const { playing, t } = player.getState()
    player.setState(playing ? { playing: false } : { playing: true, following: false, t: t >= length ? 0 : t })
  }
  const goTo = (step: number) => {
    if (index.count > 0) seek(index.timeOf(Math.max(0, Math.min(index.count - 1, step))))
  }
  const here = () => index.stepAt(player.getState().t)
  const faster = (by: number) => {
    const index = SPEEDS.indexOf(player.getState().speed as (typeof SPEEDS)[number])
    player.setState({ speed: SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, index + by))]! })
  }
  const copy = (text: string, what: string) =>
    void navigator.clipboard.writeText(text).then(
      () => say(`${what} copied`),
      () => say('Copying was not allowed'),
    )
  const copyAll = async () => {
    const screen = terminals.copied()
    if (screen) return copy(screen.text, screen.what)
    if (index.count > COPIED_STEPS) {
      say('Too long to copy: export it to a file')
      return onExport()
    }
    const steps = await Promise.all(Array.from({ length: index.count }, (_, i) => windows.load(i)))
    copy(transcriptText(steps.filter((step) => step !== undefined)), 'Transcript')
  }
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
      const t = player.getState().t - 1
      const places = [index.markerBefore(t)?.t, annotating.before(t), terminals.before(t)].filter(
        (place) => place !== undefined,
      )
      if (places.length > 0) seek(Math.max(...places))
    },
    ']': () => {
      const { t } = player.getState()
      const places = [index.markerAfter(t)?.t, annotating.after(t), terminals.after(t)].filter(
        (place) => place !== undefined,
      )
      if (places.length > 0) seek(Math.min(...places))
    },
    ',': () => {
      if (terminals.pane) seek(terminals.lineBefore(player.getState().t) ?? 0)
      else goTo(here() - (player.getState().t > index.timeOf(here()) ? 0 : 1))
    },
    '.': () => {
      if (terminals.pane) seek(terminals.lineAfter(player.getState().t) ?? length)
      else goTo(here() + 1)
    },
    '<': () => faster(-1),
    '>': () => faster(1),
    i: () => player.setState((now) => ({ skipIdle: !now.skipIdle })),
    '/': () => setFind((now) => now ?? ''),
    c: () => {
      const screen = terminals.copied()
      if (screen) return copy(screen.text, screen.what)
      void windows.load(here()).then((step) => {
        if (step?.kind === 'command') copy(step.event.text, 'Command')
      })
    },
    y: () => void copyAll(),
    ...Object.fromEntries(Array.from({ length: 10 }, (_, n) => [String(n), () => seek((length * n) / 10)])),
  })
  return (
    <article
      aria-label={`Replay of ${session.id}`}
      className="@container flex min-h-0 min-w-0 flex-col gap-3.5 px-7 pt-5 pb-4 max-lg:px-4"
    >
      <SessionTitle session={session}>
        <Freshness session={session} live={live} linked={linked} recording={recording} />
      </SessionTitle>
      {find === undefined && !terminals.tabs ? null : (
        <div className="flex flex-wrap items-center gap-2.5">
          {terminals.tabs}
          {find === undefined ? null : (
            <FindBar
              words={find}
              places={
                terminals.places ?? {
                  ...{ found: findings.steps, part: findings.part, problem: findings.problem, of: 'this recording' },
                  now: (t) => index.stepAt(t),
                  go: (i) => goTo(findings.steps[i]!),
                }
              }
              player={player}
              onWords={setFind}
              onClose={() => setFind(undefined)}
            />
          )}
        </div>
      )}
      {index.count === 0 ? (
        <Notice title="Nothing was said yet">
          <p>{live ? 'Commands appear here as the agent sends them.' : 'The session ended without a command.'}</p>
        </Notice>
      ) : (
        <div
          className={`page-body grid gap-4 @max-[720px]:grid-cols-1 ${terminals.pane ? 'grid-cols-[minmax(0,1fr)_212px]' : 'grid-cols-[minmax(0,1fr)_252px]'}`}
        >
          {terminals.pane ?? (
            <TranscriptPane
              recording={recording}
              fine={fine}
              player={player}
              words={find ?? ''}
              onOpen={terminals.open}
            />
          )}
          {annotating.side(
            terminals.side ?? <StepIndex index={index} windows={windows} fine={fine} player={player} onSeek={seek} />,
            terminals.side ? 'Moments' : 'Steps',
          )}
        </div>
      )}
      {annotating.bar}
      <Timeline
        index={index}
        length={length}
        player={player}
        busy={session.protocol === 'ssh' ? 'moments' : 'steps'}
        onSeek={seek}
      >
        {terminals.marks}
        {annotating.marks}
      </Timeline>
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
        onCopy={() => void copyAll()}
        onAnnotate={annotating.mayAnnotate ? annotating.begin : undefined}
        onExport={onExport}
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
function usePlaying(player: PlayerStore, moments: ArrayLike<number>, length: number) {
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

/** Closer than this to a session that goes on is live. */
const BEHIND_MS = 10_000

function Freshness(props: { session: Session; live: boolean; linked: boolean; recording: ReadyRecording }) {
  const { session, live, linked, recording } = props
  const { problem, loading, source, complete, bytes, total } = recording
  // What a session says while somebody watches it is fetched all the time: only who is behind is told so.
  const behind = !live || Date.now() - Date.parse(session.openedAt) - recording.length > BEHIND_MS
  if (loading && behind)
    return (
      <span role="status" className="tabular-nums">
        reading it in: {size(bytes)}
        {total ? ` of ${size(total)}` : ''}
      </span>
    )
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
      {complete ? null : (
        <span className="text-warn">not whole: what follows is not here{problem ? `: ${problem}` : ''} · </span>
      )}
      {complete && problem ? <span className="text-warn">{problem} · </span> : null}
      {dateAndClock(session.openedAt, Date.now())} · {session.state}
      {source === 'local' ? ' · from this desktop' : ''}
    </>
  )
}
