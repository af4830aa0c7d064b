import type { PolicyCheck, PolicyDraft, PolicyText } from '@countersign/contract/policies'
import { create } from 'zustand'
import type { DraftWork } from '../../../policy-api.ts'
import { wordsOf } from '../../app/api.ts'
import { core, say, useConsole } from '../../app/store.ts'

/** A draft on the screen: as the gateway has it, as it is written here, and what became of saving it. */
export interface Editing {
  /** The id under which it was opened: stays what it is when the first save gives it another one. */
  readonly key: string
  /** Undefined of one that was never saved. */
  readonly draft: PolicyDraft | undefined
  readonly work: DraftWork
  /** Whether something is written that is not saved. */
  readonly unsaved: boolean
  readonly doing: 'nothing' | 'saving' | 'checking' | 'deleting'
  readonly problem: string
  /** As somebody else saved it after what is written here began. */
  readonly theirs: PolicyDraft | undefined
  /** What the validator and the tests said last, and of which texts. */
  readonly check: { readonly said: PolicyCheck; readonly of: readonly PolicyText[] } | undefined
}

/** By the id of the draft; null where there is no such draft. */
export const useEditing = create<{ readonly drafts: ReadonlyMap<string, Editing | null>; readonly failed: string }>()(
  () => ({ drafts: new Map(), failed: '' }),
)

const set = (id: string, editing: Editing | null | undefined) =>
  useEditing.setState(({ drafts }) => {
    const next = new Map(drafts)
    if (editing === undefined) next.delete(id)
    else next.set(id, editing)
    return { drafts: next }
  })
const get = (id: string): Editing | undefined => useEditing.getState().drafts.get(id) ?? undefined
const patch = (id: string, what: Partial<Editing>) => {
  const editing = get(id)
  if (editing) set(id, { ...editing, ...what })
}

/** A pause in typing after which what is written is on the disk (ms). */
const PAUSE = 300
const pending = new Map<string, ReturnType<typeof setTimeout>>()

function keepNow(id: string) {
  clearTimeout(pending.get(id))
  pending.delete(id)
  const editing = get(id)
  if (!editing?.unsaved) return
  core()
    .call('keepDraftWork', editing.work)
    .catch((error) => patch(id, { problem: `What you write can’t be kept on this computer: ${wordsOf(error)}` }))
}

// Whoever goes elsewhere, to sign out say, has paused.
for (const occasion of ['pagehide', 'focusout'])
  addEventListener(occasion, () => {
    for (const id of [...pending.keys()]) keepNow(id)
  })

let whose: string | undefined
// What somebody wrote is for nobody else's eyes, and is kept under nobody else's name.
useConsole.subscribe(({ world }) => {
  const id = world?.me?.id
  if (id === whose) return
  whose = id
  for (const timer of pending.values()) clearTimeout(timer)
  pending.clear()
  useEditing.setState({ drafts: new Map(), failed: '' })
})

const now = () => new Date().toISOString()
const workOf = ({ id, title, base, files, revision }: PolicyDraft): DraftWork => ({
  ...{ id, title, base, files, revision },
  at: now(),
})
const shown = (draft: PolicyDraft, key = draft.id): Editing => ({
  key,
  ...{ draft, work: workOf(draft), unsaved: false, doing: 'nothing', problem: '', theirs: undefined },
  check: { said: draft.check, of: draft.files },
})

/** Reads a draft, and what is not saved of it, unless somebody is writing it here. */
export async function openDraft(id: string): Promise<void> {
  const before = get(id)
  if (before?.unsaved || (before && before.doing !== 'nothing')) return
  try {
    const { draft, work } = await core().call('policyDraft', { id })
    const meanwhile = get(id)
    if (meanwhile?.unsaved || (meanwhile && meanwhile.doing !== 'nothing')) return
    useEditing.setState({ failed: '' })
    if (!draft && !work) return set(id, null)
    if (!work) return set(id, shown(draft!, meanwhile?.key))
    const newer = draft && work.revision !== undefined && draft.revision !== work.revision
    set(id, {
      key: meanwhile?.key ?? id,
      ...{ draft: draft ?? undefined, work, unsaved: true, doing: 'nothing', problem: '' },
      theirs: newer ? draft : undefined,
      check: draft ? { said: draft.check, of: draft.files } : undefined,
    })
  } catch (error) {
    useEditing.setState({ failed: wordsOf(error) })
  }
}

