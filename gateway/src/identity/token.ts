import {
  decodeJwt,
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  jwtVerify,
  type ProtectedHeaderParameters,
} from 'jose'
import type { IssuerConfig } from '../config/schema.ts'
import { checkRequired } from './claim.ts'
import type { CheckedClaims } from './claims.ts'
import type { IssuerKeys } from './issuer-keys.ts'
import { TokenError, type TokenFault } from './principal.ts'

/** Asymmetric ones only: with a symmetric algorithm whoever checks tokens could make them. */
export const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
]
/** Larger tokens are refused unread (characters). */
export const largestToken = 16 * 1024
/** Seconds by which an issuer's clock may be ahead of ours. A token's end has no such grace: access that ends, ends. */
export const skew = 30

/** Whether a text has the form of a signed JWT (RFC 7515, section 7.1). */
export function isJwt(token: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]*$/.test(token)
}

/**
 * The issuer that a JWT names. Not to be trusted yet.
 * @throws TokenError
 */
export function issuerOf(token: string): string {
  let iss: unknown
  try {
    ;({ iss } = decodeJwt(token))
  } catch (error) {
    throw new TokenError('malformed', 'not a JWT', { cause: error })
  }
  if (typeof iss !== 'string') throw new TokenError('issuer', 'no issuer')
  return iss
}

/** What can be read of a token without having checked it: enough to find out who should check it. */
export interface UncheckedToken {
  header: ProtectedHeaderParameters
}

/**
 * Reads a JWT's header. Nothing of it is to be trusted yet.
 * @throws TokenError
 */
export function readToken(token: string): UncheckedToken {
  let header: ProtectedHeaderParameters
  try {
    header = decodeProtectedHeader(token)
  } catch (error) {
    throw new TokenError('malformed', 'not a JWT', { cause: error })
  }
  if (typeof header.alg !== 'string' || !algorithms.includes(header.alg))
    throw new TokenError('algorithm', `algorithm ${printable(header.alg)} is not accepted`)
  // RFC 7515, 4.1.11: what a token calls critical and we don't know makes it invalid. We know none.
  if (header.crit !== undefined || header.b64 !== undefined)
    throw new TokenError('malformed', 'a critical header is not understood')
  if (header.kid !== undefined && typeof header.kid !== 'string') throw new TokenError('malformed', 'kid is no text')
  // RFC 9068 access tokens, and what most issuers write. Logout tokens, DPoP proofs and the like are no credentials.
  if (header.typ !== undefined && !/^(application\/)?(at\+)?jwt$/i.test(String(header.typ)))
    throw new TokenError('malformed', `typ ${printable(header.typ)} is not a token for access`)
  return { header }
}

/**
 * Checks signature, issuer, audience and times (RFC 7519 section 7.2, RFC 8725), and that it is a token for access. Keys
 * that a token brings along (jwk, jku, x5c, x5u) are never looked at.
 * @param use what it is presented as
 * @throws TokenError
 */
export async function verifyToken(
  token: string,
  unchecked: UncheckedToken,
  keys: IssuerKeys,
  issuer: IssuerConfig,
  use: TokenUse,
  now: Date,
): Promise<CheckedClaims> {
  const resolve = await keys.resolver(unchecked.header.kid)
  const options = {
    algorithms,
    issuer: issuer.issuer,
    requiredClaims: ['exp'],
    currentDate: now,
    // For nbf. What it grants exp as well, checkTimes takes back.
    clockTolerance: skew,
  }
  let claims: JWTPayload
  try {
    claims = await verifyWithAny(token, resolve, options)
  } catch (error) {
    throw asTokenError(error)
  }
  const checked = checkTimes(claims, issuer.issuer, now)
  checkAudience(checked, issuer)
  checkUse(checked, { ...unchecked.header }, issuer, use)
  checkRequired(checked, issuer)
  return checked
}

async function verifyWithAny(
  token: string,
  resolve: Parameters<typeof jwtVerify>[1],
  options: Parameters<typeof jwtVerify>[2],
): Promise<JWTPayload> {
  try {
    return (await jwtVerify(token, resolve as never, options)).payload
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
    // A token without a kid, or a set that uses one twice: whichever of the few keys fits.
    for await (const key of error) {
      try {
        return (await jwtVerify(token, key, options)).payload
      } catch (failed) {
        if (!(failed instanceof errors.JWSSignatureVerificationFailed)) throw failed
      }
    }
    throw new errors.JWSSignatureVerificationFailed()
  }
}

/**
 * Checks `exp` (without any grace), `nbf` and `iat` of what an issuer says of a token.
 * @throws TokenError
 */
