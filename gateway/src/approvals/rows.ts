import { randomBytes } from 'node:crypto'
import type { Approval } from '@countersign/contract/approval'
import type { Kysely } from 'kysely'
import type { Command } from '../gate/command.ts'
import { agentRef } from '../identity/principal.ts'
import type { Requirement } from '../policy/policy.ts'
import type { ApprovalRow, DecisionRow, NewApprovalRow, Tables } from '../store/tables.ts'
import { countsFor, type Vote } from './quorum.ts'

/** An approval as it is kept: what everybody sees, and what only counting needs. */
export interface Held {
  approval: Approval
  requirements: Requirement[]
  votes: Vote[]
  useBy: Date | undefined
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

export function newRow(id: string, { command, digest, requirements, hold }: OpenApproval, at: Date, expires: number) {
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
    effects: JSON.stringify(
      command.effects.map((effect) => ({
        action: effect.action,
        resource: { type: effect.resource.type, id: effect.resource.id },
        kind: typeof effect.command.kind === 'string' ? effect.command.kind : command.kind,
        bounded: effect.command.bounded !== false,
      })),
    ),
    digest,
    requirements: JSON.stringify(requirements),
    requested_at: at.toISOString(),
    expires_at: new Date(at.getTime() + expires).toISOString(),
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
  const requirements = JSON.parse(row.requirements) as Requirement[]
  const votes = decisions
    .filter((decision) => decision.verdict === 'approve')
    .map((decision) => ({
      person: decision.person,
      name: decision.person_name,
      groups: JSON.parse(decision.person_groups) as string[],
      window: decision.window,
    }))
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
      parameters: JSON.parse(row.parameters),
      kind: row.kind,
      effects: JSON.parse(row.effects),
      digest: row.digest,
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
        : { inPlaceOf: (JSON.parse(decision.in_place_of) as { name: string }[]).map(({ name }) => name) }),
      ...(decision.break_glass ? { breakGlass: true } : {}),
    })),
    requestedAt: row.requested_at,
    expiresAt: row.expires_at,
    ...(row.closed_at === null ? {} : { closedAt: row.closed_at }),
    ...(row.closed_because === null ? {} : { closedBecause: row.closed_because }),
    hold: row.hold,
    ...(row.outcome === null ? {} : { outcome: JSON.parse(row.outcome) }),
  }
  return { approval, requirements, votes, useBy: row.use_by === null ? undefined : new Date(row.use_by) }
}
