import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { Role } from '@countersign/contract/identity'
import type { IssuerConfig } from '../config/schema.ts'
import { mayActOf } from './actors.ts'
import { type CheckedClaims, principalOf } from './claims.ts'
import { Introspection, opaqueToken } from './introspection/introspection.ts'
import { Proofs } from './introspection/proofs.ts'
import { IssuerKeys, type IssuerKeysOptions, type KeySource } from './issuer-keys.ts'
import { type Identity, type Principal, TokenError } from './principal.ts'
import { issuerOfAssertion, readAssertion } from './saml/reading.ts'
import { SamlIssuer } from './saml/saml.ts'
import type { SubjectTokenType, VerifiedToken } from './subject-tokens.ts'
import { isJwt, issuerOf, largestToken, readToken, type TokenUse, verifyToken } from './token.ts'

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
  /**
   * Whether a session's token is still good, where its issuer can be asked (`principal.proof`): to be asked each minute.
   * @returns why it isn't, in words for the session's client; undefined where it is, or isn't to be asked about
   */
  recheck(principal: Principal): Promise<string | undefined>
  /** Takes other issuers and roles, at once and for every token from now on. Keys of issuers that stay are kept. */
  reconfigure(options: { issuers: IssuerConfig[]; roles: RoleGroups }): void
}

/** How long a checked token is taken to be good without checking it anew (milliseconds), and how many are remembered. */
const rememberFor = { signed: 60_000, asked: 10_000 }
const rememberMost = 1000
/** What gateway tokens begin with (`POST /v1/token`): no issuer is ever asked about one. */
const gatewayToken = 'cst_'

/** One issuer, with what it takes to check what it says. */
interface Trusted {
  config: IssuerConfig
  source: KeySource
  keys: IssuerKeys
  introspection?: Introspection
  saml?: SamlIssuer
}

/**
 * Tells who presents a token, by the configured issuers (contract.md section 3). Issuers are asked on first use, so that
 * one that is down keeps neither the gateway nor another issuer's tokens waiting.
 */
export function createIdentity(options: IdentityOptions): ConfiguredIdentity {
  const clock = options.clock ?? Date.now
  let issuers = new Map<string, Trusted>()
  let roles = options.roles
  /** SHA-256 of a token → who it was; oldest first. */
  let known = new Map<string, { principal: Principal; until: number }>()
  const proofs = new Proofs(clock)

  const reconfigure: ConfiguredIdentity['reconfigure'] = (next) => {
    issuers = new Map(
      next.issuers.map((config) => [config.issuer, trusted(config, issuers.get(config.issuer), options)]),
    )
    roles = next.roles
    known = new Map()
  }
  reconfigure(options)

  /** What the token's issuer says of it, once it is sure that it was the issuer. */
  const checked = async (
    token: string,
    use: TokenUse,
  ): Promise<{ claims: CheckedClaims; by: Trusted; asked: boolean }> => {
    if (token.length > largestToken) throw new TokenError('malformed', `longer than ${largestToken} characters`)
    if (!isJwt(token)) {
      const by = token.startsWith(gatewayToken) || !opaqueToken.test(token) ? undefined : introspectorOf(token, issuers)
      if (!by?.introspection)
        throw new TokenError('malformed', 'neither a signed JWT nor a token that an issuer is asked about')
      return { claims: await by.introspection.claimsOf(token, use), by, asked: true }
    }
    const iss = issuerOf(token)
    const by = issuers.get(iss)
    if (by?.introspection && by.config.introspection?.tokens === 'all')
      return { claims: await by.introspection.claimsOf(token, use), by, asked: true }
    const unchecked = readToken(token)
    if (!by || by.saml)
      throw new TokenError('issuer', `${JSON.stringify(iss.slice(0, 200))} is no issuer that is trusted`)
    return { claims: await verifyToken(token, unchecked, by.keys, by.config, use, new Date(clock())), by, asked: false }
  }

  const authenticate = async (token: string): Promise<Principal> => {
    const hash = createHash('sha256').update(token).digest('base64')
    const seen = known.get(hash)
    if (seen && clock() < seen.until) return copy(seen.principal)

    const memory = known
    const { claims, by, asked } = await checked(token, 'credential')
    const principal = principalOf(claims, by.config, roles)
    if (asked) principal.proof = proofs.keep(token, principal)

    // Into the memory that was there at the start: after a reconfiguration nobody reads that any more.
    memory.delete(hash)
    const until = clock() + (asked ? rememberFor.asked : rememberFor.signed)
    memory.set(hash, { principal, until: Math.min(until, principal.expiresAt.getTime()) })
    if (memory.size > rememberMost) memory.delete(memory.keys().next().value!)
    return copy(principal)
  }

  const assertion = async (token: string): Promise<VerifiedToken> => {
    const document = readAssertion(token)
    const by = issuers.get(issuerOfAssertion(document))
    if (!by?.saml) throw new TokenError('issuer', 'no SAML issuer that is trusted made this assertion')
    const { claims, id, until } = await by.saml.check(document)
    return { principal: principalOf(claims, by.config, roles), once: { id: `saml ${by.config.issuer} ${id}`, until } }
  }

  return {
    reconfigure,
    authenticate,
    async verify({ token, type }) {
      if (type === 'saml2') return assertion(token)
      const { claims, by } = await checked(token, type)
      const principal = principalOf(claims, by.config, roles)
      const mayAct = mayActOf(claims)
      return { principal: { ...principal, ...(mayAct === undefined ? {} : { mayAct }) } }
    },
    async recheck({ proof }) {
      if (proof === undefined) return undefined
      return proofs.recheck(proof, async (token) => {
        const { claims, by } = await checked(token, 'credential')
        return principalOf(claims, by.config, roles)
      })
    },
  }
}

function trusted(config: IssuerConfig, before: Trusted | undefined, options: IdentityOptions): Trusted {
  const { issuer, discovery, jwks, ca, network, introspection, saml } = config
  const source: KeySource = { issuer, discovery, jwks, ca, network }
  const same = before !== undefined && isDeepStrictEqual(source, before.source)
  const sameSaml = same && before.saml && isDeepStrictEqual(saml?.metadata, before.config.saml?.metadata)
  return {
    config,
    source,
    keys: same ? before.keys : new IssuerKeys(source, options),
    ...(introspection ? { introspection: new Introspection(config, introspection, options) } : {}),
    ...(saml ? { saml: new SamlIssuer(config, saml, options, sameSaml ? before.saml : undefined) } : {}),
  }
}

/** Which issuer an opaque token is asked of: the one of its prefix (the longest), else the one without. */
function introspectorOf(token: string, issuers: Map<string, Trusted>): Trusted | undefined {
  let best: Trusted | undefined
  let length = -1
  for (const issuer of issuers.values()) {
    if (!issuer.introspection) continue
    const prefix = issuer.config.introspection?.prefix ?? ''
    if (token.startsWith(prefix) && prefix.length > length) [best, length] = [issuer, prefix.length]
  }
  return best
}

/** Each caller has its own: nobody changes who another one is. */
function copy(principal: Principal): Principal {
  const own = { groups: [...principal.groups], expiresAt: new Date(principal.expiresAt) }
  if (principal.kind === 'person') return { ...principal, ...own, roles: [...principal.roles] }
  return { ...principal, ...own, ...(principal.chain ? { chain: [...principal.chain] } : {}) }
}
