import { type Comparison, orNull, type SpokenEntry, text } from './comparison.ts'
import { asValue, type Columns, fromJson, type Value } from './said.ts'

const types = ['grant.requested', 'grant.activated', 'grant.denied', 'grant.expired', 'grant.revoked'] as const

/** In which state an entry says that a grant is from then on. */
const stateBy: Record<string, string> = {
  'grant.requested': 'requested',
  'grant.activated': 'active',
  'grant.denied': 'denied',
  'grant.expired': 'expired',
  'grant.revoked': 'revoked',
}

const orNone = (json: unknown): Value => (json === undefined || json === null ? null : asValue(json))

/** Who could do what, since when and until when: each entry tells all of it. */
export const grants: Comparison = {
  table: 'grants',
  what: 'grant',
  sql: 'select * from grants',
  row({ id, connection_tags, identity, actions, resources, step, requested_by, policies, ended_by, ...columns }) {
    // Whoever works behind a grant is told by the sessions.
    const { sessions, last_used_at, ...rest } = columns as Columns
    return {
      key: text(id),
      columns: {
        ...rest,
        connection_tags: fromJson(connection_tags),
        identity: fromJson(identity),
        actions: fromJson(actions),
        resources: fromJson(resources),
        step: fromJson(step),
        requested_by: fromJson(requested_by),
        policies: fromJson(policies),
        ended_by: fromJson(ended_by),
        used: `${sessions} until ${last_used_at}`,
      },
    }
  },
  types,
  says({ type, payload }) {
    const { identity, requestedBy } = payload as Record<'identity' | 'requestedBy', Record<string, unknown> | undefined>
    return {
      key: text(payload.grant),
      columns: {
        state: stateBy[type]!,
        connection: text(payload.connection),
        connection_tags: orNone(payload.connectionTags),
        agent: text(payload.agent),
        on_behalf_of: text(identity?.onBehalfOf ?? ''),
        identity: orNone(identity),
        actions: orNone(payload.actions),
        resources: orNone(payload.resources),
        duration: text(payload.duration),
        seconds: Number(payload.seconds),
        purpose: text(payload.purpose),
        plan: orNull(payload.plan),
        step: orNone(payload.step),
        extends: orNull(payload.extends),
        requested_at: text(payload.requestedAt),
        requested_by: orNone(requestedBy),
        requester: text(requestedBy?.id),
        approval: orNull(payload.approval),
        policies: orNone(payload.policies),
        active_from: orNull(payload.activeFrom),
        expires_at: orNull(payload.expiresAt),
        ended_at: orNull(payload.endedAt),
        ended_by: orNone(payload.endedBy),
        ended_because: orNull(payload.reason),
      },
    }
  },
  also({ key, columns }, _said, { ask }) {
    const [used] = ask('select count(*) as many, max(at) as last from grant_sessions where "grant" = ?', key)
    const [many, until] = text(columns.used).split(' until ')
    if (Number(many) !== Number(used?.many)) return `says that ${many} sessions used it, and ${used?.many} did`
    const last = used?.last === null ? 'null' : text(used?.last)
    if ((until === 'null') !== (last === 'null') || (last !== 'null' && text(until) < last))
      return 'says another time of its last use than its sessions do'
    return undefined
  },
}

/** Plans are told of by the entries of their grants. */
export const plans: Comparison = {
  table: 'plans',
  what: 'plan',
  sql: 'select * from plans',
  row: ({ id, requested_by, ...columns }) => ({
    key: text(id),
    columns: { ...(columns as Columns), requested_by: fromJson(requested_by) },
  }),
  types,
  says({ payload }: SpokenEntry) {
    if (payload.plan === undefined) return undefined
    return {
      key: text(payload.plan),
      columns: {
        title: text(payload.planTitle),
        purpose: text(payload.purpose),
        requested_at: text(payload.requestedAt),
        requested_by: orNone(payload.requestedBy),
        approval: orNull(payload.approval),
      },
    }
  },
}

/** Which sessions used a grant: told by no entry, but they must be sessions of its agent on its connection. */
export const grantSessions: Comparison = {
  table: 'grant_sessions',
  what: 'use of a grant',
  sql: 'select "grant", session, at from grant_sessions',
  row: ({ grant, session, at }) => ({
    key: `${grant} by ${session}`,
    columns: { grant: text(grant), session: text(session), at: text(at) },
  }),
  types: [],
  says: () => undefined,
  quiet: true,
  also({ columns }, _said, { ask }) {
    const [session] = ask('select agent, connection, opened_at from sessions where id = ?', columns.session)
    const [grant] = ask('select agent, connection, active_from from grants where id = ?', columns.grant)
    if (!session || !grant) return `is of a ${session ? 'grant' : 'session'} that is not there`
    if (session.agent !== grant.agent || session.connection !== grant.connection)
      return 'is by a session of another agent, or on another connection'
    if (grant.active_from === null || text(columns.at) < text(grant.active_from)) return 'is of before the grant began'
    return undefined
  },
}
