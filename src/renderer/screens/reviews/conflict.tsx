import type { CampaignItem, CampaignItemPage } from '@countersign/contract/review'
import { CircleAlert } from 'lucide-react'
import { useState } from 'react'
import type { PendingReview, ReviewChoice } from '../../../reviews-api.ts'
import { wordsOf } from '../../app/api.ts'
import { useReviews } from '../../app/reviews.ts'
import { core, say, useWorld } from '../../app/store.ts'
import { Button } from '../../parts/basics.tsx'
import { dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { DecideDialog } from './decide-dialog.tsx'
import { Foot } from './foot.tsx'
import { decidedWords } from './words.ts'

const said: Record<ReviewChoice, string> = {
  again: 'In line again',
  anew: 'Decided on what is there now',
  discard: 'Discarded: what stands there is kept',
}

/** A decision that the gateway refused: what stands there now beside what was decided here, and the choice. */
export function Conflict(props: { item: CampaignItem; pending: PendingReview; recommended: CampaignItemPage }) {
  const { item, pending } = props
  const live = useWorld((world) => world.link.state === 'live')
  const [problem, setProblem] = useState('')
  const [anew, setAnew] = useState(false)
  const theirs = item.verdict !== 'undecided'
  const closed = useReviews(({ campaigns }) => campaigns.get(item.campaign)?.state === 'closed')
  const choose = async (choice: ReviewChoice) => {
    setProblem('')
    try {
      const anew = choice === 'anew' ? { anew: { revision: item.revision } } : {}
      await core().call('resolveReview', { id: pending.id, choice, ...anew })
      say(said[choice])
    } catch (error) {
      setProblem(wordsOf(error))
    }
  }
  return (
    <Foot item={item}>
      <div role="alert" className="rounded-box bg-danger-pale px-3.5 py-2.5">
        <p className="flex items-start gap-2 text-danger">
          <CircleAlert size={15} className="mt-0.5 shrink-0" aria-hidden />
          <span>
            <b className="font-semibold">Your decision was not taken.</b>{' '}
            <VisibleText>{pending.problem ?? 'The gateway gave no reason.'}</VisibleText>
          </span>
        </p>
        <dl className="mt-1.5 grid grid-cols-[max-content_1fr] gap-x-4 pl-6">
          <dt className="text-dim">Yours</dt>
          <dd>
            {decidedWords[pending.verdict ?? 'undecided']}, {dateAndClock(pending.at, Date.now())}
            {pending.text ? (
              <>
                {': '}“<VisibleText>{pending.text}</VisibleText>”
              </>
            ) : null}
          </dd>
          <dt className="text-dim">There now</dt>
          <dd>
            {theirs ? (
              <>
                {decidedWords[item.verdict]}
                {item.decidedBy ? (
                  <>
                    {' by '}
                    <VisibleText>{item.decidedBy.name}</VisibleText>
                  </>
                ) : null}
                {item.decidedAt ? `, ${dateAndClock(item.decidedAt, Date.now())}` : ''}
              </>
            ) : (
              `undecided${closed ? '; the campaign is closed' : pending.status === 409 ? ', and it has changed since' : ''}`
            )}
          </dd>
        </dl>
      </div>
      {problem ? <p className="mt-1.5 text-danger">{problem}</p> : null}
      <div className="mt-2.5 flex flex-wrap justify-end gap-2.5">
        <Button onClick={() => void choose('discard')}>{theirs ? 'Keep theirs' : 'Discard mine'}</Button>
        {pending.choices.includes('again') ? (
          <Button disabled={!live} onClick={() => void choose('again')}>
            Send again
          </Button>
        ) : null}
        {pending.choices.includes('anew') && !theirs && !closed ? (
          <Button onClick={() => (pending.verdict === 'certify' ? void choose('anew') : setAnew(true))}>
            Decide again on what is there now
          </Button>
        ) : null}
      </div>
      {anew && pending.verdict && pending.verdict !== 'certify' ? (
        <DecideDialog
          page={props.recommended}
          verdict={pending.verdict}
          reason={pending.text}
          policy={pending.policy}
          instead={pending.id}
          onClose={() => setAnew(false)}
          onDecided={() => {}}
        />
      ) : null}
    </Foot>
  )
}
