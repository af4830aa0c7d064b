import { type Comparison, orNull, text } from './comparison.ts'
import { asValue, type Columns, fromJson } from './said.ts'

export const freezes: Comparison = {
  table: 'freezes',
  what: 'freeze',
  sql: 'select id, connection, by, reason, at, ended_at, ended_by, ended_because from freezes',
  row: ({ id, by, ended_by, ...columns }) => ({
    key: text(id),
    columns: { ...(columns as Columns), by: fromJson(by), ended_by: fromJson(ended_by) },
  }),
  types: ['connection.frozen', 'connection.unfrozen'],
  says({ at, type, payload: { freeze, connection, by, reason } }) {
    const key = text(freeze)
    if (type === 'connection.unfrozen')
      return { key, columns: { ended_at: at, ended_by: asValue(by), ended_because: orNull(reason) } }
    const begun = { connection: text(connection), by: asValue(by), reason: text(reason), at }
    return { key, columns: { ...begun, ended_at: null, ended_by: null, ended_because: null } }
  },
  madeAt: ({ columns }) => text(columns.at),
}

/** What was configured from when on: it answers who could do what at a time. */
export const connectionVersions: Comparison = {
  table: 'connection_versions',
  what: 'set of connections',
  sql: 'select at, connections from connection_versions',
  row: ({ at, connections }) => ({ key: text(at), columns: { connections: fromJson(connections) } }),
  types: ['connections.configured'],
  says: ({ at, payload }) => ({ key: at, columns: { connections: asValue(payload.connections) } }),
  madeAt: ({ key }) => key,
}

/** Which policy was in force from when on, by whom, and why. */
export const policyTimes: Comparison = {
  table: 'policy_times',
  what: 'time of a policy',
  sql: 'select at, version, by, reason from policy_times',
  row: ({ at, version, by, reason }) => ({
    key: text(at),
    columns: { at: text(at), version: text(version), by: fromJson(by), reason: orNull(reason) },
  }),
  types: ['policy.changed'],
  says({ at, payload }) {
    const { kind, ...by } = payload.by as Record<string, unknown>
    const who = kind === 'person' ? asValue(by) : null
    return { key: at, columns: { at, version: text(payload.version), by: who, reason: orNull(payload.reason) } }
  },
  // Times of before reasons were kept have none.
  mayDiffer: ({ reason }, column) => column === 'reason' && reason === null,
  also({ columns }, _said, { ask }) {
    const [made] = ask(`select timestamp from kysely_migration where name = '0009_reviews'`)
    const isOlder = made === undefined || text(columns.at) < text(made.timestamp)
    return columns.reason !== null || isOlder ? undefined : 'says no reason'
  },
  madeAt: ({ key }) => key,
  // A store of before this table has entries of policies whose times nobody kept.
  forgotten({ columns }, { ask }) {
    const [made] = ask(`select timestamp from kysely_migration where name = '0008_access'`)
    return made !== undefined && text(columns.at) < text(made.timestamp)
  },
}
