import type { Grant } from '@countersign/contract/access'
import type { Approval } from '@countersign/contract/approval'
import type { RecordingLine } from '@countersign/contract/recording'
import type { Session } from '@countersign/contract/session'
import {
  type CallName,
  type CommandSearch,
  type CommandsPage,
  type ConsoleApi,
  ConsoleError,
  type ConsoleEvent,
  type Snapshot,
} from '../../console-api.ts'
import { type AccessKind, accessDouble, believableRequests } from './access.ts'
import { type AgentsKind, agentsDouble } from './agents.ts'
import { commandsFound } from './commands.ts'
import { type NotesKind, notesDouble } from './notes-double.ts'
import { type PolicyKind, policyDouble } from './policy.ts'
import { believableLibrary, recordingAnswers } from './recordings.ts'
import { type RetentionKind, retentionDouble } from './retention.ts'
import { type ReviewsKind, reviewsDouble } from './reviews.ts'
import { type SshKind, sshRecordingOf, sshSessions } from './ssh.ts'
import { terminalAnswers } from './terminals.ts'
import { type WitnessWorld, witnessCallsOf, witnessState } from './witness.ts'
import { ada, believableApprovals, manyApprovals, manySessions, recordingOf, sessionOf } from './world.ts'

/** What a double of the core should be like: the query of the dev page, for example ?world=offline&theme=dark. */
export interface FixtureOptions {
  readonly world?:
    | 'usual'
    | 'many'
    | 'empty'
    | 'offline'
    | 'reconnecting'
    | 'signed-out'
    | 'signing-in'
    | 'refusing'
    | 'slow'
    | 'forbidden'
    | 'nothing-kept'
  readonly notes?: NotesKind
  readonly witness?: WitnessWorld
  readonly retention?: RetentionKind
  /** Requests for access stand in the queue where this is given. */
  readonly access?: AccessKind
  /** The registry, duty and break-glass; the person is an admin and reviewer then, but for `looking`. */
  readonly agents?: AgentsKind
  /** Policy, its drafts, backtests and overlays; the person has that role then. */
  readonly policy?: PolicyKind
  /** Campaigns, for a reviewer; `none`, as it is without, for whom sees none. */
  readonly reviews?: ReviewsKind
  /** Sessions with hosts, where this is given. */
  readonly ssh?: SshKind
  readonly theme?: 'light' | 'dark' | 'system'
  /** How often the recording's story repeats; 1,430 makes 10,000 commands. */
  readonly repeat?: number
}

/** A ConsoleApi whose world a test can move by `emit` and `settle`; `calls` is what was asked of it. */
export interface Fixture extends ConsoleApi {
  emit(event: ConsoleEvent): void
  /** Changes an approval as the gateway would tell it. */
  settle(id: string, change: Partial<Approval>): void
  readonly calls: { name: CallName; input: unknown }[]
  readonly approvals: Map<string, Approval>
  readonly grants: Map<string, Grant>
  readonly policy: ReturnType<typeof policyDouble>
  readonly reviews: ReturnType<typeof reviewsDouble>
  add(count: number): void
  /** A session goes on: its recording gets these lines, and whoever follows it is told. */
  tell(session: string, lines: readonly RecordingLine[]): void
}

