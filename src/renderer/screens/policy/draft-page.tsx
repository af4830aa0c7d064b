import type { PolicyText } from '@countersign/contract/policies'
import { Plus, Trash2, Undo2 } from 'lucide-react'
import { type ReactNode, useEffect, useMemo, useRef, useState } from 'react'
import { useKeys } from '../../app/keys.ts'
import { mayDraft, usePolicy } from '../../app/policy.ts'
import { go } from '../../app/route.ts'
import { useWorld } from '../../app/store.ts'
import { Button, Chip, Notice } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { AddFile } from './add-file.tsx'
import { CheckResults } from './check-results.tsx'
import { Confirm } from './confirm.tsx'
import { DiffView } from './diff-view.tsx'
import { differences } from './difference.ts'
import { DraftBar } from './draft-bar.tsx'
import { Conflict } from './draft-conflict.tsx'
import {
  deleteDraft,
  dropWork,
  type Editing,
  forgetDraft,
  openDraft,
  saveDraft,
  useEditing,
  writeDraft,
} from './draft-work.ts'
import { Editor, type EditorHandle, type Mark } from './editor.tsx'
import { folderOf, isTest } from './outline.ts'
import { shortVersion } from './parts.tsx'

/** One draft: its files to be written, what the validator and its tests say, what of it is not saved. */
export function DraftPage({ id }: { id: string }) {
  const editing = useEditing(({ drafts }) => drafts.get(id))
  const failed = useEditing((state) => state.failed)
  const live = useWorld((world) => world.link.state === 'live')
  const who = useWorld((world) => world.me?.id)
  // biome-ignore lint/correctness/useExhaustiveDependencies: with the link there may be a newer one, and others see others
  useEffect(() => void openDraft(id), [id, live, who])
  if (editing) return <Writing id={id} editing={editing} />
  if (editing === null)
    return (
      <Notice title="There is no such draft" role="status">
        <p>{live ? 'It was deleted, or is not for your role.' : 'It is not on this computer.'}</p>
      </Notice>
    )
  if (failed)
    return (
      <Notice title="The draft could not be read" role="alert">
        <p>{failed}</p>
        <Button onClick={() => void openDraft(id)}>Try again</Button>
      </Notice>
    )
  return <Notice title="Reading the draft…" role="status" />
}

