import { X } from 'lucide-react'
import { useEffect, useMemo, useState } from 'react'
import { readAgents, useAgents } from '../../app/agents.ts'
import { wordsOf } from '../../app/api.ts'
import { useDuty } from '../../app/duty.ts'
import { mayBacktest, usePolicy } from '../../app/policy.ts'
import { go, hashOf } from '../../app/route.ts'
import { core, say, useWorld } from '../../app/store.ts'
import { Button, Notice } from '../../parts/basics.tsx'
import { type Choice, Chooser } from '../../parts/chooser.tsx'
import { linkLook } from '../access/grant-facts.tsx'

const windows = [
  ['7d', '7 days'],
  ['30d', '30 days'],
  ['90d', '90 days'],
] as const
const againsts = [
  ['recorded', 'what was said then', 'What every agent really got, whatever policy it was by'],
  [
    'in-force',
    'what is in force now',
    'What policy in force would say of the same commands: the difference of the two sets alone',
  ],
] as const

/** Which draft, over which past, compared with what. */
export function NewBacktest({ draft: given }: { draft: string | undefined }) {
  const drafts = usePolicy(({ view }) => view?.drafts) ?? none
  const works = usePolicy(({ view }) => view?.works)
  const me = useWorld((world) => world.me)
  const live = useWorld((world) => world.link.state === 'live')
  const known = useAgents(({ agents }) => agents)
  const places = useDuty(({ connections }) => connections)
  const [picked, setPicked] = useState<string | undefined>(given)
  const [since, setSince] = useState<string>('30d')
  const [against, setAgainst] = useState<'recorded' | 'in-force'>('recorded')
  const [overlays, setOverlays] = useState(true)
  const [agents, setAgents] = useState<string[]>([])
  const [connections, setConnections] = useState<string[]>([])
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState('')
  useEffect(() => readAgents(), [])
  const agentChoices = useMemo<Choice[]>(
    () => [...known.values()].map(({ id, name, issuer }) => ({ value: id, label: name, detail: issuer })),
    [known],
  )
  const placeChoices = useMemo<Choice[]>(
    () => places.map(({ name, tags }) => ({ value: name, label: name, detail: tags.join(', ') })),
    [places],
  )
  const draft = picked ?? drafts[0]?.id
  if (!mayBacktest(me))
    return (
      <Notice title="Backtests are for reviewers, auditors and admins">
        <p>Your role reads what is in force.</p>
      </Notice>
    )
  if (drafts.length === 0)
    return (
      <Notice title="There is no saved draft to run">
        <p>A backtest asks a draft about every command that was recorded, and tells what it would have changed.</p>
        <Button onClick={() => go({ screen: 'policy', part: 'drafts', id: 'new' })}>New draft</Button>
      </Notice>
    )
  const begin = async () => {
    setBusy(true)
    setProblem('')
    try {
      const backtest = await core().call('startBacktest', {
        ...{ draft: draft!, since, against, overlays },
        ...(agents.length > 0 && { agents }),
        ...(connections.length > 0 && { connections }),
      })
      say('The backtest runs')
      go({ screen: 'policy', part: 'backtests', id: backtest.id }, 'replace')
    } catch (error) {
      setProblem(wordsOf(error))
      setBusy(false)
    }
  }
  const chosen = drafts.find(({ id }) => id === draft)
  const radio = 'flex items-start gap-2'
  return (
    <article aria-label="New backtest" className="min-h-0 overflow-y-auto px-7 pt-4 pb-6 max-lg:px-4">
      <h2 className="text-title font-semibold">New backtest</h2>
      <p className="mt-1 max-w-2xl text-dim">
        Asks a draft about every command that was recorded, and tells which would have been denied, held or allowed
        otherwise. Nothing is run again, and nothing is enforced.
      </p>
      <form
        className="mt-4 flex max-w-xl flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault()
          if (!busy && live && draft) void begin()
        }}
      >
        <label className="flex flex-col gap-1.5">
          <span className="font-semibold">Draft</span>
          <select
            value={draft}
            onChange={(event) => setPicked(event.target.value)}
            className="h-9 rounded-box border border-line-strong bg-panel px-2.5"
          >
            {drafts.map(({ id, title }) => (
              <option key={id} value={id}>
                {title}
              </option>
            ))}
          </select>
        </label>
        {chosen && works?.some(({ id }) => id === chosen.id) ? (
          <p className="-mt-2 text-fine text-warn">
            What is not saved of it is not part of the backtest.{' '}
            <a className={linkLook} href={hashOf({ screen: 'policy', part: 'drafts', id: chosen.id })}>
              To the draft
            </a>
          </p>
        ) : null}
        <fieldset>
          <legend className="mb-1.5 font-semibold">Over the last</legend>
          <div className="flex gap-5">
            {windows.map(([value, name]) => (
              <label key={value} className="flex items-center gap-2">
                <input type="radio" name="since" checked={since === value} onChange={() => setSince(value)} />
                {name}
              </label>
            ))}
          </div>
        </fieldset>
        <fieldset>
          <legend className="mb-1.5 font-semibold">Compared with</legend>
          <div className="flex flex-col gap-1.5">
            {againsts.map(([value, name, says]) => (
              <label key={value} className={radio}>
                <input
                  type="radio"
                  name="against"
                  className="mt-1"
                  checked={against === value}
                  onChange={() => setAgainst(value)}
                />
                <span>
                  {name}
                  <span className="block text-fine text-dim">{says}</span>
                </span>
              </label>
            ))}
          </div>
        </fieldset>
        <label className={radio}>
          <input
            type="checkbox"
            className="mt-1"
            checked={overlays}
            onChange={(event) => setOverlays(event.target.checked)}
          />
          <span>
            Overlays of reviews on top, as in force
            <span className="block text-fine text-dim">
              Without them, what they forbid may come out as newly allowed
            </span>
          </span>
        </label>
        <Several label="Agents" placeholder="All agents" choices={agentChoices} value={agents} onChange={setAgents} />
        <Several
          label="Connections"
          placeholder="All connections"
          choices={placeChoices}
          value={connections}
          onChange={setConnections}
        />
        {problem ? (
          <p role="alert" className="rounded-box bg-danger-pale px-3 py-2 text-danger">
            {problem}
          </p>
        ) : null}
        <span className="flex items-center gap-3">
          <Button type="submit" tone="accent" disabled={busy || !live || !draft}>
            {busy ? 'Beginning…' : 'Run the backtest'}
          </Button>
          {live ? null : <span className="text-dim">None can be begun offline.</span>}
        </span>
      </form>
    </article>
  )
}

