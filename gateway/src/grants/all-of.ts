import type { Grant } from '@countersign/contract/access'
import { cancelAccess } from '../approvals/access.ts'
import { type By, ended, moveGrant, type Tx } from './transitions.ts'

/**
 * Ends every grant of an agent, live or asked for, on behalf of whomever, and every one that it has asked for in plans of
 * its own: whoever is not to act any more is not to act by others. What nobody waits for then is asked of nobody.
 * @param because in words, without a full stop
 * @returns what ended, as it is now
 */
export async function endAllOf(tx: Tx, agent: string, by: By, because: string, at: Date): Promise<Grant[]> {
  const rows = await tx
    .selectFrom('grants')
    .select(['id', 'state', 'approval'])
    .where('state', 'in', ['requested', 'active'])
    .where((e) => e.or([e('agent', '=', agent), e('requester', '=', agent)]))
    .execute()
  const grants: Grant[] = []
  for (const { id } of rows) {
    const to = ended('revoked', by, `revoked since ${because}`, at.toISOString())
    const revoked = await moveGrant(tx, id, ['requested', 'active'], to, by, at)
    if (revoked) grants.push(revoked)
  }
  for (const { state, approval } of rows)
    if (state === 'requested') await withdraw(tx, approval ?? undefined, because, at)
  return grants
}

/** Nobody is asked any more about what nobody waits for. */
export async function withdraw(tx: Tx, approval: string | undefined, because: string, at: Date): Promise<void> {
  if (approval === undefined) return
  const other = tx.selectFrom('grants').select('id').where('approval', '=', approval).where('state', '=', 'requested')
  if (await other.executeTakeFirst()) return
  await cancelAccess(tx, approval, because, at)
}
