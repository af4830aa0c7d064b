import type { Overlay } from '@countersign/contract/review'
import { ArrowDownToLine } from 'lucide-react'
import { useEffect, useMemo, useRef, useState } from 'react'
import { useKeys } from '../../app/keys.ts'
import { usePolicy } from '../../app/policy.ts'
import { go } from '../../app/route.ts'
import { useWorld } from '../../app/store.ts'
import { Notice } from '../../parts/basics.tsx'
import { Listbox, type ListboxHandle, type ListRow, stepFrom } from '../../parts/listbox.tsx'
import { SearchField } from '../../parts/search-field.tsx'
import { shortWhen } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { Split } from '../agents/parts.tsx'
import { ExportOverlays } from './export-overlays.tsx'
import { OverlayMark } from './overlay-mark.tsx'
import { OverlayPagePart } from './overlay-page.tsx'
import { type Section, sectionNames, sectionOf, stateWords } from './overlay-words.ts'
import { Freshness, ListHead, many, Parts, Refused } from './parts.tsx'

type Row = ListRow & ({ overlay: Overlay } | { heading: string; count: number })

/** Forbids beside the policy folder, by decisions of reviews: what failed, what waits for people, what is in force. */
export function OverlaysPart({ id }: { id: string | undefined }) {
  const overlays = usePolicy(({ view }) => view?.overlays) ?? none
  const state = usePolicy(({ view }) => view?.parts.overlays)
  const loading = usePolicy(({ view }) => view?.loading === true)
  const live = useWorld((world) => world.link.state === 'live')
  const [words, setWords] = useState('')
  const [exporting, setExporting] = useState(false)
  const found = useMemo(() => {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean)
    return overlays.filter((overlay) => {
      const text =
        `${overlay.id} ${overlay.title} ${overlay.agent ?? ''} ${overlay.connection} ${overlay.proposed.by?.name ?? ''} ${stateWords(overlay).word}`.toLowerCase()
      return wanted.every((word) => text.includes(word))
    })
  }, [overlays, words])
  const rows = useMemo(() => rowsOf(found), [found])
  const options = useMemo(() => rows.filter((row) => row.option), [rows])
  const field = useRef<HTMLInputElement>(null)
  const list = useRef<ListboxHandle>(null)
  const select = (next: string | undefined) => {
    if (next !== undefined) go({ screen: 'policy', part: 'overlays', id: next }, 'replace')
  }
  const first = options[0]?.key
  useEffect(() => {
    if (id === undefined && first !== undefined) go({ screen: 'policy', part: 'overlays', id: first }, 'replace')
  }, [id, first])
  const enforced = overlays.some((overlay) => overlay.inForce ?? sectionOf(overlay) === 'in-force')
  useKeys({
    j: () => select(stepFrom(options, id, 1)),
    k: () => select(stepFrom(options, id, -1)),
    arrowdown: () => select(stepFrom(options, id, 1)),
    arrowup: () => select(stepFrom(options, id, -1)),
    '/': () => field.current?.focus(),
    escape: () => list.current?.focus(),
    n: () => go({ screen: 'policy', part: 'drafts', id: 'new' }),
    b: () => go({ screen: 'policy', part: 'backtests', id: 'new' }),
  })
  const forbidden = state?.refused !== undefined && overlays.length === 0
  const waiting = overlays.filter((overlay) => sectionOf(overlay) === 'waiting').length
  return (
    <Split>
      <section aria-label="Overlays" className="flex min-h-0 flex-col border-r border-line bg-panel">
        <Parts here="overlays" />
        <ListHead
          title="Overlays"
          count={
            forbidden
              ? ''
              : words
                ? `${found.length} of ${overlays.length}`
                : `${many(overlays.length, 'overlay')}${waiting > 0 ? `, ${waiting} waiting` : ''}`
          }
          loading={loading && overlays.length === 0}
        >
          {enforced && live ? (
            <button
              type="button"
              aria-label="Export as edits of the policy folder"
              title="Export as edits of the policy folder"
              onClick={() => setExporting(true)}
              className="ml-auto inline-flex size-6 shrink-0 items-center justify-center self-center rounded-tag text-dim hover:bg-sunken hover:text-ink"
            >
              <ArrowDownToLine size={15} aria-hidden />
            </button>
          ) : null}
        </ListHead>
        {overlays.length > 0 ? (
          <SearchField
            className="mb-1.5"
            label="Find overlays"
            placeholder="Agent, connection, person, state"
            value={words}
            field={field}
            onChange={setWords}
            onList={() => list.current?.focus()}
          />
        ) : null}
        <Freshness part="overlays" nothing="Nothing can be applied offline." />
        {options.length > 0 ? (
          <Listbox
            ref={list}
            label="Overlays"
            rows={rows}
            selected={id}
            onSelect={select}
            render={(row, selected) =>
              'heading' in row ? (
                <div className="flex h-full items-end gap-1.5 px-4 pb-1.5 text-tag font-semibold tracking-wide text-dim uppercase">
                  {row.heading} <span className="font-normal">{row.count}</span>
                </div>
              ) : (
                <OverlayRow overlay={row.overlay} selected={selected} />
              )
            }
          />
        ) : loading ? (
          <Notice title="Reading the overlays…" role="status" />
        ) : (
          <Notice title={words ? 'No overlay says that' : forbidden ? 'Not for your role' : 'No overlays'}>
            {forbidden ? null : (
              <p>
                {words
                  ? 'Esc in the field clears the search.'
                  : 'When a review reduces or revokes access, what is to be forbidden waits here for a second person.'}
              </p>
            )}
          </Notice>
        )}
      </section>
      {forbidden ? (
        <Refused state={state} what="Overlays" />
      ) : id === undefined ? (
        <Notice title={overlays.length === 0 ? 'Nothing stands on top of the policy folder' : 'Choose an overlay'}>
          <p>{overlays.length === 0 ? 'Policy is what the folder says.' : 'J and K move through the list.'}</p>
        </Notice>
      ) : (
        <OverlayPagePart key={id} id={id} />
      )}
      {exporting ? <ExportOverlays onClose={() => setExporting(false)} /> : null}
    </Split>
  )
}

const none: readonly Overlay[] = []

function rowsOf(overlays: readonly Overlay[]): Row[] {
  const rows: Row[] = []
  for (const section of ['failed', 'waiting', 'in-force', 'past'] satisfies Section[]) {
    const of = overlays.filter((overlay) => sectionOf(overlay) === section)
    if (of.length === 0) continue
    const height = rows.length === 0 ? 28 : 36
    rows.push({ key: `heading ${section}`, height, option: false, heading: sectionNames[section], count: of.length })
    for (const overlay of of) rows.push({ key: overlay.id, height: 57, option: true, overlay })
  }
  return rows
}

function OverlayRow({ overlay, selected }: { overlay: Overlay; selected: boolean }) {
  return (
    <div
      className={`flex h-full flex-col justify-center gap-0.5 border-l-2 px-4 ${selected ? 'border-accent bg-accent-pale' : 'border-transparent hover:bg-sunken'}`}
    >
      <div className="flex items-baseline gap-2">
        <span className="min-w-0 flex-1 truncate">
          <VisibleText>{overlay.title}</VisibleText>
        </span>
        <time className="shrink-0 text-dim tabular-nums" dateTime={overlay.proposed.at}>
          {shortWhen(overlay.proposed.at, Date.now())}
        </time>
      </div>
      <div className="truncate text-fine text-dim">
        <OverlayMark overlay={overlay} /> · {overlay.kind}
      </div>
    </div>
  )
}
