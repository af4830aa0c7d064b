import type { AgentRecord, PersonRecord } from '@countersign/contract/access'
import type { PersonRef, Role } from '@countersign/contract/identity'
import type { Insertable, Selectable } from 'kysely'
import type { PeopleTable } from '../../store/access-tables.ts'
import type { PersonPrincipal } from '../principal.ts'
import type { Mark } from './agent-entry.ts'

/** A person who has signed in. Never changed: who knows more makes another one. */
export interface PersonEntry {
  readonly id: string
  readonly issuer: string
  readonly subject: string
  readonly name: string
  readonly email?: string
  readonly groups: readonly string[]
  readonly roles: readonly Role[]
  readonly firstSeenAt: string
  readonly lastSeenAt: string
  readonly left?: Mark
}

/** People by whatever an agent's sponsor may be called. */
export class People {
  readonly #byId = new Map<string, PersonEntry>()
  /** Normalised e-mail addresses and subjects → ids. */
  readonly #byName = new Map<string, Set<string>>()

  get size(): number {
    return this.#byId.size
  }
  get(id: string): PersonEntry | undefined {
    return this.#byId.get(id)
  }
  all(): IterableIterator<PersonEntry> {
    return this.#byId.values()
  }

  put(entry: PersonEntry): void {
    const before = this.#byId.get(entry.id)
    if (before) for (const name of namesOf(before)) this.#drop(name, before.id)
    this.#byId.set(entry.id, entry)
    for (const name of namesOf(entry)) {
      const ids = this.#byName.get(name) ?? new Set()
      this.#byName.set(name, ids.add(entry.id))
    }
  }

  /** Those whom an id, or else an e-mail address or subject, may mean: of several nobody can say which. */
  find(name: string): PersonEntry[] {
    const one = this.#byId.get(name)
    if (one) return [one]
    return [...(this.#byName.get(normalised(name)) ?? [])].map((id) => this.#byId.get(id)!)
  }

  #drop(name: string, id: string): void {
    const ids = this.#byName.get(name)
    ids?.delete(id)
    if (ids?.size === 0) this.#byName.delete(name)
  }
}

const normalised = (name: string) =>
  name
    .normalize('NFKC')
    .trim()
    .toLowerCase()
    .replace(/^mailto:/, '')

function namesOf({ subject, email }: PersonEntry): Set<string> {
  return new Set([subject, ...(email === undefined ? [] : [email])].map(normalised))
}

/**
 * Whether somebody answers for an agent (docs/access.md, "Orphans"): the sponsor is known and there. Of several people
 * whom the name may mean one who has left is enough to ask; not to have been seen for long, all of them must share.
 */
export function answerableFor(
  sponsor: string | undefined,
  people: Pick<People, 'find'>,
  since: string,
): { sponsor?: string; sponsorName?: string; orphan?: NonNullable<AgentRecord['orphan']> } {
  if (sponsor === undefined) return { orphan: 'no-sponsor' }
  const found = people.find(sponsor)
  const [one] = found
  if (!one) return { sponsor, orphan: 'sponsor-unknown' }
  const named = { sponsor: found.length === 1 ? one.id : sponsor, sponsorName: one.name }
  const gone = found.some(({ left }) => left) || found.every(({ lastSeenAt }) => lastSeenAt < since)
  return gone ? { ...named, orphan: 'sponsor-left' } : named
}

export function samePerson(a: PersonEntry, b: PersonPrincipal): boolean {
  return (
    a.name === b.name &&
    a.email === b.email &&
    a.groups.join('\n') === b.groups.join('\n') &&
    a.roles.join('\n') === b.roles.join('\n')
  )
}

export function personSighted(before: PersonEntry | undefined, person: PersonPrincipal, at: string): PersonEntry {
  const { id, issuer, subject, name, email, groups, roles } = person
  return {
    ...{ id, issuer, subject, name, groups: [...groups], roles: [...roles] },
    ...(email !== undefined && { email }),
    firstSeenAt: before?.firstSeenAt ?? at,
    lastSeenAt: at,
    ...(before?.left && { left: before.left }),
  }
}

export function personEntryOf(row: Selectable<PeopleTable>): PersonEntry {
  const { id, issuer, subject, name, email } = row
  return {
    ...{ id, issuer, subject, name },
    ...(email !== null && { email }),
    groups: JSON.parse(row.groups) as string[],
    roles: JSON.parse(row.roles) as Role[],
    firstSeenAt: row.first_seen_at,
    lastSeenAt: row.last_seen_at,
    ...(row.left_at !== null && {
      left: { by: JSON.parse(row.left_by!) as PersonRef, reason: row.left_because!, at: row.left_at },
    }),
  }
}

export function personRowOf(entry: PersonEntry): Insertable<PeopleTable> {
  const { id, issuer, subject, name, email, left } = entry
  return {
    ...{ id, issuer, subject, name },
    email: email ?? null,
    groups: JSON.stringify(entry.groups),
    roles: JSON.stringify(entry.roles),
    first_seen_at: entry.firstSeenAt,
    last_seen_at: entry.lastSeenAt,
    left_at: left?.at ?? null,
    left_by: left ? JSON.stringify(left.by) : null,
    left_because: left?.reason ?? null,
  }
}

export function personRecordOf(entry: PersonEntry): PersonRecord {
  const { id, issuer, subject, name, email, groups, roles, firstSeenAt, lastSeenAt, left } = entry
  return {
    ...{ id, issuer, subject, name, groups: [...groups], roles: [...roles], firstSeenAt, lastSeenAt },
    ...(email !== undefined && { email }),
    ...(left && { left: { by: left.by.name, reason: left.reason, at: left.at } }),
  }
}
