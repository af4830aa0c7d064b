import { createHash } from 'node:crypto'
import { LOST } from '../sessions/scribe/messages.ts'
import { approvals, decisions, windows } from './approval-comparisons.ts'
import { backtests } from './backtest-comparison.ts'
import { type AboutRow, type Comparison, goneOf, orNull, type SpokenEntry, text } from './comparison.ts'
import { connectionVersions, freezes, policyTimes } from './entrance-comparisons.ts'
import { grantSessions, grants, plans } from './grant-comparisons.ts'
import { overlays } from './overlay-comparison.ts'
import { breakGlass, delegations } from './people-comparisons.ts'
import { registryComparisons } from './registry-comparisons.ts'
import { reviewComparisons } from './review-comparisons.ts'
import { asValue, type Columns, fromJson } from './said.ts'
import { tokens } from './token-comparison.ts'

const sessions: Comparison = {
  table: 'sessions',
  what: 'session',
  sql: 'select * from sessions',
  row: ({ id, identity, client, classes, grants, ...columns }) => ({
    key: text(id),
    columns: {
      ...(columns as Columns),
      grants: fromJson(grants),
      identity: fromJson(identity),
      client: fromJson(client),
      // Not known of sessions that were made before it was noted.
      ...(typeof classes === 'string' && { classes: fromJson(classes) }),
    },
  }),
  types: ['session.opened', 'session.closed', 'session.interrupted'],
  says({ at, type, payload }) {
    const { session, agent, client } = payload
    const key = text(session)
    if (type === 'session.opened') {
      const { connection, protocol, mode, purpose, grants } = payload
      const opened = { connection: text(connection), protocol: text(protocol), mode: text(mode), opened_at: at }
      const who = { agent: text((agent as { id?: unknown })?.id), identity: asValue(agent), client: asValue(client) }
      const by = grants === undefined ? null : asValue(grants)
      return { key, columns: { ...opened, ...who, purpose: orNull(purpose), grants: by, state: 'open' } }
    }
    const { state, reason, recording } = payload
    const bytes = Number((recording as { bytes?: unknown })?.bytes)
    return { key, columns: { state: text(state), closed_because: text(reason), closed_at: at, recording_bytes: bytes } }
  },
  session: ({ key }) => key,
  young({ columns }, { ahead }) {
    if (columns.in_ledger === 1) return undefined
    const what = ahead(text(columns.closed_at ?? columns.opened_at))
    return what && `is in no entry yet: ${what}`
  },
  // The one may know of its end before the other.
  mayDiffer: ({ state, in_ledger }, column, said) =>
    in_ledger === 0 &&
    ['state', 'closed_because', 'closed_at', 'recording_bytes'].includes(column) &&
    (state === 'open') !== (said.columns.state === 'open'),
  also({ key, columns }, said, { ahead, live, said: all }) {
    const { state, in_ledger, closed_at, opened_at } = columns
    for (const part of ['recording', 'approvals', 'annotations'] as const)
      if (orNull(columns[`${part}_erased_at`]) !== null && !all.get(goneOf(part), key))
        return `says that its ${part} ${part === 'recording' ? 'was' : 'were'} erased, and no deletion entry says so`
    if (orNull(columns.entries_erased_at) !== null) return 'says that its entries were erased, and they were not'
    const ended = said?.columns.state !== 'open'
    if (in_ledger === 1 && !ended) return 'says that the log has its end, and it has none'
    if (in_ledger === 0 && ended && state === 'open') {
      if (closed_at !== null) return 'is open, and has an end'
      const what = ahead(text(said?.columns.closed_at))
      return what ? { lacks: `is open, though the log has its end: ${what}` } : undefined
    }
    if (in_ledger === 0 && !ended && state !== 'open') {
      const what = ahead(text(closed_at ?? opened_at))
      return what ? { lacks: `has an end that the log has not yet: ${what}` } : undefined
    }
    if (state === 'open' && !live)
      return {
        lacks:
          'is open, and no gateway is at work: start it once, it ends the session and takes the rest of its recording into the log',
      }
    if (!ended || !said) return undefined
    const what = ahead(text(said.columns.closed_at))
    if (in_ledger === 0 && what) return { lacks: `says that the log has not its end, which it has: ${what}` }
    if (columns.recording_complete === 0 && what && !text(said.columns.closed_because).startsWith(LOST))
      return { lacks: `says that its recording has no end, which it has: ${what}` }
    return undefined
  },
}

const sha256 = (of: string) => createHash('sha256').update(of).digest('hex')

const policyVersions: Comparison = {
  table: 'policy_versions',
  what: 'policy version',
  sql: 'select version, at, files from policy_versions',
  row({ version, files }) {
    let named: unknown
    try {
      const list = JSON.parse(text(files)) as { file: string; text: string }[]
      named = list.map((one) => ({ path: one.file, sha256: sha256(one.text) }))
    } catch {
      named = 'not JSON'
    }
    return { key: text(version), columns: { files: asValue(named) } }
  },
  types: ['policy.changed'],
  says: ({ payload }) => ({ key: text(payload.version), columns: { files: asValue(payload.files) } }),
}

