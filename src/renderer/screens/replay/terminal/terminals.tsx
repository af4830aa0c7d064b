import { RadioGroup } from 'radix-ui'
import { type ReactNode, useCallback, useMemo, useRef, useState } from 'react'
import { countUpTo } from '../../../../recording-index.ts'
import type { ChannelRow, TerminalMarker } from '../../../../terminal-api.ts'
import { oneLine } from '../../../../visible.ts'
import { useKeys } from '../../../app/keys.ts'
import { Select } from '../../../parts/select.tsx'
import { playhead } from '../../../parts/time.ts'
import type { Places } from '../find.ts'
import type { PlayerStore } from '../player.ts'
import type { ReadyRecording } from '../recording.ts'
import { terminalOn, useChannels, useHits, useTerminal } from './channels.ts'
import { MARK_LOOKS } from './marks.ts'
import { Moments } from './moments.tsx'
import { useOpening } from './opening.ts'
import type { Screen } from './screen.ts'
import { TerminalPane } from './terminal-pane.tsx'

/** What Replay needs to have terminals in it. */
export interface Terminals {
  /** Chooses between the transcript and terminals; null where there are none. */
  readonly tabs: ReactNode
  /** The terminal, where one is to be shown in place of the transcript. */
  readonly pane: ReactNode
  /** What is worth going to in it, for the side; undefined while the transcript is shown. */
  readonly side: ReactNode | undefined
  /** What is found in it; undefined while the transcript is shown. */
  readonly places: Places | undefined
  /** Its marks on the timeline. */
  readonly marks: ReactNode
  /** The last of its marks before `t`, and the first one after it: lines that were typed aside. */
  before(t: number): number | undefined
  after(t: number): number | undefined
  /** The last line that was typed before `t`, and the first one after; where none was, whatever happened. */
  lineBefore(t: number): number | undefined
  lineAfter(t: number): number | undefined
  /** What is selected in it, else what stands on the screen; undefined while the transcript is shown. */
  copied(): { text: string; what: string } | undefined
  /** Shows a channel’s output as a terminal would. */
  open(channel: ChannelRow): void
}

type View = { of: 'whatever is on' } | { of: 'transcript' } | { of: 'terminal' } | { of: 'channel'; row: ChannelRow }

/** The terminals of a recording of SSH: the one that is on at the player's time, unless somebody chose. V changes. */
export function useTerminals(options: {
  recording: ReadyRecording
  player: PlayerStore
  length: number
  fine: boolean
  words: string
  /** Nobody said where to begin. */
  fromBeginning: boolean
  seek(t: number): void
}): Terminals {
  const { recording, player, length, fine, words, fromBeginning, seek } = options
  const { session, index, seq, edition } = recording
  const { terminals, others } = useChannels(session.id, edition, session.protocol === 'ssh', seq)
  const [view, setView] = useState<View>({ of: 'whatever is on' })
  const on = player(({ t, following }) => terminalOn(terminals, following ? Math.max(t, length) : t))
  const last = player(({ t }) => terminals.findLastIndex(({ from }) => from <= t))
  const nearest = terminals[on] ?? terminals[last] ?? terminals[0]
  const row =
    view.of === 'channel'
      ? view.row
      : view.of === 'terminal' || (view.of === 'whatever is on' && (on >= 0 || others === 0))
        ? nearest
        : undefined
  const told = useTerminal(session.id, row?.channel, seq)
  const opened = useOpening(session.id, row, player, fromBeginning)
  const summary = told.state === 'here' ? told.summary : undefined
  const { hits, part, problem } = useHits(session.id, row?.channel, words, summary?.count ?? 0)
  const screen = useRef<Screen | undefined>(undefined)
  const onScreen = useCallback((now: Screen | undefined) => {
    screen.current = now
  }, [])
  const { lines, others: marks } = useMemo(() => sorted(summary?.markers ?? []), [summary?.markers])
  const open = (chosen: ChannelRow) => {
    setView({ of: 'channel', row: chosen })
    const { t } = player.getState()
    // A terminal is played from its beginning; what a command merely said is all there at its end.
    if (t < chosen.from || (chosen.to !== null && t > chosen.to))
      seek(chosen.terminal ? chosen.from : (chosen.to ?? chosen.from))
  }
  const toggle = () => setView(row ? { of: 'transcript' } : { of: 'terminal' })
  useKeys({
    v: () => {
      if (terminals.length === 0 && !row) return false
      toggle()
    },
  })
  const copied = () => {
    const now = screen.current
    if (!now) return undefined
    const selected = now.selection()
    return selected ? { text: selected, what: 'What is selected' } : { text: now.text(), what: 'The screen' }
  }
  const times = lines.length > 0 ? lines : undefined
  const timeAfter = (t: number) => (times ? times[countUpTo(times, t)] : index.moments[countUpTo(index.moments, t)])
  const timeBefore = (t: number) => {
    const all = times ?? index.moments
    let i = countUpTo(all, t) - 1
    while (i >= 0 && all[i]! >= t) i -= 1
    return i < 0 ? undefined : all[i]
  }
  return {
    tabs:
      terminals.length === 0 && view.of !== 'channel' ? null : (
        <Tabs
          terminals={terminals}
          row={row}
          onTranscript={() => setView({ of: 'transcript' })}
          onTerminal={() => setView({ of: 'terminal' })}
          onRow={open}
        />
      ),
    pane: row ? (
      <TerminalPane
        {...{ session: session.id, row, told, seq, player, words, fine, opened, onScreen }}
        key={`${row.channel} ${edition}`}
      />
    ) : null,
    side: row ? <Moments markers={summary?.markers ?? []} fine={fine} player={player} onSeek={seek} /> : undefined,
    places: row
      ? {
          ...{ found: hits.map(({ t }) => t), part, problem },
          of: row.terminal ? 'this terminal' : 'this output',
          now: (t) => t,
          go: (i) => seek(hits[i]!.t),
        }
      : undefined,
    marks: row ? <Marks markers={marks} length={length} fine={fine} /> : null,
    before: (t) => (row ? marks.findLast((marker) => marker.t < t)?.t : undefined),
    after: (t) => (row ? marks.find((marker) => marker.t > t)?.t : undefined),
    lineBefore: timeBefore,
    lineAfter: timeAfter,
    copied,
    open,
  }
}

