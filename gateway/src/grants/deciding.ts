import type { AgentRef } from '@countersign/contract/identity'
import { type Asked, approvalContext, unmet, type Vote } from '../approvals/quorum.ts'
import type { ConnectionRef, Effect } from '../gate/command.ts'
import type { Policies, PolicyDecision, Requirement } from '../policy/policy.ts'
import { spelledOut } from './actions.ts'

/** A request for a grant as policy sees it. */
export interface AccessQuestion {
  identity: AgentRef
  connection: ConnectionRef
  actions: readonly string[]
  seconds: number
  purpose: string
}

/** Groups that were asked and people who approved, as Cedar was told. */
export interface Approved {
  groups: string[]
  people: string[]
}

export type AccessDecision =
  | { outcome: 'allow'; policies: string[] }
  | { outcome: 'hold'; policies: string[]; requirements: Requirement[] }
  /** `named`: whether a policy says no, and not merely none yes. */
  | { outcome: 'deny'; policies: string[]; reason: string; named: boolean }

/** `access:request` on the connection. */
export function requestEffect({ connection, actions, seconds }: Omit<AccessQuestion, 'identity' | 'purpose'>): Effect {
  return {
    action: 'access:request',
    resource: { type: 'Connection', id: connection.name },
    command: { actions: spelledOut(actions), seconds: String(seconds) },
  }
}

/**
 * What policy says of a request for a grant. With votes it is the decision at release: whatever holds now must be met by
 * them, each requirement counted anew, and with them as its approval policy must allow.
 * @param asked requirements with those to whom they have escalated
 */
export function decideAccess(
  policies: Policies,
  question: AccessQuestion,
  time: Date,
  { votes, asked }: { votes: readonly Vote[]; asked: (now: readonly Requirement[]) => Asked[] } = {
    votes: [],
    asked: (now) => [...now],
  },
): AccessDecision {
  const decide = (approval?: Approved) =>
    policies.decide({
      principal: { ...question.identity, kind: 'agent', expiresAt: time },
      connection: question.connection,
      effect: requestEffect(question),
      context: { purpose: question.purpose, time },
      ...(approval ? { approval } : {}),
    })
  const first = decide()
  if (first.outcome === 'allow') return { outcome: 'allow', policies: first.policies }
  if (first.outcome === 'deny') return denial(policies, first)
  const { requirements } = first
  const held = requirements.map(({ policy }) => policy)
  // Those who were asked later count, where policy would ask them still.
  const counted = asked(requirements)
  if (unmet(counted, votes).length > 0) return { outcome: 'hold', policies: held, requirements }
  const approved = approvalContext(counted, votes)
  const then = decide(approved)
  // Named are the policies that held it, since they, met, are why it is given.
  if (then.outcome === 'allow') return { outcome: 'allow', policies: held }
  if (then.outcome === 'deny') return denial(policies, then)
  return {
    outcome: 'deny',
    policies: then.policies,
    reason: `approved, but still held by policy ${then.policies.join(', ')}`,
    named: true,
  }
}

function denial(policies: Policies, { policies: ids, errors }: PolicyDecision): AccessDecision {
  if (errors.length > 0)
    return { outcome: 'deny', policies: ids, reason: `policy could not be decided: ${errors.join('; ')}`, named: true }
  if (ids.length === 0) return { outcome: 'deny', policies: [], reason: 'no policy permits it', named: false }
  const named = ids.map((id) => {
    const reason = policies.reasonOf(id)
    return reason === undefined ? id : `${id} (${reason})`
  })
  return { outcome: 'deny', policies: ids, reason: `denied by policy ${named.join(', ')}`, named: true }
}
