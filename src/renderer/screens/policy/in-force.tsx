import type { PolicyText } from '@countersign/contract/policies'
import { useEffect, useMemo, useRef, useState } from 'react'
import { useKeys } from '../../app/keys.ts'
import { usePolicy } from '../../app/policy.ts'
import { go, hashOf } from '../../app/route.ts'
import { Chip, CopyButton, Notice } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { Listbox, type ListboxHandle, type ListRow, stepFrom } from '../../parts/listbox.tsx'
import { SearchField } from '../../parts/search-field.tsx'
import { dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { Fact, factGrid, linkLook } from '../access/grant-facts.tsx'
import { Split } from '../agents/parts.tsx'
import { CodeFile } from './code-file.tsx'
import { fitting, isTest, type OutlinedPolicy, outline } from './outline.ts'
import { Freshness, ListHead, many, Parts, shortVersion } from './parts.tsx'

type Row = ListRow & ({ policy: OutlinedPolicy } | { heading: string; count: number })

/** What the gateway enforces now: every policy by name, the files whole, overlays of reviews on top. */
export function InForcePart({ id }: { id: string | undefined }) {
  const inForce = usePolicy(({ view }) => view?.inForce)
  const loading = usePolicy(({ view }) => view?.loading === true)
  const [words, setWords] = useState('')
  const policies = useMemo(() => outline(inForce?.texts ?? []), [inForce])
  const found = useMemo(() => fitting(policies, words), [policies, words])
  const rows = useMemo(() => rowsOf(found), [found])
  const options = useMemo(() => rows.filter((row) => row.option), [rows])
  const field = useRef<HTMLInputElement>(null)
  const list = useRef<ListboxHandle>(null)
  const page = useRef<HTMLElement>(null)
  const first = options[0]?.key
  const chosen = policies.find((policy) => policy.id === id)
  const select = (next: string | undefined) => {
    if (next !== undefined) go({ screen: 'policy', part: 'in-force', id: next }, 'replace')
  }
  useEffect(() => {
    if (id === undefined && first !== undefined) go({ screen: 'policy', part: 'in-force', id: first }, 'replace')
  }, [id, first])
  useKeys({
    j: () => select(stepFrom(options, id, 1)),
    k: () => select(stepFrom(options, id, -1)),
    arrowdown: () => select(stepFrom(options, id, 1)),
    arrowup: () => select(stepFrom(options, id, -1)),
    enter: () => page.current?.querySelector<HTMLElement>('section[tabindex]')?.focus(),
    '/': () => field.current?.focus(),
    escape: () => list.current?.focus(),
    n: () => go({ screen: 'policy', part: 'drafts', id: 'new' }),
    b: () => go({ screen: 'policy', part: 'backtests', id: 'new' }),
  })
  const change = (value: string) => {
    setWords(value)
    const next = fitting(policies, value)
    if (next.length > 0 && !next.some((policy) => policy.id === id)) select(next[0]!.id)
  }
  const onTop = policies.filter(({ overlay }) => overlay !== undefined)
  const overlays = new Set(onTop.map(({ overlay }) => overlay)).size
  return (
    <Split>
      <section aria-label="Policies in force" className="flex min-h-0 flex-col border-r border-line bg-panel">
        <Parts here="in-force" />
        <ListHead
          title="In force"
          count={
            words
              ? `${found.length} of ${policies.length}`
              : `${many(policies.length - onTop.length, 'policy', 'policies')}${overlays > 0 ? `, ${many(overlays, 'overlay')} on top` : ''}`
          }
          loading={loading && !inForce}
        />
        <SearchField
          className="mb-1.5"
          label="Find policies"
          placeholder="Name, group, table, reason"
          value={words}
          field={field}
          onChange={change}
          onList={() => list.current?.focus()}
        />
        <Freshness part="in-force" nothing="" />
        {options.length > 0 ? (
          <Listbox
            ref={list}
            label="Policies"
            rows={rows}
            selected={id}
            onSelect={select}
            render={(row, selected) =>
              'heading' in row ? (
                <div className="flex h-full items-end gap-1.5 px-4 pb-1.5 text-tag font-semibold text-dim">
                  <span className="min-w-0 truncate">{row.heading}</span>
                  <span className="font-normal">{row.count}</span>
                </div>
              ) : (
                <PolicyRow policy={row.policy} selected={selected} />
              )
            }
          />
        ) : words ? (
          <Notice title="No policy says that">
            <p>Esc in the field clears the search.</p>
          </Notice>
        ) : loading ? (
          <Notice title="Reading the policy…" role="status" />
        ) : !inForce ? (
          <Notice title="Not told yet" />
        ) : (
          <Notice title="Nothing is permitted">
            <p>There is no policy: whatever an agent asks for is denied.</p>
          </Notice>
        )}
      </section>
      {inForce ? (
        <article
          ref={page}
          aria-label={chosen ? `Policy ${chosen.id}` : 'Policy in force'}
          className="flex min-h-0 min-w-0 flex-col px-7 pt-4 pb-5 max-lg:px-4"
        >
          <Since version={inForce.version} />
          {chosen ? (
            <PolicyFacts policy={chosen} />
          ) : (
            <p className="mt-3 text-dim">
              {id === undefined ? 'J and K move through the policies.' : `No policy in force is called ${id}.`}
            </p>
          )}
          <Files texts={[...inForce.texts, ...(inForce.tests ?? [])]} chosen={chosen} words={words} />
        </article>
      ) : (
        <Notice title={loading ? 'Reading the policy…' : 'What is in force was not told yet'} role="status">
          {loading ? null : <p>It is fetched with the next connection to the gateway.</p>}
        </Notice>
      )}
    </Split>
  )
}

function rowsOf(policies: readonly OutlinedPolicy[]): Row[] {
  const rows: Row[] = []
  const files = new Map<string, OutlinedPolicy[]>()
  for (const policy of policies) {
    const heading = policy.overlay === undefined ? policy.file : 'On top: overlays of reviews'
    files.set(heading, [...(files.get(heading) ?? []), policy])
  }
  for (const [heading, of] of files) {
    rows.push({ key: `file ${heading}`, height: rows.length === 0 ? 28 : 36, option: false, heading, count: of.length })
    for (const policy of of) rows.push({ key: policy.id, height: 53, option: true, policy })
  }
  return rows
}

/** What a policy does, in a word on its ground. */
export function EffectChip({ policy }: { policy: OutlinedPolicy }) {
  if (policy.holds.length > 0) return <Chip tone="warn">holds</Chip>
  return policy.effect === 'permit' ? <Chip tone="ok">permits</Chip> : <Chip tone="danger">forbids</Chip>
}

function PolicyRow({ policy, selected }: { policy: OutlinedPolicy; selected: boolean }) {
  return (
    <div
      className={`flex h-full flex-col justify-center gap-0.5 border-l-2 px-4 ${selected ? 'border-accent bg-accent-pale' : 'border-transparent hover:bg-sunken'}`}
    >
      <div className="flex items-baseline gap-2">
        <span className="min-w-0 flex-1 truncate font-mono text-fine">
          <VisibleText>{policy.id}</VisibleText>
        </span>
        <EffectChip policy={policy} />
      </div>
      <span className="truncate text-fine text-dim">
        <VisibleText>
          {policy.reason ?? (policy.holds.length > 0 ? `for ${policy.holds.join(', ')}` : policy.scope || 'everything')}
        </VisibleText>
      </span>
    </div>
  )
}

/** Which version, since when, by whom and why. */
function Since({ version }: { version: string }) {
  const since = usePolicy(({ view }) =>
    view?.versions.find((one) => one.version === version && one.until === undefined),
  )
  const now = useNow()
  return (
    <p className="shrink-0 text-dim">
      Version <span className="font-mono text-fine text-ink">{shortVersion(version)}</span>
      <CopyButton text={version} label="Copy the whole version" />
      {since ? (
        <span>
          in force since <time dateTime={since.from}>{dateAndClock(since.from, now)}</time>, by{' '}
          <b className="font-semibold text-ink">
            <VisibleText>{since.by.kind === 'gateway' ? 'the gateway' : since.by.name}</VisibleText>
          </b>
          {since.reason ? (
            <>
              : <VisibleText>{since.reason}</VisibleText>
            </>
          ) : null}{' '}
          ·{' '}
          <a className={linkLook} href={hashOf({ screen: 'policy', part: 'history', id: since.from })}>
            what changed
          </a>
        </span>
      ) : null}
    </p>
  )
}

function PolicyFacts({ policy }: { policy: OutlinedPolicy }) {
  const overlay = usePolicy(({ view }) => view?.overlays.find(({ id }) => id === policy.overlay))
  const escalate = policy.annotations.get('escalate')
  return (
    <>
      <h2 className="mt-2.5 flex flex-wrap items-center gap-2 text-title font-semibold">
        <span className="min-w-0 font-mono text-head break-all">
          <VisibleText>{policy.id}</VisibleText>
        </span>
        <EffectChip policy={policy} />
        {policy.annotations.has('critical') ? <Chip tone="warn">critical</Chip> : null}
      </h2>
      <dl className={`${factGrid} mb-3 shrink-0 !mt-2 !gap-y-1`}>
        <Fact name="What it does">
          {policy.holds.length > 0 ? (
            <>
              Holds what it covers until {policy.quorum > 1 ? `${policy.quorum} people` : 'somebody'} of{' '}
              <b className="font-semibold">{policy.holds.join(' or ')}</b> approve{policy.quorum > 1 ? '' : 's'}
              {escalate ? <span className="text-dim"> · asked as well, in time: {escalate}</span> : null}
            </>
          ) : policy.effect === 'permit' ? (
            'Permits what it covers, where nothing forbids it'
          ) : (
            'Forbids what it covers, whatever permits it'
          )}
        </Fact>
        {policy.reason ? (
          <Fact name="Reason">
            <VisibleText>{policy.reason}</VisibleText>
          </Fact>
        ) : null}
        <Fact name="Covers">
          <span className="font-mono text-fine break-words">
            <VisibleText>{policy.scope || 'everything'}</VisibleText>
          </span>
        </Fact>
        {policy.overlay ? (
          <Fact name="On top">
            An overlay of a review, beside the folder{overlay ? <>: {overlay.title}</> : null} ·{' '}
            <a className={linkLook} href={hashOf({ screen: 'policy', part: 'overlays', id: policy.overlay })}>
              who decided it, and its probes
            </a>
          </Fact>
        ) : null}
      </dl>
    </>
  )
}

/** The file of what is chosen, and the way to the others. */
function Files(props: { texts: readonly PolicyText[]; chosen: OutlinedPolicy | undefined; words: string }) {
  const { texts, chosen } = props
  const [picked, setPicked] = useState<string | undefined>(undefined)
  const [of, setOf] = useState(chosen?.id)
  // Another policy brings its own file.
  if (of !== chosen?.id) {
    setOf(chosen?.id)
    setPicked(undefined)
  }
  const file = texts.find((one) => one.file === (picked ?? chosen?.file)) ?? texts[0]
  if (!file) return null
  return (
    <>
      <fieldset className="mb-2 flex shrink-0 flex-wrap gap-1">
        <legend className="sr-only">File</legend>
        {texts.map((one) => (
          <button
            key={one.file}
            type="button"
            aria-pressed={one.file === file.file}
            onClick={() => setPicked(one.file)}
            className={`max-w-60 truncate rounded-tag px-2 py-0.5 font-mono text-tag ${one.file === file.file ? 'bg-accent-pale font-semibold text-accent' : 'text-dim hover:bg-sunken hover:text-ink'}`}
          >
            {one.file}
            {isTest(one.file) ? <span className="sr-only"> (tests)</span> : null}
          </button>
        ))}
      </fieldset>
      <CodeFile
        key={file.file}
        file={file}
        chosen={file.file === chosen?.file ? chosen : undefined}
        words={props.words}
      />
    </>
  )
}
