import type { AgentPrincipal } from '../principal.ts'
import type { SubjectPrincipal } from '../subject-tokens.ts'
import { invalidRequest } from './oauth-error.ts'

/** More actors before it than this are no delegation that anybody could judge. */
export const LONGEST_CHAIN = 10

/**
 * Who is to have the token (RFC 8693, sections 1.1, 4.1 and 4.4). Without an actor that is the subject, an agent with the
 * chain of its own token. With one it is the actor, with its own groups, on behalf of the subject: the one that the
 * subject acts for where it acts itself, and is then one of those before.
 * @throws OAuthError invalid_request
 */
export function delegated(subject: SubjectPrincipal, actor?: SubjectPrincipal): AgentPrincipal {
  if (!actor) {
    if (subject.kind === 'agent') return withoutClaims(subject)
    throw invalidRequest("The subject_token is a person's: send the token of the agent that acts as actor_token.")
  }
  if (actor.kind !== 'agent') throw invalidRequest("The actor_token is a person's: people act in no session.")
  if (subject.mayAct !== undefined && subject.mayAct !== actor.id)
    throw invalidRequest("The subject_token says who may act, and the actor_token is somebody else's.")
  const expiresAt = new Date(Math.min(subject.expiresAt.getTime(), actor.expiresAt.getTime()))
  const onBehalfOf = (subject.kind === 'agent' ? subject.onBehalfOf : undefined) ?? subject.subject
  // One token can't say that it acts for two: the second would be forgotten, and could decide what is done for them.
  const ownOf = subject.kind === 'agent' && subject.id === actor.id ? subject.onBehalfOf : onBehalfOf
  if (actor.onBehalfOf !== undefined && actor.onBehalfOf !== ownOf)
    throw invalidRequest('The actor_token acts for somebody else already: send one of the agent alone.')
  // Nobody acts for themselves: one and the same agent has shown two of its tokens.
  if (subject.kind === 'agent' && subject.id === actor.id) return { ...withoutClaims(subject), expiresAt }
  const before = subject.kind === 'agent' && subject.onBehalfOf !== undefined ? [subject.subject] : []
  const chain = [...(actor.chain ?? []), ...before, ...((subject.kind === 'agent' && subject.chain) || [])]
  if (chain.length > LONGEST_CHAIN) throw invalidRequest('The chain of those who act for one another is too long.')
  const { chain: _, ...agent } = withoutClaims(actor)
  return { ...agent, onBehalfOf, expiresAt, ...(chain.length > 0 && { chain }) }
}

function withoutClaims({ mayAct: _, ...agent }: AgentPrincipal & { mayAct?: string }): AgentPrincipal {
  return agent
}
