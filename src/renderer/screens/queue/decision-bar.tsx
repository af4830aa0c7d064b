import type { Approval } from '@countersign/contract/approval'
import { Check, Minus, X } from 'lucide-react'
import { RadioGroup } from 'radix-ui'
import { type ReactNode, useEffect, useRef, useState } from 'react'
import { useKeys } from '../../app/keys.ts'
import { decide, forgetDecision, say, useWorld } from '../../app/store.ts'
import { Button, Key, Ring } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { Stages } from '../../parts/stages.tsx'
import { clock, countdown, spokenLeft } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { missing, standing } from './arrange.ts'
import { BreakGlass } from './break-glass.tsx'
import { windowsOf } from './windows.ts'
import { ending } from './words.ts'

type Verdict = 'approve' | 'deny'

/** A card that has only just come can't be decided on: the key press was meant for another one. */
const READ_AT_LEAST_MS = 600

/** The foot of the card: either the decision, or why there is none to make. */
export function DecisionBar({ approval, onBack }: { approval: Approval; onBack: () => void }) {
  const me = useWorld((world) => world.me)
  const link = useWorld((world) => world.link)
  const progress = useWorld((world) => world.decisions.get(approval.id))
  const over = useNow() >= Date.parse(approval.expiresAt)
  const mine = approval.decisions.find((decision) => decision.personId === me?.id)
  const under = progress?.state === 'sending' || progress?.state === 'sent'
  useResolvedAnnouncement(approval)

  if (approval.state !== 'pending') return <Resolved approval={approval} mine={mine !== undefined} />
  if (under || (mine && progress)) return <OnItsWay approval={approval} applied={mine !== undefined} />
  const may = standing(approval, me)
  if (!may.may)
    return (
      <Foot approval={approval}>
        <Message title={mine ? `You approved at ${clock(mine.at)}.` : 'Not yours to decide.'}>
          {mine ? `Still needed: ${missing(approval).join(' and ')}.` : may.because}
        </Message>
        {link.state === 'live' && !over ? (
          <div className="mt-1.5 flex justify-end">
            <BreakGlass approval={approval} />
          </div>
        ) : null}
      </Foot>
    )
  if (link.state !== 'live') {
    const since = 'since' in link ? clock(link.since) : ''
    return (
      <Foot approval={approval}>
        <Message title="Decisions can’t be made offline.">
          {link.state === 'offline' ? `This is how it was at ${since}.` : `No link since ${since}.`} Approve and Deny
          come back with the link.
        </Message>
      </Foot>
    )
  }
  if (over)
    return (
      <Foot approval={approval}>
        <Message title="Time is up.">It can no longer be decided. The gateway’s word on it is still to come.</Message>
      </Foot>
    )
  return <Decide approval={approval} onBack={onBack} />
}

