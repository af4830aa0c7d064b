import type { ApprovalState } from '@countersign/contract/approval'
import type { Kysely, Transaction, Updateable } from 'kysely'
import { appendAudit } from '../store/audit.ts'
import { appendFeed } from '../store/feed.ts'
import type { ApprovalsTable, Tables } from '../store/tables.ts'
import { type Held, readHeld } from './rows.ts'
import { escalatedTo } from './stages.ts'

export type Tx = Transaction<Tables>

export async function readApproval(db: Kysely<Tables>, id: string): Promise<Held | undefined> {
  const row = await db.selectFrom('approvals').selectAll().where('id', '=', id).executeTakeFirst()
  return row && (await readHeld(db, [row]))[0]
}

/** Puts an approval, as it is by now, on the feed. */
export async function say(
  tx: Tx,
  type: 'approval.opened' | 'approval.decided' | 'approval.closed' | 'approval.escalated' | 'approval.outcome',
  id: string,
  at: Date,
): Promise<Held> {
  const held = (await readApproval(tx, id))!
  await appendFeed(tx, type, held.approval, at)
  return held
}

/** Puts an approval that waits for people on the feed and into the ledger: a new one, or one of which more is asked now. */
export async function sayOpened(tx: Tx, id: string, at: Date): Promise<Held> {
  const held = await say(tx, 'approval.opened', id, at)
  const { connection, agent, identity, purpose, session, access, command, expiresAt } = held.approval
  const escalated = escalatedTo(held.requirements)
  await appendAudit(
    tx,
    'approval.opened',
    {
      approval: id,
      ...(session === '' ? {} : { session }),
      // What a command is stands in its recording; of access nothing else has what people were shown.
      ...(access ? { grants: access.grants, shown: { ...command, identity, purpose, access } } : {}),
      connection,
      agent,
      digest: command.digest,
      requirements: held.requirements.map(({ escalatedTo: _, ...requirement }) => requirement),
      expiresAt,
      ...(escalated ? { escalatedTo: escalated } : {}),
    },
    at,
  )
  return held
}

/** Puts an approval that has ended on the feed and into the ledger. */
export async function sayClosed(
  tx: Tx,
  id: string,
  to: { state: Exclude<ApprovalState, 'pending'>; because: string | null; at: Date },
): Promise<Held> {
  const held = await say(tx, 'approval.closed', id, to.at)
  const { session } = held.approval
  await appendAudit(
    tx,
    'approval.closed',
    {
      approval: id,
      ...(session === '' ? {} : { session }),
      state: to.state,
      ...(to.because === null ? {} : { reason: to.because }),
    },
    to.at,
  )
  return held
}

/** Compare and set: true for whoever came first. */
export async function move(
  tx: Tx,
  id: string,
  from: ApprovalState[],
  to: Updateable<ApprovalsTable>,
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('approvals')
    .set(to)
    .where('id', '=', id)
    .where('state', 'in', from)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/** Ends an approval that is in one of these states, and says so; false where it is in none of them. */
export async function close(
  tx: Tx,
  id: string,
  from: ApprovalState[],
  to: { state: Exclude<ApprovalState, 'pending'>; because: string | null; at: Date },
): Promise<boolean> {
  const closed = { state: to.state, closed_at: to.at.toISOString(), closed_because: to.because, escalates_at: null }
  if (!(await move(tx, id, from, closed))) return false
  await sayClosed(tx, id, to)
  return true
}

/** Cancels everything that waits on a connection. */
export async function cancelWaitingOnes(tx: Tx, because: string, at: Date): Promise<void> {
  const waiting = await tx
    .selectFrom('approvals')
    .select('id')
    .where('hold', '=', 'wait')
    .where('state', 'in', ['pending', 'approved'])
    .execute()
  for (const { id } of waiting) await close(tx, id, ['pending', 'approved'], { state: 'cancelled', because, at })
}
