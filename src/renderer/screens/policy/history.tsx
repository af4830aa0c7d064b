import type { PolicyVersion } from '@countersign/contract/policies'
import { useEffect, useMemo, useRef, useState } from 'react'
import { useFetched } from '../../app/agents.ts'
import { useKeys } from '../../app/keys.ts'
import { usePolicy } from '../../app/policy.ts'
import { go, hashOf } from '../../app/route.ts'
import { core } from '../../app/store.ts'
import { Button, Chip, CopyButton, Key, Notice } from '../../parts/basics.tsx'
import { useNow, useToday } from '../../parts/clock.ts'
import { Listbox, type ListboxHandle, type ListRow, stepFrom } from '../../parts/listbox.tsx'
import { SearchField } from '../../parts/search-field.tsx'
import { dateAndClock, duration, shortWhen } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { Fact, factGrid, linkLook } from '../access/grant-facts.tsx'
import { Section, Split } from '../agents/parts.tsx'
import { DiffView } from './diff-view.tsx'
import { differences } from './difference.ts'
import { overlayOf } from './outline.ts'
import { Freshness, ListHead, many, Parts, shortVersion } from './parts.tsx'

type Row = ListRow & { version: PolicyVersion }

/** Each time that a set came into force: who, why, which files, and what that changed. */
export function HistoryPart({ id }: { id: string | undefined }) {
  const versions = usePolicy(({ view }) => view?.versions) ?? none
  const more = usePolicy(({ view }) => view?.moreVersions === true)
  const loading = usePolicy(({ view }) => view?.loading === true)
  const refused = usePolicy(({ view }) => view?.parts.versions.refused)
  const [words, setWords] = useState('')
  const found = useMemo(() => {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean)
    return versions.filter(({ version, by, reason, changed }) => {
      const text = `${version} ${by.name} ${reason} ${changed.map(({ file }) => file).join(' ')}`.toLowerCase()
      return wanted.every((word) => text.includes(word))
    })
  }, [versions, words])
  const rows = useMemo<Row[]>(
    () => found.map((version) => ({ key: version.from, height: 57, option: true, version })),
    [found],
  )
  const today = useToday()
  const field = useRef<HTMLInputElement>(null)
  const list = useRef<ListboxHandle>(null)
  const select = (next: string | undefined) => {
    if (next !== undefined) go({ screen: 'policy', part: 'history', id: next }, 'replace')
  }
  const first = versions[0]?.from
  useEffect(() => {
    if (id === undefined && first !== undefined) go({ screen: 'policy', part: 'history', id: first }, 'replace')
  }, [id, first])
  useKeys({
    j: () => select(stepFrom(rows, id, 1)),
    k: () => select(stepFrom(rows, id, -1)),
    arrowdown: () => select(stepFrom(rows, id, 1)),
    arrowup: () => select(stepFrom(rows, id, -1)),
    '/': () => field.current?.focus(),
    escape: () => list.current?.focus(),
  })
  const chosen = versions.find((version) => version.from === id)
  return (
    <Split>
      <section aria-label="History of the policy" className="flex min-h-0 flex-col border-r border-line bg-panel">
        <Parts here="history" />
        <ListHead
          title="History"
          count={
            words
              ? `${found.length} of ${versions.length}`
              : `${many(versions.length, 'change')}${more ? ' and more' : ''}`
          }
        />
        <SearchField
          className="mb-1.5"
          label="Find changes"
          placeholder="Who, why, file, version"
          value={words}
          field={field}
          onChange={setWords}
          onList={() => list.current?.focus()}
        />
        <Freshness part="versions" nothing="" />
        {rows.length > 0 ? (
          <Listbox
            ref={list}
            label="Changes of the policy"
            rows={rows}
            selected={id}
            onSelect={select}
            render={({ version }, selected) => <VersionRow version={version} selected={selected} today={today} />}
          />
        ) : loading ? (
          <Notice title="Reading the history…" role="status" />
        ) : (
          <Notice
            title={words ? 'No change says that' : refused ? 'This gateway tells no history' : 'Nothing has changed'}
          >
            <p>
              {words
                ? 'Esc in the field clears the search.'
                : 'Each set of policies that comes into force appears here.'}
            </p>
          </Notice>
        )}
      </section>
      {chosen ? (
        <VersionPage key={chosen.from} version={chosen} versions={versions} />
      ) : (
        <Notice title={id && versions.length > 0 ? 'No such change is known here' : 'Choose a change'}>
          <p>J and K move through the list.</p>
        </Notice>
      )}
    </Split>
  )
}

const none: readonly PolicyVersion[] = []

const byWords = ({ by }: PolicyVersion) => (by.kind === 'gateway' ? 'the gateway' : by.name)

function VersionRow({ version, selected }: { version: PolicyVersion; selected: boolean; today: number }) {
  return (
    <div
      className={`flex h-full flex-col justify-center gap-0.5 border-l-2 px-4 ${selected ? 'border-accent bg-accent-pale' : 'border-transparent hover:bg-sunken'}`}
    >
      <div className="flex items-baseline gap-2">
        <span className="min-w-0 flex-1 truncate">
          <VisibleText>{version.reason || 'no reason was given'}</VisibleText>
        </span>
        <time className="shrink-0 text-dim tabular-nums" dateTime={version.from}>
          {shortWhen(version.from, Date.now())}
        </time>
      </div>
      <div className="flex items-center gap-2 text-fine text-dim">
        <span className="min-w-0 flex-1 truncate">
          <VisibleText>{byWords(version)}</VisibleText> · {changedWords(version)}
        </span>
        {version.until === undefined ? <Chip tone="ok">in force</Chip> : null}
      </div>
    </div>
  )
}

