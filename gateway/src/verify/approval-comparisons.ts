import { type Asked, milliseconds, narrowest, unmet, type Vote } from '../approvals/quorum.ts'
import { voteOf } from '../approvals/rows.ts'
import type { DecisionRow } from '../store/tables.ts'
import { type Around, type Comparison, orNull, text } from './comparison.ts'
import { asValue, type Columns, fromJson, outcomeOf, type Value } from './said.ts'

export const approvals: Comparison = {
  table: 'approvals',
  what: 'approval',
  sql: `select id, state, hold, connection, protocol, agent, identity, session, purpose, text, parameters, kind, effects, digest,
    requirements, access, escalated_to, requested_at, expires_at, closed_at, closed_because, outcome from approvals`,
  row: ({ id, identity, parameters, effects, requirements, access, escalated_to, outcome, ...columns }) => ({
    key: text(id),
    columns: {
      ...(columns as Columns),
      identity: fromJson(identity),
      parameters: fromJson(parameters),
      effects: fromJson(effects),
      requirements: fromJson(requirements),
      access: fromJson(access),
      escalated_to: fromJson(escalated_to),
      // A gateway that was killed never came to say it.
      ...(typeof outcome === 'string' && { outcome: outcomeIn(outcome) }),
    },
  }),
  types: ['approval.opened', 'approval.escalated', 'approval.closed'],
  says({ at, type, payload }, before) {
    const key = text(payload.approval)
    if (type === 'approval.escalated') return { key, columns: { escalated_to: asValue(payload.escalatedTo) } }
    if (type === 'approval.closed') {
      const closed = { state: text(payload.state), closed_at: at, closed_because: orNull(payload.reason) }
      return { key, columns: closed }
    }
    const { session, connection, agent, digest, requirements, expiresAt } = payload
    return {
      key,
      columns: {
        session: text(session ?? ''),
        connection: text(connection),
        agent: text(agent),
        digest: text(digest),
        requirements: asValue(requirements),
        escalated_to: payload.escalatedTo === undefined ? null : asValue(payload.escalatedTo),
        expires_at: text(expiresAt),
        // Asked for a second time, because more people are needed now, it is still that of the first.
        requested_at: before(key)?.columns.requested_at ?? at,
        ...shownIn(payload),
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
    if (columns.access !== null && columns.outcome !== undefined)
      return 'says what became of a command, and is of access'
    if (state !== 'used' && columns.outcome !== undefined) return `says what became of its command, which never ran`
    if (state !== 'approved' && state !== 'used') return undefined
    const votes = votesOf(key, around)
    const lacking = unmet(askedOf(columns), votes)
    if (lacking.length === 0) return undefined
    return `says ${state}, but ${lacking.map(({ policy }) => policy).join(', ')} asks for people who have not approved it`
  },
}

/** What people were shown where access is asked for: of commands the recordings have it. */
function shownIn({ shown }: Record<string, unknown>): Columns {
  if (shown === undefined) return { access: null }
  const { identity, purpose, access, text: words, parameters, kind, effects } = shown as Record<string, unknown>
  return {
    protocol: 'access',
    hold: 'fail',
    identity: asValue(identity),
    purpose: orNull(purpose),
    access: asValue(access),
    text: text(words),
    parameters: asValue(parameters),
    kind: text(kind),
    effects: asValue(effects),
  }
}

/** What was asked for, with the groups to which it escalated. */
function askedOf({ requirements, escalated_to }: Columns): Asked[] {
  const [escalated = {}] = listIn<Record<string, string[]>>(`[${text(escalated_to ?? '{}')}]`)
  return listIn<Asked>(requirements).map((one) => ({ ...one, escalatedTo: escalated[one.policy] }))
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
  // All columns: a store of an older version lacks some.
  const rows = ask(`select * from decisions where approval = ? and verdict = 'approve' order by id`, approval)
  return rows.map(({ person_groups, in_place_of, ...row }) =>
    voteOf({
      ...(row as unknown as DecisionRow),
      person_groups: JSON.stringify(listIn(person_groups)),
      in_place_of: in_place_of === null || in_place_of === undefined ? null : JSON.stringify(listIn(in_place_of)),
    }),
  )
}

export const decisions: Comparison = {
  table: 'decisions',
  what: 'decision',
  sql: `select approval, person, person_name, person_groups, verdict, reason, window, at, in_place_of, break_glass,
    (select session from approvals where approvals.id = approval) as session from decisions`,
  row: ({ approval, person, person_groups, in_place_of, ...columns }) => ({
    key: `${approval} of ${person}`,
    columns: {
      ...(columns as Columns),
      approval: text(approval),
      person_groups: fromJson(person_groups),
      in_place_of: fromJson(in_place_of),
    },
  }),
  types: ['approval.decided'],
  says({ at, payload }) {
    const { approval, verdict, reason, window, groups, handedOver, breakGlass } = payload
    const person = (payload.person ?? {}) as Record<string, unknown>
    const said = {
      person_name: text(person.name),
      verdict: text(verdict),
      reason: text(reason),
      window: text(window),
      at,
      in_place_of: handedOver === undefined ? null : asValue(handedOver),
      break_glass: breakGlass === true ? 1 : 0,
    }
    const inGroups = groups === undefined ? {} : { person_groups: asValue(groups) }
    return { key: `${approval} of ${person.id}`, columns: { ...said, ...inGroups, approval: text(approval) } }
  },
  madeAt: ({ columns }, { said }) =>
    said.get('approvals', text(columns.approval))?.columns.requested_at === undefined ? text(columns.at) : undefined,
  session: ({ columns }) => orNull(columns.session) as string,
}

/** Nobody tells of windows in entries of their own: they follow from approvals and the people's decisions. */
export const windows: Comparison = {
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
