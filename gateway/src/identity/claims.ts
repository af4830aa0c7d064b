import { Role } from '@countersign/contract/identity'
import type { IssuerConfig } from '../config/schema.ts'
import type { RoleGroups } from './identity.ts'
import { type AgentPrincipal, type PersonPrincipal, type Principal, TokenError } from './principal.ts'
import { type CheckedClaims, hasControl } from './token.ts'

/**
 * Who a checked token speaks for. Only tokens of people carry roles, and never one in which an agent acts for a person
 * (RFC 8693, section 4.1): such an agent would decide its own requests.
 * @throws TokenError where the claims don't say, or say it in a form that can't be read: groups that are left out
 *   could be the ones that a policy forbids something to
 */
export function principalOf(claims: CheckedClaims, issuer: IssuerConfig, roles: RoleGroups): Principal {
  const actor = actorOf(claims)
  switch (issuer.for) {
    case 'agents':
      return agent(claims, actor, issuer)
    case 'people':
      if (actor) throw new TokenError('subject', 'an agent acts in this token, and its issuer is for people')
      return person(claims, issuer, roles)
    case 'both':
      return actor || isClient(claims) ? agent(claims, actor, issuer) : person(claims, issuer, roles)
  }
}

/**
 * With `for: both`, whether a token without `act` is an agent's: a client that got it for itself. Its own id is then the
 * subject (RFC 9068, section 2.2; `azp` with Google and Keycloak), or the issuer says so (`gty`: Auth0, `idtyp`: Entra).
 */
function isClient(claims: CheckedClaims): boolean {
  return (
    claims.client_id === claims.sub ||
    claims.azp === claims.sub ||
    claims.gty === 'client-credentials' ||
    claims.idtyp === 'app'
  )
}

function agent(claims: CheckedClaims, actor: Actor | undefined, issuer: IssuerConfig): AgentPrincipal {
  const subject = actor?.sub ?? claims.sub
  // The groups beside `sub` are the delegator's; the agent's own stand inside `act`, or there are none.
  const own: Record<string, unknown> = actor ?? claims
  const owner = text(own.owner) ?? text(claims.owner)
  return {
    kind: 'agent',
    id: `${claims.iss}#${subject}`,
    issuer: claims.iss,
    subject,
    name: nameOf(own) ?? subject,
    groups: groupsOf(own, issuer.groups),
    expiresAt: new Date(claims.exp * 1000),
    ...(owner === undefined ? {} : { owner }),
    ...(actor ? { onBehalfOf: claims.sub } : {}),
  }
}

function person(claims: CheckedClaims, issuer: IssuerConfig, roles: RoleGroups): PersonPrincipal {
  const groups = groupsOf(claims, issuer.groups)
  const email = text(claims.email)
  return {
    kind: 'person',
    id: `${claims.iss}#${claims.sub}`,
    issuer: claims.iss,
    subject: claims.sub,
    name: nameOf(claims) ?? claims.sub,
    groups,
    roles: Role.options.filter((role) => roles[role].some((group) => groups.includes(group))),
    expiresAt: new Date(claims.exp * 1000),
    ...(email === undefined ? {} : { email }),
  }
}

interface Actor extends Record<string, unknown> {
  sub: string
}

/** The outermost actor: those nested in it are history (RFC 8693, section 4.1). */
function actorOf(claims: CheckedClaims): Actor | undefined {
  const { act } = claims
  if (act === undefined) return undefined
  if (typeof act !== 'object' || act === null || Array.isArray(act)) throw new TokenError('subject', 'act is no object')
  const { sub, iss } = act as Record<string, unknown>
  if (typeof sub !== 'string' || sub.trim() === '' || sub.length > 1024 || hasControl(sub))
    throw new TokenError('subject', 'act.sub is empty or no text')
  // It would be an identity of another issuer, on this one's word.
  if (iss !== undefined && iss !== claims.iss) throw new TokenError('subject', 'act.iss is another issuer')
  return { ...act, sub }
}

function groupsOf(claims: Record<string, unknown>, claim: string): string[] {
  const value = claims[claim]
  if (value === undefined || value === null) {
    // Entra leaves the claim out where there are too many, and points to where they could be asked for.
    const elsewhere = claims._claim_names
    if (typeof elsewhere === 'object' && elsewhere !== null && claim in elsewhere)
      throw new TokenError('malformed', `${claim} didn't fit: let the issuer write only the groups of this application`)
    return []
  }
  const list: unknown[] = Array.isArray(value) ? value : [value]
  const groups = list.map((group) => {
    if (typeof group !== 'string') throw new TokenError('malformed', `${claim} is not a list of texts`)
    return group
  })
  return [...new Set(groups.filter((group) => group !== ''))]
}

/** For people's eyes, so on one line: a name that breaks out of its place could pass for another text. */
function nameOf(claims: Record<string, unknown>): string | undefined {
  return text(claims.name) ?? text(claims.preferred_username) ?? text(claims.email)
}

function text(value: unknown): string | undefined {
  if (typeof value !== 'string' || hasControl(value)) return undefined
  const trimmed = value.trim()
  return trimmed === '' ? undefined : trimmed.slice(0, 200)
}
