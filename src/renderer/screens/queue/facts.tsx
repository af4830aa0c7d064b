import type { Approval, Requirement } from '@countersign/contract/approval'
import { BellRing } from 'lucide-react'
import { Fragment, type ReactNode } from 'react'
import { secondsOf, span } from '../../../span.ts'
import { hostOf } from '../../app/header.tsx'
import { useWorld } from '../../app/store.ts'
import { Chip, EnvironmentTag } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { age, clock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { BreakGlassMark } from '../access/state-mark.tsx'
import { escalatedTo, listed } from './arrange.ts'
import type { SoFar } from './so-far.tsx'
import { effectWords, protocolName, unusual } from './words.ts'

/** Who, why, where, what it does, why it was held, what is unusual: from what is known, nothing else. */
export function Facts({ approval, soFar }: { approval: Approval; soFar: SoFar }) {
  const odd = unusual(approval, soFar.state === 'known' ? { commands: soFar.count, denied: soFar.denied } : undefined)
  return (
    <dl className="mt-3.5 grid grid-cols-[118px_minmax(0,1fr)] gap-y-2 max-lg:grid-cols-[92px_minmax(0,1fr)]">
      <Fact name="Who">
        <Who approval={approval} />
      </Fact>
      <Fact name="Says why">
        {approval.purpose ? (
          <q className="inline-block max-w-full rounded-tag bg-sunken px-2 break-words">
            <VisibleText>{approval.purpose}</VisibleText>
          </q>
        ) : (
          <span className="text-dim">nothing: it gave no purpose</span>
        )}
      </Fact>
      <Fact name="Where">
        {approval.connectionTags.map((tag) => (
          <Fragment key={tag}>
            <EnvironmentTag tag={tag} />{' '}
          </Fragment>
        ))}
        <span className="ml-0.5">{approval.connection}</span>
        <span className="text-dim"> · {protocolName(approval.protocol)}</span>
      </Fact>
      <Fact name="What it does">
        <Effects approval={approval} />
      </Fact>
      <Fact name="Held by">
        <Needs approval={approval} />
      </Fact>
      <Decisions approval={approval} />
      {odd.length > 0 ? (
        <Fact name="Unusual">
          <span className="flex min-h-5 flex-wrap items-center gap-1.5">
            {odd.map(({ tone, text }) => (
              <Chip key={text} tone={tone}>
                {text}
              </Chip>
            ))}
          </span>
        </Fact>
      ) : null}
    </dl>
  )
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt className="text-dim">{name}</dt>
      <dd className="min-w-0 break-words">{children}</dd>
    </>
  )
}

function Who({ approval }: { approval: Approval }) {
  const { identity } = approval
  const session = useWorld((world) => world.sessions.get(approval.session))
  const now = useNow()
  return (
    <>
      <b className="font-semibold">
        <VisibleText>{identity.name}</VisibleText>
      </b>
      {identity.onBehalfOf ? (
        <>
          {' for '}
          <VisibleText>{identity.onBehalfOf}</VisibleText>
        </>
      ) : null}
      {identity.owner ? (
        <>
          {' · owner '}
          <VisibleText>{identity.owner}</VisibleText>
        </>
      ) : null}
      {/* The gateway checks the token when the session opens: that is when the agent signed in. */}
      {session ? ` · signed in ${age(now - Date.parse(session.openedAt))} ago by ` : ' · signed in by '}
      <span title={identity.id} className="whitespace-nowrap">
        <VisibleText>{hostOf(identity.issuer)}</VisibleText>
      </span>
    </>
  )
}

const MOST_EFFECTS = 8

/** Effects that share a verb in one line; what reaches every row in red and first. */
function Effects({ approval }: { approval: Approval }) {
  const lines = new Map<string, { everyRow: boolean; bounded: boolean; resources: Set<string> }>()
  for (const effect of approval.command.effects) {
    const words = effectWords(effect, approval.connection)
    const line = lines.get(words.verb) ?? { everyRow: words.everyRow, bounded: words.bounded, resources: new Set() }
    line.resources.add(words.resource)
    lines.set(words.verb, { ...line, bounded: line.bounded && words.bounded })
  }
  if (lines.size === 0) return <span className="text-dim">no effect that the gateway could name</span>
  const sorted = [...lines].sort(([a, x], [b, y]) => weight(b, y.everyRow) - weight(a, x.everyRow))
  return (
    <ul className="flex flex-col gap-0.5">
      {sorted.map(([verb, line]) => (
        <li key={verb}>
          {line.everyRow ? <b className="font-semibold text-danger">{verb}</b> : verb}{' '}
          {[...line.resources].slice(0, MOST_EFFECTS).map((resource, i) => (
            <Fragment key={resource}>
              {i > 0 ? ', ' : null}
              <code className="text-fine">
                <VisibleText>{resource}</VisibleText>
              </code>
            </Fragment>
          ))}
          {line.resources.size > MOST_EFFECTS ? ` and ${line.resources.size - MOST_EFFECTS} more` : null}
          {line.bounded ? <span className="text-dim"> · only where its WHERE matches</span> : null}
        </li>
      ))}
    </ul>
  )
}

