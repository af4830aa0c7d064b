import type { PolicyText } from '@countersign/contract/policies'
import { ChevronDown } from 'lucide-react'
import { DropdownMenu } from 'radix-ui'
import { useState } from 'react'
import { wordsOf } from '../../app/api.ts'
import { modKey } from '../../app/header.tsx'
import { mayBacktest, mayDraft, savePolicyFiles } from '../../app/policy.ts'
import { go } from '../../app/route.ts'
import { useWorld } from '../../app/store.ts'
import { Button, Key } from '../../parts/basics.tsx'
import { checkDraft, type Editing } from './draft-work.ts'

/** The foot of a draft: saved, checked, run over the past, taken out as files, or why not. */
export function DraftBar(props: {
  id: string
  editing: Editing
  folder: readonly PolicyText[]
  current: PolicyText | undefined
  onSave: () => void
  onDelete: () => void
  onDiscard: () => void
}) {
  const { id, editing, folder, current } = props
  const { work, unsaved, doing, problem, theirs, draft } = editing
  const me = useWorld((world) => world.me)
  const live = useWorld((world) => world.link.state === 'live')
  const may = mayDraft(me)
  const busy = doing !== 'nothing'
  const [wrong, setWrong] = useState('')
  const write = (form: 'file' | 'tar' | 'patch') => {
    setWrong('')
    const name = form === 'file' ? current!.file : `${work.title}.${form}`
    const files = form === 'file' ? [current!] : [...work.files]
    savePolicyFiles({ name, form, files, ...(form === 'patch' && { before: [...folder] }) }).catch((error) =>
      setWrong(wordsOf(error)),
    )
  }
  return (
    <section aria-label="What to do with the draft" className="mt-3 shrink-0 border-t border-line py-3">
      {problem || wrong ? (
        <p role="alert" className="mb-2.5 rounded-box bg-danger-pale px-3 py-2 text-danger">
          {problem || wrong}
        </p>
      ) : null}
      <div className="flex min-h-9 flex-wrap items-center gap-2">
        {may ? (
          <Button
            tone="accent"
            disabled={!live || busy || !unsaved || theirs !== undefined || !work.title.trim()}
            onClick={props.onSave}
          >
            {doing === 'saving' ? 'Saving…' : 'Save'} <Key>{modKey} S</Key>
          </Button>
        ) : null}
        {may && unsaved && !theirs ? (
          <Button disabled={!live || busy} onClick={() => void checkDraft(id)}>
            {doing === 'checking' ? 'Checking…' : 'Check'}
          </Button>
        ) : null}
        {mayBacktest(me) ? (
          <Button
            disabled={!live || !draft || unsaved}
            title={unsaved ? 'Save it first: a backtest is of what is saved' : undefined}
            onClick={() => go({ screen: 'policy', part: 'backtests', id: `new ${id}` })}
          >
            Backtest <Key>B</Key>
          </Button>
        ) : null}
        <DropdownMenu.Root>
          <DropdownMenu.Trigger asChild>
            <Button>
              Export <ChevronDown size={13} aria-hidden />
            </Button>
          </DropdownMenu.Trigger>
          <DropdownMenu.Portal>
            <DropdownMenu.Content
              align="start"
              side="top"
              sideOffset={4}
              className="z-20 min-w-64 rounded-box border border-line bg-panel py-1 shadow-box"
            >
              <Item says="for git apply, in the policy folder" onSelect={() => write('patch')}>
                One patch
              </Item>
              <Item says="as they belong into the folder (.tar)" onSelect={() => write('tar')}>
                All files
              </Item>
              {current ? (
                <Item says={current.file} onSelect={() => write('file')}>
                  This file
                </Item>
              ) : null}
            </DropdownMenu.Content>
          </DropdownMenu.Portal>
        </DropdownMenu.Root>
        <span className="flex-1" />
        {may && unsaved && draft && !theirs ? (
          <Button quiet disabled={busy} onClick={props.onDiscard}>
            Drop changes
          </Button>
        ) : null}
        {may ? (
          <Button quiet tone="danger" disabled={busy || (!live && draft !== undefined)} onClick={props.onDelete}>
            Delete
          </Button>
        ) : (
          <p className="text-dim">Reviewers and admins write drafts; your role reads them.</p>
        )}
      </div>
      {may && !live ? (
        <p className="mt-1.5 text-fine text-dim">
          Offline: what you write is kept here, and can be saved once the link is back.
        </p>
      ) : null}
    </section>
  )
}

function Item({ says, onSelect, children }: { says: string; onSelect: () => void; children: string }) {
  return (
    <DropdownMenu.Item
      onSelect={onSelect}
      className="flex flex-col px-3 py-1 outline-none data-[highlighted]:bg-accent-pale"
    >
      <span className="font-semibold">{children}</span>
      <span className="text-fine text-dim">{says}</span>
    </DropdownMenu.Item>
  )
}
