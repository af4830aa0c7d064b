import {
  type AnnotationView,
  type ConflictChoice,
  noOutbox,
  type OutboxItem,
  type OutboxState,
} from '../../annotations-api.ts'
import { ConsoleError, type ConsoleEvent } from '../../console-api.ts'
import type { Me } from '../app/store.ts'

/** Notes of the dev page: the usual ones, none, 3,000, refused ones, or for somebody who may only read. */
export type NotesKind = 'usual' | 'none' | 'many' | 'refused' | 'reading'

type Note = { from: number; to?: number; text: string; tags: string[] }

/**
 * A double of the core's outbox: what is written while `offline` waits; else it is sent and in the log a moment later.
 */
export function notesDouble(options: {
  kind: NotesKind
  offline: boolean
  me: Me
  now: number
  emit(event: ConsoleEvent): void
}) {
  const { kind, offline, me, now, emit } = options
  if (me.kind !== 'person') throw new Error('an agent writes no notes')
  const { id, issuer, subject, name } = me
  const mine = { id, issuer, subject, name }
  const aud = { id: `${issuer}#aud`, issuer, subject: 'aud', name: 'Aud Berg' }
  const sly = { id: `${issuer}#sly`, issuer, subject: 'sly', name: 'Sly \u202etibuA' }
  const notes = new Map<string, AnnotationView[]>()
  const at = (minutes: number) => new Date(now - minutes * 60_000).toISOString()
  let made = 0
  const newId = () =>
    `an_${String(made++)
      .padStart(24, 'a')
      .replace(/\d/g, (d) => 'bcdefghijk'[Number(d)]!)}`
  const view = (session: string, more: Partial<AnnotationView> & Note): AnnotationView => ({
    id: newId(),
    session,
    by: mine,
    mine: (more.by ?? mine).id === mine.id,
    madeAt: at(40),
    state: 'logged',
    ...(more.state === 'here' || more.state === 'conflict' ? {} : { receivedAt: at(38), logged: true }),
    ...more,
  })
  const refusal = 'There is another annotation under this id: keep yours as a new one, under an id of its own.'

  const usual = (session: string): AnnotationView[] => [
    view(session, {
      from: 91_000,
      text: 'Asked to drop what finance needs until month end. The policy caught it; nobody had told the agent.',
      tags: ['policy', 'finding'],
      by: aud,
    }),
    view(session, { from: 242_001, to: 305_000, text: 'Why did it look here?', tags: ['question'] }),
    view(session, {
      from: 349_000,
      text: 'A duplicate key, so somebody else wrote at the same time.\nSee the second session of that minute.',
      tags: ['concurrency'],
      state: 'sent',
      receivedAt: at(1),
      logged: false,
    }),
    view(session, {
      from: 420_000,
      text: 'not this one \u202e nwohs si tahw',
      tags: [],
      by: sly,
      withdrawn: { at: at(20), reason: 'the wrong session' },
    }),
    ...(offline
      ? [
          view(session, {
            from: 560_000,
            text: 'Rows of customers, masked as they should be.',
            tags: ['masking'],
            state: 'here',
            madeAt: at(3),
          }),
        ]
      : []),
    ...(kind === 'refused'
      ? [
          view(session, {
            from: 700_000,
            text: 'Written on the train, refused on arrival.',
            tags: ['finding'],
            state: 'conflict',
            problem: refusal,
            madeAt: at(90),
          }),
          view(session, {
            from: 760_000,
            text: 'To be withdrawn, but no.',
            tags: [],
            withdrawing: { reason: 'a slip', state: 'conflict', problem: 'Your role may not annotate any more.' },
          }),
        ]
      : []),
  ]
  const of = (session: string): AnnotationView[] => {
    const known = notes.get(session)
    if (known) return known
    const fresh =
      kind === 'none' || !session.startsWith('se_d')
        ? []
        : kind === 'many'
          ? Array.from({ length: 3000 }, (_, i) =>
              view(session, {
                from: i * 280,
                text: `Note ${i + 1} of many`,
                tags: [`tag ${i % 7}`],
                by: i % 3 ? aud : mine,
              }),
            )
          : usual(session)
    notes.set(session, fresh)
    return fresh
  }
  const all = () => [...notes.values()].flat()
  const itemsOf = (note: AnnotationView): OutboxItem[] => {
    const common = { id: note.id, session: note.session, at: note.madeAt, about: note.text }
    const { from, to, text, tags } = note
    const items: OutboxItem[] = []
    if (note.state === 'here' || note.state === 'sending' || note.state === 'conflict')
      items.push({
        ...common,
        kind: 'annotation',
        note: { from, ...(to !== undefined && { to }), text, tags },
        state: note.state === 'here' ? 'waiting' : note.state,
        ...(note.problem && { problem: note.problem }),
        choices: note.state === 'conflict' ? ['keep', 'edit', 'discard'] : [],
      })
    if (note.withdrawing)
      items.push({
        ...common,
        id: note.id.replace('an_', 'wd_'),
        kind: 'withdrawal',
        about: note.withdrawing.reason,
        state: note.withdrawing.state === 'here' ? 'waiting' : note.withdrawing.state,
        ...(note.withdrawing.problem && { problem: note.withdrawing.problem }),
        choices: note.withdrawing.state === 'conflict' ? ['again', 'discard'] : [],
      })
    return items
  }
  const outbox = (): OutboxState => {
    const items = all().flatMap(itemsOf)
    if (offline)
      items.push({
        id: 'pb_a',
        kind: 'playback',
        session: 'se_d001',
        at: at(5),
        about: '',
        state: 'waiting',
        choices: [],
      })
    const conflicts = items.filter(({ state }) => state === 'conflict')
    return {
      ...noOutbox,
      waiting: items.length - conflicts.length,
      conflicts: conflicts.length,
      notes: items.filter((item) => item.state !== 'conflict' && item.kind !== 'playback').length,
      others: kind === 'refused' ? 2 : 0,
      sealed: kind !== 'refused',
      items: [...conflicts, ...items.filter(({ state }) => state !== 'conflict')],
    }
  }
  const put = (session: string, change: (items: AnnotationView[]) => AnnotationView[]) => {
    const items = change(of(session)).sort((a, b) => a.from - b.from)
    notes.set(session, items)
    emit({ type: 'annotations', session, items })
    emit({ type: 'outbox', outbox: outbox() })
  }
  const set = (session: string, id: string, more: Partial<AnnotationView>) =>
    put(session, (items) => items.map((note) => (note.id === id ? { ...note, ...more } : note)))
  const without = (session: string, id: string) => put(session, (items) => items.filter((note) => note.id !== id))
  const sendSoon = (session: string, id: string) => {
    if (offline) return
    setTimeout(() => set(session, id, { state: 'sent', receivedAt: new Date().toISOString(), logged: false }), 30)
    setTimeout(() => set(session, id, { state: 'logged', logged: true }), 90)
  }
  const known = (session: string, id: string) => {
    const note = of(session).find((each) => each.id === id)
    if (!note) throw new ConsoleError('no-such-annotation', 'This annotation is not here any more.')
    return note
  }
  of('se_d001')

  return {
    outbox,
    answers: {
      annotations: ({ session }: { session: string }) => ({
        items: of(session),
        tags: ['question', 'finding', 'policy', 'masking'],
        mayAnnotate: kind !== 'reading',
        source: offline ? 'local' : 'gateway',
      }),
      annotate: ({ session, id, note }: { session: string; id?: string; note: Note }) => {
        const kept = view(session, { ...note, state: 'here', madeAt: new Date().toISOString(), ...(id && { id }) })
        put(session, (items) => [...items.filter((each) => each.id !== id), kept])
        sendSoon(session, kept.id)
        return kept
      },
      withdrawAnnotation: ({ session, id, reason }: { session: string; id: string; reason: string }) => {
        if (known(session, id).state === 'here') without(session, id)
        else if (offline) set(session, id, { withdrawing: { reason, state: 'here' } })
        else set(session, id, { withdrawn: { at: new Date().toISOString(), reason } })
        return {}
      },
      resolveConflict: ({ id, choice, note }: { id: string; choice: ConflictChoice; note?: Note }) => {
        const found = all().find((each) => each.id.slice(3) === id.slice(3))!
        const { session } = found
        if (id.startsWith('wd_')) {
          const { withdrawing: _, ...rest } = found
          put(session, (items) => items.map((each) => (each.id === found.id ? rest : each)))
        } else if (choice === 'discard') without(session, id)
        else {
          const { problem: _, ...rest } = found
          const fresh = { ...rest, ...note, id: newId(), state: 'here' as const }
          put(session, (items) => [...items.filter((each) => each.id !== id), fresh])
          sendSoon(session, fresh.id)
        }
        return {}
      },
    },
  }
}
