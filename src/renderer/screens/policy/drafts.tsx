import { CircleX, Plus } from 'lucide-react'
import { useEffect, useMemo, useRef, useState } from 'react'
import { wordsOf } from '../../app/api.ts'
import { useKeys } from '../../app/keys.ts'
import { mayDraft, usePolicy } from '../../app/policy.ts'
import { go } from '../../app/route.ts'
import { useWorld } from '../../app/store.ts'
import { Button, Chip, Notice } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { Listbox, type ListboxHandle, type ListRow, stepFrom } from '../../parts/listbox.tsx'
import { dateAndClock, shortWhen } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { Split } from '../agents/parts.tsx'
import { DraftPage } from './draft-page.tsx'
import { beginDraft, useEditing } from './draft-work.ts'
import { folderOf, overlayOf } from './outline.ts'
import { Freshness, ListHead, many, Parts, Refused } from './parts.tsx'

interface Item {
  readonly id: string
  readonly title: string
  readonly by: string
  readonly at: string
  /** Whether the validator takes it and its tests pass, as far as that was asked. */
  readonly ok: boolean | undefined
  readonly unsaved: boolean
}
type Row = ListRow & { item: Item }

/** Sets of policies that somebody writes; nothing of them is enforced. */
export function DraftsPart({ id }: { id: string | undefined }) {
  const drafts = usePolicy(({ view }) => view?.drafts)
  const works = usePolicy(({ view }) => view?.works)
  const state = usePolicy(({ view }) => view?.parts.drafts)
  const loading = usePolicy(({ view }) => view?.loading === true)
  const may = useWorld((world) => mayDraft(world.me))
  const items = useMemo(() => itemsOf(drafts ?? [], works ?? []), [drafts, works])
  const rows = useMemo<Row[]>(() => items.map((item) => ({ key: item.id, height: 57, option: true, item })), [items])
  const list = useRef<ListboxHandle>(null)
  const making = id === 'new'
  const select = (next: string | undefined) => {
    if (next !== undefined) go({ screen: 'policy', part: 'drafts', id: next }, 'replace')
  }
  const first = items[0]?.id
  useEffect(() => {
    if (id === undefined && first !== undefined) go({ screen: 'policy', part: 'drafts', id: first }, 'replace')
  }, [id, first])
  useKeys({
    j: () => select(stepFrom(rows, id, 1)),
    k: () => select(stepFrom(rows, id, -1)),
    arrowdown: () => select(stepFrom(rows, id, 1)),
    arrowup: () => select(stepFrom(rows, id, -1)),
    escape: () => list.current?.focus(),
    n: () => (may ? go({ screen: 'policy', part: 'drafts', id: 'new' }) : false),
    b: () =>
      go({ screen: 'policy', part: 'backtests', id: id && !making && !id.startsWith('new-') ? `new ${id}` : 'new' }),
  })
  // The first save gives it another id: the page with its caret stays.
  const key = useEditing(({ drafts }) => (id === undefined ? undefined : drafts.get(id)?.key)) ?? id
  const forbidden = state?.refused !== undefined && items.length === 0
  return (
    <Split>
      <section aria-label="Drafts" className="flex min-h-0 flex-col border-r border-line bg-panel">
        <Parts here="drafts" />
        <ListHead
          title="Drafts"
          count={forbidden ? '' : many(items.length, 'draft')}
          loading={loading && items.length === 0}
        >
          {may ? (
            <button
              type="button"
              aria-label="New draft"
              title="New draft from what is in force"
              onClick={() => go({ screen: 'policy', part: 'drafts', id: 'new' })}
              className="ml-auto inline-flex size-6 shrink-0 items-center justify-center self-center rounded-tag text-dim hover:bg-sunken hover:text-ink"
            >
              <Plus size={15} aria-hidden />
            </button>
          ) : null}
        </ListHead>
        <Freshness part="drafts" nothing="What you write is kept here, and saved once the gateway is reached." />
        {rows.length > 0 ? (
          <Listbox
            ref={list}
            label="Drafts"
            rows={rows}
            selected={id}
            onSelect={select}
            render={({ item }, selected) => <DraftRow item={item} selected={selected} />}
          />
        ) : loading ? (
          <Notice title="Reading the drafts…" role="status" />
        ) : (
          <Notice title={forbidden ? 'Not for your role' : 'No drafts'}>
            {forbidden ? null : <p>A draft begins as what is in force; nothing of it is enforced.</p>}
            {may && !making ? (
              <Button onClick={() => go({ screen: 'policy', part: 'drafts', id: 'new' })}>New draft</Button>
            ) : null}
          </Notice>
        )}
      </section>
      {making ? (
        <NewDraft may={may} />
      ) : forbidden ? (
        <Refused state={state} what="Drafts" />
      ) : id === undefined ? (
        <Notice title="Choose a draft">
          <p>{may ? 'N begins a new one.' : 'Reviewers and admins write them.'}</p>
        </Notice>
      ) : (
        <DraftPage key={key} id={id} />
      )}
    </Split>
  )
}

