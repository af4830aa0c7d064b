import { type Comparison, orNull, text } from './comparison.ts'
import { asValue, type Columns, fromJson } from './said.ts'

/** Whose duty was handed over to whom. */
export const delegations: Comparison = {
  table: 'delegations',
  what: 'delegation',
  sql: 'select * from delegations',
  row: ({ id, from_ref, to_ref, groups, ended_by, ...columns }) => ({
    key: text(id),
    columns: {
      ...(columns as Columns),
      from_ref: fromJson(from_ref),
      to_ref: fromJson(to_ref),
      groups: fromJson(groups),
      ended_by: fromJson(ended_by),
    },
  }),
  types: ['delegation.begun', 'delegation.ended'],
  says({ at, type, payload }) {
    const key = text(payload.delegation)
    if (type === 'delegation.ended') {
      const ended = { ended_at: at, ended_by: asValue(payload.by), ended_because: text(payload.reason) }
      return { key, columns: ended }
    }
    const { from, to, groups, since, until, reason } = payload
    return {
      key,
      columns: {
        from_person: text((from as { id?: unknown } | undefined)?.id),
        from_ref: asValue(from),
        to_person: text((to as { id?: unknown } | undefined)?.id),
        to_ref: asValue(to),
        groups: asValue(groups),
        since: text(since),
        until: text(until),
        reason: text(reason),
        made_at: at,
        ended_at: null,
        ended_by: null,
        ended_because: null,
      },
    }
  },
}

/** Who decided alone in an emergency, and what others found of it. */
export const breakGlass: Comparison = {
  table: 'break_glass',
  what: 'use of break-glass',
  sql: 'select * from break_glass',
  row: ({ id, person, reviewed_by, ...columns }) => ({
    key: text(id),
    columns: { ...(columns as Columns), person: fromJson(person), reviewed_by: fromJson(reviewed_by) },
  }),
  types: ['break-glass.used', 'break-glass.reviewed'],
  says({ at, type, payload }) {
    const key = text(payload.use)
    const { verdict, reason } = payload
    if (type === 'break-glass.reviewed')
      return {
        key,
        columns: {
          reviewed_at: at,
          reviewed_by: asValue(payload.by),
          verdict: text(verdict),
          review_reason: orNull(reason),
        },
      }
    const { approval, agent, connection, person } = payload
    return {
      key,
      columns: {
        approval: text(approval),
        agent: text(agent),
        connection: text(connection),
        person: asValue(person),
        reason: text(reason),
        at,
        reviewed_at: null,
        reviewed_by: null,
        verdict: null,
        review_reason: null,
      },
    }
  },
}
