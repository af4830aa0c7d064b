import type { LegalHold, RetentionRun } from '@countersign/contract/evidence'
import type { Me } from '@countersign/contract/identity'
import type { Session } from '@countersign/contract/session'
import { type CallName, ConsoleError } from '../../console-api.ts'

/** What the gateway tells of retention: nothing (to an approver), or all of it. */
export type RetentionKind = 'none' | 'auditor' | 'admin' | 'reviewer'

const day = 86_400_000

/** A gateway that keeps recordings for 90 days, and a person who sees that. */
export function retentionDouble(options: {
  kind: RetentionKind
  me: Me
  now: number
  offline: boolean
  sessions: Map<string, Session>
}) {
  const { kind, now, offline, sessions } = options
  const me: Me =
    kind === 'none' || options.me.kind === 'agent' ? options.me : { ...options.me, roles: ['approver', kind] }
  const at = (daysAgo: number) => new Date(now - daysAgo * day).toISOString()
  const aud = { id: 'p#aud', issuer: 'p', subject: 'aud', name: 'Aud Berg' }
  const holds: LegalHold[] = [
    {
      id: 'lh_1',
      by: aud,
      reason: 'Case 2026-114: refunds in October',
      placedAt: at(12),
      sessions: [],
      connections: [],
      agents: [...sessions.values()]
        .filter(({ identity }) => identity.name === 'etl-nightly')
        .slice(0, 1)
        .map(({ agent }) => agent),
      covers: 412,
    },
  ]
  const may = { mayHold: kind === 'auditor' || kind === 'admin', mayRun: kind === 'admin' }
  const runs: RetentionRun[] = [0.1, 1.1, 2.1, 9, 16, 23].map((daysAgo, i) => ({
    id: `rt_${i}`,
    dry: false,
    at: at(daysAgo),
    by: i === 3 ? 'Max Winter' : 'the gateway',
    entry: 184_203 - i * 8012,
    recordings: [0, 131, 87, 240, 0, 19][i]!,
    bytes: [0, 48_112_000, 31_000_400, 120_512_000, 0, 4_000_000][i]!,
    entries: [0, 4120, 2810, 9981, 0, 440][i]!,
    kept: 3,
    more: false,
    done: i > 0,
    items: [],
  }))
  const heldBy = (session: Session) =>
    holds.filter(
      ({ lifted, sessions, connections, agents }) =>
        !lifted &&
        (sessions.includes(session.id) || connections.includes(session.connection) || agents.includes(session.agent)),
    )
  const retained = (session: Session): Session => ({
    ...session,
    retention: {
      ...(session.closedAt && { until: new Date(Date.parse(session.closedAt) + 90 * day).toISOString() }),
      heldBy: heldBy(session).map(({ id }) => id),
    },
  })
  const asked = () => {
    if (offline)
      throw new ConsoleError('not-connected', 'There is no connection to the gateway. Try again once it is live.')
  }
  const answers = {
    retention() {
      asked()
      if (kind === 'none') return null
      return {
        rules: [
          { what: 'recordings', keeps: 90 * day },
          { what: 'annotations', keeps: null },
          { what: 'entries', keeps: null },
          { what: 'class', class: 'ssn', keeps: 30 * day },
          { connection: 'billing', what: 'recordings', keeps: 365 * day },
        ],
        nextRun: new Date(now + 31 * 60_000).toISOString(),
        waiting: 0,
        runs,
        holds,
        ...may,
      }
    },
    sessionRetention({ session: id }: { session: string }) {
      asked()
      const session = sessions.get(id)
      if (kind === 'none' || !session) return null
      return { session: retained(session), holds: heldBy(session), ...may }
    },
    placeLegalHold(hold: Pick<LegalHold, 'reason' | 'sessions' | 'connections' | 'agents'>) {
      const placed = { id: `lh_${holds.length + 1}`, by: aud, placedAt: new Date().toISOString(), covers: 1, ...hold }
      holds.unshift(placed)
      return placed
    },
    liftLegalHold({ id, reason }: { id: string; reason: string }) {
      const hold = holds.find((one) => one.id === id)!
      hold.lifted = { by: aud, reason, at: new Date().toISOString() }
      return hold
    },
    runRetention({ dry }: { dry: boolean }): RetentionRun {
      const items = [...sessions.values()].slice(0, 6).map((session, i) => ({
        session: session.id,
        connection: session.connection,
        agent: session.agent,
        closedAt: at(90 + i * 3),
        rule: i === 1 ? 'class ssn 30d' : 'recordings 90d',
        takes: ['recording', 'approvals'] as RetentionRun['items'][number]['takes'],
        bytes: 48_000,
        entries: 12,
        heldBy: heldBy(session).map(({ id }) => id),
      }))
      const going = items.filter(({ heldBy }) => heldBy.length === 0)
      return {
        ...{ id: dry ? 'dry' : 'rt_new', dry, at: new Date().toISOString(), by: me.name },
        recordings: going.length,
        bytes: going.length * 48_000,
        entries: going.length * 12,
        kept: items.length - going.length,
        more: false,
        done: !dry,
        items,
      }
    },
  } satisfies Partial<Record<CallName, (input: never) => unknown>>
  return { me, answers }
}