function itemsOf(
  drafts: readonly { id: string; title: string; changedBy: { name: string }; changedAt: string; ok: boolean }[],
  works: readonly { id: string; title: string; at: string }[],
): Item[] {
  const unsaved = new Map(works.map((work) => [work.id, work]))
  const saved = drafts.map(({ id, title, changedBy, changedAt, ok }): Item => {
    const work = unsaved.get(id)
    unsaved.delete(id)
    const { title: named, at } = work ?? { title, at: changedAt }
    return { id, title: named, by: changedBy.name, at, ok, unsaved: work !== undefined }
  })
  const fresh = [...unsaved.values()].map(
    ({ id, title, at }): Item => ({ id, title, by: 'you', at, ok: undefined, unsaved: true }),
  )
  return [...saved, ...fresh].sort((a, b) => b.at.localeCompare(a.at))
}

function DraftRow({ item, selected }: { item: Item; selected: boolean }) {
  return (
    <div
      className={`flex h-full flex-col justify-center gap-0.5 border-l-2 px-4 ${selected ? 'border-accent bg-accent-pale' : 'border-transparent hover:bg-sunken'}`}
    >
      <div className="flex items-baseline gap-2">
        <span className="min-w-0 flex-1 truncate">
          <VisibleText>{item.title || 'no title'}</VisibleText>
        </span>
        <time className="shrink-0 text-dim tabular-nums" dateTime={item.at}>
          {shortWhen(item.at, Date.now())}
        </time>
      </div>
      <div className="flex items-center gap-2 text-fine text-dim">
        <span className="min-w-0 flex-1 truncate">
          <VisibleText>{item.by}</VisibleText>
          {item.ok === false ? (
            <span className="text-danger">
              {' · '}
              <CircleX size={12} className="mr-1 inline align-[-1.5px]" aria-hidden />
              problems, or tests fail
            </span>
          ) : null}
        </span>
        {item.unsaved ? <Chip tone="warn">not saved</Chip> : null}
      </div>
    </div>
  )
}

/** A draft is what is in force (without overlays of reviews), under a name. */
function NewDraft({ may }: { may: boolean }) {
  const inForce = usePolicy(({ view }) => view?.inForce)
  const now = useNow()
  const [title, setTitle] = useState(() => `Draft of ${dateAndClock(now, now)}`)
  const [problem, setProblem] = useState('')
  if (!may)
    return (
      <Notice title="Drafts are written by reviewers and admins">
        <p>Your role reads them.</p>
      </Notice>
    )
  if (!inForce)
    return (
      <Notice title="What is in force was not told yet" role="status">
        <p>A draft begins from it: it is fetched with the next connection to the gateway.</p>
      </Notice>
    )
  const folder = folderOf(inForce)
  const overlays = inForce.texts.filter(({ file }) => overlayOf(file) !== undefined).length
  const begin = async () => {
    try {
      const id = await beginDraft({ title: title.trim(), base: inForce.version, files: folder })
      go({ screen: 'policy', part: 'drafts', id }, 'replace')
    } catch (error) {
      setProblem(wordsOf(error))
    }
  }
  return (
    <article aria-label="New draft" className="px-7 pt-4 max-lg:px-4">
      <h2 className="text-title font-semibold">New draft</h2>
      <p className="mt-1 text-dim">
        It begins as what is in force: {many(folder.length, 'file')}
        {overlays > 0
          ? `. ${many(overlays, 'overlay')} of reviews ${overlays === 1 ? 'stays on top, and is' : 'stay on top, and are'} not part of it`
          : ''}
        . Nothing of a draft is enforced: it goes into the policy folder, by whoever keeps that.
      </p>
      <form
        className="mt-4 flex max-w-lg flex-col gap-3"
        onSubmit={(event) => {
          event.preventDefault()
          if (title.trim()) void begin()
        }}
      >
        <label className="flex flex-col gap-1.5">
          <span className="font-semibold">Title</span>
          <input
            // biome-ignore lint/a11y/noAutofocus: the only field of a page that was asked for
            autoFocus
            value={title}
            maxLength={200}
            onChange={(event) => setTitle(event.target.value)}
            onFocus={(event) => event.target.select()}
            className="h-9 rounded-box border border-line-strong bg-panel px-3"
          />
        </label>
        {problem ? (
          <p role="alert" className="rounded-box bg-danger-pale px-3 py-2 text-danger">
            {problem}
          </p>
        ) : null}
        <span>
          <Button type="submit" tone="accent" disabled={!title.trim()}>
            Begin the draft
          </Button>
        </span>
      </form>
    </article>
  )
}