function changedWords({ changed, files }: PolicyVersion): string {
  if (changed.length === 0) return many(files.length, 'file')
  const [first] = changed
  return changed.length === 1 ? `${first!.file} ${first!.what}` : `${many(changed.length, 'file')} changed`
}

type Against = 'before' | 'in-force'

function VersionPage({ version, versions }: { version: PolicyVersion; versions: readonly PolicyVersion[] }) {
  const at = versions.indexOf(version)
  const before = versions[at + 1]
  const current = versions.find(({ until }) => until === undefined) ?? versions[0]!
  const isCurrent = current.version === version.version
  const [against, setAgainst] = useState<Against>(before || isCurrent ? 'before' : 'in-force')
  const other = against === 'before' ? before : current
  const now = useNow()
  useKeys({
    c: () => (isCurrent ? false : setAgainst((was) => (was === 'before' ? 'in-force' : 'before'))),
  })
  return (
    <article
      aria-label={`Policy as of ${dateAndClock(version.from, now)}`}
      className="min-h-0 min-w-0 overflow-y-auto px-7 pt-4 pb-6 max-lg:px-4"
    >
      <h2 className="flex flex-wrap items-center gap-2 text-title font-semibold">
        {dateAndClock(version.from, now)}
        {version.until === undefined ? <Chip tone="ok">in force</Chip> : null}
      </h2>
      <dl className={`${factGrid} !mt-2 !gap-y-1`}>
        <Fact name="By">
          <VisibleText>{byWords(version)}</VisibleText>
          {version.by.kind === 'gateway' ? <span className="text-dim"> · it loaded the policy folder</span> : null}
        </Fact>
        <Fact name="Reason">
          <VisibleText>{version.reason || 'none was given'}</VisibleText>
        </Fact>
        <Fact name="In force">
          {version.until === undefined ? (
            'until now'
          ) : (
            <>
              for {duration(Math.max(0, Date.parse(version.until) - Date.parse(version.from)))}, until{' '}
              {dateAndClock(version.until, now)}
            </>
          )}
        </Fact>
        <OverlaysOf version={version} />
        <Fact name="Version">
          <span className="font-mono text-fine">{shortVersion(version.version)}</span>{' '}
          <CopyButton text={version.version} label="Copy the whole version" />
          <span className="text-dim"> · {many(version.files.length, 'file')}</span>
        </Fact>
      </dl>
      <Section title="What is different">
        <fieldset className="mb-3 flex flex-wrap items-center gap-2">
          <legend className="sr-only">Compared with</legend>
          {(isCurrent ? (['before'] as const) : (['before', 'in-force'] as const)).map((one) => (
            <label
              key={one}
              className={`flex h-7 items-center gap-1.5 rounded-box border px-2.5 text-fine has-[:focus-visible]:outline-2 ${against === one ? 'border-accent bg-accent-pale font-semibold text-accent' : 'border-line text-dim'}`}
            >
              <input
                type="radio"
                name="against"
                className="sr-only"
                checked={against === one}
                disabled={one === 'before' && !before}
                onChange={() => setAgainst(one)}
              />
              {one === 'before' ? 'since the one before' : 'to what is in force now'}
            </label>
          ))}
          {isCurrent ? null : <Key>C</Key>}
        </fieldset>
        {other ? (
          <Compared
            key={against}
            from={against === 'before' ? other.version : version.version}
            to={against === 'before' ? version.version : other.version}
          />
        ) : (
          <p className="rounded-box bg-sunken px-4 py-3 text-dim">
            It is the first one that this gateway knows of: there is none before it.
          </p>
        )}
      </Section>
    </article>
  )
}

/** The overlays of reviews that came or went with it. */
function OverlaysOf({ version }: { version: PolicyVersion }) {
  const overlays = usePolicy(({ view }) => view?.overlays)
  const found = version.changed.flatMap(({ file, what }) => {
    const overlay = overlays?.find(({ id }) => id === overlayOf(file))
    return overlay ? [{ overlay, what }] : []
  })
  if (found.length === 0) return null
  return (
    <Fact name="Overlay">
      {found.map(({ overlay: { id, number, title }, what }) => (
        <span key={id} className="block">
          {what === 'removed' ? 'taken out: ' : 'put on top: '}
          <a className={linkLook} href={hashOf({ screen: 'policy', part: 'overlays', id })}>
            <VisibleText>{`overlay ${number}, ${title}`}</VisibleText>
          </a>
        </span>
      ))}
    </Fact>
  )
}

/** The texts of a version: here, or from the gateway. */
export function useVersion(version: string) {
  return useFetched(`policy version ${version}`, () => core().call('policyVersion', { version }))
}

function Compared({ from, to }: { from: string; to: string }) {
  const before = useVersion(from)
  const after = useVersion(to)
  const old = before.value?.texts
  const next = after.value?.texts
  const files = useMemo(() => (old && next ? differences(old, next) : undefined), [old, next])
  const problem = before.problem || after.problem
  if (files) return <DiffView files={files} same="Both have the same files, word by word." />
  if (problem)
    return (
      <div role="alert" className="flex items-center gap-3 rounded-box bg-warn-pale px-4 py-2.5 text-warn">
        <span className="min-w-0 flex-1">{problem}</span>
        <Button
          onClick={() => {
            before.again()
            after.again()
          }}
        >
          Try again
        </Button>
      </div>
    )
  if (old === null || next === null)
    return (
      <p role="status" className="rounded-box bg-sunken px-4 py-3 text-dim">
        The files of one of the two are not on this computer; they can be had once the gateway is reached.
      </p>
    )
  return (
    <p role="status" className="text-dim">
      Fetching the files…
    </p>
  )
}
