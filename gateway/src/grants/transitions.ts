import type { Doer, Grant, GrantState } from '@countersign/contract/access'
import type { PersonRef } from '@countersign/contract/identity'
import type { Actor } from '@countersign/contract/ledger/payloads'
import type { Transaction, Updateable } from 'kysely'
import { agentRef, type Principal, personRef } from '../identity/principal.ts'
import type { GrantsTable } from '../store/access-tables.ts'
import { appendAudit } from '../store/audit.ts'
import { appendFeed } from '../store/feed.ts'
import type { Tables } from '../store/tables.ts'
import { type NewGrantRow, readGrant } from './rows.ts'

export type Tx = Transaction<Tables>

/** Whose doing a transition is. */
export type By = Actor

export const theGateway: By = { kind: 'gateway' }

/** What is said of a grant that has come into a state. */
const saidOf = {
  requested: 'grant.requested',
  active: 'grant.activated',
  denied: 'grant.denied',
  expired: 'grant.expired',
  revoked: 'grant.revoked',
} as const satisfies Record<GrantState, string>

/** Writes a new grant down, in whatever state it is from the start. */
export async function insertGrant(tx: Tx, row: NewGrantRow, by: By, at: Date): Promise<Grant> {
  await tx.insertInto('grants').values(row).execute()
  return say(tx, row.id, by, at)
}

/**
 * Moves a grant from one state into another: compare and set.
 * @returns what it is then; undefined where it was in none of these states
 */
export async function moveGrant(
  tx: Tx,
  id: string,
  from: readonly GrantState[],
  to: Updateable<GrantsTable> & { state: GrantState },
  by: By,
  at: Date,
): Promise<Grant | undefined> {
  const { numUpdatedRows } = await tx
    .updateTable('grants')
    .set(to)
    .where('id', '=', id)
    .where('state', 'in', [...from])
    .executeTakeFirst()
  return numUpdatedRows === 1n ? say(tx, id, by, at) : undefined
}

/** Columns of a grant that has ended. */
export function ended(state: 'expired' | 'revoked' | 'denied', by: By, because: string, at: string) {
  return { state, ended_at: at, ended_by: JSON.stringify(doerOf(by)), ended_because: because }
}

/** Puts a grant, as it is by now, on the feed and into the ledger: all that tells who could do what, and why. */
async function say(tx: Tx, id: string, by: By, at: Date): Promise<Grant> {
  const grant = (await readGrant(tx, id))!
  const type = saidOf[grant.state]
  await appendFeed(tx, type, grant, at)
  const { id: _, state: __, endedBecause, sessions: ___, lastUsedAt: ____, ...said } = grant
  await appendAudit(
    tx,
    type,
    {
      grant: id,
      ...said,
      // A plan has no entries but those of its grants.
      ...(grant.plan === undefined ? {} : { planTitle: await titleOf(tx, grant.plan) }),
      by,
      ...(endedBecause === undefined ? {} : { reason: endedBecause }),
    },
    at,
  )
  return grant
}

async function titleOf(tx: Tx, plan: string): Promise<string> {
  return (await tx.selectFrom('plans').select('title').where('id', '=', plan).executeTakeFirstOrThrow()).title
}

export function actorOf(principal: Principal): By {
  return principal.kind === 'agent'
    ? { kind: 'agent', ...agentRef(principal) }
    : { kind: 'person', ...personRef(principal) }
}

/** A person by the id that a decision has of them. */
export function personById(id: string, name: string): By {
  const at = id.indexOf('#')
  const person: PersonRef = { id, issuer: id.slice(0, Math.max(at, 0)), subject: id.slice(at + 1), name }
  return { kind: 'person', ...person }
}

export function doerOf(by: By): Doer {
  if (by.kind === 'gateway') return { kind: 'gateway', id: '', name: 'the gateway' }
  return { kind: by.kind, id: by.id, name: by.name }
}
