import type { BacktestChange } from '@countersign/contract/policies'
import { Ban, ChevronRight, CircleCheck, Hourglass } from 'lucide-react'
import { useRef, useState } from 'react'
import { useKeys } from '../../app/keys.ts'
import { usePolicy } from '../../app/policy.ts'
import { hashOf } from '../../app/route.ts'
import { useWorld } from '../../app/store.ts'
import { AgentOn } from '../../parts/agent-on.tsx'
import { useNow } from '../../parts/clock.ts'
import { CommandText } from '../../parts/command-text.tsx'
import { dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { linkLook } from '../access/grant-facts.tsx'
import { Section } from '../agents/parts.tsx'
import { figure, many } from './parts.tsx'

export type Kind = BacktestChange['change']
export const kinds = [
  {
    ...{
      kind: 'newly-denied',
      name: 'Newly denied',
      verb: 'denied',
      ink: 'text-danger',
      ground: 'bg-danger',
      icon: Ban,
    },
    says: 'ran, or waited for people; the draft refuses them',
  },
  {
    ...{ kind: 'newly-held', name: 'Newly held', verb: 'held', ink: 'text-warn', ground: 'bg-warn', icon: Hourglass },
    says: 'people would have been asked',
  },
  {
    ...{
      kind: 'newly-allowed',
      name: 'Newly allowed',
      verb: 'allowed',
      ink: 'text-ok',
      ground: 'bg-ok',
      icon: CircleCheck,
    },
    says: 'were refused or held; the draft lets them run',
  },
] as const satisfies readonly { kind: Kind; [name: string]: unknown }[]

const SHOWN = 200
const verdictWords = { allow: 'allowed', hold: 'held', deny: 'denied' } as const

/** What the draft would have changed, by agent and shape, each with samples that lead into Replay. */
export function BacktestChanges(props: {
  changes: readonly BacktestChange[]
  narrowed: boolean
  /** Further ones that the gateway doesn't tell. */
  left: number
  onAll: () => void
}) {
  const [words, setWords] = useState('')
  const [most, setMost] = useState(SHOWN)
  const field = useRef<HTMLInputElement>(null)
  useKeys({ '/': () => field.current?.focus() })
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean)
  const found = props.changes.filter((change) => {
    const text = `${change.agentName} ${change.connection} ${change.shape} ${change.policies.join(' ')} ${change.reason}`
    return wanted.every((word) => text.toLowerCase().includes(word))
  })
  return (
    <Section
      title="What would have been different"
      more={
        <>
          {many(found.length, 'shape')} of commands
          {props.left > 0 ? `; ${figure(props.left)} more with fewer commands are not told` : ''}
          {props.narrowed ? (
            <>
              {' · '}
              <button type="button" className={linkLook} onClick={props.onAll}>
                show all
              </button>
            </>
          ) : null}
        </>
      }
    >
      <label className="mb-2 flex h-8 max-w-sm items-center rounded-box border border-line bg-panel px-2.5 focus-within:border-accent">
        <span className="sr-only">Find changes</span>
        <input
          ref={field}
          value={words}
          onChange={(event) => setWords(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === 'Escape') setWords('')
          }}
          placeholder="Agent, table, policy"
          spellCheck={false}
          className="min-w-0 flex-1 bg-transparent outline-none"
        />
      </label>
      {found.length === 0 ? <p className="text-dim">None says that.</p> : null}
      <ul className="flex flex-col gap-2">
        {found.slice(0, most).map((change) => (
          <li key={`${change.change} ${change.agent} ${change.connection} ${change.shape} ${change.policies.join()}`}>
            <Change change={change} />
          </li>
        ))}
      </ul>
      {found.length > most ? (
        <button type="button" className={`mt-2 ${linkLook}`} onClick={() => setMost((n) => n + SHOWN)}>
          {figure(found.length - most)} more
        </button>
      ) : null}
    </Section>
  )
}

