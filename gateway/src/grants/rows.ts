import { randomBytes } from 'node:crypto'
import type { Doer, Grant, Plan } from '@countersign/contract/access'
import type { AgentRef } from '@countersign/contract/identity'
import type { Insertable, Kysely, Selectable } from 'kysely'
import type { GrantsTable, PlansTable } from '../store/access-tables.ts'
import type { Tables } from '../store/tables.ts'
import type { Asked } from './asked.ts'

export type GrantRow = Selectable<GrantsTable>
export type NewGrantRow = Insertable<GrantsTable>
export type PlanRow = Selectable<PlansTable>

type Given = Grant['approvedBy'][number]

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz'
/** SQLite takes 32,766 values in a statement. */
const AT_ONCE = 500

/** `gr_` or `pl_` and 16 characters of Crockford's base32: 80 random bits. */
export function newId(prefix: 'gr' | 'pl'): string {
  return `${prefix}_${Array.from(randomBytes(16), (byte) => CROCKFORD[byte & 31]).join('')}`
}

/** A grant before anything was decided of it. */
export function newGrantRow(
  id: string,
  asked: Asked,
  who: { identity: AgentRef; tags: readonly string[]; by: Doer; at: Date },
): NewGrantRow {
  const { identity, tags, by, at } = who
  return {
    id,
    state: 'requested',
    connection: asked.connection,
    connection_tags: JSON.stringify(tags),
    agent: identity.id,
    on_behalf_of: identity.onBehalfOf ?? '',
    identity: JSON.stringify(identity),
    actions: JSON.stringify(asked.actions),
    resources: asked.resources ? JSON.stringify(asked.resources) : null,
    duration: asked.duration,
    seconds: asked.seconds,
    purpose: asked.purpose,
    requested_at: at.toISOString(),
    requested_by: JSON.stringify(by),
    requester: by.id,
    policies: '[]',
  }
}

/** Grants as others see them, in the order of `rows`. */
export async function readGrants(db: Kysely<Tables>, rows: readonly GrantRow[]): Promise<Grant[]> {
  const approvals = [...new Set(rows.flatMap(({ approval }) => approval ?? []))]
  const given = new Map<string, Given[]>()
  const alone = new Set<string>()
  for (let from = 0; from < approvals.length; from += AT_ONCE) {
    const decisions = await db
      .selectFrom('decisions')
      .select(['approval', 'person', 'person_name', 'reason', 'at', 'break_glass'])
      .where('approval', 'in', approvals.slice(from, from + AT_ONCE))
      .where('verdict', '=', 'approve')
      .orderBy('id')
      .execute()
    for (const { approval, person, person_name, reason, at, break_glass } of decisions) {
      const all = given.get(approval) ?? []
      given.set(approval, all)
      all.push({ person: person_name, personId: person, reason, at })
      if (break_glass) alone.add(approval)
    }
  }
  return rows.map((row) => {
    const approval = row.approval ?? ''
    return grantOf(row, given.get(approval) ?? [], alone.has(approval))
  })
}

function grantOf(row: GrantRow, approvedBy: Given[], breakGlass: boolean): Grant {
  return {
    id: row.id,
    state: row.state,
    connection: row.connection,
    connectionTags: JSON.parse(row.connection_tags),
    agent: row.agent,
    identity: JSON.parse(row.identity),
    actions: JSON.parse(row.actions),
    ...(row.resources === null ? {} : { resources: JSON.parse(row.resources) }),
    duration: row.duration,
    seconds: row.seconds,
    purpose: row.purpose,
    ...(row.plan === null ? {} : { plan: row.plan }),
    ...(row.step === null ? {} : { step: JSON.parse(row.step) }),
    ...(row.extends === null ? {} : { extends: row.extends }),
    requestedAt: row.requested_at,
    requestedBy: JSON.parse(row.requested_by),
    ...(row.approval === null ? {} : { approval: row.approval }),
    approvedBy,
    policies: JSON.parse(row.policies),
    ...(breakGlass ? { breakGlass } : {}),
    ...(row.active_from === null ? {} : { activeFrom: row.active_from }),
    ...(row.expires_at === null ? {} : { expiresAt: row.expires_at }),
    ...(row.ended_at === null ? {} : { endedAt: row.ended_at }),
    ...(row.ended_by === null ? {} : { endedBy: JSON.parse(row.ended_by) }),
    ...(row.ended_because === null ? {} : { endedBecause: row.ended_because }),
    sessions: row.sessions,
    ...(row.last_used_at === null ? {} : { lastUsedAt: row.last_used_at }),
  }
}

export async function readGrant(db: Kysely<Tables>, id: string): Promise<Grant | undefined> {
  const row = await db.selectFrom('grants').selectAll().where('id', '=', id).executeTakeFirst()
  return row && (await readGrants(db, [row]))[0]
}

/** Plans with their grants, in the order of `rows`. */
export async function readPlans(db: Kysely<Tables>, rows: readonly PlanRow[]): Promise<Plan[]> {
  const found: GrantRow[] = []
  for (let from = 0; from < rows.length; from += AT_ONCE) {
    const some = rows.slice(from, from + AT_ONCE).map(({ id }) => id)
    found.push(...(await db.selectFrom('grants').selectAll().where('plan', 'in', some).execute()))
  }
  const byPlan = Map.groupBy(await readGrants(db, found), ({ plan }) => plan!)
  return rows.map((row) => {
    const grants = (byPlan.get(row.id) ?? []).sort((a, b) => (a.step?.number ?? 0) - (b.step?.number ?? 0))
    return {
      id: row.id,
      state: stateOfPlan(grants),
      title: row.title,
      purpose: row.purpose,
      requestedAt: row.requested_at,
      requestedBy: JSON.parse(row.requested_by),
      ...(row.approval === null ? {} : { approval: row.approval }),
      grants,
    }
  })
}

/** A plan's state follows those of its grants, which are decided as one and end one by one. */
export function stateOfPlan(grants: readonly Pick<Grant, 'state'>[]): Plan['state'] {
  const some = (state: Grant['state']) => grants.some((grant) => grant.state === state)
  if (some('requested')) return 'requested'
  if (some('active')) return 'active'
  return grants.every(({ state }) => state === 'denied') ? 'denied' : 'ended'
}
