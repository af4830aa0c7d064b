import { createLocalJWKSet, type JSONWebKeySet, type JWK, type JWTVerifyGetKey } from 'jose'
import type { IssuerConfig } from '../config/schema.ts'
import { FetchError, fetchJson, type Lookup, type Route } from './bounded-fetch.ts'
import { TokenError } from './principal.ts'
import { reachFor } from './reach.ts'

/** Keys are asked for anew after this long. */
export const freshFor = 10 * 60_000
/** While the issuer can't be reached, the last keys that it published are used for this long. */
export const staleFor = 6 * 3_600_000
/** The least time between two tries after a failure, and between two fetches that an unknown key id asked for. */
export const cooldown = 30_000

const metadataBounds = { bytes: 128 * 1024, timeout: 5000 }
const jwksBounds = { bytes: 512 * 1024, timeout: 5000 }
const mostKeys = 100

export interface IssuerKeysOptions {
  /** All addresses of a host name; absent: the system's answer. */
  lookup?: Lookup
  /** Milliseconds since the epoch. */
  clock?: () => number
  log: { warn(details: object, message: string): void; info(details: object, message: string): void }
}

/** What is configured of an issuer about its keys. */
export type KeySource = Pick<IssuerConfig, 'issuer' | 'discovery' | 'jwks' | 'ca' | 'network'>

/** How what an issuer's configuration names is reached. */
export function routeOf(issuer: IssuerConfig | KeySource, lookup: Lookup | undefined, more: string[] = []): Route {
  const { jwks, discovery, ca } = issuer
  // A SAML entity id is a name, not an address: what it looks like says nothing about where the issuer is.
  const own = 'saml' in issuer && issuer.saml ? [] : [issuer.issuer]
  const configured = [...own, ...more, ...(discovery === undefined ? [] : [discovery])]
  if (jwks && 'url' in jwks) configured.push(jwks.url)
  return {
    reach: reachFor(configured, issuer.network),
    ...(ca === undefined ? {} : { ca }),
    ...(lookup === undefined ? {} : { lookup }),
  }
}

/**
 * The signing keys of one issuer: OpenID Connect Discovery 1.0 (or RFC 8414), then its JWKS (RFC 7517), both kept; or the
 * JWKS alone where the configuration says where it is. A key id that isn't known asks once more, at most once in 30 s, so
 * that nobody can make the gateway flood an issuer.
 */
export class IssuerKeys {
  readonly issuer: string
  readonly #source: KeySource
  readonly #route: Route
  readonly #options: IssuerKeysOptions
  readonly #clock: () => number
  #keys: { resolve: JWTVerifyGetKey; ids: Set<string | undefined>; at: number } | undefined
  #fetching: Promise<void> | undefined
  #failure: { at: number; error: Error } | undefined
  #forcedAt = Number.NEGATIVE_INFINITY

  constructor(source: KeySource, options: IssuerKeysOptions) {
    this.issuer = source.issuer
    this.#source = source
    this.#route = routeOf(source, options.lookup)
    this.#options = options
    this.#clock = options.clock ?? Date.now
  }

