import type { AccessAsked } from '@countersign/contract/access'
import type { Approval } from '@countersign/contract/approval'
import type { AgentRef } from '@countersign/contract/identity'
import type { ConnectionRef, Effect } from '../gate/command.ts'
import type { Stage } from '../policy/escalation.ts'
import type { Requirement } from '../policy/policy.ts'
import { type ApprovalLimits, mayOpen } from './approvals.ts'
import { type Held, newRow } from './rows.ts'
import { close, sayOpened, type Tx } from './transitions.ts'

/** A request for access that people are to decide. It waits on no connection, so it outlives a restart. */
export interface AccessRequest {
  /** Whose access it is, or who planned it. */
  identity: AgentRef
  connection: ConnectionRef
  /** In clear words: what, on what, how long, for whom, what for. */
  text: string
  purpose: string
  /** `sha256:HEX` over everything that counts. */
  digest: string
  effects: Effect[]
  requirements: Requirement[]
  access: AccessAsked
}

/**
 * Opens an approval of access, in the transaction that writes down what is asked for.
 * @param id of the approval
 * @param bounds expires: how long people have to decide (ms); escalate: who is asked when, where policy doesn't say
 * @throws ApprovalsFull
 */
export async function openAccess(
  tx: Tx,
  id: string,
  { identity, connection, text, purpose, digest, effects, requirements, access }: AccessRequest,
  at: Date,
  bounds: ApprovalLimits & { expires: number; escalate?: Stage[] },
): Promise<Approval> {
  await mayOpen(tx, identity.id, bounds)
  const command = {
    protocol: 'access' as const,
    connection,
    agent: { ...identity, kind: 'agent' as const, expiresAt: at },
    session: { id: '', purpose },
    text,
    parameters: [],
    kind: 'request',
    effects,
    meaning: {},
  }
  const row = newRow(id, { command, digest, requirements, hold: 'fail' }, at, bounds)
  await tx
    .insertInto('approvals')
    .values({ ...row, access: JSON.stringify(access) })
    .execute()
  return (await sayOpened(tx, id, at)).approval
}

/** The pending approval of the same access, asked for by the same one. */
export async function findPendingAccess(tx: Tx, digest: string, at: Date): Promise<string | undefined> {
  const row = await tx
    .selectFrom('approvals')
    .select('id')
    .where('digest', '=', digest)
    .where('protocol', '=', 'access')
    .where('state', '=', 'pending')
    .where('expires_at', '>', at.toISOString())
    .executeTakeFirst()
  return row?.id
}

/** approved → used, in the transaction that gives the access; false where it isn't approved any more, or too late. */
export async function useAccess(tx: Tx, { approval, useBy }: Held, at: Date): Promise<boolean> {
  if (!useBy || useBy <= at) return false
  return close(tx, approval.id, ['approved'], { state: 'used', because: null, at })
}

/** Ends an approval of access that was not used, in the transaction that ends what was asked for. */
export async function cancelAccess(tx: Tx, id: string, because: string, at: Date): Promise<boolean> {
  return close(tx, id, ['pending', 'approved'], { state: 'cancelled', because, at })
}

/**
 * Ends what an agent has asked people for and may come back with, in the transaction that ends its access. What waits on
 * a connection ends with that.
 * @param because in words, without a full stop
 */
export async function cancelAllOf(tx: Tx, agent: string, because: string, at: Date): Promise<void> {
  const asked = await tx
    .selectFrom('approvals')
    .select('id')
    .where('agent', '=', agent)
    .where('protocol', '!=', 'access')
    .where('hold', '=', 'fail')
    .where('state', 'in', ['pending', 'approved'])
    .execute()
  for (const { id } of asked) await close(tx, id, ['pending', 'approved'], { state: 'cancelled', because, at })
}
