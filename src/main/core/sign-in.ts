import type { SignIn } from '@countersign/contract/identity'
import * as oidc from 'openid-client'
import { ConsoleError } from '../../console-api.ts'
import { isLoopback } from './gateway-api.ts'
import { receiveCallback } from './loopback.ts'
import type { BrowserOpener } from './ports/browser-opener.ts'

/** What a sign-in leaves: enough to call the gateway, and to renew without the person. */
export interface Tokens {
  access: string
  /** Milliseconds since 1970. */
  expiresAt: number
  refresh?: string | undefined
}

/** Seconds that an issuer's clock may differ from ours: `expires_in` is all we go by, so this is for lost time only. */
const lifetimeUnknown = 300

/** How long a person has to sign in before the listener is closed. */
const patience = 10 * 60_000

/**
 * Signs a person in by OpenID Connect in the system's browser: authorization code with PKCE S256, state and nonce, and
 * a listener on 127.0.0.1 (RFC 8252, section 7.3). `opened` is called once the browser has the page.
 * @throws ConsoleError with what went wrong
 */
export async function signIn(
  how: SignIn,
  opener: BrowserOpener,
  options: { signal: AbortSignal; opened(): void },
): Promise<Tokens> {
  const issuer = await discover(how)
  const verifier = oidc.randomPKCECodeVerifier()
  const state = oidc.randomState()
  const nonce = oidc.randomNonce()
  await using callback = await receiveCallback({ state, patience, signal: options.signal })
  const scopes = new Set(['openid', ...how.scopes, 'offline_access'])
  const address = oidc.buildAuthorizationUrl(issuer, {
    redirect_uri: callback.redirectUri,
    scope: [...scopes].join(' '),
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    // OpenID Connect asks for consent where offline_access is wanted (Core 1.0, section 11).
    prompt: 'consent',
    ...(how.resource ? { resource: how.resource } : {}),
  })
  await opener.open(address.href)
  options.opened()
  const returned = await callback.received
  try {
    const answer = await oidc.authorizationCodeGrant(
      issuer,
      returned,
      { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true },
      how.resource ? { resource: how.resource } : {},
    )
    return tokensOf(answer)
  } catch (error) {
    throw new ConsoleError('sign-in-refused', `The sign-in was refused: ${reasonOf(error)}.`)
  }
}

/** Renews tokens; `ended` says that the issuer won't, and that the person must sign in again. */
export async function renew(
  how: SignIn,
  refresh: string,
): Promise<{ state: 'renewed'; tokens: Tokens } | { state: 'ended'; problem: string }> {
  const issuer = await discover(how)
  try {
    const answer = await oidc.refreshTokenGrant(issuer, refresh, how.resource ? { resource: how.resource } : {})
    return { state: 'renewed', tokens: { refresh, ...tokensOf(answer) } }
  } catch (error) {
    if (error instanceof oidc.ResponseBodyError && error.status < 500)
      return { state: 'ended', problem: `Your sign-in has ended (${reasonOf(error)}). Sign in again.` }
    throw error
  }
}

/** Tells the issuer that the refresh token is no longer wanted (RFC 7009). A courtesy: failing is fine. */
export async function revoke(how: SignIn, refresh: string): Promise<void> {
  const issuer = await discover(how)
  if (issuer.serverMetadata().revocation_endpoint)
    await oidc.tokenRevocation(issuer, refresh, { token_type_hint: 'refresh_token' })
}

async function discover(how: SignIn): Promise<oidc.Configuration> {
  const issuer = new URL(how.issuer)
  const plain = issuer.protocol === 'http:'
  if (issuer.protocol !== 'https:' && !(plain && isLoopback(issuer.hostname)))
    throw new ConsoleError(
      'insecure-issuer',
      `The gateway names ${how.issuer} for sign-in. Only https:// is safe, except on this machine. Tell its operator.`,
    )
  try {
    return await oidc.discovery(issuer, how.client_id, undefined, oidc.None(), {
      timeout: 10,
      ...(plain ? { execute: [oidc.allowInsecureRequests] } : {}),
    })
  } catch (error) {
    throw new ConsoleError(
      'issuer-unreachable',
      `${issuer.host}, where you sign in, can't be used: ${reasonOf(error)}.`,
    )
  }
}

function tokensOf(answer: oidc.TokenEndpointResponse & oidc.TokenEndpointResponseHelpers): Tokens {
  return {
    access: answer.access_token,
    expiresAt: Date.now() + (answer.expiresIn() ?? lifetimeUnknown) * 1000,
    ...(answer.refresh_token ? { refresh: answer.refresh_token } : {}),
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof oidc.ResponseBodyError || error instanceof oidc.AuthorizationResponseError)
    return error.error_description ?? error.error
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : ''
  return `${error.message}${cause}`
}