export function fixture(options: FixtureOptions = {}): Fixture {
  const { world = 'usual', theme = 'system', repeat = 1 } = options
  const now = Date.now()
  const listeners = new Set<(event: ConsoleEvent) => void>()
  const empty = world === 'empty' || world === 'signed-out' || world === 'signing-in'
  const approvals = new Map<string, Approval>()
  const usual = empty ? [] : believableApprovals(now)
  const requests = options.access && options.access !== 'empty' ? believableRequests(now) : []
  for (const approval of world === 'many' ? [...manyApprovals(now, 10_000), ...usual] : [...usual, ...requests])
    approvals.set(approval.id, approval)
  const sessions = new Map<string, Session>()
  usual.forEach((approval, i) => {
    sessions.set(approval.session, sessionOf(approval, now - (4 + i * 23) * 60_000))
  })
  if (options.ssh && options.ssh !== 'none') for (const session of sshSessions(now)) sessions.set(session.id, session)
  if (world === 'many') for (const session of manySessions(now, 10_000)) sessions.set(session.id, session)
  let settings: Snapshot['settings'] = {
    gateway: 'https://gw.prod.example',
    theme,
    notifications: { enabled: true, content: 'name', quietHours: null },
    library: { room: 2048 },
  }
  const gateway = 'https://gw.prod.example'
  const link = ((): Snapshot['link'] => {
    const since = new Date(now - 29 * 60_000).toISOString()
    if (world === 'offline') return { state: 'offline', gateway, since, problem: 'gw.prod.example can’t be reached' }
    if (world === 'reconnecting') return { state: 'reconnecting', gateway, since, problem: 'the connection was closed' }
    if (world === 'signed-out') return { state: 'signed-out', gateway, problem: 'Your sign-in ended at 08:00.' }
    if (world === 'signing-in') return { state: 'signing-in', gateway }
    return { state: 'live', gateway, since }
  })()
  const emit = (event: ConsoleEvent) => {
    if (event.type === 'approvals') for (const approval of event.approvals) approvals.set(approval.id, approval)
    if (event.type === 'sessions') for (const session of event.sessions) sessions.set(session.id, session)
    for (const listener of listeners) listener(event)
  }
  const settle = (id: string, change: Partial<Approval>) => {
    const approval = approvals.get(id)
    if (approval) emit({ type: 'approvals', approvals: [{ ...approval, ...change }] })
  }
  const calls: Fixture['calls'] = []
  const notes = notesDouble({ kind: options.notes ?? 'usual', offline: world === 'offline', me: ada, now, emit })
  const retention = retentionDouble({
    kind: options.retention ?? 'none',
    me: ada,
    now,
    offline: world === 'offline',
    sessions,
  })
  const access = accessDouble({
    kind: options.access ?? (empty ? 'empty' : 'usual'),
    me: retention.me,
    now,
    offline: world === 'offline',
    emit: (event) => emit(event),
    approvals,
    sessions,
  })
  const agents = agentsDouble({
    kind: options.agents ?? 'none',
    me: retention.me,
    now,
    offline: world === 'offline',
    emit: (event) => emit(event),
    connections: () => access.answers.connections().items,
  })
  const policy = policyDouble({
    kind: options.policy ?? 'none',
    me: agents.me,
    now,
    offline: world === 'offline',
    emit: (event) => emit(event),
  })
  const reviews = reviewsDouble({
    kind: options.reviews ?? 'none',
    me: policy.me,
    now,
    offline: world === 'offline',
    emit: (event) => emit(event),
  })
  /** Lines that came since, of sessions that go on. */
  const told = new Map<string, RecordingLine[]>()
  const recordings = recordingAnswers({
    moreOf: (id) => told.get(id) ?? [],
    local: world === 'offline',
    kept: world !== 'nothing-kept',
    emit: (event) => emit(event),
    items: new Map(
      (empty ? [] : believableLibrary([...sessions.values()], now)).map((item) => [item.session, item] as const),
    ),
    sessionOf: (id) => sessions.get(id)!,
    linesOf(id) {
      const session = sessions.get(id)
      if (!session) throw new ConsoleError('not-found', 'There is no such session, or it is not yours to see.')
      if (world === 'forbidden')
        throw new ConsoleError(
          'forbidden',
          'Your roles don’t let you see this recording. Ask an auditor or a reviewer.',
        )
      if (world === 'offline' && session.state !== 'open' && session.counts.commands === 8 && session.id === 'se_d003')
        throw new ConsoleError(
          'not-here',
          'This recording is not on this desktop. It can be read once the gateway is reached.',
        )
      if (session.protocol === 'ssh') return sshRecordingOf(session)
      return recordingOf(session, [...approvals.values()], repeat)
    },
  })
  const terminals = terminalAnswers({
    damaged: options.ssh === 'damaged',
    linesOf: (id) => [...sshRecordingOf(sessions.get(id)!), ...(told.get(id) ?? [])],
    endedOf: (id) => sessions.get(id)?.state !== 'open',
    emit: (event) => emit(event),
  })
  const answers: Partial<Record<CallName, (input: never) => unknown>> = {
    snapshot: (): Snapshot => ({
      capabilities: {
        shell: 'browser',
        notifications: 'web',
        tray: false,
        badge: false,
        deepLinks: false,
        pdf: false,
        secureStorage: false,
      },
      link,
      me: reviews.me,
      settings,
      approvals: [...approvals.values()],
      sessions: [...sessions.values()],
      witness: witnessState(now, options.witness ?? 'usual'),
      outbox: notes.outbox(),
    }),
    decide: async (input: { approval: string; verdict: 'approve' | 'deny'; reason: string; window: string }) => {
      if (world === 'refusing')
        return {
          approval: input.approval,
          verdict: input.verdict,
          state: 'refused',
          problem: 'Somebody decided first: Ben Osei denied it at 09:40.',
        }
      if (world === 'slow') await new Promise((resolve) => setTimeout(resolve, 3_000))
      const approval = approvals.get(input.approval)!
      const decision = {
        person: ada.name,
        personId: ada.id,
        verdict: input.verdict,
        reason: input.reason,
        window: input.window,
        at: new Date().toISOString(),
      }
      setTimeout(() => {
        const decisions = [...approval.decisions, decision]
        const closedAt = new Date().toISOString()
        if (input.verdict === 'deny') settle(approval.id, { state: 'denied', decisions, closedAt })
        else
          settle(approval.id, {
            state: 'used',
            decisions,
            closedAt,
            requirements: approval.requirements.map((need) => ({
              ...need,
              approvedBy: [...need.approvedBy, ada.name],
            })),
            outcome: { status: 'completed', tag: 'DELETE 1204', rows: 1204, ms: 81 },
          })
      }, 60)
      return { approval: input.approval, verdict: input.verdict, state: 'sent' }
    },
    approval: (input: { id: string }) => approvals.get(input.id) ?? null,
    searchSessions: (input: { text?: string; state?: string; agent?: string; connection?: string; after?: string }) => {
      const all = [...sessions.values()]
        .filter(
          (session) =>
            !input.text ||
            recordingOf(session, []).some(
              (line) => line.type === 'command' && line.text.toLowerCase().includes(input.text!.toLowerCase()),
            ),
        )
        .filter((session) => !input.state || session.state === input.state)
        .filter((session) => !input.agent || session.agent === input.agent)
        .filter((session) => !input.connection || session.connection === input.connection)
        .sort((a, b) => (a.openedAt < b.openedAt ? 1 : -1))
      const from = Number(input.after ?? 0)
      return {
        items: all.slice(from, from + 200),
        next: from + 200 < all.length ? String(from + 200) : null,
        source: world === 'offline' ? 'local' : 'gateway',
      }
    },
    searchCommands: (input: CommandSearch): CommandsPage => ({
      ...commandsFound(input, [...sessions.values()].slice(0, 200), (session) =>
        recordingOf(
          session,
          [...approvals.values()].filter((approval) => approval.session === session.id),
        ),
      ),
      source: world === 'offline' ? 'local' : 'gateway',
      ...(world === 'reconnecting' ? { behind: 12 } : {}),
    }),
    ...recordings,
    ...terminals.answers,
    ...notes.answers,
    ...retention.answers,
    ...access.answers,
    ...agents.answers,
    ...policy.answers,
    ...reviews.answers,
    terminate: (input: { session: string; reason: string }) => {
      const session = sessions.get(input.session)!
      setTimeout(
        () =>
          emit({
            type: 'sessions',
            sessions: [
              {
                ...session,
                state: 'terminated',
                closedAt: new Date().toISOString(),
                closedBecause: `Ada Lind: ${input.reason}`,
              },
            ],
          }),
        30,
      )
      return {}
    },
    saveSettings: (input: Snapshot['settings']) => {
      settings = input
      return settings
    },
    signIn: () => ({}),
    signOut: () => ({}),
    notificationClicked: () => ({}),
    windowFocus: () => ({}),
    ...witnessCallsOf(now, options.witness ?? 'usual', (witness) => emit({ type: 'witness', witness })),
  }
  return {
    calls,
    approvals,
    grants: access.grants,
    policy,
    reviews,
    emit,
    settle,
    tell: (session, lines) => {
      told.set(session, [...(told.get(session) ?? []), ...lines])
      terminals.tell(session)
    },
    add: (count) => {
      const more = manyApprovals(Date.now() - 55_000, count).map((approval, i) => ({
        ...approval,
        id: `ap_new${calls.length}${approvals.size}${i}`,
      }))
      emit({ type: 'approvals', approvals: more })
    },
    async call(name, input) {
      calls.push({ name, input })
      return (await answers[name]!(input as never)) as never
    },
    on(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
