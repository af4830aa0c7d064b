import type { CampaignItem, CampaignItemPage, Verdict } from '@countersign/contract/review'
import { Check, CloudOff, Minus, X } from 'lucide-react'
import { type ReactNode, useRef, useState } from 'react'
import type { PendingReview } from '../../../reviews-api.ts'
import { wordsOf } from '../../app/api.ts'
import { useKeys } from '../../app/keys.ts'
import { decidesItems, useReviews } from '../../app/reviews.ts'
import { core, say, useWorld } from '../../app/store.ts'
import { Button, Key } from '../../parts/basics.tsx'
import { dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { Conflict } from './conflict.tsx'
import { decideItem } from './decide.ts'
import { DecideDialog } from './decide-dialog.tsx'
import { Foot } from './foot.tsx'
import type { Looked } from './looking.ts'
import { MoveDialog } from './move-dialog.tsx'
import { takeBack } from './past.tsx'
import { appliedWords, decidedWords, hasFailed, pendingWords, recommendedNames } from './words.ts'

/** An item that has only just come isn’t decided: the key press was meant for another one. */
const READ_AT_LEAST_MS = 300
const tight = 'gap-2! px-2.5!'

interface Props {
  page: CampaignItemPage
  pending: PendingReview | undefined
  looked: Looked
  onBack: () => void
  /** It is decided: what comes next. */
  onDecided: () => void
}

/** The foot of an item: the decision, or how it was decided, or why there is none to make. */
export function DecisionBar(props: Props) {
  const { page, pending } = props
  const { item } = page
  const me = useWorld((world) => world.me)
  const live = useWorld((world) => world.link.state === 'live')
  const campaign = useReviews(({ campaigns }) => campaigns.get(item.campaign))
  /** The revision of a decided item that the person wants to decide again. */
  const [again, setAgain] = useState<number | undefined>(undefined)
  if (pending?.state === 'conflict') return <Conflict item={item} pending={pending} recommended={page} />
  if (pending)
    return (
      <Foot item={item}>
        <div
          role="status"
          className="flex min-h-9 flex-wrap items-center gap-x-3 gap-y-1 rounded-box bg-sunken px-3.5 py-1.5"
        >
          <CloudOff size={14} className="shrink-0 text-warn" aria-hidden />
          <b className="font-semibold">You {decidedWords[pending.verdict ?? 'undecided']} this.</b>
          <span className="text-dim">
            {pendingWords(pending, live)}, {dateAndClock(pending.at, Date.now())}
          </span>
          {pending.state === 'waiting' ? (
            <button type="button" className="ml-auto font-semibold text-accent" onClick={() => void takeBack(pending)}>
              Take it back
            </button>
          ) : null}
        </div>
      </Foot>
    )
  if (item.verdict !== 'undecided' && again !== item.revision)
    return (
      <Decided
        item={item}
        recommended={page.recommendation.verdict}
        onAgain={
          campaign?.state === 'active' && decidesItems(me) && mayChange(item, me?.id)
            ? () => setAgain(item.revision)
            : undefined
        }
      />
    )
  if (campaign?.state === 'closed')
    return (
      <Foot item={item}>
        <Message title="The campaign is closed.">Nothing is decided in it any more.</Message>
      </Foot>
    )
  if (!decidesItems(me))
    return (
      <Foot item={item}>
        <Message title="Yours to read.">Reviewers decide; auditors and admins look.</Message>
      </Foot>
    )
  if (!item.mine)
    return (
      <Foot item={item}>
        <Message title="Not yours to decide.">
          It waits for {item.reviewers.length === 0 ? 'its reviewers' : <People item={item} />}
          {item.stages > 1 ? `, stage ${item.stage + 1} of ${item.stages}` : ''}.
        </Message>
      </Foot>
    )
  return <Decide key={`${item.id} ${item.revision}`} {...props} />
}

function People({ item }: { item: CampaignItem }) {
  const names = item.reviewers.slice(0, 4).map(({ name }) => name)
  const more = item.reviewers.length - names.length
  return <VisibleText>{`${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}`}</VisibleText>
}

/** Comment, and four decisions of equal weight. No default: certify is chosen and then sent, the others ask for a reason. */
function Decide({ page, looked, onBack, onDecided }: Props) {
  const { item } = page
  const [text, setText] = useState('')
  const [armed, setArmed] = useState(false)
  const [asking, setAsking] = useState<Exclude<Verdict, 'certify'> | 'move' | undefined>(undefined)
  const [hint, setHint] = useState('')
  const [problem, setProblem] = useState('')
  const field = useRef<HTMLInputElement>(null)
  const since = useRef(performance.now())
  const live = useWorld((world) => world.link.state === 'live')

  const tooSoon = (event?: KeyboardEvent) => {
    if (event?.repeat) return true
    if (performance.now() - since.current >= READ_AT_LEAST_MS) return false
    setHint('This item has only just appeared. Look at it, then decide.')
    return true
  }
  const certify = async () => {
    setArmed(false)
    setProblem('')
    try {
      await decideItem(item, 'certify', { reason: text.trim() }, looked)
      setText('')
      onBack()
      onDecided()
    } catch (error) {
      setProblem(wordsOf(error))
    }
  }
  const arm = (event?: KeyboardEvent) => {
    if (tooSoon(event)) return
    setHint('')
    setArmed(true)
    field.current?.focus()
    say('Certify chosen. Enter decides, Escape takes it back.')
  }
  const ask = (what: NonNullable<typeof asking>) => (event?: KeyboardEvent) => {
    if (tooSoon(event)) return
    setArmed(false)
    setHint('')
    setAsking(what)
  }
  const comment = async () => {
    const words = text.trim()
    if (!words) return
    setText('')
    try {
      await core().call('commentItem', { campaign: item.campaign, item: item.id, text: words })
      say('Comment kept')
    } catch (error) {
      setText(words)
      setProblem(wordsOf(error))
    }
  }
  useKeys({
    c: arm,
    u: ask('reduce'),
    v: ask('revoke'),
    b: ask('abstain'),
    e: (event) => (live ? ask('move')(event) : setHint('Nobody else can be asked offline.')),
    m: () => field.current?.focus(),
  })
  return (
    <Foot item={item}>
      {problem ? (
        <p role="alert" className="mb-2.5 rounded-box bg-danger-pale px-3 py-2 text-danger">
          {problem}
        </p>
      ) : null}
      <div className="flex flex-wrap items-center gap-2.5">
        <input
          ref={field}
          value={text}
          maxLength={4000}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            if (event.nativeEvent.isComposing) return
            if (event.key === 'Enter') {
              event.preventDefault()
              if (event.repeat) return
              void (armed ? certify() : comment())
            } else if (event.key === 'Escape') {
              setArmed(false)
              setHint('')
              onBack()
            }
          }}
          aria-label={armed ? 'Reason, kept with the decision' : 'Comment, or the reason of a decision'}
          placeholder={armed ? 'Reason, if you like' : 'Comment, kept with the item'}
          className="h-9 min-w-32 flex-1 rounded-box border border-line bg-panel px-3 outline-none focus-visible:border-accent focus-visible:outline-1 @max-[620px]:basis-full"
        />
        <span className="flex flex-wrap gap-2">
          <Button
            className={tight}
            disabled={!live}
            title={live ? undefined : 'Not offline'}
            onClick={() => ask('move')()}
          >
            Reassign <Key>E</Key>
          </Button>
          <Button className={tight} onClick={() => ask('abstain')()}>
            Abstain <Key>B</Key>
          </Button>
          <Button tone="danger" className={tight} onClick={() => ask('revoke')()}>
            Revoke <Key>V</Key>
          </Button>
          <Button className={`text-warn! ${tight}`} onClick={() => ask('reduce')()}>
            Reduce <Key>U</Key>
          </Button>
          <Button
            tone="accent"
            aria-pressed={armed}
            className={`${tight} ${armed ? 'border-accent! bg-accent-pale!' : ''}`}
            // The second click of a double click was meant for no other button than the first.
            onClick={(event) => {
              if (armed && event.detail < 2) void certify()
              else if (!armed) arm()
            }}
          >
            Certify <Key>{armed ? '⏎' : 'C'}</Key>
          </Button>
        </span>
      </div>
      <p role="status" className="mt-1.5 h-4.5 truncate text-fine text-dim">
        {armed ? (
          <span className="text-ink">
            <Key>Enter</Key> certifies this access · <Key>Esc</Key> takes the choice back
          </span>
        ) : (
          hint ||
          (text.trim()
            ? 'Enter keeps it as a comment; a decision takes it as its reason.'
            : `Recommended: ${recommendedNames[page.recommendation.verdict]}. ${live ? '' : 'You are offline: what you decide is sent once the gateway is reached.'}`)
        )}
      </p>
      {asking === 'move' ? <MoveDialog item={item} onClose={() => setAsking(undefined)} /> : null}
      {asking && asking !== 'move' ? (
        <DecideDialog
          page={page}
          verdict={asking}
          reason={text}
          looked={looked}
          onClose={() => setAsking(undefined)}
          onDecided={() => {
            setText('')
            onDecided()
          }}
        />
      ) : null}
    </Foot>
  )
}

