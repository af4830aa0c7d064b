import type { IssuerConfig } from '../../config/schema.ts'
import { FetchError, fetchJson, type Route } from '../bounded-fetch.ts'
import { checkRequired } from '../claim.ts'
import type { CheckedClaims } from '../claims.ts'
import { type IssuerKeysOptions, routeOf } from '../issuer-keys.ts'
import { TokenError } from '../principal.ts'
import { checkAudience, checkTimes, checkUse, type TokenUse } from '../token.ts'

const bounds = { bytes: 64 * 1024, timeout: 5000 }
/** So many questions to one issuer may be under way; who comes then is refused, and may come again. */
const mostAtATime = 32
/** After it couldn't be reached it is left alone for so long (milliseconds): who waits for it keeps others waiting. */
const restFor = 2000

/** RFC 6750's b64token, of a length that none is guessed of, and none floods the issuer with. */
export const opaqueToken = /^[A-Za-z0-9\-._~+/]{16,4096}=*$/

/**
 * Asks an issuer about a token (RFC 7662). What it answers is taken as a JWT's claims would be: for which audience, until
 * when, about whom.
 */
export class Introspection {
  readonly #issuer: IssuerConfig
  readonly #settings: NonNullable<IssuerConfig['introspection']>
  readonly #route: Route
  readonly #log: IssuerKeysOptions['log']
  readonly #clock: () => number
  #under = 0
  #failedAt = Number.NEGATIVE_INFINITY
  #failing = false

  constructor(issuer: IssuerConfig, settings: NonNullable<IssuerConfig['introspection']>, options: IssuerKeysOptions) {
    this.#issuer = issuer
    this.#settings = settings
    this.#route = routeOf(issuer, options.lookup, [settings.url])
    this.#log = options.log
    this.#clock = options.clock ?? Date.now
  }

  /**
   * @returns what the issuer says of an active token
   * @throws TokenError `expired` where it says that the token is active no more (or never was), `issuer-unreachable`
   *   where it can't be asked
   */
  async claimsOf(token: string, use: TokenUse): Promise<CheckedClaims> {
    const answer = await this.#ask(token)
    // It says no more of those that aren't active, so that nobody learns anything (section 2.2).
    if (answer.active !== true) throw new TokenError('expired', 'its issuer says that the token is not active')
    const issuer = this.#issuer
    if (answer.iss !== undefined && answer.iss !== issuer.issuer)
      throw new TokenError('issuer', `the introspection of ${issuer.issuer} answers for another issuer`)
    const { token_type: type } = answer
    if (type !== undefined && (typeof type !== 'string' || type.toLowerCase() !== 'bearer'))
      throw new TokenError('malformed', 'its issuer says that the token is of another type than Bearer')
    const checked = checkTimes(answer, issuer.issuer, new Date(this.#clock()))
    checkAudience(checked, issuer)
    checkUse(checked, {}, issuer, use)
    checkRequired(checked, issuer)
    return checked
  }

  async #ask(token: string): Promise<Record<string, unknown>> {
    const { url, client_id, client_secret, auth } = this.#settings
    if (this.#under >= mostAtATime) throw this.#unreachable('too many tokens are being asked about')
    if (this.#clock() - this.#failedAt < restFor) throw this.#unreachable('it did not answer a moment ago')
    const form = new URLSearchParams({ token, token_type_hint: 'access_token' })
    const headers: Record<string, string> = {}
    if (auth === 'post') {
      form.set('client_id', client_id)
      form.set('client_secret', client_secret)
    } else
      headers.authorization = `Basic ${Buffer.from(`${encoded(client_id)}:${encoded(client_secret)}`).toString('base64')}`
    this.#under++
    try {
      const answer = await fetchJson(new URL(url), bounds, this.#route, { form, headers })
      if (this.#failing) this.#log.info({ issuer: this.#issuer.issuer }, 'introspection answers again')
      this.#failing = false
      return answer
    } catch (error) {
      if (!(error instanceof FetchError)) throw error
      this.#failedAt = this.#clock()
      if (!this.#failing)
        this.#log.warn({ issuer: this.#issuer.issuer, problem: error.message }, 'introspection can’t be asked')
      this.#failing = true
      throw this.#unreachable(error.message, error)
    } finally {
      this.#under--
    }
  }

  #unreachable(reason: string, cause?: Error): TokenError {
    return new TokenError(
      'issuer-unreachable',
      `the introspection of ${this.#issuer.issuer} can't be asked: ${reason}`,
      {
        cause,
      },
    )
  }
}

/** As RFC 6749, section 2.3.1 and appendix B want it within Basic. */
function encoded(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1)
}
