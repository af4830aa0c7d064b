import { createHash } from 'node:crypto'
import type { Role } from '@countersign/contract/identity'
import type { IssuerConfig } from '../config/schema.ts'
import { principalOf } from './claims.ts'
import { IssuerKeys, type IssuerKeysOptions } from './issuer-keys.ts'
import { type Identity, type Principal, TokenError } from './principal.ts'
import type { SubjectTokenType, VerifiedToken } from './subject-tokens.ts'
import { largestToken, readToken, verifyToken } from './token.ts'

export type RoleGroups = Record<Role, string[]>

export interface IdentityOptions extends IssuerKeysOptions {
  issuers: IssuerConfig[]
  /** Groups whose people have a role. */
  roles: RoleGroups
}

export interface ConfiguredIdentity extends Identity {
  /**
   * Checks a token that is to be exchanged, for `createSubjectTokens`.
   * @throws TokenError
   */
  verify(given: { token: string; type: SubjectTokenType }): Promise<VerifiedToken>
  /** Takes other issuers and roles, at once and for every token from now on. Keys of issuers that stay are kept. */
  reconfigure(options: { issuers: IssuerConfig[]; roles: RoleGroups }): void
}

/** How long a checked token is taken to be good without checking it anew (milliseconds), and how many are remembered. */
const rememberFor = 60_000
const rememberMost = 1000

/**
 * Tells who presents a token, by the configured issuers (contract.md section 3). Issuers are asked on first use, so that
 * one that is down keeps neither the gateway nor another issuer's tokens waiting.
 */
export function createIdentity(options: IdentityOptions): ConfiguredIdentity {
  const clock = options.clock ?? Date.now
  let issuers = new Map<string, { config: IssuerConfig; keys: IssuerKeys }>()
  let roles = options.roles
  /** SHA-256 of a token → who it was; oldest first. */
  let known = new Map<string, { principal: Principal; until: number }>()

  const reconfigure: ConfiguredIdentity['reconfigure'] = (next) => {
    issuers = new Map(
      next.issuers.map((config) => [
        config.issuer,
        { config, keys: issuers.get(config.issuer)?.keys ?? new IssuerKeys(config.issuer, options) },
      ]),
    )
    roles = next.roles
    known = new Map()
  }
  reconfigure(options)

  const authenticate = async (token: string): Promise<Principal> => {
    if (token.length > largestToken) throw new TokenError('malformed', `longer than ${largestToken} characters`)
    const hash = createHash('sha256').update(token).digest('base64')
    const seen = known.get(hash)
    if (seen && clock() < seen.until) return copy(seen.principal)

    const memory = known
    const unchecked = readToken(token)
    const issuer = issuers.get(unchecked.issuer)
    if (!issuer)
      throw new TokenError('issuer', `${JSON.stringify(unchecked.issuer.slice(0, 200))} is no issuer that is trusted`)
    const { config, keys } = issuer
    const claims = await verifyToken(token, unchecked, keys, config.audience, new Date(clock()))
    const principal = principalOf(claims, config, roles)

    // Into the memory that was there at the start: after a reconfiguration nobody reads that any more.
    memory.delete(hash)
    memory.set(hash, { principal, until: Math.min(clock() + rememberFor, principal.expiresAt.getTime()) })
    if (memory.size > rememberMost) memory.delete(memory.keys().next().value!)
    return copy(principal)
  }

  return {
    reconfigure,
    authenticate,
    async verify({ token, type }) {
      if (type === 'saml2') throw new TokenError('issuer', 'no SAML issuer is configured')
      return { principal: await authenticate(token) }
    },
  }
}

/** Each caller has its own: nobody changes who another one is. */
function copy(principal: Principal): Principal {
  return principal.kind === 'agent'
    ? { ...principal, groups: [...principal.groups], expiresAt: new Date(principal.expiresAt) }
    : {
        ...principal,
        groups: [...principal.groups],
        roles: [...principal.roles],
        expiresAt: new Date(principal.expiresAt),
      }
}