/** Where somebody abstained others may decide; who decided may change it while nothing of it is enforced. */
function mayChange(item: CampaignItem, me: string | undefined): boolean {
  if (!item.mine || (item.how !== undefined && item.how !== 'reviewer')) return false
  if (item.verdict === 'abstain') return true
  const { application } = item
  // What was rejected or rolled back is open to another mind, what failed may be in force.
  return item.decidedBy?.id === me && application !== 'applied' && application !== 'verified' && !hasFailed(item)
}

/** Decision, recommendation and application: three facts, each said by itself. */
function Decided(props: { item: CampaignItem; recommended: Verdict; onAgain: (() => void) | undefined }) {
  const { item, recommended } = props
  const Sign = item.verdict === 'certify' ? Check : item.verdict === 'revoke' ? X : Minus
  const how =
    item.how === 'expired-default'
      ? 'as the campaign was due'
      : item.how === 'skipped'
        ? 'it was not needed'
        : item.decidedBy
          ? `by ${item.decidedBy.name}`
          : ''
  return (
    <Foot item={item}>
      <dl className="grid grid-cols-[max-content_1fr] gap-x-4 gap-y-0.5 rounded-box bg-sunken px-3.5 py-2">
        <dt className="text-dim">Decision</dt>
        <dd className="flex flex-wrap items-center gap-x-2">
          <Sign size={14} strokeWidth={2.5} className="shrink-0" aria-hidden />
          <b className="font-semibold">{decidedWords[item.verdict].replace(/^./, (c) => c.toUpperCase())}</b>
          <span className="text-dim">
            <VisibleText>{how}</VisibleText>
            {item.decidedAt ? `, ${dateAndClock(item.decidedAt, Date.now())}` : ''}
            {item.bulk ? ', together with others' : ''}
          </span>
        </dd>
        <dt className="text-dim">Recommendation</dt>
        <dd>
          {recommendedNames[recommended]}
          {item.verdict === recommended ? '' : <span className="text-warn"> · decided otherwise</span>}
          {props.onAgain ? (
            <>
              {' · '}
              <button type="button" className="font-semibold text-accent hover:underline" onClick={props.onAgain}>
                {item.verdict === 'abstain' ? 'Decide it…' : 'Change the decision…'}
              </button>
            </>
          ) : null}
        </dd>
        {item.application ? (
          <>
            <dt className="text-dim">Application</dt>
            <dd className={hasFailed(item) ? 'font-semibold text-danger' : ''}>
              {appliedWords(item)}
              {item.overlay ? (
                <>
                  {' · '}
                  <a
                    className="text-accent hover:underline"
                    href={`#/policy/overlays/${encodeURIComponent(item.overlay)}`}
                  >
                    the overlay
                  </a>
                </>
              ) : null}
            </dd>
          </>
        ) : null}
      </dl>
    </Foot>
  )
}

function Message({ title, children }: { title: string; children: ReactNode }) {
  return (
    <p role="status" className="rounded-box bg-sunken px-3.5 py-2">
      <b className="font-semibold">{title}</b> {children}
    </p>
  )
}
