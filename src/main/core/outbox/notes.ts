import type { Annotation, Note } from '@countersign/contract/evidence'
import type { FeedMessage } from '@countersign/contract/feed'
import type { Me } from '@countersign/contract/identity'
import type { AnnotationView, ConflictChoice } from '../../../annotations-api.ts'
import { ConsoleError } from '../../../console-api.ts'
import type { GatewayApi } from '../gateway-api.ts'
import type { Clock } from '../ports/clock.ts'
import type { OutboxStore, Owner } from './outbox-store.ts'
import type { Sending } from './sending.ts'

/** What people note on recordings: what the gateway has told, and what this person wrote here, as one. */
export interface Notes {
  view(session: string): AnnotationView[]
  /** Asks the gateway for a session's annotations and keeps them. @throws Unreachable, Refused, SignedOut */
  fetch(session: string): Promise<void>
  /** Looks again at everything that was fetched: the feed has a gap. */
  fetchAgain(): void
  write(session: string, id: string | undefined, note: Note): AnnotationView
  withdraw(session: string, id: string, reason: string): void
  resolve(id: string, choice: ConflictChoice, note: Note | undefined): void
  heard(message: FeedMessage | { type: 'unknown' }): void
  /** The gateway has taken it. */
  took(owner: Owner, annotation: Annotation): void
  /** Tags by how often they were used. */
  tags(): string[]
  /** Nothing is asked or kept any more. */
  stop(): void
}

/** How long after sending the gateway is asked whether the ledger has it, where no checkpoint says so before. */
const soonMs = 1_500
/** Sessions looked at again at a time. */
const many = 100

