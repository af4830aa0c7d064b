import type { CampaignItemPage } from '@countersign/contract/review'
import type { PendingReview } from '../../../reviews-api.ts'
import { wordsOf } from '../../app/api.ts'
import { core, say, useWorld } from '../../app/store.ts'
import { Chip } from '../../parts/basics.tsx'
import { dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { linkLook } from '../access/grant-facts.tsx'
import { Part } from './evidence.tsx'
import { decidedWords, pendingWords } from './words.ts'

type Line =
  | { at: string; kind: 'decision'; of: CampaignItemPage['decisions'][number] }
  | { at: string; kind: 'comment'; of: CampaignItemPage['comments'][number] }
  | { at: string; kind: 'move'; of: CampaignItemPage['moves'][number] }

/** Decisions of each stage, comments and moves in their order; then what waits to be sent from here. */
export function PastPart({ page, pending }: { page: CampaignItemPage; pending: readonly PendingReview[] }) {
  const lines: Line[] = [
    ...page.decisions.map((of) => ({ at: of.at, kind: 'decision' as const, of })),
    ...page.comments.map((of) => ({ at: of.at, kind: 'comment' as const, of })),
    ...page.moves.map((of) => ({ at: of.at, kind: 'move' as const, of })),
  ].sort((a, b) => a.at.localeCompare(b.at))
  const live = useWorld((world) => world.link.state === 'live')
  if (lines.length + pending.length === 0) return null
  const now = Date.now()
  return (
    <Part name="past" title="What was said and decided">
      <ol className="flex flex-col gap-1.5">
        {lines.map((line) => (
          <li key={`${line.kind} ${line.of.id}`} className="flex items-baseline gap-3">
            <time dateTime={line.at} className="w-24 shrink-0 text-fine text-dim tabular-nums">
              {dateAndClock(line.at, now)}
            </time>
            <p className="min-w-0 flex-1 break-words whitespace-pre-wrap">
              <Said line={line} stages={page.item.stages} />
            </p>
          </li>
        ))}
        {pending.map((each) => (
          <li key={each.id} className="flex items-baseline gap-3">
            <time dateTime={each.at} className="w-24 shrink-0 text-fine text-dim tabular-nums">
              {dateAndClock(each.at, now)}
            </time>
            <p className="min-w-0 flex-1 break-words whitespace-pre-wrap">
              <b className="font-semibold">
                {each.kind === 'decision' ? `You ${decidedWords[each.verdict ?? 'undecided']}` : 'Your comment'}
              </b>
              {each.text ? (
                <>
                  {' '}
                  “<VisibleText>{each.text}</VisibleText>”
                </>
              ) : null}{' '}
              <span className={each.state === 'conflict' ? 'font-semibold text-danger' : 'text-warn'}>
                · {pendingWords(each, live)}
              </span>
              {each.state === 'waiting' || (each.kind === 'comment' && each.state === 'conflict') ? (
                <>
                  {' '}
                  <button type="button" className={linkLook} onClick={() => void takeBack(each)}>
                    {each.state === 'conflict' ? 'Discard' : 'Take back'}
                  </button>
                </>
              ) : null}
            </p>
          </li>
        ))}
      </ol>
    </Part>
  )
}

/** Takes back what waits, or throws away a comment that was refused. */
export async function takeBack(pending: PendingReview): Promise<void> {
  try {
    if (pending.state === 'conflict') await core().call('resolveReview', { id: pending.id, choice: 'discard' })
    else {
      const { taken } = await core().call('takeBackReview', { id: pending.id })
      return say(taken ? 'Taken back' : 'It may have arrived already: it can’t be taken back')
    }
    say('Discarded')
  } catch (error) {
    say(wordsOf(error))
  }
}

function Said({ line, stages }: { line: Line; stages: number }) {
  if (line.kind === 'comment')
    return (
      <>
        <b className="font-semibold">
          <VisibleText>{line.of.by.name}</VisibleText>
        </b>{' '}
        “<VisibleText>{line.of.text}</VisibleText>”
      </>
    )
  if (line.kind === 'move')
    return (
      <>
        <b className="font-semibold">
          <VisibleText>{line.of.by.name}</VisibleText>
        </b>{' '}
        {line.of.kind === 'delegate' ? 'delegated it to' : 'reassigned it to'}{' '}
        <VisibleText>{line.of.to.name}</VisibleText>: <VisibleText>{line.of.reason}</VisibleText>
      </>
    )
  const { by, inPlaceOf, verdict, reason, how, bulk, followed, stage } = line.of
  return (
    <>
      <b className="font-semibold">
        {by ? <VisibleText>{by.name}</VisibleText> : how === 'expired-default' ? 'The campaign was due' : 'Nobody'}
      </b>
      {inPlaceOf ? (
        <>
          {' '}
          in place of <VisibleText>{inPlaceOf.name}</VisibleText>
        </>
      ) : null}
      : {decidedWords[verdict]}
      {reason ? (
        <>
          {' '}
          “<VisibleText>{reason}</VisibleText>”
        </>
      ) : null}{' '}
      <span className="text-fine text-dim">
        {stages > 1 ? `stage ${stage + 1} · ` : ''}
        {followed ? 'as recommended' : 'against the recommendation'}
      </span>{' '}
      {bulk ? <Chip>with others</Chip> : null}
    </>
  )
}
