import type { Delegation } from '@countersign/contract/access'
import type { PersonRef } from '@countersign/contract/identity'
import type { Kysely } from 'kysely'
import type { Tables } from '../store/tables.ts'

/** A delegation as it is kept. */
export interface DelegationRow {
  id: string
  from: PersonRef & { email?: string }
  to: PersonRef
  groups: string[]
  since: string
  until: string
  reason: string
  madeAt: string
  ended: { by: { kind: 'gateway' } | ({ kind: 'person' } & PersonRef); because: string; at: string } | undefined
}

/** What is known of both sides since they last signed in. */
export interface Facts {
  /** Groups of the one who is away, as seen after they handed over; undefined: they were not seen since. */
  groupsOfFrom: string[] | undefined
  /** Who of the two has left. */
  gone: string | undefined
}

/** The groups that are handed over and that the one who is away is in, as last seen. */
export function effective({ groups, groupsOfFrom }: Pick<DelegationRow, 'groups'> & Facts): string[] {
  return groupsOfFrom === undefined ? groups : groups.filter((group) => groupsOfFrom.includes(group))
}

/** Those that have not ended, with what is known of their people. @param to only what is handed over to that person */
export async function readOpen(db: Kysely<Tables>, to?: string): Promise<(DelegationRow & Facts)[]> {
  const rows = await db
    .selectFrom('delegations')
    .leftJoin('people as away', 'away.id', 'delegations.from_person')
    .leftJoin('people as delegate', 'delegate.id', 'delegations.to_person')
    .selectAll('delegations')
    .select([
      'away.email as email',
      'away.groups as groups_of_from',
      'away.last_seen_at as from_seen',
      'away.name as from_name',
      'away.left_at as from_left',
      'delegate.name as to_name',
      'delegate.left_at as to_left',
    ])
    .where('ended_at', 'is', null)
    .$if(to !== undefined, (q) => q.where('to_person', '=', to!))
    .orderBy('since')
    .execute()
  return rows.map(({ email, groups_of_from, from_seen, from_name, from_left, to_name, to_left, ...row }) => {
    const read = rowOf(row)
    // What their token said when they handed over is newer than what was seen before.
    const seenSince = groups_of_from !== null && from_seen !== null && from_seen >= read.madeAt
    return {
      ...read,
      from: { ...read.from, ...(email === null ? {} : { email }) },
      groupsOfFrom: seenSince ? (JSON.parse(groups_of_from) as string[]) : undefined,
      gone:
        from_left !== null ? (from_name ?? read.from.name) : to_left !== null ? (to_name ?? read.to.name) : undefined,
    }
  })
}

/** Newest first. @param query before: `SINCE ID` of the last one of the page before */
export async function readRows(
  db: Kysely<Tables>,
  query: { id?: string; limit?: number; before?: string },
): Promise<DelegationRow[]> {
  const [since = '', id = ''] = query.before?.split(' ') ?? []
  const rows = await db
    .selectFrom('delegations')
    .selectAll()
    .$if(query.id !== undefined, (q) => q.where('id', '=', query.id!))
    .$if(query.before !== undefined, (q) =>
      q.where((e) => e.or([e('since', '<', since), e('since', '=', since).and('id', '<', id)])),
    )
    .orderBy('since', 'desc')
    .orderBy('id', 'desc')
    .limit(query.limit ?? 1)
    .execute()
  return rows.map(rowOf)
}

/** As people see it. */
export function delegationOf({ from, to, ended, ...row }: DelegationRow, at: Date): Delegation {
  const now = at.toISOString()
  const { id, groups, since, until, reason } = row
  const state = ended || until <= now ? 'ended' : since > now ? 'planned' : 'active'
  const ref = ({ id, issuer, subject, name }: PersonRef): PersonRef => ({ id, issuer, subject, name })
  return {
    id,
    from: ref(from),
    to: ref(to),
    groups,
    since,
    until,
    reason,
    state,
    ...(ended
      ? {
          ended: {
            by: ended.by.kind === 'person' ? ended.by.name : 'the gateway',
            reason: ended.because,
            at: ended.at,
          },
        }
      : {}),
  }
}

function rowOf(row: {
  id: string
  from_ref: string
  to_ref: string
  groups: string
  since: string
  until: string
  reason: string
  made_at: string
  ended_at: string | null
  ended_by: string | null
  ended_because: string | null
}): DelegationRow {
  return {
    id: row.id,
    from: JSON.parse(row.from_ref) as PersonRef,
    to: JSON.parse(row.to_ref) as PersonRef,
    groups: JSON.parse(row.groups) as string[],
    since: row.since,
    until: row.until,
    reason: row.reason,
    madeAt: row.made_at,
    ended:
      row.ended_at === null
        ? undefined
        : { by: JSON.parse(row.ended_by!), because: row.ended_because ?? '', at: row.ended_at },
  }
}
