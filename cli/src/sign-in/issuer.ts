import type { SignIn } from '@countersign/contract/identity'
import * as oidc from 'openid-client'
import { CliError, exits, refused } from '../errors.ts'
import { sentenceOf } from '../gateway/gateway.ts'
import { isLoopback, unreachable } from '../gateway/request.ts'
import type { Tokens } from './kept.ts'

/** Seconds that a token is taken to live where its issuer doesn't say. */
const lifetimeUnknown = 300

/**
 * An issuer's metadata, by discovery. `auth` is how this client proves itself; none for people's sign-ins.
 * @throws CliError where it can't be reached or used
 */
export async function discover(
  address: string,
  clientId: string,
  auth: oidc.ClientAuth = oidc.None(),
): Promise<oidc.Configuration> {
  if (!URL.canParse(address))
    throw refused(`${sentenceOf(address)} is no address of an issuer: tell the gateway's operator`)
  const issuer = new URL(address)
  const plain = issuer.protocol === 'http:'
  if (issuer.protocol !== 'https:' && !(plain && isLoopback(issuer.hostname)))
    throw refused(
      `${sentenceOf(address)} is named for sign-in, and only https:// is safe, except on this machine: tell the gateway's operator`,
    )
  try {
    return await oidc.discovery(issuer, clientId, undefined, auth, {
      timeout: 10,
      ...(plain ? { execute: [oidc.allowInsecureRequests] } : {}),
    })
  } catch (error) {
    throw ofIssuer(issuer, error)
  }
}

/** Renews a sign-in. @throws CliError 4 where the issuer won't, 1 where it can't be asked */
export async function renew(how: SignIn, refresh: string): Promise<Tokens> {
  const issuer = await discover(how.issuer, how.client_id)
  try {
    return { refresh, ...tokensOf(await oidc.refreshTokenGrant(issuer, refresh, resourceOf(how))) }
  } catch (error) {
    if (isRefusal(error))
      throw new CliError(exits.notSignedIn, `your sign-in has ended (${reasonOf(error)}): countersign login`)
    throw ofIssuer(new URL(how.issuer), error)
  }
}

/** Tells the issuer that the refresh token is no longer wanted (RFC 7009). */
export async function revoke(how: SignIn, refresh: string): Promise<void> {
  const issuer = await discover(how.issuer, how.client_id)
  if (issuer.serverMetadata().revocation_endpoint)
    await oidc.tokenRevocation(issuer, refresh, { token_type_hint: 'refresh_token' })
}

export function tokensOf(answer: oidc.TokenEndpointResponse & oidc.TokenEndpointResponseHelpers): Tokens {
  return {
    access: answer.access_token,
    expiresAt: Date.now() + (answer.expiresIn() ?? lifetimeUnknown) * 1000,
    ...(answer.refresh_token ? { refresh: answer.refresh_token } : {}),
  }
}

export const resourceOf = (how: SignIn): Record<string, string> => (how.resource ? { resource: how.resource } : {})

/** The scopes to ask for: offline_access, so that it can be renewed without the person. */
export const scopesOf = (how: SignIn): string => [...new Set(['openid', ...how.scopes, 'offline_access'])].join(' ')

/** Whether an issuer said no, other than by failing itself: asking again changes nothing. */
export function isRefusal(error: unknown): boolean {
  if (error instanceof oidc.WWWAuthenticateChallengeError || error instanceof oidc.AuthorizationResponseError)
    return true
  return error instanceof oidc.ResponseBodyError && error.status < 500
}

/** What an issuer gave as its reason, or what went wrong on the way, as part of a sentence. */
export function reasonOf(error: unknown): string {
  if (error instanceof oidc.ResponseBodyError || error instanceof oidc.AuthorizationResponseError)
    return sentenceOf(error.error_description ?? error.error)
  if (error instanceof oidc.WWWAuthenticateChallengeError) {
    const given = error.cause[0]?.parameters
    return sentenceOf(given?.error_description ?? given?.error ?? `it answered ${error.status}`)
  }
  if (!(error instanceof Error)) return sentenceOf(String(error))
  return sentenceOf(error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message)
}

/** What an issuer said no to, or what kept it from being asked. */
export function ofIssuer(issuer: URL, error: unknown): CliError {
  if (error instanceof CliError) return error
  if (isRefusal(error)) return refused(`the issuer ${issuer.host} refused: ${reasonOf(error)}`, { cause: error })
  if (error instanceof TypeError && error.cause instanceof Error) {
    // A gateway's own --ca says nothing of issuers, and --gateway isn't where they are.
    const words = unreachable(issuer, error).message.replace('by --ca FILE', 'by NODE_EXTRA_CA_CERTS=FILE')
    return refused(`the issuer can't be asked: ${words.replace(' (--gateway)', '')}`)
  }
  return refused(`the issuer ${issuer.host} can't be used: ${reasonOf(error)}`, { cause: error })
}
