import type { Approval, DecisionRequest } from '@countersign/contract/approval'
import type { z } from 'zod'
import type { PersonPrincipal } from '../identity/principal.ts'
import { appendAudit } from '../store/audit.ts'
import { late } from './expiry.ts'
import { mayDecide } from './may-decide.ts'
import { unmet } from './quorum.ts'
import { close, move, readApproval, say, sayClosed, type Tx } from './transitions.ts'

export type Decided =
  | { ok: true; approval: Approval }
  | { ok: false; problem: 'not-found' | 'forbidden' | 'conflict' | 'invalid'; message: string }

export function refused(problem: Extract<Decided, { ok: false }>['problem'], message: string): Decided {
  return { ok: false, problem, message }
}

/** One person's decision, within a transaction: what they saw must still be what is decided. */
export async function decideIn(
  tx: Tx,
  id: string,
  person: PersonPrincipal,
  request: z.output<typeof DecisionRequest>,
  times: { at: Date; useWithin: number },
): Promise<Decided> {
  const { at } = times
  const held = await readApproval(tx, id)
  if (!held) return refused('not-found', `there is no approval ${id}`)
  const { approval } = held
  const may = mayDecide(person, approval)
  if (may !== true) return refused('forbidden', may)
  if (request.digest !== approval.command.digest)
    return refused('conflict', 'the command is another than the one you were shown: load it anew')
  const window = request.verdict === 'deny' ? 'once' : request.window
  if (approval.access && window === 'session')
    return refused('invalid', 'access is asked for without a session: approve it as it is, or for a shorter duration')
  const before = approval.decisions.find((decision) => decision.personId === person.id)
  if (before) {
    // A retry of what was sent before, perhaps because its answer was lost: counted once, accepted again.
    if (before.verdict === request.verdict && before.window === window) return { ok: true, approval }
    return refused('conflict', `you have decided already: ${before.verdict}, ${before.window}`)
  }
  if (approval.state !== 'pending')
    return refused('conflict', `it is ${approval.state} already (${approval.closedBecause ?? 'decided'})`)
  if (approval.expiresAt <= at.toISOString()) {
    await close(tx, id, ['pending'], { state: 'expired', because: late.pending, at })
    return refused('conflict', 'it is expired already')
  }
  await tx
    .insertInto('decisions')
    .values({
      approval: id,
      person: person.id,
      person_name: person.name,
      person_groups: JSON.stringify(person.groups),
      verdict: request.verdict,
      reason: request.reason,
      window,
      at: at.toISOString(),
    })
    .execute()
  const { issuer, subject, name } = person
  await appendAudit(
    tx,
    'approval.decided',
    {
      approval: id,
      ...(approval.session === '' ? {} : { session: approval.session }),
      person: { id: person.id, issuer, subject, name },
      // By which the quorum was counted: what the store says of it later can be held against this.
      groups: person.groups,
      verdict: request.verdict,
      reason: request.reason,
      window,
      digest: request.digest,
    },
    at,
  )
  if (request.verdict === 'deny') {
    const because = `denied by ${person.name}${request.reason === '' ? '' : `: ${request.reason}`}`
    await move(tx, id, ['pending'], { state: 'denied', closed_at: at.toISOString(), closed_because: because })
    await say(tx, 'approval.decided', id, at)
    return { ok: true, approval: (await sayClosed(tx, id, { state: 'denied', because, at })).approval }
  }
  const after = (await readApproval(tx, id))!
  if (unmet(after.requirements, after.votes).length === 0) {
    const useBy = new Date(at.getTime() + times.useWithin).toISOString()
    await move(tx, id, ['pending'], { state: 'approved', use_by: useBy })
  }
  return { ok: true, approval: (await say(tx, 'approval.decided', id, at)).approval }
}