/** Reason, window, Deny and Approve: equal weight, no default. A key chooses; Enter sends; Esc takes it back. */
function Decide({ approval, onBack }: { approval: Approval; onBack: () => void }) {
  const progress = useWorld((world) => world.decisions.get(approval.id))
  const [reason, setReason] = useState('')
  const [window, setWindow] = useState('once')
  const [choice, setChoice] = useState<{ verdict: Verdict; digest: string } | undefined>(undefined)
  const [hint, setHint] = useState('')
  const field = useRef<HTMLInputElement>(null)
  const since = useRef(performance.now())
  const windows = windowsOf(approval)
  const chosen = windows.find((each) => each.value === window) ?? windows[0]!
  const armed = choice?.digest === approval.command.digest ? choice.verdict : undefined

  const tooSoon = () => {
    if (performance.now() - since.current >= READ_AT_LEAST_MS) return false
    setHint('This card has only just appeared. Read it, then decide.')
    return true
  }
  const send = (verdict: Verdict) => {
    if (tooSoon()) return
    setChoice(undefined)
    onBack()
    void decide(approval, verdict, reason.trim(), verdict === 'approve' ? window : 'once')
  }
  const choose = (verdict: Verdict, event: KeyboardEvent) => {
    if (event.repeat || tooSoon()) return
    setHint('')
    setChoice({ verdict, digest: approval.command.digest })
    field.current?.focus()
    say(`${verdict === 'approve' ? 'Approve' : 'Deny'} chosen. Enter sends, Escape takes it back.`)
  }
  useKeys({
    a: (event) => choose('approve', event),
    d: (event) => choose('deny', event),
    w: () => setWindow((now) => windows[(windows.findIndex((each) => each.value === now) + 1) % windows.length]!.value),
  })

  const failed = progress?.state === 'refused' || progress?.state === 'dropped'
  return (
    <Foot approval={approval}>
      {failed ? (
        <div role="alert" className="mb-3 flex items-start gap-3 rounded-box bg-danger-pale px-3 py-2 text-danger">
          <span className="flex-1">
            <b className="font-semibold">
              {progress.verdict === 'approve' ? 'Approval' : 'Denial'}{' '}
              {progress.state === 'refused' ? 'refused' : 'not sent'}.
            </b>{' '}
            {progress.problem}
          </span>
          <button type="button" className="font-semibold underline" onClick={() => forgetDecision(approval.id)}>
            Understood
          </button>
        </div>
      ) : null}
      <div className="flex flex-wrap items-center gap-2.5">
        <TimeLeft approval={approval} />
        <input
          ref={field}
          value={reason}
          maxLength={2000}
          onChange={(event) => setReason(event.target.value)}
          onKeyDown={(event) => {
            if (event.nativeEvent.isComposing) return
            if (event.key === 'Enter') {
              event.preventDefault()
              if (event.repeat) return
              if (armed) send(armed)
              else setHint('Choose Deny or Approve: a reason alone decides nothing.')
            } else if (event.key === 'Escape') {
              setChoice(undefined)
              setHint('')
              onBack()
            }
          }}
          aria-label="Reason, kept with the record"
          placeholder={armed ? 'Reason, if you like' : 'Reason, kept on record'}
          className="h-9 min-w-36 flex-1 rounded-box border border-line bg-panel px-3 outline-none focus-visible:border-accent focus-visible:outline-1 @max-[620px]:order-first @max-[620px]:basis-full"
        />
        <RadioGroup.Root
          value={window}
          onValueChange={setWindow}
          aria-label="How long an approval lasts"
          className="flex h-9 overflow-hidden rounded-box border border-line bg-panel whitespace-nowrap"
        >
          {windows.map(({ value, label, says }) => (
            <RadioGroup.Item
              key={value}
              value={value}
              title={says}
              className="px-2 text-dim outline-offset-[-2px] hover:text-ink data-[state=checked]:bg-sunken data-[state=checked]:font-semibold data-[state=checked]:text-ink"
            >
              {label}
            </RadioGroup.Item>
          ))}
        </RadioGroup.Root>
        <span className="flex gap-2.5 @max-[620px]:flex-1 @max-[620px]:justify-end">
          <Verdicts armed={armed} onSend={send} />
        </span>
      </div>
      <div className="mt-1.5 flex h-4.5 items-center gap-4">
        <p role="status" className="min-w-0 flex-1 truncate text-fine text-dim">
          {armed ? (
            <span className="text-ink">
              <Key>Enter</Key>{' '}
              {armed === 'deny' ? `denies this ${approval.access ? 'request' : 'command'}` : chosen.approves} ·{' '}
              <Key>Esc</Key> takes the choice back
            </span>
          ) : (
            hint || chosen.says
          )}
        </p>
        <BreakGlass approval={approval} />
      </div>
    </Foot>
  )
}

function Verdicts({ armed, onSend }: { armed: Verdict | undefined; onSend: (verdict: Verdict) => void }) {
  const ring = (verdict: Verdict) =>
    armed !== verdict ? '' : verdict === 'approve' ? 'border-accent! bg-accent-pale!' : 'border-danger! bg-danger-pale!'
  return (
    <>
      <Button tone="danger" className={`min-w-[108px] px-3! ${ring('deny')}`} onClick={() => onSend('deny')}>
        Deny <Key>{armed === 'deny' ? '⏎' : 'D'}</Key>
      </Button>
      <Button tone="accent" className={`min-w-[108px] px-3! ${ring('approve')}`} onClick={() => onSend('approve')}>
        Approve <Key>{armed === 'approve' ? '⏎' : 'A'}</Key>
      </Button>
    </>
  )
}

