import { appendAudit } from '../store/audit.ts'
import { readHeld } from './rows.ts'
import { dueGroups, escalatedTo, nextStage } from './stages.ts'
import { say, type Tx } from './transitions.ts'

/**
 * Asks further groups where a requirement has waited so long for its people. What was decided meanwhile, or is over, is
 * left alone.
 */
export async function escalateDue(tx: Tx, at: Date): Promise<void> {
  const rows = await tx
    .selectFrom('approvals')
    .selectAll()
    .where('state', '=', 'pending')
    .where('escalates_at', '<=', at.toISOString())
    .where('expires_at', '>', at.toISOString())
    .execute()
  for (const { approval, requirements, votes, askedAt } of await readHeld(tx, rows)) {
    const due = dueGroups(requirements, votes, { askedAt, at })
    const after = requirements.map((requirement) => {
      const more = Object.hasOwn(due, requirement.policy) ? due[requirement.policy]! : []
      return more.length > 0
        ? { ...requirement, escalatedTo: [...(requirement.escalatedTo ?? []), ...more] }
        : requirement
    })
    const all = escalatedTo(after)
    await tx
      .updateTable('approvals')
      .set({
        escalated_to: all ? JSON.stringify(all) : null,
        escalates_at: nextStage(after, votes, askedAt)?.toISOString() ?? null,
      })
      .where('id', '=', approval.id)
      .execute()
    const groups = [...new Set(Object.values(due).flat())]
    if (groups.length === 0) continue
    await say(tx, 'approval.escalated', approval.id, at)
    const { id, session } = approval
    await appendAudit(
      tx,
      'approval.escalated',
      { approval: id, ...(session === '' ? {} : { session }), groups, escalatedTo: all },
      at,
    )
  }
}
