import type { AgentKey, AgentRecord } from '@countersign/contract/access'
import type { AgentRef, PersonRef } from '@countersign/contract/identity'
import type { Insertable, Selectable } from 'kysely'
import type { AgentsTable } from '../../store/access-tables.ts'
import type { AgentPrincipal } from '../principal.ts'
import type { SshKey } from './ssh-keys.ts'

/** Who an agent is to policy, whoever it acts for: what its newest token said of itself. */
export type AgentIdentity = Omit<AgentRef, 'onBehalfOf' | 'chain'>

/** A key with what is needed to check a signature by it. */
export type KeptKey = AgentKey & Pick<SshKey, 'blob'>

/** What was done to an agent or a person, by whom. */
export interface Mark {
  by: PersonRef
  reason: string
  at: string
}

/** What the registry knows of an agent. Never changed: who knows more makes another one. */
export interface AgentEntry {
  readonly id: string
  readonly issuer: string
  readonly subject: string
  /** Absent before it was seen. */
  readonly identity?: AgentIdentity
  /** What the registry was told; it goes before what tokens say. */
  readonly name?: string
  readonly owner?: string
  readonly sponsor?: string
  readonly purpose?: string
  readonly environment?: string
  readonly keys: readonly KeptKey[]
  readonly declared: boolean
  /** On whose behalf it came, the latest first. */
  readonly actsFor: readonly string[]
  readonly chain: readonly string[]
  readonly firstSeenAt?: string
  readonly lastSeenAt?: string
  readonly disabled?: Mark
}

/** So many of those on whose behalf an agent came are remembered. */
const MOST_ACTED_FOR = 20

export function identityOf({ id, issuer, subject, name, groups, owner }: AgentRef): AgentIdentity {
  return { id, issuer, subject, name, groups, ...(owner !== undefined && { owner }) }
}

/** Whether policy and people would take them for the same. */
export function sameIdentity(a: AgentIdentity, b: AgentRef): boolean {
  return (
    a.name === b.name &&
    a.owner === b.owner &&
    a.groups.length === b.groups.length &&
    a.groups.every((group, index) => group === b.groups[index])
  )
}

/** The agent after it came once more. */
export function sighted(
  entry: AgentEntry | undefined,
  agent: AgentPrincipal,
  options: { at: string; identity: boolean },
): AgentEntry {
  const { id, issuer, subject, onBehalfOf, chain } = agent
  const { at } = options
  const known = entry ?? { id, issuer, subject, keys: [], declared: false, actsFor: [], chain: [] }
  const before = known.actsFor.filter((one) => one !== onBehalfOf)
  return {
    ...known,
    ...((options.identity || !known.identity) && { identity: identityOf(agent) }),
    actsFor: onBehalfOf === undefined ? known.actsFor : [onBehalfOf, ...before].slice(0, MOST_ACTED_FOR),
    chain: [id, ...(chain ?? [])],
    firstSeenAt: known.firstSeenAt ?? at,
    lastSeenAt: at,
  }
}

export function agentEntryOf(row: Selectable<AgentsTable>): AgentEntry {
  const { id, issuer, subject, identity, name, owner, sponsor, purpose, environment } = row
  return {
    id,
    issuer,
    subject,
    ...(identity !== null && { identity: JSON.parse(identity) as AgentIdentity }),
    ...(name !== null && { name }),
    ...(owner !== null && { owner }),
    ...(sponsor !== null && { sponsor }),
    ...(purpose !== null && { purpose }),
    ...(environment !== null && { environment }),
    keys: JSON.parse(row.keys) as KeptKey[],
    declared: row.declared === 1,
    actsFor: JSON.parse(row.acts_for) as string[],
    chain: JSON.parse(row.chain) as string[],
    ...(row.first_seen_at !== null && { firstSeenAt: row.first_seen_at }),
    ...(row.last_seen_at !== null && { lastSeenAt: row.last_seen_at }),
    ...(row.disabled_at !== null && {
      disabled: { by: JSON.parse(row.disabled_by!) as PersonRef, reason: row.disabled_because!, at: row.disabled_at },
    }),
  }
}

export function agentRowOf(entry: AgentEntry): Insertable<AgentsTable> {
  const { id, issuer, subject, identity, name, owner, sponsor, purpose, environment, disabled } = entry
  return {
    id,
    issuer,
    subject,
    identity: identity ? JSON.stringify(identity) : null,
    name: name ?? null,
    owner: owner ?? null,
    sponsor: sponsor ?? null,
    purpose: purpose ?? null,
    environment: environment ?? null,
    keys: JSON.stringify(entry.keys),
    declared: entry.declared ? 1 : 0,
    acts_for: JSON.stringify(entry.actsFor),
    chain: JSON.stringify(entry.chain),
    first_seen_at: entry.firstSeenAt ?? null,
    last_seen_at: entry.lastSeenAt ?? null,
    disabled_at: disabled?.at ?? null,
    disabled_by: disabled ? JSON.stringify(disabled.by) : null,
    disabled_because: disabled?.reason ?? null,
  }
}

/** What people see, beside what others count. */
export type Counted = Pick<AgentRecord, 'connections' | 'openSessions' | 'liveGrants'>

export function agentRecordOf(
  entry: AgentEntry,
  counted: Counted,
  answerable: { sponsor?: string; sponsorName?: string; orphan?: NonNullable<AgentRecord['orphan']> },
): AgentRecord {
  const { id, issuer, subject, identity, purpose, environment, disabled, firstSeenAt, lastSeenAt } = entry
  const owner = entry.owner ?? identity?.owner
  return {
    id,
    issuer,
    subject,
    name: nameOf(entry),
    groups: identity?.groups ?? [],
    ...(owner !== undefined && { owner }),
    ...answerable,
    ...(purpose !== undefined && { purpose }),
    ...(environment !== undefined && { environment }),
    declared: entry.declared,
    state: disabled ? 'disabled' : 'active',
    ...(disabled && { disabled: { by: disabled.by.name, reason: disabled.reason, at: disabled.at } }),
    actsFor: [...entry.actsFor],
    chain: [...entry.chain],
    keys: entry.keys.map(({ blob: _, ...key }) => key),
    ...(firstSeenAt !== undefined && { firstSeenAt }),
    ...(lastSeenAt !== undefined && { lastSeenAt }),
    ...counted,
  }
}

export const nameOf = ({ name, identity, subject }: AgentEntry): string => name ?? identity?.name ?? subject
