import type { IssuerConfig } from '../../config/schema.ts'
import { FetchError, fetchText, type Route } from '../bounded-fetch.ts'
import { cooldown, type IssuerKeysOptions, routeOf } from '../issuer-keys.ts'
import { TokenError } from '../principal.ts'
import { type CheckedAssertion, checkAssertion } from './assertion.ts'
import type { SamlDocument } from './document.ts'
import { MetadataError, readMetadata, type SamlMetadata } from './metadata.ts'
import { verifiedAssertion } from './signature.ts'
import { attributeOf, readXml } from './xml.ts'

const bounds = { bytes: 1024 * 1024, timeout: 10_000 }
/** Metadata by URL is asked for anew after this long (milliseconds). */
export const metadataFresh = 6 * 3_600_000
/** While it can't be had, what was had last is used for this long, and not past its validUntil. */
export const metadataStale = 7 * 24 * 3_600_000
/** The least time between two fetches that a signature by an unknown key asked for. */
export const rolloverCooldown = 5 * 60_000

/**
 * One SAML 2 identity provider: its metadata, and the check of its assertions. A signature by a key that isn't known asks
 * for the metadata once more, rarely: keys are rolled over without anybody here having to know.
 */
export class SamlIssuer {
  readonly #config: IssuerConfig
  readonly #source: NonNullable<IssuerConfig['saml']>['metadata']
  readonly #route: Route
  readonly #log: IssuerKeysOptions['log']
  readonly #clock: () => number
  #metadata: { read: SamlMetadata; at: number } | undefined
  #fetching: Promise<void> | undefined
  #failure: { at: number; error: Error } | undefined
  #forcedAt = Number.NEGATIVE_INFINITY

  /** @param before the same identity provider before a reload: what it knows of metadata is kept */
  constructor(
    config: IssuerConfig,
    saml: NonNullable<IssuerConfig['saml']>,
    options: IssuerKeysOptions,
    before?: SamlIssuer,
  ) {
    this.#config = config
    this.#source = saml.metadata
    this.#route = routeOf(config, options.lookup, 'url' in saml.metadata ? [saml.metadata.url] : [])
    this.#log = options.log
    this.#clock = options.clock ?? Date.now
    if (before) this.#metadata = before.#metadata
    else if ('xml' in saml.metadata)
      this.#metadata = { read: readMetadata(saml.metadata.xml, config.issuer), at: this.#clock() }
  }

  /**
   * @throws TokenError
   */
  async check(document: SamlDocument): Promise<CheckedAssertion> {
    const certificates = await this.#certificates()
    let signed: string
    try {
      signed = await verifiedAssertion(document, certificates)
    } catch (error) {
      const others = await this.#rolledOver(certificates)
      if (!others) throw error
      signed = await verifiedAssertion(document, others)
    }
    // Of what was verified alone: the rest of the document is anybody's.
    const assertion = readXml(signed)
    if (attributeOf(assertion, 'ID') !== attributeOf(document.assertion, 'ID'))
      throw new TokenError('signature', 'another assertion was signed than is in it')
    return checkAssertion(assertion, this.#config, this.#clock())
  }

  async #certificates(): Promise<string[]> {
    if ('url' in this.#source && this.#age() >= metadataFresh) await this.#refresh(this.#source.url)
    if (!this.#metadata || ('url' in this.#source && this.#age() >= metadataStale))
      throw this.#unusable(this.#failure?.error.message ?? 'it is too old')
    if (this.#metadata.read.validUntil <= this.#clock()) throw this.#unusable('its validUntil is over')
    return this.#metadata.read.certificates
  }

  /** Other certificates than those, where the identity provider has published some since. */
  async #rolledOver(known: string[]): Promise<string[] | undefined> {
    if (!('url' in this.#source) || this.#clock() - this.#forcedAt < rolloverCooldown) return undefined
    this.#forcedAt = this.#clock()
    await this.#refresh(this.#source.url)
    const now = this.#metadata?.read.certificates ?? []
    return now.some((certificate) => !known.includes(certificate)) ? this.#certificates() : undefined
  }

  #age(): number {
    return this.#metadata ? this.#clock() - this.#metadata.at : Number.POSITIVE_INFINITY
  }

  #unusable(reason: string): TokenError {
    return new TokenError('issuer-unreachable', `the metadata of ${this.#config.issuer} can't be used: ${reason}`, {
      cause: this.#failure?.error,
    })
  }

  /** One fetch at a time; none within the cooldown after a failure. What failed is kept; what was known, too. */
  #refresh(url: string): Promise<void> {
    if (this.#failure && this.#clock() - this.#failure.at < cooldown) return Promise.resolve()
    const { issuer } = this.#config
    this.#fetching ??= fetchText(new URL(url), bounds, this.#route, {
      accept: 'application/samlmetadata+xml, */*;q=0.5',
    })
      .then((xml) => {
        const read = readMetadata(xml, issuer)
        if (read.validUntil <= this.#clock()) throw new MetadataError('its validUntil is over')
        this.#metadata = { read, at: this.#clock() }
        this.#failure = undefined
      })
      .catch((error: Error) => {
        if (!(error instanceof FetchError) && !(error instanceof MetadataError)) throw error
        this.#failure = { at: this.#clock(), error }
        this.#log.warn({ issuer, problem: error.message }, 'SAML metadata can’t be had')
      })
      .finally(() => {
        this.#fetching = undefined
      })
    return this.#fetching
  }
}