function Change({ change }: { change: BacktestChange }) {
  const [open, setOpen] = useState(false)
  const { icon: Icon, ink, verb } = kinds.find(({ kind }) => kind === change.change)!
  const was = (['allow', 'hold', 'deny'] as const).filter((one) => change.was[one] > 0)
  return (
    <div className="rounded-box border border-line bg-panel">
      <button
        type="button"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        className="flex w-full items-start gap-2.5 rounded-box px-3.5 py-2 text-left -outline-offset-2 hover:bg-sunken"
      >
        <ChevronRight size={14} className={`mt-0.5 shrink-0 text-dim ${open ? 'rotate-90' : ''}`} aria-hidden />
        <span className="min-w-0 flex-1">
          <span className="flex flex-wrap items-baseline gap-x-2">
            <span className="font-mono text-fine">
              <AgentOn agent={change.agentName} connection={change.connection} />
            </span>
            <span className="min-w-0 break-words">
              <VisibleText>{change.shape}</VisibleText>
            </span>
          </span>
          <span className="block truncate text-fine text-dim">
            <VisibleText>
              {[change.policies.join(', ') || 'no policy permits it', change.reason].filter(Boolean).join(' · ')}
            </VisibleText>
          </span>
        </span>
        <span className="shrink-0 text-right">
          <span className={`block font-semibold whitespace-nowrap ${ink}`}>
            <Icon size={12} className="mr-1 inline align-[-1.5px]" aria-hidden />
            {figure(change.commands)} {verb}
          </span>
          <span className="block text-fine text-dim">was {was.map((one) => verdictWords[one]).join(', ')}</span>
        </span>
      </button>
      {open ? <Detail change={change} /> : null}
    </div>
  )
}

function Detail({ change }: { change: BacktestChange }) {
  const now = useNow()
  const known = usePolicy(({ view }) => view?.inForce)
  const sessions = useWorld((world) => world.sessions)
  const was = (['allow', 'hold', 'deny'] as const).filter((one) => change.was[one] > 0)
  return (
    <div className="border-t border-line px-3.5 pt-2 pb-3">
      <p className="text-fine text-dim">
        Was {was.map((one) => `${verdictWords[one]} ${many(change.was[one], 'time')}`).join(', ')}, from{' '}
        {dateAndClock(change.firstAt, now)} to {dateAndClock(change.lastAt, now)}.{' '}
        {change.policies.length > 0 ? (
          <>
            In the draft{' '}
            {change.policies.map((policy, i) => (
              <span key={policy}>
                {i > 0 ? ', ' : ''}
                {known?.texts.some(({ text }) => text.includes(`"${policy}"`)) ? (
                  <a
                    className={`font-mono ${linkLook}`}
                    href={hashOf({ screen: 'policy', part: 'in-force', id: policy })}
                    title="The policy of that name that is in force"
                  >
                    {policy}
                  </a>
                ) : (
                  <span className="font-mono">{policy}</span>
                )}
              </span>
            ))}{' '}
            {change.policies.length === 1 ? 'decides' : 'decide'}.
          </>
        ) : (
          'In the draft no policy permits it.'
        )}
      </p>
      <ul className="mt-2 flex flex-col gap-2">
        {change.samples.map((sample) => {
          const opened = sessions.get(sample.session)?.openedAt
          const t = opened === undefined ? undefined : Math.max(0, Date.parse(sample.at) - Date.parse(opened))
          return (
            <li key={`${sample.session} ${sample.command} ${sample.at}`} className="rounded-box bg-sunken px-3 py-2">
              <pre className="max-h-40 overflow-auto font-mono text-fine whitespace-pre-wrap">
                {sample.text ? (
                  <CommandText text={sample.text} protocol="postgres" />
                ) : (
                  <i className="text-dim">its text is not kept any more</i>
                )}
              </pre>
              <p className="mt-1 flex flex-wrap gap-x-3 text-fine text-dim">
                <span>{dateAndClock(sample.at, now)}</span>
                <span>
                  {verdictWords[sample.was]} → <b className="font-semibold text-ink">{verdictWords[sample.now]}</b>
                </span>
                <a
                  className={linkLook}
                  href={hashOf({ screen: 'replay', id: sample.session, ...(t !== undefined && { t }) })}
                >
                  Replay
                  <span className="sr-only"> the session of {dateAndClock(sample.at, now)}</span>
                </a>
              </p>
            </li>
          )
        })}
      </ul>
      {change.commands > change.samples.length ? (
        <p className="mt-1.5 text-fine text-dim">
          {change.samples.length === 0
            ? 'No sample is kept.'
            : `${change.samples.length} of ${figure(change.commands)} are shown.`}
        </p>
      ) : null}
    </div>
  )
}
