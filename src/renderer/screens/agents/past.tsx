import type { AccessThen } from '@countersign/contract/access'
import { Download } from 'lucide-react'
import { useMemo, useRef, useState } from 'react'
import type { z } from 'zod'
import type { agentCalls } from '../../../agents-api.ts'
import { useAgents } from '../../app/agents.ts'
import { wordsOf } from '../../app/api.ts'
import { useDuty } from '../../app/duty.ts'
import { fetchFile } from '../../app/exporting.ts'
import { useKeys } from '../../app/keys.ts'
import { hashOf } from '../../app/route.ts'
import { core, say, useWorld } from '../../app/store.ts'
import { Button, Chip, Notice } from '../../parts/basics.tsx'
import { Chooser } from '../../parts/chooser.tsx'
import { Listbox, type ListboxHandle, type ListRow, stepFrom } from '../../parts/listbox.tsx'
import { Select } from '../../parts/select.tsx'
import { clock, dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { Fact, factGrid, linkLook } from '../access/grant-facts.tsx'
import { actionWords } from '../access/words.ts'
import { Parts, Split } from './parts.tsx'

type Answer = z.output<(typeof agentCalls)['accessThen']['output']>
type Row = ListRow & ({ line: AccessThen } | { agent: string; name: string; count: number })
interface Question {
  readonly at: string
  readonly agent: string
  readonly connection: string
}

/** Who could do what at a moment: by the policies, grants, freezes and disabled agents of then; as a table, too. */
export function PastPart() {
  const live = useWorld((world) => world.link.state === 'live')
  const agents = useAgents((known) => known.agents)
  const connections = useDuty((known) => known.connections)
  const [asked, setAsked] = useState<Question>(() => ({ at: localTime(Date.now()), agent: '', connection: '' }))
  const [answer, setAnswer] = useState<(Answer & { question: Question }) | undefined>(undefined)
  const [state, setState] = useState<{ busy: boolean; problem: string }>({ busy: false, problem: '' })
  const [selected, setSelected] = useState<string | undefined>(undefined)
  const [saved, setSaved] = useState('')
  const list = useRef<ListboxHandle>(null)
  const rows = useMemo(() => rowsOf(answer?.items ?? []), [answer])
  const options = useMemo(() => rows.filter((row) => row.option), [rows])
  const chosen = rows.find((row) => row.key === selected)
  const moment = Date.parse(asked.at)
  const ready = live && !Number.isNaN(moment) && !state.busy
  const choices = useMemo(
    () =>
      [...agents.values()]
        .sort((a, b) => (a.name < b.name ? -1 : 1))
        .map(({ id, name, issuer, owner }) => ({ value: id, label: name, words: owner ?? '', detail: issuer })),
    [agents],
  )
  const ask = async () => {
    setState({ busy: true, problem: '' })
    setSaved('')
    try {
      const told = await core().call('accessThen', queryOf(asked))
      setAnswer({ ...told, question: asked })
      setSelected(undefined)
      say(`${told.items.length} lines`)
      setState({ busy: false, problem: '' })
      setTimeout(() => list.current?.focus(), 0)
    } catch (error) {
      setState({ busy: false, problem: wordsOf(error) })
    }
  }
  const save = async (question: Question) => {
    setSaved('Writing…')
    const work = `then ${crypto.randomUUID()}`
    const stop = core().on((event) => {
      if (event.type === 'export' && event.work === work && event.url) fetchFile(event.url)
    })
    try {
      const { state: came, where, lines } = await core().call('exportAccessThen', { work, ...queryOf(question) })
      setSaved(
        came === 'cancelled'
          ? ''
          : `${(lines ?? 0).toLocaleString('en-US')} lines written${where ? ` to ${where}` : ''}`,
      )
    } catch (error) {
      setSaved(`Not written: ${wordsOf(error)}`)
    } finally {
      stop()
    }
  }
  const move = (step: number) => {
    const next = stepFrom(options, selected, step)
    if (next) setSelected(next)
  }
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    arrowdown: () => move(1),
    arrowup: () => move(-1),
    escape: () => list.current?.focus(),
  })
  return (
    <Split>
      <section aria-label="Who could do what then" className="flex min-h-0 flex-col border-r border-line bg-panel">
        <Parts here="past" />
        <h2 className="px-4 pt-3 pb-1.5 text-head font-semibold">Who could do what then</h2>
        <form
          className="flex flex-col gap-3 border-b border-line px-4 pb-3"
          onSubmit={(event) => {
            event.preventDefault()
            if (ready) void ask()
          }}
        >
          <label className="flex flex-col gap-1.5">
            <span className="font-semibold">
              Moment <span className="font-normal text-dim">your local time</span>
            </span>
            <input
              type="datetime-local"
              value={asked.at}
              max={localTime(Date.now())}
              onChange={(event) => setAsked({ ...asked, at: event.target.value })}
              className="h-9 rounded-box border border-line-strong bg-panel px-3 tabular-nums"
            />
          </label>
          <Chooser
            label="Agent"
            placeholder="All of them"
            choices={[{ value: '', label: 'All of them' }, ...choices]}
            value={asked.agent}
            onChange={(agent) => setAsked({ ...asked, agent })}
            other={(typed) => /^\S+#\S+$/.test(typed)}
          />
          <div className="flex items-center gap-2.5">
            <Select
              label="All connections"
              value={asked.connection}
              onChange={(connection) => setAsked({ ...asked, connection })}
              options={connections.map(({ name }) => [name, name] as const)}
            />
            <Button type="submit" tone="accent" disabled={!ready} className="ml-auto">
              {state.busy ? 'Asking…' : 'Ask'}
            </Button>
          </div>
          {!live ? (
            <p className="text-fine text-dim">The past is asked of the gateway: not offline.</p>
          ) : state.problem ? (
            <p role="alert" className="rounded-box bg-danger-pale px-3 py-1.5 break-words text-danger">
              {state.problem}
            </p>
          ) : null}
        </form>
        {options.length > 0 ? (
          <Listbox
            ref={list}
            label="Who could do what"
            rows={rows}
            selected={selected}
            onSelect={setSelected}
            render={(row, isChosen) =>
              'line' in row ? (
                <LineRow line={row.line} selected={isChosen} />
              ) : (
                <div className="flex h-full items-end gap-1.5 px-4 pb-1 text-fine font-semibold">
                  <span className="min-w-0 truncate">
                    <VisibleText>{row.name}</VisibleText>
                  </span>
                  <span className="font-normal text-dim">{row.count}</span>
                </div>
              )
            }
          />
        ) : answer ? (
          <Notice title="Nobody could do anything" role="status">
            <p>By what was in force then, no agent that fits was let in.</p>
          </Notice>
        ) : (
          <div className="flex-1" />
        )}
      </section>
      {answer ? (
        <article aria-label="The answer" className="flex min-h-0 min-w-0 flex-1 flex-col">
          <div className="min-h-0 flex-1 overflow-y-auto px-7 pt-4 pb-4 max-lg:px-4">
            <h2 className="text-title font-semibold">As of {dateAndClock(answer.at, Date.now())}</h2>
            <p className="mt-1 text-dim">
              {answer.items.length.toLocaleString('en-US')} lines of{' '}
              {new Set(answer.items.map(({ agent }) => agent)).size.toLocaleString('en-US')} agents, by policy set{' '}
              <code className="text-fine">{answer.policy.slice(0, 19)}…</code>
              {answer.whole ? '' : '; there are more: the table has them all'}
            </p>
            {answer.notes && answer.notes.length > 0 ? (
              <ul className="mt-2.5 rounded-box bg-warn-pale px-3 py-2 text-warn">
                {answer.notes.map((note) => (
                  <li key={note}>{note}</li>
                ))}
              </ul>
            ) : null}
            {chosen && 'line' in chosen ? (
              <LineFacts line={chosen.line} />
            ) : (
              <p className="mt-5 text-dim">J and K move through the lines: each tells through which policy or grant.</p>
            )}
          </div>
          <div className="mx-7 flex min-h-[65px] items-center gap-3 border-t border-line py-3.5 max-lg:mx-4">
            <Button disabled={!live || saved === 'Writing…'} onClick={() => void save(answer.question)}>
              <Download size={14} aria-hidden />
              Export as a table (CSV)
            </Button>
            <p role="status" className="min-w-0 flex-1 text-dim">
              {saved}
            </p>
          </div>
        </article>
      ) : (
        <Notice title="Ask about a moment">
          <p>
            The gateway answers from what was in force then: policies, grants, freezes and who was disabled. All of it
            is in the ledger, too.
          </p>
        </Notice>
      )}
    </Split>
  )
}

