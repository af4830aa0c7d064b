import type { Delegation } from '@countersign/contract/access'
import type { PersonRef } from '@countersign/contract/identity'
import type { Kysely } from 'kysely'
import type { Duty } from '../identity/principal.ts'
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

/** Whose duty is a person's at a time, by delegations that have not ended. */
export function dutiesAt(rows: readonly (DelegationRow & Facts)[], person: string, at: Date): Duty[] {
  const time = at.toISOString()
  return rows
    .filter((row) => row.to.id === person && row.since <= time && time < row.until)
    .filter((row) => row.gone === undefined)
    .map((row) => ({ delegation: row.id, from: row.from, groups: effective(row) }))
    .filter(({ groups }) => groups.length > 0)
}

/** The same, as the store says it: what deciding goes by. */
export async function dutiesIn(db: Kysely<Tables>, person: string, at: Date): Promise<Duty[]> {
  return dutiesAt(await readOpen(db, person), person, at)
}

/** Those that have not ended, with what is known of their people. @param to only what is handed over to that person */
export async function readOpen(db: Kysely<Tables>, to?: string): Promise<(DelegationRow & Facts)[]> {
  const rows = await known(db)
    .where('ended_at', 'is', null)
    .$if(to !== undefined, (q) => q.where('to_person', '=', to!))
    .orderBy('since')
    .execute()
  return rows.map(rowOf)
}

/** Newest first. @param query before: `SINCE ID` of the last one of the page before */
export async function readRows(
  db: Kysely<Tables>,
  query: { id?: string; limit?: number; before?: string },
): Promise<(DelegationRow & Facts)[]> {
  const [since = '', id = ''] = query.before?.split(' ') ?? []
  const rows = await known(db)
    .$if(query.id !== undefined, (q) => q.where('delegations.id', '=', query.id!))
    .$if(query.before !== undefined, (q) =>
      q.where((e) => e.or([e('since', '<', since), e('since', '=', since).and('delegations.id', '<', id)])),
    )
    .orderBy('since', 'desc')
    .orderBy('delegations.id', 'desc')
    .limit(query.limit ?? 1)
    .execute()
  return rows.map(rowOf)
}

function known(db: Kysely<Tables>) {
  return db
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
}

/** As people see it: while it goes on, with the groups that count. */
export function delegationOf({ from, to, ended, ...row }: DelegationRow & Facts, at: Date): Delegation {
  const now = at.toISOString()
  const { id, since, until, reason } = row
  const state = ended || until <= now ? 'ended' : since > now ? 'planned' : 'active'
  const ref = ({ id, issuer, subject, name }: PersonRef): PersonRef => ({ id, issuer, subject, name })
  const by = ended?.by.kind === 'person' ? ended.by.name : 'the gateway'
  return {
    id,
    from: ref(from),
    to: ref(to),
    groups: state === 'ended' ? row.groups : effective(row),
    since,
    until,
    reason,
    state,
    ...(ended ? { ended: { by, reason: ended.because, at: ended.at } } : {}),
  }
}

function rowOf(row: Awaited<ReturnType<ReturnType<typeof known>['execute']>>[number]): DelegationRow & Facts {
  const from = JSON.parse(row.from_ref) as PersonRef
  const to = JSON.parse(row.to_ref) as PersonRef
  // What their token said when they handed over is newer than what was seen before.
  const seenSince = row.groups_of_from !== null && row.from_seen !== null && row.from_seen >= row.made_at
  return {
    id: row.id,
    from: { ...from, ...(row.email === null ? {} : { email: row.email }) },
    to,
    groups: JSON.parse(row.groups) as string[],
    since: row.since,
    until: row.until,
    reason: row.reason,
    madeAt: row.made_at,
    ended:
      row.ended_at === null
        ? undefined
        : { by: JSON.parse(row.ended_by!), because: row.ended_because ?? '', at: row.ended_at },
    groupsOfFrom: seenSince ? (JSON.parse(row.groups_of_from!) as string[]) : undefined,
    gone:
      row.from_left !== null
        ? (row.from_name ?? from.name)
        : row.to_left !== null
          ? (row.to_name ?? to.name)
          : undefined,
  }
}
