import { ChevronDown, ChevronUp, X } from 'lucide-react'
import { useEffect, useRef } from 'react'
import { countUpTo } from '../../../recording-index.ts'
import type { Places } from './find.ts'
import type { PlayerStore } from './player.ts'

interface Props {
  words: string
  places: Places
  player: PlayerStore
  onWords(words: string): void
  onClose(): void
}

/** Finds inside a recording: Enter goes on, Shift+Enter back, Esc leaves. */
export function FindBar({ words, places, player, onWords, onClose }: Props) {
  const { found, part, problem, of } = places
  const count = found.length
  const now = player((state) => places.now(state.t))
  const upTo = countUpTo(found, now)
  const at = found[upTo - 1] === now ? upTo - 1 : -1
  const field = useRef<HTMLInputElement>(null)
  useEffect(() => field.current?.focus(), [])
  const going = useRef<'no' | 'on' | 'back'>('no')
  const move = (back: boolean) => {
    going.current = 'no'
    if (count === 0) {
      // Whoever is quicker than the search goes with its first find.
      if (part < 1) going.current = back ? 'back' : 'on'
      return
    }
    const next = back ? (at >= 0 ? at - 1 : upTo - 1) : upTo
    places.go(next < 0 ? count - 1 : next >= count ? 0 : next)
  }
  useEffect(() => {
    if (going.current !== 'no' && (count > 0 || part === 1)) move(going.current === 'back')
  })
  const button = 'inline-flex size-7 items-center justify-center rounded-tag text-dim hover:bg-sunken hover:text-ink'
  return (
    <search className="flex h-9 min-w-0 flex-1 items-center gap-1.5 rounded-box border border-line bg-panel pr-1.5 pl-3">
      <input
        ref={field}
        value={words}
        onChange={(event) => onWords(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === 'Enter') move(event.shiftKey)
          if (event.key === 'Escape') onClose()
        }}
        aria-label={`Find in ${of}`}
        placeholder={of === 'this recording' ? 'Find in commands, results and errors' : `Find in ${of}`}
        className="min-w-0 flex-1 bg-transparent outline-none"
      />
      <span role="status" className={`tabular-nums ${problem ? 'text-warn' : 'text-dim'}`}>
        {words.trim() === ''
          ? ''
          : problem
            ? problem
            : count > 0
              ? `${at >= 0 ? `${(at + 1).toLocaleString('en-US')} of ` : ''}${count.toLocaleString('en-US')}${part < 1 ? '+' : ''}`
              : part < 1
                ? 'looking…'
                : 'nowhere'}
        {part > 0 && part < 1 ? ` · ${Math.round(part * 100)} %` : ''}
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
