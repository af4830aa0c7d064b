import type { Grant } from '@countersign/contract/access'
import type { AgentRef } from '@countersign/contract/identity'
import { cancelAccess, useAccess } from '../approvals/access.ts'
import { type Asked, milliseconds, type Vote } from '../approvals/quorum.ts'
import type { Held } from '../approvals/rows.ts'
import { readApproval } from '../approvals/transitions.ts'
import type { ConnectionRef } from '../gate/command.ts'
import type { Policies, Requirement } from '../policy/policy.ts'
import { unionOf } from './asking.ts'
import { type AccessDecision, decideAccess } from './deciding.ts'
import type { GrantRow } from './rows.ts'
import { type By, ended, moveGrant, personById, type Tx, theGateway } from './transitions.ts'

/** What a decision about grants that were asked for depends on, as it is now. */
export interface Ground {
  policies: Policies
  connection(name: string): ConnectionRef | undefined
  /** Why an agent may do nothing, where it is disabled. */
  disabled(agent: string): { reason: string } | undefined
  /** Requirements of policy with those to whom the same ones of an approval have escalated. */
  asAsked(now: readonly Requirement[], before: readonly Asked[]): Asked[]
  /** How long access lasts at most that one person gave alone (s). */
  breakGlassMost(): number
  at: Date
}

/** `reopen`: policy asks for more people by now than have approved. */
export interface Settled {
  grants: Grant[]
  reopen?: Requirement[]
}

/**
 * Finishes what waited for an approval, whatever became of that: gives, denies, or says that more is asked for. Where
 * nothing waits for it any more, or people are still to decide, nothing happens.
 */
export async function settle(tx: Tx, approval: string, ground: Ground): Promise<Settled> {
  const rows = await waiting(tx, approval)
  if (rows.length === 0) return { grants: [] }
  const held = await readApproval(tx, approval)
  if (!held) return denyAll(tx, rows, theGateway, 'nobody can decide it: its approval is gone', ground.at)
  switch (held.approval.state) {
    case 'pending':
      return { grants: [] }
    case 'approved':
      return release(tx, held, rows, ground)
    case 'denied': {
      const no = held.approval.decisions.find(({ verdict }) => verdict === 'deny')
      const by = no ? personById(no.personId, no.person) : theGateway
      return denyAll(tx, rows, by, held.approval.closedBecause ?? 'denied', ground.at)
    }
    default:
      return denyAll(tx, rows, theGateway, held.approval.closedBecause ?? held.approval.state, ground.at)
  }
}

/** Decides afresh with the approval in hand; then, in this transaction, it is used and access is given. */
async function release(tx: Tx, held: Held, rows: readonly GrantRow[], ground: Ground): Promise<Settled> {
  const { at } = ground
  const { id } = held.approval
  const seconds = shortened(held.votes, ground.breakGlassMost())
  const decided = rows.map((row) => ({ row, decision: decideAgain(row, ground, held) }))
  const no = decided.find(({ decision }) => decision.outcome === 'deny')
  if (no?.decision.outcome === 'deny') {
    const because = `refused after it was approved: ${stepOf(no.row)}${no.decision.reason}`
    await cancelAccess(tx, id, because, at)
    return denyAll(tx, rows, theGateway, because, at)
  }
  const asks = decided.flatMap(({ decision }) => (decision.outcome === 'hold' ? [decision] : []))
  // What others of the plan ask for stays on the card.
  if (asks.length > 0) return { grants: [], reopen: unionOf([...asks, ...unheld(rows, ground)]) }
  // Whoever is too late gets nothing; the approval expires by itself.
  if (!(await useAccess(tx, held, at))) return { grants: [] }
  const grants: Grant[] = []
  for (const { row, decision } of decided)
    if (decision.outcome === 'allow') {
      const given = await activate(tx, row, decision, Math.min(row.seconds, seconds), at)
      if (given) grants.push(given)
    }
  return { grants }
}

/** What policy asks for where nobody had approved yet. */
function unheld(rows: readonly GrantRow[], ground: Ground) {
  return rows.flatMap((row) => {
    const decision = decideAgain(row, ground)
    return decision.outcome === 'hold' ? [decision] : []
  })
}

/** Makes a grant active from now on. */
export function activate(
  tx: Tx,
  row: GrantRow,
  { policies }: Extract<AccessDecision, { outcome: 'allow' }>,
  seconds: number,
  at: Date,
): Promise<Grant | undefined> {
  const given = {
    state: 'active' as const,
    seconds,
    policies: JSON.stringify(policies),
    active_from: at.toISOString(),
    expires_at: new Date(at.getTime() + seconds * 1000).toISOString(),
  }
  return moveGrant(tx, row.id, ['requested'], given, theGateway, at)
}

/** What policy, as it is now, says of a grant that was asked for. @param time as policy is to see it, where not now */
export function decideAgain(
  row: GrantRow,
  ground: Ground,
  held?: Pick<Held, 'votes' | 'requirements'>,
  time: Date = ground.at,
): AccessDecision {
  const no = (reason: string): AccessDecision => ({ outcome: 'deny', policies: [], reason, named: true })
  const disabled = row.state === 'requested' ? ground.disabled(row.agent) : undefined
  if (disabled) return no(`the agent is disabled (${disabled.reason})`)
  const connection = ground.connection(row.connection)
  if (!connection) return no(`there is no connection ${row.connection} any more`)
  const identity = JSON.parse(row.identity) as AgentRef
  const actions = JSON.parse(row.actions) as string[]
  const { seconds, purpose } = row
  const question = { identity, connection, actions, seconds, purpose }
  if (!held) return decideAccess(ground.policies, question, time)
  const asked = (now: readonly Requirement[]) => ground.asAsked(now, held.requirements)
  return decideAccess(ground.policies, question, time, { votes: held.votes, asked })
}

export async function denyAll(
  tx: Tx,
  rows: readonly Pick<GrantRow, 'id'>[],
  by: By,
  because: string,
  at: Date,
): Promise<Settled> {
  const grants: Grant[] = []
  for (const { id } of rows) {
    const denied = await moveGrant(tx, id, ['requested'], ended('denied', by, because, at.toISOString()), by, at)
    if (denied) grants.push(denied)
  }
  return { grants }
}

/** What of an approval still waits for it, in the order of steps. */
export async function waiting(tx: Tx, approval: string): Promise<GrantRow[]> {
  const rows = await tx
    .selectFrom('grants')
    .selectAll()
    .where('approval', '=', approval)
    .where('state', '=', 'requested')
    .execute()
  return rows.sort((a, b) => numberOf(a) - numberOf(b))
}

export function stepOf(row: Pick<GrantRow, 'step'>): string {
  const step = stepIn(row)
  return step ? `step ${step.number} (${step.title}): ` : ''
}

function numberOf(row: Pick<GrantRow, 'step'>): number {
  return stepIn(row)?.number ?? 0
}

function stepIn({ step }: Pick<GrantRow, 'step'>): Grant['step'] {
  return step === null ? undefined : (JSON.parse(step) as NonNullable<Grant['step']>)
}

/** The shortest of the durations that approvers chose, in seconds, and of what one alone may give; Infinity without any. */
function shortened(votes: readonly Vote[], alone: number): number {
  const chosen = votes.map(({ window }) => milliseconds(window) / 1000).filter((seconds) => seconds > 0)
  return Math.min(votes.some((vote) => vote.breakGlass) ? alone : Number.POSITIVE_INFINITY, ...chosen)
}