export function checkTimes(claims: Record<string, unknown>, iss: string, now: Date): CheckedClaims {
  const { exp, iat, nbf } = claims
  const seconds = now.getTime() / 1000
  if (typeof exp !== 'number' || !(exp <= 8.64e12)) throw new TokenError('malformed', 'exp is no time')
  if (exp <= seconds) throw new TokenError('expired', `expired at ${new Date(exp * 1000).toISOString()}`)
  for (const [name, time] of Object.entries({ iat, nbf })) {
    if (time === undefined) continue
    if (typeof time !== 'number') throw new TokenError('malformed', `${name} is no time`)
    if (time > seconds + skew) throw new TokenError('not-yet-valid', `${name} is in the future`)
  }
  if (typeof iat === 'number' && iat > exp) throw new TokenError('malformed', 'ends before it was issued')
  return { ...claims, iss, exp }
}

/**
 * Checks that a token is for this gateway: one of the configured audiences, or one of the clients that are trusted to
 * send only tokens that are meant for it (`authorized_party`: what Keycloak issues without a mapper has no audience).
 * @throws TokenError
 */
export function checkAudience(claims: Record<string, unknown>, issuer: IssuerConfig): void {
  const { aud } = claims
  const given: unknown[] = Array.isArray(aud) ? aud : [aud]
  const wanted = typeof issuer.audience === 'string' ? [issuer.audience] : issuer.audience
  if (given.some((one) => typeof one === 'string' && wanted.includes(one))) return
  const party = claims.azp ?? claims.client_id
  if (typeof party === 'string' && issuer.authorized_party?.includes(party)) return
  throw new TokenError('audience', 'the token is for another audience')
}

/** What a token is presented as: a credential, or what is exchanged for one and says which kind it is. */
export type TokenUse = 'credential' | 'jwt' | 'access_token' | 'id_token'

/**
 * Refuses what shows that it is no token for access: an ID token tells a client who signed in, and every client that
 * somebody uses has one. Where it doesn't show (an ID token without nonce and hashes, for this very audience) it can't be
 * told, and is what service accounts of Google, GitHub and GitLab come with.
 * @throws TokenError
 */
export function checkUse(
  claims: Record<string, unknown>,
  header: Record<string, unknown>,
  issuer: IssuerConfig,
  use: TokenUse,
): void {
  const refuse = (why: string) => new TokenError('malformed', why)
  // RFC 7800, RFC 8705, RFC 9449: whoever presents it would have to prove a key, and nothing here asks for that.
  if (claims.cnf !== undefined && claims.cnf !== null)
    throw refuse('the token is bound to a key (cnf), which nothing here could prove: get a bearer token')
  const accessType = /^(application\/)?at\+jwt$/i.test(String(header.typ ?? ''))
  // Keycloak says in `typ` what it is: Bearer, ID, Refresh, Offline, Logout.
  // Cognito does in `token_use`: access, id.
  const said = claims.typ ?? claims.token_use
  const kind = typeof said === 'string' ? said.toLowerCase() : undefined
  const shown = claims.nonce !== undefined || claims.at_hash !== undefined || claims.c_hash !== undefined
  const isId = kind === 'id' || (kind === undefined && !accessType && shown)
  if (kind !== undefined && !['bearer', 'access', 'jwt', 'at+jwt', 'id'].includes(kind))
    throw refuse(`the token says that it is of type ${printable(said)}, which is none for access`)
  if (isId && use !== 'id_token' && issuer.id_tokens !== true)
    throw refuse('an ID token is for the client that somebody signed in with: present an access token')
  if (use === 'id_token' && (accessType || kind === 'bearer' || kind === 'access'))
    throw refuse('an access token is no ID token')
}

function asTokenError(error: unknown): TokenError {
  if (error instanceof TokenError) return error
  const [fault, message] = faultOf(error)
  return new TokenError(fault, message, { cause: error })
}

function faultOf(error: unknown): [TokenFault, string] {
  if (error instanceof errors.JWTExpired) return ['expired', 'expired']
  if (error instanceof errors.JWTClaimValidationFailed) {
    const fault = (
      { iss: 'issuer', aud: 'audience', sub: 'subject', nbf: 'not-yet-valid' } as Record<string, TokenFault>
    )[error.claim]
    if (error.claim === 'nbf' && error.reason !== 'check_failed') return ['malformed', error.message]
    return [fault ?? 'malformed', error.message]
  }
  if (error instanceof errors.JWKSNoMatchingKey) return ['signature', 'no key of the issuer fits: unknown kid']
  if (error instanceof errors.JWSSignatureVerificationFailed) return ['signature', 'the signature is wrong']
  if (error instanceof errors.JOSEAlgNotAllowed) return ['algorithm', error.message]
  if (error instanceof errors.JWSInvalid || error instanceof errors.JWTInvalid) return ['malformed', error.message]
  // Keys that can't be used (too short, damaged, of another kind) come as TypeError and others.
  return ['signature', `the signature can't be checked: ${error instanceof Error ? error.message : error}`]
}

function printable(value: unknown): string {
  return JSON.stringify(String(value).slice(0, 40))
}