/** sending → sent → applied, and what is still missing for a quorum. */
function OnItsWay({ approval, applied }: { approval: Approval; applied: boolean }) {
  const progress = useWorld((world) => world.decisions.get(approval.id))
  const sent = applied || progress?.state === 'sent'
  const still = missing(approval)
  return (
    <Foot approval={approval}>
      <div role="status" className="flex min-h-9 flex-wrap items-center gap-x-4 gap-y-1">
        <TimeLeft approval={approval} />
        <b className="font-semibold">{progress?.verdict === 'deny' ? 'Deny' : 'Approve'}</b>
        <Stages sent={sent} applied={applied} />
        {applied && still.length > 0 ? <span>Your approval counts. Still needed: {still.join(' and ')}.</span> : null}
      </div>
    </Foot>
  )
}

/** Nothing left to decide: how it ended, and by whom. No keys. */
function Resolved({ approval, mine }: { approval: Approval; mine: boolean }) {
  const me = useWorld((world) => world.me)
  const { tone, sign, text } = ending(approval, me)
  const Sign = sign === 'yes' ? Check : sign === 'no' ? X : Minus
  const ink = {
    ok: 'bg-ok-pale text-ok',
    danger: 'bg-danger-pale text-danger',
    warn: 'bg-warn-pale text-warn',
    plain: 'bg-sunken text-ink',
    accent: '',
  }[tone]
  const approval_ = approval.decisions.findLast((decision) => decision.verdict === 'approve' && decision.reason)
  return (
    <Foot approval={approval}>
      <div role="status" className={`flex min-h-9 items-start gap-2.5 rounded-box px-3.5 py-2 ${ink}`}>
        <Sign size={15} strokeWidth={2.5} className="mt-0.5 shrink-0" aria-hidden />
        <div className="min-w-0 flex-1">
          <b className="font-semibold break-words">
            <VisibleText>{`${text[0]?.toUpperCase()}${text.slice(1)}`}</VisibleText>
          </b>
          <p className="text-fine">
            {approval.closedAt ? `${clock(approval.closedAt)} · ` : ''}
            {mine ? 'applied' : 'settled without you'} · nothing left to decide
            {approval_ ? (
              <>
                {' · reason '}
                <VisibleText>{`“${approval_.reason}”`}</VisibleText>
              </>
            ) : null}
          </p>
        </div>
      </div>
    </Foot>
  )
}

function Foot({ approval, children }: { approval: Approval; children: ReactNode }) {
  return (
    <section aria-label={`Decision on ${approval.id}`} className="mx-7 border-t border-line py-3.5 max-lg:mx-4">
      {/* As high as reason, buttons and hint: what stands above never jumps when a decision is on its way. */}
      <div className="min-h-[61px]">{children}</div>
    </section>
  )
}

function Message({ title, children }: { title: string; children: ReactNode }) {
  return (
    <p role="status" className="rounded-box bg-sunken px-3.5 py-2">
      <b className="font-semibold">{title}</b> {children}
    </p>
  )
}

function TimeLeft({ approval }: { approval: Approval }) {
  const end = Date.parse(approval.expiresAt)
  const left = end - useNow()
  const whole = end - Date.parse(approval.requestedAt)
  const urgent = left < 180_000
  return (
    <span className="flex min-w-[60px] items-center gap-2" title={`expires ${clock(end, true)}`}>
      <Ring part={left / whole} urgent={urgent} />
      <span className={`tabular-nums ${urgent ? 'font-semibold text-danger' : ''}`} aria-hidden="true">
        {countdown(left)}
      </span>
      <span className="sr-only">{spokenLeft(left)}</span>
    </span>
  )
}

/** Says when the card that is being read is settled under the reader's eyes. */
function useResolvedAnnouncement(approval: Approval) {
  const me = useWorld((world) => world.me)
  const was = useRef(approval.state)
  useEffect(() => {
    if (was.current === 'pending' && approval.state !== 'pending')
      say(`This ${approval.access ? 'request' : 'command'} is settled: ${ending(approval, me).text}`)
    was.current = approval.state
  }, [approval, me])
}
