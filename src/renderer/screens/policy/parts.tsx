import type { ReactNode } from 'react'
import type { PartState, PolicyPart } from '../../../policy-api.ts'
import { useKeys } from '../../app/keys.ts'
import { readPolicy, usePolicy, waits } from '../../app/policy.ts'
import { go, hashOf, type PolicyScreenPart, policyParts } from '../../app/route.ts'
import { useWorld } from '../../app/store.ts'
import { Notice } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { age, dateAndClock } from '../../parts/time.ts'

const names: Record<PolicyScreenPart, string> = {
  'in-force': 'In force',
  history: 'History',
  drafts: 'Drafts',
  backtests: 'Backtests',
  overlays: 'Overlays',
}

/** The parts of the screen, above each list: a row of links, on keys 1 to 5. */
export function Parts({ here }: { here: PolicyScreenPart }) {
  const waiting = usePolicy(({ view }) => view?.overlays.filter(waits).length ?? 0)
  const failed = usePolicy(({ view }) => view?.overlays.filter(({ state }) => state === 'failed').length ?? 0)
  const running = usePolicy(({ view }) => view?.backtests.filter(({ state }) => state === 'running').length ?? 0)
  const unsaved = usePolicy(({ view }) => view?.works.length ?? 0)
  const counts: Partial<Record<PolicyScreenPart, readonly [number, string, boolean]>> = {
    drafts: [unsaved, 'not saved', false],
    backtests: [running, 'running', false],
    overlays: failed > 0 ? [failed, 'failed', true] : [waiting, 'waiting', false],
  }
  useKeys(
    Object.fromEntries(policyParts.map((part, i) => [String(i + 1), () => go({ screen: 'policy', part })])) as Record<
      string,
      () => void
    >,
  )
  return (
    <nav aria-label="Parts of Policy" className="flex gap-0.5 border-b border-line px-3 pt-2 max-lg:gap-0 max-lg:px-1">
      {policyParts.map((part) => {
        const [count, words, loud] = counts[part] ?? [0, '', false]
        return (
          <a
            key={part}
            href={hashOf({ screen: 'policy', part })}
            aria-current={part === here ? 'page' : undefined}
            className={`-mb-px flex items-center gap-1 border-b-2 px-1.5 pb-1.5 text-fine whitespace-nowrap max-lg:px-1 max-lg:text-tag ${part === here ? 'border-accent font-semibold text-ink' : 'border-transparent text-dim hover:text-ink'}`}
          >
            {names[part]}
            {count > 0 ? (
              <span
                className={`min-w-4 rounded-full px-1 text-center text-tag leading-4 font-semibold ${loud ? 'bg-danger-pale text-danger' : 'bg-accent-pale text-accent'}`}
              >
                {count}
                <span className="sr-only"> {words}</span>
              </span>
            ) : null}
          </a>
        )
      })}
    </nav>
  )
}

/** The head of a list: its name, how many, what can be made. */
export function ListHead(props: { title: string; count: string; loading?: boolean; children?: ReactNode }) {
  return (
    <div className="flex min-h-[42px] items-baseline gap-2 px-4 pt-3 pb-1.5">
      <h2 className="text-head font-semibold">{props.title}</h2>
      <span role="status" className="min-w-0 truncate text-dim">
        {props.count}
        {props.loading ? ' · reading…' : ''}
      </span>
      {props.children}
    </div>
  )
}

/** How old what is shown is, where it isn't live; and why it could not be told anew. */
export function Freshness({ part, nothing }: { part: PolicyPart; nothing: string }) {
  const state = usePolicy(({ view }) => view?.parts[part])
  const problem = usePolicy((known) => known.problem)
  const live = useWorld((world) => world.link.state === 'live')
  const now = useNow()
  if (problem || (live && state?.problem))
    return (
      <div role="alert" className="mx-3 mb-1.5 flex gap-2 rounded-box bg-warn-pale px-3 py-1.5 text-fine text-warn">
        <span className="min-w-0 flex-1">{problem || state?.problem}</span>
        <button type="button" className="font-semibold underline" onClick={readPolicy}>
          Try again
        </button>
      </div>
    )
  if (live || !state) return null
  return (
    <p className="mx-3 mb-1.5 rounded-box bg-sunken px-3 py-1.5 text-fine text-dim">
      {state.at
        ? `As the gateway told it ${age(now - Date.parse(state.at))} ago, ${dateAndClock(state.at, now)}. `
        : 'Nothing was fetched yet. '}
      {nothing}
    </p>
  )
}

/** Why a part isn't this person's to see, or not this gateway's to tell; undefined where it is. */
export function Refused({ state, what }: { state: PartState | undefined; what: string }) {
  const me = useWorld((world) => world.me)
  const roles = me?.kind === 'person' && me.roles.length > 0 ? me.roles.join(', ') : 'none'
  if (state?.refused === 'forbidden')
    return (
      <Notice title={`${what} are not for your role`}>
        <p>
          Reviewers, auditors and admins see them; your roles: {roles}. What is in force, and its history, everybody
          with a role may read.
        </p>
        <a className="font-semibold text-accent underline underline-offset-2" href={hashOf({ screen: 'policy' })}>
          What is in force
        </a>
      </Notice>
    )
  return (
    <Notice title={`This gateway knows no ${what.toLowerCase()}`}>
      <p>It needs an update.</p>
    </Notice>
  )
}

/** A person by name, or what else did it. */
export const whoWords = (by: { name: string } | undefined, otherwise = 'the gateway') => by?.name ?? otherwise

/** sha256:4f1c… → 4f1c9a02: enough to tell versions apart; the whole can be copied. */
export const shortVersion = (version: string) => version.replace(/^sha256:/, '').slice(0, 8)
export const figure = (n: number) => n.toLocaleString('en-US')
export const many = (n: number, one: string, more = `${one}s`) => `${figure(n)} ${n === 1 ? one : more}`