function Writing({ id, editing }: { id: string; editing: Editing }) {
  const { draft, work, unsaved, theirs, check } = editing
  const inForce = usePolicy(({ view }) => view?.inForce)
  const me = useWorld((world) => world.me)
  const live = useWorld((world) => world.link.state === 'live')
  const may = mayDraft(me)
  const [shows, setShows] = useState<'files' | 'difference'>('files')
  const [file, setFile] = useState<string | undefined>(undefined)
  const [adding, setAdding] = useState(false)
  const [asking, setAsking] = useState<'delete' | 'discard' | undefined>(undefined)
  const editor = useRef<EditorHandle>(null)
  const page = useRef<HTMLElement>(null)
  const line = useRef<number | undefined>(undefined)
  const now = useNow()
  const folder = useMemo(() => (inForce ? folderOf(inForce) : []), [inForce])
  const current = work.files.find((one) => one.file === file) ?? work.files[0]
  const gone = useMemo(
    () => (draft?.files ?? folder).filter((one) => !work.files.some((other) => other.file === one.file)),
    [draft, folder, work.files],
  )
  const old = check !== undefined && !sameFiles(check.of, work.files)
  const marks = useMemo<Mark[]>(() => {
    // What was said of another text would stand at lines that are other ones by now.
    if (!check || !current || check.of.find((one) => one.file === current.file)?.text !== current.text) return []
    const of = (kind: Mark['kind'], found: typeof check.said.problems) =>
      found.filter((one) => one.file === current.file).map((one) => ({ ...one, kind }))
    const tests = check.said.tests
      .filter((test) => !test.ok && test.file === current.file)
      .map((test) => ({
        ...{ kind: 'problem' as const, file: test.file, line: test.line, mend: '' },
        message: `expected ${test.expected}, got ${test.got}`,
      }))
    return [...of('problem', check.said.problems), ...of('warning', check.said.warnings), ...tests]
  }, [check, current])
  const save = async (over?: number) => {
    const saved = await saveDraft(id, over)
    if (saved === undefined || saved === id) return
    go({ screen: 'policy', part: 'drafts', id: saved }, 'replace')
    forgetDraft(id)
  }
  const goTo = (name: string, at: number) => {
    setShows('files')
    setFile(name)
    line.current = at
    // After its text is there.
    setTimeout(() => editor.current?.goTo(at), 0)
  }
  useKeys({
    'mod+s': () => {
      if (may && live) void save()
    },
    e: () => (may && shows === 'files' ? editor.current?.focus() : false),
    enter: () => (shows === 'files' ? editor.current?.focus() : false),
  })
  const put = (files: PolicyText[]) => writeDraft(id, { files })
  return (
    <article
      ref={page}
      tabIndex={-1}
      aria-label={`Draft ${work.title}`}
      className="flex min-h-0 min-w-0 flex-col px-7 pt-3.5 outline-none max-lg:px-4"
    >
      <div className="flex items-center gap-2">
        <h2 className="min-w-0 flex-1">
          <input
            aria-label="Title of the draft"
            value={work.title}
            readOnly={!may}
            maxLength={200}
            onChange={(event) => writeDraft(id, { title: event.target.value })}
            className="-ml-2 h-8 w-full truncate rounded-box border border-transparent bg-transparent px-2 text-title font-semibold hover:border-line focus:border-accent"
          />
        </h2>
        {unsaved ? <Chip tone="warn">not saved</Chip> : <Chip tone="ok">saved</Chip>}
      </div>
      <p className="text-fine text-dim">
        {draft ? (
          <>
            Saved by <VisibleText>{draft.changedBy.name}</VisibleText> {dateAndClock(draft.changedAt, now)}
            {unsaved ? ' · what you wrote since is kept on this computer' : ''}
          </>
        ) : (
          'Never saved: it is on this computer alone, and stays until it is saved'
        )}{' '}
        · from version <span className="font-mono">{shortVersion(work.base)}</span>
        {inForce && inForce.version !== work.base ? (
          <span className="text-warn"> · another one is in force by now</span>
        ) : null}
      </p>
      {theirs ? (
        <Conflict
          id={id}
          editing={editing}
          onOver={() => void save(theirs.revision)}
          onSplit={(fresh) => go({ screen: 'policy', part: 'drafts', id: fresh }, 'replace')}
        />
      ) : (
        <>
          <div className="mt-2.5 mb-2 flex flex-wrap items-center gap-1">
            <Tabs shows={shows} onShow={setShows} />
            {shows === 'files' ? (
              <>
                <span className="mx-1 h-4 w-px bg-line" aria-hidden />
                <fieldset className="contents">
                  <legend className="sr-only">File</legend>
                  {work.files.map((one) => (
                    <FileButton
                      key={one.file}
                      file={one}
                      here={one === current}
                      changed={draft?.files.find((before) => before.file === one.file)?.text !== one.text}
                      bad={check?.said.problems.some((problem) => problem.file === one.file) === true}
                      onOpen={() => setFile(one.file)}
                    />
                  ))}
                </fieldset>
                {may ? (
                  <Small label="Add a file" onClick={() => setAdding(true)}>
                    <Plus size={14} aria-hidden />
                  </Small>
                ) : null}
                {may && current ? (
                  <Small
                    label={`Remove ${current.file} from the draft`}
                    onClick={() => put(work.files.filter((one) => one !== current))}
                  >
                    <Trash2 size={13} aria-hidden />
                  </Small>
                ) : null}
                {may
                  ? gone.map((one) => (
                      <button
                        key={one.file}
                        type="button"
                        onClick={() => {
                          put([...work.files, one].sort((a, b) => (a.file < b.file ? -1 : 1)))
                          setFile(one.file)
                        }}
                        className="flex items-center gap-1 rounded-tag px-1.5 py-0.5 font-mono text-tag text-dim hover:bg-sunken hover:text-ink"
                      >
                        <s>{one.file}</s> <Undo2 size={12} aria-hidden />
                        <span className="sr-only">is removed: put it back</span>
                      </button>
                    ))
                  : null}
              </>
            ) : null}
          </div>
          {shows === 'difference' ? (
            <div className="min-h-0 flex-1 overflow-y-auto pb-3">
              <DiffView files={differences(folder, work.files)} same="It has the same files as what is in force." />
            </div>
          ) : current ? (
            <Editor
              key={current.file}
              ref={editor}
              file={current.file}
              text={current.text}
              marks={marks}
              readOnly={!may}
              onLeave={() => page.current?.focus()}
              onChange={(text) => put(work.files.map((one) => (one === current ? { ...one, text } : one)))}
            />
          ) : (
            <Notice title="There is no file in it">
              <p>Without a policy nothing is permitted.</p>
              {may ? <Button onClick={() => setAdding(true)}>Add a file</Button> : null}
            </Notice>
          )}
          {shows === 'files' ? (
            <CheckResults
              check={check?.said}
              old={old}
              hasTests={work.files.some((one) => isTest(one.file))}
              onGo={goTo}
            />
          ) : null}
        </>
      )}
      <DraftBar
        id={id}
        editing={editing}
        folder={folder}
        current={current}
        onSave={() => void save()}
        onDelete={() => setAsking('delete')}
        onDiscard={() => setAsking('discard')}
      />
      {adding ? (
        <AddFile
          taken={work.files.map((one) => one.file)}
          onClose={() => setAdding(false)}
          onAdd={(made) => {
            put([...work.files, made].sort((a, b) => (a.file < b.file ? -1 : 1)))
            setFile(made.file)
          }}
        />
      ) : null}
      {asking ? (
        <Confirm
          title={asking === 'delete' ? `Delete “${work.title}”?` : 'Drop what is not saved?'}
          description={
            asking === 'delete'
              ? 'The draft goes for everybody. Nothing of it was enforced; backtests of it stay.'
              : 'What you wrote since the last save goes for good.'
          }
          action={asking === 'delete' ? 'Delete the draft' : 'Drop it'}
          onClose={() => setAsking(undefined)}
          onDo={async () => {
            if (asking === 'delete') await deleteDraft(id)
            const left = asking === 'discard' && (await dropWork(id))
            if (!left) go({ screen: 'policy', part: 'drafts' }, 'replace')
          }}
        />
      ) : null}
    </article>
  )
}

