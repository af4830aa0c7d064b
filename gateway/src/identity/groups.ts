import type { IssuerConfig } from '../config/schema.ts'
import { type Claims, claimAt, hasControl, textsOf, trustedClaim } from './claim.ts'
import { TokenError } from './principal.ts'

/** An identity is kept with every session and entry of the ledger: so many groups, of so many characters each. */
const mostGroups = 2000
const longestGroup = 1024

/**
 * The groups of whoever these claims are about: those of the issuer's `groups` claim, and `claim=value` for each claim of
 * its `groups_from`.
 * @throws TokenError where they can't be read, or are said to be elsewhere: groups that are left out could be the ones
 *   that a policy forbids something to
 */
export function groupsOf(claims: Claims, { groups: claim, groups_from }: IssuerConfig): string[] {
  const value = claimAt(claims, claim)
  if (value === undefined || value === null) refuseOverage(claims, claim)
  const listed = listOf(value, claim)
  const made = (groups_from ?? []).flatMap((name) =>
    textsOf(trustedClaim(claims, name), name)
      .filter((one) => one !== '')
      .map((one) => `${name}=${one}`),
  )
  // A group that is called so would pass for a claim that isn't there.
  const feigned = listed.find((group) => groups_from?.some((name) => group.startsWith(`${name}=`)))
  if (feigned !== undefined)
    throw new TokenError(
      'malformed',
      `the group ${JSON.stringify(feigned.slice(0, 80))} looks like a claim of groups_from`,
    )
  const groups = [...new Set([...listed, ...made])]
  if (groups.length > mostGroups)
    throw new TokenError(
      'malformed',
      `more than ${mostGroups} groups: let the issuer write only those of this application`,
    )
  if (groups.some((group) => group.length > longestGroup || hasControl(group)))
    throw new TokenError('malformed', 'a group is too long, or holds control characters')
  return groups
}

function listOf(value: unknown, claim: string): string[] {
  if (value === undefined || value === null) return []
  const list: unknown[] = Array.isArray(value) ? value : [value]
  return list
    .map((group) => {
      if (typeof group !== 'string') throw new TokenError('malformed', `${claim} is not a list of texts`)
      return group
    })
    .filter((group) => group !== '')
}

/**
 * Where there are too many groups, Entra leaves the claim out and says where they could be asked for (`_claim_names`, or
 * `hasgroups` where a token comes by the browser; in SAML `groups.link`).
 */
function refuseOverage(claims: Claims, claim: string): void {
  const elsewhere = claims._claim_names
  const named = typeof elsewhere === 'object' && elsewhere !== null && Object.hasOwn(elsewhere, claim)
  const flagged = claim === 'groups' && (claims.hasgroups === true || claims.hasgroups === 'true')
  if (named || flagged || claims[`${claim}.link`] !== undefined)
    throw new TokenError(
      'malformed',
      `${claim} didn't fit into the token: let the issuer write only the groups that are assigned to this application`,
    )
}
