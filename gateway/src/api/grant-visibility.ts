import type { Grant } from '@countersign/contract/access'
import type { Approval } from '@countersign/contract/approval'
import type { GrantScope } from '../grants/list.ts'
import type { Principal } from '../identity/principal.ts'
import { approvalScope, forbidden, hasRole, seesApproval } from './visibility.ts'

/** Who sees and ends which grants (contract.md section 7). */

export interface GrantRules {
  /** The approval that a grant was asked for by. */
  approval(id: string): Promise<Approval | undefined>
  /** Whether a person is an agent's sponsor or owner. */
  answersFor(person: Extract<Principal, { kind: 'person' }>, agent: string): boolean
}

/** @throws HttpProblem 403 */
export function grantScope(caller: Principal): GrantScope {
  if (caller.kind === 'agent') return { see: 'own', agent: caller.id }
  if (hasRole(caller, 'admin', 'reviewer', 'auditor')) return { see: 'all' }
  const scope = hasRole(caller, 'approver') ? approvalScope(caller) : undefined
  if (scope?.see === 'all') return scope
  if (scope?.see === 'groups') return { see: 'groups', groups: scope.groups, person: caller.id }
  throw forbidden(caller, 'Grants are seen by approvers, reviewers, auditors and admins')
}

/** Whether a caller sees a grant: the same as in the list, and beside it that of an agent they answer for. */
export async function seesGrant(caller: Principal, grant: Grant, rules: GrantRules): Promise<boolean> {
  if (caller.kind === 'agent') return grant.agent === caller.id || grant.requestedBy.id === caller.id
  if (hasRole(caller, 'admin', 'reviewer', 'auditor')) return true
  if (grant.requestedBy.id === caller.id || rules.answersFor(caller, grant.agent)) return true
  return decides(caller, grant, rules)
}

/**
 * Whether a caller may end a grant: the agent whose it is, whoever asked for it, who answers for the agent, admins, and
 * those whose groups decide or decided it.
 */
export async function mayRevoke(caller: Principal, grant: Grant, rules: GrantRules): Promise<boolean> {
  if (caller.kind === 'agent') return seesGrant(caller, grant, rules)
  if (hasRole(caller, 'admin')) return true
  if (grant.requestedBy.id === caller.id || rules.answersFor(caller, grant.agent)) return true
  return decides(caller, grant, rules)
}

async function decides(caller: Principal, grant: Grant, rules: GrantRules): Promise<boolean> {
  if (grant.approval === undefined || !hasRole(caller, 'approver')) return false
  const approval = await rules.approval(grant.approval)
  return approval !== undefined && seesApproval(approvalScope(caller), approval)
}
