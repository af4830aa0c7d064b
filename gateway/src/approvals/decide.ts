import type { Approval, DecisionRequest } from '@countersign/contract/approval'
import type { z } from 'zod'
import { type Duty, type PersonPrincipal, personRef } from '../identity/principal.ts'
import { appendAudit } from '../store/audit.ts'
import { type BreakGlassRules, breakGlassProblem, mayBreakGlass, useBreakGlass } from './break-glass.ts'
import { late } from './expiry.ts'
import { inPlaceOf, isOwn, mayDecide, type Standing } from './may-decide.ts'
import type { SponsorsOf } from './own.ts'
import { unmet } from './quorum.ts'
import type { KeptPlace } from './rows.ts'
import { elsewhere } from './same-person.ts'
import { close, move, readApproval, say, sayClosed, type Tx } from './transitions.ts'

export type Decided =
  | { ok: true; approval: Approval }
  | { ok: false; problem: 'not-found' | 'forbidden' | 'conflict' | 'invalid'; message: string }

export function refused(problem: Extract<Decided, { ok: false }>['problem'], message: string): Decided {
  return { ok: false, problem, message }
}

/** What a decision depends on besides what was shown. */
export interface Deciding {
  at: Date
  /** Milliseconds. */
  useWithin: number
  sponsorsOf: SponsorsOf
  dutiesIn: (tx: Tx, person: string, at: Date) => Promise<Duty[]>
  breakGlass: BreakGlassRules | undefined
}

/** One person's decision, within a transaction: what they saw must still be what is decided. */
export async function decideIn(
  tx: Tx,
  id: string,
  person: PersonPrincipal,
  request: z.output<typeof DecisionRequest>,
  deciding: Deciding,
): Promise<Decided> {
  const { at, sponsorsOf, breakGlass } = deciding
  const held = await readApproval(tx, id)
  if (!held) return refused('not-found', `there is no approval ${id}`)
  const { approval } = held
  const also = await elsewhere(tx, person, approval, held.votes, await deciding.dutiesIn(tx, person.id, at))
  const standing = { sponsorsOf, duties: also.duties }
  const may = request.breakGlass
    ? (isOwn(person, approval, sponsorsOf) ?? mayBreakGlass(person, breakGlass))
    : mayDecide(person, approval, standing)
  if (may !== true) return refused('forbidden', may)
  if (also.forbidden !== undefined) return refused('forbidden', also.forbidden)
  if (request.digest !== approval.command.digest)
    return refused('conflict', 'the command is another than the one you were shown: load it anew')
  const window = request.verdict === 'deny' ? 'once' : request.window
  if (approval.access && window === 'session')
    return refused('invalid', 'access is asked for without a session: approve it as it is, or for a shorter duration')
  if (approval.command.input === 'not-shown' && window !== 'once')
    return refused('invalid', 'what it reads from its input is not shown, so it can be approved for once only')
  const before = approval.decisions.find((decision) => decision.personId === person.id)
  // Who has approved with others, and finds that they don't come, may go on alone.
  const alone = before?.verdict === 'approve' && !before.breakGlass && request.breakGlass
  if (before && !alone) {
    // A retry of what was sent before, perhaps because its answer was lost: counted once, accepted again.
    if (before.verdict === request.verdict && before.window === window) return { ok: true, approval }
    return refused('conflict', `you have decided already: ${before.verdict}, ${before.window}`)
  }
  if (also.conflict !== undefined) return refused('conflict', also.conflict)
  if (approval.state !== 'pending')
    return refused('conflict', `it is ${approval.state} already (${approval.closedBecause ?? 'decided'})`)
  if (approval.expiresAt <= at.toISOString()) {
    await close(tx, id, ['pending'], { state: 'expired', because: late.pending, at })
    return refused('conflict', 'it is expired already')
  }
  if (request.breakGlass) {
    const wrong = await breakGlassProblem(tx, breakGlass!, {
      ...request,
      window,
      access: approval.access !== undefined,
    })
    if (wrong) return refused(wrong.problem, wrong.message)
  }
  await vote(tx, approval, person, { ...request, window }, { at, standing, again: alone })
  if (request.breakGlass) await useBreakGlass(tx, approval, person, request.reason, at)
  if (request.verdict === 'deny') {
    const because = `denied by ${person.name}${request.reason === '' ? '' : `: ${request.reason}`}`
    const denied = {
      state: 'denied' as const,
      closed_at: at.toISOString(),
      closed_because: because,
      escalates_at: null,
    }
    await move(tx, id, ['pending'], denied)
    await say(tx, 'approval.decided', id, at)
    return { ok: true, approval: (await sayClosed(tx, id, { state: 'denied', because, at })).approval }
  }
  const after = (await readApproval(tx, id))!
  if (unmet(after.requirements, after.votes).length === 0) {
    const useBy = new Date(at.getTime() + deciding.useWithin).toISOString()
    await move(tx, id, ['pending'], { state: 'approved', use_by: useBy, escalates_at: null })
  }
  return { ok: true, approval: (await say(tx, 'approval.decided', id, at)).approval }
}

/** Writes down what a person has decided, and in whose place. */
async function vote(
  tx: Tx,
  approval: Approval,
  person: PersonPrincipal,
  { verdict, reason, window, breakGlass, digest }: z.output<typeof DecisionRequest>,
  how: { at: Date; standing: Standing; again: boolean },
): Promise<void> {
  const { at } = how
  // Who decides alone does so in nobody's place.
  const places = breakGlass ? [] : inPlaceOf(person, approval, how.standing)
  const kept: KeptPlace[] = places.map(({ from, groups }) => ({ id: from.id, name: from.name, groups: [...groups] }))
  const row = {
    approval: approval.id,
    person: person.id,
    person_name: person.name,
    person_groups: JSON.stringify(person.groups),
    verdict,
    reason,
    window,
    at: at.toISOString(),
    in_place_of: kept.length > 0 ? JSON.stringify(kept) : null,
    break_glass: breakGlass ? (1 as const) : (0 as const),
  }
  if (how.again)
    await tx
      .updateTable('decisions')
      .set(row)
      .where('approval', '=', approval.id)
      .where('person', '=', person.id)
      .execute()
  else await tx.insertInto('decisions').values(row).execute()
  await appendAudit(
    tx,
    'approval.decided',
    {
      approval: approval.id,
      ...(approval.session === '' ? {} : { session: approval.session }),
      person: personRef(person),
      // By which the quorum was counted: what the store says of it later can be held against this.
      groups: person.groups,
      verdict,
      reason,
      window,
      digest,
      ...(kept.length > 0 ? { inPlaceOf: kept.map(({ id }) => id), handedOver: kept } : {}),
      ...(breakGlass ? { breakGlass } : {}),
    },
    at,
  )
}