function weight(verb: string, everyRow: boolean): number {
  if (everyRow) return 3
  if (verb === 'talks to') return 0
  return verb === 'reads' ? 1 : 2
}

/** The policies that hold it, who may release it, and who is asked since nobody answered. */
export function Needs({ approval }: { approval: Approval }) {
  return approval.requirements.map((need) => (
    <Need key={need.policy} need={need} pending={approval.state === 'pending'} />
  ))
}

function Need({ need, pending }: { need: Requirement; pending: boolean }) {
  const met = need.approvedBy.length >= need.quorum
  const escalated = need.escalatedTo ?? []
  const next =
    pending && !met ? need.escalation?.find(({ groups }) => !groups.every((one) => escalated.includes(one))) : undefined
  return (
    <div>
      <code className="text-fine">{need.policy}</code>
      {' · '}
      <span className={met ? 'text-ok' : ''}>
        {need.approvedBy.length > 0 || need.quorum > 1 ? `${need.approvedBy.length} of ${need.quorum}` : need.quorum}{' '}
        from <b className="font-semibold">{listed(need.groups, 'or')}</b>
      </span>
      {need.approvedBy.length > 0 ? (
        <span className="text-dim">
          {' · approved by '}
          <VisibleText>{listed(need.approvedBy)}</VisibleText>
        </span>
      ) : null}
      {need.reason ? <div className="text-dim">{need.reason}</div> : null}
      {escalated.length > 0 ? (
        <div className={pending ? 'text-warn' : 'text-dim'}>
          {listed(escalated)} {escalated.length === 1 ? 'was' : 'were'} asked, too, since nobody answered
        </div>
      ) : null}
      {next ? (
        <div className="text-dim">
          If nobody answers within {inWords(next.after)}, {listed(next.groups)}{' '}
          {next.groups.length === 1 ? 'is' : 'are'} asked, too
        </div>
      ) : null}
    </div>
  )
}

/** 4m → 4 min, as everywhere else on the card. */
function inWords(duration: string): string {
  const seconds = secondsOf(duration)
  return seconds === undefined ? duration : span(seconds)
}

/** Over a card whose people didn't answer: louder than the rest, with who is asked now. */
export function Escalation({ approval }: { approval: Approval }) {
  const groups = escalatedTo(approval)
  const now = useNow()
  if (groups.length === 0) return null
  const asked = approval.requirements.filter((need) => need.escalatedTo?.length).flatMap((need) => need.groups)
  return (
    <div
      role="note"
      className="mb-3 flex items-start gap-2.5 rounded-box border border-warn bg-warn-pale px-3.5 py-2 text-warn"
    >
      <BellRing size={16} className="mt-0.5 shrink-0" aria-hidden />
      <p>
        <b className="font-semibold">Escalated to {listed(groups)}.</b> Nobody of {listed([...new Set(asked)], 'or')}{' '}
        answered in time; it has waited for {age(now - Date.parse(approval.requestedAt))}.
      </p>
    </div>
  )
}

/** Who decided what, in whose place, alone in an emergency, and with which words. */
export function Decisions({ approval }: { approval: Approval }) {
  const me = useWorld((world) => world.me)
  if (approval.decisions.length === 0) return null
  return (
    <Fact name="Decided">
      {approval.decisions.map((decision) => (
        <div key={`${decision.personId} ${decision.at}`}>
          <b className="font-semibold">
            <VisibleText>{decision.personId === me?.id ? 'you' : decision.person}</VisibleText>
          </b>
          {decision.inPlaceOf?.length ? (
            <>
              {' in place of '}
              <VisibleText>{listed(decision.inPlaceOf)}</VisibleText>
            </>
          ) : null}{' '}
          <span className={decision.verdict === 'deny' ? 'text-danger' : 'text-ok'}>
            {decision.verdict === 'deny' ? 'denied' : 'approved'}
          </span>{' '}
          at {clock(decision.at)}{' '}
          {decision.breakGlass ? <BreakGlassMark words="break-glass: alone, in an emergency" /> : null}
          {decision.reason ? (
            <>
              {' '}
              <q className="inline-block max-w-full rounded-tag bg-sunken px-2 break-words">
                <VisibleText>{decision.reason}</VisibleText>
              </q>
            </>
          ) : null}
        </div>
      ))}
    </Fact>
  )
}
