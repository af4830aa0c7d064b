import type { Backtest, BacktestChange, BacktestResult } from '@countersign/contract/policies'
import { useMemo, useRef, useState } from 'react'
import type { BacktestHead } from '../../../policy-api.ts'
import { useFetched } from '../../app/agents.ts'
import { wordsOf } from '../../app/api.ts'
import { isAdmin } from '../../app/duty.ts'
import { useKeys } from '../../app/keys.ts'
import { mayBacktest, usePolicy } from '../../app/policy.ts'
import { core, useWorld } from '../../app/store.ts'
import { Button, Key, Notice } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { dateAndClock, duration } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { Section } from '../agents/parts.tsx'
import { BacktestChanges, type Kind, kinds } from './backtest-changes.tsx'
import { BacktestMark, partOf } from './backtest-mark.tsx'
import { figure, many, shortVersion } from './parts.tsx'

/** One backtest: how far it is, then what the draft would have changed, in counts first. */
export function BacktestPage({ id }: { id: string }) {
  const head = usePolicy(({ view }) => view?.backtests.find((one) => one.id === id))
  const asked = useFetched(`backtest ${id} ${head?.state}`, () => core().call('backtest', { id }))
  const whole = asked.value?.backtest ?? undefined
  const backtest = head ?? whole
  const me = useWorld((world) => world.me)
  const live = useWorld((world) => world.link.state === 'live')
  const [problem, setProblem] = useState('')
  const running = backtest?.state === 'running'
  // Whose it is, and admins.
  const mayCancel = running && live && mayBacktest(me) && (isAdmin(me) || backtest.by.id === me?.id)
  const cancel = () => {
    setProblem('')
    core()
      .call('cancelBacktest', { id })
      .catch((error) => setProblem(wordsOf(error)))
  }
  useKeys({ c: () => (mayCancel ? cancel() : false) })
  if (!backtest)
    return asked.problem || asked.value ? (
      <Notice title="There is no such backtest here" role="status">
        <p>{asked.problem || 'It is not known to the gateway.'}</p>
      </Notice>
    ) : (
      <Notice title="Fetching the backtest…" role="status" />
    )
  const result = whole?.result
  return (
    <article
      aria-label={`Backtest of ${backtest.title}`}
      className="@container min-h-0 min-w-0 overflow-y-auto px-7 pt-4 pb-6 max-lg:px-4"
    >
      <Head backtest={backtest} />
      {problem ? (
        <p role="alert" className="mt-3 rounded-box bg-danger-pale px-3 py-2 text-danger">
          {problem}
        </p>
      ) : null}
      {running ? <Progress backtest={backtest} onCancel={mayCancel ? cancel : undefined} /> : null}
      {backtest.state === 'failed' ? (
        <p role="alert" className="mt-4 rounded-box bg-danger-pale px-4 py-2.5 text-danger">
          <b className="font-semibold">It failed.</b> {backtest.problem ?? 'The gateway says nothing more.'} Begin it
          anew from its draft.
        </p>
      ) : null}
      {backtest.state === 'cancelled' ? (
        <p role="status" className="mt-4 rounded-box bg-sunken px-4 py-2.5 text-dim">
          It was cancelled after {many(backtest.progress.commands, 'command')}. {backtest.problem ?? ''}
        </p>
      ) : null}
      <Warnings backtest={whole ?? backtest} />
      {result ? (
        <Result result={result} />
      ) : backtest.state === 'done' ? (
        <p role="status" className="mt-4 text-dim">
          {asked.problem || (asked.value ? 'Its result is not on this computer.' : 'Fetching the result…')}
        </p>
      ) : null}
    </article>
  )
}

function Head({ backtest }: { backtest: BacktestHead }) {
  const now = useNow()
  return (
    <>
      <h2 className="flex flex-wrap items-baseline gap-x-3 text-title font-semibold">
        <span className="min-w-0 break-words">
          <VisibleText>{backtest.title || 'no title'}</VisibleText>
        </span>
        <span className="text-body font-normal">
          <BacktestMark backtest={backtest} />
        </span>
      </h2>
      <p className="text-dim">
        {dateAndClock(backtest.since, now)} to {dateAndClock(backtest.until, now)}, compared with{' '}
        {backtest.against === 'recorded' ? 'what was said then' : 'what is in force'} · begun by{' '}
        <VisibleText>{backtest.by.name}</VisibleText> {dateAndClock(backtest.at, now)} · draft version{' '}
        <span className="font-mono text-fine">{shortVersion(backtest.version)}</span>
      </p>
    </>
  )
}

