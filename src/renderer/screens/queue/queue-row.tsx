import type { Approval } from '@countersign/contract/approval'
import { BellRing, Check, KeyRound, Minus, X } from 'lucide-react'
import { memo } from 'react'
import { oneLine } from '../../../visible.ts'
import { useWorld } from '../../app/store.ts'
import { EnvironmentTag, foremostTag } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { clock, countdown } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { erasedCommand } from '../retention/words.ts'
import { decidedAt, escalatedTo, missing, type Section } from './arrange.ts'
import { ending, headline } from './words.ts'

export const ROW_HEIGHT = 57

interface Props {
  approval: Approval
  section: Section
  selected: boolean
}

/** One approval in the list: its first line, whose it is, how long it has or how it ended. */
export const QueueRow = memo(function QueueRow({ approval, section, selected }: Props) {
  const me = useWorld((world) => world.me)
  const tag = foremostTag(approval.connectionTags)
  const over = approval.state !== 'pending'
  const look = selected ? 'border-accent bg-accent-pale' : 'border-transparent hover:bg-sunken'
  return (
    <div className={`flex h-full flex-col justify-center gap-0.5 border-l-2 pr-4 pl-4 ${look}`}>
      <div className="flex items-baseline gap-3">
        <span
          className={`min-w-0 flex-1 truncate ${approval.access ? 'font-semibold' : 'font-mono text-fine'} ${over ? 'text-dim' : ''}`}
        >
          {approval.access ? (
            <KeyRound size={12} strokeWidth={2.4} className="mr-1.5 inline align-[-1px] text-dim" aria-hidden />
          ) : null}
          <VisibleText>{oneLine(headline(approval)) || erasedCommand}</VisibleText>
        </span>
        {over ? (
          <time dateTime={decidedAt(approval)} className="text-dim tabular-nums">
            {clock(decidedAt(approval))}
          </time>
        ) : (
          <TimeLeft approval={approval} />
        )}
      </div>
      <div className="flex items-center gap-2">
        {escalatedTo(approval).length > 0 ? <Escalated groups={escalatedTo(approval)} /> : null}
        <span className="min-w-0 flex-1 truncate text-fine text-dim">
          {over ? <Ending approval={approval} /> : <Whose approval={approval} section={section} myId={me?.id} />}
        </span>
        {tag ? <EnvironmentTag tag={tag} brief quiet={over} /> : null}
      </div>
    </div>
  )
})

/** Others are asked, too, since nobody answered: louder than the rest. */
function Escalated({ groups }: { groups: readonly string[] }) {
  return (
    <span
      className="inline-flex shrink-0 items-center gap-1 rounded-tag bg-warn-pale px-1.5 py-px text-tag leading-4 font-semibold text-warn"
      title={`nobody answered: ${groups.join(', ')} ${groups.length === 1 ? 'is' : 'are'} asked, too`}
    >
      <BellRing size={11} aria-hidden />
      escalated
    </span>
  )
}

function Whose({ approval, section, myId }: { approval: Approval; section: Section; myId: string | undefined }) {
  const { identity } = approval
  const name = <VisibleText>{identity.name}</VisibleText>
  if (section === 'others')
    return (
      <>
        {name} · {whyNotMine(approval, myId)}
      </>
    )
  if (!identity.onBehalfOf)
    return (
      <>
        {name} · {approval.connection}
      </>
    )
  return (
    <>
      {name} · for <VisibleText>{identity.onBehalfOf}</VisibleText>
    </>
  )
}

function whyNotMine(approval: Approval, myId: string | undefined): string {
  const needs = `needs ${missing(approval).join(' and ') || 'nobody more'}`
  if (approval.decisions.some((decision) => decision.personId === myId)) return `you approved · ${needs}`
  return approval.mayNotDecideBecause ?? needs
}

function Ending({ approval }: { approval: Approval }) {
  const me = useWorld((world) => world.me)
  const { sign, tone, text } = ending(approval, me)
  const Sign = sign === 'yes' ? Check : sign === 'no' ? X : Minus
  const ink = tone === 'ok' ? 'text-ok' : tone === 'danger' ? 'text-danger' : tone === 'warn' ? 'text-warn' : ''
  return (
    <>
      <Sign size={12} strokeWidth={2.5} className={`mr-1 inline align-[-1px] ${ink}`} aria-hidden />
      <VisibleText>{text}</VisibleText>
    </>
  )
}

function TimeLeft({ approval }: { approval: Approval }) {
  const left = Date.parse(approval.expiresAt) - useNow()
  const urgent = left < 180_000
  return (
    <span className={`tabular-nums ${urgent ? 'font-semibold text-danger' : 'text-dim'}`}>
      {left <= 0 ? 'time up' : countdown(left)}
    </span>
  )
}