/** A new draft on this computer; the gateway gets it with the first save. @returns its id */
export async function beginDraft(from: { title: string; base: string; files: PolicyText[] }): Promise<string> {
  const id = `new-${crypto.randomUUID()}`
  const work: DraftWork = { id, ...from, at: now() }
  await core().call('keepDraftWork', work)
  const nothing = { unsaved: true, doing: 'nothing', problem: '', theirs: undefined } as const
  set(id, { key: id, draft: undefined, work, ...nothing, check: undefined })
  return id
}

/** Somebody writes. */
export function writeDraft(id: string, what: Partial<Pick<DraftWork, 'title' | 'files' | 'base'>>) {
  const editing = get(id)
  if (!editing) return
  set(id, { ...editing, work: { ...editing.work, ...what, at: now() }, unsaved: true })
  clearTimeout(pending.get(id))
  pending.set(
    id,
    setTimeout(() => keepNow(id), PAUSE),
  )
}

/** Saves; `over` replaces the revision that is there. @returns the id that it has from now on, where it was saved */
export async function saveDraft(id: string, over?: number): Promise<string | undefined> {
  const editing = get(id)
  if (editing?.doing !== 'nothing') return undefined
  const { work } = editing
  clearTimeout(pending.get(id))
  pending.delete(id)
  patch(id, { doing: 'saving', problem: '' })
  try {
    const { state, draft } = await core().call('saveDraft', { work, ...(over !== undefined && { over }) })
    if (state === 'conflict') {
      patch(id, { doing: 'nothing', theirs: draft })
      say('Not saved: somebody else saved it meanwhile')
      return undefined
    }
    const later = get(id)?.work ?? work
    const written = later.at !== work.at
    const next = shown(draft, editing.key)
    set(
      draft.id,
      written ? { ...next, work: { ...later, id: draft.id, revision: draft.revision }, unsaved: true } : next,
    )
    if (written) keepNow(draft.id)
    const failed = draft.check.tests.filter(({ ok }) => !ok).length
    say(`Saved: ${draft.check.problems.length} problems, ${failed} of ${draft.check.tests.length} tests fail`)
    return draft.id
  } catch (error) {
    patch(id, { doing: 'nothing', problem: `Not saved, and kept on this computer: ${wordsOf(error)}` })
    say(`Not saved: ${wordsOf(error)}`)
    return undefined
  }
}

/** A draft is on the screen under its new id: the one that it began with is over. */
export const forgetDraft = (id: string) => set(id, undefined)

/** What the validator and the tests say of what is written, without saving it. */
export async function checkDraft(id: string) {
  const editing = get(id)
  if (editing?.doing !== 'nothing') return
  const { files } = editing.work
  patch(id, { doing: 'checking', problem: '' })
  try {
    const said = await core().call('checkPolicy', { files })
    patch(id, { doing: 'nothing', check: { said, of: files } })
    say(`Checked: ${said.problems.length} problems`)
  } catch (error) {
    patch(id, { doing: 'nothing', problem: `Not checked: ${wordsOf(error)}` })
  }
}

/** Drops what is not saved, for what the gateway has. @returns whether anything is left */
export async function dropWork(id: string): Promise<boolean> {
  const editing = get(id)
  clearTimeout(pending.get(id))
  pending.delete(id)
  await core().call('dropDraftWork', { id })
  const draft = editing?.theirs ?? editing?.draft
  set(id, draft && shown(draft, editing?.key))
  return draft !== undefined
}

/** What is written here becomes a draft of its own; the other one stays as it was saved. @returns its id */
export async function splitDraft(id: string): Promise<string | undefined> {
  const editing = get(id)
  if (!editing) return undefined
  const { title, base, files } = editing.work
  const fresh = await beginDraft({ title: `${title} (mine)`.slice(0, 200), base, files })
  await dropWork(id)
  return fresh
}

/** @throws Error in words */
export async function deleteDraft(id: string): Promise<void> {
  patch(id, { doing: 'deleting' })
  try {
    await core().call('deleteDraft', { id })
    clearTimeout(pending.get(id))
    pending.delete(id)
    set(id, undefined)
  } catch (error) {
    patch(id, { doing: 'nothing' })
    throw error
  }
}
