import type { Grant } from '@countersign/contract/access'
import { cancelAccess } from '../approvals/access.ts'
import { readApproval } from '../approvals/transitions.ts'
import { activate, decideAgain, denyAll, type Ground, stepOf, waiting } from './releasing.ts'
import type { GrantRow } from './rows.ts'
import { ended, moveGrant, type Tx, theGateway } from './transitions.ts'

/**
 * Decides a grant anew after policy, or the connections, have changed. A live one that would not be given any more is
 * revoked. What waits for people is denied, given at once, or waits on, with all that is decided with it.
 * @returns those that are in another state now
 */
export async function recheckOne(tx: Tx, id: string, ground: Ground): Promise<Grant[]> {
  const row = await tx.selectFrom('grants').selectAll().where('id', '=', id).executeTakeFirst()
  if (row?.state === 'active') return recheckActive(tx, row, ground)
  return row?.state === 'requested' && row.approval !== null ? recheckAsked(tx, row.approval, ground) : []
}

async function recheckActive(tx: Tx, row: GrantRow, ground: Ground): Promise<Grant[]> {
  const { at } = ground
  const held = row.approval === null ? undefined : await readApproval(tx, row.approval)
  // As of when it was given: that it is night by now is no change of policy.
  const decision = decideAgain(row, ground, held, new Date(row.active_from!))
  if (decision.outcome !== 'deny') return []
  const because = `revoked since policy has changed: ${decision.reason}`
  const to = ended('revoked', theGateway, because, at.toISOString())
  const revoked = await moveGrant(tx, row.id, ['active'], to, theGateway, at)
  return revoked ? [revoked] : []
}

async function recheckAsked(tx: Tx, approval: string, ground: Ground): Promise<Grant[]> {
  const { at } = ground
  // What is approved is decided afresh anyway, in a moment.
  if ((await readApproval(tx, approval))?.approval.state !== 'pending') return []
  const decided = (await waiting(tx, approval)).map((row) => ({ row, decision: decideAgain(row, ground) }))
  const no = decided.find(({ decision }) => decision.outcome === 'deny')
  if (no?.decision.outcome === 'deny') {
    const because = `policy has changed: ${stepOf(no.row)}${no.decision.reason}`
    await cancelAccess(tx, approval, because, at)
    const rows = decided.map(({ row }) => row)
    return (await denyAll(tx, rows, theGateway, because, at)).grants
  }
  if (decided.some(({ decision }) => decision.outcome !== 'allow')) return []
  await cancelAccess(tx, approval, 'policy has changed: nobody needs to approve it any more', at)
  const grants: Grant[] = []
  for (const { row, decision } of decided)
    if (decision.outcome === 'allow') {
      const given = await activate(tx, row, decision, row.seconds, at)
      if (given) grants.push(given)
    }
  return grants
}
