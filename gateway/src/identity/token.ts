import {
  decodeJwt,
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  jwtVerify,
  type ProtectedHeaderParameters,
} from 'jose'
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

/** What can be read of a token without having checked it: enough to find out who should check it. */
export interface UncheckedToken {
  issuer: string
  header: ProtectedHeaderParameters
}

/**
 * Reads a JWT's header and issuer. Nothing of it is to be trusted yet.
 * @throws TokenError
 */
export function readToken(token: string): UncheckedToken {
  if (!/^[\w-]+\.[\w-]+\.[\w-]*$/.test(token)) throw new TokenError('malformed', 'not a signed JWT')
  let header: ProtectedHeaderParameters
  let claims: JWTPayload
  try {
    header = decodeProtectedHeader(token)
    claims = decodeJwt(token)
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
  if (typeof claims.iss !== 'string') throw new TokenError('issuer', 'no issuer')
  return { issuer: claims.iss, header }
}

export type CheckedClaims = JWTPayload & { iss: string; sub: string; exp: number }

/**
 * Checks signature, issuer, audience and times (RFC 7519 section 7.2, RFC 8725). Keys that a token brings along (jwk,
 * jku, x5c, x5u) are never looked at.
 * @throws TokenError
 */
export async function verifyToken(
  token: string,
  unchecked: UncheckedToken,
  keys: IssuerKeys,
  audience: string,
  now: Date,
): Promise<CheckedClaims> {
  const resolve = await keys.resolver(unchecked.header.kid)
  const options = {
    algorithms,
    audience,
    issuer: keys.issuer,
    requiredClaims: ['exp', 'sub'],
    currentDate: now,
    // For nbf. What it grants exp as well, checkClaims takes back.
    clockTolerance: skew,
  }
  let claims: JWTPayload
  try {
    claims = await verifyWithAny(token, resolve, options)
  } catch (error) {
    throw asTokenError(error)
  }
  return checkClaims(claims, now)
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

function checkClaims(claims: JWTPayload, now: Date): CheckedClaims {
  const { iss, sub, exp, iat } = claims
  const seconds = now.getTime() / 1000
  if (typeof sub !== 'string' || sub.trim() === '' || sub.length > 1024 || hasControl(sub))
    throw new TokenError('subject', 'sub is empty or no text')
  if (typeof exp !== 'number' || exp > 8.64e12) throw new TokenError('malformed', 'exp is no time')
  if (exp <= seconds) throw new TokenError('expired', `expired at ${new Date(exp * 1000).toISOString()}`)
  if (iat !== undefined && iat > seconds + skew) throw new TokenError('not-yet-valid', 'issued in the future')
  if (iat !== undefined && iat > exp) throw new TokenError('malformed', 'ends before it was issued')
  return { ...claims, iss: iss!, sub, exp }
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

/** Control characters, line separators and bidirectional overrides: what could make a text look like another. */
export function hasControl(text: string): boolean {
  return /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u.test(text)
}

function printable(value: unknown): string {
  return JSON.stringify(String(value).slice(0, 40))
}