export function createNotes(options: {
  store: OutboxStore
  sending: Sending
  clock: Clock
  owner(): Owner | undefined
  me(): Me | null
  asking(): Promise<{ api: GatewayApi; token: string } | undefined>
  changed(session: string): void
}): Notes {
  const { store, sending, clock } = options
  /** While a session is asked for: what was told of it meanwhile, which the answer may not have. */
  const meanwhile = new Map<string, Map<string, Annotation>>()
  let looking = false
  let stopped = false
  let wanted: number | undefined
  let cancelLook: (() => void) | undefined
  let tagged: string[] | undefined

  const save = (owner: Owner, annotation: Annotation) => {
    store.saveAnnotation(owner, annotation)
    meanwhile.get(annotation.session)?.set(annotation.id, annotation)
    tagged = undefined
  }

  async function fetch(session: string): Promise<void> {
    const owner = options.owner()
    const now = await options.asking()
    if (!owner || !now) return
    const told = meanwhile.get(session) ?? new Map<string, Annotation>()
    meanwhile.set(session, told)
    try {
      const annotations = await now.api.annotations(now.token, session)
      if (stopped || options.owner() !== owner) return
      const ids = new Map(annotations.map((annotation) => [annotation.id, annotation]))
      for (const annotation of told.values())
        if (isNews(annotation, ids.get(annotation.id))) ids.set(annotation.id, annotation)
      store.replaceAnnotations(owner, session, [...ids.values()])
      tagged = undefined
      options.changed(session)
    } finally {
      if (meanwhile.get(session) === told) meanwhile.delete(session)
    }
  }

  /** Asks for these sessions, one after the other; what fails is asked for when somebody looks. */
  async function fetchAll(sessions: readonly string[]): Promise<void> {
    for (const session of sessions.slice(0, many)) {
      try {
        await fetch(session)
      } catch {
        return
      }
    }
  }

  /** Whether the ledger has by now what it hadn't; `times` of looking again where it still hasn't, each later. */
  function look(times = 4) {
    cancelLook?.()
    cancelLook = undefined
    wanted = times
    if (!looking) void lookWhileWanted()
  }

  async function lookWhileWanted(): Promise<void> {
    looking = true
    while (wanted !== undefined && !stopped) {
      const times = wanted
      wanted = undefined
      const owner = options.owner()
      if (owner) await fetchAll(store.unlogged(owner))
      if (stopped || wanted !== undefined || times === 0) continue
      const mine = options.owner()
      if (mine && store.unlogged(mine).length > 0) lookIn(soonMs * 2 ** (4 - times), times - 1)
    }
    looking = false
  }

  function lookIn(ms: number, times: number) {
    cancelLook?.()
    cancelLook = clock.after(ms, () => look(times))
  }

  function view(session: string): AnnotationView[] {
    const owner = options.owner()
    const me = options.me()
    if (!owner || me?.kind !== 'person') return []
    const by = { id: me.id, issuer: me.issuer, subject: me.subject, name: me.name }
    const views = new Map<string, AnnotationView>()
    for (const annotation of store.annotations(owner, session))
      views.set(annotation.id, {
        ...annotation,
        mine: annotation.by.id === me.id,
        state: annotation.logged ? 'logged' : 'sent',
      })
    for (const entry of sending.entriesOf(session)) {
      const state = entry.conflict ? ('conflict' as const) : sending.isSending(entry.id) ? 'sending' : 'here'
      const problem = entry.conflict && { problem: entry.conflict.problem }
      if (entry.kind === 'annotation' && entry.body !== undefined)
        views.set(entry.id, {
          ...(entry.body as Note & { madeAt: string }),
          id: entry.id,
          session,
          by,
          mine: true,
          state,
          ...problem,
        })
      const about = entry.kind === 'withdrawal' ? views.get(entry.subject) : undefined
      if (about && !about.withdrawn)
        views.set(about.id, {
          ...about,
          withdrawing: { reason: (entry.body as { reason?: string })?.reason ?? '', state, ...problem },
        })
    }
    return [...views.values()].sort(
      (a, b) => a.from - b.from || a.madeAt.localeCompare(b.madeAt) || (a.id < b.id ? -1 : 1),
    )
  }

  const viewOf = (session: string, id: string): AnnotationView => {
    const found = view(session).find((each) => each.id === id)
    if (found) return found
    throw new ConsoleError('no-such-annotation', 'This annotation is not here any more: look at the list again.')
  }
  const made = (note: Note) => ({ ...note, madeAt: new Date(clock.now()).toISOString() })

  return {
    view,
    fetch,
    fetchAgain() {
      const owner = options.owner()
      if (owner) void fetchAll(store.fetched(owner))
    },

    write(session, id, note) {
      const me = options.me()
      if (!mayAnnotate(me))
        throw new ConsoleError(
          'forbidden',
          'Recordings are annotated by auditors, reviewers and admins: your roles let you read.',
        )
      if (id === undefined) return viewOf(session, sending.add('annotation', { session, body: made(note) }).id)
      const before = viewOf(session, id)
      if (!before.mine || before.state === 'sent' || before.state === 'logged')
        throw new ConsoleError('sent', 'It was sent already: withdraw it, and write another one.')
      if (before.state === 'conflict')
        throw new ConsoleError('conflict', 'The gateway refused it: choose what becomes of it.')
      sending.edit(id, made(note))
      return viewOf(session, id)
    },

    withdraw(session, id, reason) {
      const note = viewOf(session, id)
      if (!note.mine) throw new ConsoleError('not-yours', 'An annotation is withdrawn by who made it.')
      if (note.withdrawn || note.withdrawing) throw new ConsoleError('withdrawn', 'It is withdrawn already.')
      if (note.state === 'conflict') return sending.resolve(id, 'discard')
      if (note.state === 'here' && sending.takeBack(id)) return
      sending.add('withdrawal', { session, subject: id, body: { reason } })
    },

    resolve(id, choice, note) {
      if (choice === 'edit' && !note) throw new ConsoleError('bad-input', 'An edit says what it is to be.')
      sending.resolve(id, choice, note && made(note))
    },

    heard(message) {
      const owner = options.owner()
      if (!owner) return
      if (message.type === 'ledger.checkpoint') return look()
      if (message.type !== 'annotation.added' && message.type !== 'annotation.withdrawn') return
      const { data } = message
      if (!store.isFetched(owner, data.session) && data.by.id !== owner.person) return
      const known = store.annotations(owner, data.session).find(({ id }) => id === data.id)
      if (!isNews(data, known)) return
      save(owner, data)
      options.changed(data.session)
    },

    took(owner, annotation) {
      save(owner, annotation)
      if (!stopped) lookIn(soonMs, 4)
    },

    tags() {
      const owner = options.owner()
      if (!owner) return []
      tagged ??= [...store.tags(owner)].sort(([a, n], [b, m]) => m - n || a.localeCompare(b)).map(([tag]) => tag)
      return tagged
    },

    stop() {
      stopped = true
      cancelLook?.()
    },
  }
}

/** Whether the roles of somebody let them annotate (contract.md section 7). */
export function mayAnnotate(me: Me | null): boolean {
  return me?.kind === 'person' && me.roles.some((role) => role === 'auditor' || role === 'reviewer' || role === 'admin')
}

/** What was withdrawn stays withdrawn, and the feed doesn't say what is in the ledger. */
function isNews(told: Annotation, known: Annotation | undefined): boolean {
  if (!known) return true
  return told.withdrawn !== undefined && known.withdrawn === undefined
}