function sameFiles(a: readonly PolicyText[], b: readonly PolicyText[]): boolean {
  return a === b || (a.length === b.length && a.every((one, i) => one.file === b[i]!.file && one.text === b[i]!.text))
}

function Tabs({ shows, onShow }: { shows: 'files' | 'difference'; onShow: (next: 'files' | 'difference') => void }) {
  return (
    <fieldset className="flex gap-1">
      <legend className="sr-only">Shows</legend>
      {(['files', 'difference'] as const).map((one) => (
        <button
          key={one}
          type="button"
          aria-pressed={shows === one}
          onClick={() => onShow(one)}
          className={`h-7 rounded-box border px-2.5 text-fine ${shows === one ? 'border-accent bg-accent-pale font-semibold text-accent' : 'border-line text-dim hover:text-ink'}`}
        >
          {one === 'files' ? 'Files' : 'Difference to what is in force'}
        </button>
      ))}
    </fieldset>
  )
}

function FileButton(props: { file: PolicyText; here: boolean; changed: boolean; bad: boolean; onOpen: () => void }) {
  const { file, here } = props
  return (
    <button
      type="button"
      aria-pressed={here}
      onClick={props.onOpen}
      className={`max-w-56 truncate rounded-tag px-2 py-0.5 font-mono text-tag ${here ? 'bg-accent-pale font-semibold text-accent' : 'text-dim hover:bg-sunken hover:text-ink'}`}
    >
      {file.file}
      {props.changed ? (
        <span title="changed since the last save">
          {' •'}
          <span className="sr-only"> changed</span>
        </span>
      ) : null}
      {props.bad ? (
        <span className="text-danger">
          {' ✕'}
          <span className="sr-only"> has problems</span>
        </span>
      ) : null}
    </button>
  )
}

function Small({ label, onClick, children }: { label: string; onClick: () => void; children: ReactNode }) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      onClick={onClick}
      className="inline-flex size-6 items-center justify-center rounded-tag text-dim hover:bg-sunken hover:text-ink"
    >
      {children}
    </button>
  )
}
