import type { SignIn } from '@countersign/contract/identity'
import * as oidc from 'openid-client'
import { misuse } from '../errors.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { distance, shown } from '../terminal/text.ts'
import { hasDisplay, openBrowser } from './browser.ts'
import { discover, ofIssuer, resourceOf, scopesOf, tokensOf } from './issuer.ts'
import type { Tokens } from './kept.ts'
import { receiveCallback } from './loopback.ts'

export interface SignInOptions {
  /** With a code to be typed on another device, whatever is here. */
  device?: boolean | undefined
  /** The address is printed; nothing is opened. */
  printOnly: boolean
}

/**
 * Signs a person in: in this machine's browser where there is one, else by a code on another device where the issuer can
 * (RFC 8628), else by an address to be opened by hand.
 * @throws CliError with what went wrong
 */
export async function signIn(
  how: SignIn,
  options: SignInOptions,
  env: NodeJS.ProcessEnv,
  terminal: Terminal,
): Promise<Tokens> {
  const issuer = await discover(how.issuer, how.client_id)
  const canDevice = issuer.serverMetadata().device_authorization_endpoint !== undefined
  if (options.device && !canDevice)
    throw misuse(`${new URL(how.issuer).host}, where you sign in, has no device codes: leave --device out`)
  const device = options.device ?? (canDevice && !options.printOnly && !hasDisplay(env))
  try {
    return await (device ? byDevice(issuer, how, terminal) : byBrowser(issuer, how, options.printOnly, env, terminal))
  } catch (error) {
    throw ofIssuer(new URL(how.issuer), error)
  }
}

/** Authorization code with PKCE S256, state and nonce, received on loopback (RFC 8252, section 7.3). */
async function byBrowser(
  issuer: oidc.Configuration,
  how: SignIn,
  printOnly: boolean,
  env: NodeJS.ProcessEnv,
  terminal: Terminal,
): Promise<Tokens> {
  const verifier = oidc.randomPKCECodeVerifier()
  const state = oidc.randomState()
  const nonce = oidc.randomNonce()
  await using callback = await receiveCallback(state)
  const address = oidc.buildAuthorizationUrl(issuer, {
    redirect_uri: callback.redirectUri,
    scope: scopesOf(how),
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    // OpenID Connect asks for consent where offline_access is wanted (Core 1.0, section 11).
    prompt: 'consent',
    ...resourceOf(how),
  })
  const opened = !printOnly && (await openBrowser(address.href, env))
  if (opened) terminal.say(`sign in with the browser that opens; if none does, open ${address.href}`)
  else terminal.say(`open this address in a browser of this machine: ${address.href}`)
  const answer = await oidc.authorizationCodeGrant(
    issuer,
    await callback.received,
    { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true },
    resourceOf(how),
  )
  return tokensOf(answer)
}

/** RFC 8628: the code is shown here, and typed wherever there is a browser. */
async function byDevice(issuer: oidc.Configuration, how: SignIn, terminal: Terminal): Promise<Tokens> {
  const begun = await oidc.initiateDeviceAuthorization(issuer, { scope: scopesOf(how), ...resourceOf(how) })
  terminal.say(`open ${shown(begun.verification_uri)} on any device and enter the code ${shown(begun.user_code)}`)
  if (begun.verification_uri_complete) terminal.say(`or open ${shown(begun.verification_uri_complete)}`)
  terminal.say(`waiting for you; the code holds for ${distance(begun.expires_in)}`)
  return tokensOf(await oidc.pollDeviceAuthorizationGrant(issuer, begun, resourceOf(how)))
}