const queryOf = ({ at, agent, connection }: Question) => ({
  at: new Date(at).toISOString(),
  ...(agent ? { agent } : {}),
  ...(connection ? { connection } : {}),
})

/** 2026-11-21T09:14, as a field for local times takes it. */
function localTime(at: number): string {
  const offset = new Date(at).getTimezoneOffset() * 60_000
  return new Date(at - offset).toISOString().slice(0, 16)
}

function rowsOf(items: readonly AccessThen[]): Row[] {
  const groups = new Map<string, AccessThen[]>()
  for (const item of items) {
    const group = groups.get(item.agent)
    if (group) group.push(item)
    else groups.set(item.agent, [item])
  }
  const rows: Row[] = []
  for (const [agent, lines] of groups) {
    rows.push({ key: `agent ${agent}`, height: 32, option: false, agent, name: lines[0]!.name, count: lines.length })
    for (const [i, line] of lines.entries()) rows.push({ key: `${agent} ${i}`, height: 30, option: true, line })
  }
  return rows
}

const tones = { allow: 'ok', hold: 'warn', depends: 'plain' } as const
const words = { allow: 'could', hold: 'held', depends: 'depends' }

function LineRow({ line, selected }: { line: AccessThen; selected: boolean }) {
  return (
    <div
      className={`flex h-full items-center gap-2 border-l-2 px-4 ${selected ? 'border-accent bg-accent-pale' : 'border-transparent hover:bg-sunken'}`}
    >
      <code className="w-20 shrink-0 truncate text-fine">{line.action}</code>
      <span className="min-w-0 flex-1 truncate font-mono text-fine text-dim">
        <VisibleText>{line.resource}</VisibleText>
      </span>
      {line.through.kind === 'grant' ? <span className="text-fine text-dim">grant</span> : null}
      <Chip tone={tones[line.verdict]}>{words[line.verdict]}</Chip>
    </div>
  )
}