function Progress({ backtest, onCancel }: { backtest: BacktestHead; onCancel: (() => void) | undefined }) {
  const { commands, of } = backtest.progress
  const part = partOf(backtest)
  const now = useNow()
  const ran = Math.max(1, now - Date.parse(backtest.at))
  const left = part !== undefined && part > 0.02 ? (ran / part) * (1 - part) : undefined
  return (
    <section aria-label="Progress" className="mt-4 rounded-box border border-line bg-panel px-4 py-3">
      <div className="flex items-center gap-4">
        <p className="min-w-0 flex-1">
          <b className="font-semibold tabular-nums">{figure(commands)}</b>
          {of ? <span className="text-dim tabular-nums"> of {figure(of)}</span> : null} commands decided anew
          {left !== undefined ? <span className="text-dim"> · about {duration(left)} left</span> : null}
        </p>
        {onCancel ? (
          <Button onClick={onCancel}>
            Cancel <Key>C</Key>
          </Button>
        ) : null}
      </div>
      <div
        role="progressbar"
        aria-label="Commands decided anew"
        aria-valuemin={0}
        aria-valuemax={100}
        {...(part === undefined ? {} : { 'aria-valuenow': Math.round(part * 100) })}
        className="mt-2.5 h-1.5 overflow-hidden rounded-full bg-sunken"
      >
        <div
          className={`h-full rounded-full bg-accent ${part === undefined ? 'w-1/4 motion-safe:animate-breathe' : ''}`}
          style={part === undefined ? undefined : { width: `${part * 100}%` }}
        />
      </div>
      <p className="mt-2 text-fine text-dim">It goes on at the gateway when you leave; its result stays here.</p>
    </section>
  )
}

function Warnings({ backtest }: { backtest: Backtest | BacktestHead }) {
  const warnings = backtest.check?.warnings ?? []
  if (warnings.length === 0) return null
  return (
    <Section title="Cedar’s validator warns" more={many(warnings.length, 'warning')}>
      <ul className="rounded-box border border-line bg-panel px-4 py-2">
        {warnings.map(({ file, line, message, mend }) => (
          <li key={`${file} ${line} ${message}`} className="text-fine">
            <span className="font-mono text-tag text-dim">
              {file}:{line}
            </span>{' '}
            <span className="text-warn">
              <VisibleText>{message}</VisibleText>
            </span>{' '}
            <span className="text-dim">
              <VisibleText>{mend}</VisibleText>
            </span>
          </li>
        ))}
      </ul>
    </Section>
  )
}

function Result({ result }: { result: BacktestResult }) {
  const [kind, setKind] = useState<Kind | undefined>(undefined)
  const [agent, setAgent] = useState<string | undefined>(undefined)
  const counts: Record<Kind, number> = {
    'newly-denied': result.newlyDenied,
    'newly-held': result.newlyHeld,
    'newly-allowed': result.newlyAllowed,
  }
  const changed = result.newlyDenied + result.newlyHeld + result.newlyAllowed
  const shown = result.changes.filter(
    (change) => (!kind || change.change === kind) && (!agent || change.agent === agent),
  )
  return (
    <>
      <div className="mt-4 grid grid-cols-3 gap-3 @max-md:gap-1.5">
        {kinds.map(({ kind: one, name, ink, says, icon: Icon }) => (
          <button
            key={one}
            type="button"
            aria-pressed={kind === one}
            disabled={counts[one] === 0}
            onClick={() => setKind((was) => (was === one ? undefined : one))}
            className={`flex flex-col items-start rounded-box border px-4 py-3 @max-md:px-2.5 @max-md:py-2 text-left ${kind === one ? 'border-accent bg-accent-pale' : 'border-line bg-panel enabled:hover:bg-sunken'}`}
          >
            <span className={`flex items-center gap-1.5 text-fine font-semibold ${counts[one] > 0 ? ink : 'text-dim'}`}>
              <Icon size={13} aria-hidden /> {name}
            </span>
            <span className="block text-[1.5rem] leading-8 font-semibold tabular-nums">{figure(counts[one])}</span>
            <span className="block text-fine text-dim @max-md:hidden">{counts[one] === 0 ? 'none' : says}</span>
          </button>
        ))}
      </div>
      <Picture result={result} />
      {result.unreadable > 0 ? (
        <p className="mt-3 rounded-box bg-warn-pale px-4 py-2 text-warn">
          <b className="font-semibold">{many(result.unreadable, 'command')} could not be asked about</b>: erased by
          retention, or of a form that this version doesn’t know. What the draft would say of them is not in the
          figures.
        </p>
      ) : null}
      {result.notes.length > 0 ? (
        <ul className="mt-3 list-disc pl-5 text-dim">
          {result.notes.map((note) => (
            <li key={note}>{note}</li>
          ))}
        </ul>
      ) : null}
      {changed === 0 ? (
        <p className="mt-4 rounded-box bg-ok-pale px-4 py-2.5 text-ok">
          <b className="font-semibold">Nothing would have been different.</b> The draft says the same of every command
          that could be read.
        </p>
      ) : (
        <>
          <ByAgent changes={result.changes} chosen={agent} onChoose={setAgent} />
          <BacktestChanges
            changes={shown}
            narrowed={kind !== undefined || agent !== undefined}
            left={result.left}
            onAll={() => {
              setKind(undefined)
              setAgent(undefined)
            }}
          />
        </>
      )}
    </>
  )
}