const annotations: Comparison = {
  table: 'annotations',
  what: 'annotation',
  sql: 'select * from annotations',
  row: ({ id, by, tags, ...columns }) => ({
    key: text(id),
    columns: { ...(columns as Columns), by: fromJson(by), tags: fromJson(tags) },
  }),
  types: ['annotation', 'annotation.withdrawn'],
  says({ at, type, payload }) {
    const key = text(payload.annotation)
    if (type === 'annotation.withdrawn')
      return { key, columns: { withdrawn_at: at, withdrawn_reason: text(payload.reason) } }
    const { session, by, from, to, tags, madeAt } = payload
    const person = text((by as { id?: unknown } | undefined)?.id)
    const noted = { session: text(session), person, by: asValue(by), text: text(payload.text), tags: asValue(tags) }
    const when = { from_ms: Number(from), to_ms: orNull(to), made_at: orNull(madeAt), received_at: at }
    return { key, columns: { ...noted, ...when, withdrawn_at: null, withdrawn_reason: null } }
  },
  session: ({ columns }) => orNull(columns.session) as string,
}

/** What an entry `playback` says of its row, in whichever of the two tables that is. */
const played =
  (where: 'gateway' | 'offline') =>
  (entry: SpokenEntry): AboutRow | undefined => {
    const { session, by, playedAt } = entry.payload
    if (entry.payload.where !== where) return undefined
    const person = text((by as { id?: unknown } | undefined)?.id)
    return where === 'offline'
      ? { key: `${session} by ${person} at ${playedAt}`, columns: { session: text(session), received_at: entry.at } }
      : { key: `${session} by ${person} at ${entry.at}`, columns: { session: text(session) } }
  }

const playbacks: Comparison = {
  table: 'playbacks',
  what: 'playback',
  sql: 'select distinct session, person, at from playbacks',
  row: ({ session, person, at }) => ({ key: `${session} by ${person} at ${at}`, columns: { session: text(session) } }),
  types: ['playback'],
  says: played('gateway'),
  madeAt: ({ key }) => key.slice(key.lastIndexOf(' ') + 1),
  session: ({ columns }) => orNull(columns.session) as string,
}

const offlinePlaybacks: Comparison = {
  table: 'offline_playbacks',
  what: 'playback',
  sql: 'select distinct session, person, played_at, received_at from offline_playbacks',
  row: ({ session, person, played_at, received_at }) => ({
    key: `${session} by ${person} at ${played_at}`,
    columns: { session: text(session), received_at: text(received_at) },
  }),
  types: ['playback'],
  says: played('offline'),
  session: ({ columns }) => orNull(columns.session) as string,
}

const legalHolds: Comparison = {
  table: 'legal_holds',
  what: 'legal hold',
  sql: 'select * from legal_holds',
  row: ({ id, by, sessions, connections, agents, lifted_by, ...columns }) => ({
    key: text(id),
    columns: {
      ...(columns as Columns),
      by: fromJson(by),
      lifted_by: fromJson(lifted_by),
      sessions: fromJson(sessions),
      connections: fromJson(connections),
      agents: fromJson(agents),
    },
  }),
  types: ['legal-hold.placed', 'legal-hold.lifted'],
  says({ at, type, payload }) {
    const { by, reason, sessions, connections, agents } = payload
    const key = text(payload.hold)
    if (type === 'legal-hold.lifted')
      return { key, columns: { lifted_by: asValue(by), lifted_reason: text(reason), lifted_at: at } }
    const of = {
      sessions: asValue(sessions ?? []),
      connections: asValue(connections ?? []),
      agents: asValue(agents ?? []),
    }
    const lifted = { lifted_by: null, lifted_reason: null, lifted_at: null }
    return { key, columns: { by: asValue(by), reason: text(reason), placed_at: at, ...of, ...lifted } }
  },
}

const retentionRuns: Comparison = {
  table: 'retention_runs',
  what: 'retention run',
  sql: 'select id, state, rule, by, entry from retention_runs',
  row: ({ id, by, ...columns }) => ({ key: text(id), columns: { ...(columns as Columns), by: fromJson(by) } }),
  types: ['deletion.run'],
  says: ({ n, payload }) => ({
    key: text(payload.run),
    columns: { rule: text(payload.rule), by: asValue(payload.by), entry: n },
  }),
  // One that was planned, and of which nothing came.
  young: ({ columns }) => (columns.state === 'planned' ? '' : undefined),
  mayDiffer: ({ state }, column) => state === 'planned' && column === 'entry',
}

export const comparisons: readonly Comparison[] = [
  sessions,
  approvals,
  decisions,
  windows,
  delegations,
  breakGlass,
  policyVersions,
  annotations,
  playbacks,
  offlinePlaybacks,
  legalHolds,
  retentionRuns,
  freezes,
  connectionVersions,
  policyTimes,
  tokens,
  grants,
  plans,
  grantSessions,
  overlays,
  backtests,
  ...registryComparisons,
  ...reviewComparisons,
]
