import { Copy, FileDown, Pause, Play, Search } from 'lucide-react'
import { RadioGroup } from 'radix-ui'
import type { ReactNode } from 'react'
import { Button, Key } from '../../parts/basics.tsx'
import { playhead } from '../../parts/time.ts'
import { type PlayerStore, SPEEDS } from './player.ts'
import { Legend } from './timeline.tsx'

interface Props {
  player: PlayerStore
  length: number
  /** The session goes on. */
  live: boolean
  finding: boolean
  onPlay(): void
  onFind(): void
  onFollow(): void
  onCopy(): void
  /** Undefined where the person's roles let them only read. */
  onAnnotate: (() => void) | undefined
  onExport(): void
  onEnd: (() => void) | undefined
}

/** Play, how fast, what to skip: what the keys do, for hands on a mouse. */
export function Controls(props: Props) {
  const { player, live } = props
  const { t, playing, speed, skipIdle, following } = player()
  const fine = props.length < 60_000
  // Where room is scarce, buttons are told by their pictures; a live session has two buttons more.
  const words = '@max-[860px]:hidden'
  const spare = live ? '@max-[860px]:hidden' : '@max-[640px]:hidden'
  return (
    <div className="flex flex-wrap items-center gap-2.5">
      <Button onClick={props.onPlay} aria-label={playing ? 'Pause' : 'Play'} className="w-12 px-0">
        {playing ? (
          <Pause size={15} fill="currentColor" aria-hidden />
        ) : (
          <Play size={15} fill="currentColor" aria-hidden />
        )}
      </Button>
      <span className="tabular-nums">
        <b className="font-semibold">{playhead(t, fine)}</b>{' '}
        <span className="text-dim">/ {playhead(props.length, fine)}</span>
      </span>
      <RadioGroup.Root
        value={String(speed)}
        onValueChange={(next) => player.setState({ speed: Number(next) })}
        aria-label="Speed"
        className="flex h-9 overflow-hidden rounded-box border border-line bg-panel"
      >
        {SPEEDS.map((each) => (
          <RadioGroup.Item
            key={each}
            value={String(each)}
            className="px-2 @max-[640px]:px-1.5 text-dim tabular-nums outline-offset-[-2px] hover:text-ink data-[state=checked]:bg-sunken data-[state=checked]:font-semibold data-[state=checked]:text-ink"
          >
            {each}×
          </RadioGroup.Item>
        ))}
      </RadioGroup.Root>
      <Pressed on={skipIdle} className={spare} onClick={() => player.setState({ skipIdle: !skipIdle })}>
        Skip idle
      </Pressed>
      <Pressed on={props.finding} onClick={props.onFind} label="Find in this recording">
        <Search size={14} aria-hidden />
        <span className={words}>Find</span>
      </Pressed>
      {live ? (
        <Pressed on={following} onClick={props.onFollow}>
          Follow live
        </Pressed>
      ) : null}
      <span className="ml-auto flex items-center gap-3">
        <span className="@max-[1080px]:hidden">
          <Legend />
        </span>
        <Button
          onClick={props.onCopy}
          aria-label="Copy the whole transcript"
          title="Copy the whole transcript"
          className={`px-3! font-normal! text-dim! ${spare}`}
        >
          <Copy size={14} aria-hidden />
          <span className={words}>Copy</span>
        </Button>
        {props.onAnnotate ? (
          <Button onClick={props.onAnnotate} className="px-3!">
            Annotate
            <span className={live ? words : ''}>
              <Key>N</Key>
            </span>
          </Button>
        ) : null}
        <Button
          onClick={props.onExport}
          aria-label="Export this session"
          title="Export this session"
          className="px-3! font-normal! text-dim!"
        >
          <FileDown size={14} aria-hidden />
          <span className={words}>Export</span>
        </Button>
        {props.onEnd ? (
          <Button tone="danger" onClick={props.onEnd}>
            End session
          </Button>
        ) : null}
      </span>
    </div>
  )
}

function Pressed(props: { on: boolean; onClick: () => void; label?: string; className?: string; children: ReactNode }) {
  const { on, onClick, label, className = '', children } = props
  return (
    <Button
      aria-pressed={on}
      aria-label={label}
      title={label}
      onClick={onClick}
      className={`gap-1.5! px-3! ${on ? 'bg-sunken!' : 'font-normal! text-dim!'} ${className}`}
    >
      {children}
    </Button>
  )
}