const none: readonly { id: string; title: string }[] = []

/** Some of many; none chosen is all of them. */
function Several(props: {
  label: string
  placeholder: string
  choices: readonly Choice[]
  value: readonly string[]
  onChange: (value: string[]) => void
}) {
  const { value, choices } = props
  const left = choices.filter((choice) => !value.includes(choice.value))
  return (
    <div>
      <Chooser
        // Each that is chosen empties the field.
        key={value.length}
        label={props.label}
        placeholder={value.length > 0 ? 'One more' : props.placeholder}
        choices={left}
        value=""
        onChange={(next) => props.onChange([...value, next])}
      />
      {value.length > 0 ? (
        <ul className="mt-1.5 flex flex-wrap gap-1.5">
          {value.map((one) => {
            const name = choices.find((choice) => choice.value === one)?.label ?? one
            return (
              <li key={one} className="flex items-center gap-1 rounded-tag bg-sunken py-0.5 pr-1 pl-2 text-fine">
                <span className="max-w-64 truncate font-mono">{name}</span>
                <button
                  type="button"
                  aria-label={`Not only ${name}`}
                  onClick={() => props.onChange(value.filter((other) => other !== one))}
                  className="inline-flex size-5 items-center justify-center rounded-tag text-dim hover:text-ink"
                >
                  <X size={12} aria-hidden />
                </button>
              </li>
            )
          })}
        </ul>
      ) : null}
    </div>
  )
}
