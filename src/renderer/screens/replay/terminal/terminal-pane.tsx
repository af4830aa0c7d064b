import { useEffect, useRef, useState } from 'react'
import type { ChannelRow, TerminalSummary } from '../../../../terminal-api.ts'
import { oneLine } from '../../../../visible.ts'
import { wordsOf } from '../../../app/api.ts'
import { useShownChannel } from '../../../app/exporting.ts'
import { core } from '../../../app/store.ts'
import { Button, Chip, Key, Notice } from '../../../parts/basics.tsx'
import { size } from '../../../parts/size.ts'
import { playhead } from '../../../parts/time.ts'
import { VisibleText } from '../../../parts/visible-text.tsx'
import type { PlayerStore } from '../player.ts'
import type { Told } from './channels.ts'
import { Feed } from './feed.ts'
import { READABLE, Screen } from './screen.ts'
import { exitWords } from './words.ts'

interface Props {
  session: string
  row: ChannelRow
  told: Told
  /** Of the recording's last line: another one says that there may be more frames. */
  seq: number
  player: PlayerStore
  words: string
  fine: boolean
  /** Where it was opened, if not at its beginning. */
  opened: number | undefined
  /** Given what is shown now, for copying; undefined once it is gone. */
  onScreen(screen: Screen | undefined): void
}

/** What screen readers are told of a screen that changes isn't told oftener than this. */
const TOLD_EVERY_MS = 1000
/** Around the terminal, in pixels. */
const PADDING = 12
let works = 0

/** A terminal as it looked at the player's time. */
export function TerminalPane(props: Props) {
  const { session, row, told, seq, player, words, fine, opened, onScreen } = props
  const { channel } = row
  const room = useRef<HTMLDivElement>(null)
  const host = useRef<HTMLDivElement>(null)
  const held = useRef<{ screen: Screen; feed: Feed } | undefined>(undefined)
  const marked = useRef(words)
  marked.current = words
  const [shown, setShown] = useState({ text: '', columns: 0, rows: 0, letters: 14 })
  const [arrived, setArrived] = useState(false)
  const [problem, setProblem] = useState<{ words: string } | undefined>(undefined)
  const [round, setRound] = useState(0)

  // biome-ignore lint/correctness/useExhaustiveDependencies: `round` says that it is to be tried again
  useEffect(() => {
    works += 1
    const work = `terminal ${works}`
    let telling: ReturnType<typeof setTimeout> | undefined
    const tell = () => {
      telling = undefined
      screen.mark(marked.current)
      setShown({ text: screen.text(), ...screen.size })
    }
    const screen = new Screen(host.current!, {
      terminal: row.terminal,
      onChange: () => {
        telling ??= setTimeout(tell, player.getState().playing ? TOLD_EVERY_MS : 0)
      },
    })
    const feed = new Feed({
      source: {
        at: (t) => core().call('terminalAt', { session, channel, t, work }),
        frames: (from) => core().call('terminalFrames', { session, channel, from }),
      },
      drawing: screen,
      onFailed: (error) => setProblem({ words: wordsOf(error) }),
      onArrived: () => setArrived(true),
    })
    const goTo = ({ t, following }: { t: number; following: boolean }) =>
      feed.goTo(following ? Number.POSITIVE_INFINITY : t)
    goTo(player.getState())
    const stop = player.subscribe(goTo)
    const watcher = new ResizeObserver(() => {
      if (room.current) screen.fit(room.current.clientWidth - 2 * PADDING, room.current.clientHeight - 2 * PADDING)
    })
    watcher.observe(room.current!)
    held.current = { screen, feed }
    onScreen(screen)
    return () => {
      onScreen(undefined)
      held.current = undefined
      watcher.disconnect()
      stop()
      clearTimeout(telling)
      feed.stop()
      screen.dispose()
      setArrived(false)
      setProblem(undefined)
    }
  }, [session, channel, row.terminal, player, onScreen, round])
  // Of a session that goes on frames are asked for as soon as they are here: the rest of what is known of it takes longer.
  useEffect(
    () =>
      core().on((event) => {
        if (event.type === 'tail' && event.session === session) held.current?.feed.grew()
      }),
    [session],
  )
  useEffect(() => {
    // What is selected in a terminal the browser knows nothing of.
    const copy = (event: ClipboardEvent) => {
      const text = held.current?.screen.selection()
      if (!text || getSelection()?.isCollapsed === false) return
      event.clipboardData?.setData('text/plain', text)
      event.preventDefault()
    }
    document.addEventListener('copy', copy)
    return () => document.removeEventListener('copy', copy)
  }, [])
  useEffect(() => {
    const { terminal, command } = row
    useShownChannel.setState({ shown: { session, channel, command, terminal } })
    return () => useShownChannel.setState({ shown: undefined })
  }, [session, channel, row])
  // biome-ignore lint/correctness/useExhaustiveDependencies: `seq` says that there is more
  useEffect(() => held.current?.feed.grew(), [seq])
  useEffect(() => held.current?.screen.mark(words), [words])

  const failure = problem?.words ?? (told.state === 'failed' ? told.problem : undefined)
  const again = () => {
    if (told.state === 'failed') told.again()
    setProblem(undefined)
    setRound((n) => n + 1)
  }
  return (
    <section
      aria-label={`Terminal ${channel}`}
      className="flex min-h-0 min-w-0 flex-col overflow-hidden on-terminal rounded-box border border-line"
    >
      <div ref={room} className="relative min-h-0 flex-1 overflow-auto p-3">
        <div ref={host} aria-hidden="true" className={failure ? 'hidden' : 'w-fit'} />
        <section className="sr-only" aria-label="Text of the screen">
          <pre>{shown.text}</pre>
        </section>
        {failure !== undefined ? (
          <Notice title="This terminal can’t be shown" role="alert">
            <p>{failure}</p>
            <Button onClick={again}>Try again</Button>
          </Notice>
        ) : arrived ? null : (
          <div className="absolute inset-0 bg-terminal">
            <Notice title="Reading the terminal…" role="status">
              {told.state === 'here' && told.summary.looked < 1 ? (
                <p className="tabular-nums">{Math.round(told.summary.looked * 100)} % of it looked through</p>
              ) : null}
            </Notice>
          </div>
        )}
      </div>
      <Status
        row={row}
        summary={told.state === 'here' ? told.summary : undefined}
        shown={shown}
        player={player}
        fine={fine}
        opened={opened}
      />
    </section>
  )
}