function sorted(markers: readonly TerminalMarker[]) {
  return {
    lines: markers.filter(({ kind }) => kind === 'line').map(({ t }) => t),
    others: markers.filter(({ kind }) => kind !== 'line'),
  }
}

function Tabs(props: {
  terminals: readonly ChannelRow[]
  row: ChannelRow | undefined
  onTranscript(): void
  onTerminal(): void
  onRow(row: ChannelRow): void
}) {
  const { terminals, row } = props
  const look =
    'px-3 text-fine outline-offset-[-2px] text-dim hover:text-ink data-[state=checked]:bg-sunken data-[state=checked]:font-semibold data-[state=checked]:text-ink'
  return (
    <div className="flex items-center gap-2.5">
      <RadioGroup.Root
        aria-label="Show"
        value={row ? 'terminal' : 'transcript'}
        onValueChange={(value) => (value === 'terminal' ? props.onTerminal() : props.onTranscript())}
        className="flex h-7 overflow-hidden rounded-box border border-line bg-panel"
      >
        <RadioGroup.Item value="transcript" className={look}>
          Transcript
        </RadioGroup.Item>
        <RadioGroup.Item value="terminal" className={look}>
          Terminal
        </RadioGroup.Item>
      </RadioGroup.Root>
      {row && terminals.length > 1 ? (
        <span className="w-60 max-w-full">
          <Select
            label="Terminal"
            value={row.channel}
            onChange={(channel) => {
              const chosen = terminals.find((each) => each.channel === channel)
              if (chosen) props.onRow(chosen)
            }}
            options={terminals.map((each) => [
              each.channel,
              `${playhead(each.from)}  ${oneLine(each.command || each.kind, 60)}`,
            ])}
          />
        </span>
      ) : null}
    </div>
  )
}

/** As many marks as stand side by side without touching. */
const DOTS = 76

function Marks({ markers, length, fine }: { markers: readonly TerminalMarker[]; length: number; fine: boolean }) {
  const seen = new Set<number>()
  return markers.map((marker) => {
    const place = Math.floor((marker.t / Math.max(1, length)) * DOTS)
    // Denials, errors and masks of the recording stand there already.
    if (seen.has(place) || marker.kind === 'mask' || marker.kind === 'error') return null
    seen.add(place)
    return (
      <span
        key={marker.seq}
        title={`${playhead(marker.t, fine)} ${marker.label}`}
        className={`absolute top-[18px] -ml-1 size-2 ${MARK_LOOKS[marker.kind]}`}
        style={{ left: `${Math.min(100, (marker.t / Math.max(1, length)) * 100)}%` }}
      />
    )
  })
}