  /**
   * The function that jose asks for a token's key.
   * @throws TokenError issuer-unreachable where there are no keys that may still be used
   */
  async resolver(kid: string | undefined): Promise<JWTVerifyGetKey> {
    const { jwks } = this.#source
    if (jwks && 'keys' in jwks) {
      this.#keys ??= { resolve: createLocalJWKSet(jwks), ids: new Set(), at: this.#clock() }
      return this.#keys.resolve
    }
    if (this.#age() >= freshFor) await this.#refresh()
    if (this.#age() >= staleFor) throw this.#unreachable()
    if (kid !== undefined && !this.#keys!.ids.has(kid) && this.#clock() - this.#forcedAt >= cooldown) {
      this.#forcedAt = this.#clock()
      await this.#refresh()
      // Whether the key is good can't be told while the issuer can't be asked.
      if (this.#failure && !this.#keys!.ids.has(kid)) throw this.#unreachable()
    }
    return this.#keys!.resolve
  }

  #age(): number {
    return this.#keys ? this.#clock() - this.#keys.at : Number.POSITIVE_INFINITY
  }

  #unreachable(): TokenError {
    const reason = this.#failure?.error.message ?? 'its keys are too old'
    return new TokenError('issuer-unreachable', `the keys of ${this.issuer} can't be had: ${reason}`, {
      cause: this.#failure?.error,
    })
  }

  /** One fetch at a time; none within the cooldown after a failure. Never throws: what failed is kept. */
  #refresh(): Promise<void> {
    if (this.#failure && this.#clock() - this.#failure.at < cooldown) return Promise.resolve()
    this.#fetching ??= this.#fetch()
      .then((set) => {
        const ids = new Set(set.keys.map((key) => key.kid))
        this.#keys = { resolve: createLocalJWKSet(set), ids, at: this.#clock() }
        if (this.#failure) this.#options.log.info({ issuer: this.issuer }, 'issuer answers again')
        this.#failure = undefined
      })
      .catch((error: Error) => {
        this.#failure = { at: this.#clock(), error }
        this.#options.log.warn(
          { issuer: this.issuer, problem: error.message, keysFrom: this.#keys && new Date(this.#keys.at) },
          this.#keys ? 'issuer unreachable: the keys that it last published are used' : 'issuer unreachable',
        )
      })
      .finally(() => {
        this.#fetching = undefined
      })
    return this.#fetching
  }

  async #fetch(): Promise<JSONWebKeySet> {
    const { jwks } = this.#source
    const url = jwks && 'url' in jwks ? new URL(jwks.url) : await this.#discovered()
    const { keys } = await fetchJson(url, jwksBounds, this.#route)
    return usableKeys(keys, String(url))
  }

  async #discovered(): Promise<URL> {
    const metadata = await this.#metadata()
    if (metadata.issuer !== this.issuer)
      throw new FetchError(
        `the metadata of ${this.issuer} says it is ${String(metadata.issuer).slice(0, 200)}: copy the issuer exactly`,
      )
    const url = typeof metadata.jwks_uri === 'string' ? URL.parse(metadata.jwks_uri) : null
    if (!url) throw new FetchError(`the metadata of ${this.issuer} has no jwks_uri`)
    return url
  }

  async #metadata(): Promise<Record<string, unknown>> {
    const { discovery } = this.#source
    let missing: FetchError | undefined
    for (const url of discovery === undefined ? metadataUrls(this.issuer) : [new URL(discovery)]) {
      try {
        return await fetchJson(url, metadataBounds, this.#route)
      } catch (error) {
        if (!(error instanceof FetchError) || (error.status !== 404 && error.status !== 405)) throw error
        missing ??= error
      }
    }
    throw missing!
  }
}

/**
 * The keys of a JWKS that may be used.
 * @param where it came from, for the words
 * @throws FetchError where it is no list, or too long
 */
export function usableKeys(keys: unknown, where: string): { keys: JWK[] } {
  if (!Array.isArray(keys)) throw new FetchError(`${where} holds no keys`)
  if (keys.length > mostKeys) throw new FetchError(`${where} holds more than ${mostKeys} keys`)
  return { keys: keys.filter(isPublicSigningKey) }
}

/** Where an issuer's metadata may be: appended (OpenID Connect Discovery 1.0, 4.1), else inserted (RFC 8414, 3.1). */
export function metadataUrls(issuer: string): URL[] {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/$/, '')
  const urls = [
    `${origin}${path}/.well-known/openid-configuration`,
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}/.well-known/openid-configuration${path}`,
  ]
  return [...new Set(urls)].map((url) => new URL(url))
}

/**
 * Symmetric and private keys are dropped: a published secret is none (and would let anybody sign with HS256), a
 * published private key isn't the issuer's alone.
 */
function isPublicSigningKey(key: unknown): key is JWK {
  if (typeof key !== 'object' || key === null) return false
  const { kty, d, k, use } = key as JWK
  return (
    (kty === 'RSA' || kty === 'EC' || kty === 'OKP') &&
    d === undefined &&
    k === undefined &&
    (use === undefined || use === 'sig')
  )
}