/** How long something that was said once is told. */
const RECENT_MS = 4000

/** Below the terminal: what it is, its size, and what can’t be seen in it. */
function Status(props: {
  row: ChannelRow
  summary: TerminalSummary | undefined
  shown: { columns: number; rows: number; letters: number }
  player: PlayerStore
  fine: boolean
  opened: number | undefined
}) {
  const { row, summary, shown, player, fine, opened } = props
  const recent = player(({ t, following }) => {
    if (!summary) return undefined
    const now = following ? summary.to : t
    return summary.markers.findLast(
      (marker) =>
        marker.t <= now && now - marker.t < RECENT_MS && ['hidden', 'mask', 'signal', 'notice'].includes(marker.kind),
    )?.label
  })
  const place = player(({ t, following }) =>
    !following && t < row.from ? 'before' : summary?.exit && (following || t >= summary.exit.t) ? 'after' : 'within',
  )
  const poster = player(({ t, playing }) => t === opened && !playing)
  return (
    <footer className="flex h-8 shrink-0 items-center gap-3 overflow-hidden border-t border-line px-4 text-fine whitespace-nowrap text-dim">
      <span className="min-w-0 truncate font-mono text-ink">
        <VisibleText>{oneLine(row.command, 120)}</VisibleText>
      </span>
      {row.terminal ? (
        <span className="tabular-nums">
          {shown.columns} × {shown.rows}
        </span>
      ) : (
        <span>without a terminal</span>
      )}
      {shown.letters < READABLE ? (
        <span className="flex items-center gap-1">
          <Key>F</Key> larger
        </span>
      ) : null}
      {row.kind === 'shell' ? <span className="text-warn">recorded, not policed</span> : null}
      {summary?.exit?.truncated ? (
        <Chip tone="warn" title={`Past the bound it is only counted and hashed: ${summary.exit.truncated.join(', ')}`}>
          not all was kept
        </Chip>
      ) : null}
      <span className="ml-auto min-w-0 truncate">
        {poster ? (
          'opened at its first output'
        ) : place === 'before' ? (
          `begins at ${playhead(row.from, fine)}`
        ) : place === 'after' && summary?.exit ? (
          <span className={summary.exit.code === 0 ? 'text-ok' : 'text-warn'}>
            {exitWords(summary.exit)} · {size(summary.exit.bytes.stdout + summary.exit.bytes.stderr)}
          </span>
        ) : recent ? (
          <span className="text-warn">
            <VisibleText>{oneLine(recent, 120)}</VisibleText>
          </span>
        ) : summary && !summary.ended ? (
          'goes on'
        ) : (
          ''
        )}
      </span>
    </footer>
  )
}
