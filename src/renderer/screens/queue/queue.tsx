import type { Approval } from '@countersign/contract/approval'
import { Search } from 'lucide-react'
import { useEffect, useMemo, useRef, useState } from 'react'
import { useKeys } from '../../app/keys.ts'
import { go } from '../../app/route.ts'
import { core, say, useWorld } from '../../app/store.ts'
import { Notice } from '../../parts/basics.tsx'
import { useToday } from '../../parts/clock.ts'
import { Listbox, type ListboxHandle, type ListRow, stepFrom } from '../../parts/listbox.tsx'
import { AccessCard } from './access-card.tsx'
import { arrange, type Kept, type Section, sectionOf, waitingForMe } from './arrange.ts'
import { Card } from './card.tsx'
import { QueueRow, ROW_HEIGHT } from './queue-row.tsx'

type Row = ListRow & ({ section: Section; approval: Approval } | { heading: string; count: number; first: boolean })

/** What is held, the soonest deadline first; beside it the card of the one that is chosen. */
export function Queue({ id }: { id: string | undefined }) {
  const approvals = useWorld((world) => world.approvals)
  const me = useWorld((world) => world.me)
  const today = useToday()
  const [words, setWords] = useState('')
  const [kept, setKept] = useState<Kept | undefined>(undefined)
  const list = useRef<ListboxHandle>(null)
  const filter = useRef<HTMLInputElement>(null)

  // The chosen card keeps its place in the list until the person moves on.
  const chosen = id === undefined ? undefined : approvals.get(id)
  if (chosen && kept?.id !== chosen.id) setKept({ id: chosen.id, section: sectionOf(chosen, me) })

  // Arranging ten thousand anew for each step through the list would be felt: only a card that would move counts.
  const keeping = chosen && kept && kept.id === id && sectionOf(chosen, me) !== kept.section ? kept : undefined
  const arranged = useMemo(
    () => arrange(approvals.values(), me, today, words, keeping),
    [approvals, me, today, words, keeping],
  )
  const rows = useMemo(() => rowsOf(arranged), [arranged])
  const options = useMemo(() => rows.filter((row) => row.option), [rows])
  const first = options[0]?.key
  useEffect(() => {
    if (id === undefined && first !== undefined && words === '') go({ screen: 'queue', id: first }, 'replace')
  }, [id, first, words])
  const fresh = useFresh(arranged.mine)

  const select = (next: string | undefined) => {
    if (next !== undefined) go({ screen: 'queue', id: next }, 'replace')
  }
  useKeys({
    j: () => select(stepFrom(options, id, 1)),
    k: () => select(stepFrom(options, id, -1)),
    arrowdown: () => select(stepFrom(options, id, 1)),
    arrowup: () => select(stepFrom(options, id, -1)),
    '/': () => filter.current?.focus(),
    escape: () => list.current?.focus(),
  })

  const waiting = arranged.mine.filter((approval) => approval.state === 'pending').length
  return (
    <div className="grid h-full grid-cols-[372px_minmax(0,1fr)] max-lg:grid-cols-[288px_minmax(0,1fr)]">
      <section aria-label="Queue" className="flex min-h-0 flex-col border-r border-line bg-panel">
        <div className="flex items-baseline gap-2 px-4 pt-3 pb-1.5">
          <h2 className="text-head font-semibold whitespace-nowrap">Waiting for you</h2>
          <span className="min-w-0 truncate text-dim">
            {countWords(waiting, words.trim() === '' ? undefined : waitingForMe(approvals, me))}
          </span>
          {/* Beside the heading, so that its coming and going moves nothing. */}
          {fresh.count > 0 ? (
            <button
              type="button"
              aria-label={fresh.count === 1 ? '1 new hold waits for you' : `${fresh.count} new holds wait for you`}
              onClick={() => {
                select(fresh.newest)
                fresh.seen()
              }}
              className="-my-0.5 ml-auto flex h-5.5 shrink-0 items-center gap-1 self-center rounded-full bg-accent-pale px-2.5 text-tag font-semibold text-accent"
            >
              {fresh.count.toLocaleString('en-US')} new
            </button>
          ) : null}
        </div>
        <label className="mx-3 mb-1.5 flex h-8 shrink-0 items-center gap-2 rounded-box border border-line px-2 text-dim focus-within:border-accent">
          <Search size={13} aria-hidden />
          <span className="sr-only">Filter the queue</span>
          <input
            ref={filter}
            value={words}
            onChange={(event) => setWords(event.target.value)}
            onKeyDown={(event) => {
              if (event.key === 'Escape') {
                setWords('')
                list.current?.focus()
              } else if (event.key === 'Enter' || event.key === 'ArrowDown') {
                event.preventDefault()
                select(options.some((row) => row.key === id) ? id : options[0]?.key)
                list.current?.focus()
              }
            }}
            placeholder="Filter by command, agent, connection, policy"
            className="min-w-0 flex-1 bg-transparent text-ink outline-none"
          />
        </label>
        {options.length === 0 ? (
          <EmptyList filtered={words !== ''} />
        ) : (
          <Listbox
            ref={list}
            label="Held and decided commands"
            rows={rows}
            selected={id}
            onSelect={select}
            render={(row, selected) =>
              'heading' in row ? (
                <div className="flex h-full items-end px-4 pb-1.5 text-tag font-semibold tracking-wide text-dim uppercase">
                  {row.heading} <span className="ml-1.5 font-normal">{row.count.toLocaleString('en-US')}</span>
                </div>
              ) : (
                <QueueRow approval={row.approval} section={row.section} selected={selected} />
              )
            }
          />
        )}
      </section>
      <CardPlace id={id} onBack={() => list.current?.focus()} empty={options.length === 0} />
    </div>
  )
}

