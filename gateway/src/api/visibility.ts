import type { Approval } from '@countersign/contract/approval'
import type { Role } from '@countersign/contract/identity'
import { askedGroups } from '../approvals/quorum.ts'
import type { PersonPrincipal, Principal } from '../identity/principal.ts'
import { HttpProblem } from './problem.ts'

/**
 * Who may see what (contract.md section 7), in one place. What a role may not do at all is 403; what somebody may not
 * see of another's is 404, as if it weren't there.
 */

/** Which of the approvals, or of the sessions, a caller sees. */
export type Scope = { see: 'all' } | { see: 'groups'; groups: string[] } | { see: 'own'; agent: string }

export function hasRole(caller: Principal, ...roles: Role[]): boolean {
  return caller.kind === 'person' && roles.some((role) => caller.roles.includes(role))
}

/** The groups for which a person may decide now: their own, and those that others have handed over to them. */
export function decidingGroups({ groups, standing }: PersonPrincipal): string[] {
  return [...groups, ...(standing?.().duties ?? []).flatMap((duty) => duty.groups)]
}

function groupScope(caller: PersonPrincipal): Scope {
  return { see: 'groups', groups: decidingGroups(caller) }
}

/** @throws HttpProblem 403 */
export function approvalScope(caller: Principal): Scope {
  if (caller.kind === 'agent') return { see: 'own', agent: caller.id }
  if (hasRole(caller, 'admin')) return { see: 'all' }
  // Who may approve anything alone in an emergency sees what there is.
  if (hasRole(caller, 'approver')) return caller.standing?.().breakGlass ? { see: 'all' } : groupScope(caller)
  throw forbidden(caller, 'Approvals are seen by approvers and admins')
}

/** @throws HttpProblem 403 */
export function sessionScope(caller: Principal): Scope {
  if (caller.kind === 'agent') return { see: 'own', agent: caller.id }
  if (hasRole(caller, 'admin', 'reviewer', 'auditor')) return { see: 'all' }
  if (hasRole(caller, 'approver')) return groupScope(caller)
  throw forbidden(caller, 'Sessions are seen by approvers, reviewers, auditors and admins')
}

/** Recordings are what an agent does not see, not even its own. @throws HttpProblem 403 */
export function recordingScope(caller: Principal): Scope {
  if (caller.kind === 'agent') throw new HttpProblem(403, 'An agent sees its sessions’ state, but not recordings.')
  return sessionScope(caller)
}

/** @throws HttpProblem 403 */
export function mayReadPolicy(caller: Principal): void {
  if (hasRole(caller, 'admin', 'approver', 'reviewer', 'auditor')) return
  throw forbidden(caller, 'Policy is read by approvers, reviewers, auditors and admins')
}

/** Who may know until when sessions are kept, and who holds them. */
export function seesRetention(caller: Principal): boolean {
  return hasRole(caller, 'auditor', 'reviewer', 'admin')
}

/** @throws HttpProblem 403 */
export function mayUseFeed(caller: Principal): void {
  if (caller.kind === 'agent' || caller.roles.length > 0) return
  throw forbidden(caller, 'The feed is for people who have a role')
}

export function seesApproval(scope: Scope, approval: Pick<Approval, 'agent' | 'requirements'>): boolean {
  switch (scope.see) {
    case 'all':
      return true
    case 'own':
      return approval.agent === scope.agent
    case 'groups':
      return approval.requirements.some((one) => askedGroups(one).some((group) => scope.groups.includes(group)))
  }
}

export function forbidden(caller: Principal, rule: string): HttpProblem {
  const have =
    caller.kind === 'agent'
      ? 'you are an agent'
      : caller.roles.length === 0
        ? 'your groups give you no role (identity.roles)'
        : `you are ${caller.roles.join(', ')}`
  return new HttpProblem(403, `${rule}; ${have}.`)
}
