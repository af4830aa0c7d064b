import type { Overlay } from '@countersign/contract/review'
import { CircleCheck, CircleX, Clock3, Minus } from 'lucide-react'
import { stateWords } from './overlay-words.ts'

/** How an overlay stands: a picture and a word, never colour alone. */
export function OverlayMark({ overlay }: { overlay: Overlay }) {
  const { word, tone } = stateWords(overlay)
  const Icon = { danger: CircleX, warn: Clock3, ok: CircleCheck, plain: Minus }[tone]
  const ink = { danger: 'text-danger', warn: 'text-warn', ok: 'text-ok', plain: 'text-dim' }[tone]
  return (
    <span className={ink}>
      <Icon size={12} strokeWidth={2.2} className="mr-1 inline align-[-1.5px]" aria-hidden />
      {word}
    </span>
  )
}
