import type { TokenRecord } from '@countersign/contract/access'
import type { AgentRef } from '@countersign/contract/identity'
import type { Actor } from '@countersign/contract/ledger/payloads'
import type { TokensTable } from '../../store/access-tables.ts'
import { type AgentPrincipal, agentRef } from '../principal.ts'
import { newTokenId } from './text.ts'

export function newRow(token: {
  hash: string
  agent: AgentPrincipal
  connection: string
  grant: string | undefined
  purpose: string | undefined
  at: Date
  expiresAt: Date
}): TokensTable {
  const { hash, agent, connection, grant, purpose, at, expiresAt } = token
  return {
    id: newTokenId(),
    hash,
    agent: agent.id,
    identity: JSON.stringify(agentRef(agent)),
    connection,
    grant: grant ?? null,
    purpose: purpose ?? null,
    issued_at: at.toISOString(),
    expires_at: expiresAt.toISOString(),
    last_used_at: null,
    revoked_at: null,
    revoked_by: null,
    revoked_because: null,
  }
}

/** Who comes with the token: as it was when it was given, and never for longer. */
export function principalOf(row: TokensTable): AgentPrincipal {
  return {
    kind: 'agent',
    ...(JSON.parse(row.identity) as AgentRef),
    expiresAt: new Date(row.expires_at),
    token: {
      id: row.id,
      connection: row.connection,
      ...(row.grant !== null && { grant: row.grant }),
      ...(row.purpose !== null && { purpose: row.purpose }),
    },
  }
}

/** A token as people see it. */
export function recordOf(row: TokensTable): TokenRecord {
  return {
    id: row.id,
    agent: row.agent,
    identity: JSON.parse(row.identity) as AgentRef,
    connection: row.connection,
    ...(row.grant !== null && { grant: row.grant }),
    ...(row.purpose !== null && { purpose: row.purpose }),
    issuedAt: row.issued_at,
    expiresAt: row.expires_at,
    ...(row.last_used_at !== null && { lastUsedAt: row.last_used_at }),
    ...(row.revoked_at !== null && {
      revoked: {
        by: nameOf(JSON.parse(row.revoked_by!) as Actor),
        reason: row.revoked_because!,
        at: row.revoked_at,
      },
    }),
  }
}

/** Why a session ends, on the wire and in the log. */
export function revokedWords(by: Actor, reason: string): string {
  return `its token was revoked by ${nameOf(by)}${reason === '' ? '' : `: ${reason}`}`
}

function nameOf(actor: Actor): string {
  return actor.kind === 'gateway' ? 'the gateway' : actor.name
}
