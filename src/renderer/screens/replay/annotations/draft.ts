import { create } from 'zustand'

/** What is being written: of a session one at a time, kept while the person looks elsewhere. */
export interface Draft {
  /** The note that becomes this; without one a new one. */
  readonly id?: string
  readonly from: string
  readonly to: string
  readonly text: string
  readonly tags: readonly string[]
}

interface Drafts {
  readonly drafts: ReadonlyMap<string, Draft>
  /** Where a range begins, by session: set before what ends it is found. */
  readonly marks: ReadonlyMap<string, number>
}

export const useDrafts = create<Drafts>()(() => ({ drafts: new Map(), marks: new Map() }))

export function setDraft(session: string, draft: Draft | undefined) {
  useDrafts.setState(({ drafts }) => ({ drafts: changed(drafts, session, draft) }))
}

export function setMark(session: string, t: number | undefined) {
  useDrafts.setState(({ marks }) => ({ marks: changed(marks, session, t) }))
}

function changed<T>(map: ReadonlyMap<string, T>, key: string, value: T | undefined): ReadonlyMap<string, T> {
  const next = new Map(map)
  if (value === undefined) next.delete(key)
  else next.set(key, value)
  return next
}
