import { createHash } from 'node:crypto'
import type { EntryType } from '@countersign/contract/ledger/payloads'
import { milliseconds, narrowest, unmet, type Vote } from '../approvals/quorum.ts'
import { asValue, type Columns, fromJson, outcomeOf, type Said, type SaidRows, type Value } from './said.ts'

/** An entry whose payload could be read. */
export interface SpokenEntry {
  n: number
  at: string
  type: string
  payload: Record<string, unknown>
}

export interface AboutRow {
  key: string
  columns: Columns
}

/** A look around, for what a row must be besides what was said of it. */
export interface Around {
  said: SaidRows
  /** Rows of the store that a statement answers. */
  ask(sql: string, ...values: unknown[]): Record<string, unknown>[]
  /** Milliseconds. */
  maxWindow: number
  now: string
  /** Whether a gateway is at work. */
  live: boolean
  /** Of what the store has and the log not yet, since that time: what to do; empty where it is on its way. */
  ahead(at: string): string
}

/**
 * One table of the store against the ledger. To have another table verified, add one here: name the entries that say
 * what its rows are, and the rows in the same words.
 */
export interface Comparison {
  table: string
  /** What a row is, to a person. */
  what: string
  /** Answers all rows. A store of an older version may lack columns: then nothing is compared. */
  sql: string
  row(row: Record<string, unknown>): AboutRow
  types: readonly EntryType[]
  /** What an entry says that a row is; `before`, what earlier ones said of it. */
  says(entry: SpokenEntry, before: (key: string) => Said | undefined): AboutRow | undefined
  /** The session that a row belongs to: where its entries were erased, nothing has to be said of the row. */
  session?(row: AboutRow): string | undefined
  /** Rows that no entry tells of may be there. */
  quiet?: boolean
  /** When a row was made (ISO 8601), for those of a store that is older than its log: no entry can tell of them. */
  madeAt?(row: AboutRow, around: Around): string | undefined
  /** A row that the log can't tell of yet: what is behind, in words that go on after "row X"; empty where nothing is. */
  young?(row: AboutRow, around: Around): string | undefined
  /** Columns that may differ; why, `also` looks into. */
  mayDiffer?(row: Columns, column: string, said: Said): boolean
  /** Columns that retention may have emptied, with the part that its entry then names. */
  emptied?: { part: ErasedPart; columns: Columns }
  /** What else is wrong with a row, in words that go on after "row X was changed: it"; or what it lacks, after "row X". */
  also?(row: AboutRow, said: Said | undefined, around: Around): string | { lacks: string } | undefined
}

/** What a deletion entry may take of a session, besides entries. */
export type ErasedPart = 'recording' | 'approvals' | 'annotations'
export const erasedParts: readonly ErasedPart[] = ['recording', 'approvals', 'annotations']
/** Where it is kept of which sessions a deletion entry has taken a part. */
export const goneOf = (part: ErasedPart) => `gone ${part}`

const text = (value: unknown): string => String(value)
const orNull = (value: unknown): string | number | null =>
  value === null || value === undefined ? null : typeof value === 'number' ? value : String(value)

