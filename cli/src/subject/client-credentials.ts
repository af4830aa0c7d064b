import { createPrivateKey, type KeyObject } from 'node:crypto'
import * as oidc from 'openid-client'
import { CliError, exits, misuse, notSignedIn } from '../errors.ts'
import { discover, isRefusal, ofIssuer, reasonOf } from '../sign-in/issuer.ts'
import { fromFile } from './sources.ts'

/**
 * An access token by the client_credentials grant (RFC 6749, section 4.4): of COUNTERSIGN_ISSUER, for
 * COUNTERSIGN_CLIENT_ID, proved by COUNTERSIGN_CLIENT_SECRET(_FILE) or the private key in COUNTERSIGN_CLIENT_KEY_FILE
 * (RFC 7523). COUNTERSIGN_SCOPE, COUNTERSIGN_RESOURCE and COUNTERSIGN_AUDIENCE go along where they are set.
 */
export async function byClientCredentials(env: NodeJS.ProcessEnv): Promise<string> {
  const { COUNTERSIGN_ISSUER: address, COUNTERSIGN_CLIENT_ID: client } = env
  if (!address || !client) throw misuse('client credentials need COUNTERSIGN_ISSUER and COUNTERSIGN_CLIENT_ID')
  const issuer = await discover(address, client, await proofOf(env))
  const parameters = {
    ...(env.COUNTERSIGN_SCOPE && { scope: env.COUNTERSIGN_SCOPE }),
    ...(env.COUNTERSIGN_RESOURCE && { resource: env.COUNTERSIGN_RESOURCE }),
    ...(env.COUNTERSIGN_AUDIENCE && { audience: env.COUNTERSIGN_AUDIENCE }),
  }
  try {
    return (await oidc.clientCredentialsGrant(issuer, parameters)).access_token
  } catch (error) {
    if (isRefusal(error))
      throw new CliError(
        exits.notSignedIn,
        `${new URL(address).host} gives this client no token (${reasonOf(error)}): check COUNTERSIGN_CLIENT_ID and its secret`,
      )
    throw ofIssuer(new URL(address), error)
  }
}

async function proofOf(env: NodeJS.ProcessEnv): Promise<oidc.ClientAuth> {
  if (env.COUNTERSIGN_CLIENT_KEY_FILE)
    return byKey(fromFile(env.COUNTERSIGN_CLIENT_KEY_FILE), env.COUNTERSIGN_CLIENT_KEY_ID)
  const secret = env.COUNTERSIGN_CLIENT_SECRET_FILE
    ? fromFile(env.COUNTERSIGN_CLIENT_SECRET_FILE)
    : env.COUNTERSIGN_CLIENT_SECRET
  if (!secret)
    throw notSignedIn(
      'client credentials need COUNTERSIGN_CLIENT_SECRET_FILE, COUNTERSIGN_CLIENT_SECRET or COUNTERSIGN_CLIENT_KEY_FILE',
    )
  return oidc.ClientSecretBasic(secret)
}

/** private_key_jwt. The key is PEM or a JWK, whose `kid` counts where none is given. */
async function byKey(text: string, kid: string | undefined): Promise<oidc.ClientAuth> {
  let key: KeyObject
  let own: string | undefined
  try {
    const jwk = text.startsWith('{') ? (JSON.parse(text) as { kid?: string }) : undefined
    own = jwk?.kid
    key = jwk ? createPrivateKey({ key: jwk as never, format: 'jwk' }) : createPrivateKey(text)
  } catch {
    // What the parser says could quote the key.
    throw misuse('COUNTERSIGN_CLIENT_KEY_FILE holds no private key: it takes PEM without a passphrase, or a JWK')
  }
  const id = kid ?? own
  // One and the same by two names: Node's types and openid-client's.
  const cryptoKey = key.toCryptoKey(algorithmOf(key), false, ['sign']) as unknown as oidc.CryptoKey
  return id === undefined ? oidc.PrivateKeyJwt(cryptoKey) : oidc.PrivateKeyJwt({ key: cryptoKey, kid: id })
}

function algorithmOf(key: KeyObject) {
  const curve = key.asymmetricKeyDetails?.namedCurve
  if (key.asymmetricKeyType === 'rsa') return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
  if (key.asymmetricKeyType === 'ed25519') return { name: 'Ed25519' }
  if (curve === 'prime256v1') return { name: 'ECDSA', namedCurve: 'P-256' }
  if (curve === 'secp384r1') return { name: 'ECDSA', namedCurve: 'P-384' }
  throw misuse('COUNTERSIGN_CLIENT_KEY_FILE: use a key of RSA, P-256, P-384 or Ed25519')
}