/** How many wait; with a filter, how many of all. */
function countWords(shown: number, ofAll: number | undefined): string {
  const number = (n: number) => n.toLocaleString('en-US')
  if (ofAll !== undefined) return `${number(shown)} of ${number(ofAll)} shown`
  return shown === 0 ? 'nothing' : shown === 1 ? '1' : `${number(shown)}, oldest deadline first`
}

function rowsOf(arranged: Record<Section, readonly Approval[]>): Row[] {
  const row = (section: Section) => (approval: Approval) =>
    ({ key: approval.id, height: ROW_HEIGHT, option: true, section, approval }) as const
  const heading = (name: string, count: number, first: boolean): Row[] =>
    count === 0 ? [] : [{ key: `heading ${name}`, height: first ? 28 : 36, option: false, heading: name, count, first }]
  const { mine, others, decided } = arranged
  return [
    ...mine.map(row('mine')),
    ...heading('Waiting for others', others.length, mine.length === 0),
    ...others.map(row('others')),
    ...heading('Decided today', decided.length, mine.length + others.length === 0),
    ...decided.map(row('decided')),
  ]
}

/** New holds since the list was last looked at; they are announced and counted, never shown by moving the list. */
function useFresh(mine: readonly Approval[]) {
  const known = useRef<Set<string> | undefined>(undefined)
  const [fresh, setFresh] = useState<readonly string[]>([])
  useEffect(() => {
    const ids = mine.filter((approval) => approval.state === 'pending').map((approval) => approval.id)
    if (known.current) {
      const added = mine.filter((approval) => approval.state === 'pending' && !known.current!.has(approval.id))
      if (added.length === 1)
        say(
          `${added[0]!.access ? 'Access asked for' : 'New hold'}: ${added[0]!.identity.name} on ${added[0]!.connection}`,
        )
      else if (added.length > 1) say(`${added.length} new holds`)
      setFresh((old) => {
        const all = [...old, ...added.map((approval) => approval.id)]
        const next = all.filter((id) => ids.includes(id))
        return next.length === 0 && old.length === 0 ? old : next
      })
    }
    known.current = new Set([...(known.current ?? []), ...ids])
  }, [mine])
  return { count: fresh.length, newest: fresh.at(-1), seen: () => setFresh([]) }
}

function CardPlace(props: { id: string | undefined; onBack: () => void; empty: boolean }) {
  const { id } = props
  const known = useWorld((world) => (id === undefined ? undefined : world.approvals.get(id)))
  const asked = useAsked(known ? undefined : id)
  const approval = known ?? asked.approval
  if (id === undefined)
    return props.empty ? (
      <Notice title="All quiet">
        <p>
          Nothing is held. When a policy holds a command, or a request for access, that you may decide, its card opens
          here.
        </p>
      </Notice>
    ) : (
      <Notice title="Choose a command">
        <p>J and K move through the list.</p>
      </Notice>
    )
  if (approval?.access) return <AccessCard key={approval.id} approval={approval} onBack={props.onBack} />
  if (approval) return <Card key={approval.id} approval={approval} onBack={props.onBack} />
  if (asked.missing !== undefined)
    return (
      <Notice title="No such approval, or not yours to see" role="status">
        <p>
          <span className="font-mono">{id}</span> is not in what this gateway shows you. {asked.missing}
        </p>
      </Notice>
    )
  return <Notice title="Fetching the card…" role="status" />
}

/** An approval that a link names and the queue doesn't have: asked for once. */
function useAsked(id: string | undefined): { approval?: Approval; missing?: string } {
  const [answer, setAnswer] = useState<{ id: string; approval?: Approval; missing?: string } | undefined>(undefined)
  useEffect(() => {
    if (id === undefined) return
    let wanted = true
    core()
      .call('approval', { id })
      .then(
        (approval) => wanted && setAnswer(approval ? { id, approval } : { id, missing: '' }),
        (error) => wanted && setAnswer({ id, missing: error instanceof Error ? error.message : '' }),
      )
    return () => {
      wanted = false
    }
  }, [id])
  return answer?.id === id && answer !== undefined ? answer : {}
}

function EmptyList({ filtered }: { filtered: boolean }) {
  return filtered ? (
    <p role="status" className="px-4 py-3 text-dim">
      Nothing matches. Esc in the field clears the filter.
    </p>
  ) : (
    <p className="px-4 py-3 text-dim">New holds appear here as they come.</p>
  )
}