const sessions: Comparison = {
  table: 'sessions',
  what: 'session',
  sql: 'select * from sessions',
  row: ({ id, identity, client, classes, ...columns }) => ({
    key: text(id),
    columns: {
      ...(columns as Columns),
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
      const { connection, protocol, mode, purpose } = payload
      const opened = { connection: text(connection), protocol: text(protocol), mode: text(mode), opened_at: at }
      const who = { agent: text((agent as { id?: unknown })?.id), identity: asValue(agent), client: asValue(client) }
      return { key, columns: { ...opened, ...who, purpose: orNull(purpose), state: 'open' } }
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
    if (columns.recording_complete === 0 && what)
      return { lacks: `says that its recording has no end, which it has: ${what}` }
    return undefined
  },
}

const approvals: Comparison = {
  table: 'approvals',
  what: 'approval',
  sql: `select id, state, hold, connection, protocol, agent, identity, session, purpose, text, parameters, kind, effects, digest,
    requirements, requested_at, expires_at, closed_at, closed_because, outcome from approvals`,
  row: ({ id, identity, parameters, effects, requirements, outcome, ...columns }) => ({
    key: text(id),
    columns: {
      ...(columns as Columns),
      identity: fromJson(identity),
      parameters: fromJson(parameters),
      effects: fromJson(effects),
      requirements: fromJson(requirements),
      // A gateway that was killed never came to say it.
      ...(typeof outcome === 'string' && { outcome: outcomeIn(outcome) }),
    },
  }),
  types: ['approval.opened', 'approval.closed'],
  says({ at, type, payload }, before) {
    const key = text(payload.approval)
    if (type === 'approval.closed') {
      const closed = { state: text(payload.state), closed_at: at, closed_because: orNull(payload.reason) }
      return { key, columns: closed }
    }
    const { session, connection, agent, digest, requirements, expiresAt } = payload
    return {
      key,
      columns: {
        session: text(session),
        connection: text(connection),
        agent: text(agent),
        digest: text(digest),
        requirements: asValue(requirements),
        expires_at: text(expiresAt),
        // Asked for a second time, because more people are needed now, it is still that of the first.
        requested_at: before(key)?.columns.requested_at ?? at,
      },
    }
  },
  madeAt: ({ columns }) => text(columns.requested_at),
  session: ({ columns }) => orNull(columns.session) as string,
  emptied: { part: 'approvals', columns: { text: '', parameters: '[]', effects: '[]' } },
  also({ key, columns }, said, around) {
    const { state } = columns
    if (said && said.columns.state === undefined && state !== 'pending' && state !== 'approved')
      return `says ${state}, and no entry says that it was closed`
    const opened = around.said.get('sessions', text(columns.session))?.columns
    for (const column of ['protocol', 'identity', 'purpose'] as const)
      if (opened?.[column] !== undefined && opened[column] !== columns[column])
        return `has another ${column} than its session ${columns.session}`
    if (state !== 'used' && columns.outcome !== undefined) return `says what became of its command, which never ran`
    if (state !== 'approved' && state !== 'used') return undefined
    const votes = votesOf(key, around)
    const lacking = unmet(listIn(columns.requirements), votes)
    if (lacking.length === 0) return undefined
    return `says ${state}, but ${lacking.map(({ policy }) => policy).join(', ')} asks for people who have not approved it`
  },
}

/** What is no list of JSON is none: that it was changed is told by its column. */
function listIn<T>(json: unknown): T[] {
  try {
    const list: unknown = JSON.parse(text(json))
    return Array.isArray(list) ? list : []
  } catch {
    return []
  }
}

function outcomeIn(json: string): Value {
  try {
    return outcomeOf(JSON.parse(json))
  } catch {
    return 'not JSON'
  }
}

function votesOf(approval: string, { ask }: Around): Vote[] {
  const rows = ask(
    `select person, person_name as name, person_groups as groups, window from decisions where approval = ? and verdict = 'approve' order by id`,
    approval,
  )
  return rows.map((row) => ({ ...row, groups: listIn(row.groups) }) as unknown as Vote)
}

const decisions: Comparison = {
  table: 'decisions',
  what: 'decision',
  sql: `select approval, person, person_name, person_groups, verdict, reason, window, at,
    (select session from approvals where approvals.id = approval) as session from decisions`,
  row: ({ approval, person, person_groups, ...columns }) => ({
    key: `${approval} of ${person}`,
    columns: { ...(columns as Columns), approval: text(approval), person_groups: fromJson(person_groups) },
  }),
  types: ['approval.decided'],
  says({ at, payload }) {
    const { approval, verdict, reason, window, groups } = payload
    const person = (payload.person ?? {}) as Record<string, unknown>
    const said = {
      person_name: text(person.name),
      verdict: text(verdict),
      reason: text(reason),
      window: text(window),
      at,
    }
    const inGroups = groups === undefined ? {} : { person_groups: asValue(groups) }
    return { key: `${approval} of ${person.id}`, columns: { ...said, ...inGroups, approval: text(approval) } }
  },
  madeAt: ({ columns }, { said }) =>
    said.get('approvals', text(columns.approval))?.columns.requested_at === undefined ? text(columns.at) : undefined,
  session: ({ columns }) => orNull(columns.session) as string,
}

/** Nobody tells of windows in entries of their own: they follow from approvals and the people's decisions. */
const windows: Comparison = {
  table: 'windows',
  what: 'window',
  sql: 'select approval, digest, agent, connection, session, until from windows',
  row: ({ approval, ...columns }) => ({ key: text(approval), columns: columns as Columns }),
  types: [],
  says: () => undefined,
  quiet: true,
  also({ key, columns }, _said, around) {
    const [approval] = around.ask('select state, digest, agent, connection, session from approvals where id = ?', key)
    if (approval?.state !== 'used') return 'lets a command be repeated that was never approved and used'
    for (const column of ['digest', 'agent', 'connection'] as const)
      if (approval[column] !== columns[column]) return `is for another ${column} than its approval`
    const votes = votesOf(key, around)
    const window = narrowest(
      votes.map((vote) => vote.window),
      Number.POSITIVE_INFINITY,
    )
    if (!window.repeats) return 'lets a command be repeated that was approved for once'
    if (columns.session !== (window.session ? approval.session : null))
      return 'is for other sessions than the people have said'
    const last = around.ask('select max(at) as at from decisions where approval = ?', key)[0]?.at
    const most = Number.isFinite(window.ms) ? window.ms : Math.max(around.maxWindow, milliseconds('8h'))
    const end = new Date(Date.parse(text(last)) + most).toISOString()
    const bounded = Number.isFinite(window.ms) || text(columns.until) > around.now
    return bounded && text(columns.until) > end
      ? `lasts until ${columns.until}, longer than the people have said`
      : undefined
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
  policyVersions,
  annotations,
  playbacks,
  offlinePlaybacks,
  legalHolds,
  retentionRuns,
]
