import type { LegalHold, RetentionRun } from '@countersign/contract/evidence'
import { type ReactNode, useCallback, useEffect, useId, useState } from 'react'
import type { RetentionView } from '../../../retention-api.ts'
import { wordsOf } from '../../app/api.ts'
import { core, useWorld } from '../../app/store.ts'
import { Button, Chip } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { size } from '../../parts/size.ts'
import { age, dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { LiftHold } from './hold-dialogs.tsx'
import { RunPreview } from './run-preview.tsx'
import { kept, subjectOf } from './words.ts'

/** What the gateway keeps how long, what holds it, and the runs that erased. For whom it is told. */
export function Retention() {
  const live = useWorld((world) => world.link.state === 'live')
  const sees = useWorld(({ me }) => me?.kind === 'person' && me.roles.some((role) => role !== 'approver'))
  const [view, setView] = useState<RetentionView | null>(null)
  const [problem, setProblem] = useState('')
  const look = useCallback(async () => {
    if (!live || !sees) return
    try {
      setView(await core().call('retention', {}))
      setProblem('')
    } catch (error) {
      setProblem(wordsOf(error))
    }
  }, [live, sees])
  useEffect(() => void look(), [look])
  const title = useId()
  if (!sees) return null
  return (
    <section aria-labelledby={title}>
      <h3 id={title} className="mb-2 font-semibold text-dim">
        Retention on the gateway
      </h3>
      <div className="divide-y divide-line rounded-box border border-line bg-panel">
        {view ? (
          <Told view={view} live={live} onChange={() => void look()} />
        ) : (
          <p role={problem ? 'alert' : 'status'} className={`px-4 py-3 ${problem ? 'text-danger' : 'text-dim'}`}>
            {problem || (live ? 'Asking the gateway…' : 'It is told once the gateway is reached.')}
          </p>
        )}
      </div>
    </section>
  )
}

function Told({ view, live, onChange }: { view: RetentionView; live: boolean; onChange: () => void }) {
  const now = useNow()
  const { rules, nextRun, waiting, runs, mayHold, mayRun } = view
  const holds = view.holds.filter(({ lifted }) => !lifted)
  return (
    <>
      <Part title="Rules" hint="Counted from the end of a session; of those that fit, the shortest counts.">
        <table className="w-full">
          <tbody>
            {rules.map((rule) => (
              <tr key={`${rule.connection} ${rule.what} ${rule.class}`} className="align-baseline">
                <th scope="row" className="py-0.5 pr-4 text-left font-normal">
                  {subjectOf(rule)}
                </th>
                <td className="py-0.5 pr-4 text-dim">{rule.connection ? `on ${rule.connection}` : ''}</td>
                <td className="py-0.5 text-right tabular-nums">{kept(rule.keeps)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Part>
      <Part title="Legal holds" hint={holds.length === 0 ? 'None is in force.' : ''}>
        {holds.length > 0 ? <Holds holds={holds} may={mayHold && live} onChange={onChange} /> : null}
      </Part>
      <Part
        title="Runs"
        hint={[
          nextRun
            ? `The next look is ${Date.parse(nextRun) > now ? `in ${age(Date.parse(nextRun) - now)}` : 'now'}.`
            : '',
          waiting > 0
            ? `${waiting.toLocaleString('en-US')} sessions whose time may be over wait until the log has them.`
            : '',
        ].join(' ')}
      >
        {runs.length === 0 ? <p className="text-dim">There was none yet.</p> : <Runs runs={runs} />}
        {mayHold ? <RunPreview live={live} mayRun={mayRun} onDone={onChange} /> : null}
      </Part>
    </>
  )
}

function Part({ title, hint, children }: { title: string; hint: string; children: ReactNode }) {
  const id = useId()
  return (
    <section aria-labelledby={id} className="px-4 py-3">
      <h4 id={id}>{title}</h4>
      {hint.trim() ? <p className="text-fine text-dim">{hint}</p> : null}
      {children ? <div className="mt-2">{children}</div> : null}
    </section>
  )
}

const SHOWN = 5

function Holds({ holds, may, onChange }: { holds: LegalHold[]; may: boolean; onChange: () => void }) {
  const now = useNow()
  const [all, setAll] = useState(false)
  const [lifting, setLifting] = useState<LegalHold | undefined>(undefined)
  return (
    <>
      <ul className="divide-y divide-line border-t border-line">
        {(all ? holds : holds.slice(0, SHOWN)).map((hold) => (
          <li key={hold.id} className="flex items-center gap-3 py-2">
            <div className="min-w-0 flex-1">
              <p className="break-words">
                <q>
                  <VisibleText>{hold.reason}</VisibleText>
                </q>
              </p>
              <p className="text-fine break-words text-dim">
                <VisibleText>{`${namesOf(hold)} · ${hold.by.name}, ${dateAndClock(hold.placedAt, now)}`}</VisibleText>
                {hold.covers === undefined ? '' : ` · keeps ${many(hold.covers, 'session')} by now`}
              </p>
            </div>
            {may ? (
              <Button quiet onClick={() => setLifting(hold)}>
                Lift…
              </Button>
            ) : null}
          </li>
        ))}
      </ul>
      {holds.length > SHOWN ? (
        <Button quiet className="mt-1" onClick={() => setAll(!all)}>
          {all ? 'Show fewer' : `Show all ${holds.length}`}
        </Button>
      ) : null}
      {lifting ? <LiftHold hold={lifting} onClose={() => setLifting(undefined)} onDone={onChange} /> : null}
    </>
  )
}

function namesOf({ sessions, connections, agents }: LegalHold): string {
  return [
    ...(sessions.length > 0 ? [many(sessions.length, 'session')] : []),
    ...connections.map((name) => `all of ${name}`),
    ...agents.map((name) => `all of ${name}`),
  ].join(', ')
}

function many(n: number, word: string): string {
  return `${n.toLocaleString('en-US')}${n >= 10_000 ? ' or more' : ''} ${word}${n === 1 ? '' : 's'}`
}

function Runs({ runs }: { runs: RetentionRun[] }) {
  const now = useNow()
  const [all, setAll] = useState(false)
  return (
    <>
      <table className="w-full text-fine tabular-nums">
        <thead>
          <tr className="text-left text-dim">
            <th className="py-1 pr-3 font-normal">When</th>
            <th className="py-1 pr-3 font-normal">By</th>
            <th className="py-1 pr-3 text-right font-normal">Recordings</th>
            <th className="py-1 pr-3 text-right font-normal">Entries</th>
            <th className="py-1 pr-3 text-right font-normal">Held</th>
            <th className="py-1 text-right font-normal">In the log</th>
          </tr>
        </thead>
        <tbody>
          {(all ? runs : runs.slice(0, SHOWN)).map((run) => (
            <tr key={run.id} className="border-t border-line">
              <td className="py-1 pr-3 whitespace-nowrap">{dateAndClock(run.at, now)}</td>
              <td className="max-w-40 truncate py-1 pr-3">
                <VisibleText>{run.by}</VisibleText>
              </td>
              <td className="py-1 pr-3 text-right whitespace-nowrap">
                {run.recordings.toLocaleString('en-US')}
                {run.bytes > 0 ? <span className="text-dim"> · {size(run.bytes)}</span> : null}
              </td>
              <td className="py-1 pr-3 text-right">{run.entries.toLocaleString('en-US')}</td>
              <td className="py-1 pr-3 text-right">{run.kept.toLocaleString('en-US')}</td>
              <td className="py-1 text-right whitespace-nowrap">
                {run.done ? null : <Chip tone="warn">still removing</Chip>} entry {run.entry}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {runs.length > SHOWN ? (
        <Button quiet className="mt-1" onClick={() => setAll(!all)}>
          {all ? 'Show fewer' : `Show the last ${runs.length}`}
        </Button>
      ) : null}
    </>
  )
}
