import { Role } from '@countersign/contract/identity'
import type { IssuerConfig } from '../config/schema.ts'
import { type Actor, actorOf } from './actors.ts'
import { type Claims, isSubject, lineOf, trustedClaim } from './claim.ts'
import { groupsOf } from './groups.ts'
import type { RoleGroups } from './identity.ts'
import { type AgentPrincipal, type PersonPrincipal, type Principal, TokenError } from './principal.ts'

/** What an issuer says of somebody, once it is sure that it was the issuer: of a JWT, an introspection or an assertion. */
export interface CheckedClaims extends Claims {
  iss: string
  /** Seconds since the epoch. */
  exp: number
}

/**
 * Who a checked token speaks for. Only tokens of people carry roles, and never one in which an agent acts for a person
 * (RFC 8693, section 4.1): such an agent would decide its own requests.
 * @throws TokenError where the claims don't say, or say it in a form that can't be read
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
    (claims.sub !== undefined && (claims.client_id === claims.sub || claims.azp === claims.sub)) ||
    claims.gty === 'client-credentials' ||
    claims.idtyp === 'app'
  )
}

function agent(claims: CheckedClaims, actor: Actor | undefined, issuer: IssuerConfig): AgentPrincipal {
  const subject = actor?.claims.sub ?? subjectOf(claims, issuer)
  // The groups beside `sub` are the delegator's; the agent's own stand inside `act`, or there are none.
  const own: Claims = actor?.claims ?? claims
  const owner = lineOf(own.owner) ?? lineOf(claims.owner)
  return {
    kind: 'agent',
    id: `${claims.iss}#${subject}`,
    issuer: claims.iss,
    subject,
    name: nameOf(own) ?? subject,
    groups: groupsOf(own, issuer),
    expiresAt: new Date(claims.exp * 1000),
    ...(owner === undefined ? {} : { owner }),
    ...(actor ? { onBehalfOf: subjectOf(claims, issuer) } : {}),
    ...(actor && actor.chain.length > 0 ? { chain: actor.chain } : {}),
  }
}

function person(claims: CheckedClaims, issuer: IssuerConfig, roles: RoleGroups): PersonPrincipal {
  const subject = subjectOf(claims, issuer)
  const groups = groupsOf(claims, issuer)
  const email = lineOf(claims.email)
  return {
    kind: 'person',
    id: `${claims.iss}#${subject}`,
    issuer: claims.iss,
    subject,
    name: nameOf(claims) ?? subject,
    groups,
    roles: Role.options.filter((role) => roles[role].some((group) => groups.includes(group))),
    expiresAt: new Date(claims.exp * 1000),
    ...(email === undefined ? {} : { email }),
  }
}

/** Whom the token is about: `sub`, or the claim that the issuer's `subject` names. */
function subjectOf(claims: CheckedClaims, { subject: claim = 'sub' }: IssuerConfig): string {
  const subject = trustedClaim(claims, claim)
  if (!isSubject(subject)) throw new TokenError('subject', `${claim} is empty or no text`)
  return subject
}

function nameOf(claims: Claims): string | undefined {
  return lineOf(claims.name) ?? lineOf(claims.preferred_username) ?? lineOf(claims.email)
}