function LineFacts({ line }: { line: AccessThen }) {
  const { through } = line
  const now = Date.now()
  const says = actionWords(line.action).says
  return (
    <dl className={factGrid}>
      <Fact name="Who">
        <a className={linkLook} href={hashOf({ screen: 'agents', id: line.agent })}>
          <VisibleText>{line.name}</VisibleText>
        </a>
      </Fact>
      <Fact name="Could">
        {says ? `${says} ` : ''}
        <code className="text-fine text-dim">{line.action}</code>
        {line.verdict === 'hold' ? ', held for people' : ''}
        {line.verdict === 'depends' ? ', depending on the command itself, the time or the purpose' : ''}
        {line.observed ? ' (only observed: nothing was refused)' : ''}
      </Fact>
      <Fact name="On">
        <code className="text-fine break-all">
          <VisibleText>{line.resource}</VisibleText>
        </code>
        {line.resource === line.connection ? (
          <span className="text-dim"> · all that has no line of its own</span>
        ) : null}
      </Fact>
      <Fact name="Through">
        {through.kind === 'grant' ? (
          <>
            <a className={linkLook} href={hashOf({ screen: 'access', id: through.grant })}>
              a grant
            </a>{' '}
            from {dateAndClock(through.from, now)} until {clock(through.until)}
            {through.approvedBy.length > 0 ? (
              <>
                , approved by <VisibleText>{through.approvedBy.join(', ')}</VisibleText>
              </>
            ) : null}
          </>
        ) : (
          'policy alone'
        )}
      </Fact>
      {through.policies.length > 0 ? (
        <Fact name="Policies">
          <code className="text-fine break-words">{through.policies.join(', ')}</code>
        </Fact>
      ) : null}
    </dl>
  )
}
