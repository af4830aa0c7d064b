import { ChevronDown, ChevronUp, X } from 'lucide-react'
import { useEffect, useRef } from 'react'
import type { PlayerStore } from './player.ts'
import { type Step, stepAt } from './transcript.ts'

interface Props {
  words: string
  /** Places of the steps that say the words. */
  found: readonly number[]
  steps: readonly Step[]
  player: PlayerStore
  onWords(words: string): void
  onGo(step: number): void
  onClose(): void
}

/** Finds inside a recording: Enter goes on, Shift+Enter back, Esc leaves. */
export function FindBar({ words, found, steps, player, onWords, onGo, onClose }: Props) {
  const field = useRef<HTMLInputElement>(null)
  useEffect(() => field.current?.focus(), [])
  const here = player((state) => stepAt(steps, state.t))
  const at = found.indexOf(here)
  const move = (back: boolean) => {
    if (found.length === 0) return
    const next = back ? found.findLast((place) => place < here) : found.find((place) => place > here)
    onGo(next ?? (back ? found.at(-1)! : found[0]!))
  }
  const button = 'inline-flex size-7 items-center justify-center rounded-tag text-dim hover:bg-sunken hover:text-ink'
  return (
    <search className="flex h-9 items-center gap-1.5 rounded-box border border-line bg-panel pr-1.5 pl-3">
      <input
        ref={field}
        value={words}
        onChange={(event) => onWords(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === 'Enter') move(event.shiftKey)
          if (event.key === 'Escape') onClose()
        }}
        aria-label="Find in this recording"
        placeholder="Find in commands, results and errors"
        className="min-w-0 flex-1 bg-transparent outline-none"
      />
      <span role="status" className="text-dim tabular-nums">
        {words.trim() === ''
          ? ''
          : found.length === 0
            ? 'nowhere'
            : `${at >= 0 ? `${at + 1} of ` : ''}${found.length.toLocaleString('en-US')}`}
      </span>
      <button type="button" aria-label="Previous" className={button} onClick={() => move(true)}>
        <ChevronUp size={15} aria-hidden />
      </button>
      <button type="button" aria-label="Next" className={button} onClick={() => move(false)}>
        <ChevronDown size={15} aria-hidden />
      </button>
      <button type="button" aria-label="Leave" className={button} onClick={onClose}>
        <X size={15} aria-hidden />
      </button>
    </search>
  )
}
