import { useEffect, useMemo, useState } from 'react'
import type { AnnotationView } from '../../../../annotations-api.ts'
import { core, receive, useWorld } from '../../../app/store.ts'

export type Note = AnnotationView

export interface NotesOfSession {
  readonly items: readonly Note[]
  /** Tags that were used anywhere, most used first. */
  readonly tags: readonly string[]
  readonly mayAnnotate: boolean
  /** Whether the gateway was asked, or only this computer. */
  readonly source: 'gateway' | 'local' | undefined
}

const none: readonly Note[] = []

/** A session's notes; they change as the core tells, and are asked for anew when the link comes back. */
export function useNotes(session: string): NotesOfSession {
  const items = useWorld((world) => world.annotations.get(session)) ?? none
  const live = useWorld((world) => world.link.state === 'live')
  const [more, setMore] = useState<Omit<NotesOfSession, 'items'>>({ tags: [], mayAnnotate: false, source: undefined })
  // biome-ignore lint/correctness/useExhaustiveDependencies: the link's coming back is an occasion
  useEffect(() => {
    let wanted = true
    core()
      .call('annotations', { session })
      .then(
        ({ items, ...rest }) => {
          if (!wanted) return
          receive({ type: 'annotations', session, items })
          setMore(rest)
        },
        () => {},
      )
    return () => {
      wanted = false
    }
  }, [session, live])
  const tags = useMemo(() => [...new Set([...more.tags, ...items.flatMap((note) => note.tags)])], [more.tags, items])
  return useMemo(() => ({ ...more, items, tags }), [more, items, tags])
}

/** What stands in the way of counting on a note. */
export function stateWords(
  note: Note,
  live: boolean,
): { text: string; tone: 'dim' | 'ok' | 'warn' | 'danger' | 'accent' } {
  const { withdrawing, withdrawn } = note
  if (withdrawn) return { text: withdrawn.reason ? `withdrawn: ${withdrawn.reason}` : 'withdrawn', tone: 'dim' }
  if (withdrawing?.state === 'conflict') return { text: 'withdrawal refused', tone: 'danger' }
  if (withdrawing) return { text: live ? 'being withdrawn…' : 'withdrawal waits to be sent', tone: 'accent' }
  switch (note.state) {
    case 'here':
      return { text: 'only here · waits to be sent', tone: 'accent' }
    case 'sending':
      return { text: 'being sent…', tone: 'accent' }
    case 'sent':
      return { text: 'sent · not in the log yet', tone: 'dim' }
    case 'logged':
      return { text: 'in the log', tone: 'ok' }
    case 'conflict':
      return { text: 'refused: choose', tone: 'danger' }
  }
}

export interface NoteFilter {
  readonly person: string | undefined
  readonly tag: string | undefined
}

export function filtered(items: readonly Note[], { person, tag }: NoteFilter): readonly Note[] {
  if (person === undefined && tag === undefined) return items
  return items.filter(
    (note) => (person === undefined || note.by.id === person) && (tag === undefined || note.tags.includes(tag)),
  )
}

/** The notes that count: what was withdrawn, or was refused, marks nothing. */
export function standing(items: readonly Note[]): readonly Note[] {
  return items.filter((note) => !note.withdrawn)
}
