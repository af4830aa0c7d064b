import { randomBytes } from 'node:crypto'
import { type Approval, inputShown } from '@countersign/contract/approval'
import type { Kysely } from 'kysely'
import type { Command } from '../gate/command.ts'
import { effectRecord } from '../gate/recorded.ts'
import { agentRef } from '../identity/principal.ts'
import type { Stage } from '../policy/escalation.ts'
import type { Requirement } from '../policy/policy.ts'
import type { ApprovalRow, DecisionRow, NewApprovalRow, Tables } from '../store/tables.ts'
import { type Asked, countsFor, type Vote } from './quorum.ts'
import { escalating, nextStage } from './stages.ts'

/** An approval as it is kept: what everybody sees, and what only counting needs. */
export interface Held {
  approval: Approval
  requirements: Asked[]
  votes: Vote[]
  useBy: Date | undefined
  /** Since when people are asked for what is required now. */
  askedAt: Date
}

/** What somebody who decides in another's place is kept with. */
export interface KeptPlace {
  id: string
  name: string
  groups: string[]
}

export interface OpenApproval {
  command: Omit<Command, 'protocol'> & { protocol: Command['protocol'] | 'access' }
  digest: string
  requirements: Requirement[]
  hold: 'wait' | 'fail'
}

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz'

/** `ap_` and 16 characters of Crockford's base32: 80 random bits, nobody guesses one. */
export function newApprovalId(): string {
  const bytes = randomBytes(16)
  return `ap_${Array.from(bytes, (byte) => CROCKFORD[byte & 31]).join('')}`
}

/** @param rules expires: milliseconds; escalate: for requirements whose policy doesn't say who is asked later */
export function newRow(
  id: string,
  { command, digest, requirements, hold }: OpenApproval,
  at: Date,
  rules: { expires: number; escalate?: Stage[] },
) {
  const asked = requirements.map((requirement) => escalating(requirement, rules.escalate))
  const row: NewApprovalRow = {
    id,
    state: 'pending',
    hold,
    connection: command.connection.name,
    connection_tags: JSON.stringify(command.connection.tags),
    protocol: command.protocol,
    agent: command.agent.id,
    identity: JSON.stringify(agentRef(command.agent)),
    session: command.session.id,
    purpose: command.session.purpose ?? null,
    text: command.text,
    parameters: JSON.stringify(command.parameters),
    kind: command.kind,
    effects: JSON.stringify(command.effects.map((effect) => effectRecord(effect, command.kind))),
    digest,
    requirements: JSON.stringify(asked),
    requested_at: at.toISOString(),
    expires_at: new Date(at.getTime() + rules.expires).toISOString(),
    escalates_at: nextStage(asked, [], at)?.toISOString() ?? null,
  }
  return row
}

/** Reads approvals with their decisions, in the order of `rows`. */
export async function readHeld(db: Kysely<Tables>, rows: ApprovalRow[]): Promise<Held[]> {
  if (rows.length === 0) return []
  const decisions = await db
    .selectFrom('decisions')
    .selectAll()
    .where(
      'approval',
      'in',
      rows.map((row) => row.id),
    )
    .orderBy('id')
    .execute()
  const byApproval = Map.groupBy(decisions, (decision) => decision.approval)
  return rows.map((row) => toHeld(row, byApproval.get(row.id) ?? []))
}

function toHeld(row: ApprovalRow, decisions: DecisionRow[]): Held {
  const escalated = (row.escalated_to === null ? {} : JSON.parse(row.escalated_to)) as Record<string, string[]>
  const requirements = (JSON.parse(row.requirements) as Requirement[]).map((requirement): Asked => {
    const to = Object.hasOwn(escalated, requirement.policy) ? escalated[requirement.policy] : undefined
    return to ? { ...requirement, escalatedTo: to } : requirement
  })
  const votes = decisions.filter((decision) => decision.verdict === 'approve').map(voteOf)
  const parameters: Approval['command']['parameters'] = JSON.parse(row.parameters)
  const input = inputShown({ protocol: row.protocol, kind: row.kind, parameters })
  const approval: Approval = {
    id: row.id,
    state: row.state,
    connection: row.connection,
    connectionTags: JSON.parse(row.connection_tags),
    protocol: row.protocol,
    agent: row.agent,
    identity: JSON.parse(row.identity),
    session: row.session,
    ...(row.access === null ? {} : { access: JSON.parse(row.access) }),
    ...(row.purpose === null ? {} : { purpose: row.purpose }),
    command: {
      text: row.text,
      parameters,
      kind: row.kind,
      effects: JSON.parse(row.effects),
      digest: row.digest,
      ...(input === undefined ? {} : { input }),
    },
    requirements: requirements.map((requirement) => ({
      ...requirement,
      approvedBy: countsFor(requirement, votes).map((vote) => vote.name),
    })),
    decisions: decisions.map((decision) => ({
      person: decision.person_name,
      personId: decision.person,
      verdict: decision.verdict,
      reason: decision.reason,
      window: decision.window,
      at: decision.at,
      ...(decision.in_place_of === null
        ? {}
        : { inPlaceOf: (JSON.parse(decision.in_place_of) as KeptPlace[]).map(({ name }) => name) }),
      ...(decision.break_glass ? { breakGlass: true } : {}),
    })),
    requestedAt: row.requested_at,
    expiresAt: row.expires_at,
    ...(row.closed_at === null ? {} : { closedAt: row.closed_at }),
    ...(row.closed_because === null ? {} : { closedBecause: row.closed_because }),
    hold: row.hold,
    ...(row.outcome === null ? {} : { outcome: JSON.parse(row.outcome) }),
  }
  return {
    approval,
    requirements,
    votes,
    useBy: row.use_by === null ? undefined : new Date(row.use_by),
    askedAt: new Date(row.asked_at ?? row.requested_at),
  }
}

/** What counts of a decision to approve. */
export function voteOf(
  decision: Pick<DecisionRow, 'person' | 'person_name' | 'person_groups' | 'window' | 'in_place_of' | 'break_glass'>,
): Vote {
  const places = decision.in_place_of === null ? undefined : (JSON.parse(decision.in_place_of) as KeptPlace[])
  return {
    person: decision.person,
    name: decision.person_name,
    groups: JSON.parse(decision.person_groups) as string[],
    window: decision.window,
    ...(places ? { inPlaceOf: places.map(({ id, groups }) => ({ id, groups })) } : {}),
    ...(decision.break_glass ? { breakGlass: true } : {}),
  }
}