/** How much stays as it was: a bar of the whole, and the words and figures of it. */
function Picture({ result }: { result: BacktestResult }) {
  const { same } = result
  const parts = [
    ['allowed as before', same.allow, 'bg-ok'],
    ['held as before', same.hold, 'bg-warn'],
    ['denied as before', same.deny, 'bg-line-strong'],
    ['otherwise', result.newlyDenied + result.newlyHeld + result.newlyAllowed, 'bg-accent'],
  ] as const
  const all = Math.max(
    1,
    parts.reduce((sum, [, n]) => sum + n, 0),
  )
  return (
    <figure className="mt-3">
      <div aria-hidden className="flex h-2 gap-px overflow-hidden rounded-full bg-sunken">
        {parts.map(([name, n, ground]) =>
          n > 0 ? <div key={name} className={ground} style={{ width: `${Math.max(0.4, (n / all) * 100)}%` }} /> : null,
        )}
      </div>
      <figcaption className="mt-1.5 flex flex-wrap gap-x-4 gap-y-0.5 text-fine text-dim">
        <span>
          <b className="font-semibold text-ink tabular-nums">{figure(result.commands)}</b> commands in{' '}
          {duration(result.seconds * 1000)}
        </span>
        {parts.map(([name, n, ground]) => (
          <span key={name} className="tabular-nums">
            <span className={`mr-1 inline-block size-2 rounded-full ${ground}`} aria-hidden />
            {figure(n)} {name}
          </span>
        ))}
      </figcaption>
    </figure>
  )
}

/** Whose commands they are: a bar each, the most concerned first. */
function ByAgent(props: {
  changes: readonly BacktestChange[]
  chosen: string | undefined
  onChoose: (agent: string | undefined) => void
}) {
  const { changes, chosen } = props
  const list = useRef<HTMLUListElement>(null)
  const agents = useMemo(() => {
    const found = new Map<string, { name: string; counts: Record<Kind, number>; all: number }>()
    for (const { agent, agentName, change, commands } of changes) {
      const one = found.get(agent) ?? {
        ...{ name: agentName, all: 0 },
        counts: { 'newly-denied': 0, 'newly-held': 0, 'newly-allowed': 0 },
      }
      one.counts[change] += commands
      one.all += commands
      found.set(agent, one)
    }
    return [...found].sort(([, a], [, b]) => b.all - a.all)
  }, [changes])
  const most = agents[0]?.[1].all ?? 1
  if (agents.length < 2) return null
  return (
    <Section title="By agent" more={many(agents.length, 'agent')}>
      <ul ref={list} className="max-h-56 overflow-y-auto rounded-box border border-line bg-panel py-1">
        {agents.map(([agent, { name, counts, all }]) => (
          <li key={agent}>
            <button
              type="button"
              aria-pressed={chosen === agent}
              onClick={() => props.onChoose(chosen === agent ? undefined : agent)}
              className={`flex w-full items-center gap-3 px-4 py-1 text-left text-fine -outline-offset-2 ${chosen === agent ? 'bg-accent-pale' : 'hover:bg-sunken'}`}
            >
              <span className="w-44 shrink-0 truncate font-mono max-lg:w-32">
                <VisibleText>{name}</VisibleText>
              </span>
              <span aria-hidden className="flex h-2 flex-1 gap-px">
                {kinds.map(({ kind, ground }) =>
                  counts[kind] > 0 ? (
                    <span
                      key={kind}
                      className={`rounded-full ${ground}`}
                      style={{ width: `${Math.max(0.5, (counts[kind] / most) * 100)}%` }}
                    />
                  ) : null,
                )}
              </span>
              <span className="w-40 shrink-0 text-right text-dim tabular-nums max-lg:w-28">
                {kinds
                  .filter(({ kind }) => counts[kind] > 0)
                  .map(({ kind, verb }) => `${figure(counts[kind])} ${verb}`)
                  .join(', ') || figure(all)}
              </span>
            </button>
          </li>
        ))}
      </ul>
    </Section>
  )
}
