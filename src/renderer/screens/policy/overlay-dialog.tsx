import type { Overlay } from '@countersign/contract/review'
import { useState } from 'react'
import { core, say } from '../../app/store.ts'
import { Reasoned } from '../../parts/reasoned.tsx'
import type { Does } from './overlay-words.ts'

/** Applies, rejects, rolls back or retires: deliberate, with a reason, about the very text that was shown. */
export function OverlayDialog(props: { overlay: Overlay; does: Does; onClose: () => void }) {
  const { overlay: now, does, onClose } = props
  /** What is answered is what the dialog was opened on: to ask for a roll-back is another thing than to do it. */
  const [overlay] = useState(now)
  const { id, digest, title, connection } = overlay
  const words = wordsFor(does, overlay)
  return (
    <Reasoned
      title={words.title}
      description={words.description}
      action={words.action}
      doing={words.doing}
      placeholder={words.placeholder}
      danger={does !== 'apply'}
      onClose={onClose}
      onReason={async (reason) => {
        if (changedSince(overlay, now))
          throw new Error('It changed while you looked at it: close this, look at it, then answer.')
        const answered = await core().call('answerOverlay', {
          ...{ id, does, reason, digest },
          ...(does === 'roll-back' && overlay.rollBack && { confirms: overlay.rollBack.at }),
        })
        say(
          answered.state === 'failed'
            ? `It failed: ${answered.failedBecause ?? ''}`
            : `${words.done}: ${answered.state}`,
        )
      }}
    >
      <p className="mt-3 rounded-box bg-sunken px-3 py-2 break-words">
        {title} <span className="text-dim">· on {connection}</span>
      </p>
    </Reasoned>
  )
}

/** Whether what an answer would do is another thing by now. */
export const changedSince = (shown: Overlay, now: Overlay): boolean =>
  shown.state !== now.state || shown.digest !== now.digest || shown.rollBack?.at !== now.rollBack?.at

function wordsFor(does: Does, overlay: Overlay) {
  switch (does) {
    case 'apply':
      return {
        title: overlay.state === 'failed' ? 'Apply this overlay again?' : 'Apply this overlay?',
        description:
          'It is in force from the next command on, in open sessions too. Then the gate is asked whether it denies what it is to deny, and leaves everything else as it was; what breaks something is taken out again.',
        ...{ action: 'Apply it', doing: 'Applying and probing…', placeholder: 'What you looked at', done: 'Applied' },
      }
    case 'reject':
      return overlay.rollBack
        ? {
            title: 'Keep it in force?',
            description: 'That it was asked to be rolled back is refused; the overlay stays.',
            ...{ action: 'Keep it', doing: 'Sending…', placeholder: 'Why it stays', done: 'Kept' },
          }
        : {
            title: 'Reject this overlay?',
            description:
              'The access stays as it is, whatever the review decided. The item says that it was rejected, by whom and why.',
            ...{ action: 'Reject it', doing: 'Rejecting…', placeholder: 'Kept with the record', done: 'Rejected' },
          }
    case 'roll-back':
      return overlay.rollBack
        ? {
            title: 'Roll this overlay back?',
            description: `${overlay.rollBack.by.name} asked for it; you are the second person. What it forbids is permitted again as policy says, from the next command on.`,
            ...{ action: 'Roll it back', doing: 'Rolling back…', placeholder: 'Why it may go', done: 'Rolled back' },
          }
        : {
            title: 'Ask to roll this overlay back?',
            description: 'It takes two people: it stays in force until another admin says so, too.',
            ...{ action: 'Ask for it', doing: 'Sending…', placeholder: 'Why it should go', done: 'Asked' },
          }
    case 'retire':
      return {
        title: 'Retire this overlay?',
        description: 'The policy folder has every policy of it by now: nothing changes in what is enforced.',
        ...{ action: 'Retire it', doing: 'Retiring…', placeholder: 'For example: merged as #412', done: 'Retired' },
      }
  }
}
